//! The relying party: `treering verify` on the demo's credential, and on everything that is not it.

use std::fs;
use std::path::PathBuf;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use data_encoding::BASE64URL_NOPAD;
use ed25519_dalek::SigningKey;
use serde_json::Value;
use treering_provenance::cose::{Ed25519Signer, Signer};
use treering_provenance::verify::{Outcome, VerifyOptions, check, possession_message, verify_x509};
use treering_tlog::cosignature::CosignSigner;
use treering_tlog::note::NoteSigner;

use super::forged::{pem, proof_of, signed_anew, with_proof};
use crate::support::demo::{Demo, certificates, demo};
use crate::support::{Ask, Run, cli, folder, now, shared};

const CHALLENGE: &[u8] = b"a challenge of the relying party";

fn file(name: &str, bytes: impl AsRef<[u8]>) -> String {
    let path: PathBuf = folder("file").join(name);
    fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

fn verify(credential: &str, trust: &str, more: &[&str]) -> Run {
    let arguments = ["verify", "--json", "--credential", credential, "--trust", trust];
    cli(arguments.iter().chain(more))
}

/// The verdict is `untrusted`, the exit code 1, and this check is the one that failed.
#[track_caller]
fn untrusted(run: Run, failed: &str) {
    let run = run.ended(1);
    let verdict = run.json();
    assert_eq!(verdict["verdict"], "untrusted", "{verdict}");
    assert_eq!(verdict["failed"]["name"], failed, "{verdict}");
    assert_always_lists(&verdict);
}

#[track_caller]
fn cannot_evaluate(run: Run) {
    let verdict = run.ended(2).json();
    assert_eq!(verdict["verdict"], "cannot-evaluate", "{verdict}");
    assert_always_lists(&verdict);
}

/// Every verdict says what it did not check.
#[track_caller]
fn assert_always_lists(verdict: &Value) {
    let not: Vec<_> = verdict["not_checked"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert!(not.contains(&&"revocation".into()) && not.contains(&&"content".into()), "{verdict}");
}

fn credential(demo: &Demo, workload: &[u8]) -> String {
    let mut chain = demo.chain();
    chain[0] = workload.to_vec();
    file("credential.pem", pem(&chain))
}

fn sign(key: &EcdsaKeyPair, message: &[u8]) -> String {
    BASE64URL_NOPAD.encode(key.sign(&SystemRandom::new(), message).unwrap().as_ref())
}

fn key_of(path: &str) -> EcdsaKeyPair {
    let (_, pkcs8) = pem_rfc7468::decode_vec(&fs::read(path).unwrap()).unwrap();
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &pkcs8).unwrap()
}

/// The trust file with a change.
fn trust(demo: &Demo, change: impl FnOnce(&mut Value)) -> String {
    let mut trust: Value = serde_json::from_slice(&fs::read(demo.path("trust.json")).unwrap()).unwrap();
    change(&mut trust);
    file("trust.json", trust.to_string())
}

#[test]
fn the_credential_is_trustworthy() {
    let demo = demo();
    let verdict = verify(&demo.path("credential.pem"), &demo.path("trust.json"), &[]).ended(0).json();
    assert_eq!(verdict["verdict"], "trustworthy", "{verdict}");
    assert_eq!(verdict["failed"], Value::Null);
    let uri = "spiffe://simulated.treering.example/payments/api";
    assert_eq!(verdict["credential"]["identifier"], uri);
    assert_eq!(verdict["credential"]["assurance"], "simulated", "what is simulated says so");
    assert_eq!(verdict["log"]["origin"], "log.simulated.treering.example/treering");
    assert_eq!(verdict["log"]["witnessed"].as_array().unwrap().len(), 1);
    let skipped: Vec<_> = verdict["not_checked"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(
        skipped,
        ["revocation", "content", "proof-of-possession"],
        "honest about what was not checked"
    );

    // For people, and in DER, and for the identifier that is wanted.
    let chain = demo.chain();
    let der = file("credential.der", &chain[0]);
    let run =
        cli(["verify", "--credential", &der, "--trust", &demo.path("trust.json"), "--uri", uri]).ended(0);
    assert!(run.stdout.starts_with("trustworthy\n"), "{}", run.stdout);
    assert!(run.stdout.contains("not checked revocation"), "{}", run.stdout);
}

#[test]
fn possession_is_of_the_credentials_key() {
    let demo = demo();
    let challenge = BASE64URL_NOPAD.encode(CHALLENGE);
    let run = |signature: &str| {
        let more = ["--challenge", &challenge, "--signature", signature];
        verify(&demo.path("credential.pem"), &demo.path("trust.json"), &more)
    };
    let own = key_of(&demo.path("key.pem"));
    let verdict = run(&sign(&own, &possession_message(CHALLENGE))).ended(0).json();
    assert!(verdict["checked"].as_array().unwrap().iter().any(|one| one["name"] == check::POSSESSION));

    let other = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
    untrusted(run(&sign(&other, &possession_message(CHALLENGE))), check::POSSESSION);
    untrusted(run(&sign(&own, CHALLENGE)), check::POSSESSION); // a signature made for something else
    untrusted(run(&sign(&own, &possession_message(b"another challenge"))), check::POSSESSION);
    untrusted(run(""), check::POSSESSION);
    run("not base64url!").ended(3);
}

#[test]
fn another_logs_key_is_not_this_logs() {
    let demo = demo();
    let credential = demo.path("credential.pem");
    let origin = demo.report["log"]["origin"].as_str().unwrap();
    let other = NoteSigner::from_seed(origin, &[7; 32]).unwrap().verifier().to_string();
    let trust_file = trust(demo, |trust| {
        let own = trust["log_vkey"].as_str().unwrap().to_owned();
        trust["log_vkey"] = other.clone().into();
        trust["policy"] = trust["policy"].as_str().unwrap().replace(&own, &other).into();
    });
    untrusted(verify(&credential, &trust_file, &[]), check::CHECKPOINT);
    // A trust file that contradicts itself is no trust file.
    let trust_file = trust(demo, |trust| trust["log_vkey"] = other.clone().into());
    let run = verify(&credential, &trust_file, &[]).ended(3);
    assert!(run.stderr.contains("does not name the log's key"), "{}", run.stderr);

    let key = Ed25519Signer::from_seed(&[8; 32]).unwrap().key().to_cose_key().unwrap();
    let key = BASE64URL_NOPAD.encode(&key);
    let receipts = trust(demo, |trust| trust["receipt_keys"] = vec![key.clone()].into());
    untrusted(verify(&credential, &receipts, &[]), check::RECEIPT);
    let issuers = trust(demo, |trust| {
        for issuer in trust["issuers"].as_array_mut().unwrap() {
            if issuer["kinds"].as_array().unwrap().contains(&"issuance".into()) {
                issuer["keys"] = vec![key.clone()].into();
            }
        }
    });
    untrusted(verify(&credential, &issuers, &[]), check::STATEMENT_SIGNATURE);
    let ca = rcgen::generate_simple_self_signed(vec!["another.example".to_owned()]).unwrap().cert.pem();
    let authority = trust(demo, |trust| trust["ca"] = vec![ca].into());
    untrusted(verify(&credential, &authority, &[]), check::ISSUER_SIGNATURE);
}

#[test]
fn a_changed_statement_is_not_the_one_that_was_logged() {
    let demo = demo();
    let trust_file = demo.path("trust.json");
    let der = &demo.chain()[0];
    let ca = demo.path("ledger/keys/ca.key");
    let length = proof_of(der).statement.len();
    for place in [length / 3, length / 2, length - 1] {
        let mut proof = proof_of(der);
        proof.statement[place] ^= 1;
        let changed = with_proof(der, &proof.to_bytes().unwrap());
        untrusted(verify(&credential(demo, &changed), &trust_file, &[]), check::ISSUER_SIGNATURE);
        let changed = signed_anew(&changed, &ca);
        untrusted(verify(&credential(demo, &changed), &trust_file, &[]), check::STATEMENT_SIGNATURE);
    }
    // Signing anew alone changes nothing: the commitment leaves the CA's signature out.
    let anew = signed_anew(der, &ca);
    verify(&credential(demo, &anew), &trust_file, &[]).ended(0);
    // A receipt with a changed path leads to another root.
    let mut proof = proof_of(der);
    let middle = proof.receipt.len() / 2;
    proof.receipt[middle] ^= 1;
    let changed = signed_anew(&with_proof(der, &proof.to_bytes().unwrap()), &ca);
    untrusted(verify(&credential(demo, &changed), &trust_file, &[]), check::RECEIPT);
    // Without a proof it is a certificate as any CA makes them.
    let parts = treering_provenance::x509::split_certificate(der).unwrap();
    let stripped = treering_provenance::x509::strip(parts.tbs).unwrap();
    let bare = treering_provenance::x509::assemble_certificate(&stripped, parts.algorithm, parts.signature);
    untrusted(verify(&credential(demo, &signed_anew(&bare, &ca)), &trust_file, &[]), check::PROOF_EXTENSION);
}

#[test]
fn below_quorum_is_not_witnessed() {
    let demo = demo();
    let own = demo.path("credential.pem");
    let stranger =
        CosignSigner::from_seed("witness.example/unknown", &[9; 32]).unwrap().verifier().to_string();
    let two_of_two = trust(demo, |trust| {
        let policy = trust["policy"].as_str().unwrap().to_owned();
        let lines: Vec<&str> =
            policy.lines().filter(|line| line.starts_with("log ") || line.starts_with("witness ")).collect();
        let name =
            lines.iter().find_map(|line| line.strip_prefix("witness ")).unwrap().split(' ').next().unwrap();
        let lines = lines.join("\n");
        trust["policy"] =
            format!("{lines}\nwitness unknown {stranger}\ngroup both all {name} unknown\nquorum both\n")
                .into();
    });
    untrusted(verify(&own, &two_of_two, &[]), check::WITNESSES);

    // The cosignature taken away, by one who has the CA's key or has not.
    let der = &demo.chain()[0];
    let mut proof = proof_of(der);
    let origin = demo.report["log"]["origin"].as_str().unwrap();
    proof.signatures.retain(|line| line.name() == origin);
    assert_eq!(proof.signatures.len(), 1);
    let less = with_proof(der, &proof.to_bytes().unwrap());
    let trust_file = demo.path("trust.json");
    untrusted(verify(&credential(demo, &less), &trust_file, &[]), check::ISSUER_SIGNATURE);
    let less = signed_anew(&less, demo.path("ledger/keys/ca.key"));
    untrusted(verify(&credential(demo, &less), &trust_file, &[]), check::WITNESSES);
    // Who does not ask for witnesses is told that there were too few.
    let committed = trust(demo, |trust| trust["release"] = "committed".into());
    let verdict = verify(&credential(demo, &less), &committed, &[]).ended(0).json();
    let skipped = verdict["not_checked"].as_array().unwrap();
    assert!(skipped.iter().any(|one| one["name"] == check::WITNESSES), "{verdict}");
}

#[test]
fn another_time_and_another_name_are_not_this_credentials() {
    let demo = demo();
    let (credential, trust_file) = (demo.path("credential.pem"), demo.path("trust.json"));
    for at in ["2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z"] {
        untrusted(verify(&credential, &trust_file, &["--at", at]), check::VALIDITY);
    }
    verify(&credential, &trust_file, &["--at", "soon"]).ended(3);
    for uri in ["spiffe://simulated.treering.example/payments/ap", "spiffe://other.example/payments/api", ""]
    {
        untrusted(verify(&credential, &trust_file, &["--uri", uri]), check::IDENTIFIER);
    }
    let domain = trust(demo, |trust| trust["trust_domain"] = "treering.example".into());
    untrusted(verify(&credential, &domain, &[]), check::IDENTIFIER);
}

/// Two credentials of one ledger, and of two ledgers: a proof belongs to one of them.
#[tokio::test]
async fn a_proof_cut_from_another_credential_proves_nothing() {
    let stage = shared().await;
    let target = stage.workload("grafted").await;
    let net = stage.stranger();
    let mut issued = Vec::new();
    for _ in 0..2 {
        let reply = Ask::good(stage, &net, &target).await.send(&net).await.is(201).json();
        let path = file("issued.pem", reply["credential"].as_str().unwrap());
        issued.push(certificates(path.as_ref()));
    }
    let trust_file = stage.path("trust.json");
    let check_graft = |victim: &[u8], donor: &[u8], failed: &str| {
        let proof = proof_of(donor).to_bytes().unwrap();
        let grafted = with_proof(victim, &proof);
        let run = verify(&file("grafted.pem", pem(std::slice::from_ref(&grafted))), &trust_file, &[]);
        untrusted(run, check::ISSUER_SIGNATURE);
        let grafted = signed_anew(&grafted, stage.path("keys/ca.key"));
        untrusted(verify(&file("grafted.pem", pem(&[grafted])), &trust_file, &[]), failed);
    };
    verify(&file("own.pem", pem(&issued[0])), &trust_file, &[]).ended(0);
    check_graft(&issued[0][0], &issued[1][0], check::COMMITMENT);
    check_graft(&issued[1][0], &issued[0][0], check::COMMITMENT);
    check_graft(&issued[0][0], &demo().chain()[0], check::STATEMENT_SIGNATURE);
    // And a whole credential of one ledger is nothing in the other.
    let foreign = verify(&demo().path("credential.pem"), &trust_file, &[]);
    untrusted(foreign, check::IDENTIFIER);
}

#[test]
fn what_is_no_credential_cannot_be_evaluated() {
    let demo = demo();
    let trust_file = demo.path("trust.json");
    let der = &demo.chain()[0];
    cannot_evaluate(verify(&file("empty", ""), &trust_file, &[]));
    cannot_evaluate(verify(&file("text", "certainly"), &trust_file, &[]));
    cannot_evaluate(verify(&file("zeros", vec![0; 4096]), &trust_file, &[]));
    cannot_evaluate(verify(&file("noise", crate::support::random::<512>()), &trust_file, &[]));
    cannot_evaluate(verify(&file("key", fs::read(demo.path("key.pem")).unwrap()), &trust_file, &[]));
    for length in [1, 2, 3, 4, 100, der.len() / 2, der.len() - 1] {
        cannot_evaluate(verify(&file("short", &der[..length]), &trust_file, &[]));
    }
    cannot_evaluate(verify(&file("long", [der.as_slice(), &[0]].concat()), &trust_file, &[]));
    // A file that is not there was not evaluated at all.
    let run = verify(&demo.path("none.pem"), &trust_file, &[]).ended(3);
    assert_eq!(run.stdout, "");
    verify(&demo.path("credential.pem"), &demo.path("credential.pem"), &[]).ended(3);
}

fn outcome(demo: &Demo, trust: &treering_provenance::trust::Trust, der: &[u8], now: u64) -> Outcome {
    let chain = [der.to_vec(), demo.chain()[1].clone()];
    verify_x509(&chain, trust, &VerifyOptions { now, identifier: None, possession: None }).outcome()
}

#[test]
fn no_prefix_can_be_evaluated() {
    let demo = demo();
    let (trust, now) = (demo.trust(), now());
    let der = &demo.chain()[0];
    assert_eq!(outcome(demo, &trust, der, now), Outcome::Trustworthy);
    for length in 0..der.len() {
        assert_eq!(outcome(demo, &trust, &der[..length], now), Outcome::CannotEvaluate, "{length} octets");
    }
}

#[test]
fn no_changed_octet_is_trustworthy() {
    let demo = demo();
    let (trust, now) = (demo.trust(), now());
    let ca = demo.chain()[1].clone();
    let mut chain = [demo.chain()[0].clone(), ca];
    let options = VerifyOptions { now, identifier: None, possession: None };
    for place in 0..chain[0].len() {
        let good = chain[0][place];
        for change in [1 << (place % 8), 0xff] {
            chain[0][place] = good ^ change;
            let verdict = verify_x509(&chain, &trust, &options);
            assert_ne!(verdict.outcome(), Outcome::Trustworthy, "octet {place} changed by {change:#x}");
            assert!(verdict.failed().is_some());
        }
        chain[0][place] = good;
    }
}

/// The seed of nothing in particular; here so that a weak key is never mistaken for the log's.
#[test]
fn trust_files_refuse_one_key_for_two_purposes() {
    let demo = demo();
    let key = SigningKey::from_bytes(&[3; 32]);
    let cose = treering_provenance::cose::VerifyingKey::from_ed25519(key.verifying_key().as_bytes()).unwrap();
    let text = BASE64URL_NOPAD.encode(&cose.to_cose_key().unwrap());
    let twice = trust(demo, |trust| {
        trust["receipt_keys"] = vec![text.clone()].into();
        trust["issuers"][0]["keys"] = vec![text].into();
    });
    let run = verify(&demo.path("credential.pem"), &twice, &[]).ended(3);
    assert!(run.stderr.contains("one key has two purposes"), "{}", run.stderr);
}
