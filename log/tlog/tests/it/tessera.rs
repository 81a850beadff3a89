//! A whole small log that another implementation wrote: every bundle, tile and checkpoint of it.

use std::fs;

use treering_tlog::checkpoint::Checkpoint;
use treering_tlog::hash::{Hash, leaf_hash};
use treering_tlog::note::{Note, VerifierKey};
use treering_tlog::tile::{
    TileId, entries_path, node_from_tile, parse_entries_path, parse_tile_path, tiles_at,
};
use treering_tlog::tree::NodeCoord;
use treering_tlog::{bundle, consistency, inclusion, tile};

use crate::support::{MemoryTree, files, vectors};

const VKEY: &str = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx";
const SIZE: u64 = 15;

#[test]
fn every_bundle_tile_and_checkpoint_verifies() {
    let Some(folder) = vectors("c2sp/tessera-log") else { return };
    let key = VerifierKey::parse(VKEY).unwrap();
    let full = fs::read(folder.join(entries_path(0, 15))).unwrap();
    let entries = bundle::decode(&full).unwrap();
    assert_eq!(entries.first().copied(), Some(b"one".as_slice()));
    let tree = MemoryTree::of_entries(entries.iter().copied());
    assert_eq!(tree.frontier.size(), SIZE);

    let mut roots = Vec::new();
    for size in 0..=SIZE {
        let bytes = fs::read(folder.join(format!("checkpoint.{size}"))).unwrap();
        let note = Note::parse(&bytes).unwrap();
        assert_eq!(note.to_bytes(), bytes, "round trip at {size}");
        assert_eq!(note.verify(std::slice::from_ref(&key)).unwrap().len(), 1, "signature at {size}");
        let checkpoint = Checkpoint::parse(note.text()).unwrap();
        assert_eq!((checkpoint.origin(), checkpoint.size()), ("example.com/log/testdata", size));
        assert_eq!(checkpoint.body(), note.text());
        let root = treering_tlog::tree::root_at(size, tree.reader()).unwrap();
        assert_eq!(*checkpoint.root(), root, "root at {size}");
        roots.push(*checkpoint.root());
        for old in 0..=size {
            let proof = consistency::prove(old, size, tree.reader()).unwrap();
            let place = usize::try_from(old).unwrap();
            assert_eq!(consistency::verify(old, size, &roots[place], &root, &proof), Ok(()));
        }
        for index in 0..size {
            let proof = inclusion::prove(index, size, tree.reader()).unwrap();
            let leaf = leaf_hash(entries[usize::try_from(index).unwrap()]);
            assert_eq!(inclusion::verify(&leaf, index, size, &proof, &root), Ok(()));
        }
    }
    assert_eq!(fs::read(folder.join("checkpoint")).unwrap(), fs::read(folder.join("checkpoint.15")).unwrap());
}

#[test]
fn every_partial_file_is_a_prefix_of_the_whole() {
    let Some(folder) = vectors("c2sp/tessera-log") else { return };
    let full = fs::read(folder.join(entries_path(0, 15))).unwrap();
    let entries = bundle::decode(&full).unwrap();
    let mut seen = 0;
    for path in files(&folder.join("tile")) {
        let name = path.strip_prefix(&folder).unwrap().to_str().unwrap();
        let bytes = fs::read(&path).unwrap();
        seen += 1;
        if let Ok((index, width)) = parse_entries_path(name) {
            assert_eq!(entries_path(index, width), name);
            let found = bundle::decode(&bytes).unwrap();
            assert_eq!(found, entries[..usize::from(width)]);
            assert_eq!(bundle::encode(found.iter().copied()).unwrap(), bytes);
            assert_eq!(bundle::entry_at(&bytes, usize::from(width) - 1), Ok(found[usize::from(width) - 1]));
            continue;
        }
        let (id, width) = parse_tile_path(name).unwrap();
        assert_eq!(id.path(width), name);
        let hashes = tile::decode(&bytes).unwrap();
        let leaves: Vec<Hash> = entries[..usize::from(width)].iter().map(|e| leaf_hash(e)).collect();
        assert_eq!(hashes, leaves);
        assert_eq!(tile::encode(&hashes), bytes);
        let size = u64::from(width);
        assert_eq!(tiles_at(size).collect::<Vec<_>>(), [(id, width)]);
        let tree = MemoryTree::of_leaves(leaves);
        for peak in treering_tlog::tree::peaks(size) {
            assert_eq!(TileId::of_node(peak).unwrap().0, id);
            assert_eq!(node_from_tile(peak, &hashes), tree.reader()(peak).map_err(|_| unreachable!()));
        }
        assert!(node_from_tile(NodeCoord::leaf(size), &hashes).is_err());
    }
    assert_eq!(seen, 30);
}
