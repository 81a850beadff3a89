//! The texts and bytes of transparency logs: what a log, a witness and a monitor send each other.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use treering_tlog::{
    add_checkpoint::{self, AddCheckpoint},
    bundle,
    checkpoint::Checkpoint,
    consistency,
    hash::Hash,
    inclusion,
    note::{self, Note, VerifierKey},
    policy::Policy,
    proof::TlogProof,
    subtree, tile,
};
use treering_witness::{
    evidence::{Contradiction, Evidence},
    journal::{Header, Mark},
    state::State,
};

use crate::world::{ORIGIN, World};

/// A signed and cosigned checkpoint, and who signed it.
struct Signed {
    note: Vec<u8>,
    keys: Vec<VerifierKey>,
    policy: String,
    consistency: Vec<Hash>,
    inclusion: Vec<Hash>,
}

static SIGNED: LazyLock<Signed> = LazyLock::new(|| {
    let world = World::new();
    let mut keys = vec![world.log_key.verifier().clone()];
    keys.extend(world.witnesses.iter().map(|witness| witness.verifier().clone()));
    Signed {
        note: world.note(2).to_bytes(),
        keys,
        policy: world.trust_file().policy.unwrap(),
        consistency: world.log.consistency(3, 5).path,
        inclusion: world.log.inclusion(2).path,
    }
});

/// POST add-checkpoint: request, answer, size.
pub fn add_checkpoint(data: &[u8]) {
    if let Ok(request) = add_checkpoint::parse_request(data) {
        assert_eq!(add_checkpoint::serialize_request(&request), data);
    }
    if let Ok(lines) = add_checkpoint::parse_response(data) {
        assert_eq!(add_checkpoint::serialize_response(&lines), data);
    }
    if let Ok(size) = add_checkpoint::parse_size(data) {
        assert_eq!(add_checkpoint::parse_size(&add_checkpoint::serialize_size(size)), Ok(size));
    }
}

/// Entry bundles and tiles.
pub fn bundle(data: &[u8]) {
    if let Ok(entries) = bundle::decode(data) {
        assert_eq!(bundle::encode(entries.iter().copied()).unwrap(), data);
        for (place, entry) in entries.iter().enumerate() {
            assert_eq!(bundle::entry_at(data, place).unwrap(), *entry);
        }
        assert!(bundle::entry_at(data, entries.len()).is_err());
    }
    if let Ok(hashes) = tile::decode(data) {
        assert_eq!(tile::encode(&hashes), data);
    }
}

/// The text of a checkpoint.
pub fn checkpoint(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(checkpoint) = Checkpoint::parse(text) {
        assert_eq!(checkpoint.body(), text);
    }
}

/// Paths of hashes against any indexes and sizes. A path leads to one root only, by its one length.
pub fn merkle_proof(data: &[u8]) {
    let Some((numbers, hashes)) = data.split_first_chunk::<24>() else { return };
    let number = |at: usize| u64::from_be_bytes(numbers[at..at + 8].try_into().unwrap());
    let (first, second, third) = (number(0), number(8), number(16));
    let path: Vec<Hash> = hashes.chunks_exact(32).map(|bytes| Hash::from_slice(bytes).unwrap()).collect();
    let (leaf, root) = (Hash::from_bytes([1; 32]), Hash::from_bytes([2; 32]));

    if let Ok(reached) = inclusion::root_from_path(&leaf, first, second, &path) {
        assert!(first < second);
        assert_eq!(inclusion::path_len(first, second), Ok(path.len()));
        inclusion::verify(&leaf, first, second, &path, &reached).unwrap();
        assert!(inclusion::verify(&leaf, first, second, &path, &root).is_err());
    }
    if consistency::verify(first, second, &leaf, &root, &path).is_ok() {
        assert_eq!(consistency::path_len(first, second), Ok(path.len()));
    }
    let _ = subtree::covering(first, second);
    let _ = subtree::verify_inclusion(&leaf, third, first, second, &path, &root);
    let _ = subtree::verify_consistency(first, second, third, &path, &leaf, &root);
}

/// Signed notes, signature lines and verifier keys.
pub fn note(data: &[u8]) {
    if let Ok(note) = Note::parse(data) {
        assert_eq!(note.to_bytes(), data);
        let _ = note.verify(&SIGNED.keys);
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(lines) = note::parse_signature_lines(text) {
        assert_eq!(note::serialize_signature_lines(&lines), text);
    }
    if let Ok(key) = VerifierKey::parse(text) {
        assert_eq!(key.to_string(), text);
    }
}

/// Paths of tiles and bundles.
pub fn tile_path(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok((tile, width)) = tile::parse_tile_path(text) {
        assert_eq!(tile.path(width), text);
    }
    if let Ok((index, width)) = tile::parse_entries_path(text) {
        assert_eq!(tile::entries_path(index, width), text);
    }
}

/// Witness policies, and what follows from them.
pub fn tlog_policy(data: &[u8]) {
    let Ok(policy) = Policy::parse(data) else { return };
    let all: BTreeSet<&str> = policy.witnesses().iter().map(|witness| witness.name.as_str()).collect();
    assert!(policy.smallest_quorum() <= all.len() || !policy.is_quorum(&all));
    assert!(policy.quorum_intersection(&all));
    assert_eq!(policy.needs_witnesses(), !policy.is_quorum(&BTreeSet::<&str>::new()));
    let _ = policy.smallest_intersection();
    let _ = policy.verify(&Note::parse(&SIGNED.note).unwrap());
}

/// Proofs for offline verification.
pub fn tlog_proof(data: &[u8]) {
    let Ok(proof) = TlogProof::parse(data) else { return };
    assert_eq!(TlogProof::parse(&proof.to_bytes()).as_ref(), Ok(&proof));
    let policy = Policy::parse(SIGNED.policy.as_bytes()).unwrap();
    let _ = proof.verify(&Hash::from_bytes([2; 32]), &policy);
}

/// What a witness reads from its disk: configuration and state.
pub fn witness_files(data: &[u8]) {
    for key in &SIGNED.keys {
        if let Ok(state) = State::parse(data, key) {
            assert_eq!(state.to_bytes(), data);
        }
    }
    if let Some(mark) = Mark::parse(data) {
        assert_eq!(mark.to_text().as_bytes(), data);
    }
    if let Some(header) = Header::parse(data, "vkey") {
        assert_eq!(header.to_text("vkey").as_bytes(), data);
    }
    if let Ok(evidence) = Evidence::parse(data) {
        assert_eq!(evidence.to_bytes(), data);
        let _ = evidence.verify(ORIGIN, &SIGNED.keys);
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(config) = treering_witness::config::Config::parse(text) {
        config.logs().unwrap();
    }
}

/// Inputs to begin with.
pub fn seeds() -> crate::Seeds {
    let Signed { note, keys, policy, consistency, inclusion } = &*SIGNED;
    let parsed = Note::parse(note).unwrap();
    let log_line = parsed.signatures().iter().find(|line| line.name() == ORIGIN).unwrap();
    let cosignatures: Vec<_> = parsed.signatures().iter().filter(|line| *line != log_line).cloned().collect();
    let request = AddCheckpoint::new(3, consistency.clone(), note).unwrap();
    let proof = TlogProof::new(2, inclusion.clone(), parsed.clone()).unwrap();
    let state = State::new(&parsed, &keys[1]).unwrap();
    let mut seeds = vec![
        ("add_checkpoint", add_checkpoint::serialize_request(&request)),
        ("add_checkpoint", add_checkpoint::serialize_response(&cosignatures)),
        ("add_checkpoint", add_checkpoint::serialize_size(7)),
        ("bundle", bundle::encode([b"one".as_slice(), b"".as_slice(), &[7; 300]]).unwrap()),
        ("bundle", vec![3; 64]),
        ("checkpoint", parsed.text().as_bytes().to_vec()),
        (
            "checkpoint",
            format!("{ORIGIN}\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\nextension\n").into_bytes(),
        ),
        ("merkle_proof", merkle_seed(2, 5, 5, inclusion)),
        ("merkle_proof", merkle_seed(3, 5, 4, consistency)),
        ("merkle_proof", merkle_seed(4, 6, 9, consistency)),
        ("note", note.clone()),
        ("note", keys[0].to_string().into_bytes()),
        ("note", note::serialize_signature_lines(parsed.signatures()).into_bytes()),
        ("tlog_policy", policy.clone().into_bytes()),
        ("tlog_policy", b"# nobody\nquorum none\n".to_vec()),
        ("tlog_proof", proof.to_bytes()),
        ("tlog_proof", proof.with_extra(vec![1, 2, 3]).unwrap().to_bytes()),
        ("witness_files", state.to_bytes()),
        ("witness_files", Mark { generation: 2, number: 7 }.to_text().into_bytes()),
        ("witness_files", Header { generation: 2, snapshot: 7 }.to_text("vkey").into_bytes()),
        ("witness_files", Evidence::new(Contradiction::SameSize, parsed.clone(), parsed.clone()).to_bytes()),
        ("witness_files", include_bytes!("../../../docs/samples/witness.toml").to_vec()),
    ];
    let paths = ["tile/0/000", "tile/1/x001/x234/067.p/8", "tile/entries/x001/067", "tile/entries/000.p/255"];
    seeds.extend(paths.map(|path| ("tile_path", path.as_bytes().to_vec())));
    seeds
}

fn merkle_seed(first: u64, second: u64, third: u64, path: &[Hash]) -> Vec<u8> {
    let numbers = [first, second, third].map(u64::to_be_bytes).concat();
    [numbers, path.iter().flat_map(|hash| *hash.as_bytes()).collect()].concat()
}
