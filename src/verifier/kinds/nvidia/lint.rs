//! What the owner of a policy will hardly have meant about NVIDIA's devices.

use super::device::{Class, NvidiaGeneration};
use super::policy::Policy;
use crate::verifier::lint::{Remark, repeated};

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
    let serials: Vec<String> =
        policy.machines.iter().map(|machine| data_encoding::HEXLOWER.encode(&machine.id)).collect();
    for name in repeated(policy.machines.iter().map(|machine| machine.name.as_str())) {
        out.push(Remark::error(format!("{at}.machine"), format!("{name:?} is there twice")));
    }
    for serial in repeated(serials.iter().map(String::as_str)) {
        out.push(Remark::error(format!("{at}.machine"), format!("serial number {serial} has two names")));
    }
    if !policy.require_reference_value {
        let text = "no reference value is required: where none are given, any firmware may run";
        out.push(Remark::warning(format!("{at}.require_reference_value"), text));
        out.push(Remark::lenient(format!("{at}.require_reference_value"), "false"));
    }
    if !policy.require_revocation {
        out.push(Remark::lenient(format!("{at}.require_revocation"), "false"));
    }
    if policy.allow_protected_pcie {
        out.push(Remark::lenient(
            format!("{at}.allow_protected_pcie"),
            "links between GPUs are not encrypted",
        ));
    }
}

/// Why no report can pass.
pub(super) fn impossible(class: Class, policy: &Policy) -> Option<String> {
    let denied = |generation: &NvidiaGeneration| policy.denied_generations.contains(generation);
    let mut of_class = NvidiaGeneration::ALL.iter().filter(|generation| generation.class() == class);
    if of_class.all(denied) {
        return Some("every generation is denied".to_owned());
    }
    if class == Class::Switch && (policy.min_driver.is_some() || !policy.driver_versions.is_empty()) {
        return Some("driver versions are named, and a switch has none".to_owned());
    }
    None
}

/// Whether the policy asks for nothing that this check could find missing.
pub(super) fn is_off(class: Class, policy: &Policy, check: &str) -> bool {
    match check {
        "driver-version" => policy.min_driver.is_none() && policy.driver_versions.is_empty(),
        "vbios-version" => policy.min_vbios.is_empty() && policy.vbios_versions.is_empty(),
        "mode" => class == Class::Switch,
        _ => false,
    }
}
