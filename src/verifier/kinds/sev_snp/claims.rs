//! What a report says, as the Attester's claims in the result. Whether it is true, the checks say.

use data_encoding::HEXLOWER;
use serde::Serialize;

use super::generation::Generation;
use super::report::{Report, SigningKey, Tcb};

#[derive(Serialize)]
struct Claims {
    version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signing_key: Option<&'static str>,
    chip_id: String,
    measurement: String,
    report_data: String,
    host_data: String,
    family_id: String,
    image_id: String,
    id_key_digest: String,
    author_key_digest: String,
    report_id: String,
    report_id_ma: String,
    vmpl: u32,
    guest_svn: u32,
    policy: String,
    platform_info: String,
    reported_tcb: Tcb,
    current_tcb: Tcb,
    committed_tcb: Tcb,
    launch_tcb: Tcb,
    #[serde(skip_serializing_if = "Option::is_none")]
    mitigations: Option<String>,
}

/// The claims of a report; its generation is by CPUID, in version 2 by the certificates.
pub(super) fn of(report: &Report, generation: Option<Generation>) -> serde_json::Value {
    let fields = report.fields();
    let claims = Claims {
        version: fields.version,
        generation: generation.map(Generation::name),
        signing_key: report.signing_key().ok().map(SigningKey::name),
        chip_id: HEXLOWER.encode(&fields.chip_id),
        measurement: HEXLOWER.encode(&fields.measurement),
        report_data: HEXLOWER.encode(&fields.report_data),
        host_data: HEXLOWER.encode(&fields.host_data),
        family_id: HEXLOWER.encode(&fields.family_id),
        image_id: HEXLOWER.encode(&fields.image_id),
        id_key_digest: HEXLOWER.encode(&fields.id_key_digest),
        author_key_digest: HEXLOWER.encode(&fields.author_key_digest),
        report_id: HEXLOWER.encode(&fields.report_id),
        report_id_ma: HEXLOWER.encode(&fields.report_id_ma),
        vmpl: fields.vmpl,
        guest_svn: fields.guest_svn,
        policy: format!("{:#x}", report.policy()),
        platform_info: format!("{:#x}", u64::from(fields.plat_info)),
        reported_tcb: fields.reported_tcb.into(),
        current_tcb: fields.current_tcb.into(),
        committed_tcb: fields.committed_tcb.into(),
        launch_tcb: fields.launch_tcb.into(),
        mitigations: fields.current_mit_vector.map(|vector| format!("{vector:#x}")),
    };
    // Texts and numbers always become JSON.
    serde_json::to_value(claims).unwrap_or_default()
}
