//! A simulated TPM: quotes exactly as a TPM 2.0 marshals them (TPM 2.0 Library, Part 2), by a P-256 attestation key with
//! a certificate under a root of its own.
//!
//! What is signed, and how it is put together, is open to its user field by field: a Verifier is to be shown every quote
//! that is wrong in one point.

use std::collections::BTreeMap;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
};
use serde::Serialize;
use sha2::{Digest, Sha256};
use treering_provenance::bytes::Bytes;
use treering_provenance::strict;

use super::certificates::{extension, name};
use super::der::{bits, boolean_true, element, explicit, integer, oid, sequence, time};
use crate::attester::{Attestation, Attester, AttesterError, EvidenceItem, TPM_QUOTE};

/// What the binding value is digested under. The verifier has the same.
const BINDING_TAG: &str = "treering-binding-tpm-v1";
/// Registers of the SHA-256 bank.
const PCRS: u8 = 24;
/// TPM_ALG_SHA256, and the scheme of the key.
const SHA256: u16 = 0xb;
const ECDSA: u16 = 0x18;
/// TPM_RH_ENDORSEMENT: the parent of a primary key is the handle of its hierarchy.
const ENDORSEMENT_HIERARCHY: [u8; 4] = 0x4000_000b_u32.to_be_bytes();
/// Attributes of an attestation key: fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, restricted, sign.
pub const ATTESTATION_KEY_ATTRIBUTES: u32 = 0x0005_0072;
const BACKDATE_S: u64 = 3600;
const LIFETIME_S: u64 = 10 * 365 * 86_400;

/// What a quote says (TPMS_ATTEST), open to be written wrongly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attest {
    /// TPM_GENERATED_VALUE.
    pub magic: u32,
    /// TPM_ST_ATTEST_QUOTE.
    pub kind: u16,
    /// Qualified name of the attestation key.
    pub qualified_signer: Vec<u8>,
    /// What the caller wants signed.
    pub extra_data: Vec<u8>,
    /// Milliseconds.
    pub clock: u64,
    /// Boots.
    pub reset_count: u32,
    /// Resumes.
    pub restart_count: u32,
    /// Whether the clock never went back: 0 or 1.
    pub safe: u8,
    /// Of the TPM.
    pub firmware_version: u64,
    /// Bank and bitmap.
    pub selections: Vec<(u16, Vec<u8>)>,
    /// Over the registers selected.
    pub pcr_digest: Vec<u8>,
}

impl Attest {
    /// As a TPM marshals it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = [&self.magic.to_be_bytes()[..], &self.kind.to_be_bytes()].concat();
        out.extend(sized(&self.qualified_signer));
        out.extend(sized(&self.extra_data));
        out.extend(self.clock.to_be_bytes());
        out.extend(self.reset_count.to_be_bytes());
        out.extend(self.restart_count.to_be_bytes());
        out.push(self.safe);
        out.extend(self.firmware_version.to_be_bytes());
        // A handful of banks, and bitmaps of a few octets.
        out.extend(u32::try_from(self.selections.len()).unwrap_or_default().to_be_bytes());
        for (bank, bitmap) in &self.selections {
            out.extend(bank.to_be_bytes());
            out.push(u8::try_from(bitmap.len()).unwrap_or_default());
            out.extend(bitmap);
        }
        out.extend(sized(&self.pcr_digest));
        out
    }
}

/// TPM2B: a length of two octets before the content.
fn sized(content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap_or_default();
    [&length.to_be_bytes(), content].concat()
}

/// The evidence: what is in the container, open to be written wrongly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    /// TPMS_ATTEST.
    pub attest: Vec<u8>,
    /// TPMT_SIGNATURE.
    pub signature: Vec<u8>,
    /// The registers.
    pub pcrs: BTreeMap<u8, Vec<u8>>,
    /// SubjectPublicKeyInfo of the key.
    pub key: Option<Vec<u8>>,
    /// TPMT_PUBLIC of the key.
    pub public: Option<Vec<u8>>,
    /// Qualified name of the parent, or handle of the hierarchy.
    pub parent: Option<Vec<u8>>,
}

#[derive(Serialize)]
struct Form {
    attest: Bytes,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<Bytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<Bytes>,
    pcrs: BTreeMap<u8, Bytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    public: Option<Bytes>,
    signature: Bytes,
}

impl Quote {
    /// The container, in deterministic CBOR.
    pub fn to_bytes(&self) -> Result<Vec<u8>, AttesterError> {
        let optional = |octets: &Option<Vec<u8>>| octets.clone().map(Bytes);
        let form = Form {
            attest: Bytes(self.attest.clone()),
            key: optional(&self.key),
            parent: optional(&self.parent),
            pcrs: self.pcrs.iter().map(|(index, value)| (*index, Bytes(value.clone()))).collect(),
            public: optional(&self.public),
            signature: Bytes(self.signature.clone()),
        };
        strict::to_vec(&form).map_err(|error| AttesterError::Report(error.to_string()))
    }
}

/// How a certificate of an attestation key is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CertificateForm {
    /// The octet of KeyUsage: 0x80 is digitalSignature.
    pub usage: u8,
    /// Whether it is an authority's.
    pub authority: bool,
    /// Whether it has a critical extension that nobody knows.
    pub critical: bool,
    /// Whether it says that the key is an attestation key (extended key usage tcg-kp-AIKCertificate).
    pub for_attestation: bool,
    /// First second.
    pub from: u64,
    /// Last second.
    pub until: u64,
}

impl CertificateForm {
    /// As it should be.
    pub const fn ordinary(from: u64, until: u64) -> Self {
        Self { usage: 0x80, authority: false, critical: false, for_attestation: true, from, until }
    }
}

/// A simulated TPM, its key, and the maker's root.
pub struct Tpm {
    root: P256Key,
    key: P256Key,
    certificates: [Vec<u8>; 2],
    pcrs: BTreeMap<u8, [u8; 32]>,
    attributes: u32,
}

impl std::fmt::Debug for Tpm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tpm").field("pcrs", &self.pcrs).finish_non_exhaustive()
    }
}

impl Tpm {
    /// Makes one, with certificates from now on.
    pub fn generate(now: u64) -> Result<Self, AttesterError> {
        let (from, until) = (now.saturating_sub(BACKDATE_S), now.saturating_add(LIFETIME_S));
        let (root, key) = (P256Key::generate()?, P256Key::generate()?);
        let certificates = [
            root_certificate(&root, from, until)?,
            key_certificate(&key.spki(), &root, &CertificateForm::ordinary(from, until))?,
        ];
        // Registers that only a dynamic launch sets begin with ones (PC Client Platform TPM Profile, table 4).
        let pcrs = (0..PCRS).map(|index| (index, [if (17..=22).contains(&index) { 0xff } else { 0 }; 32]));
        let attributes = ATTESTATION_KEY_ATTRIBUTES;
        Ok(Self { root, key, certificates, pcrs: pcrs.collect(), attributes })
    }

    /// The maker's root and the certificate of the key, in DER.
    pub fn certificates(&self) -> &[Vec<u8>; 2] {
        &self.certificates
    }

    /// SHA-256 of the root's certificate.
    pub fn root_fingerprint(&self) -> [u8; 32] {
        let [root, _] = &self.certificates;
        Sha256::digest(root).into()
    }

    /// Another certificate of the key.
    pub fn certificate(&self, form: &CertificateForm) -> Result<Vec<u8>, AttesterError> {
        key_certificate(&self.key.spki(), &self.root, form)
    }

    /// SubjectPublicKeyInfo of the attestation key.
    pub fn spki(&self) -> Vec<u8> {
        self.key.spki()
    }

    /// Says something else about the key than [`ATTESTATION_KEY_ATTRIBUTES`].
    pub fn set_attributes(&mut self, attributes: u32) {
        self.attributes = attributes;
    }

    /// Measures: extends a register by a digest.
    pub fn extend(&mut self, index: u8, digest: &[u8; 32]) {
        if let Some(register) = self.pcrs.get_mut(&index) {
            *register = Sha256::new().chain_update(*register).chain_update(digest).finalize().into();
        }
    }

    /// Sets a register, as if it had been measured into.
    pub fn set(&mut self, index: u8, value: [u8; 32]) {
        self.pcrs.insert(index, value);
    }

    /// The registers.
    pub fn registers(&self) -> impl Iterator<Item = (u8, &[u8; 32])> {
        self.pcrs.iter().map(|(index, value)| (*index, value))
    }

    /// TPMT_PUBLIC of the key.
    pub fn public(&self) -> Vec<u8> {
        let mut out = [0x23_u16, SHA256].map(u16::to_be_bytes).concat();
        out.extend(self.attributes.to_be_bytes());
        // No policy, no symmetric algorithm, ECDSA with SHA-256, P-256, no key derivation.
        out.extend([0, 0x10, ECDSA, SHA256, 3, 0x10].map(u16::to_be_bytes).concat());
        let (x, y) = self.key.coordinates();
        [out, sized(x), sized(y)].concat()
    }

    /// What a quote of all registers says.
    pub fn attest(&self, extra_data: &[u8]) -> Attest {
        let name = |octets: &[u8]| [&SHA256.to_be_bytes()[..], &Sha256::digest(octets)].concat();
        let qualified = [&ENDORSEMENT_HIERARCHY[..], &name(&self.public())].concat();
        Attest {
            magic: 0xff54_4347,
            kind: 0x8018,
            qualified_signer: name(&qualified),
            extra_data: extra_data.to_vec(),
            clock: 3_600_000,
            reset_count: 7,
            restart_count: 0,
            safe: 1,
            firmware_version: 0x0001_0002_0003_0004,
            selections: vec![(SHA256, vec![0xff; 3])],
            pcr_digest: Sha256::digest(self.pcrs.values().flatten().copied().collect::<Vec<u8>>()).to_vec(),
        }
    }

    /// Signs octets, whatever they are: TPMT_SIGNATURE.
    pub fn sign(&self, attest: &[u8]) -> Result<Vec<u8>, AttesterError> {
        let signature = self.key.sign(attest)?;
        let (r, s) = signature.split_at(signature.len().div_ceil(2));
        Ok([[ECDSA, SHA256].map(u16::to_be_bytes).concat(), sized(r), sized(s)].concat())
    }

    /// A quote of this attestation, with the key as SubjectPublicKeyInfo.
    pub fn quote(&self, attest: &Attest) -> Result<Quote, AttesterError> {
        let attest = attest.to_bytes();
        Ok(Quote {
            signature: self.sign(&attest)?,
            attest,
            pcrs: self.pcrs.iter().map(|(index, value)| (*index, value.to_vec())).collect(),
            key: Some(self.spki()),
            public: None,
            parent: None,
        })
    }

    /// The same with the public area of the key and its parent.
    pub fn quote_with_public(&self, attest: &Attest) -> Result<Quote, AttesterError> {
        let parent = Some(ENDORSEMENT_HIERARCHY.to_vec());
        Ok(Quote { key: None, public: Some(self.public()), parent, ..self.quote(attest)? })
    }
}

impl Attester for Tpm {
    fn report(&self, report_data: &[u8; 64]) -> Result<Attestation, AttesterError> {
        let digest = Sha256::new().chain_update(BINDING_TAG).chain_update(report_data).finalize();
        let bytes = self.quote_with_public(&self.attest(&digest))?.to_bytes()?;
        Ok(Attestation {
            evidence: vec![EvidenceItem { media_type: TPM_QUOTE, bytes }],
            endorsements: self.certificates.to_vec(),
            ..Attestation::default()
        })
    }
}

/// A P-256 key, for quotes and for certificates.
struct P256Key {
    fixed: EcdsaKeyPair,
    asn1: EcdsaKeyPair,
}

impl P256Key {
    fn generate() -> Result<Self, AttesterError> {
        let failed = |_| AttesterError::Crypto("a P-256 key could not be made");
        let fixed = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(failed)?;
        let pkcs8 = fixed.to_pkcs8v1().map_err(failed)?;
        let asn1 = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref())
            .map_err(|_| AttesterError::Crypto("a P-256 key could not be read again"))?;
        Ok(Self { fixed, asn1 })
    }

    fn spki(&self) -> Vec<u8> {
        let algorithm = sequence(&[oid("1.2.840.10045.2.1"), oid("1.2.840.10045.3.1.7")]);
        sequence(&[algorithm, bits(self.fixed.public_key().as_ref())])
    }

    fn coordinates(&self) -> (&[u8], &[u8]) {
        let point = self.fixed.public_key().as_ref();
        point.get(1..).unwrap_or_default().split_at_checked(32).unwrap_or_default()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, AttesterError> {
        let signature = self.fixed.sign(&SystemRandom::new(), message);
        let signature = signature.map_err(|_| AttesterError::Crypto("a quote could not be signed"))?;
        Ok(signature.as_ref().to_vec())
    }

    fn certify(&self, to_be_signed: &[u8]) -> Result<Vec<u8>, AttesterError> {
        let signature = self.asn1.sign(&SystemRandom::new(), to_be_signed);
        let signature = signature.map_err(|_| AttesterError::Crypto("a certificate could not be signed"))?;
        Ok(sequence(&[to_be_signed.to_vec(), ecdsa_with_sha256(), bits(signature.as_ref())]))
    }
}

fn ecdsa_with_sha256() -> Vec<u8> {
    sequence(&[oid("1.2.840.10045.4.3.2")])
}

fn root_certificate(key: &P256Key, from: u64, until: u64) -> Result<Vec<u8>, AttesterError> {
    let extensions = [
        extension("2.5.29.19", true, &sequence(&[boolean_true()])),
        extension("2.5.29.15", true, &element(0x03, &[2, 0x04])),
    ];
    let subject = name("TPM root");
    let validity = sequence(&[time(from), time(until)]);
    let body = [integer(&[1]), ecdsa_with_sha256(), subject.clone(), validity, subject, key.spki()];
    certificate(&body, &extensions, key)
}

fn key_certificate(spki: &[u8], root: &P256Key, form: &CertificateForm) -> Result<Vec<u8>, AttesterError> {
    let constraints = if form.authority { sequence(&[boolean_true()]) } else { sequence(&[]) };
    let mut extensions = vec![
        extension("2.5.29.19", true, &constraints),
        // No bit unused below the lowest set one.
        extension("2.5.29.15", true, &element(0x03, &[unused_bits(form.usage), form.usage])),
    ];
    if form.for_attestation {
        extensions.push(extension("2.5.29.37", false, &sequence(&[oid("2.23.133.8.3")])));
    }
    if form.critical {
        extensions.push(extension("1.3.6.1.4.1.32473.9.9", true, &sequence(&[])));
    }
    let validity = sequence(&[time(form.from), time(form.until)]);
    let body = [
        integer(&[2]),
        ecdsa_with_sha256(),
        name("TPM root"),
        validity,
        name("Attestation key"),
        spki.to_vec(),
    ];
    certificate(&body, &extensions, root)
}

fn unused_bits(usage: u8) -> u8 {
    u8::try_from(usage.trailing_zeros()).unwrap_or_default()
}

fn certificate(body: &[Vec<u8>], extensions: &[Vec<u8>], key: &P256Key) -> Result<Vec<u8>, AttesterError> {
    let version = explicit(0, &integer(&[2]));
    let extensions = explicit(3, &sequence(extensions));
    key.certify(&element(super::der::SEQUENCE, &[version, body.concat(), extensions].concat()))
}
