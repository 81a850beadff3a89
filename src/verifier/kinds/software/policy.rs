//! Whose word about workloads without a TEE counts: one section `[[software]]` per platform.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::verifier::jose::{TokenAlgorithm, TokenKeys};

/// The section `[[software]]`: a platform whose word about its workloads is accepted.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "PlatformText")]
pub(in crate::verifier) struct Platform {
    pub(super) name: String,
    pub(super) issuer: String,
    pub(super) audience: String,
    pub(super) subjects: BTreeSet<String>,
    pub(super) keys: TokenKeys,
    pub(super) image_digest: Option<String>,
    pub(super) max_age_s: u64,
    pub(super) require_reference_value: bool,
}

/// The section as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlatformText {
    name: String,
    issuer: String,
    audience: String,
    subjects: BTreeSet<String>,
    keys: String,
    rsa_algorithm: Option<String>,
    image_digest: Option<String>,
    #[serde(default = "default_max_age_s")]
    max_age_s: u64,
    #[serde(default = "strictly")]
    require_reference_value: bool,
}

pub(super) const fn default_max_age_s() -> u64 {
    600
}

const fn strictly() -> bool {
    true
}

impl TryFrom<PlatformText> for Platform {
    type Error = String;

    fn try_from(text: PlatformText) -> Result<Self, String> {
        let bad = |reason: String| format!("software {:?}: {reason}", text.name);
        let rsa =
            text.rsa_algorithm.as_deref().map(|name| TokenAlgorithm::of_name(name).ok_or(name)).transpose();
        let rsa = rsa.map_err(|name| bad(format!("rsa_algorithm {name:?} is not accepted")))?;
        let keys = TokenKeys::parse(&text.keys, rsa).map_err(|error| bad(error.to_string()))?;
        if text.audience.is_empty() || text.audience.contains('#') || text.issuer.is_empty() {
            return Err(bad("issuer and audience are not empty, and an audience has no #".to_owned()));
        }
        if text.subjects.is_empty() {
            return Err(bad("it names no subjects: which workloads may it speak for?".to_owned()));
        }
        if text.image_digest.as_deref().is_some_and(|pointer| !pointer.starts_with('/')) {
            return Err(bad("image_digest is a JSON pointer, which begins with /".to_owned()));
        }
        Ok(Self {
            name: text.name,
            issuer: text.issuer,
            audience: text.audience,
            subjects: text.subjects,
            keys,
            image_digest: text.image_digest,
            max_age_s: text.max_age_s,
            require_reference_value: text.require_reference_value,
        })
    }
}
