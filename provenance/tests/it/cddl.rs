//! The law, `schemas/statements.cddl`, against bytes as we build them.

use std::collections::BTreeMap;

use ciborium::Value;
use rcgen::PublicKeyData as _;
use treering_provenance::{
    bytes::{Bytes, Fixed},
    content::{
        Abandoned, Activation, AnyContent, Appraisal, Approval, Binding, Claim, Claims, Collateral,
        CollateralItem, Content, EvidenceItem, Grant, HardwareRoot, Issuance, IssuerAnchor, Mapping, Policy,
        PolicyType, ProvenanceType, ReferenceValue, ReferenceValues, RegisteredIssuer, RegistrationPolicy,
        Role, TrustAnchors, V1, VerifierId, WorkloadProvenance, claims_to_cbor,
    },
    cose::{KeySet, Signer as _, VerifyingKey},
    receipt,
    statement::{Draft, Form, Kind, Payload},
    strict,
};

use crate::{
    envelope::{refusal, sealed},
    fixture::{AUTHORITY, LOG_ROLE, NOW, ORIGIN, TestLog, WORKLOAD, World, confidential, cose_key, signer},
    grant::message,
    issuer::Authority,
    law::Law,
};

/// A change to a map.
type Edit<'a> = &'a dyn Fn(&mut Vec<(Value, Value)>);

fn leaf(byte: u8) -> Fixed<32> {
    Fixed([byte; 32])
}

fn claims() -> Claims {
    let claims =
        [("assurance", Claim::from("simulated")), ("level", Claim::Int(-3)), ("pci", Claim::Bool(true))];
    claims.map(|(name, claim)| (name.to_owned(), claim)).into()
}

fn encoded<C: Content + PartialEq + std::fmt::Debug>(content: &C) -> Vec<u8> {
    let bytes = content.to_cbor().unwrap();
    assert_eq!(C::from_cbor(&bytes).unwrap(), *content);
    bytes
}

fn registered_by_certificate() -> RegisteredIssuer {
    let certificate = Bytes(Authority::root().der);
    RegisteredIssuer {
        iss: "https://scanner.example".to_owned(),
        kinds: vec![Kind::WorkloadProvenance],
        keys: Vec::new(),
        public: true,
        anchors: vec![IssuerAnchor { certificate, name: "scanner.example".to_owned() }],
        high_s: true,
    }
}

fn registration_policy() -> RegistrationPolicy {
    RegistrationPolicy {
        v: V1,
        origin: ORIGIN.to_owned(),
        issuers: vec![RegisteredIssuer {
            iss: AUTHORITY.to_owned(),
            kinds: vec![Kind::Issuance, Kind::Refusal],
            keys: vec![cose_key(&signer(1))],
            public: false,
            anchors: Vec::new(),
            high_s: false,
        }],
        algs: vec![-7, -8],
        max_statement_bytes: 65_535,
        approvals_threshold: 1,
        approvers: vec!["spiffe://test.example/approver".to_owned()],
    }
}

fn governance() -> Vec<(&'static str, Vec<u8>)> {
    let policy = registration_policy();
    let anchors = TrustAnchors {
        v: V1,
        origin: ORIGIN.to_owned(),
        trust_domain: "test.example".to_owned(),
        rp_id: "https://id.test.example".to_owned(),
        log_vkey: "log+00000000+AA==".to_owned(),
        receipt_keys: vec![cose_key(&signer(9))],
        ca: vec![Bytes(vec![0x30, 0])],
        roles: vec![Role { iss: AUTHORITY.to_owned(), key: cose_key(&signer(1)) }],
        hardware_roots: vec![HardwareRoot { name: "sim-milan".to_owned(), sha256: leaf(1), simulated: true }],
        witness_policy: None,
    };
    let proposed = Policy {
        v: V1,
        policy_type: PolicyType::Appraisal,
        name: "snp".to_owned(),
        media_type: "application/toml".to_owned(),
        body: Bytes(b"floor = 1\n".to_vec()),
        predecessor: Some(leaf(2)),
    };
    let approval =
        Approval { v: V1, policy: leaf(3), predecessor: None, not_before: NOW, not_after: NOW + 3600 };
    let activation = Activation {
        v: V1,
        policy: leaf(3),
        policy_type: PolicyType::Mapping,
        name: "pay".to_owned(),
        approvals: vec![leaf(4)],
        predecessor: None,
    };
    vec![
        ("registration-policy", encoded(&policy)),
        ("trust-anchor", encoded(&anchors)),
        ("policy", encoded(&proposed)),
        ("approval", encoded(&approval)),
        ("activation", encoded(&activation)),
    ]
}

fn provenance() -> Vec<(&'static str, Vec<u8>)> {
    let values = ReferenceValues {
        v: V1,
        workload: WORKLOAD.to_owned(),
        values: vec![ReferenceValue::single("sev-snp", "launch", "measurement", vec![7; 48])],
        provenance: vec![leaf(5), leaf(6)],
    };
    let sbom = WorkloadProvenance {
        v: V1,
        workload: WORKLOAD.to_owned(),
        provenance_type: ProvenanceType::Sbom,
        media_type: "application/vnd.cyclonedx+json".to_owned(),
        body: Bytes(b"{}".to_vec()),
        subjects: vec![Bytes(vec![8; 32]), Bytes(vec![8; 48])],
    };
    let item = CollateralItem {
        media_type: "application/pkix-cert".to_owned(),
        name: "vcek".to_owned(),
        body: Bytes(vec![0x30, 0]),
    };
    let collateral = Collateral { v: V1, platform: "sev-snp".to_owned(), items: vec![item] };
    vec![
        ("reference-values", encoded(&values)),
        ("workload-provenance", encoded(&sbom)),
        ("collateral", encoded(&collateral)),
    ]
}

fn decisions() -> Vec<(&'static str, Vec<u8>)> {
    let appraisal = Appraisal {
        v: V1,
        evidence: vec![EvidenceItem {
            media_type: "application/octet-stream".to_owned(),
            body: Bytes(vec![1, 2]),
        }],
        collateral: leaf(1),
        policy: leaf(2),
        policy_id: "ni:///sha-256;AAAA".to_owned(),
        reference_values: vec![leaf(3)],
        now: NOW,
        binding: Binding {
            freshness: Bytes(vec![9; 40]),
            target: "spiffe://test.example/pay/settle".to_owned(),
            rp_id: "https://id.test.example".to_owned(),
            subject: Bytes(vec![0x30, 0]),
        },
        verifier: VerifierId { developer: "https://treering.example".to_owned(), build: "0.1.0".to_owned() },
        result: Bytes(b"{\"eat_profile\":\"x\"}".to_vec()),
        status: "affirming".to_owned(),
    };
    let mapping = Mapping {
        v: V1,
        appraisal: leaf(4),
        manifest: leaf(5),
        selector: "pay-settle".to_owned(),
        identifier: WORKLOAD.to_owned(),
        claims: claims(),
        explanation: "selector pay-settle matched".to_owned(),
    };
    let issuance = Issuance {
        v: V1,
        mapping: leaf(6),
        identifier: WORKLOAD.to_owned(),
        credential: "x509".to_owned(),
        serial: Bytes(vec![1, 2, 3]),
        spki_sha256: leaf(7),
        not_before: NOW,
        not_after: NOW + 3600,
        claims: claims(),
    };
    let grant = Grant {
        v: V1,
        grantee: "auditor@example".to_owned(),
        key_thumbprint: leaf(8),
        scopes: vec![WORKLOAD.to_owned(), "intake".to_owned()],
        classes: vec!["evidence".to_owned()],
        from: NOW,
        to: NOW + 86_400,
        message: Bytes(message()),
    };
    let abandoned = Abandoned { v: V1, issuance: leaf(9), reason: "no-quorum".to_owned() };
    vec![
        ("appraisal", encoded(&appraisal)),
        ("mapping", encoded(&mapping)),
        ("issuance", encoded(&issuance)),
        ("refusal", encoded(&refusal())),
        ("abandoned", encoded(&abandoned)),
        ("grant", encoded(&grant)),
    ]
}

/// One content of each type, by the name of its rule.
pub(crate) fn contents() -> BTreeMap<&'static str, Vec<u8>> {
    governance().into_iter().chain(provenance()).chain(decisions()).collect()
}

#[test]
fn every_content_is_lawful_and_every_type_has_one() {
    let law = Law::read();
    let contents = contents();
    for (media_type, kind) in AnyContent::TYPES {
        let name = media_type.trim_start_matches("application/vnd.treering.").trim_end_matches("+cbor");
        let bytes = contents.get(name).expect(name);
        law.accepts(&format!("{name}-content"), bytes);
        let parsed = AnyContent::parse(media_type, bytes).unwrap().unwrap();
        assert_eq!(parsed.kind(), *kind);
        // What it is not is refused by the law and by the type.
        let mut value = strict::decode(bytes, 1 << 20).unwrap();
        let last = value.as_map_mut().unwrap().pop().unwrap();
        let short = strict::encode(&value).unwrap();
        assert!(law.judge(&format!("{name}-content"), &short).is_err(), "{name} without {last:?}");
        assert!(AnyContent::parse(media_type, &short).is_err());
        value.as_map_mut().unwrap().extend([last, ("unknown".into(), 1.into())]);
        let more = strict::encode(&value).unwrap();
        assert!(law.judge(&format!("{name}-content"), &more).is_err(), "{name}");
        assert!(AnyContent::parse(media_type, &more).is_err());
    }
    assert_eq!(contents.len(), AnyContent::TYPES.len());
    assert_eq!(AnyContent::parse("text/plain", b"").unwrap(), None);
}

#[test]
fn issuers_known_by_certificates_have_one_spelling_in_the_policy() {
    let law = Law::read();
    let mut policy = registration_policy();
    policy.issuers.push(registered_by_certificate());
    let bytes = encoded(&policy);
    law.accepts("registration-policy-content", &bytes);
    // What is absent by default is refused with its default: else one policy had two encodings.
    for (member, spelled) in [("anchors", Value::Array(Vec::new())), ("high_s", Value::Bool(false))] {
        let mut value = strict::decode(&bytes, 1 << 20).unwrap();
        let members = value.as_map_mut().unwrap();
        let issuers = members.iter_mut().find(|(key, _)| key.as_text() == Some("issuers")).unwrap();
        let first = issuers.1.as_array_mut().unwrap()[0].as_map_mut().unwrap();
        first.push((member.into(), spelled));
        let bytes = strict::encode(&value).unwrap();
        assert!(law.judge("registration-policy-content", &bytes).is_err(), "{member}");
        assert!(RegistrationPolicy::from_cbor(&bytes).is_err(), "{member}");
    }
}

#[test]
fn a_policy_that_contradicts_itself_about_certificates_is_refused() {
    let refused = |change: &dyn Fn(&mut RegistrationPolicy), says: &str| {
        let mut policy = registration_policy();
        policy.issuers.push(registered_by_certificate());
        policy.check().unwrap();
        change(&mut policy);
        let error = policy.check().unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    };
    let iss = registered_by_certificate().iss;
    // One CA is as many names as it likes: it must not be two of k approvers, nor one issuer with two names.
    refused(&|policy| policy.approvers.push(iss.clone()), "must be known by a key of its own");
    refused(
        &|policy| {
            let mut twice = policy.issuers[1].clone();
            twice.iss = "https://other.example".to_owned();
            policy.issuers.push(twice);
        },
        "occurs twice with the same name",
    );
    refused(&|policy| policy.issuers[1].iss = "scanner".to_owned(), "must be a URI");
    refused(
        &|policy| policy.issuers[1].anchors[0].name = "*.example".to_owned(),
        "neither a URI nor a DNS name",
    );
    refused(&|policy| policy.issuers[1].anchors[0].certificate = Bytes(vec![0x30, 0]), "trust anchor");
}

#[test]
fn every_kind_of_statement_is_lawful() {
    let law = Law::read();
    for kind in Kind::ALL {
        let parents = |count| vec![leaf(1); count];
        let cred = kind.has_cred().then(|| leaf(2));
        if kind.form() != Form::Public {
            for count in kind.parents() {
                let statement = confidential(kind, AUTHORITY, parents(count), cred).sign(&signer(1)).unwrap();
                law.accepts("statement", statement.entry());
            }
        }
        if kind.form() != Form::Confidential {
            let content_type = match kind {
                Kind::Policy => treering_provenance::content::REGISTRATION_POLICY_TYPE.to_owned(),
                kind => kind.media_type(),
            };
            let payload = Payload::Public { content_type, bytes: b"payload".to_vec() };
            let draft = Draft { payload, ..confidential(kind, AUTHORITY, vec![], None) };
            law.accepts("statement", draft.sign(&signer(1)).unwrap().entry());
        }
    }
}

#[test]
fn what_the_code_refuses_the_law_refuses() {
    let law = Law::read();
    let statement =
        confidential(Kind::Issuance, AUTHORITY, vec![leaf(1); 2], Some(leaf(2))).sign(&signer(1)).unwrap();
    let Value::Tag(18, message) = strict::decode(statement.entry(), 1 << 16).unwrap() else { panic!("tag") };
    let header = strict::decode(message.as_array().unwrap()[0].as_bytes().unwrap(), 1 << 16).unwrap();
    let judge = |edit: Edit<'_>| {
        let mut header = header.clone();
        edit(header.as_map_mut().unwrap());
        let mut parts = message.clone().into_array().unwrap();
        parts[0] = Value::Bytes(strict::encode(&header).unwrap());
        let bytes = strict::encode(&Value::Tag(18, Box::new(Value::Array(parts)))).unwrap();
        let lawful = law.judge("statement", &bytes).is_ok();
        assert_eq!(lawful, treering_provenance::statement::Statement::parse(&bytes).is_ok());
        lawful
    };
    assert!(judge(&|_| {}));
    let label = |header: &mut Vec<(Value, Value)>, edit: Edit<'_>| {
        let label = header.iter_mut().find(|(key, _)| key.as_text() == Some("treering")).unwrap();
        edit(label.1.as_map_mut().unwrap());
    };
    assert!(!judge(&|header| header.push((5.into(), Value::Bytes(vec![1; 12])))));
    let octets = |count| vec![Value::Bytes(vec![0x30, 0]); count];
    for (chain, good) in [
        (Value::Bytes(vec![0x30, 0]), true),
        (Value::Array(octets(2)), true),
        (Value::Array(octets(5)), true),
        (Value::Array(octets(6)), false),
        (Value::Array(octets(1)), false),
        (Value::from(1), false),
    ] {
        assert_eq!(judge(&|header| header.push((33.into(), chain.clone()))), good, "{chain:?}");
    }
    assert!(!judge(&|header| header.retain(|(key, _)| *key != Value::from(259))));
    assert!(!judge(&|header| label(header, &|label| label.retain(|(key, _)| key.as_text() != Some("cred")))));
    assert!(!judge(
        &|header| label(header, &|label| label.retain(|(key, _)| key.as_text() != Some("commit")))
    ));
    assert!(!judge(&|header| label(header, &|label| label.push(("x".into(), 1.into())))));
}

#[test]
fn receipts_proofs_envelopes_grants_and_keys_are_lawful() {
    let law = Law::read();
    let log = TestLog::with_filler(7);
    let seal = receipt::seal(&signer(9), LOG_ROLE, &log.head(), NOW).unwrap();
    law.accepts("seal", &seal);
    law.accepts("receipt", &receipt::assemble(&seal, &[log.inclusion(3), log.inclusion(4)]).unwrap());
    law.accepts("receipt", &receipt::assemble_consistency(&seal, &log.consistency(3, 7)).unwrap());
    let mut world = World::new();
    let mut proof = world.issue().proof;
    law.accepts("credential-proof", &proof.to_bytes().unwrap());
    proof.parents.clear();
    law.accepts("credential-proof", &proof.to_bytes().unwrap());
    law.accepts("envelope", &sealed().1);
    law.accepts("statement", sealed().0.entry());
    let plaintext = treering_provenance::envelope::Plaintext::of(&refusal(), [3; 32]).unwrap();
    law.accepts("plaintext", &strict::to_vec(&plaintext).unwrap());
    law.accepts("grant-message", &message());
    law.accepts("claims", &claims_to_cbor(&claims()).unwrap());
    let p256 = world.receipt_key.key().clone();
    law.accepts("key-set", &KeySet(vec![signer(1).key().clone(), p256.clone()]).to_bytes().unwrap());
    law.accepts("cose-key", &p256.to_cose_key().unwrap());
    let p384 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let p384 = VerifyingKey::from_spki(&p384.subject_public_key_info()).unwrap();
    law.accepts("cose-key", &p384.to_cose_key().unwrap());
    let wrapped = treering_provenance::grant::WrappedKek { kek_id: Fixed([1; 16]), wrapped: Fixed([2; 40]) };
    law.accepts("wrapped-kek", &strict::to_vec(&wrapped).unwrap());
}
