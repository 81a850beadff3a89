//! What registrants and operators do beside SCRAPI: keys and uploads for confidential content, activations, grants.

use axum::Json;
use axum::body::Bytes as Body;
use axum::extract::rejection::{BytesRejection, JsonRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use treering_provenance::bytes::{Bytes, Fixed};
use treering_provenance::grant::AuditorPublicKey;
use treering_provenance::statement::Kind;
use treering_tlog::hash::Hash;

use crate::governance::{self, ActivationError, GrantError, GrantTerms, StagingError};
use crate::wire::{
    ActivationRequest, ContentKeyRequest, ContentKeyResponse, GrantRequest, GrantResponse, LoggedResponse,
};

use super::Service;
use super::access::{Operator, Registrant};
use super::audit::name;
use super::credentials::body;
use super::problem::Problem;

/// `POST /v1/content-keys` (registrants): a content key for one statement, and itself under the key-encryption key.
pub(super) async fn content_key(
    State(service): State<Service>,
    Registrant(client): Registrant,
    request: Result<Json<ContentKeyRequest>, JsonRejection>,
) -> Result<Json<ContentKeyResponse>, Problem> {
    let request = body(request)?;
    let kind: Kind = request.kind.parse().map_err(|_| Problem::malformed("no such kind of statement"))?;
    let working = service.clone();
    let key =
        finish(async move { governance::content_key(&working.ledger, kind, working.clock.now()).await })
            .await??;
    tracing::info!(client = client.name, %kind, "content key given out");
    Ok(Json(ContentKeyResponse {
        key: Fixed(*key.content_key.expose()),
        kek_id: key.kek_id,
        wrapped: Bytes(key.wrapped.to_vec()),
    }))
}

/// Finishes work that changes the vault, also when the client hangs up: it must not end between two of its steps.
async fn finish<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Result<T, Problem> {
    tokio::spawn(work).await.map_err(|error| Problem::internal(&error))
}

/// `PUT /v1/content/{sha256}` (registrants): content that waits for its statement.
pub(super) async fn put_content(
    State(service): State<Service>,
    Registrant(_): Registrant,
    path: Result<Path<String>, PathRejection>,
    content: Result<Body, BytesRejection>,
) -> Result<StatusCode, Problem> {
    let content = content
        .map_err(|error| Problem::new(error.status(), "too-large", "Content not taken", error.body_text()))?;
    let staged = service.registrar.staging().put(name::<32>(path)?, content.to_vec(), service.clock.now());
    match staged {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(error @ StagingError::TooLarge(_)) => Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            "Content too large",
            error.to_string(),
        )),
        Err(error @ StagingError::Name) => Err(Problem::malformed(error.to_string())),
        Err(error @ StagingError::Full) => Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "busy",
            "Too much content waits",
            error.to_string(),
        )),
    }
}

/// `POST /v1/activations` (operators).
pub(super) async fn activate(
    State(service): State<Service>,
    Operator(client): Operator,
    request: Result<Json<ActivationRequest>, JsonRejection>,
) -> Result<(StatusCode, Json<LoggedResponse>), Problem> {
    let leaf = Hash::from(body(request)?.policy);
    let rules = service.registrar.policy();
    let logged = governance::activate(&service.ledger, rules, leaf, service.clock.now()).await?;
    let place = logged.only()?;
    tracing::info!(client = client.name, index = place.index, "policy activated");
    Ok((StatusCode::CREATED, Json(LoggedResponse { leaf: place.leaf.into(), index: place.index })))
}

/// `POST /v1/grants` (operators).
pub(super) async fn grant(
    State(service): State<Service>,
    Operator(client): Operator,
    request: Result<Json<GrantRequest>, JsonRejection>,
) -> Result<(StatusCode, Json<GrantResponse>), Problem> {
    let request = body(request)?;
    let key = AuditorPublicKey::from_bytes(*request.public_key.as_bytes())
        .map_err(|error| Problem::malformed(error.to_string()))?;
    let terms =
        GrantTerms { scopes: request.scopes, classes: request.classes, from: request.from, to: request.to };
    let working = service.clone();
    let granted = finish(async move {
        governance::grant(&working.ledger, &request.grantee, &key, terms, working.clock.now()).await
    })
    .await??;
    tracing::info!(client = client.name, index = granted.place.index, "grant made");
    let response = GrantResponse {
        grant: Fixed(granted.id),
        leaf: granted.place.leaf.into(),
        index: granted.place.index,
        message: Bytes(granted.message),
    };
    Ok((StatusCode::CREATED, Json(response)))
}

impl From<GrantError> for Problem {
    fn from(error: GrantError) -> Self {
        match error {
            GrantError::Terms(detail) => Self::malformed(detail),
            GrantError::Ledger(error) => error.into(),
        }
    }
}

impl From<ActivationError> for Problem {
    fn from(error: ActivationError) -> Self {
        let detail = error.to_string();
        match error {
            ActivationError::Unknown => Self::not_found(detail),
            ActivationError::NotGoverned => Self::malformed(detail),
            ActivationError::InForce => {
                Self::new(StatusCode::CONFLICT, "in-force", "In force already", detail)
            }
            ActivationError::Approvals { .. } => {
                Self::new(StatusCode::FORBIDDEN, "approvals", "Approvals missing", detail)
            }
            ActivationError::Ledger(error) => error.into(),
        }
    }
}
