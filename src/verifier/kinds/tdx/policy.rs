//! What the appraisal policy may ask of a TD.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::super::intel::{Machine, MachineText, TcbRules};
use crate::verifier::policy::{PolicyError, hexes};

/// The section `[tdx]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::verifier) struct Policy {
    pub(in crate::verifier) require_reference_value: bool,
    pub(super) require_event_log: bool,
    /// Text that the proven data of an event must have, each in some event.
    pub(super) required_events: BTreeSet<String>,
    /// Bits of the attributes that must be set, and that must not be, beyond what is never allowed.
    pub(super) required_attributes: u64,
    pub(super) forbidden_attributes: u64,
    /// Bits of XFAM that must not be set.
    pub(super) forbidden_xfam: u64,
    pub(super) tcb: TcbRules,
    #[serde(rename = "machine")]
    machine_table: Vec<MachineText>,
    #[serde(rename = "mrseam")]
    mrseam_text: Vec<String>,
    #[serde(rename = "mrsignerseam")]
    mrsignerseam_text: Vec<String>,
    #[serde(rename = "mrconfigid")]
    mrconfigid_text: Vec<String>,
    #[serde(rename = "mrowner")]
    mrowner_text: Vec<String>,
    #[serde(rename = "mrownerconfig")]
    mrownerconfig_text: Vec<String>,
    #[serde(rename = "service_td")]
    service_td_text: Vec<String>,
    #[serde(skip)]
    pub(super) machines: Vec<Machine>,
    #[serde(skip)]
    pub(super) mrseam: Vec<Vec<u8>>,
    #[serde(skip)]
    pub(super) mrsignerseam: Vec<Vec<u8>>,
    #[serde(skip)]
    pub(super) mrconfigid: Vec<Vec<u8>>,
    #[serde(skip)]
    pub(super) mrowner: Vec<Vec<u8>>,
    #[serde(skip)]
    pub(super) mrownerconfig: Vec<Vec<u8>>,
    #[serde(skip)]
    pub(super) service_tds: Vec<Vec<u8>>,
}

/// Fail closed: what a policy does not say is strict, as far as strictness needs no value of the owner's.
impl Default for Policy {
    fn default() -> Self {
        Self {
            require_reference_value: true,
            require_event_log: false,
            required_events: BTreeSet::new(),
            required_attributes: 0,
            forbidden_attributes: 0,
            forbidden_xfam: 0,
            tcb: TcbRules::default(),
            machine_table: Vec::new(),
            mrseam_text: Vec::new(),
            mrsignerseam_text: Vec::new(),
            mrconfigid_text: Vec::new(),
            mrowner_text: Vec::new(),
            mrownerconfig_text: Vec::new(),
            service_td_text: Vec::new(),
            machines: Vec::new(),
            mrseam: Vec::new(),
            mrsignerseam: Vec::new(),
            mrconfigid: Vec::new(),
            mrowner: Vec::new(),
            mrownerconfig: Vec::new(),
            service_tds: Vec::new(),
        }
    }
}

impl Policy {
    /// Reads what is written as text.
    pub(in crate::verifier) fn read(&mut self) -> Result<(), PolicyError> {
        self.tcb.read("tdx")?;
        for machine in std::mem::take(&mut self.machine_table) {
            self.machines.push(machine.read()?);
        }
        self.mrseam = hexes("mrseam", &self.mrseam_text, super::REGISTER_BYTES)?;
        self.mrsignerseam = hexes("mrsignerseam", &self.mrsignerseam_text, super::REGISTER_BYTES)?;
        self.mrconfigid = hexes("mrconfigid", &self.mrconfigid_text, super::REGISTER_BYTES)?;
        self.mrowner = hexes("mrowner", &self.mrowner_text, super::REGISTER_BYTES)?;
        self.mrownerconfig = hexes("mrownerconfig", &self.mrownerconfig_text, super::REGISTER_BYTES)?;
        self.service_tds = hexes("service_td", &self.service_td_text, super::REGISTER_BYTES)?;
        Ok(())
    }
}
