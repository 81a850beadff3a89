//! What the owner of a policy will hardly have meant about TDX.

use super::super::intel::lint as intel;
use super::policy::Policy;
use super::requirements::{DEBUG, MIGRATABLE, PROFILING, SEPT_VE_DISABLE};
use super::{NAME, events};
use crate::verifier::lint::{self, Remark};
use crate::verifier::policy::AppraisalPolicy;

/// XFAM's bits of x87 and SSE, which every TD has (ABI, "XFAM").
const ALWAYS_XFAM: u64 = 0x3;

pub(super) fn lint(policy: &AppraisalPolicy, out: &mut Vec<Remark>) {
    let reason = impossible(NAME, policy);
    let policy = &policy.kinds().tdx;
    if let Some(reason) = reason {
        out.push(Remark::error("tdx", format!("no evidence can pass: {reason}")));
    }
    intel::lint("tdx", &policy.tcb, &policy.machines, out);
    lint::reference_values("tdx", policy.require_reference_value, "anything", out);
    if !policy.require_secure_boot {
        out.push(Remark::lenient("tdx.require_secure_boot", "false"));
    }
    if !policy.service_tds.is_empty() {
        out.push(Remark::lenient("tdx.service_td", "another TD can read and change metadata of this one"));
    }
}

/// Why no quote can pass: as evidence of its own, or inside that of another kind, whose waivers apply.
pub(super) fn impossible(kind: &str, policy: &AppraisalPolicy) -> Option<String> {
    let waived = policy.waives(kind, "events");
    let policy = &policy.kinds().tdx;
    let attributes = (policy.required_attributes, policy.forbidden_attributes);
    intel::impossible(&policy.tcb)
        .or_else(|| {
            let never = DEBUG | PROFILING | MIGRATABLE;
            intel::contradiction("attributes", attributes, (SEPT_VE_DISABLE, never))
        })
        .or_else(|| intel::contradiction("XFAM", (0, policy.forbidden_xfam), (ALWAYS_XFAM, 0)))
        .or_else(|| {
            let unreadable = policy.required_events.iter().find(|text| !events::is_text(text.as_bytes()));
            unreadable
                .filter(|_| !waived)
                .map(|text| format!("required_events: no event is ever proven to be {text:?}"))
        })
}

/// The key by which a policy asks for a log, where evidence of this kind has a quote inside: it has no log of its own.
pub(super) fn asks_for_a_log(policy: &AppraisalPolicy, kind: &str) -> Option<&'static str> {
    let section = &policy.kinds().tdx;
    let events = !section.required_events.is_empty() && !policy.waives(kind, "events");
    section.require_event_log.then_some("require_event_log").or(events.then_some("required_events"))
}

/// Whether the policy asks for nothing that this check could find missing.
pub(super) fn is_off(policy: &Policy, check: &str) -> bool {
    match check {
        "xfam" => policy.forbidden_xfam == 0,
        "events" => policy.required_events.is_empty(),
        "secure-boot" => !policy.require_secure_boot,
        _ => intel::is_off(&policy.tcb, check),
    }
}
