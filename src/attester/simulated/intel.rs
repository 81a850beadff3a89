//! A simulated Intel platform: quotes of TDX (versions 4 and 5) and SGX (version 3), certificates, CRLs, TCB
//! information and identities exactly in Intel's form, under a root of its own.
//!
//! A Verifier accepts them only where the configuration pins that root, and marks every result as simulated. What the
//! platform is, and what its collateral says of it, is data that can be changed: so that each thing can be made wrong.

mod certificates;
mod documents;
mod quote;

use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
};
use sha2::{Digest, Sha256, Sha384};

pub use documents::{IntelCollateral, IntelStatus, Revoked};
pub use quote::{Enclave, QuotingEnclave, Td, TdVersion};

use super::random;
use crate::attester::{Attestation, Attester, AttesterError, EvidenceItem, SGX_QUOTE, TDX_QUOTE};

/// Certificates are valid from a little before now: clocks differ.
const BACKDATE_S: u64 = 3600;

/// A key of P-256 that signs certificates, documents and quotes.
struct P256Key {
    asn1: EcdsaKeyPair,
    fixed: EcdsaKeyPair,
}

impl P256Key {
    fn generate() -> Result<Self, AttesterError> {
        let failed = || AttesterError::Crypto("a P-256 key could not be made");
        let fixed = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| failed())?;
        let pkcs8 = fixed.to_pkcs8v1().map_err(|_| failed())?;
        let asn1 = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref());
        Ok(Self { asn1: asn1.map_err(|_| failed())?, fixed })
    }

    /// r || s, as in quotes and documents.
    fn sign_fixed(&self, message: &[u8]) -> Result<Vec<u8>, AttesterError> {
        sign(&self.fixed, message)
    }

    /// DER, as in certificates.
    fn sign_asn1(&self, message: &[u8]) -> Result<Vec<u8>, AttesterError> {
        sign(&self.asn1, message)
    }

    /// The uncompressed point.
    fn point(&self) -> &[u8] {
        self.fixed.public_key().as_ref()
    }
}

fn sign(key: &EcdsaKeyPair, message: &[u8]) -> Result<Vec<u8>, AttesterError> {
    let signature = key.sign(&SystemRandom::new(), message);
    let signature = signature.map_err(|_| AttesterError::Crypto("a signature could not be made"))?;
    Ok(signature.as_ref().to_vec())
}

/// What a simulated platform is, as its PCK certificate says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IntelModel {
    /// Family, model, stepping and more.
    pub fmspc: [u8; 6],
    /// Security versions of the components.
    pub cpu_svn: [u8; 16],
    /// Security version of the provisioning certification enclave.
    pub pce_svn: u16,
    /// Whether the PCK certificate says of dynamic platform, cached keys and SMT (that all are so), as those of the
    /// Platform CA do; those of the Processor CA do not.
    pub says_flags: bool,
}

/// As an ordinary Xeon of 2026.
impl Default for IntelModel {
    fn default() -> Self {
        Self {
            fmspc: [0x90, 0xc0, 0x6f, 0, 0, 0],
            cpu_svn: [5, 5, 2, 2, 4, 1, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0],
            pce_svn: 13,
            says_flags: true,
        }
    }
}

/// A simulated platform: keys, certificates, and the collateral of an ordinary day.
pub struct IntelPlatform {
    model: IntelModel,
    ppid: [u8; 16],
    root_key: P256Key,
    issuer_key: P256Key,
    pck_key: P256Key,
    signing_key: P256Key,
    attestation_key: P256Key,
    certificates: [Vec<u8>; 4],
    serials: [[u8; 20]; 4],
    made: u64,
}

impl std::fmt::Debug for IntelPlatform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let root = data_encoding::HEXLOWER.encode(&self.root_fingerprint());
        f.debug_struct("IntelPlatform")
            .field("model", &self.model)
            .field("root", &root)
            .finish_non_exhaustive()
    }
}

impl IntelPlatform {
    /// Makes a platform: a root, an issuer, a PCK, and a key that signs collateral, with certificates from now on.
    pub fn generate(model: IntelModel, now: u64) -> Result<Self, AttesterError> {
        let made = now.saturating_sub(BACKDATE_S);
        let (root_key, issuer_key, pck_key) =
            (P256Key::generate()?, P256Key::generate()?, P256Key::generate()?);
        let (signing_key, attestation_key) = (P256Key::generate()?, P256Key::generate()?);
        let mut ppid = [0; 16];
        random(&mut ppid)?;
        let mut serials = [[0; 20]; 4];
        for serial in &mut serials {
            random(serial)?;
            // Positive, and of full length.
            serial[0] = 0x40 | (serial[0] & 0x3f);
        }
        let [root_serial, issuer_serial, pck_serial, signing_serial] = &serials;
        let certificates = [
            certificates::root(&root_key, root_serial, made)?,
            certificates::issuer(&issuer_key, &root_key, issuer_serial, made)?,
            certificates::pck(&pck_key, &issuer_key, pck_serial, (&model, &ppid), made)?,
            certificates::signer(&signing_key, &root_key, signing_serial, made)?,
        ];
        Ok(Self {
            model,
            ppid,
            root_key,
            issuer_key,
            pck_key,
            signing_key,
            attestation_key,
            certificates,
            serials,
            made,
        })
    }

    /// What it is.
    pub fn model(&self) -> &IntelModel {
        &self.model
    }

    /// What names it in its PCK certificate.
    pub fn ppid(&self) -> [u8; 16] {
        self.ppid
    }

    /// SHA-256 of the root's certificate: what a configuration pins.
    pub fn root_fingerprint(&self) -> [u8; 32] {
        let [root, ..] = &self.certificates;
        Sha256::digest(root).into()
    }

    /// The certificates in a quote, in DER: PCK, its issuer, the root.
    pub fn chain(&self) -> [&[u8]; 3] {
        let [root, issuer, pck, _] = &self.certificates;
        [pck, issuer, root]
    }

    /// The certificate of the key that signs documents, in DER.
    pub fn signer(&self) -> &[u8] {
        let [.., signer] = &self.certificates;
        signer
    }

    /// Collateral as it is published on an ordinary day: current for thirty days, up to date.
    pub fn collateral(&self) -> IntelCollateral {
        IntelCollateral::ordinary(self.model, self.made)
    }

    /// Items of collateral with their media types: the signer's certificate, two CRLs, and for each kind of TEE TCB
    /// information and the identity of its quoting enclave.
    pub fn publish(&self, collateral: &IntelCollateral) -> Result<Vec<EvidenceItem>, AttesterError> {
        documents::publish(self, collateral)
    }

    /// Signs TCB information or the identity of a quoting enclave, whatever this body says.
    pub fn sign_document(&self, media_type: &'static str, body: &str) -> Result<EvidenceItem, AttesterError> {
        documents::sign(self, media_type, body)
    }

    /// Signs a header and body, and makes a quote of them.
    pub fn sign_quote(&self, signed: &[u8], enclave: &QuotingEnclave) -> Result<Vec<u8>, AttesterError> {
        quote::assemble(self, signed, enclave, self.chain())
    }

    /// The same with other certificates.
    pub fn sign_quote_under(
        &self,
        signed: &[u8],
        enclave: &QuotingEnclave,
        chain: [&[u8]; 3],
    ) -> Result<Vec<u8>, AttesterError> {
        quote::assemble(self, signed, enclave, chain)
    }

    /// A quote of a trust domain.
    pub fn quote_td(&self, td: &Td, report_data: &[u8; 64]) -> Result<Vec<u8>, AttesterError> {
        self.sign_quote(&td.signed_octets(report_data), &QuotingEnclave::of_td())
    }

    /// A quote of an enclave.
    pub fn quote_enclave(&self, enclave: &Enclave, report_data: &[u8; 64]) -> Result<Vec<u8>, AttesterError> {
        self.sign_quote(&enclave.signed_octets(&self.model, report_data), &QuotingEnclave::of_enclave())
    }

    /// A guest that attests by TDX.
    pub fn guest(self: &Arc<Self>, td: Td) -> IntelGuest {
        IntelGuest { platform: Arc::clone(self), workload: Workload::Td(Box::new(td)) }
    }

    /// An enclave that attests by SGX.
    pub fn enclave(self: &Arc<Self>, enclave: Enclave) -> IntelGuest {
        IntelGuest { platform: Arc::clone(self), workload: Workload::Enclave(enclave) }
    }
}

/// What runs on a simulated platform.
#[derive(Debug, Clone)]
enum Workload {
    Td(Box<Td>),
    Enclave(Enclave),
}

/// A trust domain or an enclave on a simulated platform.
#[derive(Debug, Clone)]
pub struct IntelGuest {
    platform: Arc<IntelPlatform>,
    workload: Workload,
}

impl Attester for IntelGuest {
    fn report(&self, report_data: &[u8; 64]) -> Result<Attestation, AttesterError> {
        let platform = &self.platform;
        let quote = match &self.workload {
            Workload::Td(td) => {
                let bytes = platform.quote_td(td, report_data)?;
                EvidenceItem { media_type: TDX_QUOTE, bytes }
            }
            Workload::Enclave(enclave) => {
                let bytes = platform.quote_enclave(enclave, report_data)?;
                EvidenceItem { media_type: SGX_QUOTE, bytes }
            }
        };
        Ok(Attestation {
            evidence: vec![quote],
            endorsements: vec![platform.signer().to_vec()],
            documents: platform.publish(&platform.collateral())?,
        })
    }
}

/// SHA-384 of an image's octets, for MRTD and the like: the simulation's own rule. Real ones cover page tables too.
pub fn measure(image: &[u8]) -> [u8; 48] {
    Sha384::digest(image).into()
}
