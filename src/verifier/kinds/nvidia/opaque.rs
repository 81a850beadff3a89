//! NVIDIA's opaque data: fields of a number, a length and octets, as its attestation SDK names them.

use std::collections::BTreeMap;

use super::container::Unreadable;
use super::report::Reader;

pub(super) const DRIVER_VERSION: u16 = 3;
pub(super) const VBIOS_VERSION: u16 = 6;
pub(super) const NVDEC0_STATUS: u16 = 11;
pub(super) const BOARD_ID: u16 = 14;
pub(super) const CHIP_SKU: u16 = 15;
pub(super) const PROJECT: u16 = 17;
pub(super) const PROJECT_SKU: u16 = 18;
pub(super) const FWID: u16 = 20;
pub(super) const PROTECTED_PCIE: u16 = 21;
pub(super) const SWITCH_PDI: u16 = 22;
pub(super) const SWITCH_POSITION: u16 = 24;
pub(super) const SWITCH_LOCK: u16 = 25;
pub(super) const FEATURE_FLAG: u16 = 36;

/// Every field, each once.
pub(super) fn read(octets: &[u8]) -> Result<BTreeMap<u16, Vec<u8>>, Unreadable> {
    let mut rest = Reader(octets);
    let mut fields = BTreeMap::new();
    while !rest.0.is_empty() {
        let (number, length) = (rest.u16()?, rest.u16()?);
        let value = rest.take(usize::from(length))?.to_vec();
        if fields.insert(number, value).is_some() {
            return Err(Unreadable::NotCanonical(format!(
                "field {number} of the opaque data is there twice"
            )));
        }
    }
    Ok(fields)
}

/// A text, without the zeros that fill its field.
pub(super) fn text(octets: &[u8]) -> Option<&str> {
    let end = octets.iter().rposition(|octet| *octet != 0).map_or(0, |last| last.saturating_add(1));
    let text = std::str::from_utf8(octets.get(..end)?).ok()?;
    (!text.is_empty() && text.bytes().all(|octet| octet.is_ascii_graphic())).then_some(text)
}

/// The version of the VBIOS as people write it: GPUs have a number of 8 octets, switches a text.
pub(super) fn vbios(octets: &[u8]) -> Option<String> {
    match octets {
        // A little-endian number and, after it, the version of the OEM.
        [number @ .., oem, 0, 0, 0] if number.len() == 4 => {
            let parts: Vec<String> =
                number.iter().rev().chain([oem]).map(|part| format!("{part:02x}")).collect();
            Some(parts.join("."))
        }
        _ => text(octets).map(str::to_owned),
    }
}

/// How a GPU is passed through, where the report says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// One GPU to a machine.
    Single,
    /// Several, with the links between them encrypted.
    Multi,
    /// Several, with links that are protected by being inside the chassis alone.
    ProtectedPcie,
}

impl Mode {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Single => "single-passthrough",
            Self::Multi => "multi-passthrough",
            Self::ProtectedPcie => "protected-pcie",
        }
    }
}

/// The mode by the newer field, or whether Protected PCIe is on by the older one; both must agree.
pub(super) fn mode(fields: &BTreeMap<u16, Vec<u8>>) -> Result<Option<Mode>, String> {
    let protected = match fields.get(&PROTECTED_PCIE).map(Vec::as_slice) {
        None => None,
        Some([0x55]) => Some(false),
        Some([0xaa]) => Some(true),
        Some(other) => return Err(format!("Protected PCIe status {other:02x?} is none that is known")),
    };
    let flag = match fields.get(&FEATURE_FLAG).map(Vec::as_slice) {
        None => None,
        Some([0, 0]) => Some(Mode::Single),
        Some([1, 0]) => Some(Mode::Multi),
        Some([2, 0]) => Some(Mode::ProtectedPcie),
        Some(other) => return Err(format!("feature flag {other:02x?} is none that is known")),
    };
    match (protected, flag) {
        (Some(protected), Some(flag)) if protected != (flag == Mode::ProtectedPcie) => {
            Err(format!("the feature flag says {}, the Protected PCIe status does not", flag.name()))
        }
        (_, Some(flag)) => Ok(Some(flag)),
        (Some(true), None) => Ok(Some(Mode::ProtectedPcie)),
        (Some(false), None) => Ok(Some(Mode::Single)),
        (None, None) => Ok(None),
    }
}
