//! Content addresses: SHA-256 over deterministic CBOR (RFC 8949 section 4.2.1).

use serde::Serialize;
use treering_provenance::strict;

/// The one encoding of what is addressed by its content.
#[expect(clippy::expect_used, reason = "called with texts, octets and lists of both, which always encode")]
pub(super) fn canonical<T: Serialize>(value: &T) -> Vec<u8> {
    strict::to_vec(value).expect("texts, octets and lists encode")
}
