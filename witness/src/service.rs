//! The witness: the numbered duties of the specification over the state of all logs.
//!
//! In scope: add-checkpoint and the monitoring resource, with atomicity and durability. Out of scope: HTTP.
//!
//! A request is a job for a pool of threads, one for each core. A log has one job at a time from the comparison with its
//! old size to the end of the write (its *turn*); others of the same log wait in line, those of other logs do not. A job
//! ends when the committer of the journal has synced its state; the thread does not wait for that.

mod pool;
mod turn;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, mpsc};
use std::thread::{self, JoinHandle};

use thiserror::Error;
use treering_tlog::{
    add_checkpoint::{parse_request, serialize_response},
    note::{Note, NoteError, VerifierKey},
};

use self::{
    pool::Pool,
    turn::{Line, Turn},
};
use crate::{
    clock::{self, Clock},
    config::Limits,
    evidence::{Evidence, EvidenceDir},
    journal::Journal,
    rate::Bucket,
    rules::{self, Advance, Latest, Refusal, SignedByLog},
    signers::{CosignError, Signers},
    state::State,
    store::{StateDir, StoreError, origin_hash},
};

/// Told the body of the 200 answer, or why there is none; on a thread of the witness, so it must be quick.
pub type Reply = Box<dyn FnOnce(Result<Vec<u8>, AddError>) + Send>;

/// A running witness. Its threads end with it.
pub struct Witness {
    core: Arc<Core>,
    threads: Vec<JoinHandle<()>>,
}

struct Core {
    signers: Signers,
    clock: Clock,
    /// By origin.
    logs: BTreeMap<String, Arc<Log>>,
    /// From the hash of an origin, as in paths, to the origin.
    origins: BTreeMap<String, String>,
    pool: Arc<Pool<Job>>,
    journal: Journal,
    /// Where to keep what proves that a log has forked.
    evidence: Option<EvidenceDir>,
    /// Set by a panic: what is in memory may not be what is on disk.
    broken: Arc<AtomicBool>,
    _dir: StateDir,
}

/// One log.
struct Log {
    /// Trusted keys.
    keys: Vec<VerifierKey>,
    bucket: Mutex<Bucket>,
    line: Line<Queued>,
    /// What is on disk. Written by who holds the turn, read by anyone.
    state: RwLock<Option<Arc<State>>>,
}

enum Job {
    /// A request as it came.
    Parse { body: Vec<u8>, reply: Reply },
    /// One whose turn has come.
    Advance { turn: Turn<Log, Job>, queued: Queued },
}

/// A verified request that waits for its turn.
struct Queued {
    signed: SignedByLog,
    reply: Reply,
}

impl Witness {
    /// Starts from what the state directory holds; anything in it that does not prove itself is an error.
    pub fn open(
        signers: impl Into<Signers>,
        dir: StateDir,
        keys: BTreeMap<String, Vec<VerifierKey>>,
        clock: Clock,
        limits: &Limits,
        evidence: Option<EvidenceDir>,
    ) -> Result<Self, StoreError> {
        let signers = signers.into();
        let (journal, mut states) = dir.start(signers.own())?;
        let origins = keys.keys().map(|origin| (origin_hash(origin), origin.clone())).collect();
        let now = clock::monotonic();
        let mut logs = BTreeMap::new();
        for (origin, keys) in keys {
            let state = states.remove(&origin);
            // Our own cosignature has been verified; the log's must be there as well, since monitors are shown both.
            if let Some(state) = &state
                && !state.is_signed_by(&keys)?
            {
                return Err(StoreError::NotByLog { origin, source: NoteError::NoKnownKey });
            }
            let bucket = Mutex::new(Bucket::new(limits.rate(), now));
            let log = Log { keys, bucket, line: Line::default(), state: RwLock::new(state) };
            logs.insert(origin, Arc::new(log));
        }
        let (pool, broken) = (Arc::new(Pool::new()), Arc::new(AtomicBool::new(false)));
        let core =
            Arc::new(Core { signers, clock, logs, origins, pool, journal, evidence, broken, _dir: dir });
        let mut witness = Self { core, threads: Vec::new() };
        for _ in 0..worker_threads() {
            let core = Arc::clone(&witness.core);
            let thread = thread::Builder::new().name("witness".to_owned()).spawn(move || core.work());
            witness.threads.push(thread.map_err(StoreError::Threads)?);
        }
        Ok(witness)
    }

    /// The key that the state belongs to.
    pub fn verifier(&self) -> &VerifierKey {
        self.core.signers.own()
    }

    /// All keys that it cosigns with.
    pub fn verifiers(&self) -> impl Iterator<Item = &VerifierKey> {
        self.core.signers.verifiers()
    }

    /// The origins that are watched, each with its last cosigned checkpoint.
    pub fn states(&self) -> impl Iterator<Item = (&str, Option<Arc<State>>)> {
        self.core.logs.iter().map(|(origin, log)| (origin.as_str(), log.published()))
    }

    /// Whether anything can still be cosigned. If not, a restart reads the state again.
    pub fn is_well(&self) -> bool {
        self.core.is_well()
    }

    /// Takes the body of an add-checkpoint request; the reply gets the body of the 200 answer.
    ///
    /// 1. Parse; malformed is 400.
    /// 2. Look up the log by its origin; unknown is 404.
    /// 3. Verify the log's signatures; none by a trusted key, or one that fails, is 403.
    /// 4. Take one request from the log's rate; none left is 429. After 3, so that only the log itself can use it up.
    /// 5. Compare old size, stored size, roots and proof in the order of [`rules::advance`]: 400, 409, 422.
    /// 6. Cosign the whole checkpoint at a time that is not 0 and never goes back.
    /// 7. Persist the cosigned checkpoint; from the comparison to here one request of a log at a time.
    /// 8. Answer with the cosignature lines only.
    ///
    /// A reply that is dropped unused says that a thread panicked, or that the witness is stopping.
    pub fn submit(&self, body: Vec<u8>, reply: Reply) {
        self.core.pool.push(Job::Parse { body, reply });
    }

    /// The same for a caller that waits.
    pub fn add_checkpoint(&self, body: &[u8]) -> Result<Vec<u8>, AddError> {
        let (sender, answer) = mpsc::sync_channel(1);
        // The receiver is gone only if the caller's thread is.
        self.submit(body.to_vec(), Box::new(move |result| drop(sender.send(result))));
        answer.recv().unwrap_or(Err(AddError::Broken))
    }

    /// The last cosigned checkpoint of the log whose origin has this hash (lower-case hex of SHA-256), with the log's
    /// verified signatures and ours; `None` is 404.
    pub fn latest(&self, origin_hash: &str) -> Option<Vec<u8>> {
        let log = self.core.logs.get(self.core.origins.get(origin_hash)?)?;
        log.published().map(|state| state.to_bytes())
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.core.pool.close();
        for thread in self.threads.drain(..) {
            // Panics of jobs are caught where they happen.
            drop(thread.join());
        }
    }
}

impl Core {
    fn is_well(&self) -> bool {
        !self.broken.load(Ordering::SeqCst) && self.journal.is_well()
    }

    fn work(&self) {
        while let Some(job) = self.pool.next() {
            // A panic is a mistake in this program. The thread goes on, to refuse; nothing is cosigned any more.
            if catch_unwind(AssertUnwindSafe(|| self.run(job))).is_err() {
                self.broken.store(true, Ordering::SeqCst);
                tracing::error!("a panic: no more cosignatures until a restart");
            }
        }
    }

    fn run(&self, job: Job) {
        match job {
            Job::Parse { body, reply } => match self.check(&body) {
                Err(error) => reply(Err(error)),
                Ok((log, signed)) => {
                    let turn = Turn::new(log, &self.pool, &self.broken);
                    if let Some((turn, queued)) = turn.or_wait(Queued { signed, reply }) {
                        self.advance(turn, queued);
                    }
                }
            },
            Job::Advance { turn, queued } => self.advance(turn, queued),
        }
    }

    /// Duties 1 to 4, which need no turn.
    fn check(&self, body: &[u8]) -> Result<(Arc<Log>, SignedByLog), AddError> {
        if !self.is_well() {
            return Err(AddError::Broken);
        }
        // (1)
        let request = parse_request(body).map_err(Refusal::Malformed)?;
        // (2)
        let origin = request.checkpoint.origin();
        let log =
            self.logs.get(origin).ok_or_else(|| Refusal::UnknownOrigin { origin: origin.to_owned() })?;
        // (3)
        let signed = rules::check_signatures(request, &log.keys)?;
        // (4)
        let taken = log.bucket.lock().unwrap_or_else(PoisonError::into_inner).take(clock::monotonic());
        taken.map_err(|wait| AddError::TooMany { retry_after_s: wait.as_secs() + 1 })?;
        Ok((Arc::clone(log), signed))
    }

    /// Duties 5 to 8.
    fn advance(&self, turn: Turn<Log, Job>, queued: Queued) {
        let Queued { signed, reply } = queued;
        // Without a turn a slower request could put back a smaller tree; and after a failure nothing in memory counts.
        let stepped = if self.is_well() { self.step(turn.log(), signed) } else { Err(AddError::Broken) };
        let (state, answer) = match stepped {
            // The turn ends first: who waits for the reply may ask at once.
            Err(error) => {
                drop(turn);
                return reply(Err(error));
            }
            Ok(stepped) => stepped,
        };
        let published = Arc::clone(&state);
        // (7) The commit point is inside. The turn ends after it, whether or not anybody still waits for the answer.
        self.journal.commit(
            state,
            Box::new(move |committed| {
                if committed.is_ok() {
                    *turn.log().state.write().unwrap_or_else(PoisonError::into_inner) = Some(published);
                }
                drop(turn);
                // (8)
                reply(committed.map(|()| answer).map_err(|_| AddError::NotPersisted));
            }),
        );
    }

    fn step(&self, log: &Log, signed: SignedByLog) -> Result<(Arc<State>, Vec<u8>), AddError> {
        let current = log.published();
        // (5)
        let note = signed.note()?;
        let latest = current.as_ref().map_or(Latest::NEVER, |state| state.latest());
        let step = rules::advance(latest, signed).inspect_err(|refusal| {
            if let Some(state) = &current {
                self.keep_evidence(state, &note, refusal);
            }
        })?;
        // (6)
        self.cosign(&step, current.as_deref())
    }

    /// With the log's signature, and beside the one that was cosigned, a checkpoint may prove that the log has forked.
    fn keep_evidence(&self, state: &State, refused: &Note, refusal: &Refusal) {
        if refusal.status() != 422 {
            return;
        }
        tracing::warn!(%refusal, refused = refused.text(), "a signed checkpoint is not consistent");
        let found = Note::parse(state.as_bytes()).ok();
        let Some(found) = found.and_then(|note| Evidence::of_refusal(&note, refused, refusal)) else {
            return;
        };
        metrics::counter!(FORKS, "origin" => state.checkpoint().origin().to_owned()).increment(1);
        match self.evidence.as_ref().map(|dir| dir.keep(&found)) {
            Some(Ok(Some(path))) => {
                tracing::error!(path = %path.display(), "THE LOG HAS FORKED: evidence kept");
            }
            Some(Err(error)) => {
                tracing::error!(%error, "the log has forked, and the evidence cannot be kept");
            }
            Some(Ok(None)) | None => {}
        }
    }

    fn cosign(&self, step: &Advance, current: Option<&State>) -> Result<(Arc<State>, Vec<u8>), AddError> {
        // If the system's clock goes back, the time of a larger tree still is not below that of a smaller one.
        let time = (self.clock)().max(current.map_or(0, State::time));
        let mut note = step.note()?;
        let lines = self.signers.cosign(note.text(), time)?;
        let answer = serialize_response(&lines);
        note.add_signatures(lines)?;
        Ok((Arc::new(State::cosigned(&note, step.checkpoint().clone(), time)), answer))
    }
}

impl Log {
    fn published(&self) -> Option<Arc<State>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl turn::HasLine for Log {
    type Waiting = Queued;

    fn line(&self) -> &Line<Queued> {
        &self.line
    }
}

impl turn::FromTurn<Log> for Job {
    fn from_turn(turn: Turn<Log, Self>, queued: Queued) -> Self {
        Self::Advance { turn, queued }
    }
}

/// Why no cosignature was given.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AddError {
    /// An earlier write failed or a thread panicked, and what is on disk is not known.
    #[error("an earlier write failed; restart the witness")]
    Broken,
    /// The cosignature cannot be made, such as with a clock before 1970.
    #[error("cannot cosign: {0}")]
    Cosign(#[from] CosignError),
    /// The cosigned note cannot be written.
    #[error("cannot write the note: {0}")]
    Note(#[from] NoteError),
    /// The state could not be written: no answer, since it would be a promise.
    #[error("cannot persist")]
    NotPersisted,
    /// The client's doing.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The log asks more often than it may.
    #[error("the log asks too often; try again in {retry_after_s} s")]
    TooMany {
        /// Whole seconds after which there is room again.
        retry_after_s: u64,
    },
}

const FORKS: &str = "treering_witness_forks_total";

/// One for each core: the work is signatures. Two at least, so that one log's slow clock or disk cannot hold up another.
fn worker_threads() -> usize {
    thread::available_parallelism().map_or(2, |cores| cores.get().max(2))
}
