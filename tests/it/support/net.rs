//! HTTP as it is: statuses, headers and bodies.

use axum::http::{HeaderMap, Method, header};
use ciborium::Value as Cbor;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use treering::client::{Identity, tls_config};
use treering_provenance::strict;

/// A caller of one service.
pub(crate) struct Net {
    base: String,
    http: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Net {
    pub(crate) fn new(base: &str, roots: &[u8], identity: Option<&Identity>) -> Self {
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls_config(roots, identity).unwrap())
            .https_only()
            .enable_http1()
            .build();
        Self { base: base.to_owned(), http: Client::builder(TokioExecutor::new()).build(connector) }
    }

    pub(crate) async fn try_send(
        &self,
        method: Method,
        path: &str,
        media_type: Option<&str>,
        body: impl Into<Bytes>,
    ) -> Result<Reply, hyper_util::client::legacy::Error> {
        let mut request = hyper::Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(media_type) = media_type {
            request = request.header(header::CONTENT_TYPE, media_type);
        }
        let response = self.http.request(request.body(Full::new(body.into())).unwrap()).await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.into_body().collect().await.unwrap().to_bytes().to_vec();
        Ok(Reply { status, headers, body })
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        media_type: Option<&str>,
        body: impl Into<Bytes>,
    ) -> Reply {
        self.try_send(method, path, media_type, body).await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, None, Bytes::new()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send(Method::POST, path, Some("application/json"), body.to_string()).await
    }

    /// Sends a Signed Statement (SCRAPI).
    pub(crate) async fn entries(&self, statement: &[u8]) -> Reply {
        self.try_entries(statement).await.unwrap()
    }

    /// The same, to a service that may be gone.
    pub(crate) async fn try_entries(
        &self,
        statement: &[u8],
    ) -> Result<Reply, hyper_util::client::legacy::Error> {
        self.try_send(Method::POST, "/entries", Some("application/cose"), statement.to_vec()).await
    }
}

impl Reply {
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).unwrap_or_else(|| panic!("no {name}: {self:?}"));
        value.to_str().unwrap()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        self
    }

    /// A problem document (RFC 9457) with this status and code; its detail.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, code: &str) -> String {
        let shown = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status, status, "{shown}");
        assert_eq!(self.header("content-type"), "application/problem+json", "{shown}");
        let body = self.json();
        assert_eq!(body["type"], format!("urn:treering:problem:{code}"), "{shown}");
        assert_eq!(body["status"], status, "{shown}");
        assert!(!body["title"].as_str().unwrap().is_empty(), "{shown}");
        if [429, 503].contains(&status) {
            assert!(self.header("retry-after").parse::<u64>().is_ok());
        }
        body["detail"].as_str().unwrap().to_owned()
    }

    /// A concise problem (RFC 9290) with this status and title; its detail.
    #[track_caller]
    pub(crate) fn concise(&self, status: u16, title: &str) -> String {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        assert_eq!(self.header("content-type"), "application/concise-problem-details+cbor");
        let map = strict::decode(&self.body, 1 << 16).unwrap().into_map().unwrap();
        let text = |label: i64| {
            let found = map.iter().find(|(key, _)| *key == Cbor::from(label)).unwrap();
            found.1.as_text().unwrap().to_owned()
        };
        let detail = text(-2);
        assert_eq!(text(-1), title, "{detail}");
        detail
    }
}
