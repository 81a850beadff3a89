//! The accumulated subtree vectors of the Merkle Tree Certificates draft.

use std::fmt::Write as _;

use data_encoding::HEXLOWER;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use treering_tlog::hash::Hash;
use treering_tlog::subtree;
use treering_tlog::tree::{is_subtree, range_root};

use crate::support::{MemoryTree, vectors};

#[derive(Deserialize)]
struct File {
    max_tree_size: u64,
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    name: String,
    sha256: String,
}

#[test]
fn all_four_accumulated_vectors_are_reproduced() {
    let Some(folder) = vectors("c2sp/plants-subtree") else { return };
    let file: File =
        serde_json::from_slice(&std::fs::read(folder.join("accumulated.json")).unwrap()).unwrap();
    let entries: Vec<[u8; 1]> = (0..=u8::try_from(file.max_tree_size).unwrap()).map(|i| [i]).collect();
    let tree = MemoryTree::of_entries(entries.iter().map(<[u8; 1]>::as_slice));
    assert_eq!(file.vectors.len(), 4);
    for vector in file.vectors {
        let lines = match vector.name.as_str() {
            "subtree-hashes" => hashes(&tree, file.max_tree_size),
            "subtree-inclusion-proofs" => inclusion_proofs(&tree, file.max_tree_size),
            "subtree-consistency-proofs" => consistency_proofs(&tree, file.max_tree_size),
            "efficient-covering-subtrees" => covering(file.max_tree_size),
            other => panic!("unknown vector {other}"),
        };
        assert_eq!(HEXLOWER.encode(&Sha256::digest(lines)), vector.sha256, "{}", vector.name);
    }
}

fn subtrees(end: u64) -> impl Iterator<Item = u64> {
    (0..=end).filter(move |start| is_subtree(*start, end))
}

fn push_hashes(out: &mut String, proof: &[Hash]) {
    for hash in proof {
        write!(out, " {}", hash.to_hex()).unwrap();
    }
    out.push('\n');
}

fn hashes(tree: &MemoryTree, max: u64) -> String {
    let mut out = String::new();
    for end in 0..=max {
        for start in subtrees(end) {
            write!(out, "[{start}, {end})").unwrap();
            push_hashes(&mut out, &[range_root(start, end, tree.reader()).unwrap()]);
        }
    }
    out
}

fn inclusion_proofs(tree: &MemoryTree, max: u64) -> String {
    let mut out = String::new();
    for end in 0..=max {
        for start in subtrees(end) {
            let root = range_root(start, end, tree.reader()).unwrap();
            for index in start..end {
                let proof = subtree::prove_inclusion(index, start, end, tree.reader()).unwrap();
                let leaf = range_root(index, index + 1, tree.reader()).unwrap();
                subtree::verify_inclusion(&leaf, index, start, end, &proof, &root).unwrap();
                write!(out, "{index} [{start}, {end})").unwrap();
                push_hashes(&mut out, &proof);
            }
        }
    }
    out
}

fn consistency_proofs(tree: &MemoryTree, max: u64) -> String {
    let mut out = String::new();
    for size in 0..=max {
        let root = range_root(0, size, tree.reader()).unwrap();
        for end in 0..=size {
            for start in subtrees(end) {
                let proof = subtree::prove_consistency(start, end, size, tree.reader()).unwrap();
                let part = range_root(start, end, tree.reader()).unwrap();
                subtree::verify_consistency(start, end, size, &proof, &part, &root).unwrap();
                write!(out, "[{start}, {end}) {size}").unwrap();
                push_hashes(&mut out, &proof);
            }
        }
    }
    out
}

fn covering(max: u64) -> String {
    let mut out = String::new();
    for end in 0..=max {
        for start in 0..=end {
            let [left, right] = subtree::covering(start, end).unwrap();
            assert!(is_subtree(left.0, left.1) && is_subtree(right.0, right.1));
            writeln!(out, "[{}, {}) [{}, {})", left.0, left.1, right.0, right.1).unwrap();
        }
    }
    assert_eq!(subtree::covering(1, 0), None);
    out
}
