//! SCRAPI (draft-ietf-scitt-scrapi-11): its four resources, and nothing else. The draft moves: this file, with
//! `ConciseProblem`, is the only one that knows it.
//!
//! All errors of these resources are CBOR (RFC 9290), those of the router too.

use axum::body::Bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use data_encoding::BASE64URL_NOPAD;
use treering_provenance::statement::leaf_of_entry_id;

use crate::clock::monotonic;
use crate::governance::RegistrationError;
use crate::ledger::Place;

use super::Service;
use super::access::Peer;
use super::peers::Network;
use super::problem::ConciseProblem;

const COSE: &str = "application/cose";
const CBOR: &str = "application/cbor";
/// Keys change when they are rotated: rarely.
const KEYS_CACHE: &str = "public, max-age=3600";

/// The routes, with an error of their own kind for what they do not have.
pub(super) fn routes(service: &Service) -> Router<Service> {
    let limit = service.registrar.max_statement_bytes();
    Router::new()
        .route("/entries", post(register))
        .route("/entries/{id}", get(resolve))
        .route("/.well-known/scitt-keys", get(keys))
        .route("/.well-known/scitt-keys/{kid}", get(key))
        .method_not_allowed_fallback(no_method)
        // Large enough to say that a statement is too large in SCRAPI's own way.
        .layer(DefaultBodyLimit::max(limit.saturating_mul(2)))
}

/// Whether a path is one of SCRAPI's, whose errors are CBOR.
pub(super) fn is_own(path: &str) -> bool {
    ["/entries", "/.well-known/scitt-keys"]
        .iter()
        .any(|own| path.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

async fn no_method() -> ConciseProblem {
    ConciseProblem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "Method Not Allowed",
        "SCRAPI has no such method here",
    )
}

/// `POST /entries` (section 2.3): registers a Signed Statement. The answer comes when the statement is durable and
/// integrated, so it is always 201 with the receipt, and its Location is that of `GET /entries/{id}` for ever.
async fn register(
    State(service): State<Service>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Result<Response, ConciseProblem> {
    let malformed =
        |detail: String| ConciseProblem::new(StatusCode::BAD_REQUEST, "Malformed request", detail);
    let media_type =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("none");
    if !matches!(media_type.split(';').next().map(str::trim), Some(COSE | "application/scitt-statement+cose"))
    {
        return Err(malformed(format!("Content-Type is `{media_type}`, want `{COSE}`")));
    }
    let body = body.map_err(|error| malformed(error.body_text()))?;
    let place = register_within_limits(&service, peer.network(), &body).await?;
    let registration = |error| ConciseProblem::from(RegistrationError::Ledger(error));
    let receipt = service.ledger.committed_receipt(place.index).map_err(registration)?;
    Ok(receipt_answer(StatusCode::CREATED, &place.entry_id(), receipt))
}

/// Section 2: without authentication there is a protection against too many requests. Who registers is authenticated by
/// the statement's signature; what is limited is finding out that it is nobody.
async fn register_within_limits(
    service: &Service,
    network: Network,
    body: &[u8],
) -> Result<Place, ConciseProblem> {
    if let Err(wait) = service.refusals.begin(network, monotonic()) {
        metrics::counter!("treering_registrations_limited_total").increment(1);
        return Err(ConciseProblem::too_many_requests(wait));
    }
    let registered = service.registrar.register(body, service.clock.now()).await;
    // What the ledger could not do is not the caller's fault.
    if matches!(registered, Ok(_) | Err(RegistrationError::Ledger(_))) {
        service.refusals.forgive(network);
    }
    Ok(registered?)
}

/// `GET /entries/{id}` (section 2.4): a fresh receipt for the same place.
async fn resolve(
    State(service): State<Service>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, ConciseProblem> {
    let Path(id) = path.map_err(|_| ConciseProblem::no_entry())?;
    let registration = |error| ConciseProblem::from(RegistrationError::Ledger(error));
    let leaf = leaf_of_entry_id(&id).ok_or_else(ConciseProblem::no_entry)?;
    // Not `apart` from the workers, which says why.
    let index = service.ledger.find(&leaf).map_err(registration)?.ok_or_else(ConciseProblem::no_entry)?;
    let receipt = service.ledger.committed_receipt(index).map_err(registration)?;
    Ok(receipt_answer(StatusCode::OK, &id, receipt))
}

fn receipt_answer(status: StatusCode, id: &str, receipt: Vec<u8>) -> Response {
    let mut response = (status, receipt).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(COSE));
    // The id is base64url: always a header value.
    if let Ok(location) = HeaderValue::from_str(&format!("/entries/{id}")) {
        headers.insert(header::LOCATION, location);
    }
    response
}

/// `GET /.well-known/scitt-keys` (section 2.1): the COSE Key Set of receipts.
async fn keys(State(service): State<Service>) -> Result<Response, ConciseProblem> {
    let set = service.receipt_keys.to_bytes().map_err(|_| ConciseProblem::no_key())?;
    Ok(cbor_answer(set))
}

/// `GET /.well-known/scitt-keys/{kid}` (section 2.2). Our kids are thumbprints of 32 octets, which are not URL-safe as
/// they are, so only their base64url form can come.
async fn key(
    State(service): State<Service>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, ConciseProblem> {
    let Path(kid) = path.map_err(|_| ConciseProblem::no_key())?;
    let kid = BASE64URL_NOPAD.decode(kid.as_bytes()).map_err(|_| ConciseProblem::no_key())?;
    let key = service.receipt_keys.find(&kid).ok_or_else(ConciseProblem::no_key)?;
    let bytes =
        treering_provenance::strict::encode(&key.to_published_key()).map_err(|_| ConciseProblem::no_key())?;
    Ok(cbor_answer(bytes))
}

fn cbor_answer(bytes: Vec<u8>) -> Response {
    let mut response = bytes.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(CBOR));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(KEYS_CACHE));
    response
}
