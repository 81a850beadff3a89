//! The X.509 credential: a Workload Identity Certificate (draft-ietf-wimse-workload-creds) that is an X509-SVID too:
//! one URI SAN, a P-256 key, leaf usage, a short life.
//!
//! It is built without its proof, committed to by the issuance statement, and signed only when that is logged; the
//! proof then goes in as raw DER (`treering_provenance::x509`). What is not yet logged is never signed, so there is
//! no precertificate to lose.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType, SerialNumber, SigningKey,
};
use sha2::{Digest, Sha256};
use treering_provenance::{content, x509 as der};
use x509_cert::der::{Decode, Encode};

use crate::ident::TrustDomain;
use crate::keys::{self, KeyError};
use crate::ledger::Receipt;
use crate::mapper::WorkloadClaims;

use super::BoundKey;

/// AlgorithmIdentifier of ecdsa-with-SHA256 (RFC 5758, 3.2), DER.
pub(super) const ECDSA_WITH_SHA256: &[u8] =
    &[0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
/// The claims extension's OID, as rcgen takes it.
const CLAIMS_OID: &[u64] = &[1, 3, 6, 1, 4, 1, 32_473, 1, 2];
/// A credential is valid from a little before now, for relying parties whose clocks are behind ours.
pub const BACKDATE_S: u64 = 60;
/// The life of a CA that `init` makes: ten years.
const CA_LIFETIME_S: u64 = 10 * 365 * 24 * 60 * 60;

/// What went wrong at the authority.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A key file.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A certificate file.
    #[error("{path}: {message}")]
    Certificate {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// A certificate could not be built.
    #[error("certificate: {0}")]
    Build(String),
    /// The receipt is for another credential.
    #[error("the receipt is not for this credential")]
    WrongReceipt,
}

fn build_error(error: impl std::fmt::Display) -> AuthorityError {
    AuthorityError::Build(error.to_string())
}

/// Where a CA lies.
#[derive(Debug, Clone)]
pub struct CaFiles<'a> {
    /// The certificate, PEM.
    pub certificate: &'a Path,
    /// The key, PKCS#8 in PEM.
    pub key: &'a Path,
}

/// A credential that is decided, and neither signed nor logged.
pub struct Minted {
    tbs: Vec<u8>,
    cred: [u8; 32],
    serial: Vec<u8>,
    spki_sha256: [u8; 32],
    not_before: u64,
    not_after: u64,
}

impl Minted {
    /// What the issuance statement commits to.
    pub fn cred(&self) -> [u8; 32] {
        self.cred
    }

    /// The serial number, big-endian.
    pub fn serial(&self) -> &[u8] {
        &self.serial
    }

    /// The SHA-256 of the key.
    pub fn spki_sha256(&self) -> [u8; 32] {
        self.spki_sha256
    }

    /// The validity, Unix seconds.
    pub fn validity(&self) -> (u64, u64) {
        (self.not_before, self.not_after)
    }

    /// Puts the proof in and signs: the one place where the CA's key is used on a credential.
    pub fn release(self, authority: &Authority, receipt: &Receipt) -> Result<Released, AuthorityError> {
        if receipt.cred() != Some(self.cred) {
            return Err(AuthorityError::WrongReceipt);
        }
        let proof = receipt.proof().map_err(build_error)?;
        let tbs = der::insert_proof(&self.tbs, &proof).map_err(build_error)?;
        let signature = authority.sign(&tbs)?;
        let certificate = der::assemble_certificate(&tbs, ECDSA_WITH_SHA256, &signature);
        Ok(Released {
            certificate,
            ca: authority.certificate.clone(),
            not_after: self.not_after,
            index: receipt.index(),
            size: receipt.head().size(),
        })
    }
}

/// A credential that is logged: the only one that becomes a response.
#[derive(Debug, Clone)]
pub struct Released {
    certificate: Vec<u8>,
    ca: Vec<u8>,
    not_after: u64,
    index: u64,
    size: u64,
}

impl Released {
    /// The end-entity certificate and the CA's, PEM.
    pub fn pem(&self) -> Result<String, AuthorityError> {
        let encode = |der: &[u8]| {
            pem_rfc7468::encode_string("CERTIFICATE", pem_rfc7468::LineEnding::LF, der).map_err(build_error)
        };
        Ok(encode(&self.certificate)? + &encode(&self.ca)?)
    }

    /// The end of its validity.
    pub fn not_after(&self) -> u64 {
        self.not_after
    }

    /// The index of its issuance statement.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The size of the tree that its proof leads to.
    pub fn tree_size(&self) -> u64 {
        self.size
    }
}

/// The CA.
pub struct Authority {
    key: EcdsaKeyPair,
    point: Vec<u8>,
    certificate: Vec<u8>,
    spki: Vec<u8>,
    trust_domain: TrustDomain,
}

impl Authority {
    /// Loads a CA and checks that its key and certificate belong together.
    pub fn load(files: &CaFiles<'_>, trust_domain: TrustDomain) -> Result<Self, AuthorityError> {
        let bad = |message: &str| AuthorityError::Certificate {
            path: files.certificate.to_owned(),
            message: message.to_owned(),
        };
        let pem = std::fs::read(files.certificate).map_err(|error| bad(&error.to_string()))?;
        let (label, certificate) = pem_rfc7468::decode_vec(&pem).map_err(|error| bad(&error.to_string()))?;
        if label != "CERTIFICATE" {
            return Err(bad("no CERTIFICATE in PEM"));
        }
        let parsed =
            x509_cert::Certificate::from_der(&certificate).map_err(|error| bad(&error.to_string()))?;
        let info = parsed.tbs_certificate().subject_public_key_info();
        let spki = info.to_der().map_err(build_error)?;
        let secret = keys::read_secret(files.key)?;
        let no_key = || KeyError::Format { path: files.key.to_owned(), wanted: "P-256 key (PKCS#8 in PEM)" };
        let (_, pkcs8) = pem_rfc7468::decode_vec(&secret).map_err(|_| no_key())?;
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &zeroize::Zeroizing::new(pkcs8))
            .map_err(|_| no_key())?;
        let point = key.public_key().as_ref().to_vec();
        if info.subject_public_key.as_bytes() != Some(&point) {
            return Err(bad("its public key is not that of the CA's key file"));
        }
        Ok(Self { key, point, certificate, spki, trust_domain })
    }

    /// The CA certificate, DER.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// Decides a credential: identifier, claims, key, life. Nothing is signed.
    pub fn mint(
        &self,
        claims: &WorkloadClaims,
        key: &BoundKey,
        max_ttl_s: u64,
        now: u64,
    ) -> Result<Minted, AuthorityError> {
        let not_before = now.saturating_sub(BACKDATE_S);
        let longest = now.saturating_add(max_ttl_s.min(claims.max_ttl_s()));
        let not_after = claims.until().map_or(longest, |until| until.min(longest));
        let serial = serial()?;
        let terms = Terms {
            identifier: claims.identifier().as_str(),
            claims: claims.claims(),
            point: key.point(),
            serial: &serial,
            not_before,
            not_after,
        };
        let tbs = terms.tbs(&self.certificate, &self.point, self.trust_domain.as_str())?;
        let cred = *der::cred(&self.spki, &tbs).as_bytes();
        let spki_sha256 = Sha256::digest(key.spki()).into();
        Ok(Minted { tbs, cred, serial, spki_sha256, not_before, not_after })
    }

    fn sign(&self, tbs: &[u8]) -> Result<Vec<u8>, AuthorityError> {
        let signature = self.key.sign(&SystemRandom::new(), tbs);
        signature
            .map(|signature| signature.as_ref().to_vec())
            .map_err(|_| build_error("the CA's key did not sign"))
    }
}

/// What a credential says, all of which is logged.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// The workload identifier.
    pub identifier: &'a str,
    /// The claims.
    pub claims: &'a content::Claims,
    /// The workload's key, an uncompressed point.
    pub point: &'a [u8],
    /// The serial number, big-endian.
    pub serial: &'a [u8],
    /// Unix seconds.
    pub not_before: u64,
    /// Unix seconds.
    pub not_after: u64,
}

impl Terms<'_> {
    /// The TBSCertificate without its proof: these terms under this CA give these octets, today and in a replay.
    fn tbs(&self, ca: &[u8], ca_point: &[u8], trust_domain: &str) -> Result<Vec<u8>, AuthorityError> {
        let capture = TbsCapture { point: ca_point, tbs: RefCell::default() };
        let issuer = Issuer::from_ca_cert_der(&ca.into(), &capture).map_err(build_error)?;
        self.params(trust_domain)?.signed_by(&WorkloadKey(self.point), &issuer).map_err(build_error)?;
        Ok(capture.tbs.take())
    }

    fn params(&self, trust_domain: &str) -> Result<CertificateParams, AuthorityError> {
        let mut params = CertificateParams::default();
        params.not_before = time_of(self.not_before)?;
        params.not_after = time_of(self.not_after)?;
        params.serial_number = Some(SerialNumber::from_slice(self.serial));
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, trust_domain);
        params.subject_alt_names = vec![SanType::URI(self.identifier.try_into().map_err(build_error)?)];
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let value = content::claims_to_cbor(self.claims).map_err(build_error)?;
        params.custom_extensions = vec![CustomExtension::from_oid_content(CLAIMS_OID, value)];
        Ok(params)
    }
}

/// The commitment (`cred`) to the credential with these terms under a CA, of which only the certificate is needed.
pub fn commitment(ca: &[u8], trust_domain: &str, terms: &Terms<'_>) -> Result<[u8; 32], AuthorityError> {
    let parsed = x509_cert::Certificate::from_der(ca).map_err(build_error)?;
    let info = parsed.tbs_certificate().subject_public_key_info();
    let point = info.subject_public_key.as_bytes().unwrap_or_default();
    let tbs = terms.tbs(ca, point, trust_domain)?;
    Ok(*der::cred(&info.to_der().map_err(build_error)?, &tbs).as_bytes())
}

/// Makes a self-signed CA and writes both files; an existing key is an error.
pub fn create_ca(files: &CaFiles<'_>, trust_domain: &TrustDomain, now: u64) -> Result<(), AuthorityError> {
    let key = rcgen::KeyPair::generate().map_err(build_error)?;
    let mut params = CertificateParams::default();
    params.not_before = time_of(now.saturating_sub(BACKDATE_S))?;
    params.not_after = time_of(now.saturating_add(CA_LIFETIME_S))?;
    params.serial_number = Some(SerialNumber::from_slice(&serial()?));
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, trust_domain.as_str());
    params.distinguished_name.push(DnType::CommonName, "Treering Credential Authority");
    let uri = format!("spiffe://{trust_domain}").as_str().try_into().map_err(build_error)?;
    params.subject_alt_names = vec![SanType::URI(uri)];
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key).map_err(build_error)?;
    keys::write_secret(files.key, zeroize::Zeroizing::new(key.serialize_pem()).as_bytes())?;
    std::fs::write(files.certificate, certificate.pem()).map_err(|error| AuthorityError::Certificate {
        path: files.certificate.to_owned(),
        message: error.to_string(),
    })
}

/// 126 random bits after a 0 and a 1: positive, never zero, 16 octets (RFC 5280, 4.1.2.2: at most 20).
fn serial() -> Result<Vec<u8>, KeyError> {
    let mut serial: [u8; 16] = keys::random()?;
    if let Some(first) = serial.first_mut() {
        *first = (*first & 0x7f) | 0x40;
    }
    Ok(serial.to_vec())
}

fn time_of(unix: u64) -> Result<time::OffsetDateTime, AuthorityError> {
    let unix = i64::try_from(unix).map_err(build_error)?;
    time::OffsetDateTime::from_unix_timestamp(unix).map_err(build_error)
}

/// Takes what rcgen wants signed, and signs nothing.
struct TbsCapture<'a> {
    point: &'a [u8],
    tbs: RefCell<Vec<u8>>,
}

impl PublicKeyData for TbsCapture<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.point
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl SigningKey for TbsCapture<'_> {
    fn sign(&self, tbs: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.tbs.replace(tbs.to_vec());
        Ok(Vec::new())
    }
}

/// The workload's public key, for rcgen.
struct WorkloadKey<'a>(&'a [u8]);

impl PublicKeyData for WorkloadKey<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}
