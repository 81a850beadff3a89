//! Evidence of several components: which items make one component, and what holds of them together.
//!
//! Each component is appraised by its own kind and has its own submodule in the result. Together they must be the
//! ones that the policy names, no more and no fewer, each must affirm, and each must carry the same binding value:
//! that they sit in one machine is claimed only where a measured parent vouches for it, else the result says
//! `colocation: unproven`, since a remote device can sign our nonce as well as one in this machine.

use super::checks::{self, Check, CheckResult, Harm, Outcome, fail};
use super::component::Component;
use super::evidence::{Evidence, EvidenceItem};
use super::kinds::{self, Kind};
use super::policy::AppraisalPolicy;

/// The name of the submodule that says what holds of all components together.
pub const SUBMOD_COMPOSITE: &str = "composite";

/// The items of one component: its evidence, and what only comes along with it.
pub(super) struct Group<'a> {
    pub(super) kind: &'static dyn Kind,
    pub(super) name: String,
    pub(super) item: &'a EvidenceItem,
    pub(super) supplements: Vec<&'a EvidenceItem>,
}

/// Sorts items into components. An item that only comes along belongs to the nearest one before it that takes it.
pub(super) fn group(evidence: &Evidence) -> Result<Vec<Group<'_>>, String> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for item in evidence.items() {
        if let Some(kind) = kinds::by_media_type(item.media_type()) {
            let before = groups.iter().filter(|group| group.kind.name() == kind.name()).count();
            let name = match before {
                0 => kind.name().to_owned(),
                _ => format!("{}-{}", kind.name(), before + 1),
            };
            groups.push(Group { kind, name, item, supplements: Vec::new() });
            continue;
        }
        let takes = |group: &&mut Group<'_>| group.kind.supplements().contains(&item.media_type());
        match groups.iter_mut().rev().find(takes) {
            Some(group) => group.supplements.push(item),
            None => return Err(format!("evidence of type {}, which no kind takes here", item.media_type())),
        }
    }
    Ok(groups)
}

/// What the checks of a composite look at.
struct Together<'a> {
    components: &'a [Component],
    policy: &'a AppraisalPolicy,
}

fn table<'a>() -> [Check<Together<'a>>; 2] {
    [
        Check::firm("components", Harm::Configuration, components),
        Check::firm("every-component", Harm::Hardware, every_component),
    ]
}

/// The checks of all components together; none for a single one, whose own checks say everything.
pub(super) fn check(components: &[Component], policy: &AppraisalPolicy, now: u64) -> Vec<CheckResult> {
    let together = Together { components, policy };
    let wanted = !policy.composite().components.is_empty();
    if components.len() == 1 && !wanted {
        return Vec::new();
    }
    checks::run(SUBMOD_COMPOSITE, &table(), &together, policy, now)
}

/// The components are those that the policy names: a missing one, or one too many, is refused by name.
fn components(together: &Together<'_>) -> Outcome {
    let wanted = &together.policy.composite().components;
    let got: Vec<&str> = together.components.iter().map(Component::kind).collect();
    if wanted.is_empty() {
        return fail(format!("{} components ({}); the policy names none", got.len(), got.join(", ")));
    }
    let count = |kind: &str| got.iter().filter(|one| **one == kind).count();
    for (kind, want) in wanted {
        if count(kind) != *want {
            return fail(format!("{} of kind {kind}, want {want}", count(kind)));
        }
    }
    match got.iter().find(|kind| !wanted.contains_key(**kind)) {
        Some(kind) => fail(format!("a component of kind {kind}, which the policy does not name")),
        None => Ok(format!("{}: those that the policy names", got.join(", "))),
    }
}

/// One that does not pass refuses the whole.
fn every_component(together: &Together<'_>) -> Outcome {
    for component in together.components {
        let bad = |check: &&CheckResult| !check.ok() && check.waiver().is_none();
        if let Some(check) = component.checks().iter().find(bad) {
            return fail(format!("{}: check {} does not hold", component.name(), check.name()));
        }
    }
    Ok(format!("all {} pass", together.components.len()))
}
