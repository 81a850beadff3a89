//! Is it genuine? What fails here cannot be waived, and leaves nothing in the document to be believed. Of revocation a
//! waiver lets pass that it is not known, and never that something is revoked.

use super::Context;
use super::chain::Root;
use super::revocation::publishers;
use crate::clock::rfc3339;
use crate::verifier::checks::{Found, Outcome, fail, grace_of, relaxed};
use crate::verifier::sign1::{self, Unreadable};

pub(super) fn format(context: &Context<'_>) -> Outcome {
    match context.document {
        Ok(document) => Ok(format!("attestation document of {}", document.module_id)),
        Err(Unreadable::Format(reason)) => fail(reason.as_str()),
        Err(Unreadable::NotCanonical(_)) => Ok("COSE_Sign1".to_owned()),
    }
}

pub(super) fn canonical(context: &Context<'_>) -> Outcome {
    match context.document {
        Ok(_) => Ok("what is not signed has one form, and this is it".to_owned()),
        Err(Unreadable::NotCanonical(reason)) => fail(reason.as_str()),
        Err(Unreadable::Format(_)) => Err(Found::NotEvaluated("the document could not be read")),
    }
}

pub(super) fn chain(context: &Context<'_>) -> Outcome {
    match &context.chain()?.chain {
        Ok(path) => Ok(format!("{} certificates, each signed by the one above it", path.validity.len())),
        Err(reason) => fail(reason.as_str()),
    }
}

pub(super) fn leaf(context: &Context<'_>) -> Outcome {
    match &context.chain()?.leaf {
        Ok(()) => Ok("its key may sign, and may not issue".to_owned()),
        Err(reason) => fail(reason.as_str()),
    }
}

pub(super) fn root(context: &Context<'_>) -> Outcome {
    match &context.chain()?.root {
        Ok(Root::Aws) => Ok("AWS's root G1, pinned".to_owned()),
        Ok(Root::Simulated) => Ok("SIMULATED platform, pinned by configuration".to_owned()),
        Err(reason) => fail(reason.as_str()),
    }
}

pub(super) fn validity(context: &Context<'_>) -> Outcome {
    let certificates = &context.chain()?.certificates;
    let mut until = u64::MAX;
    for link in certificates {
        let (not_before, not_after) = link.profile.validity();
        if context.now < not_before {
            return fail(format!("{} is not valid before {}", link.name, rfc3339(not_before)));
        }
        if context.now > not_after {
            return fail(format!("{} expired at {}", link.name, rfc3339(not_after)));
        }
        until = until.min(not_after);
    }
    match certificates.len() {
        0 => Err(Found::NotEvaluated("no certificate could be read")),
        count => Ok(format!("{count} certificates, until {}", rfc3339(until))),
    }
}

pub(super) fn revocation(context: &Context<'_>) -> Outcome {
    let chain = context.chain()?;
    // What every list says before whether one may be used: no waiver of a list that has ended hides what another revokes.
    for crl in context.crls {
        let crl = crl.read.as_ref().map_err(|reason| Found::Final(reason.clone()))?;
        if let Some(revoked) = &crl.revoked {
            return Err(Found::Final(format!("revoked: {revoked}")));
        }
    }
    let read = || context.crls.iter().flat_map(|one| &one.read);
    let late =
        grace_of(read().map(|crl| {
            context.freshness.usable("crl", "CRL", crl.this_update, crl.next_update, context.now)
        }))?;
    let oldest = read().map(|crl| crl.this_update).min();
    let given = |issuer: usize| read().any(|crl| crl.issuer == issuer);
    let silent = publishers(&chain.certificates)
        .filter(|issuer| !given(*issuer))
        .find_map(|issuer| chain.certificates.get(issuer));
    match (silent, late, oldest) {
        (Some(link), _, _) if context.policy.require_crl => {
            fail(format!("no CRL of {} given, and the policy requires one", link.name))
        }
        (None, None, None) if context.policy.require_crl => {
            fail("no CRL given, and the policy requires them")
        }
        (_, Some(late), _) => Err(late),
        (Some(link), None, _) => {
            relaxed("require_crl", format!("no CRL of {} given: not checked", link.name))
        }
        (None, None, None) => relaxed("require_crl", "no CRL given: not checked"),
        (None, None, Some(from)) => {
            Ok(format!("not revoked by {} CRLs, the oldest of {}", context.crls.len(), rfc3339(from)))
        }
    }
}

pub(super) fn signature(context: &Context<'_>) -> Outcome {
    let document = context.document()?;
    let key = context.chain()?.key.as_ref();
    let key = key.ok_or(Found::NotEvaluated("no key is endorsed under a pinned root"))?;
    if sign1::verifies(&document.message, key) {
        Ok("ECDSA P-384 with SHA-384 over the octets received".to_owned())
    } else {
        fail("the endorsed key did not sign this document")
    }
}
