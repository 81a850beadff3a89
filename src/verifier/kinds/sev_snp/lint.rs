//! What the owner of a policy will hardly have meant about SEV-SNP.

use super::generation::Generation;
use super::policy::Policy;
use super::report::SigningKey;
use crate::verifier::lint::{self, Remark};

const AT: &str = "sev_snp";

pub(super) fn lint(policy: &Policy, out: &mut Vec<Remark>) {
    if let Some(reason) = impossible(policy) {
        out.push(Remark::error(AT, format!("no evidence can pass: {reason}")));
    }
    for generation in &policy.denied_generations {
        if policy.tcb_floor.contains_key(generation) || policy.mitigations.contains_key(generation) {
            let text = format!("{generation} is denied, and has a floor or mitigations all the same");
            out.push(Remark::warning(format!("{AT}.denied_generations"), text));
        }
    }
    let missing = |generation: &Generation| {
        !policy.denied_generations.contains(generation) && !policy.tcb_floor.contains_key(generation)
    };
    for generation in Generation::ALL.into_iter().filter(|_| policy.require_tcb_floor).filter(missing) {
        let text = format!("{generation} has no floor and is not denied: it fails the check tcb-floor");
        out.push(Remark::warning(format!("{AT}.tcb_floor"), text));
    }
    for (generation, floor) in &policy.tcb_floor {
        match (generation, floor.fmc) {
            (Generation::Turin, None) => out.push(Remark::warning(
                format!("{AT}.tcb_floor.turin"),
                "no fmc: its first mutable code may be of any version",
            )),
            (Generation::Milan | Generation::Genoa, Some(1..)) => out.push(Remark::error(
                format!("{AT}.tcb_floor.{}", generation.name().to_ascii_lowercase()),
                format!("fmc: a {generation} has none, so none can pass"),
            )),
            (Generation::Milan | Generation::Genoa, Some(0)) => out.push(Remark::warning(
                format!("{AT}.tcb_floor.{}", generation.name().to_ascii_lowercase()),
                format!("fmc = 0: a {generation} has none, it has no effect"),
            )),
            (Generation::Turin, Some(_)) | (Generation::Milan | Generation::Genoa, None) => {}
        }
    }
    lint::named(&format!("{AT}.machine"), "chip", &policy.machines, out);
    if policy.machines.iter().any(|machine| machine.id.iter().all(|octet| *octet == 0)) {
        out.push(Remark::error(
            format!("{AT}.machine"),
            "a chip id of zeros is a masked one, which names no machine",
        ));
    }
    lenient(policy, out);
}

fn lenient(policy: &Policy, out: &mut Vec<Remark>) {
    lint::reference_values(AT, policy.require_reference_value, "anything", out);
    if !policy.require_crl {
        out.push(Remark::lenient(format!("{AT}.require_crl"), "false"));
    }
    if !policy.require_tcb_floor {
        out.push(Remark::lenient(format!("{AT}.require_tcb_floor"), "false"));
    }
    if policy.signing_keys.contains(&SigningKey::Vlek) {
        out.push(Remark::lenient(format!("{AT}.signing_keys"), "a VLEK names no chip"));
    }
    for level in policy.vmpl.iter().filter(|level| **level != 0) {
        out.push(Remark::lenient(format!("{AT}.vmpl"), format!("level {level}")));
    }
}

/// Why no report can pass.
pub(super) fn impossible(policy: &Policy) -> Option<String> {
    if policy.signing_keys.is_empty() {
        return Some("signing_keys allows none".to_owned());
    }
    if policy.vmpl.is_empty() {
        return Some("vmpl allows no level".to_owned());
    }
    if let Some(level) = policy.vmpl.iter().next().filter(|level| **level > 3) {
        return Some(format!("vmpl begins at {level}, and there are levels 0 to 3"));
    }
    if Generation::ALL.into_iter().all(|generation| policy.denied_generations.contains(&generation)) {
        return Some("every generation is denied".to_owned());
    }
    if !policy.machines.is_empty() && !policy.signing_keys.contains(&SigningKey::Vcek) {
        return Some(
            "machines are named, and only a VLEK may sign, which authenticates no machine".to_owned(),
        );
    }
    None
}

/// Why none has a floor that it is at or above.
pub(super) fn no_floor(policy: &Policy) -> Option<String> {
    let passes = |generation: &Generation| {
        !policy.denied_generations.contains(generation) && policy.tcb_floor.contains_key(generation)
    };
    let none = policy.require_tcb_floor && !Generation::ALL.iter().any(passes);
    none.then(|| {
        "a floor is required (require_tcb_floor), and no generation that may pass has one".to_owned()
    })
}

/// Whether the policy asks for nothing that this check could find missing.
pub(super) fn is_off(policy: &Policy, check: &str) -> bool {
    match check {
        "revocation" => !policy.require_crl,
        "tcb-floor" => !policy.require_tcb_floor && policy.tcb_floor.is_empty(),
        "mitigations" => policy.mitigations.is_empty(),
        "guest-policy" => policy.guest == super::policy::GuestPolicyRules::default(),
        "platform" => policy.platform == super::policy::PlatformRules::default(),
        _ => false,
    }
}
