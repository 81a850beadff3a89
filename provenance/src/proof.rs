//! The proof that a credential carries: the issuance statement, its receipt, the checkpoint's signatures, and the
//! places of the statements it names as parents.
//!
//! In scope: the CBOR form, and joining parents' paths to the main one. All paths are in one tree, so the upper part
//! of a parent's path is the upper part of the main one, and only the part below (`head`) is written.
//! Out of scope: believing any of it (`verify`).

use ciborium::Value;
use treering_tlog::{
    hash::Hash,
    inclusion::{self, ProofError},
    note::{Note, NoteError, NoteSignature},
};

use crate::{
    receipt::{Inclusion, MAX_PATH_HASHES, MAX_RECEIPT_BYTES},
    statement::MAX_STATEMENT_BYTES,
    strict::{self, StrictError},
};

/// The longest proof: a statement that fills an entry, and a receipt; cosignatures and paths are small beside them.
pub const MAX_PROOF_BYTES: usize = MAX_STATEMENT_BYTES + MAX_RECEIPT_BYTES;
/// The most signature lines: a log and 31 witnesses.
pub const MAX_SIGNATURES: usize = 32;
/// The most parents.
pub const MAX_PARENTS: usize = 8;

const STATEMENT: i64 = 1;
const RECEIPT: i64 = 2;
const SIGNATURES: i64 = 3;
const PARENTS: i64 = 4;

/// Why a proof was not made or not parsed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofFormatError {
    /// Not deterministic CBOR.
    #[error(transparent)]
    Strict(#[from] StrictError),
    /// The CBOR is not a credential proof.
    #[error("not a credential proof: {0}")]
    Shape(&'static str),
    /// A signature line is malformed.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// A position outside the tree.
    #[error(transparent)]
    Position(#[from] ProofError),
    /// The parent's path is in another tree than the main one.
    #[error("parent at {parent} is proven at size {got}, want {want}")]
    Size {
        /// The parent's position.
        parent: u64,
        /// Its proof's size.
        got: u64,
        /// The receipt's size.
        want: u64,
    },
}

/// A credential proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialProof {
    /// The issuance statement: the entry's bytes.
    pub statement: Vec<u8>,
    /// Its RFC 9942 receipt, with one proof of inclusion.
    pub receipt: Vec<u8>,
    /// The checkpoint's signature lines at the receipt's size: the log's own and the witnesses'.
    pub signatures: Vec<NoteSignature>,
    /// The places of the parents that the issuance names, in its order; empty where they are not embedded.
    pub parents: Vec<ParentPath>,
}

/// Where a parent is, and the part of its path that is not the main path's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParentPath {
    /// Position of the parent.
    pub index: u64,
    /// The lower part of its path.
    pub head: Vec<Hash>,
}

impl ParentPath {
    /// Drops from a parent's proof what it shares with the issuance's.
    pub fn compress(parent: &Inclusion, main: &Inclusion) -> Result<Self, ProofFormatError> {
        if parent.size != main.size {
            return Err(ProofFormatError::Size { parent: parent.index, got: parent.size, want: main.size });
        }
        let shared =
            parent.path.iter().rev().zip(main.path.iter().rev()).take_while(|(left, right)| left == right);
        let keep = parent.path.len().saturating_sub(shared.count());
        Ok(Self { index: parent.index, head: parent.path.iter().take(keep).copied().collect() })
    }

    /// The whole proof of the parent, joined from its head and the upper part of the issuance's path.
    pub fn expand(&self, main: &Inclusion) -> Result<Inclusion, ProofFormatError> {
        let length = inclusion::path_len(self.index, main.size)?;
        let shared = length.checked_sub(self.head.len());
        let tail = shared.and_then(|shared| main.path.len().checked_sub(shared));
        let tail = tail.and_then(|from| main.path.get(from..));
        let tail = tail.ok_or(ProofFormatError::Shape("a parent's path does not join the main one"))?;
        Ok(Inclusion { size: main.size, index: self.index, path: [self.head.as_slice(), tail].concat() })
    }
}

impl CredentialProof {
    /// Puts a proof together from the entry, its receipt and the signed checkpoint at the receipt's size. All of the
    /// checkpoint's signature lines go in: the log's own is checked too.
    pub fn new(statement: &[u8], receipt: &[u8], checkpoint: &Note, parents: Vec<ParentPath>) -> Self {
        Self {
            statement: statement.to_vec(),
            receipt: receipt.to_vec(),
            signatures: checkpoint.signatures().to_vec(),
            parents,
        }
    }

    /// The deterministic encoding: what the proof extension holds.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ProofFormatError> {
        let hashes = |path: &[Hash]| path.iter().map(|hash| Value::Bytes(hash.as_bytes().to_vec())).collect();
        let signature = |line: &NoteSignature| {
            Value::Array(vec![Value::Text(line.name().to_owned()), Value::Bytes(line.blob())])
        };
        let parent =
            |parent: &ParentPath| Value::Array(vec![parent.index.into(), Value::Array(hashes(&parent.head))]);
        let bytes = strict::encode(&Value::Map(vec![
            (STATEMENT.into(), Value::Bytes(self.statement.clone())),
            (RECEIPT.into(), Value::Bytes(self.receipt.clone())),
            (SIGNATURES.into(), Value::Array(self.signatures.iter().map(signature).collect())),
            (PARENTS.into(), Value::Array(self.parents.iter().map(parent).collect())),
        ]))?;
        // What we write must be what a verifier parses, limits included.
        Self::parse(&bytes)?;
        Ok(bytes)
    }

    /// Parses the content of a proof extension.
    pub fn parse(bytes: &[u8]) -> Result<Self, ProofFormatError> {
        use ProofFormatError::Shape;
        let value = strict::decode(bytes, MAX_PROOF_BYTES)?;
        let labels = [STATEMENT, RECEIPT, SIGNATURES, PARENTS].map(Value::from);
        let Some([statement, receipt, signatures, parents]) = value.as_map().map(Vec::as_slice) else {
            return Err(Shape("want a map of four"));
        };
        if [&statement.0, &receipt.0, &signatures.0, &parents.0].into_iter().ne(&labels) {
            return Err(Shape("want labels 1 to 4"));
        }
        let bytes =
            |value: &Value| value.as_bytes().cloned().ok_or(Shape("statement and receipt are byte strings"));
        let signatures = signatures.1.as_array().filter(|lines| lines.len() <= MAX_SIGNATURES);
        let signatures = signatures.ok_or(Shape("want at most 32 signatures"))?;
        let parents = parents.1.as_array().filter(|parents| parents.len() <= MAX_PARENTS);
        let parents = parents.ok_or(Shape("want at most 8 parents"))?;
        Ok(Self {
            statement: bytes(&statement.1)?,
            receipt: bytes(&receipt.1)?,
            signatures: signatures.iter().map(parse_signature).collect::<Result<_, _>>()?,
            parents: parents.iter().map(parse_parent).collect::<Result<_, _>>()?,
        })
    }
}

fn parse_signature(value: &Value) -> Result<NoteSignature, ProofFormatError> {
    match value.as_array().map(Vec::as_slice) {
        Some([Value::Text(name), Value::Bytes(blob)]) => Ok(NoteSignature::from_blob(name.as_str(), blob)?),
        _ => Err(ProofFormatError::Shape("a signature is [name, blob]")),
    }
}

fn parse_parent(value: &Value) -> Result<ParentPath, ProofFormatError> {
    let malformed = || ProofFormatError::Shape("a parent is [index, [hashes]]");
    let Some([index, Value::Array(head)]) = value.as_array().map(Vec::as_slice) else {
        return Err(malformed());
    };
    if head.len() > MAX_PATH_HASHES {
        return Err(malformed());
    }
    let index = index.as_integer().and_then(|index| u64::try_from(index).ok()).ok_or_else(malformed)?;
    let hash =
        |hash: &Value| hash.as_bytes().and_then(|bytes| Hash::from_slice(bytes).ok()).ok_or_else(malformed);
    Ok(ParentPath { index, head: head.iter().map(hash).collect::<Result<_, _>>()? })
}
