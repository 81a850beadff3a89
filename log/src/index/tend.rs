//! Tending the index: full blocks become runs, runs in a row become longer ones, and what they replaced goes.
//!
//! A run is one table: it is there whole or not at all, and what it replaces goes after it. So a crash leaves nothing
//! that has to be repaired; what was under way is done again.

use std::{
    io,
    sync::{
        Arc, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{
    Index, Young,
    run::{self, Lead, RunId, Writer},
};
use crate::{
    probe::{Point, Probed},
    store::{Store, StoreError},
};

/// Blocks that may wait to become runs, some 2.5 MiB each in memory; then appends wait.
const MOST_WAITING: usize = 8;

/// The log is being closed: what is under way is left, and done again later.
struct Stopped;

impl Index {
    /// Does all that is due: blocks first, however long a merge takes.
    pub(crate) fn tend(&self, store: &Store, probe: &Probed, stop: &AtomicBool) -> Result<(), StoreError> {
        let _tending = self.tending.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            self.remove_replaced(store, probe)?;
            self.write_blocks(store, probe)?;
            let Some(run) = self.due() else {
                if self.waiting() == 0 {
                    return Ok(());
                }
                continue;
            };
            match self.merge(store, run, probe, stop) {
                Ok(Ok(())) => {}
                Ok(Err(Stopped)) => return Ok(()),
                Err(error @ StoreError::Index(_)) => self.merge_no_more(&error),
                Err(error) => return Err(error),
            }
        }
    }

    /// What was to be merged is damaged. Lookups read what they need of it, and say so where they cannot; to stop the log
    /// for it would stop it after each start.
    fn merge_no_more(&self, error: &StoreError) {
        tracing::error!(%error, "runs of the index are not merged any more: the log goes on, and becomes slower");
        metrics::counter!("treering_log_index_errors_total").increment(1);
        self.unmergeable.store(true, Ordering::Relaxed);
    }

    /// Those that wait now: where appends fill others as fast as a slow disk takes these, merging would never begin.
    fn write_blocks(&self, store: &Store, probe: &Probed) -> Result<(), StoreError> {
        let waiting = self.state().full.clone();
        waiting.iter().try_for_each(|young| self.write_block(store, young, probe))
    }

    fn write_block(&self, store: &Store, young: &Young, probe: &Probed) -> Result<(), StoreError> {
        let id = young.block;
        let mut writer = Writer::new(store, id)?;
        writer.pages(0..id.pages(), &young.leads())?;
        let run = Arc::new(writer.finish(probe)?);
        let mut state = self.state_mut();
        state.full.retain(|full| full.block != id);
        state.runs.push(run);
        Ok(())
    }

    /// A run whose parts are all there: of the shortest ones first.
    fn due(&self) -> Option<RunId> {
        if self.unmergeable.load(Ordering::Relaxed) {
            return None;
        }
        let state = self.state();
        let ids: Vec<RunId> = state.runs.iter().map(|run| run.id).collect();
        let parents = ids.iter().rev().filter_map(|id| id.parent());
        parents.into_iter().find(|parent| parent.children().all(|child| ids.contains(&child)))
    }

    /// Makes one run of eight. A page of each of them holds the hashes of the same pages of the new one, so that memory
    /// holds these and the new filter.
    fn merge(
        &self,
        store: &Store,
        id: RunId,
        probe: &Probed,
        stop: &AtomicBool,
    ) -> Result<Result<(), Stopped>, StoreError> {
        let mut writer = Writer::new(store, id)?;
        if let Err(stopped) = self.merge_pages(store, &mut writer, id, probe, stop)? {
            return Ok(Err(stopped));
        }
        let run = Arc::new(writer.finish(probe)?);
        // Readers hold the state while they read a run: after this nobody reads the old ones.
        let mut state = self.state_mut();
        let (old, mut runs): (Vec<_>, Vec<_>) =
            state.runs.drain(..).partition(|run| run.id.parent() == Some(id));
        runs.push(run);
        runs.sort_unstable_by_key(|run| run.id.first());
        state.runs = runs;
        state.replaced.extend(old.iter().map(|run| run.id));
        Ok(Ok(()))
    }

    fn merge_pages(
        &self,
        store: &Store,
        writer: &mut Writer<'_>,
        id: RunId,
        probe: &Probed,
        stop: &AtomicBool,
    ) -> Result<Result<(), Stopped>, StoreError> {
        let old: Result<Vec<_>, _> = id.children().map(|run| run::pages(store, run)).collect();
        let mut old = old.map_err(StoreError::of_index)?;
        let old_pages = id.children().next().map_or(1, RunId::pages);
        let wider = id.pages() / old_pages;
        let mut leads: Vec<Lead> = Vec::new();
        for page in 0..old_pages {
            if stop.load(Ordering::Relaxed) {
                return Ok(Err(Stopped));
            }
            leads.clear();
            for page in old.iter_mut().filter_map(Iterator::next) {
                leads.extend(page.map_err(StoreError::of_index)?);
            }
            // Not the unstable sort: this one sees that there are eight sorted parts.
            leads.sort();
            writer.pages(wider * page..wider * (page + 1), &leads)?;
            // A merge of millions takes seconds, and blocks fill meanwhile.
            self.write_blocks(store, probe)?;
        }
        Ok(Ok(()))
    }

    fn remove_replaced(&self, store: &Store, probe: &Probed) -> Result<(), StoreError> {
        loop {
            let Some(id) = self.state().replaced.last().copied() else { return Ok(()) };
            let [first, last] = id.keys();
            store.remove_tables(&first, &last)?;
            self.state_mut().replaced.retain(|replaced| *replaced != id);
            probe.pass(Point::RunRemoved);
        }
    }
}

/// The thread that tends the index of one log. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Indexer {
    index: Arc<Index>,
    wake: Option<SyncSender<()>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Indexer {
    pub(crate) fn spawn(store: Arc<Store>, index: Arc<Index>, probe: Probed) -> io::Result<Self> {
        let (wake, woken) = sync_channel(1);
        let stop = Arc::new(AtomicBool::new(false));
        let (its_index, its_stop) = (Arc::clone(&index), Arc::clone(&stop));
        let thread = thread::Builder::new()
            .name("log-indexer".into())
            .spawn(move || run(&store, &its_index, &probe, &woken, &its_stop))?;
        let indexer = Self { index, wake: Some(wake), stop, thread: Some(thread) };
        // What a crash left to be done.
        indexer.wake();
        Ok(indexer)
    }

    fn wake(&self) {
        // If a signal is there already, it will find this work, too.
        if let Some(wake) = &self.wake {
            let _there_already = wake.try_send(());
        }
    }

    /// There are blocks to be written. Waits while there are too many; if the thread has ended by an error, the store
    /// takes no more writes anyway.
    pub(crate) fn feed(&self) {
        self.wake();
        let ended = || self.thread.as_ref().is_none_or(JoinHandle::is_finished);
        while self.index.waiting() > MOST_WAITING && !ended() {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Indexer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            // A panic has been reported by the panic hook already.
            drop(thread.join());
        }
    }
}

fn run(store: &Store, index: &Index, probe: &Probed, woken: &Receiver<()>, stop: &AtomicBool) {
    while woken.recv().is_ok() && !stop.load(Ordering::Relaxed) {
        if let Err(error) = index.tend(store, probe, stop) {
            tracing::error!(%error, "the index of hashes could not be written: the log stops");
            store.poison(&error);
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use treering_tlog::hash::{Hash, leaf_hash};

    use super::*;
    use crate::index::{
        load::Damage,
        run::{Filter, RUN_BITS},
    };

    /// Somebody takes 2^64 trials to make two entries whose hashes begin alike: both are found.
    #[test]
    fn hashes_that_begin_alike_hide_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("db"), true).unwrap();
        let index = Index::load(&store, 0, Damage::Refuse, RUN_BITS).unwrap();
        let hash = |i: u64| {
            let mut hash = [7; 32];
            hash[31] = i.try_into().unwrap();
            Hash::from_bytes(hash)
        };
        let hashes: Vec<_> = (0..9).map(|i| (i, hash(i))).collect();
        assert!(index.add(hashes.iter().map(|(i, leaf)| (*i, leaf))));
        for tended in [false, true] {
            if tended {
                index.tend(&store, &Probed::default(), &AtomicBool::new(false)).unwrap();
            }
            assert_eq!(index.state().runs.len(), usize::from(tended));
            for i in 0..9 {
                let found = index.find(&store, &[hash(9), hash(i)], |hash, found| {
                    Ok(u64::from(hash.as_bytes()[31]) == found)
                });
                let found: Vec<_> = found.into_iter().map(Result::unwrap).collect();
                assert_eq!(found, [None, Some(i)]);
            }
        }
    }

    /// What a filter lets through costs a read.
    #[test]
    fn a_filter_knows_its_own_and_few_others() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("db"), true).unwrap();
        let hash = |i: u64| run::short(&leaf_hash(&i.to_be_bytes()));
        for (level, most_wrong) in [(1, 30), (4, 80)] {
            let id = RunId { shortest: RUN_BITS, level, number: 2 };
            let mut leads: Vec<Lead> =
                (id.first()..id.end()).map(|index| Lead { hash: hash(index), index }).collect();
            leads.sort_unstable();
            let mut writer = Writer::new(&store, id).unwrap();
            writer.pages(0..id.pages(), &leads).unwrap();
            let run = writer.finish(&Probed::default()).unwrap();
            assert_eq!(Filter::read(&store, id).unwrap(), run.filter);
            for Lead { hash, index } in &leads {
                assert!(run.filter.may_have(*hash));
                assert_eq!(run::find(&store, id, *hash).unwrap(), [*index]);
            }
            let others = (1 << 20..(1 << 20) + 8000).filter(|i| run.filter.may_have(hash(*i))).count();
            assert!(others < most_wrong, "{others} in eight thousand, level {level}");
        }
    }
}
