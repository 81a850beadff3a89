//! What a log asks of the engine under it: reads by key, reads in order, one atomic, synced write, and tables
//! of what follows from it.
//!
//! In scope: the promises that the log rests on. Out of scope: what keys and values mean ([`schema`](crate::schema)),
//! and how an engine keeps its promises.

use std::{fmt, sync::Arc};

use crate::schema::Family;

/// A key and its value.
pub(crate) type Pair = (Box<[u8]>, Box<[u8]>);

/// Pairs in the order of their keys.
pub(crate) type Pairs<'a> = Box<dyn Iterator<Item = Result<Pair, EngineError>> + 'a>;

/// An ordered store of families of keys.
///
/// 1. A [`commit`](Self::commit) that returns `Ok` is on disk whole, and every later read sees it.
/// 2. One that fails may be on disk whole or not at all, and no read of this engine sees it; what is true, opening the
///    store again finds out. The caller writes nothing more before that.
/// 3. Damage is an error, here or at opening: an engine never drops what was committed in silence.
/// 4. What [`from`](Self::from) gives is one snapshot.
/// 5. Reads of one reader go forward: none sees an older state than the one before it, of whatever family.
pub(crate) trait Engine: fmt::Debug + Send + Sync {
    /// Shows the value under a key, if there is one: it can be a bundle of many entries, of which one is wanted.
    fn get(&self, family: Family, key: &[u8], show: &mut dyn FnMut(&[u8])) -> Result<(), EngineError>;

    /// Shows the last pair of a family at or before a key, if there is one.
    fn at_or_before(
        &self,
        family: Family,
        key: &[u8],
        show: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<(), EngineError>;

    /// The pairs of a family from a key on, as of now.
    fn from(&self, family: Family, key: &[u8]) -> Result<Pairs<'_>, EngineError>;

    /// Writes everything at once, and syncs.
    fn commit(&self, writes: &WriteSet) -> Result<(), EngineError>;

    /// Begins a table: pairs that come in the order of their keys, that no commit has written, and that all follow from
    /// what is committed. They go past the write-ahead log.
    fn table(&self, family: Family) -> Result<Box<dyn Table + '_>, EngineError>;

    /// Removes the tables whose keys all lie from `first` to `last`.
    fn remove_tables(&self, family: Family, first: &[u8], last: &[u8]) -> Result<(), EngineError>;

    /// Writes what is in memory to tables, and merges the tables of a family.
    fn compact(&self, family: Family) -> Result<(), EngineError>;

    /// What the engine estimates about a family.
    fn estimate(&self, family: Family) -> Result<Estimate, EngineError>;
}

/// Pairs that are written in their order, and that are in the store all at once or not at all.
pub(crate) trait Table {
    /// Adds the next pair.
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), EngineError>;

    /// Adds no more: when this returns `Ok`, the table is on disk whole, and no read sees it.
    fn close(&mut self) -> Result<(), EngineError>;

    /// Takes the closed table into the store: when this returns `Ok`, it is part of it, and every later read sees it.
    fn take_in(self: Box<Self>) -> Result<(), EngineError>;
}

/// What an engine estimates about a family; 0 where it does not know.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Estimate {
    pub(crate) keys: u64,
    pub(crate) table_bytes: u64,
    pub(crate) memory_bytes: u64,
}

/// The engine refused: an I/O error, or a checksum that does not match.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the store failed to {doing}: {why}")]
pub(crate) struct EngineError {
    /// What was being done.
    pub(crate) doing: &'static str,
    /// The engine's words.
    pub(crate) why: Arc<str>,
}

/// Puts and deletes that are written together, in one buffer: a commit has thousands, most of some tens of bytes.
#[derive(Debug, Default)]
pub(crate) struct WriteSet {
    writes: Vec<Place>,
    bytes: Vec<u8>,
}

/// Where one write's key and value are in the buffer.
#[derive(Clone, Copy, Debug)]
struct Place {
    family: Family,
    key: usize,
    value: Option<usize>,
}

/// One write: a put, or a delete if it has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Write<'a> {
    pub(crate) family: Family,
    pub(crate) key: &'a [u8],
    pub(crate) value: Option<&'a [u8]>,
}

impl WriteSet {
    pub(crate) fn put(&mut self, family: Family, key: &[u8], value: &[u8]) {
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
        self.writes.push(Place { family, key: key.len(), value: Some(value.len()) });
    }

    pub(crate) fn delete(&mut self, family: Family, key: &[u8]) {
        self.bytes.extend_from_slice(key);
        self.writes.push(Place { family, key: key.len(), value: None });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// The writes in their order. Of two to one key the later counts.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Write<'_>> {
        let mut rest = self.bytes.as_slice();
        self.writes.iter().map(move |place| {
            let mut take = |len: usize| {
                let (taken, left) = rest.split_at_checked(len).unwrap_or((rest, &[]));
                rest = left;
                taken
            };
            let key = take(place.key);
            Write { family: place.family, key, value: place.value.map(take) }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_come_back_in_their_order() {
        let mut set = WriteSet::default();
        assert!(set.is_empty());
        set.put(Family::Meta, b"key", b"value");
        set.delete(Family::Rows, b"gone");
        set.put(Family::Keys, b"", b"");
        let writes: Vec<_> = set.iter().collect();
        assert_eq!(
            writes,
            [
                Write { family: Family::Meta, key: b"key", value: Some(b"value") },
                Write { family: Family::Rows, key: b"gone", value: None },
                Write { family: Family::Keys, key: b"", value: Some(b"") },
            ]
        );
    }
}
