//! The client of the HTTP API: what the subcommands, the workload's side and the auditor speak.
//!
//! In scope: TLS to one service with a pinned CA, an optional client certificate, limits and timeouts, the messages
//! of docs/protocol.md. Out of scope: what is done with the answers.

mod acquire;
mod api;
mod fetch;
mod mirror;
mod register;
mod source;

use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{self, HeaderName};
use hyper::{Method, StatusCode, Uri};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use acquire::{Acquired, evidence_of};
pub use fetch::VendorClient;
pub use register::{Registered, Registrant};
pub use source::RemoteSource;

/// The largest answer read: one entry's content, and room.
const MAX_RESPONSE_BYTES: usize = 24 * 1024 * 1024;
/// How long one request may take; a release waits for witnesses in it.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The URL, a certificate or a key cannot be used.
    #[error("{0}")]
    Setup(String),
    /// No answer.
    #[error("{method} {url}: no answer: {reason}")]
    Unreachable {
        /// The method.
        method: Method,
        /// The URL.
        url: String,
        /// What the network said.
        reason: String,
    },
    /// The service refused.
    #[error("{method} {url}: {status}: {detail}")]
    Refused {
        /// The method.
        method: Method,
        /// The URL.
        url: String,
        /// The status.
        status: StatusCode,
        /// The problem document's detail, or the beginning of the body.
        detail: String,
        /// The last part of the problem's type, empty if there is none.
        code: String,
        /// The entry that records the refusal, if there is one.
        entry: Option<String>,
    },
    /// The answer is not what the protocol says.
    #[error("{url}: {reason}")]
    Answer {
        /// The URL.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// A client certificate and its key, PEM.
#[derive(Clone)]
pub struct Identity {
    /// The chain.
    pub certificate: Vec<u8>,
    /// The key.
    pub key: zeroize::Zeroizing<Vec<u8>>,
}

/// A client of one service.
#[derive(Clone)]
pub struct Client {
    base: String,
    http: HyperClient<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// An answer with a status below 400.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The `Location`.
    pub location: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

/// A TLS configuration that trusts these roots, and shows this certificate if asked.
pub fn tls_config(
    roots_pem: &[u8],
    identity: Option<&Identity>,
) -> Result<rustls::ClientConfig, ClientError> {
    let setup = |error: &dyn std::fmt::Display| ClientError::Setup(error.to_string());
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(roots_pem) {
        roots.add(certificate.map_err(|error| setup(&error))?).map_err(|error| setup(&error))?;
    }
    if roots.is_empty() {
        return Err(ClientError::Setup("the CA file holds no certificate in PEM".to_owned()));
    }
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| setup(&error))?
        .with_root_certificates(roots);
    let Some(identity) = identity else { return Ok(builder.with_no_client_auth()) };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&identity.certificate).collect();
    let key = PrivateKeyDer::from_pem_slice(&identity.key).map_err(|error| setup(&error))?;
    builder.with_client_auth_cert(chain.map_err(|error| setup(&error))?, key).map_err(|error| setup(&error))
}

impl Client {
    /// A client of the service at `base`, such as `https://identity.bank.example`.
    pub fn new(base: &str, roots_pem: &[u8], identity: Option<&Identity>) -> Result<Self, ClientError> {
        let base = base.trim_end_matches('/');
        if !base.starts_with("https://") || base.parse::<Uri>().is_err() {
            return Err(ClientError::Setup(format!("`{base}` is not an https:// URL")));
        }
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls_config(roots_pem, identity)?)
            .https_only()
            .enable_http1()
            .build();
        Ok(Self { base: base.to_owned(), http: HyperClient::builder(TokioExecutor::new()).build(connector) })
    }

    /// GET, whatever the answer's type.
    pub async fn get(&self, path: &str) -> Result<Answer, ClientError> {
        self.send(Method::GET, path, None, Vec::new()).await
    }

    /// GET of a JSON document.
    pub async fn get_json<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let answer = self.get(path).await?;
        self.parse(path, &answer.body)
    }

    /// POST of a JSON document that is answered with one.
    pub async fn post_json<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(|error| ClientError::Setup(error.to_string()))?;
        let answer = self.send(Method::POST, path, Some("application/json"), body).await?;
        self.parse(path, &answer.body)
    }

    /// Sends octets of a media type.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        media_type: Option<&'static str>,
        body: Vec<u8>,
    ) -> Result<Answer, ClientError> {
        let url = format!("{}{path}", self.base);
        let setup = |error: &dyn std::fmt::Display| ClientError::Setup(format!("{url}: {error}"));
        let mut request = hyper::Request::builder().method(method.clone()).uri(&url);
        if let Some(media_type) = media_type {
            request = request.header(header::CONTENT_TYPE, media_type);
        }
        let request = request.body(Full::new(Bytes::from(body))).map_err(|error| setup(&error))?;
        let unreachable = |reason: &dyn std::fmt::Display| ClientError::Unreachable {
            method: method.clone(),
            url: url.clone(),
            reason: reason.to_string(),
        };
        let exchange = async {
            let response = self.http.request(request).await.map_err(|error| unreachable(&chain(&error)))?;
            let status = response.status();
            let text = |name: HeaderName| response.headers().get(name)?.to_str().ok().map(str::to_owned);
            let location = text(header::LOCATION);
            let body = Limited::new(response.into_body(), MAX_RESPONSE_BYTES).collect().await;
            let body = body.map_err(|error| unreachable(&error))?.to_bytes().to_vec();
            Ok(Answer { status, location, body })
        };
        let timed = tokio::time::timeout(TIMEOUT, exchange).await;
        let answer =
            timed.unwrap_or_else(|_| Err(unreachable(&format!("{} s passed", TIMEOUT.as_secs()))))?;
        if answer.status.is_client_error() || answer.status.is_server_error() {
            return Err(refusal(method, url, &answer));
        }
        Ok(answer)
    }

    fn parse<T: DeserializeOwned>(&self, path: &str, body: &[u8]) -> Result<T, ClientError> {
        serde_json::from_slice(body).map_err(|error| ClientError::Answer {
            url: format!("{}{path}", self.base),
            reason: format!("the answer is not the JSON of docs/protocol.md: {error}"),
        })
    }
}

/// An error with its causes: hyper's own says only "client error".
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

/// Reads a problem document (RFC 9457, or RFC 9290 from SCRAPI's resources).
fn refusal(method: Method, url: String, answer: &Answer) -> ClientError {
    let json: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let field = |name: &str| json.get(name).and_then(serde_json::Value::as_str).map(str::to_owned);
    let code = field("type").and_then(|uri| uri.rsplit(':').next().map(str::to_owned)).unwrap_or_default();
    let detail = field("detail")
        .or_else(|| api::concise_detail(&answer.body))
        .unwrap_or_else(|| String::from_utf8_lossy(&answer.body).chars().take(200).collect());
    ClientError::Refused { method, url, status: answer.status, detail, code, entry: field("entry") }
}
