//! The proofs and the label inside a receipt, as CBOR.

use ciborium::Value;
use treering_tlog::hash::Hash;

use super::{BoundHead, LABEL_VERSION, MAX_PATH_HASHES, MAX_RECEIPT_BYTES, ReceiptError};
use crate::strict;

/// One proof: two numbers and a path, as a byte string.
pub(super) fn encode_proof(numbers: [u64; 2], path: &[Hash]) -> Result<Value, ReceiptError> {
    let path = path.iter().map(|hash| Value::Bytes(hash.as_bytes().to_vec())).collect();
    let [first, second] = numbers;
    let bytes = strict::encode(&Value::Array(vec![first.into(), second.into(), Value::Array(path)]))?;
    Ok(Value::Bytes(bytes))
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

/// Inverse of [`encode_proof`].
pub(super) fn decode_proof(item: &Value) -> RawProof {
    let malformed = || ReceiptError::Shape("a proof is a byte string with [uint, uint, [+ hash]]");
    let bytes = item.as_bytes().ok_or_else(malformed)?;
    let value = strict::decode(bytes, MAX_RECEIPT_BYTES)?;
    let Some([first, second, Value::Array(path)]) = value.as_array().map(Vec::as_slice) else {
        return Err(malformed());
    };
    // An empty path is outside RFC 9942's schema; it could only come of a tree with one leaf, and no such tree is
    // ever sealed.
    if path.is_empty() || path.len() > MAX_PATH_HASHES {
        return Err(malformed());
    }
    let hash =
        |hash: &Value| hash.as_bytes().and_then(|bytes| Hash::from_slice(bytes).ok()).ok_or_else(malformed);
    let path = path.iter().map(hash).collect::<Result<_, _>>()?;
    Ok((as_u64(first).ok_or_else(malformed)?, as_u64(second).ok_or_else(malformed)?, path))
}

/// A number that is not negative.
pub(super) fn as_u64(value: &Value) -> Option<u64> {
    value.as_integer().and_then(|value| u64::try_from(value).ok())
}
