//! The last cosigned checkpoint of one log, with the proof that we cosigned it.

use thiserror::Error;
use treering_tlog::{
    checkpoint::{Checkpoint, CheckpointError},
    note::{Note, NoteError, VerifiedSignature, VerifierKey},
};

use crate::rules::Latest;

/// The last cosigned checkpoint of one log: a signed note that carries our own cosignature.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct State {
    /// The note as stored and as served to monitors. Bytes, not a [`Note`]: a witness of 100,000 logs keeps as many.
    bytes: Box<[u8]>,
    checkpoint: Checkpoint,
    time: u64,
}

impl State {
    /// Takes a note that carries a valid cosignature by `own`.
    pub fn new(note: &Note, own: &VerifierKey) -> Result<Self, StateError> {
        let checkpoint = Checkpoint::parse(note.text())?;
        let verified = note.verify(std::slice::from_ref(own))?;
        let time = verified.iter().filter_map(VerifiedSignature::time).max().ok_or(StateError::NoTime)?;
        Ok(Self { bytes: note.to_bytes().into(), checkpoint, time })
    }

    /// Takes a note that was cosigned here a moment ago, at `time`.
    pub(crate) fn cosigned(note: &Note, checkpoint: Checkpoint, time: u64) -> Self {
        Self { bytes: note.to_bytes().into(), checkpoint, time }
    }

    /// Parses the bytes of a cosigned checkpoint. Inverse of [`State::to_bytes`].
    pub fn parse(bytes: &[u8], own: &VerifierKey) -> Result<Self, StateError> {
        Self::new(&Note::parse(bytes)?, own)
    }

    /// The cosigned checkpoint, as stored and as served to monitors. Inverse of [`State::parse`].
    pub fn to_bytes(&self) -> Vec<u8> {
        self.bytes.to_vec()
    }

    /// The same, borrowed.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What the checkpoint says.
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// When it was cosigned, in unix seconds.
    pub const fn time(&self) -> u64 {
        self.time
    }

    /// Size and root, for the rules.
    pub const fn latest(&self) -> Latest {
        Latest { size: self.checkpoint.size(), root: *self.checkpoint.root() }
    }

    /// Whether a line of one of the log's keys is there.
    ///
    /// It was verified before the state was written, and the record's digest keeps it as it was: the name and the id say
    /// enough, and 100,000 signatures need not be verified at each start.
    pub fn is_signed_by(&self, keys: &[VerifierKey]) -> Result<bool, StateError> {
        let note = Note::parse(&self.bytes)?;
        let is_of = |key: &VerifierKey| {
            note.signatures().iter().any(|line| line.name() == key.name() && line.key_id() == key.id())
        };
        Ok(keys.iter().any(is_of))
    }
}

/// Why bytes are not a state of this witness.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StateError {
    /// The text is no checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The own line carries no time.
    #[error("own signature has no time")]
    NoTime,
    /// The note is damaged, or not cosigned by this witness.
    #[error(transparent)]
    Note(#[from] NoteError),
}
