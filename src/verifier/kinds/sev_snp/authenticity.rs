//! Is it genuine? What fails here cannot be waived, and leaves nothing in the evidence to be believed. Of revocation a
//! waiver lets pass that it is not known, and never that something is revoked.

use super::Context;
use super::generation::Generation;
use super::report::{ECDSA_P384_SHA384, SigningKey, Unreadable, all_zero};
use crate::clock::rfc3339;
use crate::verifier::checks::{Found, Outcome, fail, grace_of, relaxed};

pub(super) fn format(context: &Context<'_>) -> Outcome {
    match context.report {
        Ok(report) => Ok(format!("SEV-SNP report, version {}", report.fields().version)),
        Err(Unreadable::Format(reason)) => fail(reason.as_str()),
        Err(Unreadable::NotCanonical(_)) => Ok("SEV-SNP report".to_owned()),
    }
}

pub(super) fn canonical(context: &Context<'_>) -> Outcome {
    match context.report {
        Ok(_) => {
            Ok("the octets are the only ones that mean this; what is reserved is as it must be".to_owned())
        }
        Err(Unreadable::NotCanonical(reason)) => fail(reason.as_str()),
        Err(Unreadable::Format(_)) => Err(Found::NotEvaluated("the report could not be read")),
    }
}

pub(super) fn signature_algorithm(context: &Context<'_>) -> Outcome {
    match context.report()?.fields().sig_algo {
        ECDSA_P384_SHA384 => Ok("ECDSA P-384 with SHA-384".to_owned()),
        other => fail(format!("algorithm {other}, want {ECDSA_P384_SHA384} (ECDSA P-384 with SHA-384)")),
    }
}

pub(super) fn endorsement(context: &Context<'_>) -> Outcome {
    match &context.vek.endorsement {
        Ok(endorsement) => {
            let provider = endorsement.service_provider.as_ref();
            let provider = provider.map(|name| format!(", service provider {name}")).unwrap_or_default();
            Ok(format!("{} of a {}{provider}", endorsement.kind.name(), endorsement.product))
        }
        Err(reason) => fail(reason.as_str()),
    }
}

pub(super) fn chain(context: &Context<'_>) -> Outcome {
    context.vek.chain.clone().map_err(Found::Failed)
}

pub(super) fn root(context: &Context<'_>) -> Outcome {
    if context.vek.chain.is_err() {
        return Err(Found::NotEvaluated("no chain leads to a root"));
    }
    match &context.vek.root {
        Ok(root) if root.simulated => {
            Ok(format!("SIMULATED platform, as {}, pinned by configuration", root.generation))
        }
        Ok(root) => Ok(format!("AMD's root of {}, pinned", root.generation)),
        Err(reason) => fail(reason.as_str()),
    }
}

pub(super) fn validity(context: &Context<'_>) -> Outcome {
    let now = context.now;
    for window in &context.vek.windows {
        if now < window.not_before {
            let from = rfc3339(window.not_before);
            return fail(format!("{} is not valid before {from}", window.name));
        }
        if now > window.not_after {
            return fail(format!("{} expired at {}", window.name, rfc3339(window.not_after)));
        }
    }
    match context.vek.windows.iter().map(|window| window.not_after).min() {
        Some(until) => Ok(format!("{} certificates, until {}", context.vek.windows.len(), rfc3339(until))),
        None => Err(Found::NotEvaluated("there is no certificate")),
    }
}

pub(super) fn revocation(context: &Context<'_>) -> Outcome {
    // What every list says before whether one may be used: no waiver of a list that has ended hides what another revokes.
    for crl in context.vek.in_force(context.now) {
        let revocation = crl.read.as_ref().map_err(|reason| Found::Final(reason.clone()))?;
        if let Some(revoked) = &revocation.revoked {
            return Err(Found::Final(format!("revoked: {revoked}")));
        }
    }
    let lists = || context.vek.in_force(context.now).flat_map(|one| &one.read).map(|read| &read.crl);
    let late =
        grace_of(lists().map(|crl| {
            context.freshness.usable("crl", "CRL", crl.this_update, crl.next_update, context.now)
        }))?;
    if let Some(late) = late {
        return Err(late);
    }
    match lists().map(|crl| crl.this_update).min() {
        Some(from) => Ok(format!("not revoked by the CRL of {}", rfc3339(from))),
        None if context.policy.require_crl => fail("no CRL given, and the policy requires one"),
        None => relaxed("require_crl", "no CRL given: not checked"),
    }
}

pub(super) fn signing_key(context: &Context<'_>) -> Outcome {
    let named = context.report()?.signing_key().map_err(Found::Failed)?;
    let endorsed = context.endorsement()?.kind;
    if named == endorsed {
        Ok(format!("{}, as its certificate says", named.name()))
    } else {
        fail(format!("the report names a {}, the certificate is a {}'s", named.name(), endorsed.name()))
    }
}

pub(super) fn signature(context: &Context<'_>) -> Outcome {
    let report = context.report()?;
    let key = context.vek.key.as_ref();
    let key = key.ok_or(Found::NotEvaluated("no key is endorsed under a pinned root"))?;
    match key.verify_sig(report.signed(), &report.signature()) {
        Ok(()) => Ok("over the octets received".to_owned()),
        Err(_) => fail("the endorsed key did not sign this report"),
    }
}

pub(super) fn generation(context: &Context<'_>) -> Outcome {
    let rooted = context.rooted_generation()?;
    let report = context.report()?;
    let product = &context.endorsement()?.product;
    if product.split_once('-').map_or(product.as_str(), |(name, _)| name) != rooted.name() {
        return fail(format!("the certificate is for a {product}, its root is that of {rooted}"));
    }
    // The layout of the TCB version differs from Turin on; the report must have been read in the right one.
    let turin = report.reported_tcb().fmc.is_some();
    match report.generation() {
        Some(Ok(named)) if named == rooted => Ok(format!("{rooted}, by CPUID and certificates")),
        Some(Ok(named)) => fail(format!("the report is of a {named}, the certificates of a {rooted}")),
        Some(Err(reason)) => fail(reason),
        None if turin || rooted == Generation::Turin => fail("a report of version 2 cannot be of a Turin"),
        None => Ok(format!("{rooted}, by certificates (version 2 does not say)")),
    }
}

pub(super) fn tcb_binding(context: &Context<'_>) -> Outcome {
    let reported = context.report()?.reported_tcb();
    let endorsed = context.endorsement()?.tcb;
    if reported == endorsed {
        Ok(format!("{reported}: the report and the certificate agree"))
    } else {
        fail(format!("the report says {reported}; the certificate {endorsed}"))
    }
}

pub(super) fn chip_binding(context: &Context<'_>) -> Outcome {
    let chip_id = &context.report()?.fields().chip_id;
    let endorsement = context.endorsement()?;
    match (endorsement.kind, &endorsement.hardware_id) {
        (SigningKey::Vlek, _) => Ok("a VLEK names no chip".to_owned()),
        (SigningKey::Vcek, None) => fail("the VCEK certificate names no chip"),
        (SigningKey::Vcek, Some(_)) if all_zero(chip_id) => Ok("the host masks the chip id".to_owned()),
        (SigningKey::Vcek, Some(id)) => {
            let (named, rest) = chip_id.split_at(id.len().min(chip_id.len()));
            if named == id.as_slice() && all_zero(rest) {
                Ok(format!("chip {}...", data_encoding::HEXLOWER.encode(id.get(..8).unwrap_or(id))))
            } else {
                fail("the report is of another chip than the certificate")
            }
        }
    }
}
