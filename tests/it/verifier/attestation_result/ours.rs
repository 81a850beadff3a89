//! Our own results, signed: read back, read by others, and as evidence.

use data_encoding::HEXLOWER;
use treering::verifier::{
    self, ATTESTATION_RESULT, ATTESTATION_RESULT_CWT, Collateral, EarProfile, Evidence, ReferenceValues,
    Status, TokenError, TokenKeys, TokenOptions,
};
use treering_provenance::cose::{Es256Signer, Signer};

use super::{ED25519, NOW, case_of, ed25519_signer, external, jwks_of, our_cwt, signed};
use crate::verifier::tokens::{self, KID};
use crate::verifier::{Case, main, policy_of, sev_snp};

/// Each part of a CWT is where it is said, by the names that a JWT has; and of a bundle each token's.
#[test]
fn parts_of_tokens_have_positions() {
    let case = our_cwt();
    let all = verifier::parts_of(&case.evidence);
    let [(_, octets, parts)] = all.as_slice() else { panic!("one component") };
    let find = |name: &str| {
        let part = parts.iter().find(|part| part.name == name);
        &octets[part.unwrap_or_else(|| panic!("{name}: {parts:#?}")).range.clone()]
    };
    assert_eq!(find("submods.sev-snp.ear_status"), [2], "affirming");
    assert_eq!(find("ear_verifier_id.developer"), verifier::DEVELOPER.as_bytes());
    assert_eq!(find("signature").len(), 64);
    let bundle = br#"[["JWT","aa.bbb.c"],{"GPU-0":"dd.e.ff"}]"#;
    let evidence = Evidence::new([(verifier::ATTESTATION_RESULT_BUNDLE, bundle.to_vec())]).unwrap();
    let all = verifier::parts_of(&evidence);
    let found = all[0].2.iter().map(|part| (part.name.as_str(), &bundle[part.range.clone()]));
    let found: Vec<(&str, &[u8])> = found.collect();
    let wanted: [(&str, &[u8]); 6] = [
        ("the main token: header", b"aa"),
        ("the main token: payload", b"bbb"),
        ("the main token: signature", b"c"),
        ("GPU-0: header", b"dd"),
        ("GPU-0: payload", b"e"),
        ("GPU-0: signature", b"ff"),
    ];
    assert_eq!(found, wanted);
}

#[test]
fn our_results_are_read_back_in_both_forms() {
    let appraisal = signed();
    let now = appraisal.now();
    let es256 = aws_lc_rs::signature::EcdsaKeyPair::generate_pkcs8(
        &aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING,
        &aws_lc_rs::rand::SystemRandom::new(),
    );
    let signers: [&dyn Signer; 2] =
        [&ed25519_signer(), &Es256Signer::from_pkcs8(es256.unwrap().as_ref()).unwrap()];
    for signer in signers {
        let keys = TokenKeys::parse(&jwks_of(signer), None).unwrap();
        let options = TokenOptions { expires: Some(now + 60), nonce: Some(b"a relying party's") };
        let jwt = verifier::write_jwt(&appraisal, options, signer).unwrap();
        let cwt = verifier::write_cwt(&appraisal, options, signer).unwrap();
        let read = verifier::verify_jwt(jwt.as_bytes(), &keys, now).unwrap();
        assert_eq!(read, verifier::verify_cwt(&cwt, &keys, now).unwrap(), "both forms say the same");
        assert_eq!(
            (read.profile, read.issued_at, read.status),
            (EarProfile::Draft04, now, Status::Affirming)
        );
        assert_eq!((read.developer.as_str(), read.build.as_str()), (verifier::DEVELOPER, verifier::BUILD));
        assert_eq!(read.nonces, [b"a relying party's".to_vec()]);
        let submod = &read.submods["sev-snp"];
        assert_eq!(submod.nonces, [sev_snp::BINDING.to_vec()], "what the evidence carries");
        assert_eq!(submod.vector, [0, 2, 0, 0, 2, 2, 0, 0]);
        assert!(submod.policy_ids[0].starts_with("ni:///sha-256;"));
        assert!(cwt.len() < jwt.len());
        for verify in [
            verifier::verify_jwt(jwt.as_bytes(), &keys, now + 60),
            verifier::verify_cwt(&cwt, &keys, now + 60),
            verifier::verify_jwt(jwt.as_bytes(), &keys, now - 61),
        ] {
            assert!(matches!(verify, Err(TokenError::Time(_))), "{verify:?}");
        }
        let other = TokenKeys::parse(&tokens::pem_of_p256(), None).unwrap();
        verifier::verify_jwt(jwt.as_bytes(), &other, now).unwrap_err();
        verifier::verify_cwt(&cwt, &other, now).unwrap_err();
        verifier::verify_cwt(jwt.as_bytes(), &keys, now).unwrap_err();
    }
}

/// The numbers of the draft, by a decoder that knows nothing of our labels.
#[test]
fn a_cwt_has_the_numbers_of_the_draft() {
    let cwt = verifier::write_cwt(&signed(), TokenOptions::default(), &ed25519_signer()).unwrap();
    assert_eq!(cwt[0], 0xd2, "tag 18");
    let message: ciborium::Value = ciborium::from_reader(cwt.as_slice()).unwrap();
    let parts = message.into_tag().unwrap().1.into_array().unwrap();
    let header: ciborium::Value = ciborium::from_reader(parts[0].as_bytes().unwrap().as_slice()).unwrap();
    let claims: ciborium::Value = ciborium::from_reader(parts[2].as_bytes().unwrap().as_slice()).unwrap();
    let at = |map: &ciborium::Value, label: i64| {
        let entry = map.as_map().unwrap().iter().find(|(key, _)| key.as_integer() == Some(label.into()));
        entry.unwrap_or_else(|| panic!("no {label}")).1.clone()
    };
    assert_eq!(at(&header, 1), ciborium::Value::from(-8));
    assert_eq!(at(&header, 16).as_text(), Some(verifier::CWT_TYPE));
    assert_eq!(at(&claims, 265).as_text(), Some("tag:ietf.org,2026:rats/ear#04"));
    assert_eq!(at(&claims, 1000), ciborium::Value::from(2));
    assert_eq!(at(&at(&claims, 1004), 1).as_text(), Some(verifier::BUILD));
    let submods = at(&claims, 266);
    let submod = &submods.as_map().unwrap()[0].1;
    assert_eq!(at(submod, 1000), ciborium::Value::from(2));
    assert_eq!(at(submod, 10).as_bytes().unwrap().as_slice(), sev_snp::BINDING);
    let vector = at(submod, 1001);
    for (label, value) in [(0, 0), (1, 2), (2, 0), (4, 2), (5, 2)] {
        assert_eq!(at(&vector, label), ciborium::Value::from(value), "vector {label}");
    }
    assert!(at(submod, 1003).is_array() && at(submod, 1005).is_map() && at(submod, 1006).is_map());
}

/// What the crate `ear` 0.6.0 of the Veraison project writes (`make interop` has its other half: it reads ours).
const WRITTEN_BY_EAR: (&str, &str) = (
    r#"{"eat_profile":"tag:ietf.org,2026:rats/ear#04","iat":1800000000,"ear_verifier_id":{"developer":"https://veraison-project.org","build":"vsts 0.0.1"},"submods":{"sev-snp":{"ear_status":"affirming","ear_trustworthiness_vector":{"configuration":2,"hardware":2,"runtime-opaque":2},"ear_appraisal_policy_ids":["policy:one"]}}}"#,
    "bf190109781d7461673a696574662e6f72672c323032363a726174732f656172233034061a6b49d2001903eca200781c68747470733a2f2f7665726169736f6e2d70726f6a6563742e6f7267016a7673747320302e302e3119010aa1677365762d736e70bf1903e8021903e9bf010204020502ff1903eb816a706f6c6963793a6f6e65ffff",
);

fn cwt_of(payload: &[u8]) -> Vec<u8> {
    let header = ciborium::Value::Map(vec![(1.into(), (-8).into())]);
    let message = treering_provenance::cose::Sign1::sign(&ed25519_signer(), &header, payload, false).unwrap();
    message.to_bytes().unwrap()
}

#[test]
fn what_the_crate_of_veraison_writes_is_read() {
    let keys = TokenKeys::parse(&jwks_of(&ed25519_signer()), None).unwrap();
    let header = format!("{{\"alg\":\"EdDSA\",\"kid\":\"{KID}\"}}");
    let jwt = ED25519.raw(&header, WRITTEN_BY_EAR.0);
    let read = verifier::verify_jwt(jwt.as_bytes(), &keys, NOW).unwrap();
    let cbor = HEXLOWER.decode(WRITTEN_BY_EAR.1.as_bytes()).unwrap();
    assert_eq!(verifier::verify_cwt(&cwt_of(&cbor), &keys, NOW).unwrap(), read);
    assert_eq!(read.submods["sev-snp"].vector, [0, 2, 0, 0, 2, 2, 0, 0]);
    assert_eq!(read.developer, "https://veraison-project.org");
}

/// Maps that could be read in two ways.
#[test]
fn a_claim_that_occurs_twice_is_refused() {
    let keys = TokenKeys::parse(&jwks_of(&ed25519_signer()), None).unwrap();
    let cbor = HEXLOWER.decode(WRITTEN_BY_EAR.1.as_bytes()).unwrap();
    let changed = |insert: &[u8]| [&cbor[..1], insert, &cbor[1..]].concat();
    for (payload, why) in [
        (changed(&[0x06, 0x00]), "iat twice, by number"),
        (changed(b"\x63iat\x00"), "iat by number and by name"),
        (changed(b"\xf5\x00"), "a claim named by true"),
        ([cbor.as_slice(), &[0]].concat(), "something after the map"),
        (vec![0x80], "no map"),
    ] {
        let read = verifier::verify_cwt(&cwt_of(&payload), &keys, NOW);
        assert!(matches!(read, Err(TokenError::Claims(_))), "{why}: {read:?}");
    }
}

#[test]
fn what_makes_no_sense_is_not_signed() {
    let appraisal = signed();
    let sign = |options| verifier::write_jwt(&appraisal, options, &ed25519_signer());
    sign(TokenOptions { expires: Some(appraisal.now()), nonce: None }).unwrap_err();
    sign(TokenOptions { expires: None, nonce: Some(b"short") }).unwrap_err();
    sign(TokenOptions { expires: None, nonce: Some(&[0; 65]) }).unwrap_err();
    let nothing = Case::of("nothing", "text/plain", vec![1], Collateral::default(), NOW).appraise();
    verifier::write_cwt(&nothing, TokenOptions::default(), &ed25519_signer()).unwrap_err();
}

/// Two Verifiers of one workload lead to the same: what a mapping manifest can see is equal.
#[test]
fn a_local_appraisal_and_the_result_of_another_verifier_say_the_same() {
    let mut local = sev_snp::simulated_case();
    let measurement = main(&local.appraise()).claim("measurement").unwrap().to_owned();
    let value = format!("[[reference]]\nname = \"payments-api 1\"\nmeasurement = \"{measurement}\"");
    local.references = ReferenceValues::parse(value.as_bytes()).unwrap();
    let appraisal = local.appraise();
    let here = appraisal.clone().into_appraised().unwrap();
    let more = "allow_simulated = true";
    let rules = external(verifier::DEVELOPER, "ear-04", "sev-snp", &jwks_of(&ed25519_signer()), more);
    let jwt =
        verifier::write_jwt(&appraisal, TokenOptions::default(), &ed25519_signer()).unwrap().into_bytes();
    let cwt = verifier::write_cwt(&appraisal, TokenOptions::default(), &ed25519_signer()).unwrap();
    for (media_type, token) in [(ATTESTATION_RESULT, jwt), (ATTESTATION_RESULT_CWT, cwt)] {
        let case = Case {
            now: local.now,
            references: local.references.clone(),
            ..case_of(media_type, token, &rules)
        };
        let there = case.appraise().into_appraised().unwrap();
        assert_eq!(there.tee(), here.tee());
        assert_eq!(there.generation(), here.generation());
        assert_eq!(there.assurance(), here.assurance());
        assert_eq!(there.reference(), here.reference());
        assert!(there.matches_binding(&sev_snp::BINDING) && here.matches_binding(&sev_snp::BINDING));
        assert_eq!(
            there.components()[0].claim("issuer"),
            Some(verifier::DEVELOPER),
            "and the claims say who vouched"
        );
    }
}

/// A result is part of evidence of several components like any other.
#[test]
fn a_result_beside_local_evidence_counts_for_its_part() {
    let local = sev_snp::simulated_case();
    let token = our_cwt();
    let evidence = Evidence::new([
        (verifier::SNP_REPORT, local.octets().to_vec()),
        (ATTESTATION_RESULT_CWT, token.octets().to_vec()),
    ]);
    let more = "require_reference_value = false\nallow_simulated = true";
    let rules = format!(
        "[sev_snp]\nrequire_reference_value = false\nrequire_tcb_floor = false\n{}[composite.components]\nsev-snp = 1\nattestation-result = 1\n",
        external(verifier::DEVELOPER, "ear-04", "sev-snp", &jwks_of(&ed25519_signer()), more)
    );
    let case = Case { evidence: evidence.unwrap(), policy: policy_of(&rules), ..local };
    assert_eq!(case.appraise().into_appraised().unwrap().tee(), "sev-snp+sev-snp");
}
