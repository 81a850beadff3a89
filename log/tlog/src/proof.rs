//! Offline proofs of [C2SP tlog-proof](https://c2sp.org/tlog-proof), version 1: an index, a path and the cosigned
//! checkpoint in one text.
//!
//! In scope: the text, and verifying it for a leaf hash under a policy. Out of scope: how a leaf is made of something,
//! and the `extra` data, which nothing authenticates.

use std::fmt;

use data_encoding::BASE64;
use thiserror::Error;

use crate::{
    base64,
    checkpoint::{Checkpoint, CheckpointError},
    decimal,
    hash::{Hash, HashError},
    inclusion::{self, ProofError},
    note::{MAX_NOTE_LEN, Note, NoteError},
    policy::{Policy, PolicyError, Witnessed},
};

/// The most hashes in a path: trees have 64-bit sizes.
pub const MAX_PATH_LEN: usize = 64;

/// The longest extra data, in base64: enough for what is meant to be small.
pub const MAX_EXTRA_LEN: usize = 64 * 1024;

/// The longest proof text: its header and index, extra data, path and checkpoint.
pub const MAX_PROOF_LEN: usize = 128 + MAX_EXTRA_LEN + MAX_PATH_LEN * 45 + MAX_NOTE_LEN;

/// A parsed proof: nothing in it is believed until [`TlogProof::verify`] says so.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TlogProof {
    extra: Option<Vec<u8>>,
    index: u64,
    path: Vec<Hash>,
    note: Note,
}

impl TlogProof {
    /// A proof of its parts; `note` is the checkpoint with its signatures.
    pub fn new(index: u64, path: Vec<Hash>, note: Note) -> Result<Self, TlogProofError> {
        if path.len() > MAX_PATH_LEN {
            return Err(TlogProofError::PathTooLong { actual: path.len() });
        }
        Ok(Self { extra: None, index, path, note })
    }

    /// The same with extra data, which is not authenticated.
    pub fn with_extra(self, extra: Vec<u8>) -> Result<Self, TlogProofError> {
        if BASE64.encode_len(extra.len()) > MAX_EXTRA_LEN {
            return Err(TlogProofError::Extra);
        }
        Ok(Self { extra: Some(extra), ..self })
    }

    /// Parses a proof. Inverse of [`TlogProof::to_bytes`].
    pub fn parse(bytes: &[u8]) -> Result<Self, TlogProofError> {
        if bytes.len() > MAX_PROOF_LEN {
            return Err(TlogProofError::TooLong { actual: bytes.len() });
        }
        let text = std::str::from_utf8(bytes).map_err(|_| TlogProofError::NotUtf8)?;
        // No line before the checkpoint is empty, so the first empty line is where it starts.
        let (head, note) = text.split_once("\n\n").ok_or(TlogProofError::NoCheckpoint)?;
        let mut lines = head.split('\n');
        if lines.next() != Some(HEADER) {
            return Err(TlogProofError::Header);
        }
        let mut line = lines.next();
        let extra = line.and_then(|l| l.strip_prefix("extra ")).map(parse_extra).transpose()?;
        if extra.is_some() {
            line = lines.next();
        }
        let index = line
            .and_then(|l| l.strip_prefix("index "))
            .and_then(decimal::parse)
            .ok_or(TlogProofError::Index)?;
        let path = lines.map(Hash::parse_base64).collect::<Result<_, _>>()?;
        let proof = Self::new(index, path, Note::parse(note.as_bytes())?)?;
        Ok(Self { extra, ..proof })
    }

    /// The bytes of the proof. Inverse of [`TlogProof::parse`].
    pub fn to_bytes(&self) -> Vec<u8> {
        self.to_string().into_bytes()
    }

    /// Extra data, which nothing authenticates.
    pub fn extra(&self) -> Option<&[u8]> {
        self.extra.as_deref()
    }

    /// Index of the leaf.
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// Path from the leaf to the root.
    pub fn path(&self) -> &[Hash] {
        &self.path
    }

    /// The checkpoint with its signatures.
    pub const fn note(&self) -> &Note {
        &self.note
    }

    /// Checks, in this order: a log of the policy signed the checkpoint, its witnesses reach the quorum, the leaf is in
    /// the tree at the index.
    pub fn verify(&self, leaf: &Hash, policy: &Policy) -> Result<Witnessed, TlogProofError> {
        let witnessed = policy.verify(&self.note)?;
        let checkpoint: &Checkpoint = witnessed.checkpoint();
        inclusion::verify(leaf, self.index, checkpoint.size(), &self.path, checkpoint.root())?;
        Ok(witnessed)
    }
}

impl fmt::Display for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", BASE64.encode(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        self.path.iter().try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{}", self.note)
    }
}

/// Why a proof is malformed or refused.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum TlogProofError {
    /// The note is not a checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The extra line is not canonical base64, or too long.
    #[error("extra data is not canonical base64 of at most {MAX_EXTRA_LEN} characters")]
    Extra,
    /// The first line is another.
    #[error("first line is not {HEADER}")]
    Header,
    /// The index line is missing or malformed.
    #[error("index line is not `index` and a decimal")]
    Index,
    /// The path does not lead to the root.
    #[error(transparent)]
    Inclusion(#[from] ProofError),
    /// No empty line.
    #[error("proof has no checkpoint")]
    NoCheckpoint,
    /// The checkpoint is not a note.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The bytes are not UTF-8.
    #[error("proof is not valid utf-8")]
    NotUtf8,
    /// A path line is not a hash.
    #[error("path line: {0}")]
    Path(#[from] HashError),
    /// Too many path lines.
    #[error("path has {actual} hashes, want at most {MAX_PATH_LEN}")]
    PathTooLong {
        /// Hashes found.
        actual: usize,
    },
    /// The policy does not accept the checkpoint.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The proof is too long.
    #[error("proof is {actual} bytes, want at most {MAX_PROOF_LEN}")]
    TooLong {
        /// Bytes found.
        actual: usize,
    },
}

const HEADER: &str = "c2sp.org/tlog-proof@v1";

fn parse_extra(text: &str) -> Result<Vec<u8>, TlogProofError> {
    if text.len() > MAX_EXTRA_LEN {
        return Err(TlogProofError::Extra);
    }
    base64::decode(text).ok_or(TlogProofError::Extra)
}
