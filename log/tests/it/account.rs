//! What the outside was told by a log, and whether the log still stands by it.
//!
//! A process that is to be killed or starved of its disk writes down every answer as a line, at once. The test
//! reads the lines, opens the log again, and holds it to them: an answer is a promise, whatever happened next.

use std::{collections::BTreeMap, fmt::Write as _, fs, io::Write as _, path::Path};

use treering_log::{Appended, Head, Log, ReadError, RegisterName, fsck};
use treering_tlog::{
    checkpoint::Checkpoint,
    consistency,
    hash::{Hash, leaf_hash},
    inclusion,
    note::Note,
};

use crate::support::TestSealer;

/// The side table of the rows.
pub(crate) const TABLE: u8 = 9;

/// Writes facts to standard output, each a line, all at once; what is cut off by a kill is the last line.
pub(crate) struct Teller(String);

impl Teller {
    pub(crate) fn new() -> Self {
        // The test harness may have left the line begun.
        Self("\n".into())
    }

    /// An answered append of these texts.
    pub(crate) fn appended(&mut self, done: &Appended, texts: &[String]) -> &mut Self {
        for (index, text) in done.indexes().iter().zip(texts) {
            writeln!(self.0, "entry {index} {text}").unwrap();
        }
        self.head(done.head())
    }

    /// A head that was shown.
    pub(crate) fn head(&mut self, head: &Head) -> &mut Self {
        writeln!(self.0, "head {}", hex(head.note())).unwrap();
        self
    }

    /// A once key that an answered append has used.
    pub(crate) fn once(&mut self, key: &[u8; 32], index: u64) -> &mut Self {
        writeln!(self.0, "once {} {index}", hex(key)).unwrap();
        self
    }

    /// A register that an answered append has set.
    pub(crate) fn register(&mut self, name: &RegisterName, index: u64) -> &mut Self {
        writeln!(self.0, "register {name} {index}").unwrap();
        self
    }

    /// A row that was written, with its key as its value.
    pub(crate) fn row(&mut self, key: &str) -> &mut Self {
        writeln!(self.0, "row {key}").unwrap();
        self
    }

    /// The log does not go on, and why.
    pub(crate) fn refused(&mut self, what: &str, error: &dyn std::fmt::Display) -> &mut Self {
        writeln!(self.0, "refused {what}: {}", error.to_string().replace('\n', " ")).unwrap();
        self
    }

    pub(crate) fn say(&mut self) {
        std::io::stdout().lock().write_all(std::mem::take(&mut self.0).as_bytes()).unwrap();
        self.0.push('\n');
    }
}

/// All that was told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Account {
    entries: BTreeMap<u64, String>,
    heads: BTreeMap<u64, Hash>,
    once: BTreeMap<[u8; 32], u64>,
    registers: BTreeMap<String, u64>,
    rows: Vec<String>,
    pub(crate) refusals: Vec<String>,
}

impl Account {
    /// Reads what a process told. Its last line may be cut off; every other is a fact by itself.
    pub(crate) fn read(output: &[u8]) -> Self {
        let mut account = Self::default();
        let whole = output.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        for line in str::from_utf8(&output[..whole]).unwrap().lines() {
            let Some((what, rest)) = line.split_once(' ') else { continue };
            let numbered = || rest.split_once(' ').unwrap();
            match what {
                "entry" => account.entry(numbered().0.parse().unwrap(), numbered().1),
                "head" => account.note(&unhex(rest)),
                "once" => {
                    let (key, index) = numbered();
                    account.once.insert(unhex(key).try_into().unwrap(), index.parse().unwrap());
                }
                "register" => {
                    let (name, index) = numbered();
                    // Lines of one client are in order, and each has its own register.
                    account.registers.insert(name.to_owned(), index.parse().unwrap());
                }
                "row" => account.rows.push(rest.to_owned()),
                "refused" => account.refusals.push(rest.to_owned()),
                _ => {}
            }
        }
        account
    }

    fn entry(&mut self, index: u64, text: &str) {
        let before = self.entries.insert(index, text.to_owned());
        assert!(before.is_none_or(|before| before == text), "entry {index} was answered twice, differently");
    }

    /// A checkpoint that left the process: signed by the log, and no other of its size with another root.
    pub(crate) fn note(&mut self, bytes: &[u8]) {
        let note = Note::parse(bytes).unwrap();
        note.verify(&[treering_log::Sealer::log_key(&*TestSealer::new(1))]).unwrap();
        let checkpoint = Checkpoint::parse(note.text()).unwrap();
        self.head(checkpoint.size(), *checkpoint.root());
    }

    fn head(&mut self, size: u64, root: Hash) {
        let before = self.heads.insert(size, root);
        assert!(before.is_none_or(|before| before == root), "FORK: size {size} was signed with two roots");
    }

    /// An answered append of these texts, with its once keys.
    pub(crate) fn appended(&mut self, done: &Appended, texts: &[String], once: &[[u8; 32]]) {
        for (index, text) in done.indexes().iter().zip(texts) {
            self.entry(*index, text);
        }
        self.head(done.head().size(), *done.head().root());
        self.once.extend(once.iter().map(|key| (*key, done.indexes()[0])));
    }

    /// The checkpoint file is read by anybody who can read the folder.
    pub(crate) fn checkpoint_file(&mut self, dir: &Path) {
        if let Ok(bytes) = fs::read(dir.join("checkpoint")) {
            self.note(&bytes);
        }
    }

    pub(crate) fn merge(&mut self, newer: &Self) {
        for (index, text) in &newer.entries {
            self.entry(*index, text);
        }
        for (size, root) in &newer.heads {
            self.head(*size, *root);
        }
        self.once.extend(&newer.once);
        self.registers.extend(newer.registers.clone());
        self.rows.extend(newer.rows.iter().cloned());
    }

    /// Answered entries.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The largest size under a head that was told.
    pub(crate) fn told_size(&self) -> u64 {
        self.heads.keys().next_back().copied().unwrap_or(0)
    }

    /// Holds an opened log to everything.
    pub(crate) fn check(&self, log: &Log) {
        self.verdict(log).unwrap();
    }

    /// As [`check`](Self::check), and nothing is wrong with the store either.
    pub(crate) fn check_all(&self, log: &Log) {
        self.check(log);
        assert_eq!(fsck::check(log, |_, _| ()).findings, vec![]);
    }

    /// The first thing that an opened log does not stand by.
    pub(crate) fn verdict(&self, log: &Log) -> Result<(), Breach> {
        let size = log.size();
        kept(size >= self.told_size(), || format!("the log shrank from {} to {size}", self.told_size()))?;
        let Some(head) = log.head() else {
            return kept(self.entries.is_empty(), || "there is no log any more".into());
        };
        for (told, root) in &self.heads {
            kept(log.root_at(*told)? == *root, || format!("the head of size {told} has another root"))?;
            let proof = log.consistency(*told, size)?;
            let sound = consistency::verify(*told, size, root, head.root(), &proof).is_ok();
            kept(sound, || format!("no proof from size {told} to {size}"))?;
        }
        for (index, text) in &self.entries {
            let leaf = leaf_hash(text.as_bytes());
            kept(log.index_of_leaf(&leaf)? == Some(*index), || format!("the index of entry {index}"))?;
            kept(log.entry(*index)?.as_deref() == Some(text.as_bytes()), || format!("entry {index}"))?;
            let path = log.inclusion(*index, size)?;
            let sound = inclusion::verify(&leaf, *index, size, &path, head.root()).is_ok();
            kept(sound, || format!("no proof for entry {index}"))?;
        }
        for (key, index) in &self.once {
            kept(log.used(key)? == Some(*index), || format!("a once key of entry {index} is not used"))?;
        }
        for (name, index) in &self.registers {
            let now = log.register(&RegisterName::new(name.as_str()).unwrap())?;
            kept(now >= Some(*index), || format!("register {name} went from {index} to {now:?}"))?;
        }
        for row in &self.rows {
            kept(log.row(TABLE, row.as_bytes())?.as_deref() == Some(row.as_bytes()), || {
                format!("row {row}")
            })?;
        }
        Ok(())
    }
}

/// A promise that is not kept.
#[derive(Debug)]
pub(crate) enum Breach {
    /// Something is gone or is something else, and nothing says so.
    Lost(String),
    /// The store says that it cannot be read: not silent.
    Unreadable(ReadError),
}

impl From<ReadError> for Breach {
    fn from(error: ReadError) -> Self {
        Self::Unreadable(error)
    }
}

fn kept(kept: bool, what: impl FnOnce() -> String) -> Result<(), Breach> {
    if kept { Ok(()) } else { Err(Breach::Lost(what())) }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}
