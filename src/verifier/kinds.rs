//! The kinds of evidence, one module each, behind one trait.
//!
//! A kind reads one item of evidence (and the items that only come along with it, such as an event log), makes its
//! checks, and says what the octets claim. What the checks amount to is decided for all kinds alike (`component`).
//! A new kind is a module here, a line in [`KINDS`], a section of the policy and a table in docs/verifier.md.

pub(super) mod attestation_result;
pub(super) mod azure;
pub(super) mod cca;
pub(super) mod envelopes;
pub(super) mod intel;
pub(super) mod nitro;
pub(super) mod nvidia;
pub(super) mod sev_snp;
pub(super) mod sgx;
pub(super) mod software;
pub(super) mod tdx;
pub(super) mod tpm;

use serde_json::Value;

use super::binding::Carriage;
use super::cache::Cache;
use super::checks::{CheckInfo, CheckResult};
use super::collateral::Collateral;
use super::ear::TrustVector;
use super::evidence::EvidenceItem;
use super::lint::Remark;
use super::parts::Part;
use super::policy::AppraisalPolicy;
use super::reference::{ReferenceValue, ReferenceValues, Registers};
use super::roots::HardwareRoots;
use super::wanted::Wanted;

/// Every kind, in the order in which octets of an unknown type are offered to them.
pub(super) const KINDS: &[&dyn Kind] = &[
    &sev_snp::SevSnp,
    &tdx::Tdx,
    &sgx::Sgx,
    &tpm::Tpm,
    &azure::AzSnp,
    &azure::AzTdx,
    &nitro::Nitro,
    &cca::Cca,
    &attestation_result::AttestationResult,
    &software::Software,
    &nvidia::GPU,
    &nvidia::SWITCH,
];

/// What a kind is, apart from how it appraises.
pub(super) struct About {
    /// Its name: of the submodule in the EAR, of the `tee` of reference values and manifests, of `--kind`.
    pub(super) name: &'static str,
    /// The types of the item that is this kind's evidence: its own, and those of other forms of the same.
    pub(super) media_types: &'static [&'static str],
    /// The types of items that belong to the one before them, such as its event log.
    pub(super) supplements: &'static [&'static str],
    /// The types of documents in collateral that it reads.
    pub(super) documents: &'static [&'static str],
    /// Which octets a check reads, for people.
    pub(super) reads: fn(&str) -> Option<&'static str>,
    /// Whether reference values of this kind may name this register with a value of this many octets.
    pub(super) has_register: fn(&str, usize) -> bool,
    /// What a reference value of these registers says of what runs, in AR4SI's words for executables: 0 nothing, so that
    /// it is none; 3 a part, or what was started and nothing since; 2 all of it.
    pub(super) vouches: fn(&Registers) -> i8,
    /// Whether octets are recognisably of this kind, genuine or not. One changed bit never makes them unrecognisable.
    pub(super) recognises: fn(&[u8]) -> bool,
    /// Whether one machine of its names is one component: a GPU, which is one whatever it signs, and not a processor,
    /// on which several guests may run.
    pub(super) is_a_device: bool,
}

/// One kind of evidence.
pub(super) trait Kind: Sync {
    /// What it is.
    fn about(&self) -> &'static About;

    /// Its name.
    fn name(&self) -> &'static str {
        self.about().name
    }

    /// Whether octets are recognisably of this kind.
    fn recognises(&self, octets: &[u8]) -> bool {
        (self.about().recognises)(octets)
    }

    /// What the workload runs on: this kind, unless it is the word of another Verifier about some other.
    fn tee(&self, _finding: &Finding) -> String {
        self.name().to_owned()
    }

    /// Its checks, in order.
    fn checks(&self) -> Vec<CheckInfo>;

    /// The collateral that octets of this kind call for, as far as they say so.
    fn wants(&self, _octets: &[u8]) -> Vec<Wanted> {
        Vec::new()
    }

    /// The parts of collateral that are this kind's, under the names by which they are wanted.
    fn named(&self, _collateral: &Collateral) -> Vec<(String, Collateral)> {
        Vec::new()
    }

    /// The vendor's roots that are pinned for it, by name.
    fn vendor_roots(&self) -> Vec<(String, [u8; 32])> {
        Vec::new()
    }

    /// What the owner of a policy will hardly have meant about this kind, and what is more lenient than the default.
    fn lint(&self, _policy: &AppraisalPolicy, _remarks: &mut Vec<Remark>) {}

    /// Why no evidence of this kind can pass a policy, if that is so.
    fn impossible(&self, _policy: &AppraisalPolicy) -> Option<String> {
        None
    }

    /// Whether a policy asks for nothing that this check could find missing.
    fn is_off(&self, _policy: &AppraisalPolicy, _check: &str) -> bool {
        false
    }

    /// The kind of the report that is inside evidence of this kind.
    fn inside(&self) -> Option<&'static str> {
        None
    }

    /// Where the parts are that its checks name, as far as the octets can be read.
    fn parts(&self, _octets: &[u8]) -> Vec<Part> {
        Vec::new()
    }

    /// When evidence with these claims says it was made, Unix seconds.
    fn made_at(&self, _claims: &Value) -> Option<u64> {
        None
    }

    /// When what the evidence itself brings along ends: certificates in it, or the token that it is.
    fn ends(&self, _item: &EvidenceItem) -> Vec<u64> {
        Vec::new()
    }

    /// Appraises: a pure function of what is in the input.
    fn appraise(&self, input: &Input<'_>) -> Finding;
}

/// The kind of this name.
pub(super) fn by_name(name: &str) -> Option<&'static dyn Kind> {
    KINDS.iter().copied().find(|kind| kind.name() == name)
}

/// The kind whose evidence has this type.
pub(super) fn by_media_type(media_type: &str) -> Option<&'static dyn Kind> {
    let takes = |kind: &&dyn Kind| kind.about().media_types.contains(&media_type);
    KINDS.iter().copied().find(takes)
}

/// Everything that an appraisal of one component may look at.
pub(super) struct Input<'a> {
    pub(super) item: &'a EvidenceItem,
    pub(super) supplements: &'a [&'a EvidenceItem],
    pub(super) collateral: &'a Collateral,
    pub(super) policy: &'a AppraisalPolicy,
    pub(super) references: &'a ReferenceValues,
    pub(super) roots: &'a HardwareRoots,
    pub(super) caches: &'a Caches,
    pub(super) now: u64,
}

/// What a kind keeps between appraisals. It changes no result.
#[derive(Debug)]
pub(super) struct Caches {
    pub(super) nitro: Cache<nitro::Verified>,
    pub(super) nvidia: Cache<nvidia::VerifiedChain>,
    pub(super) sev_snp: Cache<sev_snp::VerifiedVek>,
    pub(super) tpm: Cache<tpm::Endorsement>,
}

impl Caches {
    /// Each kind keeps this many.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            nitro: Cache::new(capacity),
            nvidia: Cache::new(capacity),
            sev_snp: Cache::new(capacity),
            tpm: Cache::new(capacity),
        }
    }

    /// How many are kept, of all kinds.
    pub(super) fn len(&self) -> usize {
        let Self { nitro, nvidia, sev_snp, tpm } = self;
        [nitro.len(), nvidia.len(), sev_snp.len(), tpm.len()].iter().sum()
    }
}

/// What a kind found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// Whether the octets are of this kind at all; if not, nothing was evaluated.
    pub(super) recognised: bool,
    pub(super) checks: Vec<CheckResult>,
    /// What is affirmed if every check holds.
    pub(super) affirms: TrustVector,
    /// What the evidence says, if it could be read; an object.
    pub(super) claims: Option<Value>,
    /// Where the binding value is carried, if the evidence could be read.
    pub(super) carriage: Option<Carriage>,
    pub(super) assurance: Assurance,
    /// The product generation, in lower case, where one is established.
    pub(super) generation: Option<String>,
    /// What names the machine, where it is authenticated.
    pub(super) machine: Option<Vec<u8>>,
    /// The reference value that what runs was found to be.
    pub(super) reference: Option<ReferenceValue>,
    /// The part of the collateral that it rests on: log this, and it can be replayed for ever.
    pub(super) collateral: Collateral,
}

/// What a kind found in a report that came inside evidence of another kind.
pub(super) struct Inner {
    pub(super) checks: Vec<CheckResult>,
    /// What is affirmed if every check holds, executables apart.
    pub(super) affirms: TrustVector,
    pub(super) claims: Option<Value>,
    /// The 64 octets that whoever asked for the report put into it.
    pub(super) report_data: Option<[u8; 64]>,
    /// The privilege level at which it was asked for, where the platform has such.
    pub(super) level: Option<u32>,
    /// What it measures.
    pub(super) registers: Option<Registers>,
    pub(super) assurance: Assurance,
    pub(super) generation: Option<String>,
    pub(super) machine: Option<Vec<u8>>,
    pub(super) collateral: Collateral,
}

/// Whose word evidence rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Assurance {
    /// A hardware vendor's root.
    Hardware,
    /// A simulated platform's, for trials.
    Simulated,
    /// Software's: no TEE is involved.
    Software,
}

impl Assurance {
    /// The word in claims.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hardware => "hardware",
            Self::Simulated => "simulated",
            Self::Software => "software",
        }
    }
}

#[cfg(test)]
mod tests;
