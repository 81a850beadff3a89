//! Is it what the policy asks for? The document is genuine by now; its owner may still have launched it otherwise.

use data_encoding::HEXLOWER;

use super::{Context, NAME, document::Document, policy::extended};
use crate::verifier::checks::{Outcome, fail};
use crate::verifier::reference::Words;

/// PCRs of the image, of its kernel, and of its applications (AWS).
const IMAGE: [u8; 3] = [0, 1, 2];
/// PCR of the parent instance's IAM role.
const ROLE: u8 = 3;
/// PCR of the parent instance.
const INSTANCE: u8 = 4;
/// PCR of the certificate that signed the image.
const SIGNER: u8 = 8;

pub(super) fn timestamp(context: &Context<'_>) -> Outcome {
    // Whole seconds, as the instant has them.
    let made = context.document()?.timestamp / 1000;
    let policy = context.policy;
    if made > context.now.saturating_add(policy.max_skew_s) {
        let ahead = made.saturating_sub(context.now);
        return fail(format!("made {ahead} s after the instant, the policy allows {} s", policy.max_skew_s));
    }
    let age = context.now.saturating_sub(made);
    if age > policy.max_age_s {
        return fail(format!("made {age} s before the instant, the policy allows {} s", policy.max_age_s));
    }
    Ok(format!("made {age} s before the instant"))
}

pub(super) fn debug(context: &Context<'_>) -> Outcome {
    let document = context.document()?;
    match IMAGE.into_iter().find(|index| document.measured(*index).is_none()) {
        Some(index) => {
            fail(format!("PCR{index} is zero, as of an enclave in debug mode: its console can be read"))
        }
        None => Ok("PCR0, PCR1 and PCR2 are measured: not in debug mode".to_owned()),
    }
}

pub(super) fn parent(context: &Context<'_>) -> Outcome {
    let (document, policy) = (context.document()?, context.policy);
    let role = |found: &[u8; 48]| policy.roles.iter().any(|role| role.0 == *found);
    let signer = |found: &[u8; 48]| policy.signers.iter().any(|signer| signer.0 == *found);
    if !policy.roles.is_empty() && !document.measured(ROLE).is_some_and(role) {
        return fail(format!("PCR{ROLE} is of none of the IAM roles that the policy names"));
    }
    if !policy.signers.is_empty() && !document.measured(SIGNER).is_some_and(signer) {
        return fail(format!("PCR{SIGNER} is of none of the signing certificates that the policy names"));
    }
    match (policy.roles.is_empty(), policy.signers.is_empty()) {
        (true, true) => Ok("the policy names neither roles nor signing certificates".to_owned()),
        _ => Ok("role and signing certificate are as the policy wants them".to_owned()),
    }
}

pub(super) fn machine(context: &Context<'_>) -> Outcome {
    let machines = &context.policy.machines;
    if machines.is_empty() {
        return Ok("the policy names none".to_owned());
    }
    let document = context.document()?;
    let Some(instance) = document.instance() else {
        return fail("the policy names instances, and module_id names none");
    };
    let Some(machine) = machines.with(instance.as_bytes()) else {
        return fail(format!("instance {instance} is none of those that the policy names"));
    };
    // The name and the measurement are the hypervisor's both; they must not disagree.
    if document.measured(INSTANCE) != Some(&extended(&machine.id)) {
        return fail(format!("PCR{INSTANCE} is not the measurement of {instance}"));
    }
    Ok(format!("{}, named by the policy", machine.name))
}

pub(super) fn reference_value(context: &Context<'_>) -> Outcome {
    let document = context.document()?;
    let found = context.references.find(NAME, &super::registers(document));
    let words = Words {
        found: "the PCRs are those of",
        unjudged: "the PCRs are",
        unknown: &format!("PCR0 {} and the others are of", pcr0(document)),
    };
    context.references.judge(NAME, context.policy.require_reference_value, found, &words)
}

fn pcr0(document: &Document) -> String {
    document.pcrs.get(&0).map_or_else(|| "(missing)".to_owned(), |value| HEXLOWER.encode(value))
}
