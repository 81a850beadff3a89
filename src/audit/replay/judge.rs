//! Judges what was read: pure, and on all cores.

use std::num::NonZero;
use std::sync::Arc;
use std::thread;

use treering_provenance::content::{Issuance, Mapping, Refusal, TrustAnchors};
use treering_provenance::statement::Statement;
use treering_provenance::trust::Trust;

use crate::mapper::Manifest;

use super::super::reader::check_role;
use super::decision::{Appraise, Decision};
use super::registration::{Registrar, Registration};
use super::report::{Decided, Outcome};

/// An entry, with all that it takes to judge it.
pub(super) struct Task {
    pub(super) index: u64,
    pub(super) decided: Option<Decided>,
    pub(super) statement: Statement,
    pub(super) work: Work,
}

/// What is made again.
pub(super) enum Work {
    /// Nothing: who signed it is all that there is to check.
    Record,
    /// Somebody else's statement. Whether its issuer may sign it is one of the rules.
    Registration(Registration),
    /// Decided already while it was read.
    Settled(Outcome),
    /// An appraisal.
    Appraisal(Arc<Decision>),
    /// A mapping.
    Mapping(Arc<Decision>, Arc<Mapping>, Arc<Manifest>),
    /// An issuance.
    Issuance(Arc<Decision>, Box<Issuance>, Arc<Mapping>, Arc<Manifest>),
    /// A refusal.
    Refusal(Arc<Decision>, Box<Refusal>, Arc<Manifest>),
}

impl Task {
    /// What it holds in memory, but for what many share.
    pub(super) fn octets(&self) -> usize {
        let content = match &self.work {
            Work::Registration(Registration { opened: Some(Ok(opened)), .. }) => opened.body().len(),
            Work::Appraisal(decision) => {
                decision.logged().evidence.iter().map(|item| item.body.0.len()).sum()
            }
            _ => 0,
        };
        content.saturating_add(self.statement.entry().len())
    }
}

/// What is judged by.
pub(super) struct Judge<'a, A> {
    pub(super) trust: &'a Trust,
    pub(super) anchors: &'a TrustAnchors,
    pub(super) registrar: Registrar<'a>,
    pub(super) appraiser: A,
}

impl<A: Appraise> Judge<'_, A> {
    /// Judges entries, each for itself; what came of each, in order.
    pub(super) fn all(&self, tasks: &[Task]) -> Vec<Outcome> {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let share = tasks.len().div_ceil(cores).max(1);
        thread::scope(|scope| {
            let judge = |tasks: &[Task]| tasks.iter().map(|task| self.one(task)).collect::<Vec<_>>();
            let parts: Vec<_> = tasks.chunks(share).map(|part| scope.spawn(move || judge(part))).collect();
            let parts = parts.into_iter().map(thread::ScopedJoinHandle::join);
            parts.flat_map(|part| part.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
        })
    }

    fn one(&self, task: &Task) -> Outcome {
        let Task { statement, work, .. } = task;
        if let Work::Registration(registration) = work {
            return self.registrar.judge(statement, registration);
        }
        if let Err(reason) = check_role(self.trust, statement) {
            return Outcome::Differs(reason);
        }
        let by = &self.appraiser;
        let compared = match work {
            Work::Settled(outcome) => return outcome.clone(),
            Work::Record | Work::Registration(_) => Ok(()),
            Work::Appraisal(decision) => decision.appraisal(by, statement, &self.anchors.rp_id),
            Work::Mapping(decision, logged, manifest) => decision.mapping(by, statement, logged, manifest),
            Work::Issuance(decision, logged, mapping, manifest) => {
                decision.issuance(by, (statement, logged), (mapping, manifest), self.anchors)
            }
            Work::Refusal(decision, logged, manifest) => decision.refusal(by, statement, logged, manifest),
        };
        compared.map_or_else(Outcome::Differs, |()| Outcome::Identical)
    }
}
