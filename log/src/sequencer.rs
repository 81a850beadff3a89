//! The sequencer: one thread that owns the tree and commits batches.
//!
//! In scope: the order of things. Out of scope: the rules of admission ([`plan`](crate::plan)), hashing
//! ([`integrate`](crate::integrate)), bytes ([`schema`](crate::schema)).
//!
//! While one batch is being synced, the next gathers in the pool: batches grow with the load, and the cost of a
//! sync is shared by all that wait for it. Nothing about a batch leaves this thread before its sync: neither
//! answers nor refusals, since a refusal can rest on an append of the same batch.

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Instant,
};

use tokio::sync::{oneshot, watch};
use treering_tlog::{bundle, checkpoint::Checkpoint, hash::Hash, note::Note, note::VerifierKey};

use crate::{
    append::{AppendError, Appended, Row},
    checkpoint_file::Keeper,
    committed::Committed,
    head::{Head, Seal, Sealer, WitnessedHead},
    index::{Index, Indexer},
    integrate::{Edge, Filled, Fragment, Grown},
    log::Clock,
    nodes::Memory,
    plan::{Added, Placed, Plan},
    pool::{Job, Pool},
    probe::{Point, Probed},
    schema::{EdgeOf, WIDTH},
    store::{Batch, Store, StoreError},
    tiles,
};

/// What the sequencer shows to readers.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) head: watch::Sender<Option<Arc<Head>>>,
    pub(crate) witnessed: watch::Sender<Option<Arc<WitnessedHead>>>,
    pub(crate) stopped: watch::Sender<bool>,
}

/// The thread's state. All of it is owned by the thread.
pub(crate) struct Sequencer {
    pub(crate) store: Arc<Store>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) published: Arc<Published>,
    pub(crate) memory: Arc<Memory>,
    pub(crate) index: Arc<Index>,
    /// Without it the index is tended on this thread.
    pub(crate) indexer: Option<Indexer>,
    pub(crate) sealer: Arc<dyn Sealer>,
    pub(crate) log_key: VerifierKey,
    pub(crate) clock: Clock,
    pub(crate) edge: Edge,
    pub(crate) keeper: Option<Keeper>,
    pub(crate) probe: Probed,
}

/// What new entries make of the tree: its edge, the tiles that they filled, its head.
type Growth = (Edge, Vec<Filled>, Arc<Head>);

/// Why a batch was not committed.
enum Failure {
    /// Nothing was written and nothing has changed: the next batch may succeed.
    Seal(String),
    /// The state of the disk is unknown or wrong: stop.
    Fatal(StoreError),
}

/// An answer that waits for the commit.
enum Answer {
    Append {
        to: oneshot::Sender<Result<Appended, AppendError>>,
        since: Instant,
        outcome: Result<Placed, AppendError>,
    },
    Done {
        to: oneshot::Sender<Result<(), AppendError>>,
    },
}

impl Answer {
    fn refuse(self, error: AppendError) {
        // A caller who stopped waiting needs no answer, here and below.
        match self {
            Self::Append { to, .. } => drop(to.send(Err(error))),
            Self::Done { to } => drop(to.send(Err(error))),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Fatal(error)
    }
}

impl Sequencer {
    /// Runs until the pool is closed and empty, or a write fails.
    pub(crate) fn run(mut self) {
        let mut last = 0;
        while let Some(jobs) = self.pool.drain() {
            last = jobs.len().max(last / 2);
            if !self.step(jobs) {
                return;
            }
            self.pool.gather(last);
        }
    }

    /// Commits one batch and answers it; `false` if the log has to stop.
    pub(crate) fn step(&mut self, jobs: Vec<Job>) -> bool {
        self.probe.pass(Point::Drained);
        let mut answers = Vec::with_capacity(jobs.len());
        match self.batch(jobs, &mut answers) {
            Ok(()) => {
                self.answer(answers);
                return self.tend();
            }
            Err(Failure::Seal(why)) => {
                tracing::error!(%why, "a tree head could not be sealed, nothing was written");
                refuse(answers, &AppendError::Seal(why));
            }
            Err(Failure::Fatal(error)) => {
                refuse(answers, &self.stop(&error));
                return false;
            }
        }
        true
    }

    /// Takes no more: what the disk holds, only opening the log again can tell.
    fn stop(&self, error: &StoreError) -> AppendError {
        tracing::error!(%error, "the log stops: open it again to find out what the disk holds");
        let poisoned = AppendError::Poisoned(error.to_string());
        self.pool.close(poisoned.clone());
        poisoned
    }

    /// Has full blocks of the index written, once everybody has an answer; `false` if the log has to stop.
    fn tend(&self) -> bool {
        match &self.indexer {
            _ if self.index.waiting() == 0 => true,
            Some(indexer) => {
                indexer.feed();
                true
            }
            None => match self.index.tend(&self.store, &self.probe, &AtomicBool::new(false)) {
                Ok(()) => true,
                Err(error) => {
                    drop(self.stop(&error));
                    false
                }
            },
        }
    }

    /// One batch: plan, integrate, seal, commit, publish.
    fn batch(&mut self, jobs: Vec<Job>, answers: &mut Vec<Answer>) -> Result<(), Failure> {
        let seen = Committed::look(&self.store, &self.index, &self.memory, &jobs);
        let (mut plan, mut rows, mut witnessed) = (Plan::new(&seen, self.edge.size()), Vec::new(), None);
        let mut broken = None;
        for job in jobs {
            match job {
                Job::Append { prepared, since, answer: to } => {
                    let outcome = plan.admit(prepared).unwrap_or_else(|error| {
                        let refusal = AppendError::Poisoned(error.to_string());
                        broken = Some(error);
                        Err(refusal)
                    });
                    answers.push(Answer::Append { to, since, outcome });
                }
                Job::Rows { rows: more, answer: to, .. } => {
                    rows.extend(more);
                    answers.push(Answer::Done { to });
                }
                Job::Witnessed { head, answer: to } => {
                    witnessed = Some(Arc::new(*head));
                    answers.push(Answer::Done { to });
                }
            }
        }
        match broken {
            Some(error) => Err(Failure::Fatal(error)),
            None => self.commit(plan, &rows, witnessed),
        }
    }

    fn commit(
        &mut self,
        plan: Plan<'_, Committed>,
        rows: &[Row],
        witnessed: Option<Arc<WitnessedHead>>,
    ) -> Result<(), Failure> {
        let span =
            tracing::debug_span!("commit", size = self.edge.size(), added = plan.added.len()).entered();
        let store = Arc::clone(&self.store);
        self.probe.pass(Point::Planned);
        let mut batch = store.batch();
        let grown = self.grow(&mut batch, &plan.added)?;
        for (key, index) in sorted(plan.once) {
            batch.once(&key, index);
        }
        for (name, index) in sorted(plan.registers) {
            batch.register(&name, index);
        }
        for row in plan.rows.iter().chain(rows) {
            batch.row(row);
        }
        if let Some(witnessed) = &witnessed {
            batch.witnessed(witnessed);
        }
        // THE COMMIT POINT. Before this call returns nothing of the batch is visible anywhere; after it, all of
        // it is on disk, and opening the log finds it. If we crash inside, opening finds all of it or nothing.
        if !batch.is_empty() {
            self.probe.pass(Point::BeforeCommit);
            batch.commit()?;
            self.probe.pass(Point::AfterCommit);
        }
        drop(span);
        metrics::histogram!("treering_log_batch_entries").record(count(plan.added.len() as u64));
        if let Some((edge, filled, head)) = grown {
            let added = (self.edge.size()..).zip(&plan.added);
            self.index.add(added.map(|(index, added)| (index, &added.leaf)));
            self.memory.show(&edge, filled);
            self.edge = edge;
            metrics::gauge!("treering_log_entries").set(count(head.size));
            self.published.head.send_replace(Some(Arc::clone(&head)));
            if let Some(keeper) = &self.keeper {
                keeper.keep(head);
            }
        }
        if let Some(witnessed) = witnessed {
            metrics::gauge!("treering_log_witnessed_entries").set(count(witnessed.size()));
            self.published.witnessed.send_replace(Some(witnessed));
        }
        self.probe.pass(Point::Published);
        Ok(())
    }

    /// Adds the new entries to the batch, sealed under a new head; `None` if there are none.
    fn grow(&self, batch: &mut Batch<'_>, added: &[Added]) -> Result<Option<Growth>, Failure> {
        if added.is_empty() {
            return Ok(None);
        }
        let leaves: Vec<Hash> = added.iter().map(|added| added.leaf).collect();
        let mut edge = self.edge.clone();
        let grown = edge.integrate(&leaves);
        let head = self.seal(edge.size(), edge.root())?;
        self.probe.pass(Point::Sealed);
        self.store_tree(batch, &grown, added)?;
        for (index, Added { entry, .. }) in (self.edge.size()..).zip(added) {
            if let Some(content) = &entry.content {
                batch.content(index, content);
            }
            for key in &entry.index_keys {
                batch.key(key, index);
            }
        }
        batch.head(&head);
        Ok(Some((edge, grown.filled, Arc::new(head))))
    }

    /// Adds to the batch what an integration made: tiles, and with those of level 0 the bundles of the same entries.
    fn store_tree(&self, batch: &mut Batch<'_>, grown: &Grown, added: &[Added]) -> Result<(), StoreError> {
        for Filled { id, nodes, replaces } in &grown.filled {
            if id.level == 0 {
                let first = id.index * WIDTH;
                let bundle = self.bundle_of(first, first + WIDTH, added)?;
                batch.bundle(id.index, &bundle);
                for start in replaces {
                    batch.remove_fragment(EdgeOf::Bundle, *start);
                }
            }
            batch.tile(*id, &tiles::encode(nodes.hashes(), nodes.inner()));
            for start in replaces {
                batch.remove_fragment(EdgeOf::Tile(id.level), *start);
            }
        }
        for Fragment { level, first, hashes } in &grown.fragments {
            if *level == 0 {
                let bundle = self.bundle_of(*first, *first + hashes.len() as u64, added)?;
                batch.fragment(EdgeOf::Bundle, *first, &bundle);
            }
            batch.fragment(EdgeOf::Tile(*level), *first, &tiles::encode(hashes, &[]));
        }
        Ok(())
    }

    /// Entries `first` to `end` of one bundle. When they fill it, what earlier commits stored of it comes first.
    fn bundle_of(&self, first: u64, end: u64, added: &[Added]) -> Result<Vec<u8>, StoreError> {
        let size = self.edge.size();
        let stored = u16::try_from(size.saturating_sub(first)).unwrap_or(u16::MAX);
        let mut bytes = tiles::edge_bundle(&self.store, first / WIDTH, stored)?;
        let skip = usize::try_from(first.saturating_sub(size)).unwrap_or(usize::MAX);
        let take = usize::try_from(end - first.max(size)).unwrap_or(usize::MAX);
        for Added { entry, .. } in added.iter().skip(skip).take(take) {
            let too_long =
                |_| StoreError::Inconsistent { what: "a new entry", at: size, why: "it is too long" };
            bundle::push(&mut bytes, &entry.bytes).map_err(too_long)?;
        }
        Ok(bytes)
    }

    /// Signs a head, and verifies the signature: a head that opening would refuse is never committed.
    fn seal(&self, size: u64, root: Hash) -> Result<Head, Failure> {
        let sealed_at = (self.clock)();
        let sealed =
            self.sealer.seal(size, &root, sealed_at).map_err(|error| Failure::Seal(error.to_string()))?;
        let Seal { note, receipt } = sealed;
        let head = Head { size, root, sealed_at, note, receipt };
        check_note(&head, self.sealer.origin(), &self.log_key).map_err(Failure::Seal)?;
        Ok(head)
    }

    fn answer(&self, answers: Vec<Answer>) {
        let head = self.published.head.borrow().clone();
        for answer in answers {
            match answer {
                Answer::Append { to, since, outcome } => {
                    let outcome = outcome.and_then(|Placed { indexes, leaves, duplicates }| {
                        // An admitted append means a log of at least two entries, hence a head.
                        let head = head.clone().ok_or(AppendError::Stopped)?;
                        Ok(Appended::new(indexes, leaves, duplicates, head))
                    });
                    metrics::histogram!("treering_log_append_seconds").record(since.elapsed().as_secs_f64());
                    drop(to.send(outcome));
                }
                Answer::Done { to } => drop(to.send(Ok(()))),
            }
            self.probe.pass(Point::Answered);
        }
    }
}

impl Drop for Sequencer {
    /// However the thread ends, also by a panic: nobody waits for ever, and the checkpoint file is complete
    /// before the log counts as stopped.
    fn drop(&mut self) {
        for job in self.pool.abandon(AppendError::Stopped) {
            job.refuse(AppendError::Stopped);
        }
        self.keeper = None;
        self.indexer = None;
        self.published.stopped.send_replace(true);
    }
}

fn refuse(answers: Vec<Answer>, error: &AppendError) {
    for answer in answers {
        answer.refuse(error.clone());
    }
}

/// Checks that the note of a head says what the head says, and that the log's key signed it.
pub(crate) fn check_note(head: &Head, origin: &str, key: &VerifierKey) -> Result<(), String> {
    let note = Note::parse(&head.note).map_err(|error| error.to_string())?;
    let checkpoint = Checkpoint::parse(note.text()).map_err(|error| error.to_string())?;
    if (checkpoint.origin(), checkpoint.size(), checkpoint.root()) != (origin, head.size, &head.root) {
        return Err(format!(
            "the note is for {} size {} root {}, wanted {origin} size {} root {}",
            checkpoint.origin(),
            checkpoint.size(),
            checkpoint.root(),
            head.size,
            head.root
        ));
    }
    note.verify(std::slice::from_ref(key)).map(drop).map_err(|error| error.to_string())
}

/// In a fixed order, so that equal batches are equal bytes.
fn sorted<K: Ord>(map: impl IntoIterator<Item = (K, u64)>) -> Vec<(K, u64)> {
    let mut pairs: Vec<_> = map.into_iter().collect();
    pairs.sort_unstable();
    pairs
}

/// A count as a metric; beyond 2^53 the last digits do not matter.
#[expect(clippy::cast_precision_loss, reason = "metrics are floating-point")]
fn count(n: u64) -> f64 {
    n as f64
}
