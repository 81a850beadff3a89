//! Reading and hashing bundles, on all cores: what takes the time of a check, and depends on nothing before it.
//!
//! Out of scope: what to make of a difference. That is judged in order, where what is above is known.

use std::{
    num::NonZero,
    ops::Range,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use treering_tlog::{
    hash::{Hash, leaf_hash},
    tile::{self, TILE_WIDTH, TileId},
};

use super::{Fragment, LogSource, Rows, SourceTile};
use crate::{nodes::TileNodes, schema::WIDTH};

/// One bundle and its tile of level 0, as they were read.
pub(super) struct Bundle {
    pub(super) id: TileId,
    pub(super) width: u16,
    /// The stored leaf hashes.
    pub(super) stored: Result<Vec<Hash>, String>,
    pub(super) entries: Result<Read, String>,
    /// The root of the tile, if it is full and all of it agrees.
    pub(super) root: Option<Hash>,
    /// Whether the nodes kept with such a tile are its own.
    pub(super) inner: Result<(), &'static str>,
    /// The sum of the rows of the entries that agree with their leaf hashes.
    pub(super) rows: u64,
}

/// The entries of one bundle, as far as they can be read.
#[derive(Default)]
pub(super) struct Read {
    /// The leaf hash of each; `None` behind a broken length.
    pub(super) leaves: Vec<Option<Hash>>,
    /// Fragments whose lengths do not add up: where they begin and end, and what is wrong.
    pub(super) broken: Vec<(u64, u64, String)>,
}

/// Reads some bundles, in order.
pub(super) fn read_all(source: &dyn LogSource, rows: &Rows, size: u64, window: Range<u64>) -> Vec<Bundle> {
    let (next, done) = (AtomicU64::new(window.start), Mutex::new(Vec::new()));
    let work = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= window.end {
                return;
            }
            let bundle = read(source, rows, size, index);
            done.lock().unwrap_or_else(PoisonError::into_inner).push(bundle);
        }
    };
    let others = thread::available_parallelism().map_or(0, NonZero::get).saturating_sub(1);
    thread::scope(|scope| {
        for _ in 0..others {
            scope.spawn(work);
        }
        work();
    });
    let mut bundles = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    bundles.sort_unstable_by_key(|bundle| bundle.id.index);
    bundles
}

fn read(source: &dyn LogSource, rows: &Rows, size: u64, index: u64) -> Bundle {
    let id = TileId::new(0, index);
    let width = id.width(size);
    let (stored, kept) = match tile(source, id, width) {
        Ok(Tile { hashes, inner }) => (Ok(hashes), inner),
        Err(why) => (Err(why), None),
    };
    let (mut entries, mut sum) = (Err(String::new()), 0);
    match source.bundle(index, width) {
        Ok(fragments) => {
            let read = self::entries(&fragments, index * WIDTH, width);
            let sound = stored.iter().flatten().zip(&read.leaves);
            for (index, (stored, leaf)) in (index * WIDTH..).zip(sound) {
                if let Some(leaf) = leaf.filter(|leaf| leaf == stored) {
                    sum = source.row_of(rows, index, &leaf).wrapping_add(sum);
                }
            }
            entries = Ok(read);
        }
        Err(error) => entries = entries.map_err(|_: String| error.to_string()),
    }
    let agree = match (&stored, &entries) {
        (Ok(stored), Ok(read)) => {
            read.broken.is_empty()
                && width == TILE_WIDTH
                && stored.iter().zip(&read.leaves).all(|(stored, leaf)| Some(*stored) == *leaf)
        }
        _ => false,
    };
    let nodes = stored.as_ref().ok().filter(|_| agree).map(|stored| TileNodes::from_hashes(stored.clone()));
    let inner = nodes.as_ref().map_or(Ok(()), |nodes| inner(kept.as_deref(), nodes));
    let root = nodes.and_then(|nodes| nodes.root());
    Bundle { id, width, stored, entries, root, inner, rows: sum }
}

/// Compares the nodes that a source keeps with a full tile with those that its hashes give.
pub(super) fn inner(kept: Option<&[Hash]>, nodes: &TileNodes) -> Result<(), &'static str> {
    if kept.is_some_and(|kept| kept != nodes.inner()) {
        return Err("its inner nodes do not follow from its hashes");
    }
    Ok(())
}

/// A tile that was read: its hashes, and the nodes that the source keeps with a full one.
pub(super) struct Tile {
    pub(super) hashes: Vec<Hash>,
    pub(super) inner: Option<Vec<Hash>>,
}

/// A tile, if it has as many hashes as it should.
pub(super) fn tile(source: &dyn LogSource, id: TileId, width: u16) -> Result<Tile, String> {
    let SourceTile { hashes, inner } = source.tile(id, width).map_err(|error| error.to_string())?;
    let hashes = tile::decode(&hashes).map_err(|error| error.to_string())?;
    if hashes.len() == usize::from(width) {
        Ok(Tile { hashes, inner })
    } else {
        Err(format!("it has {} hashes", hashes.len()))
    }
}

/// Hashes the entries of a bundle.
fn entries(fragments: &[Fragment], first: u64, width: u16) -> Read {
    let (end, mut read) = (first + u64::from(width), Read::default());
    let borders = fragments.iter().skip(1).map(|next| next.first).chain([end]);
    for (fragment, border) in fragments.iter().zip(borders) {
        if let Err(why) = hash_fragment(fragment, border, &mut read.leaves) {
            read.broken.push((fragment.first, border, why));
        }
    }
    read
}

/// Hashes the entries up to a border; the error says where the lengths stop adding up.
fn hash_fragment(fragment: &Fragment, border: u64, leaves: &mut Vec<Option<Hash>>) -> Result<(), String> {
    let mut rest = fragment.bytes.as_slice();
    for index in fragment.first..border {
        let Some((entry, after)) = split(rest) else {
            leaves.extend((index..border).map(|_| None));
            return Err(format!("the bytes end before entry {index} does"));
        };
        rest = after;
        leaves.push(Some(leaf_hash(entry)));
    }
    if rest.is_empty() {
        return Ok(());
    }
    Err(format!("{} bytes are left over after entry {}", rest.len(), border - 1))
}

/// The first entry and what follows it. Unlike a whole decoding, this finds the sound entries before a damage.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))
}
