//! SCRAPI (draft -11) as its clients see it: four resources, receipts that verify, CBOR on every error.

use axum::http::Method;
use ciborium::Value;
use data_encoding::BASE64URL_NOPAD;
use treering_provenance::content::{AnyContent, RegistrationPolicy};
use treering_provenance::cose::{KeySet, Sign1, VerifyingKey};
use treering_provenance::receipt::Receipt;

use crate::support::{Net, Settings, Stage, edit, random, shared};

async fn key_set(net: &Net) -> KeySet {
    let reply = net.get("/.well-known/scitt-keys").await.is(200);
    assert_eq!(reply.header("content-type"), "application/cbor");
    KeySet::parse(&reply.body).unwrap()
}

#[tokio::test]
async fn receipts_verify_with_the_published_key() {
    let stage = shared().await;
    let net = stage.stranger();
    let keys = key_set(&net).await;
    let key = &keys.0[0];
    let mut last_size = 0;
    for index in [0, 1, 2, 5] {
        let statement = stage.statement(&net, index).await;
        let location = format!("/entries/{}", statement.entry_id());
        let reply = net.get(&location).await.is(200);
        assert_eq!(
            (reply.header("content-type"), reply.header("location")),
            ("application/cose", &*location)
        );
        let receipt = Receipt::parse(&reply.body).unwrap();
        assert_eq!(receipt.kid(), Some(key.thumbprint().as_slice()));
        let included = receipt.verify_inclusion(key, &stage.origin, &statement.leaf()).unwrap();
        assert_eq!(included.index(), index);
        assert!(included.size() >= last_size, "the tree only grows");
        last_size = included.size();
        // By RFC 9942 alone, and not for another statement or another log.
        receipt.unbound_root(key, &statement.leaf()).unwrap();
        let other = stage.statement(&net, 3).await.leaf();
        assert!(receipt.verify_inclusion(key, &stage.origin, &other).is_err());
        assert!(receipt.verify_inclusion(key, "log.other.example/1", &statement.leaf()).is_err());
    }
}

#[tokio::test]
async fn the_published_key_is_the_pinned_one_and_is_found_by_its_thumbprint() {
    let stage = shared().await;
    let net = stage.stranger();
    let keys = key_set(&net).await;
    assert_eq!(&keys, stage.trust().receipt_keys());
    let AnyContent::TrustAnchors(anchors) = stage.content(1).await else { panic!() };
    assert_eq!(VerifyingKey::from_cose_key(&anchors.receipt_keys[0].0).unwrap(), keys.0[0]);
    let kid = BASE64URL_NOPAD.encode(keys.0[0].thumbprint());
    let reply = net.get(&format!("/.well-known/scitt-keys/{kid}")).await.is(200);
    assert_eq!(reply.header("content-type"), "application/cbor");
    assert!(reply.header("cache-control").contains("max-age"));
    assert_eq!(VerifyingKey::from_cose_key(&reply.body).unwrap(), keys.0[0]);
    // The log's own key, and the roles', sign no receipts.
    assert!(anchors.roles.iter().all(|role| VerifyingKey::from_cose_key(&role.key.0).unwrap() != keys.0[0]));
}

#[tokio::test]
async fn the_registration_policy_is_in_the_log_for_everybody() {
    let stage = shared().await;
    let AnyContent::RegistrationPolicy(policy) = stage.content(0).await else { panic!() };
    let RegistrationPolicy { origin, algs, max_statement_bytes, approvals_threshold, .. } = policy;
    assert_eq!((origin, algs), (stage.origin.clone(), vec![-8, -7]));
    assert_eq!((max_statement_bytes, approvals_threshold), (65_535, 2));
}

#[tokio::test]
async fn every_error_is_concise_cbor() {
    let stage = shared().await;
    let net = stage.stranger();
    let id = stage.statement(&net, 0).await.entry_id();
    let absent = BASE64URL_NOPAD.encode(&random::<32>());
    for entry in [absent.as_str(), "short", "%ff", "%2f", &format!("{id}A"), &id.replacen(&id[..1], "!", 1)] {
        net.get(&format!("/entries/{entry}")).await.concise(404, "Not Found");
    }
    for kid in [absent.as_str(), "AAAA", "%ff", "not.base64"] {
        net.get(&format!("/.well-known/scitt-keys/{kid}")).await.concise(404, "No such key");
    }
    for path in ["/entries/", "/entries/a/b", "/.well-known/scitt-keys/", "/.well-known/scitt-keys/a/b"] {
        let status = net.get(path).await.status;
        assert_eq!(status, 404, "{path}");
    }
    net.get("/entries/a/b").await.concise(404, "Not Found");
    net.get("/.well-known/scitt-keys/a/b").await.concise(404, "Not Found");
    // What only begins like one of SCRAPI's is ours.
    net.get("/entriesofmine").await.problem(404, "not-found");
    let entry = format!("/entries/{id}");
    for (method, path) in [
        (Method::GET, "/entries"),
        (Method::DELETE, "/entries"),
        (Method::POST, &*entry),
        (Method::DELETE, &*entry),
        (Method::POST, "/.well-known/scitt-keys"),
        (Method::PUT, "/.well-known/scitt-keys/AAAA"),
    ] {
        net.send(method, path, None, "").await.concise(405, "Method Not Allowed");
    }
}

/// A statement of the issuer whose payloads are plain, as a client that knows nothing of us makes it.
fn foreign(stage: &Stage, payload: &[u8]) -> Vec<u8> {
    let signer = stage.signer("foreign");
    let claims =
        Value::Map(vec![(1.into(), Stage::issuer("foreign").into()), (2.into(), "urn:example:load".into())]);
    let protected = Value::Map(vec![
        (1.into(), (-8).into()),
        (4.into(), Value::Bytes(signer.kid().to_vec())),
        (15.into(), claims),
    ]);
    Sign1::sign(&*signer, &protected, payload, false).unwrap().to_bytes().unwrap()
}

#[tokio::test]
async fn a_full_pool_says_when_to_come_back() {
    let stage = Stage::make(&Settings { extra: true, ..Settings::default() }).await;
    edit(&stage.config, |table| {
        let log = table.entry("log").or_insert_with(|| toml::Table::new().into());
        log.as_table_mut().unwrap().insert("pool_entries".to_owned(), 1.into());
    });
    stage.serve();
    let mut refused = 0;
    for round in 0..20_u32 {
        let mut posts = tokio::task::JoinSet::new();
        for number in 0..64_u32 {
            let statement = foreign(&stage, format!("{round} {number}").as_bytes());
            let net = stage.stranger();
            posts.spawn(async move { net.entries(&statement).await });
        }
        for reply in posts.join_all().await {
            if reply.status == 503 {
                reply.concise(503, "Too many entries wait");
                assert_eq!(reply.header("retry-after"), "1");
                refused += 1;
            } else {
                reply.is(201);
            }
        }
        if refused > 0 {
            break;
        }
    }
    assert!(refused > 0, "the pool of one entry was never full");
    // Nothing is broken by it.
    stage.stranger().entries(&foreign(&stage, b"after")).await.is(201);
}

/// Section 2: a protection against too many requests of people whom nobody knows. What is taken never counts.
#[tokio::test]
async fn who_sends_garbage_is_told_to_wait_and_others_are_not() {
    let stage = Stage::make(&Settings { extra: true, ..Settings::default() }).await;
    edit(&stage.config, |table| {
        let http = table["http"].as_table_mut().unwrap();
        http.insert("refused_registrations_per_second".to_owned(), 1.into());
    });
    stage.serve();
    let net = stage.stranger();
    // More than the limit and its burst together.
    for number in 0..30 {
        let statement = stage.filler(number);
        net.entries(&statement).await.is(201);
        net.entries(&statement).await.is(201);
    }
    let mut refused = 0;
    let limited = loop {
        let reply = net.entries(b"garbage").await;
        if reply.status == 429 {
            break reply;
        }
        reply.concise(400, "Malformed request");
        refused += 1;
        assert!(refused < 1000, "there is no limit");
    };
    assert!(refused >= 10, "{refused}");
    limited.concise(429, "Too Many Requests");
    assert_eq!(limited.header("retry-after"), "1");
    // Whoever does as it is told is let in, and reading was never limited.
    net.get("/.well-known/scitt-keys").await.is(200);
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    net.entries(&stage.filler(30)).await.is(201);
    stage.stop();
}
