//! Whose word about evidence counts: one section `[[external]]` per Verifier.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::verifier::jose::{TokenAlgorithm, TokenKeys};

/// Names of platforms are short.
const MAX_TEES: usize = 16;

/// The form of a Verifier's tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::verifier) enum Format {
    /// draft-ietf-rats-ear-04, JWT or CWT.
    #[serde(rename = "ear-04")]
    Ear04,
    /// The first EAR, as Veraison writes it.
    EarVeraison,
    /// The same as Trustee writes it.
    EarTrustee,
    /// Intel Trust Authority.
    IntelTrustAuthority,
    /// Microsoft Azure Attestation.
    AzureAttestation,
    /// Google Cloud Attestation for Confidential Space.
    GoogleConfidentialSpace,
    /// NVIDIA Remote Attestation Service: a detached EAT bundle.
    NvidiaNras,
}

impl Format {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ear04 => "ear-04",
            Self::EarVeraison => "ear-veraison",
            Self::EarTrustee => "ear-trustee",
            Self::IntelTrustAuthority => "intel-trust-authority",
            Self::AzureAttestation => "azure-attestation",
            Self::GoogleConfidentialSpace => "google-confidential-space",
            Self::NvidiaNras => "nvidia-nras",
        }
    }

    /// The platforms that its tokens are ever about; `None` where that is open.
    pub(super) const fn speaks_of(self) -> Option<&'static [&'static str]> {
        match self {
            Self::Ear04 | Self::EarVeraison => None,
            Self::EarTrustee | Self::AzureAttestation => Some(&["sev-snp", "tdx"]),
            Self::IntelTrustAuthority => Some(&["tdx"]),
            Self::GoogleConfidentialSpace => Some(&["tdx", "sev", "sev-es", "gcp-shielded-vm"]),
            Self::NvidiaNras => Some(&["nvidia-gpu"]),
        }
    }

    /// Whether its tokens are EARs, which name submodules.
    pub(super) const fn is_ear(self) -> bool {
        matches!(self, Self::Ear04 | Self::EarVeraison | Self::EarTrustee)
    }
}

/// A Verifier whose results are accepted.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "ExternalText")]
pub(in crate::verifier) struct External {
    pub(in crate::verifier) name: String,
    pub(in crate::verifier) format: Format,
    pub(super) issuer: String,
    pub(super) audience: Option<String>,
    pub(in crate::verifier) tees: BTreeSet<String>,
    pub(in crate::verifier) keys: TokenKeys,
    pub(super) submod: Option<String>,
    pub(in crate::verifier) max_age_s: u64,
    pub(in crate::verifier) allow_warning: bool,
    pub(in crate::verifier) allow_simulated: bool,
    pub(in crate::verifier) allowed_tcb_statuses: BTreeSet<String>,
    pub(in crate::verifier) require_reference_value: bool,
}

/// The section as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExternalText {
    name: String,
    format: Format,
    issuer: String,
    audience: Option<String>,
    tees: Vec<String>,
    /// A JWK Set, JSON, or one public key in PEM.
    keys: String,
    /// For RSA keys that do not say it themselves.
    rsa_algorithm: Option<String>,
    submod: Option<String>,
    #[serde(default = "default_max_age_s")]
    max_age_s: u64,
    #[serde(default)]
    allow_warning: bool,
    #[serde(default)]
    allow_simulated: bool,
    #[serde(default = "default_tcb_statuses")]
    allowed_tcb_statuses: BTreeSet<String>,
    #[serde(default = "strictly")]
    require_reference_value: bool,
}

const fn default_max_age_s() -> u64 {
    600
}

fn default_tcb_statuses() -> BTreeSet<String> {
    BTreeSet::from(["UpToDate".to_owned()])
}

const fn strictly() -> bool {
    true
}

impl TryFrom<ExternalText> for External {
    type Error = String;

    fn try_from(text: ExternalText) -> Result<Self, String> {
        let bad = |reason: String| format!("external {:?}: {reason}", text.name);
        let rsa = match text.rsa_algorithm.as_deref() {
            Some(name) => {
                let found = TokenAlgorithm::of_name(name);
                Some(found.ok_or_else(|| bad(format!("rsa_algorithm {name:?} is not accepted")))?)
            }
            None => None,
        };
        let keys = TokenKeys::parse(&text.keys, rsa).map_err(|error| bad(error.to_string()))?;
        if text.issuer.is_empty() || text.name.trim().is_empty() {
            return Err(bad("name and issuer are not empty".to_owned()));
        }
        if text.tees.is_empty() || text.tees.len() > MAX_TEES {
            return Err(bad(format!("tees names 1 to {MAX_TEES} platforms, got {}", text.tees.len())));
        }
        if text.submod.is_some() && !text.format.is_ear() {
            return Err(bad(format!("tokens of {} have no submodules to choose from", text.format.name())));
        }
        Ok(Self {
            format: text.format,
            issuer: text.issuer,
            audience: text.audience,
            tees: text.tees.into_iter().collect(),
            keys,
            submod: text.submod,
            max_age_s: text.max_age_s,
            allow_warning: text.allow_warning,
            allow_simulated: text.allow_simulated,
            allowed_tcb_statuses: text.allowed_tcb_statuses,
            require_reference_value: text.require_reference_value,
            name: text.name,
        })
    }
}
