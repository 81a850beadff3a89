//! The appraisal policy: what its owner requires of a platform, as data.
//!
//! Unknown keys are refused, and a key left out takes its strict value. What the owner accepts against the rules
//! is a waiver with a reason and an end, and shows in every result that it changed. The policy is identified by the
//! SHA-256 of its octets as written, TOML or deterministic CBOR.
//! Out of scope: which policy is in force (that is a question to the log).

mod composite;
mod values;

use std::collections::BTreeMap;

use data_encoding::BASE64URL_NOPAD;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use treering_provenance::strict;

use super::checks::{Found, Outcome, fail};
use super::kinds::{
    self, KINDS, attestation_result, azure, cca, nitro, nvidia, sev_snp, sgx, software, tdx, tpm,
};
use crate::clock;

pub(super) use composite::CompositePolicy;
pub(super) use values::{Hex, Id, NamedBy, hex};

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
    /// Not TOML or deterministic CBOR of the form, or with an unknown key.
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
    digest: [u8; 32],
    sections: Sections,
    waivers: Vec<Waiver>,
}

/// The section `[collateral]`: how old what vendors issue anew may be, and for how long an outage of theirs is borne.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct CollateralPolicy {
    /// Seconds since it was issued, by what it is: `crl`, `ocsp-response`, `tcb-info`, `qe-identity`. Left out: as long as it says itself.
    pub(super) max_age_s: BTreeMap<String, u64>,
    /// Seconds after the end of its time in which it is still used, with a warning in the result.
    pub(super) grace_s: u64,
}

/// What vendors issue anew, by the names that `max_age_s` has for it.
const DATED: &[&str] = &["crl", "ocsp-response", "tcb-info", "qe-identity"];

impl CollateralPolicy {
    /// Whether something issued at `from`, and to be replaced by `until`, may be used now.
    pub(super) fn usable(&self, what: &str, name: &str, from: u64, until: Option<u64>, now: u64) -> Outcome {
        let of = format!("{name} of {}", clock::rfc3339(from));
        if now < from {
            return fail(format!("the {of} is not the one of that time"));
        }
        let oldest = self.max_age_s.get(what).map_or(u64::MAX, |age| from.saturating_add(*age));
        let end = until.unwrap_or(u64::MAX).min(oldest);
        if now <= end {
            return Ok(of);
        }
        let ended =
            format!("the {of} is not the one of that time: it was to be replaced by {}", clock::rfc3339(end));
        if now <= end.saturating_add(self.grace_s) { Err(Found::Graced(ended)) } else { fail(ended) }
    }
}

/// A check that the owner of the policy lets fail, for a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiver {
    /// The check.
    pub check: String,
    /// The kind of evidence; without it, every kind that has this check.
    pub kind: Option<String>,
    /// Why.
    pub reason: String,
    /// Until when, Unix seconds; from then on the check counts again.
    pub until: u64,
}

/// A policy as written: what is required of each kind in the section of its name, and of all.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sections {
    version: u32,
    name: String,
    #[serde(default)]
    pub(super) nvidia_gpu: nvidia::Policy,
    #[serde(default)]
    pub(super) nvidia_switch: nvidia::Policy,
    #[serde(default)]
    pub(super) sev_snp: sev_snp::Policy,
    #[serde(default)]
    pub(super) tdx: tdx::Policy,
    #[serde(default)]
    pub(super) sgx: sgx::Policy,
    #[serde(default)]
    pub(super) external: Vec<attestation_result::External>,
    #[serde(default)]
    pub(super) software: Vec<software::Platform>,
    #[serde(default)]
    pub(super) tpm: tpm::Policy,
    #[serde(default)]
    pub(super) az_snp: azure::Policy,
    #[serde(default)]
    pub(super) az_tdx: azure::Policy,
    #[serde(default)]
    pub(super) nitro: nitro::Policy,
    #[serde(default)]
    pub(super) cca: cca::Policy,
    #[serde(default)]
    composite: CompositePolicy,
    #[serde(default)]
    collateral: CollateralPolicy,
    #[serde(default, rename = "waiver")]
    waivers: Vec<WaiverText>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct WaiverText {
    check: String,
    #[serde(default)]
    kind: Option<String>,
    reason: String,
    until: String,
}

impl Sections {
    /// Of either form: a CBOR map begins with an octet with which no text does.
    fn read(bytes: &[u8]) -> Result<Self, PolicyError> {
        if is_cbor(bytes) {
            let value = strict::decode(bytes, MAX_POLICY_BYTES)
                .map_err(|error| PolicyError::Form(error.to_string()))?;
            return value.deserialized().map_err(|error| PolicyError::Form(error.to_string()));
        }
        let text = std::str::from_utf8(bytes).map_err(|error| PolicyError::Form(error.to_string()))?;
        toml::from_str(text).map_err(|error| PolicyError::Form(error.message().to_owned()))
    }
}

/// Whether octets are a CBOR map rather than TOML.
fn is_cbor(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|first| first >> 5 == 5)
}

impl AppraisalPolicy {
    /// The media type of a policy in one of its two forms.
    pub fn media_type(bytes: &[u8]) -> &'static str {
        if is_cbor(bytes) { "application/cbor" } else { "application/toml" }
    }

    /// Reads a policy: TOML, or the same in deterministic CBOR with the same names.
    pub fn parse(bytes: &[u8]) -> Result<Self, PolicyError> {
        if bytes.len() > MAX_POLICY_BYTES {
            return Err(PolicyError::TooLarge(bytes.len()));
        }
        let mut sections = Sections::read(bytes)?;
        if sections.version != 1 {
            return Err(PolicyError::Version(sections.version));
        }
        sections.composite.check()?;
        let ages = &sections.collateral.max_age_s;
        if let Some(what) = ages.keys().find(|what| !DATED.contains(&what.as_str())) {
            let reason = format!("there is no {what:?}, want one of {DATED:?}");
            return Err(PolicyError::Value { what: "collateral.max_age_s".to_owned(), reason });
        }
        let waivers = std::mem::take(&mut sections.waivers).into_iter().map(WaiverText::read);
        let waivers = waivers.collect::<Result<_, _>>()?;
        Ok(Self { bytes: bytes.to_vec(), digest: Sha256::digest(bytes).into(), sections, waivers })
    }

    /// The policy of `treering appraise` without one: genuine hardware of any TCB, any measurement.
    pub fn baseline() -> Self {
        // A test parses the text.
        Self::parse(BASELINE.as_bytes()).unwrap_or_else(|_| Self::strictest())
    }

    fn strictest() -> Self {
        let sections = Sections { name: "strictest".to_owned(), ..Sections::default() };
        Self { bytes: Vec::new(), digest: Sha256::digest([]).into(), sections, waivers: Vec::new() }
    }

    /// The octets as written.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The name the owner gave it.
    pub fn name(&self) -> &str {
        &self.sections.name
    }

    /// SHA-256 of the octets.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// The digest as a URI (RFC 6920).
    pub fn id(&self) -> String {
        ni_uri(&self.digest())
    }

    /// The waivers.
    pub fn waivers(&self) -> &[Waiver] {
        &self.waivers
    }

    /// What is required of each kind.
    pub(super) fn kinds(&self) -> &Sections {
        &self.sections
    }

    /// Which components evidence must have.
    pub(super) fn composite(&self) -> &CompositePolicy {
        &self.sections.composite
    }

    /// How old collateral may be.
    pub(super) fn collateral(&self) -> &CollateralPolicy {
        &self.sections.collateral
    }

    pub(super) fn waiver(&self, kind: &str, check: &str, now: u64) -> Option<&Waiver> {
        self.waivers_of(kind, check).find(|waiver| now < waiver.until)
    }

    /// Whether there is a waiver of this check, in force or not.
    pub(super) fn waives(&self, kind: &str, check: &str) -> bool {
        self.waivers_of(kind, check).next().is_some()
    }

    fn waivers_of(&self, kind: &str, check: &str) -> impl Iterator<Item = &Waiver> {
        let names = move |waiver: &&Waiver| {
            waiver.check == check && waiver.kind.as_deref().is_none_or(|of| of == kind)
        };
        self.waivers.iter().filter(names)
    }
}

/// Whether some kind, or the kind named, has a check of this name that may be waived.
fn is_waivable(kind: Option<&str>, check: &str) -> bool {
    let mut kinds = KINDS.iter().filter(|one| kind.is_none_or(|name| one.name() == name));
    kinds.any(|one| one.checks().iter().any(|info| info.name == check && info.waivable))
}

/// The names of all checks that may be waived, each once.
fn waivable() -> Vec<&'static str> {
    let mut names: Vec<&str> = Vec::new();
    for info in KINDS.iter().flat_map(|kind| kind.checks()).filter(|info| info.waivable) {
        if !names.contains(&info.name) {
            names.push(info.name);
        }
    }
    names
}

impl WaiverText {
    fn read(self) -> Result<Waiver, PolicyError> {
        if let Some(kind) = self.kind.as_deref().filter(|kind| kinds::by_name(kind).is_none()) {
            let reason = format!("there is no evidence of kind {kind:?}");
            return Err(PolicyError::Value { what: format!("waiver of {}", self.check), reason });
        }
        if !is_waivable(self.kind.as_deref(), &self.check) {
            return Err(PolicyError::NotWaivable { name: self.check, waivable: waivable().join(", ") });
        }
        let what = format!("waiver of {}", self.check);
        if self.reason.trim().is_empty() {
            return Err(PolicyError::Value { what, reason: "a waiver says its reason".to_owned() });
        }
        let until = clock::parse_rfc3339(&self.until)
            .map_err(|error| PolicyError::Value { what, reason: error.to_string() })?;
        Ok(Waiver { check: self.check, kind: self.kind, reason: self.reason, until })
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
        assert!(!policy.kinds().sev_snp.require_reference_value);
        assert!(policy.waivers().is_empty());
    }

    #[test]
    fn what_is_left_out_is_strict() {
        let policy = parse("version = 1\nname = \"x\"").unwrap();
        assert!(policy.kinds().sev_snp.require_reference_value && policy.kinds().sev_snp.require_tcb_floor);
        assert!(policy.kinds().sev_snp.vmpl.iter().eq(&[0]));
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
        for check in ["signature", "chain", "root", "canonical", "validity", "tcb-binding", "nonsense"] {
            let text = format!(
                "version = 1\nname = \"x\"\n[[waiver]]\ncheck = \"{check}\"\nreason = \"r\"\nuntil = \"2030-01-01T00:00:00Z\""
            );
            assert!(matches!(parse(&text), Err(PolicyError::NotWaivable { .. })), "{check}");
        }
    }

    #[test]
    fn collateral_is_used_in_its_time_and_a_grace_after_it() {
        let text = "version = 1\nname = \"x\"\n[collateral]\ngrace_s = 10\nmax_age_s = { crl = 100 }";
        let policy = parse(text).unwrap();
        let usable = |until, now| match policy.collateral().usable("crl", "CRL", 1000, until, now) {
            Ok(_) => "ok",
            Err(Found::Graced(_)) => "grace",
            Err(_) => "failed",
        };
        let by_age =
            [(999, "failed"), (1000, "ok"), (1100, "ok"), (1101, "grace"), (1110, "grace"), (1111, "failed")];
        for (now, want) in by_age {
            assert_eq!(usable(None, now), want, "{now}");
        }
        assert_eq!((usable(Some(1050), 1050), usable(Some(1050), 1051)), ("ok", "grace"));
        parse("version = 1\nname = \"x\"\n[collateral]\nmax_age_s = { moon = 1 }").unwrap_err();
    }

    #[test]
    fn a_waiver_ends() {
        let text = "version = 1\nname = \"x\"\n[[waiver]]\ncheck = \"debug\"\nreason = \"r\"\nuntil = \"2030-01-01T00:00:00Z\"";
        let policy = parse(text).unwrap();
        assert!(policy.waiver("sev-snp", "debug", 1_893_455_999).is_some());
        assert!(policy.waiver("sev-snp", "debug", 1_893_456_000).is_none());
        assert!(policy.waiver("sev-snp", "migration", 0).is_none());
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
