//! The appraisal policy: what its owner requires of a platform, as data.
//!
//! Unknown keys are refused, and a key left out takes its strict value. What the owner accepts against the rules
//! is a waiver with a reason and an end, and shows in every result that it changed. The policy is identified by the
//! SHA-256 of its octets as written.
//! Out of scope: which policy is in force (that is a question to the log).

use std::collections::{BTreeMap, BTreeSet};

use data_encoding::{BASE64URL_NOPAD, HEXLOWER_PERMISSIVE};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::checks;
use super::roots::Generation;
use super::sev_snp::{SigningKey, Tcb};
use crate::clock;

/// Octets of a policy: a thousand machines by name and chip are about 200 KiB.
pub const MAX_POLICY_BYTES: usize = 256 * 1024;

/// What `treering appraise` uses without a policy: authenticity, and what no platform may be (debug, migration), with
/// no floor and no reference value.
const BASELINE: &str = include_str!("baseline.toml");

/// Why octets are not a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Too large.
    #[error("an appraisal policy has at most {MAX_POLICY_BYTES} octets, got {0}")]
    TooLarge(usize),
    /// Not TOML of the form, or with an unknown key.
    #[error("not an appraisal policy: {0}")]
    Form(String),
    /// A format version from elsewhere.
    #[error("appraisal policy version {0}, want 1")]
    Version(u32),
    /// A waiver names a check that there is not, or that may never be waived.
    #[error("check {name:?} cannot be waived; these can: {waivable}")]
    NotWaivable {
        /// What the policy names.
        name: String,
        /// What it may name.
        waivable: String,
    },
    /// A value that cannot be read.
    #[error("{what}: {reason}")]
    Value {
        /// Where.
        what: String,
        /// Why.
        reason: String,
    },
}

/// An appraisal policy, read and valid.
#[derive(Debug, Clone)]
pub struct AppraisalPolicy {
    bytes: Vec<u8>,
    name: String,
    snp: SnpPolicy,
    waivers: Vec<Waiver>,
}

/// A check that the owner of the policy lets fail, for a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiver {
    /// The check.
    pub check: String,
    /// Why.
    pub reason: String,
    /// Until when, Unix seconds; from then on the check counts again.
    pub until: u64,
}

/// Requirements on SEV-SNP.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct SnpPolicy {
    pub(super) require_reference_value: bool,
    pub(super) require_crl: bool,
    pub(super) require_tcb_floor: bool,
    pub(super) signing_keys: BTreeSet<SigningKey>,
    pub(super) vmpl: BTreeSet<u32>,
    pub(super) denied_generations: BTreeSet<Generation>,
    pub(super) tcb_floor: BTreeMap<Generation, Tcb>,
    /// Bits that must be set in CURRENT_MIT_VECTOR, by generation.
    pub(super) mitigations: BTreeMap<Generation, u64>,
    pub(super) guest_policy: GuestPolicyRules,
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
impl Default for SnpPolicy {
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
            guest_policy: GuestPolicyRules::default(),
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
#[derive(Debug, Clone, Default, Deserialize)]
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
#[derive(Debug, Clone, Default, Deserialize)]
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyFile {
    version: u32,
    name: String,
    #[serde(default)]
    sev_snp: SnpPolicy,
    #[serde(default, rename = "waiver")]
    waivers: Vec<WaiverText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WaiverText {
    check: String,
    reason: String,
    until: String,
}

impl AppraisalPolicy {
    /// Reads a policy in TOML.
    pub fn parse(bytes: &[u8]) -> Result<Self, PolicyError> {
        if bytes.len() > MAX_POLICY_BYTES {
            return Err(PolicyError::TooLarge(bytes.len()));
        }
        let text = std::str::from_utf8(bytes).map_err(|error| PolicyError::Form(error.to_string()))?;
        let file: PolicyFile =
            toml::from_str(text).map_err(|error| PolicyError::Form(error.message().to_owned()))?;
        if file.version != 1 {
            return Err(PolicyError::Version(file.version));
        }
        let mut snp = file.sev_snp;
        for machine in std::mem::take(&mut snp.machine_table) {
            let chip_id = hex("machine", &machine.chip_id, 64)?;
            snp.machines.push(Machine { name: machine.name, chip_id });
        }
        snp.id_keys = hexes("id_key_digests", &snp.id_key_text)?;
        snp.author_keys = hexes("author_key_digests", &snp.author_key_text)?;
        let waivers = file.waivers.into_iter().map(WaiverText::read).collect::<Result<_, _>>()?;
        Ok(Self { bytes: bytes.to_vec(), name: file.name, snp, waivers })
    }

    /// The policy of `treering appraise` without one: genuine hardware of any TCB, any measurement.
    pub fn baseline() -> Self {
        // A test parses the text.
        Self::parse(BASELINE.as_bytes()).unwrap_or_else(|_| Self::strictest())
    }

    fn strictest() -> Self {
        Self {
            bytes: Vec::new(),
            name: "strictest".to_owned(),
            snp: SnpPolicy::default(),
            waivers: Vec::new(),
        }
    }

    /// The octets as written.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The name the owner gave it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// SHA-256 of the octets.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(&self.bytes).into()
    }

    /// The digest as a URI (RFC 6920).
    pub fn id(&self) -> String {
        ni_uri(&self.digest())
    }

    /// The waivers.
    pub fn waivers(&self) -> &[Waiver] {
        &self.waivers
    }

    /// Whether a measurement must be among the reference values.
    pub fn requires_reference_value(&self) -> bool {
        self.snp.require_reference_value
    }

    pub(super) fn snp(&self) -> &SnpPolicy {
        &self.snp
    }

    pub(super) fn waiver(&self, check: &str, now: u64) -> Option<&Waiver> {
        self.waivers.iter().find(|waiver| waiver.check == check && now < waiver.until)
    }
}

impl WaiverText {
    fn read(self) -> Result<Waiver, PolicyError> {
        if !checks::is_waivable(&self.check) {
            return Err(PolicyError::NotWaivable {
                name: self.check,
                waivable: checks::waivable().join(", "),
            });
        }
        let what = format!("waiver of {}", self.check);
        if self.reason.trim().is_empty() {
            return Err(PolicyError::Value { what, reason: "a waiver says its reason".to_owned() });
        }
        let until = clock::parse_rfc3339(&self.until)
            .map_err(|error| PolicyError::Value { what, reason: error.to_string() })?;
        Ok(Waiver { check: self.check, reason: self.reason, until })
    }
}

fn hexes(what: &str, texts: &[String]) -> Result<Vec<Vec<u8>>, PolicyError> {
    texts.iter().map(|text| hex(what, text, 48)).collect()
}

fn hex(what: &str, text: &str, octets: usize) -> Result<Vec<u8>, PolicyError> {
    let error = |reason: String| PolicyError::Value { what: what.to_owned(), reason };
    let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).map_err(|_| error("not hex".to_owned()))?;
    if bytes.len() == octets {
        Ok(bytes)
    } else {
        Err(error(format!("want {octets} octets, got {}", bytes.len())))
    }
}

/// A digest as a URI: `ni:///sha-256;` and base64url (RFC 6920).
pub fn ni_uri(digest: &[u8; 32]) -> String {
    format!("ni:///sha-256;{}", BASE64URL_NOPAD.encode(digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<AppraisalPolicy, PolicyError> {
        AppraisalPolicy::parse(text.as_bytes())
    }

    #[test]
    fn the_baseline_is_what_it_says() {
        let policy = AppraisalPolicy::baseline();
        assert_eq!(policy.name(), "baseline");
        assert!(!policy.requires_reference_value());
        assert!(policy.waivers().is_empty());
    }

    #[test]
    fn what_is_left_out_is_strict() {
        let policy = parse("version = 1\nname = \"x\"").unwrap();
        assert!(policy.snp().require_reference_value && policy.snp().require_tcb_floor);
        assert_eq!(policy.snp().vmpl, BTreeSet::from([0]));
        assert_eq!(policy.snp().signing_keys, BTreeSet::from([SigningKey::Vcek]));
    }

    #[test]
    fn unknown_keys_and_bad_values_are_refused() {
        let refused = [
            "version = 2\nname = \"x\"",
            "name = \"x\"",
            "version = 1\nname = \"x\"\nextra = 1",
            "version = 1\nname = \"x\"\n[sev_snp]\nrequire_referense_value = false",
            "version = 1\nname = \"x\"\n[sev_snp.tcb_floor.rome]\nbootloader=1\ntee=0\nsnp=1\nmicrocode=1",
            "version = 1\nname = \"x\"\n[sev_snp.tcb_floor.milan]\nbootloader=1",
            "version = 1\nname = \"x\"\n[[sev_snp.machine]]\nname = \"a\"\nchip_id = \"00\"",
            "version = 1\nname = \"x\"\n[sev_snp]\nid_key_digests = [\"zz\"]",
            "version = 1\nname = \"x\"\n[[waiver]]\ncheck = \"debug\"\nreason = \"x\"\nuntil = \"soon\"",
            "version = 1\nname = \"x\"\n[[waiver]]\ncheck = \"debug\"\nreason = \" \"\nuntil = \"2030-01-01T00:00:00Z\"",
            "version = 1\nname = \"x\"\n[[waiver]]\ncheck = \"debug\"\nreason = \"no end\"",
        ];
        for text in refused {
            parse(text).unwrap_err();
        }
    }

    #[test]
    fn what_proves_authenticity_cannot_be_waived() {
        for check in
            ["signature", "chain", "root", "canonical", "validity", "revocation", "tcb-binding", "nonsense"]
        {
            let text = format!(
                "version = 1\nname = \"x\"\n[[waiver]]\ncheck = \"{check}\"\nreason = \"r\"\nuntil = \"2030-01-01T00:00:00Z\""
            );
            assert!(matches!(parse(&text), Err(PolicyError::NotWaivable { .. })), "{check}");
        }
    }

    #[test]
    fn a_waiver_ends() {
        let text = "version = 1\nname = \"x\"\n[[waiver]]\ncheck = \"debug\"\nreason = \"r\"\nuntil = \"2030-01-01T00:00:00Z\"";
        let policy = parse(text).unwrap();
        assert!(policy.waiver("debug", 1_893_455_999).is_some());
        assert!(policy.waiver("debug", 1_893_456_000).is_none());
        assert!(policy.waiver("migration", 0).is_none());
    }

    #[test]
    fn the_id_is_the_hash_of_the_octets() {
        let one = parse("version = 1\nname = \"x\"").unwrap();
        let other = parse("version = 1\nname = \"x\"\n").unwrap();
        assert_ne!(one.id(), other.id());
        assert!(one.id().starts_with("ni:///sha-256;"));
        assert_eq!(one.id().len(), "ni:///sha-256;".len() + 43);
    }
}
