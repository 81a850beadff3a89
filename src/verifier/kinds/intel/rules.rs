//! What the appraisal policy may ask of an Intel platform, and whether it is so. Of both kinds alike: the sections
//! `[tdx.tcb]` and `[sgx.tcb]`, and the machines.

use std::collections::BTreeSet;

use dcap_qvl::{PckCertFlag, TcbStatus};
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use super::HasQuote;
use super::authenticity::step;
use super::verdict::Step;
use crate::clock::{parse_rfc3339, rfc3339};
use crate::verifier::checks::{Check, Harm, Outcome, fail};
use crate::verifier::policy::{Hex, Id, hex};

/// Rules for the TCB: what Intel says of it, and what the platform is.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the PCK certificate")]
pub(in crate::verifier) struct TcbRules {
    /// Statuses that are let pass for any time, by Intel's names.
    #[serde(deserialize_with = "let_pass")]
    pub(super) statuses: Vec<TcbStatus>,
    /// How long after its date an out-of-date TCB level is let pass.
    pub(super) out_of_date_grace_s: u64,
    /// Advisories of Intel's (INTEL-SA-...) that the platform may not be subject to.
    pub(super) denied_advisories: BTreeSet<String>,
    /// Least number of the TCB evaluation that the collateral is of.
    pub(super) min_evaluation_number: Option<u32>,
    /// Families of processors not to be relied on at all, by FMSPC.
    denied_fmspcs: Vec<Hex<6>>,
    forbid_dynamic_platform: bool,
    forbid_cached_keys: bool,
    forbid_smt: bool,
    pub(super) require_flags: bool,
}

/// Fail closed: up to date, as Intel sees it. The flags are let pass: every host of a cloud has them.
impl Default for TcbRules {
    fn default() -> Self {
        Self {
            statuses: vec![TcbStatus::UpToDate],
            out_of_date_grace_s: 0,
            denied_advisories: BTreeSet::new(),
            min_evaluation_number: None,
            denied_fmspcs: Vec::new(),
            forbid_dynamic_platform: false,
            forbid_cached_keys: false,
            forbid_smt: false,
            require_flags: false,
        }
    }
}

impl TcbRules {
    pub(super) fn forbids_flags(&self) -> bool {
        self.forbid_dynamic_platform || self.forbid_cached_keys || self.forbid_smt
    }
}

/// Intel's statuses, of which one cannot be let pass.
fn let_pass<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<TcbStatus>, D::Error> {
    let statuses = Vec::<TcbStatus>::deserialize(deserializer)?;
    if statuses.contains(&TcbStatus::Revoked) {
        return Err(D::Error::custom("a revoked TCB is never let pass"));
    }
    Ok(statuses)
}

/// What names a platform: the id of its provisioning.
#[derive(Debug, Clone)]
pub(in crate::verifier) enum Ppid {}

impl Id for Ppid {
    const KEY: &'static str = "ppid";

    fn read(text: &str) -> Result<Vec<u8>, String> {
        hex(text, 16..=16)
    }
}

/// The checks, in order.
pub(in crate::verifier) fn table<C: HasQuote>() -> [Check<C>; 7] {
    [
        Check::firm("tcb-level", Harm::Hardware, tcb_level),
        Check::firm("allowed-platform", Harm::Hardware, allowed_platform),
        Check::waivable("tcb-status", Harm::WeakHardware, tcb_status),
        Check::waivable("advisories", Harm::WeakHardware, advisories),
        Check::waivable("tcb-evaluation", Harm::WeakHardware, tcb_evaluation),
        Check::waivable("platform", Harm::Configuration, platform),
        Check::firm("machine", Harm::Identity, machine),
    ]
}

fn tcb_level<C: HasQuote>(context: &C) -> Outcome {
    let claims = context.judged().verdict.claims();
    step(context, Step::CurrentLevel, "tcb-level", || match claims {
        Some(claims) => {
            let fmspc = data_encoding::HEXLOWER.encode(&claims.platform.pck.fmspc);
            format!("FMSPC {fmspc}, the level of {}", rfc3339(claims.platform.tcb_date_tag))
        }
        None => "there is one, and it is not revoked".to_owned(),
    })
}

fn allowed_platform<C: HasQuote>(context: &C) -> Outcome {
    let judged = context.judged();
    let fmspc = judged.verified()?.platform.pck.fmspc;
    if judged.tcb.denied_fmspcs.iter().any(|denied| **denied == fmspc) {
        fail(format!("the policy denies FMSPC {}", data_encoding::HEXLOWER.encode(&fmspc)))
    } else {
        Ok("the policy does not deny it".to_owned())
    }
}

fn tcb_status<C: HasQuote>(context: &C) -> Outcome {
    let (judged, claims) = (context.judged(), context.judged().verified()?);
    let (rules, status) = (judged.tcb, claims.tcb.status);
    if rules.statuses.contains(&status) {
        return Ok(format!("{status}, which the policy allows"));
    }
    // The oldest of the levels is how long the platform has been behind.
    let quoting_enclave = parse_rfc3339(&claims.qe.tcb_level.tcb_date).unwrap_or(0);
    let since = claims.platform.tcb_date_tag.min(quoting_enclave);
    let behind = matches!(status, TcbStatus::OutOfDate | TcbStatus::TDRelaunchAdvised);
    let until = since.saturating_add(rules.out_of_date_grace_s);
    if behind && rules.out_of_date_grace_s > 0 && judged.now <= until {
        return Ok(format!("{status}, which the policy allows until {}", rfc3339(until)));
    }
    fail(format!("{status}, of {}; the policy allows {}", rfc3339(since), names(&rules.statuses)))
}

fn names(statuses: &[TcbStatus]) -> String {
    let names: Vec<String> = statuses.iter().map(ToString::to_string).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn advisories<C: HasQuote>(context: &C) -> Outcome {
    let (judged, claims) = (context.judged(), context.judged().verified()?);
    let found = &claims.tcb.advisory_ids;
    let denied: Vec<&str> = found
        .iter()
        .map(String::as_str)
        .filter(|advisory| judged.tcb.denied_advisories.contains(*advisory))
        .collect();
    match (denied.as_slice(), found.as_slice()) {
        ([], []) => Ok("none".to_owned()),
        ([], found) => Ok(format!("{}; the policy denies none of them", found.join(", "))),
        (denied, _) => fail(format!("subject to {}, which the policy denies", denied.join(", "))),
    }
}

fn tcb_evaluation<C: HasQuote>(context: &C) -> Outcome {
    let (judged, claims) = (context.judged(), context.judged().verified()?);
    let number = claims.tcb.eval_data_number;
    match judged.tcb.min_evaluation_number {
        Some(least) if number < least => fail(format!("number {number}, the policy wants {least} at least")),
        Some(least) => Ok(format!("number {number}, at least {least}")),
        None => Ok(format!("number {number}; the policy sets none")),
    }
}

fn platform<C: HasQuote>(context: &C) -> Outcome {
    let (judged, claims) = (context.judged(), context.judged().verified()?);
    let (rules, pck) = (judged.tcb, &claims.platform.pck);
    let flags = [
        (rules.forbid_dynamic_platform, pck.dynamic_platform, "dynamic platform"),
        (rules.forbid_cached_keys, pck.cached_keys, "cached keys"),
        (rules.forbid_smt, pck.smt_enabled, "SMT"),
    ];
    let mut found = Vec::new();
    for (forbidden, flag, name) in flags {
        match flag {
            PckCertFlag::True if forbidden => return fail(format!("{name}, which the policy forbids")),
            PckCertFlag::Undefined if forbidden && rules.require_flags => {
                return fail(format!("the PCK certificate does not say whether: {name}"));
            }
            PckCertFlag::True => found.push(name),
            PckCertFlag::False | PckCertFlag::Undefined => {}
        }
    }
    Ok(if found.is_empty() { "no flags".to_owned() } else { format!("allowed: {}", found.join(", ")) })
}

fn machine<C: HasQuote>(context: &C) -> Outcome {
    let judged = context.judged();
    let ppid = || {
        judged.verified()?;
        match judged.machine() {
            Some(ppid) => Ok(ppid),
            None => fail("the policy names machines, and the PCK certificate has no PPID"),
        }
    };
    judged.machines.check(ppid, "the PPID is none of those the policy names")
}
