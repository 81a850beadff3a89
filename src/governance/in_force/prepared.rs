//! What is in force, read and prepared once for all decisions that rest on it: ten thousand reference values take
//! milliseconds to read, index and address.
//!
//! A value is kept under the index of the activation that brought it into force. That index comes from the log, for
//! every decision; what stands at it never changes. So nothing has to be told of a new activation: the next decision
//! finds another index, and reads what that one activates.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use treering_provenance::content::PolicyType;

use super::{Activated, InForce, activated_at, policy_register};
use super::{appraisal_policy, mapping_manifest, reference_values};
use crate::ident::WorkloadIdentifier;
use crate::ledger::{Ledger, LedgerError};
use crate::mapper::Manifest;
use crate::verifier::{AppraisalPolicy, ReferenceValues};

/// Kept of each: manifests have some KiB, and each workload has one; reference values have megabytes at most, and each
/// product has one.
const MAX_MANIFESTS: usize = 16 * 1024;
const MAX_POLICIES: usize = 256;
const MAX_REFERENCES: usize = 256;

/// What is in force in one ledger, as far as decisions have asked for it.
#[derive(Debug)]
pub struct PoliciesInForce {
    appraisal: Kept<AppraisalPolicy>,
    references: Kept<ReferenceValues>,
    manifests: Kept<Manifest>,
}

impl Default for PoliciesInForce {
    fn default() -> Self {
        Self {
            appraisal: Kept::new(MAX_POLICIES),
            references: Kept::new(MAX_REFERENCES),
            manifests: Kept::new(MAX_MANIFESTS),
        }
    }
}

type Found<T> = Result<Option<Arc<InForce<T>>>, LedgerError>;

impl PoliciesInForce {
    /// The appraisal policy of this name.
    pub fn appraisal_policy(&self, ledger: &Ledger, name: &str) -> Found<AppraisalPolicy> {
        in_force(&self.appraisal, ledger, PolicyType::Appraisal, name, appraisal_policy)
    }

    /// The mapping manifest of this workload.
    pub fn mapping_manifest(&self, ledger: &Ledger, workload: &WorkloadIdentifier) -> Found<Manifest> {
        in_force(&self.manifests, ledger, PolicyType::Mapping, workload.as_str(), mapping_manifest)
    }

    /// The reference values of this name.
    pub fn reference_values(&self, ledger: &Ledger, name: &str) -> Found<ReferenceValues> {
        in_force(&self.references, ledger, PolicyType::ReferenceValues, name, reference_values)
    }
}

fn in_force<T>(
    kept: &Kept<T>,
    ledger: &Ledger,
    kind: PolicyType,
    name: &str,
    prepare: fn(&Activated) -> Result<InForce<T>, LedgerError>,
) -> Found<T> {
    let Some(index) = ledger.register(&policy_register(ledger, kind, name))? else { return Ok(None) };
    kept.get_or_make(name, index, || prepare(&activated_at(ledger, index)?)).map(Some)
}

/// One value under each name, with the index of its activation.
#[derive(Debug)]
struct Kept<T> {
    most: usize,
    values: Mutex<HashMap<String, Known<T>>>,
}

/// The index of an activation, and what it brought into force.
#[derive(Debug)]
struct Known<T>(u64, Arc<InForce<T>>);

impl<T> Kept<T> {
    fn new(most: usize) -> Self {
        Self { most, values: Mutex::default() }
    }

    /// The value of the activation at this index, made now unless it is kept.
    fn get_or_make<E>(
        &self,
        name: &str,
        index: u64,
        make: impl FnOnce() -> Result<InForce<T>, E>,
    ) -> Result<Arc<InForce<T>>, E> {
        // A panic elsewhere leaves the map whole: each change to it is one call.
        if let Some(Known(known, value)) =
            self.values.lock().unwrap_or_else(PoisonError::into_inner).get(name)
            && *known == index
        {
            return Ok(Arc::clone(value));
        }
        let made = Arc::new(make()?);
        let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        if values.len() >= self.most && !values.contains_key(name) {
            // Rare, and the log has everything: begin again.
            values.clear();
        }
        // A decision that was overtaken by an activation is refused by the log; it puts nothing old in the new one's place.
        if values.get(name).is_none_or(|Known(known, _)| *known < index) {
            values.insert(name.to_owned(), Known(index, Arc::clone(&made)));
        }
        Ok(made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(kept: &Kept<u32>, name: &str, index: u64, made: Option<u32>) -> u32 {
        let make = || -> Result<InForce<u32>, ()> {
            let value = made.expect("it is kept");
            Ok(InForce { value, activation: treering_tlog::hash::Hash::from_bytes([0; 32]) })
        };
        kept.get_or_make(name, index, make).unwrap().value
    }

    #[test]
    fn a_value_is_made_once_for_each_activation() {
        let kept = Kept::new(8);
        assert_eq!(get(&kept, "a", 7, Some(1)), 1);
        assert_eq!((get(&kept, "a", 7, None), get(&kept, "b", 7, Some(2))), (1, 2));
        assert_eq!((get(&kept, "a", 9, Some(3)), get(&kept, "a", 9, None)), (3, 3));
    }

    #[test]
    fn one_who_comes_late_takes_what_he_asked_for_and_puts_nothing_old_back() {
        let kept = Kept::new(8);
        get(&kept, "a", 9, Some(3));
        assert_eq!(get(&kept, "a", 7, Some(1)), 1);
        assert_eq!(get(&kept, "a", 9, None), 3);
    }

    #[test]
    fn what_cannot_be_made_is_not_kept_and_memory_is_bounded() {
        let kept = Kept::new(2);
        kept.get_or_make("a", 1, || Err(())).unwrap_err();
        for (number, name) in (1..).zip(["a", "b", "c", "d"]) {
            get(&kept, name, 1, Some(number));
            assert!(kept.values.lock().unwrap().len() <= 2);
            assert_eq!(get(&kept, name, 1, None), number);
        }
    }
}
