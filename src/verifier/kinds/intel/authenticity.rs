//! Is it genuine? What fails here cannot be waived. The checks of both kinds alike.

use super::HasQuote;
use super::quote::Unreadable;
use super::verdict::{Answer, Step, VALIDITY};
use crate::clock::rfc3339;
use crate::verifier::checks::{Check, Found, Harm, Outcome, fail, grace_of};

/// The checks, in order.
pub(in crate::verifier) fn table<C: HasQuote>() -> [Check<C>; 13] {
    [
        Check::firm("format", Harm::NotAuthentic, format),
        Check::firm("canonical", Harm::NotAuthentic, canonical),
        Check::firm("root", Harm::NotAuthentic, root),
        Check::firm("collateral", Harm::NotAuthentic, collateral),
        Check::firm("validity", Harm::NotAuthentic, validity),
        Check::firm("freshness", Harm::Hardware, freshness),
        Check::firm("collateral-signature", Harm::NotAuthentic, |context| {
            let detail = "TCB information and the QE's identity are signed by the key that the root names";
            step(context, Step::QeIdentity, "collateral-signature", || detail.to_owned())
        }),
        Check::firm("chain", Harm::NotAuthentic, chain),
        Check::firm("revocation", Harm::Hardware, revocation),
        Check::firm("qe-report", Harm::NotAuthentic, |context| {
            let detail = "the PCK signed the quoting enclave's report";
            step(context, Step::QeReport, "qe-report", || detail.to_owned())
        }),
        Check::firm("attestation-key", Harm::NotAuthentic, |context| {
            let detail = "the quoting enclave's report is over the attestation key";
            step(context, Step::AttestationKey, "attestation-key", || detail.to_owned())
        }),
        Check::firm("qe-identity", Harm::NotAuthentic, |context| {
            let detail = format!("the quoting enclave is Intel's {}", context.judged().tee.identity());
            step(context, Step::QeMatch, "qe-identity", || detail)
        }),
        Check::firm("signature", Harm::NotAuthentic, |context| {
            step(context, Step::Signature, "signature", || "over the octets received".to_owned())
        }),
    ]
}

/// What the verdict says of the TDX module.
pub(in crate::verifier) fn module_step<C: HasQuote>(context: &C, detail: impl FnOnce() -> String) -> Outcome {
    step(context, Step::Module, "tdx-module", detail)
}

/// What the verdict says of a check.
pub(super) fn step<C: HasQuote>(
    context: &C,
    step: Step,
    check: &str,
    detail: impl FnOnce() -> String,
) -> Outcome {
    outcome(&context.judged().verdict.answer(step, check), detail)
}

fn outcome(answer: &Answer<'_>, detail: impl FnOnce() -> String) -> Outcome {
    match answer {
        Answer::Holds => Ok(detail()),
        Answer::Fails(text) => fail(*text),
        Answer::NotReached => Err(Found::NotEvaluated("the verification stopped before")),
    }
}

fn format<C: HasQuote>(context: &C) -> Outcome {
    let judged = context.judged();
    match &judged.quote {
        Ok(quote) => Ok(format!("{} quote, version {}", judged.tee.name(), quote.fields().header.version)),
        Err(Unreadable::Format(reason)) => fail(reason.as_str()),
        Err(Unreadable::NotCanonical(_)) => Ok(format!("{} quote", judged.tee.name())),
    }
}

fn canonical<C: HasQuote>(context: &C) -> Outcome {
    match &context.judged().quote {
        Ok(_) => Ok("every length is exact, the certificates are plain PEM, nothing follows".to_owned()),
        Err(Unreadable::NotCanonical(reason)) => fail(reason.as_str()),
        Err(Unreadable::Format(_)) => Err(Found::NotEvaluated("the quote could not be read")),
    }
}

fn root<C: HasQuote>(context: &C) -> Outcome {
    let judged = context.judged();
    judged.quote()?;
    match &judged.root {
        Ok(root) if root.simulated => Ok("SIMULATED platform, pinned by configuration".to_owned()),
        Ok(_) => Ok("Intel's SGX Root CA, pinned".to_owned()),
        Err(reason) => fail(reason.as_str()),
    }
}

fn collateral<C: HasQuote>(context: &C) -> Outcome {
    let judged = context.judged();
    judged.quote()?;
    match (&judged.root, &judged.chosen) {
        (Err(_), _) => Err(Found::NotEvaluated("no pinned root")),
        (_, Err(reason)) => fail(reason.as_str()),
        (_, Ok(_)) => step(context, Step::QeIdentity, "collateral", || "complete".to_owned()),
    }
}

fn validity<C: HasQuote>(context: &C) -> Outcome {
    let judged = context.judged();
    let chosen = judged.chosen.as_ref().map_err(|_| Found::NotEvaluated("the collateral is not complete"))?;
    for (name, (from, until)) in &chosen.windows {
        if judged.now < *from {
            return fail(format!("the certificate {name} is not valid before {}", rfc3339(*from)));
        }
        if judged.now > *until {
            return fail(format!("the certificate {name} expired at {}", rfc3339(*until)));
        }
    }
    if let Answer::Fails(text) = judged.verdict.answer(Step::Crls, VALIDITY) {
        return fail(format!("the collateral is not all of one time: {text}"));
    }
    let until = chosen.windows.iter().map(|(_, (_, until))| *until).min().unwrap_or_default();
    Ok(format!("{} certificates, until {}", chosen.windows.len(), rfc3339(until)))
}

/// What Intel issues anew: as old as the policy lets it be, with the policy's grace after its end.
fn freshness<C: HasQuote>(context: &C) -> Outcome {
    let judged = context.judged();
    let chosen = judged.chosen.as_ref().map_err(|_| Found::NotEvaluated("the collateral is not complete"))?;
    let late =
        grace_of(chosen.dated.iter().map(|dated| {
            judged.freshness.usable(dated.what, dated.name, dated.from, dated.until, judged.now)
        }))?;
    let until = chosen.dated.iter().filter_map(|dated| dated.until).min().unwrap_or(u64::MAX);
    late.map_or_else(|| Ok(format!("CRLs and documents are current until {}", rfc3339(until))), Err)
}

fn chain<C: HasQuote>(context: &C) -> Outcome {
    step(context, Step::PckChain, "chain", || "PCK certificate < its issuer < root".to_owned())
}

fn revocation<C: HasQuote>(context: &C) -> Outcome {
    let judged = context.judged();
    step(context, Step::PckChain, "revocation", || {
        let crls = judged.chosen.iter().flat_map(|chosen| &chosen.dated).filter(|dated| dated.what == "crl");
        let from: Vec<String> = crls.map(|dated| rfc3339(dated.from)).collect();
        format!("no certificate is revoked by the CRLs of {}", from.join(" and "))
    })
}
