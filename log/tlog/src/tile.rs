//! Tiles of [C2SP tlog-tiles](https://c2sp.org/tlog-tiles): 256 hashes of one tree level, at every eighth level.
//!
//! In scope: which tile holds a node, how wide a tile is at a tree size, tile and bundle paths, hashing inside a tile.
//! Out of scope: storing and serving them.
//!
//! Tile (L, N) holds the nodes of height 8 L with indexes `[256 N, 256 N + W)`.

use std::fmt::Write as _;
use std::ops::Range;

use thiserror::Error;

use crate::{
    decimal,
    hash::{Hash, node_hash},
    tree::NodeCoord,
};

/// Hashes in a full tile, and entries in a full bundle.
pub const TILE_WIDTH: u16 = 256;

/// Tree levels that one tile level spans: 2^8 hashes.
pub const TILE_HEIGHT: u8 = 8;

/// The highest tile level of the specification. Tree sizes are 64 bits, so no tile above level 7 ever has a hash.
pub const MAX_TILE_LEVEL: u8 = 63;

/// Place of a tile.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TileId {
    /// Tile level: the hashes are nodes of height `8 * level`.
    pub level: u8,
    /// Position among the tiles of the level, from the left.
    pub index: u64,
}

impl TileId {
    /// The tile at a level and index.
    pub const fn new(level: u8, index: u64) -> Self {
        Self { level, index }
    }

    /// The tile that a node is computed from, and which of its hashes.
    pub fn of_node(coord: NodeCoord) -> Result<(Self, Range<u16>), TileError> {
        let (level, height) = (coord.level / TILE_HEIGHT, coord.level % TILE_HEIGHT);
        // A node of height h inside the tile covers 2^h of its hashes.
        let per_tile = TILE_HEIGHT - height;
        let first = (coord.index & ((1 << per_tile) - 1)) << height;
        let first = u16::try_from(first).map_err(|_| TileError::Node { coord })?;
        Ok((Self::new(level, coord.index >> per_tile), first..first + (1 << height)))
    }

    /// Hashes this tile has in a tree of `size` leaves: 0 (not there, must not be served) to 256.
    pub fn width(self, size: u64) -> u16 {
        let whole = hashes_at(self.level, size);
        let Some(first) = self.index.checked_mul(u64::from(TILE_WIDTH)) else { return 0 };
        let width = whole.saturating_sub(first).min(u64::from(TILE_WIDTH));
        u16::try_from(width).unwrap_or(TILE_WIDTH)
    }

    /// The path `tile/<L>/<N>[.p/<W>]`, without a leading slash. Inverse of [`parse_tile_path`].
    pub fn path(self, width: u16) -> String {
        let mut out = format!("tile/{}/", self.level);
        push_index_and_width(&mut out, self.index, width);
        out
    }
}

/// Parses `tile/<L>/<N>[.p/<W>]` to a tile and its width.
pub fn parse_tile_path(path: &str) -> Result<(TileId, u16), TileError> {
    let (level, rest) =
        path.strip_prefix("tile/").and_then(|rest| rest.split_once('/')).ok_or(TileError::Path)?;
    let level = decimal::parse(level).and_then(|l| u8::try_from(l).ok()).ok_or(TileError::Path)?;
    if level > MAX_TILE_LEVEL {
        return Err(TileError::Level { actual: level });
    }
    let (index, width) = parse_index_and_width(rest)?;
    Ok((TileId::new(level, index), width))
}

/// The path `tile/entries/<N>[.p/<W>]` of an entry bundle. Inverse of [`parse_entries_path`].
pub fn entries_path(index: u64, width: u16) -> String {
    let mut out = String::from("tile/entries/");
    push_index_and_width(&mut out, index, width);
    out
}

/// Parses `tile/entries/<N>[.p/<W>]` to a bundle index and its width.
pub fn parse_entries_path(path: &str) -> Result<(u64, u16), TileError> {
    parse_index_and_width(path.strip_prefix("tile/entries/").ok_or(TileError::Path)?)
}

/// Hashes in the last, partial tile of a level at a tree size; 0 if the level ends with a full tile.
pub fn partial_width(level: u8, size: u64) -> u16 {
    u16::try_from(hashes_at(level, size) % u64::from(TILE_WIDTH)).unwrap_or(0)
}

/// Full tiles of a level at a tree size.
pub fn full_tiles(level: u8, size: u64) -> u64 {
    hashes_at(level, size) / u64::from(TILE_WIDTH)
}

/// Complete nodes of height `8 * level` in a tree of `size` leaves.
pub fn hashes_at(level: u8, size: u64) -> u64 {
    size.checked_shr(u32::from(level) * u32::from(TILE_HEIGHT)).unwrap_or(0)
}

/// Every tile of a tree that is not empty, level by level, with its width.
pub fn tiles_at(size: u64) -> impl Iterator<Item = (TileId, u16)> {
    (0..=MAX_TILE_LEVEL).take_while(move |level| hashes_at(*level, size) > 0).flat_map(move |level| {
        let partial = u64::from(partial_width(level, size) > 0);
        (0..full_tiles(level, size) + partial).map(move |index| {
            let tile = TileId::new(level, index);
            (tile, tile.width(size))
        })
    })
}

/// The node at `coord`, hashed from the tile that [`TileId::of_node`] names; `hashes` are those of the tile from its start,
/// full or partial.
pub fn node_from_tile(coord: NodeCoord, hashes: &[Hash]) -> Result<Hash, TileError> {
    let (_, range) = TileId::of_node(coord)?;
    let covered = hashes
        .get(usize::from(range.start)..usize::from(range.end))
        .ok_or(TileError::TooNarrow { coord, wanted: range.end, actual: hashes.len() })?;
    root_of_complete(covered).ok_or(TileError::Node { coord })
}

/// The hashes in the bytes of a tile: 1 to 256 of 32 bytes, nothing after them.
pub fn decode(bytes: &[u8]) -> Result<Vec<Hash>, TileError> {
    let (chunks, rest) = bytes.as_chunks();
    if !rest.is_empty() || chunks.is_empty() || chunks.len() > usize::from(TILE_WIDTH) {
        return Err(TileError::Bytes { actual: bytes.len() });
    }
    Ok(chunks.iter().copied().map(Hash::from_bytes).collect())
}

/// The bytes of a tile. Inverse of [`decode`].
pub fn encode(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.to_bytes()).collect()
}

/// Why a path, a tile or a node in it is refused.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum TileError {
    /// The bytes are not 1 to 256 hashes.
    #[error("tile is {actual} bytes, want 1 to 256 times 32")]
    Bytes {
        /// Bytes found.
        actual: usize,
    },
    /// No tile has this level.
    #[error("tile level is {actual}, want at most {MAX_TILE_LEVEL}")]
    Level {
        /// Level found.
        actual: u8,
    },
    /// No tree has this node.
    #[error("no tree has node {coord:?}")]
    Node {
        /// The node.
        coord: NodeCoord,
    },
    /// The path is not one of a tile or bundle in its canonical form.
    #[error("path is not tile/<level>/<index>[.p/<width>] in canonical form")]
    Path,
    /// The tile does not reach as far as the node.
    #[error("tile has {actual} hashes, node {coord:?} needs {wanted}")]
    TooNarrow {
        /// The node.
        coord: NodeCoord,
        /// Hashes needed.
        wanted: u16,
        /// Hashes found.
        actual: usize,
    },
}

/// The root of a power of two of hashes, at most 256.
fn root_of_complete(hashes: &[Hash]) -> Option<Hash> {
    let mut row = hashes.to_vec();
    while row.len() > 1 {
        let (pairs, rest) = row.as_chunks::<2>();
        if !rest.is_empty() {
            return None;
        }
        row = pairs.iter().map(|[left, right]| node_hash(left, right)).collect();
    }
    row.first().copied()
}

/// Writes 1234067 as `x001/x234/067`, and the width of a partial tile.
fn push_index_and_width(out: &mut String, index: u64, width: u16) {
    let mut groups = vec![index % 1000];
    let mut rest = index / 1000;
    while rest > 0 {
        groups.push(rest % 1000);
        rest /= 1000;
    }
    for (place, group) in groups.iter().enumerate().rev() {
        // Writing to a String cannot fail.
        let _ok = if place == 0 { write!(out, "{group:03}") } else { write!(out, "x{group:03}/") };
    }
    if width < TILE_WIDTH {
        let _ok = write!(out, ".p/{width}");
    }
}

fn parse_index_and_width(text: &str) -> Result<(u64, u16), TileError> {
    let (index, width) = match text.split_once(".p/") {
        None => (text, TILE_WIDTH),
        Some((index, width)) => {
            let width = decimal::parse(width).and_then(|w| u16::try_from(w).ok()).ok_or(TileError::Path)?;
            if width == 0 || width >= TILE_WIDTH {
                return Err(TileError::Path);
            }
            (index, width)
        }
    };
    Ok((parse_index(index).ok_or(TileError::Path)?, width))
}

fn parse_index(text: &str) -> Option<u64> {
    let (high, low) = match text.rsplit_once('/') {
        None => ("", text),
        Some(("", _)) => return None,
        Some((high, low)) => (high, low),
    };
    let mut index = 0u64;
    for group in high.split('/').filter(|_| !high.is_empty()) {
        let value = parse_group(group.strip_prefix('x')?)?;
        // A leading x000 would be a second path to the same tile.
        if index == 0 && value == 0 {
            return None;
        }
        index = index.checked_mul(1000)?.checked_add(value)?;
    }
    index.checked_mul(1000)?.checked_add(parse_group(low)?)
}

fn parse_group(text: &str) -> Option<u64> {
    if text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}
