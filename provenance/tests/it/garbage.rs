//! No parser panics, whatever the bytes: random ones, and valid ones with a few bytes changed.

#![expect(clippy::let_underscore_must_use, reason = "only that nothing panics is of interest")]

use proptest::prelude::*;
use treering_provenance::{
    content::{AnyContent, claims_from_cbor},
    cose::{KeySet, Sign1, VerifyingKey},
    envelope,
    grant::{self, AuditorKey, AuditorPublicKey},
    proof::CredentialProof,
    receipt::{self, Receipt},
    statement::{Kind, Statement},
    strict,
    trust::Trust,
    verify::{Outcome, Possession, VerifyOptions, verify_x509},
    x509::{self, Profile},
};

use crate::{
    envelope::sealed,
    fixture::{AUTHORITY, NOW, TestLog, World, confidential, signer},
    grant::{CONTEXT, auditor, message},
};

/// Every parser of the crate, on the same bytes.
fn parse_all(bytes: &[u8], trust: &Trust) {
    let _ = strict::check(bytes, 1 << 16);
    let _ = strict::decode(bytes, 1 << 16);
    let _ = Sign1::parse(bytes, 1 << 16);
    let _ = VerifyingKey::from_cose_key(bytes);
    let _ = VerifyingKey::from_spki(bytes);
    let _ = VerifyingKey::from_p256(bytes);
    let _ = KeySet::parse(bytes);
    let _ = Statement::parse(bytes);
    let _ = Statement::parse_submission(bytes);
    let _ = envelope::kek_id(bytes);
    let _ = envelope::open(&sealed().0, bytes, |_| None);
    let _ = grant::open(bytes, &auditor(2), &CONTEXT);
    let _ = Receipt::parse(bytes);
    let _ = receipt::assemble(bytes, &[TestLog::with_filler(3).inclusion(1)]);
    let _ = CredentialProof::parse(bytes);
    let _ = claims_from_cbor(bytes, 1 << 16);
    let _ = x509::split_certificate(bytes);
    let _ = x509::strip(bytes);
    let _ = x509::insert_proof(bytes, bytes);
    let _ = x509::proof(bytes);
    let _ = Profile::parse(bytes)
        .map(|profile| (profile.claims(), profile.check_workload(), profile.check_ca(0)));
    for (media_type, _) in AnyContent::TYPES {
        let _ = AnyContent::parse(media_type, bytes);
    }
    let text = String::from_utf8_lossy(bytes);
    let _ = (AuditorKey::from_jwk(&text), AuditorPublicKey::from_jwk(&text), text.parse::<Kind>());
    let _ = Trust::parse(bytes);
    let possession = Some(Possession { challenge: bytes, signature: bytes });
    let options = VerifyOptions { now: NOW, identifier: Some(&text), possession };
    assert_ne!(verify_x509(&[bytes, bytes], trust, &options).outcome(), Outcome::Trustworthy);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        parse_all(&bytes, &World::new().trust());
    }

    #[test]
    fn nearly_valid_bytes(
        which in any::<prop::sample::Index>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
        shorten in any::<bool>(),
    ) {
        let mut world = World::new();
        let issued = world.issue();
        let statement = confidential(Kind::Appraisal, AUTHORITY, vec![], None).sign(&signer(1)).unwrap();
        let tbs = x509::split_certificate(&issued.certificate).unwrap().tbs.to_vec();
        let samples = [
            issued.certificate.clone(),
            tbs,
            issued.proof.to_bytes().unwrap(),
            issued.proof.receipt.clone(),
            statement.entry().to_vec(),
            sealed().1,
            message(),
            world.trust_file().to_json().unwrap().into_bytes(),
        ];
        let mut bytes = samples[which.index(samples.len())].clone();
        for (at, to) in edits {
            let at = at.index(bytes.len());
            bytes[at] = to;
        }
        if shorten {
            bytes.truncate(cut.index(bytes.len()));
        }
        parse_all(&bytes, &world.trust());
    }
}

#[test]
fn deep_and_huge_claims_of_length_end_early() {
    let trust = World::new().trust();
    for prefix in [[0x9b], [0xbb], [0x5b], [0x7b]] {
        let bytes = [prefix.as_slice(), &[0xff; 8]].concat();
        parse_all(&bytes, &trust);
    }
    parse_all(&vec![0x81; 100_000], &trust);
    parse_all(&vec![0xd8; 100_000], &trust);
    parse_all(&vec![0x30; 100_000], &trust);
}
