//! The shape of the tree: node coordinates, the right edge, roots from stored nodes.
//!
//! In scope: which complete nodes a tree, a range or a root is made of, and growing a tree by leaves while keeping only
//! its right edge. Out of scope: where nodes are stored; they are read through a closure from a [`NodeCoord`].
//!
//! A *complete* node covers a full power of two of leaves. Only complete nodes have coordinates, because only they never
//! change as the tree grows; the ragged nodes of the right edge are hashed from them when needed.

use thiserror::Error;

use crate::hash::{EMPTY_ROOT, Hash, node_hash};

/// Place of a complete node: it covers leaves `[index << level, (index + 1) << level)`; level 0 are the leaves.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct NodeCoord {
    /// Height above the leaves, at most 63.
    pub level: u8,
    /// Position among the nodes of its level, from the left.
    pub index: u64,
}

impl NodeCoord {
    /// The node at a level and index.
    pub const fn new(level: u8, index: u64) -> Self {
        Self { level, index }
    }

    /// The leaf at an index.
    pub const fn leaf(index: u64) -> Self {
        Self { level: 0, index }
    }
}

/// The right edge of a tree: the roots of its complete subtrees, largest first. All that is needed to append.
///
/// ```
/// use treering_tlog::{hash::leaf_hash, tree::Frontier};
///
/// let mut tree = Frontier::new();
/// tree.push(leaf_hash(b"one"));
/// assert_eq!(tree.size(), 1);
/// assert_eq!(tree.root(), leaf_hash(b"one"));
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Frontier {
    size: u64,
    /// One hash for each set bit of `size`, highest bit first.
    peaks: Vec<Hash>,
}

impl Frontier {
    /// The empty tree.
    pub const fn new() -> Self {
        Self { size: 0, peaks: Vec::new() }
    }

    /// The right edge of a tree of `size` leaves, read from stored nodes.
    pub fn read<E>(size: u64, mut node: impl FnMut(NodeCoord) -> Result<Hash, E>) -> Result<Self, E> {
        let peaks = peaks(size).into_iter().map(&mut node).collect::<Result<_, _>>()?;
        Ok(Self { size, peaks })
    }

    /// Leaves so far.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the complete subtrees, largest first, at the places that [`peaks`] names.
    pub fn hashes(&self) -> &[Hash] {
        &self.peaks
    }

    /// Appends a leaf (its hash, not the entry).
    pub fn push(&mut self, leaf: Hash) {
        self.push_visit(leaf, |_, _| ());
    }

    /// Appends a leaf and shows every complete node this makes, the leaf first, then upward.
    pub fn push_visit(&mut self, leaf: Hash, mut visit: impl FnMut(NodeCoord, Hash)) {
        let mut coord = NodeCoord::leaf(self.size);
        let mut hash = leaf;
        visit(coord, hash);
        // Each trailing one bit of the old size is a complete subtree that the new one joins from the right.
        while coord.index & 1 == 1 {
            let Some(left) = self.peaks.pop() else { break };
            hash = node_hash(&left, &hash);
            coord = NodeCoord::new(coord.level + 1, coord.index >> 1);
            visit(coord, hash);
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// Appends a complete subtree of `2^level` leaves by its root; refused if the tree does not end at such a border.
    pub fn push_complete(&mut self, level: u8, root: Hash) -> bool {
        let Some(leaves) = 1u64.checked_shl(u32::from(level)) else { return false };
        let Some(size) = self.size.checked_add(leaves).filter(|_| self.size.is_multiple_of(leaves)) else {
            return false;
        };
        let (mut index, mut hash) = (self.size >> level, root);
        while index & 1 == 1 {
            let Some(left) = self.peaks.pop() else { break };
            hash = node_hash(&left, &hash);
            index >>= 1;
        }
        self.peaks.push(hash);
        self.size = size;
        true
    }

    /// The root of the whole tree.
    pub fn root(&self) -> Hash {
        fold_peaks(&self.peaks)
    }
}

/// The complete subtrees that a tree of `size` leaves is made of, largest (leftmost) first. At most 64.
pub fn peaks(size: u64) -> Vec<NodeCoord> {
    let (mut rest, mut out) = (size, Vec::with_capacity(size.count_ones() as usize));
    while let Some(bit) = rest.checked_ilog2() {
        rest ^= 1 << bit;
        // At most 63.
        let level = u8::try_from(bit).unwrap_or(u8::MAX);
        // What is left of the subtree are the larger ones: the bits above this one.
        out.push(NodeCoord::new(level, (size >> bit) ^ 1));
    }
    out
}

/// The root of the first `size` leaves, from at most 64 stored nodes.
pub fn root_at<E>(size: u64, node: impl FnMut(NodeCoord) -> Result<Hash, E>) -> Result<Hash, E> {
    Ok(Frontier::read(size, node)?.root())
}

/// The Merkle tree hash of leaves `[start, end)`, from stored nodes.
///
/// The range must be one that occurs as a subtree: `start` a multiple of the smallest power of two that is not less
/// than the length. Every sibling in a proof is such a range.
pub fn range_root<E>(
    start: u64,
    end: u64,
    mut node: impl FnMut(NodeCoord) -> Result<Hash, E>,
) -> Result<Hash, RangeError<E>> {
    if !is_subtree(start, end) {
        return Err(RangeError::NotASubtree { start, end });
    }
    // Almost every sibling is one complete node.
    if (end - start).is_power_of_two() {
        let level = u8::try_from((end - start).ilog2()).unwrap_or(u8::MAX);
        return node(NodeCoord::new(level, start >> level)).map_err(RangeError::Node);
    }
    // Because start is aligned to more than the length, the peaks of the range are the peaks of a tree of its length,
    // moved right by start.
    let hashes = peaks(end - start)
        .into_iter()
        .map(|peak| node(NodeCoord::new(peak.level, peak.index + (start >> peak.level))))
        .collect::<Result<Vec<_>, _>>()
        .map_err(RangeError::Node)?;
    Ok(fold_peaks(&hashes))
}

/// Whether leaves `[start, end)` can be a subtree of some tree. The empty range is one wherever it is.
pub fn is_subtree(start: u64, end: u64) -> bool {
    match end.checked_sub(start) {
        None => false,
        // A range longer than 2^63 can only start at 0: there is no larger power of two to be a multiple of.
        Some(len) => len.checked_next_power_of_two().map_or(start == 0, |width| start.is_multiple_of(width)),
    }
}

/// Why the hash of a range was not computed.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum RangeError<E> {
    /// A node could not be read.
    #[error("node not read: {0}")]
    Node(E),
    /// The range is not a subtree of any tree.
    #[error("range [{start}, {end}) is not a subtree: its start is not aligned to its length")]
    NotASubtree {
        /// First leaf.
        start: u64,
        /// Leaf after the last.
        end: u64,
    },
}

/// Hashes the complete subtrees of the right edge together, from the right.
fn fold_peaks(peaks: &[Hash]) -> Hash {
    peaks.iter().copied().rev().reduce(|right, left| node_hash(&left, &right)).unwrap_or(EMPTY_ROOT)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::convert::Infallible;

    use super::*;
    use crate::hash::leaf_hash;

    /// The definition of RFC 9162, section 2.1.1, word for word: the slow truth.
    fn mth(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => EMPTY_ROOT,
            [leaf] => *leaf,
            _ => {
                let split = leaves.len().next_power_of_two() / 2;
                node_hash(&mth(&leaves[..split]), &mth(&leaves[split..]))
            }
        }
    }

    #[test]
    fn growing_reading_and_defining_agree() {
        let leaves: Vec<Hash> = (0u64..300).map(|i| leaf_hash(&i.to_be_bytes())).collect();
        let mut nodes = BTreeMap::new();
        let mut tree = Frontier::new();
        assert_eq!(tree.root(), EMPTY_ROOT);
        for (i, leaf) in leaves.iter().enumerate() {
            tree.push_visit(*leaf, |coord, hash| {
                assert_eq!(nodes.insert(coord, hash), None, "a complete node is made once");
            });
            let size = i as u64 + 1;
            assert_eq!(tree.size(), size);
            assert_eq!(tree.root(), mth(&leaves[..=i]));
            assert_eq!(Frontier::read::<Infallible>(size, |coord| Ok(nodes[&coord])), Ok(tree.clone()));
        }
        for start in 0..300usize {
            for end in start..300 {
                let root = range_root::<Infallible>(start as u64, end as u64, |coord| Ok(nodes[&coord]));
                if is_subtree(start as u64, end as u64) {
                    assert_eq!(root, Ok(mth(&leaves[start..end])));
                } else {
                    assert_eq!(root, Err(RangeError::NotASubtree { start: start as u64, end: end as u64 }));
                }
            }
        }
    }

    #[test]
    fn subtrees_are_appended_as_their_leaves_are() {
        let leaves: Vec<Hash> = (0u64..64).map(|i| leaf_hash(&i.to_be_bytes())).collect();
        for level in 0..4u8 {
            let (mut whole, mut single) = (Frontier::new(), Frontier::new());
            for chunk in leaves.chunks(1 << level) {
                assert!(whole.push_complete(level, mth(chunk)));
                for leaf in chunk {
                    single.push(*leaf);
                }
                assert_eq!(whole, single);
            }
        }
        let mut tree = Frontier::new();
        tree.push(leaves[0]);
        assert!(!tree.push_complete(1, leaves[1]) && !tree.push_complete(64, leaves[1]));
        assert_eq!(tree.size(), 1);
    }

    #[test]
    fn the_largest_sizes_do_not_overflow() {
        assert_eq!(peaks(u64::MAX).len(), 64);
        assert_eq!(peaks(1 << 63), [NodeCoord::new(63, 0)]);
        assert!(is_subtree(0, u64::MAX));
        assert!(!is_subtree(1, u64::MAX));
        assert!(!is_subtree(2, 1));
        assert!(is_subtree(u64::MAX, u64::MAX));
    }
}
