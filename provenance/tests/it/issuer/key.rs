//! The certified key, and the statement that it signs.

use ciborium::Value;
use rcgen::{PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384};
use sha2::{Digest as _, Sha256};
use treering_provenance::cose::CoseError;
use treering_provenance::issuer::{IssuerError, KnownIssuer};
use treering_provenance::statement::{Statement, StatementError};
use treering_provenance::strict;

use super::{Authority, ISS, chain, judge, refused};

#[test]
fn the_algorithm_fits_the_certified_key() {
    let root = Authority::root();
    let leaf = root.leaf_of(&PKCS_ECDSA_P384_SHA384, |_| ());
    for (algorithm, good) in [(-35, true), (-51, true), (-7, false), (-8, false), (-9, false)] {
        let statement = leaf.any_s(algorithm, vec![chain(&[&leaf.der])]);
        let known = KnownIssuer { high_s: true, ..root.known() };
        match judge(&known, &statement) {
            Ok(_) => assert!(good),
            Err(error) => {
                let wanted = CoseError::KeyMismatch { alg: algorithm, key: "P-384" };
                assert_eq!(error, IssuerError::Signature(StatementError::Cose(wanted)));
            }
        }
    }
    // The right chain, somebody else's signature.
    let thief = root.leaf();
    let statement = thief.with(&[chain(&[&root.leaf().der])]);
    let wrong = IssuerError::Signature(StatementError::Cose(CoseError::Signature));
    assert_eq!(refused(&root.known(), &statement), wrong);
}

#[test]
fn kid_and_x5t_beside_a_chain_name_its_first_certificate() {
    let root = Authority::root();
    let (leaf, known) = (root.leaf(), root.known());
    let with = |label: i64, value: Value| leaf.with(&[chain(&[&leaf.der]), (label.into(), value)]);
    let kid = Value::Bytes(leaf.public().thumbprint().to_vec());
    let hash = |algorithm: i64, of: &[u8]| {
        Value::Array(vec![algorithm.into(), Value::Bytes(Sha256::digest(of).to_vec())])
    };
    judge(&known, &with(4, kid)).unwrap();
    judge(&known, &with(34, hash(-16, &leaf.der))).unwrap();
    for (label, value) in [
        (4, Value::Bytes(b"key-1".to_vec())),
        (34, hash(-16, &root.der)),
        (34, hash(-44, &leaf.der)),
        (34, Value::Null),
    ] {
        let error = refused(&known, &with(label, value));
        assert!(matches!(error, IssuerError::Disagrees(..)), "{error}");
    }
}

#[test]
fn who_is_known_by_keys_sends_no_certificates_and_the_other_way_round() {
    let root = Authority::root();
    let leaf = root.leaf();
    let by_key = KnownIssuer { keys: vec![leaf.public()], ..KnownIssuer::default() };
    let kid = || (4.into(), Value::Bytes(leaf.public().thumbprint().to_vec()));
    // A chain that nobody judged must not be in the log as if somebody had.
    let both = leaf.with(&[kid(), chain(&[&leaf.der])]);
    assert_eq!(refused(&by_key, &both), IssuerError::NoAnchor);
    judge(&by_key, &leaf.with(&[kid()])).unwrap();
    assert_eq!(refused(&root.known(), &leaf.with(&[kid()])), IssuerError::ChainMissing);
    // Neither: then nobody says whose it is.
    let claims = vec![(1.into(), ISS.into()), (2.into(), "scan-1".into())];
    let header = vec![(1.into(), (-8).into()), (15.into(), Value::Map(claims))];
    let parts = vec![
        Value::Bytes(strict::encode(&Value::Map(header)).unwrap()),
        Value::Map(Vec::new()),
        Value::Bytes(b"found nothing".to_vec()),
        Value::Bytes(vec![0; 64]),
    ];
    let neither = strict::encode(&Value::Tag(18, Box::new(Value::Array(parts)))).unwrap();
    assert!(Statement::parse(&neither).unwrap_err().to_string().contains("4 (kid): is missing"));
}

#[test]
fn both_spellings_of_s_are_taken_only_where_that_is_said() {
    let root = Authority::root();
    for kind in [&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384] {
        let leaf = root.leaf_of(kind, |_| ());
        let low = leaf.statement(&[]);
        let high = loop {
            let statement = leaf.any_s(low.algorithm().id(), vec![chain(&[&leaf.der])]);
            if judge(&root.known(), &statement).is_err() {
                break statement;
            }
        };
        assert_eq!(refused(&root.known(), &high), IssuerError::HighS);
        let lenient = KnownIssuer { high_s: true, ..root.known() };
        judge(&lenient, &low).unwrap();
        judge(&lenient, &high).unwrap();
        // The other spelling of the high one is a low one that verifies: same statement, another leaf.
        let twin = high.twin().unwrap().unwrap();
        assert_ne!(twin, high.leaf());
        assert_ne!(low.twin().unwrap(), Some(low.leaf()));
    }
    assert_eq!(root.leaf().statement(&[]).twin(), Ok(None), "EdDSA has one spelling");
}
