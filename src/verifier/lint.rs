//! Reads an appraisal policy for what its owner will hardly have meant: rules that contradict one another, rules that
//! nothing can meet, rules without effect; and names every value that is more lenient than what is left out would be.
//!
//! In scope: the policy alone, at an instant. Out of scope: whether a policy is right, and unknown keys, which the
//! parser refuses. What concerns one kind is said by that kind.

use std::collections::BTreeMap;
use std::fmt;

use data_encoding::HEXLOWER;
use serde::Serialize;

use super::evidence::MAX_ITEMS;
use super::kinds::{self, KINDS};
use super::policy::{AppraisalPolicy, Id, NamedBy, Waiver};

/// A waiver that lasts longer is hardly one for a time.
const LONG_WAIVER_S: u64 = 366 * 24 * 60 * 60;

/// How much a remark matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// It cannot be meant so.
    Error,
    /// It may be meant so.
    Warning,
    /// It is more lenient than the default.
    Note,
}

/// One remark about a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Remark {
    /// How much it matters.
    pub level: Level,
    /// Where: a section or key.
    pub at: String,
    /// What.
    pub text: String,
}

impl Remark {
    /// An error.
    pub fn error(at: impl Into<String>, text: impl Into<String>) -> Self {
        Self { level: Level::Error, at: at.into(), text: text.into() }
    }

    /// A warning.
    pub fn warning(at: impl Into<String>, text: impl Into<String>) -> Self {
        Self { level: Level::Warning, at: at.into(), text: text.into() }
    }

    /// A note that a value is more lenient than its default.
    pub fn lenient(at: impl Into<String>, text: impl fmt::Display) -> Self {
        Self { level: Level::Note, at: at.into(), text: format!("more lenient than the default: {text}") }
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Note => "note",
        };
        write!(f, "{level}: {}: {}", self.at, self.text)
    }
}

/// Every remark about a policy as it is at an instant: errors first, otherwise in the order of its sections.
pub fn lint(policy: &AppraisalPolicy, now: u64) -> Vec<Remark> {
    let mut remarks = Vec::new();
    for kind in KINDS {
        kind.lint(policy, &mut remarks);
    }
    composite(policy, &mut remarks);
    let collateral = policy.collateral();
    for (what, _) in collateral.max_age_s.iter().filter(|(_, age)| **age == 0) {
        remarks.push(Remark::error("collateral.max_age_s", format!("{what} = 0: none is ever young enough")));
    }
    if collateral.grace_s > 0 {
        remarks.push(Remark::lenient("collateral.grace_s", format!("{} s", collateral.grace_s)));
    }
    for waiver in policy.waivers() {
        waived(policy, waiver, now, &mut remarks);
    }
    remarks.sort_by_key(|remark| remark.level);
    remarks
}

/// Names that occur more than once.
pub(super) fn repeated<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for name in names {
        *counts.entry(name).or_default() += 1;
    }
    counts.into_iter().filter(|(_, count)| *count > 1).map(|(name, _)| name).collect()
}

/// Names, and ids in hex, of what a table of the policy names.
pub(super) fn names<K: Id>(named: &NamedBy<K>) -> Vec<(String, String)> {
    named.iter().map(|one| (one.name.clone(), HEXLOWER.encode(&one.id))).collect()
}

/// Remarks on names, and on ids of what they name, that are there twice.
pub(super) fn twice(at: &str, what: &str, named: &[(String, String)], out: &mut Vec<Remark>) {
    for name in repeated(named.iter().map(|(name, _)| name.as_str())) {
        out.push(Remark::error(at, format!("{name:?} is there twice")));
    }
    for id in repeated(named.iter().map(|(_, id)| id.as_str())) {
        out.push(Remark::error(at, format!("{what} {id} has two names")));
    }
}

/// The same of a table by itself.
pub(super) fn named<K: Id>(at: &str, what: &str, named: &NamedBy<K>, out: &mut Vec<Remark>) {
    twice(at, what, &names(named), out);
}

/// Remarks on a section that requires no reference value.
pub(super) fn reference_values(section: &str, required: bool, what: &str, out: &mut Vec<Remark>) {
    if !required {
        let at = format!("{section}.require_reference_value");
        let text = format!("no reference value is required: where none are given, {what} may run");
        out.push(Remark::warning(&at, text));
        out.push(Remark::lenient(at, "false"));
    }
}

fn composite(policy: &AppraisalPolicy, out: &mut Vec<Remark>) {
    const AT: &str = "composite.components";
    let components = policy.composite().wanted();
    let total: usize = components.values().fold(0, |sum, count| sum.saturating_add(*count));
    if total > MAX_ITEMS {
        out.push(Remark::error(AT, format!("{total} components, evidence has at most {MAX_ITEMS} items")));
    }
    if policy.composite().require_colocation {
        let text = "no evidence can pass: no kind vouches for what sits beside it";
        out.push(Remark::error("composite.require_colocation", text));
    }
    for (name, count) in &components {
        if *count == 0 {
            out.push(Remark::error(AT, format!("0 of {name}: a kind that is not named is refused anyway")));
        }
        let reason = kinds::by_name(name).and_then(|kind| kind.impossible(policy));
        if let Some(reason) = reason {
            out.push(Remark::error(AT, format!("{name} is wanted, and can never pass: {reason}")));
        }
    }
}

fn waived(policy: &AppraisalPolicy, waiver: &Waiver, now: u64, out: &mut Vec<Remark>) {
    let at = format!("waiver of {}", waiver.check);
    if waiver.until <= now {
        out.push(Remark::warning(at, "it has ended: the check counts again"));
        return;
    }
    let same = |other: &&Waiver| {
        other.check == waiver.check
            && (other.kind == waiver.kind || other.kind.is_none())
            && now < other.until
    };
    if policy.waivers().iter().find(same).is_some_and(|first| !std::ptr::eq(first, waiver)) {
        out.push(Remark::warning(&at, "an earlier waiver is in force for the same: this one has no effect"));
    }
    let of = |name: &str| waiver.kind.as_deref().is_none_or(|kind| kind == name);
    for kind in KINDS.iter().filter(|kind| of(kind.name())) {
        if kind.is_off(policy, &waiver.check) {
            out.push(Remark::warning(&at, format!("the policy asks nothing there of {}", kind.name())));
        }
    }
    if waiver.until.saturating_sub(now) > LONG_WAIVER_S {
        out.push(Remark::warning(&at, "it lasts longer than a year"));
    }
    let kind = waiver.kind.as_deref().unwrap_or("every kind that has the check");
    out.push(Remark::lenient(at, format!("it may fail, for {kind}")));
}
