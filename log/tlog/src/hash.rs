//! Merkle hashing of RFC 9162, section 2.1.1, with SHA-256.
//!
//! In scope: the one hash type, the leaf and node rules, the empty root. Out of scope: trees.

use std::fmt;

use data_encoding::{BASE64, HEXLOWER};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::base64;

/// Bytes of a SHA-256 hash.
pub const HASH_SIZE: usize = 32;

/// Characters of a hash in padded base64: 4 for every 3 bytes or part of them.
pub const HASH_BASE64_LEN: usize = HASH_SIZE.div_ceil(3) * 4;

/// The root of the empty tree: SHA-256 of no bytes.
pub const EMPTY_ROOT: Hash = Hash([
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27,
    0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
]);

/// The hash of a leaf, an inner node or a whole tree.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub struct Hash([u8; HASH_SIZE]);

/// Its first eight octets are as scattered as all of them, and tables are keyed by hash at every append: a table's own key
/// (`RandomState`) still keeps its places from whoever can choose entries.
impl std::hash::Hash for Hash {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        let (first, _) = self.0.as_chunks::<8>();
        state.write_u64(first.first().map_or(0, |first| u64::from_ne_bytes(*first)));
    }
}

impl Hash {
    /// Wraps 32 bytes.
    pub const fn from_bytes(bytes: [u8; HASH_SIZE]) -> Self {
        Self(bytes)
    }

    /// Takes exactly 32 bytes; any other length is refused.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, HashError> {
        bytes.try_into().map(Self).map_err(|_| HashError::Length { actual: bytes.len() })
    }

    /// Parses padded base64, the form of every hash in the C2SP texts.
    pub fn parse_base64(text: &str) -> Result<Self, HashError> {
        // The length is checked first so that a long line is never decoded.
        if text.len() != HASH_BASE64_LEN {
            return Err(HashError::Base64Length { actual: text.len() });
        }
        let bytes = base64::decode(text).ok_or(HashError::Base64)?;
        Self::from_slice(&bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; HASH_SIZE] {
        &self.0
    }

    /// The bytes, by value.
    pub const fn to_bytes(self) -> [u8; HASH_SIZE] {
        self.0
    }

    /// Padded base64. Inverse of [`Hash::parse_base64`].
    pub fn to_base64(&self) -> String {
        BASE64.encode(&self.0)
    }

    /// Lower-case hexadecimal.
    pub fn to_hex(&self) -> String {
        HEXLOWER.encode(&self.0)
    }
}

impl AsRef<[u8]> for Hash {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

/// The base64 of the C2SP texts.
impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_base64())
    }
}

impl From<[u8; HASH_SIZE]> for Hash {
    fn from(bytes: [u8; HASH_SIZE]) -> Self {
        Self(bytes)
    }
}

impl From<Hash> for [u8; HASH_SIZE] {
    fn from(hash: Hash) -> Self {
        hash.0
    }
}

impl TryFrom<&[u8]> for Hash {
    type Error = HashError;

    fn try_from(bytes: &[u8]) -> Result<Self, HashError> {
        Self::from_slice(bytes)
    }
}

/// The hash of an entry as a leaf: SHA-256(0x00 || entry).
pub fn leaf_hash(entry: &[u8]) -> Hash {
    Hash(Sha256::new().chain_update([LEAF_PREFIX]).chain_update(entry).finalize().into())
}

/// The hash of an inner node: SHA-256(0x01 || left || right).
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Hash(
        Sha256::new()
            .chain_update([NODE_PREFIX])
            .chain_update(left.0)
            .chain_update(right.0)
            .finalize()
            .into(),
    )
}

/// Why bytes or text are not a hash.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum HashError {
    /// The base64 is not canonical.
    #[error("hash is not canonical base64")]
    Base64,
    /// The text is not as long as the base64 of a hash.
    #[error("hash text is {actual} characters, want {HASH_BASE64_LEN}")]
    Base64Length {
        /// Characters found.
        actual: usize,
    },
    /// The bytes are not 32.
    #[error("hash is {actual} bytes, want {HASH_SIZE}")]
    Length {
        /// Bytes found.
        actual: usize,
    },
}

/// Domain separation of leaves and nodes, so that no entry can pose as an inner node.
const LEAF_PREFIX: u8 = 0;
const NODE_PREFIX: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_root_is_the_hash_of_nothing() {
        assert_eq!(EMPTY_ROOT.0, <[u8; HASH_SIZE]>::from(Sha256::digest([])));
    }

    /// Reference values of RFC 6962 implementations: a change here makes every stored tree unreadable.
    #[test]
    fn known_leaf_and_node() {
        assert_eq!(
            leaf_hash(b"").to_hex(),
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
        );
        assert_eq!(
            leaf_hash(b"L123456").to_hex(),
            "395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56"
        );
        let zero = leaf_hash(b"");
        let one = leaf_hash(&[0]);
        assert_eq!(
            node_hash(&zero, &one).to_hex(),
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"
        );
    }

    #[test]
    fn base64_round_trips_and_is_strict() {
        let text = EMPTY_ROOT.to_base64();
        assert_eq!(Hash::parse_base64(&text), Ok(EMPTY_ROOT));
        assert_eq!(Hash::parse_base64(""), Err(HashError::Base64Length { actual: 0 }));
        // 32 bytes leave two unused bits in the last character: setting one is a second encoding of the same hash.
        assert!(text.ends_with("U="));
        assert_eq!(Hash::parse_base64(&text.replace("U=", "V=")), Err(HashError::Base64));
        assert_eq!(Hash::parse_base64(&text.replacen('4', "-", 1)), Err(HashError::Base64));
    }
}
