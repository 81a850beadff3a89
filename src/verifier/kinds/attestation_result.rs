//! Results of other Verifiers: signed tokens in which somebody else vouches for evidence that we do not see.
//!
//! The policy says whose word counts (`[[external]]`): the issuer's keys are in it, so nothing is fetched, and who is
//! trusted is approved and logged with the policy. Each format is mapped to one internal statement, [`Vouched`], which
//! the same checks appraise: two Verifiers of one workload lead to the same claims, and the result says who vouched.
//! In scope: the tokens, one file per format. Out of scope: asking a Verifier for one.

mod azure;
mod ear;
mod google;
mod intel;
mod lint;
mod nvidia;
mod policy;
mod presented;
mod requirements;

pub(in crate::verifier) use policy::{External, Format};

use serde_json::{Value, json};

use super::{About, Assurance, Finding, Input, Kind};
use crate::verifier::appraisal::Status;
use crate::verifier::binding::Carriage;
use crate::verifier::checks::{self, Check, CheckInfo, Found, Harm};
use crate::verifier::collateral::Collateral;
use crate::verifier::ear::{TrustVector, tier};
use crate::verifier::evidence::EvidenceItem;
use crate::verifier::jose::{Times, TokenError, looks_like_a_token};
use crate::verifier::lint::Remark;
use crate::verifier::parts::Part;
use crate::verifier::policy::AppraisalPolicy;
use crate::verifier::reference::{ReferenceValue, ReferenceValues, Registers};

use presented::Presented;

/// The name of this kind.
pub(in crate::verifier) const NAME: &str = "attestation-result";
/// Media type of an EAR as a JWT (RFC 9782).
pub const ATTESTATION_RESULT: &str = "application/eat+jwt";
/// Media type of an EAR as a CWT (RFC 9782).
pub const ATTESTATION_RESULT_CWT: &str = "application/eat+cwt";
/// Media type of a JWT in a vendor's own form (RFC 7519).
pub const ATTESTATION_RESULT_JWT: &str = "application/jwt";
/// Media type of a detached EAT bundle (RFC 9782), as NVIDIA's service gives it.
pub const ATTESTATION_RESULT_BUNDLE: &str = "application/eat-bun+json";
/// The register that a platform which launches containers measures: the SHA-256 of the image's manifest.
pub(in crate::verifier) const IMAGE_DIGEST: &str = "image-digest";

/// This kind.
pub(in crate::verifier) struct AttestationResult;

/// What a token of any format says, once read.
struct Vouched {
    /// Who issued it, as the token names him.
    issuer: Option<String>,
    audiences: Vec<String>,
    times: Times,
    /// What the workload runs on, by the name of our kind for it.
    tee: String,
    /// Under which kind reference values are looked for.
    reference_tee: String,
    status: Status,
    /// Why that is the status.
    reason: String,
    vector: TrustVector,
    /// The vendor's word for the state of the platform's TCB, in formats that have one.
    tcb_status: Option<String>,
    /// Whether it can be debugged, where the token says so itself.
    debug: Option<bool>,
    registers: Registers,
    carriage: Option<Carriage>,
    generation: Option<String>,
    /// Whose root the evidence rests on; `None` for a word that is none of ours.
    assurance: Option<Assurance>,
}

/// Everything a check may look at.
struct Context<'a> {
    presented: Result<&'a Presented, &'a TokenError>,
    external: Result<&'a External, String>,
    vouched: Result<&'a Vouched, String>,
    references: &'a ReferenceValues,
    now: u64,
}

/// All of them, in order.
fn table<'a>() -> [Check<Context<'a>>; 14] {
    [
        Check::firm("format", Harm::NotAuthentic, requirements::format),
        Check::firm("issuer-key", Harm::NotAuthentic, requirements::issuer_key),
        Check::firm("signature", Harm::NotAuthentic, requirements::signature),
        Check::firm("claims", Harm::NotAuthentic, requirements::claims),
        Check::firm("issuer", Harm::NotAuthentic, requirements::issuer),
        Check::firm("audience", Harm::NotAuthentic, requirements::audience),
        Check::firm("validity", Harm::NotAuthentic, requirements::validity),
        Check::firm("age", Harm::Configuration, requirements::age),
        Check::firm("status", Harm::Hardware, requirements::status),
        Check::firm("tee", Harm::Configuration, requirements::tee),
        Check::firm("assurance", Harm::Hardware, requirements::assurance),
        Check::waivable("tcb-status", Harm::WeakHardware, requirements::tcb_status),
        Check::waivable("debug", Harm::Exposed, requirements::debug),
        Check::waivable("reference-value", Harm::Executables, requirements::reference_value),
    ]
}

/// What it is.
const ABOUT: About = About {
    name: NAME,
    media_types: &[
        ATTESTATION_RESULT,
        ATTESTATION_RESULT_CWT,
        ATTESTATION_RESULT_JWT,
        ATTESTATION_RESULT_BUNDLE,
    ],
    supplements: &[],
    documents: &[],
    reads: requirements::reads,
    has_register: |name, octets| name == IMAGE_DIGEST && octets == 32,
    // The image that was started; nobody measured what ran since.
    vouches: |registers| if registers.contains_key(IMAGE_DIGEST) { 3 } else { 0 },
    // Of octets without a type, tokens that speak of a platform: a workload token does not.
    recognises: |octets| looks_like_a_token(octets) && presented::speaks_of_a_platform(octets),
    is_a_device: false,
};

impl Kind for AttestationResult {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn tee(&self, finding: &Finding) -> String {
        let vouched = finding.claims.as_ref().and_then(|claims| claims.get("tee")).and_then(Value::as_str);
        vouched.unwrap_or(NAME).to_owned()
    }

    fn checks(&self) -> Vec<CheckInfo> {
        checks::infos(&table())
    }

    fn lint(&self, policy: &AppraisalPolicy, remarks: &mut Vec<Remark>) {
        lint::lint(&policy.kinds().external, remarks);
    }

    fn parts(&self, octets: &[u8]) -> Vec<Part> {
        presented::parts(octets)
    }

    /// When the token says that it was issued.
    fn made_at(&self, claims: &Value) -> Option<u64> {
        claims.pointer("/stated/iat")?.as_u64()
    }

    fn ends(&self, item: &EvidenceItem) -> Vec<u64> {
        let read = Presented::read(item.media_type(), item.bytes());
        read.map(|presented| presented.ends()).unwrap_or_default()
    }

    fn impossible(&self, policy: &AppraisalPolicy) -> Option<String> {
        policy.kinds().external.is_empty().then(|| "the policy names no Verifier ([[external]])".to_owned())
    }

    fn appraise(&self, input: &Input<'_>) -> Finding {
        let presented = Presented::read(input.item.media_type(), input.item.bytes());
        let external = match &presented {
            Ok(presented) => {
                presented.external(&input.policy.kinds().external).ok_or_else(|| presented.key_name())
            }
            Err(_) => Err("a token that could not be read".to_owned()),
        };
        let vouched = match (&presented, &external) {
            (Ok(presented), Ok(external)) => vouched(external, presented),
            _ => Err("there is no token of a known key".to_owned()),
        };
        let context = Context {
            presented: presented.as_ref(),
            external: external.clone(),
            vouched: vouched.as_ref().map_err(Clone::clone),
            references: input.references,
            now: input.now,
        };
        let said = vouched.as_ref().ok();
        let reference = said.and_then(|vouched| vouched.reference(input.references));
        let by = external.ok().zip(presented.as_ref().ok());
        Finding {
            recognised: !input.item.bytes().is_empty(),
            checks: checks::run(NAME, &table(), &context, input.policy, input.now),
            affirms: said.map_or(NOTHING, |vouched| vouched.affirms(reference)),
            claims: said.zip(by).map(|(vouched, (external, presented))| vouched.claims(external, presented)),
            carriage: said.and_then(|vouched| vouched.carriage.clone()),
            assurance: said.and_then(|vouched| vouched.assurance).unwrap_or(Assurance::Software),
            generation: said.and_then(|vouched| vouched.generation.clone()),
            machine: None,
            reference: reference.cloned(),
            // The keys are the policy's.
            collateral: Collateral::default(),
        }
    }
}

/// Hardware of a known weakness (AR4SI: the warning tier).
const WARNED: i8 = 32;
const NOTHING: TrustVector =
    TrustVector { instance_identity: 0, configuration: 0, executables: 0, hardware: 0, runtime_opaque: 0 };

/// The statement of a token, by the format that the policy expects from its issuer.
fn vouched(external: &External, presented: &Presented) -> Result<Vouched, String> {
    let claims = presented.claims()?;
    match external.format {
        Format::Ear04 | Format::EarVeraison | Format::EarTrustee => ear::read(external, &claims),
        Format::IntelTrustAuthority => intel::read(&claims),
        Format::AzureAttestation => azure::read(&claims),
        Format::GoogleConfidentialSpace => google::read(&claims),
        Format::NvidiaNras => nvidia::read(&claims, presented),
    }
}

impl Vouched {
    fn reference<'a>(&self, references: &'a ReferenceValues) -> Option<&'a ReferenceValue> {
        references.find(&self.reference_tee, &self.registers)
    }

    /// What the token claims, and that the measurement is one of ours where it is.
    fn affirms(&self, reference: Option<&ReferenceValue>) -> TrustVector {
        let mut vector = self.vector;
        if reference.is_some() && tier(vector.executables) <= Status::Affirming {
            vector.executables = 3;
        }
        // A Verifier that warns, and does not say of what, warns of the platform: the result is a warning, too.
        if self.status == Status::Warning && vector.status() < Status::Warning {
            vector.hardware = WARNED;
        }
        vector
    }

    fn claims(&self, external: &External, presented: &Presented) -> Value {
        let hex = |octets: &Vec<u8>| data_encoding::HEXLOWER.encode(octets);
        let registers: serde_json::Map<String, Value> =
            self.registers.iter().map(|(name, octets)| (name.clone(), hex(octets).into())).collect();
        json!({
            "verifier": external.name,
            "format": external.format.name(),
            "issuer": self.issuer,
            "tee": self.tee,
            "status": self.status,
            "tcb_status": self.tcb_status,
            "registers": registers,
            "stated": presented.claims().unwrap_or_default(),
        })
    }
}

impl<'a> Context<'a> {
    fn external(&self) -> Result<&'a External, Found> {
        self.external.clone().map_err(|_| Found::NotEvaluated("no known Verifier signed it"))
    }

    fn vouched(&self) -> Result<&'a Vouched, Found> {
        self.vouched.clone().map_err(|_| Found::NotEvaluated("the claims could not be read"))
    }
}

/// Octets in hex or base64, of a length that tells which.
fn octets(text: &str, length: usize) -> Option<Vec<u8>> {
    let hex = data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok();
    let hex = hex.filter(|octets| octets.len() == length);
    let base64 =
        || data_encoding::BASE64.decode(text.as_bytes()).ok().filter(|octets| octets.len() == length);
    hex.or_else(base64)
}

/// A text that must be there.
fn text<'a>(claims: &'a Value, name: &str) -> Result<&'a str, String> {
    claims.get(name).and_then(Value::as_str).ok_or_else(|| format!("{name} is not text"))
}

/// A measurement that must be there: a register of our name.
fn register(registers: &mut Registers, name: &str, claims: &Value, claim: &str) -> Result<(), String> {
    let value = octets(text(claims, claim)?, 48).ok_or_else(|| format!("{claim} is not 48 octets"))?;
    registers.insert(name.to_owned(), value);
    Ok(())
}

/// What a JWT of any vendor says of itself.
struct Issued {
    issuer: Option<String>,
    audiences: Vec<String>,
    times: Times,
}

impl Issued {
    fn of(claims: &Value) -> Result<Self, String> {
        let issuer = claims.get("iss").map(|_| text(claims, "iss")).transpose()?;
        let audiences = crate::verifier::jose::audiences(claims)?;
        Ok(Self {
            issuer: issuer.map(str::to_owned),
            audiences: audiences.into_iter().map(str::to_owned).collect(),
            times: Times::of(claims)?,
        })
    }

    /// With an end, which every JWT of a vendor has.
    fn ending(claims: &Value) -> Result<Self, String> {
        let issued = Self::of(claims)?;
        if issued.times.expires.is_none() { Err("exp is missing".to_owned()) } else { Ok(issued) }
    }
}

/// A genuine platform as vendors' services vouch for it; what they found wrong lowers it by the checks.
const fn genuine(runtime_opaque: i8) -> TrustVector {
    TrustVector { instance_identity: 0, configuration: 2, executables: 0, hardware: 2, runtime_opaque }
}
