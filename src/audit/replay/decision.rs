//! One decision on a request: what it rests on, as it is logged, and each of its steps made again.

use std::sync::{Arc, OnceLock};

use sha2::{Digest, Sha256};
use treering_provenance::content::{self, Issuance, Mapping, Refusal, TrustAnchors};
use treering_provenance::statement::Statement;

use crate::authority::{Asked, BACKDATE_S, BoundKey, Refused, Terms, commitment, decide};
use crate::binding::{CHALLENGE_LIFETIME_S, Challenge};
use crate::mapper::{Manifest, WorkloadClaims};
use crate::verifier::{
    self, Appraisal, AppraisalPolicy, Collateral, Document, Evidence, ReferenceValues, Verifier,
};

use super::ear;

/// What appraises again: this program's [`Verifier`], or one that is to be compared with what is logged.
pub trait Appraise: Sync {
    /// Appraises evidence; a pure function.
    fn appraise(
        &self,
        evidence: &Evidence,
        collateral: &Collateral,
        policy: &AppraisalPolicy,
        references: &ReferenceValues,
        now: u64,
    ) -> Appraisal;
}

impl Appraise for Verifier {
    fn appraise(
        &self,
        evidence: &Evidence,
        collateral: &Collateral,
        policy: &AppraisalPolicy,
        references: &ReferenceValues,
        now: u64,
    ) -> Appraisal {
        Self::appraise(self, evidence, collateral, policy, references, now)
    }
}

/// What an appraisal rests on beside its evidence: shared by many.
#[derive(Debug, Clone)]
pub(super) struct Inputs {
    pub(super) collateral: Arc<Collateral>,
    pub(super) policy: Arc<AppraisalPolicy>,
    pub(super) references: Arc<ReferenceValues>,
}

/// A logged appraisal with its inputs; what leads on from it (mapping, issuance, refusal) is judged by the same result.
#[derive(Debug)]
pub(super) struct Decision {
    logged: content::Appraisal,
    inputs: Inputs,
    made: OnceLock<Result<Appraisal, String>>,
}

impl Decision {
    pub(super) fn new(logged: content::Appraisal, inputs: Inputs) -> Self {
        Self { logged, inputs, made: OnceLock::new() }
    }

    /// The appraisal as it is logged.
    pub(super) fn logged(&self) -> &content::Appraisal {
        &self.logged
    }

    /// The appraisal made again, once.
    pub(super) fn again(&self, appraiser: &dyn Appraise) -> Result<&Appraisal, String> {
        let make = || {
            let items = self.logged.evidence.iter();
            let items = items.map(|item| (item.media_type.clone(), item.body.0.clone()));
            let evidence = Evidence::new(items).map_err(|error| error.to_string())?;
            let Inputs { collateral, policy, references } = &self.inputs;
            Ok(appraiser.appraise(&evidence, collateral, policy, references, self.logged.now))
        };
        self.made.get_or_init(make).as_ref().map_err(Clone::clone)
    }

    /// The attestation result, the status beside it, and the policy's name.
    pub(super) fn same_result(&self, made: &Appraisal) -> Result<(), String> {
        ear::same(&self.logged.result.0, made.ear(), &self.logged.verifier)?;
        if self.inputs.policy.id() != self.logged.policy_id {
            return Err(format!(
                "the policy is {}, logged was {}",
                self.inputs.policy.id(),
                self.logged.policy_id
            ));
        }
        let status = made.status().name();
        if status != self.logged.status {
            return Err(format!("the status beside the result is {}, want {status}", self.logged.status));
        }
        Ok(())
    }

    /// Whether the challenge is of that time, and the service the one of the trust anchors.
    pub(super) fn timely(&self, rp_id: &str) -> Result<(), String> {
        let (binding, now) = (&self.logged.binding, self.logged.now);
        let made = Challenge::made_at(&binding.freshness.0);
        if !made.is_some_and(|made| (made..=made.saturating_add(CHALLENGE_LIFETIME_S)).contains(&now)) {
            return Err("the logged challenge is not of that time".to_owned());
        }
        if binding.rp_id != rp_id {
            return Err(format!(
                "the evidence was asked for by `{}`, the service is `{rp_id}`",
                binding.rp_id
            ));
        }
        Ok(())
    }

    /// Whether the evidence carries the binding value of the logged request.
    pub(super) fn bound(&self, made: &Appraisal) -> Result<(), String> {
        if made.matches_binding(&self.asked().binding_value()) {
            return Ok(());
        }
        Err("the evidence does not carry the binding value of the logged request".to_owned())
    }

    fn asked(&self) -> Asked<'_> {
        let binding = &self.logged.binding;
        Asked {
            freshness: &binding.freshness.0,
            target: &binding.target,
            rp_id: &binding.rp_id,
            csr: &binding.subject.0,
        }
    }

    /// The whole decision, made again.
    fn decide(
        &self,
        appraiser: &dyn Appraise,
        manifest: &Manifest,
    ) -> Result<Result<(BoundKey, WorkloadClaims), Refused>, String> {
        Ok(decide(self.again(appraiser)?, &self.asked(), manifest))
    }

    fn accept(
        &self,
        appraiser: &dyn Appraise,
        manifest: &Manifest,
    ) -> Result<(BoundKey, WorkloadClaims), String> {
        let refused =
            |refused: Refused| format!("it is refused now, at step {}: {}", refused.step, refused.detail);
        self.decide(appraiser, manifest)?.map_err(refused)
    }

    /// Compares the appraisal.
    pub(super) fn appraisal(
        &self,
        appraiser: &dyn Appraise,
        statement: &Statement,
        rp_id: &str,
    ) -> Result<(), String> {
        if statement.issued_at() != Some(self.logged.now) {
            return Err("was appraised for another time than it was signed at".to_owned());
        }
        self.same_result(self.again(appraiser)?)?;
        self.timely(rp_id)
    }

    /// Compares a mapping.
    pub(super) fn mapping(
        &self,
        appraiser: &dyn Appraise,
        statement: &Statement,
        logged: &Mapping,
        manifest: &Manifest,
    ) -> Result<(), String> {
        if statement.parents() != [logged.appraisal] {
            return Err("the header names another appraisal than the content".to_owned());
        }
        let (_, claims) = self.accept(appraiser, manifest)?;
        same_mapping(logged, &claims)
    }

    /// Compares an issuance; its serial number is random, and the service's own limit on lifetimes is not logged.
    pub(super) fn issuance(
        &self,
        appraiser: &dyn Appraise,
        (statement, logged): (&Statement, &Issuance),
        (mapping, manifest): (&Mapping, &Manifest),
        anchors: &TrustAnchors,
    ) -> Result<(), String> {
        let (key, claims) = self.accept(appraiser, manifest)?;
        let now = self.logged.now;
        let life = now.saturating_sub(BACKDATE_S)..=now.saturating_add(manifest.max_ttl_s);
        let spki: [u8; 32] = Sha256::digest(key.spki()).into();
        let compared = [
            (statement.parents() == [logged.mapping, mapping.appraisal], "the header names other parents"),
            (statement.issued_at() == Some(now), "it was signed at another time than it was decided for"),
            (logged.credential == "x509", "a credential of a form that this program does not issue"),
            (logged.identifier == claims.identifier().as_str(), "the mapping gives another identifier"),
            (logged.identifier == self.logged.binding.target, "another identifier was asked for"),
            (logged.claims == *claims.claims(), "the mapping gives other claims"),
            (*logged.spki_sha256.as_bytes() == spki, "another key was asked for"),
            (logged.not_before == *life.start(), "the validity begins at another time than decided"),
            (life.contains(&logged.not_after), "the validity is longer than the manifest allows"),
        ];
        if let Some((_, difference)) = compared.into_iter().find(|(same, _)| !same) {
            return Err(difference.to_owned());
        }
        let terms = Terms {
            identifier: &logged.identifier,
            claims: &logged.claims,
            point: key.point(),
            serial: &logged.serial.0,
            not_before: logged.not_before,
            not_after: logged.not_after,
        };
        let cred = statement.cred().map(|cred| *cred.as_bytes());
        let same =
            |ca: &[u8]| commitment(ca, &anchors.trust_domain, &terms).is_ok_and(|made| Some(made) == cred);
        if anchors.ca.iter().any(|ca| same(&ca.0)) {
            return Ok(());
        }
        Err("`cred` commits to another certificate than these contents give".to_owned())
    }

    /// Compares a refusal. The manifest matters only to what is refused at the step `mapping`.
    pub(super) fn refusal(
        &self,
        appraiser: &dyn Appraise,
        statement: &Statement,
        logged: &Refusal,
        manifest: &Manifest,
    ) -> Result<(), String> {
        if logged.appraisal.as_slice() != statement.parents() {
            return Err("the header names another appraisal than the content".to_owned());
        }
        if logged.target != self.logged.binding.target {
            return Err("another identifier was asked for".to_owned());
        }
        match self.decide(appraiser, manifest)? {
            Ok(_) => Err(format!("it is accepted now; logged was a refusal at step {}", logged.step)),
            Err(made) if (made.step, &made.code) != (logged.step.as_str(), &logged.reason) => Err(format!(
                "it is refused for {}: {} now; logged was {}: {}",
                made.step, made.code, logged.step, logged.reason
            )),
            Err(made) if made.detail != logged.detail => {
                Err(format!("the detail is `{}` now; logged was `{}`", made.detail, logged.detail))
            }
            Err(_) => Ok(()),
        }
    }
}

/// Whether a mapping says what the mapper says now.
pub(super) fn same_mapping(logged: &Mapping, made: &WorkloadClaims) -> Result<(), String> {
    let compared = [
        (made.identifier().as_str() == logged.identifier, "identifier"),
        (*made.claims() == logged.claims, "claims"),
        (made.selector() == logged.selector, "selector"),
        (made.explanation() == logged.explanation, "explanation"),
    ];
    match compared.into_iter().find(|(same, _)| !same) {
        Some((_, field)) => Err(format!("the mapping gives other claims: `{field}` differs")),
        None => Ok(()),
    }
}

/// Collateral as the verifier takes it, from what was logged.
pub(super) fn collateral_of(logged: &content::Collateral) -> Result<Collateral, String> {
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
