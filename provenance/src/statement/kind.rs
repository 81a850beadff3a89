//! The kinds of statement and the header rules of each.

use std::{fmt, ops::RangeInclusive, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::StatementError;

/// What a statement says. The wire form is the text of [`Kind::as_str`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// An issuance that was logged but never released.
    Abandoned,
    /// A policy is in force from here on.
    Activation,
    /// A Verifier's result about evidence.
    Appraisal,
    /// Consent to a policy.
    Approval,
    /// Another log's head.
    CheckpointOf,
    /// Endorsements and reference data of a platform, as they were at a time.
    Collateral,
    /// Who read what on the server's side.
    Disclosure,
    /// A tombstone: what was erased, by whom and why.
    Erasure,
    /// A relying party's decision.
    Evaluation,
    /// A key delivered to an auditor.
    Grant,
    /// A security incident.
    Incident,
    /// A credential was committed to.
    Issuance,
    /// Birth, rotation or retirement of a role's key.
    Key,
    /// A key store's decision.
    KeyRelease,
    /// The log is closed.
    LogEnd,
    /// A Claims Mapper's result.
    Mapping,
    /// Claims about a host, signed by who knows.
    Platform,
    /// A proposed policy; the registration policy is one too, and public.
    Policy,
    /// Credentials are not to be relied on for the time being.
    Quarantine,
    /// What measurements a workload may have.
    ReferenceValues,
    /// A decision against the caller.
    Refusal,
    /// A credential renewed.
    Renewal,
    /// A person's review.
    Review,
    /// A credential revoked.
    Revocation,
    /// The root of the revocation map.
    Status,
    /// The keys and roots in force.
    TrustAnchor,
    /// SBOM, build, compliance or vendor statement about a workload.
    WorkloadProvenance,
}

/// Whether a kind's payload is in the clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Always plain.
    Public,
    /// Always a hash of an encrypted envelope: decisions about workloads.
    Confidential,
    /// Encrypted unless the registration policy marks the issuer as public.
    Either,
}

impl Kind {
    /// Every kind, in the order of its text.
    pub const ALL: [Self; 27] = [
        Self::Abandoned,
        Self::Activation,
        Self::Appraisal,
        Self::Approval,
        Self::CheckpointOf,
        Self::Collateral,
        Self::Disclosure,
        Self::Erasure,
        Self::Evaluation,
        Self::Grant,
        Self::Incident,
        Self::Issuance,
        Self::Key,
        Self::KeyRelease,
        Self::LogEnd,
        Self::Mapping,
        Self::Platform,
        Self::Policy,
        Self::Quarantine,
        Self::ReferenceValues,
        Self::Refusal,
        Self::Renewal,
        Self::Review,
        Self::Revocation,
        Self::Status,
        Self::TrustAnchor,
        Self::WorkloadProvenance,
    ];

    /// The text on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Abandoned => "abandoned",
            Self::Activation => "activation",
            Self::Appraisal => "appraisal",
            Self::Approval => "approval",
            Self::CheckpointOf => "checkpoint-of",
            Self::Collateral => "collateral",
            Self::Disclosure => "disclosure",
            Self::Erasure => "erasure",
            Self::Evaluation => "evaluation",
            Self::Grant => "grant",
            Self::Incident => "incident",
            Self::Issuance => "issuance",
            Self::Key => "key",
            Self::KeyRelease => "key-release",
            Self::LogEnd => "log-end",
            Self::Mapping => "mapping",
            Self::Platform => "platform",
            Self::Policy => "policy",
            Self::Quarantine => "quarantine",
            Self::ReferenceValues => "reference-values",
            Self::Refusal => "refusal",
            Self::Renewal => "renewal",
            Self::Review => "review",
            Self::Revocation => "revocation",
            Self::Status => "status",
            Self::TrustAnchor => "trust-anchor",
            Self::WorkloadProvenance => "workload-provenance",
        }
    }

    /// Whether the payload is in the clear.
    pub const fn form(self) -> Form {
        match self {
            Self::CheckpointOf
            | Self::Erasure
            | Self::Key
            | Self::LogEnd
            | Self::Status
            | Self::TrustAnchor => Form::Public,
            Self::Abandoned
            | Self::Appraisal
            | Self::Disclosure
            | Self::Grant
            | Self::Issuance
            | Self::KeyRelease
            | Self::Mapping
            | Self::Quarantine
            | Self::Refusal
            | Self::Renewal
            | Self::Revocation => Form::Confidential,
            Self::Activation
            | Self::Approval
            | Self::Collateral
            | Self::Evaluation
            | Self::Incident
            | Self::Platform
            | Self::Policy
            | Self::ReferenceValues
            | Self::Review
            | Self::WorkloadProvenance => Form::Either,
        }
    }

    /// How many parents the header names. Parents are public and only ever name the chain of one decision: an
    /// issuance names its mapping and its appraisal, in this order, so that nobody can take one that stands alone
    /// for a whole one. Whatever would tie workloads or times together is inside the content.
    pub const fn parents(self) -> RangeInclusive<usize> {
        match self {
            Self::Mapping | Self::Abandoned => 1..=1,
            Self::Issuance | Self::KeyRelease => 2..=2,
            Self::Refusal => 0..=1,
            Self::Renewal => 0..=2,
            _ => 0..=0,
        }
    }

    /// Whether the header carries `cred`, the commitment to a credential.
    pub const fn has_cred(self) -> bool {
        matches!(self, Self::Issuance)
    }

    /// The media type of this kind's content.
    pub fn media_type(self) -> String {
        format!("application/vnd.treering.{}+cbor", self.as_str())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = StatementError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| StatementError::UnknownKind(text.chars().take(64).collect()))
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}
