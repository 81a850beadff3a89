//! The outcome of an appraisal, and the capability it may become.
//!
//! [`Appraised`] is the first step of the release gate: its fields are private, and the only way to one is
//! [`Appraisal::into_appraised`] of evidence that affirms. Later rooms ask for it by type.

use serde::Serialize;

use super::checks::CheckResult;
use super::collateral::Collateral;
use super::component::Component;
use super::kinds::Assurance;

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
    /// The status of this name.
    pub fn of_name(name: &str) -> Option<Self> {
        [Self::None, Self::Affirming, Self::Warning, Self::Contraindicated]
            .into_iter()
            .find(|one| one.name() == name)
    }

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
    /// Why the items are not evidence that any kind takes, if they are not; then there are no components.
    pub(super) foreign: Option<String>,
    pub(super) status: Status,
    pub(super) components: Vec<Component>,
    /// What holds of all components together; empty for one.
    pub(super) composite: Vec<CheckResult>,
    pub(super) collateral: Collateral,
    pub(super) evidence_digest: [u8; 32],
    pub(super) collateral_digest: [u8; 32],
    pub(super) policy_digest: [u8; 32],
    pub(super) references_digest: [u8; 32],
    pub(super) now: u64,
    pub(super) ear: Vec<u8>,
}

impl Appraisal {
    /// Whether all the octets are evidence of kinds known here, genuine or not. If not, nothing can be relied on.
    pub fn is_evidence(&self) -> bool {
        self.not_evidence().is_none()
    }

    /// The overall status: the worst of its components.
    pub fn status(&self) -> Status {
        self.status
    }

    /// The components, in the order of the evidence.
    pub fn components(&self) -> &[Component] {
        &self.components
    }

    /// Every check, in order: those of all components together, then each component's own.
    pub fn checks(&self) -> impl Iterator<Item = &CheckResult> {
        self.composite.iter().chain(self.components.iter().flat_map(Component::checks))
    }

    /// The checks of all components together; none where there is one component.
    pub fn composite_checks(&self) -> &[CheckResult] {
        &self.composite
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

    /// Whether every component carries this binding value, each compared in constant time.
    pub fn matches_binding(&self, binding: &[u8; 64]) -> bool {
        !self.components.is_empty() && self.components.iter().all(|component| component.carries(binding))
    }

    /// The components that do not carry this binding value.
    pub fn unbound(&self, binding: &[u8; 64]) -> impl Iterator<Item = &Component> {
        self.components.iter().filter(|component| !component.carries(binding))
    }

    /// Whether the evidence is genuine, whatever else is wrong with it: nothing that could make it a forgery failed.
    pub fn is_authentic(&self) -> bool {
        self.is_evidence() && self.components.iter().all(Component::is_authentic)
    }

    /// The check that refuses it, and the component whose it is (none: of all together): the first that failed and is
    /// not waived, or else the first not evaluated. A component's own comes first, since it says why.
    pub fn first_failed(&self) -> Option<(Option<&Component>, &CheckResult)> {
        let own = self
            .components
            .iter()
            .flat_map(|component| component.checks().iter().map(move |check| (Some(component), check)));
        let all = own.chain(self.composite.iter().map(|check| (None, check)));
        let mut bad = all.filter(|(_, check)| !check.ok() && check.waiver().is_none());
        let first = bad.next()?;
        if first.1.failed() {
            return Some(first);
        }
        Some(bad.find(|(_, check)| check.failed()).unwrap_or(first))
    }

    /// The capability, if the evidence affirms, or warns of nothing that the policy does not waive.
    pub fn into_appraised(self) -> Result<Appraised, Refused> {
        self.refusal().map_or(Ok(()), Err)?;
        let assurance = self.components.iter().filter_map(Component::assurance).max();
        match assurance {
            Some(assurance) => Ok(Appraised { appraisal: self, assurance }),
            None => Err(Refused::NotEvidence("nothing was read".to_owned())),
        }
    }

    /// Why it is refused; `None` if it is not.
    pub fn refusal(&self) -> Option<Refused> {
        if let Some(reason) = self.not_evidence() {
            return Some(Refused::NotEvidence(reason));
        }
        if let Some((component, check)) = self.first_failed() {
            let detail = match component {
                Some(component) if self.components.len() > 1 => {
                    format!("{}: {}", component.name(), check.detail())
                }
                _ => check.detail().to_owned(),
            };
            return Some(Refused::Check { check: check.name(), detail });
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

    fn not_evidence(&self) -> Option<String> {
        if self.foreign.is_some() {
            return self.foreign.clone();
        }
        let unread = self.components.iter().find(|component| !component.is_recognised())?;
        let detail = unread.checks().first().map(|check| check.detail().to_owned());
        Some(detail.unwrap_or_else(|| format!("nothing that is {} evidence", unread.kind())))
    }
}

/// Evidence that was appraised and may be relied on. Only [`Appraisal::into_appraised`] makes one.
///
/// It says nothing about freshness or about whose key it is: compare by [`Self::matches_binding`] before anything
/// else.
///
/// ```compile_fail
/// let forged = treering::verifier::Appraised { appraisal: todo!(), assurance: todo!() };
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appraised {
    appraisal: Appraisal,
    assurance: Assurance,
}

impl Appraised {
    /// The appraisal it comes from.
    pub fn appraisal(&self) -> &Appraisal {
        &self.appraisal
    }

    /// The components, in the order of the evidence.
    pub fn components(&self) -> &[Component] {
        &self.appraisal.components
    }

    /// Whether every component carries this binding value, each compared in constant time.
    pub fn matches_binding(&self, binding: &[u8; 64]) -> bool {
        self.appraisal.matches_binding(binding)
    }

    /// What its components run on, in order, joined by `+`: `sev-snp`, `tdx+nvidia-gpu`. For the result of another
    /// Verifier that is what it vouches for.
    pub fn tee(&self) -> String {
        let kinds: Vec<&str> = self.components().iter().map(Component::tee).collect();
        kinds.join("+")
    }

    /// The product generation of the first component, which the others are attached to.
    pub fn generation(&self) -> Option<&str> {
        self.components().first()?.generation()
    }

    /// The reference value that the first component, where the workload runs, was found to be.
    pub fn reference(&self) -> Option<&super::ReferenceValue> {
        self.components().first()?.reference()
    }

    /// The first instant at which something ends that a component rests on: nothing that is made of this is to last
    /// longer.
    pub fn until(&self) -> Option<u64> {
        self.components().iter().filter_map(|one| one.until(self.appraisal.now)).min()
    }

    /// The weakest assurance among the components.
    pub fn assurance(&self) -> Assurance {
        self.assurance
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
