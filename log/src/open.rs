//! Opening: what must hold before the log serves or signs anything.
//!
//! In scope: the checks of a stored log against its own signed head and against the checkpoint file. Out of
//! scope: what witnesses have seen ([`publisher`](crate::publisher)), and everything left of the right edge
//! ([`fsck`](crate::fsck)): opening reads some kilobytes, however large the log is.

mod check;
pub(crate) mod format;

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use treering_tlog::{
    checkpoint::Checkpoint,
    hash::Hash,
    note::{Note, VerifierKey},
};

use crate::{
    checkpoint_file::{self, FileError},
    head::{Head, WitnessedHead},
    index::{Damage, Index, run::RUN_BITS},
    integrate::Edge,
    manifest_file,
    probe::{Point, Probed},
    schema::{self, FORMAT, Family, FormatError, meta},
    store::{Store, StoreError},
};

pub(crate) use check::check;

/// The database's folder in the log's directory.
pub(crate) const DATABASE: &str = "db";
/// The file that says a process has the log open.
const LOCK: &str = "lock";

/// Why a log was not opened. Nothing was changed, and nothing was signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has the log open.
    #[error("{} is in use by another process: a log has one writer, and is read offline only when that is stopped", .dir.display())]
    InUse {
        /// The log's directory.
        dir: PathBuf,
    },
    /// There is no log, and making one was not asked for.
    #[error("there is no log in {}: if one was there, find out where it went; a new log is only made on request", .dir.display())]
    Missing {
        /// The log's directory.
        dir: PathBuf,
    },
    /// A later version wrote the store.
    #[error(
        "the store has {what}, this program knows format {FORMAT} at most: use the program that wrote it"
    )]
    Newer {
        /// What this version does not know.
        what: String,
    },
    /// An earlier version wrote the store.
    #[error(
        "the store has format {format}, this program reads {FORMAT} only: serve it with the program that wrote it, or begin a new log; there is no way from one to the other"
    )]
    Older {
        /// The store's format.
        format: u32,
    },
    /// The store is another log's.
    #[error("the store is of log {actual}, wanted {wanted}")]
    Origin {
        /// The stored origin.
        actual: String,
        /// The sealer's origin.
        wanted: String,
    },
    /// The stored head is not signed by the log's key, or says something else than its note.
    #[error("the stored head of size {size} is not sound: {why}")]
    Head {
        /// The size it claims.
        size: u64,
        /// What is wrong.
        why: String,
    },
    /// The tree on disk is not the tree that was signed.
    #[error(
        "the right edge gives root {actual} at size {size}, the signed head says {wanted}: run fsck, restore, and do not serve this store"
    )]
    Edge {
        /// The size of the signed head.
        size: u64,
        /// The root recomputed from disk.
        actual: Hash,
        /// The signed root.
        wanted: Hash,
    },
    /// The entries at the right edge are not the ones that were hashed.
    #[error("entry {index} does not match its leaf hash: run fsck")]
    Entry {
        /// The first entry that differs.
        index: u64,
    },
    /// The database lost commits that had been published.
    #[error(
        "the database ends at size {database}, but the checkpoint file says that size {file} was published: commits are lost (an old backup, a damaged disk?); signing on would fork the log. Bring back the newer database; never delete the checkpoint file to get past this"
    )]
    Behind {
        /// Entries in the database.
        database: u64,
        /// Entries in the published checkpoint.
        file: u64,
    },
    /// The database has another history than was published.
    #[error(
        "the database has root {actual} at size {size}, but the checkpoint file says that {wanted} was published: this is another history of the log; do not serve it"
    )]
    Contradicts {
        /// The size of the published checkpoint.
        size: u64,
        /// The root in the database.
        actual: Hash,
        /// The published root.
        wanted: Hash,
    },
    /// The database lost the end of its list of files.
    #[error(
        "the database had {kept}, and has {found}: the disk lost what was synced, and opening would drop tables without a word. Bring back the newer database"
    )]
    Manifest {
        /// What was kept beside the database.
        kept: String,
        /// What is there.
        found: String,
    },
    /// The checkpoint file, or the one with the manifest's length, cannot be used.
    #[error("the file {} is not sound: {why}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The operating system refused.
    #[error("failed to {doing} {}: {source}", .path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl OpenError {
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { doing, path, source }
    }
}

impl From<FormatError> for OpenError {
    fn from(error: FormatError) -> Self {
        match error {
            FormatError::Version { .. } => Self::Newer { what: error.to_string() },
            FormatError::Malformed { .. } => Self::Store(error.into()),
        }
    }
}

/// A log that passed every check of [`open`].
pub(crate) struct Opened {
    pub(crate) store: Store,
    pub(crate) index: Index,
    pub(crate) edge: Edge,
    pub(crate) head: Option<Head>,
    pub(crate) witnessed: Option<WitnessedHead>,
}

/// A stopped log, opened for reading.
pub(crate) struct OpenedForReading {
    pub(crate) store: Store,
    pub(crate) index: Index,
    pub(crate) origin: String,
    pub(crate) head: Option<Head>,
    pub(crate) witnessed: Option<WitnessedHead>,
}

/// The lock of a log's directory; a crash gives it up, too.
#[derive(Debug)]
pub(crate) struct DirLock(File);

impl Drop for DirLock {
    /// Unlocks, which closing alone does not do while a child process that is just being started has a copy of
    /// the descriptor: the log could not be opened again until then.
    fn drop(&mut self) {
        drop(self.0.unlock());
    }
}

/// Takes the lock of a log's directory.
pub(crate) fn lock(dir: &Path) -> Result<DirLock, OpenError> {
    let path = dir.join(LOCK);
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(OpenError::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(DirLock(file)),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { dir: dir.to_path_buf() }),
        Err(TryLockError::Error(source)) => Err(OpenError::Io { doing: "lock", path, source }),
    }
}

/// Shares the lock with other readers; `None` where the directory has no lock file (a copy on read-only media).
pub(crate) fn lock_shared(dir: &Path) -> Result<Option<DirLock>, OpenError> {
    let path = dir.join(LOCK);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(OpenError::io("open", &path)(error)),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(Some(DirLock(file))),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { dir: dir.to_path_buf() }),
        Err(TryLockError::Error(source)) => Err(OpenError::Io { doing: "lock", path, source }),
    }
}

/// Opens the store under a lock that the caller holds, and checks it:
///
/// 1. there is a log, or one is to be made and no checkpoint says there was one;
/// 2. no format, column family or value version is newer than this program;
/// 3. the origin is the sealer's;
/// 4. the stored head says what its note says, and the log's key signed the note;
/// 5. the right edge on disk gives the signed root, and the entries there give the edge's leaf hashes;
/// 6. the checkpoint file is signed by the log's key, and its tree is a prefix of ours;
/// 7. the database's list of its files has not become shorter ([`manifest_file`]).
///
/// If the file was behind (a crash between a commit and its replacement), it is brought up to date.
pub(crate) fn open(
    dir: &Path,
    create: bool,
    origin: &str,
    key: &VerifierKey,
    probe: &Probed,
    run_bits: u8,
) -> Result<Opened, OpenError> {
    let published = published(dir, origin, key)?;
    let store = open_store(dir, create, origin, published.as_ref(), probe)?;
    let opened = check(store, origin, key, published.as_ref(), run_bits)?;
    let behind = |head: &&Head| published.as_ref().is_none_or(|file| file.size() < head.size);
    if let Some(head) = opened.head.as_ref().filter(behind) {
        checkpoint_file::replace(dir, &head.note, probe)
            .map_err(OpenError::io("replace the checkpoint file in", dir))?;
    }
    manifest_file::keep(dir, &dir.join(DATABASE))
        .map_err(OpenError::io("keep the manifest's length in", dir))?;
    Ok(opened)
}

/// Refuses a database that lost the end of its list of files, while the files are still there.
pub(crate) fn check_manifest(
    dir: &Path,
    database: &Path,
    published: Option<&Checkpoint>,
) -> Result<(), OpenError> {
    let path = || dir.join(manifest_file::FILE_NAME);
    let went_back = manifest_file::went_back(dir, database).map_err(|error| match error {
        FileError::Io(source) => OpenError::Io { doing: "read", path: path(), source },
        FileError::Unsound(why) => OpenError::File { path: path(), why: why.to_owned() },
    })?;
    let Some((kept, found)) = went_back else { return Ok(()) };
    // An older copy of the whole database says more about itself.
    let head = Store::open_read_only(database).ok().and_then(|store| stored_head(&store).ok().flatten());
    match (head, published) {
        (Some(head), Some(published)) if published.size() > head.size => {
            Err(OpenError::Behind { database: head.size, file: published.size() })
        }
        _ => Err(OpenError::Manifest { kept: kept.to_string(), found: found.to_string() }),
    }
}

/// Opens the store for reading, with as few checks as reading needs: finding what is wrong is fsck's work.
pub(crate) fn open_read_only(dir: &Path) -> Result<OpenedForReading, OpenError> {
    let path = dir.join(DATABASE);
    if !format::look(&path)? {
        return Err(OpenError::Missing { dir: dir.to_path_buf() });
    }
    let store = Store::open_read_only(&path)?;
    format::check(&store)?;
    let origin = stored_origin(&store)?.ok_or_else(|| OpenError::Missing { dir: dir.to_path_buf() })?;
    let (head, witnessed) = (stored_head(&store)?, stored_witnessed(&store)?);
    let index = Index::load(&store, head.as_ref().map_or(0, |head| head.size), Damage::Skip, RUN_BITS)?;
    Ok(OpenedForReading { store, index, origin, head, witnessed })
}

/// Makes the directory and its entry in its parent durable.
pub(crate) fn create_directory(dir: &Path) -> Result<(), OpenError> {
    fs::create_dir_all(dir).map_err(OpenError::io("create", dir))?;
    if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        File::open(parent).and_then(|parent| parent.sync_all()).map_err(OpenError::io("sync", parent))?;
    }
    Ok(())
}

/// The checkpoint in the file, if it is one of this log.
fn published(dir: &Path, origin: &str, key: &VerifierKey) -> Result<Option<Checkpoint>, OpenError> {
    let read = checkpoint_file::read(dir).map_err(OpenError::io("read the checkpoint file in", dir))?;
    let Some(bytes) = read else { return Ok(None) };
    let unsound = |why: String| OpenError::File { path: dir.join(checkpoint_file::FILE_NAME), why };
    let note = Note::parse(&bytes).map_err(|error| unsound(error.to_string()))?;
    let checkpoint = Checkpoint::parse(note.text()).map_err(|error| unsound(error.to_string()))?;
    if checkpoint.origin() != origin {
        return Err(unsound(format!("it is of log {}, wanted {origin}", checkpoint.origin())));
    }
    note.verify(std::slice::from_ref(key)).map_err(|error| unsound(error.to_string()))?;
    Ok(Some(checkpoint))
}

fn open_store(
    dir: &Path,
    create: bool,
    origin: &str,
    published: Option<&Checkpoint>,
    probe: &Probed,
) -> Result<Store, OpenError> {
    let path = dir.join(DATABASE);
    let (mut born, missing) = (false, || OpenError::Missing { dir: dir.to_path_buf() });
    match (format::look(&path)?, published) {
        (false, Some(file)) => return Err(OpenError::Behind { database: 0, file: file.size() }),
        (false, None) if !create => return Err(missing()),
        _ => {}
    }
    check_manifest(dir, &path, published)?;
    let store = Store::open(&path, create)?;
    format::check(&store)?;
    match stored_origin(&store)? {
        Some(actual) if actual == origin => {}
        Some(actual) => return Err(OpenError::Origin { actual, wanted: origin.to_owned() }),
        // A crash while the store was being made left it without its first records.
        None if create && published.is_none() => born = true,
        None => return Err(missing()),
    }
    if born {
        // RocksDB syncs its own folder, and not the one that this is in.
        File::open(dir).and_then(|dir| dir.sync_all()).map_err(OpenError::io("sync", dir))?;
        probe.pass(Point::StoreMade);
        let mut batch = store.batch();
        batch.birth(origin);
        batch.commit()?;
        probe.pass(Point::Born);
    }
    Ok(store)
}

pub(crate) fn stored_origin(store: &Store) -> Result<Option<String>, OpenError> {
    let Some(value) = store.get(Family::Meta, meta::ORIGIN)? else { return Ok(None) };
    let bytes = schema::decode_bytes("the stored origin", value)?;
    let not_text = |_| FormatError::Malformed { what: "the stored origin", why: "it is not text" };
    Ok(Some(String::from_utf8(bytes).map_err(not_text)?))
}

pub(crate) fn stored_head(store: &Store) -> Result<Option<Head>, OpenError> {
    Ok(store.get(Family::Meta, meta::HEAD)?.as_deref().map(schema::decode_head).transpose()?)
}

fn stored_witnessed(store: &Store) -> Result<Option<WitnessedHead>, OpenError> {
    Ok(store.get(Family::Meta, meta::WITNESSED)?.as_deref().map(schema::decode_witnessed).transpose()?)
}

/// Keeps the published values of an opened log.
pub(crate) fn shared<T>(value: Option<T>) -> Option<Arc<T>> {
    value.map(Arc::new)
}
