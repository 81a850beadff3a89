//! What the appraisal policy may ask of SEV-SNP.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::generation::Generation;
use super::report::{SigningKey, Tcb};
use crate::verifier::policy::{PolicyError, hex, hexes};

/// The section `[sev_snp]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::verifier) struct Policy {
    pub(in crate::verifier) require_reference_value: bool,
    pub(super) require_crl: bool,
    pub(in crate::verifier) require_tcb_floor: bool,
    pub(super) signing_keys: BTreeSet<SigningKey>,
    pub(in crate::verifier) vmpl: BTreeSet<u32>,
    pub(super) denied_generations: BTreeSet<Generation>,
    pub(super) tcb_floor: BTreeMap<Generation, Tcb>,
    /// Bits that must be set in CURRENT_MIT_VECTOR, by generation.
    pub(super) mitigations: BTreeMap<Generation, u64>,
    #[serde(rename = "guest_policy")]
    pub(super) guest: GuestPolicyRules,
    pub(super) platform: PlatformRules,
    #[serde(rename = "machine")]
    machine_table: Vec<MachineText>,
    #[serde(rename = "id_key_digests")]
    id_key_text: Vec<String>,
    #[serde(rename = "author_key_digests")]
    author_key_text: Vec<String>,
    #[serde(skip)]
    pub(super) machines: Vec<Machine>,
    #[serde(skip)]
    pub(super) id_keys: Vec<Vec<u8>>,
    #[serde(skip)]
    pub(super) author_keys: Vec<Vec<u8>>,
}

/// Fail closed: what a policy does not say is strict, as far as strictness needs no value of the owner's.
impl Default for Policy {
    fn default() -> Self {
        Self {
            require_reference_value: true,
            require_crl: false,
            require_tcb_floor: true,
            signing_keys: BTreeSet::from([SigningKey::Vcek]),
            vmpl: BTreeSet::from([0]),
            denied_generations: BTreeSet::new(),
            tcb_floor: BTreeMap::new(),
            mitigations: BTreeMap::new(),
            guest: GuestPolicyRules::default(),
            platform: PlatformRules::default(),
            machine_table: Vec::new(),
            id_key_text: Vec::new(),
            author_key_text: Vec::new(),
            machines: Vec::new(),
            id_keys: Vec::new(),
            author_keys: Vec::new(),
        }
    }
}

/// Rules for POLICY, which the guest's owner chose at launch. DEBUG and MIGRATE_MA have checks of their own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a bit of the report")]
pub(super) struct GuestPolicyRules {
    pub(super) forbid_smt: bool,
    pub(super) require_single_socket: bool,
    pub(super) forbid_cxl: bool,
    pub(super) require_aes_256_xts: bool,
    pub(super) require_rapl_disabled: bool,
    pub(super) require_ciphertext_hiding: bool,
    pub(super) require_page_swap_disabled: bool,
    /// Least ABI version as [major, minor].
    pub(super) min_abi: Option<(u8, u8)>,
}

/// Rules for PLATFORM_INFO, which the host's owner chose.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a bit of the report")]
pub(super) struct PlatformRules {
    pub(super) require_alias_check: bool,
    pub(super) require_ecc: bool,
    pub(super) require_tsme: bool,
    pub(super) require_rapl_disabled: bool,
    pub(super) require_ciphertext_hiding: bool,
    pub(super) forbid_smt: bool,
    pub(super) forbid_tio: bool,
}

/// A machine that may run the workload.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    pub(super) name: String,
    pub(super) chip_id: Vec<u8>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct MachineText {
    name: String,
    chip_id: String,
}

impl Policy {
    /// Reads what is written as text.
    pub(in crate::verifier) fn read(&mut self) -> Result<(), PolicyError> {
        for machine in std::mem::take(&mut self.machine_table) {
            let chip_id = hex("machine", &machine.chip_id, 64)?;
            self.machines.push(Machine { name: machine.name, chip_id });
        }
        self.id_keys = hexes("id_key_digests", &self.id_key_text, 48)?;
        self.author_keys = hexes("author_key_digests", &self.author_key_text, 48)?;
        Ok(())
    }
}
