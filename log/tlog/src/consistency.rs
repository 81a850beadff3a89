//! Consistency proofs of RFC 9162, section 2.1.4: the newer tree starts with the older one.
//!
//! In scope: making a proof from stored nodes, checking one. Out of scope: whether either root is believed.

use crate::{
    hash::{EMPTY_ROOT, Hash, node_hash},
    inclusion::{ProofError, split},
    tree::{NodeCoord, RangeError, range_root},
};

/// Proves that the tree of `old` leaves is a prefix of the tree of `new` leaves.
///
/// From the empty tree to any tree, and from a tree to itself, the proof is empty.
pub fn prove<E>(
    old: u64,
    new: u64,
    mut node: impl FnMut(NodeCoord) -> Result<Hash, E>,
) -> Result<Vec<Hash>, RangeError<E>> {
    if old > new {
        return Err(RangeError::NotASubtree { start: old, end: new });
    }
    let mut proof = Vec::new();
    if old == 0 || old == new {
        return Ok(proof);
    }
    // SUBPROOF of the RFC, walked down instead of recursed. Once the walk has gone right, the subtree it ends in is not
    // the old tree any more, and its root must be in the proof.
    let (mut start, mut end) = (0, new);
    while end != old {
        let middle = start + split(end - start);
        if old <= middle {
            proof.push(range_root(middle, end, &mut node)?);
            end = middle;
        } else {
            proof.push(range_root(start, middle, &mut node)?);
            start = middle;
        }
    }
    if start != 0 {
        proof.push(range_root(start, end, &mut node)?);
    }
    proof.reverse();
    Ok(proof)
}

/// Checks that the tree of `old` leaves with root `old_root` is a prefix of the tree of `new` leaves with root
/// `new_root`.
///
/// Old size 0 is accepted only with the root of the empty tree and an empty proof: anything else would let a caller
/// believe that something was checked about a root that means nothing.
pub fn verify(old: u64, new: u64, old_root: &Hash, new_root: &Hash, path: &[Hash]) -> Result<(), ProofError> {
    if old > new {
        return Err(ProofError::SizesReversed { old, new });
    }
    if old == 0 || old == new {
        if !path.is_empty() {
            return Err(ProofError::PathLength { actual: path.len(), wanted: 0 });
        }
        if old == 0 && *old_root != EMPTY_ROOT {
            return Err(ProofError::OldRoot { actual: EMPTY_ROOT, wanted: *old_root });
        }
        if old == new && old_root != new_root {
            return Err(ProofError::Root { actual: *new_root, wanted: *old_root });
        }
        return Ok(());
    }
    let actual = self::new_root(old, new, old_root, path)?;
    if actual != *new_root {
        return Err(ProofError::Root { actual, wanted: *new_root });
    }
    Ok(())
}

/// The two roots that a path leads to, whatever roots are believed: the old and the new one.
///
/// If the new one is that of a believed tree, then that tree begins with the old one, even where a signature says another.
/// `None` if the path has another length, or if its old root is not in it: that of a complete tree is not sent.
pub fn roots_of(old: u64, new: u64, path: &[Hash]) -> Option<(Hash, Hash)> {
    if old == 0 || old >= new || old.is_power_of_two() {
        return None;
    }
    roots_from_path(old, new, &EMPTY_ROOT, path).ok()
}

/// How many hashes the proof from `old` to `new` has. At most 64.
pub fn path_len(old: u64, new: u64) -> Result<usize, ProofError> {
    if old > new {
        return Err(ProofError::SizesReversed { old, new });
    }
    if old == 0 || old == new {
        return Ok(0);
    }
    // The walk of `prove`: one hash for every step, and one more if the old tree is not complete.
    let (mut start, mut end, mut steps) = (0, new, 0);
    while end != old {
        let middle = start + split(end - start);
        if old <= middle {
            end = middle;
        } else {
            start = middle;
        }
        steps += 1;
    }
    Ok(steps + usize::from(start != 0))
}

/// The root of the newer tree, as the path leads to it from the older one: for who trusts the older root alone, and
/// will compare or verify a signature over what comes out. That a path fits says nothing about the newer tree.
///
/// No path leads from the empty tree, which is the beginning of every tree.
pub fn new_root(old: u64, new: u64, old_root: &Hash, path: &[Hash]) -> Result<Hash, ProofError> {
    if old > new {
        return Err(ProofError::SizesReversed { old, new });
    }
    if old == 0 {
        return Err(ProofError::NotASubtree { start: 0, end: 0, size: new });
    }
    if old == new {
        let surplus = ProofError::PathLength { actual: path.len(), wanted: 0 };
        return if path.is_empty() { Ok(*old_root) } else { Err(surplus) };
    }
    let (actual_old, root) = roots_from_path(old, new, old_root, path)?;
    if actual_old != *old_root {
        return Err(ProofError::OldRoot { actual: actual_old, wanted: *old_root });
    }
    Ok(root)
}

/// Both roots that a path leads to; `0 < old < new`.
fn roots_from_path(old: u64, new: u64, old_root: &Hash, path: &[Hash]) -> Result<(Hash, Hash), ProofError> {
    let length_error = || {
        path_len(old, new).map_or_else(|e| e, |wanted| ProofError::PathLength { actual: path.len(), wanted })
    };
    let (mut old_edge, mut new_edge) = (old - 1, new - 1);
    let shared = old_edge.trailing_ones();
    old_edge >>= shared;
    new_edge >>= shared;
    // If the old tree is complete its root starts the computation and is not sent.
    let (first, rest) =
        if old.is_power_of_two() { (old_root, path) } else { path.split_first().ok_or_else(length_error)? };
    let (mut old_hash, mut new_hash) = (*first, *first);
    for sibling in rest {
        if new_edge == 0 {
            return Err(length_error());
        }
        if old_edge & 1 == 1 || old_edge == new_edge {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
            // Not zero here: an odd number is not, and equal to a new edge that is not zero neither.
            let skipped = old_edge.trailing_zeros();
            old_edge >>= skipped;
            new_edge >>= skipped;
        } else {
            new_hash = node_hash(&new_hash, sibling);
        }
        old_edge >>= 1;
        new_edge >>= 1;
    }
    if new_edge == 0 { Ok((old_hash, new_hash)) } else { Err(length_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::leaf_hash;

    #[test]
    fn the_empty_tree_is_a_prefix_only_as_itself() {
        let root = leaf_hash(b"x");
        assert_eq!(verify(0, 1, &EMPTY_ROOT, &root, &[]), Ok(()));
        assert_eq!(verify(0, 0, &EMPTY_ROOT, &EMPTY_ROOT, &[]), Ok(()));
        assert_eq!(
            verify(0, 1, &root, &root, &[]),
            Err(ProofError::OldRoot { actual: EMPTY_ROOT, wanted: root })
        );
        assert_eq!(
            verify(0, 1, &EMPTY_ROOT, &root, &[root]),
            Err(ProofError::PathLength { actual: 1, wanted: 0 })
        );
        assert_eq!(
            verify(0, 0, &EMPTY_ROOT, &root, &[]),
            Err(ProofError::Root { actual: root, wanted: EMPTY_ROOT })
        );
        assert_eq!(verify(2, 1, &root, &root, &[]), Err(ProofError::SizesReversed { old: 2, new: 1 }));
    }

    #[test]
    fn no_path_leads_from_the_empty_tree() {
        let root = leaf_hash(b"x");
        assert_eq!(
            new_root(0, 3, &EMPTY_ROOT, &[]),
            Err(ProofError::NotASubtree { start: 0, end: 0, size: 3 })
        );
        assert_eq!(new_root(4, 3, &root, &[root]), Err(ProofError::SizesReversed { old: 4, new: 3 }));
        assert_eq!(new_root(3, 3, &root, &[]), Ok(root));
        assert_eq!(new_root(3, 3, &root, &[root]), Err(ProofError::PathLength { actual: 1, wanted: 0 }));
        // Three leaves: the proof from two is the third, and from one the second and the third.
        let (second, third) = (leaf_hash(b"y"), leaf_hash(b"z"));
        let two = node_hash(&root, &second);
        let three = node_hash(&two, &third);
        assert_eq!(new_root(2, 3, &two, &[third]), Ok(three));
        assert_eq!(new_root(1, 3, &root, &[second, third]), Ok(three));
    }

    #[test]
    fn a_tree_is_a_prefix_of_itself() {
        let root = leaf_hash(b"x");
        let other = leaf_hash(b"y");
        assert_eq!(verify(9, 9, &root, &root, &[]), Ok(()));
        assert_eq!(verify(9, 9, &root, &other, &[]), Err(ProofError::Root { actual: other, wanted: root }));
    }
}
