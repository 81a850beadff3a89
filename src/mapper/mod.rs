//! The Claims Mapper (TWI): from an attestation result to a stable workload identifier and business claims.
//!
//! In scope: mapping manifests, which are data and not code, and the total matcher that evaluates them and says why.
//! Out of scope: who may publish a manifest and whether it is in force (`governance`).
//!
//! Mapping is a pure function of the appraisal's facts and the manifest's bytes.

mod lint;
mod manifest;

use treering_provenance::content::{Claim, Claims};

use crate::ident::WorkloadIdentifier;
use crate::verifier::Appraised;

pub use crate::verifier::Assurance;
pub use lint::lint;
pub use manifest::{Fact, Manifest, ManifestError, Selector};

/// The claim that no manifest may set: how far the identity can be trusted.
pub const ASSURANCE_CLAIM: &str = "assurance";

/// What a manifest can select on and derive claims from: the technology-bound facts that end here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The kind of TEE, such as `sev-snp`; of several components the kinds joined by `+`.
    pub tee: String,
    /// The product generation, such as `milan`, where the evidence says it.
    pub generation: Option<String>,
    /// Whose word the evidence rests on: of several components the weakest.
    pub assurance: Assurance,
    /// The reference value that the measurement matched.
    pub reference_value: Option<String>,
}

impl Facts {
    /// The facts of an appraisal that affirmed.
    pub fn of(appraised: &Appraised) -> Self {
        Self {
            tee: appraised.tee(),
            generation: appraised.generation().map(str::to_owned),
            assurance: appraised.assurance(),
            reference_value: appraised.reference().map(|value| value.name.clone()),
        }
    }

    fn get(&self, fact: Fact) -> Option<String> {
        match fact {
            Fact::Assurance => Some(self.assurance.as_str().to_owned()),
            Fact::Generation => self.generation.clone(),
            Fact::ReferenceValue => self.reference_value.clone(),
            Fact::Tee => Some(self.tee.clone()),
        }
    }
}

/// An identifier and claims that a manifest gave to an appraised workload: only [`map`] makes one.
#[derive(Debug, Clone)]
pub struct WorkloadClaims {
    identifier: WorkloadIdentifier,
    claims: Claims,
    selector: String,
    max_ttl_s: u64,
    until: Option<u64>,
    explanation: String,
}

impl WorkloadClaims {
    /// The workload identifier.
    pub fn identifier(&self) -> &WorkloadIdentifier {
        &self.identifier
    }

    /// The claims, `assurance` among them.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The selector that matched.
    pub fn selector(&self) -> &str {
        &self.selector
    }

    /// The longest lifetime that the workload's owner allows.
    pub fn max_ttl_s(&self) -> u64 {
        self.max_ttl_s
    }

    /// When the first thing ends that the appraisal rests on, Unix seconds: no credential is to outlast it.
    pub fn until(&self) -> Option<u64> {
        self.until
    }

    /// Why, in words.
    pub fn explanation(&self) -> &str {
        &self.explanation
    }
}

/// No selector matched: for each, the first condition that did not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no selector of the mapping manifest matches: {}", .reasons.join("; "))]
pub struct NoMatch {
    /// One reason per selector, in order.
    pub reasons: Vec<String>,
}

/// Maps an appraised workload by a manifest. The first selector whose conditions all hold decides.
pub fn map(appraised: &Appraised, manifest: &Manifest) -> Result<WorkloadClaims, NoMatch> {
    let claims = evaluate(&Facts::of(appraised), manifest)?;
    Ok(WorkloadClaims { until: appraised.until(), ..claims })
}

fn evaluate(facts: &Facts, manifest: &Manifest) -> Result<WorkloadClaims, NoMatch> {
    let mut reasons = Vec::new();
    for selector in &manifest.selectors {
        match mismatch(facts, selector) {
            Some(reason) => reasons.push(format!("`{}`: {reason}", selector.name)),
            None => return Ok(claims_of(facts, manifest, selector, &reasons)),
        }
    }
    Err(NoMatch { reasons })
}

/// The first condition of a selector that does not hold.
fn mismatch(facts: &Facts, selector: &Selector) -> Option<String> {
    if !selector.tee.contains(&facts.tee) {
        return Some(format!("tee is `{}`, want one of {:?}", facts.tee, selector.tee));
    }
    if !selector.assurance.contains(&facts.assurance) {
        return Some(format!(
            "assurance is `{}`, want one of {:?}",
            facts.assurance.as_str(),
            selector.assurance
        ));
    }
    match &facts.reference_value {
        Some(name) if selector.reference_values.contains(name) => None,
        Some(name) => {
            Some(format!("reference value is `{name}`, want one of {:?}", selector.reference_values))
        }
        None => Some("the measurement matched no reference value".to_owned()),
    }
}

fn claims_of(facts: &Facts, manifest: &Manifest, selector: &Selector, passed: &[String]) -> WorkloadClaims {
    let mut claims = selector.claims.clone();
    for (name, fact) in &selector.derived {
        // A derived claim whose fact is absent is left out; a selector that matched has all facts today.
        if let Some(value) = facts.get(*fact) {
            claims.insert(name.clone(), Claim::Text(value));
        }
    }
    claims.insert(ASSURANCE_CLAIM.to_owned(), Claim::Text(facts.assurance.as_str().to_owned()));
    let mut explanation = format!(
        "selector `{}` matched: tee `{}`, assurance `{}`, reference value `{}`",
        selector.name,
        facts.tee,
        facts.assurance.as_str(),
        facts.reference_value.as_deref().unwrap_or("none"),
    );
    for reason in passed {
        explanation.push_str("; not ");
        explanation.push_str(reason);
    }
    WorkloadClaims {
        identifier: manifest.identifier.clone(),
        claims,
        selector: selector.name.clone(),
        max_ttl_s: manifest.max_ttl_s,
        until: None,
        explanation,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MANIFEST: &str = include_str!("../../docs/samples/mapping-manifest.toml");

    fn facts() -> Facts {
        Facts {
            tee: "sev-snp".to_owned(),
            generation: Some("milan".to_owned()),
            assurance: Assurance::Hardware,
            reference_value: Some("payments-api 1.4.2".to_owned()),
        }
    }

    #[test]
    fn a_matching_workload_gets_the_manifest_s_identifier_and_claims() {
        let manifest = Manifest::parse(MANIFEST.as_bytes()).unwrap();
        let mapped = evaluate(&facts(), &manifest).unwrap();
        assert_eq!(mapped.identifier(), &manifest.identifier);
        assert_eq!(mapped.claims()["environment"], Claim::Text("production".into()));
        assert_eq!(mapped.claims()["tee"], Claim::Text("sev-snp".into()));
        assert_eq!(mapped.claims()[ASSURANCE_CLAIM], Claim::Text("hardware".into()));
    }

    #[test]
    fn each_condition_alone_refuses_and_is_named() {
        let manifest = Manifest::parse(MANIFEST.as_bytes()).unwrap();
        for (change, word) in [
            (Facts { tee: "tdx".into(), ..facts() }, "tee"),
            (Facts { assurance: Assurance::Simulated, ..facts() }, "assurance"),
            (Facts { reference_value: Some("other".into()), ..facts() }, "reference value"),
            (Facts { reference_value: None, ..facts() }, "no reference value"),
        ] {
            let refused = evaluate(&change, &manifest).unwrap_err();
            assert_eq!(refused.reasons.len(), manifest.selectors.len());
            assert!(refused.reasons[0].contains(word), "{refused}");
        }
    }

    proptest! {
        /// Stable claims: what is not selected on and not derived does not move them (specs: TWI claims mapper).
        #[test]
        fn claims_do_not_depend_on_what_is_not_named(generation in "[a-z]{1,8}") {
            let manifest = Manifest::parse(MANIFEST.as_bytes()).unwrap();
            let one = evaluate(&facts(), &manifest).unwrap();
            let two = evaluate(&Facts { generation: Some(generation), ..facts() }, &manifest).unwrap();
            prop_assert_eq!(one.claims(), two.claims());
        }
    }
}
