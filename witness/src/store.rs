//! The state directory: whose it is, its lock, its journal.
//!
//! In scope: creating, locking, opening, and taking over a directory of the older format. Out of scope: the journal
//! itself (`journal`), and when a checkpoint may be replaced (`rules`).
//!
//! | file | bytes |
//! |---|---|
//! | `identity` | `treering-witness-state v2\n`, the witness's vkey, `\n`; made once by `init`, locked while the witness runs |
//! | `journal` | the last cosigned checkpoint of every log, see docs/witness.md |
//! | `mark` | the last record that somebody was answered for |
//! | `journal.tmp` | a journal that was not finished: written over, never read |
//!
//! Whoever can write the directory can put back an older copy of all of it, and so make the witness sign a split view: the
//! directory is trusted, and must not be restored from a backup.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use treering_tlog::note::{NoteError, VerifierKey};

use crate::{
    journal::{self, COMPACT_AT_LEAST, Disk, JOURNAL, Journal, JournalError, MARK, Mark, RealDisk},
    state::{State, StateError},
};

/// A state directory, locked against other processes as long as this lives.
pub struct StateDir {
    path: PathBuf,
    identity: File,
    /// Whether it is of the older format, with one file for each log.
    is_old: bool,
    disk: Arc<dyn Disk>,
    compact_at: u64,
}

impl StateDir {
    /// Makes the directory of a new witness. An existing one is refused: a witness that forgets signs split views.
    pub fn create(path: &Path, own: &VerifierKey) -> Result<(), StoreError> {
        let at = |what| move |source| StoreError::Io { what, path: path.to_owned(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(at("create"))?;
        let identity = path.join(IDENTITY);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&identity)
            .map_err(at("create the identity in"))?;
        // The identity last: a directory without it is refused, so that no crash leaves one that lacks its journal.
        drop(Journal::start(path, own, 0, Vec::new(), Arc::new(RealDisk), COMPACT_AT_LEAST)?);
        file.write_all(identity_text(HEADER, own).as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(at("write"))?;
        sync_dir(path).map_err(at("sync"))
    }

    /// Opens and locks the directory of this witness.
    pub fn open(path: &Path, own: &VerifierKey) -> Result<Self, StoreError> {
        Self::open_on(path, own, Arc::new(RealDisk), COMPACT_AT_LEAST)
    }

    /// The same on another disk, and with another length at which the journal is compacted: for tests.
    pub fn open_on(
        path: &Path,
        own: &VerifierKey,
        disk: Arc<dyn Disk>,
        compact_at: u64,
    ) -> Result<Self, StoreError> {
        let name = path.join(IDENTITY);
        let io = |what| {
            let identity = name.clone();
            move |source| StoreError::Io { what, path: identity, source }
        };
        // Without the file this may be an empty mount point: starting here would forget everything.
        let identity = match OpenOptions::new().read(true).write(true).open(&name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(StoreError::NoState { path: path.to_owned() });
            }
            opened => opened.map_err(io("open"))?,
        };
        match identity.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::Locked { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(io("lock")(source)),
        }
        let text = fs::read_to_string(&name).map_err(io("read"))?;
        let is_old = text == identity_text(OLD_HEADER, own);
        if !is_old && text != identity_text(HEADER, own) {
            return Err(StoreError::OtherWitness { path: path.to_owned(), wanted: own.to_string() });
        }
        Ok(Self { path: path.to_owned(), identity, is_old, disk, compact_at })
    }

    /// Reads the last state of every log, by origin, whether or not it is still configured; then a new journal of them
    /// takes the place of what was read. Anything that does not prove itself is an error.
    pub fn start(&self, own: &VerifierKey) -> Result<(Journal, BTreeMap<String, Arc<State>>), StoreError> {
        let (generation, states) = if self.is_old { (0, self.read_old(own)?) } else { self.read(own)? };
        let (disk, copies) = (Arc::clone(&self.disk), states.iter().map(Arc::clone).collect());
        let journal = Journal::start(&self.path, own, generation, copies, disk, self.compact_at)?;
        if self.is_old {
            self.leave_old_format()?;
        }
        let by_origin = |state: Arc<State>| (state.checkpoint().origin().to_owned(), state);
        Ok((journal, states.into_iter().map(by_origin).collect()))
    }

    fn read(&self, own: &VerifierKey) -> Result<(u64, Vec<Arc<State>>), StoreError> {
        let path = self.path.join(MARK);
        let mark = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            read => Mark::parse(&read.map_err(self.io("read the mark in"))?),
        };
        let mark = mark.ok_or(JournalError::Mark { path })?;
        let recovered = journal::read(&self.path.join(JOURNAL), own, mark)?;
        if recovered.torn > 0 {
            tracing::warn!(
                bytes = recovered.torn,
                "an unfinished write at the end of the journal was dropped"
            );
        }
        Ok((recovered.generation, recovered.states))
    }

    /// The older format: `<hex SHA-256(origin)>.state`, the format's line and the cosigned checkpoint.
    fn read_old(&self, own: &VerifierKey) -> Result<Vec<Arc<State>>, StoreError> {
        let mut states = Vec::new();
        for path in self.old_files()? {
            let bytes = fs::read(&path).map_err(self.io("read"))?;
            let corrupt = |source| StoreError::Corrupt { path: path.clone(), source };
            let note = bytes.strip_prefix(OLD_HEADER.as_bytes());
            let note = note.ok_or_else(|| StoreError::OldFormat { path: path.clone() })?;
            let state = State::parse(note, own).map_err(corrupt)?;
            let wanted = origin_hash(state.checkpoint().origin());
            if path.file_stem().and_then(|stem| stem.to_str()) != Some(wanted.as_str()) {
                return Err(StoreError::OldFormat { path });
            }
            states.push(Arc::new(state));
        }
        Ok(states)
    }

    /// From the moment the identity has changed the journal is what counts; until then the old files are, and a crash
    /// repeats the taking over.
    fn leave_old_format(&self) -> Result<(), StoreError> {
        let io = self.io("take over");
        // In place, because the lock is on this file: one character of the first line is another.
        let written = self.identity.write_all_at(HEADER.as_bytes(), 0);
        written.and_then(|()| self.identity.sync_all()).map_err(io)?;
        for path in self.old_files()? {
            fs::remove_file(path).map_err(self.io("remove an old state from"))?;
        }
        tracing::info!("the state directory was taken over from the older format");
        Ok(())
    }

    fn old_files(&self) -> Result<Vec<PathBuf>, StoreError> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(self.io("read"))? {
            let path = entry.map_err(self.io("read"))?.path();
            if path.extension().is_some_and(|extension| extension == "state") {
                files.push(path);
            }
        }
        Ok(files)
    }

    fn io(&self, what: &'static str) -> impl FnOnce(io::Error) -> StoreError {
        let path = self.path.clone();
        move |source| StoreError::Io { what, path, source }
    }
}

/// The name of an origin in paths: lower-case hex of SHA-256.
pub fn origin_hash(origin: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(origin))
}

/// Why the state directory cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A state file of the older format does not prove itself.
    #[error("state file {} is corrupt: {source}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: StateError,
    },
    /// The operating system refused.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Another process has it.
    #[error("state directory {} is in use by another process", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// No configured key of the log has signed its state.
    #[error("state of log {origin:?} is not signed by a configured key of it: {source}")]
    NotByLog {
        /// The log.
        origin: String,
        /// What is wrong.
        source: NoteError,
    },
    /// The directory was never made, or is not mounted.
    #[error("no state directory at {}", path.display())]
    NoState {
        /// The directory.
        path: PathBuf,
    },
    /// A file of the older format has another first line or the name of another log.
    #[error("state file {} is corrupt: it has another format, or the name of another log", path.display())]
    OldFormat {
        /// The file.
        path: PathBuf,
    },
    /// The directory is of another witness.
    #[error("state directory {} is not that of {wanted}", path.display())]
    OtherWitness {
        /// The directory.
        path: PathBuf,
        /// The key that was given.
        wanted: String,
    },
    /// A state cannot be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// The system gives no threads.
    #[error("cannot start the witness's threads: {0}")]
    Threads(io::Error),
}

/// First line of the identity. A new format gets a new line, so that an old program refuses it.
const HEADER: &str = "treering-witness-state v2\n";
/// The same of the format with a file for each log; as long, so that it can be changed in place.
const OLD_HEADER: &str = "treering-witness-state v1\n";
const _: () = assert!(HEADER.len() == OLD_HEADER.len(), "changed in place");
const IDENTITY: &str = "identity";

fn identity_text(header: &str, own: &VerifierKey) -> String {
    format!("{header}{own}\n")
}

fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
