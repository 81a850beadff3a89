//! Keys that leave the vault: to a registrant, for one content; to an auditor, by a grant that the log records.

use treering_provenance::bytes::{Bytes, Fixed};
use treering_provenance::content::{self, V1};
use treering_provenance::envelope::{ContentKey, Kek, KekId};
use treering_provenance::grant::{AuditorPublicKey, GrantContext};
use treering_provenance::statement::Kind;

use crate::keys::{self, Role};
use crate::ledger::{Conditions, Draft, Ledger, LedgerError, Place, Subject};
use crate::vault::{Class, GrantId, Scope};

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

/// Grants content keys to an auditor's key, and logs who was granted what.
pub async fn grant(
    ledger: &Ledger,
    grantee: &str,
    key: &AuditorPublicKey,
    terms: GrantTerms,
    now: u64,
) -> Result<Granted, LedgerError> {
    let context = GrantContext { origin: ledger.origin(), grantee };
    let (id, message) = ledger.vault().grant(terms.clone(), key, &context).await?;
    let content = content::Grant {
        v: V1,
        grantee: grantee.to_owned(),
        key_thumbprint: *key.thumbprint(),
        scopes: terms.scopes,
        classes: terms.classes,
        from: terms.from,
        to: terms.to,
        message: Bytes(message.clone()),
    };
    let draft = Draft::new(Role::Ledger, &content, Subject::Scope(Scope::Governance), Class::Decision)?;
    let prepared = ledger.prepare(draft, now).await?;
    let place = ledger.commit(vec![prepared], Conditions::default()).await?.only()?;
    Ok(Granted { id, message, place })
}
