//! The HTTP API: SCRAPI (draft-ietf-scitt-scrapi-11), C2SP tlog-tiles, and our own resources under `/v1`.
//!
//! In scope: limits, media types, who may call, the messages of docs/protocol.md, errors on the wire.
//! Out of scope: every decision (the floors below).

mod access;
mod audit;
mod credentials;
mod governance;
mod health;
mod peers;
mod problem;
mod progress;
mod scrapi;
mod server;
mod tiles;

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{Method, Request, StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::watch;
use treering_log::publisher::State;
use treering_provenance::cose::KeySet;

use crate::clock::{Clock, Stopwatch};
use crate::governance::Registrar;
use crate::issuance::Issuer;
use crate::ledger::{Ledger, LedgerError};

pub use access::{ClientRole, KnownClient, Peer};
pub use peers::{Network, Refusals};
pub use problem::{ConciseProblem, Problem};
pub use server::{Limits, ServeError, Server, TlsFiles, tls_config};

/// The largest request body but for content: a credential request with evidence and certificates has some 20 KB.
const MAX_BODY_BYTES: usize = 2 * 1024 * 1024;
/// The largest content upload, with room for its envelope.
const MAX_UPLOAD_BYTES: usize = 16 * 1024 * 1024 + 64 * 1024;

/// Everything that the routes use.
pub struct Inner {
    /// The ledger.
    pub ledger: Arc<Ledger>,
    /// Issues credentials.
    pub issuer: Issuer,
    /// Registers statements.
    pub registrar: Registrar,
    /// Who may do what.
    pub clients: Vec<KnownClient>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The keys of receipts, for `/.well-known/scitt-keys`.
    pub receipt_keys: KeySet,
    /// The trust file of a relying party, JSON.
    pub trust: Vec<u8>,
    /// The metrics.
    pub metrics: PrometheusHandle,
    /// How publishing to the witnesses goes, where there are any.
    pub publishing: Option<watch::Receiver<State>>,
    /// How many registrations of each network may come to nothing.
    pub refusals: Refusals,
    /// How long one request may take.
    pub request_timeout: Duration,
}

/// The state of the routes.
#[derive(Clone)]
pub struct Service(Arc<Inner>);

impl Service {
    /// The state of the routes.
    pub fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }
}

impl Deref for Service {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

/// All routes.
pub fn router(service: Service) -> Router {
    let timeout = service.request_timeout;
    Router::new()
        .merge(scrapi::routes(&service))
        .route("/checkpoint", get(tiles::checkpoint))
        .route("/tile/{*path}", get(tiles::tile))
        .route("/v1/challenges", post(credentials::challenge))
        .route("/v1/credentials", post(credentials::credential))
        .route("/v1/trust", get(health::trust))
        .route("/v1/content-keys", post(governance::content_key))
        .route(
            "/v1/content/{name}",
            put(governance::put_content).layer(DefaultBodyLimit::max(MAX_UPLOAD_BYTES)),
        )
        .route("/v1/activations", post(governance::activate))
        .route("/v1/grants", post(governance::grant))
        .route("/v1/grants/by-key/{thumbprint}", get(audit::grants))
        .route("/v1/grants/{grant}/keys", get(audit::granted))
        .route("/v1/leaves/{leaf}", get(audit::leaf))
        .route("/v1/leaves/{leaf}/content", get(audit::content))
        .route("/v1/statements/{index}", get(audit::statement))
        .route("/v1/inclusion", get(audit::inclusion))
        .route("/v1/consistency", get(audit::consistency))
        .route("/v1/consistency-receipt", get(audit::consistency_receipt))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(middleware::from_fn(move |request, next| bounded(timeout, request, next)))
        .with_state(service)
}

/// Limits how long a request may take, and measures it.
async fn bounded(timeout: Duration, request: Request<axum::body::Body>, next: Next) -> Response {
    let watch = Stopwatch::start();
    // Any token is a method: only those that routes have become labels.
    let known = [Method::GET, Method::HEAD, Method::POST, Method::PUT];
    let method = known.into_iter().find(|method| method == request.method());
    let method = method.map_or_else(|| "other".to_owned(), |method| method.to_string());
    let scrapi = scrapi::is_own(request.uri().path());
    // The route's pattern and not its path: paths hold hashes, and would make a series each.
    let route = request
        .extensions()
        .get::<axum::extract::MatchedPath>()
        .map_or("none", |path| path.as_str())
        .to_owned();
    let response = tokio::time::timeout(timeout, next.run(request)).await.unwrap_or_else(|_| {
        let detail = format!("the request took more than {} s", timeout.as_secs());
        if scrapi {
            return ConciseProblem::new(StatusCode::SERVICE_UNAVAILABLE, "Timeout", detail).into_response();
        }
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "timeout", "Timeout", detail).into_response()
    });
    let status = response.status().as_u16();
    tracing::debug!(%method, route, status, ms = watch.ms(), "request");
    let labels = [("method", method), ("route", route), ("status", status.to_string())];
    metrics::histogram!("treering_http_request_seconds", &labels).record(watch.seconds());
    response
}

/// Reads what may be on the disk and not in memory, apart from the workers: one for each core, they also register, and
/// some reads of old entries that each wait for a disk would hold up everybody. So are tiles, bundles, entries, contents
/// and the keys of a grant read: whole blocks, or as many rows as there are.
///
/// What takes some small reads and no more is read where it is asked for, since another thread costs more than they do
/// from the page cache (docs/performance.md has the figures): the place of a leaf hash, a page of the index; a receipt, a
/// tile beside that; a path of inclusion or of consistency, two tiles, one where it begins and one at the edge of the tree
/// that it leads to. The tiles above those are few and kept in memory.
async fn apart<T, E>(
    service: &Service,
    read: impl FnOnce(&Service) -> Result<T, E> + Send + 'static,
) -> Result<T, E>
where
    T: Send + 'static,
    E: From<LedgerError> + Send + 'static,
{
    let service = service.clone();
    let read = tokio::task::spawn_blocking(move || read(&service)).await;
    read.unwrap_or_else(|error| Err(LedgerError::log(error).into()))
}

async fn no_route(uri: Uri) -> Response {
    let detail = "no such resource; docs/protocol.md lists them";
    if scrapi::is_own(uri.path()) {
        return ConciseProblem::new(StatusCode::NOT_FOUND, "Not Found", detail).into_response();
    }
    Problem::not_found(detail).into_response()
}

async fn no_method() -> Problem {
    let detail = "the resource has no such method; docs/protocol.md lists them";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", "Method not allowed", detail)
}
