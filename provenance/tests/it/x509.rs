//! Cutting the proof out of raw DER.

use proptest::prelude::*;
use rcgen::{
    CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, KeyPair, SanType, SerialNumber,
};
use treering_provenance::x509::{self, X509Error};
use x509_cert::der::Decode as _;

use crate::fixture::{Ca, WORKLOAD, capture, workload_params};

/// An extension's DER.
fn extension(oid: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let flag: &[u8] = if critical { &[1, 1, 0xff] } else { &[] };
    wrap(0x30, &[&wrap(6, oid), flag, &wrap(4, value)].concat())
}

fn wrap(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut out = vec![tag];
    match length {
        0..=0x7f => out.push(u8::try_from(length).unwrap()),
        0x80..=0xff => out.extend([0x81, u8::try_from(length).unwrap()]),
        _ => out.extend([0x82, u8::try_from(length >> 8).unwrap(), u8::try_from(length & 0xff).unwrap()]),
    }
    out.extend_from_slice(content);
    out
}

/// A TBSCertificate with these extensions and nothing else.
fn tbs(extensions: &[Vec<u8>]) -> Vec<u8> {
    let sequence = wrap(0x30, &[]);
    let mut content = [vec![0xa0, 3, 2, 1, 2], vec![2, 1, 1]].concat();
    (0..5).for_each(|_| content.extend(&sequence));
    if !extensions.is_empty() {
        content.extend(wrap(0xa3, &wrap(0x30, &extensions.concat())));
    }
    wrap(0x30, &content)
}

fn other(number: u8) -> Vec<u8> {
    extension(&[0x55, 0x1d, number], false, &[5, 0])
}

fn proof() -> Vec<u8> {
    extension(x509::OID_PROOF, false, b"proof")
}

fn sct() -> Vec<u8> {
    extension(x509::OID_SCT, false, b"scts")
}

#[test]
fn the_proof_is_cut_with_and_without_an_sct_list() {
    let plain = tbs(&[other(1), other(2)]);
    assert_eq!(x509::strip(&plain).unwrap(), plain);
    for with in [vec![proof()], vec![proof(), sct()], vec![sct()]] {
        let extensions = [vec![other(1), other(2)], with].concat();
        assert_eq!(x509::strip(&tbs(&extensions)).unwrap(), plain);
    }
    assert_eq!(x509::insert_proof(&plain, b"proof").unwrap(), tbs(&[other(1), other(2), proof()]));
    assert_eq!(x509::proof(&tbs(&[other(1), proof(), sct()])).unwrap(), Some(b"proof".as_slice()));
    assert_eq!(x509::proof(&plain).unwrap(), None);
}

#[test]
fn a_certificate_without_other_extensions_loses_the_whole_list() {
    let bare = tbs(&[]);
    let with = x509::insert_proof(&bare, b"proof").unwrap();
    assert_eq!(with, tbs(&[proof()]));
    assert_eq!(x509::strip(&with).unwrap(), bare);
}

#[test]
fn misplaced_double_and_critical_proofs_are_refused() {
    let cases = [
        (vec![proof(), proof()], X509Error::DuplicateExtension),
        (vec![other(1), other(1)], X509Error::DuplicateExtension),
        (vec![proof(), other(1)], X509Error::Position),
        (vec![other(1), sct(), proof()], X509Error::Position),
        (vec![sct(), other(1)], X509Error::Position),
        (vec![other(1), proof(), sct(), other(2)], X509Error::Position),
        (vec![other(1), extension(x509::OID_PROOF, true, b"proof")], X509Error::Critical),
        (vec![other(1), proof(), extension(x509::OID_SCT, true, b"scts")], X509Error::Critical),
    ];
    for (extensions, error) in cases {
        assert_eq!(x509::strip(&tbs(&extensions)), Err(error), "{extensions:?}");
        assert_eq!(x509::proof(&tbs(&extensions)), Err(error));
    }
    assert_eq!(x509::insert_proof(&tbs(&[proof()]), b"more"), Err(X509Error::HasProof));
    assert_eq!(x509::insert_proof(&tbs(&[sct()]), b"late"), Err(X509Error::Position));
}

#[test]
fn other_encodings_are_refused() {
    let good = tbs(&[other(1), proof()]);
    // Long-form length of the whole, indefinite length, trailing byte.
    let content = &good[2..];
    let long = [&[0x30, 0x81, u8::try_from(content.len()).unwrap()], content].concat();
    let leading_zero = [&[0x30, 0x82, 0, u8::try_from(content.len()).unwrap()], content].concat();
    let indefinite = [&[0x30, 0x80], content, &[0, 0]].concat();
    let trailing = [good.as_slice(), &[0]].concat();
    for bytes in [long, leading_zero, indefinite, trailing] {
        assert!(matches!(x509::strip(&bytes), Err(X509Error::Der(_))), "{bytes:02x?}");
    }
    // Encoded default (critical FALSE), TRUE that is not 0xff, long form inside an extension.
    for flag in [[1, 1, 0], [1, 1, 1]] {
        let odd = wrap(0x30, &[wrap(6, &[0x55, 0x1d, 1]), flag.to_vec(), wrap(4, &[5, 0])].concat());
        assert!(matches!(x509::strip(&tbs(&[odd])), Err(X509Error::Der(_))));
    }
    let long_inside = [vec![0x30, 0x81, 9], wrap(6, &[0x55, 0x1d, 1]), wrap(4, &[5, 0])].concat();
    assert!(x509::strip(&tbs(&[long_inside])).is_err());
    // An empty list of extensions, version 1, fields after the extensions.
    let empty_list = [tbs(&[])[2..].to_vec(), wrap(0xa3, &wrap(0x30, &[]))].concat();
    assert!(x509::strip(&wrap(0x30, &empty_list)).is_err());
    let version_1 = [vec![0xa0, 3, 2, 1, 0], tbs(&[other(1)])[7..].to_vec()].concat();
    assert!(x509::strip(&wrap(0x30, &version_1)).is_err());
    let after = [tbs(&[other(1)])[2..].to_vec(), vec![5, 0]].concat();
    assert!(x509::strip(&wrap(0x30, &after)).is_err());
    for length in 0..good.len() {
        assert!(x509::strip(&good[..length]).is_err(), "{length} bytes");
    }
}

#[test]
fn certificates_come_apart_and_together() {
    let ca = Ca::new("CA");
    let parts = x509::split_certificate(ca.certificate.der()).unwrap();
    let again = x509::assemble_certificate(parts.tbs, parts.algorithm, parts.signature);
    assert_eq!(again, ca.certificate.der().to_vec());
    assert_eq!(x509::spki(parts.tbs).unwrap(), ca.spki());
    let mut unused_bits = again.clone();
    let at = again.len() - parts.signature.len() - 1;
    unused_bits[at] = 1;
    assert!(x509::split_certificate(&unused_bits).is_err());
    for length in 0..again.len() {
        assert!(x509::split_certificate(&again[..length]).is_err());
    }
}

#[test]
fn the_commitment_names_the_issuer() {
    assert_ne!(x509::cred(b"one", b"tbs"), x509::cred(b"other", b"tbs"));
    assert_ne!(x509::cred(b"one", b"tbs"), x509::cred(b"one", b"tbs2"));
}

/// Certificates of many shapes: names, serials, usages and extensions of any length around the 127/128 and 255/256
/// borders of DER lengths.
fn params() -> impl Strategy<Value = CertificateParams> {
    let name = "[A-Za-z0-9 ]{0,60}";
    let serial = prop::collection::vec(any::<u8>(), 1..20);
    let custom = prop::collection::vec((1u64..50_000, prop::collection::vec(any::<u8>(), 0..600)), 0..4);
    (name, serial, any::<bool>(), any::<bool>(), custom).prop_map(|(name, serial, server, skip, custom)| {
        let mut params = workload_params(WORKLOAD);
        params.distinguished_name.push(DnType::CommonName, name);
        params.serial_number = Some(SerialNumber::from(serial));
        params.use_authority_key_identifier_extension = server;
        if server {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            params.subject_alt_names.push(SanType::DnsName("x.example".try_into().unwrap()));
        }
        if skip {
            params.custom_extensions.clear();
        }
        for (number, (arc, value)) in custom.into_iter().enumerate() {
            let oid = [1, 3, 6, 1, 4, 1, 99_999, number as u64, arc];
            params.custom_extensions.push(CustomExtension::from_oid_content(&oid, value));
        }
        params
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn stripping_undoes_inserting(params in params(), value in prop::collection::vec(any::<u8>(), 0..2000)) {
        let ca = Ca::new("CA");
        let (tbs, algorithm) = capture(&params, &KeyPair::generate().unwrap(), &ca);
        let with = x509::insert_proof(&tbs, &value).unwrap();
        prop_assert_eq!(x509::strip(&with).unwrap(), tbs.clone());
        prop_assert_eq!(x509::proof(&with).unwrap(), Some(value.as_slice()));
        // An independent parser takes it for a certificate with one extension more.
        let certificate = ca.sign(&with, &algorithm);
        let parsed = x509_cert::Certificate::from_der(&certificate).unwrap();
        let extensions = parsed.tbs_certificate().extensions().unwrap();
        prop_assert_eq!(extensions.last().unwrap().extn_value.as_bytes(), value.as_slice());
        prop_assert_eq!(x509::split_certificate(&certificate).unwrap().tbs, with.as_slice());
    }
}
