//! What the appraisal policy may ask of NVIDIA's devices.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::device::NvidiaGeneration;
use crate::verifier::policy::{Id, NamedBy, hex};

/// Octets of a serial number (RFC 5280 section 4.1.2.2).
const MAX_SERIAL_BYTES: usize = 20;

/// The sections `[nvidia_gpu]` and `[nvidia_switch]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::verifier) struct Policy {
    pub(in crate::verifier) require_reference_value: bool,
    pub(super) require_revocation: bool,
    pub(super) denied_generations: BTreeSet<NvidiaGeneration>,
    /// Any, if there is none.
    pub(super) driver_versions: Vec<String>,
    pub(super) vbios_versions: Vec<String>,
    pub(super) allow_protected_pcie: bool,
    #[serde(rename = "min_driver_version")]
    pub(super) min_driver: Option<Version<DECIMAL>>,
    #[serde(rename = "min_vbios_version")]
    pub(super) min_vbios: BTreeMap<NvidiaGeneration, Version<HEX>>,
    #[serde(rename = "machine")]
    pub(super) machines: NamedBy<Serial>,
}

/// Fail closed: what a policy does not say is strict, as far as strictness needs no value of the owner's.
impl Default for Policy {
    fn default() -> Self {
        Self {
            require_reference_value: true,
            require_revocation: true,
            denied_generations: BTreeSet::new(),
            driver_versions: Vec::new(),
            vbios_versions: Vec::new(),
            allow_protected_pcie: false,
            min_driver: None,
            min_vbios: BTreeMap::new(),
            machines: NamedBy::default(),
        }
    }
}

/// The serial number of a device that may be used.
#[derive(Debug, Clone)]
pub(super) enum Serial {}

impl Id for Serial {
    const KEY: &'static str = "serial";

    fn read(text: &str) -> Result<Vec<u8>, String> {
        hex(text, 1..=MAX_SERIAL_BYTES)
    }
}

/// The radixes in which versions of drivers and of VBIOSes are written.
pub(super) const DECIMAL: u32 = 10;
pub(super) const HEX: u32 = 16;

/// A version, number by number. What is left out at the end is below zero: 535.86 comes before 535.86.0.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Version<const RADIX: u32> {
    numbers: Vec<u32>,
    text: String,
}

impl<const RADIX: u32> PartialEq for Version<RADIX> {
    fn eq(&self, other: &Self) -> bool {
        self.numbers == other.numbers
    }
}

impl<const RADIX: u32> PartialOrd for Version<RADIX> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        self.numbers.partial_cmp(&other.numbers)
    }
}

impl<const RADIX: u32> Version<RADIX> {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let number = |part: &str| u32::from_str_radix(part, RADIX).ok().filter(|_| !part.starts_with('+'));
        let numbers = text.split('.').map(number).collect::<Option<_>>()?;
        Some(Self { numbers, text: text.to_owned() })
    }
}

impl<const RADIX: u32> TryFrom<String> for Version<RADIX> {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| format!("{text:?} is no version"))
    }
}

impl<const RADIX: u32> std::fmt::Display for Version<RADIX> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_number_by_number() {
        let decimal = Version::<DECIMAL>::parse;
        assert!(decimal("590.12") > decimal("570.86.10"));
        assert!(decimal("550.90.07") >= decimal("550.90.7"));
        assert!(decimal("570.9") < decimal("570.86"));
        assert!(decimal("535.86") < decimal("535.86.0"));
        let hex = Version::<HEX>::parse;
        assert!(hex("96.00.af.00.01") > hex("96.00.9F.00.01"));
        for text in ["", "535.", "x", "+1", "5 35", "4294967296"] {
            assert_eq!(decimal(text), None, "{text}");
        }
    }
}
