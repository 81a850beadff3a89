//! A simulated Azure VM under a paravisor: on a simulated platform of SEV-SNP or TDX, whose report is for runtime data
//! with the key of a simulated vTPM.

use std::collections::BTreeMap;
use std::sync::Arc;

use data_encoding::BASE64URL_NOPAD;
use serde::Serialize;
use sha2::{Digest, Sha256};
use treering_provenance::bytes::Bytes;
use treering_provenance::strict;

use super::Guest;
use super::intel::{IntelPlatform, Td};
use super::keys::RsaKey;
use super::tpm::{Attest, Tpm};
use crate::attester::{AZ_SNP, AZ_TDX, Attestation, Attester, AttesterError, EvidenceItem};

/// What the binding value is digested under. The verifier has the same.
const SNP_BINDING_TAG: &str = "treering-binding-az-snp-v1";
const TDX_BINDING_TAG: &str = "treering-binding-az-tdx-v1";
/// TPM_ALG_RSASSA and TPM_ALG_SHA256.
const RSASSA_SHA256: [u8; 4] = [0, 0x14, 0, 0x0b];

/// How the VM is set up, as its paravisor says.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct VmConfiguration {
    /// Whether it has a serial console.
    pub console_enabled: bool,
    /// Whether the firmware enforces signatures.
    pub secure_boot: bool,
    /// Whether there is a vTPM.
    pub tpm_enabled: bool,
    /// The VM.
    #[serde(rename = "vmUniqueId")]
    pub vm_unique_id: String,
}

/// What is in the container, open to be written wrongly.
#[derive(Debug, Clone, Serialize)]
pub struct AzureEvidence {
    /// TPMS_ATTEST.
    pub attest: Bytes,
    /// The registers.
    pub pcrs: BTreeMap<u8, Bytes>,
    /// The report of the TEE.
    pub report: Bytes,
    /// The runtime data.
    pub runtime: Bytes,
    /// TPMT_SIGNATURE.
    pub signature: Bytes,
    /// Which TEE.
    pub tee: String,
}

impl AzureEvidence {
    /// The container, in deterministic CBOR.
    pub fn to_bytes(&self) -> Result<Vec<u8>, AttesterError> {
        strict::to_vec(self).map_err(|error| AttesterError::Report(error.to_string()))
    }
}

/// What the VM runs on.
#[derive(Debug, Clone)]
pub enum Host {
    /// A guest of a SEV-SNP platform.
    Snp(Guest),
    /// A trust domain of an Intel platform.
    Tdx(Arc<IntelPlatform>, Box<Td>),
}

/// A VM on a simulated platform.
pub struct AzureVm {
    host: Host,
    key: RsaKey,
    vtpm: Tpm,
    configuration: VmConfiguration,
}

impl std::fmt::Debug for AzureVm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AzureVm").field("configuration", &self.configuration).finish_non_exhaustive()
    }
}

impl AzureVm {
    /// A VM; of the TPM, the registers are the vTPM's.
    pub fn new(host: Host, vtpm: Tpm, configuration: VmConfiguration) -> Result<Self, AttesterError> {
        Ok(Self { host, key: RsaKey::generate()?, vtpm, configuration })
    }

    /// The runtime data: JSON as the paravisor writes it.
    pub fn runtime(&self) -> Result<Vec<u8>, AttesterError> {
        let modulus = BASE64URL_NOPAD.encode(&self.key.modulus());
        let configuration = serde_json::to_string(&self.configuration);
        let configuration = configuration.map_err(|error| AttesterError::Report(error.to_string()))?;
        let key =
            format!(r#"{{"kid":"HCLAkPub","key_ops":["sign"],"kty":"RSA","e":"AQAB","n":"{modulus}"}}"#);
        let user_data = "0".repeat(128);
        let text =
            format!(r#"{{"keys":[{key}],"vm-configuration":{configuration},"user-data":"{user_data}"}}"#);
        Ok(text.into_bytes())
    }

    /// What a quote of all registers of the vTPM says.
    pub fn attest(&self, extra_data: &[u8]) -> Attest {
        self.vtpm.attest(extra_data)
    }

    /// Evidence of this runtime data and this attestation, each signed as it is.
    pub fn evidence(&self, runtime: &[u8], attest: &Attest) -> Result<AzureEvidence, AttesterError> {
        let mut report_data = [0; 64];
        report_data.iter_mut().zip(Sha256::digest(runtime)).for_each(|(to, from)| *to = from);
        let (tee, report) = match &self.host {
            Host::Snp(guest) => ("sev-snp", guest.report_bytes(&report_data)?.to_vec()),
            Host::Tdx(platform, td) => ("tdx", platform.quote_td(td, &report_data)?),
        };
        let attest = attest.to_bytes();
        let signature = self.key.sign_pkcs1(&attest)?;
        let length = u16::try_from(signature.len()).unwrap_or_default().to_be_bytes();
        let signature = [&RSASSA_SHA256[..], &length, &signature].concat();
        let pcrs = self.vtpm.registers().map(|(index, value)| (index, Bytes(value.to_vec())));
        Ok(AzureEvidence {
            pcrs: pcrs.collect(),
            report: Bytes(report),
            runtime: Bytes(runtime.to_vec()),
            signature: Bytes(signature),
            attest: Bytes(attest),
            tee: tee.to_owned(),
        })
    }
}

impl Attester for AzureVm {
    fn report(&self, report_data: &[u8; 64]) -> Result<Attestation, AttesterError> {
        let tag = match self.host {
            Host::Snp(_) => SNP_BINDING_TAG,
            Host::Tdx(..) => TDX_BINDING_TAG,
        };
        let digest = Sha256::new().chain_update(tag).chain_update(report_data).finalize();
        let bytes = self.evidence(&self.runtime()?, &self.attest(&digest))?.to_bytes()?;
        Ok(match &self.host {
            Host::Snp(guest) => Attestation {
                evidence: vec![EvidenceItem { media_type: AZ_SNP, bytes }],
                endorsements: guest.platform().certificates().to_vec(),
                documents: vec![guest.platform().crl_item()],
            },
            Host::Tdx(platform, _) => Attestation {
                evidence: vec![EvidenceItem { media_type: AZ_TDX, bytes }],
                endorsements: vec![platform.signer().to_vec()],
                documents: platform.publish(&platform.collateral())?,
            },
        })
    }
}
