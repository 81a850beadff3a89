//! Makes a logged decision again, from what the log holds and nothing else, and compares octet for octet.

use serde::Serialize;
use treering_provenance::content;

use crate::binding::{CHALLENGE_LIFETIME_S, Challenge, binding_value};
use crate::governance::appraisal_references;
use crate::mapper::{self, Manifest};
use crate::verifier::{self, AppraisalPolicy, Collateral, Document, Evidence, HardwareRoots};

use super::Trace;
use super::trace::Materials;

/// What came of making a decision again.
#[derive(Debug, Clone, Serialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one per thing compared; they are reported, not branched on"
)]
pub struct Replay {
    /// Whether everything came out the same.
    pub identical: bool,
    /// The attestation result (EAR), compared octet for octet.
    pub appraisal: bool,
    /// Whether the evidence is bound to the logged challenge, target, service and request.
    pub binding: bool,
    /// Identifier, claims and selector.
    pub mapping: bool,
    /// What differs, or why it could not be made again.
    pub notes: Vec<String>,
}

/// Makes the decision of a traced credential again.
pub fn replay(trace: &Trace) -> Replay {
    let mut out =
        Replay { identical: false, appraisal: false, binding: false, mapping: false, notes: Vec::new() };
    if let Err(reason) = run(&trace.materials, &mut out) {
        out.notes.push(reason);
    }
    out.identical = out.appraisal && out.binding && out.mapping;
    out
}

fn run(logged: &Materials, out: &mut Replay) -> Result<(), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let evidence =
        logged.appraisal.evidence.iter().map(|item| (item.media_type.clone(), item.body.0.clone()));
    let evidence = Evidence::new(evidence).map_err(|error| text(&error))?;
    let policy = AppraisalPolicy::parse(&logged.appraisal_policy).map_err(|error| text(&error))?;
    let (references, leaf) = &logged.references;
    let references = appraisal_references(references, leaf)?;
    let roots = HardwareRoots::with_simulated(logged.simulated_roots.iter().copied());
    let collateral = collateral_of(&logged.collateral)?;
    let appraisal =
        verifier::appraise(&evidence, &collateral, &policy, &references, &roots, logged.appraisal.now);

    out.appraisal = appraisal.ear() == logged.appraisal.result.0;
    if !out.appraisal {
        out.notes.push("the attestation result is another one".to_owned());
    }
    if policy.id() != logged.appraisal.policy_id {
        out.notes.push(format!("the policy is {}, logged was {}", policy.id(), logged.appraisal.policy_id));
        out.appraisal = false;
    }
    let bound = &logged.appraisal.binding;
    let value = binding_value(&bound.freshness.0, &bound.target, &bound.rp_id, &bound.subject.0);
    let fresh = Challenge::made_at(&bound.freshness.0).is_some_and(|made| {
        (made..=made.saturating_add(CHALLENGE_LIFETIME_S)).contains(&logged.appraisal.now)
    });
    if !fresh || bound.rp_id != logged.rp_id {
        out.notes.push("the logged challenge is not of that time, or the service of another name".to_owned());
    }
    out.binding = fresh && bound.rp_id == logged.rp_id && appraisal.matches_binding(&value);
    if !out.binding {
        out.notes.push("the evidence does not carry the binding value of the logged request".to_owned());
    }
    let appraised = appraisal.into_appraised().map_err(|error| text(&error))?;
    let manifest = Manifest::parse(&logged.manifest).map_err(|error| text(&error))?;
    let claims = mapper::map(&appraised, &manifest).map_err(|error| text(&error))?;
    out.mapping = claims.identifier().as_str() == logged.mapping.identifier
        && *claims.claims() == logged.mapping.claims
        && claims.selector() == logged.mapping.selector
        && claims.explanation() == logged.mapping.explanation;
    if !out.mapping {
        out.notes.push("the mapping gives other claims".to_owned());
    }
    Ok(())
}

/// Collateral as the verifier takes it, from what was logged.
fn collateral_of(logged: &content::Collateral) -> Result<Collateral, String> {
    let bodies = |media_type: &str| {
        logged
            .items
            .iter()
            .filter(|item| item.media_type == media_type)
            .map(|item| item.body.0.clone())
            .collect()
    };
    let documents = logged.items.iter().filter(|item| {
        item.media_type != verifier::CERTIFICATE_TYPE && item.media_type != verifier::CRL_TYPE
    });
    let documents = documents
        .map(|item| Document { media_type: item.media_type.clone(), bytes: item.body.0.clone() })
        .collect();
    Collateral::new(bodies(verifier::CERTIFICATE_TYPE), bodies(verifier::CRL_TYPE))
        .and_then(|collateral| collateral.with_documents(documents))
        .map_err(|error| error.to_string())
}
