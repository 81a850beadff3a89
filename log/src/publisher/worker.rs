//! One witness's task: follow the candidate, prove growth, verify the answer, pause after failures.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    time,
};
use treering_tlog::{
    cosignature,
    note::{Note, NoteSignature, VerifierKey},
};

use super::{
    CosignError, Cosigned, Cosigner, Timing,
    start::{self, Shown},
};
use crate::{head::Head, log::Log};

/// What a worker tells the coordinator.
pub(super) enum Event {
    /// A verified cosignature of a head of this size.
    Cosigned { witness: String, size: u64, line: NoteSignature },
    /// The witness has cosigned a later head of this log than the candidate, and has shown it.
    Ahead { witness: String, size: u64 },
    /// A witness has shown that this log is not the latest, or has forked; the text says what to do.
    Halt(String),
}

/// Why an attempt gave no cosignature.
enum Attempt {
    /// Ask again after a pause.
    Failed(String),
    /// No use to ask again for this candidate.
    Ahead(u64),
    /// No use to ask again at all.
    Halt(String),
}

pub(super) struct Worker {
    cosigner: Arc<dyn Cosigner>,
    key: VerifierKey,
    log: Log,
    /// The size that the witness is believed to have cosigned. Only a hint: a wrong one costs a round trip.
    known: u64,
    timing: Timing,
}

impl Worker {
    pub(super) fn new(
        cosigner: Arc<dyn Cosigner>,
        key: VerifierKey,
        log: Log,
        known: u64,
        timing: Timing,
    ) -> Self {
        Self { cosigner, key, log, known, timing }
    }

    /// Runs until the coordinator is gone.
    pub(super) async fn run(
        mut self,
        mut candidate: watch::Receiver<Option<Arc<Head>>>,
        events: mpsc::Sender<Event>,
    ) {
        let mut pause = self.timing.pause;
        loop {
            let head = candidate.borrow_and_update().clone();
            let attempt = match &head {
                Some(head) => Some(self.cosign(head).await),
                None => None,
            };
            let event = match (attempt, head) {
                (Some(Ok(line)), Some(head)) => {
                    pause = self.timing.pause;
                    Some(Event::Cosigned { witness: self.name(), size: head.size(), line })
                }
                (Some(Err(Attempt::Ahead(size))), _) => Some(Event::Ahead { witness: self.name(), size }),
                (Some(Err(Attempt::Halt(why))), _) => Some(Event::Halt(why)),
                (Some(Err(Attempt::Failed(why))), _) => {
                    self.report(&why, pause);
                    // A new candidate does not cut the pause short: the witness failed, not the candidate.
                    time::sleep(pause).await;
                    pause = (pause * 2).min(self.timing.longest_pause);
                    if candidate.has_changed().is_err() {
                        return;
                    }
                    continue;
                }
                (Some(Ok(_)) | None, _) => None,
            };
            if let Some(event) = event
                && events.send(event).await.is_err()
            {
                return;
            }
            if candidate.changed().await.is_err() {
                return;
            }
        }
    }

    /// Asks for one candidate, adopting the witness's size once if it disagrees with ours.
    async fn cosign(&mut self, head: &Head) -> Result<NoteSignature, Attempt> {
        match self.ask(head).await {
            Err(CosignError::Conflict { size }) if size > head.size() => Err(self.ahead(head, size).await),
            Err(CosignError::Conflict { size }) if size != self.known => {
                self.known = size;
                match self.ask(head).await {
                    Err(CosignError::Conflict { size }) if size > head.size() => {
                        Err(self.ahead(head, size).await)
                    }
                    Err(error) => Err(Attempt::Failed(error.to_string())),
                    Ok(answer) => self.accept(head, &answer),
                }
            }
            Err(error) => Err(Attempt::Failed(error.to_string())),
            Ok(answer) => self.accept(head, &answer),
        }
    }

    /// A size beyond the candidate is believed with the checkpoint that shows it, signed by the log's key, which no
    /// witness has: else one lying witness could halt the log, or turn it from candidate to candidate for ever.
    async fn ahead(&self, head: &Head, claimed: u64) -> Attempt {
        let latest = self.cosigner.latest(self.log.origin());
        let Ok(Ok(Some(note))) = time::timeout(self.timing.request, latest).await else {
            return Attempt::Failed(format!(
                "it claims to have cosigned size {claimed}, and does not show it"
            ));
        };
        match start::shown(&self.log, self.cosigner.name(), &note) {
            Ok((_, size)) if size > head.size() => Attempt::Ahead(size),
            Ok((_, size)) => {
                Attempt::Failed(format!("it claims to have cosigned size {claimed}, and shows {size}"))
            }
            Err(Shown::Nothing(why)) => Attempt::Failed(format!(
                "it claims to have cosigned size {claimed}, and shows nothing: {why}"
            )),
            Err(Shown::Against(error)) => Attempt::Halt(error.to_string()),
        }
    }

    async fn ask(&self, head: &Head) -> Result<Cosigned, CosignError> {
        // A candidate that the witness is past of by our own account can only be answered by a conflict.
        let old = self.known.min(head.size());
        let proof = self.log.consistency(old, head.size()).map_err(|error| CosignError::Refused {
            status: 0,
            message: format!("no consistency proof could be made: {error}"),
        })?;
        let asked = self.cosigner.add_checkpoint(old, &proof, head.note());
        let silent = |_| CosignError::Unreachable(format!("no answer within {:?}", self.timing.request));
        time::timeout(self.timing.request, asked).await.map_err(silent)?
    }

    /// Takes the line of the witness's own key, if it verifies over the very note we sent.
    fn accept(&mut self, head: &Head, answer: &Cosigned) -> Result<NoteSignature, Attempt> {
        let failed = |why: String| Attempt::Failed(format!("its answer is not a cosignature of ours: {why}"));
        let note = Note::parse(head.note()).map_err(|error| failed(error.to_string()))?;
        let own = |line: &&NoteSignature| line.name() == self.key.name() && line.key_id() == self.key.id();
        let line = answer.lines.iter().find(own).ok_or_else(|| failed("no line is of its key".into()))?;
        cosignature::verify(&self.key, note.text(), line).map_err(|error| failed(error.to_string()))?;
        self.known = head.size();
        Ok(line.clone())
    }

    fn report(&self, why: &str, pause: Duration) {
        metrics::counter!("treering_log_cosign_failures_total", "witness" => self.name()).increment(1);
        tracing::warn!(witness = self.cosigner.name(), why, ?pause, "no cosignature");
    }

    fn name(&self) -> String {
        self.cosigner.name().to_owned()
    }
}
