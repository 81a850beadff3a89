//! What a caller asks of the log, what it is answered, and the limits of both.
//!
//! Every limit is checked on the caller's thread, before anything is hashed or queued.

use std::{fmt, sync::Arc};

use treering_tlog::{
    bundle::MAX_ENTRY_LEN,
    hash::{Hash, leaf_hash},
};

use crate::head::Head;

/// Most entries in one append: one full bundle. A decision is three or four statements; a batch of uploads
/// is split by its sender, which costs nothing because appends share a commit.
pub const MAX_APPEND_ENTRIES: usize = 256;
/// Largest content of one entry. The largest known is an SBOM or an evidence bundle with its collateral, a
/// few megabytes; 16 MiB leaves room and keeps the worst append well below [`MAX_APPEND_BYTES`].
pub const MAX_CONTENT_LEN: usize = 16 << 20;
/// Most index keys of one entry. An appraisal names a chip, a few measurements and some tens of attributes.
pub const MAX_INDEX_KEYS: usize = 256;
/// Most once keys, expectations or register moves in one append (each).
pub const MAX_CONDITIONS: usize = 64;
/// Most rows in one append or one [`put_rows`](crate::Log::put_rows).
pub const MAX_ROWS: usize = 4096;
/// Longest key of a row: a few hashes and a name.
pub const MAX_ROW_KEY_LEN: usize = 512;
/// Largest value of a row: rows are side tables (keys, wraps, dictionaries), not content.
pub const MAX_ROW_VALUE_LEN: usize = 1 << 20;
/// Longest register name.
pub const MAX_REGISTER_NAME_LEN: usize = 128;
/// All bytes of one append together: entries, contents, keys and rows. It bounds what one batch can hold.
pub const MAX_APPEND_BYTES: usize = 64 << 20;

/// One atomic append: all of it is in the log, at consecutive indexes, or nothing is.
///
/// Equal bytes that are in the log already are not added again: they answer with their first index, and
/// nothing of such an entry is written (its content may have been erased on purpose since). When *all* entries
/// of an append are duplicates, `expect` and `once` are still checked and `once` is still recorded, but `set`
/// and `rows` are not applied: a repeated statement must not move a register back, nor put a key over the key
/// that its content is encrypted under. A second copy inside one append counts as a duplicate of the first.
#[derive(Clone, Debug, Default)]
pub struct Append {
    /// What to add, in this order.
    pub entries: Vec<NewEntry>,
    /// Keys that no append may have used before, and that none may use again.
    pub once: Vec<[u8; 32]>,
    /// Registers that must have these values when this append is sequenced; `None` means never set.
    pub expect: Vec<(RegisterName, Option<u64>)>,
    /// Registers that are set to the index of the entry at this position of `entries`. A duplicate entry
    /// moves no register.
    pub set: Vec<(RegisterName, usize)>,
    /// Side-table rows written in the same commit.
    pub rows: Vec<Row>,
}

impl Append {
    /// An append of these entries and nothing else.
    pub fn of(entries: Vec<NewEntry>) -> Self {
        Self { entries, ..Self::default() }
    }
}

/// One entry to be added.
#[derive(Clone, Debug, Default)]
pub struct NewEntry {
    /// The bytes that are hashed into the tree, 1 to 65,535.
    pub bytes: Vec<u8>,
    /// Content kept for the entry, outside the tree.
    pub content: Option<Vec<u8>>,
    /// Keys under which [`lookup`](crate::Log::lookup) finds the entry.
    pub index_keys: Vec<[u8; 32]>,
}

impl NewEntry {
    /// An entry without content and without index keys.
    pub fn plain(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: bytes.into(), content: None, index_keys: Vec::new() }
    }
}

/// One row of a side table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The table; who owns which number is written in docs/storage.md.
    pub table: u8,
    /// The key within the table.
    pub key: Vec<u8>,
    /// The value, or `None` to delete the row.
    pub value: Option<Vec<u8>>,
}

/// The name of a register: 1 to 128 printable ASCII characters without spaces.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegisterName(String);

impl RegisterName {
    /// Checks and takes a name.
    pub fn new(name: impl Into<String>) -> Result<Self, InvalidRegisterName> {
        let name = name.into();
        let good =
            (1..=MAX_REGISTER_NAME_LEN).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic());
        if good { Ok(Self(name)) } else { Err(InvalidRegisterName(name)) }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RegisterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A register name that is empty, too long, or has other than printable ASCII characters.
#[derive(Debug, thiserror::Error)]
#[error("register name {0:?} is not 1 to 128 printable ascii characters without spaces")]
pub struct InvalidRegisterName(String);

/// The answer to an append: proof, as a value, that its entries are in the log.
///
/// Only the sequencer makes one, and only after the fsync that commits the batch, so holding one *means*
/// logged.
#[derive(Clone, Debug)]
pub struct Appended {
    indexes: Vec<u64>,
    leaves: Vec<Hash>,
    duplicates: Vec<bool>,
    head: Arc<Head>,
}

impl Appended {
    pub(crate) fn new(indexes: Vec<u64>, leaves: Vec<Hash>, duplicates: Vec<bool>, head: Arc<Head>) -> Self {
        Self { indexes, leaves, duplicates, head }
    }

    /// The index of each entry, in the order of the append.
    pub fn indexes(&self) -> &[u64] {
        &self.indexes
    }

    /// The leaf hash of each entry, in the order of the append.
    pub fn leaves(&self) -> &[Hash] {
        &self.leaves
    }

    /// For each entry, whether its bytes were in the log before (or earlier in the same append).
    pub fn duplicates(&self) -> &[bool] {
        &self.duplicates
    }

    /// A sealed head that covers every index of the answer.
    pub fn head(&self) -> &Arc<Head> {
        &self.head
    }
}

/// Why an append was not done. Nothing of it is in the log then, except after [`AppendError::Poisoned`],
/// where only a reopen can tell.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// Too much is waiting; try again shortly.
    #[error("the pool is full: {entries} entries and {bytes} bytes are waiting")]
    Full {
        /// Entries waiting.
        entries: usize,
        /// Bytes waiting.
        bytes: usize,
    },
    /// A register has moved since the decision was made; decide again.
    #[error("register {name} is at {}, wanted {}", Position(.actual), Position(.wanted))]
    StaleExpectation {
        /// The register.
        name: RegisterName,
        /// What the append expected.
        wanted: Option<u64>,
        /// What the register holds.
        actual: Option<u64>,
    },
    /// A once key was used before.
    #[error("a key that may be used once was used by entry {index}")]
    AlreadyUsed {
        /// The key.
        key: [u8; 32],
        /// The first entry of the append that used it.
        index: u64,
    },
    /// Something is larger than its limit.
    #[error("{what}: {actual}, at most {limit}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size.
        actual: usize,
        /// The limit.
        limit: usize,
    },
    /// An append without entries, or an entry without bytes.
    #[error("{what} is empty")]
    Empty {
        /// What is empty.
        what: &'static str,
    },
    /// A register is to be set to an entry that the append does not have.
    #[error("register {name} is set to entry {position} of an append of {entries}")]
    NoSuchEntry {
        /// The register.
        name: RegisterName,
        /// The position asked for.
        position: usize,
        /// How many entries the append has.
        entries: usize,
    },
    /// The first append makes the log: it carries at least two different entries, because no head of size 0
    /// or 1 is ever signed.
    #[error("the first append has {entries} different entries, at least 2 are needed")]
    Genesis {
        /// How many different entries the append has.
        entries: usize,
    },
    /// The tree head could not be signed; nothing was written, and a later append may succeed.
    #[error("the tree head could not be sealed: {0}")]
    Seal(String),
    /// It could not be found out whether the log has an entry already, which would make it a duplicate. Nothing of this
    /// append was written; others are taken.
    #[error("whether the entry is in the log could not be found out: {0}")]
    Unsearchable(String),
    /// The log signs nothing until the witnesses have been asked for what they have seen.
    #[error("the log is held until its witnesses have confirmed that it is their latest")]
    Held,
    /// The log was shut down, or was opened for reading only.
    #[error("the log is stopped")]
    Stopped,
    /// A write failed, so that what is on disk is unknown, or what the log rests on could not be read: stop and open the
    /// log again.
    #[error("the log has stopped ({0}): open it again")]
    Poisoned(String),
}

struct Position<'a>(&'a Option<u64>);

impl fmt::Display for Position<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(index) => write!(f, "{index}"),
            None => f.write_str("unset"),
        }
    }
}

/// An append that was measured and hashed, ready for the pool.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) append: Append,
    pub(crate) leaves: Vec<Hash>,
    /// What it weighs in the pool.
    pub(crate) bytes: usize,
}

impl Prepared {
    /// Checks every limit, then hashes. Both happen on the caller's thread: the sequencer only sequences.
    pub(crate) fn new(append: Append) -> Result<Self, AppendError> {
        let bytes = weigh(&append)?;
        let leaves = append.entries.iter().map(|entry| leaf_hash(&entry.bytes)).collect();
        Ok(Self { append, leaves, bytes })
    }
}

/// The bytes of an append, if it keeps every limit.
fn weigh(append: &Append) -> Result<usize, AppendError> {
    let count = append.entries.len();
    if count == 0 {
        return Err(AppendError::Empty { what: "the append" });
    }
    at_most("entries in one append", count, MAX_APPEND_ENTRIES)?;
    at_most("once keys in one append", append.once.len(), MAX_CONDITIONS)?;
    at_most("expectations in one append", append.expect.len(), MAX_CONDITIONS)?;
    at_most("register moves in one append", append.set.len(), MAX_CONDITIONS)?;
    let mut bytes = weigh_rows(&append.rows)?;
    for entry in &append.entries {
        if entry.bytes.is_empty() {
            return Err(AppendError::Empty { what: "an entry" });
        }
        let content = entry.content.as_ref().map_or(0, Vec::len);
        at_most("bytes of an entry", entry.bytes.len(), MAX_ENTRY_LEN)?;
        at_most("bytes of a content", content, MAX_CONTENT_LEN)?;
        at_most("index keys of an entry", entry.index_keys.len(), MAX_INDEX_KEYS)?;
        bytes += entry.bytes.len() + content + entry.index_keys.len() * 32;
    }
    for (name, position) in &append.set {
        if *position >= count {
            return Err(AppendError::NoSuchEntry { name: name.clone(), position: *position, entries: count });
        }
    }
    at_most("bytes of an append", bytes, MAX_APPEND_BYTES)?;
    Ok(bytes)
}

/// The bytes of some rows, if they keep every limit.
pub(crate) fn weigh_rows(rows: &[Row]) -> Result<usize, AppendError> {
    at_most("rows", rows.len(), MAX_ROWS)?;
    let mut bytes = 0;
    for row in rows {
        let value = row.value.as_ref().map_or(0, Vec::len);
        at_most("bytes of a row's key", row.key.len(), MAX_ROW_KEY_LEN)?;
        at_most("bytes of a row's value", value, MAX_ROW_VALUE_LEN)?;
        bytes += row.key.len() + value;
    }
    at_most("bytes of rows", bytes, MAX_APPEND_BYTES)?;
    Ok(bytes)
}

fn at_most(what: &'static str, actual: usize, limit: usize) -> Result<(), AppendError> {
    if actual > limit { Err(AppendError::TooLarge { what, actual, limit }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Change = Box<dyn FnOnce(&mut Append)>;

    fn refused(change: impl FnOnce(&mut Append)) -> AppendError {
        let mut append = Append::of(vec![NewEntry::plain(*b"x")]);
        change(&mut append);
        Prepared::new(append).unwrap_err()
    }

    #[test]
    fn every_limit_is_checked() {
        let name = || RegisterName::new("r").unwrap();
        let row = |key: usize, value: usize| Row { table: 1, key: vec![0; key], value: Some(vec![0; value]) };
        assert_eq!(refused(|a| a.entries.clear()), AppendError::Empty { what: "the append" });
        assert_eq!(refused(|a| a.entries[0].bytes.clear()), AppendError::Empty { what: "an entry" });
        let cases: Vec<(usize, Change)> = vec![
            (65_535, Box::new(|a: &mut Append| a.entries[0].bytes = vec![0; 65_536])),
            (256, Box::new(|a: &mut Append| a.entries = vec![NewEntry::plain(*b"x"); 257])),
            (16 << 20, Box::new(|a: &mut Append| a.entries[0].content = Some(vec![0; (16 << 20) + 1]))),
            (256, Box::new(|a: &mut Append| a.entries[0].index_keys = vec![[0; 32]; 257])),
            (64, Box::new(|a: &mut Append| a.once = vec![[0; 32]; 65])),
            (64, Box::new(move |a: &mut Append| a.expect = vec![(name(), None); 65])),
            (64, Box::new(move |a: &mut Append| a.set = vec![(name(), 0); 65])),
            (4096, Box::new(move |a: &mut Append| a.rows = vec![row(1, 1); 4097])),
            (512, Box::new(move |a: &mut Append| a.rows = vec![row(513, 1)])),
            (1 << 20, Box::new(move |a: &mut Append| a.rows = vec![row(1, (1 << 20) + 1)])),
            (64 << 20, Box::new(move |a: &mut Append| a.rows = vec![row(1, 1 << 20); 64])),
        ];
        for (wanted, change) in cases {
            match refused(change) {
                AppendError::TooLarge { actual, limit, .. } => {
                    assert_eq!(limit, wanted);
                    assert!(actual > limit);
                }
                other => panic!("{other}"),
            }
        }
        assert!(matches!(
            refused(|a| a.set = vec![(RegisterName::new("r").unwrap(), 1)]),
            AppendError::NoSuchEntry { position: 1, entries: 1, .. }
        ));
        let mut largest = Append::of(vec![NewEntry::plain(vec![0; 65_535])]);
        largest.entries[0].content = Some(vec![0; 16 << 20]);
        assert_eq!(Prepared::new(largest).unwrap().bytes, 65_535 + (16 << 20));
    }

    #[test]
    fn register_names_are_printable() {
        for bad in ["", "a b", "\u{e4}", "a\n", &"x".repeat(129)] {
            assert!(RegisterName::new(bad).is_err(), "{bad:?}");
        }
        assert_eq!(RegisterName::new("policy/appraisal").unwrap().to_string(), "policy/appraisal");
    }

    #[test]
    fn errors_say_actual_and_wanted() {
        let stale = AppendError::StaleExpectation {
            name: RegisterName::new("g").unwrap(),
            wanted: None,
            actual: Some(7),
        };
        assert_eq!(stale.to_string(), "register g is at 7, wanted unset");
    }
}
