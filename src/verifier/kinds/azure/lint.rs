//! What the owner of a policy will hardly have meant about VMs under a paravisor. The report inside is judged by the
//! section of its own kind, which has remarks of its own.

use super::super::Kind;
use super::Policy;
use crate::verifier::lint::{self, Remark};
use crate::verifier::policy::AppraisalPolicy;

pub(super) fn lint(section: &str, policy: &Policy, out: &mut Vec<Remark>) {
    if !policy.require_secure_boot {
        out.push(Remark::lenient(format!("{section}.require_secure_boot"), "false"));
    }
    lint::reference_values(section, policy.require_reference_value, "any paravisor", out);
}

/// Whether the policy asks for nothing that this check, of the paravisor or of the report inside, could find missing.
pub(super) fn is_off(section: &Policy, inner: &dyn Kind, policy: &AppraisalPolicy, check: &str) -> bool {
    match check {
        "secure-boot" => !section.require_secure_boot,
        "console" => !section.forbid_console,
        _ => inner.is_off(policy, check),
    }
}
