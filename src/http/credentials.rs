//! Credentials by mechanism C, W-CA-V: a challenge, then a request with evidence bound to it.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use treering_provenance::bytes::Bytes;

use crate::authority::MAX_CSR_BYTES;
use crate::binding::CHALLENGE_LIFETIME_S;
use crate::issuance::Request;
use crate::keys;
use crate::wire::{self, ChallengeRequest, ChallengeResponse, CredentialRequest, CredentialResponse};

use super::Service;
use super::problem::Problem;

/// The body of a JSON request.
pub(super) fn body<T>(body: Result<Json<T>, JsonRejection>) -> Result<T, Problem> {
    body.map(|Json(value)| value)
        .map_err(|error| Problem::new(error.status(), "malformed", "Malformed request", error.body_text()))
}

/// `POST /v1/challenges`.
pub(super) async fn challenge(
    State(service): State<Service>,
    request: Result<Json<ChallengeRequest>, JsonRejection>,
) -> Result<(StatusCode, Json<ChallengeResponse>), Problem> {
    let request = body(request)?;
    let now = service.clock.now();
    let random = keys::random().map_err(|error| Problem::internal(&error))?;
    let challenge = service.issuer.challenge(&request.target, random, now)?;
    let response = ChallengeResponse {
        challenge: Bytes(challenge),
        rp_id: service.issuer.rp_id().to_owned(),
        expires_at: now.saturating_add(CHALLENGE_LIFETIME_S),
    };
    Ok((StatusCode::CREATED, Json(response)))
}

/// `POST /v1/credentials`.
///
/// 1. the body is the JSON of docs/protocol.md, its parts within their limits      else 400, 413, 415, 422
/// 2. the challenge is ours, for this target, not expired                          else 409
/// 3. a mapping manifest, an appraisal policy and reference values are in force    else 403 `no-policy`
/// 4. the decision is logged, and uses up the challenge                            else 409 `challenge-used`
/// 5. forged evidence has not come too often in this minute                        else 429 `too-many-refusals`
/// 6. it is a credential                                                           else 403 `refused`, with the entry
/// 7. a quorum of witnesses has seen it, where that is configured                  else 503 `no-quorum`
pub(super) async fn credential(
    State(service): State<Service>,
    request: Result<Json<CredentialRequest>, JsonRejection>,
) -> Result<(StatusCode, Json<CredentialResponse>), Problem> {
    let request = body(request)?;
    if request.csr.0.len() > MAX_CSR_BYTES {
        return Err(Problem::malformed(format!(
            "csr: {} octets, want at most {MAX_CSR_BYTES}",
            request.csr.0.len()
        )));
    }
    let (evidence, collateral) = wire::parse_collection(&request.evidence).map_err(Problem::malformed)?;
    let request = Request {
        challenge: request.challenge.0,
        target: request.target,
        csr: request.csr.0,
        evidence,
        collateral,
    };
    // On a task of its own: a client that hangs up must not leave a decision half done, logged and neither released
    // nor abandoned.
    let working = service.clone();
    let decision = tokio::spawn(async move { working.issuer.acquire(&request, &*working.clock).await });
    let released = decision.await.map_err(|error| Problem::internal(&error))??;
    let response = CredentialResponse {
        credential: released.pem().map_err(|error| Problem::internal(&error))?,
        not_after: released.not_after(),
        index: released.index(),
        tree_size: released.tree_size(),
    };
    Ok((StatusCode::CREATED, Json(response)))
}
