//! The handle: opening, appending, waiting, stopping.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tokio::sync::{oneshot, watch};
use treering_tlog::note::VerifierKey;

use crate::{
    append::{Append, AppendError, Appended, Prepared, Row, weigh_rows},
    checkpoint_file::Keeper,
    head::{Head, Sealer, WitnessedHead},
    index::{Index, Indexer, run::RUN_BITS},
    nodes::Memory,
    open::{self, DirLock, OpenError, Opened, shared},
    pool::{Job, Pool},
    probe::{Probe, Probed},
    sequencer::{Published, Sequencer},
    store::Store,
};

/// Gives the time of a head, in unix seconds.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// How to open a log.
#[derive(Clone)]
pub struct Config {
    /// The log's directory: a folder `db`, a file `checkpoint`, a file `lock`.
    pub dir: PathBuf,
    /// Make the log if there is none. Only for the one moment when a log is to be born: with it, a directory
    /// that lost its log gets a new one of the same name.
    pub create: bool,
    /// Most entries that may wait for the sequencer.
    pub pool_entries: usize,
    /// Most bytes that may wait for the sequencer.
    pub pool_bytes: usize,
    /// The time of each head.
    pub clock: Clock,
    /// For tests only: called at each [`Point`](crate::Point) of the commit path.
    #[doc(hidden)]
    pub testing_only_probe: Option<Probe>,
    /// For tests only: the length of the shortest runs of the index, as a power of two and 15 at most, so that a small log
    /// has runs and merges. Stored nowhere: with the usual length such a log is refused.
    #[doc(hidden)]
    pub testing_only_run_bits: u8,
}

impl Config {
    /// A configuration with the usual bounds, for a log that exists.
    pub fn new(dir: impl Into<PathBuf>, clock: Clock) -> Self {
        Self {
            dir: dir.into(),
            create: false,
            pool_entries: 16_384,
            pool_bytes: 64 << 20,
            clock,
            testing_only_probe: None,
            testing_only_run_bits: RUN_BITS,
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("dir", &self.dir)
            .field("create", &self.create)
            .field("pool_entries", &self.pool_entries)
            .field("pool_bytes", &self.pool_bytes)
            .finish_non_exhaustive()
    }
}

/// An open log; clones are the same log. It stops when the last clone is dropped, or by
/// [`shutdown`](Self::shutdown), which does the same without blocking.
#[derive(Clone)]
pub struct Log {
    inner: Arc<Inner>,
}

struct Inner {
    dir: PathBuf,
    origin: String,
    log_key: Option<VerifierKey>,
    pool: Arc<Pool>,
    published: Arc<Published>,
    memory: Arc<Memory>,
    index: Arc<Index>,
    held: AtomicBool,
    thread: Mutex<Option<JoinHandle<()>>>,
    // Dropped in this order: the lock is given up after the database is closed.
    store: Arc<Store>,
    _lock: Option<DirLock>,
}

impl Log {
    /// Opens a log, checks its right edge and its checkpoint file, and starts its sequencer.
    pub fn open(config: Config, sealer: Arc<dyn Sealer>) -> Result<Self, OpenError> {
        Self::start(config, sealer, false)
    }

    /// As [`open`](Self::open), but every append is refused until a
    /// [`Publisher`](crate::publisher::Publisher) has asked the witnesses what they have seen: where witnesses
    /// are configured, this is the way to open, since a restored backup would otherwise fork the log.
    pub fn open_held(config: Config, sealer: Arc<dyn Sealer>) -> Result<Self, OpenError> {
        Self::start(config, sealer, true)
    }

    /// Opens a stopped log for reading, without the checks of [`open`](Self::open): for fsck, statistics and
    /// tracing. Appends are refused.
    pub fn open_read_only(dir: impl Into<PathBuf>) -> Result<Self, OpenError> {
        let dir = dir.into();
        let lock = open::lock_shared(&dir)?;
        let open::OpenedForReading { store, index, origin, head, witnessed } = open::open_read_only(&dir)?;
        let pool = Arc::new(Pool::new(0, 0));
        pool.close(AppendError::Stopped);
        let inner = Inner {
            dir,
            origin,
            log_key: None,
            pool,
            published: Arc::new(Published::new(shared(head), shared(witnessed), true)),
            memory: Arc::new(Memory::new(None)),
            index: Arc::new(index),
            held: AtomicBool::new(false),
            thread: Mutex::new(None),
            store: Arc::new(store),
            _lock: lock,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    fn start(config: Config, sealer: Arc<dyn Sealer>, held: bool) -> Result<Self, OpenError> {
        let (dir, probe) = (config.dir.clone(), Probed(config.testing_only_probe.clone()));
        if config.create {
            open::create_directory(&dir)?;
        } else if !dir.exists() {
            return Err(OpenError::Missing { dir });
        }
        let lock = open::lock(&dir)?;
        let run_bits = config.testing_only_run_bits.min(RUN_BITS);
        let opened = open::open(&dir, config.create, sealer.origin(), &sealer.log_key(), &probe, run_bits)?;
        let keeper = Keeper::spawn(dir.clone(), probe.clone())
            .map_err(OpenError::io("start the checkpoint thread of", &dir))?;
        let (log, mut sequencer) = Self::assemble(config, opened, sealer, (Some(keeper), Some(lock)));
        let indexer = Indexer::spawn(Arc::clone(&log.inner.store), Arc::clone(&log.inner.index), probe);
        sequencer.indexer = Some(indexer.map_err(OpenError::io("start the indexer of", &dir))?);
        log.inner.held.store(held, Ordering::Release);
        let thread = thread::Builder::new().name("log-sequencer".into()).spawn(move || sequencer.run());
        let thread = thread.map_err(OpenError::io("start the sequencer of", &dir))?;
        log.inner.thread.lock().unwrap_or_else(PoisonError::into_inner).replace(thread);
        Ok(log)
    }

    /// A log that was opened, and its sequencer, which does not run yet and tends the index itself.
    pub(crate) fn assemble(
        config: Config,
        opened: Opened,
        sealer: Arc<dyn Sealer>,
        (keeper, lock): (Option<Keeper>, Option<DirLock>),
    ) -> (Self, Sequencer) {
        let Config { dir, pool_entries, pool_bytes, clock, testing_only_probe, .. } = config;
        let Opened { store, index, edge, head, witnessed } = opened;
        let (origin, log_key) = (sealer.origin().to_owned(), sealer.log_key());
        let store = Arc::new(store);
        let pool = Arc::new(Pool::new(pool_entries, pool_bytes));
        let published = Arc::new(Published::new(shared(head), shared(witnessed), false));
        let memory = Arc::new(Memory::new(Some(edge.clone())));
        let index = Arc::new(index);
        let sequencer = Sequencer {
            store: Arc::clone(&store),
            pool: Arc::clone(&pool),
            published: Arc::clone(&published),
            memory: Arc::clone(&memory),
            index: Arc::clone(&index),
            indexer: None,
            sealer,
            log_key: log_key.clone(),
            clock,
            edge,
            keeper,
            probe: Probed(testing_only_probe),
        };
        let inner = Inner {
            dir,
            origin,
            log_key: Some(log_key),
            pool,
            published,
            memory,
            index,
            held: AtomicBool::new(false),
            thread: Mutex::new(None),
            store,
            _lock: lock,
        };
        (Self { inner: Arc::new(inner) }, sequencer)
    }

    /// Appends, and answers when it is durable.
    ///
    /// If the caller stops waiting, the append may still happen.
    pub async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        let since = Instant::now();
        if self.inner.held.load(Ordering::Acquire) {
            return Err(AppendError::Held);
        }
        let prepared = Prepared::new(append)?;
        self.answered(|answer| Job::Append { prepared, since, answer }).await
    }

    /// Writes side-table rows without an entry, and answers when they are durable.
    pub async fn put_rows(&self, rows: Vec<Row>) -> Result<(), AppendError> {
        let bytes = weigh_rows(&rows)?;
        self.answered(|answer| Job::Rows { rows, bytes, answer }).await
    }

    /// Records a head that a quorum has cosigned.
    pub(crate) async fn put_witnessed(&self, head: WitnessedHead) -> Result<(), AppendError> {
        self.answered(|answer| Job::Witnessed { head: Box::new(head), answer }).await
    }

    async fn answered<T>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<T, AppendError>>) -> Job,
    ) -> Result<T, AppendError> {
        let (answer, answered) = oneshot::channel();
        self.inner.pool.push(job(answer)).inspect_err(|_| {
            metrics::counter!("treering_log_refused_total").increment(1);
        })?;
        // The sequencer drops an unanswered sender only when it ends by a panic.
        answered.await.unwrap_or(Err(AppendError::Stopped))
    }

    /// Stops: new appends are refused, waiting ones are committed and answered, and the checkpoint file is
    /// brought up to date. Reads go on until the last clone is dropped.
    pub async fn shutdown(&self) {
        self.inner.pool.close(AppendError::Stopped);
        self.stopped().await;
    }

    /// Whether the log takes appends: not after a shutdown, a failed write, or read-only.
    pub fn is_running(&self) -> bool {
        !*self.inner.published.stopped.borrow() && !self.inner.pool.is_closed()
    }

    /// Why the log takes no more appends, if it stopped by itself.
    pub fn why_stopped(&self) -> Option<String> {
        match self.inner.pool.why_closed() {
            Some(AppendError::Poisoned(why)) => Some(why),
            _ => None,
        }
    }

    /// The log's origin.
    pub fn origin(&self) -> &str {
        &self.inner.origin
    }

    /// The log's directory.
    pub fn dir(&self) -> &Path {
        &self.inner.dir
    }

    /// The key that signs the log's checkpoints; unknown where the log is open for reading only.
    pub fn log_key(&self) -> Option<&VerifierKey> {
        self.inner.log_key.as_ref()
    }

    /// Entries and bytes that wait for the sequencer.
    pub fn waiting(&self) -> (usize, usize) {
        self.inner.pool.waiting()
    }

    /// The newest committed head; `None` while the log is empty.
    pub fn head(&self) -> Option<Arc<Head>> {
        self.inner.published.head.borrow().clone()
    }

    /// Entries in the log.
    pub fn size(&self) -> u64 {
        self.head().map_or(0, |head| head.size())
    }

    /// Shows every new head; a slow reader sees the newest only.
    pub fn watch_head(&self) -> watch::Receiver<Option<Arc<Head>>> {
        self.inner.published.head.subscribe()
    }

    /// The newest head with a quorum of cosignatures.
    pub fn witnessed(&self) -> Option<Arc<WitnessedHead>> {
        self.inner.published.witnessed.borrow().clone()
    }

    /// Waits for a witnessed head of at least this size.
    pub async fn wait_witnessed(
        &self,
        size: u64,
        timeout: Duration,
    ) -> Result<Arc<WitnessedHead>, WaitError> {
        let mut witnessed = self.inner.published.witnessed.subscribe();
        let covers =
            |head: &Option<Arc<WitnessedHead>>| head.as_ref().is_some_and(|head| head.size() >= size);
        let found = match tokio::time::timeout(timeout, witnessed.wait_for(covers)).await {
            Ok(Ok(head)) => head.clone(),
            Ok(Err(_)) | Err(_) => None,
        };
        let latest = || self.witnessed().map_or(0, |head| head.size());
        found.ok_or_else(|| WaitError { wanted: size, witnessed: latest(), waited: timeout })
    }

    pub(crate) fn store(&self) -> &Store {
        &self.inner.store
    }

    pub(crate) fn memory(&self) -> &Memory {
        &self.inner.memory
    }

    pub(crate) fn index(&self) -> &Index {
        &self.inner.index
    }

    /// Waits until no append can succeed any more: after a shutdown, or after a failed write.
    pub async fn stopped(&self) {
        let mut stopped = self.inner.published.stopped.subscribe();
        // The sender lives in `self`, so waiting ends only by the value.
        drop(stopped.wait_for(|stopped| *stopped).await);
    }

    /// Lets appends in, after the witnesses have answered.
    pub(crate) fn release(&self) {
        self.inner.held.store(false, Ordering::Release);
    }

    /// Refuses appends: the log is not the latest that its witnesses know.
    pub(crate) fn hold(&self) {
        self.inner.held.store(true, Ordering::Release);
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log")
            .field("origin", &self.inner.origin)
            .field("size", &self.size())
            .finish_non_exhaustive()
    }
}

/// No quorum cosigned in time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("witnesses have cosigned size {witnessed}, wanted {wanted} within {waited:?}")]
pub struct WaitError {
    wanted: u64,
    witnessed: u64,
    waited: Duration,
}

impl Published {
    fn new(head: Option<Arc<Head>>, witnessed: Option<Arc<WitnessedHead>>, stopped: bool) -> Self {
        Self {
            head: watch::Sender::new(head),
            witnessed: watch::Sender::new(witnessed),
            stopped: watch::Sender::new(stopped),
        }
    }
}

impl Drop for Inner {
    /// Drains the pool and waits for the sequencer, so that a dropped log can be opened again at once.
    fn drop(&mut self) {
        self.pool.close(AppendError::Stopped);
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // A panic in the thread has been reported by the panic hook already.
            drop(thread.join());
        }
    }
}
