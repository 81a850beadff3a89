//! Subtrees of Merkle Tree Certificates (draft-ietf-plants-merkle-tree-certs, editor's copy of August 2026).
//!
//! In scope: subtree inclusion and consistency proofs, and the two subtrees that cover an interval. Out of scope:
//! certificates, landmarks, subtree signatures. A draft: only this module changes with it, and nothing of it is stored.

use crate::{
    hash::{EMPTY_ROOT, Hash, node_hash},
    inclusion::{self, ProofError, split},
    tree::{NodeCoord, RangeError, is_subtree, range_root},
};

/// Proves that the leaf at `index` (counted in the whole tree) is in the subtree of leaves `[start, end)`.
pub fn prove_inclusion<E>(
    index: u64,
    start: u64,
    end: u64,
    mut node: impl FnMut(NodeCoord) -> Result<Hash, E>,
) -> Result<Vec<Hash>, RangeError<E>> {
    if !is_subtree(start, end) || !(start..end).contains(&index) {
        return Err(RangeError::NotASubtree { start, end });
    }
    inclusion::prove_range(index, start, end, &mut node)
}

/// Checks that `leaf` is at `index` (counted in the whole tree) in the subtree of leaves `[start, end)` with this root.
pub fn verify_inclusion(
    leaf: &Hash,
    index: u64,
    start: u64,
    end: u64,
    path: &[Hash],
    root: &Hash,
) -> Result<(), ProofError> {
    if !is_subtree(start, end) {
        return Err(ProofError::NotASubtree { start, end, size: end });
    }
    if !(start..end).contains(&index) {
        return Err(ProofError::IndexBeyondSize { index, size: end });
    }
    // Its start is aligned to more than its length, so a subtree is a tree of its own.
    inclusion::verify(leaf, index - start, end - start, path, root)
}

/// Proves that the subtree of leaves `[start, end)` is part of the tree of `size` leaves.
///
/// For an empty subtree and for the whole tree the proof is empty.
pub fn prove_consistency<E>(
    start: u64,
    end: u64,
    size: u64,
    mut node: impl FnMut(NodeCoord) -> Result<Hash, E>,
) -> Result<Vec<Hash>, RangeError<E>> {
    if !is_subtree(start, end) || end > size {
        return Err(RangeError::NotASubtree { start, end });
    }
    let mut proof = Vec::new();
    if start == end {
        return Ok(proof);
    }
    // SUBTREE_SUBPROOF of the draft, walked down: [low, high) is the part of the tree that still contains the subtree's
    // right end, `whole` says that it has not yet been cut into.
    let (mut low, mut high, mut whole) = (0, size, true);
    let mut first = start;
    while (first, end) != (low, high) {
        let middle = low + split(high - low);
        if end <= middle {
            proof.push(range_root(middle, high, &mut node)?);
            high = middle;
        } else {
            proof.push(range_root(low, middle, &mut node)?);
            if first < middle {
                whole = false;
                first = middle;
            }
            low = middle;
        }
    }
    if !whole {
        proof.push(range_root(low, high, &mut node)?);
    }
    proof.reverse();
    Ok(proof)
}

/// Checks that the subtree of leaves `[start, end)` with hash `subtree` is part of the tree of `size` leaves with this
/// root.
pub fn verify_consistency(
    start: u64,
    end: u64,
    size: u64,
    path: &[Hash],
    subtree: &Hash,
    root: &Hash,
) -> Result<(), ProofError> {
    if !is_subtree(start, end) || end > size {
        return Err(ProofError::NotASubtree { start, end, size });
    }
    if start == end {
        return verify_empty(size, path, subtree, root);
    }
    let (mut first, mut last, mut edge) = (start, end - 1, size - 1);
    // Up to the largest complete node that ends where the subtree ends; or, where both end on the right edge, up to the
    // subtree itself.
    while first != last && (last == edge || last & 1 == 1) {
        (first, last, edge) = (first >> 1, last >> 1, edge >> 1);
    }
    let (seed, rest) = if first == last {
        (subtree, path)
    } else {
        path.split_first().ok_or(ProofError::PathLength { actual: 0, wanted: 1 })?
    };
    let (mut subtree_hash, mut tree_hash) = (*seed, *seed);
    for (used, sibling) in rest.iter().enumerate() {
        if edge == 0 {
            return Err(ProofError::PathLength { actual: rest.len(), wanted: used });
        }
        if last & 1 == 1 || last == edge {
            if first < last {
                subtree_hash = node_hash(sibling, &subtree_hash);
            }
            tree_hash = node_hash(sibling, &tree_hash);
            // Not zero here: an odd number is not, and equal to an edge that is not zero neither.
            let skipped = last.trailing_zeros();
            (first, last, edge) = (first >> skipped, last >> skipped, edge >> skipped);
        } else {
            tree_hash = node_hash(&tree_hash, sibling);
        }
        (first, last, edge) = (first >> 1, last >> 1, edge >> 1);
    }
    if edge != 0 {
        return Err(ProofError::PathLength { actual: path.len(), wanted: path.len() + 1 });
    }
    if subtree_hash != *subtree {
        return Err(ProofError::OldRoot { actual: subtree_hash, wanted: *subtree });
    }
    if tree_hash == *root { Ok(()) } else { Err(ProofError::Root { actual: tree_hash, wanted: *root }) }
}

/// The two subtrees that together cover leaves `[start, end)`, the left one possibly starting earlier.
pub fn covering(start: u64, end: u64) -> Option<[(u64, u64); 2]> {
    let len = end.checked_sub(start)?;
    if len <= 1 {
        return Some([(start, end), (end, end)]);
    }
    let last = end - 1;
    // The bit at which the ways to the first and the last leaf part: the two subtrees are on either side of it.
    let parting = (start ^ last).ilog2();
    let mask = (1u64 << parting) - 1;
    let middle = last & !mask;
    // The left one is as small as it can be and still begin at a multiple of a power of two that holds it.
    let left_bits = 64 - (!start & mask).leading_zeros();
    let left_start = start & !((1u64 << left_bits) - 1);
    Some([(left_start, middle), (middle, end)])
}

/// Nothing binds an empty subtree to a tree, so its hash can only be that of nothing; the same for an empty tree.
fn verify_empty(size: u64, path: &[Hash], subtree: &Hash, root: &Hash) -> Result<(), ProofError> {
    if !path.is_empty() {
        return Err(ProofError::PathLength { actual: path.len(), wanted: 0 });
    }
    if *subtree != EMPTY_ROOT {
        return Err(ProofError::OldRoot { actual: EMPTY_ROOT, wanted: *subtree });
    }
    if size == 0 && *root != EMPTY_ROOT {
        return Err(ProofError::Root { actual: EMPTY_ROOT, wanted: *root });
    }
    Ok(())
}
