//! Contents that say what a workload or platform ought to be: reference values, provenance, collateral.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ContentError, V1, want};
use crate::bytes::{Bytes, Leaf};

/// What measurements a workload may have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReferenceValues {
    /// Format version.
    pub v: V1,
    /// The workload identifier.
    pub workload: String,
    /// The values.
    pub values: Vec<ReferenceValue>,
    /// The provenance statements that they follow from.
    pub provenance: Vec<Leaf>,
}

/// One value in [`ReferenceValues`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReferenceValue {
    /// The evidence kind, such as `sev-snp`.
    pub tee: String,
    /// What is measured.
    pub name: String,
    /// The measurements by register, such as `measurement` or `mrtd`: all of these must be found.
    pub registers: BTreeMap<String, Bytes>,
}

impl ReferenceValue {
    /// A value of one register.
    pub fn single(tee: &str, name: &str, register: &str, octets: Vec<u8>) -> Self {
        let registers = BTreeMap::from([(register.to_owned(), Bytes(octets))]);
        Self { tee: tee.to_owned(), name: name.to_owned(), registers }
    }
}

impl ReferenceValues {
    pub(super) fn validate(&self) -> Result<(), ContentError> {
        want(!self.workload.is_empty(), || "reference values name a workload".to_owned())?;
        let empty = self.values.iter().find(|value| value.registers.is_empty());
        want(empty.is_none(), || {
            format!("`{}` names no register", empty.map(|value| value.name.as_str()).unwrap_or_default())
        })
    }
}

/// What a [`WorkloadProvenance`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProvenanceType {
    /// How it was built (SLSA, in-toto).
    Build,
    /// Results of compliance tests.
    Compliance,
    /// What it is made of (SPDX, CycloneDX).
    Sbom,
    /// A vendor's statement.
    Vendor,
}

impl ProvenanceType {
    /// The text on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Compliance => "compliance",
            Self::Sbom => "sbom",
            Self::Vendor => "vendor",
        }
    }
}

/// A document about a workload, as its author wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkloadProvenance {
    /// Format version.
    pub v: V1,
    /// The workload identifier.
    pub workload: String,
    /// What it is.
    #[serde(rename = "type")]
    pub provenance_type: ProvenanceType,
    /// The media type of `body`.
    pub media_type: String,
    /// The document.
    pub body: Bytes,
    /// SHA-256 (32 bytes) or SHA-384 (48 bytes) digests of the artefacts it is about.
    pub subjects: Vec<Bytes>,
}

impl WorkloadProvenance {
    pub(super) fn validate(&self) -> Result<(), ContentError> {
        let odd = self.subjects.iter().find(|digest| !matches!(digest.0.len(), 32 | 48));
        want(odd.is_none(), || {
            format!(
                "a subject has {} bytes, want 32 or 48",
                odd.map(|digest| digest.0.len()).unwrap_or_default()
            )
        })
    }
}

/// What a platform's vendor published, as it was at the time of an appraisal: the vendor may withdraw it later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Collateral {
    /// Format version.
    pub v: V1,
    /// The platform, such as `sev-snp`.
    pub platform: String,
    /// Certificates, revocation lists, TCB information.
    pub items: Vec<CollateralItem>,
}

/// One item of [`Collateral`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CollateralItem {
    /// The media type of `body`.
    pub media_type: String,
    /// What it is, such as `vcek`.
    pub name: String,
    /// The item.
    pub body: Bytes,
}

impl Collateral {
    pub(super) fn validate(&self) -> Result<(), ContentError> {
        want(!self.platform.is_empty(), || "collateral names a platform".to_owned())
    }
}
