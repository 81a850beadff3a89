//! The formats of statements, receipts, grants and credentials. Signatures and keys are those of a small world, made
//! anew in every process.

use std::sync::LazyLock;

use treering_provenance::{
    bytes::Fixed,
    content::{AnyContent, Claim, Claims, Content as _, Refusal, V1, claims_from_cbor, claims_to_cbor},
    cose::{Ed25519Signer, KeySet, Sign1, Signer as _, VerifyingKey},
    envelope::{self, ContentKey, Context, Kek, KekId, Plaintext},
    grant::{self, AuditorKey, AuditorPublicKey, GrantContext, GrantKey},
    issuer::{Anchor, KnownIssuer},
    proof::CredentialProof,
    receipt::{self, Receipt},
    statement::{Draft, Kind, Payload, Statement},
    strict,
    trust::Trust,
    verify::{Outcome, Possession, VerifyOptions, verify_x509 as verify},
    x509::{self, Profile},
};
use treering_tlog::hash::{EMPTY_ROOT, Hash};

use crate::{
    Input, edited,
    world::{AUTHORITY, Issued, LOG_ROLE, NOW, ORIGIN, VERIFIER, WORKLOAD, World, confidential, signer},
};

const MAX_BYTES: usize = 1 << 16;
const KEK_ID: KekId = Fixed([5; 16]);
const GRANT_CONTEXT: GrantContext<'_> = GrantContext { origin: ORIGIN, grantee: "auditor@example" };

struct Known {
    world: World,
    issued: Issued,
    trust: Trust,
    /// One receipt of the issuance, and its leaf.
    receipt: (Vec<u8>, Hash),
    /// A receipt of consistency, and the size that it begins at.
    consistency: (Vec<u8>, u64),
}

static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    let mut world = World::new();
    let issued = world.issue();
    let trust = world.trust();
    let receipt = (issued.proof.receipt.clone(), issued.issuance.leaf());
    let (old, new) = (5, world.log.leaves.len() as u64);
    let seal = receipt::seal(&world.receipt_key, LOG_ROLE, &world.log.head(), NOW).unwrap();
    let consistency = receipt::assemble_consistency(&seal, &world.log.consistency(old, new)).unwrap();
    Known { world, issued, trust, receipt, consistency: (consistency, old) }
});

/// Contents of every kind, and claims.
pub fn content(data: &[u8]) {
    for (media_type, kind) in AnyContent::TYPES {
        if let Ok(Some(content)) = AnyContent::parse(media_type, data) {
            assert_eq!(content.kind(), *kind);
            assert_eq!(strict::to_vec(&content).unwrap(), data, "{media_type}");
        }
    }
    if let Ok(claims) = claims_from_cbor(data, MAX_BYTES) {
        assert_eq!(claims_to_cbor(&claims).unwrap(), data);
    }
}

/// Keys, sets of them, and signed messages.
pub fn cose_key(data: &[u8]) {
    if let Ok(key) = VerifyingKey::from_cose_key(data) {
        let again = VerifyingKey::from_cose_key(&key.to_cose_key().unwrap()).unwrap();
        assert_eq!(again.thumbprint(), key.thumbprint());
        assert_eq!(VerifyingKey::from_spki(&key.to_spki()).unwrap().thumbprint(), key.thumbprint());
        assert!(key.verify(key.algorithm(), b"message", &[7; 64]).is_err());
    }
    if let Ok(key) = VerifyingKey::from_spki(data) {
        assert_eq!(key.to_spki(), data);
    }
    let _ = VerifyingKey::from_p256(data);
    if let Ok(keys) = KeySet::parse(data) {
        let again = KeySet::parse(&keys.to_bytes().unwrap()).unwrap();
        assert_eq!(again.0.len(), keys.0.len());
    }
    if let Ok(sign1) = Sign1::parse(data, MAX_BYTES) {
        let _ = sign1.verify(&signer(1).key().clone());
    }
}

/// Credential proofs: any bytes under the CA's genuine signature, and a genuine proof with changes. A changed proof
/// convinces nobody.
pub fn credential_proof(data: &[u8]) {
    let Known { world, issued, trust, .. } = &*KNOWN;
    let valid = issued.proof.to_bytes().unwrap();
    let proof = match Input::of(data) {
        Some(Input::Raw(bytes)) => bytes.to_vec(),
        Some(Input::Edits(edits)) => match edited(&valid, edits) {
            Some(bytes) => bytes,
            None => return,
        },
        None => return,
    };
    if let Ok(parsed) = CredentialProof::parse(&proof) {
        assert_eq!(parsed.to_bytes().unwrap(), proof);
        let main = world.log.inclusion(7);
        for parent in &parsed.parents {
            let _ = parent.expand(&main);
        }
    }
    let Ok(tbs) = x509::insert_proof(&issued.tbs, &proof) else { return };
    let certificate = world.ca.sign(&tbs, &issued.algorithm);
    let verdict = verify(&[certificate], trust, &OPTIONS);
    assert!(verdict.outcome() != Outcome::Trustworthy || proof == valid, "{verdict:?}");
}

const OPTIONS: VerifyOptions<'static> =
    VerifyOptions { now: NOW, identifier: Some(WORKLOAD), possession: None };

/// Envelopes: any bytes, and a genuine one with changes, under a statement that names them. A changed one opens never.
pub fn envelope(data: &[u8]) {
    let (plaintext, valid) = sealed();
    let (bytes, changed) = match Input::of(data) {
        Some(Input::Raw(bytes)) => (bytes.to_vec(), false),
        Some(Input::Edits(edits)) => match edited(&valid, edits) {
            Some(bytes) => (bytes, true),
            None => return,
        },
        None => return,
    };
    let _ = envelope::kek_id(&bytes);
    let Ok(payload) = plaintext.payload(Kind::Refusal, &bytes) else { return };
    let statement = statement_of(payload);
    let opened = envelope::open(&statement, &bytes, |_| Some(Kek::from_bytes([6; 32])));
    // The name of the key-encryption key is a hint, not under the tag: here every name finds the right one.
    let only_the_hint = changed && {
        let (at, end) = hint(&valid);
        valid.iter().zip(&bytes).enumerate().all(|(i, (a, b))| a == b || (at..end).contains(&i))
    };
    assert!(opened.is_err() || !changed || only_the_hint);
    let _ = envelope::open_with_key(&statement, &bytes, &ContentKey::from_bytes([4; 32]));
}

fn hint(envelope: &[u8]) -> (usize, usize) {
    let at = envelope.windows(16).position(|window| window == KEK_ID.0).unwrap();
    (at, at + 16)
}

fn sealed() -> (Plaintext, Vec<u8>) {
    let plaintext = Plaintext::of(&refusal(), [3; 32]).unwrap();
    let key = ContentKey::from_bytes([4; 32]);
    let bytes = envelope::seal(&plaintext, &context(), &key, (&KEK_ID, &Kek::from_bytes([6; 32]))).unwrap();
    (plaintext, bytes)
}

fn context() -> Context<'static> {
    Context { origin: ORIGIN, issuer: VERIFIER, subject: "handle", kind: Kind::Refusal }
}

fn statement_of(payload: Payload) -> Statement {
    let Context { origin, issuer, subject, kind } = context();
    let draft = Draft {
        kind,
        issuer,
        subject,
        audience: origin,
        issued_at: NOW,
        parents: vec![],
        cred: None,
        payload,
    };
    draft.sign(&signer(1)).unwrap()
}

fn refusal() -> Refusal {
    Refusal {
        v: V1,
        step: "appraise".to_owned(),
        reason: "measurement-unknown".to_owned(),
        detail: "launch digest is not among 2 reference values".to_owned(),
        target: "x509".to_owned(),
        appraisal: None,
    }
}

/// Grant messages: any bytes, and a genuine one with changes.
pub fn grant_message(data: &[u8]) {
    let auditor = AuditorKey::from_bytes([2; 32]).unwrap();
    match Input::of(data) {
        Some(Input::Raw(bytes)) => {
            let _ = grant::open(bytes, &auditor, &GRANT_CONTEXT);
            let _ = grant::unwrap(&GrantKey::from_bytes([1; 32]), bytes);
        }
        Some(Input::Edits(edits)) => {
            if let Some(bytes) = edited(&grant_seed(), edits) {
                assert!(grant::open(&bytes, &auditor, &GRANT_CONTEXT).is_err());
            }
        }
        None => {}
    }
}

fn grant_seed() -> Vec<u8> {
    let auditor = AuditorKey::from_bytes([2; 32]).unwrap();
    grant::seal(&GrantKey::from_bytes([1; 32]), auditor.public(), &GRANT_CONTEXT, [3; 32]).unwrap()
}

/// Auditors' key files.
pub fn jwk(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(key) = AuditorKey::from_jwk(text) {
        let again = AuditorKey::from_jwk(&key.to_jwk().unwrap()).unwrap();
        assert_eq!(again.public().as_bytes(), key.public().as_bytes());
        assert!(AuditorPublicKey::from_jwk(text).is_err(), "a private key passed as a public one");
    }
    if let Ok(key) = AuditorPublicKey::from_jwk(text) {
        assert_eq!(AuditorPublicKey::from_jwk(&key.to_jwk().unwrap()).unwrap().as_bytes(), key.as_bytes());
    }
}

/// Receipts and seals: any bytes, and a genuine receipt with changes. A changed one verifies never.
pub fn receipt(data: &[u8]) {
    let Known { world, receipt: (valid, leaf), .. } = &*KNOWN;
    let (bytes, changed) = match Input::of(data) {
        Some(Input::Raw(bytes)) => (bytes.to_vec(), false),
        Some(Input::Edits(edits)) => match edited(valid, edits) {
            Some(bytes) => (bytes, true),
            None => return,
        },
        None => return,
    };
    let key = world.receipt_key.key();
    let _ = receipt::assemble(&bytes, &[world.log.inclusion(1)]);
    let Ok(receipt) = Receipt::parse(&bytes) else { return };
    let _ = (receipt.head(), receipt.issued_at(), receipt.kid(), receipt.unbound_root(key, leaf));
    assert!(receipt.verify_inclusion(key, ORIGIN, leaf).is_err() || !changed);
}

/// Receipts of consistency: any bytes, and a genuine one with changes. A changed one convinces nobody who knows the
/// older tree, and whatever is believed is the head that was sealed.
pub fn consistency_receipt(data: &[u8]) {
    let Known { world, consistency: (valid, old), .. } = &*KNOWN;
    let (bytes, changed) = match Input::of(data) {
        Some(Input::Raw(bytes)) => (bytes.to_vec(), false),
        Some(Input::Edits(edits)) => match edited(valid, edits) {
            Some(bytes) => (bytes, true),
            None => return,
        },
        None => return,
    };
    let key = world.receipt_key.key();
    let head = world.log.head();
    let Ok(receipt) = Receipt::parse(&bytes) else { return };
    for proof in receipt.consistencies() {
        let _ = receipt::assemble_consistency(&bytes, proof);
    }
    for size in 0..head.size {
        let root = if size == 0 { EMPTY_ROOT } else { world.log.root_at(size) };
        if let Ok(extended) = receipt.verify_consistency(key, ORIGIN, (size, &root)) {
            // Beginnings at other sizes are as true, and their paths are no secret.
            assert!(!changed || size != *old);
            assert_eq!((extended.size(), *extended.root()), (head.size, head.root));
        }
    }
}

/// An issuer that is known by a key and by certificates, as registration knows it.
static ISSUER: LazyLock<KnownIssuer> = LazyLock::new(|| {
    let anchor = Anchor::new(KNOWN.world.ca.certificate.der(), WORKLOAD).unwrap();
    KnownIssuer { keys: vec![signer(12).key().clone()], anchors: vec![anchor], high_s: true }
});

/// Statements as stored and as submitted. What is stored has one spelling; what carries certificates needs a path.
pub fn statement(data: &[u8]) {
    if let Ok(statement) = Statement::parse(data) {
        assert_eq!(statement.entry(), data);
        let _ =
            (statement.body(), statement.kind(), statement.parents(), statement.cred(), statement.commit());
        let _ =
            (Context::of(&statement), statement.statement_id(), statement.audience(), statement.issued_at());
        if let Ok(when) = ISSUER.check(&statement, 0..=u64::MAX) {
            assert!(!statement.is_certified() || when != (0..=u64::MAX), "a certificate of all times");
        }
        let _ = statement.twin();
        let _ = statement.verify(&signer(12).key().clone());
    }
    if let Ok(statement) = Statement::parse_submission(data) {
        let stored = Statement::parse(statement.entry()).unwrap();
        assert_eq!(stored.leaf(), statement.leaf());
    }
}

/// Deterministic CBOR: what is accepted is exactly what would be written.
pub fn strict_cbor(data: &[u8]) {
    if let Ok(value) = strict::decode(data, MAX_BYTES) {
        assert_eq!(strict::encode(&value).unwrap(), data);
    } else if strict::check(data, MAX_BYTES).is_ok() {
        panic!("checked, but not decoded");
    }
}

/// Trust files.
pub fn trust_file(data: &[u8]) {
    if let Ok(trust) = Trust::parse(data) {
        let _ = verify(&[&KNOWN.issued.certificate], &trust, &OPTIONS);
    }
}

/// Credentials under fixed trust: any bytes as a chain, and a genuine certificate with changes.
pub fn verify_x509(data: &[u8]) {
    let Known { issued, trust, .. } = &*KNOWN;
    match Input::of(data) {
        Some(Input::Raw(bytes)) => {
            let chain: Vec<&[u8]> = bytes.split(|byte| *byte == 0xfe).collect();
            let possession = Some(Possession { challenge: bytes, signature: bytes });
            let options = VerifyOptions { possession, ..OPTIONS };
            assert_ne!(verify(&chain, trust, &options).outcome(), Outcome::Trustworthy);
            let trustworthy = verify(&[bytes], trust, &OPTIONS).outcome() == Outcome::Trustworthy;
            assert!(!trustworthy || bytes == issued.certificate);
        }
        Some(Input::Edits(edits)) => {
            if let Some(certificate) = edited(&issued.certificate, edits) {
                assert_ne!(verify(&[certificate], trust, &OPTIONS).outcome(), Outcome::Trustworthy);
            }
        }
        None => {}
    }
}

/// Certificates in raw DER: cutting out what was put in gives back the same bytes.
pub fn x509_strip(data: &[u8]) {
    if let Ok(parts) = x509::split_certificate(data) {
        strip(parts.tbs);
        let again = x509::assemble_certificate(parts.tbs, parts.algorithm, parts.signature);
        assert_eq!(again, data);
    }
    strip(data);
    if let Ok(profile) = Profile::parse(data) {
        let _ = (profile.claims(), profile.check_workload(), profile.check_ca(0), profile.key());
        let _ = (profile.uri("test.example"), profile.validity(), profile.serial());
    }
}

fn strip(tbs: &[u8]) {
    let _ = (x509::proof(tbs), x509::spki(tbs));
    if let Ok(stripped) = x509::strip(tbs) {
        assert_eq!(x509::strip(&stripped).unwrap(), stripped);
        let with_proof = x509::insert_proof(&stripped, b"proof").unwrap();
        assert_eq!(x509::strip(&with_proof).unwrap(), stripped);
        assert_eq!(x509::proof(&with_proof).unwrap(), Some(b"proof".as_slice()));
    }
}

/// Inputs to begin with.
pub fn seeds() -> crate::Seeds {
    const EDITS: [u8; 7] = [1, 0, 40, 1, 0, 200, 128];
    let Known { world, issued, receipt: (receipt, _), consistency: (consistency_receipt, _), .. } = &*KNOWN;
    let raw = |bytes: &[u8]| [&[0], bytes].concat();
    let claims = Claims::from([("assurance".to_owned(), Claim::from("simulated"))]);
    let auditor = AuditorKey::from_bytes([2; 32]).unwrap();
    let proof = issued.proof.to_bytes().unwrap();
    let seal = receipt::seal(&world.receipt_key, LOG_ROLE, &world.log.head(), NOW).unwrap();
    let size = world.log.head().size;
    let consistency = receipt::assemble_consistency(&seal, &world.log.consistency(3, size)).unwrap();
    let public = Payload::Public { content_type: "application/json".to_owned(), bytes: b"{}".to_vec() };
    let public = Draft { payload: public, ..confidential(Kind::Status, AUTHORITY, vec![], None) };
    let chain = vec![issued.certificate.clone(), world.ca.certificate.der().to_vec()];
    let certified = Ed25519Signer::from_seed(&[12; 32]).unwrap().with_certificates(chain);
    let keys = KeySet(vec![world.receipt_key.key().clone(), world.authority.key().clone()]);
    vec![
        ("consistency_receipt", raw(consistency_receipt)),
        ("consistency_receipt", raw(receipt)),
        ("consistency_receipt", EDITS.to_vec()),
        ("content", refusal().to_cbor().unwrap()),
        ("content", claims_to_cbor(&claims).unwrap()),
        ("cose_key", world.receipt_key.key().to_cose_key().unwrap()),
        ("cose_key", world.authority.key().to_cose_key().unwrap()),
        ("cose_key", world.receipt_key.key().to_spki()),
        ("cose_key", keys.to_bytes().unwrap()),
        ("cose_key", issued.issuance.entry().to_vec()),
        ("credential_proof", raw(&proof)),
        ("credential_proof", EDITS.to_vec()),
        ("envelope", raw(&sealed().1)),
        ("envelope", EDITS.to_vec()),
        ("grant_message", raw(&grant_seed())),
        ("grant_message", EDITS.to_vec()),
        ("jwk", auditor.to_jwk().unwrap().as_bytes().to_vec()),
        ("jwk", auditor.public().to_jwk().unwrap().into_bytes()),
        ("receipt", raw(receipt)),
        ("receipt", raw(&consistency)),
        ("receipt", raw(&seal)),
        ("receipt", EDITS.to_vec()),
        ("statement", issued.issuance.entry().to_vec()),
        ("statement", public.sign(&signer(12)).unwrap().entry().to_vec()),
        ("statement", public.sign(&certified).unwrap().entry().to_vec()),
        ("strict_cbor", issued.issuance.entry().to_vec()),
        ("strict_cbor", proof),
        ("strict_cbor", claims_to_cbor(&claims).unwrap()),
        ("trust_file", world.trust_file().to_json().unwrap().into_bytes()),
        ("verify_x509", raw(&issued.certificate)),
        ("verify_x509", raw(&[&issued.certificate, &[0xfe][..], world.ca.certificate.der()].concat())),
        ("verify_x509", EDITS.to_vec()),
        ("x509_strip", issued.certificate.clone()),
        ("x509_strip", issued.tbs.clone()),
        ("x509_strip", world.ca.certificate.der().to_vec()),
    ]
}
