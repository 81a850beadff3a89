//! Contents of governance: registration policy, trust anchors, policies, approvals, activations.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{ContentError, V1, period, want};
use crate::{
    bytes::{Bytes, Digest, Leaf},
    cose::VerifyingKey,
    issuer::{Anchor, KnownIssuer, is_uri},
    statement::Kind,
};

/// Who may register what: the log's first entry, public.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistrationPolicy {
    /// Format version.
    pub v: V1,
    /// The log's origin.
    pub origin: String,
    /// Who may register.
    pub issuers: Vec<RegisteredIssuer>,
    /// COSE algorithms accepted.
    pub algs: Vec<i64>,
    /// The longest statement accepted.
    pub max_statement_bytes: u64,
    /// How many approvers must approve a policy before it may be activated.
    pub approvals_threshold: u64,
    /// Issuers that may approve.
    pub approvers: Vec<String>,
}

/// An issuer in a [`RegistrationPolicy`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegisteredIssuer {
    /// Its URI.
    pub iss: String,
    /// What it may register.
    pub kinds: Vec<Kind>,
    /// Its keys, each a COSE_Key.
    pub keys: Vec<Bytes>,
    /// Whether its payloads may be plain.
    pub public: bool,
    /// CAs that certify its keys. Absent where there is none: written before there were any, a policy reads the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub anchors: Vec<IssuerAnchor>,
    /// Whether its ECDSA signatures may be in their high-S spelling. Absent where they may not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub high_s: bool,
}

/// A trust anchor of a [`RegisteredIssuer`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerAnchor {
    /// The CA's certificate, DER.
    pub certificate: Bytes,
    /// What the issuer's certificates have as a subject alternative name: a URI or a DNS name.
    pub name: String,
}

impl RegisteredIssuer {
    /// The issuer's keys, decoded.
    pub fn verifying_keys(&self) -> Result<Vec<VerifyingKey>, ContentError> {
        let key = |bytes: &Bytes| {
            let key = VerifyingKey::from_cose_key(&bytes.0);
            key.map_err(|error| ContentError::Invalid(format!("key of {}: {error}", self.iss)))
        };
        self.keys.iter().map(key).collect()
    }

    /// By what its statements are known, decoded.
    pub fn known(&self) -> Result<KnownIssuer, ContentError> {
        let anchor = |anchor: &IssuerAnchor| {
            Anchor::new(&anchor.certificate.0, &anchor.name)
                .map_err(|error| ContentError::Invalid(format!("{}: {error}", self.iss)))
        };
        let anchors = self.anchors.iter().map(anchor).collect::<Result<_, _>>()?;
        Ok(KnownIssuer { keys: self.verifying_keys()?, anchors, high_s: self.high_s })
    }
}

impl RegistrationPolicy {
    /// The entry of an issuer, if it may register this kind.
    pub fn issuer(&self, iss: &str, kind: Kind) -> Option<&RegisteredIssuer> {
        self.issuers.iter().find(|issuer| issuer.iss == iss && issuer.kinds.contains(&kind))
    }

    pub(super) fn validate(&self) -> Result<(), ContentError> {
        let approvers = self.approvers.len() as u64;
        want((1..=approvers).contains(&self.approvals_threshold), || {
            format!(
                "approvals_threshold is {}, want 1 to {approvers} (the approvers)",
                self.approvals_threshold
            )
        })?;
        // One issuer with two names would be two of k approvers.
        let (mut names, mut keys, mut anchors) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for issuer in &self.issuers {
            let iss = issuer.iss.as_str();
            want(names.insert(iss), || format!("issuer {iss} occurs twice"))?;
            for key in issuer.known()?.keys {
                want(keys.insert(*key.thumbprint()), || format!("a key of {iss} occurs twice"))?;
            }
            want(issuer.anchors.iter().all(|anchor| anchors.insert(anchor)), || {
                format!("a trust anchor of {iss} occurs twice with the same name")
            })?;
            want(issuer.anchors.is_empty() || is_uri(iss), || {
                format!("issuer {iss} has a trust anchor and must be a URI (RFC 9943 section 6)")
            })?;
            // One certificate may have the names of two, and one CA certifies as many as it likes.
            want(
                issuer.anchors.is_empty() || !self.approvers.iter().any(|approver| approver == iss),
                || format!("approver {iss} must be known by a key of its own, not by certificates"),
            )?;
        }
        Ok(())
    }
}

/// The keys and roots in force: the log's second entry, public.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustAnchors {
    /// Format version.
    pub v: V1,
    /// The log's origin.
    pub origin: String,
    /// The trust domain whose credentials are issued here.
    pub trust_domain: String,
    /// The name of the service in the binding of evidence (TACRA's relying-party id).
    pub rp_id: String,
    /// The log's checkpoint key, as a C2SP verifier key.
    pub log_vkey: String,
    /// Keys that sign receipts, each a COSE_Key.
    pub receipt_keys: Vec<Bytes>,
    /// Certificates of the credential authority, DER.
    pub ca: Vec<Bytes>,
    /// The keys of the roles.
    pub roles: Vec<Role>,
    /// Roots that evidence may chain to.
    pub hardware_roots: Vec<HardwareRoot>,
    /// The witness policy (C2SP tlog-policy), if there are witnesses.
    pub witness_policy: Option<String>,
}

/// A role's key in [`TrustAnchors`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// The URI under which the role signs.
    pub iss: String,
    /// Its COSE_Key.
    pub key: Bytes,
}

/// A hardware root in [`TrustAnchors`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HardwareRoot {
    /// Such as `amd-sev-snp-Milan`.
    pub name: String,
    /// SHA-256 of the root certificate.
    pub sha256: Digest,
    /// Whether it is a simulator's.
    pub simulated: bool,
}

impl TrustAnchors {
    pub(super) fn validate(&self) -> Result<(), ContentError> {
        let keys = self.receipt_keys.iter().chain(self.roles.iter().map(|role| &role.key));
        for key in keys {
            VerifyingKey::from_cose_key(&key.0).map_err(|error| ContentError::Invalid(error.to_string()))?;
        }
        want(!self.receipt_keys.is_empty(), || "no receipt key".to_owned())
    }
}

/// What a policy is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PolicyType {
    /// How evidence is appraised.
    Appraisal,
    /// What credentials are issued.
    Issuance,
    /// What keys are released.
    KeyRelease,
    /// How results become identifiers and claims: a mapping manifest.
    Mapping,
    /// Which measurements are a workload's: a `reference-values` statement, approved like a policy.
    ReferenceValues,
}

impl PolicyType {
    /// The text on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Appraisal => "appraisal",
            Self::Issuance => "issuance",
            Self::KeyRelease => "key-release",
            Self::Mapping => "mapping",
            Self::ReferenceValues => "reference-values",
        }
    }
}

/// A proposed policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Format version.
    pub v: V1,
    /// What it is about.
    #[serde(rename = "type")]
    pub policy_type: PolicyType,
    /// Its name: versions of one policy share it.
    pub name: String,
    /// The media type of `body`.
    pub media_type: String,
    /// The policy itself, as its author wrote it.
    pub body: Bytes,
    /// The policy statement that it replaces.
    pub predecessor: Option<Leaf>,
}

impl Policy {
    pub(super) fn validate(&self) -> Result<(), ContentError> {
        want(!self.name.is_empty(), || "a policy has a name".to_owned())
    }
}

/// Consent to a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// Format version.
    pub v: V1,
    /// The policy statement approved.
    pub policy: Leaf,
    /// The activation that was in force and is to be replaced; none if there was none. An activation never recurs, so
    /// an approval is good for one step and not for the same step again after a rollback.
    pub predecessor: Option<Leaf>,
    /// Unix seconds from which it may be activated.
    pub not_before: u64,
    /// Unix seconds until which it may be activated.
    pub not_after: u64,
}

impl Approval {
    pub(super) fn validate(&self) -> Result<(), ContentError> {
        period(self.not_before, self.not_after)
    }
}

/// A policy is in force from this entry on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Activation {
    /// Format version.
    pub v: V1,
    /// The policy statement.
    pub policy: Leaf,
    /// What it is about.
    #[serde(rename = "type")]
    pub policy_type: PolicyType,
    /// The policy's name.
    pub name: String,
    /// The approvals it rests on.
    pub approvals: Vec<Leaf>,
    /// The activation that was in force before.
    pub predecessor: Option<Leaf>,
}

impl Activation {
    pub(super) fn validate(&self) -> Result<(), ContentError> {
        want(!self.approvals.is_empty(), || "an activation rests on approvals".to_owned())
    }
}
