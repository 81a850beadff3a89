//! Registration of Signed Statements that others made (RFC 9943, SCRAPI): the registration policy is in the log, at
//! index 0, and every decision can be made again from what the log holds.
//!
//! In this order, and the first that fails refuses:
//! 1. size, then strict deterministic COSE_Sign1, tag 18                          "Malformed request"
//! 2. a payload, and an algorithm that the policy names                           "Payload Missing", "Bad Signature Algorithm"
//! 3. an issuer that the policy names, one of its keys by kid, the signature      "Rejected"
//! 4. `aud` is this log, `iat` is about now                                       "Rejected"
//! 5. a kind that this issuer may register                                        "Rejected"
//! 6. confidential: the content was uploaded, opens, and is what the statement commits to; public: the policy allows
//!    this issuer plain payloads                                                  "Rejected"
//! 7. what the kind asks for (a policy parses, an approval names a policy)        "Rejected"

use std::sync::Arc;

use treering_provenance::content::{AnyContent, PolicyType, RegisteredIssuer, RegistrationPolicy};
use treering_provenance::cose::CoseError;
use treering_provenance::statement::{Body, Kind, Statement, StatementError};
use treering_tlog::hash::Hash;

use crate::ident::WorkloadIdentifier;
use crate::ledger::{Conditions, Index, Ledger, LedgerError, Place, Prepared};
use crate::mapper::Manifest;
use crate::verifier::AppraisalPolicy;

use super::{Staging, appraisal_references};

/// How far a client's clock may be from ours.
const MAX_SKEW_S: u64 = 300;

/// Why a statement was not registered; SCRAPI's titles are named in the room's head.
#[derive(Debug, thiserror::Error)]
pub enum RegistrationError {
    /// Not a Signed Statement in deterministic CBOR.
    #[error("not a signed statement in deterministic CBOR: {0}")]
    Malformed(String),
    /// An algorithm that the policy does not name.
    #[error("the registration policy does not take the signature algorithm: {0}")]
    Algorithm(String),
    /// A detached payload.
    #[error("the payload is detached")]
    PayloadMissing,
    /// The registration policy says no.
    #[error("{0}")]
    Rejected(String),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl From<StatementError> for RegistrationError {
    fn from(error: StatementError) -> Self {
        match error {
            StatementError::PayloadMissing => Self::PayloadMissing,
            StatementError::Cose(CoseError::Algorithm(_)) => Self::Algorithm(error.to_string()),
            other => Self::Malformed(other.to_string()),
        }
    }
}

fn reject<T>(reason: impl Into<String>) -> Result<T, RegistrationError> {
    Err(RegistrationError::Rejected(reason.into()))
}

/// Content of a statement, and its sealed form if it is confidential.
type Found = (AnyContent, Option<Vec<u8>>);

/// Registers statements under the policy in force.
pub struct Registrar {
    ledger: Arc<Ledger>,
    policy: RegistrationPolicy,
    staging: Staging,
}

impl Registrar {
    /// A registrar under the policy that the log holds at index 0.
    pub fn new(ledger: Arc<Ledger>) -> Result<Self, LedgerError> {
        let policy = match ledger.read(0)?.content()? {
            AnyContent::RegistrationPolicy(policy) => policy,
            other => {
                let reason = format!("is of kind {}, want the registration policy", other.kind());
                return Err(LedgerError::Content { index: 0, reason });
            }
        };
        Ok(Self { ledger, policy, staging: Staging::default() })
    }

    /// The policy in force.
    pub fn policy(&self) -> &RegistrationPolicy {
        &self.policy
    }

    /// Content that waits for its statement.
    pub fn staging(&self) -> &Staging {
        &self.staging
    }

    /// The largest statement that the policy takes.
    pub fn max_statement_bytes(&self) -> usize {
        usize::try_from(self.policy.max_statement_bytes).unwrap_or(usize::MAX)
    }

    /// Registers a statement; one that is there already is answered with its first place.
    pub async fn register(&self, bytes: &[u8], now: u64) -> Result<Place, RegistrationError> {
        if bytes.len() > self.max_statement_bytes() {
            let (got, want) = (bytes.len(), self.policy.max_statement_bytes);
            return Err(RegistrationError::Malformed(format!("{got} octets, the policy takes {want}")));
        }
        let statement = Statement::parse_submission(bytes)?;
        if let Some(index) = self.ledger.find(&statement.leaf())? {
            return Ok(Place { index, leaf: statement.leaf(), entry_id: statement.entry_id_text() });
        }
        let issuer = self.issuer(&statement)?;
        let kind = self.check_header(&statement, issuer, now)?;
        let content = self.content(&statement, kind, issuer, now)?;
        let index_keys = match &content {
            Some((content, _)) => self.check_content(content, &statement)?,
            None => Vec::new(),
        };
        let sealed = content.and_then(|(_, sealed)| sealed);
        let prepared = Prepared::foreign(statement, sealed, index_keys);
        Ok(self.ledger.commit(vec![prepared], Conditions::default()).await?.only()?)
    }

    /// Steps 2 and 3: the issuer, and its signature.
    fn issuer(&self, statement: &Statement) -> Result<&RegisteredIssuer, RegistrationError> {
        let algorithm = statement.algorithm().id();
        if !self.policy.algs.contains(&algorithm) {
            return Err(RegistrationError::Algorithm(format!(
                "{algorithm}, want one of {:?}",
                self.policy.algs
            )));
        }
        let name = statement.issuer();
        let Some(issuer) = self.policy.issuers.iter().find(|issuer| issuer.iss == name) else {
            return reject(format!("the registration policy does not name the issuer `{name}`"));
        };
        let keys = issuer.verifying_keys().map_err(|error| RegistrationError::Rejected(error.to_string()))?;
        let Some(key) = keys.iter().find(|key| statement.kid() == Some(key.thumbprint().as_slice())) else {
            return reject("kid is not the thumbprint (RFC 9679) of a key of this issuer");
        };
        match statement.clone().verify(key) {
            Ok(_) => Ok(issuer),
            Err(error) => reject(format!("signature: {error}")),
        }
    }

    /// Steps 4 and 5: the kind.
    fn check_header(
        &self,
        statement: &Statement,
        issuer: &RegisteredIssuer,
        now: u64,
    ) -> Result<Kind, RegistrationError> {
        let origin = self.ledger.origin();
        let foreign = statement.kind().is_none();
        // A foreign client may leave `aud` out; a statement meant for another log says nothing in this one.
        if statement.audience().map_or(!foreign, |audience| audience != origin) {
            let got = statement.audience().unwrap_or("absent");
            return reject(format!("aud is `{got}`, want `{origin}`"));
        }
        // Without our label the policy tells the kind, and only of what decides nothing.
        let kind = match (statement.kind(), issuer.kinds.as_slice()) {
            (Some(kind), _) => kind,
            (None, [kind @ Kind::WorkloadProvenance]) if issuer.public => *kind,
            _ => {
                return reject(
                    "the statement has no `treering` label, and the policy does not tell its kind",
                );
            }
        };
        if let Some(issued_at) = statement.issued_at()
            && issued_at.abs_diff(now) > MAX_SKEW_S
        {
            return reject(format!("iat is {issued_at}, want {now} within {MAX_SKEW_S} s"));
        }
        if !issuer.kinds.contains(&kind) {
            return reject(format!("`{}` may not register statements of kind {kind}", issuer.iss));
        }
        Ok(kind)
    }

    /// Step 6: the content, and its sealed form if it is confidential; `None` for a plain payload of unknown type.
    fn content(
        &self,
        statement: &Statement,
        kind: Kind,
        issuer: &RegisteredIssuer,
        now: u64,
    ) -> Result<Option<Found>, RegistrationError> {
        let parse = |media_type: &str, body: &[u8]| {
            AnyContent::parse(media_type, body)
                .map_err(|error| RegistrationError::Rejected(format!("content: {error}")))
        };
        match statement.body() {
            Body::Public { content_type, bytes } => {
                if !issuer.public {
                    return reject("the registration policy takes no plain payloads from this issuer");
                }
                match parse(content_type.unwrap_or_default(), bytes)? {
                    Some(content) if content.kind() != kind => {
                        reject(format!("the payload is of kind {}", content.kind()))
                    }
                    None if statement.kind().is_some() => reject(format!(
                        "payload of type `{}` is not of this kind",
                        content_type.unwrap_or("none")
                    )),
                    found => Ok(found.map(|content| (content, None))),
                }
            }
            Body::Hashed { digest, .. } => {
                let Some(sealed) = self.staging.get(digest, now) else {
                    return reject("the content is not here: upload it first (PUT /v1/content/{sha256})");
                };
                let plaintext = self
                    .ledger
                    .open(statement, &sealed)
                    .map_err(|error| RegistrationError::Rejected(format!("content: {error}")))?;
                match parse(plaintext.media_type(), plaintext.body())? {
                    Some(content) if content.kind() == kind => Ok(Some((content, Some(sealed)))),
                    _ => reject(format!("content of type `{}` is not of this kind", plaintext.media_type())),
                }
            }
        }
    }

    /// Step 7, and the keyed hashes under which the entry will be found.
    fn check_content(
        &self,
        content: &AnyContent,
        statement: &Statement,
    ) -> Result<Vec<[u8; 32]>, RegistrationError> {
        match content {
            AnyContent::Policy(policy) => {
                self.check_policy(policy.policy_type, &policy.name, &policy.body.0)?;
                Ok(Vec::new())
            }
            AnyContent::Approval(approval) => {
                if !self.policy.approvers.iter().any(|approver| approver == statement.issuer()) {
                    return reject(format!("`{}` is not an approver", statement.issuer()));
                }
                let policy = Hash::from(approval.policy);
                self.must_be(policy, &[Kind::Policy, Kind::ReferenceValues])?;
                Ok(vec![self.ledger.index_key(Index::Approvals, policy.as_bytes())])
            }
            AnyContent::ReferenceValues(values) => {
                for leaf in &values.provenance {
                    self.must_be(Hash::from(*leaf), &[Kind::WorkloadProvenance])?;
                }
                // As they will be read when they are in force.
                match appraisal_references(values, &statement.leaf()) {
                    Err(reason) => reject(reason),
                    Ok(_) => Ok(Vec::new()),
                }
            }
            AnyContent::WorkloadProvenance(_) => Ok(Vec::new()),
            AnyContent::Abandoned(_)
            | AnyContent::Activation(_)
            | AnyContent::Appraisal(_)
            | AnyContent::Collateral(_)
            | AnyContent::Grant(_)
            | AnyContent::Issuance(_)
            | AnyContent::Mapping(_)
            | AnyContent::Refusal(_)
            | AnyContent::RegistrationPolicy(_)
            | AnyContent::TrustAnchors(_) => reject(format!(
                "statements of kind {} are made by the service, not registered",
                content.kind()
            )),
        }
    }

    fn check_policy(&self, kind: PolicyType, name: &str, body: &[u8]) -> Result<(), RegistrationError> {
        let problem =
            |error: &dyn std::fmt::Display| RegistrationError::Rejected(format!("policy `{name}`: {error}"));
        match kind {
            PolicyType::Appraisal => {
                AppraisalPolicy::parse(body).map_err(|error| problem(&error))?;
            }
            PolicyType::Mapping => {
                let manifest = Manifest::parse(body).map_err(|error| problem(&error))?;
                let identifier: &WorkloadIdentifier = &manifest.identifier;
                if identifier.as_str() != name {
                    return Err(problem(&format!(
                        "it is a manifest for {identifier}, want the name to be that"
                    )));
                }
                if identifier.trust_domain() != self.ledger.trust_domain() {
                    return Err(problem(&format!("want the trust domain {}", self.ledger.trust_domain())));
                }
            }
            PolicyType::Issuance | PolicyType::KeyRelease | PolicyType::ReferenceValues => {
                return Err(problem(&format!("policies of type {} are not taken", kind.as_str())));
            }
        }
        Ok(())
    }

    fn must_be(&self, leaf: Hash, kinds: &[Kind]) -> Result<(), RegistrationError> {
        let Some(index) = self.ledger.find(&leaf)? else {
            return reject(format!("the statement with leaf hash {} is not in the log", leaf.to_hex()));
        };
        match self.ledger.read(index)?.statement.kind() {
            Some(kind) if kinds.contains(&kind) => Ok(()),
            _ => reject(format!(
                "entry {index} is not of kind {}",
                kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(" or ")
            )),
        }
    }
}
