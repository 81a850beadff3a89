//! The workload's side: makes Evidence on demand.
//!
//! In scope: the interface, Linux's own interfaces ([`tsm`], [`nsm`]), several Attesters as one ([`composite`]),
//! simulated platforms of SEV-SNP, TDX, SGX, TPMs, Azure's paravisor, Nitro Enclaves, Arm CCA and NVIDIA's devices
//! ([`simulated`]), and a report once recorded on AMD hardware ([`recorded`]). Out of scope: what Evidence is bound to
//! (`binding`) and whether it is good (`verifier`, which this room does not know: both are held to the vendors' formats,
//! and a test holds them to each other).

pub mod composite;
pub mod nsm;
pub mod recorded;
pub mod simulated;
pub mod tsm;

/// Media type of a SEV-SNP attestation report. The verifier has the same constant; a test compares them.
pub const SNP_REPORT: &str = "application/vnd.amd.sev-snp-attestation-report";

/// Media type of an AWS Nitro attestation document: an untagged COSE_Sign1.
pub const NITRO_DOCUMENT: &str = "application/vnd.aws.nitro-attestation-document";

/// Media types of quotes of TDX and SGX, and of what Intel publishes of a platform; likewise.
pub const TDX_QUOTE: &str = "application/vnd.intel.tdx-quote";
/// See [`TDX_QUOTE`].
pub const SGX_QUOTE: &str = "application/vnd.intel.sgx-quote";
/// See [`TDX_QUOTE`].
pub const TCB_INFO_TYPE: &str = "application/vnd.intel.tcb-info+json";
/// See [`TDX_QUOTE`].
pub const ENCLAVE_IDENTITY_TYPE: &str = "application/vnd.intel.enclave-identity+json";
/// Media type of a revocation list.
pub const CRL_TYPE: &str = "application/pkix-crl";
/// Media type of a TPM quote with its key and registers. The verifier has the same constants; a test compares them.
pub const TPM_QUOTE: &str = "application/vnd.treering.tpm-quote+cbor";
/// Media type of a SEV-SNP report for an Azure paravisor, with a quote of its vTPM.
pub const AZ_SNP: &str = "application/vnd.treering.az-snp+cbor";
/// The same for a TDX quote.
pub const AZ_TDX: &str = "application/vnd.treering.az-tdx+cbor";

/// Media type of an Arm CCA attestation token, CBOR tag 399.
pub const CCA_TOKEN: &str = "application/vnd.arm.cca-attestation-token";

/// One item of Evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvidenceItem {
    /// What the octets are.
    pub media_type: &'static str,
    /// The octets.
    pub bytes: Vec<u8>,
}

/// What an Attester hands over.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attestation {
    /// The Evidence.
    pub evidence: Vec<EvidenceItem>,
    /// Certificates, in DER, from the key that signed up to its root, as far as the platform has them. A Verifier
    /// trusts none of them for coming along.
    pub endorsements: Vec<Vec<u8>>,
    /// CRLs and documents of the vendor, by their types, as far as the platform has them. The same holds of them.
    pub documents: Vec<EvidenceItem>,
}

impl Attestation {
    /// The items as pairs, as `verifier::Evidence::new` takes them.
    pub fn items(&self) -> impl Iterator<Item = (&'static str, Vec<u8>)> {
        self.evidence.iter().map(|item| (item.media_type, item.bytes.clone()))
    }
}

/// Why there is no Evidence.
#[derive(Debug, thiserror::Error)]
pub enum AttesterError {
    /// Making a key or a signature failed.
    #[error("cryptography failed: {0}")]
    Crypto(&'static str),
    /// A file of a platform could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which one.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file of a platform is not what it should be.
    #[error("{path}: {reason}")]
    Content {
        /// Which one.
        path: std::path::PathBuf,
        /// Why.
        reason: String,
    },
    /// What was asked for does not fit into a report.
    #[error("{0}")]
    Report(String),
}

/// Something that can attest to the environment this workload runs in.
pub trait Attester: Send + Sync {
    /// Evidence with these 64 octets in it: the binding value, complete, never shorter.
    fn report(&self, report_data: &[u8; 64]) -> Result<Attestation, AttesterError>;
}

impl<T: Attester + ?Sized> Attester for std::sync::Arc<T> {
    fn report(&self, report_data: &[u8; 64]) -> Result<Attestation, AttesterError> {
        (**self).report(report_data)
    }
}
