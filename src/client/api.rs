//! The calls of the API, one each.

use ciborium::Value;
use hyper::Method;
use sha2::{Digest, Sha256};
use treering_provenance::bytes::Fixed;
use treering_provenance::strict;

use crate::wire::{ChallengeRequest, ChallengeResponse};

use super::{Answer, Client, ClientError};

/// The largest error body that is looked into.
const MAX_PROBLEM_BYTES: usize = 64 * 1024;

impl Client {
    /// Asks for a challenge.
    pub async fn challenge(&self, target: &str) -> Result<ChallengeResponse, ClientError> {
        self.post_json("/v1/challenges", &ChallengeRequest { target: target.to_owned() }).await
    }

    /// Uploads the content of a statement that will be registered next.
    pub async fn put_content(&self, envelope: &[u8]) -> Result<(), ClientError> {
        let name: Fixed<32> = Fixed(Sha256::digest(envelope).into());
        self.send(Method::PUT, &format!("/v1/content/{name}"), Some("application/cose"), envelope.to_vec())
            .await?;
        Ok(())
    }

    /// Registers a Signed Statement (SCRAPI) and returns the receipt and its location.
    pub async fn register(&self, statement: &[u8]) -> Result<Answer, ClientError> {
        self.send(Method::POST, "/entries", Some("application/cose"), statement.to_vec()).await
    }
}

/// The detail of a concise problem (RFC 9290).
pub(super) fn concise_detail(body: &[u8]) -> Option<String> {
    let map = strict::decode(body, MAX_PROBLEM_BYTES).ok()?.into_map().ok()?;
    let text = |label: i64| {
        map.iter().find(|(key, _)| *key == Value::from(label)).and_then(|(_, value)| value.as_text())
    };
    Some(format!("{}: {}", text(-1)?, text(-2)?))
}
