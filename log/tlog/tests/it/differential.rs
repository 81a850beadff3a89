//! Our tree against two implementations by others, for every size to 300.

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use rs_merkle::{Hasher, MerkleTree};
use sha2::Sha256;
use treering_tlog::hash::{Hash, leaf_hash, node_hash};
use treering_tlog::{consistency, inclusion, subtree};

use crate::support::MemoryTree;

const MAX_SIZE: u64 = 300;

/// rs_merkle has no domain separation of its own: the prefixes come from its caller.
#[derive(Clone)]
struct Rfc9162;

impl Hasher for Rfc9162 {
    type Hash = [u8; 32];

    fn hash(data: &[u8]) -> [u8; 32] {
        leaf_hash(data).to_bytes()
    }

    fn concat_and_hash(left: &[u8; 32], right: Option<&[u8; 32]>) -> [u8; 32] {
        // A node without a sibling moves up unchanged, as in the RFC.
        right.map_or(*left, |right| node_hash(&Hash::from_bytes(*left), &Hash::from_bytes(*right)).to_bytes())
    }
}

fn entry(index: u64) -> [u8; 8] {
    index.to_be_bytes()
}

/// A few indexes of each size: the ends, and those around powers of two, where shapes change.
fn telling_indexes(size: u64) -> impl Iterator<Item = u64> {
    (0..size).filter(move |i| *i == 0 || i + 2 >= size || i.is_power_of_two() || (i + 1).is_power_of_two())
}

#[test]
fn roots_and_paths_agree_with_rs_merkle_at_every_size() {
    let mut ours = MemoryTree::default();
    let mut theirs = MerkleTree::<Rfc9162>::new();
    for size in 1..=MAX_SIZE {
        let leaf = leaf_hash(&entry(size - 1));
        ours.push(leaf);
        theirs.insert(leaf.to_bytes());
        theirs.commit();
        let root = ours.frontier.root();
        assert_eq!(theirs.root().unwrap(), root.to_bytes(), "root at {size}");
        for index in telling_indexes(size) {
            let place = usize::try_from(index).unwrap();
            let path = inclusion::prove(index, size, ours.reader()).unwrap();
            let proof = theirs.proof(&[place]);
            let bytes: Vec<[u8; 32]> = path.iter().map(|hash| hash.to_bytes()).collect();
            assert_eq!(proof.proof_hashes(), bytes, "path of {index} in {size}");
            let leaf = leaf_hash(&entry(index)).to_bytes();
            assert!(proof.verify(root.to_bytes(), &[place], &[leaf], usize::try_from(size).unwrap()));
        }
    }
}

#[test]
fn roots_paths_and_consistency_agree_with_ct_merkle_at_every_size() {
    let mut ours = MemoryTree::default();
    let mut theirs = MemoryBackedTree::<Sha256, [u8; 8]>::new();
    let mut roots = vec![ours.frontier.root()];
    for size in 1..=MAX_SIZE {
        ours.push(leaf_hash(&entry(size - 1)));
        theirs.push(entry(size - 1));
        let root = ours.frontier.root();
        roots.push(root);
        assert_eq!(theirs.root().as_bytes().as_slice(), root.as_bytes(), "root at {size}");
        for index in 0..size {
            let path = inclusion::prove(index, size, ours.reader()).unwrap();
            let proof = theirs.prove_inclusion(usize::try_from(index).unwrap());
            assert_eq!(proof.as_bytes(), joined(&path), "path of {index} in {size}");
            assert_eq!(Ok(path.len()), inclusion::path_len(index, size));
            assert_eq!(inclusion::verify(&leaf_hash(&entry(index)), index, size, &path, &root), Ok(()));
        }
        for old in 1..=size {
            let path = consistency::prove(old, size, ours.reader()).unwrap();
            assert_eq!(Ok(path.len()), consistency::path_len(old, size));
            let old_root = roots[usize::try_from(old).unwrap()];
            assert_eq!(consistency::verify(old, size, &old_root, &root, &path), Ok(()), "{old} to {size}");
            // The draft's generalisation must agree with the RFC where both apply.
            if size % 10 == 7 {
                assert_eq!(subtree::prove_consistency(0, old, size, ours.reader()).unwrap(), path);
                assert_eq!(subtree::verify_consistency(0, old, size, &path, &old_root, &root), Ok(()));
            }
            if old < size {
                let proof = theirs.prove_consistency(usize::try_from(size - old).unwrap());
                assert_eq!(proof.as_bytes(), joined(&path), "consistency of {old} and {size}");
            }
        }
    }
}

fn joined(path: &[Hash]) -> Vec<u8> {
    path.iter().flat_map(|hash| hash.to_bytes()).collect()
}

/// What the other verifiers accept is not compared, so what ours refuses is tested here.
#[test]
fn a_proof_with_anything_changed_is_refused() {
    let entries: Vec<[u8; 8]> = (0..21).map(entry).collect();
    let tree = MemoryTree::of_entries(entries.iter().map(<[u8; 8]>::as_slice));
    let root = tree.frontier.root();
    for index in 0..21 {
        let leaf = leaf_hash(&entry(index));
        let path = inclusion::prove(index, 21, tree.reader()).unwrap();
        for other in (0..21).filter(|other| *other != index) {
            assert!(inclusion::verify(&leaf, other, 21, &path, &root).is_err(), "{index} as {other}");
        }
        for changed in changes(&path) {
            assert!(inclusion::verify(&leaf, index, 21, &changed, &root).is_err(), "{index}");
        }
    }
    for old in 1..21 {
        let old_root = treering_tlog::tree::root_at(old, tree.reader()).unwrap();
        let path = consistency::prove(old, 21, tree.reader()).unwrap();
        for other in (1..21).filter(|other| *other != old) {
            assert!(consistency::verify(other, 21, &old_root, &root, &path).is_err(), "{old} as {other}");
        }
        for changed in changes(&path) {
            assert!(consistency::verify(old, 21, &old_root, &root, &changed).is_err(), "{old}");
            assert!(subtree::verify_consistency(0, old, 21, &changed, &old_root, &root).is_err(), "{old}");
        }
    }
}

/// The path with one hash flipped, missing, or too many, at every place.
fn changes(path: &[Hash]) -> Vec<Vec<Hash>> {
    let mut out = Vec::new();
    for place in 0..path.len() {
        let mut flipped = path.to_vec();
        flipped[place] = leaf_hash(path[place].as_bytes());
        let mut missing = path.to_vec();
        missing.remove(place);
        out.extend([flipped, missing]);
    }
    for place in 0..=path.len() {
        let mut surplus = path.to_vec();
        surplus.insert(place, leaf_hash(b"surplus"));
        out.push(surplus);
    }
    out
}
