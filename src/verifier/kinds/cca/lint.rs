//! What the owner of a policy will hardly have meant about CCA.

use super::policy::Policy;
use crate::verifier::lint::{self, Remark, repeated};

pub(super) fn lint(policy: &Policy, out: &mut Vec<Remark>) {
    if !policy.platform_keys.is_empty()
        && let Some(reason) = impossible(policy)
    {
        out.push(Remark::error("cca", format!("no evidence can pass: {reason}")));
    }
    for name in repeated(policy.platform_keys.iter().map(|key| key.name.as_str())) {
        out.push(Remark::error("cca.platform_key", format!("{name:?} is there twice")));
    }
    lint::named("cca.machine", "platform", &policy.machines, out);
    if !policy.require_platform_reference {
        out.push(Remark::lenient("cca.require_platform_reference", "false"));
    }
    lint::reference_values("cca", policy.require_reference_value, "any realm", out);
}

/// Why no token can pass.
pub(super) fn impossible(policy: &Policy) -> Option<String> {
    let keys = &policy.platform_keys;
    if keys.is_empty() {
        return Some("the policy names no platform key ([[cca.platform_key]])".to_owned());
    }
    let allowed = &policy.implementations;
    if !allowed.is_empty() && !keys.iter().any(|key| key.may_be_for_implementation(allowed)) {
        return Some("no platform key is for an implementation that implementation_ids allows".to_owned());
    }
    if !policy.machines.is_empty() && !keys.iter().any(|key| key.may_be_for_machine(&policy.machines)) {
        return Some("no platform key is for a machine that is named".to_owned());
    }
    None
}
