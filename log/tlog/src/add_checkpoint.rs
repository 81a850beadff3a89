//! The wire of `add-checkpoint`, [C2SP tlog-witness](https://c2sp.org/tlog-witness): both sides in one file.
//!
//! In scope: request and response bodies, their limits and media types. Out of scope: HTTP, the checks a witness makes
//! (they need its state), and signatures.

use std::fmt::Write as _;

use thiserror::Error;

use crate::{
    checkpoint::{Checkpoint, CheckpointError},
    decimal,
    hash::{HASH_BASE64_LEN, Hash, HashError},
    note::{Note, NoteError, NoteSignature, parse_signature_lines},
};

/// The most proof lines of a request: no consistency proof between trees of 64-bit sizes that exist is longer.
pub const MAX_PROOF_LINES: usize = 63;

/// The longest checkpoint note in a request: 16 signature lines at the 5 kB ceiling of post-quantum signatures (each
/// 5008 bytes in base64, a 255-byte name and 6 bytes around: about 6.9 kB, 111 kB in all) and 17 kB for the text.
pub const MAX_CHECKPOINT_LEN: usize = 128 * 1024;

/// The longest request body: `old ` with a 20-digit size, the proof lines, the empty line, the checkpoint.
pub const MAX_REQUEST_LEN: usize =
    OLD_PREFIX.len() + 20 + 1 + MAX_PROOF_LINES * (HASH_BASE64_LEN + 1) + 1 + MAX_CHECKPOINT_LEN;

/// The longest answer a client reads: as many lines as a note may have, of Ed25519 or ML-DSA-44 cosignatures.
pub const MAX_RESPONSE_LEN: usize = MAX_CHECKPOINT_LEN;

/// Media type of a 409 answer's body.
pub const SIZE_CONTENT_TYPE: &str = "text/x.tlog.size";

/// A request to cosign a checkpoint.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AddCheckpoint {
    /// Size of the latest checkpoint that the client believes the witness has cosigned.
    pub old_size: u64,
    /// Consistency proof from `old_size` to the size of the checkpoint.
    pub proof: Vec<Hash>,
    /// What the text of the note says.
    pub checkpoint: Checkpoint,
    /// The signed checkpoint, as received.
    pub note: Note,
}

impl AddCheckpoint {
    /// A request for a signed checkpoint, as serialised notes are stored.
    pub fn new(old_size: u64, proof: Vec<Hash>, note: &[u8]) -> Result<Self, AddCheckpointError> {
        if proof.len() > MAX_PROOF_LINES {
            return Err(AddCheckpointError::TooManyProofLines { actual: proof.len() });
        }
        if note.len() > MAX_CHECKPOINT_LEN {
            return Err(AddCheckpointError::TooLong { actual: note.len(), wanted: MAX_CHECKPOINT_LEN });
        }
        let note = Note::parse(note)?;
        let checkpoint = Checkpoint::parse(note.text())?;
        Ok(Self { old_size, proof, checkpoint, note })
    }
}

/// Parses a request body.
pub fn parse_request(body: &[u8]) -> Result<AddCheckpoint, AddCheckpointError> {
    if body.len() > MAX_REQUEST_LEN {
        return Err(AddCheckpointError::TooLong { actual: body.len(), wanted: MAX_REQUEST_LEN });
    }
    let mut rest = body;
    let old = take_line(&mut rest)?.strip_prefix(OLD_PREFIX).and_then(decimal::parse);
    let old_size = old.ok_or(AddCheckpointError::OldSize)?;
    let mut proof = Vec::new();
    loop {
        let line = take_line(&mut rest)?;
        if line.is_empty() {
            break;
        }
        if proof.len() == MAX_PROOF_LINES {
            return Err(AddCheckpointError::TooManyProofLines { actual: MAX_PROOF_LINES + 1 });
        }
        proof.push(Hash::parse_base64(line)?);
    }
    AddCheckpoint::new(old_size, proof, rest)
}

/// Writes a request body. Inverse of [`parse_request`].
pub fn serialize_request(request: &AddCheckpoint) -> Vec<u8> {
    let mut out = format!("{OLD_PREFIX}{}\n", request.old_size);
    for hash in &request.proof {
        // Writing to a String cannot fail.
        let _ok = writeln!(out, "{hash}");
    }
    let _ok = write!(out, "\n{}", request.note);
    out.into_bytes()
}

/// Parses the body of a 200 answer: signature lines only, none of them verified.
pub fn parse_response(body: &[u8]) -> Result<Vec<NoteSignature>, AddCheckpointError> {
    if body.len() > MAX_RESPONSE_LEN {
        return Err(AddCheckpointError::TooLong { actual: body.len(), wanted: MAX_RESPONSE_LEN });
    }
    let text = std::str::from_utf8(body).map_err(|_| AddCheckpointError::NotUtf8)?;
    Ok(parse_signature_lines(text)?)
}

/// Writes the body of a 200 answer. Inverse of [`parse_response`].
pub fn serialize_response(lines: &[NoteSignature]) -> Vec<u8> {
    crate::note::serialize_signature_lines(lines).into_bytes()
}

/// Parses the body of a 409 answer: the size the witness has cosigned.
pub fn parse_size(body: &[u8]) -> Result<u64, AddCheckpointError> {
    let text = std::str::from_utf8(body).map_err(|_| AddCheckpointError::NotUtf8)?;
    text.strip_suffix('\n').and_then(decimal::parse).ok_or(AddCheckpointError::ConflictSize)
}

/// Writes the body of a 409 answer. Inverse of [`parse_size`].
pub fn serialize_size(size: u64) -> Vec<u8> {
    format!("{size}\n").into_bytes()
}

/// Why a request or an answer is malformed.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum AddCheckpointError {
    /// The text of the note is not a checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The body of a 409 answer is not a size.
    #[error("conflict body is not a decimal size and a newline")]
    ConflictSize,
    /// The checkpoint or an answer is not a note.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The body is not UTF-8.
    #[error("body is not valid utf-8")]
    NotUtf8,
    /// The first line is not the old size.
    #[error("first line is not `old` and a decimal size")]
    OldSize,
    /// A proof line is not a hash.
    #[error("proof line: {0}")]
    Proof(#[from] HashError),
    /// The body is too long.
    #[error("body is {actual} bytes, want at most {wanted}")]
    TooLong {
        /// Bytes found.
        actual: usize,
        /// Bytes allowed.
        wanted: usize,
    },
    /// Too many proof lines.
    #[error("proof has {actual} lines or more, want at most {MAX_PROOF_LINES}")]
    TooManyProofLines {
        /// Lines found.
        actual: usize,
    },
    /// The body ends before the empty line.
    #[error("body ends before the empty line")]
    Truncated,
}

const OLD_PREFIX: &str = "old ";

/// Takes one line off the front; the checkpoint after the empty line is not looked at.
fn take_line<'a>(rest: &mut &'a [u8]) -> Result<&'a str, AddCheckpointError> {
    let end = rest.iter().position(|byte| *byte == b'\n').ok_or(AddCheckpointError::Truncated)?;
    let (line, after) = rest.split_at(end);
    *rest = after.get(1..).unwrap_or_default();
    std::str::from_utf8(line).map_err(|_| AddCheckpointError::NotUtf8)
}
