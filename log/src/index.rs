//! From a leaf hash back to its entry.
//!
//! Hashes are scattered over their whole space, so an ordered store would merge every new table of them with all
//! others. Here they are kept as the tree itself is kept, by position: the newest entries in a table in memory, and all
//! others in *runs*, each over an aligned block of entries, written once and sorted by hash ([`run`]). Eight runs of one
//! length that lie in a row become one of the next ([`tend`]), so that a hash is written a few times, in order, and there
//! are never more than some tens of runs. A filter in memory says which run is worth a read.
//!
//! All of it follows from the entries: a commit writes nothing here, and opening makes the table anew from the entries
//! that no run covers. A run holds the first eight octets of a hash; what is found is compared with the whole, which the
//! tree has, so a lookup never answers with an entry whose hash only begins like the one asked for, and two such entries
//! hide nothing.

mod load;
pub(crate) mod run;
mod tend;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, atomic::AtomicBool,
    },
};

use treering_tlog::hash::Hash;

use self::run::{Filter, Lead, RunId};
pub(crate) use self::{load::Damage, tend::Indexer};
use crate::{
    nodes::{Memory, Nodes},
    store::{Store, StoreError},
};

/// An entry, none, or that it could not be found out: never taken for none.
pub(crate) type Found = Result<Option<u64>, StoreError>;

/// The way back to every committed entry. The sequencer adds, one thread tends, everybody looks.
#[derive(Debug)]
pub(crate) struct Index {
    state: RwLock<State>,
    /// Held while runs are written, merged or removed.
    tending: Mutex<()>,
    /// Why it was not loaded, where damage is passed over.
    unreadable: Option<StoreError>,
    /// A run could not be read to be merged: none is merged any more, and the log goes on with the runs that there are.
    unmergeable: AtomicBool,
}

#[derive(Debug)]
struct State {
    /// By position, without a gap from entry 0 on.
    runs: Vec<Arc<Run>>,
    /// Behind them, blocks of entries that wait to become runs.
    full: Vec<Arc<Young>>,
    /// Behind those, the entries of the block that is being filled.
    young: Young,
    /// Runs that a longer one has replaced and that are still stored.
    replaced: Vec<RunId>,
}

/// A stored run, and what of it is in memory.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) id: RunId,
    pub(crate) filter: Filter,
}

/// Entries that no run covers: whole hashes, in memory.
#[derive(Debug)]
pub(crate) struct Young {
    /// The run that they will be.
    block: RunId,
    hashes: HashMap<Hash, u64>,
}

impl State {
    /// What is in memory and in no run.
    fn young(&self) -> impl Iterator<Item = &Young> {
        self.full.iter().map(|young| &**young).chain([&self.young])
    }
}

impl Young {
    fn new(block: RunId) -> Self {
        let len = usize::try_from(block.len()).unwrap_or(0);
        Self { block, hashes: HashMap::with_capacity(len) }
    }

    fn add(&mut self, index: u64, leaf: &Hash) {
        // Entries differ, so their hashes do; of equal ones, which only a damaged store has, the first counts.
        self.hashes.entry(*leaf).or_insert(index);
    }

    /// What leads to these entries, in the order of a run.
    fn leads(&self) -> Vec<Lead> {
        let lead = |(hash, index): (&Hash, &u64)| Lead { hash: run::short(hash), index: *index };
        let mut leads: Vec<Lead> = self.hashes.iter().map(lead).collect();
        leads.sort_unstable();
        leads
    }
}

impl Index {
    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The entry with a leaf hash.
    pub(crate) fn entry(
        &self,
        store: &Store,
        memory: &Memory,
        leaf: &Hash,
    ) -> Result<Option<u64>, StoreError> {
        self.entries(store, memory, &[*leaf]).into_iter().next().unwrap_or(Ok(None))
    }

    /// For each of these leaf hashes the entry, if there is one. A part that cannot be read fails only those whose way
    /// leads through it.
    pub(crate) fn entries(&self, store: &Store, memory: &Memory, leaves: &[Hash]) -> Vec<Found> {
        self.find(store, leaves, |leaf, index| {
            Ok(Nodes::new(store, memory, index.saturating_add(1)).leaf(index)? == *leaf)
        })
    }

    /// `is_it` compares the whole hash. Run by run, so that the processor asks a filter for many hashes at a time. The
    /// state is held meanwhile, so that no run is removed while it is read.
    fn find(
        &self,
        store: &Store,
        hashes: &[Hash],
        is_it: impl Fn(&Hash, u64) -> Result<bool, StoreError>,
    ) -> Vec<Found> {
        let state = self.state();
        let young = |hash| state.young().find_map(|young| young.hashes.get(hash).copied());
        let mut found: Vec<Found> = hashes.iter().map(young).map(Ok).collect();
        let shorts: Vec<u64> = hashes.iter().map(run::short).collect();
        for run in state.runs.iter().rev() {
            for ((hash, short), found) in hashes.iter().zip(&shorts).zip(&mut found) {
                if !run.filter.may_have(*short) || !matches!(found, Ok(None)) {
                    continue;
                }
                let alike = run::find(store, run.id, *short).map_err(StoreError::of_index);
                *found = alike.and_then(|alike| first(alike, |index| is_it(hash, index)));
            }
        }
        found
    }

    /// Adds committed entries, each the next; says whether there is something to [`tend`](Self::tend).
    pub(crate) fn add<'a>(&self, entries: impl Iterator<Item = (u64, &'a Hash)>) -> bool {
        let mut state = self.state_mut();
        for (index, leaf) in entries {
            let block = state.young.block;
            if index >= block.end() {
                let full = std::mem::replace(&mut state.young, Young::new(block.next()));
                state.full.push(Arc::new(full));
            }
            state.young.add(index, leaf);
        }
        !state.full.is_empty()
    }

    /// Why there is nothing in it, where damage was passed over.
    pub(crate) fn unreadable(&self) -> Option<&StoreError> {
        self.unreadable.as_ref()
    }

    /// Blocks that wait to become runs.
    pub(crate) fn waiting(&self) -> usize {
        self.state().full.len()
    }

    /// Keeps the runs as they are, for one who reads them all.
    pub(crate) fn still(&self) -> (MutexGuard<'_, ()>, Vec<Arc<Run>>) {
        let still = self.tending.lock().unwrap_or_else(PoisonError::into_inner);
        let runs = self.state().runs.clone();
        (still, runs)
    }

    /// Shows what is in memory and in no run.
    pub(crate) fn show_young(&self, mut show: impl FnMut(&Hash, u64)) {
        let state = self.state();
        for young in state.young() {
            #[expect(clippy::iter_over_hash_type, reason = "each is shown once; in which order says nothing")]
            for (hash, index) in &young.hashes {
                show(hash, *index);
            }
        }
    }
}

/// The first of some entries that it is.
fn first(entries: Vec<u64>, is_it: impl Fn(u64) -> Result<bool, StoreError>) -> Found {
    for index in entries {
        if is_it(index)? {
            return Ok(Some(index));
        }
    }
    Ok(None)
}
