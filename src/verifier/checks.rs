//! Checks: what every kind of evidence is appraised by.
//!
//! Each kind has one table of them, in order. A check sees that kind's context and says in words what it found; what
//! a failure means for the result stands beside it in the table. All are made and all are reported, also after one
//! has failed. The tables, explained: docs/verifier.md; a test holds the document to them.

use serde::Serialize;
use serde::ser::SerializeStruct;

use super::policy::AppraisalPolicy;

/// What a failure means for the result (AR4SI).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Harm {
    /// Nothing in the evidence can be believed.
    NotAuthentic,
    /// The platform is genuine, and not to be relied on: revoked, denied, rolled back.
    Hardware,
    /// The platform is genuine, and known to be weak.
    WeakHardware,
    /// The machine is not one of those named.
    Identity,
    /// It is set up in a way that the policy does not allow.
    Configuration,
    /// It is set up so that others can read its memory.
    Exposed,
    /// What runs is not known.
    Executables,
}

/// What a check is, apart from how it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CheckInfo {
    pub(super) name: &'static str,
    pub(super) harm: Harm,
    pub(super) waivable: bool,
}

/// What a check found.
pub(super) enum Found {
    /// It does not hold.
    Failed(String),
    /// It does not hold, and no waiver lets that pass, although one may let pass another failure of the same check.
    Final(String),
    /// It does not hold, and the policy's grace lets it pass for a while; the result shows that.
    Graced(String),
    /// It holds because this key of the policy asks for less than it would by default; the result shows that.
    Relaxed(&'static str, String),
    /// It cannot be judged, because of what an earlier check found.
    NotEvaluated(&'static str),
}

/// What holds, in words, or why it does not.
pub(super) type Outcome = Result<String, Found>;

/// A check failed, for this reason.
pub(super) fn fail<T>(detail: impl Into<String>) -> Result<T, Found> {
    Err(Found::Failed(detail.into()))
}

/// It holds, and would not without this key of the policy.
pub(super) fn relaxed(key: &'static str, detail: impl Into<String>) -> Outcome {
    Err(Found::Relaxed(key, detail.into()))
}

/// Of several that must all be usable: the first that is not, or else the grace that one of them needs, if any does.
pub(super) fn grace_of(usable: impl IntoIterator<Item = Outcome>) -> Result<Option<Found>, Found> {
    let mut late = None;
    for one in usable {
        match one {
            Ok(_) => {}
            Err(Found::Graced(reason)) => late = Some(Found::Graced(reason)),
            Err(found) => return Err(found),
        }
    }
    Ok(late)
}

/// One check of a kind; `C` is what the checks of that kind look at.
pub(super) struct Check<C> {
    pub(super) info: CheckInfo,
    run: fn(&C) -> Outcome,
}

impl<C> Check<C> {
    /// A check that no policy can waive.
    pub(super) const fn firm(name: &'static str, harm: Harm, run: fn(&C) -> Outcome) -> Self {
        Self { info: CheckInfo { name, harm, waivable: false }, run }
    }

    /// A check that a policy may waive.
    pub(super) const fn waivable(name: &'static str, harm: Harm, run: fn(&C) -> Outcome) -> Self {
        Self { info: CheckInfo { name, harm, waivable: true }, run }
    }
}

/// The descriptions of a table.
pub(super) fn infos<C>(checks: &[Check<C>]) -> Vec<CheckInfo> {
    checks.iter().map(|check| check.info).collect()
}

/// Makes every check of a table, and applies the waivers that the policy has for this kind at this instant.
pub(super) fn run<C>(
    kind: &str,
    checks: &[Check<C>],
    context: &C,
    policy: &AppraisalPolicy,
    now: u64,
) -> Vec<CheckResult> {
    let result = |check: &Check<C>| {
        let (mut grace, mut relaxed, mut final_) = (None, None, false);
        let (verdict, detail) = match (check.run)(context) {
            Ok(detail) => (Verdict::Ok, detail),
            Err(Found::Failed(detail)) => (Verdict::Failed, detail),
            Err(Found::Final(detail)) => {
                final_ = true;
                (Verdict::Failed, detail)
            }
            Err(Found::Relaxed(key, detail)) => {
                relaxed = Some(key);
                (Verdict::Ok, detail)
            }
            Err(Found::Graced(detail)) => {
                grace = Some(format!("grace of {} s for collateral", policy.collateral().grace_s));
                (Verdict::Failed, detail)
            }
            Err(Found::NotEvaluated(why)) => (Verdict::NotEvaluated, format!("not evaluated: {why}")),
        };
        let waiver = policy.waiver(kind, check.info.name, now);
        let waiver = waiver.filter(|_| check.info.waivable && !final_ && verdict == Verdict::Failed);
        let waiver = waiver.map(|waiver| waiver.reason.clone()).or(grace);
        CheckResult { info: check.info, verdict, detail, waiver, relaxed }
    };
    checks.iter().map(result).collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Ok,
    Failed,
    NotEvaluated,
}

/// One check and what it found. In JSON: `{"name", "ok", "detail"}`, `"waived": reason` where a waiver or a grace applies,
/// and `"relaxed": key` where it holds because that key of the policy asks for less than by default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckResult {
    info: CheckInfo,
    verdict: Verdict,
    detail: String,
    waiver: Option<String>,
    relaxed: Option<&'static str>,
}

impl CheckResult {
    /// Name of the check.
    pub fn name(&self) -> &'static str {
        self.info.name
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

    /// The key of the policy without which it would not hold, if there is one: it asks for less than by default.
    pub fn relaxed(&self) -> Option<&'static str> {
        self.relaxed
    }

    pub(super) fn harm(&self) -> Harm {
        self.info.harm
    }
}

impl Serialize for CheckResult {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = 3 + usize::from(self.waiver.is_some()) + usize::from(self.relaxed.is_some());
        let mut out = serializer.serialize_struct("check", fields)?;
        out.serialize_field("name", self.info.name)?;
        out.serialize_field("ok", &self.ok())?;
        out.serialize_field("detail", &self.detail)?;
        if let Some(waiver) = &self.waiver {
            out.serialize_field("waived", waiver)?;
        }
        if let Some(key) = self.relaxed {
            out.serialize_field("relaxed", key)?;
        }
        out.end()
    }
}
