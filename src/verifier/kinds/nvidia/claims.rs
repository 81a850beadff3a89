//! What a report says, as the Attester's claims in the result. Whether it is true, the checks say.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use serde::Serialize;

use super::device::Device;
use super::opaque;
use super::report::Report;

#[derive(Serialize)]
struct Claims {
    #[serde(skip_serializing_if = "Option::is_none")]
    chip: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    serial: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dmtf_serial: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fwid: Option<String>,
    nonce: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    driver_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vbios_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    project_sku: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chip_sku: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    board_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nvdec0_status: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    switch_pdi: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    switch_position: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    switch_lock: Option<String>,
    /// Those that are not all zero.
    measurements: BTreeMap<String, String>,
}

/// The claims of a report, and of the certificates as far as they could be read.
pub(super) fn of(report: &Report, device: Option<&Device>) -> serde_json::Value {
    let field = |number: u16| report.opaque.get(&number).map(Vec::as_slice);
    let text = |number: u16| field(number).and_then(opaque::text).map(str::to_owned);
    let hex = |number: u16| field(number).map(|octets| HEXLOWER.encode(octets));
    let measured = super::registers(report).into_iter();
    let measured = measured.filter(|(_, value)| value.iter().any(|octet| *octet != 0));
    let claims = Claims {
        chip: device.map(|device| device.chip.clone()),
        generation: device.map(|device| device.generation.name()),
        model: device.map(|device| device.model.clone()),
        serial: device.map(|device| HEXLOWER.encode(&device.serial)),
        dmtf_serial: device.map(|device| device.dmtf_serial.clone()),
        fwid: device.map(|device| HEXLOWER.encode(&device.fwid)),
        nonce: HEXLOWER.encode(&report.nonce),
        driver_version: text(opaque::DRIVER_VERSION),
        vbios_version: field(opaque::VBIOS_VERSION).and_then(opaque::vbios),
        mode: opaque::mode(&report.opaque).ok().flatten().map(opaque::Mode::name),
        project: text(opaque::PROJECT),
        project_sku: text(opaque::PROJECT_SKU),
        chip_sku: text(opaque::CHIP_SKU),
        board_id: hex(opaque::BOARD_ID),
        nvdec0_status: hex(opaque::NVDEC0_STATUS),
        switch_pdi: hex(opaque::SWITCH_PDI),
        switch_position: hex(opaque::SWITCH_POSITION),
        switch_lock: hex(opaque::SWITCH_LOCK),
        measurements: measured.map(|(name, value)| (name, HEXLOWER.encode(&value))).collect(),
    };
    // Texts always become JSON.
    serde_json::to_value(claims).unwrap_or_default()
}
