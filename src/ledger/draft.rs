//! From a decision to a signed statement: content sealed, subject blinded, header filled in.

use treering_log::NewEntry;
use treering_provenance::bytes::{Digest, Leaf};
use treering_provenance::content::Content;
use treering_provenance::envelope::{self, ContentKey, Context, Kek, Plaintext};
use treering_provenance::statement::{self, Kind, Payload, Statement};
use treering_provenance::subject::SubjectKey;
use treering_tlog::hash::Hash;

use crate::ident::WorkloadIdentifier;
use crate::keys::{self, Role};
use crate::vault::{Class, Scope};

use super::{Ledger, LedgerError};

/// Whom a statement is about: blinded in the header, and the scope under which its content is sealed.
#[derive(Debug, Clone)]
pub enum Subject {
    /// A workload.
    Workload(WorkloadIdentifier),
    /// No workload, or none that is known yet.
    Scope(Scope),
}

impl Subject {
    fn name(&self) -> String {
        match self {
            Self::Scope(scope) => scope.to_string(),
            Self::Workload(identifier) => identifier.to_string(),
        }
    }

    fn scope(&self) -> Scope {
        match self {
            Self::Scope(scope) => scope.clone(),
            Self::Workload(identifier) => Scope::Workload(identifier.clone()),
        }
    }
}

/// A statement to be made by one of our roles.
#[derive(Debug)]
pub struct Draft {
    role: Role,
    kind: Kind,
    media_type: &'static str,
    body: Vec<u8>,
    subject: Subject,
    class: Class,
    /// Leaf hashes of the earlier steps of the decision, nearest first.
    pub parents: Vec<Hash>,
    /// What an issuance commits to.
    pub cred: Option<[u8; 32]>,
    /// Keyed hashes under which the entry is found.
    pub index_keys: Vec<[u8; 32]>,
}

impl Draft {
    /// A statement with this content.
    pub fn new<C: Content>(
        role: Role,
        content: &C,
        subject: Subject,
        class: Class,
    ) -> Result<Self, LedgerError> {
        let body = content.to_cbor().map_err(LedgerError::log)?;
        let (kind, media_type) = (C::KIND, C::MEDIA_TYPE);
        Ok(Self {
            role,
            kind,
            media_type,
            body,
            subject,
            class,
            parents: Vec::new(),
            cred: None,
            index_keys: Vec::new(),
        })
    }
}

/// A signed statement and its sealed content, ready to be appended.
#[derive(Debug, Clone)]
pub struct Prepared {
    statement: Statement,
    content: Option<Vec<u8>>,
    index_keys: Vec<[u8; 32]>,
}

impl Prepared {
    /// A statement that somebody else signed.
    pub fn foreign(statement: Statement, content: Option<Vec<u8>>, index_keys: Vec<[u8; 32]>) -> Self {
        Self { statement, content, index_keys }
    }

    /// Its leaf hash.
    pub fn leaf(&self) -> Hash {
        self.statement.leaf()
    }

    /// Its entry id, as SCRAPI's locations have it.
    pub fn entry_id(&self) -> String {
        self.statement.entry_id()
    }

    pub(super) fn into_entry(self) -> (NewEntry, Statement) {
        let Self { statement, content, index_keys } = self;
        (NewEntry { bytes: statement.entry().to_vec(), content, index_keys }, statement)
    }
}

impl Ledger {
    /// Seals the content under today's key of its scope and class, and signs the statement.
    pub async fn prepare(&self, draft: Draft, now: u64) -> Result<Prepared, LedgerError> {
        let kek = self.vault.kek(&draft.subject.scope(), draft.class, now).await?;
        let issuer = self.role_uri(draft.role);
        let subject = SubjectKey::derive(&self.handle_key, &draft.subject.name()).handle(&keys::random()?);
        let plaintext = Plaintext::new(draft.media_type, draft.body, keys::random()?);
        let context = Context { origin: &self.origin, issuer: &issuer, subject: &subject, kind: draft.kind };
        let content_key = ContentKey::from_bytes(keys::random()?);
        let recipient = (&kek.id.into(), &Kek::from_bytes(*kek.key));
        let sealed =
            envelope::seal(&plaintext, &context, &content_key, recipient).map_err(LedgerError::log)?;
        let payload = plaintext.payload(draft.kind, &sealed).map_err(LedgerError::log)?;
        let unsigned = statement::Draft {
            kind: draft.kind,
            issuer: &issuer,
            subject: &subject,
            audience: &self.origin,
            issued_at: now,
            parents: draft.parents.into_iter().map(Leaf::from).collect(),
            cred: draft.cred.map(Digest::from),
            payload,
        };
        let statement = unsigned.sign(self.signer(draft.role)?).map_err(LedgerError::log)?;
        Ok(Prepared { statement, content: Some(sealed), index_keys: draft.index_keys })
    }

    /// Signs a statement whose content is public, and stays in the entry itself.
    pub fn prepare_public<C: Content>(
        &self,
        role: Role,
        content: &C,
        now: u64,
    ) -> Result<Prepared, LedgerError> {
        let issuer = self.role_uri(role);
        let unsigned = statement::Draft {
            kind: C::KIND,
            issuer: &issuer,
            subject: &self.origin,
            audience: &self.origin,
            issued_at: now,
            parents: Vec::new(),
            cred: None,
            payload: Payload::Public {
                content_type: C::MEDIA_TYPE.to_owned(),
                bytes: content.to_cbor().map_err(LedgerError::log)?,
            },
        };
        let statement = unsigned.sign(self.signer(role)?).map_err(LedgerError::log)?;
        Ok(Prepared { statement, content: None, index_keys: Vec::new() })
    }
}
