//! What the appraisal policy may ask of SEV-SNP.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::generation::Generation;
use super::report::{SigningKey, Tcb};
use crate::verifier::policy::{Hex, Id, NamedBy, hex};

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
    pub(super) machines: NamedBy<ChipId>,
    #[serde(rename = "id_key_digests")]
    pub(super) id_keys: Vec<Hex<48>>,
    #[serde(rename = "author_key_digests")]
    pub(super) author_keys: Vec<Hex<48>>,
}

/// Fail closed: what a policy does not say is strict, as far as strictness needs no value of the owner's.
impl Default for Policy {
    fn default() -> Self {
        Self {
            require_reference_value: true,
            require_crl: true,
            require_tcb_floor: true,
            signing_keys: BTreeSet::from([SigningKey::Vcek]),
            vmpl: BTreeSet::from([0]),
            denied_generations: BTreeSet::new(),
            tcb_floor: BTreeMap::new(),
            mitigations: BTreeMap::new(),
            guest: GuestPolicyRules::default(),
            platform: PlatformRules::default(),
            machines: NamedBy::default(),
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

/// The chip's id, as the report has it.
#[derive(Debug, Clone)]
pub(super) enum ChipId {}

impl Id for ChipId {
    const KEY: &'static str = "chip_id";

    fn read(text: &str) -> Result<Vec<u8>, String> {
        hex(text, 64..=64)
    }
}
