//! Timestamped cosignatures of Ed25519 (type 0x04) and ML-DSA-44 (type 0x06, whole trees) of [C2SP tlog-cosignature](https://c2sp.org/tlog-cosignature).
//!
//! In scope: a witness's signer, and checking one cosignature on its own. Out of scope: when a witness may sign, and
//! cosignatures of subtrees (without a time), whose form is still moving.
//!
//! A cosignature says: at this time this was the largest tree of this log that I had seen, consistent with all before.

use std::fmt;

use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    checkpoint::{Checkpoint, CheckpointError},
    note::{KeyError, KeyType, NoteError, NoteSignature, VerifierKey, cosigned_bytes, signer::PrivateKey},
};

/// A private key with its name, for cosignatures. A cosigner's key is used for nothing else: the signed message
/// does not name the cosigner.
pub struct CosignSigner {
    key: PrivateKey,
}

impl CosignSigner {
    /// The Ed25519 signer of a name and a 32-byte seed.
    pub fn from_seed(name: impl Into<String>, seed: &[u8; 32]) -> Result<Self, KeyError> {
        PrivateKey::from_seed(name, KeyType::CosignatureV1, seed).map(|key| Self { key })
    }

    /// The ML-DSA-44 signer of a name and a 32-byte seed.
    pub fn mldsa_from_seed(name: impl Into<String>, seed: &[u8; 32]) -> Result<Self, KeyError> {
        PrivateKey::from_seed(name, KeyType::MlDsa44, seed).map(|key| Self { key })
    }

    /// Parses `PRIVATE+KEY+<name>+<key id>+<base64(type || seed)>`, of either type.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        PrivateKey::parse(text, KeyType::is_cosignature, KeyType::CosignatureV1).map(|key| Self { key })
    }

    /// The private key as text. Inverse of [`CosignSigner::parse`].
    pub fn to_private_text(&self) -> Zeroizing<String> {
        self.key.to_text()
    }

    /// The name of the key.
    pub fn name(&self) -> &str {
        self.key.verifier.name()
    }

    /// The public key.
    pub const fn verifier(&self) -> &VerifierKey {
        &self.key.verifier
    }

    /// Cosigns the text of a checkpoint at a time in unix seconds.
    ///
    /// A text that is no checkpoint is refused, and so is time 0, which would say nothing about when.
    pub fn cosign(&self, body: &str, time: u64) -> Result<NoteSignature, CosignatureError> {
        Checkpoint::parse(body)?;
        if time == 0 || i64::try_from(time).is_err() {
            return Err(CosignatureError::Time { actual: time });
        }
        let verifier = &self.key.verifier;
        let signature = self.key.sign(&cosigned_bytes(verifier.kind(), verifier.name(), time, body)?)?;
        let blob = [time.to_be_bytes().as_slice(), &signature].concat();
        Ok(NoteSignature::new(self.name(), self.key.verifier.id(), blob)?)
    }
}

/// Shows the public key only.
impl fmt::Debug for CosignSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CosignSigner({})", self.key.verifier)
    }
}

/// Checks one cosignature line over the text of a checkpoint; the answer is its time in unix seconds.
///
/// The line must be of this very key, and the key a cosigner's.
pub fn verify(key: &VerifierKey, body: &str, line: &NoteSignature) -> Result<u64, CosignatureError> {
    Checkpoint::parse(body)?;
    if line.name() != key.name() || line.key_id() != key.id() {
        return Err(CosignatureError::OtherKey {
            actual: format!("{}+{:08x}", line.name(), line.key_id()),
            wanted: format!("{}+{:08x}", key.name(), key.id()),
        });
    }
    let time = key.verify(body, line.signature())?;
    time.ok_or(CosignatureError::Key(KeyError::WrongType {
        actual: key.kind(),
        wanted: KeyType::CosignatureV1,
    }))
}

/// Why a cosignature is refused or not made.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum CosignatureError {
    /// The text is not a checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The key or the signature is refused.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The line cannot be written.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The line is of another key.
    #[error("cosignature is of key {actual}, want {wanted}")]
    OtherKey {
        /// Name and id in the line.
        actual: String,
        /// Name and id of the key.
        wanted: String,
    },
    /// The time cannot be signed.
    #[error("cosignature time is {actual}, want 1 to 2^63 - 1")]
    Time {
        /// Time asked for.
        actual: u64,
    },
}
