//! Statements of issuers that are known by certificates (RFC 9360), and each reason to refuse one.

use std::ops::RangeInclusive;

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    },
};
use ciborium::Value;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, PKCS_ECDSA_P256_SHA256,
    PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256, PublicKeyData as _, RsaKeySize, SanType,
    SignatureAlgorithm,
};
use sha2::{Digest as _, Sha256};
use treering_provenance::{
    cose::{Algorithm, CoseError, VerifyingKey, sig_structure},
    issuer::{Anchor, AnchorError, IssuerError, KnownIssuer, MAX_CHAIN_BYTES},
    statement::{Statement, StatementError},
    strict,
    x509::{PathError, ProfileError},
};

use crate::fixture::NOW;

const ISS: &str = "https://scanner.example/one";
const DAY: u64 = 24 * 60 * 60;

fn time(unix: u64) -> time::OffsetDateTime {
    time::OffsetDateTime::from_unix_timestamp(unix.try_into().unwrap()).unwrap()
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    (params.not_before, params.not_after) = (time(NOW - DAY), time(NOW + DAY));
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// A CA.
pub(crate) struct Authority {
    pub(crate) der: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn params(name: &str) -> CertificateParams {
        let mut params = params(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params
    }

    fn root_with(key: KeyPair, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = Self::params("root");
        change(&mut params);
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Self { der, issuer: Issuer::new(params, key) }
    }

    pub(crate) fn root() -> Self {
        Self::root_with(KeyPair::generate().unwrap(), |_| ())
    }

    fn below(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let (mut params, key) = (Self::params(name), KeyPair::generate().unwrap());
        change(&mut params);
        let der = params.signed_by(&key, &self.issuer).unwrap().der().to_vec();
        Self { der, issuer: Issuer::new(params, key) }
    }

    fn leaf_of(
        &self,
        algorithm: &'static SignatureAlgorithm,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Leaf {
        let (mut params, key) = (params("scanner"), KeyPair::generate_for(algorithm).unwrap());
        params.subject_alt_names = vec![SanType::URI(ISS.try_into().unwrap())];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        change(&mut params);
        let der = params.signed_by(&key, &self.issuer).unwrap().der().to_vec();
        Leaf { der, key }
    }

    fn leaf(&self) -> Leaf {
        self.leaf_of(&PKCS_ED25519, |_| ())
    }

    fn known(&self) -> KnownIssuer {
        self.known_as(ISS)
    }

    fn known_as(&self, name: &str) -> KnownIssuer {
        let anchors = vec![Anchor::new(&self.der, name).unwrap()];
        KnownIssuer { anchors, ..KnownIssuer::default() }
    }
}

/// A certificate of an issuer, and its key.
struct Leaf {
    der: Vec<u8>,
    key: KeyPair,
}

impl Leaf {
    fn public(&self) -> VerifyingKey {
        VerifyingKey::from_spki(&self.key.subject_public_key_info()).unwrap()
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let pkcs8 = self.key.serialized_der();
        let ecdsa = |algorithm| {
            let key = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8).unwrap();
            key.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
        };
        match self.public().algorithm() {
            Algorithm::Es256 => ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING),
            Algorithm::Es384 => ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING),
            _ => Ed25519KeyPair::from_pkcs8(pkcs8).unwrap().sign(message).as_ref().to_vec(),
        }
    }

    /// A statement of the algorithm and with these parameters beside the claims, in whatever spelling of S comes out.
    fn any_s(&self, algorithm: i64, more: Vec<(Value, Value)>) -> Statement {
        let claims = vec![(1.into(), ISS.into()), (2.into(), "scan-1".into())];
        let header = vec![
            (1.into(), algorithm.into()),
            (3.into(), "text/plain".into()),
            (15.into(), Value::Map(claims)),
        ];
        let protected = strict::encode(&Value::Map([header, more].concat())).unwrap();
        let signature = self.sign(&sig_structure(&protected, b"found nothing"));
        let parts = vec![
            Value::Bytes(protected),
            Value::Map(Vec::new()),
            Value::Bytes(b"found nothing".to_vec()),
            Value::Bytes(signature),
        ];
        Statement::parse(&strict::encode(&Value::Tag(18, Box::new(Value::Array(parts)))).unwrap()).unwrap()
    }

    /// The same, with low S.
    fn with(&self, more: &[(Value, Value)]) -> Statement {
        let algorithm = self.public().algorithm().id();
        loop {
            let statement = self.any_s(algorithm, more.to_vec());
            if !matches!(
                statement.check_signature(&self.public()),
                Err(StatementError::Cose(CoseError::HighS))
            ) {
                return statement;
            }
        }
    }

    /// A statement with its own certificate and these above it.
    fn statement(&self, above: &[&[u8]]) -> Statement {
        let all: Vec<&[u8]> = [self.der.as_slice()].into_iter().chain(above.iter().copied()).collect();
        self.with(&[chain(&all)])
    }
}

fn chain(certificates: &[&[u8]]) -> (Value, Value) {
    let octets = |certificate: &[u8]| Value::Bytes(certificate.to_vec());
    let value = match certificates {
        [one] => octets(one),
        many => Value::Array(many.iter().map(|one| octets(one)).collect()),
    };
    (33.into(), value)
}

fn judge(known: &KnownIssuer, statement: &Statement) -> Result<RangeInclusive<u64>, IssuerError> {
    known.check(statement, NOW..=NOW)
}

#[track_caller]
fn refused(known: &KnownIssuer, statement: &Statement) -> IssuerError {
    judge(known, statement).unwrap_err()
}

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
fn the_algorithm_fits_the_certified_key() {
    let root = Authority::root();
    let leaf = root.leaf_of(&PKCS_ECDSA_P384_SHA384, |_| ());
    for (algorithm, good) in [(-35, true), (-51, true), (-7, false), (-8, false), (-9, false)] {
        let statement = leaf.any_s(algorithm, vec![chain(&[&leaf.der])]);
        let known = KnownIssuer { high_s: true, ..root.known() };
        match judge(&known, &statement) {
            Ok(_) => assert!(good),
            Err(error) => {
                let wanted = CoseError::KeyMismatch { alg: algorithm, key: "P-384" };
                assert_eq!(error, IssuerError::Signature(StatementError::Cose(wanted)));
            }
        }
    }
    // The right chain, somebody else's signature.
    let thief = root.leaf();
    let statement = thief.with(&[chain(&[&root.leaf().der])]);
    let wrong = IssuerError::Signature(StatementError::Cose(CoseError::Signature));
    assert_eq!(refused(&root.known(), &statement), wrong);
}

#[test]
fn kid_and_x5t_beside_a_chain_name_its_first_certificate() {
    let root = Authority::root();
    let (leaf, known) = (root.leaf(), root.known());
    let with = |label: i64, value: Value| leaf.with(&[chain(&[&leaf.der]), (label.into(), value)]);
    let kid = Value::Bytes(leaf.public().thumbprint().to_vec());
    let hash = |algorithm: i64, of: &[u8]| {
        Value::Array(vec![algorithm.into(), Value::Bytes(Sha256::digest(of).to_vec())])
    };
    judge(&known, &with(4, kid)).unwrap();
    judge(&known, &with(34, hash(-16, &leaf.der))).unwrap();
    for (label, value) in [
        (4, Value::Bytes(b"key-1".to_vec())),
        (34, hash(-16, &root.der)),
        (34, hash(-44, &leaf.der)),
        (34, Value::Null),
    ] {
        let error = refused(&known, &with(label, value));
        assert!(matches!(error, IssuerError::Disagrees(..)), "{error}");
    }
}

#[test]
fn who_is_known_by_keys_sends_no_certificates_and_the_other_way_round() {
    let root = Authority::root();
    let leaf = root.leaf();
    let by_key = KnownIssuer { keys: vec![leaf.public()], ..KnownIssuer::default() };
    let kid = || (4.into(), Value::Bytes(leaf.public().thumbprint().to_vec()));
    // A chain that nobody judged must not be in the log as if somebody had.
    let both = leaf.with(&[kid(), chain(&[&leaf.der])]);
    assert_eq!(refused(&by_key, &both), IssuerError::NoAnchor);
    judge(&by_key, &leaf.with(&[kid()])).unwrap();
    assert_eq!(refused(&root.known(), &leaf.with(&[kid()])), IssuerError::ChainMissing);
    // Neither: then nobody says whose it is.
    let claims = vec![(1.into(), ISS.into()), (2.into(), "scan-1".into())];
    let header = vec![(1.into(), (-8).into()), (15.into(), Value::Map(claims))];
    let parts = vec![
        Value::Bytes(strict::encode(&Value::Map(header)).unwrap()),
        Value::Map(Vec::new()),
        Value::Bytes(b"found nothing".to_vec()),
        Value::Bytes(vec![0; 64]),
    ];
    let neither = strict::encode(&Value::Tag(18, Box::new(Value::Array(parts)))).unwrap();
    assert!(Statement::parse(&neither).unwrap_err().to_string().contains("4 (kid): is missing"));
}

#[test]
fn both_spellings_of_s_are_taken_only_where_that_is_said() {
    let root = Authority::root();
    for kind in [&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384] {
        let leaf = root.leaf_of(kind, |_| ());
        let low = leaf.statement(&[]);
        let high = loop {
            let statement = leaf.any_s(low.algorithm().id(), vec![chain(&[&leaf.der])]);
            if judge(&root.known(), &statement).is_err() {
                break statement;
            }
        };
        assert_eq!(refused(&root.known(), &high), IssuerError::HighS);
        let lenient = KnownIssuer { high_s: true, ..root.known() };
        judge(&lenient, &low).unwrap();
        judge(&lenient, &high).unwrap();
        // The other spelling of the high one is a low one that verifies: same statement, another leaf.
        let twin = high.twin().unwrap().unwrap();
        assert_ne!(twin, high.leaf());
        assert_ne!(low.twin().unwrap(), Some(low.leaf()));
    }
    assert_eq!(root.leaf().statement(&[]).twin(), Ok(None), "EdDSA has one spelling");
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

/// A registered statement, offline: its issuer, and a receipt in it or beside it.
mod verdict {
    use treering_provenance::{
        cose::Signer as _,
        receipt,
        statement::{Draft, Kind},
        verify::{Check, Outcome, StatementOptions, check, verify_statement},
    };

    use super::*;
    use crate::fixture::{LOG_ROLE, ORIGIN, World, confidential};

    struct Registered {
        world: World,
        known: KnownIssuer,
        entry: Vec<u8>,
        receipt: Vec<u8>,
    }

    impl Registered {
        fn new() -> Self {
            let root = Authority::root();
            let statement = root.leaf().statement(&[]);
            let mut world = World::new();
            let index = world.log.push(statement.leaf());
            let seal = receipt::seal(&world.receipt_key, LOG_ROLE, &world.log.head(), NOW).unwrap();
            let receipt = receipt::assemble(&seal, &[world.log.inclusion(index)]).unwrap();
            Self { world, known: root.known(), entry: statement.entry().to_vec(), receipt }
        }

        fn options(&self) -> StatementOptions<'_> {
            StatementOptions {
                iss: ISS,
                known: &self.known,
                receipt: Some(&self.receipt),
                at: None,
                now: NOW,
            }
        }

        /// The outcome, and the check that failed.
        fn judge(&self, bytes: &[u8], options: &StatementOptions<'_>) -> (Outcome, Option<&'static str>) {
            let verdict = verify_statement(bytes, &self.world.trust(), options);
            (verdict.outcome(), verdict.failed().map(Check::name))
        }

        fn with_unprotected(&self, unprotected: Vec<(Value, Value)>) -> Vec<u8> {
            let Value::Tag(18, message) = strict::decode(&self.entry, 1 << 16).unwrap() else {
                panic!("tag")
            };
            let mut parts = message.into_array().unwrap();
            parts[1] = Value::Map(unprotected);
            strict::encode(&Value::Tag(18, Box::new(Value::Array(parts)))).unwrap()
        }
    }

    #[test]
    fn a_registered_statement_is_verified_offline_and_the_verdict_says_what_was_not() {
        let registered = Registered::new();
        let verdict = verify_statement(&registered.entry, &registered.world.trust(), &registered.options());
        assert_eq!(verdict.outcome(), Outcome::Trustworthy, "{verdict:?}");
        assert_eq!(verdict.log().unwrap().index, 5);
        let names = |checks: &[Check]| checks.iter().map(Check::name).collect::<Vec<_>>();
        assert_eq!(names(verdict.checked()), [check::STATEMENT, check::STATEMENT_SIGNATURE, check::RECEIPT]);
        let left = [check::REVOCATION, check::AUDIENCE, check::WITNESSES, check::CONTENT];
        assert_eq!(names(verdict.not_checked()), left);
        // As a transparent statement: the receipt is carried, the first that holds is enough.
        let receipts = Value::Array(vec![Value::Bytes(vec![0]), Value::Bytes(registered.receipt.clone())]);
        let carried = registered.with_unprotected(vec![(394.into(), receipts)]);
        let alone = StatementOptions { receipt: None, ..registered.options() };
        assert_eq!(registered.judge(&carried, &alone), (Outcome::Trustworthy, None));
        assert_eq!(
            registered.judge(&registered.entry, &alone),
            (Outcome::CannotEvaluate, Some(check::RECEIPT))
        );
    }

    #[test]
    fn a_statement_of_another_issuer_log_or_time_is_untrusted() {
        let registered = Registered::new();
        let signature = (Outcome::Untrusted, Some(check::STATEMENT_SIGNATURE));
        let judge = |options: StatementOptions<'_>| registered.judge(&registered.entry, &options);
        assert_eq!(
            judge(StatementOptions { iss: "https://other.example", ..registered.options() }),
            signature
        );
        let other = Authority::root().known();
        assert_eq!(judge(StatementOptions { known: &other, ..registered.options() }), signature);
        assert_eq!(judge(StatementOptions { at: Some(NOW + 2 * DAY), ..registered.options() }), signature);
        assert_eq!(judge(StatementOptions { now: NOW + 2 * DAY, ..registered.options() }), signature);
        let elsewhere = Registered::new();
        for receipt in [elsewhere.receipt.as_slice(), b"garbage"] {
            let options = StatementOptions { receipt: Some(receipt), ..registered.options() };
            assert_eq!(judge(options), (Outcome::Untrusted, Some(check::RECEIPT)));
        }
        let garbage = registered.judge(b"garbage", &registered.options());
        assert_eq!(garbage, (Outcome::CannotEvaluate, Some(check::STATEMENT)));
    }

    #[test]
    fn a_statement_for_another_log_is_untrusted_here() {
        let mut registered = Registered::new();
        let signer = crate::fixture::signer(40);
        registered.known = KnownIssuer { keys: vec![signer.key().clone()], ..KnownIssuer::default() };
        for (audience, wanted) in [
            (ORIGIN, (Outcome::CannotEvaluate, Some(check::RECEIPT))),
            ("log.staging.example/1", (Outcome::Untrusted, Some(check::AUDIENCE))),
        ] {
            let draft = confidential(Kind::Appraisal, ISS, vec![], None);
            let statement = Draft { audience, ..draft }.sign(&signer).unwrap();
            let options = StatementOptions { receipt: None, ..registered.options() };
            assert_eq!(registered.judge(statement.entry(), &options), wanted);
        }
    }
}
