//! Is it what the policy asks for? The evidence is genuine by now; its owner and its host may still have chosen badly.

use data_encoding::HEXLOWER;

use super::report::Tcb;
use super::{Context, NAME};
use crate::verifier::checks::{Outcome, fail, relaxed};
use crate::verifier::reference::Words;

/// REPORT_ID_MA of a guest without a migration agent.
const NO_MIGRATION_AGENT: [u8; 32] = [0xff; 32];

pub(super) fn allowed_key(context: &Context<'_>) -> Outcome {
    let kind = context.endorsement()?.kind;
    if context.policy.signing_keys.contains(&kind) {
        Ok(format!("the policy allows a {}", kind.name()))
    } else {
        fail(format!("the policy does not allow a {}", kind.name()))
    }
}

pub(super) fn allowed_generation(context: &Context<'_>) -> Outcome {
    let generation = context.rooted_generation()?;
    if context.policy.denied_generations.contains(&generation) {
        fail(format!("the policy denies {generation}"))
    } else {
        Ok(format!("the policy does not deny {generation}"))
    }
}

pub(super) fn tcb_order(context: &Context<'_>) -> Outcome {
    let fields = context.report()?.fields();
    let (current, committed) = (Tcb::from(fields.current_tcb), Tcb::from(fields.committed_tcb));
    let version = |version: sev::firmware::guest::Version| (version.major, version.minor, version.build);
    if !current.is_at_least(&committed) || version(fields.current) < version(fields.committed) {
        return fail(format!("current ({current}) is below committed ({committed})"));
    }
    let reported = Tcb::from(fields.reported_tcb);
    if !current.is_at_least(&reported) {
        return fail(format!("reported ({reported}) is above current ({current})"));
    }
    Ok("committed and reported are not above current".to_owned())
}

pub(super) fn tcb_floor(context: &Context<'_>) -> Outcome {
    let generation = context.rooted_generation()?;
    let Some(floor) = context.policy.tcb_floor.get(&generation) else {
        return if context.policy.require_tcb_floor {
            fail(format!("the policy has no floor for {generation}, and requires one"))
        } else {
            relaxed("require_tcb_floor", "the policy sets none")
        };
    };
    // From the certificate: AMD endorses it. The report repeats it, and adds what the host cannot roll back below.
    let endorsed = context.endorsement()?.tcb;
    let committed = Tcb::from(context.report()?.fields().committed_tcb);
    for (what, tcb) in [("endorsed", endorsed), ("committed", committed)] {
        if !tcb.is_at_least(floor) {
            return fail(format!("{what} TCB ({tcb}) is below the floor for {generation} ({floor})"));
        }
    }
    Ok(format!("at or above the floor for {generation} ({floor})"))
}

pub(super) fn mitigations(context: &Context<'_>) -> Outcome {
    let generation = context.rooted_generation()?;
    let Some(wanted) = context.policy.mitigations.get(&generation) else {
        return Ok("the policy requires none".to_owned());
    };
    let fields = context.report()?.fields();
    match (fields.launch_mit_vector, fields.current_mit_vector) {
        (Some(launch), Some(current)) if launch & current & wanted == *wanted => {
            Ok(format!("{wanted:#x} are in {current:#x}"))
        }
        (Some(launch), Some(current)) => {
            fail(format!("want {wanted:#x}, got {launch:#x} at launch and {current:#x} now"))
        }
        _ => fail(format!("want {wanted:#x}, a report before version 5 does not say")),
    }
}

pub(super) fn debug(context: &Context<'_>) -> Outcome {
    if context.report()?.fields().policy.debug_allowed() {
        fail("the guest policy allows debugging: the host can read the guest's memory")
    } else {
        Ok("not allowed".to_owned())
    }
}

/// A migration agent is allowed by POLICY; which one a guest is bound to says REPORT_ID_MA, and all ones say none (ABI,
/// "GCTX": so the firmware sets it at launch).
pub(super) fn migration(context: &Context<'_>) -> Outcome {
    let fields = context.report()?.fields();
    if fields.policy.migrate_ma_allowed() {
        fail("the guest policy allows a migration agent")
    } else if fields.report_id_ma != NO_MIGRATION_AGENT {
        let agent = HEXLOWER.encode(&fields.report_id_ma);
        fail(format!("the guest is bound to the migration agent with report id {agent}"))
    } else {
        Ok("not allowed, and there is none".to_owned())
    }
}

pub(super) fn vmpl(context: &Context<'_>) -> Outcome {
    let level = context.report()?.fields().vmpl;
    let allowed = &context.policy.vmpl;
    if allowed.contains(&level) {
        Ok(format!("requested at VMPL {level}"))
    } else {
        fail(format!("requested at VMPL {level}, the policy allows {allowed:?}"))
    }
}

pub(super) fn guest_policy(context: &Context<'_>) -> Outcome {
    let (report, rules) = (context.report()?, &context.policy.guest);
    let policy = &report.fields().policy;
    let broken = [
        (rules.forbid_smt && policy.smt_allowed(), "SMT is allowed"),
        (rules.require_single_socket && !policy.single_socket_required(), "several sockets are allowed"),
        (rules.forbid_cxl && policy.cxl_allowed(), "CXL is allowed"),
        (rules.require_aes_256_xts && !policy.mem_aes_256_xts(), "AES-256-XTS is not required"),
        (rules.require_rapl_disabled && !policy.rapl_dis(), "RAPL is allowed"),
        (rules.require_ciphertext_hiding && !policy.ciphertext_hiding(), "ciphertext hiding is not required"),
        (rules.require_page_swap_disabled && !policy.page_swap_disabled(), "page swapping is not disabled"),
    ];
    let mut broken: Vec<String> = named(&broken);
    let abi = (u64_byte(policy.abi_major()), u64_byte(policy.abi_minor()));
    if let Some(min) = rules.min_abi.filter(|min| abi < *min) {
        broken.push(format!("ABI {}.{} is below {}.{}", abi.0, abi.1, min.0, min.1));
    }
    verdict(&broken, format!("{:#x}, as the policy wants it", report.policy()))
}

pub(super) fn platform(context: &Context<'_>) -> Outcome {
    let (report, rules) = (context.report()?, &context.policy.platform);
    let info = &report.fields().plat_info;
    let broken = named(&[
        (rules.require_alias_check && !info.alias_check_complete(), "no check for memory aliases (BadRAM)"),
        (rules.require_ecc && !info.ecc_enabled(), "no ECC memory"),
        (rules.require_tsme && !info.tsme_enabled(), "TSME is off"),
        (rules.require_rapl_disabled && !info.rapl_disabled(), "RAPL is on"),
        (rules.require_ciphertext_hiding && !info.ciphertext_hiding_enabled(), "ciphertext hiding is off"),
        (rules.forbid_smt && info.smt_enabled(), "SMT is on"),
        (rules.forbid_tio && info.tio_enabled(), "SEV-TIO is on"),
    ]);
    verdict(&broken, format!("{:#x}, as the policy wants it", u64::from(*info)))
}

fn named(rules: &[(bool, &str)]) -> Vec<String> {
    rules.iter().filter(|(broken, _)| *broken).map(|(_, text)| (*text).to_owned()).collect()
}

fn verdict(broken: &[String], well: String) -> Outcome {
    if broken.is_empty() { Ok(well) } else { fail(broken.join(", ")) }
}

fn u64_byte(value: u64) -> u8 {
    u8::try_from(value & 0xff).unwrap_or(u8::MAX)
}

pub(super) fn machine(context: &Context<'_>) -> Outcome {
    let chip = || match context.report()?.authenticated_chip() {
        Some(chip) => Ok(chip),
        None => fail("the policy names machines, and this report names no chip"),
    };
    context.policy.machines.check(chip, "the chip is none of those the policy names")
}

pub(super) fn id_block(context: &Context<'_>) -> Outcome {
    let (fields, policy) = (context.report()?.fields(), context.policy);
    if !policy.id_keys.is_empty() && !policy.id_keys.iter().any(|key| **key == fields.id_key_digest) {
        return fail("the ID key is none of those the policy names");
    }
    // Without AUTHOR_KEY_EN the field says nothing, whatever it holds.
    let author = fields.key_info.author_key_en().then_some(&fields.author_key_digest);
    let known = |digest: &[u8; 48]| policy.author_keys.iter().any(|key| **key == *digest);
    if !policy.author_keys.is_empty() && !author.is_some_and(known) {
        return fail("the author key is none of those the policy names");
    }
    match (policy.id_keys.is_empty(), policy.author_keys.is_empty()) {
        (true, true) => Ok("the policy names no keys".to_owned()),
        _ => Ok("signed as the policy wants it".to_owned()),
    }
}

pub(super) fn reference_value(context: &Context<'_>) -> Outcome {
    let report = context.report()?;
    let found = context.references.find(NAME, &super::registers(report));
    let hex = HEXLOWER.encode(&report.fields().measurement);
    let words = Words {
        found: "the measurement is that of",
        unjudged: "the measurement is",
        unknown: &format!("measurement {hex} is"),
    };
    context.references.judge(NAME, context.policy.require_reference_value, found, &words)
}
