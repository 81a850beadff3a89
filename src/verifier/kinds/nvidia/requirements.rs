//! Is it what the policy asks for? The evidence is genuine by now; the device may still be set up badly.

use super::Context;
use super::device::Class;
use super::opaque::{self, Mode};
use super::policy::Version;
use crate::verifier::checks::{Outcome, fail, relaxed};
use crate::verifier::reference::Words;

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
        allowed: &context.policy.vbios_versions,
        floor: context.policy.min_vbios.get(&generation),
    };
    rule.judge(found)
}

/// What the policy says of one version.
struct Rule<'a, const RADIX: u32> {
    what: &'static str,
    allowed: &'a [String],
    floor: Option<&'a Version<RADIX>>,
}

impl<const RADIX: u32> Rule<'_, RADIX> {
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
            Some(floor) => match Version::<RADIX>::parse(&found) {
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
        Ok(Some(mode @ Mode::ProtectedPcie)) => relaxed("allow_protected_pcie", mode.name()),
        Ok(Some(mode)) => Ok(mode.name().to_owned()),
        // Drivers before Protected PCIe existed.
        Ok(None) => Ok("the report does not say: a driver without Protected PCIe".to_owned()),
    }
}

pub(super) fn machine(context: &Context<'_>) -> Outcome {
    let serial = || context.device().map(|device| &device.serial);
    context.policy.machines.check(serial, "the device is none of those the policy names")
}

pub(super) fn reference_value(context: &Context<'_>) -> Outcome {
    let (report, kind) = (context.report()?, context.class.kind());
    let found = context.references.find(kind, &super::registers(report));
    let words = Words {
        found: "the measurements are those of",
        unjudged: "the measurements are",
        unknown: "the measurements are those of",
    };
    context.references.judge(kind, context.policy.require_reference_value, found, &words)
}
