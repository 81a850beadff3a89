//! The keys that an auditor's grants open.

use std::collections::BTreeMap;

use treering_provenance::envelope::{self, EnvelopeError, Kek, KekId, Plaintext};
use treering_provenance::grant::{self, AuditorKey, GrantContext, GrantError};
use treering_provenance::statement::Statement;

use super::{Source, SourceError};

/// Why no keys could be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// The source failed.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A grant does not open.
    #[error("a grant to this key does not open: {0}")]
    Grant(#[from] GrantError),
    /// There is none.
    #[error("nothing was granted to this key: ask an operator for a grant")]
    NoGrant,
}

/// Key-encryption keys by name.
#[derive(Default)]
pub struct Keyring {
    keks: BTreeMap<KekId, Kek>,
}

impl Keyring {
    /// All keys that were granted to an auditor. Opening is local: the service sees neither key nor content.
    pub async fn unlock(
        source: &impl Source,
        auditor: &AuditorKey,
        origin: &str,
    ) -> Result<Self, KeyringError> {
        let grants = source.grants(auditor.public().thumbprint().as_bytes()).await?;
        if grants.is_empty() {
            return Err(KeyringError::NoGrant);
        }
        let mut keks = BTreeMap::new();
        for (id, delivery) in grants {
            let context = GrantContext { origin, grantee: &delivery.grantee };
            let key = grant::open(&delivery.message.0, auditor, &context)?;
            for wrapped in source.granted(&id).await? {
                keks.insert(wrapped.kek_id, grant::unwrap(&key, wrapped.wrapped.as_bytes())?);
            }
        }
        Ok(Self { keks })
    }

    /// Opens the content of a statement, and checks that it is what the statement commits to.
    pub fn open(&self, statement: &Statement, sealed: &[u8]) -> Result<Plaintext, EnvelopeError> {
        envelope::open(statement, sealed, |id| self.keks.get(id).cloned())
    }

    /// How many keys it holds.
    pub fn len(&self) -> usize {
        self.keks.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.keks.is_empty()
    }
}
