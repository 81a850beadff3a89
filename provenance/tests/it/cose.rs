//! Keys, signatures, COSE_Sign1.

use ciborium::Value;
use proptest::prelude::*;
use rcgen::PublicKeyData as _;
use treering_provenance::cose::{Algorithm, CoseError, KeySet, Sign1, Signer, VerifyingKey};

use crate::fixture::{es256, signer};

fn header(signer: &dyn Signer) -> Value {
    Value::Map(vec![
        (1.into(), signer.algorithm().id().into()),
        (4.into(), Value::Bytes(signer.kid().to_vec())),
    ])
}

fn signed(signer: &dyn Signer) -> Vec<u8> {
    Sign1::sign(signer, &header(signer), b"payload", false).unwrap().to_bytes().unwrap()
}

#[test]
fn both_algorithms_sign_and_verify() {
    for signer in [&signer(1) as &dyn Signer, &es256()] {
        let bytes = signed(signer);
        let message = Sign1::parse(&bytes, 1024).unwrap();
        message.verify(signer.key()).unwrap();
        assert_eq!(message.to_bytes().unwrap(), bytes);
        assert_eq!(message.kid(), Some(signer.kid().as_slice()));
    }
}

#[test]
fn every_ecdsa_signature_has_low_s_and_its_twin_is_refused() {
    const ORDER: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    let order = data_encoding::HEXLOWER.decode(ORDER.as_bytes()).unwrap();
    let signer = es256();
    for round in 0u8..16 {
        let signature = signer.sign(&[round]).unwrap();
        signer.key().verify(Algorithm::Es256, &[round], &signature).unwrap();
        let mut twin = signature.clone();
        let mut borrow = 0;
        for at in (0..32).rev() {
            let difference = i32::from(order[at]) - i32::from(signature[32 + at]) - borrow;
            borrow = i32::from(difference < 0);
            twin[32 + at] = u8::try_from(difference.rem_euclid(256)).unwrap();
        }
        assert_eq!(signer.key().verify(Algorithm::Es256, &[round], &twin), Err(CoseError::HighS));
    }
}

#[test]
fn a_key_refuses_the_other_kind_of_algorithm() {
    let mismatch = signer(1).key().verify(Algorithm::Es256, b"", &[0; 64]);
    assert!(matches!(mismatch, Err(CoseError::KeyMismatch { alg: -7, key: "Ed25519" })));
    let mismatch = es256().key().verify(Algorithm::Ed25519, b"", &[0; 64]);
    assert!(matches!(mismatch, Err(CoseError::KeyMismatch { alg: -19, key: "P-256" })));
}

#[test]
fn keys_round_trip_in_every_form() {
    let p384 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let p384 = VerifyingKey::from_spki(&p384.subject_public_key_info()).unwrap();
    assert_eq!(p384.algorithm(), Algorithm::Es384);
    for key in [signer(1).key().clone(), es256().key().clone(), p384] {
        assert_eq!(VerifyingKey::from_cose_key(&key.to_cose_key().unwrap()).unwrap(), key);
        assert_eq!(VerifyingKey::from_spki(&key.to_spki()).unwrap(), key);
        let set = KeySet(vec![key.clone()]);
        let parsed = KeySet::parse(&set.to_bytes().unwrap()).unwrap();
        assert_eq!(parsed.find(key.thumbprint()), Some(&key));
    }
}

#[test]
fn weak_and_malformed_keys_are_refused() {
    // The neutral element, a point of order 2, a non-canonical encoding of y = 1, and no point at all.
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let mut order_two = [0xff; 32];
    order_two[0] = 0xec;
    order_two[31] = 0x7f;
    let mut long_form = [0xff; 32];
    long_form[0] = 0xee;
    long_form[31] = 0x7f;
    for bytes in [neutral, order_two, long_form] {
        assert!(VerifyingKey::from_ed25519(&bytes).is_err(), "{bytes:?}");
    }
    assert!(VerifyingKey::from_p256(&[4; 65]).is_err());
    assert!(VerifyingKey::from_p256(&[2; 33]).is_err());
    assert!(VerifyingKey::from_p384(&[4; 97]).is_err());
    assert!(VerifyingKey::from_p384(&[2; 49]).is_err());
}

#[test]
fn a_cose_key_with_a_private_part_is_refused() {
    let key = Value::Map(vec![
        (1.into(), 1.into()),
        ((-1).into(), 6.into()),
        ((-2).into(), Value::Bytes(signer(1).key().to_spki()[12..].to_vec())),
        ((-4).into(), Value::Bytes(vec![1; 32])),
    ]);
    let bytes = treering_provenance::strict::encode(&key).unwrap();
    assert_eq!(VerifyingKey::from_cose_key(&bytes), Err(CoseError::Key("holds a private part")));
}

#[test]
fn critical_parameters_and_unknown_algorithms_are_refused() {
    let signer = signer(1);
    let mut critical = header(&signer).into_map().unwrap();
    critical.push((2.into(), Value::Array(vec![4.into()])));
    assert_eq!(Sign1::sign(&signer, &Value::Map(critical), b"", false), Err(CoseError::Critical));
    let none = Value::Map(vec![(1.into(), (-37).into())]);
    assert!(matches!(Sign1::sign(&signer, &none, b"", false), Err(CoseError::Algorithm(_))));
}

#[test]
fn secrets_do_not_show() {
    let shown = format!("{:?}", signer(7));
    assert!(shown.starts_with("Ed25519Signer(VerifyingKey("), "{shown}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_changed_byte_verifies(at in any::<prop::sample::Index>(), flip in 1u8..) {
        let signer = signer(1);
        let mut bytes = signed(&signer);
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        let verified = Sign1::parse(&bytes, 1024).and_then(|message| message.verify(signer.key()));
        prop_assert!(verified.is_err());
    }
}
