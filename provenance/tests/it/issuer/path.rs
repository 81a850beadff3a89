//! The path from a certificate to its anchor.

use ciborium::Value;
use rcgen::{
    BasicConstraints, CertificateParams, GeneralSubtree, IsCa, KeyPair, KeyUsagePurpose, NameConstraints,
    PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256, RsaKeySize,
};
use treering_provenance::issuer::{Anchor, IssuerError, MAX_CHAIN_BYTES};
use treering_provenance::x509::PathError;

use super::{Authority, DAY, ISS, chain, judge, refused, time};
use crate::fixture::NOW;

#[test]
fn every_kind_of_key_can_be_certified_by_every_kind_of_ca() {
    let rsa = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    let kinds = [&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_ED25519];
    let keys = kinds.into_iter().map(|kind| KeyPair::generate_for(kind).unwrap()).chain([rsa]);
    for key in keys {
        let root = Authority::root_with(key, |_| ());
        for (kind, algorithm) in kinds.into_iter().zip([-7, -35, -8]) {
            let statement = root.leaf_of(kind, |_| ()).statement(&[]);
            assert_eq!(statement.algorithm().id(), algorithm);
            assert_eq!(judge(&root.known(), &statement), Ok(NOW..=NOW));
        }
    }
}

#[test]
fn a_path_has_intermediates_and_may_end_with_the_anchor_itself() {
    let root = Authority::root();
    let (upper, known) = (root.below("upper", |_| ()), root.known());
    let lower = upper.below("lower", |_| ());
    let leaf = lower.leaf();
    judge(&known, &leaf.statement(&[&lower.der, &upper.der])).unwrap();
    judge(&known, &leaf.statement(&[&lower.der, &upper.der, &root.der])).unwrap();
    // An intermediate can be the anchor.
    judge(&upper.known(), &leaf.statement(&[&lower.der])).unwrap();
    // A gap, another order, and an anchor that is another CA of the same name.
    for above in [vec![], vec![upper.der.as_slice()], vec![upper.der.as_slice(), &lower.der]] {
        assert_eq!(refused(&known, &leaf.statement(&above)), IssuerError::Path(PathError::NoAnchor));
    }
    let other = Authority::root();
    let whole = leaf.statement(&[&lower.der, &upper.der, &root.der]);
    assert_eq!(refused(&other.known(), &whole), IssuerError::Path(PathError::NoAnchor));
}

#[test]
fn certificates_that_the_path_does_not_need_are_refused() {
    let (root, other) = (Authority::root(), Authority::root());
    let (leaf, known) = (root.leaf(), root.known());
    let spare = |used, got| IssuerError::Spare { used, got };
    assert_eq!(refused(&known, &leaf.statement(&[&other.der])), spare(1, 2));
    assert_eq!(refused(&known, &leaf.statement(&[&root.der, &root.der])), spare(1, 3));
}

#[test]
fn a_chain_has_at_most_five_certificates_and_sixteen_kibibytes() {
    let root = Authority::root();
    let (leaf, known) = (root.leaf(), root.known());
    // Counted before anything is read: these are no certificates.
    let many = vec![[0].as_slice(); 5];
    assert_eq!(refused(&known, &leaf.statement(&many)), IssuerError::TooMany(6));
    let long = vec![0; MAX_CHAIN_BYTES - leaf.der.len() + 1];
    assert_eq!(refused(&known, &leaf.statement(&[&long])), IssuerError::TooLong(MAX_CHAIN_BYTES + 1));
    let fits = refused(&known, &leaf.statement(&[&long[1..]]));
    assert!(matches!(fits, IssuerError::Certificate { position: 1, .. }), "{fits}");
    // As many as there may be.
    let mut above = vec![root.below("4", |_| ())];
    for name in ["3", "2", "1"] {
        above.insert(0, above[0].below(name, |_| ()));
    }
    let leaf = above[0].leaf();
    let ders: Vec<&[u8]> = above.iter().map(|ca| ca.der.as_slice()).collect();
    judge(&known, &leaf.statement(&ders)).unwrap();
}

#[test]
fn x5chain_is_one_byte_string_or_several_in_an_array() {
    let root = Authority::root();
    let (leaf, known) = (root.leaf(), root.known());
    let own = || Value::Bytes(leaf.der.clone());
    for odd in [
        Value::Array(Vec::new()),
        Value::Array(vec![own()]),
        Value::Array(vec![own(), 1.into()]),
        Value::Map(Vec::new()),
        "certificate".into(),
        Value::Null,
    ] {
        let error = refused(&known, &leaf.with(&[(33.into(), odd)]));
        assert_eq!(error, IssuerError::Shape);
        assert!(error.is_malformed());
    }
}

#[test]
fn what_is_no_certificate_is_refused() {
    let root = Authority::root();
    let (leaf, known) = (root.leaf(), root.known());
    let long = [leaf.der.as_slice(), &[0]].concat();
    for garbage in [b"".as_slice(), b"garbage", &[0x30, 0x80, 0, 0], &[0x30, 0], &long, &leaf.der[..40]] {
        let error = refused(&known, &leaf.with(&[chain(&[garbage])]));
        assert!(matches!(error, IssuerError::Certificate { position: 0, .. }), "{error}");
        let error = refused(&known, &leaf.statement(&[garbage]));
        assert!(matches!(error, IssuerError::Certificate { position: 1, .. }), "{error}");
    }
}

#[test]
fn every_certificate_is_valid_at_the_instant() {
    let early = |params: &mut CertificateParams| params.not_after = time(NOW - 1);
    let late = |params: &mut CertificateParams| params.not_before = time(NOW + 1);
    for change in [&early as &dyn Fn(&mut CertificateParams), &late] {
        let expired_root = Authority::root_with(KeyPair::generate().unwrap(), change);
        let root = Authority::root();
        let (expired_ca, ca) = (root.below("ca", change), root.below("ca", |_| ()));
        let leaf = ca.leaf_of(&PKCS_ED25519, change);
        for (position, known, statement) in [
            (0, root.known(), leaf.statement(&[&ca.der])),
            (1, root.known(), expired_ca.leaf().statement(&[&expired_ca.der])),
            (1, expired_root.known(), expired_root.leaf().statement(&[])),
        ] {
            let error = refused(&known, &statement);
            assert!(matches!(error, IssuerError::Validity { position: at, .. } if at == position), "{error}");
        }
    }
    // The first and the last second count.
    let root = Authority::root();
    let statement = root.leaf().statement(&[]);
    for (when, good) in [(NOW - DAY - 1, false), (NOW - DAY, true), (NOW + DAY, true), (NOW + DAY + 1, false)]
    {
        assert_eq!(root.known().check(&statement, when..=when).is_ok(), good, "{when}");
    }
}

#[test]
fn who_knows_only_between_which_instants_gets_those_at_which_all_are_valid() {
    let root = Authority::root();
    let ca = root.below("ca", |params| params.not_after = time(NOW + 100));
    let leaf = ca.leaf_of(&PKCS_ED25519, |params| params.not_before = time(NOW + 50));
    let statement = leaf.statement(&[&ca.der]);
    let known = root.known();
    assert_eq!(known.check(&statement, NOW..=NOW + 1000), Ok(NOW + 50..=NOW + 100));
    assert_eq!(known.check(&statement, NOW + 60..=NOW + 70), Ok(NOW + 60..=NOW + 70));
    assert!(known.check(&statement, NOW..=NOW + 49).is_err());
    // Each of the two is valid at some instant of it, and never both.
    let apart = ca.leaf_of(&PKCS_ED25519, |params| params.not_before = time(NOW + 200));
    assert!(known.check(&apart.statement(&[&ca.der]), NOW..=NOW + 1000).is_err());
}

#[test]
fn issuers_of_certificates_are_cas_within_their_path_length() {
    let root = Authority::root();
    let known = root.known();
    let at = |error: &IssuerError| match error {
        IssuerError::Path(PathError::Issuer { position, .. }) => *position,
        other => panic!("{other}"),
    };
    // Not a CA: no constraints at all, or those of an end entity; or a CA that may sign CRLs alone.
    for change in [
        (|params: &mut CertificateParams| params.is_ca = IsCa::NoCa) as fn(&mut CertificateParams),
        |params| params.is_ca = IsCa::ExplicitNoCa,
        |params| params.key_usages = vec![KeyUsagePurpose::CrlSign],
    ] {
        let ca = root.below("ca", change);
        assert_eq!(at(&refused(&known, &ca.leaf().statement(&[&ca.der]))), 1);
    }
    // No CA below this one.
    let short = |params: &mut CertificateParams| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let upper = root.below("upper", short);
    let lower = upper.below("lower", |_| ());
    judge(&known, &upper.leaf().statement(&[&upper.der])).unwrap();
    assert_eq!(at(&refused(&known, &lower.leaf().statement(&[&lower.der, &upper.der]))), 2);
    // The anchor's own counts, too.
    let root = Authority::root_with(KeyPair::generate().unwrap(), short);
    let ca = root.below("ca", |_| ());
    judge(&root.known(), &root.leaf().statement(&[])).unwrap();
    assert_eq!(at(&refused(&root.known(), &ca.leaf().statement(&[&ca.der]))), 2);
    // Constraints on names are not evaluated, so nobody may rely on them.
    let subtree = GeneralSubtree::DnsName("scanner.example".to_owned());
    let names = NameConstraints { permitted_subtrees: vec![subtree], excluded_subtrees: Vec::new() };
    let ca = Authority::root().below("ca", |params| params.name_constraints = Some(names));
    assert!(Anchor::new(&ca.der, ISS).is_err());
}

#[test]
fn no_bit_of_a_chain_can_be_flipped() {
    let root = Authority::root();
    let ca = root.below("ca", |_| ());
    let (leaf, known) = (ca.leaf(), root.known());
    let parts = [leaf.der.clone(), ca.der.clone(), root.der.clone()];
    let signed = |parts: &[Vec<u8>; 3]| {
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        leaf.with(&[chain(&parts)])
    };
    judge(&known, &signed(&parts)).unwrap();
    // The issuer itself does it, so that the statement's signature is over the flipped octets.
    for (which, part) in parts.iter().enumerate() {
        for bit in 0..part.len() * 8 {
            let mut flipped = parts.clone();
            flipped[which][bit / 8] ^= 1 << (bit % 8);
            assert!(judge(&known, &signed(&flipped)).is_err(), "certificate {which}, bit {bit}");
        }
    }
}
