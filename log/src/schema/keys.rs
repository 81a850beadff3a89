//! Keys. Integers in them are big-endian, so that keys sort by number.

use treering_tlog::tile::{TILE_HEIGHT, TileId};

use super::FormatError;
use crate::append::RegisterName;

/// `entries`: index of the full bundle.
pub(crate) fn bundle_key(index: u64) -> [u8; 8] {
    index.to_be_bytes()
}

/// `tiles`: index of the last entry under the full tile, then its level. That is the order in which tiles are filled: a
/// new table of the engine lies behind all others, so they are never merged.
pub(crate) fn tile_key(id: TileId) -> [u8; 9] {
    let bits = u32::from(TILE_HEIGHT) * (u32::from(id.level) + 1);
    let below = u64::MAX.checked_shr(u64::BITS.saturating_sub(bits)).unwrap_or(0);
    let last = id.index.checked_shl(bits).unwrap_or(0) | below;
    let mut key = [id.level; 9];
    for (to, from) in key.iter_mut().zip(last.to_be_bytes()) {
        *to = from;
    }
    key
}

/// What a fragment of `edge` is a part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EdgeOf {
    /// The last bundle.
    Bundle,
    /// The last tile of a level.
    Tile(u8),
}

/// `edge`: the level of a tile, or 255 for the bundle; then the index, at that level, of the fragment's first hash or
/// entry.
pub(crate) fn edge_key(of: EdgeOf, first: u64) -> [u8; 9] {
    let mut key = [match of {
        EdgeOf::Bundle => u8::MAX,
        EdgeOf::Tile(level) => level,
    }; 9];
    for (to, from) in key.iter_mut().skip(1).zip(first.to_be_bytes()) {
        *to = from;
    }
    key
}

/// Inverse of [`edge_key`]; `None` for what is none.
pub(crate) fn edge_of_key(key: &[u8]) -> Option<(EdgeOf, u64)> {
    let (of, first) = key.split_first()?;
    let of = if *of == u8::MAX { EdgeOf::Bundle } else { EdgeOf::Tile(*of) };
    Some((of, u64::from_be_bytes(first.try_into().ok()?)))
}

/// `content`: index of its entry.
pub(crate) fn content_key(index: u64) -> [u8; 8] {
    index.to_be_bytes()
}

/// Inverse of [`content_key`].
pub(crate) fn index_of_content_key(key: &[u8]) -> Result<u64, FormatError> {
    let malformed = FormatError::Malformed { what: "the key of a content", why: "it is not 8 bytes" };
    key.try_into().map(u64::from_be_bytes).map_err(|_| malformed)
}

/// What a key of `hash-index` leads to (see [`index`](crate::index)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Part {
    /// The run itself, before all its parts.
    Run = 0,
    Page = 1,
    Filter = 2,
}

/// Bytes of a key of `hash-index`.
pub(crate) const PART_LEN: usize = 10;

/// `hash-index`: level and number of the run, part, and which of its pages or filters: a run is all that lies between
/// two keys.
pub(crate) fn part_key(level: u8, number: u32, part: Part, place: u32) -> [u8; PART_LEN] {
    run_key(level, number, part as u8, place)
}

/// The first key of a run, which is its own, and one behind its last.
pub(crate) fn run_keys(level: u8, number: u32) -> [[u8; PART_LEN]; 2] {
    [part_key(level, number, Part::Run, 0), run_key(level, number, u8::MAX, u32::MAX)]
}

fn run_key(level: u8, number: u32, part: u8, place: u32) -> [u8; PART_LEN] {
    let mut key = [level; PART_LEN];
    let bytes = number.to_be_bytes().into_iter().chain([part]).chain(place.to_be_bytes());
    for (to, from) in key.iter_mut().skip(1).zip(bytes) {
        *to = from;
    }
    key
}

/// Level and number of the run in a key of `hash-index`, if it is the key of the run itself.
pub(crate) fn run_of_key(key: &[u8]) -> Option<(u8, u32)> {
    match *key {
        [level, a, b, c, d, 0, 0, 0, 0, 0] => Some((level, u32::from_be_bytes([a, b, c, d]))),
        _ => None,
    }
}

/// `keys`: index key, then entry index.
pub(crate) fn index_key(key: &[u8; 32], index: u64) -> [u8; 40] {
    let mut out = [0; 40];
    for (to, from) in out.iter_mut().zip(key.iter().copied().chain(index.to_be_bytes())) {
        *to = from;
    }
    out
}

/// The entry index at the end of a key of `keys`.
pub(crate) fn index_of_key(key: &[u8]) -> Result<u64, FormatError> {
    let malformed = FormatError::Malformed { what: "an index key", why: "it is not 40 bytes" };
    match key.split_last_chunk::<8>() {
        Some((prefix, index)) if prefix.len() == 32 => Ok(u64::from_be_bytes(*index)),
        _ => Err(malformed),
    }
}

/// `registers`: the name as text.
pub(crate) fn register_key(name: &RegisterName) -> &[u8] {
    name.as_str().as_bytes()
}

/// `rows`: table, then the caller's key.
pub(crate) fn row_key(table: u8, key: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + key.len());
    out.push(table);
    out.extend_from_slice(key);
    out
}
