//! Reads entries in order and finds what each decision was made from: contents opened, inputs found, what was in force
//! and when.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use treering_provenance::content::{Activation, AnyContent, Appraisal, Mapping, PolicyType, Refusal};
use treering_provenance::statement::{Body, Kind, Statement};
use treering_tlog::hash::Hash;

use crate::binding::{CHALLENGE_LIFETIME_S, Challenge};
use crate::governance::{objection, rules};
use crate::ident::TrustDomain;
use crate::mapper::Manifest;

use super::super::reader::{Reader, unexpected};
use super::super::{Source, TraceError};
use super::in_force::{Activated, InForce};
use super::instants::{Around, MAX_WAIT_S};
use super::judge::{Task, Work};
use super::load::Loader;
use super::registration::{Before, Registration};
use super::report::{Decided, Outcome, Scope};
use super::survey::is_ours;

/// The entries that a log begins with: its registration policy and its trust anchors.
const FOUNDING: u64 = 2;

/// Reads one entry after the other.
pub(super) struct EntryReader<'a, S> {
    reader: &'a Reader<'a, S>,
    scope: &'a Scope,
    domain: TrustDomain,
    loader: Loader<'a, S>,
    in_force: InForce,
    used: UsedChallenges,
    /// The latest instant that the service named so far.
    latest: u64,
}

/// What came of looking into an entry: work, or what is known of it already.
type Looked = Result<Work, TraceError>;

impl<'a, S: Source> EntryReader<'a, S> {
    pub(super) fn new(reader: &'a Reader<'a, S>, scope: &'a Scope, domain: TrustDomain) -> Self {
        let loader = Loader::new(reader);
        let (in_force, used) = (InForce::default(), UsedChallenges::default());
        Self { reader, scope, domain, loader, in_force, used, latest: 0 }
    }

    /// Since which entry it is not known what was in force.
    pub(super) fn blind(&self) -> Option<u64> {
        self.in_force.blind()
    }

    /// The next entry, and the earliest instant that the service names behind it; `None` if it is out of scope.
    pub(super) async fn next(
        &mut self,
        index: u64,
        statement: Statement,
        after: u64,
    ) -> Result<Option<Task>, TraceError> {
        let ours = is_ours(&self.reader.founding()?.1, &statement);
        let decided = match statement.kind() {
            Some(kind) if ours => Decided::of(kind),
            _ => Some(Decided::Registration),
        };
        let around = Around { before: self.latest, after };
        if ours {
            self.latest = self.latest.max(statement.issued_at().unwrap_or_default());
        }
        let wanted = self.scope.holds(index, decided);
        // Every activation counts for what comes behind it, asked for or not.
        if !wanted && decided != Some(Decided::Activation) {
            return Ok(None);
        }
        let looked = self.look(index, &statement, decided, around).await;
        let work = match looked {
            Ok(work) => work,
            Err(error) => Work::Settled(Outcome::of_error(index, error)?),
        };
        Ok(wanted.then_some(Task { index, decided, statement, work }))
    }

    async fn look(
        &mut self,
        index: u64,
        statement: &Statement,
        decided: Option<Decided>,
        around: Around,
    ) -> Looked {
        let Some(decided) = decided else {
            // Else a service could have rules of its own come into the log, past those who register and consent.
            if index >= FOUNDING && matches!(statement.kind(), Some(Kind::Policy | Kind::TrustAnchor)) {
                let reason =
                    "is of a kind that the service signs when a log begins, and not later".to_owned();
                return Err(TraceError::Entry { index, reason });
            }
            return Ok(Work::Record);
        };
        if decided == Decided::Registration {
            return self.registration(index, statement, around).await;
        }
        let content = self.reader.typed(index, statement).await;
        if decided == Decided::Activation && content.is_err() {
            self.in_force.lose_sight(index);
        }
        match content? {
            AnyContent::Activation(activation) => {
                self.activation(index, statement, activation).await.map(Work::Settled)
            }
            AnyContent::Appraisal(appraisal) => self.appraisal(index, statement, appraisal).await,
            AnyContent::Mapping(mapping) => self.mapping(index, statement, mapping).await,
            AnyContent::Issuance(issuance) => {
                let mapping = self.loader.mapping_of(&Hash::from(issuance.mapping), index).await?;
                let decision = self.loader.decision_of(&Hash::from(mapping.appraisal), index).await?;
                let manifest = self.loader.manifest(&Hash::from(mapping.manifest), index).await?;
                Ok(Work::Issuance(decision, Box::new(issuance), mapping, manifest))
            }
            AnyContent::Refusal(refusal) => self.refusal(index, refusal).await,
            other => Err(unexpected(index, &other)),
        }
    }

    /// Content, if it is confidential, and what the log had of what it names.
    async fn registration(&mut self, index: u64, statement: &Statement, around: Around) -> Looked {
        let (opened, content) = match statement.body() {
            Body::Public { content_type, bytes } => {
                (None, AnyContent::parse(content_type.unwrap_or_default(), bytes).ok().flatten())
            }
            Body::Hashed { .. } => {
                let opened = match self.reader.plaintext(index, statement).await {
                    Err(TraceError::NotOpened { reason, .. }) => Err(reason),
                    opened => Ok(opened?),
                };
                let plaintext = opened.as_ref().ok();
                let content = plaintext
                    .and_then(|opened| AnyContent::parse(opened.media_type(), opened.body()).ok().flatten());
                (Some(opened), content)
            }
        };
        let policy = &self.reader.founding()?.0;
        // Whether the rules take the content is judged later; here is only looked up what they will ask for.
        let named = content.map(|content| rules::content(policy, &self.domain, &content, statement));
        let named = named.and_then(Result::ok).unwrap_or_default().into_iter().map(|named| named.leaf);
        // Two spellings of one signature are two entries; only ECDSA has them.
        let twin = statement.twin().ok().flatten();
        let mut before = Before::new();
        for leaf in named.chain(twin) {
            if let Some(at) = self.reader.index_of(&leaf).await?.filter(|at| *at < index) {
                let found = self.reader.included(at).await?;
                if found.leaf() == leaf {
                    before.insert(leaf, (at, found.kind()));
                }
            }
        }
        Ok(Work::Registration(Registration { around, opened, before }))
    }

    /// Judges an activation, and has it count: whatever its worth, the service went by it from there on.
    async fn activation(
        &mut self,
        index: u64,
        statement: &Statement,
        activation: Activation,
    ) -> Result<Outcome, TraceError> {
        let judged = self.judge_activation(index, statement, &activation).await;
        let activated = Activated { activation: statement.leaf(), policy: Hash::from(activation.policy) };
        self.in_force.activate(activation.policy_type, activation.name, activated);
        Ok(judged?.map_or_else(Outcome::Differs, |()| Outcome::Identical))
    }

    async fn judge_activation(
        &self,
        index: u64,
        statement: &Statement,
        activation: &Activation,
    ) -> Result<Result<(), String>, TraceError> {
        let policy = self.reader.open(&Hash::from(activation.policy)).await?;
        let named = match &policy.content {
            AnyContent::Policy(policy) => (policy.policy_type, policy.name.as_str()),
            AnyContent::ReferenceValues(values) => (PolicyType::ReferenceValues, values.workload.as_str()),
            other => return Err(unexpected(policy.index, other)),
        };
        let (kind, name) = (activation.policy_type, activation.name.as_str());
        if policy.index >= index || named != (kind, name) {
            return Ok(Err("activates what is not an earlier statement of this type and name".to_owned()));
        }
        let predecessor = activation.predecessor.map(Hash::from);
        if self.in_force.blind().is_none() {
            let current = self.in_force.get(kind, name);
            if current.map(|current| current.activation) != predecessor {
                return Ok(Err("names another predecessor than what was in force".to_owned()));
            }
            if current.is_some_and(|current| current.policy == policy.statement.leaf()) {
                return Ok(Err("activates what was in force already".to_owned()));
            }
        }
        let rules = &self.reader.founding()?.0;
        let (mut approvers, now) = (BTreeSet::new(), statement.issued_at().unwrap_or_default());
        for leaf in &activation.approvals {
            let opened = self.reader.open(&Hash::from(*leaf)).await?;
            let AnyContent::Approval(approval) = &opened.content else {
                return Err(unexpected(opened.index, &opened.content));
            };
            let issuer = opened.statement.issuer().to_owned();
            let objection = match objection(approval, rules, &issuer, predecessor, now) {
                None if approval.policy != activation.policy => Some("consents to something else"),
                None if opened.index >= index => Some("came later"),
                found => found,
            };
            if let Some(objection) = objection {
                return Ok(Err(format!("approval at entry {} does not count: {objection}", opened.index)));
            }
            if !approvers.insert(issuer) {
                return Ok(Err(format!("counts an approver twice, at entry {}", opened.index)));
            }
        }
        let (got, want) = (approvers.len(), rules.approvals_threshold);
        let enough = u64::try_from(got).is_ok_and(|got| got >= want);
        Ok(if enough { Ok(()) } else { Err(format!("rests on {got} approvals, want {want}")) })
    }

    async fn appraisal(&mut self, index: u64, statement: &Statement, logged: Appraisal) -> Looked {
        let differs = |reason: String| Ok(Work::Settled(Outcome::Differs(reason)));
        if !self.used.insert(&logged.binding.freshness.0, logged.now) {
            return differs("its challenge was used by an earlier decision".to_owned());
        }
        if self.in_force.blind().is_none() {
            let in_force = match self.manifest_in_force(&logged.binding.target, index).await? {
                Some(manifest) => self.policies_in_force(&manifest, &logged),
                None => Err(format!("no manifest for {} was in force", logged.binding.target)),
            };
            if let Err(reason) = in_force {
                return differs(reason);
            }
        }
        Ok(Work::Appraisal(self.loader.decision(index, statement.leaf(), logged).await?))
    }

    /// Whether an appraisal named the policies in force that the workload's manifest asks for.
    fn policies_in_force(&self, manifest: &Manifest, logged: &Appraisal) -> Result<(), String> {
        let policy = Hash::from(logged.policy);
        self.in_force.check(PolicyType::Appraisal, &manifest.appraisal_policy, policy)?;
        logged.reference_values.iter().try_for_each(|references| {
            let references = Hash::from(*references);
            self.in_force.check(PolicyType::ReferenceValues, &manifest.reference_values, references)
        })
    }

    async fn manifest_in_force(
        &mut self,
        target: &str,
        index: u64,
    ) -> Result<Option<Arc<Manifest>>, TraceError> {
        match self.in_force.get(PolicyType::Mapping, target) {
            Some(found) => Ok(Some(self.loader.manifest(&found.activation, index).await?)),
            None => Ok(None),
        }
    }

    async fn mapping(&mut self, index: u64, statement: &Statement, logged: Mapping) -> Looked {
        let logged = Arc::new(logged);
        self.loader.keep_mapping(statement.leaf(), &logged);
        let decision = self.loader.decision_of(&Hash::from(logged.appraisal), index).await?;
        let target = &decision.logged().binding.target;
        let named = Hash::from(logged.manifest);
        if let Err(reason) = self.in_force.check(PolicyType::Mapping, target, named) {
            return Ok(Work::Settled(Outcome::Differs(reason)));
        }
        let manifest = self.loader.manifest(&named, index).await?;
        Ok(Work::Mapping(decision, logged, manifest))
    }

    async fn refusal(&mut self, index: u64, logged: Refusal) -> Looked {
        let undetermined = |reason: &str| Ok(Work::Settled(Outcome::Undetermined(reason.to_owned())));
        let Some(appraisal) = logged.appraisal else { return undetermined("names no appraisal") };
        let decision = self.loader.decision_of(&Hash::from(appraisal), index).await?;
        match self.manifest_in_force(&decision.logged().binding.target, index).await? {
            Some(manifest) => Ok(Work::Refusal(decision, Box::new(logged), manifest)),
            None if self.in_force.blind().is_some() => {
                undetermined("which manifest was in force is not known: an activation was not opened")
            }
            None => {
                let reason = format!("no manifest for {} was in force", logged.target);
                Ok(Work::Settled(Outcome::Differs(reason)))
            }
        }
    }
}

/// Challenges that decisions used, as long as they could be used again.
#[derive(Debug, Default)]
struct UsedChallenges {
    by_time: BTreeMap<u64, BTreeSet<Vec<u8>>>,
}

impl UsedChallenges {
    /// Whether it was not used before.
    fn insert(&mut self, challenge: &[u8], now: u64) -> bool {
        // Two servers of one ledger may append a little out of order; both directions are allowed for.
        let horizon = now.saturating_sub(CHALLENGE_LIFETIME_S.saturating_add(2 * MAX_WAIT_S));
        self.by_time = self.by_time.split_off(&horizon);
        let made = Challenge::made_at(challenge).unwrap_or(now);
        self.by_time.entry(made).or_default().insert(challenge.to_vec())
    }
}
