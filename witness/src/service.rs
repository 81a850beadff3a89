//! The witness: the numbered duties of the specification over the state of all logs.
//!
//! In scope: add-checkpoint and the monitoring resource, with atomicity and durability. Out of scope: HTTP.
//!
//! All calls block (they hash, sign and sync): call them off the async threads.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use thiserror::Error;
use treering_tlog::{
    add_checkpoint::{parse_request, serialize_response},
    cosignature::{CosignSigner, CosignatureError},
    note::{NoteError, VerifierKey},
};

use crate::{
    clock::Clock,
    rules::{self, Advance, Latest, Refusal},
    store::{State, StateDir, StateError, StoreError, origin_hash},
};

/// A running witness.
pub struct Witness {
    signer: CosignSigner,
    clock: Clock,
    dir: StateDir,
    /// By origin.
    logs: BTreeMap<String, Log>,
    /// From the hash of an origin, as in paths, to the origin.
    origins: BTreeMap<String, String>,
}

/// One log.
struct Log {
    /// Trusted keys.
    keys: Vec<VerifierKey>,
    /// Held from the comparison with the old size to the end of the write. `Broken` after a write whose outcome is not
    /// known: what is in memory may then be older than what is on disk.
    commit: Mutex<Health>,
    /// What is on disk. Written under `commit` only, read by anyone.
    state: RwLock<Option<Arc<State>>>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Health {
    Well,
    Broken,
}

impl Witness {
    /// Starts from what the state directory holds; anything in it that does not prove itself is an error.
    pub fn open(
        signer: CosignSigner,
        dir: StateDir,
        keys: BTreeMap<String, Vec<VerifierKey>>,
        clock: Clock,
    ) -> Result<Self, StoreError> {
        let mut states = dir.load(signer.verifier())?;
        let origins = keys.keys().map(|origin| (origin_hash(origin), origin.clone())).collect();
        let mut logs = BTreeMap::new();
        for (origin, keys) in keys {
            let state = states.remove(&origin);
            // Our own cosignature has been verified; the log's must be there as well, since monitors are shown both.
            if let Some(Err(source)) = state.as_ref().map(|state| state.note().verify(&keys)) {
                return Err(StoreError::NotByLog { origin, source });
            }
            let state = RwLock::new(state.map(Arc::new));
            logs.insert(origin, Log { keys, commit: Mutex::new(Health::Well), state });
        }
        Ok(Self { signer, clock, dir, logs, origins })
    }

    /// The key of this witness.
    pub fn verifier(&self) -> &VerifierKey {
        self.signer.verifier()
    }

    /// The origins that are watched, each with its last cosigned checkpoint.
    pub fn states(&self) -> impl Iterator<Item = (&str, Option<Arc<State>>)> {
        self.logs.iter().map(|(origin, log)| (origin.as_str(), log.published()))
    }

    /// Whether every log can still be cosigned. If not, a restart reads the state again.
    pub fn is_well(&self) -> bool {
        self.logs.values().all(|log| {
            log.commit.try_lock().map_or_else(
                |error| matches!(error, std::sync::TryLockError::WouldBlock),
                |health| *health == Health::Well,
            )
        })
    }

    /// Takes the body of an add-checkpoint request and gives the body of the 200 answer.
    ///
    /// 1. Parse; malformed is 400.
    /// 2. Look up the log by its origin; unknown is 404.
    /// 3. Verify the log's signatures; none by a trusted key, or one that fails, is 403.
    /// 4. Compare old size, stored size, roots and proof in the order of [`rules::advance`]: 400, 409, 422.
    /// 5. Cosign the whole checkpoint at a time that is not 0 and never goes back.
    /// 6. Persist the cosigned checkpoint, atomically with 4, before anyone is told.
    /// 7. Answer with the cosignature line only.
    pub fn add_checkpoint(&self, body: &[u8]) -> Result<Vec<u8>, AddError> {
        // (1)
        let request = parse_request(body).map_err(Refusal::Malformed)?;
        // (2)
        let origin = request.checkpoint.origin();
        let log =
            self.logs.get(origin).ok_or_else(|| Refusal::UnknownOrigin { origin: origin.to_owned() })?;
        // (3) Costly, and independent of the state: before the lock.
        let signed = rules::check_signatures(request, &log.keys)?;

        // One writer at a time for each log: without this lock a slower request could put back a smaller tree.
        let mut health = log.commit.lock().map_err(|_| AddError::Broken)?;
        if *health == Health::Broken {
            return Err(AddError::Broken);
        }
        let current = log.published();
        // (4)
        let note = signed.note()?;
        let latest = current.as_ref().map_or(Latest::NEVER, |state| state.latest());
        let step = rules::advance(latest, signed).inspect_err(|refusal| {
            // With the log's signature, and beside the one that was cosigned, this may prove that the log has forked.
            if refusal.is_evidence() {
                tracing::warn!(%refusal, checkpoint = note.to_string(), "signed checkpoint is not consistent");
            }
        })?;
        // (5)
        let (state, answer) = self.cosign(&step, current.as_deref())?;
        // (6) The commit point is inside: after it the state survives a crash.
        if let Err(error) = self.dir.replace(&state) {
            // The old or the new state may be on disk. Going on from the old one could cosign two histories.
            *health = Health::Broken;
            return Err(AddError::NotPersisted(error));
        }
        *log.state.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(state));
        // (7)
        Ok(answer)
    }

    /// The last cosigned checkpoint of the log whose origin has this hash (lower-case hex of SHA-256), with the log's
    /// verified signatures and ours; `None` is 404.
    pub fn latest(&self, origin_hash: &str) -> Option<Vec<u8>> {
        let log = self.logs.get(self.origins.get(origin_hash)?)?;
        log.published().map(|state| state.note().to_bytes())
    }

    fn cosign(&self, step: &Advance, current: Option<&State>) -> Result<(State, Vec<u8>), AddError> {
        // If the system's clock goes back, the time of a larger tree still is not below that of a smaller one.
        let time = (self.clock)().max(current.map_or(0, State::time));
        let line = self.signer.cosign(&step.checkpoint().body(), time)?;
        let answer = serialize_response(std::slice::from_ref(&line));
        let mut note = step.note()?;
        note.add_signatures([line])?;
        // Verifies our own line again: what cannot be read back must not be written.
        let state = State::new(note, self.signer.verifier())?;
        Ok((state, answer))
    }
}

impl Log {
    fn published(&self) -> Option<Arc<State>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Why no cosignature was given.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AddError {
    /// An earlier write failed, and what is on disk is not known.
    #[error("an earlier write for this log failed; restart the witness")]
    Broken,
    /// The cosignature cannot be made, such as with a clock before 1970.
    #[error("cannot cosign: {0}")]
    Cosign(#[from] CosignatureError),
    /// The cosigned note cannot be written.
    #[error("cannot write the note: {0}")]
    Note(#[from] NoteError),
    /// The state could not be written: no answer, since it would be a promise.
    #[error("cannot persist: {0}")]
    NotPersisted(StoreError),
    /// The client's doing.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The own signature does not verify.
    #[error("cannot read back what would be written: {0}")]
    State(#[from] StateError),
}
