//! Is it what the policy asks for? The token is genuine by now; the platform may still be open, or another one.

use data_encoding::HEXLOWER;

use super::Context;
use super::authenticity::is_known_hash;
use super::platform::short;
use crate::verifier::checks::{Outcome, fail, relaxed};
use crate::verifier::reference::ReferenceValue;

pub(super) fn hash_algorithms(context: &Context<'_>) -> Outcome {
    let token = context.token()?;
    let own = [&token.realm.hash_algorithm, &token.platform.hash_algorithm];
    let components = token.platform.components.iter().filter_map(|one| one.hash_algorithm.as_ref());
    match own.into_iter().chain(components).find(|name| !is_known_hash(name)) {
        Some(name) => fail(format!("hash algorithm {:?} is not known", short(name))),
        None => Ok(format!("measured with {}", token.realm.hash_algorithm)),
    }
}

pub(super) fn lifecycle(context: &Context<'_>) -> Outcome {
    let state = context.token()?.platform.lifecycle;
    let name = match state {
        0x3000..=0x30ff => return Ok(format!("secured ({state:#x})")),
        0x0000..=0x00ff => "unknown",
        0x1000..=0x10ff => "assembly and test",
        0x2000..=0x20ff => "provisioning of the root of trust",
        0x4000..=0x40ff => "debug outside of the root of trust",
        0x5000..=0x50ff => "recoverable debug of the root of trust",
        0x6000..=0x60ff => "decommissioned",
        _ => "not a lifecycle state",
    };
    fail(format!("{name} ({state:#x}), want secured (0x3000 to 0x30ff)"))
}

pub(super) fn implementation(context: &Context<'_>) -> Outcome {
    let known = &context.policy.implementations;
    if known.is_empty() {
        return Ok("the policy names none".to_owned());
    }
    let implementation = &context.token()?.platform.implementation_id;
    if known.iter().any(|one| **one == *implementation) {
        Ok("named by the policy".to_owned())
    } else {
        fail(format!("implementation {} is none that the policy names", HEXLOWER.encode(implementation)))
    }
}

pub(super) fn machine(context: &Context<'_>) -> Outcome {
    let instance = || context.token().map(|token| token.platform.instance_id);
    context.policy.machines.check(instance, "the platform is none of those the policy names")
}

pub(super) fn platform_reference(context: &Context<'_>) -> Outcome {
    let token = context.token()?;
    let found = super::platform_registers(token);
    let names_all = |value: &ReferenceValue| super::names_components(value, token);
    if let Some(value) = context.references.find_where(super::NAME, &found, names_all) {
        return Ok(format!("the platform's components are those of {}", value.name));
    }
    let known = context.references.values().iter().filter(|value| super::is_of_a_platform(value)).count();
    if known == 0 && !context.policy.require_platform_reference {
        let detail = "no reference values of platforms given: components are not judged";
        return relaxed("require_platform_reference", detail);
    }
    fail(format!(
        "the platform's components are, all of them, of none of the {known} reference values of platforms"
    ))
}

pub(super) fn reference_value(context: &Context<'_>) -> Outcome {
    let token = context.token()?;
    if let Some(value) = context.references.find(super::NAME, &super::realm_registers(token)) {
        return Ok(format!("the realm's measurements are those of {}", value.name));
    }
    let of_realms = |value: &&_| !super::is_of_a_platform(value);
    let all = context.references.values().iter().filter(|value| value.tee == super::NAME);
    let known = all.filter(of_realms).count();
    if known == 0 && !context.policy.require_reference_value {
        let detail = "no reference values of realms given: the measurements are not judged";
        return relaxed("require_reference_value", detail);
    }
    let hex = HEXLOWER.encode(&token.realm.initial_measurement);
    fail(format!("initial measurement {hex} and the others are of none of the {known} reference values"))
}
