//! Generated logs: one tree for all of them, a key for each, and requests signed in advance.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::thread;

use treering_tlog::{
    add_checkpoint::{AddCheckpoint, serialize_request},
    checkpoint::Checkpoint,
    consistency,
    hash::{Hash, leaf_hash},
    note::{Note, NoteSigner},
    tree::{Frontier, NodeCoord},
};

use super::BenchError;

/// All logs of a run.
pub(super) struct Logs {
    logs: Vec<Log>,
}

/// One log: what it sends next is the checkpoint one larger than the last.
pub(super) struct Log {
    signer: NoteSigner,
    tree: Arc<Tree>,
    /// Size that was prepared last.
    size: u64,
    prepared: VecDeque<Vec<u8>>,
}

/// The roots of a tree at every size, and the proofs between neighbours.
struct Tree {
    steps: Vec<(Hash, Vec<Hash>)>,
}

impl Logs {
    /// Logs with as many requests as could be sent in that time.
    pub(super) fn new(origins: usize, seconds: u64) -> Result<Self, BenchError> {
        let seconds = usize::try_from(seconds).unwrap_or(usize::MAX);
        let each = seconds.saturating_mul(PREPARED_PER_SECOND).div_ceil(origins);
        let tree = Arc::new(Tree::new(each.saturating_mul(4).clamp(1_000, MAX_SIZE)));
        let mut logs = (0..origins).map(|place| Log::new(place, &tree)).collect::<Result<Vec<_>, _>>()?;
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let share = origins.div_ceil(cores);
        let prepare = |logs: &mut [Log]| logs.iter_mut().try_for_each(|log| log.prepare(each));
        thread::scope(|scope| {
            let threads: Vec<_> =
                logs.chunks_mut(share).map(|share| scope.spawn(move || prepare(share))).collect();
            threads.into_iter().try_for_each(|thread| {
                thread.join().unwrap_or_else(|_| Err(BenchError::Log("a thread panicked".to_owned())))
            })
        })?;
        Ok(Self { logs })
    }

    pub(super) fn vkeys(&self) -> impl Iterator<Item = String> {
        self.logs.iter().map(|log| log.signer.verifier().to_string())
    }

    /// Deals the logs out to clients.
    pub(super) fn share(self, clients: usize) -> Vec<Vec<Log>> {
        let mut shares: Vec<Vec<Log>> = (0..clients).map(|_| Vec::new()).collect();
        for (place, log) in self.logs.into_iter().enumerate() {
            if let Some(share) = shares.get_mut(place % clients) {
                share.push(log);
            }
        }
        shares
    }
}

impl Log {
    fn new(place: usize, tree: &Arc<Tree>) -> Result<Self, BenchError> {
        let mut seed = [9; 32];
        seed.iter_mut().zip(place.to_be_bytes()).for_each(|(seed, byte)| *seed = byte);
        let signer = NoteSigner::from_seed(format!("bench.example/log/{place}"), &seed)?;
        Ok(Self { signer, tree: Arc::clone(tree), size: 0, prepared: VecDeque::new() })
    }

    fn prepare(&mut self, count: usize) -> Result<(), BenchError> {
        for _ in 0..count {
            let request = self.make()?;
            self.prepared.push_back(request);
        }
        Ok(())
    }

    /// The next request as HTTP/1.1, and whether it was ready.
    pub(super) fn next(&mut self) -> Result<(Vec<u8>, bool), BenchError> {
        match self.prepared.pop_front() {
            Some(request) => Ok((request, true)),
            None => Ok((self.make()?, false)),
        }
    }

    fn make(&mut self) -> Result<Vec<u8>, BenchError> {
        let error = |error: &dyn ToString| BenchError::Log(error.to_string());
        // At the end of the tree the largest checkpoint is sent again, which a witness cosigns again.
        let last = self.tree.steps.len() as u64;
        let (old, size) = if self.size < last { (self.size, self.size + 1) } else { (last, last) };
        let step = usize::try_from(size - 1).ok().and_then(|place| self.tree.steps.get(place));
        let (root, proof) = step.ok_or_else(|| BenchError::Log("no tree".to_owned()))?;
        let proof = if old < size { proof.clone() } else { Vec::new() };
        let checkpoint = Checkpoint::new(self.signer.name(), size, *root).map_err(|e| error(&e))?;
        let body = checkpoint.body();
        let line = self.signer.sign(&body).map_err(|e| error(&e))?;
        let note = Note::new(body, vec![line]).map_err(|e| error(&e))?;
        let request = AddCheckpoint::new(old, proof, &note.to_bytes()).map_err(|e| error(&e))?;
        self.size = size;
        let body = serialize_request(&request);
        let head = format!(
            "POST /add-checkpoint HTTP/1.1\r\nhost: witness\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        Ok([head.into_bytes(), body].concat())
    }
}

impl Tree {
    fn new(size: usize) -> Self {
        let mut nodes: BTreeMap<NodeCoord, Hash> = BTreeMap::new();
        let mut tree = Frontier::new();
        let mut steps = Vec::with_capacity(size);
        for leaf in 0..size as u64 {
            tree.push_visit(leaf_hash(&leaf.to_be_bytes()), |coord, hash| {
                nodes.insert(coord, hash);
            });
            // Complete nodes below the size are all there, so that no default is ever taken.
            let node =
                |coord| Ok::<_, Infallible>(nodes.get(&coord).copied().unwrap_or_else(|| leaf_hash(b"")));
            steps.push((tree.root(), consistency::prove(leaf, leaf + 1, node).unwrap_or_default()));
        }
        Self { steps }
    }
}

/// Above what two cores have been seen to do, so that signing is not part of what is measured.
const PREPARED_PER_SECOND: usize = 16_000;
/// Proofs of a tree this large are made in a few seconds.
const MAX_SIZE: usize = 200_000;
