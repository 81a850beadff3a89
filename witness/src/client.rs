//! Asking a witness, for logs and monitors: add-checkpoint and the monitoring resource.
//!
//! In scope: HTTP and HTTPS, bounded in time and bytes, with typed outcomes. Out of scope: verifying cosignatures (the
//! caller knows which keys it trusts), retrying, choosing among witnesses.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode, Uri,
    body::{Bytes, Incoming},
    header,
};
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::ClientConfig;
use thiserror::Error;
use treering_tlog::{
    add_checkpoint::{
        AddCheckpoint, AddCheckpointError, MAX_RESPONSE_LEN, SIZE_CONTENT_TYPE, parse_response, parse_size,
        serialize_request,
    },
    hash::Hash,
    note::NoteSignature,
};

use crate::store::origin_hash;

/// A client of one witness. Cheap to clone; connections are kept and shared.
#[derive(Clone, Debug)]
pub struct WitnessClient {
    base: String,
    timeout: Duration,
    http: Http,
}

#[derive(Clone, Debug)]
enum Http {
    Plain(Client<HttpConnector, Full<Bytes>>),
    Tls(Client<HttpsConnector<HttpConnector>, Full<Bytes>>),
}

impl WitnessClient {
    /// A client of the witness at a submission prefix, `http://` or `https://`.
    ///
    /// For `https` the caller brings the TLS configuration, without ALPN; `timeout` bounds each call as a whole.
    pub fn new(url: &str, tls: Option<Arc<ClientConfig>>, timeout: Duration) -> Result<Self, CallError> {
        let bad_url = || CallError::Url { url: url.to_owned() };
        let base = url.trim_end_matches('/').to_owned();
        let uri: Uri = base.parse().map_err(|_| bad_url())?;
        if uri.host().is_none() || uri.query().is_some() {
            return Err(bad_url());
        }
        let builder = Client::builder(TokioExecutor::new());
        let http = match (uri.scheme_str(), tls) {
            (Some("http"), _) => Http::Plain(builder.build(HttpConnector::new())),
            (Some("https"), Some(tls)) => {
                let mut connector = HttpConnector::new();
                connector.enforce_http(false);
                Http::Tls(builder.build(HttpsConnector::from((connector, tls))))
            }
            (Some("https"), None) => return Err(CallError::NoTls { url: url.to_owned() }),
            _ => return Err(bad_url()),
        };
        Ok(Self { base, timeout, http })
    }

    /// The submission prefix.
    pub fn url(&self) -> &str {
        &self.base
    }

    /// Asks for a cosignature of a signed checkpoint; `proof` leads from `old_size` to it.
    ///
    /// The lines are not verified.
    pub async fn add_checkpoint(
        &self,
        old_size: u64,
        proof: &[Hash],
        note: &[u8],
    ) -> Result<Vec<NoteSignature>, CallError> {
        let request = AddCheckpoint::new(old_size, proof.to_vec(), note).map_err(CallError::Request)?;
        let answer = self.call(Method::POST, "/add-checkpoint", serialize_request(&request)).await?;
        match answer.status {
            StatusCode::OK => parse_response(&answer.body).map_err(CallError::Malformed),
            StatusCode::CONFLICT if answer.is_size => {
                let size = parse_size(&answer.body).map_err(CallError::Malformed)?;
                Err(CallError::Conflict { size })
            }
            _ => Err(answer.refused()),
        }
    }

    /// The last checkpoint that the witness cosigned for a log, unverified; `None` if there is none.
    pub async fn latest(&self, origin: &str) -> Result<Option<Vec<u8>>, CallError> {
        let answer =
            self.call(Method::GET, &format!("/{}/checkpoint", origin_hash(origin)), Vec::new()).await?;
        match answer.status {
            StatusCode::OK => Ok(Some(answer.body)),
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(answer.refused()),
        }
    }

    async fn call(&self, method: Method, path: &str, body: Vec<u8>) -> Result<Answer, CallError> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header(header::CONTENT_TYPE, "text/plain; charset=utf-8")
            .body(Full::from(body))
            .map_err(|_| CallError::Url { url: self.base.clone() })?;
        let exchange = async {
            let response = match &self.http {
                Http::Plain(client) => client.request(request).await,
                Http::Tls(client) => client.request(request).await,
            };
            read(response.map_err(|error| CallError::unreachable(&error))?).await
        };
        let too_slow = CallError::Unreachable { what: format!("no answer within {:?}", self.timeout) };
        tokio::time::timeout(self.timeout, exchange).await.unwrap_or(Err(too_slow))
    }
}

/// An answer, read whole and bounded.
struct Answer {
    status: StatusCode,
    is_size: bool,
    body: Vec<u8>,
}

impl Answer {
    fn refused(self) -> CallError {
        let body = String::from_utf8_lossy(&self.body).chars().take(MAX_REASON_CHARS).collect();
        CallError::Refused { status: self.status.as_u16(), body }
    }
}

async fn read(response: Response<Incoming>) -> Result<Answer, CallError> {
    let status = response.status();
    let content_type = response.headers().get(header::CONTENT_TYPE);
    let is_size = content_type.and_then(|value| value.to_str().ok()).is_some_and(is_size_type);
    let body = Limited::new(response.into_body(), MAX_RESPONSE_LEN).collect().await;
    let body = body.map_err(|error| CallError::unreachable(error.as_ref()))?.to_bytes().to_vec();
    Ok(Answer { status, is_size, body })
}

/// With or without parameters, such as a character set that a proxy adds.
fn is_size_type(value: &str) -> bool {
    value
        .split(';')
        .next()
        .is_some_and(|media_type| media_type.trim().eq_ignore_ascii_case(SIZE_CONTENT_TYPE))
}

/// Why there is no cosignature.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum CallError {
    /// The witness has cosigned another size last.
    #[error("witness has cosigned size {size}")]
    Conflict {
        /// That size.
        size: u64,
    },
    /// A 200 or 409 answer whose body is not what it must be.
    #[error("malformed answer: {0}")]
    Malformed(AddCheckpointError),
    /// `https` without a TLS configuration.
    #[error("{url} needs a tls configuration")]
    NoTls {
        /// The address.
        url: String,
    },
    /// Any other status.
    #[error("witness refused with status {status}: {body:?}")]
    Refused {
        /// The status code.
        status: u16,
        /// The start of the body, for the operator.
        body: String,
    },
    /// The request itself cannot be sent.
    #[error("request: {0}")]
    Request(AddCheckpointError),
    /// No answer, or not a whole one, or one that is too long.
    #[error("witness is unreachable: {what}")]
    Unreachable {
        /// What happened.
        what: String,
    },
    /// Not an address of a witness.
    #[error("{url:?} is not an http or https address")]
    Url {
        /// The text found.
        url: String,
    },
}

impl CallError {
    /// The whole chain: "client error (Connect)" alone helps nobody.
    fn unreachable(error: &(dyn std::error::Error + 'static)) -> Self {
        let chain = std::iter::successors(Some(error), |error| error.source());
        let what = chain.map(ToString::to_string).collect::<Vec<_>>().join(": ");
        Self::Unreachable { what: what.chars().take(MAX_REASON_CHARS).collect() }
    }
}

/// How much of a foreign text is kept in an error.
const MAX_REASON_CHARS: usize = 300;
