//! An auditor's source over the network.

use data_encoding::BASE64URL_NOPAD;
use treering_provenance::bytes::Fixed;
use treering_provenance::grant::WrappedKek;
use treering_tlog::hash::Hash;
use treering_tlog::tile::entries_path;

use crate::audit::{Source, SourceError};
use crate::vault::{Delivery, GrantId};
use crate::wire::{GrantKeys, GrantMessage, Grants, LeafResponse, PathResponse};

use super::{Client, ClientError};

/// The service, as a source.
pub struct RemoteSource(pub Client);

impl From<ClientError> for SourceError {
    fn from(error: ClientError) -> Self {
        Self(error.to_string())
    }
}

/// What is not there is an answer, too.
fn found<T>(answer: Result<T, ClientError>) -> Result<Option<T>, ClientError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(ClientError::Refused { status, .. }) if status == hyper::StatusCode::NOT_FOUND => Ok(None),
        Err(error) => Err(error),
    }
}

fn name(leaf: &Hash) -> String {
    BASE64URL_NOPAD.encode(leaf.as_bytes())
}

impl Source for RemoteSource {
    async fn checkpoint(&self) -> Result<Vec<u8>, SourceError> {
        Ok(self.0.get("/checkpoint").await?.body)
    }

    async fn entry(&self, index: u64) -> Result<Vec<u8>, SourceError> {
        Ok(self.0.get(&format!("/v1/statements/{index}")).await?.body)
    }

    async fn bundle(&self, index: u64, width: u16) -> Result<Vec<u8>, SourceError> {
        Ok(self.0.get(&format!("/{}", entries_path(index, width))).await?.body)
    }

    async fn index_of(&self, leaf: &Hash) -> Result<Option<u64>, SourceError> {
        let answer = self.0.get_json::<LeafResponse>(&format!("/v1/leaves/{}", name(leaf))).await;
        Ok(found(answer)?.map(|answer| answer.index))
    }

    async fn inclusion(&self, index: u64, size: u64) -> Result<Vec<Hash>, SourceError> {
        let answer: PathResponse =
            self.0.get_json(&format!("/v1/inclusion?index={index}&size={size}")).await?;
        Ok(answer.path.into_iter().map(Hash::from).collect())
    }

    async fn content(&self, _: u64, leaf: &Hash) -> Result<Option<Vec<u8>>, SourceError> {
        let answer = self.0.get(&format!("/v1/leaves/{}/content", name(leaf))).await;
        Ok(found(answer)?.map(|answer| answer.body))
    }

    async fn grants(&self, thumbprint: &[u8; 32]) -> Result<Vec<(GrantId, Delivery)>, SourceError> {
        let answer: Grants = self.0.get_json(&format!("/v1/grants/by-key/{}", Fixed(*thumbprint))).await?;
        let delivery = |grant: GrantMessage| {
            (*grant.grant.as_bytes(), Delivery { grantee: grant.grantee, message: grant.message })
        };
        Ok(answer.grants.into_iter().map(delivery).collect())
    }

    async fn granted(&self, grant: &GrantId) -> Result<Vec<WrappedKek>, SourceError> {
        let answer: GrantKeys = self.0.get_json(&format!("/v1/grants/{}/keys", Fixed(*grant))).await?;
        Ok(answer.keys)
    }
}
