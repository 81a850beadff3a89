//! The question before anything is signed: is this log the latest that its witnesses know?
//!
//! A log that was restored from a backup, or whose disk lost a tail, looks sound from inside. It would sign a
//! second history over sizes that witnesses have cosigned already. So enough witnesses must answer that every
//! possible quorum has one of them in it, and each answer must be a prefix of the log's tree.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tokio::{task::JoinSet, time};
use treering_tlog::{
    checkpoint::Checkpoint,
    hash::Hash,
    note::{Note, VerifierKey},
    policy::Policy,
};

use super::Cosigner;
use crate::{log::Log, reader::ReadError};

/// Why the log may not sign.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A witness has cosigned more than this log has.
    #[error("{}", ahead_advice(.witness, *.theirs, *.ours))]
    Ahead {
        /// The witness.
        witness: String,
        /// The size it has cosigned.
        theirs: u64,
        /// The log's size.
        ours: u64,
    },
    /// A witness has cosigned another history of this log.
    #[error(
        "witness {witness} shows size {size} with root {theirs}, this log has root {ours} there: the log has forked. Sign nothing; keep both, and follow the log-end procedure. The proof, signed by this log's key:\n{evidence}"
    )]
    Fork {
        /// The witness.
        witness: String,
        /// The size.
        size: u64,
        /// The root it has cosigned.
        theirs: Hash,
        /// The root of this log.
        ours: Hash,
        /// The checkpoint with that root, as the witness gave it. Who holds it and this log's can prove the fork.
        evidence: String,
    },
    /// Too few answers to exclude that a quorum knows more.
    #[error("only {} of the witnesses answered ({answered:?}), which leaves a quorum that may know a newer log; {silent:?} did not. Bring {wanted} or more of the policy's witnesses within reach and start again", .answered.len())]
    TooFew {
        /// Who answered.
        answered: Vec<String>,
        /// Who did not, and why.
        silent: Vec<(String, String)>,
        /// The fewest that can suffice.
        wanted: usize,
    },
    /// A cosigner that the policy does not name.
    #[error("the policy has no witness {witness}")]
    NotInPolicy {
        /// The cosigner's name.
        witness: String,
    },
    /// The log is open for reading only.
    #[error("the log is open for reading only")]
    ReadOnly,
    /// The log could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// What to do when a witness knows more than the log.
fn ahead_advice(witness: &str, theirs: u64, ours: u64) -> String {
    format!(
        "witness {witness} has cosigned size {theirs}, this log has {ours} entries: it is an old copy (a restored \
         backup, a lost disk?), and signing would fork it. Bring back the newer store; if it is gone for good, end \
         this log by the log-end procedure and begin another under a new origin"
    )
}

/// Asks every witness for its latest checkpoint of this log; the answer says which size each has seen.
///
/// 1. A checkpoint of this origin that the log's key signed, of more entries than the log has or with another root,
///    refuses the log, whoever else agrees: whoever showed it, and whatever the witness's own signature is worth.
/// 2. An answer counts if there is no checkpoint, or if the log's key and the witness's key signed it and it is
///    of this origin; anything else counts as silence.
/// 3. The witnesses that answered must intersect every quorum.
pub async fn check_start(
    log: &Log,
    policy: &Policy,
    cosigners: &[Arc<dyn Cosigner>],
    timeout: Duration,
) -> Result<BTreeMap<String, u64>, StartError> {
    log.log_key().ok_or(StartError::ReadOnly)?;
    let (mut seen, mut silent) = (BTreeMap::new(), Vec::new());
    for (witness, answer) in ask(log.origin(), cosigners, timeout).await {
        let Some(known) = policy.witnesses().iter().find(|known| known.name == witness) else {
            return Err(StartError::NotInPolicy { witness });
        };
        let size = match answer {
            Ok(Some(note)) => match shown(log, &witness, &note) {
                Ok((note, size)) => check_signature(&note, &known.key).map(|()| size),
                Err(Shown::Nothing(why)) => Err(why),
                Err(Shown::Against(error)) => return Err(error),
            },
            Ok(None) => Ok(0),
            Err(why) => Err(why),
        };
        match size {
            Ok(size) => drop(seen.insert(witness, size)),
            Err(why) => silent.push((witness, why)),
        }
    }
    let answered: BTreeSet<&str> = seen.keys().map(String::as_str).collect();
    if !policy.quorum_intersection(&answered) {
        let answered = answered.into_iter().map(ToOwned::to_owned).collect();
        return Err(StartError::TooFew { answered, silent, wanted: policy.smallest_intersection() });
    }
    Ok(seen)
}

type Answer = Result<Option<Vec<u8>>, String>;

/// All at once: the slowest decides, not the sum.
async fn ask(origin: &str, cosigners: &[Arc<dyn Cosigner>], timeout: Duration) -> Vec<(String, Answer)> {
    let mut asked = JoinSet::new();
    for cosigner in cosigners {
        let (cosigner, origin) = (Arc::clone(cosigner), origin.to_owned());
        asked.spawn(async move {
            let answer = match time::timeout(timeout, cosigner.latest(&origin)).await {
                Ok(answer) => answer.map_err(|error| error.to_string()),
                Err(_) => Err(format!("no answer within {timeout:?}")),
            };
            (cosigner.name().to_owned(), answer)
        });
    }
    let mut answers = asked.join_all().await;
    // The same answers give the same error, whoever was faster.
    answers.sort_by(|(one, _), (other, _)| one.cmp(other));
    answers
}

/// Why what a witness shows is no prefix of this log.
pub(super) enum Shown {
    /// It is not a checkpoint of this log, or the log's key has not signed it.
    Nothing(String),
    /// It is, and speaks against this log: it is longer, or another history.
    Against(StartError),
}

/// A checkpoint that a witness shows, and its size, if it is signed by the log's key and a prefix of the log. What the
/// witness's own signature is worth is not looked at.
pub(super) fn shown(log: &Log, witness: &str, note: &[u8]) -> Result<(Note, u64), Shown> {
    let log_key = log.log_key().ok_or(Shown::Against(StartError::ReadOnly))?;
    let (note, checkpoint) = read(note, log.origin(), log_key).map_err(Shown::Nothing)?;
    check_prefix(log, witness, &note, &checkpoint).map_err(Shown::Against)?;
    Ok((note, checkpoint.size()))
}

/// A checkpoint of this log that its key signed.
fn read(note: &[u8], origin: &str, log_key: &VerifierKey) -> Result<(Note, Checkpoint), String> {
    let note = Note::parse(note).map_err(|error| error.to_string())?;
    let checkpoint = Checkpoint::parse(note.text()).map_err(|error| error.to_string())?;
    if checkpoint.origin() != origin {
        return Err(format!("its checkpoint is of log {}, wanted {origin}", checkpoint.origin()));
    }
    check_signature(&note, log_key)?;
    Ok((note, checkpoint))
}

fn check_signature(note: &Note, key: &VerifierKey) -> Result<(), String> {
    note.verify(std::slice::from_ref(key)).map(drop).map_err(|error| format!("key {}: {error}", key.name()))
}

fn check_prefix(log: &Log, witness: &str, note: &Note, checkpoint: &Checkpoint) -> Result<(), StartError> {
    let (witness, size, ours) = (witness.to_owned(), checkpoint.size(), log.size());
    if size > ours {
        return Err(StartError::Ahead { witness, theirs: size, ours });
    }
    let ours = log.root_at(size)?;
    if ours != *checkpoint.root() {
        let evidence = String::from_utf8_lossy(&note.to_bytes()).into_owned();
        return Err(StartError::Fork { witness, size, theirs: *checkpoint.root(), ours, evidence });
    }
    Ok(())
}
