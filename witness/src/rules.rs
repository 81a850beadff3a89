//! What a witness may cosign. Pure: the state, the request and the keys come in, an answer goes out.
//!
//! In scope: every check of add-checkpoint after parsing, in the order of the specification. Out of scope: atomicity (the
//! caller holds the log's lock from [`advance`] to the write), HTTP.

use thiserror::Error;
use treering_tlog::{
    add_checkpoint::{AddCheckpoint, AddCheckpointError},
    checkpoint::Checkpoint,
    consistency,
    hash::{EMPTY_ROOT, Hash},
    inclusion::ProofError,
    note::{Note, NoteError, NoteSignature, VerifierKey},
};

/// A request whose checkpoint the log really signed: only [`check_signatures`] makes one.
#[derive(Debug)]
pub struct SignedByLog {
    request: AddCheckpoint,
    lines: Vec<NoteSignature>,
}

impl SignedByLog {
    /// What the log says.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.request.checkpoint
    }

    /// The checkpoint with the verified lines of the log only.
    ///
    /// Lines of strangers are dropped: kept, a forged line under our own name would come back as our own later.
    pub fn note(&self) -> Result<Note, NoteError> {
        Note::new(self.request.note.text(), self.lines.clone())
    }
}

/// A step from what was cosigned last to what may be cosigned now: only [`advance`] makes one.
#[derive(Debug)]
pub struct Advance {
    signed: SignedByLog,
}

impl Advance {
    /// The checkpoint to cosign.
    pub fn checkpoint(&self) -> &Checkpoint {
        self.signed.checkpoint()
    }

    /// The checkpoint with the log's verified lines, to add the cosignature to.
    pub fn note(&self) -> Result<Note, NoteError> {
        self.signed.note()
    }
}

/// What was cosigned last for a log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Latest {
    /// Leaves.
    pub size: u64,
    /// Root.
    pub root: Hash,
}

impl Latest {
    /// The state of a log that was never cosigned.
    pub const NEVER: Self = Self { size: 0, root: EMPTY_ROOT };
}

/// Checks the log's signatures: at least one by a trusted key, and none under a trusted key that fails (403).
pub fn check_signatures(request: AddCheckpoint, keys: &[VerifierKey]) -> Result<SignedByLog, Refusal> {
    request.note.verify(keys).map_err(Refusal::NotSigned)?;
    let is_trusted =
        |line: &&NoteSignature| keys.iter().any(|k| k.name() == line.name() && k.id() == line.key_id());
    let lines = request.note.signatures().iter().filter(is_trusted).cloned().collect();
    Ok(SignedByLog { request, lines })
}

/// Checks that a signed checkpoint follows what was cosigned last:
///
/// 1. the old size is not above the checkpoint's (400);
/// 2. the old size is that of the last cosigned checkpoint, 0 if there is none (409 with the size);
/// 3. a tree of size 0 has the root of the empty tree (422);
/// 4. from old size 0 the proof is empty (422);
/// 5. at equal sizes the roots are equal, and the proof is empty (422);
/// 6. otherwise the consistency proof leads from the old root to the new one (422).
pub fn advance(latest: Latest, signed: SignedByLog) -> Result<Advance, Refusal> {
    let AddCheckpoint { old_size, ref proof, ref checkpoint, .. } = signed.request;
    // (1)
    if old_size > checkpoint.size() {
        return Err(Refusal::OldAboveNew { old: old_size, new: checkpoint.size() });
    }
    // (2)
    if old_size != latest.size {
        return Err(Refusal::Conflict { size: latest.size });
    }
    // (3)
    if checkpoint.size() == 0 && *checkpoint.root() != EMPTY_ROOT {
        return Err(Refusal::EmptyTreeRoot { actual: *checkpoint.root() });
    }
    // (4)
    if old_size == 0 && !proof.is_empty() {
        return Err(Refusal::ProofFromEmpty { actual: proof.len() });
    }
    // (5)
    if old_size == checkpoint.size() && latest.root != *checkpoint.root() {
        return Err(Refusal::OtherRoot { size: old_size, actual: *checkpoint.root(), wanted: latest.root });
    }
    // (6)
    consistency::verify(old_size, checkpoint.size(), &latest.root, checkpoint.root(), proof)
        .map_err(|source| Refusal::Inconsistent { source, path: proof.clone() })?;
    Ok(Advance { signed })
}

/// Why a request is refused. Nothing was changed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Another checkpoint was cosigned last.
    #[error("latest cosigned size is {size}")]
    Conflict {
        /// Its size.
        size: u64,
    },
    /// A tree without leaves has one root only.
    #[error("root of size 0 is {actual:?}, want {EMPTY_ROOT:?}")]
    EmptyTreeRoot {
        /// Root found.
        actual: Hash,
    },
    /// The tree is not one that the old one has grown to.
    #[error("checkpoint does not follow the latest cosigned one: {source}")]
    Inconsistent {
        /// What is wrong with the proof.
        source: ProofError,
        /// The proof: it may show that the log has two trees.
        path: Vec<Hash>,
    },
    /// The request cannot be read.
    #[error("malformed request: {0}")]
    Malformed(#[from] AddCheckpointError),
    /// The log has not signed this, or a trusted key's line fails.
    #[error("checkpoint is not signed by its log: {0}")]
    NotSigned(NoteError),
    /// The sizes are in the wrong order.
    #[error("old size is {old}, want at most the checkpoint's {new}")]
    OldAboveNew {
        /// Old size.
        old: u64,
        /// The checkpoint's size.
        new: u64,
    },
    /// The log shows two trees of one size.
    #[error("root of size {size} is {actual:?}, cosigned was {wanted:?}")]
    OtherRoot {
        /// The size.
        size: u64,
        /// Root found.
        actual: Hash,
        /// Root cosigned.
        wanted: Hash,
    },
    /// From nothing there is nothing to prove.
    #[error("proof from old size 0 has {actual} hashes, want 0")]
    ProofFromEmpty {
        /// Hashes found.
        actual: usize,
    },
    /// The log is not one this witness watches.
    #[error("unknown origin {origin:?}")]
    UnknownOrigin {
        /// Origin found.
        origin: String,
    },
}

impl Refusal {
    /// The status code of the specification.
    pub fn status(&self) -> u16 {
        match self {
            Self::Malformed(_) | Self::OldAboveNew { .. } => 400,
            Self::NotSigned(_) => 403,
            Self::UnknownOrigin { .. } => 404,
            Self::Conflict { .. } => 409,
            Self::EmptyTreeRoot { .. }
            | Self::Inconsistent { .. }
            | Self::OtherRoot { .. }
            | Self::ProofFromEmpty { .. } => 422,
        }
    }
}
