//! Getting what vendors publish: plain GET, or POST of an OCSP request, over TLS, with the roots of the web, small limits and a short time-out.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{self, HeaderMap, HeaderName};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::{ClientError, chain, tls_config};
use crate::collateral::{Get, GetError, Question, Response};

/// The largest answer: TCB information has some 20 KiB.
const MAX_BYTES: usize = 1024 * 1024;
/// How long an appraisal waits for a vendor at most.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The headers in which Intel serves the chain of the signer.
const ISSUER_CHAINS: [&str; 4] = [
    "tcb-info-issuer-chain",
    "sgx-tcb-info-issuer-chain",
    "sgx-enclave-identity-issuer-chain",
    "sgx-pck-crl-issuer-chain",
];

/// A client of vendors' services.
#[derive(Clone)]
pub struct VendorClient {
    http: HyperClient<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl VendorClient {
    /// Trusts these roots, PEM. `plain` also allows `http://`, for mirrors inside a machine room: what is fetched is
    /// signed by the vendor, so that the carriage need not be trusted.
    pub fn new(roots_pem: &[u8], plain: bool) -> Result<Self, ClientError> {
        let builder =
            hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(tls_config(roots_pem, None)?);
        let builder = if plain { builder.https_or_http() } else { builder.https_only() };
        let http = HyperClient::builder(TokioExecutor::new()).build(builder.enable_http1().build());
        Ok(Self { http })
    }

    async fn exchange(&self, question: &Question) -> Result<Response, GetError> {
        let failed = |reason: String| GetError(format!("{}: {reason}", question.url));
        let mut request = hyper::Request::builder().uri(&question.url);
        if let Some(etag) = &question.etag {
            request = request.header(header::IF_NONE_MATCH, etag);
        }
        let mut body = Bytes::new();
        if let Some((media_type, octets)) = &question.posted {
            request = request.method(hyper::Method::POST).header(header::CONTENT_TYPE, *media_type);
            body = octets.clone().into();
        }
        let request = request.body(Full::new(body)).map_err(|error| failed(error.to_string()))?;
        let response = self.http.request(request).await.map_err(|error| failed(chain(&error)))?;
        let (parts, body) = response.into_parts();
        let body =
            Limited::new(body, MAX_BYTES).collect().await.map_err(|error| failed(error.to_string()))?;
        Ok(Response {
            status: parts.status.as_u16(),
            body: body.to_bytes().to_vec(),
            etag: text(&parts.headers, &header::ETAG),
            // Seconds; a date is not kept to, and the pause is our own then.
            retry_after_s: text(&parts.headers, &header::RETRY_AFTER).and_then(|text| text.parse().ok()),
            issuer_chain: ISSUER_CHAINS
                .iter()
                .find_map(|name| text(&parts.headers, &HeaderName::from_static(name))),
        })
    }
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

impl Get for VendorClient {
    fn get<'a>(
        &'a self,
        question: &'a Question,
    ) -> Pin<Box<dyn Future<Output = Result<Response, GetError>> + Send + 'a>> {
        Box::pin(async move {
            let timed = tokio::time::timeout(TIMEOUT, self.exchange(question)).await;
            let late = || GetError(format!("{}: {} s passed", question.url, TIMEOUT.as_secs()));
            timed.unwrap_or_else(|_| Err(late()))
        })
    }
}
