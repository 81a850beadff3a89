//! What the owner of a policy will hardly have meant about NVIDIA's devices.

use super::device::{Class, NvidiaGeneration};
use super::policy::{Policy, Version};
use crate::verifier::lint::{self, Remark};

const fn section(class: Class) -> &'static str {
    match class {
        Class::Gpu => "nvidia_gpu",
        Class::Switch => "nvidia_switch",
    }
}

pub(super) fn lint(class: Class, policy: &Policy, out: &mut Vec<Remark>) {
    let at = section(class);
    if let Some(reason) = impossible(class, policy) {
        out.push(Remark::error(at, format!("no evidence can pass: {reason}")));
    }
    lint::named(&format!("{at}.machine"), "serial number", &policy.machines, out);
    lint::reference_values(at, policy.require_reference_value, "any firmware", out);
    if !policy.require_revocation {
        out.push(Remark::lenient(format!("{at}.require_revocation"), "false"));
    }
    if policy.allow_protected_pcie && class == Class::Switch {
        let text = "a switch has no such mode: no effect";
        out.push(Remark::warning(format!("{at}.allow_protected_pcie"), text));
    } else if policy.allow_protected_pcie {
        out.push(Remark::lenient(
            format!("{at}.allow_protected_pcie"),
            "links between GPUs are not encrypted",
        ));
    }
}

/// Why no report can pass.
pub(super) fn impossible(class: Class, policy: &Policy) -> Option<String> {
    let denied = |generation: &&NvidiaGeneration| policy.denied_generations.contains(generation);
    let of_class = NvidiaGeneration::ALL.iter().filter(|generation| generation.class() == class);
    let allowed: Vec<_> = of_class.filter(|generation| !denied(generation)).collect();
    if allowed.is_empty() {
        return Some("every generation is denied".to_owned());
    }
    if class == Class::Switch && (policy.min_driver.is_some() || !policy.driver_versions.is_empty()) {
        return Some("driver versions are named, and a switch has none".to_owned());
    }
    if are_below(&policy.driver_versions, policy.min_driver.as_ref()) {
        return Some("every driver version that is named is below min_driver_version".to_owned());
    }
    if allowed.iter().all(|generation| are_below(&policy.vbios_versions, policy.min_vbios.get(generation))) {
        return Some("every VBIOS version that is named is below min_vbios_version".to_owned());
    }
    None
}

/// Whether versions are named, and none of them is at or above the floor.
fn are_below<const RADIX: u32>(named: &[String], floor: Option<&Version<RADIX>>) -> bool {
    let reaches = |text: &String| {
        floor
            .is_none_or(|floor| Version::parse(text).is_some_and(|version: Version<RADIX>| version >= *floor))
    };
    !named.is_empty() && !named.iter().any(reaches)
}

/// Whether the policy asks for nothing that this check could find missing.
pub(super) fn is_off(class: Class, policy: &Policy, check: &str) -> bool {
    match check {
        "revocation" => !policy.require_revocation,
        "driver-version" => policy.min_driver.is_none() && policy.driver_versions.is_empty(),
        "vbios-version" => policy.min_vbios.is_empty() && policy.vbios_versions.is_empty(),
        "mode" => class == Class::Switch,
        _ => false,
    }
}
