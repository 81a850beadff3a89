//! What the appraisal policy may ask of a TPM quote.

use serde::Deserialize;

use super::quote::Bank;
use crate::verifier::policy::{Id, NamedBy, hex};

/// The section `[tpm]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::verifier) struct Policy {
    pub(in crate::verifier) require_reference_value: bool,
    pub(super) require_secure_boot: bool,
    /// Whether the certificate of a key must say that it is one for attestation.
    pub(super) require_key_purpose: bool,
    pub(super) pcr_bank: Bank,
    #[serde(rename = "root")]
    pub(super) roots: NamedBy<RootDigest>,
    #[serde(rename = "attestation_key")]
    pub(super) keys: NamedBy<KeyDigest>,
    #[serde(rename = "machine")]
    pub(super) machines: NamedBy<KeyDigest>,
}

/// Fail closed: no TPM is trusted that the policy does not name, by its key or by its root.
impl Default for Policy {
    fn default() -> Self {
        Self {
            require_reference_value: true,
            require_secure_boot: true,
            require_key_purpose: true,
            pcr_bank: Bank::Sha256,
            roots: NamedBy::default(),
            keys: NamedBy::default(),
            machines: NamedBy::default(),
        }
    }
}

/// SHA-256 of a maker's root, the certificate.
#[derive(Debug, Clone)]
pub(super) enum RootDigest {}

impl Id for RootDigest {
    const KEY: &'static str = "sha256";
    const DISTINCT: bool = true;

    fn read(text: &str) -> Result<Vec<u8>, String> {
        hex(text, 32..=32)
    }
}

/// SHA-256 of the SubjectPublicKeyInfo of an attestation key, which names its TPM.
#[derive(Debug, Clone)]
pub(super) enum KeyDigest {}

impl Id for KeyDigest {
    const KEY: &'static str = "spki_sha256";
    const DISTINCT: bool = true;

    fn read(text: &str) -> Result<Vec<u8>, String> {
        hex(text, 32..=32)
    }
}
