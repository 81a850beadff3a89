//! The outcome of an appraisal, and the capability it may become.
//!
//! [`Appraised`] is the first step of the release gate: its fields are private, and the only way to one is
//! [`Appraisal::into_appraised`] of evidence that affirms. Later rooms ask for it by type.

use serde::Serialize;
use serde::ser::SerializeStruct;
use subtle::ConstantTimeEq;

use super::checks::Harm;
use super::collateral::Collateral;
use super::ear::TrustVector;
use super::reference::ReferenceValue;
use super::roots::Generation;
use super::sev_snp::{Facts, SigningKey, Tcb};

/// Overall status of an appraisal (AR4SI tiers, best to worst as EAR orders them).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Nothing was claimed.
    None,
    /// As it should be.
    Affirming,
    /// With known weaknesses.
    Warning,
    /// Not to be relied on.
    Contraindicated,
}

impl Status {
    /// The name in an EAR.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Affirming => "affirming",
            Self::Warning => "warning",
            Self::Contraindicated => "contraindicated",
        }
    }
}

/// One check and what it found. In JSON: `{"name", "ok", "detail"}`, and `"waived": reason` where a waiver applies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckResult {
    name: &'static str,
    verdict: Verdict,
    detail: String,
    waiver: Option<String>,
    harm: Harm,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Ok,
    Failed,
    NotEvaluated,
}

impl CheckResult {
    pub(super) fn new(
        name: &'static str,
        harm: Harm,
        verdict: Verdict,
        detail: String,
        waiver: Option<String>,
    ) -> Self {
        Self { name, verdict, detail, waiver, harm }
    }

    /// Name of the check.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether it holds. A waived check does not hold; it is only let pass.
    pub fn ok(&self) -> bool {
        self.verdict == Verdict::Ok
    }

    /// Whether it failed itself, rather than could not be evaluated because another failed.
    pub fn failed(&self) -> bool {
        self.verdict == Verdict::Failed
    }

    /// What was found, for people.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Why the policy lets it fail, if it does.
    pub fn waiver(&self) -> Option<&str> {
        self.waiver.as_deref()
    }

    pub(super) fn harm(&self) -> Harm {
        self.harm
    }
}

impl Serialize for CheckResult {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = 3 + usize::from(self.waiver.is_some());
        let mut out = serializer.serialize_struct("check", fields)?;
        out.serialize_field("name", self.name)?;
        out.serialize_field("ok", &self.ok())?;
        out.serialize_field("detail", &self.detail)?;
        if let Some(waiver) = &self.waiver {
            out.serialize_field("waived", waiver)?;
        }
        out.end()
    }
}

/// Why an appraisal gave no [`Appraised`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// What was handed over is not evidence that this verifier knows.
    #[error("not evidence that can be evaluated: {0}")]
    NotEvidence(String),
    /// A check failed.
    #[error("check {check} failed: {detail}")]
    Check {
        /// The first one that did.
        check: &'static str,
        /// What it found.
        detail: String,
    },
}

impl Refused {
    /// The check that failed, if the evidence could be evaluated.
    pub fn check(&self) -> Option<&'static str> {
        match self {
            Self::NotEvidence(_) => None,
            Self::Check { check, .. } => Some(check),
        }
    }
}

/// The outcome of one appraisal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appraisal {
    pub(super) recognised: bool,
    pub(super) status: Status,
    pub(super) vector: TrustVector,
    pub(super) checks: Vec<CheckResult>,
    pub(super) facts: Option<Facts>,
    pub(super) reference: Option<ReferenceValue>,
    pub(super) collateral: Collateral,
    pub(super) evidence_digest: [u8; 32],
    pub(super) collateral_digest: [u8; 32],
    pub(super) policy_digest: [u8; 32],
    pub(super) references_digest: [u8; 32],
    pub(super) now: u64,
    pub(super) ear: Vec<u8>,
}

impl Appraisal {
    /// Whether the octets are SEV-SNP evidence at all, genuine or not. If not, nothing was evaluated.
    pub fn is_evidence(&self) -> bool {
        self.recognised
    }

    /// The overall status.
    pub fn status(&self) -> Status {
        self.status
    }

    /// The trustworthiness vector.
    pub fn vector(&self) -> &TrustVector {
        &self.vector
    }

    /// Every check, in order.
    pub fn checks(&self) -> &[CheckResult] {
        &self.checks
    }

    /// What the report says, if it could be read; not to be believed unless the checks hold.
    pub fn facts(&self) -> Option<&Facts> {
        self.facts.as_ref()
    }

    /// The EAR, JSON: the octets that are logged, and that a replay must make again.
    pub fn ear(&self) -> &[u8] {
        &self.ear
    }

    /// The collateral it rests on, complete: log this, and it can be replayed for ever.
    pub fn collateral(&self) -> &Collateral {
        &self.collateral
    }

    /// Content address of the evidence.
    pub fn evidence_digest(&self) -> &[u8; 32] {
        &self.evidence_digest
    }

    /// Content address of [`Self::collateral`].
    pub fn collateral_digest(&self) -> &[u8; 32] {
        &self.collateral_digest
    }

    /// Content address of the policy.
    pub fn policy_digest(&self) -> &[u8; 32] {
        &self.policy_digest
    }

    /// Content address of the reference values.
    pub fn references_digest(&self) -> &[u8; 32] {
        &self.references_digest
    }

    /// The instant it was made for.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// Whether REPORT_DATA is this value, in constant time. A report that could not be read matches nothing.
    pub fn matches_binding(&self, binding: &[u8; 64]) -> bool {
        self.facts.as_ref().is_some_and(|facts| bool::from(facts.report_data.ct_eq(binding)))
    }

    /// Whether the evidence is genuine, whatever else is wrong with it: nothing that could make it a forgery failed.
    pub fn is_authentic(&self) -> bool {
        self.recognised && self.checks.iter().all(|check| check.harm != Harm::NotAuthentic || check.ok())
    }

    /// The check that refuses it: the first that failed and is not waived, or else the first not evaluated.
    pub fn first_failed(&self) -> Option<&CheckResult> {
        let bad = |result: &&CheckResult| !result.ok() && result.waiver().is_none();
        let failed = self.checks.iter().filter(bad).find(|result| result.failed());
        failed.or_else(|| self.checks.iter().find(bad))
    }

    /// The capability, if the evidence affirms, or warns of nothing that the policy does not waive.
    pub fn into_appraised(self) -> Result<Appraised, Refused> {
        self.refusal().map_or(Ok(()), Err)?;
        let facts =
            self.facts.clone().ok_or_else(|| Refused::NotEvidence("no report was read".to_owned()))?;
        let generation = facts.generation.ok_or_else(|| Refused::Check {
            check: "generation",
            detail: "the generation is not established".to_owned(),
        })?;
        Ok(Appraised { appraisal: self, facts, generation })
    }

    /// Why it is refused; `None` if it is not.
    pub fn refusal(&self) -> Option<Refused> {
        if !self.recognised {
            let detail = self.checks.first().map(|check| check.detail.clone()).unwrap_or_default();
            return Some(Refused::NotEvidence(detail));
        }
        if let Some(failed) = self.first_failed() {
            return Some(Refused::Check { check: failed.name, detail: failed.detail.clone() });
        }
        match self.status {
            Status::Affirming | Status::Warning => None,
            // Cannot be: every value of these tiers comes from a failed check that is not waived.
            Status::None | Status::Contraindicated => Some(Refused::Check {
                check: "status",
                detail: format!("the result is {}", self.status.name()),
            }),
        }
    }
}

/// Evidence that was appraised and may be relied on. Only [`Appraisal::into_appraised`] makes one.
///
/// It says nothing about freshness or about whose key it is: compare [`Self::report_data`] with the binding value,
/// by [`Self::matches_binding`], before anything else.
///
/// ```compile_fail
/// let forged = treering::verifier::Appraised { appraisal: todo!(), facts: todo!(), generation: todo!() };
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appraised {
    appraisal: Appraisal,
    facts: Facts,
    generation: Generation,
}

impl Appraised {
    /// The appraisal it comes from.
    pub fn appraisal(&self) -> &Appraisal {
        &self.appraisal
    }

    /// What the report says.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// REPORT_DATA.
    pub fn report_data(&self) -> &[u8; 64] {
        &self.facts.report_data
    }

    /// Whether REPORT_DATA is this value, in constant time.
    pub fn matches_binding(&self, binding: &[u8; 64]) -> bool {
        self.appraisal.matches_binding(binding)
    }

    /// The launch measurement.
    pub fn measurement(&self) -> &[u8; 48] {
        &self.facts.measurement
    }

    /// The reference value that has this measurement, if there is one.
    pub fn reference(&self) -> Option<&ReferenceValue> {
        self.appraisal.reference.as_ref()
    }

    /// The generation of the processor.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// The chip, where the signature says which one.
    pub fn chip_id(&self) -> Option<&[u8; 64]> {
        self.facts.authenticated_chip()
    }

    /// The TCB version that is endorsed.
    pub fn tcb(&self) -> &Tcb {
        &self.facts.reported_tcb
    }

    /// The kind of key that signed.
    pub fn signing_key(&self) -> Option<SigningKey> {
        self.facts.signing_key
    }

    /// Whether the platform is a simulated one.
    pub fn is_simulated(&self) -> bool {
        self.facts.simulated
    }

    /// The overall status: affirming, or a warning that the policy waives.
    pub fn status(&self) -> Status {
        self.appraisal.status
    }

    /// The EAR.
    pub fn ear(&self) -> &[u8] {
        &self.appraisal.ear
    }
}
