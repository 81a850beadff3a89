//! Tending the index: full blocks become runs, runs in a row become longer ones, and what they replaced goes.
//!
//! Parts of a run are written before its head, and removed before its head is: a run whose head is there is complete,
//! or it is replaced by a longer one. So a crash leaves nothing that has to be repaired; what was under way is done
//! again and writes the same keys.

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
    Index, Run, Young,
    run::{self, Filter, Kind, Lead, RunId, Writer},
};
use crate::{
    schema,
    store::{Store, StoreError},
};

/// Blocks that may wait to become runs, some 5 MiB each in memory; then appends wait.
const MOST_WAITING: usize = 8;
/// Keys removed in one write.
const REMOVED_AT_ONCE: usize = 4096;

/// The log is being closed: what is under way is left, and done again later.
struct Stopped;

impl Index {
    /// Does all that is due: blocks first, however long a merge takes.
    pub(crate) fn tend(&self, store: &Store, stop: &AtomicBool) -> Result<(), StoreError> {
        let _tending = self.tending.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            self.remove_replaced(store)?;
            self.write_blocks(store)?;
            let Some(run) = self.due() else { return Ok(()) };
            if self.merge(store, run, stop)?.is_err() {
                return Ok(());
            }
        }
    }

    fn write_blocks(&self, store: &Store) -> Result<(), StoreError> {
        loop {
            let Some(young) = self.state().full.first().cloned() else { return Ok(()) };
            self.write_block(store, &young)?;
        }
    }

    fn write_block(&self, store: &Store, young: &Young) -> Result<(), StoreError> {
        let id = RunId::youngest(young.first);
        let [leaves, ids] = Kind::ALL.map(|kind| {
            let mut writer = Writer::new(store, id, kind);
            writer.pages(&young.leads(kind), id.pages())?;
            writer.finish()
        });
        let run = complete(store, id, [leaves?, ids?])?;
        let mut state = self.state_mut();
        state.full.retain(|full| full.first != young.first);
        state.runs.push(run);
        Ok(())
    }

    /// A run whose parts are all there: of the shortest ones first.
    fn due(&self) -> Option<RunId> {
        let state = self.state();
        let ids: Vec<RunId> = state.runs.iter().map(|run| run.id).collect();
        let parents = ids.iter().rev().filter_map(|id| id.parent());
        parents.into_iter().find(|parent| parent.children().all(|child| ids.contains(&child)))
    }

    /// Makes one run of eight. A page of each of them holds the hashes of the same pages of the new one, so that memory
    /// holds these and the new filters.
    fn merge(&self, store: &Store, id: RunId, stop: &AtomicBool) -> Result<Result<(), Stopped>, StoreError> {
        let mut filters = Vec::with_capacity(2);
        for kind in Kind::ALL {
            match self.merge_kind(store, id, kind, stop)? {
                Ok(filter) => filters.push(filter),
                Err(stopped) => return Ok(Err(stopped)),
            }
        }
        let Ok(filters) = <[Filter; 2]>::try_from(filters) else { return Ok(Err(Stopped)) };
        let run = complete(store, id, filters)?;
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

    fn merge_kind(
        &self,
        store: &Store,
        id: RunId,
        kind: Kind,
        stop: &AtomicBool,
    ) -> Result<Result<Filter, Stopped>, StoreError> {
        let mut writer = Writer::new(store, id, kind);
        let old: Vec<RunId> = id.children().collect();
        let old_pages = old.first().map_or(1, |run| run.pages());
        let mut leads: Vec<Lead> = Vec::new();
        for page in 0..old_pages {
            if stop.load(Ordering::Relaxed) {
                return Ok(Err(Stopped));
            }
            leads.clear();
            for run in &old {
                leads.extend(run::page(store, *run, kind, page)?);
            }
            leads.sort_unstable();
            writer.pages(&leads, id.pages() / old_pages * (page + 1))?;
            // A merge of millions takes seconds, and blocks fill meanwhile.
            self.write_blocks(store)?;
        }
        Ok(Ok(writer.finish()?))
    }

    fn remove_replaced(&self, store: &Store) -> Result<(), StoreError> {
        loop {
            let Some(id) = self.state().replaced.last().copied() else { return Ok(()) };
            let mut batch = store.batch();
            for (count, key) in (1..).zip(id.part_keys()) {
                batch.no_part(&key);
                if count % REMOVED_AT_ONCE == 0 {
                    std::mem::replace(&mut batch, store.batch()).commit()?;
                }
            }
            batch.no_part(&id.head_key());
            batch.commit()?;
            self.state_mut().replaced.retain(|replaced| *replaced != id);
        }
    }
}

/// Writes the head of a run, all of whose parts are written.
fn complete(store: &Store, id: RunId, filters: [Filter; 2]) -> Result<Arc<Run>, StoreError> {
    let mut batch = store.batch();
    batch.part(&id.head_key(), &schema::encode_index(id.first()));
    batch.commit()?;
    Ok(Arc::new(Run { id, filters }))
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
    pub(crate) fn spawn(store: Arc<Store>, index: Arc<Index>) -> io::Result<Self> {
        let (wake, woken) = sync_channel(1);
        let stop = Arc::new(AtomicBool::new(false));
        let (its_index, its_stop) = (Arc::clone(&index), Arc::clone(&stop));
        let thread = thread::Builder::new()
            .name("log-indexer".into())
            .spawn(move || run(&store, &its_index, &woken, &its_stop))?;
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

fn run(store: &Store, index: &Index, woken: &Receiver<()>, stop: &AtomicBool) {
    while woken.recv().is_ok() && !stop.load(Ordering::Relaxed) {
        if let Err(error) = index.tend(store, stop) {
            tracing::error!(%error, "the index of hashes could not be written: the log stops");
            store.poison(&error);
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use treering_tlog::hash::Hash;

    use super::*;
    use crate::index::load::Damage;

    /// Somebody takes 2^64 trials to make two entries whose hashes begin alike: both are found.
    #[test]
    fn hashes_that_begin_alike_hide_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("db"), true).unwrap();
        let index = Index::load(&store, 0, Damage::Refuse).unwrap();
        let hash = |i: u64| {
            let mut hash = [7; 32];
            hash[31] = i.try_into().unwrap();
            hash
        };
        let hashes: Vec<_> = (0..9).map(|i| (i, Hash::from_bytes(hash(i)), hash(i))).collect();
        assert!(index.add(hashes.iter().map(|(i, leaf, id)| (*i, leaf, id))));
        for tended in [false, true] {
            if tended {
                index.tend(&store, &AtomicBool::new(false)).unwrap();
            }
            assert_eq!(index.state().runs.len(), usize::from(tended));
            for i in 0..9 {
                let found = index.find(&store, Kind::EntryId, &hash(i), |found| Ok(found == i));
                assert_eq!(found.unwrap(), Some(i));
            }
            assert_eq!(index.find(&store, Kind::EntryId, &hash(9), |_| Ok(false)).unwrap(), None);
        }
    }

    /// What a filter lets through costs a read.
    #[test]
    fn a_filter_knows_its_own_and_few_others() {
        use sha2::{Digest as _, Sha256};
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("db"), true).unwrap();
        let id = RunId { level: 3, number: 2 };
        let hash = |i: u64| run::short(&Sha256::digest(i.to_be_bytes()).into());
        let mut leads: Vec<Lead> =
            (id.first()..id.end()).map(|index| Lead { hash: hash(index), index }).collect();
        leads.sort_unstable();
        let mut writer = Writer::new(&store, id, Kind::Leaf);
        writer.pages(&leads, id.pages()).unwrap();
        let filter = writer.finish().unwrap();
        assert_eq!(Filter::read(&store, id, Kind::Leaf).unwrap(), filter);
        for Lead { hash, index } in &leads {
            assert!(filter.may_have(*hash));
            assert_eq!(run::find(&store, id, Kind::Leaf, *hash).unwrap(), [*index]);
        }
        let others = (0..8000).filter(|i| filter.may_have(hash(*i))).count();
        assert!(others < 200, "{others} in eight thousand");
    }
}
