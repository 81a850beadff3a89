//! A small transparency service, correct but for one chosen fault. Each statement has a tree of two leaves of its
//! own, which no client of SCRAPI can tell from a log. It shares no code with our service but COSE and hashing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use ciborium::Value;
use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest, Sha256};
use treering_provenance::cose::{CoseError, Ed25519Signer, Sign1, Signer, sig_structure};
use treering_provenance::strict;
use treering_tlog::hash::{leaf_hash, node_hash};

use crate::support::random;

/// The key of the issuer whose statements it takes.
pub(super) const ISSUER_SEED: [u8; 32] = [7; 32];
const MAX_STATEMENT: usize = 65_535;

/// What is wrong with a service.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Fault {
    None,
    /// No fault: it answers 202, then 204 once, then 200.
    Later,
    AcceptedWithBody,
    AnyKid,
    AttachedRoot,
    BusyWithoutTime,
    CreatedOfOtherType,
    FlatPath,
    JsonErrors,
    KeepsUnprotected,
    KeysOfOtherType,
    KidWithoutRaw,
    LooseKeys,
    Moves,
    NamedKey,
    Never,
    NewLocations,
    NoAlgorithm,
    NoAllow,
    NoCache,
    NoHead,
    NoKeys,
    NoKid,
    NoLocation,
    NoReceiptKid,
    NoSubject,
    OneLocation,
    OtherKey,
    OtherTitles,
    Plain,
    ReceiptOfAnother,
    Redirects,
    ResolvedWithoutLocation,
    RunningWithoutTime,
    TakesForgeries,
    TwoKeysOfOneKid,
    UnprotectedVds,
    Untagged,
    WrongLocation,
}

#[derive(Clone)]
struct Stub(Arc<Inner>);

struct Inner {
    fault: Fault,
    key: Ed25519Signer,
    /// Entries by their id, and how often each was asked for.
    entries: Mutex<HashMap<String, (Vec<u8>, usize)>>,
    posts: Mutex<usize>,
}

/// Serves on a free port until the test's runtime ends; the URL.
pub(super) async fn serve(fault: Fault) -> String {
    let key = Ed25519Signer::from_seed(&[5; 32]).unwrap();
    let stub = Stub(Arc::new(Inner { fault, key, entries: Mutex::default(), posts: Mutex::default() }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // This address leads to this machine, too, and does not say so.
    let host = if fault == Fault::Plain { "0.0.0.0".to_owned() } else { address.ip().to_string() };
    let url = format!("http://{host}:{}", address.port());
    let router = Router::new().fallback(answer).with_state(stub);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}

/// A statement of the issuer, as somebody else would make it.
pub(super) fn statement(number: u64) -> Vec<u8> {
    let signer = Ed25519Signer::from_seed(&ISSUER_SEED).unwrap();
    let claims =
        vec![(1.into(), "https://issuer.example".into()), (2.into(), format!("urn:test:{number}").into())];
    let protected = Value::Map(vec![
        (1.into(), (-8).into()),
        (4.into(), Value::Bytes(signer.kid().to_vec())),
        (15.into(), Value::Map(claims)),
    ]);
    Sign1::sign(&signer, &protected, b"payload", false).unwrap().to_bytes().unwrap()
}

async fn answer(
    State(stub): State<Stub>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path: Vec<&str> = uri.path().trim_start_matches('/').split('/').collect();
    let read = [Method::GET, Method::HEAD].contains(&method);
    match path.as_slice() {
        ["entries"] if method == Method::POST => stub.register(&headers, &body),
        ["entries", id] if read => stub.resolve(id),
        [".well-known", "scitt-keys"] if method == Method::HEAD && stub.0.fault == Fault::NoHead => {
            stub.error(404, "Not Found")
        }
        [".well-known", "scitt-keys"] if read => stub.keys(),
        [".well-known", "scitt-keys", kid] if read => stub.key(kid),
        ["entries"] => stub.no_method("POST"),
        ["entries", _] | [".well-known", "scitt-keys"] | [".well-known", "scitt-keys", _] => {
            stub.no_method("GET, HEAD")
        }
        _ => stub.error(404, "Not Found"),
    }
}

impl Stub {
    fn error(&self, status: u16, title: &str) -> Response {
        let title = if self.0.fault == Fault::OtherTitles { "Something is wrong" } else { title };
        let status = StatusCode::from_u16(status).unwrap();
        if self.0.fault == Fault::JsonErrors {
            let media_type = (header::CONTENT_TYPE, "application/problem+json");
            return (status, [media_type], format!("{{\"title\":\"{title}\"}}")).into_response();
        }
        let body = Value::Map(vec![((-1).into(), title.into()), ((-2).into(), "as it says".into())]);
        let media_type = (header::CONTENT_TYPE, "application/concise-problem-details+cbor");
        (status, [media_type], strict::encode(&body).unwrap()).into_response()
    }

    fn no_method(&self, allow: &'static str) -> Response {
        let mut response = self.error(405, "Method Not Allowed");
        if self.0.fault != Fault::NoAllow {
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        response
    }

    /// What its key is called.
    fn kid(&self) -> Vec<u8> {
        match self.0.fault {
            Fault::NamedKey | Fault::KidWithoutRaw => b"key-1".to_vec(),
            _ => self.0.key.kid().to_vec(),
        }
    }

    /// A key as it is published, under this name.
    fn published(signer: &Ed25519Signer, kid: Option<Vec<u8>>) -> Value {
        let mut members = signer.key().to_published_key().into_map().unwrap();
        members.retain(|(label, _)| *label != Value::from(2));
        members.extend(kid.map(|kid| (2.into(), Value::Bytes(kid))));
        Value::Map(members)
    }

    fn keys(&self) -> Response {
        let own = |kid| Self::published(&self.0.key, kid);
        let another = || Self::published(&Ed25519Signer::from_seed(&[6; 32]).unwrap(), Some(self.kid()));
        let keys = match self.0.fault {
            Fault::NoKeys => vec![],
            Fault::NoKid => vec![own(None)],
            Fault::TwoKeysOfOneKid => vec![own(Some(self.kid())), another()],
            _ => vec![own(Some(self.kid()))],
        };
        let mut response = cbor(&Value::Array(keys));
        match self.0.fault {
            Fault::NoCache => drop(response.headers_mut().remove(header::CACHE_CONTROL)),
            Fault::KeysOfOtherType => {
                let other = HeaderValue::from_static("application/cose-key-set");
                response.headers_mut().insert(header::CONTENT_TYPE, other);
            }
            Fault::LooseKeys => {
                // An array of one, its length in an octet of its own.
                let key = strict::encode(&own(Some(self.kid()))).unwrap();
                *response.body_mut() = [&[0x98, 1][..], &key].concat().into();
                response.headers_mut().remove(header::CONTENT_LENGTH);
            }
            _ => {}
        }
        response
    }

    fn key(&self, name: &str) -> Response {
        let kid = self.kid();
        let raw = name.as_bytes() == kid && self.0.fault != Fault::KidWithoutRaw;
        let encoded = name == BASE64URL_NOPAD.encode(&kid);
        if !raw && !encoded && self.0.fault != Fault::AnyKid {
            return self.error(404, "No such key");
        }
        let other = Ed25519Signer::from_seed(&[6; 32]).unwrap();
        let key = if self.0.fault == Fault::OtherKey { &other } else { &self.0.key };
        cbor(&Self::published(key, Some(kid)))
    }

    fn register(&self, headers: &HeaderMap, body: &[u8]) -> Response {
        let posts = {
            let mut posts = self.0.posts.lock().unwrap();
            *posts += 1;
            *posts
        };
        if self.0.fault == Fault::BusyWithoutTime && posts == 1 {
            return self.error(429, "Too Many Requests");
        }
        if headers.get(header::CONTENT_TYPE).is_none_or(|value| value != "application/cose") {
            return self.error(415, "Unsupported Media Type");
        }
        let sign1 = match Sign1::parse(body, MAX_STATEMENT) {
            Ok(sign1) => sign1,
            Err(CoseError::Algorithm(_)) => return self.error(400, "Bad Signature Algorithm"),
            Err(_) => return self.error(400, "Malformed request"),
        };
        if sign1.payload().is_none() {
            return self.error(400, "Payload Missing");
        }
        let issuer = Ed25519Signer::from_seed(&ISSUER_SEED).unwrap();
        let forged = sign1.verify(issuer.key()).is_err();
        // A forger's statement is taken, one of a stranger still is not.
        let taken = self.0.fault == Fault::TakesForgeries && sign1.kid() == Some(issuer.kid().as_slice());
        if forged && !taken {
            return self.error(400, "Rejected");
        }
        let stripped = sign1.without_unprotected().to_bytes().unwrap();
        let entry = if self.0.fault == Fault::KeepsUnprotected { body.to_vec() } else { stripped };
        self.registered(&entry)
    }

    fn registered(&self, entry: &[u8]) -> Response {
        let mut id = BASE64URL_NOPAD.encode(&Sha256::digest(entry));
        match self.0.fault {
            Fault::WrongLocation => id = format!("elsewhere-{id}"),
            Fault::NewLocations => id = BASE64URL_NOPAD.encode(&random::<32>()),
            Fault::OneLocation => "one".clone_into(&mut id),
            _ => {}
        }
        if self.0.fault != Fault::WrongLocation {
            self.0.entries.lock().unwrap().entry(id.clone()).or_insert((entry.to_vec(), 0));
        }
        let location = (header::LOCATION, format!("/entries/{id}"));
        let receipt = self.receipt(entry, 1);
        match self.0.fault {
            Fault::Later | Fault::Never | Fault::RunningWithoutTime => {
                (StatusCode::ACCEPTED, [location]).into_response()
            }
            Fault::AcceptedWithBody => (StatusCode::ACCEPTED, [location], "soon").into_response(),
            Fault::Redirects => (StatusCode::SEE_OTHER, [location]).into_response(),
            Fault::NoLocation => (StatusCode::CREATED, [cose()], receipt).into_response(),
            Fault::CreatedOfOtherType => (StatusCode::CREATED, [location], receipt).into_response(),
            _ => (StatusCode::CREATED, [location, cose()], receipt).into_response(),
        }
    }

    fn resolve(&self, id: &str) -> Response {
        let mut entries = self.0.entries.lock().unwrap();
        let Some((entry, asked)) = entries.get_mut(id) else { return self.error(404, "Not Found") };
        *asked += 1;
        if self.0.fault == Fault::Never || (self.0.fault == Fault::Later && *asked == 1) {
            let headers = [(header::RETRY_AFTER, "1"), (header::CACHE_CONTROL, "no-store")];
            return (StatusCode::NO_CONTENT, headers).into_response();
        }
        if self.0.fault == Fault::RunningWithoutTime && *asked == 1 {
            return StatusCode::NO_CONTENT.into_response();
        }
        let location = (header::LOCATION, format!("/entries/{id}"));
        // Left or right of the other leaf.
        let index = if self.0.fault == Fault::Moves { asked.is_multiple_of(2).into() } else { 1 };
        let receipt = self.receipt(entry, index);
        if self.0.fault == Fault::ResolvedWithoutLocation {
            return (StatusCode::OK, [cose()], receipt).into_response();
        }
        (StatusCode::OK, [location, cose()], receipt).into_response()
    }

    fn receipt(&self, entry: &[u8], index: u64) -> Vec<u8> {
        let fault = self.0.fault;
        let filler = leaf_hash(b"filler");
        let leaf = if fault == Fault::ReceiptOfAnother { leaf_hash(b"another") } else { leaf_hash(entry) };
        let root = if index == 0 { node_hash(&leaf, &filler) } else { node_hash(&filler, &leaf) };
        let mut claims = vec![(1.into(), "https://log.example".into())];
        if fault != Fault::NoSubject {
            claims.push((2.into(), "log.example".into()));
        }
        let vds = (Value::from(395), Value::from(1));
        let mut protected = vec![
            (1.into(), (-8).into()),
            (4.into(), Value::Bytes(self.kid())),
            (15.into(), Value::Map(claims)),
        ];
        match fault {
            Fault::NoAlgorithm => drop(protected.remove(0)),
            Fault::NoReceiptKid => drop(protected.remove(1)),
            _ => {}
        }
        let mut unprotected = Vec::new();
        if fault == Fault::UnprotectedVds { &mut unprotected } else { &mut protected }.push(vds);
        let sibling = Value::Bytes(filler.as_bytes().to_vec());
        let path = if fault == Fault::FlatPath { sibling } else { Value::Array(vec![sibling]) };
        let proof = strict::encode(&Value::Array(vec![2.into(), index.into(), path])).unwrap();
        let proofs = Value::Map(vec![((-1).into(), Value::Array(vec![Value::Bytes(proof)]))]);
        unprotected.push((396.into(), proofs));
        let protected = strict::encode(&Value::Map(protected)).unwrap();
        let signature = self.0.key.sign(&sig_structure(&protected, root.as_bytes())).unwrap();
        let payload =
            if fault == Fault::AttachedRoot { Value::Bytes(root.as_bytes().to_vec()) } else { Value::Null };
        let parts = Value::Array(vec![
            Value::Bytes(protected),
            Value::Map(unprotected),
            payload,
            Value::Bytes(signature),
        ]);
        let receipt = if fault == Fault::Untagged { parts } else { Value::Tag(18, Box::new(parts)) };
        strict::encode(&receipt).unwrap()
    }
}

fn cose() -> (HeaderName, String) {
    (header::CONTENT_TYPE, "application/cose".to_owned())
}

fn cbor(value: &Value) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/cbor"), (header::CACHE_CONTROL, "max-age=60")];
    (headers, strict::encode(value).unwrap()).into_response()
}
