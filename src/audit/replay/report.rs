//! What a replay is asked for, and what it says.

use std::collections::BTreeMap;

use serde::Serialize;
use treering_provenance::statement::Kind;

use super::super::TraceError;

/// Findings of one sort that are listed; all are counted.
const MAX_LISTED: usize = 10_000;

/// A decision that an entry records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Decided {
    /// Somebody else's statement was registered.
    Registration,
    /// A policy came into force.
    Activation,
    /// Evidence was appraised.
    Appraisal,
    /// A workload was recognised.
    Mapping,
    /// A credential was issued.
    Issuance,
    /// A workload was refused.
    Refusal,
}

impl Decided {
    /// Every kind of decision.
    pub const ALL: [Self; 6] =
        [Self::Registration, Self::Activation, Self::Appraisal, Self::Mapping, Self::Issuance, Self::Refusal];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Registration => "registration",
            Self::Activation => "activation",
            Self::Appraisal => "appraisal",
            Self::Mapping => "mapping",
            Self::Issuance => "issuance",
            Self::Refusal => "refusal",
        }
    }

    /// What a statement of the service records; `None` for what was not decided but happened.
    pub(super) const fn of(kind: Kind) -> Option<Self> {
        match kind {
            Kind::Activation => Some(Self::Activation),
            Kind::Appraisal => Some(Self::Appraisal),
            Kind::Mapping => Some(Self::Mapping),
            Kind::Issuance => Some(Self::Issuance),
            Kind::Refusal => Some(Self::Refusal),
            _ => None,
        }
    }
}

/// Which decisions are made again.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// One entry's alone.
    pub entry: Option<u64>,
    /// Decisions of these kinds alone; all if there are none.
    pub kinds: Vec<Decided>,
}

impl Scope {
    /// Whether the decision of an entry is to be made again.
    pub(super) fn holds(&self, index: u64, decided: Option<Decided>) -> bool {
        self.entry.is_none_or(|entry| entry == index)
            && (self.kinds.is_empty() || decided.is_some_and(|decided| self.kinds.contains(&decided)))
    }
}

/// What came of one decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The same, octet for octet.
    Identical,
    /// Another one, or none.
    Differs(String),
    /// The log does not hold enough to tell.
    Undetermined(String),
    /// Nothing that the reader has opens it.
    NotOpened(String),
}

impl Outcome {
    /// What an error on the way to an input means for the decision; an error of the source ends the walk.
    pub(super) fn of_error(index: u64, error: TraceError) -> Result<Self, TraceError> {
        match error {
            TraceError::NotOpened { index: at, reason } if at == index => Ok(Self::NotOpened(reason)),
            TraceError::NotOpened { .. } => Ok(Self::NotOpened(format!("it rests on what was not: {error}"))),
            TraceError::Entry { index: at, reason } if at == index => Ok(Self::Differs(reason)),
            TraceError::Entry { .. } | TraceError::Missing(_) => Ok(Self::Differs(error.to_string())),
            TraceError::UnknownType { .. } => Ok(Self::Undetermined(error.to_string())),
            TraceError::Checkpoint(_) | TraceError::Credential(_) | TraceError::Source(_) => Err(error),
        }
    }
}

/// How many decisions of a kind came out how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// The same, octet for octet.
    pub identical: u64,
    /// Another one, or none.
    pub differing: u64,
    /// The log does not hold enough to tell.
    pub undetermined: u64,
    /// Nothing that the reader has opens it.
    pub not_opened: u64,
}

/// A decision that did not come out the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Its entry.
    pub entry: u64,
    /// What was decided; `record` for an entry that records no decision.
    pub decision: &'static str,
    /// What differs first, or why it was not made again.
    pub what: String,
}

/// What it all amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every decision came out the same.
    Identical,
    /// At least one came out otherwise.
    Differs,
    /// None came out otherwise, and at least one could not be made again.
    CannotEvaluate,
}

/// What came of a replay.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// What it amounts to.
    pub verdict: Verdict,
    /// The tree size of the checkpoint under which every entry was checked.
    pub tree_size: u64,
    /// The witnesses that cosigned that checkpoint.
    pub cosigners: Vec<String>,
    /// How many decisions of each kind came out how.
    pub decisions: BTreeMap<&'static str, Tally>,
    /// Entries that record no decision: only who signed them was checked.
    pub records: u64,
    /// Decisions that came out otherwise, and entries that nobody may have signed.
    pub differing: Vec<Finding>,
    /// Decisions that the log does not hold enough for.
    pub undetermined: Vec<Finding>,
    /// Decisions that were not opened.
    pub not_opened: Vec<Finding>,
    /// Findings that were counted and are not listed.
    pub left_out: u64,
    /// What this replay does not show.
    pub not_checked: Vec<String>,
}

impl Report {
    pub(super) fn new(tree_size: u64, cosigners: Vec<String>) -> Self {
        Self {
            verdict: Verdict::Identical,
            tree_size,
            cosigners,
            decisions: BTreeMap::new(),
            records: 0,
            differing: Vec::new(),
            undetermined: Vec::new(),
            not_opened: Vec::new(),
            left_out: 0,
            not_checked: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, entry: u64, decided: Option<Decided>, outcome: Outcome) {
        let mut unused = Tally::default();
        let tally = match decided {
            Some(decided) => self.decisions.entry(decided.as_str()).or_default(),
            None => &mut unused,
        };
        self.records += u64::from(decided.is_none());
        let (count, list, what) = match outcome {
            Outcome::Identical => {
                tally.identical += 1;
                return;
            }
            Outcome::Differs(what) => (&mut tally.differing, &mut self.differing, what),
            Outcome::Undetermined(what) => (&mut tally.undetermined, &mut self.undetermined, what),
            Outcome::NotOpened(what) => (&mut tally.not_opened, &mut self.not_opened, what),
        };
        *count += 1;
        if list.len() < MAX_LISTED {
            list.push(Finding { entry, decision: decided.map_or("record", Decided::as_str), what });
        } else {
            self.left_out += 1;
        }
        self.verdict = match (self.differing.is_empty(), self.undetermined.len() + self.not_opened.len()) {
            (false, _) => Verdict::Differs,
            (true, 0) => Verdict::Identical,
            (true, _) => Verdict::CannotEvaluate,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_counted_beyond_those_listed() {
        let mut report = Report::new(9, Vec::new());
        report.add(2, Some(Decided::Mapping), Outcome::Identical);
        assert_eq!(report.verdict, Verdict::Identical);
        let all = MAX_LISTED as u64 + 3;
        for entry in 0..all {
            report.add(entry, Some(Decided::Mapping), Outcome::NotOpened(String::new()));
        }
        assert_eq!(report.verdict, Verdict::CannotEvaluate);
        assert_eq!((report.not_opened.len(), report.left_out), (MAX_LISTED, 3));
        report.add(all, None, Outcome::Differs("x".to_owned()));
        assert_eq!((report.verdict, report.records), (Verdict::Differs, 1));
        let tally = report.decisions["mapping"];
        assert_eq!((tally.identical, tally.not_opened, tally.differing), (1, all, 0));
    }
}
