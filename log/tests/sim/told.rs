//! What anybody outside was told, and the rules that it must never break.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use tokio::time::Instant;
use treering_tlog::{
    checkpoint::Checkpoint,
    consistency,
    hash::{Hash, leaf_hash},
    inclusion,
    note::{Note, VerifierKey},
};

use crate::{Appended, Log, RegisterName};

/// Shared by clients, witnesses and whoever reads the log's folder.
#[derive(Clone)]
pub(crate) struct Told(Arc<Mutex<State>>);

struct State {
    key: VerifierKey,
    begun: Instant,
    trace: Vec<String>,
    heads: BTreeMap<u64, Hash>,
    /// The notes of the heads as they came, so that each is verified once.
    notes: BTreeMap<u64, Vec<u8>>,
    entries: BTreeMap<u64, String>,
    indexes: BTreeMap<String, u64>,
    once: BTreeMap<[u8; 32], u64>,
    /// Once keys of appends that were answered with an index.
    accepted: BTreeSet<[u8; 32]>,
    /// For each register, from where to where an answered append has moved it.
    moves: BTreeMap<(RegisterName, Option<u64>), u64>,
    registers: BTreeMap<RegisterName, u64>,
    witnessed: u64,
}

impl Told {
    pub(crate) fn new(key: VerifierKey) -> Self {
        Self(Arc::new(Mutex::new(State {
            key,
            begun: Instant::now(),
            trace: Vec::new(),
            heads: BTreeMap::new(),
            notes: BTreeMap::new(),
            entries: BTreeMap::new(),
            indexes: BTreeMap::new(),
            once: BTreeMap::new(),
            accepted: BTreeSet::new(),
            moves: BTreeMap::new(),
            registers: BTreeMap::new(),
            witnessed: 0,
        })))
    }

    /// Writes one event down, with its time.
    pub(crate) fn trace(&self, what: impl std::fmt::Display) {
        let mut state = self.0.lock().unwrap();
        let at = state.begun.elapsed().as_millis();
        state.trace.push(format!("{at} {what}"));
    }

    pub(crate) fn into_trace(self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().trace)
    }

    /// A checkpoint that somebody outside holds: signed, and the only one of its size.
    pub(crate) fn note(&self, size: u64, bytes: &[u8]) {
        let mut state = self.0.lock().unwrap();
        if state.notes.get(&size).is_some_and(|known| known == bytes) {
            return;
        }
        let note = Note::parse(bytes).unwrap();
        note.verify(std::slice::from_ref(&state.key)).unwrap();
        let checkpoint = Checkpoint::parse(note.text()).unwrap();
        let root = *checkpoint.root();
        assert_eq!(checkpoint.size(), size);
        assert!(size >= 2, "a head of size {size} was signed");
        let before = state.heads.insert(size, root);
        assert!(before.is_none_or(|before| before == root), "FORK: size {size} was signed with two roots");
        state.notes.insert(size, bytes.to_vec());
    }

    /// An answered append.
    pub(crate) fn answer(&self, done: &Appended, texts: &[String], once: Option<[u8; 32]>) {
        self.note(done.head().size(), done.head().note());
        let mut state = self.0.lock().unwrap();
        for (index, text) in done.indexes().iter().zip(texts) {
            assert!(*index < done.head().size(), "the head of an answer covers it");
            let before = state.entries.insert(*index, text.clone());
            assert!(before.is_none_or(|before| before == *text), "entry {index} was answered with two texts");
            let before = state.indexes.insert(text.clone(), *index);
            assert!(before.is_none_or(|before| before == *index), "{text} was answered with two indexes");
        }
        if let Some(key) = once {
            assert!(state.accepted.insert(key), "a once key was accepted twice");
            // The refusal of a doubled request can be read before the answer to the first.
            let before = state.once.insert(key, done.indexes()[0]);
            assert!(before.is_none_or(|before| before == done.indexes()[0]), "two entries used a once key");
        }
    }

    /// A once key that was refused as used: by this entry.
    pub(crate) fn used(&self, key: [u8; 32], index: u64) {
        let before = self.0.lock().unwrap().once.insert(key, index);
        assert!(before.is_none_or(|before| before == index), "a once key was used by two entries");
    }

    /// An answered append has moved a register: nobody else has moved it from there.
    pub(crate) fn moved(&self, name: &RegisterName, from: Option<u64>, to: u64) {
        let mut state = self.0.lock().unwrap();
        let before = state.moves.insert((name.clone(), from), to);
        assert!(before.is_none_or(|before| before == to), "register {name} was moved from {from:?} twice");
        let last = state.registers.entry(name.clone()).or_insert(to);
        *last = (*last).max(to);
    }

    /// A head was shown with a quorum of cosignatures.
    pub(crate) fn witnessed(&self, size: u64) {
        let mut state = self.0.lock().unwrap();
        assert!(state.heads.contains_key(&size), "a witnessed head of size {size} that nobody was told");
        state.witnessed = state.witnessed.max(size);
    }

    pub(crate) fn witnessed_size(&self) -> u64 {
        self.0.lock().unwrap().witnessed
    }

    /// Holds a log to everything that was told.
    pub(crate) fn check(&self, log: &Log) {
        let state = self.0.lock().unwrap();
        let size = log.size();
        let most = state.heads.keys().next_back().copied().unwrap_or(0);
        assert!(size >= most, "the log shrank from {most} to {size}");
        let Some(head) = log.head() else {
            assert!(state.entries.is_empty(), "there is no log any more");
            return;
        };
        for (told, root) in &state.heads {
            assert_eq!(log.root_at(*told).unwrap(), *root, "a head of size {told} left, and is not ours");
            let proof = log.consistency(*told, size).unwrap();
            consistency::verify(*told, size, root, head.root(), &proof).unwrap();
        }
        for (index, text) in &state.entries {
            let leaf = leaf_hash(text.as_bytes());
            assert_eq!(log.entry(*index).unwrap().unwrap(), text.as_bytes());
            assert_eq!(log.index_of_leaf(&leaf).unwrap(), Some(*index), "{text}");
            let path = log.inclusion(*index, size).unwrap();
            inclusion::verify(&leaf, *index, size, &path, head.root()).unwrap();
        }
        for (key, index) in &state.once {
            assert_eq!(log.used(key).unwrap(), Some(*index), "a once key was forgotten");
        }
        for (name, index) in &state.registers {
            assert!(log.register(name).unwrap() >= Some(*index), "register {name} went back");
        }
    }

    /// The same for what costs little: after every step.
    pub(crate) fn check_briefly(&self, log: &Log) {
        let state = self.0.lock().unwrap();
        let Some((most, root)) = state.heads.iter().next_back() else { return };
        assert!(log.size() >= *most, "the log shrank from {most} to {}", log.size());
        assert_eq!(log.root_at(*most).unwrap(), *root);
        if let Some((index, text)) = state.entries.iter().next_back() {
            assert_eq!(log.entry(*index).unwrap().unwrap(), text.as_bytes());
        }
        for (name, index) in &state.registers {
            assert!(log.register(name).unwrap() >= Some(*index), "register {name} went back");
        }
    }
}
