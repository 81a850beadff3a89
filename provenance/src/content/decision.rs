//! Contents of decisions: appraisal, mapping, issuance, refusal, abandonment, grant.

use serde::{Deserialize, Serialize};

use super::{Claims, ContentError, V1, period, want};
use crate::bytes::{Bytes, Digest, Leaf};

/// A Verifier's result, with all that is needed to reach it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Appraisal {
    /// Format version.
    pub v: V1,
    /// The evidence, each item as received.
    pub evidence: Vec<EvidenceItem>,
    /// The collateral statement.
    pub collateral: Leaf,
    /// The activation that brought the appraisal policy into force; it names the policy and its approvals.
    pub policy: Leaf,
    /// The policy's name by its digest (RFC 6920 `ni:`), as in the result.
    pub policy_id: String,
    /// The activations of the reference values consulted.
    pub reference_values: Vec<Leaf>,
    /// Unix seconds at which it was appraised.
    pub now: u64,
    /// What the evidence had to be bound to.
    pub binding: Binding,
    /// Who appraised.
    pub verifier: VerifierId,
    /// The EAR, JSON, byte for byte.
    pub result: Bytes,
    /// The EAR's overall status.
    pub status: String,
}

/// The fields of a binding value, in the order in which TACRA hashes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Binding {
    /// The challenge.
    pub freshness: Bytes,
    /// What was asked for.
    pub target: String,
    /// Who asked for the evidence.
    pub rp_id: String,
    /// The certification request, DER.
    pub subject: Bytes,
}

/// A piece of evidence in an [`Appraisal`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvidenceItem {
    /// The media type of `body`.
    pub media_type: String,
    /// The evidence.
    pub body: Bytes,
}

/// The Verifier in an [`Appraisal`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerifierId {
    /// Who made it.
    pub developer: String,
    /// Which build.
    pub build: String,
}

impl Appraisal {
    pub(super) fn validate(&self) -> Result<(), ContentError> {
        want(!self.evidence.is_empty(), || "an appraisal has evidence".to_owned())
    }
}

/// A Claims Mapper's result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// Format version.
    pub v: V1,
    /// The appraisal statement.
    pub appraisal: Leaf,
    /// The activation that brought the mapping manifest into force.
    pub manifest: Leaf,
    /// Which selector matched.
    pub selector: String,
    /// The workload identifier.
    pub identifier: String,
    /// The claims.
    pub claims: Claims,
    /// Why, for a person.
    pub explanation: String,
}

impl Mapping {
    pub(super) fn validate(&self) -> Result<(), ContentError> {
        want(!self.identifier.is_empty(), || "a mapping names an identifier".to_owned())
    }
}

/// What was issued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Issuance {
    /// Format version.
    pub v: V1,
    /// The mapping statement.
    pub mapping: Leaf,
    /// The workload identifier.
    pub identifier: String,
    /// The credential's form: `x509`.
    pub credential: String,
    /// Its serial number.
    pub serial: Bytes,
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub spki_sha256: Digest,
    /// Unix seconds.
    pub not_before: u64,
    /// Unix seconds.
    pub not_after: u64,
    /// The claims in it.
    pub claims: Claims,
}

impl Issuance {
    pub(super) fn validate(&self) -> Result<(), ContentError> {
        period(self.not_before, self.not_after)
    }
}

/// A decision against the caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// Format version.
    pub v: V1,
    /// Which step refused.
    pub step: String,
    /// A stable code.
    pub reason: String,
    /// For a person.
    pub detail: String,
    /// What was asked for.
    pub target: String,
    /// The appraisal statement, if it came to one.
    pub appraisal: Option<Leaf>,
}

impl Refusal {
    pub(super) fn validate(&self) -> Result<(), ContentError> {
        want(!self.reason.is_empty(), || "a refusal has a reason".to_owned())
    }
}

/// An issuance that was logged but never released.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Abandoned {
    /// Format version.
    pub v: V1,
    /// The issuance statement.
    pub issuance: Leaf,
    /// A stable code.
    pub reason: String,
}

impl Abandoned {
    pub(super) fn validate(&self) -> Result<(), ContentError> {
        want(!self.reason.is_empty(), || "an abandonment has a reason".to_owned())
    }
}

/// A grant key delivered to an auditor (see [`crate::grant`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// Format version.
    pub v: V1,
    /// Who receives it.
    pub grantee: String,
    /// Thumbprint of the auditor's public key.
    pub key_thumbprint: Digest,
    /// Scopes it opens.
    pub scopes: Vec<String>,
    /// Classes it opens.
    pub classes: Vec<String>,
    /// Unix seconds of the first content it opens.
    pub from: u64,
    /// Unix seconds of the last content it opens.
    pub to: u64,
    /// The COSE_Encrypt0 with the grant key.
    pub message: Bytes,
}

impl Grant {
    pub(super) fn validate(&self) -> Result<(), ContentError> {
        period(self.from, self.to)
    }
}
