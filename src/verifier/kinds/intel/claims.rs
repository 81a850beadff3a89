//! What a PCK certificate and Intel's collateral say of a platform, as claims in the result.

use data_encoding::HEXLOWER;
use serde::Serialize;

use super::Judged;
use crate::clock::rfc3339;

/// Claims about the platform, those of TDX and SGX alike.
#[derive(Serialize)]
pub(in crate::verifier) struct PlatformClaims {
    fmspc: String,
    ppid: String,
    cpu_svn: String,
    pce_svn: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform_instance_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dynamic_platform: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cached_keys: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    smt_enabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tcb: Option<Tcb>,
}

/// What Intel says of its TCB; only where all of it was verified.
#[derive(Serialize)]
struct Tcb {
    status: String,
    date: String,
    evaluation_number: u32,
    advisories: Vec<String>,
}

/// The claims, if the quote could be read.
pub(in crate::verifier) fn platform(judged: &Judged<'_>) -> Option<PlatformClaims> {
    let pck = &judged.quote.as_ref().ok()?.pck;
    Some(PlatformClaims {
        fmspc: HEXLOWER.encode(&pck.fmspc),
        ppid: HEXLOWER.encode(&pck.ppid),
        cpu_svn: HEXLOWER.encode(&pck.cpu_svn),
        pce_svn: pck.pce_svn,
        platform_instance_id: pck.platform_instance_id.as_ref().map(|id| HEXLOWER.encode(id)),
        dynamic_platform: pck.dynamic_platform,
        cached_keys: pck.cached_keys,
        smt_enabled: pck.smt_enabled,
        tcb: judged.verdict.claims().map(|claims| Tcb {
            status: claims.tcb.status.to_string(),
            date: rfc3339(claims.platform.tcb_date_tag),
            evaluation_number: claims.tcb.eval_data_number,
            advisories: claims.tcb.advisory_ids.clone(),
        }),
    })
}
