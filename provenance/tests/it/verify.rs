//! Verdicts: what is trustworthy, and every way not to be.

use treering_provenance::{
    bytes::Fixed,
    cose::Signer as _,
    proof::CredentialProof,
    receipt::{self, Receipt},
    statement::Kind,
    trust::{Release, Trust, TrustError},
    verify::{Outcome, Possession, Verdict, VerifyOptions, check, possession_message, verify_x509},
    x509,
};
use treering_tlog::hash::Hash;

use crate::fixture::{
    AUTHORITY, Ca, Issued, LOG_ROLE, NOW, ORIGIN, WORKLOAD, World, capture, confidential, cose_key, es256,
    signer, workload_params,
};

const AT: VerifyOptions<'_> = VerifyOptions { now: NOW, identifier: None, possession: None };

fn judge(certificate: &[u8], trust: &Trust) -> Verdict {
    verify_x509(&[certificate], trust, &AT)
}

#[track_caller]
fn untrusted(verdict: &Verdict, by: &str) {
    assert_eq!(verdict.outcome(), Outcome::Untrusted, "{verdict:?}");
    assert_eq!(verdict.failed().unwrap().name(), by, "{verdict:?}");
}

fn names(checks: &[treering_provenance::verify::Check]) -> Vec<&str> {
    checks.iter().map(treering_provenance::verify::Check::name).collect()
}

fn issued() -> (World, Issued) {
    let mut world = World::new();
    let issued = world.issue();
    (world, issued)
}

/// The credential again with a proof that `edit` has changed, signed by the CA as if it were honest.
fn with_proof(world: &World, issued: &Issued, edit: impl FnOnce(&mut CredentialProof)) -> Vec<u8> {
    let mut proof = issued.proof.clone();
    edit(&mut proof);
    world.finish(&issued.tbs, &issued.algorithm, &proof)
}

#[test]
fn a_credential_is_trustworthy_and_the_verdict_says_what_that_means() {
    let (world, issued) = issued();
    let challenge = b"challenge";
    let signature = issued.key.sign(&possession_message(challenge)).unwrap();
    let possession = Some(Possession { challenge, signature: &signature });
    let options = VerifyOptions { now: NOW, identifier: Some(WORKLOAD), possession };
    let verdict = verify_x509(&[&issued.certificate], &world.trust(), &options);
    assert_eq!(verdict.outcome(), Outcome::Trustworthy, "{verdict:?}");
    let all = [
        check::CERTIFICATE,
        check::IDENTIFIER,
        check::VALIDITY,
        check::ISSUER_SIGNATURE,
        check::PROOF_EXTENSION,
        check::STATEMENT_SIGNATURE,
        check::AUDIENCE,
        check::COMMITMENT,
        check::RECEIPT,
        check::PARENTS,
        check::CHECKPOINT,
        check::WITNESSES,
        check::POSSESSION,
    ];
    assert_eq!(names(verdict.checked()), all);
    assert_eq!(names(verdict.not_checked()), [check::REVOCATION, check::CONTENT]);
    let log = verdict.log().unwrap();
    assert_eq!((log.index, log.size, log.witnessed.len()), (7, 10, 2));
    assert_eq!(verdict.credential().unwrap().assurance.as_deref(), Some("simulated"));
    let json = serde_json::to_value(&verdict).unwrap();
    assert_eq!(json["verdict"], "trustworthy");
    assert_eq!(json["checked"][0]["name"], "certificate");
    assert_eq!(json["not_checked"][0]["name"], "revocation");
    assert_eq!(json["credential"]["claims"]["region"], "Germany");
    assert!(json["failed"].is_null());
}

#[test]
fn what_was_not_checked_is_said() {
    let (world, issued) = issued();
    let certificate = with_proof(&world, &issued, |proof| proof.parents.clear());
    let verdict = judge(&certificate, &world.trust());
    assert_eq!(verdict.outcome(), Outcome::Trustworthy);
    let expected = [check::REVOCATION, check::CONTENT, check::PARENTS, check::POSSESSION];
    assert_eq!(names(verdict.not_checked()), expected);
}

#[test]
fn an_intermediate_is_followed() {
    let mut world = World::new();
    let root = world.ca;
    world.ca = Ca::below("issuing CA", &root);
    let issued = world.issue();
    let mut file = world.trust_file();
    file.ca = vec![root.certificate.pem()];
    let trust = Trust::from_file(&file).unwrap();
    let intermediate = world.ca.certificate.der().to_vec();
    let verdict = verify_x509(&[&issued.certificate, &intermediate], &trust, &AT);
    assert_eq!(verdict.outcome(), Outcome::Trustworthy, "{verdict:?}");
    untrusted(&judge(&issued.certificate, &trust), check::ISSUER_SIGNATURE);
    // A workload's certificate does not issue.
    let leaf_as_ca = verify_x509(&[&issued.certificate, &issued.certificate], &trust, &AT);
    untrusted(&leaf_as_ca, check::ISSUER_SIGNATURE);
    let many = vec![intermediate; 6];
    assert_eq!(verify_x509(&many, &trust, &AT).outcome(), Outcome::Untrusted);
}

#[test]
fn garbage_cannot_be_evaluated() {
    let (world, issued) = issued();
    let trust = world.trust();
    let none: [&[u8]; 0] = [];
    assert_eq!(verify_x509(&none, &trust, &AT).outcome(), Outcome::CannotEvaluate);
    for garbage in
        [b"".as_slice(), b"garbage", &[0x30, 0x80], &issued.certificate[..100], &vec![0x30; 100_000]]
    {
        let verdict = judge(garbage, &trust);
        assert_eq!(verdict.outcome(), Outcome::CannotEvaluate, "{verdict:?}");
        assert_eq!(serde_json::to_value(&verdict).unwrap()["verdict"], "cannot-evaluate");
    }
}

#[test]
fn time_and_name_are_checked() {
    let (world, issued) = issued();
    let trust = world.trust();
    for now in [0, NOW - 3 * 86_400, NOW + 3 * 86_400, u64::MAX] {
        let options = VerifyOptions { now, ..AT };
        untrusted(&verify_x509(&[&issued.certificate], &trust, &options), check::VALIDITY);
    }
    let options = VerifyOptions { identifier: Some("spiffe://test.example/other"), ..AT };
    untrusted(&verify_x509(&[&issued.certificate], &trust, &options), check::IDENTIFIER);
}

#[test]
fn possession_needs_the_certificates_key() {
    let (world, issued) = issued();
    let trust = world.trust();
    let judge = |challenge: &[u8], signature: &[u8]| {
        let options = VerifyOptions { possession: Some(Possession { challenge, signature }), ..AT };
        verify_x509(&[&issued.certificate], &trust, &options)
    };
    let signature = issued.key.sign(&possession_message(b"c")).unwrap();
    assert_eq!(judge(b"c", &signature).outcome(), Outcome::Trustworthy);
    untrusted(&judge(b"d", &signature), check::POSSESSION);
    untrusted(&judge(b"c", &es256().sign(&possession_message(b"c")).unwrap()), check::POSSESSION);
    // Without the domain tag.
    untrusted(&judge(b"c", &issued.key.sign(b"c").unwrap()), check::POSSESSION);
    untrusted(&judge(b"c", b"short"), check::POSSESSION);
    untrusted(&judge(b"c", &[]), check::POSSESSION);
}

#[test]
fn the_profile_is_checked() {
    let (world, issued) = issued();
    let trust = world.trust();
    let key = rcgen::KeyPair::generate().unwrap();
    let judge_params = |params: rcgen::CertificateParams, key: &rcgen::KeyPair| {
        let (tbs, algorithm) = capture(&params, key, &world.ca);
        judge(&world.finish(&tbs, &algorithm, &issued.proof), &trust)
    };
    for uri in [
        "spiffe://other.example/a",
        "spiffe://test.example",
        "spiffe://test.example/",
        "https://test.example/a",
        "spiffe://test.example/a/../b",
        "spiffe://test.example.evil/a",
        "spiffe://test.example/a?b",
    ] {
        untrusted(&judge_params(workload_params(uri), &key), check::IDENTIFIER);
    }
    let mut two = workload_params(WORKLOAD);
    two.subject_alt_names.push(rcgen::SanType::DnsName("a.example".try_into().unwrap()));
    untrusted(&judge_params(two, &key), check::IDENTIFIER);
    let mut signing = workload_params(WORKLOAD);
    signing.key_usages.push(rcgen::KeyUsagePurpose::KeyCertSign);
    untrusted(&judge_params(signing, &key), check::CERTIFICATE);
    let mut ca = workload_params(WORKLOAD);
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    untrusted(&judge_params(ca, &key), check::CERTIFICATE);
    let p384 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    untrusted(&judge_params(workload_params(WORKLOAD), &p384), check::CERTIFICATE);
    let mut critical = workload_params(WORKLOAD);
    let mut unknown = rcgen::CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
    unknown.set_criticality(true);
    critical.custom_extensions.push(unknown);
    untrusted(&judge_params(critical, &key), check::CERTIFICATE);
    // Otherwise as it should be: only the proof is of another credential.
    untrusted(&judge_params(workload_params(WORKLOAD), &key), check::COMMITMENT);
}

#[test]
fn a_proof_is_of_one_credential_only() {
    let mut world = World::new();
    let (one, two) = (world.issue(), world.issue());
    let trust = world.trust();
    untrusted(&judge(&world.finish(&one.tbs, &one.algorithm, &two.proof), &trust), check::COMMITMENT);
    let unproven = world.ca.sign(&one.tbs, &one.algorithm);
    untrusted(&judge(&unproven, &trust), check::PROOF_EXTENSION);
    let tbs = x509::insert_proof(&one.tbs, b"not a proof").unwrap();
    untrusted(&judge(&world.ca.sign(&tbs, &one.algorithm), &trust), check::PROOF_EXTENSION);
    // Another CA with the same name and the same entry: its key is in the commitment, and it is not pinned.
    let twin = Ca::new("test CA");
    let tbs = x509::insert_proof(&one.tbs, &one.proof.to_bytes().unwrap()).unwrap();
    let forged = twin.sign(&tbs, &one.algorithm);
    untrusted(&judge(&forged, &trust), check::ISSUER_SIGNATURE);
    let mut file = world.trust_file();
    file.ca.push(twin.certificate.pem());
    untrusted(&judge(&forged, &Trust::from_file(&file).unwrap()), check::COMMITMENT);
}

#[test]
fn two_proofs_and_a_proof_out_of_place_are_untrusted() {
    let (world, issued) = issued();
    let trust = world.trust();
    let proof = issued.proof.to_bytes().unwrap();
    let with = |extensions: &[(&[u64], bool)]| {
        let mut params = workload_params(WORKLOAD);
        for (oid, critical) in extensions {
            let mut extension = rcgen::CustomExtension::from_oid_content(oid, proof.clone());
            extension.set_criticality(*critical);
            params.custom_extensions.push(extension);
        }
        let key = rcgen::KeyPair::generate().unwrap();
        let (tbs, algorithm) = capture(&params, &key, &world.ca);
        judge(&world.ca.sign(&tbs, &algorithm), &trust)
    };
    let ours: &[u64] = &[1, 3, 6, 1, 4, 1, 32473, 1, 1];
    let sct: &[u64] = &[1, 3, 6, 1, 4, 1, 11129, 2, 4, 2];
    untrusted(&with(&[(ours, false), (ours, false)]), check::PROOF_EXTENSION);
    untrusted(&with(&[(ours, false), (&[1, 2, 3, 4], false)]), check::PROOF_EXTENSION);
    untrusted(&with(&[(sct, false), (ours, false)]), check::PROOF_EXTENSION);
    untrusted(&with(&[(ours, true)]), check::PROOF_EXTENSION);
    // In its place, an SCT list after it: only the commitment is another's.
    untrusted(&with(&[(ours, false), (sct, false)]), check::COMMITMENT);
}

#[test]
fn an_sct_list_after_the_proof_changes_nothing() {
    let (world, issued) = issued();
    let parts = x509::split_certificate(&issued.certificate).unwrap();
    let sct = [&[0x30, 0x12, 0x06, 0x0a], x509::OID_SCT, &[0x04, 0x04, 0x04, 0x02, 0x00, 0x00]].concat();
    let tbs = append_extension(parts.tbs, &sct);
    let verdict = judge(&world.ca.sign(&tbs, &issued.algorithm), &world.trust());
    assert_eq!(verdict.outcome(), Outcome::Trustworthy, "{verdict:?}");
}

/// Appends an extension to a TBSCertificate whose three enclosing lengths have two bytes.
fn append_extension(tbs: &[u8], extension: &[u8]) -> Vec<u8> {
    let mut out = [tbs, extension].concat();
    let list =
        tbs.windows(7).position(|bytes| bytes[..2] == [0xa3, 0x82] && bytes[4..6] == [0x30, 0x82]).unwrap();
    for at in [2, list + 2, list + 6] {
        let length = u16::from_be_bytes([out[at], out[at + 1]]) + u16::try_from(extension.len()).unwrap();
        out[at..at + 2].copy_from_slice(&length.to_be_bytes());
    }
    out
}

#[test]
fn the_statement_is_an_issuance_of_the_authority_for_this_log() {
    let (world, issued) = issued();
    let cred = issued.issuance.cred().copied();
    let parents = issued.issuance.parents().to_vec();
    let replaced = |draft: treering_provenance::statement::Draft<'_>, key| {
        let statement = draft.sign(&key).unwrap();
        judge(
            &with_proof(&world, &issued, |proof| proof.statement = statement.entry().to_vec()),
            &world.trust(),
        )
    };
    let issuance = confidential(Kind::Issuance, AUTHORITY, parents, cred);
    // Another key, another issuer, another kind, another log.
    untrusted(&replaced(issuance.clone(), signer(99)), check::STATEMENT_SIGNATURE);
    let other =
        treering_provenance::statement::Draft { issuer: "spiffe://test.example/x", ..issuance.clone() };
    untrusted(&replaced(other, signer(12)), check::STATEMENT_SIGNATURE);
    untrusted(
        &replaced(confidential(Kind::Appraisal, AUTHORITY, vec![], None), signer(12)),
        check::STATEMENT_SIGNATURE,
    );
    let staging = treering_provenance::statement::Draft { audience: "staging.example", ..issuance.clone() };
    untrusted(&replaced(staging, signer(12)), check::AUDIENCE);
    let other_cred = treering_provenance::statement::Draft { cred: Some(Fixed([3; 32])), ..issuance.clone() };
    untrusted(&replaced(other_cred, signer(12)), check::COMMITMENT);
    // The same but for its time: signed by the authority, not in the log.
    let unlogged = treering_provenance::statement::Draft { issued_at: NOW + 1, ..issuance };
    untrusted(&replaced(unlogged, signer(12)), check::RECEIPT);
    let mut file = world.trust_file();
    file.issuers[0].kinds = vec![Kind::Appraisal];
    untrusted(&judge(&issued.certificate, &Trust::from_file(&file).unwrap()), check::STATEMENT_SIGNATURE);
}

#[test]
fn the_receipt_is_of_a_trusted_key_and_this_position() {
    let (world, issued) = issued();
    let trust = world.trust();
    let seal = receipt::seal(&es256(), LOG_ROLE, &world.log.head(), NOW).unwrap();
    let by_other = receipt::assemble(&seal, &[world.log.inclusion(7)]).unwrap();
    untrusted(&judge(&with_proof(&world, &issued, |proof| proof.receipt = by_other), &trust), check::RECEIPT);
    let seal = receipt::seal(&world.receipt_key, LOG_ROLE, &world.log.head(), NOW).unwrap();
    let elsewhere = receipt::assemble(&seal, &[world.log.inclusion(6)]).unwrap();
    untrusted(
        &judge(&with_proof(&world, &issued, |proof| proof.receipt = elsewhere), &trust),
        check::RECEIPT,
    );
    let mut file = world.trust_file();
    file.receipt_keys = vec![cose_key(&es256())];
    untrusted(&judge(&issued.certificate, &Trust::from_file(&file).unwrap()), check::RECEIPT);
}

#[test]
fn the_checkpoint_is_of_the_logs_key() {
    let (world, issued) = issued();
    let mut file = world.trust_file();
    let other = treering_tlog::note::NoteSigner::from_seed(ORIGIN, &[77; 32]).unwrap();
    file.policy = file.policy.map(|text| text.replace(&file.log_vkey, &other.verifier().to_string()));
    file.log_vkey = other.verifier().to_string();
    untrusted(&judge(&issued.certificate, &Trust::from_file(&file).unwrap()), check::CHECKPOINT);
    let unsigned = with_proof(&world, &issued, |proof| {
        proof.signatures.remove(0);
    });
    untrusted(&judge(&unsigned, &world.trust()), check::CHECKPOINT);
    // A split view: the same entry in another tree, receipt and checkpoint honest of that tree, cosignatures of this.
    let mut fork = World::new();
    fork.log.leaves[0] = Hash::from_bytes([0xdd; 32]);
    fork.log.leaves.extend(&world.log.leaves[5..]);
    let lines = fork.note(0);
    let seal = receipt::seal(&world.receipt_key, LOG_ROLE, &fork.log.head(), NOW).unwrap();
    let forked = with_proof(&world, &issued, |proof| {
        proof.receipt = receipt::assemble(&seal, &[fork.log.inclusion(7)]).unwrap();
        proof.parents.clear();
        proof.signatures.splice(0..1, lines.signatures().to_vec());
    });
    untrusted(&judge(&forked, &world.trust()), check::WITNESSES);
}

#[test]
fn the_quorum_is_reached_or_it_is_said_that_it_is_not() {
    let (world, issued) = issued();
    for cosignatures in 0..=3 {
        let certificate = with_proof(&world, &issued, |proof| {
            proof.signatures = world.note(cosignatures).signatures().to_vec();
        });
        let verdict = judge(&certificate, &world.trust());
        let mut file = world.trust_file();
        file.release = Release::Committed;
        let committed = judge(&certificate, &Trust::from_file(&file).unwrap());
        assert_eq!(committed.outcome(), Outcome::Trustworthy);
        if cosignatures < 2 {
            untrusted(&verdict, check::WITNESSES);
            assert!(names(committed.not_checked()).contains(&check::WITNESSES));
        } else {
            assert_eq!(verdict.outcome(), Outcome::Trustworthy);
            assert!(names(committed.checked()).contains(&check::WITNESSES));
        }
        file.policy = None;
        let alone = judge(&certificate, &Trust::from_file(&file).unwrap());
        assert_eq!(alone.outcome(), Outcome::Trustworthy);
        assert!(names(alone.not_checked()).contains(&check::WITNESSES));
    }
    // One witness twice is one witness.
    let twice = with_proof(&world, &issued, |proof| {
        proof.signatures[2] = proof.signatures[1].clone();
    });
    untrusted(&judge(&twice, &world.trust()), check::WITNESSES);
}

#[test]
fn embedded_parents_are_where_they_claim() {
    let (world, issued) = issued();
    let trust = world.trust();
    let judge = |edit: fn(&mut CredentialProof)| judge(&with_proof(&world, &issued, edit), &trust);
    untrusted(&judge(|proof| proof.parents.swap(0, 1)), check::PARENTS);
    untrusted(&judge(|proof| proof.parents.truncate(1)), check::PARENTS);
    untrusted(&judge(|proof| proof.parents[0].index = 5), check::PARENTS);
    untrusted(&judge(|proof| proof.parents[0].index = u64::MAX), check::PARENTS);
    untrusted(&judge(|proof| proof.parents[0].head = vec![Hash::from_bytes([0; 32]); 64]), check::PARENTS);
    untrusted(&judge(|proof| proof.parents[1].head.clear()), check::PARENTS);
}

#[test]
fn no_changed_byte_of_a_certificate_is_trustworthy() {
    let (world, issued) = issued();
    let trust = world.trust();
    assert_eq!(judge(&issued.certificate, &trust).outcome(), Outcome::Trustworthy);
    for at in 0..issued.certificate.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut changed = issued.certificate.clone();
            changed[at] ^= flip;
            assert_ne!(judge(&changed, &trust).outcome(), Outcome::Trustworthy, "byte {at} ^ {flip:02x}");
        }
    }
}

#[test]
fn no_changed_byte_of_a_proof_is_trustworthy_even_if_the_ca_signs_it() {
    let (world, issued) = issued();
    let trust = world.trust();
    let proof = issued.proof.to_bytes().unwrap();
    for at in 0..proof.len() {
        let mut changed = proof.clone();
        changed[at] ^= 1;
        let tbs = x509::insert_proof(&issued.tbs, &changed).unwrap();
        let verdict = judge(&world.ca.sign(&tbs, &issued.algorithm), &trust);
        assert_eq!(verdict.outcome(), Outcome::Untrusted, "byte {at}");
    }
}

#[test]
fn a_credential_with_three_witnesses_in_a_large_log_stays_small() {
    let (world, issued) = issued();
    let mut proof = issued.proof.clone();
    proof.signatures = world.note(3).signatures().to_vec();
    let bytes = proof.to_bytes().unwrap();
    // At 2^20 entries the path has 20 hashes, of 34 bytes each in CBOR, instead of the few of this log.
    let path = Receipt::parse(&proof.receipt).unwrap().inclusions()[0].path.len();
    let at_a_million =
        issued.certificate.len() + bytes.len() - issued.proof.to_bytes().unwrap().len() + (20 - path) * 34;
    assert!(at_a_million < 3 * 1024, "{at_a_million} bytes");
}

#[test]
fn a_trust_file_must_agree_with_itself() {
    let world = World::new();
    let refused = |edit: fn(&mut treering_provenance::trust::TrustFile)| {
        let mut file = world.trust_file();
        edit(&mut file);
        Trust::parse(file.to_json().unwrap().as_bytes()).unwrap_err()
    };
    assert_eq!(refused(|file| file.v = 2), TrustError::Version(2));
    let field = |error: TrustError, name: &str| {
        assert!(matches!(&error, TrustError::Field { field, .. } if *field == name), "{error:?}");
    };
    field(refused(|file| file.policy = None), "policy");
    field(refused(|file| file.policy = Some("quorum none\n".to_owned())), "policy");
    field(refused(|file| file.policy = Some("nonsense\n".to_owned())), "policy");
    field(refused(|file| file.origin = "other.example".to_owned()), "log_vkey");
    field(refused(|file| file.log_vkey = "x".to_owned()), "log_vkey");
    field(refused(|file| file.receipt_keys.clear()), "receipt_keys, ca");
    field(refused(|file| file.ca.clear()), "receipt_keys, ca");
    field(refused(|file| file.ca[0] = file.ca[0].replace("CERTIFICATE", "PRIVATE KEY")), "ca");
    // One key, two purposes.
    field(
        refused(|file| file.receipt_keys = file.issuers[0].keys.clone()),
        "receipt_keys, issuers, log_vkey",
    );
    let json = world.trust_file().to_json().unwrap();
    assert!(matches!(
        Trust::parse(json.replacen('{', "{\"more\": 1,", 1).as_bytes()),
        Err(TrustError::Json(_))
    ));
    assert!(Trust::parse(&vec![b' '; 2 << 20]).is_err());
}
