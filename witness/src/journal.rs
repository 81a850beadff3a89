//! The journal: one append-only file for the states of all logs, with one write and one sync for all who wait.
//!
//! In scope: opening, committing batches, the mark, compaction, poisoning. Out of scope: when a checkpoint may be
//! cosigned, and the state directory around it (`store`).
//!
//! A committer thread takes all states that wait, writes them as one batch, syncs, writes the mark, and only then tells
//! each who waited. THE COMMIT POINT is that sync. While it lasts the next batch gathers, so one sync serves as many
//! requests as came in the time of the one before, whatever logs they are of.
//!
//! A failed write or sync poisons the journal: what is on disk is not known any more, and every later commit fails until
//! the process starts again and reads the file.
//!
//! No file is mended in place. A start writes what it read to a new file, and so does a compaction: new file, sync,
//! rename, sync of the folder. A compaction is written by a thread of its own while commits go on in the old file; what
//! was committed meanwhile is added at the end, before the rename.

mod committer;
mod disk;
mod record;
mod recover;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::{io, mem};

use thiserror::Error;
use treering_tlog::note::VerifierKey;

use self::committer::Committer;
pub use self::disk::{Disk, RealDisk};
pub use self::record::{FileId, HEAD_LEN, Head, Header, MAX_PAYLOAD_LEN, Mark, push};
pub use self::recover::{Recovered, read};
use crate::state::{State, StateError};

/// Name of the journal in the state directory.
pub const JOURNAL: &str = "journal";

/// Name of the mark in the state directory.
pub const MARK: &str = "mark";

/// Name of a journal that has not taken the place of the old one yet: never read.
pub const UNFINISHED: &str = "journal.tmp";

/// A journal that grew below this is not compacted: 16 MiB are read in well under a second.
pub const COMPACT_AT_LEAST: u64 = 16 * 1024 * 1024;

/// Told when a state is on disk (`Ok`) or cannot be known to be (`Err`), on the committer's thread.
pub type Done = Box<dyn FnOnce(Result<(), NotPersisted>) + Send>;

/// The state may or may not be on disk: nobody may be answered for it.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("a write failed; restart the witness")]
pub struct NotPersisted;

/// A journal with its committer thread, which ends with it.
pub struct Journal {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What callers and the committer share.
struct Shared {
    queue: Mutex<Queue>,
    filled: Condvar,
    broken: AtomicBool,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Waiting>,
    closed: bool,
}

/// A state that waits to be written.
struct Waiting {
    state: Arc<State>,
    done: Done,
}

impl Journal {
    /// Writes `states` to a new file of the next generation, puts it in the place of the old one, and goes on from it.
    pub fn start(
        dir: &Path,
        own: &VerifierKey,
        generation: u64,
        states: Vec<Arc<State>>,
        disk: Arc<dyn Disk>,
        compact_at: u64,
    ) -> Result<Self, JournalError> {
        let io = |source| JournalError::Io { what: "write", path: dir.join(JOURNAL), source };
        let committer = Committer::start(dir, own, generation, states, disk, compact_at).map_err(io)?;
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            filled: Condvar::new(),
            broken: AtomicBool::new(false),
        });
        let theirs = Arc::clone(&shared);
        let run = move || {
            let _alarm = Alarm(&theirs);
            committer.run(&theirs);
        };
        let thread = thread::Builder::new().name("committer".to_owned()).spawn(run).map_err(io)?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Puts a state in the next batch. The caller holds the log's turn until `done` is called: one log has one writer.
    pub fn commit(&self, state: Arc<State>, done: Done) {
        self.shared.push(Waiting { state, done });
    }

    /// Whether every write so far succeeded.
    pub fn is_well(&self) -> bool {
        self.shared.is_well()
    }
}

/// Commits what waits, and ends the thread.
impl Drop for Journal {
    fn drop(&mut self) {
        self.shared.close();
        // A committer that panicked has told nobody anything; there is nothing more to do about it here.
        drop(self.thread.take().map(JoinHandle::join));
    }
}

impl Shared {
    fn push(&self, waiting: Waiting) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.closed || !self.is_well() {
            drop(queue);
            (waiting.done)(Err(NotPersisted));
            return;
        }
        queue.waiting.push(waiting);
        if queue.waiting.len() == 1 {
            self.filled.notify_one();
        }
    }

    /// Everything that waits, in order; `None` when there will be no more.
    fn take(&self) -> Option<Vec<Waiting>> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = |queue: &mut Queue| queue.waiting.is_empty() && !queue.closed;
        let mut queue = self.filled.wait_while(queue, idle).unwrap_or_else(PoisonError::into_inner);
        if queue.waiting.is_empty() { None } else { Some(mem::take(&mut queue.waiting)) }
    }

    fn close(&self) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.filled.notify_one();
    }

    fn is_well(&self) -> bool {
        !self.broken.load(Ordering::SeqCst)
    }

    fn poison(&self) {
        self.broken.store(true, Ordering::SeqCst);
    }
}

/// Whoever waits for a committer that panicked must not wait for ever.
struct Alarm<'a>(&'a Shared);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.poison();
            let waiting = mem::take(&mut self.0.queue.lock().unwrap_or_else(PoisonError::into_inner).waiting);
            for waiting in waiting {
                (waiting.done)(Err(NotPersisted));
            }
        }
    }
}

/// Why a journal cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum JournalError {
    /// Something that was answered for is damaged or gone.
    #[error("journal {} is damaged at byte {offset}: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// What is damaged.
        what: &'static str,
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
    /// The mark is damaged.
    #[error("mark {} is damaged", path.display())]
    Mark {
        /// The file.
        path: PathBuf,
    },
    /// A journal that another had taken the place of.
    #[error("journal {} is of generation {actual}, want {wanted}: an older one was put in its place", path.display())]
    Older {
        /// The file.
        path: PathBuf,
        /// Generation found.
        actual: u64,
        /// Generation known.
        wanted: u64,
    },
    /// A thread that read panicked.
    #[error("reading the journal panicked")]
    Panicked,
    /// A record does not prove itself.
    #[error("journal {} holds a state that is not this witness's: {source}", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: StateError,
    },
}
