//! Keys that leave the vault: to a registrant, for one content; to an auditor, by a grant that the log records.

use treering_provenance::bytes::{Bytes, Fixed};
use treering_provenance::content::{self, Content as _, V1};
use treering_provenance::envelope::{ContentKey, Kek, KekId};
use treering_provenance::grant::{AuditorPublicKey, GrantContext};
use treering_provenance::statement::Kind;

use crate::keys::{self, Role};
use crate::ledger::{Conditions, Draft, Ledger, LedgerError, Place, Subject};
use crate::vault::{Class, GrantId, Scope, VaultError};

pub use crate::vault::GrantTerms;

/// A content key for one statement of a registrant.
pub struct RegistrantKey {
    /// Encrypts the content.
    pub content_key: ContentKey,
    /// The key-encryption key that it is wrapped under.
    pub kek_id: KekId,
    /// It, wrapped.
    pub wrapped: [u8; 40],
}

/// Makes a content key for a statement of this kind, under the scope and class of the kind.
pub async fn content_key(ledger: &Ledger, kind: Kind, now: u64) -> Result<RegistrantKey, LedgerError> {
    let (scope, class) = place_of(kind);
    let kek = ledger.vault().kek(&scope, class, now).await?;
    let content_key = ContentKey::from_bytes(keys::random()?);
    let wrapped = Kek::from_bytes(*kek.key).wrap(&content_key).map_err(LedgerError::log)?;
    Ok(RegistrantKey { content_key, kek_id: Fixed(kek.id), wrapped })
}

/// Under which scope and class registered content lies.
fn place_of(kind: Kind) -> (Scope, Class) {
    match kind {
        Kind::Policy | Kind::Approval => (Scope::Governance, Class::Decision),
        Kind::WorkloadProvenance | Kind::ReferenceValues => (Scope::Ledger, Class::Provenance),
        _ => (Scope::Ledger, Class::Evidence),
    }
}

/// A grant that was made and logged.
pub struct Granted {
    /// Its name.
    pub id: GrantId,
    /// The grant key, sealed to the grantee.
    pub message: Vec<u8>,
    /// Where its statement is.
    pub place: Place,
}

/// Why nothing was granted.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    /// The terms contradict themselves.
    #[error("{0}")]
    Terms(String),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl From<VaultError> for GrantError {
    fn from(error: VaultError) -> Self {
        Self::Ledger(error.into())
    }
}

/// Grants content keys to an auditor's key. The statement that says so, and what makes the grant effective, are one
/// commit.
pub async fn grant(
    ledger: &Ledger,
    grantee: &str,
    key: &AuditorPublicKey,
    terms: GrantTerms,
    now: u64,
) -> Result<Granted, GrantError> {
    let context = GrantContext { origin: ledger.origin(), grantee };
    let offer = ledger.vault().offer(terms.clone(), key, &context)?;
    let content = content::Grant {
        v: V1,
        grantee: grantee.to_owned(),
        key_thumbprint: *key.thumbprint(),
        scopes: terms.scopes,
        classes: terms.classes,
        from: terms.from,
        to: terms.to,
        message: Bytes(offer.message().to_vec()),
    };
    content.check().map_err(|error| GrantError::Terms(error.to_string()))?;
    let draft = Draft::new(Role::Ledger, &content, Subject::Scope(Scope::Governance), Class::Decision)?;
    let prepared = ledger.prepare(draft, now).await?;
    let append = async |rows| -> Result<Place, GrantError> {
        let conditions = Conditions { rows, ..Conditions::default() };
        Ok(ledger.commit(vec![prepared], conditions).await?.only()?)
    };
    let place = ledger.vault().deliver(&offer, append).await?;
    Ok(Granted { id: offer.id(), message: offer.message().to_vec(), place })
}
