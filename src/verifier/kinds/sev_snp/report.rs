//! The SEV-SNP attestation report (AMD 56860, "ATTESTATION_REPORT"): its octets and what they say.
//!
//! The crate `sev` knows the layout. It verifies signatures over a re-encoded structure, so that reserved octets can
//! be changed unnoticed; here the octets received must be those that it would write, and signatures are verified
//! over them (`checks`). Out of scope: whether any of it is true.

use sev::firmware::guest::AttestationReport;
use sev::firmware::host::TcbVersion;
use sev::parser::ByteParser;

use super::generation::Generation;

/// Octets of a report, in every version so far.
pub const REPORT_BYTES: usize = 1184;
/// Octets that the signature covers.
pub const SIGNED_BYTES: usize = 0x2a0;
/// Octets of each of the two numbers of the signature, little-endian, of which P-384 fills 48.
const SCALAR_FIELD_BYTES: usize = 72;
const SCALAR_BYTES: usize = 48;
/// Octets of the two numbers; the rest of the report after them is reserved.
const SIGNATURE_END: usize = SIGNED_BYTES + 2 * SCALAR_FIELD_BYTES;
/// Report versions this verifier knows.
pub const VERSIONS: std::ops::RangeInclusive<u32> = 2..=5;
/// SIGNATURE_ALGO of ECDSA P-384 with SHA-384, the only one defined.
pub const ECDSA_P384_SHA384: u32 = 1;
/// Bits of POLICY above the highest defined one (PAGE_SWAP_DISABLE) must be zero; bit 17 must be one.
const POLICY_RESERVED_FROM: u32 = 26;
const POLICY_MUST_BE_ONE: u64 = 1 << 17;

/// Which key signed a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SigningKey {
    /// Of one chip.
    Vcek,
    /// Of a service provider, on any of its chips.
    Vlek,
}

impl SigningKey {
    /// The common name of its certificates.
    pub const fn common_name(self) -> &'static str {
        match self {
            Self::Vcek => "SEV-VCEK",
            Self::Vlek => "SEV-VLEK",
        }
    }

    /// The name for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vcek => "VCEK",
            Self::Vlek => "VLEK",
        }
    }

    fn from_code(code: u32) -> Option<Self> {
        match code {
            0 => Some(Self::Vcek),
            1 => Some(Self::Vlek),
            _ => None,
        }
    }
}

/// Security versions of the firmware components (TCB_VERSION).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tcb {
    /// First mutable code; Turin only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fmc: Option<u8>,
    /// PSP bootloader.
    pub bootloader: u8,
    /// PSP operating system.
    pub tee: u8,
    /// SNP firmware.
    pub snp: u8,
    /// Microcode.
    pub microcode: u8,
}

impl Tcb {
    /// Whether no component is lower than in `floor`.
    pub fn is_at_least(&self, floor: &Self) -> bool {
        self.fmc.unwrap_or(0) >= floor.fmc.unwrap_or(0)
            && self.bootloader >= floor.bootloader
            && self.tee >= floor.tee
            && self.snp >= floor.snp
            && self.microcode >= floor.microcode
    }
}

impl std::fmt::Display for Tcb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(fmc) = self.fmc {
            write!(f, "fmc {fmc}, ")?;
        }
        write!(
            f,
            "bootloader {}, tee {}, snp {}, microcode {}",
            self.bootloader, self.tee, self.snp, self.microcode
        )
    }
}

impl From<TcbVersion> for Tcb {
    fn from(tcb: TcbVersion) -> Self {
        Self {
            fmc: tcb.fmc,
            bootloader: tcb.bootloader,
            tee: tcb.tee,
            snp: tcb.snp,
            microcode: tcb.microcode,
        }
    }
}

/// A report that was read, and is canonical: no other octets mean the same.
#[derive(Debug, Clone)]
pub(super) struct Report {
    fields: AttestationReport,
    raw: Vec<u8>,
}

/// Why octets are not a report that can be judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// Not a report at all, or of a version this verifier does not know.
    Format(String),
    /// A report, but not in its one canonical form.
    NotCanonical(String),
}

/// Whether the octets are recognisably a report, perhaps a damaged one. One changed bit never makes a report
/// unrecognisable, and octets from elsewhere are not taken for one.
pub(super) fn looks_like_a_report(raw: &[u8]) -> bool {
    if raw.len() != REPORT_BYTES {
        return false;
    }
    let signs = [
        VERSIONS.contains(&word(raw, 0)),
        word(raw, 0x34) == ECDSA_P384_SHA384,
        raw.get(SIGNATURE_END..).is_some_and(all_zero) && !all_zero(raw),
    ];
    signs.iter().filter(|sign| **sign).count() >= 2
}

impl Report {
    pub(super) fn read(raw: &[u8]) -> Result<Self, Unreadable> {
        if raw.len() != REPORT_BYTES {
            let text = format!("a report has {REPORT_BYTES} octets, got {}", raw.len());
            return Err(Unreadable::Format(text));
        }
        let version = word(raw, 0);
        if !VERSIONS.contains(&version) {
            let known = format!("{} to {}", VERSIONS.start(), VERSIONS.end());
            return Err(Unreadable::Format(format!("report version {version}, want {known}")));
        }
        let not_canonical = |error: std::io::Error| Unreadable::NotCanonical(error.to_string());
        let fields = AttestationReport::from_bytes(raw).map_err(not_canonical)?;
        let written = fields.to_bytes().map_err(not_canonical)?;
        if let Some(at) = written.iter().zip(raw).position(|(one, other)| one != other) {
            return Err(Unreadable::NotCanonical(format!("octet {at:#x} is reserved and not zero")));
        }
        let report = Self { fields, raw: raw.to_vec() };
        report.check_reserved_bits().map_err(Unreadable::NotCanonical)?;
        Ok(report)
    }

    /// What the crate's structure keeps as one number, although parts of it are reserved.
    fn check_reserved_bits(&self) -> Result<(), String> {
        if self.raw.get(SIGNATURE_END..).is_none_or(|tail| !all_zero(tail)) {
            return Err("octets after the signature are not zero".to_owned());
        }
        if self.scalars().iter().any(|field| !field.get(SCALAR_BYTES..).is_some_and(all_zero)) {
            return Err("the padding of the signature is not zero".to_owned());
        }
        let policy = self.policy();
        if policy >> POLICY_RESERVED_FROM != 0 || policy & POLICY_MUST_BE_ONE == 0 {
            return Err(format!("reserved bits of the guest policy {policy:#x} are not as they must be"));
        }
        let key_info = u32::from(self.fields.key_info);
        if key_info >> 5 != 0 {
            return Err(format!("reserved bits of KEY_INFO {key_info:#x} are not zero"));
        }
        Ok(())
    }

    pub(super) fn signed(&self) -> &[u8] {
        self.raw.get(..SIGNED_BYTES).unwrap_or_default()
    }

    /// The signature as r || s, big-endian, 48 octets each.
    pub(super) fn signature(&self) -> Vec<u8> {
        let scalars = self.scalars();
        scalars.iter().flat_map(|field| field.iter().take(SCALAR_BYTES).rev().copied()).collect()
    }

    fn scalars(&self) -> [&[u8; SCALAR_FIELD_BYTES]; 2] {
        [self.fields.signature.r(), self.fields.signature.s()]
    }

    pub(super) fn fields(&self) -> &AttestationReport {
        &self.fields
    }

    pub(super) fn policy(&self) -> u64 {
        // Not `u64::from`: that conversion sets bit 17, which is to be checked.
        self.raw.get(8..16).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    /// SIGNING_KEY of KEY_INFO.
    pub(super) fn signing_key(&self) -> Result<SigningKey, String> {
        let code = self.fields.key_info.signing_key();
        SigningKey::from_code(code).ok_or_else(|| match code {
            7 => "the report is not signed (SIGNING_KEY is none)".to_owned(),
            _ => format!("SIGNING_KEY {code} is reserved"),
        })
    }

    /// The generation by CPUID family and model; reports of version 2 do not say.
    pub(super) fn generation(&self) -> Option<Result<Generation, String>> {
        let (family, model) = (self.fields.cpuid_fam_id?, self.fields.cpuid_mod_id?);
        Some(match (family, model) {
            (0x19, 0x00..=0x0f) => Ok(Generation::Milan),
            (0x19, 0x10..=0x1f | 0xa0..=0xaf) => Ok(Generation::Genoa),
            (0x1a, 0x00..=0x11) => Ok(Generation::Turin),
            _ => Err(format!("no root is known for CPUID family {family:#x}, model {model:#x}")),
        })
    }

    pub(super) fn reported_tcb(&self) -> Tcb {
        self.fields.reported_tcb.into()
    }

    /// The chip, where the signature says which one: not under a VLEK, and not where the host masks it.
    pub(super) fn authenticated_chip(&self) -> Option<&[u8; 64]> {
        let named = self.signing_key() == Ok(SigningKey::Vcek) && !all_zero(&self.fields.chip_id);
        named.then_some(&self.fields.chip_id)
    }
}

pub(super) fn all_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

fn word(raw: &[u8], at: usize) -> u32 {
    raw.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u32::from_le_bytes(*bytes))
}
