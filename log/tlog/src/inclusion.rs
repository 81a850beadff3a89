//! Inclusion proofs of RFC 9162, section 2.1.3.
//!
//! In scope: which hashes a proof has, making one from stored nodes, checking one. Out of scope: what an entry means,
//! and whether the root is believed.

use thiserror::Error;

use crate::{
    hash::{Hash, node_hash},
    tree::{NodeCoord, RangeError, range_root},
};

/// Proves that the leaf at `index` is in the tree of the first `size` leaves.
pub fn prove<E>(
    index: u64,
    size: u64,
    mut node: impl FnMut(NodeCoord) -> Result<Hash, E>,
) -> Result<Vec<Hash>, RangeError<E>> {
    if index >= size {
        return Err(RangeError::NotASubtree { start: index, end: size });
    }
    prove_range(index, 0, size, &mut node)
}

/// Proves that the leaf at `index` is in the subtree of leaves `[start, end)`; the caller has checked the order.
pub(crate) fn prove_range<E>(
    index: u64,
    mut start: u64,
    mut end: u64,
    node: &mut impl FnMut(NodeCoord) -> Result<Hash, E>,
) -> Result<Vec<Hash>, RangeError<E>> {
    let mut siblings = Vec::new();
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            siblings.push(range_root(middle, end, &mut *node)?);
            end = middle;
        } else {
            siblings.push(range_root(start, middle, &mut *node)?);
            start = middle;
        }
    }
    // Found from the root down; a proof is written from the leaf up.
    siblings.reverse();
    Ok(siblings)
}

/// How many hashes the proof for `index` in a tree of `size` has. At most 64.
pub fn path_len(index: u64, size: u64) -> Result<usize, ProofError> {
    let (inner, border) = path_shape(index, size)?;
    Ok(inner + border)
}

/// The root that a leaf hash and its path lead to.
///
/// A path of another length than [`path_len`] is refused: a surplus or missing hash would let one proof stand for
/// another position.
pub fn root_from_path(leaf: &Hash, index: u64, size: u64, path: &[Hash]) -> Result<Hash, ProofError> {
    let (inner, border) = path_shape(index, size)?;
    if path.len() != inner + border {
        return Err(ProofError::PathLength { actual: path.len(), wanted: inner + border });
    }
    // Below the point where the leaf's way meets the right edge, the bits of the index say on which side the sibling
    // is; above it every sibling is to the left.
    let root = path.iter().enumerate().fold(*leaf, |hash, (height, sibling)| {
        if height < inner && (index >> height) & 1 == 0 {
            node_hash(&hash, sibling)
        } else {
            node_hash(sibling, &hash)
        }
    });
    Ok(root)
}

/// Checks that `leaf` is at `index` in the tree of `size` leaves with this root.
pub fn verify(leaf: &Hash, index: u64, size: u64, path: &[Hash], root: &Hash) -> Result<(), ProofError> {
    let actual = root_from_path(leaf, index, size, path)?;
    if actual == *root { Ok(()) } else { Err(ProofError::Root { actual, wanted: *root }) }
}

/// Why an inclusion or consistency proof is refused.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum ProofError {
    /// The index is not in the tree.
    #[error("leaf index {index} is not below tree size {size}")]
    IndexBeyondSize {
        /// Index asked for.
        index: u64,
        /// Leaves in the tree.
        size: u64,
    },
    /// The proof leads to another root of the older tree.
    #[error("proof leads to old root {actual:?}, want {wanted:?}")]
    OldRoot {
        /// Root computed.
        actual: Hash,
        /// Root claimed.
        wanted: Hash,
    },
    /// Too many or too few hashes.
    #[error("proof has {actual} hashes, want {wanted}")]
    PathLength {
        /// Hashes found.
        actual: usize,
        /// Hashes needed.
        wanted: usize,
    },
    /// The range is not a subtree of the tree.
    #[error("range [{start}, {end}) is not a subtree of a tree of size {size}")]
    NotASubtree {
        /// First leaf.
        start: u64,
        /// Leaf after the last.
        end: u64,
        /// Leaves in the tree.
        size: u64,
    },
    /// The proof leads to another root.
    #[error("proof leads to root {actual:?}, want {wanted:?}")]
    Root {
        /// Root computed.
        actual: Hash,
        /// Root claimed.
        wanted: Hash,
    },
    /// The older tree is larger than the newer one.
    #[error("old size {old} is larger than new size {new}")]
    SizesReversed {
        /// Size of the older tree.
        old: u64,
        /// Size of the newer tree.
        new: u64,
    },
}

/// The largest power of two below `len`, which must be at least 2: where RFC 9162 splits a tree.
pub(crate) const fn split(len: u64) -> u64 {
    1 << (len - 1).ilog2()
}

/// Siblings below and on the right edge.
fn path_shape(index: u64, size: u64) -> Result<(usize, usize), ProofError> {
    if index >= size {
        return Err(ProofError::IndexBeyondSize { index, size });
    }
    let inner = 64 - (index ^ (size - 1)).leading_zeros();
    let border = index.checked_shr(inner).unwrap_or(0).count_ones();
    Ok((inner as usize, border as usize))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::leaf_hash;

    #[test]
    fn a_single_leaf_is_its_own_root() {
        let leaf = leaf_hash(b"only");
        assert_eq!(verify(&leaf, 0, 1, &[], &leaf), Ok(()));
        assert_eq!(verify(&leaf, 0, 1, &[leaf], &leaf), Err(ProofError::PathLength { actual: 1, wanted: 0 }));
        assert_eq!(path_len(1, 1), Err(ProofError::IndexBeyondSize { index: 1, size: 1 }));
        assert_eq!(path_len(0, 0), Err(ProofError::IndexBeyondSize { index: 0, size: 0 }));
    }

    #[test]
    fn the_largest_tree_has_paths_of_64_hashes() {
        assert_eq!(path_len(0, u64::MAX), Ok(64));
        assert_eq!(path_len(u64::MAX - 1, u64::MAX), Ok(63));
        assert_eq!(split(u64::MAX), 1 << 63);
        assert_eq!(split(2), 1);
    }
}
