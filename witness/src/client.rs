//! Asking a witness, for logs and monitors: add-checkpoint and the monitoring resource.
//!
//! In scope: HTTP and HTTPS, bounded in time and bytes, with typed outcomes. Out of scope: verifying cosignatures (the
//! caller knows which keys it trusts), retrying, choosing among witnesses.

use std::sync::Arc;
use std::time::Duration;

use hyper::{Method, StatusCode};
use rustls::ClientConfig;
use thiserror::Error;
use treering_tlog::{
    add_checkpoint::{
        AddCheckpoint, AddCheckpointError, MAX_RESPONSE_LEN, SIZE_CONTENT_TYPE, parse_response, parse_size,
        serialize_request,
    },
    hash::Hash,
    note::NoteSignature,
};

use crate::{
    fetch::{FetchError, Fetched, Fetcher},
    store::origin_hash,
};

/// A client of one witness. Cheap to clone; connections are kept and shared.
#[derive(Clone, Debug)]
pub struct WitnessClient {
    fetcher: Fetcher,
}

impl WitnessClient {
    /// A client of the witness at a submission prefix, `http://` or `https://`.
    ///
    /// For `https` the caller brings the TLS configuration, without ALPN; `timeout` bounds each call as a whole.
    pub fn new(url: &str, tls: Option<Arc<ClientConfig>>, timeout: Duration) -> Result<Self, CallError> {
        Ok(Self { fetcher: Fetcher::new(url, tls, timeout)? })
    }

    /// The submission prefix.
    pub fn url(&self) -> &str {
        self.fetcher.url()
    }

    /// Asks for a cosignature of a signed checkpoint; `proof` leads from `old_size` to it.
    ///
    /// The lines are not verified.
    pub async fn add_checkpoint(
        &self,
        old_size: u64,
        proof: &[Hash],
        note: &[u8],
    ) -> Result<Vec<NoteSignature>, CallError> {
        let request = AddCheckpoint::new(old_size, proof.to_vec(), note).map_err(CallError::Request)?;
        let answer = self.call(Method::POST, "/add-checkpoint", serialize_request(&request)).await?;
        match answer.status {
            StatusCode::OK => parse_response(&answer.body).map_err(CallError::Malformed),
            StatusCode::CONFLICT if is_size(&answer) => {
                let size = parse_size(&answer.body).map_err(CallError::Malformed)?;
                Err(CallError::Conflict { size })
            }
            _ => Err(refused(&answer)),
        }
    }

    /// The last checkpoint that the witness cosigned for a log, unverified; `None` if there is none.
    pub async fn latest(&self, origin: &str) -> Result<Option<Vec<u8>>, CallError> {
        let answer =
            self.call(Method::GET, &format!("/{}/checkpoint", origin_hash(origin)), Vec::new()).await?;
        match answer.status {
            StatusCode::OK => Ok(Some(answer.body)),
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(refused(&answer)),
        }
    }

    async fn call(&self, method: Method, path: &str, body: Vec<u8>) -> Result<Fetched, CallError> {
        Ok(self.fetcher.call(method, path, body, MAX_RESPONSE_LEN).await?)
    }
}

fn refused(answer: &Fetched) -> CallError {
    CallError::Refused { status: answer.status.as_u16(), body: answer.excerpt() }
}

/// With or without parameters, such as a character set that a proxy adds.
fn is_size(answer: &Fetched) -> bool {
    let content_type = answer.content_type.as_deref().unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default();
    media_type.trim().eq_ignore_ascii_case(SIZE_CONTENT_TYPE)
}

/// Why there is no cosignature.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum CallError {
    /// The witness has cosigned another size last.
    #[error("witness has cosigned size {size}")]
    Conflict {
        /// That size.
        size: u64,
    },
    /// A 200 or 409 answer whose body is not what it must be.
    #[error("malformed answer: {0}")]
    Malformed(AddCheckpointError),
    /// `https` without a TLS configuration.
    #[error("{url} needs a tls configuration")]
    NoTls {
        /// The address.
        url: String,
    },
    /// Any other status.
    #[error("witness refused with status {status}: {body:?}")]
    Refused {
        /// The status code.
        status: u16,
        /// The start of the body, for the operator.
        body: String,
    },
    /// The request itself cannot be sent.
    #[error("request: {0}")]
    Request(AddCheckpointError),
    /// No answer, or not a whole one, or one that is too long.
    #[error("witness is unreachable: {what}")]
    Unreachable {
        /// What happened.
        what: String,
    },
    /// Not an address of a witness.
    #[error("{url:?} is not an http or https address")]
    Url {
        /// The text found.
        url: String,
    },
}

impl From<FetchError> for CallError {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::NoTls { url } => Self::NoTls { url },
            FetchError::Url { url } => Self::Url { url },
            FetchError::Unreachable { what } => Self::Unreachable { what },
        }
    }
}
