//! The only file that names `rocksdb`: opening, options, reads by key, and one batch in domain words.
//!
//! In scope: what RocksDB is asked. Out of scope: what keys and values mean ([`schema`](crate::schema)), and
//! when to write (the sequencer). Only calls that are the same from `rocksdb` 0.20 to 0.25 are used.
//!
//! A failed write *poisons* the store: after a failed sync nobody knows what the disk holds, so every later
//! write is refused and the process has to open the store again, which replays and flushes the write-ahead
//! log. Reads go on: RocksDB shows a batch to readers only after its sync has succeeded.

use std::{
    path::Path,
    sync::{Arc, OnceLock},
    time::Instant,
};

use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType,
    DBRecoveryMode, Direction, IteratorMode, LogLevel, Options, WriteBatch, WriteOptions,
};

use crate::{
    append::{RegisterName, Row},
    head::{Head, WitnessedHead},
    schema::{self, Family, FormatError, meta},
};

/// All memtables together. Recovery replays at most about this much, whatever the log's size.
const MEMTABLE_BYTES: usize = 64 << 20;
/// The write-ahead logs together; beyond it the oldest memtable is flushed.
const WAL_BYTES: u64 = 128 << 20;
/// Open table files. Their indexes and filters live in the block cache, so this bounds descriptors, not memory.
const MAX_OPEN_FILES: i32 = 512;
/// One per cent of false positives: a lookup of a new leaf then reads no table at all, most of the time.
const BLOOM_BITS_PER_KEY: f64 = 10.0;

/// The store of one log.
#[derive(Debug)]
pub(crate) struct Store {
    db: DB,
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
    /// A write failed before.
    #[error("a write failed before ({0}): open the log again")]
    Poisoned(Arc<str>),
}

impl StoreError {
    fn engine(doing: &'static str) -> impl FnOnce(rocksdb::Error) -> Self {
        move |error| Self::Engine { doing, why: error.into_string().into() }
    }
}

impl Store {
    /// Opens for reading and writing, making the store if `create` says so.
    pub(crate) fn open(path: &Path, create: bool) -> Result<Self, StoreError> {
        let mut options = database_options();
        options.create_if_missing(create);
        options.create_missing_column_families(create);
        let db = DB::open_cf_descriptors(&options, path, families()).map_err(StoreError::engine("open"))?;
        Ok(Self::of(db))
    }

    /// Opens for reading; nothing on disk is changed.
    pub(crate) fn open_read_only(path: &Path) -> Result<Self, StoreError> {
        let db = DB::open_cf_descriptors_read_only(&database_options(), path, families(), false)
            .map_err(StoreError::engine("open for reading"))?;
        Ok(Self::of(db))
    }

    /// The names of column families on disk that this version does not know; `None` if there is no store.
    pub(crate) fn unknown_families(path: &Path) -> Result<Option<Vec<String>>, StoreError> {
        // CURRENT names the manifest; RocksDB writes it last when it makes a store.
        if !path.join("CURRENT").exists() {
            return Ok(None);
        }
        let names =
            DB::list_cf(&Options::default(), path).map_err(StoreError::engine("list column families"))?;
        let known = |name: &str| name == "default" || Family::ALL.iter().any(|family| family.name() == name);
        Ok(Some(names.into_iter().filter(|name| !known(name)).collect()))
    }

    fn of(db: DB) -> Self {
        Self {
            db,
            poisoned: OnceLock::new(),
            #[cfg(test)]
            fail_next_write: std::sync::atomic::AtomicBool::new(false),
        }
    }

    /// The value under a key.
    pub(crate) fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.db.get_cf(self.handle(family)?, key).map_err(StoreError::engine("read"))
    }

    /// The last pair of a family at or before a key.
    pub(crate) fn at_or_before(&self, family: Family, key: &[u8]) -> Result<Option<Pair>, StoreError> {
        self.walk(family, IteratorMode::From(key, Direction::Reverse))?.next().transpose()
    }

    /// The pairs of a family from a key on, in order, as of now: one iterator is one snapshot.
    pub(crate) fn from(
        &self,
        family: Family,
        key: &[u8],
    ) -> Result<impl Iterator<Item = Result<Pair, StoreError>>, StoreError> {
        self.walk(family, IteratorMode::From(key, Direction::Forward))
    }

    fn walk(
        &self,
        family: Family,
        mode: IteratorMode<'_>,
    ) -> Result<impl Iterator<Item = Result<Pair, StoreError>>, StoreError> {
        let pairs = self.db.iterator_cf(self.handle(family)?, mode);
        Ok(pairs.map(|pair| pair.map_err(StoreError::engine("read"))))
    }

    /// A number that RocksDB keeps about a family; 0 if it does not know.
    pub(crate) fn property(&self, family: Family, name: &str) -> Result<u64, StoreError> {
        let value = self.db.property_int_value_cf(self.handle(family)?, name);
        Ok(value.map_err(StoreError::engine("read a property"))?.unwrap_or(0))
    }

    /// An empty batch.
    pub(crate) fn batch(&self) -> Batch<'_> {
        Batch { store: self, writes: WriteBatch::default() }
    }

    /// Writes a batch and syncs the write-ahead log: when this returns `Ok`, the batch is durable.
    fn commit(&self, writes: WriteBatch) -> Result<(), StoreError> {
        if let Some(why) = self.poisoned.get() {
            return Err(StoreError::Poisoned(Arc::clone(why)));
        }
        let mut options = WriteOptions::default();
        options.set_sync(true);
        let begin = Instant::now();
        let written = self.write(writes, &options);
        metrics::histogram!("treering_log_sync_seconds").record(begin.elapsed().as_secs_f64());
        written.inspect_err(|error| {
            self.poisoned.get_or_init(|| error.to_string().into());
        })
    }

    #[cfg(test)]
    fn write(&self, writes: WriteBatch, options: &WriteOptions) -> Result<(), StoreError> {
        if self.fail_next_write.swap(false, std::sync::atomic::Ordering::SeqCst) {
            return Err(StoreError::Engine { doing: "write", why: "IO error: injected by a test".into() });
        }
        self.db.write_opt(writes, options).map_err(StoreError::engine("write"))
    }

    #[cfg(not(test))]
    fn write(&self, writes: WriteBatch, options: &WriteOptions) -> Result<(), StoreError> {
        self.db.write_opt(writes, options).map_err(StoreError::engine("write"))
    }

    fn handle(&self, family: Family) -> Result<&ColumnFamily, StoreError> {
        let missing = || StoreError::Engine { doing: "find a column family", why: family.name().into() };
        self.db.cf_handle(family.name()).ok_or_else(missing)
    }

    /// Makes the next write fail before it reaches RocksDB.
    #[cfg(test)]
    pub(crate) fn testing_only_fail_next_write(&self) {
        self.fail_next_write.store(true, std::sync::atomic::Ordering::SeqCst);
    }

    /// Puts any bytes anywhere, as a bit flip below the checksums would.
    #[cfg(test)]
    pub(crate) fn testing_only_put(&self, family: Family, key: &[u8], value: &[u8]) {
        self.db.put_cf(self.handle(family).unwrap(), key, value).unwrap();
    }
}

/// A key and its value.
pub(crate) type Pair = (Box<[u8]>, Box<[u8]>);

/// What one commit writes, in the words of the log.
pub(crate) struct Batch<'a> {
    store: &'a Store,
    writes: WriteBatch,
}

impl Batch<'_> {
    /// The two records that make a new store a log.
    pub(crate) fn birth(&mut self, origin: &str) -> Result<(), StoreError> {
        self.put(Family::Meta, meta::FORMAT, &schema::encode_format(schema::FORMAT))?;
        self.put(Family::Meta, meta::ORIGIN, &schema::encode_bytes(origin.as_bytes()))
    }

    pub(crate) fn head(&mut self, head: &Head) -> Result<(), StoreError> {
        self.put(Family::Meta, meta::HEAD, &schema::encode_head(head))
    }

    pub(crate) fn witnessed(&mut self, witnessed: &WitnessedHead) -> Result<(), StoreError> {
        self.put(Family::Meta, meta::WITNESSED, &schema::encode_witnessed(witnessed))
    }

    /// A bundle fragment that begins at entry `first`, and the fragments it replaces.
    pub(crate) fn bundle(&mut self, first: u64, bytes: &[u8], replaces: &[u64]) -> Result<(), StoreError> {
        for start in replaces {
            self.delete(Family::Entries, &schema::bundle_key(*start))?;
        }
        self.put(Family::Entries, &schema::bundle_key(first), bytes)
    }

    /// A tile fragment that begins at hash `first` of a level, and the fragments it replaces.
    pub(crate) fn tile(
        &mut self,
        level: u8,
        first: u64,
        bytes: &[u8],
        replaces: &[u64],
    ) -> Result<(), StoreError> {
        for start in replaces {
            self.delete(Family::Tiles, &schema::tile_key(level, *start))?;
        }
        self.put(Family::Tiles, &schema::tile_key(level, first), bytes)
    }

    /// A new entry's way back from its leaf hash and its id.
    pub(crate) fn entry_index(
        &mut self,
        leaf: &[u8; 32],
        id: &[u8; 32],
        index: u64,
    ) -> Result<(), StoreError> {
        self.put(Family::LeafIndex, leaf, &schema::encode_index(index))?;
        self.put(Family::EntryIdIndex, id, &schema::encode_index(index))
    }

    pub(crate) fn content(&mut self, leaf: &[u8; 32], content: &[u8]) -> Result<(), StoreError> {
        self.put(Family::Content, leaf, &schema::encode_bytes(content))
    }

    pub(crate) fn key(&mut self, key: &[u8; 32], index: u64) -> Result<(), StoreError> {
        self.put(Family::Keys, &schema::index_key(key, index), &[])
    }

    pub(crate) fn once(&mut self, key: &[u8; 32], index: u64) -> Result<(), StoreError> {
        self.put(Family::Once, key, &schema::encode_index(index))
    }

    pub(crate) fn register(&mut self, name: &RegisterName, index: u64) -> Result<(), StoreError> {
        self.put(Family::Registers, schema::register_key(name), &schema::encode_index(index))
    }

    pub(crate) fn row(&mut self, row: &Row) -> Result<(), StoreError> {
        let key = schema::row_key(row.table, &row.key);
        match &row.value {
            Some(value) => self.put(Family::Rows, &key, &schema::encode_bytes(value)),
            None => self.delete(Family::Rows, &key),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// Writes and syncs everything at once.
    pub(crate) fn commit(self) -> Result<(), StoreError> {
        self.store.commit(self.writes)
    }

    fn put(&mut self, family: Family, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.writes.put_cf(self.store.handle(family)?, key, value);
        Ok(())
    }

    fn delete(&mut self, family: Family, key: &[u8]) -> Result<(), StoreError> {
        self.writes.delete_cf(self.store.handle(family)?, key);
        Ok(())
    }
}

fn database_options() -> Options {
    let mut options = Options::default();
    // A record cut off at the end of the write-ahead log is a commit that was never acknowledged: dropped. Any
    // other damage is an error. Log files are never recycled (the default), because recycling is what makes a
    // damaged record indistinguishable from an old one.
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    options.set_paranoid_checks(true);
    options.set_db_write_buffer_size(MEMTABLE_BYTES);
    options.set_max_total_wal_size(WAL_BYTES);
    options.set_max_open_files(MAX_OPEN_FILES);
    options.set_log_level(LogLevel::Warn);
    options.set_keep_log_file_num(4);
    options
}

fn families() -> Vec<ColumnFamilyDescriptor> {
    Family::ALL.iter().map(|family| ColumnFamilyDescriptor::new(family.name(), family_options())).collect()
}

fn family_options() -> Options {
    let mut tables = BlockBasedOptions::default();
    tables.set_bloom_filter(BLOOM_BITS_PER_KEY, false);
    // Indexes and filters in pages that the cache can drop: memory does not grow with the log, and a lookup
    // reads one page of a filter, not all of it.
    tables.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
    tables.set_partition_filters(true);
    tables.set_cache_index_and_filter_blocks(true);
    let mut options = Options::default();
    options.set_block_based_table_factory(&tables);
    // Hashes, signatures and ciphertext do not compress; and which codecs the library has depends on its build.
    options.set_compression_type(DBCompressionType::None);
    options
}
