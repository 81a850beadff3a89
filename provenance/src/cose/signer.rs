//! Signing keys. One key has one purpose: who holds a signer decides which.

use std::fmt;

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use ed25519_dalek::Signer as _;

use super::{
    Algorithm, CoseError, VerifyingKey,
    twin::{has_low_s, twin},
};

/// A key that signs COSE messages: in memory here, in an HSM elsewhere.
pub trait Signer: Send + Sync {
    /// The public half.
    fn key(&self) -> &VerifyingKey;

    /// The signature in COSE form (ECDSA as r || s with low S).
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CoseError>;

    /// The algorithm to name in the header.
    fn algorithm(&self) -> Algorithm {
        self.key().algorithm()
    }

    /// The `kid` to name in the header: the RFC 9679 thumbprint.
    fn kid(&self) -> [u8; 32] {
        *self.key().thumbprint()
    }

    /// The certificates to carry in the header (`x5chain`), the key's own first: none for a key that is known itself.
    fn certificates(&self) -> &[Vec<u8>] {
        &[]
    }
}

/// An Ed25519 key in memory, zeroed when dropped.
pub struct Ed25519Signer {
    secret: ed25519_dalek::SigningKey,
    public: VerifyingKey,
    certificates: Vec<Vec<u8>>,
}

impl Ed25519Signer {
    /// The key of a 32-byte seed.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, CoseError> {
        let secret = ed25519_dalek::SigningKey::from_bytes(seed);
        let public = VerifyingKey::from_ed25519(secret.verifying_key().as_bytes())?;
        Ok(Self { secret, public, certificates: Vec::new() })
    }

    /// The same key, certified: the certificate of the key itself comes first, in DER.
    #[must_use]
    pub fn with_certificates(self, certificates: Vec<Vec<u8>>) -> Self {
        Self { certificates, ..self }
    }
}

impl Signer for Ed25519Signer {
    fn key(&self) -> &VerifyingKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CoseError> {
        Ok(self.secret.sign(message).to_bytes().to_vec())
    }

    fn certificates(&self) -> &[Vec<u8>] {
        &self.certificates
    }
}

impl fmt::Debug for Ed25519Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ed25519Signer({:?})", self.public)
    }
}

/// An ECDSA P-256 key in memory. The nonce of each signature comes from aws-lc's own generator.
pub struct Es256Signer {
    secret: EcdsaKeyPair,
    public: VerifyingKey,
}

impl Es256Signer {
    /// The key of a PKCS#8 document (RFC 5958), version 1 or 2.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, CoseError> {
        let secret = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der);
        let secret = secret.map_err(|_| CoseError::PrivateKey)?;
        let public = VerifyingKey::from_p256(secret.public_key().as_ref())?;
        Ok(Self { secret, public })
    }
}

impl Signer for Es256Signer {
    fn key(&self) -> &VerifyingKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CoseError> {
        let signature = self.secret.sign(&SystemRandom::new(), message).map_err(|_| CoseError::Signing)?;
        let signature = signature.as_ref();
        if has_low_s(signature) { Ok(signature.to_vec()) } else { twin(signature).ok_or(CoseError::Signing) }
    }
}

impl fmt::Debug for Es256Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Es256Signer({:?})", self.public)
    }
}
