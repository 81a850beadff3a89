//! Receipts: binding of origin, size and position.

use ciborium::Value;
use proptest::prelude::*;
use treering_provenance::{
    cose::{Sign1, Signer as _},
    receipt::{self, Consistency, Inclusion, Receipt, ReceiptError, TreeHead},
    strict,
};
use treering_tlog::hash::{EMPTY_ROOT, Hash};

use crate::fixture::{LOG_ROLE, NOW, ORIGIN, TestLog, es256, signer};

fn log(size: u8) -> TestLog {
    TestLog::with_filler(size)
}

fn sealed(log: &TestLog) -> Vec<u8> {
    receipt::seal(&signer(1), LOG_ROLE, &log.head(), NOW).unwrap()
}

/// Replaces the proofs in a receipt, as anybody can: they are not under the signature.
fn restated(bytes: &[u8], proofs: &[Inclusion]) -> Vec<u8> {
    let proofs: Vec<_> = proofs.iter().map(|proof| ([proof.size, proof.index], &*proof.path)).collect();
    with_proofs(bytes, -1, &proofs)
}

/// As [`restated`], with proofs of consistency.
fn restated_consistency(bytes: &[u8], proofs: &[Consistency]) -> Vec<u8> {
    let proofs: Vec<_> =
        proofs.iter().map(|proof| ([proof.old_size, proof.new_size], &*proof.path)).collect();
    with_proofs(bytes, -2, &proofs)
}

fn with_proofs(bytes: &[u8], label: i64, proofs: &[([u64; 2], &[Hash])]) -> Vec<u8> {
    let Value::Tag(18, message) = strict::decode(bytes, 1 << 16).unwrap() else { panic!("tag") };
    let mut parts = message.into_array().unwrap();
    let proof = |([first, second], path): &([u64; 2], &[Hash])| {
        let path = path.iter().map(|hash| Value::Bytes(hash.as_bytes().to_vec())).collect();
        let item = Value::Array(vec![(*first).into(), (*second).into(), Value::Array(path)]);
        Value::Bytes(strict::encode(&item).unwrap())
    };
    let proofs = Value::Array(proofs.iter().map(proof).collect());
    parts[1] = Value::Map(vec![(396.into(), Value::Map(vec![(label.into(), proofs)]))]);
    strict::encode(&Value::Tag(18, Box::new(Value::Array(parts)))).unwrap()
}

#[test]
fn every_leaf_of_every_size_is_proven_by_one_seal() {
    for size in 2..=40u8 {
        let log = log(size);
        let seal = sealed(&log);
        for index in 0..u64::from(size) {
            let bytes = receipt::assemble(&seal, &[log.inclusion(index)]).unwrap();
            let receipt = Receipt::parse(&bytes).unwrap();
            let leaf = log.leaves[usize::try_from(index).unwrap()];
            let included = receipt.verify_inclusion(signer(1).key(), ORIGIN, &leaf).unwrap();
            assert_eq!((included.index(), included.size()), (index, u64::from(size)));
            assert_eq!(included.root(), &log.head().root);
        }
    }
}

#[test]
fn several_leaves_in_one_receipt() {
    let log = log(9);
    let bytes = receipt::assemble(&sealed(&log), &[log.inclusion(2), log.inclusion(7)]).unwrap();
    let receipt = Receipt::parse(&bytes).unwrap();
    let leaves = [log.leaves[2], log.leaves[7]];
    assert_eq!(receipt.verify_inclusions(signer(1).key(), ORIGIN, &leaves).unwrap().indexes(), [2, 7]);
    let swapped = [log.leaves[7], log.leaves[2]];
    assert!(receipt.verify_inclusions(signer(1).key(), ORIGIN, &swapped).is_err());
    assert!(matches!(
        receipt.verify_inclusion(signer(1).key(), ORIGIN, &leaves[0]),
        Err(ReceiptError::Count { got: 2, want: 1 })
    ));
}

/// An RFC 9942 receipt signs the root alone. Where another (size, index) folds in the same directions, the same path
/// leads to the same root: the generic check accepts the restated position, ours does not.
#[test]
fn a_restated_position_is_refused() {
    let mut restatements = 0;
    for size in 2..=10u64 {
        let log = log(u8::try_from(size).unwrap());
        let seal = sealed(&log);
        for index in 0..size {
            let honest = log.inclusion(index);
            let bytes = receipt::assemble(&seal, std::slice::from_ref(&honest)).unwrap();
            let leaf = log.leaves[usize::try_from(index).unwrap()];
            for (other_size, other_index) in
                (1..=20u64).flat_map(|size| (0..size).map(move |index| (size, index)))
            {
                if (other_size, other_index) == (size, index) {
                    continue;
                }
                let lie = Inclusion { size: other_size, index: other_index, path: honest.path.clone() };
                let receipt = Receipt::parse(&restated(&bytes, &[lie])).unwrap();
                assert!(receipt.verify_inclusion(signer(1).key(), ORIGIN, &leaf).is_err());
                restatements += usize::from(receipt.unbound_root(signer(1).key(), &leaf).is_ok());
            }
        }
    }
    // The attack is real: without the bound size, hundreds of lies verify.
    assert!(restatements > 200, "{restatements}");
}

#[test]
fn another_log_key_or_leaf_is_refused() {
    let log = log(7);
    let receipt = Receipt::parse(&receipt::assemble(&sealed(&log), &[log.inclusion(3)]).unwrap()).unwrap();
    let leaf = log.leaves[3];
    assert!(matches!(
        receipt.verify_inclusion(signer(1).key(), "other.example", &leaf),
        Err(ReceiptError::Origin { .. })
    ));
    assert!(receipt.verify_inclusion(signer(2).key(), ORIGIN, &leaf).is_err());
    assert!(receipt.verify_inclusion(es256().key(), ORIGIN, &leaf).is_err());
    assert!(receipt.verify_inclusion(signer(1).key(), ORIGIN, &log.leaves[2]).is_err());
}

#[test]
fn a_receipt_without_our_label_is_not_believed() {
    let log = log(4);
    let header = Value::Map(vec![
        (1.into(), (-8).into()),
        (4.into(), Value::Bytes(signer(1).kid().to_vec())),
        (395.into(), 1.into()),
    ]);
    let message = Sign1::sign(&signer(1), &header, log.head().root.as_bytes(), true).unwrap();
    let bytes = restated(&message.to_bytes().unwrap(), &[log.inclusion(1)]);
    let receipt = Receipt::parse(&bytes).unwrap();
    assert_eq!(receipt.unbound_root(signer(1).key(), &log.leaves[1]).unwrap(), log.head().root);
    assert_eq!(receipt.verify_inclusion(signer(1).key(), ORIGIN, &log.leaves[1]), Err(ReceiptError::Unbound));
}

#[test]
fn a_proof_of_another_size_does_not_join_a_seal() {
    let log = log(8);
    let seal = sealed(&log);
    let other = log.inclusion_at(2, 7);
    assert_eq!(receipt::assemble(&seal, &[other]), Err(ReceiptError::Size { proof: 7, signed: 8 }));
    assert!(receipt::assemble(&seal, &[]).is_err());
    let many = vec![log.inclusion(1); 17];
    assert!(receipt::assemble(&seal, &many).is_err());
}

#[test]
fn a_tree_of_one_leaf_has_no_receipt() {
    let log = log(1);
    assert!(receipt::assemble(&sealed(&log), &[log.inclusion(0)]).is_err());
}

#[test]
fn surplus_and_missing_hashes_are_refused() {
    let log = log(6);
    let honest = log.inclusion(2);
    let bytes = receipt::assemble(&sealed(&log), std::slice::from_ref(&honest)).unwrap();
    let (mut longer, mut shorter) = (honest.clone(), honest);
    longer.path.push(Hash::from_bytes([0; 32]));
    shorter.path.pop();
    for proof in [longer, shorter] {
        let receipt = Receipt::parse(&restated(&bytes, &[proof])).unwrap();
        assert!(receipt.verify_inclusion(signer(1).key(), ORIGIN, &log.leaves[2]).is_err());
    }
}

#[test]
fn consistency_of_every_pair_of_sizes() {
    for new in 3..=20u8 {
        let log = log(new);
        let seal = sealed(&log);
        for old in 1..u64::from(new) {
            let bytes = receipt::assemble_consistency(&seal, &log.consistency(old, new.into())).unwrap();
            let receipt = Receipt::parse(&bytes).unwrap();
            let old_root = log.root_at(old);
            let extended = receipt.verify_consistency(signer(1).key(), ORIGIN, (old, &old_root)).unwrap();
            assert_eq!((extended.size(), *extended.root()), (u64::from(new), log.head().root));
            let lie = Hash::from_bytes([0xaa; 32]);
            assert!(receipt.verify_consistency(signer(1).key(), ORIGIN, (old, &lie)).is_err());
            for other in (0..=u64::from(new) + 1).filter(|other| *other != old) {
                assert_eq!(
                    receipt.verify_consistency(signer(1).key(), ORIGIN, (other, &old_root)),
                    Err(ReceiptError::OldSize { proof: old, want: other })
                );
            }
        }
    }
}

/// The proof is not under the signature: sizes, path and kind can be changed by anybody, to no avail.
#[test]
fn a_restated_consistency_is_refused() {
    let log = log(13);
    let bytes = receipt::assemble_consistency(&sealed(&log), &log.consistency(6, 13)).unwrap();
    let honest = log.consistency(6, 13);
    let verify = |proof: &Consistency, known: (u64, &Hash)| {
        Receipt::parse(&restated_consistency(&bytes, std::slice::from_ref(proof)))
            .and_then(|receipt| receipt.verify_consistency(signer(1).key(), ORIGIN, known))
    };
    let root = |size| log.root_at(size);
    assert!(verify(&honest, (6, &root(6))).is_ok());
    for old in (0..13).filter(|old| *old != 6) {
        // Another beginning on the same path, told to one who knows either.
        let lie = Consistency { old_size: old, ..honest.clone() };
        assert!(verify(&lie, (6, &root(6))).is_err(), "{old}");
        assert!(verify(&lie, (old, &if old == 0 { EMPTY_ROOT } else { root(old) })).is_err(), "{old}");
    }
    for new in [0, 6, 7, 12, 14, u64::MAX] {
        let lie = Consistency { new_size: new, ..honest.clone() };
        assert_eq!(verify(&lie, (6, &root(6))), Err(ReceiptError::Size { proof: new, signed: 13 }));
    }
    let (mut longer, mut shorter) = (honest.clone(), honest.clone());
    longer.path.push(Hash::from_bytes([0; 32]));
    shorter.path.pop();
    assert!(verify(&longer, (6, &root(6))).is_err());
    assert!(verify(&shorter, (6, &root(6))).is_err());
    // A beginning with another root: the path leads elsewhere, and what it leads to is not signed.
    assert!(verify(&honest, (6, &root(5))).is_err());
    let two = restated_consistency(&bytes, &[honest.clone(), honest]);
    let two = Receipt::parse(&two).unwrap();
    assert!(two.verify_consistency(signer(1).key(), ORIGIN, (6, &root(6))).is_err());
}

#[test]
fn neither_kind_of_receipt_passes_for_the_other() {
    let log = log(9);
    let seal = sealed(&log);
    let inclusion = receipt::assemble(&seal, &[log.inclusion(3)]).unwrap();
    let consistency = receipt::assemble_consistency(&seal, &log.consistency(4, 9)).unwrap();
    let (inclusion, consistency) =
        (Receipt::parse(&inclusion).unwrap(), Receipt::parse(&consistency).unwrap());
    assert!(inclusion.verify_consistency(signer(1).key(), ORIGIN, (4, &log.root_at(4))).is_err());
    assert!(consistency.verify_inclusion(signer(1).key(), ORIGIN, &log.leaves[3]).is_err());
    assert!(consistency.unbound_root(signer(1).key(), &log.leaves[3]).is_err());
    assert_eq!((inclusion.consistencies().len(), consistency.consistencies().len()), (0, 1));
}

#[test]
fn consistency_is_of_one_log_and_by_its_key() {
    let log = log(9);
    let bytes = receipt::assemble_consistency(&sealed(&log), &log.consistency(4, 9)).unwrap();
    let receipt = Receipt::parse(&bytes).unwrap();
    let root = log.root_at(4);
    assert!(receipt.verify_consistency(signer(1).key(), ORIGIN, (4, &root)).is_ok());
    assert!(matches!(
        receipt.verify_consistency(signer(1).key(), "other.example", (4, &root)),
        Err(ReceiptError::Origin { .. })
    ));
    assert!(receipt.verify_consistency(signer(2).key(), ORIGIN, (4, &root)).is_err());
    assert!(receipt.verify_consistency(es256().key(), ORIGIN, (4, &root)).is_err());
}

/// From the empty tree, and from a tree to itself, the path is empty, which RFC 9942 does not know.
#[test]
fn consistency_that_needs_no_path_has_no_receipt() {
    let log = log(9);
    for old in [0, 9] {
        assert!(receipt::assemble_consistency(&sealed(&log), &log.consistency(old, 9)).is_err());
    }
    let other = log.consistency(4, 8);
    assert_eq!(
        receipt::assemble_consistency(&sealed(&log), &other),
        Err(ReceiptError::Size { proof: 8, signed: 9 })
    );
}

#[test]
fn the_header_is_what_rfc_9942_and_9943_want() {
    let log = log(4);
    let bytes = receipt::assemble(&sealed(&log), &[log.inclusion(0)]).unwrap();
    let receipt = Receipt::parse(&bytes).unwrap();
    assert_eq!(receipt.kid(), Some(signer(1).kid().as_slice()));
    assert_eq!(receipt.issued_at(), Some(NOW));
    let head = receipt.head().unwrap();
    assert_eq!((head.origin.as_str(), head.size), (ORIGIN, 4));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_changed_byte_verifies(at in any::<prop::sample::Index>(), flip in 1u8.., size in 2u8..30, index in any::<prop::sample::Index>()) {
        let log = log(size);
        let index = index.index(usize::from(size));
        let mut bytes = receipt::assemble(&sealed(&log), &[log.inclusion(index as u64)]).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        let verified = Receipt::parse(&bytes)
            .and_then(|receipt| receipt.verify_inclusion(signer(1).key(), ORIGIN, &log.leaves[index]));
        prop_assert!(verified.is_err());
    }

    #[test]
    fn no_changed_byte_verifies_a_consistency(at in any::<prop::sample::Index>(), flip in 1u8.., new in 3u8..30, old in any::<prop::sample::Index>()) {
        let log = log(new);
        let old = 1 + old.index(usize::from(new) - 1) as u64;
        let mut bytes = receipt::assemble_consistency(&sealed(&log), &log.consistency(old, new.into())).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        let verified = Receipt::parse(&bytes)
            .and_then(|receipt| receipt.verify_consistency(signer(1).key(), ORIGIN, (old, &log.root_at(old))));
        prop_assert!(verified.is_err());
    }

    #[test]
    fn no_other_root_begins_the_tree(new in 3u8..30, old in any::<prop::sample::Index>(), lie in any::<[u8; 32]>()) {
        let log = log(new);
        let old = 1 + old.index(usize::from(new) - 1) as u64;
        let bytes = receipt::assemble_consistency(&sealed(&log), &log.consistency(old, new.into())).unwrap();
        let receipt = Receipt::parse(&bytes).unwrap();
        let lie = Hash::from_bytes(lie);
        prop_assume!(lie != log.root_at(old));
        prop_assert!(receipt.verify_consistency(signer(1).key(), ORIGIN, (old, &lie)).is_err());
    }

    #[test]
    fn seals_of_any_head_parse(size in 2u64.., root in any::<[u8; 32]>()) {
        let head = TreeHead { origin: ORIGIN, size, root: Hash::from_bytes(root) };
        let seal = receipt::seal(&signer(1), LOG_ROLE, &head, NOW).unwrap();
        let proof = Inclusion { size, index: 0, path: vec![Hash::from_bytes(root)] };
        let bytes = receipt::assemble(&seal, &[proof]).unwrap();
        prop_assert_eq!(Receipt::parse(&bytes).unwrap().head().unwrap().size, size);
    }
}
