//! A key that the workload proved to have, and that its Evidence names.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use treering_provenance::cose::VerifyingKey;
use treering_provenance::x509 as der;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::{Decode, Encode};
use x509_cert::request::CertReq;

use crate::verifier::{Appraisal, Appraised};

use super::Asked;
use super::x509::ECDSA_WITH_SHA256;

/// The largest certification request: a P-256 one has some 300 octets, and attributes are not used.
pub const MAX_CSR_BYTES: usize = 8 * 1024;

const ID_EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const SECP256R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");

/// Why a key is not bound to the Evidence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BindingError {
    /// Not a certification request.
    #[error("not a PKCS#10 certification request in DER of at most {MAX_CSR_BYTES} octets: {0}")]
    Csr(String),
    /// Another kind of key.
    #[error("the key is not an ECDSA key on P-256 that signs with SHA-256")]
    KeyType,
    /// The request is not signed by its key.
    #[error("the certification request is not signed by the key in it")]
    Possession,
    /// The Evidence carries another value: these components of several.
    #[error("the evidence{} is not bound to this challenge, target, relying party and key", of(.0))]
    Mismatch(Vec<String>),
}

impl BindingError {
    /// A stable word for statements and metrics.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Csr(_) => "csr-malformed",
            Self::KeyType => "key-type",
            Self::Possession => "no-possession",
            Self::Mismatch(_) => "not-bound",
        }
    }
}

fn of(components: &[String]) -> String {
    if components.is_empty() { String::new() } else { format!(" of {}", components.join(", ")) }
}

/// A public key that signed its own request and that the Evidence is bound to.
#[derive(Debug, Clone)]
pub struct BoundKey {
    spki: Vec<u8>,
    point: Vec<u8>,
}

impl BoundKey {
    /// Checks possession (the request is signed by its key) and binding: the value in the Evidence is recomputed
    /// with *our* relying-party id (TACRA), over this challenge, this target and this very request.
    pub fn check(asked: &Asked<'_>, appraised: &Appraised) -> Result<Self, BindingError> {
        let key = Self::possessed(asked.csr)?;
        Self::bound(appraised.appraisal(), asked).map(|()| key)
    }

    /// Checks that every component of the evidence carries the value.
    pub(super) fn bound(appraisal: &Appraisal, asked: &Asked<'_>) -> Result<(), BindingError> {
        let value = asked.binding_value();
        if appraisal.matches_binding(&value) {
            return Ok(());
        }
        // Of one component there is nothing to name.
        let several = appraisal.components().len() > 1;
        let names = appraisal.unbound(&value).filter(|_| several).map(|one| one.name().to_owned());
        Err(BindingError::Mismatch(names.collect()))
    }

    /// Checks possession alone: the request is a P-256 one and signed by its key. A replay does this with the request
    /// that was logged.
    pub fn possessed(csr: &[u8]) -> Result<Self, BindingError> {
        if csr.len() > MAX_CSR_BYTES {
            return Err(BindingError::Csr(format!("{} octets", csr.len())));
        }
        let malformed = |error: &dyn std::fmt::Display| BindingError::Csr(error.to_string());
        let request = CertReq::from_der(csr).map_err(|error| malformed(&error))?;
        let spki = &request.info.public_key;
        let curve = spki.algorithm.parameters.as_ref().and_then(|curve| curve.decode_as().ok());
        if spki.algorithm.oid != ID_EC_PUBLIC_KEY || curve != Some(SECP256R1) {
            return Err(BindingError::KeyType);
        }
        let point = spki.subject_public_key.as_bytes().ok_or(BindingError::KeyType)?.to_vec();
        // The signature covers the request's own octets, not what we would encode.
        let parts = der::split_certificate(csr).map_err(|error| malformed(&error))?;
        if parts.algorithm != ECDSA_WITH_SHA256 {
            return Err(BindingError::KeyType);
        }
        let signature = request.signature.as_bytes().ok_or(BindingError::Possession)?;
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &point)
            .verify(parts.tbs, signature)
            .map_err(|_| BindingError::Possession)?;
        let spki = spki.to_der().map_err(|error| malformed(&error))?;
        // Points in compressed form would be issued for, and then accepted by no relying party.
        VerifyingKey::from_spki(&spki).map_err(|_| BindingError::KeyType)?;
        Ok(Self { spki, point })
    }

    /// The SubjectPublicKeyInfo, DER.
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// The uncompressed point.
    pub fn point(&self) -> &[u8] {
        &self.point
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};

    fn csr(key: &KeyPair) -> Vec<u8> {
        CertificateParams::new(vec![]).unwrap().serialize_request(key).unwrap().der().to_vec()
    }

    #[test]
    fn a_request_signed_by_its_key_is_possessed() {
        let key = KeyPair::generate().unwrap();
        let bound = BoundKey::possessed(&csr(&key)).unwrap();
        assert_eq!(bound.point(), key.public_key_raw());
    }

    #[test]
    fn every_changed_octet_is_refused() {
        let good = csr(&KeyPair::generate().unwrap());
        for position in 0..good.len() {
            let mut changed = good.clone();
            changed[position] ^= 1;
            assert!(BoundKey::possessed(&changed).is_err(), "octet {position}");
        }
        for length in 0..good.len() {
            assert!(BoundKey::possessed(&good[..length]).is_err());
        }
        assert!(matches!(BoundKey::possessed(&vec![0; MAX_CSR_BYTES + 1]), Err(BindingError::Csr(_))));
    }

    #[test]
    fn other_kinds_of_key_are_refused() {
        for algorithm in [&PKCS_ED25519, &PKCS_ECDSA_P384_SHA384] {
            let key = KeyPair::generate_for(algorithm).unwrap();
            assert_eq!(BoundKey::possessed(&csr(&key)).unwrap_err(), BindingError::KeyType);
        }
    }
}
