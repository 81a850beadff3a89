//! The keys of a simulated platform. They are secret only as far as a simulation's secrets go, and still never shown.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA384,
};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::attester::AttesterError;

/// AMD's keys have 4096 bits. Making one of those took 1.4 s on average here (two busy cores, unoptimised build), one
/// of 3072 bits 0.6 s, of 2048 bits 0.17 s; a platform needs two, and a demonstration should not wait.
const RSA_SIZE: KeySize = KeySize::Rsa2048;

/// An RSA key that signs certificates.
pub(super) struct RsaKey(RsaKeyPair);

impl RsaKey {
    pub(super) fn generate() -> Result<Self, AttesterError> {
        let key = RsaKeyPair::generate(RSA_SIZE);
        key.map(Self).map_err(|_| AttesterError::Crypto("an RSA key could not be made"))
    }

    pub(super) fn from_pkcs8(bytes: &[u8]) -> Option<Self> {
        RsaKeyPair::from_pkcs8(bytes).ok().map(Self)
    }

    pub(super) fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, AttesterError> {
        let der = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'static>>::as_der(&self.0);
        let der = der.map_err(|_| AttesterError::Crypto("an RSA key could not be written"))?;
        Ok(Zeroizing::new(der.as_ref().to_vec()))
    }

    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, AttesterError> {
        let mut signature = vec![0; self.0.public_modulus_len()];
        let signed = self.0.sign(&RSA_PSS_SHA384, &SystemRandom::new(), message, &mut signature);
        signed.map_err(|_| AttesterError::Crypto("an RSA signature could not be made"))?;
        Ok(signature)
    }

    /// RSASSA-PKCS1-v1_5 with SHA-256, as the attestation keys of paravisors sign.
    pub(super) fn sign_pkcs1(&self, message: &[u8]) -> Result<Vec<u8>, AttesterError> {
        let mut signature = vec![0; self.0.public_modulus_len()];
        let signed = self.0.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature);
        signed.map_err(|_| AttesterError::Crypto("an RSA signature could not be made"))?;
        Ok(signature)
    }

    /// The modulus, big-endian.
    pub(super) fn modulus(&self) -> Vec<u8> {
        self.0.public_key().modulus().big_endian_without_leading_zero().to_vec()
    }

    /// SubjectPublicKeyInfo of kind rsaEncryption.
    pub(super) fn public_key_info(&self) -> Vec<u8> {
        use super::der::{bits, null, oid, sequence};
        sequence(&[sequence(&[oid("1.2.840.113549.1.1.1"), null()]), bits(self.0.public_key().as_ref())])
    }

    /// Key identifier: the first 160 bits of SHA-256 of the key (RFC 7093 method 1).
    pub(super) fn identifier(&self) -> Vec<u8> {
        Sha256::digest(self.0.public_key().as_ref()).iter().take(20).copied().collect()
    }
}

/// The key that signs reports.
pub(super) struct ReportKey(EcdsaKeyPair);

impl ReportKey {
    pub(super) fn generate() -> Result<Self, AttesterError> {
        let key = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING);
        key.map(Self).map_err(|_| AttesterError::Crypto("a P-384 key could not be made"))
    }

    pub(super) fn from_pkcs8(bytes: &[u8]) -> Option<Self> {
        EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, bytes).ok().map(Self)
    }

    pub(super) fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, AttesterError> {
        let der = self.0.to_pkcs8v1();
        let der = der.map_err(|_| AttesterError::Crypto("a P-384 key could not be written"))?;
        Ok(Zeroizing::new(der.as_ref().to_vec()))
    }

    /// r || s, big-endian, 48 octets each.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, AttesterError> {
        let signature = self.0.sign(&SystemRandom::new(), message);
        let signature = signature.map_err(|_| AttesterError::Crypto("a report could not be signed"))?;
        Ok(signature.as_ref().to_vec())
    }

    /// The uncompressed point.
    pub(super) fn public_point(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }
}
