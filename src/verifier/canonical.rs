//! Content addresses: SHA-256 over deterministic CBOR (RFC 8949 section 4.2.1).

use std::sync::{Arc, OnceLock};

use serde::Serialize;
use sha2::{Digest, Sha256};
use treering_provenance::strict;

/// The one encoding of what is addressed by its content.
#[expect(clippy::expect_used, reason = "called with texts, octets and lists of both, which always encode")]
pub(super) fn canonical<T: Serialize>(value: &T) -> Vec<u8> {
    strict::to_vec(value).expect("texts, octets and lists encode")
}

/// The content address of something that never changes, worked out when it is first asked for and then shared by its
/// copies. Two things are not told apart by whether somebody has asked.
#[derive(Debug, Clone, Default)]
pub(super) struct Address(Arc<OnceLock<[u8; 32]>>);

impl Address {
    /// SHA-256 of the canonical octets, which are made the first time only.
    pub(super) fn of(&self, octets: impl FnOnce() -> Vec<u8>) -> [u8; 32] {
        *self.0.get_or_init(|| Sha256::digest(octets()).into())
    }
}

impl PartialEq for Address {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Address {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_worked_out_once_for_all_copies() {
        let (one, other) = (Address::default(), Address::default());
        let copy = one.clone();
        assert_eq!(one.of(|| vec![1]), <[u8; 32]>::from(Sha256::digest([1])));
        assert_eq!(copy.of(|| panic!("worked out again")), one.of(|| panic!("worked out again")));
        assert_ne!(other.of(|| vec![2]), one.of(Vec::new), "another thing has another");
        assert_eq!(one, other);
    }
}
