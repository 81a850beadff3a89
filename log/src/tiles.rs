//! Reading the tree back: fragments to tiles, bundles, entries and nodes.
//!
//! A tile or bundle is one value when full, and a row of fragments while it fills. Each read here is one
//! RocksDB iterator, hence one snapshot: a commit that merges fragments cannot come between two of them.

use treering_tlog::{
    bundle,
    hash::{HASH_SIZE, Hash},
    tile::{self, TILE_WIDTH, TileId},
};

use crate::{
    fsck::Fragment,
    nodes::INNER_NODES,
    schema::{Family, WIDTH, bundle_key, tile_key},
    store::{Store, StoreError},
};

/// Bytes of the hashes of a full tile.
const FULL_LEN: usize = TILE_WIDTH as usize * HASH_SIZE;

/// Fragments of one tile, from its start: index of the first hash of each, and the hashes of all.
pub(crate) struct StoredTile {
    pub(crate) starts: Vec<u64>,
    pub(crate) hashes: Vec<Hash>,
    /// The nodes that are stored with a full tile.
    pub(crate) inner: Option<Vec<Hash>>,
}

impl StoredTile {
    /// Its first `width` hashes.
    pub(crate) fn first(mut self, width: u16) -> Vec<Hash> {
        self.hashes.truncate(usize::from(width));
        self.hashes
    }
}

/// The first `width` hashes of a tile.
pub(crate) fn tile_hashes(store: &Store, id: TileId, width: u16) -> Result<Vec<Hash>, StoreError> {
    Ok(stored_tile(store, id, width)?.first(width))
}

/// The value of a fragment: its hashes, and of a full tile the nodes that are stored with it.
pub(crate) fn encode(hashes: &[Hash], inner: &[Hash]) -> Vec<u8> {
    tile::encode(&[hashes, inner].concat())
}

/// The fragments of a tile that hold its first `width` hashes.
pub(crate) fn stored_tile(store: &Store, id: TileId, width: u16) -> Result<StoredTile, StoreError> {
    let first = id.index * WIDTH;
    let broken = |at, why| StoreError::Inconsistent { what: "a tile", at, why };
    let mut tile =
        StoredTile { starts: Vec::new(), hashes: Vec::with_capacity(usize::from(width)), inner: None };
    if width == 0 {
        return Ok(tile);
    }
    for pair in store.from(Family::Tiles, &tile_key(id.level, first))? {
        let (key, value) = pair?;
        let at = first + tile.hashes.len() as u64;
        if *key != tile_key(id.level, at) {
            return Err(broken(at, "the fragment that begins here is missing"));
        }
        tile.starts.push(at);
        let decode = |bytes| tile::decode(bytes).map_err(|_| broken(at, "the value is not whole hashes"));
        let full = value.split_at_checked(FULL_LEN);
        let (hashes, inner) = full.map_or((&*value, None), |(hashes, inner)| (hashes, Some(inner)));
        tile.hashes.extend(decode(hashes)?);
        if let Some(inner) = inner {
            if inner.len() != INNER_NODES * HASH_SIZE {
                return Err(broken(at, "it has another number of inner nodes"));
            }
            tile.inner = Some(decode(inner)?);
        }
        if tile.hashes.len() >= usize::from(width) {
            return Ok(tile);
        }
    }
    Err(broken(first + tile.hashes.len() as u64, "the fragment that begins here is missing"))
}

/// The first `width` entries of a bundle, as C2SP bundle bytes.
pub(crate) fn bundle_bytes(store: &Store, index: u64, width: u16) -> Result<Vec<u8>, StoreError> {
    let broken = |at, why| StoreError::Inconsistent { what: "an entry bundle", at, why };
    let (mut out, mut left) = (Vec::new(), usize::from(width));
    for Fragment { first, bytes } in bundle_fragments(store, index, width)? {
        let entries = bundle::decode(&bytes).map_err(|_| broken(first, "the value is not whole entries"))?;
        if entries.len() <= left {
            out.extend_from_slice(&bytes);
        } else {
            for entry in entries.iter().take(left) {
                bundle::push(&mut out, entry).map_err(|_| broken(first, "an entry is too long"))?;
            }
        }
        left = left.saturating_sub(entries.len());
    }
    if left > 0 {
        return Err(broken(index * WIDTH + u64::from(width) - left as u64, "its fragment ends before it"));
    }
    Ok(out)
}

/// The fragments of a bundle that hold its first `width` entries, as they are stored.
///
/// Where a fragment ends is told by the key of the next one, not by its bytes, so that fsck can read around a
/// damaged one; the last may hold entries beyond `width`.
pub(crate) fn bundle_fragments(store: &Store, index: u64, width: u16) -> Result<Vec<Fragment>, StoreError> {
    let (first, end) = (index * WIDTH, index * WIDTH + u64::from(width));
    let mut fragments = Vec::new();
    if width == 0 {
        return Ok(fragments);
    }
    for pair in store.from(Family::Entries, &bundle_key(first))? {
        let (key, value) = pair?;
        let broken = |at, why| StoreError::Inconsistent { what: "an entry bundle", at, why };
        let at =
            u64::from_be_bytes(key.as_ref().try_into().map_err(|_| broken(first, "a key is not a number"))?);
        if at >= end {
            break;
        }
        fragments.push(Fragment { first: at, bytes: value.into_vec() });
    }
    if fragments.first().is_none_or(|fragment| fragment.first != first) {
        return Err(StoreError::Inconsistent { what: "an entry bundle", at: first, why: "it is missing" });
    }
    Ok(fragments)
}

/// One entry.
pub(crate) fn entry(store: &Store, index: u64) -> Result<Vec<u8>, StoreError> {
    let broken = |why| StoreError::Inconsistent { what: "an entry", at: index, why };
    let found = store.at_or_before(Family::Entries, &bundle_key(index), |key, value| {
        let first = u64::from_be_bytes(key.try_into().map_err(|_| "its key is not a number")?);
        if first / WIDTH != index / WIDTH {
            return Err("its bundle is missing");
        }
        let place = usize::try_from(index - first).map_err(|_| "its place is too far")?;
        bundle::entry_at(value, place).map(<[u8]>::to_vec).map_err(|_| "its fragment ends before it")
    })?;
    found.ok_or_else(|| broken("it is missing"))?.map_err(broken)
}
