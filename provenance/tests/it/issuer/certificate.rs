//! What a certificate of an issuer says, and for whom it is.

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyUsagePurpose, PKCS_ED25519, SanType,
};
use treering_provenance::issuer::{Anchor, AnchorError, IssuerError, KnownIssuer};
use treering_provenance::x509::{PathError, ProfileError};

use super::{Authority, ISS, judge, refused};

#[test]
fn the_certificate_of_an_issuer_is_for_signatures() {
    let root = Authority::root();
    let known = root.known();
    let with = |change: fn(&mut CertificateParams)| {
        judge(&known, &root.leaf_of(&PKCS_ED25519, change).statement(&[]))
    };
    for change in [
        (|params: &mut CertificateParams| params.key_usages = Vec::new()) as fn(&mut CertificateParams),
        |params| params.key_usages = vec![KeyUsagePurpose::KeyAgreement],
        |params| params.key_usages.push(KeyUsagePurpose::KeyCertSign),
        |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained),
        // The key of a TLS server, of mail.
        |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth],
        |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::EmailProtection],
    ] {
        let error = with(change).unwrap_err();
        assert!(
            matches!(error, IssuerError::Certificate { position: 0, error: ProfileError::Usage(_) }),
            "{error}"
        );
    }
    for usage in [
        ExtendedKeyUsagePurpose::CodeSigning,
        ExtendedKeyUsagePurpose::ClientAuth,
        ExtendedKeyUsagePurpose::Any,
    ] {
        let leaf = root.leaf_of(&PKCS_ED25519, |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, usage];
        });
        judge(&known, &leaf.statement(&[])).unwrap();
    }
}

#[test]
fn critical_extensions_that_are_not_read_are_refused() {
    let extension = |critical: bool| {
        let mut extension = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 32473, 9], vec![5, 0]);
        extension.set_criticality(critical);
        extension
    };
    let root = Authority::root();
    let known = root.known();
    let leaf = |critical| {
        root.leaf_of(&PKCS_ED25519, |params| params.custom_extensions = vec![extension(critical)])
            .statement(&[])
    };
    judge(&known, &leaf(false)).unwrap();
    let error = refused(&known, &leaf(true));
    assert!(
        matches!(error, IssuerError::Certificate { position: 0, error: ProfileError::Critical(_) }),
        "{error}"
    );
    let ca = root.below("ca", |params| params.custom_extensions = vec![extension(true)]);
    let error = refused(&known, &ca.leaf().statement(&[&ca.der]));
    assert!(matches!(error, IssuerError::Path(PathError::Issuer { position: 1, .. })), "{error}");
    assert!(Anchor::new(&ca.der, ISS).is_err());
}

#[test]
fn an_sct_list_may_stand_among_the_extensions_of_a_foreign_certificate() {
    let root = Authority::root();
    let sct = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 11129, 2, 4, 2], vec![4, 0]);
    let after = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 32473, 9], vec![5, 0]);
    let leaf = root.leaf_of(&PKCS_ED25519, |params| params.custom_extensions = vec![sct, after]);
    judge(&root.known(), &leaf.statement(&[])).unwrap();
    // In a certificate of ours it has its place.
    assert!(treering_provenance::x509::Profile::parse(&leaf.der).is_err());
}

#[test]
fn the_certificate_is_for_the_name_that_goes_with_the_anchor() {
    let root = Authority::root();
    let named = |names: Vec<SanType>| {
        root.leaf_of(&PKCS_ED25519, |params| params.subject_alt_names = names).statement(&[])
    };
    let uri = |text: &str| SanType::URI(text.try_into().unwrap());
    let dns = |text: &str| SanType::DnsName(text.try_into().unwrap());
    for names in [
        vec![],
        vec![uri("https://scanner.example/two")],
        vec![uri("https://scanner.example/one/")],
        vec![uri("HTTPS://scanner.example/one")],
        vec![dns("scanner.example"), SanType::Rfc822Name(ISS.try_into().unwrap())],
    ] {
        assert_eq!(refused(&root.known(), &named(names)), IssuerError::Name(ISS.to_owned()));
    }
    judge(&root.known(), &named(vec![dns("scanner.example"), uri(ISS)])).unwrap();
    // A host's name: as it is, no wildcard, and not a URI that looks like it.
    let known = root.known_as("scanner.example");
    judge(&known, &named(vec![dns("other.example"), dns("scanner.example")])).unwrap();
    for names in [vec![dns("*.example")], vec![dns("a.scanner.example")], vec![uri("scanner.example")]] {
        assert!(matches!(refused(&known, &named(names)), IssuerError::Name(_)));
    }
    // The subject's name says nothing.
    let subject = root.leaf_of(&PKCS_ED25519, |params| {
        params.subject_alt_names = Vec::new();
        params.distinguished_name.push(DnType::CommonName, "scanner.example");
    });
    assert!(matches!(refused(&known, &subject.statement(&[])), IssuerError::Name(_)));
    // With two anchors, the name goes with its own.
    let other = Authority::root();
    let both = KnownIssuer {
        anchors: [root.known_as("a.example"), other.known()].map(|one| one.anchors).concat(),
        ..KnownIssuer::default()
    };
    judge(&both, &other.leaf().statement(&[])).unwrap();
    assert_eq!(refused(&both, &root.leaf().statement(&[])), IssuerError::Path(PathError::NoAnchor));
}

#[test]
fn an_anchor_is_a_ca_with_a_name_for_its_certificates() {
    let root = Authority::root();
    for good in [ISS, "spiffe://example/scanner", "scanner.example", "urn:uuid:1"] {
        Anchor::new(&root.der, good).unwrap();
    }
    for bad in ["", "*.example", "Scanner.example", "a..b", ".a", "a b", ":x", "1a:x", "https:", "a:b c"] {
        assert_eq!(Anchor::new(&root.der, bad).unwrap_err(), AnchorError::Name(bad.to_owned()));
    }
    assert!(matches!(
        Anchor::new(&root.leaf().der, ISS),
        Err(AnchorError::Certificate(ProfileError::Usage(_)))
    ));
    assert!(matches!(Anchor::new(b"garbage", ISS), Err(AnchorError::Certificate(_))));
}
