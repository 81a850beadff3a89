//! What goes wrong on the way from entry to entry.

use super::SourceError;

/// Why a trace or a replay ended early, or did not get from one entry to another.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The credential carries no readable proof.
    #[error("the credential: {0}")]
    Credential(String),
    /// The checkpoint is not what the trust file asks for.
    #[error("the checkpoint: {0}")]
    Checkpoint(String),
    /// An entry is not what it should be.
    #[error("entry {index}: {reason}")]
    Entry {
        /// Which.
        index: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// Nothing that the auditor has opens it.
    #[error("entry {index} was not opened: {reason}")]
    NotOpened {
        /// Which.
        index: u64,
        /// Why not.
        reason: String,
    },
    /// Content that this program has no type for: it is older than the log, or the log is wrong.
    #[error("entry {index} has content of type `{media_type}`, which is not known to this program")]
    UnknownType {
        /// Which.
        index: u64,
        /// The content's type.
        media_type: String,
    },
    /// A statement that another one rests on is not in the log.
    #[error("the statement with leaf hash {0} is not in the log")]
    Missing(String),
    /// The source failed.
    #[error(transparent)]
    Source(#[from] SourceError),
}
