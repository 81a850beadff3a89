//! C2SP tlog-tiles: the checkpoint, hash tiles and entry bundles.

use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use treering_tlog::tile::{TILE_WIDTH, parse_entries_path, parse_tile_path};

use super::problem::Problem;
use super::{Service, apart};

/// A tile never changes once it exists.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";
/// A checkpoint is replaced at every batch.
const SHORT: &str = "no-cache";
const NEVER: &str = "no-store";

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
///
/// The path is read as it came, not decoded: a tile has one URL.
pub(super) async fn tile(State(service): State<Service>, uri: Uri) -> Response {
    let path = uri.path().trim_start_matches('/').to_owned();
    match apart(&service, move |service| find(service, &path)).await {
        Ok(bytes) => answer("application/octet-stream", IMMUTABLE, bytes),
        // What is absent now may exist with the next entry: no cache may keep that.
        Err(problem) => with(problem.into_response(), header::CACHE_CONTROL, NEVER),
    }
}

fn find(service: &Service, path: &str) -> Result<Vec<u8>, Problem> {
    let log = service.ledger.log();
    let found = if path.starts_with("tile/entries/") {
        let (index, width) =
            parse_entries_path(path).map_err(|error| Problem::malformed(error.to_string()))?;
        log.bundle(index, width)
    } else {
        let (tile, width) = parse_tile_path(path).map_err(|error| Problem::malformed(error.to_string()))?;
        log.tile(tile.level, tile.index, width)
    };
    let bytes = found.map_err(|error| Problem::internal(&error))?;
    bytes.ok_or_else(|| {
        Problem::not_found(format!("the tree has no such tile yet; a tile is full at {TILE_WIDTH} wide"))
    })
}

fn answer(media_type: &'static str, caching: &'static str, bytes: Vec<u8>) -> Response {
    let response = with(bytes.into_response(), header::CONTENT_TYPE, media_type);
    with(response, header::CACHE_CONTROL, caching)
}

fn with(mut response: Response, name: HeaderName, value: &'static str) -> Response {
    response.headers_mut().insert(name, HeaderValue::from_static(value));
    response
}
