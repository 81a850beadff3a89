//! Which appends of a batch go in, and where: the rules, without threads and without writing.
//!
//! A plan is what one commit will do. It sees the store through [`Seen`] and lays over it what earlier appends
//! of the same batch did, so that two appends that came together are judged as if they had come one after
//! the other.

use std::collections::HashMap;

use treering_tlog::hash::Hash;

use crate::{
    append::{AppendError, NewEntry, Prepared, RegisterName, Row},
    index::Found,
    store::StoreError,
};

/// What the plan must know about the log so far.
pub(crate) trait Seen {
    /// The entry with this leaf hash.
    fn entry(&self, leaf: &Hash) -> Found;
    fn used(&self, key: &[u8; 32]) -> Result<Option<u64>, StoreError>;
    fn register(&self, name: &RegisterName) -> Result<Option<u64>, StoreError>;
}

/// An entry that the commit adds.
#[derive(Debug)]
pub(crate) struct Added {
    pub(crate) entry: NewEntry,
    pub(crate) leaf: Hash,
}

/// Where the entries of one append are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) indexes: Vec<u64>,
    pub(crate) leaves: Vec<Hash>,
    pub(crate) duplicates: Vec<bool>,
}

/// What one commit will do.
pub(crate) struct Plan<'a, S> {
    seen: &'a S,
    size: u64,
    pub(crate) added: Vec<Added>,
    /// New entries by leaf hash.
    leaves: HashMap<Hash, u64>,
    pub(crate) once: HashMap<[u8; 32], u64>,
    pub(crate) registers: HashMap<RegisterName, u64>,
    pub(crate) rows: Vec<Row>,
}

impl<'a, S: Seen> Plan<'a, S> {
    /// An empty plan for a log of `size` entries.
    pub(crate) fn new(seen: &'a S, size: u64) -> Self {
        Self {
            seen,
            size,
            added: Vec::new(),
            leaves: HashMap::new(),
            once: HashMap::new(),
            registers: HashMap::new(),
            rows: Vec::new(),
        }
    }

    /// Takes an append into the plan, or refuses it and leaves the plan as it was.
    ///
    /// The outer error is the store's: then nothing of the batch may be committed.
    pub(crate) fn admit(&mut self, prepared: Prepared) -> Result<Result<Placed, AppendError>, StoreError> {
        if let Some(refusal) = self.refusal(&prepared)? {
            return Ok(Err(refusal));
        }
        // An entry of which nobody knows whether it is in the log would be a duplicate: it waits for the index.
        let (placed, fresh) = match self.place(&prepared) {
            Ok(placed) => placed,
            Err(error) => return Ok(Err(AppendError::Unsearchable(error.to_string()))),
        };
        if self.size == 0 && self.added.is_empty() && fresh < 2 {
            return Ok(Err(AppendError::Genesis { entries: fresh }));
        }
        self.apply(prepared, &placed, fresh > 0);
        Ok(Ok(placed))
    }

    /// (1) Expectations, (2) once keys. The order matters to a caller who lost an answer and asks again: the
    /// register that the first attempt moved says so before the used key does.
    fn refusal(&self, prepared: &Prepared) -> Result<Option<AppendError>, StoreError> {
        for (name, wanted) in &prepared.append.expect {
            let actual = match self.registers.get(name) {
                Some(index) => Some(*index),
                None => self.seen.register(name)?,
            };
            if actual != *wanted {
                let (name, wanted) = (name.clone(), *wanted);
                return Ok(Some(AppendError::StaleExpectation { name, wanted, actual }));
            }
        }
        for key in &prepared.append.once {
            let used = match self.once.get(key) {
                Some(index) => Some(*index),
                None => self.seen.used(key)?,
            };
            if let Some(index) = used {
                return Ok(Some(AppendError::AlreadyUsed { key: *key, index }));
            }
        }
        Ok(None)
    }

    /// Finds or gives each entry its index; also says how many are new.
    fn place(&self, prepared: &Prepared) -> Result<(Placed, usize), StoreError> {
        let mut next = self.size + self.added.len() as u64;
        // A few at most: an append has at most one bundle of entries.
        let mut own: Vec<(&Hash, u64)> = Vec::with_capacity(prepared.leaves.len());
        let (indexes, duplicates) = (Vec::with_capacity(own.capacity()), Vec::with_capacity(own.capacity()));
        let mut placed = Placed { indexes, leaves: prepared.leaves.clone(), duplicates };
        for leaf in &prepared.leaves {
            let found = own.iter().find(|(other, _)| *other == leaf).map(|(_, index)| *index);
            let found = match found.or_else(|| self.leaves.get(leaf).copied()) {
                Some(found) => Some(found),
                None => self.seen.entry(leaf)?,
            };
            placed.duplicates.push(found.is_some());
            placed.indexes.push(found.unwrap_or_else(|| {
                own.push((leaf, next));
                next += 1;
                next - 1
            }));
        }
        Ok((placed, own.len()))
    }

    fn apply(&mut self, prepared: Prepared, placed: &Placed, grows: bool) {
        let Prepared { append, leaves, .. } = prepared;
        let first = placed.indexes.first().copied().unwrap_or(self.size);
        self.once.extend(append.once.into_iter().map(|key| (key, first)));
        for (name, position) in append.set {
            // A position was checked against the entries when the append was prepared.
            if let (Some(index), Some(false)) =
                (placed.indexes.get(position), placed.duplicates.get(position))
            {
                self.registers.insert(name, *index);
            }
        }
        if grows {
            self.rows.extend(append.rows);
        }
        let places = placed.indexes.iter().zip(&placed.duplicates);
        for ((entry, leaf), (index, duplicate)) in append.entries.into_iter().zip(leaves).zip(places) {
            if !*duplicate {
                self.leaves.insert(leaf, *index);
                self.added.push(Added { entry, leaf });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::append::Append;

    #[derive(Default)]
    struct Fake {
        leaves: HashMap<Hash, u64>,
        unreadable: Vec<Hash>,
        once: HashMap<[u8; 32], u64>,
        registers: HashMap<RegisterName, u64>,
    }

    impl Seen for Fake {
        fn entry(&self, leaf: &Hash) -> Found {
            let why = || StoreError::Inconsistent { what: "a page", at: 0, why: "it is damaged" }.of_index();
            if self.unreadable.contains(leaf) { Err(why()) } else { Ok(self.leaves.get(leaf).copied()) }
        }
        fn used(&self, key: &[u8; 32]) -> Result<Option<u64>, StoreError> {
            Ok(self.once.get(key).copied())
        }
        fn register(&self, name: &RegisterName) -> Result<Option<u64>, StoreError> {
            Ok(self.registers.get(name).copied())
        }
    }

    fn append(texts: &[&str]) -> Append {
        Append::of(texts.iter().map(|text| NewEntry::plain(text.as_bytes())).collect())
    }

    fn admit(plan: &mut Plan<'_, Fake>, append: Append) -> Result<Placed, AppendError> {
        plan.admit(Prepared::new(append).unwrap()).unwrap()
    }

    fn name(text: &str) -> RegisterName {
        RegisterName::new(text).unwrap()
    }

    fn row() -> Row {
        Row { table: 1, key: vec![1], value: None }
    }

    #[test]
    fn the_first_append_has_two_different_entries() {
        let seen = Fake::default();
        let mut plan = Plan::new(&seen, 0);
        assert_eq!(admit(&mut plan, append(&["a"])), Err(AppendError::Genesis { entries: 1 }));
        assert_eq!(admit(&mut plan, append(&["a", "a"])), Err(AppendError::Genesis { entries: 1 }));
        assert_eq!(admit(&mut plan, append(&["a", "b"])).unwrap().indexes, [0, 1]);
        assert_eq!(admit(&mut plan, append(&["c"])).unwrap().indexes, [2], "the log has begun");
    }

    #[test]
    fn duplicates_answer_with_the_first_index() {
        let mut seen = Fake::default();
        seen.leaves.insert(Prepared::new(append(&["old"])).unwrap().leaves[0], 3);
        let mut plan = Plan::new(&seen, 10);
        let placed = admit(&mut plan, append(&["x", "old", "x", "y"])).unwrap();
        assert_eq!(placed.indexes, [10, 3, 10, 11]);
        assert_eq!(placed.duplicates, [false, true, true, false]);
        assert_eq!(admit(&mut plan, append(&["y"])).unwrap().indexes, [11], "earlier in the same batch");
        assert_eq!(plan.added.len(), 2);
    }

    #[test]
    fn an_append_of_duplicates_records_once_and_moves_nothing() {
        let mut seen = Fake::default();
        seen.leaves.insert(Prepared::new(append(&["old"])).unwrap().leaves[0], 3);
        let mut plan = Plan::new(&seen, 10);
        let mut again = append(&["old"]);
        (again.once, again.set, again.rows) = (vec![[7; 32]], vec![(name("r"), 0)], vec![row()]);
        assert_eq!(admit(&mut plan, again.clone()).unwrap().indexes, [3]);
        assert_eq!(plan.once.get(&[7; 32]), Some(&3));
        assert!(plan.registers.is_empty() && plan.rows.is_empty() && plan.added.is_empty());
        assert_eq!(admit(&mut plan, again), Err(AppendError::AlreadyUsed { key: [7; 32], index: 3 }));
    }

    /// Not known to be in the log is not the same as known not to be in it.
    #[test]
    fn an_entry_that_cannot_be_looked_for_is_refused_and_others_are_not() {
        let mut seen = Fake::default();
        seen.unreadable.push(Prepared::new(append(&["old"])).unwrap().leaves[0]);
        let mut plan = Plan::new(&seen, 10);
        let refused = admit(&mut plan, append(&["x", "old"])).unwrap_err();
        assert!(matches!(&refused, AppendError::Unsearchable(why) if why.contains("reindex")), "{refused}");
        assert!(plan.added.is_empty());
        assert_eq!(admit(&mut plan, append(&["x"])).unwrap().indexes, [10]);
    }

    #[test]
    fn a_refused_append_leaves_no_trace() {
        let mut seen = Fake::default();
        seen.registers.insert(name("g"), 4);
        let mut plan = Plan::new(&seen, 10);
        let mut stale = append(&["x"]);
        (stale.once, stale.expect) = (vec![[1; 32]], vec![(name("g"), Some(3))]);
        (stale.set, stale.rows) = (vec![(name("g"), 0)], vec![row()]);
        let refusal = AppendError::StaleExpectation { name: name("g"), wanted: Some(3), actual: Some(4) };
        assert_eq!(admit(&mut plan, stale.clone()), Err(refusal));
        assert!(
            plan.added.is_empty()
                && plan.once.is_empty()
                && plan.registers.is_empty()
                && plan.rows.is_empty()
        );
        stale.expect = vec![(name("g"), Some(4))];
        assert_eq!(admit(&mut plan, stale).unwrap().indexes, [10]);
        let mut second = append(&["y"]);
        second.expect = vec![(name("g"), Some(4))];
        let moved = AppendError::StaleExpectation { name: name("g"), wanted: Some(4), actual: Some(10) };
        assert_eq!(admit(&mut plan, second), Err(moved), "a register moved earlier in the batch counts");
    }
}
