//! Through the whole log, twice: a survey that proves all entries under one checkpoint, then each decision again.
//!
//! Entries are read one after the other; what was read is judged on all cores, some thousand entries at a time.

use treering_provenance::statement::Statement;
use treering_provenance::trust::Trust;
use treering_tlog::tile::TILE_WIDTH;

use crate::governance::rules::IssuerKeys;
use crate::ident::TrustDomain;
use crate::verifier::HardwareRoots;

use super::super::reader::Reader;
use super::super::{Keyring, Source, TraceError};
use super::decision::Appraise;
use super::judge::{Judge, Task};
use super::read::EntryReader;
use super::registration::Registrar;
use super::report::{Outcome, Report, Scope};
use super::roots_of;
use super::survey::{Survey, is_ours};

/// Entries that are judged together, and octets of them: whichever comes first.
const WINDOW: usize = 2048;
const WINDOW_BYTES: usize = 64 << 20;

/// What no replay shows.
const NOT_CHECKED: [&str; 3] = [
    "what was refused at registration: nobody grows the log for free",
    "that each challenge was made by the service: only the service can tell",
    "whether a credential was revoked or quarantined since",
];

/// How far a replay has come, in entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Entries are proved to be those of the checkpoint.
    Reading {
        /// So far, or a little more.
        done: u64,
        /// In all.
        all: u64,
    },
    /// Decisions are made again.
    Deciding {
        /// So far, or a little more.
        done: u64,
        /// In all.
        all: u64,
    },
}

/// Makes the decisions of a log again that are in scope. `verifier` gives what appraises under the log's hardware
/// roots: this program's [`Verifier`](crate::verifier::Verifier), or one that is to be compared with what is logged.
/// `now` bounds when the last entries were made, where no witness does.
pub async fn replay_log<S: Source, A: Appraise>(
    source: &S,
    trust: &Trust,
    keyring: &Keyring,
    scope: &Scope,
    (verifier, now): (impl FnOnce(HardwareRoots) -> A, u64),
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, TraceError> {
    let reader = Reader::new(source, trust, keyring).await?;
    let (policy, anchors) = reader.founding()?;
    let size = reader.checkpoint().size();
    if let Some(index) = scope.entry.filter(|entry| *entry >= size) {
        let reason = format!("the log has {size} entries under its checkpoint");
        return Err(TraceError::Entry { index, reason });
    }
    // What a quorum saw was there when the last of them saw it.
    let end = reader.cosigners().iter().map(|(_, time)| *time).max().unwrap_or(now);
    let survey = Survey::of(&reader, end, progress).await?;
    let domain = || {
        let domain = TrustDomain::parse(&anchors.trust_domain);
        domain.map_err(|error| TraceError::Entry { index: 1, reason: error.to_string() })
    };
    let registrar = Registrar { policy, keys: IssuerKeys::of(policy), domain: domain()? };
    let judge = Judge { trust, anchors, registrar, appraiser: verifier(roots_of(anchors)) };
    let cosigners = reader.cosigners().iter().map(|(name, _)| name.clone()).collect();
    let mut walk = Walk {
        entries: EntryReader::new(&reader, scope, domain()?),
        judge,
        waiting: Vec::new(),
        octets: 0,
        report: Report::new(size, cosigners),
    };
    for bundle in 0..survey.bundles() {
        let first = bundle * u64::from(TILE_WIDTH);
        if scope.entry.is_some_and(|entry| entry < first) {
            break;
        }
        let (entries, after) = survey.bundle(source, bundle).await?;
        walk.bundle(first, entries, after, scope).await?;
        progress(Progress::Deciding { done: first + u64::from(TILE_WIDTH), all: size });
    }
    Ok(walk.end())
}

struct Walk<'a, S, A> {
    entries: EntryReader<'a, S>,
    judge: Judge<'a, A>,
    waiting: Vec<Task>,
    octets: usize,
    report: Report,
}

impl<S: Source, A: Appraise> Walk<'_, S, A> {
    async fn bundle(
        &mut self,
        first: u64,
        entries: Vec<Vec<u8>>,
        behind: u64,
        scope: &Scope,
    ) -> Result<(), TraceError> {
        let parsed: Vec<_> = entries.iter().map(|entry| Statement::parse(entry)).collect();
        let mut after = vec![behind; parsed.len()];
        let mut earliest = behind;
        for (after, statement) in after.iter_mut().zip(&parsed).rev() {
            *after = earliest;
            if let Ok(statement) = statement
                && is_ours(self.judge.anchors, statement)
            {
                earliest = earliest.min(statement.issued_at().unwrap_or(u64::MAX));
            }
        }
        for (index, (statement, after)) in (first..).zip(parsed.into_iter().zip(after)) {
            match statement {
                Ok(statement) => {
                    if let Some(task) = self.entries.next(index, statement, after).await? {
                        self.octets += task.octets();
                        self.waiting.push(task);
                    }
                }
                Err(error) if scope.holds(index, None) => {
                    self.flush();
                    self.report.add(
                        index,
                        None,
                        Outcome::Differs(format!("is no signed statement: {error}")),
                    );
                }
                Err(_) => {}
            }
            if self.waiting.len() >= WINDOW || self.octets >= WINDOW_BYTES {
                self.flush();
            }
        }
        Ok(())
    }

    fn flush(&mut self) {
        let outcomes = self.judge.all(&self.waiting);
        self.octets = 0;
        for (task, outcome) in self.waiting.drain(..).zip(outcomes) {
            self.report.add(task.index, task.decided, outcome);
        }
    }

    fn end(mut self) -> Report {
        self.flush();
        self.report.not_checked.extend(NOT_CHECKED.map(str::to_owned));
        if let Some(index) = self.entries.blind() {
            self.report
                .not_checked
                .push(format!("what was in force behind entry {index}, an activation that was not opened"));
        }
        self.report
    }
}
