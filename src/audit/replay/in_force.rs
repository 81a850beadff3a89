//! What was in force at each point of the log: every activation counts from its entry on.

use std::collections::BTreeMap;

use treering_provenance::content::PolicyType;
use treering_tlog::hash::Hash;

/// An activation, and what it activated, by leaf hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Activated {
    pub(super) activation: Hash,
    pub(super) policy: Hash,
}

/// What is in force, as far as a walk has come.
#[derive(Debug, Default)]
pub(super) struct InForce {
    known: BTreeMap<(PolicyType, String), Activated>,
    /// The first activation that could not be opened: from there on nobody knows.
    blind: Option<u64>,
}

impl InForce {
    /// From this entry on it is in force.
    pub(super) fn activate(&mut self, kind: PolicyType, name: String, activated: Activated) {
        self.known.insert((kind, name), activated);
    }

    /// Something came into force here, and what it was is not known.
    pub(super) fn lose_sight(&mut self, index: u64) {
        self.blind.get_or_insert(index);
    }

    /// Since when it is not known.
    pub(super) fn blind(&self) -> Option<u64> {
        self.blind
    }

    /// What is in force under a name; `None` too if it is not known.
    pub(super) fn get(&self, kind: PolicyType, name: &str) -> Option<Activated> {
        if self.blind.is_some() {
            return None;
        }
        self.known.get(&(kind, name.to_owned())).copied()
    }

    /// Whether a decision named what was in force.
    pub(super) fn check(&self, kind: PolicyType, name: &str, named: Hash) -> Result<(), String> {
        match self.get(kind, name) {
            _ if self.blind.is_some() => Ok(()),
            Some(found) if found.activation == named => Ok(()),
            Some(_) => Err(format!("rests on another {} `{name}` than the one in force", kind.as_str())),
            None => Err(format!("rests on the {} `{name}`, and none was in force", kind.as_str())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_activation_counts_until_one_is_not_opened() {
        let (one, two) = (Hash::from_bytes([1; 32]), Hash::from_bytes([2; 32]));
        let mut in_force = InForce::default();
        let kind = PolicyType::Appraisal;
        in_force.check(kind, "default", one).unwrap_err();
        in_force.activate(kind, "default".to_owned(), Activated { activation: one, policy: one });
        in_force.check(kind, "default", one).unwrap();
        in_force.check(PolicyType::Mapping, "default", one).unwrap_err();
        in_force.activate(kind, "default".to_owned(), Activated { activation: two, policy: one });
        in_force.check(kind, "default", one).unwrap_err();
        in_force.check(kind, "default", two).unwrap();
        in_force.lose_sight(9);
        in_force.lose_sight(10);
        in_force.check(kind, "default", one).unwrap();
        assert_eq!((in_force.get(kind, "default"), in_force.blind()), (None, Some(9)));
    }
}
