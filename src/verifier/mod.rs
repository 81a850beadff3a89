//! The Verifier: appraises Evidence (RFC 9334) and gives an attestation result.
//!
//! Appraisal is a pure function of evidence, collateral, policy, reference values, pinned roots and an instant: no
//! I/O, no clock, no randomness. So a decision can be made again, years later, to the same octets.
//! In scope: SEV-SNP. Out of scope: freshness and whose key it is (`binding`; the caller compares), where evidence
//! comes from, which policy is in force, and what a result means for a workload (`mapper`).
//!
//! The checks, one by one, with their sources: docs/verifier.md.

mod appraisal;
mod canonical;
mod certificate;
mod chain;
mod checks;
mod collateral;
mod ear;
mod evidence;
mod pem;
mod policy;
mod reference;
mod roots;
mod sev_snp;

use std::sync::Arc;

pub use appraisal::{Appraisal, Appraised, CheckResult, Refused, Status};
pub use certificate::{MAX_CERTIFICATE_BYTES, MAX_CRL_BYTES};
pub use chain::DEFAULT_CACHED_CHAINS;
pub use collateral::{CERTIFICATE_TYPE, CRL_TYPE, Collateral, CollateralError, MAX_CERTIFICATES, MAX_CRLS};
pub use ear::{
    BUILD, DEVELOPER, MEDIA_TYPE as EAR_MEDIA_TYPE, PROFILE as EAR_PROFILE, SUBMOD_SNP, TrustVector, tier,
};
pub use evidence::{Evidence, EvidenceError, EvidenceItem, MAX_ITEM_BYTES, MAX_ITEMS, SNP_REPORT};
pub use policy::{AppraisalPolicy, MAX_POLICY_BYTES, PolicyError, Waiver, ni_uri};
pub use reference::{
    MAX_REFERENCE_VALUES, MEASUREMENT_BYTES, ReferenceError, ReferenceValue, ReferenceValues,
};
pub use roots::{Generation, HardwareRoots, fingerprint};
pub use sev_snp::{ECDSA_P384_SHA384, Facts, REPORT_BYTES, SIGNED_BYTES, SigningKey, Tcb, VERSIONS};

use appraisal::Verdict;
use chain::{ChainCache, VerifiedVek};
use checks::{CHECKS, Context, Found};
use sev_snp::{Report, Unreadable};

/// Appraises evidence once.
pub fn appraise(
    evidence: &Evidence,
    collateral: &Collateral,
    policy: &AppraisalPolicy,
    references: &ReferenceValues,
    roots: &HardwareRoots,
    now: u64,
) -> Appraisal {
    appraise_under(evidence, &chain::verify(collateral, roots), policy, references, now)
}

/// Appraises evidence again and again: keeps the chains it has verified. The results are those of [`appraise`].
#[derive(Debug)]
pub struct Verifier {
    chains: ChainCache,
}

impl Verifier {
    /// A verifier that trusts these roots, and keeps [`DEFAULT_CACHED_CHAINS`] chains.
    pub fn new(roots: HardwareRoots) -> Self {
        Self::with_capacity(roots, DEFAULT_CACHED_CHAINS)
    }

    /// A verifier that keeps this many chains.
    pub fn with_capacity(roots: HardwareRoots, chains: usize) -> Self {
        Self { chains: ChainCache::new(roots, chains) }
    }

    /// The roots it trusts.
    pub fn roots(&self) -> &HardwareRoots {
        self.chains.roots()
    }

    /// Appraises evidence.
    pub fn appraise(
        &self,
        evidence: &Evidence,
        collateral: &Collateral,
        policy: &AppraisalPolicy,
        references: &ReferenceValues,
        now: u64,
    ) -> Appraisal {
        let vek: Arc<VerifiedVek> = self.chains.verify(collateral);
        appraise_under(evidence, &vek, policy, references, now)
    }
}

fn appraise_under(
    evidence: &Evidence,
    vek: &VerifiedVek,
    policy: &AppraisalPolicy,
    references: &ReferenceValues,
    now: u64,
) -> Appraisal {
    let raw = only_report(evidence);
    let report = raw.and_then(Report::read);
    let context = Context { report: report.as_ref(), vek, policy, references, now };
    let checks: Vec<CheckResult> = CHECKS.iter().map(|check| run(check, &context)).collect();

    let facts = report.as_ref().ok().map(|report| facts(report, vek));
    let reference = facts.as_ref().and_then(|facts| references.find(&facts.measurement)).cloned();
    let machines = !policy.snp().machines.is_empty();
    let vector = TrustVector::of(&checks, facts.as_ref(), reference.is_some(), machines);
    let mut appraisal = Appraisal {
        recognised: only_report(evidence).is_ok_and(sev_snp::looks_like_a_report),
        status: vector.status(),
        vector,
        checks,
        facts,
        reference,
        collateral: vek.collateral.clone(),
        evidence_digest: evidence.digest(),
        collateral_digest: vek.collateral_digest,
        policy_digest: policy.digest(),
        references_digest: references.digest(),
        now,
        ear: Vec::new(),
    };
    appraisal.ear = write_ear(&appraisal, policy);
    appraisal
}

/// The report in the evidence. Composite evidence comes with its own rules; until then it is refused, not guessed at.
fn only_report(evidence: &Evidence) -> Result<&[u8], Unreadable> {
    match evidence.items() {
        [item] if item.media_type() == SNP_REPORT => Ok(item.bytes()),
        [item] => {
            Err(Unreadable::Format(format!("evidence of type {}, want {SNP_REPORT}", item.media_type())))
        }
        items => Err(Unreadable::Format(format!("want one item of evidence, got {}", items.len()))),
    }
}

fn run(check: &checks::Check, context: &Context<'_>) -> CheckResult {
    let (verdict, detail) = match check.find(context) {
        Found::Ok(detail) => (Verdict::Ok, detail),
        Found::Failed(detail) => (Verdict::Failed, detail),
        Found::NotEvaluated(why) => (Verdict::NotEvaluated, format!("not evaluated: {why}")),
    };
    let waiver = context.policy.waiver(check.name, context.now);
    let waiver = waiver.filter(|_| verdict == Verdict::Failed).map(|waiver| waiver.reason.clone());
    CheckResult::new(check.name, check.harm, verdict, detail, waiver)
}

/// What the report says, and what only the chain can add.
fn facts(report: &Report, vek: &VerifiedVek) -> Facts {
    let mut facts = report.facts();
    if let Ok(root) = &vek.root {
        facts.generation = facts.generation.or(Some(root.generation));
        facts.simulated = root.simulated;
    }
    facts
}

fn write_ear(appraisal: &Appraisal, policy: &AppraisalPolicy) -> Vec<u8> {
    let waived = appraisal.checks.iter().filter(|check| check.waiver().is_some());
    ear::write(&ear::Inputs {
        now: appraisal.now,
        vector: appraisal.vector,
        status: appraisal.status,
        results: &appraisal.checks,
        facts: appraisal.facts.as_ref(),
        policy_id: policy.id(),
        waivers: waived.filter_map(|check| policy.waiver(check.name(), appraisal.now)).collect(),
        evidence: appraisal.evidence_digest,
        collateral: appraisal.collateral_digest,
        references: appraisal.references_digest,
        reference: appraisal.reference.as_ref().map(|value| value.name.as_str()),
    })
}
