//! Statements: round trips, header rules, names.

use ciborium::Value;
use treering_provenance::{
    bytes::{Fixed, Leaf},
    content::REGISTRATION_POLICY_TYPE,
    cose::{Sign1, Signer as _},
    statement::{Body, Draft, Form, Kind, Payload, Statement, StatementError},
    strict,
};

use crate::fixture::{AUTHORITY, NOW, ORIGIN, VERIFIER, confidential, es256, signer};

fn public(kind: Kind, content_type: &str) -> Draft<'static> {
    Draft {
        kind,
        issuer: AUTHORITY,
        subject: "s",
        audience: ORIGIN,
        issued_at: NOW,
        parents: vec![],
        cred: None,
        payload: Payload::Public { content_type: content_type.to_owned(), bytes: b"body".to_vec() },
    }
}

fn parents(count: usize) -> Vec<Leaf> {
    (0..count).map(|number| Fixed([u8::try_from(number).unwrap(); 32])).collect()
}

/// A header that `edit` has changed, signed by whom it names.
fn edited(
    draft: &Draft<'_>,
    edit: impl FnOnce(&mut Vec<(Value, Value)>),
) -> Result<Statement, StatementError> {
    let statement = draft.sign(&signer(1)).unwrap();
    let message = Sign1::parse(statement.entry(), 1 << 16).unwrap();
    let mut header = strict::decode(message.protected_bytes(), 1 << 16).unwrap().into_map().unwrap();
    edit(&mut header);
    let payload = message.payload().unwrap();
    let message = Sign1::sign(&signer(1), &Value::Map(header), payload, false).unwrap();
    Statement::parse(&message.to_bytes().unwrap())
}

fn member<'a>(header: &'a mut [(Value, Value)], label: &Value) -> &'a mut Value {
    &mut header.iter_mut().find(|(key, _)| key == label).unwrap().1
}

#[test]
fn every_kind_round_trips_in_its_form() {
    for kind in Kind::ALL {
        let draft = if kind.form() == Form::Public {
            public(kind, "text/plain")
        } else {
            let cred = kind.has_cred().then_some(Fixed([9; 32]));
            confidential(kind, AUTHORITY, parents(*kind.parents().end()), cred)
        };
        let statement = draft.sign(&signer(1)).unwrap();
        assert_eq!(statement.kind(), Some(kind));
        assert_eq!(statement.parents(), draft.parents);
        assert_eq!(statement.cred(), draft.cred.as_ref());
        assert_eq!((statement.issuer(), statement.audience()), (AUTHORITY, Some(ORIGIN)));
        assert_eq!(statement.issued_at(), Some(NOW));
        let again = Statement::parse(statement.entry()).unwrap();
        assert_eq!(again, statement);
        again.verify(signer(1).key()).unwrap();
        assert_eq!(kind.as_str().parse::<Kind>().unwrap(), kind);
    }
}

#[test]
fn the_form_is_the_kinds() {
    let rule = |result: Result<Statement, StatementError>| {
        assert!(matches!(result, Err(StatementError::KindRule { .. })), "{result:?}");
    };
    rule(public(Kind::Appraisal, "text/plain").sign(&signer(1)));
    rule(confidential(Kind::TrustAnchor, AUTHORITY, vec![], None).sign(&signer(1)));
    // Of policies only the registration policy is public.
    rule(public(Kind::Policy, "application/vnd.treering.policy+cbor").sign(&signer(1)));
    public(Kind::Policy, REGISTRATION_POLICY_TYPE).sign(&signer(1)).unwrap();
    rule(confidential(Kind::Issuance, AUTHORITY, parents(2), None).sign(&signer(1)));
    rule(confidential(Kind::Mapping, AUTHORITY, parents(1), Some(Fixed([1; 32]))).sign(&signer(1)));
    for (kind, count) in [(Kind::Appraisal, 1), (Kind::Mapping, 0), (Kind::Mapping, 2), (Kind::Refusal, 2)] {
        rule(confidential(kind, AUTHORITY, parents(count), None).sign(&signer(1)));
    }
    for count in [0, 1, 3] {
        rule(confidential(Kind::Issuance, AUTHORITY, parents(count), Some(Fixed([1; 32]))).sign(&signer(1)));
    }
}

#[test]
fn nothing_else_is_accepted_in_a_header_with_our_label() {
    let draft = confidential(Kind::Appraisal, VERIFIER, vec![], None);
    edited(&draft, |_| {}).unwrap();
    let extra = |label: Value| {
        move |header: &mut Vec<(Value, Value)>| header.push((label, Value::Bytes(vec![1; 12])))
    };
    edited(&draft, extra(33.into())).unwrap();
    for label in
        [Value::from(5), 32.into(), 34.into(), 35.into(), 395.into(), (-70_000).into(), "other".into()]
    {
        assert!(edited(&draft, extra(label.clone())).is_err(), "{label:?}");
    }
    // A content type beside 258 (RFC 9995: MUST NOT).
    assert!(edited(&draft, |header| header.push((3.into(), "text/plain".into()))).is_err());
    // Another hash, another preimage type.
    assert!(edited(&draft, |header| *member(header, &258.into()) = (-44).into()).is_err());
    assert!(edited(&draft, |header| *member(header, &259.into()) = "text/plain".into()).is_err());
    // kid that is not a thumbprint.
    assert!(edited(&draft, |header| *member(header, &4.into()) = Value::Bytes(vec![1; 31])).is_err());
}

#[test]
fn cwt_claims_are_the_four() {
    let draft = confidential(Kind::Appraisal, VERIFIER, vec![], None);
    for missing in [1, 2, 3, 6] {
        let without = edited(&draft, |header| {
            member(header, &15.into()).as_map_mut().unwrap().retain(|(key, _)| *key != Value::from(missing));
        });
        assert!(without.is_err(), "without {missing}");
    }
    let claim = |label: i64, value: Value| {
        edited(&draft, |header| {
            let claims = member(header, &15.into()).as_map_mut().unwrap();
            claims.retain(|(key, _)| *key != Value::from(label));
            claims.push((label.into(), value));
        })
    };
    assert!(claim(4, 1.into()).is_err());
    assert!(claim(6, (-1).into()).is_err());
    assert!(claim(6, "now".into()).is_err());
    assert!(claim(1, "".into()).is_err());
    assert!(claim(1, "x".repeat(8193).into()).is_err());
    claim(1, "x".repeat(8192).into()).unwrap();
    assert!(claim(2, 7.into()).is_err());
}

#[test]
fn the_label_is_exactly_its_members() {
    let draft = confidential(Kind::Appraisal, VERIFIER, vec![], None);
    let label = |name: &'static str, value: Option<Value>| {
        edited(&draft, |header| {
            let label = member(header, &"treering".into()).as_map_mut().unwrap();
            label.retain(|(key, _)| *key != Value::from(name));
            label.extend(value.map(|value| (name.into(), value)));
        })
    };
    for (name, value) in [
        ("v", None),
        ("v", Some(2.into())),
        ("kind", None),
        ("kind", Some("Appraisal".into())),
        ("parents", None),
        ("parents", Some(Value::Array(vec![Value::Bytes(vec![0; 31])]))),
        ("commit", None),
        ("commit", Some(Value::Bytes(vec![0; 31]))),
        ("more", Some(1.into())),
    ] {
        assert!(label(name, value.clone()).is_err(), "{name}: {value:?}");
    }
}

#[test]
fn another_key_does_not_verify() {
    let statement = confidential(Kind::Appraisal, VERIFIER, vec![], None).sign(&signer(1)).unwrap();
    assert!(matches!(statement.clone().verify(signer(2).key()), Err(StatementError::WrongKid { .. })));
    statement.verify(signer(1).key()).unwrap();
}

#[test]
fn every_changed_byte_is_noticed() {
    let statement = confidential(Kind::Issuance, AUTHORITY, parents(2), Some(Fixed([7; 32]))).sign(&es256());
    let statement = statement.unwrap();
    let by_ed25519 = confidential(Kind::Appraisal, VERIFIER, vec![], None).sign(&signer(1)).unwrap();
    for at in 0..by_ed25519.entry().len() {
        for flip in [1, 0x80, 0xff] {
            let mut entry = by_ed25519.entry().to_vec();
            entry[at] ^= flip;
            let verified = Statement::parse(&entry).and_then(|changed| changed.verify(signer(1).key()));
            assert!(verified.is_err(), "byte {at}");
        }
    }
    assert_ne!(statement.leaf(), by_ed25519.leaf());
}

#[test]
fn a_submission_loses_its_unprotected_header_and_keeps_its_id() {
    let statement = confidential(Kind::Appraisal, VERIFIER, vec![], None).sign(&signer(1)).unwrap();
    let with = |label: i64| {
        let Value::Tag(18, message) = strict::decode(statement.entry(), 1 << 16).unwrap() else {
            panic!("tag")
        };
        let mut parts = message.into_array().unwrap();
        parts[1] = Value::Map(vec![(label.into(), Value::Array(vec![Value::Bytes(vec![1, 2, 3])]))]);
        strict::encode(&Value::Tag(18, Box::new(Value::Array(parts)))).unwrap()
    };
    assert_eq!(Statement::parse(&with(394)), Err(StatementError::Unprotected));
    let submitted = Statement::parse_submission(&with(394)).unwrap();
    assert_eq!(submitted.entry(), statement.entry());
    assert_eq!(submitted.entry_id(), statement.entry_id());
    assert_eq!(Statement::parse_submission(&with(33)), Err(StatementError::UnprotectedChain));
}

#[test]
fn a_foreign_statement_has_no_kind_but_its_claims() {
    let signer = es256();
    let claims =
        Value::Map(vec![(1.into(), "https://vendor.example".into()), (2.into(), "pkg:oci/app".into())]);
    let header = Value::Map(vec![
        (1.into(), (-7).into()),
        (3.into(), "application/json".into()),
        (4.into(), Value::Bytes(b"vendor-1".to_vec())),
        (15.into(), claims),
    ]);
    let message = Sign1::sign(&signer, &header, b"{}", false).unwrap();
    let statement = Statement::parse(&message.to_bytes().unwrap()).unwrap();
    assert_eq!((statement.kind(), statement.audience()), (None, None));
    assert_eq!(statement.body(), Body::Public { content_type: Some("application/json"), bytes: b"{}" });
    statement.verify(signer.key()).unwrap();
    // RFC 9943 section 6: without kid (and certificates, which we do not take) nobody can say whose it is.
    let header = header.into_map().unwrap().into_iter().filter(|(key, _)| *key != Value::from(4)).collect();
    let message = Sign1::sign(&signer, &Value::Map(header), b"{}", false).unwrap();
    assert!(Statement::parse(&message.to_bytes().unwrap()).is_err());
}

/// Few clients sort their headers, and the bytes of theirs are what is signed and kept: only ours must be sorted.
#[test]
fn an_unsorted_header_is_accepted_only_without_our_label() {
    let signer = signer(1);
    let resigned = |protected: Vec<u8>| {
        let signature = signer.sign(&treering_provenance::cose::sig_structure(&protected, b"{}")).unwrap();
        let parts = vec![
            Value::Bytes(protected),
            Value::Map(vec![]),
            Value::Bytes(b"{}".to_vec()),
            Value::Bytes(signature),
        ];
        Statement::parse(&strict::encode(&Value::Tag(18, Box::new(Value::Array(parts)))).unwrap())
    };
    let unsorted = |members: Vec<(Value, Value)>| {
        let mut bytes = Vec::new();
        ciborium::into_writer(&Value::Map(members.into_iter().rev().collect()), &mut bytes).unwrap();
        bytes
    };
    let claims = Value::Map(vec![(1.into(), "https://vendor.example".into()), (2.into(), "app".into())]);
    let foreign =
        vec![(1.into(), (-8).into()), (4.into(), Value::Bytes(signer.kid().to_vec())), (15.into(), claims)];
    resigned(unsorted(foreign)).unwrap().verify(signer.key()).unwrap();
    let ours = public(Kind::Key, "text/plain").sign(&signer).unwrap();
    let ours = Sign1::parse(ours.entry(), 1 << 16).unwrap();
    let members = strict::decode(ours.protected_bytes(), 1 << 16).unwrap().into_map().unwrap();
    assert!(matches!(resigned(unsorted(members)), Err(StatementError::Cose(_))));
}

#[test]
fn a_detached_payload_and_a_long_statement_are_refused() {
    let statement = confidential(Kind::Appraisal, VERIFIER, vec![], None).sign(&signer(1)).unwrap();
    let message = Sign1::parse(statement.entry(), 1 << 16).unwrap();
    let header = strict::decode(message.protected_bytes(), 1 << 16).unwrap();
    let detached = Sign1::sign(&signer(1), &header, message.payload().unwrap(), true).unwrap();
    assert_eq!(Statement::parse(&detached.to_bytes().unwrap()), Err(StatementError::PayloadMissing));
    let mut long = public(Kind::Key, "text/plain");
    long.payload = Payload::Public { content_type: "text/plain".to_owned(), bytes: vec![0; 65_535] };
    assert!(long.sign(&signer(1)).is_err());
}

#[test]
fn two_ecdsa_signatures_over_one_statement_share_its_statement_id() {
    let signer = es256();
    let draft = confidential(Kind::Appraisal, VERIFIER, vec![], None);
    let (one, two) = (draft.sign(&signer).unwrap(), draft.sign(&signer).unwrap());
    assert_ne!(one.entry_id(), two.entry_id());
    assert_eq!(one.statement_id().unwrap(), two.statement_id().unwrap());
}
