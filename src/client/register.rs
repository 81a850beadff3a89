//! The side of those who register statements: CI, vendors, policy authors, approvers.

use treering_provenance::bytes::{Fixed, Leaf};
use treering_provenance::content::Content;
use treering_provenance::cose::Signer;
use treering_provenance::envelope::{self, ContentKey, Context, Plaintext};
use treering_provenance::receipt::Receipt;
use treering_provenance::statement::Draft;
use treering_tlog::hash::Hash;

use crate::keys;
use crate::wire::{ActivationRequest, ContentKeyRequest, ContentKeyResponse, LoggedResponse};

use super::{Client, ClientError};

/// A statement that was registered.
#[derive(Debug, Clone)]
pub struct Registered {
    /// Its leaf hash.
    pub leaf: Hash,
    /// Its index, as the receipt says.
    pub index: u64,
}

/// Who registers.
pub struct Registrant<'a> {
    /// The `iss`.
    pub issuer: &'a str,
    /// Its key.
    pub signer: &'a dyn Signer,
    /// The log's origin: a statement for one log says nothing in another.
    pub origin: &'a str,
}

impl Client {
    /// Encrypts content, uploads it, signs the statement and registers it (SCRAPI).
    pub async fn register_content<C: Content>(
        &self,
        who: &Registrant<'_>,
        content: &C,
        now: u64,
    ) -> Result<Registered, ClientError> {
        let setup = |error: &dyn std::fmt::Display| ClientError::Setup(error.to_string());
        let nonce = keys::random().map_err(|error| setup(&error))?;
        let plaintext = Plaintext::of(content, nonce).map_err(|error| setup(&error))?;
        let request = ContentKeyRequest { kind: C::KIND.to_string() };
        let key: ContentKeyResponse = self.post_json("/v1/content-keys", &request).await?;
        let wrapped = <[u8; 40]>::try_from(key.wrapped.0.as_slice()).map_err(|error| setup(&error))?;

        // Nobody but this statement has this subject: third parties' statements are found by what they are about.
        let subject = Fixed(keys::random::<32>().map_err(|error| setup(&error))?).to_string();
        let context = Context { origin: who.origin, issuer: who.issuer, subject: &subject, kind: C::KIND };
        let content_key = ContentKey::from_bytes(*key.key.as_bytes());
        let sealed = envelope::seal_wrapped(&plaintext, &context, &content_key, (&key.kek_id, &wrapped))
            .map_err(|error| setup(&error))?;
        let draft = Draft {
            kind: C::KIND,
            issuer: who.issuer,
            subject: &subject,
            audience: who.origin,
            issued_at: now,
            parents: Vec::new(),
            cred: None,
            payload: plaintext.payload(C::KIND, &sealed).map_err(|error| setup(&error))?,
        };
        let statement = draft.sign(who.signer).map_err(|error| setup(&error))?;
        self.put_content(&sealed).await?;
        let answer = self.register(statement.entry()).await?;
        let receipt = Receipt::parse(&answer.body).map_err(|error| ClientError::Answer {
            url: "/entries".to_owned(),
            reason: format!("the receipt: {error}"),
        })?;
        let index = receipt.inclusions().first().map_or(0, |inclusion| inclusion.index);
        Ok(Registered { leaf: statement.leaf(), index })
    }

    /// Activates a policy or reference values.
    pub async fn activate(&self, policy: &Hash) -> Result<LoggedResponse, ClientError> {
        self.post_json("/v1/activations", &ActivationRequest { policy: Leaf::from(*policy) }).await
    }
}
