//! The checks: is it the word of a Verifier that the policy names, of this time, and does it vouch for what is wanted?

use super::{Context, NAME};
use crate::verifier::appraisal::Status;
use crate::verifier::checks::{Found, Outcome, fail, relaxed};
use crate::verifier::ear::tier;
use crate::verifier::kinds::Assurance;
use crate::verifier::reference::Words;

/// Which part of a token each check reads.
pub(super) fn reads(check: &str) -> Option<&'static str> {
    Some(match check {
        "format" => "every octet; the header's alg, kid, typ, crit, b64 (JOSE), 1, 4, 16 (COSE)",
        "issuer-key" => "the header's kid; the keys in the policy",
        "signature" => "header and payload as received; the signature; a detached token's too",
        "claims" => "the payload: every claim that the format has",
        "issuer" => "iss; in an EAR without it ear_verifier_id",
        "audience" => "aud",
        "validity" => "iat, nbf, exp",
        "age" => "iat",
        "status" => {
            "ear_status; policy_ids_unmatched; x-ms-compliance-status; swname, secboot, \
             support_attributes; x-nvidia-overall-att-result, measres, and each x-nvidia-gpu-*: checks, RIMs, \
             certificates"
        }
        "tee" => "the submodule's name; annotated evidence; attester_type; x-ms-attestation-type; hwmodel",
        "assurance" => "ear_verifier_claims; hwmodel",
        "tcb-status" => "tcb_status; attester_tcb_status",
        "debug" => {
            "policy_debug_allowed; tdx_is_debuggable; x-ms-sevsnpvm-is-debuggable; dbgstat; the vector"
        }
        "reference-value" => "the measurements; image_digest",
        _ => return None,
    })
}

pub(super) fn format(context: &Context<'_>) -> Outcome {
    match context.presented {
        Ok(_) => Ok("a token with one spelling".to_owned()),
        Err(error) => fail(error.to_string()),
    }
}

pub(super) fn issuer_key(context: &Context<'_>) -> Outcome {
    if context.presented.is_err() {
        return Err(Found::NotEvaluated("the token could not be read"));
    }
    match &context.external {
        Ok(external) => Ok(format!("a key of {:?}", external.name)),
        Err(key) => fail(format!("{key}: no Verifier of the policy has that key for tokens of this type")),
    }
}

pub(super) fn signature(context: &Context<'_>) -> Outcome {
    let external = context.external()?;
    let presented = context.presented.map_err(|_| Found::NotEvaluated("the token could not be read"))?;
    match presented.verify(&external.keys) {
        Ok(()) => Ok("it verifies".to_owned()),
        Err(error) => fail(error.to_string()),
    }
}

pub(super) fn claims(context: &Context<'_>) -> Outcome {
    let external = context.external()?;
    match &context.vouched {
        Ok(vouched) => Ok(format!("{}, about {}", external.format.name(), vouched.tee)),
        Err(reason) => fail(format!("not {}: {reason}", external.format.name())),
    }
}

pub(super) fn issuer(context: &Context<'_>) -> Outcome {
    let (external, vouched) = (context.external()?, context.vouched()?);
    match &vouched.issuer {
        Some(issuer) if *issuer == external.issuer => Ok(issuer.clone()),
        Some(issuer) => fail(format!("issued by {issuer:?}, want {:?}", external.issuer)),
        None => fail(format!("it names no issuer, want {:?}", external.issuer)),
    }
}

pub(super) fn audience(context: &Context<'_>) -> Outcome {
    let (external, vouched) = (context.external()?, context.vouched()?);
    match &external.audience {
        None => Ok("the policy names none".to_owned()),
        Some(audience) if vouched.audiences.contains(audience) => Ok(audience.clone()),
        Some(audience) => fail(format!("for {:?}, want {audience:?}", vouched.audiences)),
    }
}

pub(super) fn validity(context: &Context<'_>) -> Outcome {
    context.vouched()?.times.check(context.now).or_else(fail)
}

pub(super) fn age(context: &Context<'_>) -> Outcome {
    let (external, vouched) = (context.external()?, context.vouched()?);
    vouched.times.check_age(context.now, external.max_age_s).or_else(fail)
}

pub(super) fn status(context: &Context<'_>) -> Outcome {
    let (external, vouched) = (context.external()?, context.vouched()?);
    let said = format!("{}: {}", vouched.status.name(), vouched.reason);
    match vouched.status {
        Status::Affirming => Ok(said),
        Status::Warning if external.allow_warning => {
            relaxed("allow_warning", format!("{said}; the policy allows a warning"))
        }
        Status::None | Status::Warning | Status::Contraindicated => fail(said),
    }
}

pub(super) fn tee(context: &Context<'_>) -> Outcome {
    let (external, vouched) = (context.external()?, context.vouched()?);
    if external.tees.contains(&vouched.tee) {
        Ok(format!("it may vouch for {}", vouched.tee))
    } else {
        fail(format!("it vouches for {}, and may for {:?}", vouched.tee, external.tees))
    }
}

pub(super) fn assurance(context: &Context<'_>) -> Outcome {
    let (external, vouched) = (context.external()?, context.vouched()?);
    match vouched.assurance {
        Some(Assurance::Simulated) if external.allow_simulated => {
            relaxed("allow_simulated", Assurance::Simulated.as_str())
        }
        Some(Assurance::Simulated) => {
            fail("a simulated platform, which the policy does not accept from this Verifier")
        }
        Some(assurance) => Ok(assurance.as_str().to_owned()),
        None => fail("it does not say whose root the evidence rests on in a word that is known here"),
    }
}

pub(super) fn tcb_status(context: &Context<'_>) -> Outcome {
    let (external, vouched) = (context.external()?, context.vouched()?);
    match &vouched.tcb_status {
        None => Ok("this format has none".to_owned()),
        Some(status) if external.allowed_tcb_statuses.contains(status) => Ok(status.clone()),
        Some(status) => fail(format!("{status}, the policy allows {:?}", external.allowed_tcb_statuses)),
    }
}

pub(super) fn debug(context: &Context<'_>) -> Outcome {
    let vouched = context.vouched()?;
    match vouched.debug {
        Some(true) => fail("it can be debugged: others can read its memory"),
        Some(false) => Ok("not allowed".to_owned()),
        None if tier(vouched.vector.configuration) == Status::Affirming => {
            Ok(format!("the Verifier affirms the configuration ({})", vouched.vector.configuration))
        }
        None => fail("neither the token nor the Verifier's claim about the configuration rules it out"),
    }
}

pub(super) fn reference_value(context: &Context<'_>) -> Outcome {
    let (external, vouched) = (context.external()?, context.vouched()?);
    let names: Vec<&str> = vouched.registers.keys().map(String::as_str).collect();
    let words = Words {
        found: "the measurement is that of",
        unjudged: "the measurement is",
        unknown: &format!("{} of {} is", names.join(", "), vouched.reference_tee),
    };
    let (references, required) = (context.references, external.require_reference_value);
    match references.judge(&vouched.reference_tee, required, vouched.reference(references), &words) {
        Err(Found::Failed(_)) if names.is_empty() => {
            fail(format!("the {NAME} carries no measurement that a reference value could name"))
        }
        outcome => outcome,
    }
}
