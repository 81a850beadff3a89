//! The vault: key-encryption keys, and who was granted which.
//!
//! In scope: one random key-encryption key (KEK) per (scope, class, day), sealed under the vault's own key in the
//! log's side tables; grant keys, and the KEKs wrapped to them. Content itself lies in the log's content table under
//! the index of its statement, never under its own hash.
//! Out of scope: the format of content (`treering_provenance::envelope`), who may grant (`governance`).
//!
//! A KEK is on disk (synced) before anything is sealed under it, so no crash can leave content that nobody can open.

mod tables;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use treering_log::{Log, MAX_ROWS, Row};
use treering_provenance::bytes::{Bytes, Fixed};
use treering_provenance::envelope::Kek as KekKey;
use treering_provenance::grant::{self, AuditorPublicKey, GrantContext, GrantKey};
use treering_provenance::strict;
use zeroize::Zeroizing;

use crate::ident::WorkloadIdentifier;
use crate::keys::{self, KeyError, MasterKey};

use tables::{GrantRecord, KekRecord, Sealer, Table};

/// Seconds in a KEK's period.
const PERIOD_S: u64 = 24 * 60 * 60;
/// KEKs kept in memory; one per scope and class in use today. Beyond it the cache starts again.
const MAX_CACHED_KEKS: usize = 100_000;

/// A 256-bit key.
pub type Key256 = Zeroizing<[u8; 32]>;
/// The name of a KEK in an envelope.
pub type KekId = [u8; 16];
/// The name of a grant: random.
pub type GrantId = [u8; 16];

/// What went wrong in the vault.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// No key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The log's side tables failed.
    #[error("side tables of the log: {0}")]
    Tables(String),
    /// Nothing can be sealed to the grantee's key: a point of small order, which would give everybody the grant key.
    #[error("the grantee's public key is one that nothing can be sealed to")]
    Grantee,
    /// A stored record does not open: another master key, or a changed store.
    #[error("a key record of the vault does not open: wrong master key, or a changed store")]
    Record,
}

/// Whose content it is: who can erase it, and who can be granted it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Policies and approvals.
    Governance,
    /// Refused before it was known whose it is.
    Intake,
    /// Shared objects: reference values, provenance, collateral.
    Ledger,
    /// One workload's.
    Workload(WorkloadIdentifier),
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Governance => f.write_str("governance"),
            Self::Intake => f.write_str("intake"),
            Self::Ledger => f.write_str("ledger"),
            Self::Workload(identifier) => write!(f, "workload:{identifier}"),
        }
    }
}

/// What sort of content it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// What was decided, and why.
    Decision,
    /// What was presented.
    Evidence,
    /// What was built from what.
    Provenance,
}

impl Class {
    /// The word in grants.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Decision => "decision",
            Self::Evidence => "evidence",
            Self::Provenance => "provenance",
        }
    }
}

/// A key-encryption key and its name.
#[derive(Clone)]
pub struct Kek {
    /// Its name.
    pub id: KekId,
    /// The key.
    pub key: Key256,
}

/// What a grant opens.
#[derive(Debug, Clone)]
pub struct GrantTerms {
    /// Scopes, as [`Scope`] prints them; `*` is all.
    pub scopes: Vec<String>,
    /// Classes, as [`Class::as_str`] has them; `*` is all.
    pub classes: Vec<String>,
    /// From this time; the whole period of a KEK counts.
    pub from: u64,
    /// Until this time.
    pub to: u64,
}

impl GrantTerms {
    fn covers(&self, kek: &KekRecord) -> bool {
        let names = |list: &[String], name: &str| list.iter().any(|item| item == "*" || item == name);
        let start = kek.period.saturating_mul(PERIOD_S);
        names(&self.scopes, &kek.scope)
            && names(&self.classes, &kek.class)
            && start <= self.to
            && start.saturating_add(PERIOD_S) > self.from
    }
}

/// A row: key and value.
type Pair = (Vec<u8>, Vec<u8>);

/// The vault of one ledger.
pub struct Vault {
    log: Log,
    sealer: Sealer,
    cache: Mutex<HashMap<[u8; 32], Kek>>,
    // One at a time may make KEKs and grants, so that a grant misses no KEK made beside it.
    making: tokio::sync::Mutex<()>,
}

impl Vault {
    /// The vault in this log, under this master key.
    pub fn new(log: Log, master: &MasterKey) -> Self {
        Self {
            log,
            sealer: Sealer::new(master),
            cache: Mutex::default(),
            making: tokio::sync::Mutex::default(),
        }
    }

    /// The KEK of a scope and class for today, made if it is the first use.
    pub async fn kek(&self, scope: &Scope, class: Class, now: u64) -> Result<Kek, VaultError> {
        let record =
            KekRecord { scope: scope.to_string(), class: class.as_str().to_owned(), period: now / PERIOD_S };
        let slot = self.sealer.slot(&record);
        if let Some(kek) = self.cached(&slot) {
            return Ok(kek);
        }
        let _making = self.making.lock().await;
        let kek = match self.row(Table::KekBySlot, &slot)? {
            Some(id) => self.stored(&id)?,
            None => self.make(&record, &slot).await?,
        };
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= MAX_CACHED_KEKS {
            cache.clear();
        }
        cache.insert(slot, kek.clone());
        Ok(kek)
    }

    /// A KEK by its name; `None` if it was erased or never was.
    pub fn find(&self, id: &KekId) -> Result<Option<Key256>, VaultError> {
        let Some(sealed) = self.row(Table::Kek, id)? else { return Ok(None) };
        Ok(Some(self.sealer.open_kek(id, &sealed)?.0))
    }

    /// Makes a grant key, sealed to the grantee. Nothing is stored yet: the caller logs the grant with
    /// [`Vault::deliver`].
    pub fn offer(
        &self,
        terms: GrantTerms,
        grantee: &AuditorPublicKey,
        context: &GrantContext<'_>,
    ) -> Result<GrantOffer, VaultError> {
        let key: Key256 = Zeroizing::new(keys::random()?);
        let sealed = grant::seal(&GrantKey::from_bytes(*key), grantee, context, keys::random()?);
        let delivery = Delivery {
            grantee: context.grantee.to_owned(),
            message: Bytes(sealed.map_err(|_| VaultError::Grantee)?),
        };
        Ok(GrantOffer {
            id: keys::random()?,
            key,
            terms,
            thumbprint: *grantee.thumbprint().as_bytes(),
            delivery,
        })
    }

    /// Wraps every KEK that the terms cover, now and later, to the offered key, and has `append` log the grant with
    /// the rows that make it effective: in one commit, so that no grant takes effect unlogged. The wraps alone are of
    /// use to nobody, since the grant key is delivered by those rows.
    pub async fn deliver<T, E: From<VaultError>>(
        &self,
        offer: &GrantOffer,
        append: impl AsyncFnOnce(Vec<Row>) -> Result<T, E>,
    ) -> Result<T, E> {
        // Held until it is logged: a KEK that is made meanwhile must find the grant.
        let _making = self.making.lock().await;
        let mut wraps = Vec::new();
        for (kek_id, sealed) in self.all(Table::Kek)? {
            let (kek, record) = self.sealer.open_kek(&kek_id, &sealed)?;
            if offer.terms.covers(&record) {
                wraps.push(wrap_row(&offer.id, &offer.key, &kek_id, &kek)?);
            }
        }
        for chunk in wraps.chunks(MAX_ROWS) {
            self.log.put_rows(chunk.to_vec()).await.map_err(tables_error)?;
        }
        let record = GrantRecord::new(&offer.terms, &offer.key);
        let place = [offer.thumbprint.as_slice(), &offer.id].concat();
        let delivery = strict::to_vec(&offer.delivery).map_err(|_| VaultError::Record)?;
        append(vec![
            Table::Grant.row(&offer.id, self.sealer.seal_grant(&offer.id, &record)?),
            Table::GrantMessage.row(&place, delivery),
        ])
        .await
    }

    fn cached(&self, slot: &[u8; 32]) -> Option<Kek> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).get(slot).cloned()
    }

    fn stored(&self, id: &[u8]) -> Result<Kek, VaultError> {
        let id = KekId::try_from(id).map_err(|_| VaultError::Record)?;
        let key = self.find(&id)?.ok_or(VaultError::Record)?;
        Ok(Kek { id, key })
    }

    async fn make(&self, record: &KekRecord, slot: &[u8; 32]) -> Result<Kek, VaultError> {
        let id: KekId = keys::random()?;
        let key: Key256 = Zeroizing::new(keys::random()?);
        let mut rows = vec![
            Table::Kek.row(&id, self.sealer.seal_kek(&id, record, &key)?),
            Table::KekBySlot.row(slot, id.to_vec()),
        ];
        for (grant_id, sealed) in self.all(Table::Grant)? {
            let grant = self.sealer.open_grant(&grant_id, &sealed)?;
            if grant.terms().covers(record) {
                rows.push(wrap_row(&grant_id, grant.key()?, &id, &key)?);
            }
        }
        self.log.put_rows(rows).await.map_err(tables_error)?;
        Ok(Kek { id, key })
    }

    fn row(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, VaultError> {
        self.log.row(table as u8, key).map_err(tables_error)
    }

    fn all(&self, table: Table) -> Result<Vec<Pair>, VaultError> {
        self.log.rows(table as u8, &[]).map_err(tables_error)
    }
}

/// A grant that is made and not yet logged.
pub struct GrantOffer {
    id: GrantId,
    key: Key256,
    terms: GrantTerms,
    thumbprint: [u8; 32],
    delivery: Delivery,
}

impl GrantOffer {
    /// Its name.
    pub fn id(&self) -> GrantId {
        self.id
    }

    /// The grant key, sealed to the grantee.
    pub fn message(&self) -> &[u8] {
        &self.delivery.message.0
    }
}

/// A grant key on its way to the grantee.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delivery {
    /// Who is granted it; the message is bound to this name.
    pub grantee: String,
    /// The grant key, sealed to the grantee's public key (COSE-HPKE).
    pub message: Bytes,
}

/// The grants to a key. Reads a log that may be stopped.
pub fn grants_to(log: &Log, thumbprint: &[u8; 32]) -> Result<Vec<(GrantId, Delivery)>, VaultError> {
    let rows = log.rows(Table::GrantMessage as u8, thumbprint).map_err(tables_error)?;
    let grant = |(key, value): Pair| {
        let id = key.get(32..).and_then(|id| id.try_into().ok()).ok_or(VaultError::Record)?;
        let delivery =
            strict::from_slice(&value, tables::MAX_RECORD_BYTES).map_err(|_| VaultError::Record)?;
        Ok((id, delivery))
    };
    rows.into_iter().map(grant).collect()
}

/// The KEKs wrapped to a grant's key. Reads a log that may be stopped.
pub fn granted(log: &Log, id: &GrantId) -> Result<Vec<grant::WrappedKek>, VaultError> {
    let rows = log.rows(Table::Wrap as u8, id).map_err(tables_error)?;
    let wrapped = |(key, value): Pair| {
        let kek_id = key.get(16..).and_then(|id| <KekId>::try_from(id).ok()).ok_or(VaultError::Record)?;
        let wrapped = <[u8; 40]>::try_from(value).map_err(|_| VaultError::Record)?;
        Ok(grant::WrappedKek { kek_id: Fixed(kek_id), wrapped: Fixed(wrapped) })
    };
    rows.into_iter().map(wrapped).collect()
}

fn wrap_row(grant: &[u8], grant_key: &[u8; 32], kek_id: &[u8], kek: &[u8; 32]) -> Result<Row, VaultError> {
    let mut key = grant.to_vec();
    key.extend_from_slice(kek_id);
    let wrapped = grant::wrap(&GrantKey::from_bytes(*grant_key), &KekKey::from_bytes(*kek));
    Ok(Table::Wrap.row(&key, wrapped.map_err(|_| VaultError::Record)?.to_vec()))
}

fn tables_error(error: impl fmt::Display) -> VaultError {
    VaultError::Tables(error.to_string())
}
