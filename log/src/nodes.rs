//! Tree nodes in memory: the right edge, and the full tiles that were written or read lately.
//!
//! A proof needs some twenty nodes inside tiles. Hashing them from the tile's 256 hashes costs a hundred times more
//! than looking them up, and the sequencer has made every one of them when it integrated the leaves; so a tile in
//! memory carries all its inner nodes.
//!
//! In scope: nodes of complete subtrees, by coordinate. Out of scope: which nodes a proof has (`treering_tlog`).

use std::sync::{Arc, PoisonError, RwLock};

use quick_cache::sync::Cache;
use treering_tlog::{
    hash::{Hash, node_hash},
    tile::{TILE_HEIGHT, TILE_WIDTH, TileId},
    tree::NodeCoord,
};

use crate::{
    integrate::{Edge, Filled},
    schema::WIDTH,
    store::{Store, StoreError},
    tiles,
};

/// Full tiles in memory, each 16 KiB with its inner nodes: 16 MiB, whatever the log's size. Receipts are mostly of
/// new entries, whose tiles are the edge and those filled last; above level 0 a log of 2^30 entries has 16,448 tiles.
const FULL_TILES: usize = 1024;

/// The height inside a full tile whose 16 nodes are stored with it. A proof of any entry then needs some thirty node
/// hashes, whether its tile is in memory or not; without them it would need all 255.
const STORED_HEIGHT: u8 = 4;
/// How many they are.
pub(crate) const INNER_NODES: usize = 1 << (TILE_HEIGHT - STORED_HEIGHT);

/// The hashes of a tile, full or partial, and the complete nodes above them inside it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TileNodes {
    /// By height above the tile's own hashes. Rows below the stored ones are empty in a tile that was read back.
    rows: [Vec<Hash>; TILE_HEIGHT as usize],
}

fn parents(row: &[Hash]) -> Vec<Hash> {
    row.as_chunks::<2>().0.iter().map(|[left, right]| node_hash(left, right)).collect()
}

impl TileNodes {
    /// Hashes the inner nodes of a tile.
    pub(crate) fn from_hashes(hashes: Vec<Hash>) -> Self {
        let mut rows: [Vec<Hash>; TILE_HEIGHT as usize] = Default::default();
        let mut row = hashes;
        for slot in &mut rows {
            let above = parents(&row);
            *slot = std::mem::replace(&mut row, above);
        }
        Self { rows }
    }

    /// A full tile as it is stored.
    pub(crate) fn from_stored(hashes: Vec<Hash>, inner: Vec<Hash>) -> Self {
        let mut rows: [Vec<Hash>; TILE_HEIGHT as usize] = Default::default();
        let mut row = inner;
        for slot in rows.iter_mut().skip(usize::from(STORED_HEIGHT)) {
            let above = parents(&row);
            *slot = std::mem::replace(&mut row, above);
        }
        let [own, ..] = &mut rows;
        *own = hashes;
        Self { rows }
    }

    /// The nodes that are stored with a full tile.
    pub(crate) fn inner(&self) -> &[Hash] {
        self.rows.get(usize::from(STORED_HEIGHT)).map_or(&[], Vec::as_slice)
    }

    /// The node above a full tile.
    pub(crate) fn root(&self) -> Option<Hash> {
        self.at(TILE_HEIGHT, 0)
    }

    /// The tile's own hashes.
    pub(crate) fn hashes(&self) -> &[Hash] {
        let [hashes, ..] = &self.rows;
        hashes
    }

    pub(crate) fn is_full(&self) -> bool {
        self.hashes().len() == usize::from(TILE_WIDTH)
    }

    /// Adds the next node of a height.
    pub(crate) fn push(&mut self, height: u8, node: Hash) {
        if let Some(row) = self.rows.get_mut(usize::from(height)) {
            row.push(node);
        }
    }

    /// A node in this tile; `None` if the tile does not reach as far.
    pub(crate) fn node(&self, coord: NodeCoord) -> Option<Hash> {
        let height = coord.level % TILE_HEIGHT;
        let place = coord.index & ((1 << (TILE_HEIGHT - height)) - 1);
        self.at(height, usize::try_from(place).ok()?)
    }

    /// A node that is not there is the hash of the two under it, if they are.
    fn at(&self, height: u8, place: usize) -> Option<Hash> {
        let there = self.rows.get(usize::from(height)).and_then(|row| row.get(place)).copied();
        there.or_else(|| {
            let below = height.checked_sub(1)?;
            Some(node_hash(&self.at(below, 2 * place)?, &self.at(below, 2 * place + 1)?))
        })
    }
}

/// What readers share: the edge of the newest commit, and full tiles.
#[derive(Debug)]
pub(crate) struct Memory {
    edge: RwLock<Option<Arc<Edge>>>,
    full: Cache<TileId, Arc<TileNodes>>,
}

impl Memory {
    /// Nothing but an edge, if the caller has read it.
    pub(crate) fn new(edge: Option<Edge>) -> Self {
        Self { edge: RwLock::new(edge.map(Arc::new)), full: Cache::new(FULL_TILES) }
    }

    /// Shows the edge of a commit, and remembers the tiles that it filled. The edge is shown before the head is, so
    /// that who sees a head finds an edge that covers it.
    pub(crate) fn show(&self, edge: &Edge, filled: Vec<Filled>) {
        for Filled { id, nodes, .. } in filled {
            self.full.insert(id, nodes);
        }
        *self.edge.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(edge.clone()));
    }

    fn edge(&self) -> Option<Arc<Edge>> {
        self.edge.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Reads the nodes of the tree of the first `size` entries.
pub(crate) struct Nodes<'a> {
    store: &'a Store,
    memory: Option<&'a Memory>,
    edge: Option<Arc<Edge>>,
    size: u64,
    /// Each tile is looked for once.
    seen: Vec<(TileId, Arc<TileNodes>)>,
}

impl<'a> Nodes<'a> {
    /// Nodes from the store alone.
    pub(crate) fn of_store(store: &'a Store, size: u64) -> Self {
        Self { store, memory: None, edge: None, size, seen: Vec::new() }
    }

    /// Nodes from memory where they are there, of a tree that is not larger than the edge in memory.
    pub(crate) fn new(store: &'a Store, memory: &'a Memory, size: u64) -> Self {
        Self { store, memory: Some(memory), edge: memory.edge(), size, seen: Vec::new() }
    }

    pub(crate) fn read(&mut self, coord: NodeCoord) -> Result<Hash, StoreError> {
        let broken =
            || StoreError::Inconsistent { what: "a tree node", at: coord.index, why: "it is outside" };
        let (id, _) = TileId::of_node(coord).map_err(|_| broken())?;
        self.tile(id)?.node(coord).ok_or_else(broken)
    }

    /// The hash of an entry's leaf.
    pub(crate) fn leaf(&mut self, index: u64) -> Result<Hash, StoreError> {
        self.read(NodeCoord::leaf(index))
    }

    fn tile(&mut self, id: TileId) -> Result<&TileNodes, StoreError> {
        let place = if let Some(place) = self.seen.iter().position(|(seen, _)| *seen == id) {
            place
        } else {
            let tile = self.find(id)?;
            self.seen.push((id, tile));
            self.seen.len() - 1
        };
        let missing =
            StoreError::Inconsistent { what: "a tile", at: id.index * WIDTH, why: "it is not there" };
        self.seen.get(place).map(|(_, tile)| &**tile).ok_or(missing)
    }

    fn find(&self, id: TileId) -> Result<Arc<TileNodes>, StoreError> {
        if let Some(tile) = self.edge.as_ref().and_then(|edge| edge.tile(id)) {
            return Ok(Arc::clone(tile));
        }
        // A tile that was partial at our size may be full by now: its nodes are the same, and there is one in memory.
        let committed = self.edge.as_ref().map_or(self.size, |edge| edge.size());
        let load = || {
            let width = id.width(committed);
            let tile = tiles::tile(self.store, id, width)?;
            Ok(Arc::new(match tile.inner {
                Some(inner) => TileNodes::from_stored(tile.hashes, inner),
                None => TileNodes::from_hashes(tile.first(width)),
            }))
        };
        match self.memory {
            Some(memory) if id.width(committed) == TILE_WIDTH => memory.full.get_or_insert_with(&id, load),
            _ => load(),
        }
    }
}

#[cfg(test)]
mod tests {
    use treering_tlog::{hash::leaf_hash, tile, tree::Frontier};

    use super::*;

    #[test]
    fn every_node_of_a_tile_is_the_one_that_is_hashed_from_it() {
        for width in [1usize, 2, 3, 7, 128, 255, 256] {
            let hashes: Vec<Hash> = (0..width).map(|i| leaf_hash(&i.to_be_bytes())).collect();
            let nodes = TileNodes::from_hashes(hashes.clone());
            assert_eq!((nodes.hashes(), nodes.is_full()), (hashes.as_slice(), width == 256));
            let mut tree = Frontier::new();
            for hash in &hashes {
                tree.push(*hash);
            }
            assert_eq!(nodes.root(), (width == 256).then(|| tree.root()));
            let stored = TileNodes::from_stored(hashes.clone(), nodes.inner().to_vec());
            for height in 0..8u8 {
                for index in 0..(256u64 >> height) {
                    // The fourth tile of level 2.
                    let coord = NodeCoord::new(16 + height, (3 << (8 - height)) + index);
                    let wanted = tile::node_from_tile(coord, &hashes).ok();
                    assert_eq!(nodes.node(coord), wanted, "{width} {coord:?}");
                    assert_eq!(stored.node(coord), wanted, "{width} {coord:?}, read back");
                }
            }
        }
    }
}
