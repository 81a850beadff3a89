//! Signing keys. One key has one purpose: who holds a signer decides which.

use std::fmt;

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use ed25519_dalek::Signer as _;

use super::{Algorithm, CoseError, VerifyingKey};

/// The order of P-256, to bring S into its lower half.
const P256_ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
    0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// A key that signs COSE messages: in memory here, in an HSM elsewhere.
pub trait Signer: Send + Sync {
    /// The public half.
    fn key(&self) -> &VerifyingKey;

    /// The signature in COSE form (64 bytes for every algorithm here; ECDSA with low S).
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CoseError>;

    /// The algorithm to name in the header.
    fn algorithm(&self) -> Algorithm {
        self.key().algorithm()
    }

    /// The `kid` to name in the header: the RFC 9679 thumbprint.
    fn kid(&self) -> [u8; 32] {
        *self.key().thumbprint()
    }
}

/// An Ed25519 key in memory, zeroed when dropped.
pub struct Ed25519Signer {
    secret: ed25519_dalek::SigningKey,
    public: VerifyingKey,
}

impl Ed25519Signer {
    /// The key of a 32-byte seed.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, CoseError> {
        let secret = ed25519_dalek::SigningKey::from_bytes(seed);
        let public = VerifyingKey::from_ed25519(secret.verifying_key().as_bytes())?;
        Ok(Self { secret, public })
    }
}

impl Signer for Ed25519Signer {
    fn key(&self) -> &VerifyingKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CoseError> {
        Ok(self.secret.sign(message).to_bytes().to_vec())
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
        let mut signature = signature.as_ref().to_vec();
        lower_s(&mut signature)?;
        Ok(signature)
    }
}

impl fmt::Debug for Es256Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Es256Signer({:?})", self.public)
    }
}

/// Replaces S by n - S where S is in the upper half: both verify, only the lower is accepted.
fn lower_s(signature: &mut [u8]) -> Result<(), CoseError> {
    let s = signature.get_mut(32..).filter(|s| s.len() == 32).ok_or(CoseError::Signing)?;
    let mut negated = [0u8; 32];
    let mut borrow = 0i16;
    for ((out, order), digit) in negated.iter_mut().zip(P256_ORDER).zip(s.iter()).rev() {
        let mut difference = i16::from(order) - i16::from(*digit) - borrow;
        borrow = i16::from(difference < 0);
        if difference < 0 {
            difference += 256;
        }
        *out = u8::try_from(difference).map_err(|_| CoseError::Signing)?;
    }
    if negated.as_slice() < &*s {
        s.copy_from_slice(&negated);
    }
    Ok(())
}
