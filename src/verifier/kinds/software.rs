//! Workloads without a TEE: a token of the platform that runs them, such as a projected service account token of
//! Kubernetes or the workload token of a CI system.
//!
//! It says which workload the platform believes to run, on the platform's word alone: nobody's hardware is behind it,
//! the host sees everything, and every result says `assurance: software`. A mapping manifest must name that assurance
//! to accept it. In scope: JWTs of issuers whose keys the policy has. Out of scope: build attestations as such; a digest
//! of what was built counts where the token carries it.
//!
//! The binding is in the audience, the one thing that a workload can choose when it asks for a token:
//! `<audience of the policy>#<base64url of SHA-256(tag || binding)>`.

mod policy;

pub(in crate::verifier) use policy::Platform;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use serde_json::{Value, json};

use super::attestation_result::IMAGE_DIGEST;
use super::{About, Assurance, Finding, Input, Kind};
use crate::verifier::binding::Carriage;
use crate::verifier::checks::{self, Check, CheckInfo, Found, Harm, Outcome, fail};
use crate::verifier::collateral::Collateral;
use crate::verifier::ear::TrustVector;
use crate::verifier::evidence::EvidenceItem;
use crate::verifier::jose::{Times, Token, TokenError, audiences, looks_like_a_token};
use crate::verifier::json;
use crate::verifier::lint::{Remark, repeated};
use crate::verifier::parts::{Part, of_jwt};
use crate::verifier::policy::AppraisalPolicy;
use crate::verifier::reference::{ReferenceValue, ReferenceValues, Registers, Words};

/// The name of this kind.
pub(in crate::verifier) const NAME: &str = "software";
/// Media type of a platform's token. None is registered for tokens of this use; this is the name we use.
pub const PLATFORM_TOKEN: &str = "application/vnd.treering.platform-token+jwt";
const BINDING_TAG: &str = "treering-binding-software-v1";

/// This kind.
pub(in crate::verifier) struct Software;

/// Everything a check may look at.
struct Context<'a> {
    token: Result<&'a Token, &'a TokenError>,
    platform: Option<&'a Platform>,
    said: Result<&'a Said, &'a String>,
    references: &'a ReferenceValues,
    now: u64,
}

/// What a token says, once read.
struct Said {
    issuer: String,
    subject: String,
    /// The audience before the binding, and the digest after it.
    audience: String,
    digest: Option<[u8; 32]>,
    times: Times,
    registers: Registers,
    claims: Value,
}

/// All of them, in order.
fn table<'a>() -> [Check<Context<'a>>; 10] {
    [
        Check::firm("format", Harm::NotAuthentic, format),
        Check::firm("issuer-key", Harm::NotAuthentic, issuer_key),
        Check::firm("signature", Harm::NotAuthentic, signature),
        Check::firm("claims", Harm::NotAuthentic, claims),
        Check::firm("issuer", Harm::NotAuthentic, issuer),
        Check::firm("audience", Harm::NotAuthentic, audience),
        Check::firm("validity", Harm::NotAuthentic, validity),
        Check::firm("age", Harm::Configuration, age),
        Check::firm("subject", Harm::Configuration, subject),
        Check::waivable("reference-value", Harm::Executables, reference_value),
    ]
}

/// What it is.
const ABOUT: About = About {
    name: NAME,
    media_types: &[PLATFORM_TOKEN],
    supplements: &[],
    documents: &[],
    reads,
    has_register: |name, octets| name == IMAGE_DIGEST && octets == 32,
    // The image that was started; nobody measured what ran since.
    vouches: |registers| if registers.contains_key(IMAGE_DIGEST) { 3 } else { 0 },
    // Of octets without a type, the JWTs that speak of no platform: those are results, and asked before.
    recognises: |octets| octets.starts_with(b"eyJ") && looks_like_a_token(octets),
    is_a_device: false,
};

impl Kind for Software {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn checks(&self) -> Vec<CheckInfo> {
        checks::infos(&table())
    }

    fn lint(&self, policy: &AppraisalPolicy, remarks: &mut Vec<Remark>) {
        let platforms = &policy.kinds().software;
        for name in repeated(platforms.iter().map(|one| one.name.as_str())) {
            remarks.push(Remark::error(format!("software {name:?}"), "that name is there twice"));
        }
        for one in platforms {
            let at = |key: &str| format!("software {:?}, {key}", one.name);
            if one.max_age_s == 0 {
                remarks.push(Remark::error(at("max_age_s"), "0: only a token of the very second would pass"));
            }
            if one.max_age_s > policy::default_max_age_s() {
                remarks.push(Remark::lenient(at("max_age_s"), format!("{} s", one.max_age_s)));
            }
            if one.require_reference_value && one.image_digest.is_none() {
                let text =
                    "required, and image_digest does not say where a token names the image: none can pass";
                remarks.push(Remark::error(at("require_reference_value"), text));
            }
            if !one.require_reference_value {
                remarks.push(Remark::lenient(at("require_reference_value"), "false"));
            }
        }
        if !platforms.is_empty() {
            remarks.push(Remark::lenient("software", "workloads without a TEE are accepted"));
        }
    }

    fn parts(&self, octets: &[u8]) -> Vec<Part> {
        of_jwt(octets)
    }

    /// When the token says that it was issued.
    fn made_at(&self, claims: &Value) -> Option<u64> {
        claims.pointer("/stated/iat")?.as_u64()
    }

    fn ends(&self, item: &EvidenceItem) -> Vec<u64> {
        let claims = Token::read_jws(item.bytes()).ok().and_then(|token| json::object(token.payload()).ok());
        claims.and_then(|claims| Times::of(&claims).ok()?.expires).into_iter().collect()
    }

    fn impossible(&self, policy: &AppraisalPolicy) -> Option<String> {
        policy.kinds().software.is_empty().then(|| "the policy names no platform ([[software]])".to_owned())
    }

    fn appraise(&self, input: &Input<'_>) -> Finding {
        let token = Token::read_jws(input.item.bytes());
        let platform = token.as_ref().ok().and_then(|token| platform(&input.policy.kinds().software, token));
        let said = match &token {
            Ok(token) => Said::read(token, platform),
            Err(error) => Err(error.to_string()),
        };
        let context = Context {
            token: token.as_ref(),
            platform,
            said: said.as_ref(),
            references: input.references,
            now: input.now,
        };
        let said = said.as_ref().ok();
        let reference = said.and_then(|said| said.reference(input.references));
        Finding {
            recognised: !input.item.bytes().is_empty(),
            checks: checks::run(NAME, &table(), &context, input.policy, input.now),
            affirms: TrustVector {
                instance_identity: 0,
                configuration: 2,
                executables: reference.map_or(0, ReferenceValue::vouches),
                // No hardware vouches for anything, and nothing is said of who can see the memory.
                hardware: 0,
                runtime_opaque: 0,
            },
            claims: said.map(|said| {
                json!({
                    "platform": platform.map(|platform| platform.name.as_str()),
                    "subject": said.subject,
                    "stated": said.claims,
                })
            }),
            carriage: said
                .and_then(|said| said.digest)
                .map(|digest| Carriage::Digest { tag: BINDING_TAG, digest }),
            assurance: Assurance::Software,
            generation: None,
            machine: None,
            reference: reference.cloned(),
            collateral: Collateral::default(),
        }
    }
}

fn reads(check: &str) -> Option<&'static str> {
    Some(match check {
        "format" => "every octet; the header's alg, kid, crit, b64",
        "issuer-key" => "the header's kid; the keys in the policy",
        "signature" => "header and payload as received; the signature",
        "claims" => "iss, sub, aud, exp, and the image where the policy says",
        "issuer" => "iss",
        "audience" => "aud before #",
        "validity" => "iat, nbf, exp",
        "age" => "iat",
        "subject" => "sub",
        "reference-value" => "the claim that the policy names for the image",
        _ => return None,
    })
}

/// The platform whose key the token names: of several the first whose key verifies it.
fn platform<'a>(platforms: &'a [Platform], token: &Token) -> Option<&'a Platform> {
    let mut known = platforms.iter().filter(|one| token.is_known_to(&one.keys));
    let first = known.clone().next();
    known.find(|one| token.verify(&one.keys).is_ok()).or(first)
}

impl Said {
    fn read(token: &Token, platform: Option<&Platform>) -> Result<Self, String> {
        let claims = json::object(token.payload())?;
        let text = |name: &str| {
            let text = claims.get(name).and_then(Value::as_str);
            text.map(str::to_owned).ok_or_else(|| format!("{name} is not text"))
        };
        let times = Times::of(&claims)?;
        if times.expires.is_none() {
            return Err("exp is missing".to_owned());
        }
        let audiences = audiences(&claims)?;
        let [audience] = audiences.as_slice() else {
            return Err(format!("{} audiences: a token for several can be passed on", audiences.len()));
        };
        let (audience, digest) = match audience.split_once('#') {
            None => (*audience, None),
            Some((audience, digest)) => {
                let octets = BASE64URL_NOPAD.decode(digest.as_bytes()).ok();
                let digest = octets.and_then(|octets| octets.try_into().ok());
                (
                    audience,
                    Some(digest.ok_or("what follows # in the audience is not base64url of 32 octets")?),
                )
            }
        };
        let mut registers = Registers::new();
        if let Some(pointer) = platform.and_then(|platform| platform.image_digest.as_deref()) {
            let value = claims.pointer(pointer).and_then(Value::as_str);
            let value =
                value.and_then(|value| HEXLOWER.decode(value.strip_prefix("sha256:")?.as_bytes()).ok());
            let value = value.filter(|value| value.len() == 32);
            let value = value.ok_or_else(|| format!("{pointer} is not sha256: and 32 octets in hex"))?;
            registers.insert(IMAGE_DIGEST.to_owned(), value);
        }
        let audience = audience.to_owned();
        Ok(Self { issuer: text("iss")?, subject: text("sub")?, audience, digest, times, registers, claims })
    }

    fn reference<'a>(&self, references: &'a ReferenceValues) -> Option<&'a ReferenceValue> {
        references.find(NAME, &self.registers)
    }
}

impl<'a> Context<'a> {
    fn token(&self) -> Result<&'a Token, Found> {
        self.token.map_err(|_| Found::NotEvaluated("the token could not be read"))
    }

    fn platform(&self) -> Result<&'a Platform, Found> {
        self.platform.ok_or(Found::NotEvaluated("no known platform signed it"))
    }

    fn said(&self) -> Result<&'a Said, Found> {
        self.said.map_err(|_| Found::NotEvaluated("the claims could not be read"))
    }
}

fn format(context: &Context<'_>) -> Outcome {
    match context.token.map(|token| token.check_type("jwt")) {
        Ok(Err(error)) => fail(error.to_string()),
        Ok(Ok(())) => Ok("a token with one spelling".to_owned()),
        Err(error) => fail(error.to_string()),
    }
}

fn issuer_key(context: &Context<'_>) -> Outcome {
    let token = context.token()?;
    match context.platform {
        Some(platform) => Ok(format!("a key of {:?}", platform.name)),
        None => fail(format!("{}: no platform of the policy has that key", token.key_name())),
    }
}

fn signature(context: &Context<'_>) -> Outcome {
    let platform = context.platform()?;
    match context.token()?.verify(&platform.keys) {
        Ok(()) => Ok("it verifies".to_owned()),
        Err(error) => fail(error.to_string()),
    }
}

fn claims(context: &Context<'_>) -> Outcome {
    context.token()?;
    match context.said {
        Ok(said) => Ok(format!("about {}", said.subject)),
        Err(reason) => fail(reason.clone()),
    }
}

fn issuer(context: &Context<'_>) -> Outcome {
    let (platform, said) = (context.platform()?, context.said()?);
    if said.issuer == platform.issuer {
        Ok(said.issuer.clone())
    } else {
        fail(format!("issued by {:?}, want {:?}", said.issuer, platform.issuer))
    }
}

fn audience(context: &Context<'_>) -> Outcome {
    let (platform, said) = (context.platform()?, context.said()?);
    if said.audience == platform.audience {
        Ok(said.audience.clone())
    } else {
        fail(format!("for {:?}, want {:?}", said.audience, platform.audience))
    }
}

fn validity(context: &Context<'_>) -> Outcome {
    context.said()?.times.check(context.now).or_else(fail)
}

fn age(context: &Context<'_>) -> Outcome {
    let (platform, said) = (context.platform()?, context.said()?);
    said.times.check_age(context.now, platform.max_age_s).or_else(fail)
}

fn subject(context: &Context<'_>) -> Outcome {
    let (platform, said) = (context.platform()?, context.said()?);
    if platform.subjects.contains(&said.subject) {
        Ok(said.subject.clone())
    } else {
        fail(format!("{:?} is none of the subjects that the policy names", said.subject))
    }
}

fn reference_value(context: &Context<'_>) -> Outcome {
    let (platform, said) = (context.platform()?, context.said()?);
    let image = said.registers.get(IMAGE_DIGEST).map(|digest| HEXLOWER.encode(digest));
    let words = Words {
        found: "the image is that of",
        unjudged: "what runs is",
        unknown: &format!("image {} is", image.as_deref().unwrap_or_default()),
    };
    let (references, required) = (context.references, platform.require_reference_value);
    match references.judge(NAME, required, said.reference(references), &words) {
        Err(Found::Failed(_)) if image.is_none() => {
            fail("the policy does not say where the token names the image")
        }
        outcome => outcome,
    }
}
