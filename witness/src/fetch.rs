//! HTTP and HTTPS calls, bounded in time and bytes.
//!
//! In scope: one call at a time to one base address. Out of scope: what answers mean, retrying, redirects (none is
//! followed).

use std::path::{Path, PathBuf};
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
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use thiserror::Error;

/// Calls below one address. Cheap to clone; connections are kept and shared.
#[derive(Clone, Debug)]
pub struct Fetcher {
    base: String,
    timeout: Duration,
    http: Http,
}

#[derive(Clone, Debug)]
enum Http {
    Plain(Client<HttpConnector, Full<Bytes>>),
    Tls(Client<HttpsConnector<HttpConnector>, Full<Bytes>>),
}

impl Fetcher {
    /// Calls below `http://` or `https://` and what follows.
    ///
    /// For `https` the caller brings the TLS configuration, without ALPN; `timeout` bounds each call as a whole.
    pub fn new(url: &str, tls: Option<Arc<ClientConfig>>, timeout: Duration) -> Result<Self, FetchError> {
        let bad_url = || FetchError::Url { url: url.to_owned() };
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
            (Some("https"), None) => return Err(FetchError::NoTls { url: url.to_owned() }),
            _ => return Err(bad_url()),
        };
        Ok(Self { base, timeout, http })
    }

    /// The address, without a slash at its end.
    pub fn url(&self) -> &str {
        &self.base
    }

    /// Calls a path below the address; an answer longer than `limit` is an error.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
        limit: usize,
    ) -> Result<Fetched, FetchError> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header(header::CONTENT_TYPE, "text/plain; charset=utf-8")
            .body(Full::from(body))
            .map_err(|_| FetchError::Url { url: self.base.clone() })?;
        let exchange = async {
            let response = match &self.http {
                Http::Plain(client) => client.request(request).await,
                Http::Tls(client) => client.request(request).await,
            };
            read(response.map_err(|error| FetchError::unreachable(&error))?, limit).await
        };
        let too_slow = FetchError::Unreachable { what: format!("no answer within {:?}", self.timeout) };
        tokio::time::timeout(self.timeout, exchange).await.unwrap_or(Err(too_slow))
    }
}

/// An answer, read whole and bounded.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The status code.
    pub status: StatusCode,
    /// The media type, with its parameters.
    pub content_type: Option<String>,
    /// How the body is encoded, if it says so.
    pub content_encoding: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

impl Fetched {
    /// The start of the body, for an operator.
    pub fn excerpt(&self) -> String {
        String::from_utf8_lossy(&self.body).chars().take(MAX_REASON_CHARS).collect()
    }
}

async fn read(response: Response<Incoming>, limit: usize) -> Result<Fetched, FetchError> {
    let status = response.status();
    let text =
        |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(ToOwned::to_owned);
    let (content_type, content_encoding) = (text(header::CONTENT_TYPE), text(header::CONTENT_ENCODING));
    let body = Limited::new(response.into_body(), limit).collect().await;
    let body = body.map_err(|error| FetchError::unreachable(error.as_ref()))?.to_bytes().to_vec();
    Ok(Fetched { status, content_type, content_encoding, body })
}

/// The TLS of a client that believes the certificate authorities in a PEM file.
pub fn tls(ca_file: &Path) -> Result<Arc<ClientConfig>, TlsError> {
    let bad = || TlsError { path: ca_file.to_owned() };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca_file).map_err(|_| bad())? {
        roots.add(certificate.map_err(|_| bad())?).map_err(|_| bad())?;
    }
    if roots.is_empty() {
        return Err(bad());
    }
    let builder =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|_| bad())?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

/// The file cannot be read, or holds no certificate authorities.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("ca_file {} cannot be read, or holds no certificate authorities in PEM", path.display())]
pub struct TlsError {
    /// The file.
    pub path: PathBuf,
}

/// Why there is no answer.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum FetchError {
    /// `https` without a TLS configuration.
    #[error("{url} needs a tls configuration")]
    NoTls {
        /// The address.
        url: String,
    },
    /// No answer, or not a whole one, or one that is too long.
    #[error("unreachable: {what}")]
    Unreachable {
        /// What happened.
        what: String,
    },
    /// Not an address.
    #[error("{url:?} is not an http or https address")]
    Url {
        /// The text found.
        url: String,
    },
}

impl FetchError {
    /// The whole chain: "client error (Connect)" alone helps nobody.
    fn unreachable(error: &(dyn std::error::Error + 'static)) -> Self {
        let chain = std::iter::successors(Some(error), |error| error.source());
        let what = chain.map(ToString::to_string).collect::<Vec<_>>().join(": ");
        Self::Unreachable { what: what.chars().take(MAX_REASON_CHARS).collect() }
    }
}

/// How much of a foreign text is kept in an error.
const MAX_REASON_CHARS: usize = 300;
