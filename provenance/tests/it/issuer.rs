//! Statements of issuers that are known by certificates (RFC 9360), and each reason to refuse one.

mod certificate;
mod key;
mod path;
mod verdict;

use std::ops::RangeInclusive;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
};
use ciborium::Value;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ED25519, PublicKeyData as _, SanType, SignatureAlgorithm,
};
use treering_provenance::cose::{Algorithm, CoseError, VerifyingKey, sig_structure};
use treering_provenance::issuer::{Anchor, IssuerError, KnownIssuer};
use treering_provenance::statement::{Statement, StatementError};
use treering_provenance::strict;

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
