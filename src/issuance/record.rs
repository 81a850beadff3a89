//! What a decision leaves in the log: the appraisal with everything needed to make it again, and what came of it.

use treering_provenance::bytes::{Bytes, Fixed, Leaf};
use treering_provenance::content::{self, CollateralItem, EvidenceItem, V1, VerifierId};
use treering_tlog::hash::Hash;

use crate::authority::{Minted, Refused};
use crate::ident::WorkloadIdentifier;
use crate::keys::Role;
use crate::ledger::{Draft, Index, Ledger, LedgerError, Prepared, Subject};
use crate::mapper::WorkloadClaims;
use crate::vault::{Class, Scope};
use crate::verifier::{self, Appraisal};

use super::{Policies, Request};

/// Everything that the statements of one decision share.
pub(super) struct Record<'a> {
    pub(super) ledger: &'a Ledger,
    pub(super) request: &'a Request,
    pub(super) target: &'a WorkloadIdentifier,
    pub(super) freshness: &'a [u8],
    pub(super) rp_id: &'a str,
    pub(super) policies: &'a Policies,
    pub(super) now: u64,
}

impl Record<'_> {
    /// [collateral] appraisal, mapping, issuance.
    pub(super) async fn issuance(
        &self,
        appraisal: &Appraisal,
        claims: &WorkloadClaims,
        minted: &Minted,
    ) -> Result<Vec<Prepared>, LedgerError> {
        let subject = Subject::Workload(self.target.clone());
        let mut prepared = self.appraisal(appraisal, subject.clone()).await?;
        let appraised = last_leaf(&prepared)?;

        let content = content::Mapping {
            v: V1,
            appraisal: appraised.into(),
            manifest: self.policies.manifest.activation.into(),
            selector: claims.selector().to_owned(),
            identifier: claims.identifier().to_string(),
            claims: claims.claims().clone(),
            explanation: claims.explanation().to_owned(),
        };
        let mut draft = Draft::new(Role::Mapper, &content, subject.clone(), Class::Decision)?;
        draft.parents = vec![appraised];
        prepared.push(self.ledger.prepare(draft, self.now).await?);
        let mapped = last_leaf(&prepared)?;

        let (not_before, not_after) = minted.validity();
        let content = content::Issuance {
            v: V1,
            mapping: mapped.into(),
            identifier: claims.identifier().to_string(),
            credential: "x509".to_owned(),
            serial: Bytes(minted.serial().to_vec()),
            spki_sha256: Fixed(minted.spki_sha256()),
            not_before,
            not_after,
            claims: claims.claims().clone(),
        };
        let mut draft = Draft::new(Role::Authority, &content, subject, Class::Decision)?;
        draft.parents = vec![mapped, appraised];
        draft.cred = Some(minted.cred());
        prepared.push(self.ledger.prepare(draft, self.now).await?);
        Ok(prepared)
    }

    /// [collateral] appraisal, refusal. Whose workload it is was not established, so both are of scope `intake`.
    pub(super) async fn refusal(
        &self,
        appraisal: &Appraisal,
        refused: &Refused,
    ) -> Result<Vec<Prepared>, LedgerError> {
        let subject = Subject::Scope(Scope::Intake);
        let mut prepared = self.appraisal(appraisal, subject.clone()).await?;
        let appraised = last_leaf(&prepared)?;
        let content = content::Refusal {
            v: V1,
            step: refused.step.to_owned(),
            reason: refused.code.clone(),
            detail: refused.detail.clone(),
            target: self.target.to_string(),
            appraisal: Some(appraised.into()),
        };
        let mut draft = Draft::new(Role::Verifier, &content, subject, Class::Decision)?;
        draft.parents = vec![appraised];
        prepared.push(self.ledger.prepare(draft, self.now).await?);
        Ok(prepared)
    }

    /// The appraisal, preceded by its collateral if that is not in the log yet.
    async fn appraisal(&self, appraisal: &Appraisal, subject: Subject) -> Result<Vec<Prepared>, LedgerError> {
        let (collateral, new) = self.collateral(appraisal).await?;
        let evidence = self.request.evidence.items().iter().map(|item| EvidenceItem {
            media_type: item.media_type().to_owned(),
            body: Bytes(item.bytes().to_vec()),
        });
        let content = content::Appraisal {
            v: V1,
            evidence: evidence.collect(),
            collateral,
            policy: self.policies.appraisal.activation.into(),
            policy_id: self.policies.appraisal.value.id(),
            reference_values: vec![self.policies.references.activation.into()],
            now: self.now,
            binding: content::Binding {
                freshness: Bytes(self.freshness.to_vec()),
                target: self.target.to_string(),
                rp_id: self.rp_id.to_owned(),
                subject: Bytes(self.request.csr.clone()),
            },
            verifier: VerifierId {
                developer: verifier::DEVELOPER.to_owned(),
                build: verifier::BUILD.to_owned(),
            },
            result: Bytes(appraisal.ear().to_vec()),
            status: appraisal.status().name().to_owned(),
        };
        let mut prepared: Vec<Prepared> = new.into_iter().collect();
        let draft = Draft::new(Role::Verifier, &content, subject, Class::Evidence)?;
        prepared.push(self.ledger.prepare(draft, self.now).await?);
        Ok(prepared)
    }

    /// Collateral is logged once: found by its digest, or made now. (Two first uses at one moment log it twice, which
    /// costs an entry and nothing else.)
    async fn collateral(&self, appraisal: &Appraisal) -> Result<(Leaf, Option<Prepared>), LedgerError> {
        let digest = *appraisal.collateral_digest();
        if let Some(index) = self.ledger.lookup(Index::Collateral, &digest, 1)?.first() {
            return Ok((self.ledger.read(*index)?.statement.leaf().into(), None));
        }
        let content = collateral_content(appraisal);
        let mut draft = Draft::new(Role::Verifier, &content, Subject::Scope(Scope::Ledger), Class::Evidence)?;
        draft.index_keys = vec![self.ledger.index_key(Index::Collateral, &digest)];
        let prepared = self.ledger.prepare(draft, self.now).await?;
        Ok((prepared.leaf().into(), Some(prepared)))
    }
}

fn collateral_content(appraisal: &Appraisal) -> content::Collateral {
    let collateral = appraisal.collateral();
    let item = |media_type: &str, body: &Vec<u8>| CollateralItem {
        media_type: media_type.to_owned(),
        name: String::new(),
        body: Bytes(body.clone()),
    };
    let certificates = collateral.certificates().iter().map(|body| item(verifier::CERTIFICATE_TYPE, body));
    let crls = collateral.crls().iter().map(|body| item(verifier::CRL_TYPE, body));
    let documents = collateral.documents().iter().map(|one| item(&one.media_type, &one.bytes));
    let items = certificates.chain(crls).chain(documents).collect();
    let kinds: Vec<&str> = appraisal.components().iter().map(verifier::Component::kind).collect();
    // Evidence of no known kind rests on no collateral.
    let platform = if kinds.is_empty() { "none".to_owned() } else { kinds.join("+") };
    content::Collateral { v: V1, platform, items }
}

fn last_leaf(prepared: &[Prepared]) -> Result<Hash, LedgerError> {
    let last = prepared.last().map(Prepared::leaf);
    last.ok_or_else(|| LedgerError::Log("a decision without statements".to_owned()))
}
