//! COSE_Sign1 (RFC 9052) over the few algorithms we sign and accept.
//!
//! In scope: [`Sign1`], parsed strictly and kept with its protected bytes as received; public keys and thumbprints
//! ([`VerifyingKey`], RFC 9679); signing keys ([`Signer`]). Ed25519 is verified strictly, ECDSA only with low S, so
//! that one statement cannot have two signatures that differ by arithmetic alone; [`Sign1::with_other_s`] is the other.
//! Out of scope: what a header must say (`statement`, `receipt`), encryption (`envelope`, `grant`).

mod key;
mod signer;
mod twin;

use ciborium::Value;
use coset::{AsCborValue, CoseSign1, Label, RegisteredLabelWithPrivate, iana};
use sha2::{Digest as _, Sha256};

pub use key::{KeySet, VerifyingKey};
pub use signer::{Ed25519Signer, Es256Signer, Signer};

use crate::strict::{self, StrictError};

/// CBOR tag of a COSE_Sign1.
pub(crate) const TAG_SIGN1: u64 = 18;
/// Header label of CWT claims (RFC 9597). 13 and 14 are other things (RFC 9528), a known trap.
pub(crate) const LABEL_CWT_CLAIMS: i64 = 15;
/// Text label of our own parameters, in statements and in receipts. Not critical: others may skip it.
pub(crate) const LABEL_TREERING: &str = "treering";
/// CWT claims.
pub(crate) const CLAIM_ISS: i64 = 1;
pub(crate) const CLAIM_SUB: i64 = 2;
pub(crate) const CLAIM_AUD: i64 = 3;
pub(crate) const CLAIM_IAT: i64 = 6;

/// Why a COSE object or key was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CoseError {
    /// The bytes are not deterministic CBOR.
    #[error(transparent)]
    Strict(#[from] StrictError),
    /// The CBOR is not the COSE object wanted.
    #[error("not the COSE object wanted: {0}")]
    Shape(String),
    /// Critical header parameters: we understand none.
    #[error("critical header parameters are not understood")]
    Critical,
    /// No `alg`, or one we do not accept.
    #[error(
        "signature algorithm {0} is not accepted; ES256 (-7), ES384 (-35), EdDSA (-8), ESP256 (-9), ESP384 (-51) and \
         Ed25519 (-19) are"
    )]
    Algorithm(String),
    /// The key is of another type than the algorithm.
    #[error("algorithm {alg} does not fit a {key} key")]
    KeyMismatch {
        /// The COSE algorithm.
        alg: i64,
        /// The key's type.
        key: &'static str,
    },
    /// A public key that is malformed, weak, or holds a private part.
    #[error("public key refused: {0}")]
    Key(&'static str),
    /// A private key that is malformed. Says nothing of the key.
    #[error("private key refused")]
    PrivateKey,
    /// The signature does not verify.
    #[error("signature does not verify")]
    Signature,
    /// The signature verifies, but its S is in the upper half: a second spelling of another signature.
    #[error(
        "S is in the upper half of the curve's order (high S), which is a second spelling of another signature: send \
         r || (order - S) instead"
    )]
    HighS,
    /// The signing operation failed.
    #[error("signing failed")]
    Signing,
    /// The payload is detached where it must be attached, or the other way round.
    #[error("payload is {0}")]
    Payload(&'static str),
}

/// A signature algorithm that we accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256, as most write it.
    Es256,
    /// EdDSA; here always on Ed25519.
    EdDsa,
    /// ECDSA on P-256 with SHA-256, fully specified (RFC 9864).
    Esp256,
    /// Ed25519, fully specified (RFC 9864).
    Ed25519,
    /// ECDSA on P-384 with SHA-384, as most write it.
    Es384,
    /// ECDSA on P-384 with SHA-384, fully specified (RFC 9864).
    Esp384,
}

impl Algorithm {
    /// Every accepted algorithm.
    pub const ALL: [Self; 6] =
        [Self::Es256, Self::EdDsa, Self::Esp256, Self::Ed25519, Self::Es384, Self::Esp384];

    /// The COSE algorithm identifier.
    pub const fn id(self) -> i64 {
        match self {
            Self::Es256 => -7,
            Self::EdDsa => -8,
            Self::Esp256 => -9,
            Self::Ed25519 => -19,
            Self::Es384 => -35,
            Self::Esp384 => -51,
        }
    }

    /// The algorithm of a COSE identifier.
    pub fn from_id(id: i64) -> Result<Self, CoseError> {
        let found = Self::ALL.into_iter().find(|algorithm| algorithm.id() == id);
        found.ok_or_else(|| CoseError::Algorithm(id.to_string()))
    }
}

/// A COSE_Sign1, tag 18, parsed from bytes that can be read in one way only. Nothing is verified yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Sign1 {
    inner: CoseSign1,
    protected: Vec<u8>,
    algorithm: Algorithm,
}

impl Sign1 {
    /// Signs `payload` under `protected`, an encoded header map, and leaves the payload out if `detached`.
    pub fn sign(
        signer: &dyn Signer,
        protected: &Value,
        payload: &[u8],
        detached: bool,
    ) -> Result<Self, CoseError> {
        let protected = strict::encode(protected)?;
        let signature = signer.sign(&sig_structure(&protected, payload))?;
        let payload = if detached { Value::Null } else { Value::Bytes(payload.to_vec()) };
        Self::from_parts(protected, Value::Map(Vec::new()), payload, signature)
    }

    /// Puts a message together from parts signed before.
    pub(crate) fn from_parts(
        protected: Vec<u8>,
        unprotected: Value,
        payload: Value,
        signature: Vec<u8>,
    ) -> Result<Self, CoseError> {
        let parts = vec![Value::Bytes(protected), unprotected, payload, Value::Bytes(signature)];
        let bytes = strict::encode(&Value::Tag(TAG_SIGN1, Box::new(Value::Array(parts))))?;
        Self::parse(&bytes, usize::MAX)
    }

    /// Parses a tagged message of at most `max_bytes`. Map keys may be in any order: what is ours must be sorted, which
    /// [`Sign1::check_sorted`] says.
    pub fn parse(bytes: &[u8], max_bytes: usize) -> Result<Self, CoseError> {
        strict::check_unsorted(bytes, max_bytes)?;
        let message = ciborium::from_reader(bytes).map_err(|error| CoseError::Shape(error.to_string()))?;
        let Value::Tag(TAG_SIGN1, message) = message else {
            return Err(CoseError::Shape(format!("want CBOR tag {TAG_SIGN1}")));
        };
        let protected = match message.as_array().and_then(|parts| parts.first()) {
            Some(Value::Bytes(protected)) => protected.clone(),
            _ => return Err(CoseError::Shape("want a protected header".to_owned())),
        };
        strict::check_unsorted(&protected, max_bytes)?;
        let inner =
            CoseSign1::from_cbor_value(*message).map_err(|error| CoseError::Shape(error.to_string()))?;
        if !inner.protected.header.crit.is_empty() {
            return Err(CoseError::Critical);
        }
        let algorithm = algorithm_of(&inner)?;
        Ok(Self { inner, protected, algorithm })
    }

    /// Checks that the protected header is in deterministic encoding, its keys sorted.
    pub fn check_sorted(&self) -> Result<(), CoseError> {
        Ok(strict::check(&self.protected, usize::MAX)?)
    }

    /// The tagged message in deterministic encoding.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CoseError> {
        let shape = |error: coset::CoseError| CoseError::Shape(error.to_string());
        let message = self.inner.clone().to_cbor_value().map_err(shape)?;
        Ok(strict::encode(&Value::Tag(TAG_SIGN1, Box::new(message)))?)
    }

    /// The same message with an empty unprotected header, as RFC 9943 section 6.3 wants it in the log.
    #[must_use]
    pub fn without_unprotected(mut self) -> Self {
        self.inner.unprotected = coset::Header::default();
        self
    }

    /// The same message with the other spelling of its ECDSA signature, n - S for S; `None` for EdDSA.
    pub fn with_other_s(&self) -> Option<Self> {
        if matches!(self.algorithm, Algorithm::EdDsa | Algorithm::Ed25519) {
            return None;
        }
        let mut other = self.clone();
        other.inner.signature = twin::twin(&self.inner.signature)?;
        Some(other)
    }

    /// Whether nothing is in the unprotected header.
    pub fn unprotected_is_empty(&self) -> bool {
        self.inner.unprotected.is_empty()
    }

    /// The algorithm named in the protected header.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The protected `kid`, if there is one.
    pub fn kid(&self) -> Option<&[u8]> {
        Some(self.inner.protected.header.key_id.as_slice()).filter(|kid| !kid.is_empty())
    }

    /// The protected content type, if it is text.
    pub fn content_type(&self) -> Option<&str> {
        match &self.inner.protected.header.content_type {
            Some(coset::ContentType::Text(text)) => Some(text),
            Some(coset::ContentType::Assigned(_)) | None => None,
        }
    }

    /// Whether the protected header has a content type of either form.
    pub const fn has_content_type(&self) -> bool {
        self.inner.protected.header.content_type.is_some()
    }

    /// A protected parameter with an integer label that COSE itself does not define.
    pub fn protected_int(&self, label: i64) -> Option<&Value> {
        find(&self.inner.protected.header.rest, &Label::Int(label))
    }

    /// A protected parameter with a text label.
    pub fn protected_text(&self, label: &str) -> Option<&Value> {
        find(&self.inner.protected.header.rest, &Label::Text(label.to_owned()))
    }

    /// The first protected parameter beyond `alg`, `kid`, content type and what `known` accepts.
    pub(crate) fn unknown_parameter(&self, known: impl Fn(&Label) -> bool) -> Option<String> {
        let header = &self.inner.protected.header;
        if !(header.iv.is_empty() && header.partial_iv.is_empty() && header.counter_signatures.is_empty()) {
            return Some("IV or countersignature".to_owned());
        }
        header
            .rest
            .iter()
            .map(|(label, _)| label)
            .find(|label| !known(label))
            .map(|label| format!("{label:?}"))
    }

    /// An unprotected parameter with an integer label that COSE itself does not define.
    pub fn unprotected_int(&self, label: i64) -> Option<&Value> {
        find(&self.inner.unprotected.rest, &Label::Int(label))
    }

    /// The protected header as it was signed.
    pub fn protected_bytes(&self) -> &[u8] {
        &self.protected
    }

    /// The attached payload.
    pub fn payload(&self) -> Option<&[u8]> {
        self.inner.payload.as_deref()
    }

    /// The signature.
    pub fn signature(&self) -> &[u8] {
        &self.inner.signature
    }

    /// Verifies the signature over the attached payload.
    pub fn verify(&self, key: &VerifyingKey) -> Result<(), CoseError> {
        let payload = self.payload().ok_or(CoseError::Payload("detached, want it attached"))?;
        key.verify(self.algorithm, &sig_structure(&self.protected, payload), self.signature())
    }

    /// Verifies the signature over a payload that is not in the message.
    pub fn verify_detached(&self, key: &VerifyingKey, payload: &[u8]) -> Result<(), CoseError> {
        if self.payload().is_some() {
            return Err(CoseError::Payload("attached, want it detached"));
        }
        key.verify(self.algorithm, &sig_structure(&self.protected, payload), self.signature())
    }

    /// SHA-256 of what is signed: names the message whatever spelling its signature has.
    pub fn signed_digest(&self) -> Result<[u8; 32], CoseError> {
        let payload = self.payload().ok_or(CoseError::Payload("detached, want it attached"))?;
        Ok(Sha256::digest(sig_structure(&self.protected, payload)).into())
    }
}

/// The bytes that are signed: `["Signature1", protected, h'', payload]`. No format here has external data: what must
/// be bound is in the protected header.
pub fn sig_structure(protected: &[u8], payload: &[u8]) -> Vec<u8> {
    let body =
        coset::ProtectedHeader { original_data: Some(protected.to_vec()), header: coset::Header::default() };
    coset::sig_structure_data(coset::SignatureContext::CoseSign1, body, None, &[], payload)
}

fn algorithm_of(message: &CoseSign1) -> Result<Algorithm, CoseError> {
    match &message.protected.header.alg {
        Some(RegisteredLabelWithPrivate::Assigned(assigned)) => {
            Algorithm::from_id(<iana::Algorithm as iana::EnumI64>::to_i64(assigned))
        }
        Some(RegisteredLabelWithPrivate::PrivateUse(id)) => Err(CoseError::Algorithm(id.to_string())),
        Some(RegisteredLabelWithPrivate::Text(name)) => Err(CoseError::Algorithm(name.clone())),
        None => Err(CoseError::Algorithm("(none)".to_owned())),
    }
}

fn find<'a>(entries: &'a [(Label, Value)], wanted: &Label) -> Option<&'a Value> {
    entries.iter().find(|(label, _)| label == wanted).map(|(_, value)| value)
}
