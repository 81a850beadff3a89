//! What a witness keeps, and what it does by the rules of C2SP tlog-witness. The witnesses of the tests and of the
//! simulation both begin here, and differ in how they break the rules.

use treering_tlog::{
    checkpoint::Checkpoint,
    consistency,
    cosignature::CosignSigner,
    hash::{EMPTY_ROOT, Hash},
    note::{Note, NoteSignature},
};

// As whoever includes this file names it: by the crate, or within it.
use super::CosignError;

/// What a witness has cosigned last.
#[derive(Clone)]
pub(super) struct Seen {
    pub(super) size: u64,
    pub(super) root: Hash,
    pub(super) note: Option<Vec<u8>>,
}

impl Seen {
    pub(super) const NOTHING: Self = Self { size: 0, root: EMPTY_ROOT, note: None };

    /// Whether a checkpoint may be cosigned.
    pub(super) fn check(&self, old: u64, checkpoint: &Checkpoint, proof: &[Hash]) -> Result<(), CosignError> {
        if old != self.size {
            return Err(CosignError::Conflict { size: self.size });
        }
        consistency::verify(old, checkpoint.size(), &self.root, checkpoint.root(), proof)
            .map_err(|error| CosignError::Refused { status: 422, message: error.to_string() })
    }

    /// Keeps a checkpoint with the line that it was cosigned with.
    pub(super) fn keep(&mut self, checkpoint: &Checkpoint, mut note: Note, line: NoteSignature) {
        note.add_signatures([line]).unwrap();
        *self = Self { size: checkpoint.size(), root: *checkpoint.root(), note: Some(note.to_bytes()) };
    }
}

/// The cosignature of a checkpoint.
pub(super) fn cosign(signer: &CosignSigner, note: &Note) -> NoteSignature {
    signer.cosign(note.text(), 1_700_000_000).unwrap()
}
