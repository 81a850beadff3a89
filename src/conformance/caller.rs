//! HTTP as it is: every status, every header, no redirect followed, no answer longer than its limit.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{self, HeaderMap, HeaderName};
use hyper::{Method, StatusCode, Uri};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::client::{ClientError, tls_config};

use super::Target;
use super::book::Book;

/// The longest answer that is read; a receipt has some kilobytes.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;

pub(super) const COSE: &str = "application/cose";
pub(super) const CBOR: &str = "application/cbor";

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ConformanceError {
    /// A setting cannot be used.
    #[error("{0}")]
    Setup(String),
    /// The CA or the client certificate cannot be used.
    #[error(transparent)]
    Tls(Box<ClientError>),
    /// The service does not answer.
    #[error("the service does not answer: {0}")]
    Unreachable(String),
}

/// An answer of any status.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The media type without its parameters.
    pub(super) fn media_type(&self) -> &str {
        self.header(header::CONTENT_TYPE).and_then(|value| value.split(';').next()).unwrap_or("none").trim()
    }

    /// How long to wait, if the answer says so in seconds; the other form is a date, which needs a common clock.
    pub(super) fn retry_after(&self) -> Option<u64> {
        self.header(header::RETRY_AFTER)?.trim().parse().ok()
    }

    pub(super) fn is_error(&self) -> bool {
        self.status.is_client_error() || self.status.is_server_error()
    }
}

/// What to send.
pub(super) struct Call<'a> {
    pub(super) method: Method,
    pub(super) path: &'a str,
    pub(super) accept: &'static str,
    pub(super) content_type: Option<&'a str>,
    pub(super) body: Vec<u8>,
}

/// A caller of one service.
pub(super) struct Caller {
    /// Scheme and authority.
    root: String,
    /// The path of the service below it, without a slash at the end.
    prefix: String,
    http: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    timeout: Duration,
    /// Answers of 429 and 503, and whether each said when to come back.
    busy: RefCell<Vec<(StatusCode, bool)>>,
}

impl Caller {
    pub(super) fn new(target: &Target) -> Result<Self, ConformanceError> {
        let wrong = |reason: &str| ConformanceError::Setup(format!("`{}` {reason}", target.url));
        let uri: Uri = target.url.parse().map_err(|_| wrong("is not a URL"))?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(wrong("is not an absolute URL"));
        };
        let tls = match (scheme, &target.roots) {
            ("https", Some(roots)) => tls_config(roots, target.identity.as_ref())
                .map_err(|error| ConformanceError::Tls(Box::new(error)))?,
            ("https", None) => return Err(wrong("is https: name the CAs of its certificate")),
            ("http", _) if target.insecure_http => without_roots()?,
            ("http", _) => return Err(wrong("is not https: plain HTTP must be asked for")),
            _ => return Err(wrong("is not an https:// URL")),
        };
        let builder = hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(tls);
        let connector = if scheme == "http" {
            builder.https_or_http().enable_http1().build()
        } else {
            builder.https_only().enable_http1().build()
        };
        // A connection for each request: what one bad request does to its connection must not colour the next.
        let http = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        Ok(Self {
            root: format!("{scheme}://{authority}"),
            prefix: uri.path().trim_end_matches('/').to_owned(),
            http,
            timeout: target.timeout,
            busy: RefCell::default(),
        })
    }

    /// GET of a resource below the service's URL.
    pub(super) async fn get(&self, path: &str, accept: &'static str) -> Result<Answer, String> {
        let call = Call { method: Method::GET, path, accept, content_type: None, body: Vec::new() };
        self.send(call).await
    }

    /// `GET /.well-known/scitt-keys`.
    pub(super) async fn keys(&self) -> Result<Answer, String> {
        self.get("/.well-known/scitt-keys", CBOR).await
    }

    /// `POST /entries`.
    pub(super) async fn post(&self, content_type: Option<&str>, body: Vec<u8>) -> Result<Answer, String> {
        let call = Call { method: Method::POST, path: "/entries", accept: COSE, content_type, body };
        self.send(call).await
    }

    /// Sends to a resource below the service's URL.
    pub(super) async fn send(&self, call: Call<'_>) -> Result<Answer, String> {
        let url = format!("{}{}{}", self.root, self.prefix, call.path);
        self.exchange(&url, call).await
    }

    /// GET of a Location.
    pub(super) async fn follow(&self, location: &str, accept: &'static str) -> Result<Answer, String> {
        let url = self.resolve(location)?;
        let call = Call { method: Method::GET, path: "", accept, content_type: None, body: Vec::new() };
        self.exchange(&url, call).await
    }

    /// A Location as an absolute URL of this service (RFC 9110 section 10.2.2, RFC 3986 section 5.2).
    pub(super) fn resolve(&self, location: &str) -> Result<String, String> {
        if location.starts_with('/') && !location.starts_with("//") {
            return Ok(format!("{}{location}", self.root));
        }
        if location.contains("://") {
            let same = location.strip_prefix(&self.root).is_some_and(|rest| rest.starts_with('/'));
            return if same {
                Ok(location.to_owned())
            } else {
                Err(format!("`{location}` is at another server, which is not followed"))
            };
        }
        if location.is_empty() || location.starts_with("//") {
            return Err(format!("`{location}` is not a Location that can be followed"));
        }
        Ok(format!("{}{}/{location}", self.root, self.prefix))
    }

    async fn exchange(&self, url: &str, call: Call<'_>) -> Result<Answer, String> {
        let mut request = hyper::Request::builder()
            .method(&call.method)
            .uri(url)
            .header(header::ACCEPT, call.accept)
            .header(header::ACCEPT, "application/concise-problem-details+cbor");
        if let Some(content_type) = call.content_type {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        let shown = format!("{} {url}", call.method);
        let request = request.body(Full::new(Bytes::from(call.body)));
        let request = request.map_err(|error| format!("{shown}: {error}"))?;
        let exchange = async {
            let response = self.http.request(request).await.map_err(|error| causes(&error))?;
            let (status, headers) = (response.status(), response.headers().clone());
            let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
            let body = body.map_err(|error| error.to_string())?.to_bytes().to_vec();
            Ok(Answer { status, headers, body })
        };
        let timed = tokio::time::timeout(self.timeout, exchange).await;
        let seconds = self.timeout.as_secs();
        let answer: Result<Answer, String> =
            timed.unwrap_or_else(|_| Err(format!("no answer within {seconds} s")));
        let answer = answer.map_err(|error| format!("{shown}: {error}"))?;
        if matches!(answer.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            let says_when = answer.header(header::RETRY_AFTER).is_some();
            self.busy.borrow_mut().push((answer.status, says_when));
        }
        Ok(answer)
    }

    /// Judges the answers of an overloaded service, if there were any.
    pub(super) fn report_waits(&self, book: &mut Book) {
        let busy = self.busy.borrow();
        match busy.iter().find(|(_, says_when)| !says_when) {
            Some((status, _)) => {
                book.fail("limits.retry-after", format!("an answer of {status} has no Retry-After"));
            }
            None if busy.is_empty() => {
                book.not_applicable("limits.retry-after", "no request was answered with 429 or 503");
            }
            None => book.pass("limits.retry-after", format!("{} answers said when to come back", busy.len())),
        }
    }
}

/// For plain HTTP: a TLS configuration that trusts nobody.
fn without_roots() -> Result<rustls::ClientConfig, ConformanceError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ConformanceError::Setup(error.to_string()))?;
    Ok(builder.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth())
}

/// An error with its causes: hyper's own says only "client error".
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
