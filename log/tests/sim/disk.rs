//! A disk in memory, with an engine on it that keeps the promises of `Engine`, and fails when it is told to.

use std::{
    collections::BTreeMap,
    fmt, mem,
    ops::Bound,
    sync::{Arc, Mutex},
};

use crate::{
    schema::Family,
    store::engine::{Engine, EngineError, Estimate, Pairs, Table, WriteSet},
};

type Map = BTreeMap<(&'static str, Vec<u8>), Vec<u8>>;

/// What becomes of the next synced write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Sync {
    #[default]
    Good,
    /// It fails, and nothing of it is on the disk.
    FailedAndLost,
    /// It fails, and all of it is on the disk.
    FailedAndKept,
}

/// What a crash leaves.
#[derive(Clone, Default)]
pub(crate) struct Disk(Arc<Mutex<State>>);

#[derive(Clone, Default)]
struct State {
    durable: Arc<Map>,
    next: Sync,
}

impl Disk {
    /// A copy that goes its own way: a backup.
    pub(crate) fn copy(&self) -> Self {
        let state = self.0.lock().unwrap();
        Self(Arc::new(Mutex::new(State { durable: Arc::clone(&state.durable), next: Sync::Good })))
    }

    pub(crate) fn fail_next(&self, how: Sync) {
        self.0.lock().unwrap().next = how;
    }

    pub(crate) fn heal(&self) {
        self.fail_next(Sync::Good);
    }

    /// An engine on what is durable now.
    pub(crate) fn engine(&self) -> Box<dyn Engine> {
        let visible = Arc::clone(&self.0.lock().unwrap().durable);
        Box::new(Memory { disk: self.clone(), visible: Mutex::new(visible) })
    }
}

struct Memory {
    disk: Disk,
    /// What readers see: less than is durable, if a write failed and was kept.
    visible: Mutex<Arc<Map>>,
}

impl Memory {
    fn now(&self) -> Arc<Map> {
        Arc::clone(&self.visible.lock().unwrap())
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Memory")
    }
}

impl Engine for Memory {
    fn get(&self, family: Family, key: &[u8], show: &mut dyn FnMut(&[u8])) -> Result<(), EngineError> {
        if let Some(value) = self.now().get(&(family.name(), key.to_vec())) {
            show(value);
        }
        Ok(())
    }

    fn at_or_before(
        &self,
        family: Family,
        key: &[u8],
        show: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<(), EngineError> {
        let first = (family.name(), Vec::new());
        let map = self.now();
        if let Some(((_, key), value)) = map.range(first..=(family.name(), key.to_vec())).next_back() {
            show(key, value);
        }
        Ok(())
    }

    fn from(&self, family: Family, key: &[u8]) -> Result<Pairs<'_>, EngineError> {
        let map = self.now();
        let mut at = Bound::Included((family.name(), key.to_vec()));
        Ok(Box::new(std::iter::from_fn(move || {
            let ((found, key), value) = map.range((at.clone(), Bound::Unbounded)).next()?;
            if *found != family.name() {
                return None;
            }
            at = Bound::Excluded((found, key.clone()));
            Some(Ok((key.as_slice().into(), value.as_slice().into())))
        })))
    }

    fn commit(&self, writes: &WriteSet) -> Result<(), EngineError> {
        let apply = |map: &mut Arc<Map>| {
            let map = Arc::make_mut(map);
            for write in writes.iter() {
                let key = (write.family.name(), write.key.to_vec());
                match write.value {
                    Some(value) => drop(map.insert(key, value.to_vec())),
                    None => drop(map.remove(&key)),
                }
            }
        };
        let mut disk = self.disk.0.lock().unwrap();
        let sync = mem::take(&mut disk.next);
        if sync != Sync::FailedAndLost {
            apply(&mut disk.durable);
        }
        if sync != Sync::Good {
            return Err(EngineError { doing: "write", why: "IO error: the simulated disk failed".into() });
        }
        *self.visible.lock().unwrap() = Arc::clone(&disk.durable);
        Ok(())
    }

    fn table(&self, family: Family) -> Result<Box<dyn Table + '_>, EngineError> {
        Ok(Box::new(NewTable { memory: self, family, writes: WriteSet::default() }))
    }

    fn remove_tables(&self, family: Family, first: &[u8], last: &[u8]) -> Result<(), EngineError> {
        let (map, mut writes) = (self.now(), WriteSet::default());
        let keys = (family.name(), first.to_vec())..=(family.name(), last.to_vec());
        for ((_, key), _) in map.range(keys) {
            writes.delete(family, key);
        }
        self.commit(&writes)
    }

    fn compact(&self, _: Family) -> Result<(), EngineError> {
        Ok(())
    }

    fn estimate(&self, _: Family) -> Result<Estimate, EngineError> {
        Ok(Estimate::default())
    }
}

struct NewTable<'a> {
    memory: &'a Memory,
    family: Family,
    writes: WriteSet,
}

impl Table for NewTable<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), EngineError> {
        self.writes.put(self.family, key, value);
        Ok(())
    }

    fn close(&mut self) -> Result<(), EngineError> {
        Ok(())
    }

    fn take_in(self: Box<Self>) -> Result<(), EngineError> {
        self.memory.commit(&self.writes)
    }
}
