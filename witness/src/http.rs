//! The witness over HTTP: the only file that names axum.
//!
//! | call | answer |
//! |---|---|
//! | `POST /add-checkpoint` | 200 cosignature line; 400, 403, 404, 409 (`text/x.tlog.size`), 422 as the specification says |
//! | `GET /<hex SHA-256(origin)>/checkpoint` | 200 the last cosigned checkpoint; 404 |
//! | `GET /healthz` | 200 `ok`; 500 if a write failed |
//! | `GET /metrics` | 200 counters for Prometheus |
//!
//! Beyond the specification: 408 for a body that comes too slowly, 413 for one that is too long, 429 with `Retry-After` for
//! a log that asks too often, 503 with `Retry-After` when too many requests are open, 500 when the state cannot be
//! written.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
    serve::ListenerExt as _,
};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, SemaphorePermit, oneshot, watch},
};
use treering_tlog::add_checkpoint::{MAX_REQUEST_LEN, SIZE_CONTENT_TYPE, serialize_size};

use crate::{
    clock,
    config::Limits,
    rules::Refusal,
    service::{AddError, Witness},
};

/// Serves until `stop` is done and open requests have finished, or their time is over.
pub async fn serve(
    listener: TcpListener,
    witness: Arc<Witness>,
    limits: Limits,
    metrics: PrometheusHandle,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let (stopping, mut stopped) = watch::channel(false);
    let graceful = axum::serve(listener.tap_io(without_delay), router(witness, limits, metrics))
        .with_graceful_shutdown(async move {
            stop.await;
            stopping.send_replace(true);
        });
    let give_up = async move {
        // An error means that the sender is gone, which it is only after the server.
        if stopped.wait_for(|stopping| *stopping).await.is_ok() {
            tokio::time::sleep(Duration::from_secs(limits.shutdown_timeout_s)).await;
        } else {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        served = graceful => served,
        () = give_up => Ok(()),
    }
}

/// All routes, also for tests that need no socket.
pub fn router(witness: Arc<Witness>, limits: Limits, metrics: PrometheusHandle) -> Router {
    let room = Arc::new(Semaphore::new(limits.concurrent_requests_max));
    Router::new()
        .route("/add-checkpoint", post(add_checkpoint))
        .route("/{origin_hash}/checkpoint", get(latest))
        .route("/healthz", get(healthz))
        .route("/metrics", get(render_metrics))
        .with_state(App { witness, limits, metrics, room })
}

/// Serves the metrics of a process that answers nothing else, until `stop` is done.
pub async fn serve_metrics(
    listener: TcpListener,
    metrics: PrometheusHandle,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let render = get(|State(metrics): State<PrometheusHandle>| async move {
        text(StatusCode::OK, METRICS_TEXT, metrics.render())
    });
    let router = Router::new().route("/metrics", render).with_state(metrics);
    axum::serve(listener, router).with_graceful_shutdown(stop).await
}

#[derive(Clone)]
struct App {
    witness: Arc<Witness>,
    limits: Limits,
    metrics: PrometheusHandle,
    room: Arc<Semaphore>,
}

async fn add_checkpoint(State(app): State<App>, body: Body) -> Response {
    let begun = clock::monotonic();
    let response = match answer(&app, body).await {
        Ok(lines) => text(StatusCode::OK, TEXT, lines),
        Err(failure) => failure.into_response(),
    };
    metrics::counter!(REQUESTS, "status" => response.status().as_str().to_owned()).increment(1);
    metrics::histogram!(SECONDS).record(begun.elapsed().as_secs_f64());
    response
}

async fn answer(app: &App, body: Body) -> Result<Vec<u8>, Failure> {
    let _room: SemaphorePermit<'_> = app.room.try_acquire().map_err(|_| Failure::Busy)?;
    let read = Limited::new(body, MAX_REQUEST_LEN).collect();
    let limit = Duration::from_secs(app.limits.body_timeout_s);
    let body = tokio::time::timeout(limit, read).await.map_err(|_| Failure::TooSlow)?;
    let body = body
        .map_err(|error| if error.is::<LengthLimitError>() { Failure::TooLong } else { Failure::Unread })?;
    let (reply, answer) = oneshot::channel();
    // Nobody waits any more if the client hung up; what was begun is finished all the same.
    app.witness.submit(body.to_bytes().to_vec(), Box::new(move |result| drop(reply.send(result))));
    Ok(answer.await.map_err(|_| Failure::Panicked)??)
}

async fn latest(State(app): State<App>, Path(origin_hash): Path<String>) -> Response {
    match app.witness.latest(&origin_hash) {
        Some(note) => text(StatusCode::OK, TEXT, note),
        None => text(StatusCode::NOT_FOUND, TEXT, "no checkpoint cosigned for this origin\n"),
    }
}

async fn healthz(State(app): State<App>) -> Response {
    if app.witness.is_well() {
        text(StatusCode::OK, TEXT, "ok\n")
    } else {
        text(StatusCode::INTERNAL_SERVER_ERROR, TEXT, "a write failed; restart the witness\n")
    }
}

async fn render_metrics(State(app): State<App>) -> Response {
    for (origin, state) in app.witness.states() {
        record_size(origin, state.map_or(0, |state| state.checkpoint().size()));
    }
    text(StatusCode::OK, METRICS_TEXT, app.metrics.render())
}

/// Everything that is not a cosignature.
enum Failure {
    Add(AddError),
    Busy,
    Panicked,
    TooLong,
    TooSlow,
    Unread,
}

impl From<AddError> for Failure {
    fn from(error: AddError) -> Self {
        Self::Add(error)
    }
}

/// The only translation to the wire.
impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let plain = |status, message: &str| text(status, TEXT, format!("{message}\n"));
        match self {
            Self::Add(AddError::Refused(Refusal::Conflict { size })) => {
                text(StatusCode::CONFLICT, HeaderValue::from_static(SIZE_CONTENT_TYPE), serialize_size(size))
            }
            Self::Add(AddError::Refused(refusal)) => {
                let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST);
                plain(status, &refusal.to_string())
            }
            Self::Add(AddError::TooMany { retry_after_s }) => {
                let mut response = plain(StatusCode::TOO_MANY_REQUESTS, "the log asks too often");
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry_after_s));
                response
            }
            Self::Add(error) => {
                // The operator learns what happened; a client has no use for paths on this machine.
                tracing::error!(%error, "no cosignature given");
                plain(StatusCode::INTERNAL_SERVER_ERROR, "the witness cannot cosign now")
            }
            Self::Busy => {
                let mut response = plain(StatusCode::SERVICE_UNAVAILABLE, "too many requests are open");
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
                response
            }
            Self::Panicked => plain(StatusCode::INTERNAL_SERVER_ERROR, "the witness cannot cosign now"),
            Self::TooLong => plain(
                StatusCode::PAYLOAD_TOO_LARGE,
                &format!("body is too long, want at most {MAX_REQUEST_LEN} bytes"),
            ),
            Self::TooSlow => plain(StatusCode::REQUEST_TIMEOUT, "body came too slowly"),
            Self::Unread => plain(StatusCode::BAD_REQUEST, "body cannot be read"),
        }
    }
}

fn text(status: StatusCode, content_type: HeaderValue, body: impl Into<Body>) -> Response {
    (status, [(header::CONTENT_TYPE, content_type)], body.into()).into_response()
}

/// An answer is one small packet: it must not wait for another.
fn without_delay(stream: &mut TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
}

/// Origins are configured, so the number of label values is bounded.
fn record_size(origin: &str, size: u64) {
    #[expect(clippy::cast_precision_loss, reason = "gauges are floats; sizes are exact to 2^53")]
    metrics::gauge!(TREE_SIZE, "origin" => origin.to_owned()).set(size as f64);
}

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const METRICS_TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
const REQUESTS: &str = "treering_witness_add_checkpoint_requests_total";
const SECONDS: &str = "treering_witness_add_checkpoint_seconds";
const TREE_SIZE: &str = "treering_witness_cosigned_tree_size";
