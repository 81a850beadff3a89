//! C2SP tlog-tiles: the checkpoint, hash tiles and entry bundles.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use treering_tlog::tile::{TILE_WIDTH, parse_entries_path, parse_tile_path};

use super::Service;
use super::problem::Problem;

/// A tile never changes once it exists.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";
/// A checkpoint is replaced at every batch.
const SHORT: &str = "no-cache";

/// `GET /checkpoint`: the latest, and the latest that a quorum cosigned where there are witnesses.
pub(super) async fn checkpoint(State(service): State<Service>) -> Result<Response, Problem> {
    let log = service.ledger.log();
    let note = match log.witnessed() {
        Some(witnessed) => witnessed.cosigned_note().to_vec(),
        None => log
            .head()
            .map(|head| head.note().to_vec())
            .ok_or_else(|| Problem::not_found("the log is empty"))?,
    };
    Ok(answer("text/plain; charset=utf-8", SHORT, note))
}

/// `GET /tile/<L>/<N>[.p/<W>]` and `GET /tile/entries/<N>[.p/<W>]`.
pub(super) async fn tile(
    State(service): State<Service>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(path) = path.map_err(|error| Problem::malformed(error.body_text()))?;
    let log = service.ledger.log();
    let path = format!("tile/{path}");
    let found = if path.starts_with("tile/entries/") {
        let (index, width) =
            parse_entries_path(&path).map_err(|error| Problem::malformed(error.to_string()))?;
        log.bundle(index, width)
    } else {
        let (tile, width) = parse_tile_path(&path).map_err(|error| Problem::malformed(error.to_string()))?;
        log.tile(tile.level, tile.index, width)
    };
    let bytes = found.map_err(|error| Problem::internal(&error))?;
    let bytes = bytes.ok_or_else(|| {
        Problem::not_found(format!("the tree has no such tile yet; a tile is full at {TILE_WIDTH} wide"))
    })?;
    Ok(answer("application/octet-stream", IMMUTABLE, bytes))
}

fn answer(media_type: &'static str, caching: &'static str, bytes: Vec<u8>) -> Response {
    let mut response = bytes.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    response
}
