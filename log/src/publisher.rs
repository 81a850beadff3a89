//! Bringing heads to witnesses: one candidate at a time, until a quorum has cosigned it.
//!
//! In scope: which head is brought, what an answer is worth, when to ask again, and the question that comes
//! before anything is signed ([`check_start`]). Out of scope: HTTP, which is the caller's [`Cosigner`].
//!
//! Every witness has a task of its own that follows the candidate; a slow one never delays the others. When
//! the quorum is reached, the cosigned head is committed and shown, and the newest head becomes the candidate:
//! what was appended meanwhile is covered by it.

mod start;
mod worker;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time,
};
use treering_tlog::{
    hash::Hash,
    note::{Note, NoteSignature},
    policy::Policy,
};

use crate::{
    head::{Head, WitnessedHead},
    log::Log,
};

pub use start::{StartError, check_start};
use worker::{Event, Worker};

/// A future that a trait object can return.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One witness, as the publisher reaches it.
pub trait Cosigner: Send + Sync {
    /// The witness's name in the policy.
    fn name(&self) -> &str;

    /// Asks for a cosignature: C2SP tlog-witness, `add-checkpoint`.
    fn add_checkpoint<'a>(
        &'a self,
        old_size: u64,
        proof: &'a [Hash],
        note: &'a [u8],
    ) -> BoxFuture<'a, Result<Cosigned, CosignError>>;

    /// The latest checkpoint of an origin that the witness has cosigned, with the log's signature and its own;
    /// `None` if it has none.
    fn latest<'a>(&'a self, origin: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, CosignError>>;
}

/// A witness's answer. Not believed until its cosignature is verified.
#[derive(Clone, Debug)]
pub struct Cosigned {
    /// The signature lines.
    pub lines: Vec<NoteSignature>,
}

/// Why a witness did not cosign.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CosignError {
    /// The witness has cosigned another size than was named (409).
    #[error("the witness is at size {size}")]
    Conflict {
        /// The size it has cosigned.
        size: u64,
    },
    /// Any other answer that is no cosignature.
    #[error("the witness refused with status {status}: {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What it said, cut to a line.
        message: String,
    },
    /// No answer.
    #[error("the witness cannot be reached: {0}")]
    Unreachable(String),
}

/// How long to wait for witnesses.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// One request.
    pub request: Duration,
    /// The pause after a first failure; it doubles with each further one.
    pub pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            request: Duration::from_secs(5),
            pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(30),
        }
    }
}

/// The publisher's tasks; they end when this is dropped, or when the log stops.
pub struct Publisher {
    tasks: JoinSet<()>,
    state: watch::Receiver<State>,
}

/// How publishing goes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// Heads are brought to witnesses.
    Running,
    /// A witness has cosigned more than this log has. The log takes no more appends, since it would fork its
    /// own history; the text says what to do.
    Halted(String),
    /// The log was stopped.
    Stopped,
}

impl Publisher {
    /// Asks the witnesses whether this log is their latest ([`check_start`]), lets appends in, and starts.
    pub async fn spawn(
        log: Log,
        policy: Policy,
        cosigners: Vec<Arc<dyn Cosigner>>,
        timing: Timing,
    ) -> Result<Self, StartError> {
        let seen = check_start(&log, &policy, &cosigners, timing.request).await?;
        let log_key = log.log_key().cloned().ok_or(StartError::ReadOnly)?;
        log.release();
        let (candidate, follow) = watch::channel(None);
        let (events, inbox) = mpsc::channel(cosigners.len().max(1));
        let mut tasks = JoinSet::new();
        for cosigner in cosigners {
            let known = seen.get(cosigner.name()).copied().unwrap_or(0);
            let Some(witness) = policy.witnesses().iter().find(|witness| witness.name == cosigner.name())
            else {
                return Err(StartError::NotInPolicy { witness: cosigner.name().to_owned() });
            };
            let (key, log, events) = (witness.key.clone(), log.clone(), events.clone());
            let worker = Worker::new(cosigner, key, log, known, timing);
            tasks.spawn(worker.run(follow.clone(), events));
        }
        let (show, state) = watch::channel(State::Running);
        tracing::info!(origin = log.origin(), key = %log_key, size = log.size(), "publishing to witnesses");
        let pause = timing.pause;
        tasks.spawn(Coordinator { log, policy, candidate, inbox, show, pause }.run());
        Ok(Self { tasks, state })
    }

    /// How publishing goes, now and later.
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// Stops asking witnesses, and waits until no request is under way.
    pub async fn shutdown(mut self) {
        self.tasks.shutdown().await;
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").field("state", &*self.state.borrow()).finish_non_exhaustive()
    }
}

/// Chooses candidates and counts cosignatures.
struct Coordinator {
    log: Log,
    policy: Policy,
    candidate: watch::Sender<Option<Arc<Head>>>,
    inbox: mpsc::Receiver<Event>,
    show: watch::Sender<State>,
    /// After a cosigned head could not be stored.
    pause: Duration,
}

/// How the pursuit of one candidate ended.
enum End {
    Quorum(Arc<Head>, BTreeMap<String, NoteSignature>),
    /// A witness has cosigned a later head of this log than the candidate: take a newer one.
    Overtaken,
    Halt(String),
    Stopped,
}

impl Coordinator {
    async fn run(mut self) {
        let state = loop {
            let end = match self.next_candidate().await {
                Ok(head) => {
                    self.candidate.send_replace(Some(Arc::clone(&head)));
                    self.pursue(head).await
                }
                Err(end) => end,
            };
            match end {
                End::Quorum(head, lines) => {
                    if let Err(error) = self.publish(&head, lines).await {
                        tracing::warn!(%error, "a cosigned head was not stored");
                        // If the log has stopped, the next round says so. Else it was a passing failure, such as a
                        // key that was out of reach for the batch that this came with.
                        time::sleep(self.pause).await;
                    }
                }
                End::Overtaken => {}
                End::Halt(why) => {
                    self.log.hold();
                    tracing::error!(why, "publishing is halted");
                    break State::Halted(why);
                }
                End::Stopped => break State::Stopped,
            }
        };
        self.show.send_replace(state);
    }

    /// Waits for a head that is newer than the witnessed one. A witness that was not needed for the last quorum may
    /// show meanwhile that the log is not the latest.
    async fn next_candidate(&mut self) -> Result<Arc<Head>, End> {
        let witnessed = self.log.witnessed().map_or(0, |head| head.size());
        let mut heads = self.log.watch_head();
        let newer = |head: &Option<Arc<Head>>| head.as_ref().is_some_and(|head| head.size() > witnessed);
        loop {
            tokio::select! {
                biased;
                () = self.log.stopped() => return Err(End::Stopped),
                Some(event) = self.inbox.recv() => if let Event::Halt(why) = event { return Err(End::Halt(why)) },
                head = heads.wait_for(newer) => {
                    return head.ok().and_then(|head| head.clone()).ok_or(End::Stopped);
                }
            }
        }
    }

    async fn pursue(&mut self, head: Arc<Head>) -> End {
        let (mut lines, mut names) = (BTreeMap::new(), BTreeSet::new());
        while !self.policy.is_quorum(&names) {
            let event = tokio::select! {
                biased;
                event = self.inbox.recv() => event,
                () = self.log.stopped() => None,
            };
            match event {
                Some(Event::Cosigned { witness, size, line }) if size == head.size() => {
                    names.insert(witness.clone());
                    lines.insert(witness, line);
                }
                Some(Event::Halt(why)) => return End::Halt(why),
                Some(Event::Ahead { witness, size }) if size > head.size() => {
                    tracing::debug!(witness, size, "a witness is past the candidate");
                    return End::Overtaken;
                }
                // Late answers for an earlier candidate.
                Some(Event::Cosigned { .. } | Event::Ahead { .. }) => {}
                None => return End::Stopped,
            }
        }
        End::Quorum(head, lines)
    }

    async fn publish(&self, head: &Arc<Head>, lines: BTreeMap<String, NoteSignature>) -> Result<(), String> {
        let mut note = Note::parse(head.note()).map_err(|error| error.to_string())?;
        let cosignatures = lines.values().map(|line| (line.name().to_owned(), line.blob())).collect();
        note.add_signatures(lines.into_values()).map_err(|error| error.to_string())?;
        let (head, cosigned_note) = (Arc::clone(head), note.to_bytes());
        tracing::debug!(size = head.size(), "a quorum has cosigned");
        let witnessed = WitnessedHead { head, cosigned_note, cosignatures };
        self.log.put_witnessed(witnessed).await.map_err(|error| error.to_string())
    }
}
