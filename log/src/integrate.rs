//! Integration, pure: the right edge and new leaves in, the next right edge and tile fragments out.
//!
//! A tile or bundle is stored in *fragments*, one per commit that added to it, so that a commit writes only
//! what is new. The commit that fills it writes the whole value once and removes the fragments before it:
//! every hash and entry is written at most twice, however large the log is.

use treering_tlog::{hash::Hash, tile::TILE_HEIGHT, tree::Frontier};

use crate::schema::{LEVELS, WIDTH};

/// The right edge of the tree: all that the sequencer keeps in memory. At most 8 levels of 255 hashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Edge {
    frontier: Frontier,
    levels: Vec<EdgeTile>,
}

/// The partial tile at the right end of one level.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct EdgeTile {
    /// The hashes of the tile so far, fewer than 256.
    pub(crate) hashes: Vec<Hash>,
    /// Where its stored fragments begin.
    pub(crate) starts: Vec<u64>,
}

/// One value to be stored: consecutive hashes of one level, never across a tile border.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fragment {
    pub(crate) level: u8,
    /// Index, at this level, of the first hash.
    pub(crate) first: u64,
    pub(crate) hashes: Vec<Hash>,
    /// Fragments that this one contains and replaces.
    pub(crate) replaces: Vec<u64>,
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
        self.levels.get(usize::from(level)).map_or(&[], |tile| &tile.hashes)
    }

    /// Adds leaves, and returns what has to be stored, level by level and left to right.
    pub(crate) fn integrate(&mut self, leaves: &[Hash]) -> Vec<Fragment> {
        let size = self.size();
        let mut added: Vec<Vec<Hash>> = vec![Vec::new(); usize::from(LEVELS)];
        for leaf in leaves {
            self.frontier.push_visit(*leaf, |coord, hash| {
                let level = usize::from(coord.level / TILE_HEIGHT);
                if let (0, Some(hashes)) = (coord.level % TILE_HEIGHT, added.get_mut(level)) {
                    hashes.push(hash);
                }
            });
        }
        let mut fragments = Vec::new();
        for ((level, tile), hashes) in (0..LEVELS).zip(&mut self.levels).zip(added) {
            let first = size.checked_shr(u32::from(level) * u32::from(TILE_HEIGHT)).unwrap_or(0);
            tile.extend(level, first, &hashes, &mut fragments);
        }
        fragments
    }
}

impl EdgeTile {
    fn extend(&mut self, level: u8, mut first: u64, mut hashes: &[Hash], out: &mut Vec<Fragment>) {
        while !hashes.is_empty() {
            let tile_start = first - first % WIDTH;
            let room = usize::try_from(tile_start + WIDTH - first).unwrap_or(0);
            let (now, later) = hashes.split_at_checked(room).unwrap_or((hashes, &[]));
            self.hashes.extend_from_slice(now);
            if now.len() == room {
                let mut replaces = std::mem::take(&mut self.starts);
                replaces.retain(|start| *start != tile_start);
                let hashes = std::mem::take(&mut self.hashes);
                out.push(Fragment { level, first: tile_start, hashes, replaces });
            } else {
                self.starts.push(first);
                out.push(Fragment { level, first, hashes: now.to_vec(), replaces: Vec::new() });
            }
            first += now.len() as u64;
            hashes = later;
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
            for fragment in edge.integrate(now) {
                for start in fragment.replaces {
                    assert!(
                        store.remove(&(fragment.level, start)).is_some(),
                        "a fragment that was never stored"
                    );
                }
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
