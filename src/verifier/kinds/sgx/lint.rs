//! What the owner of a policy will hardly have meant about SGX.

use super::super::intel::lint as intel;
use super::policy::Policy;
use super::requirements::{DEBUG, INIT};
use crate::verifier::lint::{self, Remark};

/// XFRM's bits of x87 and SSE, which every enclave has (SDM, "XFRM").
const ALWAYS_XFRM: u64 = 0x3;

pub(super) fn lint(policy: &Policy, out: &mut Vec<Remark>) {
    if let Some(reason) = impossible(policy) {
        out.push(Remark::error("sgx", format!("no evidence can pass: {reason}")));
    }
    intel::lint("sgx", &policy.tcb, &policy.machines, out);
    lint::reference_values("sgx", policy.require_reference_value, "any enclave", out);
}

/// Why no quote can pass.
pub(super) fn impossible(policy: &Policy) -> Option<String> {
    let attributes = (policy.required_attributes, policy.forbidden_attributes);
    intel::impossible(&policy.tcb)
        .or_else(|| intel::contradiction("attributes", attributes, (INIT, DEBUG)))
        .or_else(|| intel::contradiction("XFRM", (0, policy.forbidden_xfrm), (ALWAYS_XFRM, 0)))
}

/// Whether the policy asks for nothing that this check could find missing.
pub(super) fn is_off(policy: &Policy, check: &str) -> bool {
    match check {
        "isv-svn" => policy.min_isv_svn.is_none(),
        _ => intel::is_off(&policy.tcb, check),
    }
}
