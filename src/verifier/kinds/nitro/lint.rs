//! What the owner of a policy will hardly have meant about Nitro Enclaves.

use super::policy::{MAX_AGE_S, MAX_SKEW_S, Policy};
use crate::verifier::lint::{self, Remark};

/// The certificate of a document is for three hours (AWS).
const LEAF_S: u64 = 3 * 60 * 60;

pub(super) fn lint(policy: &Policy, out: &mut Vec<Remark>) {
    if policy.max_age_s == 0 {
        out.push(Remark::error("nitro.max_age_s", "0: only a document of the very second would pass"));
    } else if policy.max_age_s > LEAF_S {
        let text = format!("certificates of documents end after {LEAF_S} s: more has no effect");
        out.push(Remark::warning("nitro.max_age_s", text));
    }
    for (key, value, default) in
        [("max_age_s", policy.max_age_s, MAX_AGE_S), ("max_skew_s", policy.max_skew_s, MAX_SKEW_S)]
    {
        if value > default {
            out.push(Remark::lenient(format!("nitro.{key}"), format!("{value} s")));
        }
    }
    if !policy.require_crl {
        out.push(Remark::lenient("nitro.require_crl", "false"));
    }
    lint::named("nitro.machine", "instance", &policy.machines, out);
    lint::reference_values("nitro", policy.require_reference_value, "any image", out);
}

/// Whether the policy asks for nothing that this check could find missing.
pub(super) fn is_off(policy: &Policy, check: &str) -> bool {
    check == "revocation" && !policy.require_crl
}
