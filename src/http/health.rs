//! Health, readiness, metrics, and the trust file.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;

use super::Service;
use super::problem::Problem;

/// `GET /healthz`: the process answers.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: the log takes appends.
pub(super) async fn readyz(State(service): State<Service>) -> Result<&'static str, Problem> {
    if service.ledger.log().is_running() {
        Ok("ready\n")
    } else {
        let detail = "the log has stopped: restart the service, and read its log for the cause";
        Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "stopped", "The log has stopped", detail))
    }
}

/// `GET /metrics`: Prometheus text.
pub(super) async fn metrics(State(service): State<Service>) -> String {
    service.metrics.render()
}

/// `GET /v1/trust`: the trust file of a relying party. For convenience: who relies on it must get it, or compare it,
/// on another way than from the service that it is to judge.
pub(super) async fn trust(State(service): State<Service>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], service.trust.clone())
}
