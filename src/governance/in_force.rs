//! What is in force: the log is asked, by registers that move in the very commit of an activation.
//!
//! What an activation activates never changes, so it is read and prepared once ([`PoliciesInForce`]); which activation is in
//! force is asked of the log for every decision.

mod prepared;

use data_encoding::HEXLOWER;
use treering_log::RegisterName;
use treering_provenance::content::{self, AnyContent, PolicyType};
use treering_tlog::hash::Hash;

use crate::ledger::{Index, Ledger, LedgerError};
use crate::mapper::Manifest;
use crate::verifier::{AppraisalPolicy, ReferenceValue, ReferenceValues};

pub use prepared::PoliciesInForce;

/// Something that is in force.
#[derive(Debug, Clone)]
pub struct InForce<T> {
    /// What it says.
    pub value: T,
    /// The leaf hash of its activation: what decisions name, since it leads to the policy and to who approved it.
    pub activation: Hash,
}

/// The register that every activation moves.
pub fn head_register() -> RegisterName {
    name("governance".to_owned())
}

/// The index of the last activation.
pub fn head(ledger: &Ledger) -> Result<Option<u64>, LedgerError> {
    ledger.register(&head_register())
}

/// The register of one policy: a keyed hash, since names name workloads.
pub(super) fn policy_register(ledger: &Ledger, kind: PolicyType, policy: &str) -> RegisterName {
    let key = ledger.index_key(Index::Policy, format!("{}\0{policy}", kind.as_str()).as_bytes());
    name(format!("policy/{}", HEXLOWER.encode(&key)))
}

fn name(text: String) -> RegisterName {
    #[expect(clippy::expect_used, reason = "both callers give short printable ASCII")]
    RegisterName::new(text).expect("a register name")
}

/// The appraisal policy that an activation activates.
fn appraisal_policy(found: &Activated) -> Result<InForce<AppraisalPolicy>, LedgerError> {
    policy(found, |bytes| AppraisalPolicy::parse(bytes).map_err(|error| error.to_string()))
}

/// The mapping manifest.
fn mapping_manifest(found: &Activated) -> Result<InForce<Manifest>, LedgerError> {
    policy(found, |bytes| Manifest::parse(bytes).map_err(|error| error.to_string()))
}

/// The reference values.
fn reference_values(found: &Activated) -> Result<InForce<ReferenceValues>, LedgerError> {
    match &found.content {
        AnyContent::ReferenceValues(stated) => {
            let value = appraisal_references(stated, &found.leaf).map_err(|reason| found.bad(reason))?;
            Ok(InForce { value, activation: found.activation })
        }
        _ => Err(found.wrong_kind()),
    }
}

/// Reference values as the verifier takes them.
pub fn appraisal_references(
    stated: &content::ReferenceValues,
    leaf: &Hash,
) -> Result<ReferenceValues, String> {
    let values = stated.values.iter().map(|value| ReferenceValue {
        name: value.name.clone(),
        tee: value.tee.clone(),
        registers: value.registers.iter().map(|(name, octets)| (name.clone(), octets.0.clone())).collect(),
        source: leaf.to_bytes(),
    });
    ReferenceValues::new(values.collect()).map_err(|error| error.to_string())
}

fn policy<T>(
    found: &Activated,
    parse: impl FnOnce(&[u8]) -> Result<T, String>,
) -> Result<InForce<T>, LedgerError> {
    match &found.content {
        AnyContent::Policy(policy) => {
            // It parsed when it was registered; a newer program that no longer takes it must say so.
            let value = parse(&policy.body.0).map_err(|reason| found.bad(reason))?;
            Ok(InForce { value, activation: found.activation })
        }
        _ => Err(found.wrong_kind()),
    }
}

/// A statement that is in force.
pub(super) struct Activated {
    index: u64,
    /// The leaf hash of its activation.
    pub(super) activation: Hash,
    /// The leaf hash of the statement.
    pub(super) leaf: Hash,
    content: AnyContent,
}

impl Activated {
    fn bad(&self, reason: String) -> LedgerError {
        LedgerError::Content { index: self.index, reason }
    }

    fn wrong_kind(&self) -> LedgerError {
        self.bad(format!("activates content of kind {}", self.content.kind()))
    }
}

/// The statement that is in force under this name.
pub(super) fn activated(
    ledger: &Ledger,
    kind: PolicyType,
    name: &str,
) -> Result<Option<Activated>, LedgerError> {
    ledger
        .register(&policy_register(ledger, kind, name))?
        .map(|index| activated_at(ledger, index))
        .transpose()
}

/// The statement that the activation at this index brought into force.
fn activated_at(ledger: &Ledger, index: u64) -> Result<Activated, LedgerError> {
    let bad = |reason: &str| LedgerError::Content { index, reason: reason.to_owned() };
    let read = ledger.read(index)?;
    let AnyContent::Activation(activation) = read.content()? else {
        return Err(bad("is not the activation that its register says"));
    };
    let leaf = Hash::from(activation.policy);
    let policy = ledger.find(&leaf)?.ok_or_else(|| bad("activates what is not in the log"))?;
    let content = ledger.read(policy)?.content()?;
    Ok(Activated { index, activation: read.statement.leaf(), leaf, content })
}
