//! What the owner of a policy will hardly have meant about results of other Verifiers.

use super::policy::{External, Format};
use crate::verifier::lint::{Remark, repeated};

/// A result that is older says little about what runs now.
const LONG_AGE_S: u64 = 24 * 60 * 60;

pub(super) fn lint(externals: &[External], out: &mut Vec<Remark>) {
    for name in repeated(externals.iter().map(|one| one.name.as_str())) {
        out.push(Remark::error(format!("external {name:?}"), "that name is there twice"));
    }
    for (number, one) in externals.iter().enumerate() {
        for other in externals.iter().skip(number + 1) {
            same_key(one, other, out);
        }
        alone(one, out);
    }
}

/// Two Verifiers with one key are one Verifier: the first whose key verifies a token answers for it.
fn same_key(one: &External, other: &External, out: &mut Vec<Remark>) {
    let shared = one.keys.fingerprints().any(|key| other.keys.fingerprints().any(|same| same == key));
    if !shared {
        return;
    }
    let at = format!("external {:?}", other.name);
    let text = if one.issuer == other.issuer {
        format!("it has a key of {:?}, which answers for its tokens: no effect", one.name)
    } else {
        format!("it has a key of {:?}, and another issuer", one.name)
    };
    out.push(Remark::error(at, text));
}

fn alone(one: &External, out: &mut Vec<Remark>) {
    let at = |key: &str| format!("external {:?}, {key}", one.name);
    if one.max_age_s == 0 {
        out.push(Remark::error(at("max_age_s"), "0: only a result of the very second would pass"));
    } else if one.max_age_s > LONG_AGE_S {
        out.push(Remark::warning(at("max_age_s"), "older than a day: it says little about what runs now"));
    }
    if one.max_age_s > 600 {
        out.push(Remark::lenient(at("max_age_s"), format!("{} s", one.max_age_s)));
    }
    let silent: Vec<&str> = match one.format.speaks_of() {
        Some(known) => one.tees.iter().map(String::as_str).filter(|tee| !known.contains(tee)).collect(),
        None => Vec::new(),
    };
    if silent.len() == one.tees.len() {
        let text = format!("results of {} are about none of these: none can pass", one.format.name());
        out.push(Remark::error(at("tees"), text));
    } else if !silent.is_empty() {
        let text = format!("no result of {} is about {}: no effect", one.format.name(), silent.join(", "));
        out.push(Remark::warning(at("tees"), text));
    }
    if one.allow_simulated && !one.format.is_ear() {
        let text = "no result of this format is about a simulated platform: no effect";
        out.push(Remark::warning(at("allow_simulated"), text));
    }
    let has_tcb =
        matches!(one.format, Format::EarTrustee | Format::IntelTrustAuthority | Format::AzureAttestation);
    if has_tcb && one.allowed_tcb_statuses.is_empty() {
        out.push(Remark::error(at("allowed_tcb_statuses"), "empty: no platform that states one can pass"));
    }
    for status in one.allowed_tcb_statuses.iter().filter(|status| *status != "UpToDate") {
        out.push(Remark::lenient(at("allowed_tcb_statuses"), status));
    }
    if one.audience.is_none() && !one.format.is_ear() && one.format != Format::NvidiaNras {
        out.push(Remark::warning(
            at("audience"),
            "none: a token that was issued to somebody else is accepted too",
        ));
    }
    if one.format == Format::NvidiaNras && one.require_reference_value {
        out.push(Remark::error(
            at("require_reference_value"),
            "these results carry no measurement: none can pass",
        ));
    }
    if one.format != Format::NvidiaNras && !one.require_reference_value {
        let text = "no reference value is required: where none are given, anything may run";
        out.push(Remark::warning(at("require_reference_value"), text));
    }
    if !one.require_reference_value {
        out.push(Remark::lenient(at("require_reference_value"), "false"));
    }
    for (key, on) in [("allow_warning", one.allow_warning), ("allow_simulated", one.allow_simulated)] {
        if on {
            out.push(Remark::lenient(at(key), "true"));
        }
    }
}
