//! Random appends and reopens against a model in memory.

use std::collections::BTreeMap;

use proptest::prelude::*;
use treering_log::{Append, AppendError, Log, NewEntry, RegisterName, Row, fsck};
use treering_tlog::hash::leaf_hash;

use crate::support::{Naive, open};

/// One step. Small alphabets, so that duplicates, used keys and stale registers are common.
#[derive(Clone, Debug)]
enum Step {
    Append {
        entries: Vec<u8>,
        once: Vec<u8>,
        expect: Vec<(u8, Guess)>,
        set: Vec<(u8, u8)>,
        rows: Vec<(u8, Option<u8>)>,
    },
    Rows(Vec<(u8, Option<u8>)>),
    Reopen,
}

#[derive(Clone, Copy, Debug)]
enum Guess {
    Right,
    Wrong,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let rows = || proptest::collection::vec((0u8..6, proptest::option::of(any::<u8>())), 0..3);
    let guess = prop_oneof![6 => Just(Guess::Right), 1 => Just(Guess::Wrong)];
    let append = (
        proptest::collection::vec(0u8..60, 1..6),
        proptest::collection::vec(0u8..40, 0..2),
        proptest::collection::vec((0u8..3, guess), 0..2),
        proptest::collection::vec((0u8..3, 0u8..6), 0..2),
        rows(),
    );
    let append = append.prop_map(|(entries, once, expect, set, rows)| Step::Append {
        entries,
        once,
        expect,
        set,
        rows,
    });
    let step = prop_oneof![12 => append, 2 => rows().prop_map(Step::Rows), 2 => Just(Step::Reopen)];
    proptest::collection::vec(step, 1..30)
}

#[derive(Debug, Default)]
struct Model {
    entries: Vec<u8>,
    once: BTreeMap<u8, u64>,
    registers: BTreeMap<u8, u64>,
    rows: BTreeMap<u8, u8>,
}

/// The answer that the model gives: indexes and duplicates, or the kind of refusal.
type Outcome = Result<(Vec<u64>, Vec<bool>), &'static str>;

impl Model {
    fn apply(&mut self, step: &Step) -> Outcome {
        let Step::Append { entries, once, expect, set, rows } = step else {
            if let Step::Rows(rows) = step {
                self.put(rows);
            }
            return Ok((vec![], vec![]));
        };
        if set.iter().any(|(_, position)| usize::from(*position) >= entries.len()) {
            return Err("no such entry");
        }
        if expect.iter().any(|(_, guess)| matches!(guess, Guess::Wrong)) {
            return Err("stale");
        }
        if once.iter().any(|key| self.once.contains_key(key)) {
            return Err("used");
        }
        let (mut log, mut indexes, mut duplicates) = (self.entries.clone(), vec![], vec![]);
        for entry in entries {
            let known = log.iter().position(|known| known == entry);
            duplicates.push(known.is_some());
            indexes.push(known.unwrap_or(log.len()) as u64);
            if known.is_none() {
                log.push(*entry);
            }
        }
        if self.entries.is_empty() && log.len() < 2 {
            return Err("genesis");
        }
        for (name, position) in set {
            if !duplicates[usize::from(*position)] {
                self.registers.insert(*name, indexes[usize::from(*position)]);
            }
        }
        self.once.extend(once.iter().map(|key| (*key, indexes[0])));
        if log.len() > self.entries.len() {
            self.put(rows);
        }
        self.entries = log;
        Ok((indexes, duplicates))
    }

    fn put(&mut self, rows: &[(u8, Option<u8>)]) {
        for (key, value) in rows {
            match value {
                Some(value) => drop(self.rows.insert(*key, *value)),
                None => drop(self.rows.remove(key)),
            }
        }
    }

    /// The append that the step asks of a log in this state.
    fn append(&self, step: &Step) -> Option<Append> {
        let Step::Append { entries, once, expect, set, rows } = step else { return None };
        let expect = expect.iter().map(|(name, guess)| {
            let now = self.registers.get(name).copied();
            let value = match guess {
                Guess::Right => now,
                Guess::Wrong => Some(now.map_or(0, |now| now + 1)),
            };
            (register(*name), value)
        });
        Some(Append {
            entries: entries.iter().map(|entry| new_entry(*entry)).collect(),
            once: once.iter().map(|key| [*key; 32]).collect(),
            expect: expect.collect(),
            set: set.iter().map(|(name, position)| (register(*name), usize::from(*position))).collect(),
            rows: rows_of(rows),
        })
    }

    fn check(&self, log: &Log) {
        assert_eq!(log.size(), self.entries.len() as u64);
        let mut naive = Naive::new(self.entries.iter().map(|entry| leaf_hash(&bytes(*entry))).collect());
        if !self.entries.is_empty() {
            assert_eq!(log.head().unwrap().root(), &naive.root(0, self.entries.len()));
        }
        for entry in 0..60u8 {
            let index = self.entries.iter().position(|known| *known == entry).map(|index| index as u64);
            let leaf = leaf_hash(&bytes(entry));
            assert_eq!(log.index_of_leaf(&leaf).unwrap(), index);
            assert_eq!(log.content(&leaf).unwrap(), index.and_then(|_| new_entry(entry).content));
            if let Some(index) = index {
                assert_eq!(log.entry(index).unwrap().unwrap(), bytes(entry));
                assert_eq!(log.leaf(index).unwrap().unwrap(), leaf);
            }
        }
        for key in 0..40u8 {
            assert_eq!(log.used(&[key; 32]).unwrap(), self.once.get(&key).copied());
        }
        for name in 0..3u8 {
            assert_eq!(log.register(&register(name)).unwrap(), self.registers.get(&name).copied());
        }
        let rows: Vec<_> = self.rows.iter().map(|(key, value)| (vec![*key], vec![*value])).collect();
        assert_eq!(log.rows(9, &[]).unwrap(), rows);
        for class in 0..4u8 {
            let all: Vec<u64> = (0u64..)
                .zip(&self.entries)
                .filter(|(_, entry)| *entry % 4 == class)
                .map(|(index, _)| index)
                .collect();
            assert_eq!(log.lookup(&[class; 32], None, 1000).unwrap(), all);
            let after = all.iter().copied().nth(1);
            let rest: Vec<u64> =
                all.iter().copied().filter(|index| after.is_none_or(|after| *index > after)).collect();
            assert_eq!(log.lookup(&[class; 32], after, 3).unwrap(), &rest[..rest.len().min(3)]);
        }
    }
}

fn bytes(entry: u8) -> Vec<u8> {
    vec![entry; 1 + usize::from(entry % 5)]
}

fn new_entry(entry: u8) -> NewEntry {
    let content = entry.is_multiple_of(3).then(|| vec![entry; 100]);
    NewEntry { bytes: bytes(entry), content, index_keys: vec![[entry % 4; 32], [200; 32]] }
}

fn register(name: u8) -> RegisterName {
    RegisterName::new(format!("register/{name}")).unwrap()
}

fn rows_of(rows: &[(u8, Option<u8>)]) -> Vec<Row> {
    let row = |(key, value): &(u8, Option<u8>)| Row {
        table: 9,
        key: vec![*key],
        value: value.map(|value| vec![value]),
    };
    rows.iter().map(row).collect()
}

async fn run(steps: &[Step]) {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, mut model) = (open(dir.path()), Model::default());
    for step in steps {
        let append = model.append(step);
        let expected = model.apply(step);
        match step {
            Step::Append { .. } => {
                let answer = log.append(append.unwrap()).await;
                let actual =
                    answer.as_ref().map(|done| (done.indexes().to_vec(), done.duplicates().to_vec()));
                let actual = actual.map_err(|error| match error {
                    AppendError::NoSuchEntry { .. } => "no such entry",
                    AppendError::StaleExpectation { .. } => "stale",
                    AppendError::AlreadyUsed { .. } => "used",
                    AppendError::Genesis { .. } => "genesis",
                    other => panic!("{other}"),
                });
                assert_eq!(actual, expected);
                if let Ok(done) = answer {
                    assert_eq!(
                        done.head().size(),
                        model.entries.len() as u64,
                        "the newest head, also for duplicates"
                    );
                }
            }
            Step::Rows(rows) => log.put_rows(rows_of(rows)).await.unwrap(),
            Step::Reopen => {
                drop(log);
                log = open(dir.path());
                model.check(&log);
            }
        }
    }
    model.check(&log);
    assert_eq!(fsck::check(&log, |_, _| ()).findings, vec![]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn the_log_does_what_the_model_does(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(&steps));
    }
}

/// Rows can be read in pages, and tables do not touch.
#[tokio::test]
async fn rows_in_pages() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let row = |table: u8, key: &[u8]| Row { table, key: key.to_vec(), value: Some(key.to_vec()) };
    let keys: [&[u8]; 5] = [b"a", b"a1", b"a2", b"b", b""];
    let rows = keys.iter().map(|key| row(1, key)).chain([row(0, b"a"), row(2, b"a")]).collect();
    log.put_rows(rows).await.unwrap();
    let found = |prefix: &[u8], after: Option<&[u8]>, limit| {
        let rows = log.rows_after(1, prefix, after, limit).unwrap();
        rows.into_iter().map(|(key, _)| String::from_utf8(key).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(found(b"", None, 10), ["", "a", "a1", "a2", "b"]);
    assert_eq!(found(b"a", None, 10), ["a", "a1", "a2"]);
    assert_eq!(found(b"a", Some(b"a"), 1), ["a1"]);
    assert_eq!(found(b"a", Some(b"a2"), 10), Vec::<String>::new());
    assert_eq!(log.row(1, b"a1").unwrap().unwrap(), b"a1");
    assert_eq!(log.row(3, b"a1").unwrap(), None);
}
