//! One component of evidence, appraised: the checks of its kind, and what they amount to.

use serde_json::Value;

use super::appraisal::Status;
use super::binding::Carriage;
use super::certificates;
use super::checks::{CheckResult, Harm};
use super::collateral::Collateral;
use super::ear::TrustVector;
use super::evidence::EvidenceItem;
use super::kinds::{self, Assurance, Finding, Kind, intel};
use super::reference::ReferenceValue;
use super::wanted;

/// One component, such as the CPU or one of the GPUs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    kind: &'static str,
    tee: String,
    name: String,
    finding: Finding,
    vector: TrustVector,
    status: Status,
    item: EvidenceItem,
}

impl Component {
    pub(super) fn new(kind: &dyn Kind, name: String, item: EvidenceItem, finding: Finding) -> Self {
        let vector = TrustVector::of(&finding);
        let tee = kind.tee(&finding);
        Self { kind: kind.name(), tee, name, status: vector.status(), vector, finding, item }
    }

    /// Its kind, such as `sev-snp`.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// What it runs on: its kind, or for the result of another Verifier what that one vouches for.
    pub fn tee(&self) -> &str {
        &self.tee
    }

    /// Its name in this appraisal: the kind, and a number from the second of a kind on.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its checks, in order.
    pub fn checks(&self) -> &[CheckResult] {
        &self.finding.checks
    }

    /// The trustworthiness vector.
    pub fn vector(&self) -> &TrustVector {
        &self.vector
    }

    /// The worst tier in the vector.
    pub fn status(&self) -> Status {
        self.status
    }

    /// What the evidence says, if it could be read, an object; not to be believed unless the checks hold.
    pub fn claims(&self) -> Option<&Value> {
        self.finding.claims.as_ref()
    }

    /// One of the claims, as text.
    pub fn claim(&self, name: &str) -> Option<&str> {
        self.claims()?.get(name)?.as_str()
    }

    /// Whose word it rests on; only where it is authentic.
    pub fn assurance(&self) -> Option<Assurance> {
        self.is_authentic().then_some(self.finding.assurance)
    }

    /// The product generation, in lower case.
    pub fn generation(&self) -> Option<&str> {
        self.finding.generation.as_deref()
    }

    /// What names the machine, where the evidence authenticates it.
    pub fn machine(&self) -> Option<&[u8]> {
        self.finding.machine.as_deref()
    }

    /// When the evidence says it was made, where its kind says so.
    pub fn made_at(&self) -> Option<u64> {
        kinds::by_name(self.kind)?.made_at(self.claims()?)
    }

    /// The first instant at which something ends that it rests on: a token, a certificate, a list, a vendor's document.
    /// What ended before this instant, and was let pass by the policy, is not counted.
    pub fn until(&self, now: u64) -> Option<u64> {
        let ends = ends(kinds::by_name(self.kind)?, &self.item, &self.finding.collateral);
        ends.filter(|end| *end > now).min()
    }

    /// The reference value that what runs was found to be.
    pub fn reference(&self) -> Option<&ReferenceValue> {
        self.finding.reference.as_ref()
    }

    /// Whether the evidence carries this binding value, compared in constant time. What could not be read carries
    /// nothing.
    pub fn carries(&self, binding: &[u8; 64]) -> bool {
        self.finding.carriage.as_ref().is_some_and(|carriage| carriage.carries(binding))
    }

    /// What it carries where a binding value would be: 64 octets, or the 32 of a digest.
    pub(super) fn carried(&self) -> Option<&[u8]> {
        self.finding.carriage.as_ref().map(Carriage::octets)
    }

    /// Whether the octets are of this kind at all.
    pub(super) fn is_recognised(&self) -> bool {
        self.finding.recognised
    }

    /// Whether it is genuine, whatever else is wrong with it.
    pub(super) fn is_authentic(&self) -> bool {
        self.finding.recognised
            && self.finding.claims.is_some()
            && self.finding.checks.iter().all(|check| check.harm() != Harm::NotAuthentic || check.ok())
    }

    pub(super) fn finding(&self) -> &Finding {
        &self.finding
    }
}

/// When each thing ends that a component rests on, where it says so.
fn ends(kind: &dyn Kind, item: &EvidenceItem, used: &Collateral) -> impl Iterator<Item = u64> {
    let own = kind.ends(item).into_iter();
    let documents = used.documents().iter().filter_map(|document| intel::until(&document.bytes));
    let documents: Vec<u64> = documents.collect();
    own.chain(certificates::ends(used.certificates())).chain(wanted::current_until(used)).chain(documents)
}
