//! Signed notes of [C2SP signed-note](https://c2sp.org/signed-note).
//!
//! In scope: the text and its signature lines, keys and their identifiers, signing and verifying for the types 0x01 (note,
//! Ed25519), 0x04 (timestamped cosignature, Ed25519) and 0x06 (the same, ML-DSA-44). Out of scope: what the text of a
//! plain note says, ECDSA and RFC 6962 types: their lines are carried and ignored.
//!
//! Every Ed25519 check here is the strict one (no small-order keys or nonces, no malleable encodings), the same
//! everywhere: two verifiers that differ on one signature would differ on which history is believed.

mod key;
mod mldsa;
pub(crate) mod signer;

pub(crate) use key::cosigned_bytes;
pub use key::{
    KeyError, KeyType, MAX_KEY_NAME_LEN, VerifierKey, check_key_name, cosignature_message, key_id,
    split_timestamp,
};
pub use mldsa::mldsa_cosignature_message;
pub use signer::NoteSigner;

use std::fmt;

use data_encoding::BASE64;
use thiserror::Error;

use crate::base64;

/// The longest note that is parsed, as Go's `sumdb/note` has it. 16 post-quantum signature lines of 5 kB are 107 kB in
/// base64, so this is ample.
pub const MAX_NOTE_LEN: usize = 1_000_000;

/// The most signature lines a note may have. The specification asks for at least 16; Go's `sumdb/note` takes 100.
pub const MAX_SIGNATURES: usize = 100;

/// A parsed note: nothing in it is believed until [`Note::verify`] says so.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Note {
    text: String,
    signatures: Vec<NoteSignature>,
}

impl Note {
    /// A note of a text and its signatures.
    pub fn new(text: impl Into<String>, signatures: Vec<NoteSignature>) -> Result<Self, NoteError> {
        let text = text.into();
        check_text(&text)?;
        if signatures.is_empty() {
            return Err(NoteError::NoSignatures);
        }
        check_signature_count(signatures.len())?;
        Ok(Self { text, signatures })
    }

    /// Parses a note. Inverse of [`Note::to_bytes`].
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() > MAX_NOTE_LEN {
            return Err(NoteError::TooLong { actual: bytes.len() });
        }
        let note = std::str::from_utf8(bytes).map_err(|_| NoteError::NotUtf8)?;
        // The text may have empty lines of its own: the signatures follow the last one.
        let split = note.rfind("\n\n").ok_or(NoteError::NoSignatures)?;
        let (text, rest) = note.split_at(split + 1);
        let lines = rest.strip_prefix('\n').ok_or(NoteError::NoSignatures)?;
        Self::new(text, parse_signature_lines(lines)?)
    }

    /// The bytes of the note. Inverse of [`Note::parse`].
    pub fn to_bytes(&self) -> Vec<u8> {
        self.to_string().into_bytes()
    }

    /// The signed text, its final newline included.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// All signature lines, verified or not.
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// Adds signature lines, such as a witness's answer. Lines that are already there are not doubled.
    pub fn add_signatures(
        &mut self,
        signatures: impl IntoIterator<Item = NoteSignature>,
    ) -> Result<(), NoteError> {
        for signature in signatures {
            if self.signatures.contains(&signature) {
                continue;
            }
            check_signature_count(self.signatures.len() + 1)?;
            self.signatures.push(signature);
        }
        Ok(())
    }

    /// The signatures by `keys`, all valid; lines of other keys are ignored, also where the name or the id alone is
    /// that of a known key.
    ///
    /// One bad line of a known key refuses the whole note, and so does a note that no known key has signed.
    pub fn verify(&self, keys: &[VerifierKey]) -> Result<Vec<VerifiedSignature>, NoteError> {
        let mut verified = Vec::new();
        for line in &self.signatures {
            let Some(key) = keys.iter().find(|key| key.name() == line.name && key.id() == line.key_id) else {
                continue;
            };
            let time = key.verify(&self.text, &line.signature).map_err(|source| NoteError::BadSignature {
                name: line.name.clone(),
                key_id: line.key_id,
                source,
            })?;
            verified.push(VerifiedSignature { key: key.clone(), time });
        }
        if verified.is_empty() { Err(NoteError::NoKnownKey) } else { Ok(verified) }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|line| write!(f, "{line}"))
    }
}

/// One signature line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NoteSignature {
    name: String,
    key_id: u32,
    signature: Vec<u8>,
}

impl NoteSignature {
    /// A line of its parts; `signature` is what follows the key id.
    pub fn new(name: impl Into<String>, key_id: u32, signature: Vec<u8>) -> Result<Self, NoteError> {
        let name = name.into();
        check_key_name(&name).map_err(|_| NoteError::SignatureLine { found: name.clone() })?;
        if signature.is_empty() {
            return Err(NoteError::SignatureLine { found: name });
        }
        Ok(Self { name, key_id, signature })
    }

    /// A line from the blob in its base64: key id (4 bytes, big-endian), then the signature.
    pub fn from_blob(name: impl Into<String>, blob: &[u8]) -> Result<Self, NoteError> {
        let name = name.into();
        match blob.split_first_chunk::<4>() {
            Some((id, signature)) => Self::new(name, u32::from_be_bytes(*id), signature.to_vec()),
            None => Err(NoteError::SignatureLine { found: name }),
        }
    }

    /// The name of the key.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The id of the key.
    pub const fn key_id(&self) -> u32 {
        self.key_id
    }

    /// What follows the key id: for type 0x01 the signature, for 0x04 and 0x06 the time and the signature.
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// The bytes in the line's base64. Inverse of [`NoteSignature::from_blob`].
    pub fn blob(&self) -> Vec<u8> {
        [self.key_id.to_be_bytes().as_slice(), &self.signature].concat()
    }
}

/// The line with its newline.
impl fmt::Display for NoteSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{SIGNATURE_PREFIX}{} {}", self.name, BASE64.encode(&self.blob()))
    }
}

/// Parses signature lines alone, as in a witness's answer: one or more, each ended by a newline.
pub fn parse_signature_lines(text: &str) -> Result<Vec<NoteSignature>, NoteError> {
    let body = text.strip_suffix('\n').ok_or(NoteError::NoSignatures)?;
    let lines = body.split('\n').collect::<Vec<_>>();
    check_signature_count(lines.len())?;
    lines.into_iter().map(parse_signature_line).collect()
}

/// Writes signature lines. Inverse of [`parse_signature_lines`].
pub fn serialize_signature_lines(lines: &[NoteSignature]) -> String {
    lines.iter().map(ToString::to_string).collect()
}

/// A signature that was checked: only [`Note::verify`] makes one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VerifiedSignature {
    key: VerifierKey,
    time: Option<u64>,
}

impl VerifiedSignature {
    /// The key that signed.
    pub const fn key(&self) -> &VerifierKey {
        &self.key
    }

    /// The time a cosigner signed, in unix seconds; `None` for a plain note signature.
    pub const fn time(&self) -> Option<u64> {
        self.time
    }
}

/// Why a note is refused.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum NoteError {
    /// A known key's line does not verify.
    #[error("signature of known key {name}+{key_id:08x} is refused: {source}")]
    BadSignature {
        /// Name of the key.
        name: String,
        /// Id of the key.
        key_id: u32,
        /// What is wrong with it.
        source: KeyError,
    },
    /// No line is of a known key.
    #[error("note has no signature by a known key")]
    NoKnownKey,
    /// No empty line, or nothing after it.
    #[error("note has no signature lines")]
    NoSignatures,
    /// The bytes are not UTF-8.
    #[error("note is not valid utf-8")]
    NotUtf8,
    /// A line after the last empty line is not a signature.
    #[error("signature line is malformed: {found:?}")]
    SignatureLine {
        /// The start of the line.
        found: String,
    },
    /// The text is empty, does not end in a newline, or has a control character.
    #[error("note text is empty, unterminated or has a control character")]
    Text,
    /// The note is too long.
    #[error("note is {actual} bytes, want at most {MAX_NOTE_LEN}")]
    TooLong {
        /// Bytes found.
        actual: usize,
    },
    /// The note has too many signatures.
    #[error("note has {actual} signatures, want at most {MAX_SIGNATURES}")]
    TooManySignatures {
        /// Lines found.
        actual: usize,
    },
}

/// Em dash and one space.
const SIGNATURE_PREFIX: &str = "\u{2014} ";

/// How much of a bad line an error repeats.
const ERROR_EXCERPT_CHARS: usize = 40;

fn check_signature_count(actual: usize) -> Result<(), NoteError> {
    if actual > MAX_SIGNATURES { Err(NoteError::TooManySignatures { actual }) } else { Ok(()) }
}

fn check_text(text: &str) -> Result<(), NoteError> {
    let control = text.chars().any(|c| c < ' ' && c != '\n');
    if control || !text.ends_with('\n') { Err(NoteError::Text) } else { Ok(()) }
}

fn parse_signature_line(line: &str) -> Result<NoteSignature, NoteError> {
    let malformed = || NoteError::SignatureLine { found: line.chars().take(ERROR_EXCERPT_CHARS).collect() };
    let (name, blob) =
        line.strip_prefix(SIGNATURE_PREFIX).and_then(|rest| rest.split_once(' ')).ok_or_else(malformed)?;
    check_key_name(name).map_err(|_| malformed())?;
    let blob = base64::decode(blob).ok_or_else(malformed)?;
    NoteSignature::from_blob(name, &blob).map_err(|_| malformed())
}
