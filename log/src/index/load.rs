//! The index as opening finds it: runs and filters from the store, the newest entries hashed again.

use std::{
    cmp::Ordering,
    mem,
    sync::{Arc, Mutex, RwLock, atomic::AtomicBool},
};

use treering_tlog::{bundle, hash::leaf_hash};

use super::{
    Index, Run, State, Young,
    run::{Filter, INDEX, RunId},
};
use crate::{
    schema::{self, Family, WIDTH},
    store::{Store, StoreError},
    tiles,
};

/// Entries that may be in no run: more than a crash can leave. They are read and hashed while a log opens.
const MOST_YOUNG: u64 = 1 << 20;

/// What becomes of entries that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Damage {
    /// Nothing is opened: a log that appends must know its entries.
    Refuse,
    /// They are not found by hash: fsck, which says what is wrong, must open.
    Skip,
}

impl Index {
    /// Reads the index of the first `size` entries.
    pub(crate) fn load(store: &Store, size: u64, damage: Damage, run_bits: u8) -> Result<Self, StoreError> {
        match Self::loaded(store, size, damage, run_bits) {
            Err(error) if damage == Damage::Skip => {
                Ok(Self { unreadable: Some(error), ..Self::empty(run_bits) })
            }
            index => index,
        }
    }

    /// The index of no entries, to which all are added.
    pub(crate) fn empty(run_bits: u8) -> Self {
        Self::of(Vec::new(), Vec::new(), RunId::youngest(run_bits, 0))
    }

    fn of(runs: Vec<Arc<Run>>, replaced: Vec<RunId>, young: RunId) -> Self {
        let state = State { runs, full: Vec::new(), young: Young::new(young), replaced };
        Self {
            state: RwLock::new(state),
            tending: Mutex::new(()),
            unreadable: None,
            unmergeable: AtomicBool::new(false),
        }
    }

    fn loaded(store: &Store, size: u64, damage: Damage, run_bits: u8) -> Result<Self, StoreError> {
        let (live, replaced) = stored_runs(store, run_bits).map_err(StoreError::of_index)?;
        let covered = live.last().map_or(0, |run| run.end());
        let wrong = |why| StoreError::Inconsistent { what: INDEX, at: covered, why }.of_index();
        if covered > size {
            return Err(wrong("it covers more than the log"));
        }
        if size - covered > MOST_YOUNG {
            return Err(wrong("runs are missing from here on"));
        }
        let mut runs = Vec::with_capacity(live.len());
        for id in live {
            let filter = Filter::read(store, id).map_err(StoreError::of_index)?;
            runs.push(Arc::new(Run { id, filter }));
        }
        let index = Self::of(runs, replaced, RunId::youngest(run_bits, covered));
        index.read_young(store, covered, size, damage)?;
        Ok(index)
    }

    fn read_young(&self, store: &Store, from: u64, size: u64, damage: Damage) -> Result<(), StoreError> {
        let mut first = from / WIDTH * WIDTH;
        while first < size {
            let next = size.min(first + WIDTH);
            let width = u16::try_from(next - first).unwrap_or(u16::MAX);
            match tiles::bundle_bytes(store, first / WIDTH, width) {
                Ok(bytes) => self.hash_bundle(&bytes, first, from)?,
                Err(_) if damage == Damage::Skip => {}
                Err(error) => return Err(error),
            }
            first = next;
        }
        Ok(())
    }

    fn hash_bundle(&self, bytes: &[u8], first: u64, from: u64) -> Result<(), StoreError> {
        let broken = |_| StoreError::Inconsistent {
            what: "an entry bundle",
            at: first,
            why: "it is not whole entries",
        };
        let entries = bundle::decode(bytes).map_err(broken)?;
        let hashes: Vec<_> = (first..)
            .zip(entries)
            .filter(|(index, _)| *index >= from)
            .map(|(index, entry)| (index, leaf_hash(entry)))
            .collect();
        self.add(hashes.iter().map(|(index, leaf)| (*index, leaf)));
        Ok(())
    }
}

/// The runs: those that cover the log, each the longest at its place, and those that are replaced.
fn stored_runs(store: &Store, shortest: u8) -> Result<(Vec<RunId>, Vec<RunId>), StoreError> {
    let (mut stored, mut behind) = (Vec::new(), Vec::new());
    while let Some((key, value)) = store.from(Family::HashIndex, &behind)?.next().transpose()? {
        let orphan = StoreError::Inconsistent { what: INDEX, at: 0, why: "a part is of no run" };
        let (level, number) = schema::run_of_key(&key).ok_or(orphan)?;
        let id = RunId { shortest, level, number };
        if schema::decode_index(INDEX, &value)? != id.first() {
            let why = "its head names another entry";
            return Err(StoreError::Inconsistent { what: INDEX, at: id.first(), why });
        }
        stored.push(id);
        let [_, last] = id.keys();
        behind = last.to_vec();
    }
    stored.sort_unstable_by_key(|id| (id.first(), u8::MAX - id.level));
    let (mut live, mut replaced, mut end) = (Vec::new(), Vec::new(), 0);
    for id in mem::take(&mut stored) {
        match id.first().cmp(&end) {
            Ordering::Less => replaced.push(id),
            Ordering::Equal => {
                end = id.end();
                live.push(id);
            }
            Ordering::Greater => {
                let why = "the run that begins here is missing";
                return Err(StoreError::Inconsistent { what: INDEX, at: end, why });
            }
        }
    }
    Ok((live, replaced))
}
