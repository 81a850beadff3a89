//! Errors on the wire: RFC 9457 problem documents for our own resources, RFC 9290 concise problem details (CBOR) for
//! those of SCRAPI. Each room's errors are translated here, in exhaustive matches.
//!
//! What a caller reads never has attestation detail: a prober must not learn which check failed. The log has it.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ciborium::Value;
use serde_json::json;
use treering_provenance::strict;

use crate::governance::RegistrationError;
use crate::issuance::IssuanceError;
use crate::ledger::LedgerError;
use crate::vault::VaultError;

use super::access::ClientRole;

/// How long a client should wait before it tries again when we are overloaded.
const RETRY_AFTER_S: u64 = 1;

/// A problem document of RFC 9457.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    detail: String,
    /// The entry that records a refusal.
    entry: Option<String>,
}

impl Problem {
    /// A problem; `code` becomes the last part of its type URI.
    pub fn new(
        status: StatusCode,
        code: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self { status, code, title, detail: detail.into(), entry: None }
    }

    /// 400: the request is not what the route takes.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", "Malformed request", detail)
    }

    /// 401: the route needs a client certificate.
    pub fn unauthenticated() -> Self {
        let detail = "this resource needs a client certificate that the configuration names";
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", "No client certificate", detail)
    }

    /// 403: the caller lacks the role.
    pub fn forbidden(role: ClientRole) -> Self {
        let detail = format!("this resource needs the role {role:?}");
        Self::new(StatusCode::FORBIDDEN, "forbidden", "Role missing", detail)
    }

    /// 404.
    pub fn not_found(what: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "Not found", what)
    }

    /// 500: our fault; the detail goes to our log, not to the caller.
    pub fn internal(error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "internal error");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "Internal error",
            "the service's log has the cause",
        )
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = json!({
            "type": format!("urn:treering:problem:{}", self.code),
            "title": self.title,
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        if let (Some(entry), Some(map)) = (self.entry, body.as_object_mut()) {
            map.insert("entry".to_owned(), json!(entry));
        }
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if matches!(self.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S));
        }
        response
    }
}

impl From<LedgerError> for Problem {
    fn from(error: LedgerError) -> Self {
        let unavailable = |code, title| {
            Self::new(StatusCode::SERVICE_UNAVAILABLE, code, title, "try again after the given time")
        };
        match error {
            LedgerError::Full => unavailable("busy", "Too many entries wait"),
            LedgerError::NoQuorum { .. } => unavailable("no-quorum", "The witnesses gave no quorum in time"),
            LedgerError::Stopped => unavailable("stopped", "The log has stopped"),
            LedgerError::Stale => {
                let detail = "policies changed while this was decided; try again";
                Self::new(StatusCode::CONFLICT, "stale", "Policies changed", detail)
            }
            LedgerError::AlreadyUsed => {
                let detail = "this challenge was used before; ask for another";
                Self::new(StatusCode::CONFLICT, "challenge-used", "Challenge used", detail)
            }
            LedgerError::TooLarge(detail) => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Statement too large", detail)
            }
            LedgerError::Vault(error @ VaultError::Grantee) => Self::malformed(error.to_string()),
            LedgerError::Log(_)
            | LedgerError::Vault(_)
            | LedgerError::Key(_)
            | LedgerError::Content { .. } => Self::internal(&error),
        }
    }
}

impl From<IssuanceError> for Problem {
    fn from(error: IssuanceError) -> Self {
        match error {
            IssuanceError::Malformed(detail) => Self::malformed(detail),
            IssuanceError::Challenge(error) => {
                Self::new(StatusCode::CONFLICT, "challenge", "Challenge not accepted", error.to_string())
            }
            IssuanceError::NoPolicy { wanted } => {
                tracing::info!(wanted, "no policy in force");
                let detail = "no policy that lets this target have a credential is in force";
                Self::new(StatusCode::FORBIDDEN, "no-policy", "No policy in force", detail)
            }
            IssuanceError::TooManyRefusals => {
                let detail = "too much evidence was refused in this minute; try again later";
                Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-refusals", "Too many refusals", detail)
            }
            IssuanceError::Refused { entry } => {
                let detail = "the evidence was not accepted; the entry has the reasons, for who may read it";
                let mut problem = Self::new(StatusCode::FORBIDDEN, "refused", "Refused", detail);
                problem.entry = Some(entry);
                problem
            }
            IssuanceError::Ledger(error) => error.into(),
            IssuanceError::Internal(error) => Self::internal(&error),
        }
    }
}

/// A concise problem of RFC 9290, as SCRAPI (draft -11) wants on all its errors: `{-1: title, -2: detail}`.
#[derive(Debug)]
pub struct ConciseProblem {
    status: StatusCode,
    title: &'static str,
    detail: String,
    /// Seconds after which to try again, where that makes sense.
    retry_after: u64,
}

impl ConciseProblem {
    /// A concise problem.
    pub fn new(status: StatusCode, title: &'static str, detail: impl Into<String>) -> Self {
        Self { status, title, detail: detail.into(), retry_after: RETRY_AFTER_S }
    }

    /// 429 of `POST /entries` (SCRAPI section 2.3).
    pub fn too_many_requests(wait: Duration) -> Self {
        let detail = "too many statements from your network were refused; try again after the given time";
        let mut problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests", detail);
        problem.retry_after = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        problem
    }

    /// 404 of `/entries/{id}` (SCRAPI section 2.4).
    pub fn no_entry() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Not Found", "no such entry")
    }

    /// 404 of `/.well-known/scitt-keys/{kid}` (SCRAPI section 2.2).
    pub fn no_key() -> Self {
        Self::new(StatusCode::NOT_FOUND, "No such key", "no key of this log has that kid")
    }
}

impl IntoResponse for ConciseProblem {
    fn into_response(self) -> Response {
        // Two labels and two texts always encode.
        let body = strict::encode(&Value::Map(vec![
            (Value::from(-1), Value::from(self.title)),
            (Value::from(-2), Value::from(self.detail)),
        ]))
        .unwrap_or_default();
        let mut response = (self.status, body).into_response();
        let media_type = HeaderValue::from_static("application/concise-problem-details+cbor");
        response.headers_mut().insert(header::CONTENT_TYPE, media_type);
        if matches!(self.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(self.retry_after));
        }
        response
    }
}

impl From<RegistrationError> for ConciseProblem {
    fn from(error: RegistrationError) -> Self {
        let detail = error.to_string();
        match error {
            RegistrationError::Malformed(_) => {
                Self::new(StatusCode::BAD_REQUEST, "Malformed request", detail)
            }
            RegistrationError::Algorithm(_) => {
                Self::new(StatusCode::BAD_REQUEST, "Bad Signature Algorithm", detail)
            }
            RegistrationError::PayloadMissing => {
                Self::new(StatusCode::BAD_REQUEST, "Payload Missing", detail)
            }
            RegistrationError::Rejected(_) => Self::new(StatusCode::BAD_REQUEST, "Rejected", detail),
            RegistrationError::Ledger(error) => {
                let problem = Problem::from(error);
                Self::new(problem.status, problem.title, problem.detail)
            }
        }
    }
}
