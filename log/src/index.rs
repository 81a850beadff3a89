//! From a hash back to its entry: by leaf hash, and by entry id.
//!
//! Hashes are scattered over their whole space, so an ordered store would merge every new table of them with all
//! others. Here they are kept as the tree itself is kept, by position: the newest entries in a table in memory, and all
//! others in *runs*, each over an aligned block of entries, written once and sorted by hash ([`run`]). Eight runs of one
//! length that lie in a row become one of the next ([`tend`]), so that a hash is written a few times, in order, and there
//! are never more than some tens of runs. A filter in memory says which run is worth a read.
//!
//! All of it follows from the entries: a commit writes nothing here, and opening makes the table anew from the entries
//! that no run covers. A run holds the first eight octets of a hash; what is found is compared with the whole, so a lookup
//! never answers with an entry whose hash only begins like the one asked for, and two such entries hide nothing.

mod load;
pub(crate) mod run;
mod tend;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use sha2::{Digest, Sha256};
use treering_tlog::hash::Hash;

use self::run::{Filter, Kind, Lead, RunId};
pub(crate) use self::{load::Damage, tend::Indexer};
use crate::{
    nodes::{Memory, Nodes},
    store::{Store, StoreError},
    tiles,
};

/// The way back to every committed entry. The sequencer adds, one thread tends, everybody looks.
#[derive(Debug)]
pub(crate) struct Index {
    state: RwLock<State>,
    /// Held while runs are written, merged or removed.
    tending: Mutex<()>,
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
    filters: [Filter; 2],
}

/// Entries that no run covers: whole hashes, in memory.
#[derive(Debug)]
pub(crate) struct Young {
    first: u64,
    hashes: [HashMap<[u8; 32], u64>; 2],
}

impl Run {
    pub(crate) fn filter(&self, kind: Kind) -> &Filter {
        let [leaves, ids] = &self.filters;
        match kind {
            Kind::Leaf => leaves,
            Kind::EntryId => ids,
        }
    }
}

impl State {
    /// The entry with a hash, if no run covers it.
    fn young(&self, kind: Kind, hash: &[u8; 32]) -> Option<u64> {
        let full = self.full.iter().map(|young| &**young);
        full.chain([&self.young]).find_map(|young| young.of(kind).get(hash).copied())
    }
}

impl Young {
    fn new(first: u64) -> Self {
        let len = usize::try_from(RunId::youngest(first).len()).unwrap_or(0);
        Self { first, hashes: [HashMap::with_capacity(len), HashMap::with_capacity(len)] }
    }

    fn of(&self, kind: Kind) -> &HashMap<[u8; 32], u64> {
        let [leaves, ids] = &self.hashes;
        match kind {
            Kind::Leaf => leaves,
            Kind::EntryId => ids,
        }
    }

    fn add(&mut self, index: u64, leaf: &Hash, id: [u8; 32]) {
        let [leaves, ids] = &mut self.hashes;
        // Entries differ, so their hashes do; of equal ones, which only a damaged store has, the first counts.
        leaves.entry(leaf.to_bytes()).or_insert(index);
        ids.entry(id).or_insert(index);
    }

    /// What leads to these entries, in the order of a run.
    fn leads(&self, kind: Kind) -> Vec<Lead> {
        let mut leads: Vec<Lead> = self
            .of(kind)
            .iter()
            .map(|(hash, index)| Lead { hash: run::short(hash), index: *index })
            .collect();
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
    pub(crate) fn leaf(
        &self,
        store: &Store,
        memory: &Memory,
        leaf: &Hash,
    ) -> Result<Option<u64>, StoreError> {
        let found = self.find(store, Kind::Leaf, &[leaf.to_bytes()], |hash, index| {
            Ok(Nodes::new(store, memory, index.saturating_add(1)).leaf(index)?.as_bytes() == hash)
        })?;
        Ok(found.into_iter().next().flatten())
    }

    /// The entry whose SHA-256 this is.
    pub(crate) fn entry_id(&self, store: &Store, id: &[u8; 32]) -> Result<Option<u64>, StoreError> {
        Ok(self.entry_ids(store, &[*id])?.into_iter().next().flatten())
    }

    /// For each of these SHA-256 the entry, if there is one.
    pub(crate) fn entry_ids(&self, store: &Store, ids: &[[u8; 32]]) -> Result<Vec<Option<u64>>, StoreError> {
        self.find(store, Kind::EntryId, ids, |id, index| {
            let found: [u8; 32] = Sha256::digest(tiles::entry(store, index)?).into();
            Ok(found == *id)
        })
    }

    /// `is_it` compares the whole hash. Run by run, so that the processor asks a filter for many hashes at a time. The
    /// state is held meanwhile, so that no run is removed while it is read.
    fn find(
        &self,
        store: &Store,
        kind: Kind,
        hashes: &[[u8; 32]],
        is_it: impl Fn(&[u8; 32], u64) -> Result<bool, StoreError>,
    ) -> Result<Vec<Option<u64>>, StoreError> {
        let state = self.state();
        let mut found: Vec<Option<u64>> = hashes.iter().map(|hash| state.young(kind, hash)).collect();
        let shorts: Vec<u64> = hashes.iter().map(run::short).collect();
        for run in state.runs.iter().rev() {
            let filter = run.filter(kind);
            for ((hash, short), found) in hashes.iter().zip(&shorts).zip(&mut found) {
                if !filter.may_have(*short) || found.is_some() {
                    continue;
                }
                let alike = run::find(store, run.id, kind, *short)?;
                *found = first(alike, |index| is_it(hash, index))?;
            }
        }
        Ok(found)
    }

    /// Adds committed entries, each the next; says whether there is something to [`tend`](Self::tend).
    pub(crate) fn add<'a>(&self, entries: impl Iterator<Item = (u64, &'a Hash, &'a [u8; 32])>) -> bool {
        let mut state = self.state_mut();
        for (index, leaf, id) in entries {
            let end = RunId::youngest(state.young.first).end();
            if index >= end {
                let full = std::mem::replace(&mut state.young, Young::new(end));
                state.full.push(Arc::new(full));
            }
            state.young.add(index, leaf, *id);
        }
        !state.full.is_empty()
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
    pub(crate) fn show_young(&self, kind: Kind, mut show: impl FnMut(&[u8; 32], u64)) {
        let state = self.state();
        let full = state.full.iter().map(|young| &**young);
        for young in full.chain([&state.young]) {
            #[expect(clippy::iter_over_hash_type, reason = "each is shown once; in which order says nothing")]
            for (hash, index) in young.of(kind) {
                show(hash, *index);
            }
        }
    }
}

/// The first of some entries that it is.
fn first(
    entries: Vec<u64>,
    is_it: impl Fn(u64) -> Result<bool, StoreError>,
) -> Result<Option<u64>, StoreError> {
    for index in entries {
        if is_it(index)? {
            return Ok(Some(index));
        }
    }
    Ok(None)
}
