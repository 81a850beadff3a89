//! Reading the tree back: tiles, bundles and entries.
//!
//! A tile or bundle is one value when full, and a row of fragments at the right edge while it fills. A row of fragments is
//! read by one iterator, hence as one snapshot. The commit that fills a tile moves it from there to its own place, and it
//! stays in it for ever; so a reader who finds it in neither, because it was moved between two looks, looks a second time.

use treering_tlog::{
    bundle,
    hash::{HASH_SIZE, Hash},
    tile::{self, TILE_WIDTH, TileId},
};

use crate::{
    fsck::Fragment,
    nodes::INNER_NODES,
    schema::{EdgeOf, Family, WIDTH, bundle_key, edge_key, edge_of_key, tile_key},
    store::{Store, StoreError},
};

/// Bytes of the hashes of a full tile.
const FULL_LEN: usize = TILE_WIDTH as usize * HASH_SIZE;

/// A tile as it is stored.
pub(crate) struct StoredTile {
    /// All its hashes: more than were asked for, if it has grown.
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

/// A tile that has at least `width` hashes.
pub(crate) fn tile(store: &Store, id: TileId, width: u16) -> Result<StoredTile, StoreError> {
    if let Some(full) = full_tile(store, id)? {
        return Ok(full);
    }
    match edge_tile(store, id, width) {
        Ok((hashes, _)) => Ok(StoredTile { hashes, inner: None }),
        Err(error) => full_tile(store, id)?.ok_or(error),
    }
}

/// The value of a tile or of a fragment of it: its hashes, and of a full tile the nodes that are stored with it.
pub(crate) fn encode(hashes: &[Hash], inner: &[Hash]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity((hashes.len() + inner.len()) * HASH_SIZE);
    for hash in hashes.iter().chain(inner) {
        bytes.extend_from_slice(hash.as_bytes());
    }
    bytes
}

fn full_tile(store: &Store, id: TileId) -> Result<Option<StoredTile>, StoreError> {
    let decode = |value: &[u8]| {
        let (hashes, inner) = value.split_at_checked(FULL_LEN).ok_or("it is cut off")?;
        if inner.len() != INNER_NODES * HASH_SIZE {
            return Err("it has another number of inner nodes");
        }
        let decode = |bytes| tile::decode(bytes).map_err(|_| "the value is not whole hashes");
        Ok(StoredTile { hashes: decode(hashes)?, inner: Some(decode(inner)?) })
    };
    let broken = |why| StoreError::Inconsistent { what: "a tile", at: id.index * WIDTH, why };
    store.get_with(Family::Tiles, &tile_key(id), decode)?.transpose().map_err(broken)
}

/// The fragments of a tile that hold its first `width` hashes: the hashes of all, and the index of the first of each.
pub(crate) fn edge_tile(store: &Store, id: TileId, width: u16) -> Result<(Vec<Hash>, Vec<u64>), StoreError> {
    let first = id.index * WIDTH;
    let broken = |at, why| StoreError::Inconsistent { what: "a tile", at, why };
    let (mut hashes, mut starts) = (Vec::with_capacity(usize::from(width)), Vec::new());
    if width == 0 {
        return Ok((hashes, starts));
    }
    for pair in store.from(Family::Edge, &edge_key(EdgeOf::Tile(id.level), first))? {
        let (key, value) = pair?;
        let at = first + hashes.len() as u64;
        if *key != edge_key(EdgeOf::Tile(id.level), at) {
            break;
        }
        starts.push(at);
        hashes.extend(tile::decode(&value).map_err(|_| broken(at, "the value is not whole hashes"))?);
        if hashes.len() >= usize::from(width) {
            return Ok((hashes, starts));
        }
    }
    Err(broken(first + hashes.len() as u64, "what begins here is missing"))
}

/// The first `width` entries of a bundle, as C2SP bundle bytes.
pub(crate) fn bundle_bytes(store: &Store, index: u64, width: u16) -> Result<Vec<u8>, StoreError> {
    join(bundle_fragments(store, index, width)?, index, width)
}

/// The same of a bundle that is not full.
pub(crate) fn edge_bundle(store: &Store, index: u64, width: u16) -> Result<Vec<u8>, StoreError> {
    join(edge_fragments(store, index, width)?, index, width)
}

fn join(fragments: Vec<Fragment>, index: u64, width: u16) -> Result<Vec<u8>, StoreError> {
    let broken = |at, why| StoreError::Inconsistent { what: "an entry bundle", at, why };
    let (mut out, mut left) = (Vec::new(), usize::from(width));
    for Fragment { first, bytes } in fragments {
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

/// What holds the first `width` entries of a bundle, as it is stored: one value, or a row of fragments.
///
/// Where a fragment ends is told by the key of the next one, not by its bytes, so that fsck can read around a
/// damaged one; the last may hold entries beyond `width`.
pub(crate) fn bundle_fragments(store: &Store, index: u64, width: u16) -> Result<Vec<Fragment>, StoreError> {
    if width == 0 {
        return Ok(Vec::new());
    }
    let full = || -> Result<_, StoreError> {
        let bytes = store.get(Family::Entries, &bundle_key(index))?;
        Ok(bytes.map(|bytes| vec![Fragment { first: index * WIDTH, bytes }]))
    };
    if let Some(full) = full()? {
        return Ok(full);
    }
    match edge_fragments(store, index, width) {
        Err(error) => full()?.ok_or(error),
        fragments => fragments,
    }
}

fn edge_fragments(store: &Store, index: u64, width: u16) -> Result<Vec<Fragment>, StoreError> {
    let (first, end) = (index * WIDTH, index * WIDTH + u64::from(width));
    let mut fragments = Vec::new();
    if width == 0 {
        return Ok(fragments);
    }
    for pair in store.from(Family::Edge, &edge_key(EdgeOf::Bundle, first))? {
        let (key, value) = pair?;
        match edge_of_key(&key) {
            Some((EdgeOf::Bundle, at)) if at < end => {
                fragments.push(Fragment { first: at, bytes: value.into_vec() });
            }
            _ => break,
        }
    }
    if fragments.first().is_none_or(|fragment| fragment.first != first) {
        return Err(StoreError::Inconsistent { what: "an entry bundle", at: first, why: "it is missing" });
    }
    Ok(fragments)
}

/// One entry.
pub(crate) fn entry(store: &Store, index: u64) -> Result<Vec<u8>, StoreError> {
    let place = usize::try_from(index % WIDTH).unwrap_or(usize::MAX);
    let full = || {
        let entry = |value: &[u8]| bundle::entry_at(value, place).map(<[u8]>::to_vec);
        let found = store.get_with(Family::Entries, &bundle_key(index / WIDTH), entry)?;
        Ok::<_, StoreError>(found.map(|entry| entry.map_err(|_| "its bundle ends before it")))
    };
    let edge = || {
        store.at_or_before(Family::Edge, &edge_key(EdgeOf::Bundle, index), |key, value| {
            let Some((EdgeOf::Bundle, first)) = edge_of_key(key) else { return None };
            let place = usize::try_from(index - first).ok().filter(|_| first / WIDTH == index / WIDTH)?;
            let entry = bundle::entry_at(value, place).map(<[u8]>::to_vec);
            Some(entry.map_err(|_| "its fragment ends before it"))
        })
    };
    let found = match full()? {
        None => match edge()?.flatten() {
            None => full()?,
            found => found,
        },
        found => found,
    };
    let broken = |why| StoreError::Inconsistent { what: "an entry", at: index, why };
    found.unwrap_or(Err("its bundle is missing")).map_err(broken)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use treering_tlog::hash::leaf_hash;

    use super::*;
    use crate::{
        sim::disk::Disk,
        store::engine::{Engine, EngineError, Estimate, Pairs, Table, WriteSet},
    };

    /// An engine that commits something right after the first look that finds nothing.
    #[derive(Debug)]
    struct Moving {
        engine: Box<dyn Engine>,
        then: Mutex<Option<WriteSet>>,
    }

    impl Engine for Moving {
        fn get(&self, family: Family, key: &[u8], show: &mut dyn FnMut(&[u8])) -> Result<(), EngineError> {
            let mut found = false;
            self.engine.get(family, key, &mut |value| {
                found = true;
                show(value);
            })?;
            match self.then.lock().unwrap().take() {
                Some(writes) if !found => self.engine.commit(&writes),
                _ => Ok(()),
            }
        }

        fn at_or_before(
            &self,
            family: Family,
            key: &[u8],
            show: &mut dyn FnMut(&[u8], &[u8]),
        ) -> Result<(), EngineError> {
            self.engine.at_or_before(family, key, show)
        }

        fn from(&self, family: Family, key: &[u8]) -> Result<Pairs<'_>, EngineError> {
            self.engine.from(family, key)
        }

        fn commit(&self, writes: &WriteSet) -> Result<(), EngineError> {
            self.engine.commit(writes)
        }

        fn table(&self, family: Family) -> Result<Box<dyn Table + '_>, EngineError> {
            self.engine.table(family)
        }

        fn remove_tables(&self, family: Family, first: &[u8], last: &[u8]) -> Result<(), EngineError> {
            self.engine.remove_tables(family, first, last)
        }

        fn compact(&self, family: Family) -> Result<(), EngineError> {
            self.engine.compact(family)
        }

        fn estimate(&self, family: Family) -> Result<Estimate, EngineError> {
            self.engine.estimate(family)
        }
    }

    fn entry(index: u64) -> Vec<u8> {
        index.to_be_bytes().to_vec()
    }

    fn bundle_of(entries: std::ops::Range<u64>) -> Vec<u8> {
        let mut bytes = Vec::new();
        entries.for_each(|index| bundle::push(&mut bytes, &entry(index)).unwrap());
        bytes
    }

    /// Entries 256 to 259 in a fragment; the commit that comes between two looks fills the tile.
    fn moving() -> Store {
        let engine = Disk::default().engine();
        let leaves: Vec<Hash> = (256..512).map(|index| leaf_hash(&entry(index))).collect();
        let mut fragments = WriteSet::default();
        fragments.put(Family::Edge, &edge_key(EdgeOf::Tile(0), 256), &encode(&leaves[..4], &[]));
        fragments.put(Family::Edge, &edge_key(EdgeOf::Bundle, 256), &bundle_of(256..260));
        engine.commit(&fragments).unwrap();
        let mut filled = WriteSet::default();
        filled.put(Family::Tiles, &tile_key(TileId::new(0, 1)), &encode(&leaves, &leaves[..INNER_NODES]));
        filled.put(Family::Entries, &bundle_key(1), &bundle_of(256..512));
        filled.delete(Family::Edge, &edge_key(EdgeOf::Tile(0), 256));
        filled.delete(Family::Edge, &edge_key(EdgeOf::Bundle, 256));
        Store::on(Box::new(Moving { engine, then: Mutex::new(Some(filled)) }))
    }

    #[test]
    fn what_is_moved_between_two_looks_is_found() {
        let first = tile(&moving(), TileId::new(0, 1), 4).unwrap().first(4);
        assert_eq!(first, (256..260).map(|index| leaf_hash(&entry(index))).collect::<Vec<_>>());
        assert_eq!(bundle_bytes(&moving(), 1, 4).unwrap(), bundle_of(256..260));
        assert_eq!(super::entry(&moving(), 259).unwrap(), entry(259));
        // What is nowhere is missing, however often one looks.
        assert!(tile(&moving(), TileId::new(0, 2), 4).is_err());
        assert!(bundle_bytes(&moving(), 2, 4).is_err() && super::entry(&moving(), 513).is_err());
    }
}
