//! What the appraisal policy may ask of NVIDIA's devices.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::device::NvidiaGeneration;
use crate::verifier::policy::PolicyError;

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
    min_driver_version: Option<String>,
    min_vbios_version: BTreeMap<NvidiaGeneration, String>,
    #[serde(rename = "machine")]
    machine_table: Vec<MachineText>,
    #[serde(skip)]
    pub(super) min_driver: Option<Version>,
    #[serde(skip)]
    pub(super) min_vbios: BTreeMap<NvidiaGeneration, Version>,
    #[serde(skip)]
    pub(super) machines: Vec<Machine>,
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
            min_driver_version: None,
            min_vbios_version: BTreeMap::new(),
            machine_table: Vec::new(),
            min_driver: None,
            min_vbios: BTreeMap::new(),
            machines: Vec::new(),
        }
    }
}

/// A device that may be used.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    pub(super) name: String,
    pub(super) serial: Vec<u8>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct MachineText {
    name: String,
    serial: String,
}

impl Policy {
    /// Reads what is written as text.
    pub(in crate::verifier) fn read(&mut self) -> Result<(), PolicyError> {
        let bad = |what: &str, reason: String| PolicyError::Value { what: what.to_owned(), reason };
        if let Some(text) = &self.min_driver_version {
            let version = Version::parse(text, Radix::Decimal);
            self.min_driver =
                Some(version.ok_or_else(|| bad("min_driver_version", format!("{text:?} is no version")))?);
        }
        for (generation, text) in &self.min_vbios_version {
            let version = Version::parse(text, Radix::Hex);
            let version =
                version.ok_or_else(|| bad("min_vbios_version", format!("{text:?} is no version")))?;
            self.min_vbios.insert(*generation, version);
        }
        for MachineText { name, serial } in std::mem::take(&mut self.machine_table) {
            let serial = data_encoding::HEXLOWER_PERMISSIVE.decode(serial.as_bytes()).unwrap_or_default();
            if serial.is_empty() || serial.len() > MAX_SERIAL_BYTES {
                return Err(bad(
                    "machine",
                    format!("a serial number is 1 to {MAX_SERIAL_BYTES} octets in hex"),
                ));
            }
            self.machines.push(Machine { name, serial });
        }
        Ok(())
    }
}

/// In which a version's numbers are written.
#[derive(Debug, Clone, Copy)]
pub(super) enum Radix {
    Decimal = 10,
    Hex = 16,
}

/// A version, number by number. What is left out at the end is below zero: 535.86 comes before 535.86.0.
#[derive(Debug, Clone)]
pub(super) struct Version {
    numbers: Vec<u32>,
    text: String,
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.numbers == other.numbers
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        self.numbers.partial_cmp(&other.numbers)
    }
}

impl Version {
    pub(super) fn parse(text: &str, radix: Radix) -> Option<Self> {
        let number =
            |part: &str| u32::from_str_radix(part, radix as u32).ok().filter(|_| !part.starts_with('+'));
        let numbers = text.split('.').map(number).collect::<Option<_>>()?;
        Some(Self { numbers, text: text.to_owned() })
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_number_by_number() {
        let decimal = |text| Version::parse(text, Radix::Decimal);
        assert!(decimal("590.12") > decimal("570.86.10"));
        assert!(decimal("550.90.07") >= decimal("550.90.7"));
        assert!(decimal("570.9") < decimal("570.86"));
        assert!(decimal("535.86") < decimal("535.86.0"));
        let hex = |text| Version::parse(text, Radix::Hex);
        assert!(hex("96.00.af.00.01") > hex("96.00.9F.00.01"));
        for text in ["", "535.", "x", "+1", "5 35", "4294967296"] {
            assert_eq!(decimal(text), None, "{text}");
        }
    }
}
