//! Cosigned checkpoints and mirror tiles that another implementation made.

use std::fs;

use data_encoding::HEXLOWER;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use treering_tlog::checkpoint::Checkpoint;
use treering_tlog::cosignature;
use treering_tlog::note::{Note, NoteError, VerifierKey};
use treering_tlog::tile::{self, TileId};
use treering_tlog::tree::NodeCoord;

use crate::support::{MemoryTree, files, vectors};

#[derive(Deserialize)]
struct Cosigner {
    verifier_keys: Vec<String>,
}

#[test]
fn cosignatures_verify_where_the_type_is_ours() {
    let Some(folder) = vectors("c2sp/sunlight-witness") else { return };
    for (room, key_file) in [
        ("witness", "witness.v0.json"),
        ("witness2", "witness.v0.json"),
        ("witness/mirror", "mirror.v0.json"),
    ] {
        let room = folder.join(room);
        let cosigner: Cosigner = serde_json::from_slice(&fs::read(room.join(key_file)).unwrap()).unwrap();
        let key = VerifierKey::parse(&cosigner.verifier_keys[0]).unwrap();
        assert_eq!(key.to_string(), cosigner.verifier_keys[0]);
        let path = files(&room)
            .into_iter()
            .find(|path| path.ends_with("checkpoint") && path.ancestors().nth(2) == Some(&room))
            .unwrap();
        let bytes = fs::read(&path).unwrap();
        let note = Note::parse(&bytes).unwrap();
        assert_eq!(note.to_bytes(), bytes);
        // The log's own line is of type 0x05 and of no known key: carried, and ignored.
        let verified = note.verify(std::slice::from_ref(&key)).unwrap();
        assert_eq!(verified.len(), 1);
        assert!(verified[0].time().is_some());
        let line = note.signatures().iter().find(|line| line.key_id() == key.id()).unwrap();
        assert_eq!(cosignature::verify(&key, note.text(), line).ok(), verified[0].time());
        // Folders are named by the origin, as on the monitoring interface of a witness.
        let checkpoint = Checkpoint::parse(note.text()).unwrap();
        let folder_name = path.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(HEXLOWER.encode(&Sha256::digest(checkpoint.origin())), folder_name);
    }
}

#[test]
fn a_checkpoint_with_unknown_signature_types_only_is_not_believed() {
    let Some(folder) = vectors("c2sp/sunlight-witness") else { return };
    let note = Note::parse(&fs::read(folder.join("tree/checkpoint")).unwrap()).unwrap();
    assert_eq!(note.verify(&[]), Err(NoteError::NoKnownKey));
}

#[test]
fn mirror_tiles_give_the_mirror_checkpoint() {
    let Some(folder) = vectors("c2sp/sunlight-witness/witness/mirror") else { return };
    let paths = files(&folder);
    let checkpoint_path = paths.iter().find(|path| path.ends_with("checkpoint")).unwrap();
    let log = checkpoint_path.parent().unwrap();
    let note = Note::parse(&fs::read(checkpoint_path).unwrap()).unwrap();
    let checkpoint = Checkpoint::parse(note.text()).unwrap();
    let mut leaves = Vec::new();
    for (id, width) in tile::tiles_at(checkpoint.size()) {
        let hashes = tile::decode(&fs::read(log.join(id.path(width))).unwrap()).unwrap();
        assert_eq!(hashes.len(), usize::from(width));
        if id.level == 0 {
            leaves.extend(hashes);
        } else {
            // A hash of level 1 is the root of a full tile of level 0.
            let below = tile::decode(&fs::read(log.join(TileId::new(0, 0).path(256))).unwrap()).unwrap();
            assert_eq!(hashes, [MemoryTree::of_leaves(below).frontier.root()]);
            assert_eq!(tile::node_from_tile(NodeCoord::new(8, 0), &hashes), Ok(hashes[0]));
        }
    }
    assert_eq!(MemoryTree::of_leaves(leaves).frontier.root(), *checkpoint.root());
}
