//! Is it what the policy asks for? The quote is genuine by now; the TD's owner and its host may still have chosen badly.

use data_encoding::HEXLOWER;
use dcap_qvl::quote::{TDAttributes, TDReport15Ex};

use super::super::intel::module_step;
use super::policy::Register;
use super::{Context, NAME};
use crate::verifier::checks::{Found, Outcome, fail};
use crate::verifier::reference::{ReferenceValue, Words};

/// Attributes whose bits mean that others see into the TD (ABI, "ATTRIBUTES"): DEBUG, and those of profiling.
pub(super) const DEBUG: u64 = 1;
pub(super) const PROFILING: u64 = 0x70;
/// Those that `dcap-qvl` reads as flags: a migration TD may take the TD elsewhere, and no #VE at any access.
pub(super) const SEPT_VE_DISABLE: u64 = 1 << 28;
pub(super) const MIGRATABLE: u64 = 1 << 29;

/// The attributes, little-endian.
fn attributes(context: &Context<'_>) -> Result<(u64, TDAttributes), Found> {
    let octets = context.report()?.td_attributes;
    let parsed =
        TDAttributes::parse(octets).map_err(|_| Found::NotEvaluated("the attributes cannot be read"))?;
    Ok((u64::from_le_bytes(octets), parsed))
}

pub(super) fn tdx_module(context: &Context<'_>) -> Outcome {
    let report = context.report();
    module_step(context, || match report {
        Ok(report) => {
            let [isv_svn, version, ..] = report.tee_tcb_svn;
            format!("Intel's, major version {version}, security version {isv_svn}")
        }
        Err(_) => "Intel's".to_owned(),
    })
}

pub(super) fn debug(context: &Context<'_>) -> Outcome {
    let (bits, _) = attributes(context)?;
    if bits & DEBUG != 0 {
        fail("debugging is allowed: the host can read this TD's memory")
    } else if bits & PROFILING != 0 {
        fail("profiling is allowed: the host can watch this TD")
    } else {
        Ok("neither debugging nor profiling is allowed".to_owned())
    }
}

pub(super) fn migration(context: &Context<'_>) -> Outcome {
    let (_, attributes) = attributes(context)?;
    if attributes.sec.migratable {
        fail("a migration TD may take this TD elsewhere, and this quote does not say which one")
    } else {
        Ok("not migratable".to_owned())
    }
}

pub(super) fn td_attributes(context: &Context<'_>) -> Outcome {
    let (bits, attributes) = attributes(context)?;
    let policy = context.policy;
    if attributes.reserved != 0 {
        return fail(format!("{bits:#x}: reserved bits are set"));
    }
    if !attributes.sec.sept_ve_disable {
        return fail(format!("{bits:#x}: SEPT_VE_DISABLE is off, the host can inject #VE at any access"));
    }
    let missing = policy.required_attributes & !bits;
    let unwanted = policy.forbidden_attributes & bits;
    if missing != 0 || unwanted != 0 {
        return fail(format!("{bits:#x}: the policy wants {missing:#x} set and {unwanted:#x} not"));
    }
    Ok(format!("{bits:#x}, as they must be"))
}

pub(super) fn xfam(context: &Context<'_>) -> Outcome {
    let bits = u64::from_le_bytes(context.report()?.xfam);
    match bits & context.policy.forbidden_xfam {
        0 => Ok(format!("{bits:#x}")),
        unwanted => fail(format!("{bits:#x}: the policy forbids {unwanted:#x}")),
    }
}

pub(super) fn service_td(context: &Context<'_>) -> Outcome {
    let Some(report) = context.body()?.as_td15() else {
        return Ok("a quote of TDX 1.0 has none".to_owned());
    };
    let extended = context.body()?.as_td15_ex();
    let current = extended.map(|report: &TDReport15Ex| report.cur_service_td_hash);
    let bound: Vec<[u8; 48]> = [Some(report.mr_service_td), current].into_iter().flatten().collect();
    if bound.iter().all(|hash| *hash == [0; 48]) {
        return Ok("none is bound".to_owned());
    }
    let known = |hash: &[u8; 48]| {
        *hash == [0; 48] || context.policy.service_tds.iter().any(|allowed| **allowed == *hash)
    };
    match bound.iter().find(|hash| !known(hash)) {
        None => Ok("bound to a service TD that the policy names".to_owned()),
        Some(hash) => {
            let hex = HEXLOWER.encode(hash);
            fail(format!("bound to the service TD {hex}, which the policy does not name"))
        }
    }
}

/// A field by name, the values that are allowed for it, and its value.
type Pin<'a> = (&'a str, &'a [Register], &'a [u8; 48]);

/// Names those that are pinned, or the first that is not the pinned one.
fn pins(fields: &[Pin<'_>]) -> Outcome {
    let pinned: Vec<_> = fields.iter().filter(|(_, allowed, _)| !allowed.is_empty()).collect();
    for (name, allowed, value) in &pinned {
        if !allowed.iter().any(|one| **one == **value) {
            let hex = HEXLOWER.encode(*value);
            return fail(format!("{name} {hex} is none of those the policy names"));
        }
    }
    let names: Vec<&str> = pinned.iter().map(|(name, _, _)| *name).collect();
    Ok(if names.is_empty() {
        "the policy names none".to_owned()
    } else {
        format!("{} as named", names.join(", "))
    })
}

pub(super) fn module_pins(context: &Context<'_>) -> Outcome {
    let (report, policy) = (context.report()?, context.policy);
    pins(&[
        ("MRSEAM", &policy.mrseam, &report.mr_seam),
        ("MRSIGNERSEAM", &policy.mrsignerseam, &report.mr_signer_seam),
    ])
}

pub(super) fn owner(context: &Context<'_>) -> Outcome {
    let (report, policy) = (context.report()?, context.policy);
    pins(&[
        ("MRCONFIGID", &policy.mrconfigid, &report.mr_config_id),
        ("MROWNER", &policy.mrowner, &report.mr_owner),
        ("MROWNERCONFIG", &policy.mrownerconfig, &report.mr_owner_config),
    ])
}

pub(super) fn reference_value(context: &Context<'_>) -> Outcome {
    let report = context.report()?;
    let found = context.references.find(NAME, &super::registers(report));
    let hex = HEXLOWER.encode(&report.mr_td);
    let words = Words {
        found: &format!("{} are those of", found.map(ReferenceValue::names).unwrap_or_default()),
        unjudged: "the measurements are",
        unknown: &format!("MRTD {hex} and the other registers are"),
    };
    context.references.judge(NAME, context.policy.require_reference_value, found, &words)
}
