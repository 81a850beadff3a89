//! Who may do what: each resource with a role, without a certificate, with the wrong role, with a certificate that
//! the configuration does not name, and with one that another CA signed.

use axum::http::Method;
use data_encoding::BASE64URL_NOPAD;
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair};
use serde_json::json;

use crate::support::{Net, Reply, now, random, shared};

/// Method, path, the clients that may, and one that may not.
fn guarded() -> [(Method, String, &'static str, &'static str); 7] {
    let name = BASE64URL_NOPAD.encode(&random::<32>());
    let grant = BASE64URL_NOPAD.encode(&random::<16>());
    [
        (Method::POST, "/v1/content-keys".to_owned(), "ci", "operator"),
        (Method::PUT, format!("/v1/content/{name}"), "approver", "auditor"),
        (Method::POST, "/v1/activations".to_owned(), "operator", "ci"),
        (Method::POST, "/v1/grants".to_owned(), "operator", "auditor"),
        (Method::GET, format!("/v1/grants/by-key/{name}"), "auditor", "operator"),
        (Method::GET, format!("/v1/grants/{grant}/keys"), "auditor", "author"),
        (Method::GET, format!("/v1/leaves/{name}/content"), "auditor", "operator"),
    ]
}

async fn call(net: &Net, method: &Method, path: &str) -> Reply {
    net.send(method.clone(), path, Some("application/json"), "{}").await
}

#[tokio::test]
async fn each_guarded_resource_wants_its_role() {
    let stage = shared().await;
    for (method, path, may, may_not) in guarded() {
        call(&stage.stranger(), &method, &path).await.problem(401, "unauthenticated");
        call(&stage.net(may_not), &method, &path).await.problem(403, "forbidden");
        let status = call(&stage.net(may), &method, &path).await.status;
        assert!(![401, 403].contains(&status), "{method} {path} as {may}: {status}");
    }
}

#[tokio::test]
async fn a_certificate_that_the_configuration_does_not_name_has_no_role() {
    let stage = shared().await;
    let ca_key = KeyPair::from_pem(&std::fs::read_to_string(stage.path("tls/ca.key")).unwrap()).unwrap();
    let ca_pem = std::fs::read_to_string(stage.path("tls/ca.pem")).unwrap();
    let ca = Issuer::from_ca_cert_pem(&ca_pem, ca_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, "operator");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let unknown = params.signed_by(&key, &ca).unwrap().pem();
    let net = stage.net_with(&unknown, &key.serialize_pem());
    for (method, path, ..) in guarded() {
        call(&net, &method, &path).await.problem(403, "forbidden");
    }
    // And what needs no role is open to it.
    net.get("/v1/statements/0").await.is(200);

    // Another CA's: the connection does not even come about.
    let foreign = params.self_signed(&key).unwrap().pem();
    let net = stage.net_with(&foreign, &key.serialize_pem());
    assert!(net.try_send(Method::GET, "/v1/statements/0", None, "").await.is_err());
}

#[tokio::test]
async fn what_everybody_may_read_needs_no_certificate() {
    let stage = shared().await;
    let net = stage.stranger();
    let trust = net.get("/v1/trust").await.is(200);
    assert_eq!(trust.header("content-type"), "application/json");
    assert_eq!(trust.body, std::fs::read(stage.path("trust.json")).unwrap(), "the file that init wrote");
    let statement = stage.statement(&net, 1).await;
    let leaf = BASE64URL_NOPAD.encode(statement.leaf().as_bytes());
    assert_eq!(net.get(&format!("/v1/leaves/{leaf}")).await.is(200).json(), json!({ "index": 1 }));
    assert_eq!(net.get("/healthz").await.is(200).body, b"ok\n");
    assert_eq!(net.get("/readyz").await.is(200).body, b"ready\n");
    let metrics = String::from_utf8(net.get("/metrics").await.is(200).body).unwrap();
    for name in ["treering_http_request_seconds", "treering_log_sync_seconds"] {
        assert!(metrics.contains(name), "{metrics}");
    }
    assert!(!metrics.contains(&leaf), "series are named by routes, not by paths");
}

#[tokio::test]
async fn what_is_not_there_is_said_in_problem_documents() {
    let stage = shared().await;
    let net = stage.net("auditor");
    let absent = BASE64URL_NOPAD.encode(&random::<32>());
    for path in [
        "/".to_owned(),
        "/v1/nothing".to_owned(),
        format!("/v1/leaves/{absent}"),
        format!("/v1/leaves/{absent}/content"),
        "/v1/statements/18446744073709551615".to_owned(),
        "/v1/inclusion?index=5&size=5".to_owned(),
        "/v1/inclusion?index=0&size=18446744073709551615".to_owned(),
        "/v1/consistency?from=3&to=2".to_owned(),
        "/v1/consistency?from=0&to=18446744073709551615".to_owned(),
    ] {
        net.get(&path).await.problem(404, "not-found");
    }
    for path in [
        "/v1/leaves/short",
        "/v1/leaves/%ff",
        "/v1/statements/x",
        "/v1/statements/-1",
        "/v1/inclusion",
        "/v1/inclusion?index=0&size=2&colour=red",
        "/v1/consistency?from=a&to=b",
        "/v1/grants/by-key/short",
    ] {
        net.get(path).await.problem(400, "malformed");
    }
    for (method, path) in
        [(Method::DELETE, "/v1/statements/0"), (Method::GET, "/v1/grants"), (Method::POST, "/checkpoint")]
    {
        let reply = net.send(method, path, None, "").await;
        reply.problem(405, "method");
        assert!(!reply.header("allow").is_empty());
    }
}

#[tokio::test]
async fn a_grant_opens_what_it_says_and_no_more() {
    let stage = shared().await;
    let auditor = treering_provenance::grant::AuditorKey::from_bytes(random()).unwrap();
    let body = |key: &[u8], scopes: &[&str], classes: &[&str], to: u64| {
        json!({
            "grantee": "Narrow Ltd", "public_key": BASE64URL_NOPAD.encode(key),
            "scopes": scopes, "classes": classes, "from": 0, "to": to,
        })
    };
    let operator = stage.net("operator");
    let source = treering::client::RemoteSource(stage.client("auditor"));
    let unlocked = async || treering::audit::Keyring::unlock(&source, &auditor, &stage.origin).await;
    assert!(unlocked().await.is_err(), "nothing granted");
    let key = auditor.public().as_bytes();
    operator.post("/v1/grants", &body(key, &["governance"], &["decision"], now() + 60)).await.is(201);
    let narrow = unlocked().await.unwrap();
    let whole = treering::audit::Keyring::unlock(&source, &stage.auditor(), &stage.origin).await.unwrap();
    assert!(!narrow.is_empty() && narrow.len() < whole.len(), "{} of {}", narrow.len(), whole.len());
    // A point of small order would give everybody the grant key.
    operator.post("/v1/grants", &body(&[0; 32], &["*"], &["*"], now())).await.problem(400, "malformed");
    operator.post("/v1/grants", &body(&[0; 31], &["*"], &["*"], now())).await.problem(422, "malformed");
}
