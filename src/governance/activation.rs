//! Activation: a policy that enough approvers consented to comes into force.

use std::collections::BTreeSet;

use treering_provenance::content::{Activation, AnyContent, Approval, PolicyType, RegistrationPolicy, V1};
use treering_tlog::hash::Hash;

use crate::keys::Role;
use crate::ledger::{Conditions, Draft, Index, Ledger, LedgerError, Logged, Subject};
use crate::vault::{Class, Scope};

use super::in_force::{activated, head, head_register, policy_register};

/// Approvals read for one policy: far more than any sensible number of approvers.
const MAX_APPROVALS: usize = 256;

/// Why a policy was not activated.
#[derive(Debug, thiserror::Error)]
pub enum ActivationError {
    /// It is not in the log.
    #[error("no statement with this leaf hash is in the log")]
    Unknown,
    /// It is something else.
    #[error("the statement is neither a policy nor reference values")]
    NotGoverned,
    /// It is in force already.
    #[error("it is in force already")]
    InForce,
    /// Too few consented.
    #[error("{got} of {want} approvals that hold now and name what is in force: {}", .notes.join("; "))]
    Approvals {
        /// How many.
        got: usize,
        /// How many there must be.
        want: u64,
        /// Why others do not count.
        notes: Vec<String>,
    },
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Activates a policy or reference values, by the leaf hash of the statement.
pub async fn activate(
    ledger: &Ledger,
    rules: &RegistrationPolicy,
    leaf: Hash,
    now: u64,
) -> Result<Logged, ActivationError> {
    let governance = head(ledger)?;
    let index = ledger.find(&leaf)?.ok_or(ActivationError::Unknown)?;
    let (kind, name) = match ledger.read(index)?.content()? {
        AnyContent::Policy(policy) => (policy.policy_type, policy.name),
        AnyContent::ReferenceValues(values) => (PolicyType::ReferenceValues, values.workload),
        _ => return Err(ActivationError::NotGoverned),
    };
    let current = activated(ledger, kind, &name)?;
    if current.as_ref().is_some_and(|current| current.leaf == leaf) {
        return Err(ActivationError::InForce);
    }
    let predecessor = current.map(|current| current.activation);
    let approvals = approvals(ledger, rules, leaf, predecessor, now)?;
    let content = Activation {
        v: V1,
        policy: leaf.into(),
        policy_type: kind,
        name: name.clone(),
        approvals: approvals.into_iter().map(Into::into).collect(),
        predecessor: predecessor.map(Into::into),
    };
    let draft = Draft::new(Role::Governance, &content, Subject::Scope(Scope::Governance), Class::Decision)?;
    let prepared = ledger.prepare(draft, now).await?;
    let conditions = Conditions {
        expect: vec![(head_register(), governance)],
        set: vec![(head_register(), 0), (policy_register(ledger, kind, &name), 0)],
        ..Conditions::default()
    };
    Ok(ledger.commit(vec![prepared], conditions).await?)
}

/// The approvals that count, one per approver, if there are enough.
fn approvals(
    ledger: &Ledger,
    rules: &RegistrationPolicy,
    leaf: Hash,
    predecessor: Option<Hash>,
    now: u64,
) -> Result<Vec<Hash>, ActivationError> {
    let mut approvers = BTreeSet::new();
    let mut counted = Vec::new();
    let mut notes = Vec::new();
    for index in ledger.lookup(Index::Approvals, leaf.as_bytes(), MAX_APPROVALS)? {
        let read = ledger.read(index)?;
        let AnyContent::Approval(approval) = read.content()? else { continue };
        let issuer = read.statement.issuer().to_owned();
        match objection(&approval, rules, &issuer, predecessor, now) {
            Some(note) => notes.push(format!("{issuer}: {note}")),
            None if approvers.insert(issuer) => counted.push(read.statement.leaf()),
            None => {}
        }
    }
    let want = rules.approvals_threshold;
    if u64::try_from(counted.len()).is_ok_and(|got| got >= want) {
        return Ok(counted);
    }
    Err(ActivationError::Approvals { got: counted.len(), want, notes })
}

/// Why an approval does not count at an instant, in place of what is in force; `None` if it does. Pure: an auditor
/// asks it again.
pub fn objection(
    approval: &Approval,
    rules: &RegistrationPolicy,
    issuer: &str,
    predecessor: Option<Hash>,
    now: u64,
) -> Option<&'static str> {
    if !rules.approvers.iter().any(|approver| approver == issuer) {
        Some("is not an approver")
    } else if now < approval.not_before || now > approval.not_after {
        Some("the approval's window is not now")
    } else if approval.predecessor.map(Hash::from) != predecessor {
        Some("the approval names another predecessor than what is in force")
    } else {
        None
    }
}
