//! What a quote says of its TD, as the Attester's claims in the result. Whether it is true, the checks say.

use data_encoding::HEXLOWER;
use serde::Serialize;
use serde_json::Value;

use super::super::intel::{PlatformClaims, platform};
use super::Context;
use super::events::EventClaim;

#[derive(Serialize)]
struct Claims {
    version: u16,
    mrtd: String,
    rtmr0: String,
    rtmr1: String,
    rtmr2: String,
    rtmr3: String,
    mrconfigid: String,
    mrowner: String,
    mrownerconfig: String,
    mrseam: String,
    mrsignerseam: String,
    seam_attributes: String,
    td_attributes: String,
    xfam: String,
    tee_tcb_svn: String,
    report_data: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tee_tcb_svn2: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mrservicetd: Option<String>,
    platform: PlatformClaims,
    #[serde(skip_serializing_if = "Option::is_none")]
    secure_boot: Option<bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    events: Vec<EventClaim>,
}

/// The claims, if the quote could be read.
pub(super) fn of(context: &Context<'_>) -> Option<Value> {
    let hex = |octets: &[u8]| HEXLOWER.encode(octets);
    let word = |octets: [u8; 8]| format!("{:#x}", u64::from_le_bytes(octets));
    let report = context.report().ok()?;
    let later = context.body().ok()?.as_td15();
    let claims = Claims {
        version: context.judged.quote().ok()?.fields().header.version,
        mrtd: hex(&report.mr_td),
        rtmr0: hex(&report.rt_mr0),
        rtmr1: hex(&report.rt_mr1),
        rtmr2: hex(&report.rt_mr2),
        rtmr3: hex(&report.rt_mr3),
        mrconfigid: hex(&report.mr_config_id),
        mrowner: hex(&report.mr_owner),
        mrownerconfig: hex(&report.mr_owner_config),
        mrseam: hex(&report.mr_seam),
        mrsignerseam: hex(&report.mr_signer_seam),
        seam_attributes: word(report.seam_attributes),
        td_attributes: word(report.td_attributes),
        xfam: word(report.xfam),
        tee_tcb_svn: hex(&report.tee_tcb_svn),
        report_data: hex(&report.report_data),
        tee_tcb_svn2: later.map(|later| hex(&later.tee_tcb_svn2)),
        mrservicetd: later.map(|later| hex(&later.mr_service_td)),
        platform: platform(&context.judged)?,
        secure_boot: super::events::secure_boot_claim(context),
        events: super::events::claims(context),
    };
    // Texts and numbers always become JSON.
    Some(serde_json::to_value(claims).unwrap_or_default())
}
