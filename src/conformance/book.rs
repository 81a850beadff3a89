//! Rules, and what was found about each: one verdict per rule, the worst that was seen.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{RULES, SPEC};

/// How binding a rule is (RFC 2119).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// Absolute.
    Must,
    /// Unless there is a reason.
    Should,
    /// Truly optional.
    May,
}

/// One requirement.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Its name here.
    pub id: &'static str,
    /// Where it is written.
    pub section: &'static str,
    /// How binding it is.
    pub level: Level,
    /// What it asks for.
    pub requirement: &'static str,
    /// Why no request from outside can show it, if none can.
    pub unseen: Option<&'static str>,
}

/// What was found about a rule. In this order a later one outweighs an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Nothing decided it.
    NotRun,
    /// No request from outside can show it.
    Unseen,
    /// It does not apply to what this service does.
    NotApplicable,
    /// Kept.
    Pass,
    /// Broken.
    Fail,
}

/// A rule with its verdict.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// The rule's name.
    pub id: &'static str,
    /// Where it is written.
    pub section: &'static str,
    /// What it asks for.
    pub requirement: &'static str,
    /// How binding it is.
    pub level: Level,
    /// What was found.
    pub verdict: Verdict,
    /// What was seen.
    pub detail: String,
}

/// What a run comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Every MUST that applies and can be seen from outside was checked and is kept.
    Conforms,
    /// A MUST is broken.
    DoesNotConform,
    /// No MUST is seen broken, and some could not be checked.
    CannotEvaluate,
}

/// All verdicts.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The service's URL.
    pub service: String,
    /// The revision that was checked.
    pub spec: &'static str,
    /// What it comes to.
    pub outcome: Outcome,
    /// How many rules are kept.
    pub passed: usize,
    /// How many are broken, of whatever level.
    pub failed: usize,
    /// How many of those are MUSTs.
    pub failed_musts: usize,
    /// How many do not apply.
    pub not_applicable: usize,
    /// How many could not be checked.
    pub not_run: usize,
    /// How many cannot be seen from outside.
    pub unseen: usize,
    /// Each rule, in the order of the catalogue.
    pub checks: Vec<Check>,
}

/// The findings of a run.
pub(super) struct Book(BTreeMap<&'static str, (Verdict, String)>);

impl Book {
    pub(super) fn new() -> Self {
        Self(BTreeMap::new())
    }

    pub(super) fn pass(&mut self, id: &'static str, detail: impl Into<String>) {
        self.note(id, Verdict::Pass, detail.into());
    }

    pub(super) fn fail(&mut self, id: &'static str, detail: impl Into<String>) {
        self.note(id, Verdict::Fail, detail.into());
    }

    pub(super) fn not_applicable(&mut self, id: &'static str, detail: impl Into<String>) {
        self.note(id, Verdict::NotApplicable, detail.into());
    }

    pub(super) fn not_run(&mut self, id: &'static str, detail: impl Into<String>) {
        self.note(id, Verdict::NotRun, detail.into());
    }

    pub(super) fn verdict(&self, id: &str) -> Option<Verdict> {
        self.0.get(id).map(|(verdict, _)| *verdict)
    }

    pub(super) fn judge(&mut self, id: &'static str, finding: Result<String, String>) {
        match finding {
            Ok(detail) => self.pass(id, detail),
            Err(detail) => self.fail(id, detail),
        }
    }

    fn note(&mut self, id: &'static str, verdict: Verdict, detail: String) {
        let kept = self.0.entry(id).or_insert((verdict, detail.clone()));
        if verdict > kept.0 {
            *kept = (verdict, detail);
        }
    }

    /// One check per rule; what nothing decided is `not-run`.
    pub(super) fn close(mut self, service: &str) -> Report {
        let mut checks: Vec<Check> = RULES
            .iter()
            .map(|rule| {
                let found = match rule.unseen {
                    Some(reason) => (Verdict::Unseen, reason.to_owned()),
                    None => (self.0.remove(rule.id))
                        .unwrap_or((Verdict::NotRun, "no request decided it".to_owned())),
                };
                check(rule, found)
            })
            .collect();
        // A finding under a name that no rule has is a fault of this program, and must not be lost.
        checks.extend(self.0.into_iter().map(|(id, found)| {
            let requirement = "(this program found something under a name that no rule has)";
            check(&Rule { id, section: "", level: Level::Must, requirement, unseen: None }, found)
        }));
        let count = |verdict: Verdict| checks.iter().filter(|check| check.verdict == verdict).count();
        let musts = |verdict: Verdict| {
            checks.iter().filter(|check| check.verdict == verdict && check.level == Level::Must).count()
        };
        let outcome = match (musts(Verdict::Fail), musts(Verdict::NotRun)) {
            (0, 0) => Outcome::Conforms,
            (0, _) => Outcome::CannotEvaluate,
            _ => Outcome::DoesNotConform,
        };
        Report {
            service: service.to_owned(),
            spec: SPEC,
            outcome,
            passed: count(Verdict::Pass),
            failed: count(Verdict::Fail),
            failed_musts: musts(Verdict::Fail),
            not_applicable: count(Verdict::NotApplicable),
            not_run: count(Verdict::NotRun),
            unseen: count(Verdict::Unseen),
            checks,
        }
    }
}

fn check(rule: &Rule, (verdict, detail): (Verdict, String)) -> Check {
    let Rule { id, section, level, requirement, unseen: _ } = *rule;
    Check { id, section, requirement, level, verdict, detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(findings: &[(&'static str, Verdict)]) -> Outcome {
        let mut book = Book::new();
        for rule in RULES {
            book.pass(rule.id, "");
        }
        for (id, verdict) in findings {
            book.0.insert(id, (*verdict, String::new()));
        }
        book.close("").outcome
    }

    #[test]
    fn names_are_unique() {
        let names: std::collections::BTreeSet<_> = RULES.iter().map(|rule| rule.id).collect();
        assert_eq!(names.len(), RULES.len());
    }

    #[test]
    fn only_musts_decide_and_what_was_not_run_is_not_passed() {
        assert_eq!(outcome(&[]), Outcome::Conforms);
        assert_eq!(outcome(&[("keys.set", Verdict::Fail)]), Outcome::DoesNotConform);
        assert_eq!(outcome(&[("keys.set", Verdict::NotRun)]), Outcome::CannotEvaluate);
        assert_eq!(outcome(&[("keys.cache", Verdict::Fail)]), Outcome::Conforms);
        assert_eq!(outcome(&[("no.such-rule", Verdict::Fail)]), Outcome::DoesNotConform);
    }

    #[test]
    fn the_worst_that_was_seen_stays() {
        let mut book = Book::new();
        book.fail("keys.set", "first");
        book.pass("keys.set", "later");
        book.not_run("keys.set", "later");
        assert_eq!(book.0["keys.set"], (Verdict::Fail, "first".to_owned()));
        let report = Book::new().close("");
        assert_eq!((report.passed, report.outcome), (0, Outcome::CannotEvaluate));
    }
}
