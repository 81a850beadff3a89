//! The section `[composite]`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::PolicyError;
use crate::verifier::kinds;

/// Seconds between the evidence of two components of one machine: time to ask each of sixteen, and slow clocks.
const MAX_SPREAD_S: u64 = 300;

/// The section `[composite]`: how many components of each kind evidence must have, together or device by device.
/// Without it, evidence is of one.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::verifier) struct CompositePolicy {
    components: BTreeMap<String, usize>,
    #[serde(rename = "device")]
    pub(in crate::verifier) devices: Vec<DevicePolicy>,
    pub(in crate::verifier) max_spread_s: u64,
    pub(in crate::verifier) require_colocation: bool,
}

/// A device of several, by the name that it has in the result.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::verifier) struct DevicePolicy {
    pub(in crate::verifier) name: String,
    pub(in crate::verifier) components: BTreeMap<String, usize>,
}

impl Default for CompositePolicy {
    fn default() -> Self {
        Self {
            components: BTreeMap::new(),
            devices: Vec::new(),
            max_spread_s: MAX_SPREAD_S,
            require_colocation: false,
        }
    }
}

impl CompositePolicy {
    /// Whether the policy is for evidence of named components at all.
    pub(in crate::verifier) fn is_wanted(&self) -> bool {
        !self.components.is_empty() || !self.devices.is_empty()
    }

    /// How many of each kind, on all devices together.
    pub(in crate::verifier) fn wanted(&self) -> BTreeMap<&str, usize> {
        let mut wanted: BTreeMap<&str, usize> = BTreeMap::new();
        let on_devices = self.devices.iter().flat_map(|device| &device.components);
        for (kind, count) in self.components.iter().chain(on_devices) {
            let sum = wanted.entry(kind).or_default();
            *sum = sum.saturating_add(*count);
        }
        wanted
    }

    pub(super) fn check(&self) -> Result<(), PolicyError> {
        let bad = |what: &str, reason: String| PolicyError::Value { what: what.to_owned(), reason };
        if !self.components.is_empty() && !self.devices.is_empty() {
            return Err(bad("composite", "either `components` or `device`s, not both".to_owned()));
        }
        if let Some(kind) = self.wanted().keys().find(|kind| kinds::by_name(kind).is_none()) {
            return Err(bad("composite.components", format!("there is no evidence of kind {kind:?}")));
        }
        let mut names = BTreeSet::new();
        match self.devices.iter().find(|device| device.name.is_empty() || !names.insert(&device.name)) {
            Some(device) => {
                Err(bad("composite.device", format!("the name {:?} is empty or taken", device.name)))
            }
            None => Ok(()),
        }
    }
}
