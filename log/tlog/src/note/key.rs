//! Verifier keys: names, identifiers, the `vkey` text, and checking one signature.

use std::fmt;
use std::str::FromStr;

use data_encoding::{BASE64, HEXLOWER};
use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::mldsa::{self, mldsa_cosignature_message};
use crate::{base64, checkpoint::Checkpoint, ed25519::verify_strict};

/// The longest key name: cosigned messages of the next signature type count it in one byte.
pub const MAX_KEY_NAME_LEN: usize = 255;

/// The signature types that are verified here.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum KeyType {
    /// Ed25519 over the note's text: logs.
    Ed25519 = 0x01,
    /// Ed25519 over `cosignature/v1`, the time and the text: witnesses.
    CosignatureV1 = 0x04,
    /// ML-DSA-44 over the cosigner's name, the time, the log's origin, size and root: witnesses.
    MlDsa44 = 0x06,
}

impl KeyType {
    /// The byte in key ids and vkeys.
    pub const fn byte(self) -> u8 {
        match self {
            Self::Ed25519 => 0x01,
            Self::CosignatureV1 => 0x04,
            Self::MlDsa44 => 0x06,
        }
    }

    /// Whether signatures of this type are timestamped cosignatures, as witnesses make them.
    pub const fn is_cosignature(self) -> bool {
        matches!(self, Self::CosignatureV1 | Self::MlDsa44)
    }

    pub(super) const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0x01 => Some(Self::Ed25519),
            0x04 => Some(Self::CosignatureV1),
            0x06 => Some(Self::MlDsa44),
            _ => None,
        }
    }
}

/// A public key with its name: who may sign which notes.
///
/// Its text is the `vkey` of the specification, `<name>+<key id, hex>+<base64(type || public key)>`.
#[derive(Clone, Eq, PartialEq)]
pub struct VerifierKey {
    name: String,
    kind: KeyType,
    key: PublicKey,
    id: u32,
}

/// The types that the kinds of keys have in common.
#[derive(Clone, Eq, PartialEq)]
enum PublicKey {
    Ed25519(VerifyingKey),
    MlDsa44(mldsa::PublicKey),
}

impl VerifierKey {
    /// The key of a name, type and public key: 32 bytes of Ed25519, or 1312 of ML-DSA-44. Ed25519 keys of small order are
    /// refused: anyone can sign for them.
    pub fn new(name: impl Into<String>, kind: KeyType, public_key: &[u8]) -> Result<Self, KeyError> {
        let name = name.into();
        check_key_name(&name)?;
        let key = match kind {
            KeyType::Ed25519 | KeyType::CosignatureV1 => ed25519(public_key).map(PublicKey::Ed25519),
            KeyType::MlDsa44 => mldsa::PublicKey::parse(public_key).map(PublicKey::MlDsa44),
        };
        let key = key.ok_or(KeyError::PublicKey)?;
        let id = key_id(&name, kind, public_key);
        Ok(Self { name, kind, key, id })
    }

    /// Parses a vkey. Inverse of `Display`.
    pub fn parse(vkey: &str) -> Result<Self, KeyError> {
        // A name has no '+', base64 may: the first two split the fields.
        let mut fields = vkey.splitn(3, '+');
        let (Some(name), Some(id), Some(material)) = (fields.next(), fields.next(), fields.next()) else {
            return Err(KeyError::Vkey);
        };
        check_key_name(name)?;
        if id.len() != 8 || material.len() > MAX_MATERIAL_LEN {
            return Err(KeyError::Vkey);
        }
        let id = HEXLOWER.decode(id.as_bytes()).map_err(|_| KeyError::Vkey)?;
        let material = base64::decode(material).ok_or(KeyError::Vkey)?;
        let (&kind, public_key) = material.split_first().ok_or(KeyError::Vkey)?;
        let kind = KeyType::from_byte(kind).ok_or(KeyError::UnsupportedType { actual: kind })?;
        let key = Self::new(name, kind, public_key)?;
        if key.id.to_be_bytes().as_slice() != id {
            return Err(KeyError::IdMismatch {
                actual: HEXLOWER.encode(&id),
                wanted: format!("{:08x}", key.id),
            });
        }
        Ok(key)
    }

    /// The name of the key.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The signature type.
    pub const fn kind(&self) -> KeyType {
        self.kind
    }

    /// The key id.
    pub const fn id(&self) -> u32 {
        self.id
    }

    /// The public key: 32 bytes of Ed25519, or 1312 of ML-DSA-44.
    pub fn public_key(&self) -> &[u8] {
        match &self.key {
            PublicKey::Ed25519(key) => key.as_bytes(),
            PublicKey::MlDsa44(key) => key.as_bytes(),
        }
    }

    /// Checks the bytes after the key id of a signature line over a note's text, final newline included.
    ///
    /// The answer is the signed time in unix seconds for a cosignature, `None` for a plain signature.
    pub fn verify(&self, text: &str, signature: &[u8]) -> Result<Option<u64>, KeyError> {
        if self.kind == KeyType::Ed25519 {
            self.verify_bytes(text.as_bytes(), signature)?;
            return Ok(None);
        }
        let (time, signature) = split_timestamp(signature)?;
        self.verify_bytes(&cosigned_bytes(self.kind, &self.name, time, text)?, signature)?;
        Ok(Some(time))
    }

    fn verify_bytes(&self, message: &[u8], signature: &[u8]) -> Result<(), KeyError> {
        let key = match &self.key {
            PublicKey::Ed25519(key) => key,
            PublicKey::MlDsa44(key) => return key.verify(message, signature),
        };
        let signature = Signature::from_slice(signature)
            .map_err(|_| KeyError::SignatureLength { actual: signature.len(), wanted: ED25519_LEN })?;
        if verify_strict(key, message, &signature) { Ok(()) } else { Err(KeyError::Signature) }
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifierKey({self})")
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let material = [&[self.kind.byte()], self.public_key()].concat();
        write!(f, "{}+{:08x}+{}", self.name, self.id, BASE64.encode(&material))
    }
}

impl FromStr for VerifierKey {
    type Err = KeyError;

    fn from_str(vkey: &str) -> Result<Self, KeyError> {
        Self::parse(vkey)
    }
}

/// The id of a key: the first four bytes of SHA-256(name || 0x0A || type || public key).
pub fn key_id(name: &str, kind: KeyType, public_key: &[u8]) -> u32 {
    let digest: [u8; 32] = Sha256::new()
        .chain_update(name)
        .chain_update([b'\n', kind.byte()])
        .chain_update(public_key)
        .finalize()
        .into();
    let [a, b, c, d, ..] = digest;
    u32::from_be_bytes([a, b, c, d])
}

/// Key names are not empty, at most [`MAX_KEY_NAME_LEN`] bytes, and have no space, plus sign or control character.
pub fn check_key_name(name: &str) -> Result<(), KeyError> {
    let refused = |c: char| c.is_whitespace() || c.is_control() || c == '+';
    if name.is_empty() || name.len() > MAX_KEY_NAME_LEN || name.contains(refused) {
        return Err(KeyError::Name);
    }
    Ok(())
}

/// What a witness signs with Ed25519: its time and the whole text of the checkpoint, extension lines included.
pub fn cosignature_message(time: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

/// What a cosigner of this type signs over the text of a checkpoint.
///
/// An ML-DSA-44 cosignature of a whole tree has a time; without one it would be of a subtree, and say nothing about when.
pub(crate) fn cosigned_bytes(kind: KeyType, name: &str, time: u64, text: &str) -> Result<Vec<u8>, KeyError> {
    if kind != KeyType::MlDsa44 {
        return Ok(cosignature_message(time, text).into_bytes());
    }
    if time == 0 {
        return Err(KeyError::Time { actual: 0 });
    }
    let checkpoint = Checkpoint::parse(text).map_err(|_| KeyError::NotACheckpoint)?;
    mldsa_cosignature_message(name, time, &checkpoint).ok_or(KeyError::NotACheckpoint)
}

/// Splits the time from the signature of a timestamped cosignature.
pub fn split_timestamp(signature: &[u8]) -> Result<(u64, &[u8]), KeyError> {
    let (time, rest) = signature
        .split_first_chunk::<8>()
        .ok_or(KeyError::SignatureLength { actual: signature.len(), wanted: TIME_LEN + ED25519_LEN })?;
    let time = u64::from_be_bytes(*time);
    if time > MAX_TIME { Err(KeyError::Time { actual: time }) } else { Ok((time, rest)) }
}

/// Why a key or a signature is refused.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum KeyError {
    /// The id in the text is not that of the key.
    #[error("key id is {actual}, want {wanted}")]
    IdMismatch {
        /// Id in the text.
        actual: String,
        /// Id computed.
        wanted: String,
    },
    /// The name is not allowed.
    #[error(
        "key name is empty, longer than {MAX_KEY_NAME_LEN} bytes, or has a space, a plus sign or a control character"
    )]
    Name,
    /// The type signs checkpoints only, with an origin of at most 255 bytes.
    #[error("text is not a checkpoint with an origin of at most 255 bytes")]
    NotACheckpoint,
    /// The private key text is malformed.
    #[error("private key is not PRIVATE+KEY+<name>+<key id>+<base64>")]
    PrivateKey,
    /// The bytes are not a usable public key.
    #[error("public key is not a 32-byte ed25519 key of full order, or a 1312-byte ml-dsa-44 key")]
    PublicKey,
    /// The signature does not verify.
    #[error("signature does not verify")]
    Signature,
    /// The signature has another length.
    #[error("signature is {actual} bytes, want {wanted}")]
    SignatureLength {
        /// Bytes found.
        actual: usize,
        /// Bytes wanted.
        wanted: usize,
    },
    /// The time is above 2^63 - 1, or 0 in an ML-DSA-44 cosignature.
    #[error("cosignature time is {actual}, want at most {MAX_TIME}, and for ml-dsa-44 not 0")]
    Time {
        /// Time found.
        actual: u64,
    },
    /// The signature type is not one that is verified here.
    #[error("key type is {actual:#04x}, want 0x01, 0x04 or 0x06")]
    UnsupportedType {
        /// Type found.
        actual: u8,
    },
    /// The text is not a vkey.
    #[error("verifier key is not <name>+<key id>+<base64>")]
    Vkey,
    /// The key is of a type that cannot do this.
    #[error("key type is {actual:?}, want {wanted:?}")]
    WrongType {
        /// Type of the key.
        actual: KeyType,
        /// Type needed.
        wanted: KeyType,
    },
}

/// Bytes of an Ed25519 signature.
pub(super) const ED25519_LEN: usize = 64;

/// Bytes of the time before a cosignature.
const TIME_LEN: usize = 8;

/// The greatest time of the specification.
const MAX_TIME: u64 = i64::MAX as u64;

/// Base64 of a type byte and an ML-DSA-44 key.
const MAX_MATERIAL_LEN: usize = (1 + mldsa::PUBLIC_KEY_LEN).div_ceil(3) * 4;

fn ed25519(bytes: &[u8]) -> Option<VerifyingKey> {
    let key = VerifyingKey::from_bytes(bytes.try_into().ok()?).ok()?;
    if key.is_weak() { None } else { Some(key) }
}
