//! Integration, pure: the right edge and new leaves in, the next right edge and tile fragments out.
//!
//! A tile or bundle at the right edge is stored in *fragments*, one per commit that added to it, so that a commit writes
//! only what is new. The commit that fills it writes it whole, in another place, and removes the fragments: every hash and
//! entry is written at most twice, however large the log is, and what is full is never touched again.

use std::sync::Arc;

use treering_tlog::{
    hash::Hash,
    tile::{TILE_HEIGHT, TileId, full_tiles},
    tree::Frontier,
};

#[cfg(test)]
use crate::schema::LEVELS;
use crate::{nodes::TileNodes, schema::WIDTH};

/// The right edge of the tree: all that the sequencer keeps in memory. At most 8 levels of 255 hashes and the nodes
/// above them. A clone shares them until either grows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Edge {
    frontier: Frontier,
    levels: Vec<EdgeTile>,
}

/// The partial tile at the right end of one level.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct EdgeTile {
    /// The hashes of the tile so far, fewer than 256, and the nodes above them.
    pub(crate) nodes: Arc<TileNodes>,
    /// Where its stored fragments begin.
    pub(crate) starts: Vec<u64>,
}

/// Consecutive new hashes of a tile that is not full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fragment {
    pub(crate) level: u8,
    /// Index, at this level, of the first hash.
    pub(crate) first: u64,
    pub(crate) hashes: Vec<Hash>,
}

/// A tile that has become full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filled {
    pub(crate) id: TileId,
    pub(crate) nodes: Arc<TileNodes>,
    /// Where the fragments begin that were stored of it.
    pub(crate) replaces: Vec<u64>,
}

/// What an integration made, and what has to be stored.
#[derive(Debug, Default)]
pub(crate) struct Grown {
    /// Level by level and left to right, as the tiles that were filled.
    pub(crate) fragments: Vec<Fragment>,
    pub(crate) filled: Vec<Filled>,
}

impl Edge {
    /// The edge of the empty tree.
    #[cfg(test)]
    pub(crate) fn empty() -> Self {
        Self { frontier: Frontier::new(), levels: vec![EdgeTile::default(); usize::from(LEVELS)] }
    }

    /// An edge read from the store. The caller compares [`Edge::root`] with a signed root.
    pub(crate) fn stored(frontier: Frontier, levels: Vec<EdgeTile>) -> Self {
        Self { frontier, levels }
    }

    pub(crate) fn size(&self) -> u64 {
        self.frontier.size()
    }

    pub(crate) fn root(&self) -> Hash {
        self.frontier.root()
    }

    /// The hashes of the partial tile at this level.
    pub(crate) fn hashes(&self, level: u8) -> &[Hash] {
        self.levels.get(usize::from(level)).map_or(&[], |tile| tile.nodes.hashes())
    }

    /// The tile with this id, if it is the partial one of its level.
    pub(crate) fn tile(&self, id: TileId) -> Option<&Arc<TileNodes>> {
        let is_edge = id.index == full_tiles(id.level, self.size());
        self.levels.get(usize::from(id.level)).filter(|_| is_edge).map(|tile| &tile.nodes)
    }

    /// Adds leaves, and returns what has to be stored.
    pub(crate) fn integrate(&mut self, leaves: &[Hash]) -> Grown {
        let mut grown = Grown::default();
        let mut growing: Vec<_> = (0u8..).zip(&mut self.levels).map(Growing::new).collect();
        for (level, tile) in (0u8..).zip(&mut growing) {
            tile.first = full_tiles(level, self.frontier.size()) * WIDTH;
        }
        for leaf in leaves {
            self.frontier.push_visit(*leaf, |coord, hash| {
                let (level, height) = (coord.level / TILE_HEIGHT, coord.level % TILE_HEIGHT);
                if let Some(tile) = growing.get_mut(usize::from(level)) {
                    tile.push(height, hash, &mut grown);
                }
            });
        }
        for tile in growing {
            tile.end(&mut grown);
        }
        grown.fragments.sort_unstable_by_key(|fragment| (fragment.level, fragment.first));
        grown.filled.sort_unstable_by_key(|filled| (filled.id.level, filled.id.index));
        grown
    }
}

/// One level while leaves are integrated.
struct Growing<'a> {
    level: u8,
    tile: &'a mut EdgeTile,
    /// Index, at this level, of the tile's first hash.
    first: u64,
    /// Hashes of the tile that were there before.
    stored: usize,
}

impl<'a> Growing<'a> {
    fn new((level, tile): (u8, &'a mut EdgeTile)) -> Self {
        let stored = tile.nodes.hashes().len();
        Self { level, tile, first: 0, stored }
    }

    /// A node of this level's tiles. The nodes above a full tile's hashes come before the first hash of the next tile.
    fn push(&mut self, height: u8, node: Hash, out: &mut Grown) {
        if height == 0 && self.tile.nodes.is_full() {
            self.finish(out);
        }
        Arc::make_mut(&mut self.tile.nodes).push(height, node);
    }

    /// The tile is full: it is written whole, and what earlier commits stored of it goes.
    fn finish(&mut self, out: &mut Grown) {
        let EdgeTile { nodes, starts: replaces } = std::mem::take(self.tile);
        let id = TileId::new(self.level, self.first / WIDTH);
        out.filled.push(Filled { id, nodes, replaces });
        (self.first, self.stored) = (self.first + WIDTH, 0);
    }

    fn end(mut self, out: &mut Grown) {
        if self.tile.nodes.is_full() {
            return self.finish(out);
        }
        let new = self.tile.nodes.hashes().get(self.stored..).unwrap_or_default();
        if !new.is_empty() {
            let first = self.first + self.stored as u64;
            self.tile.starts.push(first);
            out.fragments.push(Fragment { level: self.level, first, hashes: new.to_vec() });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use treering_tlog::hash::{leaf_hash, node_hash};

    use super::*;

    fn leaves(n: u64) -> Vec<Hash> {
        (0..n).map(|i| leaf_hash(&i.to_be_bytes())).collect()
    }

    fn complete(hashes: &[Hash]) -> Hash {
        match hashes {
            [one] => *one,
            more => {
                let (left, right) = more.split_at(more.len() / 2);
                node_hash(&complete(left), &complete(right))
            }
        }
    }

    /// What a reader would find in the store after some batches.
    fn stored(batches: &[usize]) -> (Edge, BTreeMap<(u8, u64), Vec<Hash>>) {
        let all = leaves(batches.iter().sum::<usize>() as u64);
        let (mut edge, mut store, mut rest) = (Edge::empty(), BTreeMap::new(), &all[..]);
        for batch in batches {
            let (now, later) = rest.split_at(*batch);
            let grown = edge.integrate(now);
            for Filled { id, nodes, replaces } in grown.filled {
                assert_eq!(*nodes, TileNodes::from_hashes(nodes.hashes().to_vec()), "{id:?}");
                for start in replaces {
                    assert!(store.remove(&(id.level, start)).is_some(), "a fragment that was never stored");
                }
                store.insert((id.level, id.index * WIDTH), nodes.hashes().to_vec());
            }
            for fragment in grown.fragments {
                store.insert((fragment.level, fragment.first), fragment.hashes);
            }
            rest = later;
        }
        (edge, store)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        /// However the log grew, the stored hashes of each level are the same, tiles are never crossed, and a
        /// full tile is one value.
        #[test]
        fn fragments_make_the_tiles(batches in proptest::collection::vec(1usize..600, 1..12)) {
            let (edge, store) = stored(&batches);
            let total: usize = batches.iter().sum();
            let mut level_hashes = leaves(total as u64);
            for level in 0..3u8 {
                let mut found = Vec::new();
                for ((_, first), hashes) in store.range((level, 0)..(level + 1, 0)) {
                    prop_assert_eq!(*first, found.len() as u64);
                    prop_assert_eq!(first / WIDTH, (first + hashes.len() as u64 - 1) / WIDTH);
                    let tile_end = (first / WIDTH + 1) * WIDTH;
                    if tile_end <= level_hashes.len() as u64 {
                        prop_assert_eq!(hashes.len() as u64, WIDTH, "a full tile is one value");
                    }
                    found.extend_from_slice(hashes);
                }
                prop_assert_eq!(&found, &level_hashes);
                prop_assert_eq!(edge.hashes(level), &found[found.len() - found.len() % 256..]);
                level_hashes = level_hashes.chunks_exact(256).map(complete).collect();
            }
        }
    }

    #[test]
    fn one_at_a_time_and_all_at_once_agree() {
        let (single, singles) = stored(&[1; 600]);
        let (bulk, bulks) = stored(&[600]);
        assert_eq!(single.root(), bulk.root());
        let full = |store: &BTreeMap<(u8, u64), Vec<Hash>>| store.get(&(0, 256)).cloned().unwrap();
        assert_eq!(full(&singles), full(&bulks));
        assert_eq!(singles.range((0, 0)..(0, 512)).count(), 2);
    }
}
