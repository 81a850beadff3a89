//! Which Ed25519 edge cases a note signature may be.

use data_encoding::HEXLOWER;
use serde::Deserialize;
use treering_tlog::note::{KeyType, VerifierKey};

use crate::support::vectors;

#[derive(Deserialize)]
struct Case {
    number: u32,
    key: String,
    sig: String,
    msg: String,
    flags: Option<Vec<String>>,
}

/// Strict everywhere: no key or nonce of small order, no encoding that is not canonical, no signature that needs the
/// cofactored equation. A change of this table is a change of which history is believed.
#[test]
fn only_strict_signatures_verify() {
    let Some(folder) = vectors("c2sp/cctv-ed25519") else { return };
    let cases: Vec<Case> =
        serde_json::from_slice(&std::fs::read(folder.join("ed25519vectors.json")).unwrap()).unwrap();
    assert_eq!(cases.len(), 914);
    let mut accepted = 0;
    for case in cases {
        let flags = case.flags.unwrap_or_default();
        let has = |flag: &str| flags.iter().any(|f| f == flag);
        // Points with a component of small order are accepted where the cofactorless equation holds: strict
        // verification refuses only points that are entirely of small order.
        let wanted =
            !["low_order_A", "low_order_R", "non_canonical_A", "non_canonical_R", "low_order_residue"]
                .into_iter()
                .any(has)
                && !has("reencoded_k");
        let key = HEXLOWER.decode(case.key.as_bytes()).unwrap();
        let signature = HEXLOWER.decode(case.sig.as_bytes()).unwrap();
        let actual = VerifierKey::new("cctv", KeyType::Ed25519, &key)
            .and_then(|key| key.verify(&case.msg, &signature))
            .is_ok();
        assert_eq!(actual, wanted, "case {} {flags:?}", case.number);
        accepted += u32::from(actual);
    }
    assert!(accepted > 0);
}
