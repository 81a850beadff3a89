//! Stored and exchanged bytes, pinned: made from fixed keys, compared with the files beside this one.
//!
//! Who changes one of these formats must give it a new version: bytes in logs and in credentials last. A mismatch
//! leaves the new bytes in `target/tmp/pins`.

use std::{fs, path::PathBuf};

use treering_provenance::{
    bytes::Fixed,
    content::{Claim, Claims, Content as _, REGISTRATION_POLICY_TYPE, claims_to_cbor},
    cose::{KeySet, Signer as _, VerifyingKey},
    proof::{CredentialProof, ParentPath},
    receipt::{self, Included, Receipt},
    statement::{Draft, Kind, Payload, Statement, commitment},
    subject::SubjectKey,
    verify::possession_message,
    x509,
};
use treering_tlog::{
    checkpoint::Checkpoint,
    note::{Note, NoteSigner},
};

use crate::{
    cddl::contents,
    envelope::sealed,
    fixture::{AUTHORITY, LOG_ROLE, NOW, ORIGIN, TestLog, confidential, signer},
    grant::{auditor, message},
};

#[track_caller]
fn pinned(name: &str, bytes: &[u8], breaks: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/pins").join(format!("{name}.hex"));
    let actual = data_encoding::HEXLOWER.encode(bytes);
    let wrapped: Vec<&str> =
        actual.as_bytes().chunks(100).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let wanted = fs::read_to_string(&path).unwrap_or_default();
    if wanted.split_whitespace().collect::<String>() == actual {
        return;
    }
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("pins");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(format!("{name}.hex")), wrapped.join("\n") + "\n").unwrap();
    panic!("{name} is not as pinned; changing it breaks this: {breaks}");
}

fn issuance() -> Statement {
    let parents = vec![Fixed([0xa1; 32]), Fixed([0xa2; 32])];
    confidential(Kind::Issuance, AUTHORITY, parents, Some(Fixed([0xc3; 32]))).sign(&signer(12)).unwrap()
}

#[test]
fn statements() {
    let breaks = "every entry in every log: leaf hashes, entry ids and receipts no longer match";
    pinned("statement-confidential", issuance().entry(), breaks);
    let public = Draft {
        kind: Kind::Policy,
        payload: Payload::Public {
            content_type: REGISTRATION_POLICY_TYPE.to_owned(),
            bytes: b"policy".to_vec(),
        },
        ..confidential(Kind::Policy, LOG_ROLE, vec![], None)
    };
    pinned("statement-public", public.sign(&signer(12)).unwrap().entry(), breaks);
    pinned("statement-leaf", issuance().leaf().as_bytes(), breaks);
    pinned("statement-entry-id", issuance().entry_id().as_bytes(), "locations of entries that clients keep");
    pinned("statement-id", &issuance().statement_id().unwrap(), "names of statements that indexes keep");
}

#[test]
fn keys() {
    pinned("cose-key-ed25519", &signer(12).key().to_cose_key().unwrap(), "kids of all keys, trust files");
    let point = "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296\
                 4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";
    let p256 = VerifyingKey::from_p256(&data_encoding::HEXLOWER.decode(point.as_bytes()).unwrap()).unwrap();
    pinned("cose-key-p256", &p256.to_cose_key().unwrap(), "kids of all keys, trust files");
    pinned("kid-p256", p256.thumbprint(), "kids of all keys: statements no longer find theirs");
    let set = KeySet(vec![signer(12).key().clone(), p256]);
    pinned("key-set", &set.to_bytes().unwrap(), "SCRAPI clients that read the log's keys");
}

#[test]
fn envelopes_and_commitments() {
    let (statement, bytes) = sealed();
    pinned("envelope", &bytes, "all contents in vaults: they no longer open, and no statement names them");
    pinned("envelope-statement", statement.entry(), "every entry in every log");
    let commit = commitment(&[3; 32], Kind::Refusal, b"plaintext");
    pinned(
        "commitment",
        commit.as_bytes(),
        "every confidential statement: no plaintext matches its commitment",
    );
}

#[test]
fn grants() {
    pinned("grant-message", &message(), "grants in logs: auditors no longer open them");
    pinned("auditor-key", auditor(2).to_jwk().unwrap().as_bytes(), "key files that auditors keep");
}

#[test]
fn subjects() {
    let key = SubjectKey::derive(&[1; 32], "spiffe://test.example/pay/settle");
    assert!(key.recognises(&key.handle(&[2; 16])));
    assert!(!key.recognises(&SubjectKey::derive(&[1; 32], "spiffe://test.example/x").handle(&[2; 16])));
    pinned(
        "subject",
        key.handle(&[2; 16]).as_bytes(),
        "owners no longer find the statements of their workloads",
    );
}

fn sealed_receipt() -> (TestLog, Vec<u8>, Vec<u8>) {
    let mut log = TestLog::with_filler(6);
    log.push(issuance().leaf());
    let seal = receipt::seal(&signer(9), LOG_ROLE, &log.head(), NOW).unwrap();
    let receipt = receipt::assemble(&seal, &[log.inclusion(6)]).unwrap();
    (log, seal, receipt)
}

#[test]
fn receipts() {
    let (log, seal, bytes) = sealed_receipt();
    pinned("seal", &seal, "seals that the log keeps with its heads");
    pinned("receipt", &bytes, "receipts in credentials and at clients");
    let consistency = receipt::assemble_consistency(&seal, &log.consistency(3, 7)).unwrap();
    pinned("receipt-consistency", &consistency, "receipts at monitors");
    let receipt = Receipt::parse(&bytes).unwrap();
    let included: Included = receipt.verify_inclusion(signer(9).key(), ORIGIN, &issuance().leaf()).unwrap();
    assert_eq!(included.index(), 6);
}

#[test]
fn proofs() {
    let (log, _, bytes) = sealed_receipt();
    let head = log.head();
    let body = Checkpoint::new(ORIGIN, head.size, head.root).unwrap().body();
    let line = NoteSigner::from_seed(ORIGIN, &[11; 32]).unwrap().sign(&body).unwrap();
    let note = Note::new(body, vec![line]).unwrap();
    let main = log.inclusion(6);
    let parents = [5, 4].map(|index| ParentPath::compress(&log.inclusion(index), &main).unwrap());
    for (parent, index) in parents.iter().zip([5, 4]) {
        assert_eq!(parent.expand(&main).unwrap(), log.inclusion(index));
    }
    let proof = CredentialProof::new(issuance().entry(), &bytes, &note, parents.to_vec());
    let bytes = proof.to_bytes().unwrap();
    assert_eq!(CredentialProof::parse(&bytes).unwrap(), proof);
    pinned("credential-proof", &bytes, "every credential in use: its proof no longer parses");
}

#[test]
fn x509_commitment_claims_and_possession() {
    let cred = x509::cred(b"issuer spki", b"stripped tbs");
    pinned("cred-x509", cred.as_bytes(), "every X.509 credential in use: it no longer matches its entry");
    let claims = Claims::from([
        ("assurance".to_owned(), Claim::from("simulated")),
        ("level".to_owned(), Claim::Int(-3)),
        ("pci".to_owned(), Claim::Bool(true)),
    ]);
    pinned("claims", &claims_to_cbor(&claims).unwrap(), "the claims extension of credentials in use");
    pinned(
        "possession",
        &possession_message(b"challenge"),
        "proofs of possession by workloads of another version",
    );
    assert_eq!(x509::OID_PROOF, [0x2b, 6, 1, 4, 1, 0x81, 0xfd, 0x59, 1, 1]);
    assert_eq!(x509::OID_CLAIMS, [0x2b, 6, 1, 4, 1, 0x81, 0xfd, 0x59, 1, 2]);
}

#[test]
fn every_content() {
    for (name, bytes) in contents() {
        pinned(&format!("content-{name}"), &bytes, "contents in vaults: auditors no longer read them");
    }
    // An absent optional field, which serde would take for null, is another spelling.
    let refusal = crate::envelope::refusal().to_cbor().unwrap();
    let mut value = treering_provenance::strict::decode(&refusal, 4096).unwrap();
    value.as_map_mut().unwrap().retain(|(key, _)| key.as_text() != Some("appraisal"));
    let without = treering_provenance::strict::encode(&value).unwrap();
    assert!(treering_provenance::content::Refusal::from_cbor(&without).is_err());
}
