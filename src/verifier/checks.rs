//! Every check of SEV-SNP evidence, in order: one table, one function each.
//!
//! A check sees the report, the verified chain, the policy, the reference values and the instant, and says what it
//! found in words. What a failure means for the result stands beside it in the table.

mod authenticity;
mod requirements;

use super::chain::VerifiedVek;
use super::policy::{AppraisalPolicy, SnpPolicy};
use super::reference::ReferenceValues;
use super::roots::Generation;
use super::sev_snp::{Report, Unreadable};

/// Everything a check may look at.
pub(super) struct Context<'a> {
    pub(super) report: Result<&'a Report, &'a Unreadable>,
    pub(super) vek: &'a VerifiedVek,
    pub(super) policy: &'a AppraisalPolicy,
    pub(super) references: &'a ReferenceValues,
    pub(super) now: u64,
}

/// What a check found.
pub(super) enum Found {
    /// It holds.
    Ok(String),
    /// It does not.
    Failed(String),
    /// It cannot be judged, because of what an earlier check found.
    NotEvaluated(&'static str),
}

type Outcome = Result<String, Found>;

/// What a failure means for the result (AR4SI).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Harm {
    /// Nothing in the evidence can be believed.
    NotAuthentic,
    /// The platform is genuine, but known to be weak.
    Hardware,
    /// The machine is not one of those named.
    Identity,
    /// It is set up in a way that the policy does not allow.
    Configuration,
    /// It is set up so that others can read its memory.
    Exposed,
    /// What runs is not known.
    Executables,
}

/// One check.
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) harm: Harm,
    pub(super) waivable: bool,
    run: fn(&Context<'_>) -> Outcome,
}

impl Check {
    pub(super) fn find(&self, context: &Context<'_>) -> Found {
        match (self.run)(context) {
            Ok(detail) => Found::Ok(detail),
            Err(found) => found,
        }
    }
}

/// All of them. docs/verifier.md explains each; a test holds the two together.
pub(super) const CHECKS: &[Check] = &[
    check("format", Harm::NotAuthentic, false, authenticity::format),
    check("canonical", Harm::NotAuthentic, false, authenticity::canonical),
    check("signature-algorithm", Harm::NotAuthentic, false, authenticity::signature_algorithm),
    check("endorsement", Harm::NotAuthentic, false, authenticity::endorsement),
    check("chain", Harm::NotAuthentic, false, authenticity::chain),
    check("root", Harm::NotAuthentic, false, authenticity::root),
    check("validity", Harm::NotAuthentic, false, authenticity::validity),
    check("revocation", Harm::Hardware, false, authenticity::revocation),
    check("signing-key", Harm::NotAuthentic, false, authenticity::signing_key),
    check("signature", Harm::NotAuthentic, false, authenticity::signature),
    check("generation", Harm::NotAuthentic, false, authenticity::generation),
    check("tcb-binding", Harm::NotAuthentic, false, authenticity::tcb_binding),
    check("chip-binding", Harm::NotAuthentic, false, authenticity::chip_binding),
    check("allowed-key", Harm::Configuration, false, requirements::allowed_key),
    check("allowed-generation", Harm::Hardware, false, requirements::allowed_generation),
    check("tcb-order", Harm::Hardware, false, requirements::tcb_order),
    check("tcb-floor", Harm::Hardware, true, requirements::tcb_floor),
    check("mitigations", Harm::Hardware, true, requirements::mitigations),
    check("debug", Harm::Exposed, true, requirements::debug),
    check("migration", Harm::Exposed, true, requirements::migration),
    check("vmpl", Harm::Configuration, false, requirements::vmpl),
    check("guest-policy", Harm::Configuration, true, requirements::guest_policy),
    check("platform", Harm::Configuration, true, requirements::platform),
    check("machine", Harm::Identity, false, requirements::machine),
    check("id-block", Harm::Configuration, false, requirements::id_block),
    check("reference-value", Harm::Executables, true, requirements::reference_value),
];

const fn check(name: &'static str, harm: Harm, waivable: bool, run: fn(&Context<'_>) -> Outcome) -> Check {
    Check { name, harm, waivable, run }
}

/// The names of the checks that a policy may waive.
pub(super) fn waivable() -> Vec<&'static str> {
    CHECKS.iter().filter(|check| check.waivable).map(|check| check.name).collect()
}

pub(super) fn is_waivable(name: &str) -> bool {
    waivable().contains(&name)
}

impl<'a> Context<'a> {
    fn report(&self) -> Result<&'a Report, Found> {
        self.report.map_err(|_| Found::NotEvaluated("the report could not be read"))
    }

    fn snp(&self) -> &'a SnpPolicy {
        self.policy.snp()
    }

    fn endorsement(&self) -> Result<&'a super::certificate::Endorsement, Found> {
        self.vek
            .endorsement
            .as_ref()
            .map_err(|_| Found::NotEvaluated("there is no endorsement to compare with"))
    }

    /// The generation as far as it is established: by the root the chain ends in.
    fn rooted_generation(&self) -> Result<Generation, Found> {
        let root = self.vek.root.as_ref();
        root.map(|root| root.generation).map_err(|_| Found::NotEvaluated("no pinned root"))
    }
}

fn fail<T>(detail: impl Into<String>) -> Result<T, Found> {
    Err(Found::Failed(detail.into()))
}
