//! What others made: scitt-cose statements with receipts, receipt samples of the COSE WG, the RFC 9679 example.

use std::io::Write as _;
use std::path::PathBuf;

use ciborium::Value;
use sha2::{Digest as _, Sha256};
use treering_provenance::{
    cose::{Sign1, VerifyingKey},
    receipt::{Receipt, ReceiptError},
    strict,
};
use treering_tlog::hash::{Hash, leaf_hash};

/// The folder of foreign vectors; absent outside the project's own machines, and never absent in CI.
fn folder(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors").join(name);
    if path.is_dir() {
        return Some(path);
    }
    // Past the capture of what tests print.
    std::io::stderr().write_all(format!("skipped: no vectors in {}\n", path.display()).as_bytes()).unwrap();
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "CI must have the vectors");
    None
}

fn public_key(pem: &[u8]) -> VerifyingKey {
    let (label, der) = pem_rfc7468::decode_vec(pem).unwrap();
    assert_eq!(label, "PUBLIC KEY");
    VerifyingKey::from_spki(&der).unwrap()
}

struct Case {
    statement: Vec<u8>,
    receipt: Vec<u8>,
    issuer_key: VerifyingKey,
    log_key: Option<VerifyingKey>,
    expected: serde_json::Value,
}

fn case(name: &str) -> Option<Case> {
    let folder = folder("cose/scitt-cose/v1")?.join(name);
    let read = |file: &str| std::fs::read(folder.join(file)).unwrap();
    let (_, log_key) = pem_rfc7468::decode_vec(&read("log-key.pub")).unwrap();
    Some(Case {
        statement: read("statement.cose"),
        receipt: read("receipt.cose"),
        issuer_key: public_key(&read("issuer-key.pub")),
        log_key: VerifyingKey::from_spki(&log_key).ok(),
        expected: serde_json::from_slice(&read("expected.json")).unwrap(),
    })
}

/// Their log entry is the hash of the statement; ours is the statement itself.
fn their_leaf(statement: &[u8]) -> Hash {
    leaf_hash(&Sha256::digest(statement))
}

#[test]
fn scitt_cose_valid_eddsa() {
    let Some(case) = case("valid-eddsa") else { return };
    Sign1::parse(&case.statement, 1 << 16).unwrap().verify(&case.issuer_key).unwrap();
    let receipt = Receipt::parse(&case.receipt).unwrap();
    let log_key = case.log_key.unwrap();
    let root = receipt.unbound_root(&log_key, &their_leaf(&case.statement)).unwrap();
    assert_eq!(root.to_hex(), case.expected["reconstructed_root"].as_str().unwrap());
    let [proof] = receipt.inclusions() else { panic!("one proof") };
    assert_eq!(proof.index, case.expected["leaf_index"].as_u64().unwrap());
    assert_eq!(proof.size, case.expected["tree_size"].as_u64().unwrap());
    // It binds neither log nor position: interoperable, but nothing that we would decide on.
    let leaf = their_leaf(&case.statement);
    assert_eq!(receipt.verify_inclusion(&log_key, "x", &leaf), Err(ReceiptError::Unbound));
    assert!(receipt.unbound_root(&log_key, &leaf_hash(&case.statement)).is_err());
}

#[test]
fn scitt_cose_bad_statement_signature() {
    let Some(case) = case("fail-bad-statement-sig") else { return };
    assert!(Sign1::parse(&case.statement, 1 << 16).unwrap().verify(&case.issuer_key).is_err());
    let receipt = Receipt::parse(&case.receipt).unwrap();
    receipt.unbound_root(&case.log_key.unwrap(), &their_leaf(&case.statement)).unwrap();
}

#[test]
fn scitt_cose_unsupported_vds() {
    let Some(case) = case("fail-unsupported-vds") else { return };
    Sign1::parse(&case.statement, 1 << 16).unwrap().verify(&case.issuer_key).unwrap();
    assert!(matches!(Receipt::parse(&case.receipt), Err(ReceiptError::Vds(_))));
}

#[test]
fn scitt_cose_ccf_receipt_is_refused_for_what_it_is() {
    let Some(case) = case("valid-ccf-vds2") else { return };
    Sign1::parse(&case.statement, 1 << 16).unwrap().verify(&case.issuer_key).unwrap();
    // ES384 is not among our algorithms: refused before its data structure (2) is.
    assert!(Receipt::parse(&case.receipt).is_err());
}

#[test]
fn receipts_of_the_working_group_parse() {
    let Some(folder) = folder("cose/receipts-wg") else { return };
    let read = |file: &str| std::fs::read(folder.join(file)).unwrap();
    let inclusion = Receipt::parse(&read("inclusion-receipt.cbor")).unwrap();
    assert_eq!(inclusion.kid(), Some(b"test-key-1".as_slice()));
    let [proof] = inclusion.inclusions() else { panic!("one proof") };
    assert_eq!((proof.index, proof.size), (3, 5));
    assert_eq!(inclusion.head(), None);
    let consistency = Receipt::parse(&read("consistency-receipt.cbor")).unwrap();
    assert!(consistency.inclusions().is_empty());
}

#[test]
fn rfc_9679_thumbprint() {
    let Some(folder) = folder("cose/rfc9679") else { return };
    let example = std::fs::read(folder.join("thumbprint.json")).unwrap();
    let example: serde_json::Value = serde_json::from_slice(&example).unwrap();
    let hex = |value: &serde_json::Value| {
        data_encoding::HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap()
    };
    let member = |name: &str| hex(&example["cose_key"][name]);
    // The key as published, with its kid: the thumbprint leaves it out.
    let key = Value::Map(vec![
        (1.into(), 2.into()),
        (2.into(), Value::Bytes(member("kid (2), not part of the thumbprint input"))),
        ((-1).into(), 1.into()),
        ((-2).into(), Value::Bytes(member("x (-2)"))),
        ((-3).into(), Value::Bytes(member("y (-3)"))),
    ]);
    let key = VerifyingKey::from_cose_key(&strict::encode(&key).unwrap()).unwrap();
    assert_eq!(key.to_cose_key().unwrap(), hex(&example["thumbprint_input_hex"]));
    assert_eq!(key.thumbprint().as_slice(), hex(&example["thumbprint_hex"]));
}
