//! What auditors and monitors read. Entries, places and proofs are public; content is for auditors, sealed as it is:
//! who has no grant can do nothing with it. What is read [`apart`] from the workers, and what is not, is said there.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use data_encoding::BASE64URL_NOPAD;
use serde::Deserialize;
use treering_log::ReadError;
use treering_provenance::bytes::{Fixed, Leaf};
use treering_tlog::hash::Hash;

use crate::ledger::Newest;
use crate::vault;
use crate::wire::{GrantKeys, GrantMessage, Grants, LeafResponse, PathResponse};

use super::access::Auditor;
use super::problem::Problem;
use super::{Service, apart};

fn octets<const N: usize>(text: &str) -> Result<[u8; N], Problem> {
    let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok();
    let bytes = bytes.and_then(|bytes| <[u8; N]>::try_from(bytes).ok());
    bytes.ok_or_else(|| Problem::malformed(format!("`{text}` is not {N} octets in unpadded base64url")))
}

/// A name of `N` octets in the path.
pub(super) fn name<const N: usize>(path: Result<Path<String>, PathRejection>) -> Result<[u8; N], Problem> {
    let Path(text) = path.map_err(|error| Problem::malformed(error.body_text()))?;
    octets(&text)
}

fn cose(bytes: Vec<u8>) -> Response {
    let mut response = bytes.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/cose"));
    response
}

/// `GET /v1/leaves/{leaf}`.
pub(super) async fn leaf(
    State(service): State<Service>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<LeafResponse>, Problem> {
    let leaf = Hash::from_bytes(name::<32>(path)?);
    let index =
        service.ledger.find(&leaf)?.ok_or_else(|| Problem::not_found("no entry has this leaf hash"))?;
    Ok(Json(LeafResponse { index }))
}

/// `GET /v1/leaves/{leaf}/content`: the sealed content (auditors).
pub(super) async fn content(
    State(service): State<Service>,
    Auditor(client): Auditor,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let leaf = Hash::from_bytes(name::<32>(path)?);
    let found = apart(&service, move |service| {
        service.ledger.log().content(&leaf).map_err(|error| Problem::internal(&error))
    });
    let found = found.await?;
    tracing::info!(client = client.name, leaf = leaf.to_hex(), "sealed content read");
    found.map(cose).ok_or_else(|| Problem::not_found("no content is kept for this leaf hash"))
}

/// `GET /v1/statements/{index}`: the entry.
pub(super) async fn statement(
    State(service): State<Service>,
    path: Result<Path<u64>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(index) = path.map_err(|error| Problem::malformed(error.body_text()))?;
    let found = apart(&service, move |service| {
        service.ledger.log().entry(index).map_err(|error| Problem::internal(&error))
    });
    found.await?.map(cose).ok_or_else(|| Problem::not_found(format!("the log has no entry {index}")))
}

/// The query of [`inclusion`].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InclusionQuery {
    index: u64,
    size: u64,
}

/// `GET /v1/inclusion?index=&size=`: the path of an entry (RFC 9162, 2.1.3).
pub(super) async fn inclusion(
    State(service): State<Service>,
    query: Result<Query<InclusionQuery>, QueryRejection>,
) -> Result<Json<PathResponse>, Problem> {
    let Query(query) = query.map_err(|error| Problem::malformed(error.body_text()))?;
    response(service.ledger.log().inclusion(query.index, query.size))
}

/// The query of [`consistency`].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConsistencyQuery {
    from: u64,
    to: u64,
}

/// `GET /v1/consistency?from=&to=`: the proof that one tree is the beginning of another (RFC 9162, 2.1.4).
pub(super) async fn consistency(
    State(service): State<Service>,
    query: Result<Query<ConsistencyQuery>, QueryRejection>,
) -> Result<Json<PathResponse>, Problem> {
    let Query(query) = query.map_err(|error| Problem::malformed(error.body_text()))?;
    response(service.ledger.log().consistency(query.from, query.to))
}

/// Which head a receipt of consistency leads to.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum HeadName {
    #[default]
    Committed,
    Witnessed,
}

/// The query of [`consistency_receipt`].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReceiptQuery {
    from: u64,
    #[serde(default)]
    head: HeadName,
}

/// `GET /v1/consistency-receipt?from=[&head=]`: the COSE receipt (RFC 9942) that a tree is the beginning of the newest
/// one. The newer size cannot be chosen: receipts are made of the seals that are kept, and nothing is signed because
/// a stranger asks.
pub(super) async fn consistency_receipt(
    State(service): State<Service>,
    query: Result<Query<ReceiptQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|error| Problem::malformed(error.body_text()))?;
    let newest = match query.head {
        HeadName::Committed => Newest::Committed,
        HeadName::Witnessed => Newest::Witnessed,
    };
    let head = service.ledger.newest(newest);
    let head = head.ok_or_else(|| Problem::not_found("there is no such head"))?;
    if !(1..head.size()).contains(&query.from) {
        let (from, last) = (query.from, head.size() - 1);
        return Err(Problem::not_found(format!(
            "`from` is {from}, want 1 to {last}: no path leads from there"
        )));
    }
    Ok(cose(service.ledger.consistency_receipt(query.from, &head)?))
}

/// A path. That the tree is not so large is the caller's mistake; that the store could not be read is ours.
fn response(path: Result<Vec<Hash>, ReadError>) -> Result<Json<PathResponse>, Problem> {
    match path {
        Ok(path) => Ok(Json(PathResponse { path: path.into_iter().map(Leaf::from).collect() })),
        Err(error @ ReadError::Beyond { .. }) => Err(Problem::not_found(error.to_string())),
        Err(error) => Err(Problem::internal(&error)),
    }
}

/// `GET /v1/grants/by-key/{thumbprint}`: the grants to a key (auditors).
pub(super) async fn grants(
    State(service): State<Service>,
    Auditor(_): Auditor,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<Grants>, Problem> {
    let thumbprint = name::<32>(path)?;
    let found = apart(&service, move |service| {
        vault::grants_to(service.ledger.log(), &thumbprint).map_err(|error| Problem::internal(&error))
    });
    let grants = found.await?.into_iter().map(|(grant, delivery)| GrantMessage {
        grant: Fixed(grant),
        grantee: delivery.grantee,
        message: delivery.message,
    });
    Ok(Json(Grants { grants: grants.collect() }))
}

/// `GET /v1/grants/{grant}/keys`: the key-encryption keys of a grant, wrapped (auditors).
pub(super) async fn granted(
    State(service): State<Service>,
    Auditor(client): Auditor,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<GrantKeys>, Problem> {
    let grant = name::<16>(path)?;
    let found = apart(&service, move |service| {
        vault::granted(service.ledger.log(), &grant).map_err(|error| Problem::internal(&error))
    });
    let found = found.await?;
    tracing::info!(client = client.name, keys = found.len(), "granted keys read");
    Ok(Json(GrantKeys { keys: found }))
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use treering_log::StoreError;

    use super::*;

    #[test]
    fn a_path_that_is_beyond_the_tree_is_not_found_and_one_that_cannot_be_read_is_our_fault() {
        let status = |error| response(Err(error)).unwrap_err().into_response().status();
        let beyond = ReadError::Beyond { what: "tree size", actual: 9, size: 3 };
        assert_eq!(status(beyond), StatusCode::NOT_FOUND);
        let broken = StoreError::Inconsistent { what: "a tile", at: 0, why: "it is not there" };
        assert_eq!(status(broken.into()), StatusCode::INTERNAL_SERVER_ERROR);
    }
}
