//! Is it what the policy asks for? The evidence is genuine by now; the device may still be set up badly.

use super::Context;
use super::device::Class;
use super::opaque::{self, Mode};
use super::policy::{Radix, Version};
use crate::verifier::checks::{Outcome, fail};

pub(super) fn allowed_generation(context: &Context<'_>) -> Outcome {
    let generation = context.device()?.generation;
    if context.policy.denied_generations.contains(&generation) {
        fail(format!("the policy denies {}", generation.name()))
    } else {
        Ok(format!("the policy does not deny {}", generation.name()))
    }
}

pub(super) fn driver_version(context: &Context<'_>) -> Outcome {
    let found = context.report()?.opaque.get(&opaque::DRIVER_VERSION);
    let found = found.and_then(|octets| opaque::text(octets)).map(str::to_owned);
    let rule = Rule {
        what: "driver",
        radix: Radix::Decimal,
        allowed: &context.policy.driver_versions,
        floor: context.policy.min_driver.as_ref(),
    };
    rule.judge(found)
}

pub(super) fn vbios_version(context: &Context<'_>) -> Outcome {
    let generation = context.device()?.generation;
    let found = context.report()?.opaque.get(&opaque::VBIOS_VERSION).and_then(|octets| opaque::vbios(octets));
    let rule = Rule {
        what: "VBIOS",
        radix: Radix::Hex,
        allowed: &context.policy.vbios_versions,
        floor: context.policy.min_vbios.get(&generation),
    };
    rule.judge(found)
}

/// What the policy says of one version.
struct Rule<'a> {
    what: &'static str,
    radix: Radix,
    allowed: &'a [String],
    floor: Option<&'a Version>,
}

impl Rule<'_> {
    fn judge(&self, found: Option<String>) -> Outcome {
        let what = self.what;
        if self.allowed.is_empty() && self.floor.is_none() {
            let found = found.unwrap_or_else(|| "which the report does not say".to_owned());
            return Ok(format!("{what} {found}: the policy sets none"));
        }
        let Some(found) = found else {
            return fail(format!("the policy names {what} versions, and the report says none"));
        };
        if !self.allowed.is_empty() && !self.allowed.iter().any(|one| one.eq_ignore_ascii_case(&found)) {
            return fail(format!("{what} {found} is none of those the policy names"));
        }
        match self.floor {
            None => Ok(format!("{what} {found}, named by the policy")),
            Some(floor) => match Version::parse(&found, self.radix) {
                Some(version) if version >= *floor => Ok(format!("{what} {found}, at or above {floor}")),
                Some(_) => fail(format!("{what} {found} is below {floor}")),
                None => fail(format!("{what} {found} cannot be compared with {floor}")),
            },
        }
    }
}

pub(super) fn mode(context: &Context<'_>) -> Outcome {
    if context.class == Class::Switch {
        return Ok("a switch has none".to_owned());
    }
    match opaque::mode(&context.report()?.opaque) {
        Err(reason) => fail(reason),
        Ok(Some(Mode::ProtectedPcie)) if !context.policy.allow_protected_pcie => fail(
            "Protected PCIe: the links between the GPUs are not encrypted, and the policy does not allow it",
        ),
        Ok(Some(mode)) => Ok(mode.name().to_owned()),
        // Drivers before Protected PCIe existed.
        Ok(None) => Ok("the report does not say: a driver without Protected PCIe".to_owned()),
    }
}

pub(super) fn machine(context: &Context<'_>) -> Outcome {
    let machines = &context.policy.machines;
    if machines.is_empty() {
        return Ok("the policy names none".to_owned());
    }
    let device = context.device()?;
    match machines.iter().find(|machine| machine.serial == device.serial) {
        Some(machine) => Ok(format!("{}, named by the policy", machine.name)),
        None => fail("the device is none of those the policy names"),
    }
}

pub(super) fn reference_value(context: &Context<'_>) -> Outcome {
    let (report, kind) = (context.report()?, context.class.kind());
    if let Some(value) = context.references.find(kind, &super::registers(report)) {
        return Ok(format!("the measurements are those of {}", value.name));
    }
    let known = context.references.count(kind);
    if known == 0 && !context.policy.require_reference_value {
        return Ok("no reference values given: the measurements are not judged".to_owned());
    }
    fail(format!("the measurements are those of none of the {known} reference values"))
}
