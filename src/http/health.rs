//! Health, readiness, metrics, and the trust file.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use treering_log::publisher::State as PublishState;

use super::Service;
use super::problem::Problem;

/// `GET /healthz`: the process answers.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: the log takes appends, and no witness has seen more of it than it has.
pub(super) async fn readyz(State(service): State<Service>) -> Result<&'static str, Problem> {
    let unavailable = |detail: String| {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "stopped", "The log takes no appends", detail)
    };
    if let Some(publishing) = &service.publishing
        && let PublishState::Halted(why) = &*publishing.borrow()
    {
        return Err(unavailable(why.clone()));
    }
    if !service.ledger.log().is_running() {
        let detail = "the log has stopped: restart the service, and read its log for the cause";
        return Err(unavailable(detail.to_owned()));
    }
    Ok("ready\n")
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
