//! Sealed tree heads: what the log signs, and what witnesses add.
//!
//! In scope: the values and who may make them. Out of scope: the signatures themselves (the caller's
//! [`Sealer`]) and the stored bytes ([`schema`](crate::schema)).

use treering_tlog::{hash::Hash, note::VerifierKey};

/// Signs tree heads for the log. The log knows one log key; what else a seal holds is the caller's.
pub trait Sealer: Send + Sync {
    /// The log's origin, the first line of its checkpoints.
    fn origin(&self) -> &str;

    /// The key that verifies the note of a seal. Every seal is checked against it before it is committed, and
    /// the stored head is checked against it when the log is opened.
    fn log_key(&self) -> VerifierKey;

    /// Signs one tree head: the C2SP checkpoint note, and an opaque receipt signature that every receipt of
    /// this head shares.
    fn seal(&self, size: u64, root: &Hash, now_unix: u64) -> Result<Seal, SealError>;
}

/// What a [`Sealer`] made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    /// The signed checkpoint note.
    pub note: Vec<u8>,
    /// The receipt signature; the log stores it and gives it back, and looks no further.
    pub receipt: Vec<u8>,
}

/// Why a head could not be sealed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SealError(pub String);

/// A tree head that the log signed and committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    pub(crate) size: u64,
    pub(crate) root: Hash,
    pub(crate) sealed_at: u64,
    pub(crate) note: Vec<u8>,
    pub(crate) receipt: Vec<u8>,
}

impl Head {
    /// How many entries the head covers.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root over those entries.
    pub fn root(&self) -> &Hash {
        &self.root
    }

    /// When the head was sealed, unix seconds.
    pub fn sealed_at(&self) -> u64 {
        self.sealed_at
    }

    /// The signed checkpoint note.
    pub fn note(&self) -> &[u8] {
        &self.note
    }

    /// The opaque receipt signature of the [`Seal`].
    pub fn receipt(&self) -> &[u8] {
        &self.receipt
    }
}

/// A head that a quorum of witnesses cosigned. Only the publisher makes one, after verifying the cosignatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessedHead {
    pub(crate) head: std::sync::Arc<Head>,
    pub(crate) cosigned_note: Vec<u8>,
    pub(crate) cosignatures: Vec<(String, Vec<u8>)>,
}

impl WitnessedHead {
    /// The head.
    pub fn head(&self) -> &std::sync::Arc<Head> {
        &self.head
    }

    /// How many entries the head covers.
    pub fn size(&self) -> u64 {
        self.head.size
    }

    /// The checkpoint note with the log's signature and the cosignature lines.
    pub fn cosigned_note(&self) -> &[u8] {
        &self.cosigned_note
    }

    /// Per witness: its key name, and the blob of its signature line: key id (4 bytes), timestamp (8),
    /// signature (64).
    pub fn cosignatures(&self) -> &[(String, Vec<u8>)] {
        &self.cosignatures
    }
}
