//! What the appraisal policy may ask of a Nitro enclave.

use serde::Deserialize;
use sha2::{Digest, Sha384};

use crate::verifier::policy::{Hex, Id, NamedBy};

/// Seconds that a document may be old: time for the round trip and for slow clocks, and no more.
pub(super) const MAX_AGE_S: u64 = 300;
/// Seconds that the enclave's clock may be ahead.
pub(super) const MAX_SKEW_S: u64 = 60;

/// The section `[nitro]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::verifier) struct Policy {
    pub(in crate::verifier) require_reference_value: bool,
    pub(super) require_crl: bool,
    pub(super) max_age_s: u64,
    pub(super) max_skew_s: u64,
    /// What PCR3 is under these roles of the parent's.
    #[serde(rename = "parent_roles")]
    pub(super) roles: Vec<Role>,
    /// What PCR8 is under these certificates.
    #[serde(rename = "signing_certificates")]
    pub(super) signers: Vec<Signer>,
    #[serde(rename = "machine")]
    pub(super) machines: NamedBy<InstanceId>,
}

/// Fail closed: what a policy does not say is strict, as far as strictness needs no value of the owner's.
impl Default for Policy {
    fn default() -> Self {
        Self {
            require_reference_value: true,
            require_crl: true,
            max_age_s: MAX_AGE_S,
            max_skew_s: MAX_SKEW_S,
            roles: Vec::new(),
            signers: Vec::new(),
            machines: NamedBy::default(),
        }
    }
}

/// An IAM role, given by its ARN: the value of PCR3.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Role(pub(super) [u8; 48]);

impl TryFrom<String> for Role {
    type Error = &'static str;

    fn try_from(arn: String) -> Result<Self, Self::Error> {
        if arn.starts_with("arn:") {
            Ok(Self(extended(arn.as_bytes())))
        } else {
            Err("a role is named by its ARN")
        }
    }
}

/// A certificate that signs images, given by the SHA-384 of its DER: the value of PCR8.
#[derive(Debug, Clone, Deserialize)]
#[serde(from = "Hex<48>")]
pub(super) struct Signer(pub(super) [u8; 48]);

impl From<Hex<48>> for Signer {
    fn from(digest: Hex<48>) -> Self {
        Self(extended(&*digest))
    }
}

/// The id of an instance that may be the parent, as it stands in `module_id`.
#[derive(Debug, Clone)]
pub(super) enum InstanceId {}

impl Id for InstanceId {
    const KEY: &'static str = "instance_id";

    fn read(text: &str) -> Result<Vec<u8>, String> {
        if text.starts_with("i-") {
            Ok(text.as_bytes().to_vec())
        } else {
            Err("an instance id begins with \"i-\"".to_owned())
        }
    }
}

/// What a PCR is after one measurement into zeros (AWS, "Where to get an enclave's measurements").
pub(super) fn extended(measured: &[u8]) -> [u8; 48] {
    Sha384::new().chain_update([0; 48]).chain_update(measured).finalize().into()
}
