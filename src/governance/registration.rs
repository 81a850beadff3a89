//! Registration of Signed Statements that others made (RFC 9943, SCRAPI): the registration policy is in the log, at
//! index 0, and every decision can be made again from what the log holds.
//!
//! The rules themselves are pure, in [`rules`]: an auditor makes each decision again with them. Here is what they are
//! asked about, and the append. In this order, and the first that fails refuses:
//! 1. size, then strict deterministic COSE_Sign1, tag 18                          "Malformed request"
//! 2. a payload, and an algorithm that the policy names                           "Payload Missing", "Bad Signature Algorithm"
//! 3. an issuer that the policy names, one of its keys by kid, or certificates (`x5chain`) that lead to an anchor of
//!    its own; the signature, with low S unless the policy takes both of this issuer          "Rejected"
//! 4. `aud` is this log, `iat` is about now                                       "Rejected"
//! 5. a kind that this issuer may register                                        "Rejected"
//! 6. confidential: the content was uploaded, opens, and is what the statement commits to; public: the policy allows
//!    this issuer plain payloads                                                  "Rejected"
//! 7. what the kind asks for (a policy parses, an approval names a policy)        "Rejected"

pub mod rules;

use std::sync::Arc;

use treering_provenance::content::{AnyContent, RegisteredIssuer, RegistrationPolicy};
use treering_provenance::cose::CoseError;
use treering_provenance::statement::{Body, Kind, Statement, StatementError};

use crate::ledger::{Conditions, Index, Ledger, LedgerError, Place, Prepared};

use super::Staging;

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

/// Content of a statement, and its sealed form if it is confidential.
type Found = (AnyContent, Option<Vec<u8>>);

/// Registers statements under the policy in force.
pub struct Registrar {
    ledger: Arc<Ledger>,
    policy: RegistrationPolicy,
    keys: rules::IssuerKeys,
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
        let keys = rules::IssuerKeys::of(&policy);
        Ok(Self { ledger, policy, keys, staging: Staging::default() })
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
        let statement = rules::submission(&self.policy, bytes)?;
        if let Some(index) = self.ledger.find(&statement.leaf())? {
            return Ok(Place { index, leaf: statement.leaf() });
        }
        let (issuer, kind) = rules::header(&self.policy, &self.keys, &statement, now..=now)?;
        if let Some(twin) = rules::other_spelling(issuer, &statement)? {
            rules::check_spelling(self.ledger.find(&twin)?)?;
        }
        let content = self.content(&statement, kind, issuer, now)?;
        let index_keys = match &content {
            Some((content, _)) => self.check_content(content, &statement)?,
            None => Vec::new(),
        };
        let sealed = content.and_then(|(_, sealed)| sealed);
        let prepared = Prepared::foreign(statement, sealed, index_keys);
        Ok(self.ledger.commit(vec![prepared], Conditions::default()).await?.only()?)
    }

    /// Step 6: the content, and its sealed form if it is confidential; `None` for a plain payload of unknown type.
    fn content(
        &self,
        statement: &Statement,
        kind: Kind,
        issuer: &RegisteredIssuer,
        now: u64,
    ) -> Result<Option<Found>, RegistrationError> {
        let Body::Hashed { digest, .. } = statement.body() else {
            return Ok(rules::plain(statement, kind, issuer)?.map(|content| (content, None)));
        };
        let Some(sealed) = self.staging.get(digest, now) else {
            let reason = "the content is not here: upload it first (PUT /v1/content/{sha256})";
            return Err(RegistrationError::Rejected(reason.to_owned()));
        };
        let plaintext = self
            .ledger
            .open(statement, &sealed)
            .map_err(|error| RegistrationError::Rejected(format!("content: {error}")))?;
        Ok(Some((rules::opened(&plaintext, kind)?, Some(sealed))))
    }

    /// Step 7, and the keyed hashes under which the entry will be found.
    fn check_content(
        &self,
        content: &AnyContent,
        statement: &Statement,
    ) -> Result<Vec<[u8; 32]>, RegistrationError> {
        for named in rules::content(&self.policy, self.ledger.trust_domain(), content, statement)? {
            let found = match self.ledger.find(&named.leaf)? {
                Some(index) => Some((index, self.ledger.read(index)?.statement.kind())),
                None => None,
            };
            named.check(found)?;
        }
        Ok(match content {
            AnyContent::Approval(approval) => {
                vec![self.ledger.index_key(Index::Approvals, &approval.policy.0)]
            }
            _ => Vec::new(),
        })
    }
}
