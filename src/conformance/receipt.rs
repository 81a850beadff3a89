//! What a receipt must be (RFC 9942, RFC 9943 section 6), and whether it is one of this statement.

use ciborium::Value;
use sha2::{Digest as _, Sha256};
use treering_provenance::receipt::Receipt;
use treering_provenance::strict;
use treering_tlog::hash::{Hash, leaf_hash};

use super::EntryProfile;
use super::book::Book;
use super::keys::PublishedKey;
use super::statements::stripped;

const MAX_RECEIPT_BYTES: usize = 256 * 1024;
const TAG_SIGN1: u64 = 18;
const ALG: i64 = 1;
const KID: i64 = 4;
const CWT_CLAIMS: i64 = 15;
const VDS: i64 = 395;
const VDP: i64 = 396;
const INCLUSION: i64 = -1;
const RFC9162_SHA256: i64 = 1;

/// The leaf of a statement's entry.
pub(super) fn leaf(statement: &[u8], profile: EntryProfile) -> Result<Hash, String> {
    let entry = stripped(statement)?;
    Ok(match profile {
        EntryProfile::Statement => leaf_hash(&entry),
        EntryProfile::Digest => leaf_hash(&Sha256::digest(&entry)),
    })
}

/// Checks a receipt for the entry with this leaf; its place in the tree, if it has one.
pub(super) fn check(book: &mut Book, bytes: &[u8], leaf: &Hash, keys: &[PublishedKey]) -> Option<u64> {
    let parts = match shape(bytes) {
        Ok(parts) => parts,
        Err(reason) => {
            book.fail("receipt.sign1", reason);
            return None;
        }
    };
    book.pass("receipt.sign1", "tag 18, four parts");
    book.judge("receipt.detached", detached(&parts));
    book.judge("receipt.alg", integer(&parts.protected, ALG, "alg (1)").map(|alg| alg.to_string()));
    book.judge("receipt.claims", claims(&parts));
    let kid = field(&parts.protected, KID).and_then(Value::as_bytes);
    match kid {
        Some(_) => book.pass("receipt.kid", "names its key"),
        None => book.fail("receipt.kid", "no kid (4) in the protected header"),
    }
    let vds = integer(&parts.protected, VDS, "vds (395)");
    book.judge("receipt.vds", vds.clone().and_then(|vds| registered(vds, &parts)));
    if vds != Ok(i128::from(RFC9162_SHA256)) {
        let detail = "not a receipt of RFC9162_SHA256: its proofs are of another kind";
        book.not_applicable("receipt.inclusion", detail);
        book.not_run("receipt.signature", detail);
        return None;
    }
    book.judge("receipt.inclusion", inclusion(&parts));
    signature(book, bytes, leaf, keys, kid.map(Vec::as_slice))
}

struct Parts {
    protected: Vec<(Value, Value)>,
    unprotected: Vec<(Value, Value)>,
    payload: Value,
}

fn shape(bytes: &[u8]) -> Result<Parts, String> {
    strict::check_unsorted(bytes, MAX_RECEIPT_BYTES).map_err(|error| error.to_string())?;
    let value: Value = ciborium::from_reader(bytes).map_err(|error| error.to_string())?;
    let Value::Tag(TAG_SIGN1, message) = value else { return Err("not tagged 18".to_owned()) };
    let parts = message.into_array().map_err(|_| "not an array".to_owned())?;
    let Ok([protected, unprotected, payload, signature]) = <[Value; 4]>::try_from(parts) else {
        return Err("not four parts".to_owned());
    };
    let protected = protected.into_bytes().map_err(|_| "the protected header is not a byte string")?;
    strict::check_unsorted(&protected, MAX_RECEIPT_BYTES).map_err(|error| error.to_string())?;
    let protected: Value = ciborium::from_reader(protected.as_slice()).map_err(|error| error.to_string())?;
    signature.into_bytes().map_err(|_| "the signature is not a byte string")?;
    Ok(Parts {
        protected: protected.into_map().map_err(|_| "the protected header is not a map")?,
        unprotected: unprotected.into_map().map_err(|_| "the unprotected header is not a map")?,
        payload,
    })
}

fn field(map: &[(Value, Value)], label: i64) -> Option<&Value> {
    map.iter().find(|(key, _)| *key == Value::from(label)).map(|(_, value)| value)
}

fn integer(map: &[(Value, Value)], label: i64, name: &str) -> Result<i128, String> {
    let found = field(map, label).ok_or_else(|| format!("no {name} in the protected header"))?;
    found.as_integer().map(i128::from).ok_or_else(|| format!("{name} is not an integer"))
}

fn detached(parts: &Parts) -> Result<String, String> {
    match parts.payload {
        Value::Null => Ok("the root is not in the receipt".to_owned()),
        _ => Err("the payload is not nil".to_owned()),
    }
}

fn registered(vds: i128, parts: &Parts) -> Result<String, String> {
    if field(&parts.unprotected, VDS).is_some() {
        return Err("vds (395) is in the unprotected header".to_owned());
    }
    match vds {
        1 => Ok("RFC9162_SHA256".to_owned()),
        other => Err(format!("{other}: the registry has 1 (RFC9162_SHA256) only")),
    }
}

fn claims(parts: &Parts) -> Result<String, String> {
    let claims = field(&parts.protected, CWT_CLAIMS).and_then(Value::as_map);
    let claims = claims.ok_or("no CWT claims (15) in the protected header")?;
    for (label, name) in [(1, "iss"), (2, "sub")] {
        let text = field(claims, label).and_then(Value::as_text);
        text.filter(|text| !text.is_empty())
            .ok_or_else(|| format!("no {name} ({label}) among the claims"))?;
    }
    Ok("iss and sub".to_owned())
}

fn inclusion(parts: &Parts) -> Result<String, String> {
    if field(&parts.protected, VDP).is_some() {
        return Err("the proofs (396) are in the protected header".to_owned());
    }
    let proofs = field(&parts.unprotected, VDP).and_then(Value::as_map);
    let proofs = proofs.ok_or("no map of proofs (396) in the unprotected header")?;
    let proofs = field(proofs, INCLUSION).and_then(Value::as_array);
    let proofs = proofs.ok_or("no array of inclusion proofs (-1)")?;
    let first = proofs.first().and_then(Value::as_bytes).ok_or("no proof, or not in a byte string")?;
    strict::check(first, MAX_RECEIPT_BYTES).map_err(|error| format!("the proof: {error}"))?;
    let proof: Value = ciborium::from_reader(first.as_slice()).map_err(|error| error.to_string())?;
    let Some([size, index, path]) = proof.as_array().map(Vec::as_slice) else {
        return Err(
            "a proof is not [tree size, leaf index, path]: the path is an array of its own".to_owned()
        );
    };
    let number = |value: &Value| value.as_integer().and_then(|value| u64::try_from(value).ok());
    let (Some(size), Some(index)) = (number(size), number(index)) else {
        return Err("tree size or leaf index is not an unsigned integer".to_owned());
    };
    let path = path.as_array().ok_or("the path is not an array")?;
    if path.is_empty() {
        return Err("the path is empty, which the schema does not have".to_owned());
    }
    if !path.iter().all(|hash| hash.as_bytes().is_some_and(|hash| hash.len() == 32)) {
        return Err("the path has something else than hashes of 32 octets".to_owned());
    }
    if index >= size {
        return Err(format!("leaf {index} in a tree of {size}"));
    }
    Ok(format!("leaf {index} of {size}, {} hashes", path.len()))
}

/// Whether the published key signed the root to which the proof leads from this leaf.
fn signature(
    book: &mut Book,
    bytes: &[u8],
    leaf: &Hash,
    keys: &[PublishedKey],
    kid: Option<&[u8]>,
) -> Option<u64> {
    let id = "receipt.signature";
    let named: Vec<&PublishedKey> = match kid {
        Some(kid) => keys.iter().filter(|key| key.kid.as_deref() == Some(kid)).collect(),
        None => keys.iter().collect(),
    };
    if named.is_empty() {
        book.fail(id, "no published key has the kid of the receipt");
        return None;
    }
    let receipt = match Receipt::parse(bytes) {
        Ok(receipt) => receipt,
        Err(error) => {
            book.fail(id, error.to_string());
            return None;
        }
    };
    let usable: Vec<_> = named.iter().filter_map(|key| key.key.as_ref().ok()).collect();
    if usable.is_empty() {
        let reason = named.iter().find_map(|key| key.key.as_ref().err()).cloned().unwrap_or_default();
        book.not_run(id, format!("this program verifies ES256 and Ed25519 only: {reason}"));
        return None;
    }
    let verified = usable.iter().map(|key| receipt.unbound_root(key, leaf));
    let mut error = String::new();
    for root in verified {
        match root {
            Ok(_) => {
                book.pass(id, "the published key signed the root that the proof leads to");
                return receipt.inclusions().first().map(|proof| proof.index);
            }
            Err(refused) => error = refused.to_string(),
        }
    }
    book.fail(id, format!("{error} (for the entry of the statement that was registered)"));
    None
}
