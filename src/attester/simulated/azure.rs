//! A simulated Azure VM under a paravisor: a SEV-SNP guest of the simulated platform, whose report is for runtime data
//! with the key of a simulated vTPM.

use std::collections::BTreeMap;

use data_encoding::BASE64URL_NOPAD;
use serde::Serialize;
use sha2::{Digest, Sha256};
use treering_provenance::bytes::Bytes;
use treering_provenance::strict;

use super::Guest;
use super::keys::RsaKey;
use super::tpm::{Attest, Tpm};
use crate::attester::{AZ_SNP, Attestation, Attester, AttesterError, EvidenceItem};

/// What the binding value is digested under. The verifier has the same.
const BINDING_TAG: &str = "treering-binding-az-snp-v1";
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

/// A VM on a simulated SEV-SNP platform.
pub struct AzureVm {
    guest: Guest,
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
    pub fn new(guest: Guest, vtpm: Tpm, configuration: VmConfiguration) -> Result<Self, AttesterError> {
        Ok(Self { guest, key: RsaKey::generate()?, vtpm, configuration })
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
        let attest = attest.to_bytes();
        let signature = self.key.sign_pkcs1(&attest)?;
        let length = u16::try_from(signature.len()).unwrap_or_default().to_be_bytes();
        let signature = [&RSASSA_SHA256[..], &length, &signature].concat();
        let pcrs = self.vtpm.registers().map(|(index, value)| (index, Bytes(value.to_vec())));
        Ok(AzureEvidence {
            pcrs: pcrs.collect(),
            report: Bytes(self.guest.report_bytes(&report_data)?.to_vec()),
            runtime: Bytes(runtime.to_vec()),
            signature: Bytes(signature),
            attest: Bytes(attest),
            tee: "sev-snp".to_owned(),
        })
    }
}

impl Attester for AzureVm {
    fn report(&self, report_data: &[u8; 64]) -> Result<Attestation, AttesterError> {
        let digest = Sha256::new().chain_update(BINDING_TAG).chain_update(report_data).finalize();
        let bytes = self.evidence(&self.runtime()?, &self.attest(&digest))?.to_bytes()?;
        Ok(Attestation {
            evidence: vec![EvidenceItem { media_type: AZ_SNP, bytes }],
            endorsements: self.guest.platform().certificates().to_vec(),
            ..Attestation::default()
        })
    }
}
