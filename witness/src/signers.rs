//! The keys that a witness cosigns with: an Ed25519 key, and an ML-DSA-44 key beside it where there is one.

use treering_tlog::{
    cosignature::{self, CosignSigner, CosignatureError},
    note::{KeyType, NoteSignature, VerifierKey},
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
    /// Each is checked: what a passing fault of the machine made of one would be stored, and not be read back at the next
    /// start. Ed25519 signing is deterministic, and twice is less work than verifying; with ML-DSA-44 it is the other way
    /// round.
    pub fn cosign(&self, body: &str, time: u64) -> Result<Vec<NoteSignature>, CosignError> {
        let sign = |signer: &CosignSigner| {
            let line = signer.cosign(body, time)?;
            let is_good = match signer.verifier().kind() {
                KeyType::MlDsa44 => cosignature::verify(signer.verifier(), body, &line) == Ok(time),
                _ => signer.cosign(body, time)? == line,
            };
            if is_good { Ok(line) } else { Err(CosignError::Unstable) }
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
    /// A signature just made is not the one that it must be.
    #[error("a signature that was just made is wrong: the machine is faulty")]
    Unstable,
}
