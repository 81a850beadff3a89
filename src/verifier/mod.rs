//! The Verifier: appraises Evidence (RFC 9334) and gives an attestation result.
//!
//! Appraisal is a pure function of evidence, collateral, policy, reference values, pinned roots and an instant: no
//! I/O, no clock, no randomness. So a decision can be made again, years later, to the same octets.
//! In scope: the kinds of evidence, one module each in `kinds`, alone or several together.
//! Out of scope: freshness and whose key it is (`binding`; the caller compares), where evidence and collateral come
//! from, which policy is in force, and what a result means for a workload (`mapper`).
//!
//! The checks, one by one, with their sources: docs/verifier.md.

mod appraisal;
mod binding;
mod cache;
mod canonical;
mod cbor;
mod certificates;
mod checks;
mod collateral;
mod component;
mod composite;
mod crl;
mod ear;
mod event_log;
mod evidence;
mod jose;
mod json;
mod kinds;
mod lint;
mod parts;
mod pem;
mod policy;
mod reference;
mod roots;
mod sign1;
mod unasked;
mod wanted;

pub use appraisal::{Appraisal, Appraised, Refused, Status};
pub use binding::digest_of;
pub use checks::CheckResult;
pub use collateral::{
    CERTIFICATE_TYPE, CRL_TYPE, Collateral, CollateralError, Document, MAX_CERTIFICATE_BYTES,
    MAX_CERTIFICATES, MAX_CRL_BYTES, MAX_CRLS, MAX_DOCUMENT_BYTES, MAX_DOCUMENTS,
};
pub use component::Component;
pub use composite::SUBMOD_COMPOSITE;
pub use ear::{
    AttestationResult, BUILD, CWT_TYPE, DEVELOPER, EarProfile, EarSubmod, JWT_TYPE,
    MEDIA_TYPE as EAR_MEDIA_TYPE, NONCE_BYTES, PROFILE as EAR_PROFILE, TokenOptions, TrustVector, tier,
    verify_cwt, verify_jwt, write_cwt, write_jwt,
};
pub use evidence::{AZ_SNP, AZ_TDX, CCA_TOKEN, NITRO_DOCUMENT, TCG_EVENT_LOG, TPM_QUOTE};
pub use evidence::{Evidence, EvidenceError, EvidenceItem, MAX_ITEM_BYTES, MAX_ITEMS, SNP_REPORT};
pub use evidence::{NVIDIA_GPU, NVIDIA_SWITCH};
pub use jose::{KeyError, MAX_SKEW_S, MAX_TOKEN_BYTES, TokenAlgorithm, TokenError, TokenKeys};
pub use kinds::Assurance;
pub use kinds::attestation_result::{
    ATTESTATION_RESULT, ATTESTATION_RESULT_BUNDLE, ATTESTATION_RESULT_CWT, ATTESTATION_RESULT_JWT,
};
pub use kinds::azure::{AZ_SNP_BINDING_TAG, AZ_TDX_BINDING_TAG};
pub use kinds::cca::NAME as SUBMOD_CCA;
pub use kinds::envelopes::{EnvelopeError, MAX_ENVELOPE_BYTES, Opened, open_vtpm_json};
pub use kinds::intel::{ENCLAVE_IDENTITY_TYPE, TCB_INFO_TYPE, quote_length as intel_quote_length};
pub use kinds::nitro::NAME as SUBMOD_NITRO;
pub use kinds::nvidia::{
    ExportError as NvidiaExportError, NvidiaGeneration, NvidiaItem, OCSP_RESPONSE, OcspReply,
    from_hex_and_pem as nvidia_from_hex_and_pem, nvidia_evidence, read_export as read_nvidia_export,
    read_ocsp_reply,
};
pub use kinds::sev_snp::{
    ECDSA_P384_SHA384, Generation, NAME as SUBMOD_SNP, REPORT_BYTES, SIGNED_BYTES, SigningKey, Tcb, VERSIONS,
};
pub use kinds::sgx::{NAME as SUBMOD_SGX, SGX_QUOTE};
pub use kinds::software::PLATFORM_TOKEN;
pub use kinds::tdx::{CCEL_TYPE, NAME as SUBMOD_TDX, RUNTIME_LOG_TYPE, TDX_QUOTE};
pub use kinds::tpm::{BINDING_TAG as TPM_BINDING_TAG, NAME as SUBMOD_TPM};
pub use lint::{Level, Remark, lint};
pub use parts::{Part, place};
pub use policy::{AppraisalPolicy, MAX_POLICY_BYTES, PolicyError, Waiver, ni_uri};
pub use reference::{
    MAX_REFERENCE_VALUES, MAX_REGISTERS, MEASUREMENT, ReferenceError, ReferenceValue, ReferenceValues,
    Registers,
};
pub use roots::{HardwareRoots, fingerprint};
pub use unasked::not_asked;
pub use wanted::{Edition, OcspQuestion, Wanted, current_until, edition, named, wanted};

use composite::Group;
use kinds::{Caches, Input, KINDS, Kind};

/// Verified chains and what was read of collateral kept by default, of each kind: one per chip and TCB version, per
/// enclave's certificate, per device and boot, per attestation key, and for each collateral that came with it. What is kept
/// of one is its certificates, within the limits of its evidence (of Nitro 12 KiB, of NVIDIA 64 KiB) or of a few certificates
/// ([`MAX_CERTIFICATE_BYTES`] each), taken apart, and what the lists signed by its authorities say: not the octets of lists
/// and answers.
pub const DEFAULT_CACHED_CHAINS: usize = 1024;

/// The name of every kind of evidence, and the media type it has.
pub fn kinds() -> impl Iterator<Item = (&'static str, &'static str)> {
    KINDS.iter().filter_map(|kind| Some((kind.name(), *kind.about().media_types.first()?)))
}

/// The vendors' roots that are built in: a name such as `amd-sev-snp-Milan`, and the SHA-256 of the certificate.
pub fn vendor_roots() -> impl Iterator<Item = (String, [u8; 32])> {
    KINDS.iter().flat_map(|kind| kind.vendor_roots())
}

/// The kind that octets of unknown type are recognisably of, if any.
pub fn guess_kind(octets: &[u8]) -> Option<&'static str> {
    KINDS.iter().find(|kind| kind.recognises(octets)).map(|kind| kind.name())
}

/// Whether octets are recognisably of this kind.
pub fn is_of_kind(kind: &str, octets: &[u8]) -> bool {
    kinds::by_name(kind).is_some_and(|kind| kind.recognises(octets))
}

/// The kind whose evidence has this type, if any.
pub fn kind_of(media_type: &str) -> Option<&'static str> {
    kinds::by_media_type(media_type).map(Kind::name)
}

/// The type of what comes along with evidence of this type, such as its event log, if anything does.
pub fn supplement_of(media_type: &str) -> Option<&'static str> {
    kinds::by_media_type(media_type)?.about().supplements.first().copied()
}

/// The type of this name, if some kind has evidence, or what comes along with evidence, of it.
pub fn known_type(media_type: &str) -> Option<&'static str> {
    let types = |kind: &&'static dyn Kind| {
        let about = kind.about();
        about.media_types.iter().chain(about.supplements).chain(about.documents).copied()
    };
    KINDS.iter().flat_map(types).find(|known| *known == media_type)
}

/// Whether some kind reads documents of this type in collateral.
pub fn is_document(media_type: &str) -> bool {
    KINDS.iter().any(|kind| kind.about().documents.contains(&media_type))
}

/// Which octets a kind's check reads, or what a check of all components together looks at, for people.
pub fn reads(kind: &str, check: &str) -> Option<&'static str> {
    if kind == SUBMOD_COMPOSITE {
        return composite::reads(check);
    }
    (kinds::by_name(kind)?.about().reads)(check)
}

/// The components of evidence by their names in an appraisal, each with the octets of its item and the parts in it.
pub fn parts_of(evidence: &Evidence) -> Vec<(String, &[u8], Vec<Part>)> {
    let groups = composite::group(evidence).unwrap_or_default();
    let parts = |group: Group<'_>| group.kind.parts(group.item.bytes());
    groups.into_iter().map(|group| (group.name.clone(), group.item.bytes(), parts(group))).collect()
}

/// How many octets of these are an event log of the TCG; after them there is filling, all zeros or all ones, up to the
/// size of the memory that the firmware had for it. `None` if they are no such log.
pub fn event_log_length(octets: &[u8]) -> Option<usize> {
    event_log::EventLog::read(octets).ok().map(|log| log.length)
}

/// The names of a kind's checks, in order.
pub fn checks_of(kind: &str) -> Option<Vec<&'static str>> {
    Some(kinds::by_name(kind)?.checks().iter().map(|info| info.name).collect())
}

/// The names of the checks of several components together, in order.
pub fn checks_of_composites() -> Vec<&'static str> {
    composite::infos().iter().map(|info| info.name).collect()
}

/// Appraises evidence once.
pub fn appraise(
    evidence: &Evidence,
    collateral: &Collateral,
    policy: &AppraisalPolicy,
    references: &ReferenceValues,
    roots: &HardwareRoots,
    now: u64,
) -> Appraisal {
    Verifier::with_capacity(roots.clone(), 1).appraise(evidence, collateral, policy, references, now)
}

/// Appraises evidence again and again: keeps the chains it has verified. The results are those of [`appraise`].
#[derive(Debug)]
pub struct Verifier {
    roots: HardwareRoots,
    caches: Caches,
}

impl Verifier {
    /// A verifier that trusts these roots, and keeps [`DEFAULT_CACHED_CHAINS`] chains.
    pub fn new(roots: HardwareRoots) -> Self {
        Self::with_capacity(roots, DEFAULT_CACHED_CHAINS)
    }

    /// A verifier that keeps this many chains of each kind.
    pub fn with_capacity(roots: HardwareRoots, chains: usize) -> Self {
        Self { roots, caches: Caches::new(chains) }
    }

    /// How many chains it keeps now, of all kinds.
    pub fn kept_chains(&self) -> usize {
        self.caches.len()
    }

    /// The roots it trusts.
    pub fn roots(&self) -> &HardwareRoots {
        &self.roots
    }

    /// Appraises evidence.
    pub fn appraise(
        &self,
        evidence: &Evidence,
        collateral: &Collateral,
        policy: &AppraisalPolicy,
        references: &ReferenceValues,
        now: u64,
    ) -> Appraisal {
        let (groups, foreign) = match composite::group(evidence) {
            Ok(groups) => (groups, None),
            Err(reason) => (Vec::new(), Some(reason)),
        };
        let component = |group: &Group<'_>| {
            let finding = group.kind.appraise(&Input {
                item: group.item,
                supplements: &group.supplements,
                collateral,
                policy,
                references,
                roots: &self.roots,
                caches: &self.caches,
                now,
            });
            Component::new(group.kind, group.name.clone(), group.item.clone(), finding)
        };
        let components: Vec<Component> = groups.iter().map(component).collect();
        let composite = composite::check(&components, policy, now);
        let used = used(&components);
        let mut appraisal = Appraisal {
            foreign,
            status: status(&components, &composite),
            composite,
            components,
            evidence_digest: evidence.digest(),
            collateral_digest: used.digest(),
            collateral: used,
            policy_digest: policy.digest(),
            references_digest: references.digest(),
            now,
            ear: Vec::new(),
        };
        appraisal.ear = ear::write(&appraisal, policy);
        appraisal
    }
}

/// The worst status of a component; what does not hold of them together is contraindicated.
fn status(components: &[Component], composite: &[CheckResult]) -> Status {
    if components.is_empty() || !composite.iter().all(CheckResult::ok) {
        return Status::Contraindicated;
    }
    components.iter().map(Component::status).max().unwrap_or(Status::Contraindicated)
}

/// All the collateral that the components rest on.
fn used(components: &[Component]) -> Collateral {
    if let [only] = components {
        return only.finding().collateral.clone();
    }
    let each = components.iter().map(|component| &component.finding().collateral);
    let (mut certificates, mut crls, mut documents) = (Vec::new(), Vec::new(), Vec::new());
    for collateral in each {
        certificates.extend_from_slice(collateral.certificates());
        crls.extend_from_slice(collateral.crls());
        documents.extend_from_slice(collateral.documents());
    }
    Collateral::of_parts(certificates, crls, documents)
}
