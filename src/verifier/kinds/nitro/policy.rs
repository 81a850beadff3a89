//! What the appraisal policy may ask of a Nitro enclave.

use serde::Deserialize;
use sha2::{Digest, Sha384};

use crate::verifier::policy::{PolicyError, hexes};

/// Seconds that a document may be old: time for the round trip and for slow clocks, and no more.
const MAX_AGE_S: u64 = 300;
/// Seconds that the enclave's clock may be ahead.
const MAX_SKEW_S: u64 = 60;

/// The section `[nitro]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::verifier) struct Policy {
    pub(in crate::verifier) require_reference_value: bool,
    pub(super) require_crl: bool,
    pub(super) max_age_s: u64,
    pub(super) max_skew_s: u64,
    /// ARNs.
    parent_roles: Vec<String>,
    /// SHA-384 of certificates in DER, in hex.
    signing_certificates: Vec<String>,
    #[serde(rename = "machine")]
    machine_table: Vec<MachineText>,
    /// Values of PCR3.
    #[serde(skip)]
    pub(super) roles: Vec<[u8; 48]>,
    /// Values of PCR8.
    #[serde(skip)]
    pub(super) signers: Vec<[u8; 48]>,
    #[serde(skip)]
    pub(super) machines: Vec<Machine>,
}

/// Fail closed: what a policy does not say is strict, as far as strictness needs no value of the owner's.
impl Default for Policy {
    fn default() -> Self {
        Self {
            require_reference_value: true,
            require_crl: false,
            max_age_s: MAX_AGE_S,
            max_skew_s: MAX_SKEW_S,
            parent_roles: Vec::new(),
            signing_certificates: Vec::new(),
            machine_table: Vec::new(),
            roles: Vec::new(),
            signers: Vec::new(),
            machines: Vec::new(),
        }
    }
}

/// An instance that may be the parent.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    pub(super) name: String,
    pub(super) instance_id: String,
    /// What PCR4 is on it.
    pub(super) pcr: [u8; 48],
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct MachineText {
    name: String,
    instance_id: String,
}

impl Policy {
    /// Reads what is written as text.
    pub(in crate::verifier) fn read(&mut self) -> Result<(), PolicyError> {
        let bad = |what: &str, reason: &str| PolicyError::Value {
            what: what.to_owned(),
            reason: reason.to_owned(),
        };
        for role in &self.parent_roles {
            if !role.starts_with("arn:") {
                return Err(bad("parent_roles", "a role is named by its ARN"));
            }
            self.roles.push(extended(role.as_bytes()));
        }
        for digest in hexes("signing_certificates", &self.signing_certificates, 48)? {
            self.signers.push(extended(&digest));
        }
        for MachineText { name, instance_id } in std::mem::take(&mut self.machine_table) {
            if !instance_id.starts_with("i-") {
                return Err(bad("machine", "an instance id begins with \"i-\""));
            }
            let pcr = extended(instance_id.as_bytes());
            self.machines.push(Machine { name, instance_id, pcr });
        }
        Ok(())
    }
}

/// What a PCR is after one measurement into zeros (AWS, "Where to get an enclave's measurements").
fn extended(measured: &[u8]) -> [u8; 48] {
    Sha384::new().chain_update([0; 48]).chain_update(measured).finalize().into()
}
