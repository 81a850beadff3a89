//! What the tests share: a sealer, ways to open, a naive tree.

#![allow(dead_code, clippy::unwrap_used, reason = "test code; not every binary uses all of it")]

use std::{
    collections::HashMap,
    path::Path,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use treering_log::{Append, Appended, Config, Log, NewEntry, Seal, SealError, Sealer};
use treering_tlog::{
    checkpoint::Checkpoint,
    hash::{EMPTY_ROOT, Hash, leaf_hash, node_hash},
    note::{Note, NoteSigner, VerifierKey},
};

pub(crate) const ORIGIN: &str = "log.example/tests";

/// Signs with a fixed key; can be told to fail, to sign nonsense, or to wait.
pub(crate) struct TestSealer {
    signer: NoteSigner,
    origin: String,
    mode: Mutex<Mode>,
    changed: Condvar,
    seals: AtomicU64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Sign,
    Fail,
    /// Signs a checkpoint of one entry more than there are.
    Misstate,
    /// Waits until the mode changes.
    Wait,
}

impl TestSealer {
    pub(crate) fn new(seed: u8) -> Arc<Self> {
        Self::of(ORIGIN, seed)
    }

    pub(crate) fn of(origin: &str, seed: u8) -> Arc<Self> {
        let signer = NoteSigner::from_seed(origin, &[seed; 32]).unwrap();
        let (mode, changed, seals) = (Mutex::new(Mode::Sign), Condvar::new(), AtomicU64::new(0));
        Arc::new(Self { signer, origin: origin.to_owned(), mode, changed, seals })
    }

    pub(crate) fn set(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
        self.changed.notify_all();
    }

    pub(crate) fn seals(&self) -> u64 {
        self.seals.load(Ordering::SeqCst)
    }
}

impl Sealer for TestSealer {
    fn origin(&self) -> &str {
        &self.origin
    }

    fn log_key(&self) -> VerifierKey {
        self.signer.verifier().clone()
    }

    fn seal(&self, size: u64, root: &Hash, now_unix: u64) -> Result<Seal, SealError> {
        self.seals.fetch_add(1, Ordering::SeqCst);
        let mode = self.changed.wait_while(self.mode.lock().unwrap(), |mode| *mode == Mode::Wait).unwrap();
        let size = match *mode {
            Mode::Fail => return Err(SealError("the key is out of reach".into())),
            Mode::Misstate => size + 1,
            Mode::Sign | Mode::Wait => size,
        };
        let text = Checkpoint::new(&*self.origin, size, *root).unwrap().body();
        let signature = self.signer.sign(&text).unwrap();
        let note = Note::new(text, vec![signature]).unwrap().to_bytes();
        Ok(Seal { note, receipt: format!("receipt {size} {now_unix}").into_bytes() })
    }
}

pub(crate) fn config(dir: &Path) -> Config {
    let mut config = Config::new(dir, Arc::new(|| 1_700_000_000));
    config.create = true;
    config
}

pub(crate) fn open(dir: &Path) -> Log {
    Log::open(config(dir), TestSealer::new(1)).unwrap()
}

/// So configured, a log writes a table of its index for every eight entries, and merges eight of these.
pub(crate) fn small_runs(dir: &Path) -> Config {
    let mut config = config(dir);
    config.testing_only_run_bits = 3;
    config
}

pub(crate) fn open_small_runs(dir: &Path) -> Log {
    Log::open(small_runs(dir), TestSealer::new(1)).unwrap()
}

/// Does something with each of many, some at a time: what waits for a disk or a child process leaves the processor to
/// others.
pub(crate) fn each<T: Sync>(all: &[T], act: impl Fn(&T) + Sync) {
    let next = Mutex::new(all.iter());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(one) = { next.lock().unwrap().next() } {
                    act(one);
                }
            });
        }
    });
}

/// Copies what is in a folder into another.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(file.file_name());
        if file.file_type().unwrap().is_dir() {
            copy(&file.path(), &target);
        } else {
            std::fs::copy(file.path(), target).unwrap();
        }
    }
}

/// An entry that differs from every other, of a length that varies.
pub(crate) fn entry(i: u64) -> Vec<u8> {
    let mut entry = format!("entry {i} ").into_bytes();
    entry.resize(entry.len() + usize::try_from(i % 7).unwrap(), b'.');
    entry
}

pub(crate) fn leaf(i: u64) -> Hash {
    leaf_hash(&entry(i))
}

/// Appends entries `[from, to)`, 256 at a time.
pub(crate) async fn grow(log: &Log, from: u64, to: u64) {
    let mut at = from;
    while at < to {
        let end = to.min(at + 256);
        let done = append(log, at, end).await;
        assert_eq!(done.indexes(), (at..end).collect::<Vec<_>>());
        at = end;
    }
}

/// Appends entries `[from, to)` at once.
pub(crate) async fn append(log: &Log, from: u64, to: u64) -> Appended {
    let entries = (from..to).map(|i| NewEntry::plain(entry(i))).collect();
    log.append(Append::of(entries)).await.unwrap()
}

/// RFC 9162, sections 2.1.1, 2.1.3.1 and 2.1.4.1, as they are written; subtree roots are remembered.
pub(crate) struct Naive {
    leaves: Vec<Hash>,
    roots: HashMap<(usize, usize), Hash>,
}

impl Naive {
    pub(crate) fn new(leaves: Vec<Hash>) -> Self {
        Self { leaves, roots: HashMap::new() }
    }

    pub(crate) fn root(&mut self, start: usize, end: usize) -> Hash {
        match end - start {
            0 => return EMPTY_ROOT,
            1 => return self.leaves[start],
            _ => {}
        }
        if let Some(root) = self.roots.get(&(start, end)) {
            return *root;
        }
        let k = split(end - start);
        let root = node_hash(&self.root(start, start + k), &self.root(start + k, end));
        self.roots.insert((start, end), root);
        root
    }

    /// PATH(m, D[start:end])
    pub(crate) fn path(&mut self, m: usize, start: usize, end: usize) -> Vec<Hash> {
        if end - start == 1 {
            return Vec::new();
        }
        let k = split(end - start);
        let (mut path, last) = if m < k {
            (self.path(m, start, start + k), self.root(start + k, end))
        } else {
            (self.path(m - k, start + k, end), self.root(start, start + k))
        };
        path.push(last);
        path
    }

    /// PROOF(m, D[0:n])
    pub(crate) fn consistency(&mut self, m: usize, n: usize) -> Vec<Hash> {
        if m == 0 || m == n { Vec::new() } else { self.subproof(m, 0, n, true) }
    }

    fn subproof(&mut self, m: usize, start: usize, end: usize, whole: bool) -> Vec<Hash> {
        if m == end - start {
            return if whole { Vec::new() } else { vec![self.root(start, end)] };
        }
        let k = split(end - start);
        let (mut proof, last) = if m <= k {
            (self.subproof(m, start, start + k, whole), self.root(start + k, end))
        } else {
            (self.subproof(m - k, start + k, end, false), self.root(start, start + k))
        };
        proof.push(last);
        proof
    }
}

/// The largest power of two smaller than n.
fn split(n: usize) -> usize {
    let mut k = 1;
    while k * 2 < n {
        k *= 2;
    }
    k
}
