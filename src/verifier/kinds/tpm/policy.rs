//! What the appraisal policy may ask of a TPM quote.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::quote::Bank;
use crate::verifier::policy::{PolicyError, hex};

/// The section `[tpm]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::verifier) struct Policy {
    pub(in crate::verifier) require_reference_value: bool,
    pub(super) require_secure_boot: bool,
    pub(super) pcr_bank: Bank,
    #[serde(rename = "root")]
    root_table: Vec<RootText>,
    #[serde(rename = "attestation_key")]
    key_table: Vec<KeyText>,
    #[serde(rename = "machine")]
    machine_table: Vec<KeyText>,
    #[serde(skip)]
    pub(super) roots: Vec<Named>,
    #[serde(skip)]
    pub(super) keys: Vec<Named>,
    #[serde(skip)]
    pub(super) machines: Vec<Named>,
}

/// Fail closed: no TPM is trusted that the policy does not name, by its key or by its root.
impl Default for Policy {
    fn default() -> Self {
        Self {
            require_reference_value: true,
            require_secure_boot: true,
            pcr_bank: Bank::Sha256,
            root_table: Vec::new(),
            key_table: Vec::new(),
            machine_table: Vec::new(),
            roots: Vec::new(),
            keys: Vec::new(),
            machines: Vec::new(),
        }
    }
}

/// A name and what it is the name of: SHA-256 of a certificate or of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) name: String,
    pub(super) sha256: [u8; 32],
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct RootText {
    name: String,
    sha256: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyText {
    name: String,
    spki_sha256: String,
}

impl Policy {
    /// Reads what is written as text.
    pub(in crate::verifier) fn read(&mut self) -> Result<(), PolicyError> {
        let roots = std::mem::take(&mut self.root_table).into_iter().map(|root| (root.name, root.sha256));
        self.roots = named("tpm.root", roots)?;
        let pair = |key: KeyText| (key.name, key.spki_sha256);
        let keys = std::mem::take(&mut self.key_table);
        self.keys = named("tpm.attestation_key", keys.into_iter().map(pair))?;
        let machines = std::mem::take(&mut self.machine_table);
        self.machines = named("tpm.machine", machines.into_iter().map(pair))?;
        Ok(())
    }
}

fn named(what: &str, table: impl Iterator<Item = (String, String)>) -> Result<Vec<Named>, PolicyError> {
    let mut seen = BTreeSet::new();
    let mut out = Vec::new();
    for (name, text) in table {
        let bad = |reason: &str| PolicyError::Value { what: what.to_owned(), reason: reason.to_owned() };
        let sha256: [u8; 32] =
            hex(what, &text, 32)?.try_into().map_err(|_| bad("a SHA-256 has 32 octets"))?;
        if !seen.insert(sha256) {
            return Err(bad("the same SHA-256 has two names"));
        }
        out.push(Named { name, sha256 });
    }
    Ok(out)
}
