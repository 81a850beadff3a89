//! Makes logged decisions again, from what the log holds and nothing else, and compares octet for octet: the one that
//! a trace led to, or all that are in a log.
//!
//! In scope: registrations, activations, appraisals, mappings, issuances and refusals. What decides again is what
//! decided: the rules of registration and approval, the verifier, [`decide`](crate::authority::decide), the mapper.
//! Out of scope: who reads what from where (`source`, `reader`), and decisions that no entry records: what was refused
//! at registration, and requests that were answered without an entry.

mod decision;
mod ear;
mod in_force;
mod instants;
mod judge;
mod load;
mod read;
mod registration;
mod report;
mod survey;
mod walk;

use std::sync::Arc;

use serde::Serialize;
use treering_provenance::content::TrustAnchors;

use crate::governance::appraisal_references;
use crate::mapper::{self, Manifest};
use crate::verifier::{AppraisalPolicy, HardwareRoots, Verifier};

use super::Trace;
use super::trace::Materials;
use decision::{Decision, Inputs};

pub use decision::Appraise;
pub use instants::MAX_WAIT_S;
pub use report::{Decided, Finding, Report, Scope, Tally, Verdict};
pub use walk::{Progress, replay_log};

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
    let (references, leaf) = &logged.references;
    let inputs = Inputs {
        collateral: Arc::new(decision::collateral_of(&logged.collateral)?),
        policy: Arc::new(AppraisalPolicy::parse(&logged.appraisal_policy).map_err(|error| text(&error))?),
        references: Arc::new(appraisal_references(references, leaf)?),
    };
    let decision = Decision::new(logged.appraisal.clone(), inputs);
    let made = decision.again(&Verifier::with_capacity(roots_of(&logged.anchors), 1))?;
    let mut note = |compared: Result<(), String>| {
        let holds = compared.is_ok();
        out.notes.extend(compared.err());
        holds
    };
    out.appraisal = note(decision.same_result(made));
    out.binding = note(decision.timely(&logged.anchors.rp_id).and_then(|()| decision.bound(made)));
    let appraised = made.clone().into_appraised().map_err(|error| text(&error))?;
    let manifest = Manifest::parse(&logged.manifest).map_err(|error| text(&error))?;
    let claims = mapper::map(&appraised, &manifest).map_err(|error| text(&error))?;
    out.mapping = note(decision::same_mapping(&logged.mapping, &claims));
    Ok(())
}

/// The roots that evidence may rest on, by the log's trust anchors.
fn roots_of(anchors: &TrustAnchors) -> HardwareRoots {
    let simulated = anchors.hardware_roots.iter().filter(|root| root.simulated);
    HardwareRoots::with_simulated(simulated.map(|root| *root.sha256.as_bytes()))
}
