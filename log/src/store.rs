//! The store in the log's words: reads, and one batch that is committed at once.
//!
//! In scope: what is written together, and what a failed write means. Out of scope: bytes ([`schema`](crate::schema)),
//! the engine below ([`engine`]), and when to write (the sequencer).
//!
//! A failed write *poisons* the store: after a failed sync nobody knows what the disk holds, so every later
//! write is refused and the process has to open the store again, which replays and flushes the write-ahead
//! log. Reads go on: an engine shows a batch to readers only after its sync has succeeded.

pub(crate) mod engine;
mod rocks;

use std::{
    path::Path,
    sync::{Arc, OnceLock},
    time::Instant,
};

pub(crate) use engine::Pair;
use engine::{Engine, EngineError, Estimate, Table, WriteSet};
use rocks::Rocks;
use treering_tlog::tile::TileId;

use crate::{
    append::{RegisterName, Row},
    head::{Head, WitnessedHead},
    index::run::INDEX,
    schema::{self, EdgeOf, Family, FormatError, meta},
};

/// The store of one log.
#[derive(Debug)]
pub(crate) struct Store {
    engine: Box<dyn Engine>,
    poisoned: OnceLock<Arc<str>>,
    #[cfg(test)]
    fail_next_write: std::sync::atomic::AtomicBool,
}

/// Why the store could not be read, written or opened.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The engine refused: an I/O error, or a checksum that does not match.
    #[error("the store failed to {doing}: {why}")]
    Engine {
        /// What was being done.
        doing: &'static str,
        /// The engine's words.
        why: Arc<str>,
    },
    /// A value that this version did not write.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// Stored parts that do not fit together.
    #[error("{what} at {at}: {why}")]
    Inconsistent {
        /// Which part.
        what: &'static str,
        /// Where: an entry index or the index of a hash.
        at: u64,
        /// What is wrong.
        why: &'static str,
    },
    /// The index of leaf hashes cannot be read. It follows from the tree: nothing is lost with it.
    #[error("{INDEX} could not be read ({0}): stop the service and run `treering log reindex`")]
    Index(Box<Self>),
    /// A write failed before.
    #[error("a write failed before ({0}): open the log again")]
    Poisoned(Arc<str>),
}

impl StoreError {
    /// What went wrong while the index of leaf hashes was read.
    pub(crate) fn of_index(self) -> Self {
        Self::Index(Box::new(self))
    }
}

impl From<EngineError> for StoreError {
    fn from(EngineError { doing, why }: EngineError) -> Self {
        Self::Engine { doing, why }
    }
}

impl Store {
    /// Opens for reading and writing, making the store if `create` says so.
    pub(crate) fn open(path: &Path, create: bool) -> Result<Self, StoreError> {
        Ok(Self::on(Box::new(Rocks::open(path, create)?)))
    }

    /// Opens for reading; nothing on disk is changed.
    pub(crate) fn open_read_only(path: &Path) -> Result<Self, StoreError> {
        Ok(Self::on(Box::new(Rocks::open_read_only(path)?)))
    }

    /// The names of the families on disk; `None` if there is no store.
    pub(crate) fn families(path: &Path) -> Result<Option<Vec<String>>, StoreError> {
        Ok(Rocks::families(path)?)
    }

    /// A value of `meta` in a store that may have other families than this version; nothing on disk is changed.
    pub(crate) fn meta_alone(path: &Path, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(Rocks::read_alone(path, Family::Meta, key)?)
    }

    /// The store on an engine.
    pub(crate) fn on(engine: Box<dyn Engine>) -> Self {
        Self {
            engine,
            poisoned: OnceLock::new(),
            #[cfg(test)]
            fail_next_write: std::sync::atomic::AtomicBool::new(false),
        }
    }

    /// The value under a key.
    pub(crate) fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.get_with(family, key, <[u8]>::to_vec)
    }

    /// What `show` makes of the value under a key; `None` if there is no such value.
    pub(crate) fn get_with<T>(
        &self,
        family: Family,
        key: &[u8],
        show: impl Fn(&[u8]) -> T,
    ) -> Result<Option<T>, StoreError> {
        let mut shown = None;
        self.engine.get(family, key, &mut |value| shown = Some(show(value)))?;
        Ok(shown)
    }

    /// What `show` makes of the last pair of a family at or before a key; `None` if there is no such pair.
    pub(crate) fn at_or_before<T>(
        &self,
        family: Family,
        key: &[u8],
        show: impl Fn(&[u8], &[u8]) -> T,
    ) -> Result<Option<T>, StoreError> {
        let mut shown = None;
        self.engine.at_or_before(family, key, &mut |key, value| shown = Some(show(key, value)))?;
        Ok(shown)
    }

    /// The pairs of a family from a key on, in order, as of now: one iterator is one snapshot.
    pub(crate) fn from<'a>(
        &'a self,
        family: Family,
        key: &[u8],
    ) -> Result<impl Iterator<Item = Result<Pair, StoreError>> + use<'a>, StoreError> {
        Ok(self.engine.from(family, key)?.map(|pair| pair.map_err(StoreError::from)))
    }

    /// What the engine estimates about a family.
    pub(crate) fn estimate(&self, family: Family) -> Result<Estimate, StoreError> {
        Ok(self.engine.estimate(family)?)
    }

    /// Writes what is in memory to tables, and merges all tables of a family.
    pub(crate) fn compact(&self, family: Family) -> Result<(), StoreError> {
        Ok(self.engine.compact(family)?)
    }

    /// An empty batch.
    pub(crate) fn batch(&self) -> Batch<'_> {
        Batch { store: self, writes: WriteSet::default() }
    }

    /// Begins a table of the index of hashes.
    pub(crate) fn table(&self) -> Result<NewTable<'_>, StoreError> {
        self.check_writable()?;
        let table = self.engine.table(Family::HashIndex).map_err(|error| self.failed(error.into()))?;
        Ok(NewTable { store: self, table })
    }

    /// Removes the tables of the index of hashes whose keys all lie from `first` to `last`.
    pub(crate) fn remove_tables(&self, first: &[u8], last: &[u8]) -> Result<(), StoreError> {
        self.check_writable()?;
        let removed = self.engine.remove_tables(Family::HashIndex, first, last);
        removed.map_err(|error| self.failed(error.into()))
    }

    /// Removes the index of hashes, whatever is left of it.
    pub(crate) fn clear_index(&self) -> Result<(), StoreError> {
        self.remove_tables(&[], &[u8::MAX; schema::PART_LEN])?;
        let mut left = WriteSet::default();
        for pair in self.from(Family::HashIndex, &[])? {
            left.delete(Family::HashIndex, &pair?.0);
        }
        // Runs are tables of their own, so nothing is left but what somebody else has put there.
        if left.is_empty() {
            return Ok(());
        }
        self.commit(&left)?;
        self.compact(Family::HashIndex)
    }

    /// Refuses every later write: what depends on one that failed cannot go on.
    pub(crate) fn poison(&self, error: &StoreError) {
        self.poisoned.get_or_init(|| error.to_string().into());
    }

    fn failed(&self, error: StoreError) -> StoreError {
        self.poison(&error);
        error
    }

    fn check_writable(&self) -> Result<(), StoreError> {
        self.poisoned.get().map_or(Ok(()), |why| Err(StoreError::Poisoned(Arc::clone(why))))
    }

    /// Writes a batch and syncs: when this returns `Ok`, the batch is durable.
    fn commit(&self, writes: &WriteSet) -> Result<(), StoreError> {
        self.check_writable()?;
        let begin = Instant::now();
        let written = self.write(writes);
        metrics::histogram!("treering_log_sync_seconds").record(begin.elapsed().as_secs_f64());
        written.map_err(|error| self.failed(error))
    }

    fn write(&self, writes: &WriteSet) -> Result<(), StoreError> {
        #[cfg(test)]
        if self.fail_next_write.swap(false, std::sync::atomic::Ordering::SeqCst) {
            return Err(StoreError::Engine { doing: "write", why: "IO error: injected by a test".into() });
        }
        Ok(self.engine.commit(writes)?)
    }

    /// Removes a family with all that is in it, as an older format may lack it.
    #[cfg(test)]
    pub(crate) fn testing_only_remove_family(path: &Path, family: Family) {
        Rocks::testing_only_remove_family(path, family);
    }

    /// Makes the next write fail before it reaches RocksDB.
    #[cfg(test)]
    pub(crate) fn testing_only_fail_next_write(&self) {
        self.fail_next_write.store(true, std::sync::atomic::Ordering::SeqCst);
    }

    /// Puts any bytes anywhere, as a bit flip below the checksums would.
    #[cfg(test)]
    pub(crate) fn testing_only_put(&self, family: Family, key: &[u8], value: &[u8]) {
        let mut writes = WriteSet::default();
        writes.put(family, key, value);
        self.engine.commit(&writes).unwrap();
    }
}

/// A table of the index of hashes that is being written.
pub(crate) struct NewTable<'a> {
    store: &'a Store,
    table: Box<dyn Table + 'a>,
}

impl NewTable<'_> {
    /// Adds the next pair.
    pub(crate) fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.table.put(key, value).map_err(|error| self.store.failed(error.into()))
    }

    /// Has the table on disk, in no store yet.
    pub(crate) fn close(&mut self) -> Result<(), StoreError> {
        self.table.close().map_err(|error| self.store.failed(error.into()))
    }

    /// Takes the closed table into the store, synced.
    pub(crate) fn take_in(self) -> Result<(), StoreError> {
        self.store.check_writable()?;
        self.table.take_in().map_err(|error| self.store.failed(error.into()))
    }
}

/// What one commit writes, in the words of the log.
pub(crate) struct Batch<'a> {
    store: &'a Store,
    writes: WriteSet,
}

impl Batch<'_> {
    /// The two records that make a new store a log.
    pub(crate) fn birth(&mut self, origin: &str) {
        self.writes.put(Family::Meta, meta::FORMAT, &schema::encode_format(schema::FORMAT));
        self.writes.put(Family::Meta, meta::ORIGIN, &schema::encode_bytes(origin.as_bytes()));
    }

    pub(crate) fn head(&mut self, head: &Head) {
        self.writes.put(Family::Meta, meta::HEAD, &schema::encode_head(head));
    }

    pub(crate) fn witnessed(&mut self, witnessed: &WitnessedHead) {
        self.writes.put(Family::Meta, meta::WITNESSED, &schema::encode_witnessed(witnessed));
    }

    /// A full bundle.
    pub(crate) fn bundle(&mut self, index: u64, bytes: &[u8]) {
        self.writes.put(Family::Entries, &schema::bundle_key(index), bytes);
    }

    /// A full tile, with the nodes that are stored behind its hashes.
    pub(crate) fn tile(&mut self, id: TileId, bytes: &[u8]) {
        self.writes.put(Family::Tiles, &schema::tile_key(id), bytes);
    }

    /// A fragment of what is not full, from its hash or entry `first` on.
    pub(crate) fn fragment(&mut self, of: EdgeOf, first: u64, bytes: &[u8]) {
        self.writes.put(Family::Edge, &schema::edge_key(of, first), bytes);
    }

    /// Removes a fragment of what has become full.
    pub(crate) fn remove_fragment(&mut self, of: EdgeOf, first: u64) {
        self.writes.delete(Family::Edge, &schema::edge_key(of, first));
    }

    pub(crate) fn content(&mut self, index: u64, content: &[u8]) {
        self.writes.put(Family::Content, &schema::content_key(index), &schema::encode_bytes(content));
    }

    pub(crate) fn key(&mut self, key: &[u8; 32], index: u64) {
        self.writes.put(Family::Keys, &schema::index_key(key, index), &[]);
    }

    pub(crate) fn once(&mut self, key: &[u8; 32], index: u64) {
        self.writes.put(Family::Once, key, &schema::encode_index(index));
    }

    pub(crate) fn register(&mut self, name: &RegisterName, index: u64) {
        self.writes.put(Family::Registers, schema::register_key(name), &schema::encode_index(index));
    }

    pub(crate) fn row(&mut self, row: &Row) {
        let key = schema::row_key(row.table, &row.key);
        match &row.value {
            Some(value) => self.writes.put(Family::Rows, &key, &schema::encode_bytes(value)),
            None => self.writes.delete(Family::Rows, &key),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// Writes and syncs everything at once.
    pub(crate) fn commit(self) -> Result<(), StoreError> {
        self.store.commit(&self.writes)
    }
}
