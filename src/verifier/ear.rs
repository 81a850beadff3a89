//! The attestation result: an EAR (draft-ietf-rats-ear-04) with a trustworthiness vector (draft-ietf-rats-ar4si-10).
//!
//! Both drafts move: this file and its folder are the only ones that know their names and numbers. The octets are deterministic: the
//! same inputs give the same JSON, which is what a replay compares.

mod labels;
mod read;
mod token;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::appraisal::{Appraisal, Status};
use super::checks::{CheckResult, Harm};
use super::component::Component;
use super::composite::{self, COLOCATION, SUBMOD_COMPOSITE};
use super::kinds::Finding;
use super::policy::{AppraisalPolicy, ni_uri};

pub(super) use labels::name_of_path;
pub use read::{Ear as AttestationResult, EarProfile, EarSubmod};
pub(super) use token::cwt_claims;
pub use token::{
    CWT_TYPE, JWT_TYPE, NONCE_BYTES, TokenOptions, verify_cwt, verify_jwt, write_cwt, write_jwt,
};

/// The profile that the result claims.
pub const PROFILE: &str = "tag:ietf.org,2026:rats/ear#04";
/// Media type of the result, unsigned; the statement it is logged in signs it.
pub const MEDIA_TYPE: &str = "application/eat-ucs+json";
/// The developer of this verifier.
pub const DEVELOPER: &str = env!("CARGO_PKG_REPOSITORY");
/// Its build: the version, and the digest of the sources that decide (`build.rs`). Where they are compiled without that
/// script, the version alone.
pub const BUILD: &str = match option_env!("TREERING_VERIFIER_BUILD") {
    Some(build) => build,
    None => concat!("treering ", env!("CARGO_PKG_VERSION")),
};

/// AR4SI: cryptographic validation failed; nothing else can be claimed.
const CRYPTO_FAILED: i8 = 99;

/// The claims of AR4SI that a SEV-SNP appraisal makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct TrustVector {
    /// Which machine it is.
    pub instance_identity: i8,
    /// How it is set up.
    pub configuration: i8,
    /// What runs.
    pub executables: i8,
    /// What it runs on.
    pub hardware: i8,
    /// Who can see its memory.
    pub runtime_opaque: i8,
}

impl TrustVector {
    /// The vector that the checks' outcomes amount to. Of several failures the worst counts.
    pub(super) fn of(finding: &Finding) -> Self {
        let not_authentic = |result: &CheckResult| !result.ok() && result.harm() == Harm::NotAuthentic;
        if finding.claims.is_none() || finding.checks.iter().any(not_authentic) {
            return Self {
                instance_identity: CRYPTO_FAILED,
                configuration: CRYPTO_FAILED,
                executables: CRYPTO_FAILED,
                hardware: CRYPTO_FAILED,
                runtime_opaque: CRYPTO_FAILED,
            };
        }
        let mut vector = finding.affirms;
        for result in finding.checks.iter().filter(|result| !result.ok()) {
            vector.lower(result);
        }
        vector
    }

    fn lower(&mut self, result: &CheckResult) {
        let waived = result.waiver().is_some();
        let harmful = if waived { 32 } else { 96 };
        match result.harm() {
            Harm::NotAuthentic => {}
            Harm::WeakHardware => worsen(&mut self.hardware, 32),
            Harm::Hardware => worsen(&mut self.hardware, harmful),
            Harm::Identity => worsen(&mut self.instance_identity, 97),
            Harm::Configuration => worsen(&mut self.configuration, harmful),
            Harm::Exposed => {
                worsen(&mut self.configuration, harmful);
                worsen(&mut self.runtime_opaque, harmful);
            }
            Harm::Executables => worsen(&mut self.executables, 33),
        }
    }

    /// The worst tier present.
    pub fn status(&self) -> Status {
        let values = [
            self.instance_identity,
            self.configuration,
            self.executables,
            self.hardware,
            self.runtime_opaque,
        ];
        values.into_iter().map(tier).max().unwrap_or(Status::None)
    }
}

fn worsen(claim: &mut i8, value: i8) {
    if tier(value) >= tier(*claim) {
        *claim = value.max(*claim);
    }
}

/// The tier of a value (AR4SI section 2.3.2).
pub fn tier(value: i8) -> Status {
    match value {
        -1..=1 => Status::None,
        2..=31 | -32..=-2 => Status::Affirming,
        32..=95 | -96..=-33 => Status::Warning,
        96..=127 | -128..=-97 => Status::Contraindicated,
    }
}

#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "the names of the draft")]
struct Ear<'a> {
    eat_profile: &'static str,
    iat: u64,
    ear_verifier_id: VerifierId,
    ear_status: Status,
    submods: BTreeMap<&'a str, Submod<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    ear_device_topology: BTreeMap<String, Vec<String>>,
}

#[derive(Serialize)]
struct VerifierId {
    developer: &'static str,
    build: &'static str,
}

#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "the names of the draft")]
struct Submod<'a> {
    ear_status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    ear_trustworthiness_vector: Option<TrustVector>,
    ear_appraisal_policy_ids: [String; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    ear_attester_claims: Option<&'a Value>,
    ear_verifier_claims: VerifierClaims<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum VerifierClaims<'a> {
    Component(ComponentClaims<'a>),
    Composite(CompositeClaims<'a>),
}

#[derive(Serialize)]
struct ComponentClaims<'a> {
    assurance: &'static str,
    evidence: String,
    collateral: String,
    reference_values: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference_value: Option<&'a str>,
    waivers: Vec<WaiverClaim<'a>>,
    relaxations: Vec<Relaxation<'a>>,
    checks: &'a [CheckResult],
}

#[derive(Serialize)]
struct CompositeClaims<'a> {
    colocation: &'static str,
    checks: &'a [CheckResult],
}

#[derive(Serialize)]
struct WaiverClaim<'a> {
    check: &'a str,
    reason: &'a str,
    /// Of a waiver; the grace for collateral ends with each document.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<u64>,
}

/// A check that holds because a key of the policy asks for less than it would by default.
#[derive(Serialize)]
struct Relaxation<'a> {
    check: &'a str,
    key: &'a str,
}

/// The EAR of an appraisal.
pub(super) fn write(appraisal: &Appraisal, policy: &AppraisalPolicy) -> Vec<u8> {
    let mut submods: BTreeMap<&str, Submod<'_>> = BTreeMap::new();
    for component in &appraisal.components {
        submods.insert(component.name(), submod(appraisal, component, policy));
    }
    if !appraisal.composite.is_empty() {
        submods.insert(SUBMOD_COMPOSITE, together(appraisal, policy));
    }
    let ear = Ear {
        eat_profile: PROFILE,
        iat: appraisal.now,
        ear_verifier_id: VerifierId { developer: DEVELOPER, build: BUILD },
        ear_status: appraisal.status,
        submods,
        ear_device_topology: composite::topology(&appraisal.components, policy),
    };
    // Nothing in these types can fail to become JSON: no maps with other keys than text, no floats.
    serde_json::to_vec(&ear).unwrap_or_default()
}

fn submod<'a>(appraisal: &'a Appraisal, component: &'a Component, policy: &'a AppraisalPolicy) -> Submod<'a> {
    let checks = component.checks().iter();
    let waivers = checks.clone().filter_map(|check| {
        let reason = check.waiver()?;
        let waiver = policy.waiver(component.kind(), check.name(), appraisal.now);
        let until = waiver.filter(|waiver| waiver.reason == reason).map(|waiver| waiver.until);
        Some(WaiverClaim { check: check.name(), reason, until })
    });
    let relaxations =
        checks.filter_map(|check| Some(Relaxation { check: check.name(), key: check.relaxed()? }));
    Submod {
        ear_status: component.status(),
        ear_trustworthiness_vector: Some(*component.vector()),
        ear_appraisal_policy_ids: [policy.id()],
        ear_attester_claims: component.claims(),
        ear_verifier_claims: VerifierClaims::Component(ComponentClaims {
            assurance: component.assurance().map_or("none", super::Assurance::as_str),
            evidence: ni_uri(&appraisal.evidence_digest),
            collateral: ni_uri(&component.finding().collateral.digest()),
            reference_values: ni_uri(&appraisal.references_digest),
            reference_value: component.reference().map(|value| value.name.as_str()),
            waivers: waivers.collect(),
            relaxations: relaxations.collect(),
            checks: component.checks(),
        }),
    }
}

fn together<'a>(appraisal: &'a Appraisal, policy: &AppraisalPolicy) -> Submod<'a> {
    let holds = appraisal.composite.iter().all(CheckResult::ok);
    Submod {
        ear_status: if holds { Status::Affirming } else { Status::Contraindicated },
        ear_trustworthiness_vector: None,
        ear_appraisal_policy_ids: [policy.id()],
        ear_attester_claims: None,
        ear_verifier_claims: VerifierClaims::Composite(CompositeClaims {
            colocation: COLOCATION,
            checks: &appraisal.composite,
        }),
    }
}
