//! The bounded pool between callers and the sequencer.
//!
//! In scope: waiting work, its bounds, waking the sequencer, closing. Out of scope: what the work means.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use crate::{
    append::{AppendError, Appended, Prepared, Row},
    head::WitnessedHead,
};

/// Most entries in one commit. A batch this size syncs in a few milliseconds; a larger one only adds latency.
const MAX_BATCH_ENTRIES: usize = 4096;
/// A batch of fewer entries says that there is no load.
const MIN_TO_GATHER: usize = 16;
/// How long the sequencer waits at most for a batch like the last: about what one commit takes.
const GATHER: Duration = Duration::from_millis(1);
/// Most bytes in one commit; one append of the largest size always fits.
const MAX_BATCH_BYTES: usize = crate::append::MAX_APPEND_BYTES;

/// One piece of work, and where its answer goes.
#[derive(Debug)]
pub(crate) enum Job {
    Append { prepared: Prepared, since: Instant, answer: oneshot::Sender<Result<Appended, AppendError>> },
    Rows { rows: Vec<Row>, bytes: usize, answer: oneshot::Sender<Result<(), AppendError>> },
    Witnessed { head: Box<WitnessedHead>, answer: oneshot::Sender<Result<(), AppendError>> },
}

impl Job {
    pub(crate) fn refuse(self, error: AppendError) {
        // A caller who stopped waiting needs no answer, here and below.
        match self {
            Self::Append { answer, .. } => drop(answer.send(Err(error))),
            Self::Rows { answer, .. } | Self::Witnessed { answer, .. } => drop(answer.send(Err(error))),
        }
    }

    fn entries(&self) -> usize {
        match self {
            Self::Append { prepared, .. } => prepared.append.entries.len(),
            Self::Rows { .. } | Self::Witnessed { .. } => 1,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Append { prepared, .. } => prepared.bytes,
            Self::Rows { bytes, .. } => *bytes,
            Self::Witnessed { head, .. } => head.cosigned_note.len(),
        }
    }
}

/// Work that waits for the sequencer.
#[derive(Debug)]
pub(crate) struct Pool {
    state: Mutex<State>,
    work: Condvar,
    max_entries: usize,
    max_bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    jobs: VecDeque<Job>,
    entries: usize,
    bytes: usize,
    /// How many entries the sequencer waits for; fewer do not wake it.
    wanted: usize,
    closed: Option<AppendError>,
}

impl Pool {
    pub(crate) fn new(max_entries: usize, max_bytes: usize) -> Self {
        Self { state: Mutex::default(), work: Condvar::new(), max_entries, max_bytes }
    }

    /// Adds work, or says why not. One job always fits an empty pool, whatever the bounds, so that a bound
    /// below the largest append cannot make that append impossible.
    pub(crate) fn push(&self, job: Job) -> Result<(), AppendError> {
        let mut state = self.lock();
        if let Some(error) = &state.closed {
            return Err(error.clone());
        }
        let (entries, bytes) = (state.entries + job.entries(), state.bytes + job.bytes());
        // A witnessed head is one note, and its publisher waits for it: refused, it would be the callers who wait.
        let bounded = !state.jobs.is_empty() && !matches!(job, Job::Witnessed { .. });
        if bounded && (entries > self.max_entries || bytes > self.max_bytes) {
            return Err(AppendError::Full { entries: state.entries, bytes: state.bytes });
        }
        (state.entries, state.bytes) = (entries, bytes);
        state.jobs.push_back(job);
        let enough = state.entries >= state.wanted;
        drop(state);
        if enough {
            self.work.notify_one();
        }
        Ok(())
    }

    /// Under load, waits a moment for a batch like the last one. A commit costs two signatures and a sync however small it
    /// is: many clients whose answers came together come back together, and taking only the first of them would make
    /// the others wait for a whole commit. A client on its own never waits here.
    pub(crate) fn gather(&self, last: usize) {
        if last < MIN_TO_GATHER {
            return;
        }
        let mut state = self.lock();
        state.wanted = last.min(self.max_entries);
        let waited = self.work.wait_timeout_while(state, GATHER, |state| {
            state.entries < state.wanted && state.closed.is_none()
        });
        waited.unwrap_or_else(PoisonError::into_inner).0.wanted = 0;
    }

    /// Waits for work and takes up to one batch of it; `None` when the pool is closed and empty.
    pub(crate) fn drain(&self) -> Option<Vec<Job>> {
        let state = self.lock();
        let mut state = self
            .work
            .wait_while(state, |state| state.jobs.is_empty() && state.closed.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        let (mut batch, mut entries, mut bytes) = (Vec::new(), 0, 0);
        while let Some(job) = state.jobs.pop_front() {
            entries += job.entries();
            bytes += job.bytes();
            if !batch.is_empty() && (entries > MAX_BATCH_ENTRIES || bytes > MAX_BATCH_BYTES) {
                state.jobs.push_front(job);
                break;
            }
            state.entries -= job.entries();
            state.bytes -= job.bytes();
            batch.push(job);
        }
        if batch.is_empty() { None } else { Some(batch) }
    }

    /// Refuses new work with this error from now on; what waits is still drained. The first reason stays.
    pub(crate) fn close(&self, error: AppendError) {
        self.lock().closed.get_or_insert(error);
        self.work.notify_all();
    }

    /// Whether new work is refused for good.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed.is_some()
    }

    /// With which error new work is refused for good.
    pub(crate) fn why_closed(&self) -> Option<AppendError> {
        self.lock().closed.clone()
    }

    /// Closes the pool and takes everything that waits.
    pub(crate) fn abandon(&self, error: AppendError) -> Vec<Job> {
        self.close(error);
        let mut state = self.lock();
        (state.entries, state.bytes) = (0, 0);
        state.jobs.drain(..).collect()
    }

    /// Entries and bytes that wait.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        let state = self.lock();
        (state.entries, state.bytes)
    }

    /// No caller code runs under the lock, so a poisoned lock still guards a whole state.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::append::{Append, NewEntry};

    fn job(entries: usize, len: usize) -> Job {
        let append = Append::of(vec![NewEntry::plain(vec![7; len]); entries]);
        let (answer, _) = oneshot::channel();
        Job::Append { prepared: Prepared::new(append).unwrap(), since: Instant::now(), answer }
    }

    #[test]
    fn both_bounds_hold_and_are_given_back() {
        let pool = Pool::new(4, 100);
        pool.push(job(3, 10)).unwrap();
        assert_eq!(pool.push(job(2, 10)), Err(AppendError::Full { entries: 3, bytes: 30 }));
        assert_eq!(pool.push(job(1, 71)), Err(AppendError::Full { entries: 3, bytes: 30 }));
        pool.push(job(1, 70)).unwrap();
        assert_eq!(pool.drain().unwrap().len(), 2);
        assert_eq!(pool.waiting(), (0, 0));
        pool.push(job(200, 10)).expect("one job fits an empty pool");
    }

    /// Refused, the head would have to be cosigned again, and whoever waits for it would wait longer the fuller the
    /// pool is.
    #[test]
    fn a_witnessed_head_fits_a_full_pool() {
        let (note, receipt, root) = (vec![1; 200], Vec::new(), treering_tlog::hash::EMPTY_ROOT);
        let head = std::sync::Arc::new(crate::head::Head { size: 2, root, sealed_at: 0, note, receipt });
        let head = WitnessedHead { head, cosigned_note: vec![1; 200], cosignatures: Vec::new() };
        let (answer, _) = oneshot::channel();
        let pool = Pool::new(4, 100);
        pool.push(job(4, 20)).unwrap();
        pool.push(Job::Witnessed { head: Box::new(head), answer }).unwrap();
        assert!(matches!(pool.push(job(1, 1)), Err(AppendError::Full { .. })));
        assert_eq!(pool.drain().unwrap().len(), 2);
        assert_eq!(pool.waiting(), (0, 0));
    }

    #[test]
    fn a_closed_pool_gives_what_it_has_and_takes_nothing() {
        let pool = Pool::new(10, 100);
        pool.push(job(1, 1)).unwrap();
        pool.close(AppendError::Stopped);
        pool.close(AppendError::Held);
        assert_eq!(pool.push(job(1, 1)), Err(AppendError::Stopped));
        assert!(pool.drain().is_some());
        assert!(pool.drain().is_none());
    }

    #[test]
    fn gathering_ends_with_enough_with_time_and_with_the_pool() {
        let pool = Pool::new(1000, 1 << 20);
        pool.push(job(1, 1)).unwrap();
        pool.gather(MIN_TO_GATHER - 1);
        pool.gather(1000);
        assert_eq!(pool.waiting(), (1, 1), "time is over, and nothing is taken");
        std::thread::scope(|scope| {
            scope.spawn(|| pool.gather(20));
            scope.spawn(|| (0..40).for_each(|_| pool.push(job(1, 1)).unwrap()));
        });
        assert_eq!(pool.drain().unwrap().len(), 41);
        pool.close(AppendError::Stopped);
        pool.gather(1000);
        assert!(pool.drain().is_none());
    }

    #[test]
    fn a_batch_is_bounded() {
        let pool = Pool::new(usize::MAX, usize::MAX);
        for _ in 0..20 {
            pool.push(job(256, 1)).unwrap();
        }
        assert_eq!(pool.drain().unwrap().len(), 16);
        assert_eq!(pool.drain().unwrap().len(), 4);
    }
}
