//! The embedded engine: the only file that names `rocksdb`. Opening, options, and how RocksDB is asked.
//!
//! Only calls that are the same from `rocksdb` 0.20 to 0.25 are used. RocksDB shows a batch to readers only after its
//! sync has succeeded, which is promise 1 and 2 of [`Engine`].

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB,
    DBCompactionStyle, DBCompressionType, DBRecoveryMode, Direction, IngestExternalFileOptions, IteratorMode,
    LogLevel, Options, SstFileWriter, WriteBatch, WriteOptions,
};

use super::engine::{Engine, EngineError, Estimate, Pairs, Table, WriteSet};
use crate::schema::Family;

/// All memtables together. Recovery replays at most about this much, whatever the log's size.
const MEMTABLE_BYTES: usize = 64 << 20;
/// The write-ahead logs together; beyond it the oldest memtable is flushed.
const WAL_BYTES: u64 = 128 << 20;
/// New tables go to the disk in pieces of this size: written back at once, they would hold up the next commit's sync.
const BYTES_PER_SYNC: u64 = 1 << 20;
/// Blocks of all families together: data, indexes and filters. Appends and proofs of new entries read none; beyond it a
/// lookup reads from the system's page cache.
const BLOCK_CACHE_BYTES: usize = 32 << 20;
/// Blocks of the index of hashes, apart: what merges and wrong answers of filters read is not read again. This is for the
/// indexes of its tables, of which a log of ten million has 2 MiB; its pages are in the system's page cache.
const HASH_INDEX_CACHE_BYTES: usize = 2 << 20;
/// A block of the index of hashes is one of its pages, which is longer than this: what a lookup reads.
const HASH_INDEX_BLOCK_BYTES: usize = 1 << 10;
/// Where new tables are written, beside the database.
const NEW_TABLES: &str = "tables.new";
/// Open table files. Their indexes and filters live in the block cache, so this bounds descriptors, not memory.
const MAX_OPEN_FILES: i32 = 512;
/// One per cent of false positives: a lookup of a new key then reads no table at all, most of the time.
const BLOOM_BITS_PER_KEY: f64 = 10.0;

/// The share of a memtable that is its Bloom filter.
const MEMTABLE_BLOOM_RATIO: f64 = 0.05;

/// A RocksDB database.
#[derive(Debug)]
pub(super) struct Rocks {
    db: DB,
    new_tables: PathBuf,
    /// New tables so far: each has a name of its own.
    count: AtomicU64,
    table_options: TableOptions,
}

/// How new tables of the index of hashes are written.
struct TableOptions(Options);

impl std::fmt::Debug for TableOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TableOptions")
    }
}

fn failed(doing: &'static str) -> impl FnOnce(rocksdb::Error) -> EngineError {
    move |error| EngineError { doing, why: error.into_string().into() }
}

impl Rocks {
    /// Opens for reading and writing, making the database if `create` says so.
    pub(super) fn open(path: &Path, create: bool) -> Result<Self, EngineError> {
        let mut options = database_options();
        options.create_if_missing(create);
        options.create_missing_column_families(create);
        let caches = Caches::new()?;
        let open = || DB::open_cf_descriptors(&options, path, families(&caches)).map_err(failed("open"));
        let db = open().or_else(|error| bring_back(path, error, open))?;
        let rocks = Self::new(db, path, &caches);
        // What a crash left half written.
        match fs::remove_dir_all(&rocks.new_tables) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(on_disk("remove old new tables")(error))
            }
            _ => Ok(rocks),
        }
    }

    fn new(db: DB, path: &Path, caches: &Caches) -> Self {
        let mut options = family_options(Family::HashIndex, caches);
        options.set_bytes_per_sync(BYTES_PER_SYNC);
        let table_options = TableOptions(options);
        Self { db, new_tables: path.with_file_name(NEW_TABLES), count: AtomicU64::new(0), table_options }
    }

    /// Opens for reading; nothing on disk is changed.
    pub(super) fn open_read_only(path: &Path) -> Result<Self, EngineError> {
        let caches = Caches::new()?;
        let db = DB::open_cf_descriptors_read_only(&database_options(), path, families(&caches), false)
            .map_err(failed("open for reading"))?;
        Ok(Self::new(db, path, &caches))
    }

    /// The names of column families on disk; `None` if there is no database.
    pub(super) fn families(path: &Path) -> Result<Option<Vec<String>>, EngineError> {
        // CURRENT names the manifest; RocksDB writes it last when it makes a database.
        if !path.join("CURRENT").exists() {
            return Ok(None);
        }
        let names = DB::list_cf(&Options::default(), path).map_err(failed("list column families"))?;
        Ok(Some(names.into_iter().filter(|name| name != "default").collect()))
    }

    /// A value of a database of which only one family is opened, and that for reading.
    pub(super) fn read_alone(
        path: &Path,
        family: Family,
        key: &[u8],
    ) -> Result<Option<Vec<u8>>, EngineError> {
        let names = ["default", family.name()];
        let db = DB::open_cf_for_read_only(&database_options(), path, names, false);
        let db = db.map_err(failed("open for reading"))?;
        let handle = db.cf_handle(family.name());
        handle.map(|handle| db.get_cf(handle, key)).transpose().map(Option::flatten).map_err(failed("read"))
    }

    #[cfg(test)]
    pub(super) fn testing_only_remove_family(path: &Path, family: Family) {
        let mut db =
            DB::open_cf_descriptors(&database_options(), path, families(&Caches::new().unwrap())).unwrap();
        db.drop_cf(family.name()).unwrap();
    }

    fn handle(&self, family: Family) -> Result<&ColumnFamily, EngineError> {
        let missing = || EngineError { doing: "find a column family", why: family.name().into() };
        self.db.cf_handle(family.name()).ok_or_else(missing)
    }

    fn property(&self, family: Family, name: &str) -> Result<u64, EngineError> {
        let value = self.db.property_int_value_cf(self.handle(family)?, name);
        Ok(value.map_err(failed("read a property"))?.unwrap_or(0))
    }
}

impl Engine for Rocks {
    fn get(&self, family: Family, key: &[u8], show: &mut dyn FnMut(&[u8])) -> Result<(), EngineError> {
        let value = self.db.get_pinned_cf(self.handle(family)?, key).map_err(failed("read"))?;
        if let Some(value) = value {
            show(&value);
        }
        Ok(())
    }

    fn at_or_before(
        &self,
        family: Family,
        key: &[u8],
        show: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<(), EngineError> {
        let mut pairs = self.db.raw_iterator_cf(self.handle(family)?);
        pairs.seek_for_prev(key);
        if let (Some(key), Some(value)) = (pairs.key(), pairs.value()) {
            show(key, value);
        }
        pairs.status().map_err(failed("read"))
    }

    fn from(&self, family: Family, key: &[u8]) -> Result<Pairs<'_>, EngineError> {
        let pairs = self.db.iterator_cf(self.handle(family)?, IteratorMode::From(key, Direction::Forward));
        Ok(Box::new(pairs.map(|pair| pair.map_err(failed("read")))))
    }

    fn commit(&self, writes: &WriteSet) -> Result<(), EngineError> {
        let handles = Family::ALL.map(|family| self.db.cf_handle(family.name()));
        let mut batch = WriteBatch::default();
        for write in writes.iter() {
            let handle = handles.get(write.family as usize).copied().flatten();
            let handle = handle.map_or_else(|| self.handle(write.family), Ok)?;
            match write.value {
                Some(value) => batch.put_cf(handle, write.key, value),
                None => batch.delete_cf(handle, write.key),
            }
        }
        let mut options = WriteOptions::default();
        options.set_sync(true);
        self.db.write_opt(batch, &options).map_err(failed("write"))
    }

    /// A file of its own, which becomes part of the database in one step: where its keys overlap no others, on the lowest
    /// level, so that nothing is merged because of it.
    fn table(&self, family: Family) -> Result<Box<dyn Table + '_>, EngineError> {
        fs::create_dir_all(&self.new_tables).map_err(on_disk("make a folder for new tables"))?;
        let path = self.new_tables.join(self.count.fetch_add(1, Ordering::Relaxed).to_string());
        let writer = SstFileWriter::create(&self.table_options.0);
        writer.open(&path).map_err(failed("begin a table"))?;
        Ok(Box::new(NewTable { rocks: self, family, path, writer, taking: false }))
    }

    fn remove_tables(&self, family: Family, first: &[u8], last: &[u8]) -> Result<(), EngineError> {
        let removed = self.db.delete_file_in_range_cf(self.handle(family)?, first, last);
        removed.map_err(failed("remove tables"))
    }

    fn compact(&self, family: Family) -> Result<(), EngineError> {
        let handle = self.handle(family)?;
        self.db.flush_cf(handle).map_err(failed("flush"))?;
        self.db.compact_range_cf(handle, None::<&[u8]>, None::<&[u8]>);
        Ok(())
    }

    fn estimate(&self, family: Family) -> Result<Estimate, EngineError> {
        Ok(Estimate {
            keys: self.property(family, "rocksdb.estimate-num-keys")?,
            table_bytes: self.property(family, "rocksdb.total-sst-files-size")?,
            memory_bytes: self.property(family, "rocksdb.cur-size-all-mem-tables")?,
        })
    }
}

/// A table that is being written. Dropped before it is to be taken in, its file goes.
struct NewTable<'a> {
    rocks: &'a Rocks,
    family: Family,
    path: PathBuf,
    writer: SstFileWriter<'a>,
    taking: bool,
}

impl Table for NewTable<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), EngineError> {
        self.writer.put(key, value).map_err(failed("write a table"))
    }

    fn close(&mut self) -> Result<(), EngineError> {
        self.writer.finish().map_err(failed("finish a table"))
    }

    fn take_in(mut self: Box<Self>) -> Result<(), EngineError> {
        self.taking = true;
        let mut options = IngestExternalFileOptions::default();
        options.set_move_files(true);
        let handle = self.rocks.handle(self.family)?;
        let taken = self.rocks.db.ingest_external_file_cf_opts(handle, &options, vec![&self.path]);
        taken.map_err(failed("take a table in"))
    }
}

impl Drop for NewTable<'_> {
    fn drop(&mut self) {
        // Taken in, it has another name. If that failed it may be in the manifest all the same: see `bring_back`.
        if !self.taking {
            // What stays, the next opening removes.
            drop(fs::remove_file(&self.path));
        }
    }
}

/// Opens a database whose manifest names a table that is still among the new ones.
///
/// RocksDB takes a table in by a second name for its file, and removes that name again where the manifest cannot be
/// synced. The manifest may have the table all the same, as what a failed sync leaves nobody knows; then no opening
/// would succeed any more. So the file is kept until the next opening, which puts it where it is missed. Another table
/// than the missed one does not pass: the manifest knows its length, and the index what it begins with.
fn bring_back(
    path: &Path,
    error: EngineError,
    open: impl Fn() -> Result<DB, EngineError>,
) -> Result<DB, EngineError> {
    let Some(missed) = missed_table(path, &error.why) else { return Err(error) };
    let Ok(new_tables) = fs::read_dir(path.with_file_name(NEW_TABLES)) else { return Err(error) };
    for table in new_tables.flatten() {
        fs::hard_link(table.path(), &missed).map_err(on_disk("bring a table back"))?;
        fs::File::open(path).and_then(|dir| dir.sync_all()).map_err(on_disk("sync a table's name"))?;
        if let Ok(db) = open() {
            tracing::warn!(table = %missed.display(), "a table that was not taken in is taken in now");
            return Ok(db);
        }
        fs::remove_file(&missed).map_err(on_disk("put a table away again"))?;
    }
    Err(error)
}

/// The table that RocksDB has not found, by its error: `... <database>/000041.ldb: No such file ...`, the older of the
/// two names that a table can have.
fn missed_table(path: &Path, why: &str) -> Option<PathBuf> {
    let (_, after) = why.split_once(path.to_str()?)?;
    let (number, _) = after.strip_prefix('/')?.split_once('.')?;
    let missed = path.join(format!("{number}.sst"));
    (number.bytes().all(|byte| byte.is_ascii_digit()) && !missed.exists()).then_some(missed)
}

fn on_disk(doing: &'static str) -> impl FnOnce(io::Error) -> EngineError {
    move |error| EngineError { doing, why: error.to_string().into() }
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
    options.set_bytes_per_sync(BYTES_PER_SYNC);
    options.set_max_open_files(MAX_OPEN_FILES);
    // Errors come back as values. What RocksDB would write to its text log besides is not worth that a library
    // built with assertions (Debian's is) aborts when it cannot write there: on a full disk, for one.
    options.set_log_level(LogLevel::Fatal);
    options.set_keep_log_file_num(4);
    options
}

/// What of tables is in memory.
struct Caches {
    hash_index: Cache,
    others: Cache,
}

impl Caches {
    fn new() -> Result<Self, EngineError> {
        let cache = |bytes| Cache::new_lru_cache(bytes).map_err(failed("make a cache"));
        Ok(Self { hash_index: cache(HASH_INDEX_CACHE_BYTES)?, others: cache(BLOCK_CACHE_BYTES)? })
    }
}

fn families(caches: &Caches) -> Vec<ColumnFamilyDescriptor> {
    let family =
        |family: &Family| ColumnFamilyDescriptor::new(family.name(), family_options(*family, caches));
    Family::ALL.iter().map(family).collect()
}

/// Whether a family's keys are hashes that the caller chose, scattered all over it: each new table then overlaps all
/// others. Merging them level by level would write every row some thirty times; merging tables of like size writes it
/// some ten times. (The way back from an entry's own hash is kept otherwise: `index`.)
const fn is_scattered(family: Family) -> bool {
    matches!(family, Family::Keys | Family::Once)
}

fn family_options(family: Family, caches: &Caches) -> Options {
    let mut tables = BlockBasedOptions::default();
    if family == Family::HashIndex {
        tables.set_block_cache(&caches.hash_index);
        tables.set_block_size(HASH_INDEX_BLOCK_BYTES);
    } else {
        tables.set_block_cache(&caches.others);
        tables.set_bloom_filter(BLOOM_BITS_PER_KEY, false);
    }
    tables.set_pin_l0_filter_and_index_blocks_in_cache(true);
    // Indexes and filters in pages that the cache can drop: memory does not grow with the log, and a lookup
    // reads one page of a filter, not all of it.
    tables.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
    tables.set_partition_filters(true);
    tables.set_cache_index_and_filter_blocks(true);
    let mut options = Options::default();
    options.set_block_based_table_factory(&tables);
    if is_scattered(family) {
        options.set_compaction_style(DBCompactionStyle::Universal);
        // Almost every lookup of a once key finds nothing, in what is not in tables yet, too.
        options.set_memtable_whole_key_filtering(true);
        options.set_memtable_prefix_bloom_ratio(MEMTABLE_BLOOM_RATIO);
    }
    // Hashes, signatures and ciphertext do not compress; and which codecs the library has depends on its build.
    options.set_compression_type(DBCompressionType::None);
    options
}
