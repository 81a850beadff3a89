//! The proofs and the label inside a receipt, as CBOR.

use ciborium::Value;
use treering_tlog::hash::Hash;

use super::{BoundHead, LABEL_VERSION, MAX_PATH_HASHES, MAX_RECEIPT_BYTES, ReceiptError};
use crate::strict::{self, Head};

/// Writes one proof: two numbers and a path, as a byte string.
pub(super) fn put_proof(out: &mut Vec<u8>, numbers: [u64; 2], path: &[Hash]) -> Result<(), ReceiptError> {
    check_path(path.len())?;
    let mut proof = Vec::with_capacity(24 + path.len() * 34);
    Head::Array(3).put(&mut proof);
    for number in numbers {
        Head::Unsigned(number).put(&mut proof);
    }
    Head::Array(path.len()).put(&mut proof);
    for hash in path {
        strict::put_bytes(&mut proof, hash.as_bytes());
    }
    strict::put_bytes(out, &proof);
    Ok(())
}

/// An empty path is outside RFC 9942's schema; it could only come of a tree with one leaf, and no such tree is ever
/// sealed.
fn check_path(hashes: usize) -> Result<(), ReceiptError> {
    if (1..=MAX_PATH_HASHES).contains(&hashes) { Ok(()) } else { Err(malformed()) }
}

fn malformed() -> ReceiptError {
    ReceiptError::Shape("a proof is a byte string with [uint, uint, [+ hash]]")
}

/// Our label: what the signature binds.
pub(super) fn parse_head(value: &Value) -> Result<BoundHead, ReceiptError> {
    let malformed = ReceiptError::Shape("label is not {v: 1, size, origin}");
    // Deterministic order: the shorter key first.
    let Some([(v, version), (s, size), (o, origin)]) = value.as_map().map(Vec::as_slice) else {
        return Err(malformed);
    };
    let names = (v.as_text(), s.as_text(), o.as_text()) == (Some("v"), Some("size"), Some("origin"));
    match (origin.as_text(), as_u64(size)) {
        (Some(origin), Some(size)) if names && *version == Value::from(LABEL_VERSION) => {
            Ok(BoundHead { origin: origin.to_owned(), size })
        }
        _ => Err(malformed),
    }
}

/// The two numbers of a proof and its path.
pub(super) type RawProof = Result<(u64, u64, Vec<Hash>), ReceiptError>;

/// Inverse of [`put_proof`].
pub(super) fn decode_proof(item: &Value) -> RawProof {
    let bytes = item.as_bytes().ok_or_else(malformed)?;
    let value = strict::decode(bytes, MAX_RECEIPT_BYTES)?;
    let Some([first, second, Value::Array(path)]) = value.as_array().map(Vec::as_slice) else {
        return Err(malformed());
    };
    check_path(path.len())?;
    let hash =
        |hash: &Value| hash.as_bytes().and_then(|bytes| Hash::from_slice(bytes).ok()).ok_or_else(malformed);
    let path = path.iter().map(hash).collect::<Result<_, _>>()?;
    Ok((as_u64(first).ok_or_else(malformed)?, as_u64(second).ok_or_else(malformed)?, path))
}

/// A number that is not negative.
pub(super) fn as_u64(value: &Value) -> Option<u64> {
    value.as_integer().and_then(|value| u64::try_from(value).ok())
}
