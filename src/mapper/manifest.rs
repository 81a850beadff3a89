//! The mapping manifest: a TOML document by the workload's owner.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use treering_provenance::content::{Claim, Claims};

use crate::ident::{NameError, WorkloadIdentifier};
use crate::verifier::Assurance;

use super::ASSURANCE_CLAIM;

/// The largest manifest.
const MAX_MANIFEST_BYTES: usize = 64 * 1024;
/// The most selectors in one manifest; each costs one comparison.
const MAX_SELECTORS: usize = 64;
/// The most claims of one selector: they go into the credential.
const MAX_CLAIMS: usize = 32;
/// The longest name or text value of a claim.
const MAX_CLAIM_BYTES: usize = 256;

/// Why a manifest was refused.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Larger than a manifest may be.
    #[error("a mapping manifest has at most {MAX_MANIFEST_BYTES} octets, got {0}")]
    TooLarge(usize),
    /// Not the TOML that is wanted.
    #[error("mapping manifest: {0}")]
    Syntax(String),
    /// The identifier is none.
    #[error("mapping manifest: {0}")]
    Identifier(#[from] NameError),
    /// Well-formed, and yet not allowed.
    #[error("mapping manifest: {0}")]
    Rule(String),
}

/// A fact from which a claim may be derived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fact {
    /// Whose root the evidence rests on.
    Assurance,
    /// The product generation.
    Generation,
    /// The reference value that the measurement matched.
    ReferenceValue,
    /// The kind of TEE.
    Tee,
}

/// Conditions, and the claims of a workload that meets them all.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selector {
    /// A name, for explanations and the log.
    pub name: String,
    /// The kinds of TEE, any of which will do.
    pub tee: Vec<String>,
    /// The assurances, any of which will do.
    pub assurance: Vec<Assurance>,
    /// The reference values, by name, any of which will do.
    pub reference_values: Vec<String>,
    /// Constant claims.
    #[serde(default)]
    pub claims: Claims,
    /// Claims that take the value of a fact.
    #[serde(default)]
    pub derived: BTreeMap<String, Fact>,
}

/// A mapping manifest.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// The workload identifier that it gives.
    pub identifier: WorkloadIdentifier,
    /// The appraisal policy under which the workload is appraised, by name.
    pub appraisal_policy: String,
    /// The set of reference values against which it is appraised, by name.
    pub reference_values: String,
    /// The longest lifetime of a credential.
    pub max_ttl_s: u64,
    /// Claims that a migration may change; a renewal that changes any other is a redeployment.
    pub migration_sensitive: Vec<String>,
    /// Tried in order; the first that matches decides.
    pub selectors: Vec<Selector>,
}

/// The document as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawManifest {
    version: u32,
    identifier: String,
    appraisal_policy: String,
    reference_values: String,
    max_ttl_s: u64,
    #[serde(default)]
    migration_sensitive: Vec<String>,
    #[serde(rename = "selector")]
    selectors: Vec<Selector>,
}

impl Manifest {
    /// Parses and checks a manifest.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        if bytes.len() > MAX_MANIFEST_BYTES {
            return Err(ManifestError::TooLarge(bytes.len()));
        }
        let text = std::str::from_utf8(bytes).map_err(|error| ManifestError::Syntax(error.to_string()))?;
        let raw: RawManifest =
            toml::from_str(text).map_err(|error| ManifestError::Syntax(error.to_string()))?;
        raw.try_into()
    }
}

impl TryFrom<RawManifest> for Manifest {
    type Error = ManifestError;

    fn try_from(raw: RawManifest) -> Result<Self, ManifestError> {
        let rule =
            |holds: bool, message: String| if holds { Ok(()) } else { Err(ManifestError::Rule(message)) };
        rule(raw.version == 1, format!("version is {}, want 1", raw.version))?;
        rule(raw.max_ttl_s >= 60, format!("max_ttl_s is {}, want at least 60", raw.max_ttl_s))?;
        let count = raw.selectors.len();
        rule((1..=MAX_SELECTORS).contains(&count), format!("{count} selectors, want 1 to {MAX_SELECTORS}"))?;
        for selector in &raw.selectors {
            check_claims(selector)?;
        }
        Ok(Self {
            identifier: WorkloadIdentifier::parse(&raw.identifier)?,
            appraisal_policy: raw.appraisal_policy,
            reference_values: raw.reference_values,
            max_ttl_s: raw.max_ttl_s,
            migration_sensitive: raw.migration_sensitive,
            selectors: raw.selectors,
        })
    }
}

fn check_claims(selector: &Selector) -> Result<(), ManifestError> {
    let name = &selector.name;
    let rule = |holds: bool, message: String| if holds { Ok(()) } else { Err(ManifestError::Rule(message)) };
    let count = selector.claims.len() + selector.derived.len();
    rule(count <= MAX_CLAIMS, format!("selector `{name}` has {count} claims, want at most {MAX_CLAIMS}"))?;
    for claim in selector.claims.keys().chain(selector.derived.keys()) {
        rule(
            claim != ASSURANCE_CLAIM,
            format!("selector `{name}` sets `{ASSURANCE_CLAIM}`, which only Treering sets"),
        )?;
        rule(
            !claim.is_empty() && claim.len() <= MAX_CLAIM_BYTES,
            format!(
                "selector `{name}` has a claim name of {} octets, want 1 to {MAX_CLAIM_BYTES}",
                claim.len()
            ),
        )?;
    }
    for claim in selector.derived.keys() {
        rule(!selector.claims.contains_key(claim), format!("selector `{name}` sets `{claim}` twice"))?;
    }
    for value in selector.claims.values() {
        let fits = !matches!(value, Claim::Text(text) if text.len() > MAX_CLAIM_BYTES);
        rule(fits, format!("selector `{name}` has a claim value of more than {MAX_CLAIM_BYTES} octets"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = include_str!("../../docs/samples/mapping-manifest.toml");

    #[test]
    fn bad_manifests_are_refused_and_say_why() {
        assert!(Manifest::parse(SAMPLE.as_bytes()).is_ok());
        for (from, to, word) in [
            ("version = 1", "version = 2", "version"),
            ("version = 1", "version = 1\ncolour = 3", "colour"),
            ("spiffe://", "https://", "spiffe"),
            ("environment = \"production\"", "assurance = \"hardware\"", "assurance"),
            ("environment = \"production\"", "tee = \"x\"", "twice"),
            ("max_ttl_s = 900", "max_ttl_s = 1", "max_ttl_s"),
            ("assurance = [\"hardware\"]", "assurance = [\"good\"]", "good"),
        ] {
            assert!(SAMPLE.contains(from), "{from}");
            let error = Manifest::parse(SAMPLE.replace(from, to).as_bytes()).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
        assert!(matches!(
            Manifest::parse(&vec![b' '; MAX_MANIFEST_BYTES + 1]),
            Err(ManifestError::TooLarge(_))
        ));
    }
}
