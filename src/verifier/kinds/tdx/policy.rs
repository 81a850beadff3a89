//! What the appraisal policy may ask of a TD.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::super::intel::{Ppid, TcbRules};
use super::REGISTER_BYTES;
use crate::verifier::policy::{Hex, NamedBy};

/// A register that is pinned.
pub(super) type Register = Hex<REGISTER_BYTES>;

/// The section `[tdx]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::verifier) struct Policy {
    pub(in crate::verifier) require_reference_value: bool,
    pub(super) require_event_log: bool,
    /// Whether a log that says so must say that the firmware enforced signatures.
    pub(super) require_secure_boot: bool,
    /// Text that the proven data of an event must have, each in some event.
    pub(super) required_events: BTreeSet<String>,
    /// Bits of the attributes that must be set, and that must not be, beyond what is never allowed.
    pub(super) required_attributes: u64,
    pub(super) forbidden_attributes: u64,
    /// Bits of XFAM that must not be set.
    pub(super) forbidden_xfam: u64,
    pub(super) tcb: TcbRules,
    #[serde(rename = "machine")]
    pub(super) machines: NamedBy<Ppid>,
    pub(super) mrseam: Vec<Register>,
    pub(super) mrsignerseam: Vec<Register>,
    pub(super) mrconfigid: Vec<Register>,
    pub(super) mrowner: Vec<Register>,
    pub(super) mrownerconfig: Vec<Register>,
    #[serde(rename = "service_td")]
    pub(super) service_tds: Vec<Register>,
}

/// Fail closed: what a policy does not say is strict, as far as strictness needs no value of the owner's.
impl Default for Policy {
    fn default() -> Self {
        Self {
            require_reference_value: true,
            require_event_log: false,
            require_secure_boot: true,
            required_events: BTreeSet::new(),
            required_attributes: 0,
            forbidden_attributes: 0,
            forbidden_xfam: 0,
            tcb: TcbRules::default(),
            machines: NamedBy::default(),
            mrseam: Vec::new(),
            mrsignerseam: Vec::new(),
            mrconfigid: Vec::new(),
            mrowner: Vec::new(),
            mrownerconfig: Vec::new(),
            service_tds: Vec::new(),
        }
    }
}
