//! Whose word about workloads without a TEE counts: one section `[[software]]` per platform.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::verifier::jose::{TokenAlgorithm, TokenKeys};
use crate::verifier::policy::PolicyError;

/// The section `[[software]]`: a platform whose word about its workloads is accepted.
#[derive(Debug, Clone)]
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
pub(in crate::verifier) struct PlatformText {
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

impl PlatformText {
    pub(in crate::verifier) fn read(self) -> Result<Platform, PolicyError> {
        let bad = |reason: String| PolicyError::Value { what: format!("software {:?}", self.name), reason };
        let rsa =
            self.rsa_algorithm.as_deref().map(|name| TokenAlgorithm::of_name(name).ok_or(name)).transpose();
        let rsa = rsa.map_err(|name| bad(format!("rsa_algorithm {name:?} is not accepted")))?;
        let keys = TokenKeys::parse(&self.keys, rsa).map_err(|error| bad(error.to_string()))?;
        if self.audience.is_empty() || self.audience.contains('#') || self.issuer.is_empty() {
            return Err(bad("issuer and audience are not empty, and an audience has no #".to_owned()));
        }
        if self.subjects.is_empty() {
            return Err(bad("it names no subjects: which workloads may it speak for?".to_owned()));
        }
        if self.image_digest.as_deref().is_some_and(|pointer| !pointer.starts_with('/')) {
            return Err(bad("image_digest is a JSON pointer, which begins with /".to_owned()));
        }
        Ok(Platform {
            name: self.name,
            issuer: self.issuer,
            audience: self.audience,
            subjects: self.subjects,
            keys,
            image_digest: self.image_digest,
            max_age_s: self.max_age_s,
            require_reference_value: self.require_reference_value,
        })
    }
}
