//! Signing notes, and the text of private keys in files.

use std::fmt;

use data_encoding::{BASE64, HEXLOWER};
use ed25519_dalek::{Signer as _, SigningKey};
use zeroize::Zeroizing;

use super::{
    NoteError, NoteSignature,
    key::{KeyError, KeyType, VerifierKey},
    mldsa,
};

use crate::base64;

/// An Ed25519 private key with its name, for notes (type 0x01): a log's.
pub struct NoteSigner {
    key: PrivateKey,
}

impl NoteSigner {
    /// The signer of a name and a 32-byte seed.
    pub fn from_seed(name: impl Into<String>, seed: &[u8; 32]) -> Result<Self, KeyError> {
        PrivateKey::from_seed(name, KeyType::Ed25519, seed).map(|key| Self { key })
    }

    /// Parses `PRIVATE+KEY+<name>+<key id>+<base64(type || seed)>`, the form of Go's `sumdb/note`.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        PrivateKey::parse(text, |kind| kind == KeyType::Ed25519, KeyType::Ed25519).map(|key| Self { key })
    }

    /// The private key as text. Inverse of [`NoteSigner::parse`].
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

    /// Signs a text, final newline included.
    pub fn sign(&self, text: &str) -> Result<NoteSignature, NoteError> {
        // Ed25519 signing does not fail.
        let signature = self.key.sign(text.as_bytes()).map_err(|source| NoteError::BadSignature {
            name: self.name().to_owned(),
            key_id: self.key.verifier.id(),
            source,
        })?;
        NoteSignature::new(self.name(), self.key.verifier.id(), signature)
    }
}

/// Shows the public key only.
impl fmt::Debug for NoteSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NoteSigner({})", self.key.verifier)
    }
}

/// What both kinds of signer share.
pub(crate) struct PrivateKey {
    secret: Secret,
    pub(crate) verifier: VerifierKey,
}

/// The seed is wiped when it goes out of scope (both libraries do it).
enum Secret {
    Ed25519(Box<SigningKey>),
    MlDsa44(mldsa::PrivateKey),
}

impl PrivateKey {
    pub(crate) fn from_seed(
        name: impl Into<String>,
        kind: KeyType,
        seed: &[u8; 32],
    ) -> Result<Self, KeyError> {
        let (secret, verifier) = match kind {
            KeyType::Ed25519 | KeyType::CosignatureV1 => {
                let key = SigningKey::from_bytes(seed);
                let verifier = VerifierKey::new(name, kind, key.verifying_key().as_bytes())?;
                (Secret::Ed25519(Box::new(key)), verifier)
            }
            KeyType::MlDsa44 => {
                let key = mldsa::PrivateKey::from_seed(seed);
                let verifier = VerifierKey::new(name, kind, &key.public_key())?;
                (Secret::MlDsa44(key), verifier)
            }
        };
        Ok(Self { secret, verifier })
    }

    /// Parses a key of a type that `fits`; an error names `wanted`.
    pub(crate) fn parse(
        text: &str,
        fits: impl Fn(KeyType) -> bool,
        wanted: KeyType,
    ) -> Result<Self, KeyError> {
        let rest = text.strip_prefix(PRIVATE_PREFIX).ok_or(KeyError::PrivateKey)?;
        let mut fields = rest.splitn(3, '+');
        let (Some(name), Some(id), Some(material)) = (fields.next(), fields.next(), fields.next()) else {
            return Err(KeyError::PrivateKey);
        };
        let material = Zeroizing::new(base64::decode(material).ok_or(KeyError::PrivateKey)?);
        let (&kind, seed) = material.split_first().ok_or(KeyError::PrivateKey)?;
        let actual = KeyType::from_byte(kind).ok_or(KeyError::UnsupportedType { actual: kind })?;
        if !fits(actual) {
            return Err(KeyError::WrongType { actual, wanted });
        }
        let key = Self::from_seed(name, actual, seed.try_into().map_err(|_| KeyError::PrivateKey)?)?;
        let wanted_id = HEXLOWER.encode(&key.verifier.id().to_be_bytes());
        if id != wanted_id {
            return Err(KeyError::IdMismatch { actual: id.chars().take(8).collect(), wanted: wanted_id });
        }
        Ok(key)
    }

    pub(crate) fn to_text(&self) -> Zeroizing<String> {
        let seed = match &self.secret {
            Secret::Ed25519(key) => key.as_bytes().as_slice(),
            Secret::MlDsa44(key) => key.seed(),
        };
        let mut material = Zeroizing::new(Vec::with_capacity(1 + seed.len()));
        material.push(self.verifier.kind().byte());
        material.extend_from_slice(seed);
        let encoded = Zeroizing::new(BASE64.encode(&material));
        Zeroizing::new(format!(
            "{PRIVATE_PREFIX}{}+{:08x}+{}",
            self.verifier.name(),
            self.verifier.id(),
            encoded.as_str()
        ))
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        match &self.secret {
            Secret::Ed25519(key) => Ok(key.sign(message).to_bytes().to_vec()),
            Secret::MlDsa44(key) => key.sign(message),
        }
    }
}

/// As Go's `sumdb/note` writes it.
const PRIVATE_PREFIX: &str = "PRIVATE+KEY+";
