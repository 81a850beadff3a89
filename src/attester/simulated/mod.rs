//! A simulated SEV-SNP platform: reports and certificates exactly in AMD's form, under a root of its own.
//!
//! A Verifier accepts them only where the configuration pins that root, and marks every result as simulated. What
//! cannot be told apart is the form; what always differs is the root and the organisation in the certificates' names.

pub mod azure;
pub mod cca;
mod certificates;
mod der;
pub mod intel;
mod keys;
pub mod nitro;
pub mod nvidia;
mod store;
pub mod tpm;

use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use sev::certs::snp::ecdsa::Signature;
use sev::firmware::guest::{AttestationReport, Version};
use sev::firmware::host::TcbVersion;
use sev::parser::ByteParser;
use sha2::{Digest, Sha256};

pub use certificates::SimulatedTcb;

use super::{Attestation, Attester, AttesterError, CRL_TYPE, EvidenceItem, SNP_REPORT};
use keys::{ReportKey, RsaKey};

/// Octets of a report.
const REPORT_BYTES: usize = 1184;
/// Octets of it that are signed.
const SIGNED_BYTES: usize = 0x2a0;
/// Octets of each number of the signature, little-endian; P-384 fills 48 of them.
const SCALAR_FIELD_BYTES: usize = 72;
const SCALAR_BYTES: usize = 48;
/// Certificates are valid from a little before now: clocks differ.
const BACKDATE_S: u64 = 3600;
/// POLICY of an ordinary guest: SMT allowed, no debugging, no migration agent, bit 17 as it must be.
pub const ORDINARY_GUEST_POLICY: u64 = 0x3_0000;
/// PLATFORM_INFO of an ordinary host: SMT, ECC, alias check complete.
const ORDINARY_PLATFORM_INFO: u64 = 0x25;
/// CURRENT_MIT_VECTOR as a Milan of 2026 reports it.
const ORDINARY_MITIGATIONS: u64 = 0x0b;

/// What a simulated chip says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Processor {
    /// EPYC 7003.
    Milan,
    /// EPYC 9004.
    Genoa,
    /// EPYC 9005.
    Turin,
}

impl Processor {
    const fn name(self) -> &'static str {
        match self {
            Self::Milan => "Milan",
            Self::Genoa => "Genoa",
            Self::Turin => "Turin",
        }
    }

    const fn product(self) -> &'static str {
        match self {
            Self::Milan => "Milan-B0",
            Self::Genoa => "Genoa-B1",
            Self::Turin => "Turin",
        }
    }

    /// CPUID family, model, stepping.
    const fn cpuid(self) -> [u8; 3] {
        match self {
            Self::Milan => [0x19, 0x01, 0x01],
            Self::Genoa => [0x19, 0x11, 0x01],
            Self::Turin => [0x1a, 0x02, 0x01],
        }
    }

    const fn hardware_id_bytes(self) -> usize {
        match self {
            Self::Milan | Self::Genoa => 64,
            Self::Turin => 8,
        }
    }

    /// A TCB version as hosts of 2026 have it.
    pub const fn ordinary_tcb(self) -> SimulatedTcb {
        match self {
            Self::Milan => SimulatedTcb { fmc: 0, bootloader: 4, tee: 0, snp: 24, microcode: 219 },
            Self::Genoa => SimulatedTcb { fmc: 0, bootloader: 10, tee: 0, snp: 23, microcode: 84 },
            Self::Turin => SimulatedTcb { fmc: 1, bootloader: 1, tee: 1, snp: 4, microcode: 81 },
        }
    }
}

/// A simulated chip with its firmware: the keys, the certificates, and what they say.
pub struct Platform {
    processor: Processor,
    tcb: SimulatedTcb,
    hardware_id: Vec<u8>,
    root_key: RsaKey,
    issuer_key: RsaKey,
    report_key: ReportKey,
    certificates: [Vec<u8>; 3],
    revocation_list: Vec<u8>,
}

impl std::fmt::Debug for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let root = data_encoding::HEXLOWER.encode(&self.root_fingerprint());
        f.debug_struct("Platform")
            .field("processor", &self.processor)
            .field("root", &root)
            .finish_non_exhaustive()
    }
}

impl Platform {
    /// Makes a platform: a root, an issuer and one chip, with certificates from now on.
    pub fn generate(processor: Processor, tcb: SimulatedTcb, now: u64) -> Result<Self, AttesterError> {
        let from = now.saturating_sub(BACKDATE_S);
        let (root_key, issuer_key) = (RsaKey::generate()?, RsaKey::generate()?);
        let report_key = ReportKey::generate()?;
        let mut hardware_id = vec![0; processor.hardware_id_bytes()];
        random(&mut hardware_id)?;
        let chip = certificates::Chip {
            processor,
            tcb,
            hardware_id: &hardware_id,
            public_point: report_key.public_point(),
        };
        let certificates = [
            certificates::root(&root_key, processor, from)?,
            certificates::issuer(&issuer_key, &root_key, processor, from)?,
            certificates::vcek(&chip, &issuer_key, from)?,
        ];
        let revocation_list = certificates::revocation_list(&root_key, processor, from)?;
        Ok(Self {
            processor,
            tcb,
            hardware_id,
            root_key,
            issuer_key,
            report_key,
            certificates,
            revocation_list,
        })
    }

    /// Writes it into a folder, keys with mode 0600; a platform that is there is not overwritten.
    pub fn save(&self, dir: &Path) -> Result<(), AttesterError> {
        store::save(self, dir)
    }

    /// Reads what [`Self::save`] wrote.
    pub fn load(dir: &Path) -> Result<Self, AttesterError> {
        store::load(dir)
    }

    /// The root's certificate in DER.
    pub fn root_certificate(&self) -> &[u8] {
        let [root, ..] = &self.certificates;
        root
    }

    /// SHA-256 of the root's certificate: what a configuration pins.
    pub fn root_fingerprint(&self) -> [u8; 32] {
        Sha256::digest(self.root_certificate()).into()
    }

    /// Root, issuer and VCEK certificates in DER.
    pub fn certificates(&self) -> &[Vec<u8>; 3] {
        &self.certificates
    }

    /// The CRL that comes along with evidence: nothing is revoked, for as long as the VCEK is valid. AMD issues another one
    /// every few months; the simulation's authorities issue this one and never meet again.
    pub fn revocation_list(&self) -> &[u8] {
        &self.revocation_list
    }

    /// CHIP_ID in this chip's reports.
    pub fn chip_id(&self) -> [u8; 64] {
        let mut id = [0; 64];
        id.iter_mut().zip(&self.hardware_id).for_each(|(to, from)| *to = *from);
        id
    }

    /// A CRL of the root's. With `issuer_revoked` it names the issuer of the VCEK.
    pub fn crl(
        &self,
        issuer_revoked: bool,
        this_update: u64,
        next_update: u64,
    ) -> Result<Vec<u8>, AttesterError> {
        let revoked: &[&[u8]] = if issuer_revoked { &[&certificates::ISSUER_SERIAL] } else { &[] };
        certificates::crl(&self.root_key, self.processor, revoked, this_update, next_update)
    }

    fn crl_item(&self) -> EvidenceItem {
        EvidenceItem { media_type: CRL_TYPE, bytes: self.revocation_list.clone() }
    }

    /// A guest on this platform.
    pub fn guest(self: &Arc<Self>, launch: Launch) -> Result<Guest, AttesterError> {
        let mut report_id = [0; 32];
        random(&mut report_id)?;
        Ok(Guest { platform: Arc::clone(self), launch, report_id })
    }

    /// Signs what is in a report, whatever it is, and puts the signature in.
    pub fn sign_report(&self, report: &mut [u8; REPORT_BYTES]) -> Result<(), AttesterError> {
        let (signed, rest) = report.split_at_mut(SIGNED_BYTES);
        let signature = self.report_key.sign(signed)?;
        let fields = rest.chunks_mut(SCALAR_FIELD_BYTES);
        for (field, scalar) in fields.zip(signature.chunks(SCALAR_BYTES)) {
            field.fill(0);
            field.iter_mut().zip(scalar.iter().rev()).for_each(|(to, from)| *to = *from);
        }
        Ok(())
    }

    fn tcb_version(&self) -> TcbVersion {
        let tcb = self.tcb;
        let fmc = (self.processor == Processor::Turin).then_some(tcb.fmc);
        TcbVersion::new(fmc, tcb.bootloader, tcb.tee, tcb.snp, tcb.microcode)
    }
}

/// How a guest was launched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Launch {
    /// The launch digest.
    pub measurement: [u8; 48],
    /// POLICY.
    pub policy: u64,
    /// Level at which reports are requested.
    pub vmpl: u32,
    /// Version of the reports: 3 or 5.
    pub report_version: u32,
}

impl Launch {
    /// An ordinary guest with this measurement.
    pub const fn of(measurement: [u8; 48]) -> Self {
        Self { measurement, policy: ORDINARY_GUEST_POLICY, vmpl: 0, report_version: 5 }
    }

    /// An ordinary guest whose measurement is SHA-384 of an image's octets: the simulation's own rule. Real launch
    /// digests cover page tables and vCPU state too.
    pub fn of_image(image: &[u8]) -> Self {
        Self::of(sha2::Sha384::digest(image).into())
    }
}

/// A guest on a simulated platform.
#[derive(Debug, Clone)]
pub struct Guest {
    platform: Arc<Platform>,
    launch: Launch,
    report_id: [u8; 32],
}

impl Guest {
    /// How it was launched.
    pub fn launch(&self) -> &Launch {
        &self.launch
    }

    /// The platform it runs on.
    pub fn platform(&self) -> &Platform {
        &self.platform
    }

    /// A signed report, 1184 octets.
    pub fn report_bytes(&self, report_data: &[u8; 64]) -> Result<[u8; REPORT_BYTES], AttesterError> {
        if ![3, 5].contains(&self.launch.report_version) {
            let got = self.launch.report_version;
            return Err(AttesterError::Report(format!("report version {got}, want 3 or 5")));
        }
        let unsigned = self.fields(report_data).to_bytes();
        let mut report = unsigned.map_err(|error| AttesterError::Report(error.to_string()))?;
        self.platform.sign_report(&mut report)?;
        Ok(report)
    }

    fn fields(&self, report_data: &[u8; 64]) -> AttestationReport {
        let platform = &self.platform;
        let tcb = platform.tcb_version();
        let [family, model, stepping] = platform.processor.cpuid();
        let firmware = Version::new(1, 58, 1);
        let mitigations = (self.launch.report_version == 5).then_some(ORDINARY_MITIGATIONS);
        AttestationReport {
            version: self.launch.report_version,
            guest_svn: 0,
            policy: self.launch.policy.into(),
            family_id: [0; 16],
            image_id: [0; 16],
            vmpl: self.launch.vmpl,
            sig_algo: 1,
            current_tcb: tcb,
            plat_info: ORDINARY_PLATFORM_INFO.into(),
            key_info: 0.into(),
            report_data: *report_data,
            measurement: self.launch.measurement,
            host_data: [0; 32],
            id_key_digest: [0; 48],
            author_key_digest: [0; 48],
            report_id: self.report_id,
            // No migration agent: so the firmware says it.
            report_id_ma: [0xff; 32],
            reported_tcb: tcb,
            cpuid_fam_id: Some(family),
            cpuid_mod_id: Some(model),
            cpuid_step: Some(stepping),
            chip_id: platform.chip_id(),
            committed_tcb: tcb,
            current: firmware,
            committed: firmware,
            launch_tcb: tcb,
            launch_mit_vector: mitigations,
            current_mit_vector: mitigations,
            signature: Signature::default(),
        }
    }
}

impl Attester for Guest {
    fn report(&self, report_data: &[u8; 64]) -> Result<Attestation, AttesterError> {
        let bytes = self.report_bytes(report_data)?.to_vec();
        Ok(Attestation {
            evidence: vec![EvidenceItem { media_type: SNP_REPORT, bytes }],
            endorsements: self.platform.certificates.to_vec(),
            documents: vec![self.platform.crl_item()],
        })
    }
}

fn random(bytes: &mut [u8]) -> Result<(), AttesterError> {
    SystemRandom::new().fill(bytes).map_err(|_| AttesterError::Crypto("the system gave no randomness"))
}

#[cfg(test)]
mod tests;
