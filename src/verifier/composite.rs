//! Evidence of several components: which items make one component, and what holds of them together.
//!
//! Each component is appraised by its own kind and has its own submodule in the result. Together they must be the
//! ones that the policy names, no more and no fewer, each must affirm, and each must carry the same binding value:
//! that they sit in one machine is claimed only where a measured parent vouches for it, else the result says
//! `colocation: unproven`, since a remote device can sign our nonce as well as one in this machine.

use std::collections::BTreeMap;

use super::binding::Carriage;
use super::checks::{self, Check, CheckInfo, CheckResult, Found, Harm, Outcome, fail};
use super::component::Component;
use super::evidence::{Evidence, EvidenceItem};
use super::kinds::{self, Kind};
use super::policy::{AppraisalPolicy, CompositePolicy};

/// The name of the submodule that says what holds of all components together.
pub const SUBMOD_COMPOSITE: &str = "composite";

/// What the result says of the components being in one machine.
pub(super) const COLOCATION: &str = "unproven";

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
        let takes = |group: &&mut Group<'_>| group.kind.about().supplements.contains(&item.media_type());
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
    policy: &'a CompositePolicy,
}

fn table<'a>() -> [Check<Together<'a>>; 6] {
    [
        Check::firm("components", Harm::Configuration, components),
        Check::firm("distinct", Harm::Identity, distinct),
        Check::firm("every-component", Harm::Hardware, every_component),
        Check::firm("binding", Harm::NotAuthentic, binding),
        Check::firm("freshness", Harm::Configuration, freshness),
        Check::firm("colocation", Harm::Configuration, colocation),
    ]
}

/// The descriptions of these checks.
pub(super) fn infos() -> Vec<CheckInfo> {
    checks::infos(&table())
}

/// What each of these checks looks at, for people: nothing in octets, but what was found in each component.
pub(super) fn reads(check: &str) -> Option<&'static str> {
    Some(match check {
        "components" => "the kind of each component; the policy's [composite]",
        "distinct" => "the claims of each component; of devices the machine",
        "every-component" => "what came of each component's checks",
        "binding" => "where each component carries the binding value",
        "freshness" => "when each component says it was made: timestamp, iat",
        "colocation" => "nothing: no evidence says what sits beside it",
        _ => return None,
    })
}

/// The checks of all components together; none for a single one, whose own checks say everything.
pub(super) fn check(components: &[Component], policy: &AppraisalPolicy, now: u64) -> Vec<CheckResult> {
    let together = Together { components, policy: policy.composite() };
    if components.len() == 1 && !together.policy.is_wanted() {
        return Vec::new();
    }
    checks::run(SUBMOD_COMPOSITE, &table(), &together, policy, now)
}

/// Which submodules are on which device, as the policy assigns them: in the order of the evidence, each device taking
/// as many of each kind as it has. Empty unless the policy names devices and the components are those it names.
pub(super) fn topology(components: &[Component], policy: &AppraisalPolicy) -> BTreeMap<String, Vec<String>> {
    let policy = policy.composite();
    if components_of(components, policy).is_err() {
        return BTreeMap::new();
    }
    let mut left: Vec<&Component> = components.iter().collect();
    let mut devices = BTreeMap::new();
    for device in &policy.devices {
        let mut wanted = device.components.clone();
        let (mine, others): (Vec<&Component>, Vec<&Component>) = left.into_iter().partition(|component| {
            let more = wanted.get_mut(component.kind()).filter(|more| **more > 0);
            more.map(|more| *more -= 1).is_some()
        });
        left = others;
        devices.insert(device.name.clone(), mine.iter().map(|one| one.name().to_owned()).collect());
    }
    devices
}

/// The components are those that the policy names: a missing one, or one too many, is refused by name.
fn components(together: &Together<'_>) -> Outcome {
    components_of(together.components, together.policy)
}

fn components_of(components: &[Component], policy: &CompositePolicy) -> Outcome {
    let got: Vec<&str> = components.iter().map(Component::kind).collect();
    if !policy.is_wanted() {
        return fail(format!("{} components ({}); the policy names none", got.len(), got.join(", ")));
    }
    let wanted = policy.wanted();
    let count = |kind: &str| got.iter().filter(|one| **one == kind).count();
    for (kind, want) in &wanted {
        if count(kind) != *want {
            return fail(format!("{} of kind {kind}, want {want}", count(kind)));
        }
    }
    match got.iter().find(|kind| !wanted.contains_key(**kind)) {
        Some(kind) => fail(format!("a component of kind {kind}, which the policy does not name")),
        None => Ok(format!("{}: those that the policy names", got.join(", "))),
    }
}

/// One thing shown twice is not two things.
fn distinct(together: &Together<'_>) -> Outcome {
    for (position, one) in together.components.iter().enumerate() {
        let earlier = together.components.iter().take(position).filter(|other| other.kind() == one.kind());
        for other in earlier {
            let device = kinds::by_name(one.kind()).is_some_and(|kind| kind.about().is_a_device);
            if one.claims().is_some() && one.claims() == other.claims() {
                return fail(format!("{} is the evidence of {} again", one.name(), other.name()));
            }
            if device && one.machine().is_some() && one.machine() == other.machine() {
                return fail(format!("{} is the device of {} again", one.name(), other.name()));
            }
        }
    }
    Ok("no component is there twice".to_owned())
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

/// All carry one and the same value, as far as that can be said without knowing it: two digests under different tags
/// cannot be compared, and whoever knows the value compares each with it (`Appraisal::unbound`).
fn binding(together: &Together<'_>) -> Outcome {
    let mut all = Vec::new();
    for component in together.components {
        let carriage = component.finding().carriage.as_ref();
        all.push((component, carriage.ok_or(Found::NotEvaluated("a component could not be read"))?));
    }
    // Against one that carries it whole every other can be compared.
    let whole = all.iter().position(|(_, carriage)| matches!(carriage, Carriage::Whole(_)));
    if let Some(position) = whole {
        all.swap(0, position);
    }
    let mut open = Vec::new();
    for (position, (component, carriage)) in all.iter().enumerate() {
        let compared = all.iter().take(position).map(|(other, theirs)| (other, theirs.agrees(carriage)));
        let compared: Vec<_> = compared.filter_map(|(other, agrees)| Some((other, agrees?))).collect();
        if let Some((other, _)) = compared.iter().find(|(_, agrees)| !agrees) {
            return fail(format!("{} carries another value than {}", component.name(), other.name()));
        }
        if position > 0 && compared.is_empty() {
            open.push(component.name());
        }
    }
    if open.is_empty() {
        Ok("all carry one value".to_owned())
    } else {
        Ok(format!("no two differ; {} can be compared with the value alone", open.join(", ")))
    }
}

/// Evidence that says when it was made was made about the same time.
fn freshness(together: &Together<'_>) -> Outcome {
    let dated = together.components.iter();
    let dated = dated.filter_map(|component| Some((component.name(), component.made_at()?))).collect();
    within(dated, together.policy.max_spread_s)
}

fn within(mut dated: Vec<(&str, u64)>, max: u64) -> Outcome {
    dated.sort_by_key(|(_, made)| *made);
    let (Some((old, from)), Some((new, until))) = (dated.first(), dated.last()) else {
        return Ok("none says when it was made".to_owned());
    };
    let spread = until.abs_diff(*from);
    if spread > max {
        return fail(format!("{old} was made {spread} s before {new}, at most {max} s are allowed"));
    }
    Ok(format!("those that say when were made within {spread} s"))
}

/// No kind known here measures what sits beside it, so that this is never proven.
fn colocation(together: &Together<'_>) -> Outcome {
    if together.policy.require_colocation {
        fail("unproven: no component vouches for the others being in its machine, and the policy requires it")
    } else {
        Ok(format!("{COLOCATION}, and not required"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_far_apart_is_named() {
        assert!(within(vec![], 0).is_ok() && within(vec![("a", 1)], 0).is_ok());
        assert!(within(vec![("a", 400), ("b", 100)], 300).is_ok());
        let Err(Found::Failed(reason)) = within(vec![("a", 401), ("c", 200), ("b", 100)], 300) else {
            panic!("not refused")
        };
        assert_eq!(reason, "b was made 301 s before a, at most 300 s are allowed");
    }
}
