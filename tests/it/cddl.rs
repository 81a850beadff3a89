//! The law, `schemas/statements.cddl`, against the octets that the demo left behind: every entry, every content that
//! the auditor may open, the credential's proof, and what lies beside the log.

use std::collections::BTreeSet;
use std::fs;

use treering::audit::{Keyring, LocalSource, Source};
use treering::vault;
use treering_log::Log;
use treering_provenance::bytes::Bytes;
use treering_provenance::content::{AnyContent, RegistrationPolicy, TrustAnchors};
use treering_provenance::envelope::Plaintext;
use treering_provenance::grant::AuditorKey;
use treering_provenance::proof::CredentialProof;
use treering_provenance::statement::{Body, Statement};
use treering_provenance::x509::{self, Profile};
use treering_provenance::{content, strict};

use crate::support::demo::{Demo, demo};
use crate::support::law::Law;

/// Every kind of content that the demo makes, by the name in its media type.
const MADE: [&str; 13] = [
    "activation",
    "appraisal",
    "approval",
    "collateral",
    "grant",
    "issuance",
    "mapping",
    "policy",
    "reference-values",
    "refusal",
    "registration-policy",
    "trust-anchor",
    "workload-provenance",
];

struct Opened {
    statement: Statement,
    sealed: Option<Vec<u8>>,
    plaintext: Option<Plaintext>,
    content: AnyContent,
    name: String,
    body: Vec<u8>,
}

async fn keyring(demo: &Demo) -> (Keyring, AuditorKey) {
    let key = AuditorKey::from_jwk(&fs::read_to_string(demo.path("auditor.key")).unwrap()).unwrap();
    let source = LocalSource::open(&demo.dir.join("ledger/data")).unwrap();
    (Keyring::unlock(&source, &key, demo.trust().origin()).await.unwrap(), key)
}

fn open(log: &Log, keyring: &Keyring, index: u64) -> Opened {
    let statement = Statement::parse(&log.entry(index).unwrap().unwrap()).unwrap();
    let sealed = log.content(&statement.leaf()).unwrap();
    let plaintext = sealed.as_ref().map(|sealed| keyring.open(&statement, sealed).unwrap());
    let (media_type, body) = match (&plaintext, statement.body()) {
        (Some(plaintext), Body::Hashed { .. }) => {
            (plaintext.media_type().to_owned(), plaintext.body().to_vec())
        }
        (None, Body::Public { content_type, bytes }) => (content_type.unwrap().to_owned(), bytes.to_vec()),
        other => panic!("entry {index}: content and payload do not fit: {other:?}"),
    };
    let name =
        media_type.strip_prefix("application/vnd.treering.").and_then(|name| name.strip_suffix("+cbor"));
    let name = name.unwrap().to_owned();
    let content = AnyContent::parse(&media_type, &body).unwrap().unwrap();
    Opened { statement, sealed, plaintext, content, name, body }
}

#[tokio::test]
async fn every_entry_and_every_content_is_lawful() {
    let demo = demo();
    let law = Law::read();
    let log = Log::open_read_only(demo.dir.join("ledger/data")).unwrap();
    let (keyring, _) = keyring(demo).await;
    let mut names = BTreeSet::new();
    assert_eq!(log.size(), demo.report["log"]["size"]);
    for index in 0..log.size() {
        let opened = open(&log, &keyring, index);
        law.accepts("statement", opened.statement.entry());
        if let Some(sealed) = &opened.sealed {
            law.accepts("envelope", sealed);
        }
        if let Some(plaintext) = &opened.plaintext {
            law.accepts("plaintext", &strict::to_vec(plaintext).unwrap());
        }
        law.accepts(&format!("{}-content", opened.name), &opened.body);
        assert_eq!(opened.statement.kind(), Some(opened.content.kind()), "entry {index}");
        names.insert(opened.name);
    }
    assert_eq!(names, MADE.map(str::to_owned).into());
}

#[tokio::test]
async fn what_lies_beside_the_entries_is_lawful() {
    let demo = demo();
    let law = Law::read();
    let log = Log::open_read_only(demo.dir.join("ledger/data")).unwrap();
    let (keyring, auditor) = keyring(demo).await;
    law.accepts("seal", log.head().unwrap().receipt());

    let public = |index| open(&log, &keyring, index).body;
    let policy: RegistrationPolicy = content::Content::from_cbor(&public(0)).unwrap();
    let anchors: TrustAnchors = content::Content::from_cbor(&public(1)).unwrap();
    let registered = policy.issuers.iter().flat_map(|issuer| &issuer.keys);
    let roles = anchors.roles.iter().map(|role| &role.key);
    let keys: Vec<&Bytes> = registered.chain(roles).chain(&anchors.receipt_keys).collect();
    assert!(keys.len() >= 9, "three issuers, five roles, one for receipts");
    for key in keys {
        law.accepts("cose-key", &key.0);
    }

    let source = LocalSource::open(&demo.dir.join("ledger/data")).unwrap();
    let grants = source.grants(auditor.public().thumbprint().as_bytes()).await.unwrap();
    assert_eq!(grants.len(), 1);
    for (id, delivery) in grants {
        law.accepts("grant-message", &delivery.message.0);
        let wrapped = vault::granted(&log, &id).unwrap();
        assert_eq!(wrapped.len(), keyring.len());
        for kek in &wrapped {
            law.accepts("wrapped-kek", &strict::to_vec(kek).unwrap());
        }
    }
}

#[test]
fn the_credential_is_lawful() {
    let demo = demo();
    let law = Law::read();
    let der = &demo.chain()[0];
    let tbs = x509::split_certificate(der).unwrap().tbs;
    let bytes = x509::proof(tbs).unwrap().unwrap();
    law.accepts("credential-proof", bytes);
    let proof = CredentialProof::parse(bytes).unwrap();
    law.accepts("statement", &proof.statement);
    law.accepts("receipt", &proof.receipt);
    assert_eq!(proof.parents.len(), 2, "mapping and appraisal");
    let claims = Profile::parse(der).unwrap().claims().unwrap().unwrap();
    assert!(claims.contains_key("assurance"));
    law.accepts("claims", &content::claims_to_cbor(&claims).unwrap());
}
