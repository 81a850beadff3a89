//! The ledger: statements go in, proofs come out.
//!
//! In scope: sealing content and signing statements ([`Draft`]), one atomic append with its conditions, waiting for
//! the witnesses, and [`Receipt`]: proof, as a value, that a statement is logged. Reading statements back.
//! Out of scope: the engine (`treering_log`), formats (`treering_provenance`), what statements mean (the floors above).
//!
//! Nothing here is global: a ledger (origin, keys, log, vault) is a value.

mod draft;
mod receipt;
mod seal;

use std::sync::Arc;
use std::time::Duration;

use treering_log::{Append, AppendError, Appended, Log, RegisterName, Row};
use treering_provenance::content::AnyContent;
use treering_provenance::cose::{Ed25519Signer, Signer};
use treering_provenance::envelope::{self, Kek, Plaintext};
use treering_provenance::receipt::Inclusion;
use treering_provenance::statement::{Body, Statement, entry_id};
use treering_provenance::trust::Release;
use treering_tlog::hash::Hash;

use crate::ident::TrustDomain;
use crate::keys::{KeyError, KeyStore, MasterKey, Role};
use crate::vault::{Vault, VaultError};

pub use draft::{Draft, Prepared, Subject};
use receipt::Seals;
pub use receipt::{Newest, Receipt};
pub use seal::HeadSealer;

/// What went wrong in the ledger, sorted by who can do something about it.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Overload: try again.
    #[error("the log's pool is full; try again shortly")]
    Full,
    /// The decision rests on policies that changed meanwhile: decide again.
    #[error("policies changed while this was decided")]
    Stale,
    /// The challenge was used before.
    #[error("the challenge was used before")]
    AlreadyUsed,
    /// Larger than the log takes.
    #[error("{0}")]
    TooLarge(String),
    /// The witnesses gave no quorum in time.
    #[error("no quorum of witnesses within {seconds} s for tree size {size}")]
    NoQuorum {
        /// How long it waited.
        seconds: u64,
        /// The size that was to be witnessed.
        size: u64,
    },
    /// The log has stopped.
    #[error("the log has stopped; restart the service")]
    Stopped,
    /// The log failed.
    #[error("log: {0}")]
    Log(String),
    /// The vault failed.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// A key failed.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A stored statement or its content is not what it was.
    #[error("entry {index}: {reason}")]
    Content {
        /// Which entry.
        index: u64,
        /// What is wrong.
        reason: String,
    },
}

impl LedgerError {
    /// An error of the log or of a format that we made ourselves.
    pub fn log(error: impl std::fmt::Display) -> Self {
        Self::Log(error.to_string())
    }
}

impl From<AppendError> for LedgerError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Full { .. } => Self::Full,
            AppendError::StaleExpectation { .. } => Self::Stale,
            AppendError::AlreadyUsed { .. } => Self::AlreadyUsed,
            AppendError::TooLarge { .. } => Self::TooLarge(error.to_string()),
            AppendError::Stopped | AppendError::Poisoned(_) | AppendError::Held => Self::Stopped,
            other => Self::log(other),
        }
    }
}

/// Conditions under which an append may happen, checked by the sequencer.
#[derive(Debug, Default)]
pub struct Conditions {
    /// Keyed hashes that may be used once.
    pub once: Vec<[u8; 32]>,
    /// Registers and the values they must have.
    pub expect: Vec<(RegisterName, Option<u64>)>,
    /// Registers that move to the entry at this position.
    pub set: Vec<(RegisterName, usize)>,
    /// Side-table rows written in the same commit.
    pub rows: Vec<Row>,
}

/// How a ledger releases, and how long it waits.
#[derive(Debug, Clone, Copy)]
pub struct ReleaseRule {
    /// At commit, or when witnessed.
    pub at: Release,
    /// How long to wait for the witnesses.
    pub timeout: Duration,
    /// Whether proofs embed the paths of their parents.
    pub embed_parents: bool,
}

/// Keyed hashes of the ledger: where the store would otherwise name a workload, a chip or a challenge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Index {
    /// Approvals of a policy, by its leaf hash.
    Approvals,
    /// A used challenge.
    Challenge,
    /// Collateral, by the SHA-256 of its items.
    Collateral,
    /// A policy's register, by its type and name.
    Policy,
}

impl Index {
    const fn tag(self) -> &'static str {
        match self {
            Self::Approvals => "approvals",
            Self::Challenge => "challenge",
            Self::Collateral => "collateral",
            Self::Policy => "policy",
        }
    }
}

/// One ledger.
pub struct Ledger {
    log: Log,
    vault: Vault,
    origin: String,
    trust_domain: TrustDomain,
    signers: [(Role, Ed25519Signer); 5],
    index_key: aws_lc_rs::hmac::Key,
    handle_key: zeroize::Zeroizing<[u8; 32]>,
    release: ReleaseRule,
    seals: Seals,
}

impl Ledger {
    /// The ledger on an open log.
    pub fn new(
        log: Log,
        keys: &KeyStore,
        master: &MasterKey,
        origin: &str,
        trust_domain: TrustDomain,
        release: ReleaseRule,
    ) -> Result<Self, LedgerError> {
        let signer = |role: Role| -> Result<_, LedgerError> {
            let key = keys.role(role)?;
            Ok((role, Ed25519Signer::from_seed(&key.to_bytes()).map_err(LedgerError::log)?))
        };
        Ok(Self {
            vault: Vault::new(log.clone(), master),
            log,
            origin: origin.to_owned(),
            trust_domain,
            signers: [
                signer(Role::Authority)?,
                signer(Role::Governance)?,
                signer(Role::Ledger)?,
                signer(Role::Mapper)?,
                signer(Role::Verifier)?,
            ],
            index_key: aws_lc_rs::hmac::Key::new(
                aws_lc_rs::hmac::HMAC_SHA256,
                master.derive("index").as_ref(),
            ),
            handle_key: master.derive("handle"),
            release,
            seals: Seals::default(),
        })
    }

    /// The log.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The vault.
    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// The log's origin.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The URI under which a role signs.
    pub fn role_uri(&self, role: Role) -> String {
        self.trust_domain.role_uri(role.name())
    }

    /// The key that a role signs statements with.
    pub fn signer(&self, role: Role) -> Result<&dyn Signer, LedgerError> {
        let found = self.signers.iter().find(|(of, _)| *of == role);
        found
            .map(|(_, signer)| signer as &dyn Signer)
            .ok_or_else(|| LedgerError::Log(format!("the role {} signs no statements", role.name())))
    }

    /// The trust domain.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// A keyed hash for the log's index, so that the store at rest names nothing.
    pub fn index_key(&self, index: Index, value: &[u8]) -> [u8; 32] {
        let mut context = aws_lc_rs::hmac::Context::with_key(&self.index_key);
        context.update(b"treering-index-v1\0");
        context.update(index.tag().as_bytes());
        context.update(&[0]);
        context.update(value);
        let mut out = [0; 32];
        out.iter_mut().zip(context.sign().as_ref()).for_each(|(to, from)| *to = *from);
        out
    }

    /// Appends prepared statements: all of them, adjacent, or none.
    pub async fn commit(
        &self,
        prepared: Vec<Prepared>,
        conditions: Conditions,
    ) -> Result<Logged, LedgerError> {
        let (entries, statements) = prepared.into_iter().map(Prepared::into_entry).unzip();
        let append = Append {
            entries,
            once: conditions.once,
            expect: conditions.expect,
            set: conditions.set,
            rows: conditions.rows,
        };
        let appended = self.log.append(append).await?;
        Ok(Logged { appended, statements })
    }

    /// Waits until what was logged may be released, and returns the proof for the statement at this position.
    pub async fn receipt(&self, logged: &Logged, position: usize) -> Result<Receipt, LedgerError> {
        let size = logged.appended.head().size();
        let (head, checkpoint) = match self.release.at {
            Release::Committed => {
                let head = Arc::clone(logged.appended.head());
                let note = head.note().to_vec();
                (head, note)
            }
            Release::Witnessed => {
                let witnessed = self.log.wait_witnessed(size, self.release.timeout).await;
                let witnessed = witnessed
                    .map_err(|_| LedgerError::NoQuorum { seconds: self.release.timeout.as_secs(), size })?;
                (Arc::clone(witnessed.head()), witnessed.cosigned_note().to_vec())
            }
        };
        Receipt::new(&self.log, logged, position, head, checkpoint, self.release.embed_parents)
    }

    /// The statement at an index, and its content if there is content and its key is kept.
    pub fn read(&self, index: u64) -> Result<Read, LedgerError> {
        let bad = |reason: String| LedgerError::Content { index, reason };
        let entry = self.log.entry(index).map_err(LedgerError::log)?;
        let entry = entry.ok_or_else(|| bad("is not in the log".to_owned()))?;
        let statement = Statement::parse(&entry).map_err(|error| bad(error.to_string()))?;
        let plaintext = match self.log.content_at(index).map_err(LedgerError::log)? {
            None => None,
            Some(sealed) => Some(self.open(&statement, &sealed).map_err(bad)?),
        };
        Ok(Read { index, statement, plaintext })
    }

    /// Opens content: the key-encryption key by its name, the commitment checked.
    pub fn open(&self, statement: &Statement, sealed: &[u8]) -> Result<Plaintext, String> {
        let id = envelope::kek_id(sealed).map_err(|error| error.to_string())?;
        // A vault that fails must not look like one whose key was erased.
        let key = self.vault.find(id.as_bytes()).map_err(|error| error.to_string())?;
        envelope::open(statement, sealed, |_| key.map(|key| Kek::from_bytes(*key)))
            .map_err(|error| error.to_string())
    }

    /// The value of a register.
    pub fn register(&self, name: &RegisterName) -> Result<Option<u64>, LedgerError> {
        self.log.register(name).map_err(LedgerError::log)
    }

    /// The entries under a keyed hash, in order.
    pub fn lookup(&self, index: Index, value: &[u8], limit: usize) -> Result<Vec<u64>, LedgerError> {
        self.log.lookup(&self.index_key(index, value), None, limit).map_err(LedgerError::log)
    }

    /// The receipt of one committed entry (RFC 9942), whoever may have cosigned its tree head.
    pub fn committed_receipt(&self, index: u64) -> Result<Vec<u8>, LedgerError> {
        let head = self.log.head().ok_or(LedgerError::Stopped)?;
        let path = self.log.inclusion(index, head.size()).map_err(LedgerError::log)?;
        let inclusion = Inclusion { size: head.size(), index, path };
        self.seals.of(&head)?.inclusion(&[inclusion]).map_err(LedgerError::log)
    }

    /// Where an entry is, by its leaf hash.
    pub fn find(&self, leaf: &Hash) -> Result<Option<u64>, LedgerError> {
        self.log.index_of_leaf(leaf).map_err(LedgerError::log)
    }
}

/// Statements that are in the log.
#[derive(Debug, Clone)]
pub struct Logged {
    appended: Appended,
    statements: Vec<Statement>,
}

impl Logged {
    /// The index of each.
    pub fn indexes(&self) -> &[u64] {
        self.appended.indexes()
    }

    /// The leaf hash of each.
    pub fn leaves(&self) -> &[Hash] {
        self.appended.leaves()
    }

    /// The place of an append of one.
    pub fn only(&self) -> Result<Place, LedgerError> {
        let missing = || LedgerError::Log("an append of nothing".to_owned());
        let (index, leaf) = self.indexes().first().zip(self.leaves().first()).ok_or_else(missing)?;
        Ok(Place { index: *index, leaf: *leaf })
    }
}

/// Where one statement is.
#[derive(Debug, Clone)]
pub struct Place {
    /// Its index.
    pub index: u64,
    /// Its leaf hash.
    pub leaf: Hash,
}

impl Place {
    /// Its entry id, as SCRAPI's locations have it.
    pub fn entry_id(&self) -> String {
        entry_id(&self.leaf)
    }
}

/// A statement that was read back.
#[derive(Debug, Clone)]
pub struct Read {
    /// Where it is.
    pub index: u64,
    /// The statement.
    pub statement: Statement,
    /// Its content, opened.
    pub plaintext: Option<Plaintext>,
}

impl Read {
    /// The content as the type that its media type names.
    pub fn content(&self) -> Result<AnyContent, LedgerError> {
        let bad = |reason: String| LedgerError::Content { index: self.index, reason };
        let (media_type, body) = match (&self.plaintext, self.statement.body()) {
            (Some(plaintext), _) => (plaintext.media_type(), plaintext.body()),
            (None, Body::Public { content_type, bytes }) => (content_type.unwrap_or_default(), bytes),
            (None, Body::Hashed { .. }) => return Err(bad("its content is not kept".to_owned())),
        };
        let content = AnyContent::parse(media_type, body).map_err(|error| bad(error.to_string()))?;
        content.ok_or_else(|| bad(format!("content of type `{media_type}` is not known to this program")))
    }
}
