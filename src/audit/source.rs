//! Where an auditor reads from.

use treering_log::Log;
use treering_provenance::grant::WrappedKek;
use treering_tlog::hash::Hash;

use crate::vault::{self, Delivery, GrantId};

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SourceError(pub String);

/// A place that has a log's entries and content. Nothing that it says is believed unchecked.
#[expect(async_fn_in_trait, reason = "used with known types, on one task")]
pub trait Source {
    /// The latest checkpoint, with cosignatures if there are any.
    async fn checkpoint(&self) -> Result<Vec<u8>, SourceError>;
    /// The entry at an index.
    async fn entry(&self, index: u64) -> Result<Vec<u8>, SourceError>;
    /// The first `width` entries of a bundle, as C2SP octets.
    async fn bundle(&self, index: u64, width: u16) -> Result<Vec<u8>, SourceError>;
    /// The index of a leaf hash; `None` if no entry has it.
    async fn index_of(&self, leaf: &Hash) -> Result<Option<u64>, SourceError>;
    /// The inclusion path of an index in the tree of a size.
    async fn inclusion(&self, index: u64, size: u64) -> Result<Vec<Hash>, SourceError>;
    /// The sealed content of the statement at an index, which has this leaf hash.
    async fn content(&self, index: u64, leaf: &Hash) -> Result<Option<Vec<u8>>, SourceError>;
    /// The grants to a key: names and sealed messages.
    async fn grants(&self, thumbprint: &[u8; 32]) -> Result<Vec<(GrantId, Delivery)>, SourceError>;
    /// The key-encryption keys of a grant: names and wrapped octets.
    async fn granted(&self, grant: &GrantId) -> Result<Vec<WrappedKek>, SourceError>;
}

/// A log's folder on this machine, opened for reading.
pub struct LocalSource(Log);

impl LocalSource {
    /// Opens the folder of a stopped log.
    pub fn open(dir: &std::path::Path) -> Result<Self, SourceError> {
        Log::open_read_only(dir).map(Self).map_err(error)
    }
}

fn error(error: impl std::fmt::Display) -> SourceError {
    SourceError(error.to_string())
}

impl Source for LocalSource {
    async fn checkpoint(&self) -> Result<Vec<u8>, SourceError> {
        if let Some(witnessed) = self.0.witnessed() {
            return Ok(witnessed.cosigned_note().to_vec());
        }
        self.0.head().map(|head| head.note().to_vec()).ok_or_else(|| error("the log has no checkpoint"))
    }

    async fn entry(&self, index: u64) -> Result<Vec<u8>, SourceError> {
        self.0
            .entry(index)
            .map_err(error)?
            .ok_or_else(|| SourceError(format!("the log has no entry {index}")))
    }

    async fn bundle(&self, index: u64, width: u16) -> Result<Vec<u8>, SourceError> {
        let found = self.0.bundle(index, width).map_err(error)?;
        found.ok_or_else(|| SourceError(format!("the log has no {width} entries in bundle {index}")))
    }

    async fn index_of(&self, leaf: &Hash) -> Result<Option<u64>, SourceError> {
        self.0.index_of_leaf(leaf).map_err(error)
    }

    async fn inclusion(&self, index: u64, size: u64) -> Result<Vec<Hash>, SourceError> {
        self.0.inclusion(index, size).map_err(error)
    }

    async fn content(&self, index: u64, _: &Hash) -> Result<Option<Vec<u8>>, SourceError> {
        self.0.content_at(index).map_err(error)
    }

    async fn grants(&self, thumbprint: &[u8; 32]) -> Result<Vec<(GrantId, Delivery)>, SourceError> {
        vault::grants_to(&self.0, thumbprint).map_err(error)
    }

    async fn granted(&self, grant: &GrantId) -> Result<Vec<WrappedKek>, SourceError> {
        vault::granted(&self.0, grant).map_err(error)
    }
}
