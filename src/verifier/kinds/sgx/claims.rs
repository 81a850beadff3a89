//! What a quote says of its enclave, as the Attester's claims in the result. Whether it is true, the checks say.

use data_encoding::HEXLOWER;
use serde::Serialize;
use serde_json::Value;

use super::super::intel::{PlatformClaims, platform};
use super::requirements::{KSS, flags_and_xfrm};
use super::{Context, Kss};

#[derive(Serialize)]
struct Claims {
    version: u16,
    mrenclave: String,
    mrsigner: String,
    isvprodid: u16,
    isvsvn: u16,
    attributes: String,
    xfrm: String,
    miscselect: String,
    report_data: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    kss: Option<KssClaims>,
    platform: PlatformClaims,
}

/// Where the enclave has them.
#[derive(Serialize)]
struct KssClaims {
    configid: String,
    configsvn: u16,
    isvextprodid: String,
    isvfamilyid: String,
}

/// The claims, if the quote could be read.
pub(super) fn of(context: &Context<'_>) -> Option<Value> {
    let hex = |octets: &[u8]| HEXLOWER.encode(octets);
    let report = context.report().ok()?;
    let (flags, xfrm) = flags_and_xfrm(context).ok()?;
    let kss = Kss::of(report);
    let claims = Claims {
        version: context.judged.quote().ok()?.fields().header.version,
        mrenclave: hex(&report.mr_enclave),
        mrsigner: hex(&report.mr_signer),
        isvprodid: report.isv_prod_id,
        isvsvn: report.isv_svn,
        attributes: format!("{flags:#x}"),
        xfrm: format!("{xfrm:#x}"),
        miscselect: format!("{:#x}", report.misc_select),
        report_data: hex(&report.report_data),
        kss: (flags & KSS != 0).then(|| KssClaims {
            configid: hex(&kss.config_id),
            configsvn: kss.config_svn,
            isvextprodid: hex(&kss.ext_prod_id),
            isvfamilyid: hex(&kss.family_id),
        }),
        platform: platform(&context.judged)?,
    };
    // Texts and numbers always become JSON.
    Some(serde_json::to_value(claims).unwrap_or_default())
}
