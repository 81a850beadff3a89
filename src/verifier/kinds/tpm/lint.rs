//! What the owner of a policy will hardly have meant about TPMs.

use super::policy::Policy;
use crate::verifier::lint::{self, Remark};

pub(super) fn lint(policy: &Policy, out: &mut Vec<Remark>) {
    for (table, what, named) in [
        ("tpm.root", "root", lint::names(&policy.roots)),
        ("tpm.attestation_key", "key", lint::names(&policy.keys)),
        ("tpm.machine", "key", lint::names(&policy.machines)),
    ] {
        lint::twice(table, what, &named, out);
    }
    // With a root, its maker may certify the key; without one, only a key that is named counts.
    let known = |key: &[u8]| !policy.roots.is_empty() || policy.keys.with(key).is_some();
    for machine in policy.machines.iter().filter(|machine| !known(&machine.id)) {
        let text = format!("{:?} has a key that is no attestation_key, and there is no root", machine.name);
        out.push(Remark::warning("tpm.machine", text));
    }
    if !policy.require_secure_boot {
        out.push(Remark::lenient("tpm.require_secure_boot", "false"));
    }
    if !policy.require_key_purpose {
        out.push(Remark::lenient("tpm.require_key_purpose", "any key under a root may sign quotes"));
    }
    lint::reference_values("tpm", policy.require_reference_value, "anything", out);
}

/// Why no quote can pass.
pub(super) fn impossible(policy: &Policy) -> Option<String> {
    if !policy.roots.is_empty() {
        return None;
    }
    if policy.keys.is_empty() {
        return Some("the policy names no TPM ([[tpm.attestation_key]], [[tpm.root]])".to_owned());
    }
    let known = policy.machines.iter().any(|machine| policy.keys.with(&machine.id).is_some());
    (!policy.machines.is_empty() && !known)
        .then(|| "no machine that is named has an attestation_key".to_owned())
}

/// Whether the policy asks for nothing that this check could find missing.
pub(super) fn is_off(policy: &Policy, check: &str) -> bool {
    check == "secure-boot" && !policy.require_secure_boot
}
