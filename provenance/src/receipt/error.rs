//! Why receipts are refused.

use treering_tlog::inclusion::ProofError;

use crate::cose::CoseError;
use crate::strict::StrictError;

/// Why a receipt was not made or not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// The COSE layer refused it, or the signature does not verify.
    #[error(transparent)]
    Cose(#[from] CoseError),
    /// The CBOR is not a receipt.
    #[error("not a receipt: {0}")]
    Shape(&'static str),
    /// Another verifiable data structure than RFC 9162's.
    #[error("verifiable data structure is {0}, want 1 (RFC9162_SHA256)")]
    Vds(String),
    /// The protected label that binds origin and size is missing: the position could be restated.
    #[error("origin and size are not bound by the signature")]
    Unbound,
    /// The receipt is of another log.
    #[error("receipt is of origin `{got}`, want `{want}`")]
    Origin {
        /// In the receipt.
        got: String,
        /// Wanted.
        want: String,
    },
    /// A proof states another size than the one signed.
    #[error("proof is for size {proof}, {signed} is signed")]
    Size {
        /// In the proof.
        proof: u64,
        /// Under the signature.
        signed: u64,
    },
    /// A proof of consistency begins at another size than the one that is known.
    #[error("proof begins at size {proof}, want {want}")]
    OldSize {
        /// In the proof.
        proof: u64,
        /// Known.
        want: u64,
    },
    /// Another number of proofs than of leaves.
    #[error("receipt has {got} proofs, want {want}")]
    Count {
        /// Proofs there are.
        got: usize,
        /// Proofs wanted.
        want: usize,
    },
    /// The path does not fit the position.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// Two proofs in one receipt lead to two roots.
    #[error("proofs in one receipt lead to different roots")]
    Roots,
}

impl From<StrictError> for ReceiptError {
    fn from(error: StrictError) -> Self {
        Self::Cose(error.into())
    }
}
