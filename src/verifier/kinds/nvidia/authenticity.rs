//! Is it genuine? What fails here cannot be waived, and leaves nothing in the evidence to be believed. Of revocation a
//! waiver lets pass that it is not known, and never that something is revoked.

use treering_provenance::cose::{Algorithm, CoseError};

use super::chain::Root;
use super::container::Unreadable;
use super::opaque;
use super::{Context, VerifiedChain};
use crate::clock::rfc3339;
use crate::verifier::checks::{Found, Outcome, fail, grace_of, relaxed};

pub(super) fn format(context: &Context<'_>) -> Outcome {
    match context.evidence {
        Ok(evidence) => Ok(format!(
            "SPDM 1.1 report of {} measurements, {} certificates",
            evidence.report.measurements.len(),
            evidence.container.chain.len()
        )),
        Err(Unreadable::Format(reason)) => fail(reason.as_str()),
        Err(Unreadable::NotCanonical(_)) => Ok("a report with certificates".to_owned()),
    }
}

pub(super) fn canonical(context: &Context<'_>) -> Outcome {
    match context.evidence {
        Ok(_) => Ok("every octet is signed, or as it must be".to_owned()),
        Err(Unreadable::NotCanonical(reason)) => fail(reason.as_str()),
        Err(Unreadable::Format(_)) => Err(Found::NotEvaluated("the report could not be read")),
    }
}

pub(super) fn chain(context: &Context<'_>) -> Outcome {
    let chain = context.chain()?;
    match &chain.chain {
        Ok(path) => Ok(format!("{} certificates, each signed by the next", path.validity.len())),
        Err(reason) => fail(reason.as_str()),
    }
}

pub(super) fn root(context: &Context<'_>) -> Outcome {
    match &context.chain()?.root {
        Ok(Root::Nvidia) => Ok("NVIDIA's device identity root, pinned".to_owned()),
        Ok(Root::Simulated) => Ok("SIMULATED device, pinned by configuration".to_owned()),
        Err(reason) => fail(reason.as_str()),
    }
}

pub(super) fn validity(context: &Context<'_>) -> Outcome {
    let chain = context.chain()?;
    let path = chain.chain.as_ref().map_err(|_| Found::NotEvaluated("there is no chain"))?;
    if let Some((position, (not_before, not_after))) = path.outside(context.now) {
        let (from, until) = (rfc3339(not_before), rfc3339(not_after));
        return fail(format!("{} is valid from {from} to {until}", name(chain, position)));
    }
    match path.validity.iter().map(|(_, not_after)| *not_after).min() {
        Some(until) => Ok(format!("{} certificates, until {}", path.validity.len(), rfc3339(until))),
        None => Err(Found::NotEvaluated("there is no certificate")),
    }
}

/// The leaf is made by the device at each start; nobody publishes whether it holds.
pub(super) fn revocation(context: &Context<'_>) -> Outcome {
    let chain = context.chain()?;
    if chain.key.is_none() {
        return Err(Found::NotEvaluated("no chain leads to a pinned root"));
    }
    // What every word says before whether one may be used: no waiver of one that has ended hides what another revokes.
    for word in context.words {
        let word = word.as_ref().map_err(|reason| Found::Final(reason.clone()))?;
        if let Some(revoked) = &word.revoked {
            return Err(Found::Final(revoked.clone()));
        }
    }
    let words = || context.words.iter().copied().flatten();
    let late = grace_of(words().map(|word| word.usable(context.freshness, context.now)))?;
    let spoken_of: Vec<usize> = words().map(|word| word.about).collect();
    let between = 1..chain.names.len().saturating_sub(1);
    let silent: Vec<&str> = between
        .filter(|position| !spoken_of.contains(position))
        .map(|position| name(chain, position))
        .collect();
    match (silent.as_slice(), late) {
        ([], None) => Ok("no certificate of the chain is revoked or on hold".to_owned()),
        (silent, _) if context.policy.require_revocation && !silent.is_empty() => {
            fail(format!("no CRL or OCSP response about {}, and the policy requires one", silent.join(", ")))
        }
        (_, Some(late)) => Err(late),
        (silent, None) => relaxed(
            "require_revocation",
            format!("no CRL or OCSP response given about {}: not checked", silent.join(", ")),
        ),
    }
}

pub(super) fn signature(context: &Context<'_>) -> Outcome {
    let report = context.report()?;
    let key = context.chain()?.key.as_ref();
    let key = key.ok_or(Found::NotEvaluated("no key is endorsed under a pinned root"))?;
    // A device prefers neither spelling of s.
    match key.verify(Algorithm::Es384, report.signed(), report.signature()) {
        Ok(()) | Err(CoseError::HighS) => Ok("over request and response as received".to_owned()),
        Err(_) => fail("the leaf's key did not sign this report"),
    }
}

pub(super) fn device(context: &Context<'_>) -> Outcome {
    let device = context.chain()?.device.as_ref().map_err(|reason| Found::Failed(reason.clone()))?;
    if device.generation.class() != context.class {
        return fail(format!("a {} is not of kind {}", device.chip, context.class.kind()));
    }
    Ok(format!("{} ({})", device.model, device.generation.name()))
}

pub(super) fn fwid(context: &Context<'_>) -> Outcome {
    let device = context.device()?;
    let hex = data_encoding::HEXLOWER.encode(device.fwid.get(..8).unwrap_or_default());
    match context.report()?.opaque.get(&opaque::FWID) {
        None => Ok(format!("{hex}... by the certificate; the report does not repeat it")),
        Some(reported) if *reported == device.fwid => Ok(format!("{hex}...: report and certificate agree")),
        Some(_) => fail("the report is of other firmware than the key that signed it"),
    }
}

fn name(chain: &VerifiedChain, position: usize) -> &'static str {
    chain.names.get(position).copied().unwrap_or("a certificate")
}
