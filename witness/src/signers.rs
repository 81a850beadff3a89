//! The keys that a witness cosigns with: an Ed25519 key, and an ML-DSA-44 key beside it where there is one.

use treering_tlog::{
    cosignature::{CosignSigner, CosignatureError},
    note::{NoteSignature, VerifierKey},
};

/// The keys of one witness.
pub struct Signers {
    first: CosignSigner,
    also: Vec<CosignSigner>,
}

impl Signers {
    /// Adds another key. Every answer then has its line, too.
    #[must_use]
    pub fn and(mut self, signer: CosignSigner) -> Self {
        self.also.push(signer);
        self
    }

    /// The key that the state directory belongs to, and that every state proves itself by.
    pub const fn own(&self) -> &VerifierKey {
        self.first.verifier()
    }

    /// All public keys.
    pub fn verifiers(&self) -> impl Iterator<Item = &VerifierKey> {
        self.all().map(CosignSigner::verifier)
    }

    /// A line of each key over the text of a checkpoint.
    ///
    /// Each is made twice: what a passing fault of the machine made of one would be stored, and not be read back at the
    /// next start. Signing is deterministic, and twice is less work than verifying.
    pub fn cosign(&self, body: &str, time: u64) -> Result<Vec<NoteSignature>, CosignError> {
        let sign = |signer: &CosignSigner| {
            let (line, again) = (signer.cosign(body, time)?, signer.cosign(body, time)?);
            if line == again { Ok(line) } else { Err(CosignError::Unstable) }
        };
        self.all().map(sign).collect()
    }

    fn all(&self) -> impl Iterator<Item = &CosignSigner> {
        std::iter::once(&self.first).chain(&self.also)
    }
}

impl From<CosignSigner> for Signers {
    fn from(first: CosignSigner) -> Self {
        Self { first, also: Vec::new() }
    }
}

/// Why there is no cosignature.
#[derive(Clone, Debug, Eq, thiserror::Error, PartialEq)]
#[non_exhaustive]
pub enum CosignError {
    /// The text or the time cannot be signed, such as with a clock before 1970.
    #[error(transparent)]
    Cosignature(#[from] CosignatureError),
    /// Signing twice gave two signatures.
    #[error("two signatures of one text by one key differ: the machine is faulty")]
    Unstable,
}
