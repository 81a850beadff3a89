//! The attestation result: an EAR (draft-ietf-rats-ear-04) with a trustworthiness vector (draft-ietf-rats-ar4si-10).
//!
//! Both drafts move: this file is the only one that knows their names and numbers. The octets are deterministic: the
//! same inputs give the same JSON, which is what a replay compares.

use data_encoding::HEXLOWER;
use serde::Serialize;

use super::appraisal::{CheckResult, Status};
use super::checks::Harm;
use super::policy::{Waiver, ni_uri};
use super::sev_snp::{Facts, Tcb};

/// The profile that the result claims.
pub const PROFILE: &str = "tag:ietf.org,2026:rats/ear#04";
/// Media type of the result, unsigned; the statement it is logged in signs it.
pub const MEDIA_TYPE: &str = "application/eat-ucs+json";
/// Name of the submodule of a SEV-SNP platform.
pub const SUBMOD_SNP: &str = "sev-snp";
/// The developer of this verifier.
pub const DEVELOPER: &str = env!("CARGO_PKG_REPOSITORY");
/// Its build.
pub const BUILD: &str = concat!("treering ", env!("CARGO_PKG_VERSION"));

/// AR4SI: cryptographic validation failed; nothing else can be claimed.
const CRYPTO_FAILED: i8 = 99;

/// The claims of AR4SI that a SEV-SNP appraisal makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct TrustVector {
    /// Which machine it is.
    pub instance_identity: i8,
    /// How it is set up.
    pub configuration: i8,
    /// What runs.
    pub executables: i8,
    /// What it runs on.
    pub hardware: i8,
    /// Who can see its memory.
    pub runtime_opaque: i8,
}

impl TrustVector {
    /// The vector that the checks' outcomes amount to. Of several failures the worst counts.
    pub(super) fn of(
        results: &[CheckResult],
        facts: Option<&Facts>,
        reference: bool,
        machines: bool,
    ) -> Self {
        let not_authentic = |result: &CheckResult| !result.ok() && result.harm() == Harm::NotAuthentic;
        if facts.is_none() || results.iter().any(not_authentic) {
            return Self {
                instance_identity: CRYPTO_FAILED,
                configuration: CRYPTO_FAILED,
                executables: CRYPTO_FAILED,
                hardware: CRYPTO_FAILED,
                runtime_opaque: CRYPTO_FAILED,
            };
        }
        let mut vector = Self {
            instance_identity: if machines { 2 } else { 0 },
            configuration: 2,
            executables: if reference { 3 } else { 0 },
            hardware: 2,
            runtime_opaque: 2,
        };
        for result in results.iter().filter(|result| !result.ok()) {
            vector.lower(result);
        }
        vector
    }

    fn lower(&mut self, result: &CheckResult) {
        let waived = result.waiver().is_some();
        let harmful = if waived { 32 } else { 96 };
        match result.harm() {
            Harm::NotAuthentic => {}
            // Below the floor is genuine and weak; revoked, denied or rolled back is not to be relied on.
            Harm::Hardware if matches!(result.name(), "tcb-floor" | "mitigations") => {
                worsen(&mut self.hardware, 32);
            }
            Harm::Hardware => worsen(&mut self.hardware, harmful),
            Harm::Identity => worsen(&mut self.instance_identity, 97),
            Harm::Configuration => worsen(&mut self.configuration, harmful),
            Harm::Exposed => {
                worsen(&mut self.configuration, harmful);
                worsen(&mut self.runtime_opaque, harmful);
            }
            Harm::Executables => worsen(&mut self.executables, 33),
        }
    }

    /// The worst tier present.
    pub fn status(&self) -> Status {
        let values = [
            self.instance_identity,
            self.configuration,
            self.executables,
            self.hardware,
            self.runtime_opaque,
        ];
        values.into_iter().map(tier).max().unwrap_or(Status::None)
    }
}

fn worsen(claim: &mut i8, value: i8) {
    if tier(value) >= tier(*claim) {
        *claim = value.max(*claim);
    }
}

/// The tier of a value (AR4SI section 2.3.2).
pub fn tier(value: i8) -> Status {
    match value {
        -1..=1 => Status::None,
        2..=31 | -32..=-2 => Status::Affirming,
        32..=95 | -96..=-33 => Status::Warning,
        96..=127 | -128..=-97 => Status::Contraindicated,
    }
}

/// What an EAR is made from.
pub(super) struct Inputs<'a> {
    pub(super) now: u64,
    pub(super) vector: TrustVector,
    pub(super) status: Status,
    pub(super) results: &'a [CheckResult],
    pub(super) facts: Option<&'a Facts>,
    pub(super) policy_id: String,
    pub(super) waivers: Vec<&'a Waiver>,
    pub(super) evidence: [u8; 32],
    pub(super) collateral: [u8; 32],
    pub(super) references: [u8; 32],
    pub(super) reference: Option<&'a str>,
}

#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "the names of the draft")]
struct Ear<'a> {
    eat_profile: &'static str,
    iat: u64,
    ear_verifier_id: VerifierId,
    ear_status: Status,
    submods: Submods<'a>,
}

#[derive(Serialize)]
struct VerifierId {
    developer: &'static str,
    build: &'static str,
}

#[derive(Serialize)]
struct Submods<'a> {
    #[serde(rename = "sev-snp")]
    sev_snp: Submod<'a>,
}

#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "the names of the draft")]
struct Submod<'a> {
    ear_status: Status,
    ear_trustworthiness_vector: TrustVector,
    ear_appraisal_policy_ids: [&'a str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    ear_attester_claims: Option<AttesterClaims>,
    ear_verifier_claims: VerifierClaims<'a>,
}

/// What the evidence says, under the Attester's authority.
#[derive(Serialize)]
struct AttesterClaims {
    version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signing_key: Option<&'static str>,
    chip_id: String,
    measurement: String,
    report_data: String,
    host_data: String,
    id_key_digest: String,
    author_key_digest: String,
    report_id: String,
    vmpl: u32,
    guest_svn: u32,
    policy: String,
    platform_info: String,
    reported_tcb: Tcb,
    current_tcb: Tcb,
    committed_tcb: Tcb,
    launch_tcb: Tcb,
    #[serde(skip_serializing_if = "Option::is_none")]
    mitigations: Option<String>,
}

impl From<&Facts> for AttesterClaims {
    fn from(facts: &Facts) -> Self {
        Self {
            version: facts.version,
            generation: facts.generation.map(super::Generation::name),
            signing_key: facts.signing_key.map(super::SigningKey::name),
            chip_id: HEXLOWER.encode(&facts.chip_id),
            measurement: HEXLOWER.encode(&facts.measurement),
            report_data: HEXLOWER.encode(&facts.report_data),
            host_data: HEXLOWER.encode(&facts.host_data),
            id_key_digest: HEXLOWER.encode(&facts.id_key_digest),
            author_key_digest: HEXLOWER.encode(&facts.author_key_digest),
            report_id: HEXLOWER.encode(&facts.report_id),
            vmpl: facts.vmpl,
            guest_svn: facts.guest_svn,
            policy: format!("{:#x}", facts.policy),
            platform_info: format!("{:#x}", facts.platform_info),
            reported_tcb: facts.reported_tcb,
            current_tcb: facts.current_tcb,
            committed_tcb: facts.committed_tcb,
            launch_tcb: facts.launch_tcb,
            mitigations: facts.mitigations.map(|vector| format!("{vector:#x}")),
        }
    }
}

/// What the Verifier says, under its own authority.
#[derive(Serialize)]
struct VerifierClaims<'a> {
    assurance: &'static str,
    evidence: String,
    collateral: String,
    reference_values: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference_value: Option<&'a str>,
    waivers: Vec<WaiverClaim<'a>>,
    checks: &'a [CheckResult],
}

#[derive(Serialize)]
struct WaiverClaim<'a> {
    check: &'a str,
    reason: &'a str,
    until: u64,
}

/// Writes the result as JSON.
pub(super) fn write(inputs: &Inputs<'_>) -> Vec<u8> {
    let assurance = match inputs.facts {
        Some(_) if inputs.vector.hardware == CRYPTO_FAILED => "none",
        Some(facts) if facts.simulated => "simulated",
        Some(_) => "hardware",
        None => "none",
    };
    let ear = Ear {
        eat_profile: PROFILE,
        iat: inputs.now,
        ear_verifier_id: VerifierId { developer: DEVELOPER, build: BUILD },
        ear_status: inputs.status,
        submods: Submods {
            sev_snp: Submod {
                ear_status: inputs.status,
                ear_trustworthiness_vector: inputs.vector,
                ear_appraisal_policy_ids: [&inputs.policy_id],
                ear_attester_claims: inputs.facts.map(AttesterClaims::from),
                ear_verifier_claims: VerifierClaims {
                    assurance,
                    evidence: ni_uri(&inputs.evidence),
                    collateral: ni_uri(&inputs.collateral),
                    reference_values: ni_uri(&inputs.references),
                    reference_value: inputs.reference,
                    waivers: inputs.waivers.iter().map(|waiver| WaiverClaim::from(*waiver)).collect(),
                    checks: inputs.results,
                },
            },
        },
    };
    // Nothing in these types can fail to become JSON: no maps with other keys than text, no floats.
    serde_json::to_vec(&ear).unwrap_or_default()
}

impl<'a> From<&'a Waiver> for WaiverClaim<'a> {
    fn from(waiver: &'a Waiver) -> Self {
        Self { check: &waiver.check, reason: &waiver.reason, until: waiver.until }
    }
}
