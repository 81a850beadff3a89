//! No parser panics on any bytes, and what parses is written back as it was read.

use proptest::prelude::*;
use treering_tlog::checkpoint::Checkpoint;
use treering_tlog::hash::{Hash, leaf_hash};
use treering_tlog::note::{Note, NoteSigner, VerifierKey};
use treering_tlog::policy::Policy;
use treering_tlog::proof::TlogProof;
use treering_tlog::tile::{TileId, entries_path, parse_entries_path, parse_tile_path};
use treering_tlog::tree::Frontier;
use treering_tlog::{add_checkpoint, bundle, consistency, inclusion, subtree, tile};

/// Feeds bytes to every parser; whatever is accepted must come back byte for byte.
fn check(bytes: &[u8]) {
    if let Ok(note) = Note::parse(bytes) {
        assert_eq!(note.to_bytes(), bytes);
    }
    if let Ok(request) = add_checkpoint::parse_request(bytes) {
        assert_eq!(add_checkpoint::serialize_request(&request), bytes);
    }
    if let Ok(lines) = add_checkpoint::parse_response(bytes) {
        assert_eq!(add_checkpoint::serialize_response(&lines), bytes);
    }
    if let Ok(size) = add_checkpoint::parse_size(bytes) {
        assert_eq!(add_checkpoint::serialize_size(size), bytes);
    }
    if let Ok(proof) = TlogProof::parse(bytes) {
        assert_eq!(proof.to_bytes(), bytes);
    }
    if let Ok(entries) = bundle::decode(bytes) {
        for (place, entry) in entries.iter().enumerate() {
            assert_eq!(bundle::entry_at(bytes, place), Ok(*entry));
        }
        assert_eq!(bundle::encode(entries).unwrap(), bytes);
    }
    if let Ok(hashes) = tile::decode(bytes) {
        assert_eq!(tile::encode(&hashes), bytes);
    }
    // A policy is not written by us; evaluating what parses must not panic either.
    if let Ok(policy) = Policy::parse(bytes) {
        assert!(policy.smallest_quorum() <= policy.witnesses().len());
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(checkpoint) = Checkpoint::parse(text) {
        assert_eq!(checkpoint.body(), text);
    }
    if let Ok(key) = VerifierKey::parse(text) {
        assert_eq!(key.to_string(), text);
    }
    if let Ok(signer) = NoteSigner::parse(text) {
        assert_eq!(signer.to_private_text().as_str(), text);
    }
    if let Ok(hash) = Hash::parse_base64(text) {
        assert_eq!(hash.to_base64(), text);
    }
    if let Ok((id, width)) = parse_tile_path(text) {
        assert_eq!(id.path(width), text);
    }
    if let Ok((index, width)) = parse_entries_path(text) {
        assert_eq!(entries_path(index, width), text);
    }
}

/// One valid text of each format, to be cut and changed.
fn seeds() -> Vec<Vec<u8>> {
    let signer = NoteSigner::from_seed("log.example/1", &[1; 32]).unwrap();
    let body = Checkpoint::new("log.example/1", 3, leaf_hash(b"x")).unwrap().body();
    let note = Note::new(body.clone(), vec![signer.sign(&body).unwrap()]).unwrap();
    let hash = leaf_hash(b"y");
    let request = add_checkpoint::AddCheckpoint::new(1, vec![hash], &note.to_bytes()).unwrap();
    let proof = TlogProof::new(2, vec![hash], note.clone()).unwrap().with_extra(vec![1]).unwrap();
    vec![
        note.to_bytes(),
        add_checkpoint::serialize_request(&request),
        add_checkpoint::serialize_response(note.signatures()),
        add_checkpoint::serialize_size(70_000),
        proof.to_bytes(),
        bundle::encode([b"one".as_slice(), b"", b"three"]).unwrap(),
        tile::encode(&[hash, hash]),
        format!("log {}\n group g any g\nquorum none\n", signer.verifier()).into_bytes(),
        body.into_bytes(),
        signer.verifier().to_string().into_bytes(),
        signer.to_private_text().as_bytes().to_vec(),
        hash.to_base64().into_bytes(),
        TileId::new(3, 1_234_067).path(17).into_bytes(),
        entries_path(1_234_067, 17).into_bytes(),
    ]
}

/// A change of a valid text: bytes put in the place of others.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let seeds = seeds();
    let longest = seeds.iter().map(Vec::len).max().unwrap();
    let bytes = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..4),
        Just(b"\n".to_vec()),
        Just(b"\n\n".to_vec()),
        Just(b"0".to_vec()),
        Just("\u{2014} ".as_bytes().to_vec()),
    ];
    (proptest::sample::select(seeds), 0..=longest, 0usize..4, bytes).prop_map(
        |(mut seed, at, removed, bytes)| {
            let at = at.min(seed.len());
            let end = (at + removed).min(seed.len());
            seed.splice(at..end, bytes);
            seed
        },
    )
}

#[test]
fn the_seeds_themselves_parse() {
    for seed in seeds() {
        check(&seed);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_bytes_are_parsed_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        check(&bytes);
    }

    #[test]
    fn changed_texts_are_parsed_or_refused(bytes in mutated()) {
        check(&bytes);
    }

}

proptest! {
    #[test]
    fn proof_checks_take_any_numbers(
        index in any::<u64>(), start in any::<u64>(), old in any::<u64>(), size in any::<u64>(),
        path in proptest::collection::vec(any::<[u8; 32]>().prop_map(Hash::from_bytes), 0..70),
    ) {
        let (leaf, root) = (leaf_hash(b"leaf"), leaf_hash(b"root"));
        prop_assert!(inclusion::verify(&leaf, index, size, &path, &root).is_err());
        if let Ok(wanted) = inclusion::path_len(index, size) {
            prop_assert_eq!(inclusion::root_from_path(&leaf, index, size, &path).is_ok(), path.len() == wanted);
        }
        prop_assert!(consistency::verify(old, size, &leaf, &root, &path).is_err());
        prop_assert!(subtree::verify_inclusion(&leaf, index, start, size, &path, &root).is_err());
        prop_assert!(subtree::verify_consistency(start, old, size, &path, &leaf, &root).is_err());
        prop_assert_eq!(subtree::covering(start, old).is_some(), start <= old);
        prop_assert_eq!(consistency::path_len(old, size).is_ok(), old <= size);
        prop_assert!(parse_tile_path(&TileId::new(0, index).path(256)).is_ok());
        prop_assert_eq!(tile::partial_width(0, size), u16::try_from(size % 256).unwrap());
    }

    /// What we prove we accept, at any size, and only there.
    #[test]
    fn proofs_of_large_sparse_trees_verify(size in 2u64.., pick in any::<u64>(), cut in any::<u64>()) {
        // A tree of equal leaves has one hash for each level, so that trees of any size fit in memory.
        let mut levels = vec![leaf_hash(b"same")];
        for _ in 0..64 {
            let last = *levels.last().unwrap();
            levels.push(treering_tlog::hash::node_hash(&last, &last));
        }
        let node = |coord: treering_tlog::tree::NodeCoord| Ok::<_, std::convert::Infallible>(levels[usize::from(coord.level)]);
        let root = Frontier::read(size, node).unwrap().root();
        let index = pick % size;
        let path = inclusion::prove(index, size, node).unwrap();
        prop_assert_eq!(inclusion::verify(&levels[0], index, size, &path, &root), Ok(()));
        prop_assert_eq!(Ok(path.len()), inclusion::path_len(index, size));
        let old = 1 + cut % size;
        let old_root = Frontier::read(old, node).unwrap().root();
        let path = consistency::prove(old, size, node).unwrap();
        prop_assert_eq!(consistency::verify(old, size, &old_root, &root, &path), Ok(()));
        prop_assert_eq!(Ok(path.len()), consistency::path_len(old, size));
        let mut surplus = path.clone();
        surplus.push(root);
        prop_assert!(consistency::verify(old, size, &old_root, &root, &surplus).is_err());
        prop_assert!(path.is_empty() || consistency::verify(old, size, &old_root, &root, &path[1..]).is_err());
    }

    #[test]
    fn bundles_round_trip(entries in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..30)) {
        let bytes = bundle::encode(entries.iter().map(Vec::as_slice)).unwrap();
        prop_assert_eq!(bundle::decode(&bytes).unwrap(), entries);
    }

    #[test]
    fn tile_paths_round_trip(level in 0u8..64, index in any::<u64>(), width in 1u16..=256) {
        let id = TileId::new(level, index);
        prop_assert_eq!(parse_tile_path(&id.path(width)), Ok((id, width)));
        prop_assert_eq!(parse_entries_path(&entries_path(index, width)), Ok((index, width)));
    }

    #[test]
    fn checkpoints_round_trip(origin in "[^\\x00-\\x1f]{1,40}", size in any::<u64>(), root in any::<[u8; 32]>(),
                              extensions in proptest::collection::vec("[^\\x00-\\x1f]{1,20}", 0..3)) {
        let checkpoint = Checkpoint::new(origin, size, Hash::from_bytes(root)).unwrap().with_extensions(extensions).unwrap();
        prop_assert_eq!(Checkpoint::parse(&checkpoint.body()).unwrap(), checkpoint);
    }
}
