//! Issuance by the credential acquisition mechanism C, W-CA-V (TWI): the workload sends its request with Evidence to
//! the Credential Authority, which has it appraised.
//!
//! In scope: the order of steps, what is logged at each end, and trying again when policies changed meanwhile.
//! Out of scope: each step itself (the floors below), HTTP.
//!
//! ```text
//! (1) recognise the challenge                      else 409, nothing is logged
//! (2) ask the log which policies are in force      else 403, nothing is logged
//! (3) appraise            -> Appraised             else refusal
//! (4) check the binding   -> BoundKey              else refusal
//! (5) map                 -> WorkloadClaims        else refusal
//! (6) mint                -> Minted                neither signed nor serialisable
//! (7) append [collateral] appraisal, mapping, issuance: atomic, the challenge used once, policies unchanged
//! (8) wait for the receipt, release -> Released    else `abandoned`
//! ```
//! A refusal is logged too, with the appraisal it rests on: it used up a challenge of ours, so nobody grows the log
//! for free.

mod quota;
mod record;

use std::sync::Arc;

use tokio::sync::Semaphore;
use treering_provenance::content::{self, V1};
use treering_tlog::hash::Hash;

use quota::Quota;

use crate::authority::{Asked, Authority, AuthorityError, Minted, Refused, Released, decide};
use crate::binding::{Challenge, ChallengeError, Challenger};
use crate::clock::Clock;
use crate::collateral::Collaterals;
use crate::governance::{self, InForce, PoliciesInForce};
use crate::ident::{NameError, WorkloadIdentifier};
use crate::keys::Role;
use crate::ledger::{Conditions, Draft, Index, Ledger, LedgerError, Logged, Prepared, Subject};
use crate::mapper::{Manifest, WorkloadClaims};
use crate::vault::{Class, Scope};
use crate::verifier::{
    Appraisal, AppraisalPolicy, Collateral, Evidence, HardwareRoots, ReferenceValues, Verifier,
};

/// How often a decision is made again because policies changed while it was made. Each try sees newer policies, so
/// more than a few in one request means that something else is wrong.
const MAX_TRIES: usize = 4;

/// A request for a credential.
#[derive(Debug, Clone)]
pub struct Request {
    /// The challenge, as given out.
    pub challenge: Vec<u8>,
    /// The workload identifier that the credential is to carry.
    pub target: String,
    /// The certification request.
    pub csr: Vec<u8>,
    /// Evidence.
    pub evidence: Evidence,
    /// Endorsements that came with it.
    pub collateral: Collateral,
}

impl Request {
    /// What logging it takes.
    fn bytes(&self) -> u64 {
        let items = self.evidence.items().iter().map(|item| item.bytes().len());
        let collateral = self.collateral.certificates().iter().chain(self.collateral.crls()).map(Vec::len);
        let collateral = collateral.chain(self.collateral.documents().iter().map(|one| one.bytes.len()));
        items
            .chain(collateral)
            .map(|length| u64::try_from(length).unwrap_or(u64::MAX))
            .fold(0, u64::saturating_add)
    }
}

/// Why no credential left.
#[derive(Debug, thiserror::Error)]
pub enum IssuanceError {
    /// The request is not what it should be.
    #[error("{0}")]
    Malformed(String),
    /// The challenge is not one of ours, or too old.
    #[error(transparent)]
    Challenge(#[from] ChallengeError),
    /// No policy of this name is in force; which one, only our log says.
    #[error("{wanted} is not in force")]
    NoPolicy {
        /// Which.
        wanted: String,
    },
    /// Evidence that costs nothing to present came too often: this refusal is not logged, and the challenge is not used up.
    #[error("too many refusals in this minute; try again later")]
    TooManyRefusals,
    /// Refused, and the refusal is logged.
    #[error("refused; entry {entry} has the reasons")]
    Refused {
        /// The entry id of the refusal.
        entry: String,
    },
    /// The log, the vault or the witnesses.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Our fault.
    #[error("{0}")]
    Internal(String),
}

impl From<NameError> for IssuanceError {
    fn from(error: NameError) -> Self {
        Self::Malformed(error.to_string())
    }
}

impl From<AuthorityError> for IssuanceError {
    fn from(error: AuthorityError) -> Self {
        Self::Internal(error.to_string())
    }
}

/// Whether a refusal cost its sender nothing: forged or unreadable evidence, or a genuine report made for somebody
/// else, such as those that anybody finds in public.
fn is_cheap(refused: &Refused, appraisal: &Appraisal) -> bool {
    refused.step == "binding" || !appraisal.is_authentic()
}

/// What issues credentials for one ledger.
pub struct Issuer {
    ledger: Arc<Ledger>,
    authority: Authority,
    challenger: Challenger,
    verifier: Verifier,
    collaterals: Collaterals,
    in_force: PoliciesInForce,
    rp_id: String,
    max_ttl_s: u64,
    refusals: Quota,
    // Decisions outlive their requests, so their number is bounded here.
    deciding: Semaphore,
}

/// The most decisions under way at a time; each holds its evidence, at most some megabytes, while it waits for the log.
const MAX_DECIDING: usize = 256;

/// What an issuer keeps to.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The name of the service in the binding.
    pub rp_id: String,
    /// No credential lives longer.
    pub max_ttl_s: u64,
    /// Octets of evidence that costs nothing to present, logged with refusals in a minute.
    pub max_refused_bytes_per_minute: u64,
}

/// The policies that one decision rests on, and the state of governance when they were read.
struct Policies {
    governance: Option<u64>,
    appraisal: Arc<InForce<AppraisalPolicy>>,
    references: Arc<InForce<ReferenceValues>>,
    manifest: Arc<InForce<Manifest>>,
}

/// A decision, before it is logged.
struct Decision {
    appraisal: Appraisal,
    outcome: Result<(WorkloadClaims, Minted), Refused>,
}

impl Issuer {
    /// An issuer.
    pub fn new(
        ledger: Arc<Ledger>,
        authority: Authority,
        challenger: Challenger,
        roots: HardwareRoots,
        collaterals: Collaterals,
        rules: Rules,
    ) -> Self {
        let Rules { rp_id, max_ttl_s, max_refused_bytes_per_minute } = rules;
        let (verifier, refusals) = (Verifier::new(roots), Quota::new(max_refused_bytes_per_minute));
        let deciding = Semaphore::new(MAX_DECIDING);
        let in_force = PoliciesInForce::default();
        Self {
            ledger,
            authority,
            challenger,
            verifier,
            collaterals,
            in_force,
            rp_id,
            max_ttl_s,
            refusals,
            deciding,
        }
    }

    /// The name of this service in the binding.
    pub fn rp_id(&self) -> &str {
        &self.rp_id
    }

    /// Makes a challenge for a target.
    pub fn challenge(&self, target: &str, random: [u8; 16], now: u64) -> Result<Vec<u8>, IssuanceError> {
        let target = self.target(target)?;
        Ok(self.challenger.make(random, target.as_str(), now))
    }

    /// Decides a request, logs the decision, and releases a credential or refuses.
    pub async fn acquire(&self, request: &Request, clock: &dyn Clock) -> Result<Released, IssuanceError> {
        let _deciding = self.deciding.try_acquire().map_err(|_| LedgerError::Full)?;
        let now = clock.now();
        let target = self.target(&request.target)?;
        let challenge = self.challenger.recognise(&request.challenge, target.as_str(), now)?;
        // Behind a challenge of ours: nobody makes us ask vendors for nothing.
        let collateral = self.collaterals.complete(&request.evidence, &request.collateral, now).await;
        let request = &Request { collateral, ..request.clone() };
        for _ in 0..MAX_TRIES {
            match self.attempt(request, &target, &challenge, clock).await {
                Err(IssuanceError::Ledger(LedgerError::Stale)) => {}
                other => return other,
            }
        }
        Err(LedgerError::Stale.into())
    }

    fn target(&self, target: &str) -> Result<WorkloadIdentifier, IssuanceError> {
        let target = WorkloadIdentifier::parse(target)?;
        if target.trust_domain() != self.ledger.trust_domain() {
            let ours = self.ledger.trust_domain();
            return Err(IssuanceError::Malformed(format!(
                "target {target} is not in the trust domain {ours}"
            )));
        }
        Ok(target)
    }

    async fn attempt(
        &self,
        request: &Request,
        target: &WorkloadIdentifier,
        challenge: &Challenge,
        clock: &dyn Clock,
    ) -> Result<Released, IssuanceError> {
        let now = clock.now();
        let policies = self.policies(target)?;
        let decision = self.decide(request, target, challenge, &policies, now)?;
        let record = record::Record {
            ledger: &self.ledger,
            request,
            target,
            freshness: challenge.bytes(),
            rp_id: &self.rp_id,
            policies: &policies,
            now,
        };
        let conditions = Conditions {
            once: vec![self.ledger.index_key(Index::Challenge, challenge.bytes())],
            expect: vec![(governance::head_register(), policies.governance)],
            ..Conditions::default()
        };
        match decision.outcome {
            Err(refused) => {
                if is_cheap(&refused, &decision.appraisal) && !self.refusals.take(request.bytes(), now) {
                    metrics::counter!("treering_refusals_unlogged_total").increment(1);
                    return Err(IssuanceError::TooManyRefusals);
                }
                let prepared = record.refusal(&decision.appraisal, &refused).await?;
                let entry = prepared.last().map(Prepared::entry_id).unwrap_or_default();
                self.ledger.commit(prepared, conditions).await?;
                metrics::counter!("treering_refusals_total").increment(1);
                tracing::info!(step = refused.step, entry, "refused");
                Err(IssuanceError::Refused { entry })
            }
            Ok((claims, minted)) => {
                let prepared = record.issuance(&decision.appraisal, &claims, &minted).await?;
                let logged = self.ledger.commit(prepared, conditions).await?;
                self.release(minted, &logged, clock).await
            }
        }
    }

    /// Steps 3 to 6: a pure function of the request, the policies and the time, but for the credential's serial.
    fn decide(
        &self,
        request: &Request,
        target: &WorkloadIdentifier,
        challenge: &Challenge,
        policies: &Policies,
        now: u64,
    ) -> Result<Decision, IssuanceError> {
        let appraisal = self.verifier.appraise(
            &request.evidence,
            &request.collateral,
            &policies.appraisal.value,
            &policies.references.value,
            now,
        );
        let asked = Asked {
            freshness: challenge.bytes(),
            target: target.as_str(),
            rp_id: &self.rp_id,
            csr: &request.csr,
        };
        let outcome = match decide(&appraisal, &asked, &policies.manifest.value) {
            Err(refused) => Err(refused),
            Ok((key, claims)) => {
                let minted = self.authority.mint(&claims, &key, self.max_ttl_s, now)?;
                Ok((claims, minted))
            }
        };
        Ok(Decision { appraisal, outcome })
    }

    /// Asks the log which policies are in force. The governance head is read first: whatever is activated after it
    /// makes the append fail, and the decision is made again. What was activated before is kept prepared.
    fn policies(&self, target: &WorkloadIdentifier) -> Result<Policies, IssuanceError> {
        let governance = governance::head(&self.ledger)?;
        let manifest = self
            .in_force
            .mapping_manifest(&self.ledger, target)?
            .ok_or_else(|| IssuanceError::NoPolicy { wanted: format!("a mapping manifest for {target}") })?;
        let name = &manifest.value.appraisal_policy;
        let appraisal = self
            .in_force
            .appraisal_policy(&self.ledger, name)?
            .ok_or_else(|| IssuanceError::NoPolicy { wanted: format!("the appraisal policy `{name}`") })?;
        let name = &manifest.value.reference_values;
        let references = self
            .in_force
            .reference_values(&self.ledger, name)?
            .ok_or_else(|| IssuanceError::NoPolicy { wanted: format!("the reference values `{name}`") })?;
        Ok(Policies { governance, appraisal, references, manifest })
    }

    /// Step 8. A credential that is logged and cannot be released is logged as abandoned, else it would count as
    /// live until it expires.
    async fn release(
        &self,
        minted: Minted,
        logged: &Logged,
        clock: &dyn Clock,
    ) -> Result<Released, IssuanceError> {
        let position = logged.leaves().len().saturating_sub(1);
        let receipt = self.ledger.receipt(logged, position).await.map_err(IssuanceError::from);
        let released = receipt.and_then(|receipt| Ok(minted.release(&self.authority, &receipt)?));
        match released {
            Ok(released) => {
                metrics::counter!("treering_issuances_total").increment(1);
                tracing::info!(index = released.index(), tree_size = released.tree_size(), "issued");
                Ok(released)
            }
            Err(error) => {
                if let Some(leaf) = logged.leaves().last() {
                    self.abandon(*leaf, &error.to_string(), clock.now()).await?;
                }
                Err(error)
            }
        }
    }

    async fn abandon(&self, issuance: Hash, reason: &str, now: u64) -> Result<(), IssuanceError> {
        let content = content::Abandoned { v: V1, issuance: issuance.into(), reason: reason.to_owned() };
        let mut draft =
            Draft::new(Role::Authority, &content, Subject::Scope(Scope::Ledger), Class::Decision)?;
        draft.parents = vec![issuance];
        let prepared = self.ledger.prepare(draft, now).await?;
        self.ledger.commit(vec![prepared], Conditions::default()).await?;
        tracing::warn!(reason, "abandoned a logged credential");
        Ok(())
    }
}
