//! Is it what the policy asks for? The quote is genuine by now; the enclave's owner may still have chosen badly.

use data_encoding::HEXLOWER;

use super::{Context, Kss, NAME};
use crate::verifier::checks::{Found, Outcome, fail};
use crate::verifier::reference::{ReferenceValue, Words};

/// ATTRIBUTES.FLAGS (SDM, "ATTRIBUTES").
pub(super) const INIT: u64 = 0x01;
pub(super) const DEBUG: u64 = 0x02;
pub(super) const KSS: u64 = 0x80;

/// FLAGS and XFRM, little-endian.
pub(super) fn flags_and_xfrm(context: &Context<'_>) -> Result<(u64, u64), Found> {
    let attributes = context.report()?.attributes;
    let half = |octets: &[u8]| octets.iter().rev().fold(0, |value, octet| (value << 8) | u64::from(*octet));
    let (flags, xfrm) = attributes.split_at(8);
    Ok((half(flags), half(xfrm)))
}

pub(super) fn debug(context: &Context<'_>) -> Outcome {
    let (flags, _) = flags_and_xfrm(context)?;
    if flags & DEBUG == 0 {
        Ok("debugging is not allowed".to_owned())
    } else {
        fail("debugging is allowed: the host can read this enclave's memory")
    }
}

pub(super) fn attributes(context: &Context<'_>) -> Outcome {
    let (flags, xfrm) = flags_and_xfrm(context)?;
    let (report, policy) = (context.report()?, context.policy);
    if flags & INIT == 0 {
        return fail(format!("{flags:#x}: the enclave was not initialised"));
    }
    let kss = Kss::of(report);
    let used = kss.config_svn != 0
        || [&kss.config_id[..], &kss.ext_prod_id, &kss.family_id].concat().iter().any(|octet| *octet != 0);
    if flags & KSS == 0 && used {
        return fail("fields of KSS are set, and KSS is off");
    }
    let missing = policy.required_attributes & !flags;
    let unwanted = policy.forbidden_attributes & flags;
    if missing != 0 || unwanted != 0 {
        return fail(format!("{flags:#x}: the policy wants {missing:#x} set and {unwanted:#x} not"));
    }
    match xfrm & policy.forbidden_xfrm {
        0 => Ok(format!("{flags:#x}, XFRM {xfrm:#x}")),
        unwanted => fail(format!("XFRM {xfrm:#x}: the policy forbids {unwanted:#x}")),
    }
}

pub(super) fn isv_svn(context: &Context<'_>) -> Outcome {
    let version = context.report()?.isv_svn;
    match context.policy.min_isv_svn {
        Some(least) if version < least => {
            fail(format!("ISVSVN {version}, the policy wants {least} at least"))
        }
        Some(least) => Ok(format!("{version}, at least {least}")),
        None => Ok(format!("{version}; the policy sets none")),
    }
}

pub(super) fn reference_value(context: &Context<'_>) -> Outcome {
    let report = context.report()?;
    let found = context.references.find(NAME, &super::registers(report));
    let hex = HEXLOWER.encode(&report.mr_enclave);
    let words = Words {
        found: &format!("{} are those of", found.map(ReferenceValue::names).unwrap_or_default()),
        unjudged: "the enclave is",
        unknown: &format!("MRENCLAVE {hex} and the other values are"),
    };
    context.references.judge(NAME, context.policy.require_reference_value, found, &words)
}
