//! ML-DSA-44 (FIPS 204, pure, empty context) and the message of its cosignatures (type 0x06), as
//! [C2SP tlog-cosignature](https://c2sp.org/tlog-cosignature) v1.1.0-rc.1 has them.
//!
//! In scope: whole trees. Out of scope: subtrees, whose form is still moving. All that names `ml_dsa` is here.

use std::fmt;
use std::sync::Arc;

use ml_dsa::{EncodedVerifyingKey, Keypair as _, MlDsa44, Signature, Signer as _, SigningKey, Verifier as _};

use super::key::KeyError;
use crate::checkpoint::Checkpoint;

/// Bytes of a public key.
pub(super) const PUBLIC_KEY_LEN: usize = 1312;

/// Bytes of a signature.
pub(super) const SIGNATURE_LEN: usize = 2420;

/// A public key. Its expanded form is 20 kB and slow to make, so clones share it.
#[derive(Clone)]
pub(super) struct PublicKey {
    bytes: Arc<[u8; PUBLIC_KEY_LEN]>,
    key: Arc<ml_dsa::VerifyingKey<MlDsa44>>,
}

impl PublicKey {
    /// Every string of the right length is a key.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let key = ml_dsa::VerifyingKey::decode(&EncodedVerifyingKey::<MlDsa44>::try_from(bytes).ok()?);
        Some(Self { bytes: Arc::new(bytes.try_into().ok()?), key: Arc::new(key) })
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.as_slice()
    }

    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), KeyError> {
        if signature.len() != SIGNATURE_LEN {
            return Err(KeyError::SignatureLength { actual: signature.len(), wanted: SIGNATURE_LEN });
        }
        let signature = Signature::<MlDsa44>::try_from(signature).map_err(|_| KeyError::Signature)?;
        self.key.verify(message, &signature).map_err(|_| KeyError::Signature)
    }
}

/// By the encoded key, which says all.
impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for PublicKey {}

/// A private key; it wipes itself.
pub(super) struct PrivateKey(Box<SigningKey<MlDsa44>>);

impl PrivateKey {
    pub(super) fn from_seed(seed: &[u8; 32]) -> Self {
        Self(Box::new(SigningKey::from_seed(&(*seed).into())))
    }

    pub(super) fn public_key(&self) -> Vec<u8> {
        self.0.verifying_key().encode().to_vec()
    }

    pub(super) fn seed(&self) -> &[u8] {
        self.0.as_seed()
    }

    /// The deterministic variant: what is signed twice is signed the same way.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let signature = self.0.try_sign(message).map_err(|_| KeyError::Signature)?;
        Ok(signature.encode().to_vec())
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(ML-DSA-44)")
    }
}

/// What an ML-DSA-44 cosigner signs: who it is, when, the log, and the whole tree. Extension lines are not covered.
///
/// ```text
/// opaque label[12] = "subtree/v1\n\0"; opaque cosigner_name<1..2^8-1>; uint64 timestamp;
/// opaque log_origin<1..2^8-1>; uint64 start = 0; uint64 end; opaque hash[32];
/// ```
///
/// `None` if a name is too long to be counted in one byte.
pub fn mldsa_cosignature_message(cosigner: &str, time: u64, checkpoint: &Checkpoint) -> Option<Vec<u8>> {
    let mut out =
        Vec::with_capacity(LABEL.len() + 2 + cosigner.len() + checkpoint.origin().len() + 3 * 8 + 32);
    out.extend_from_slice(LABEL);
    out.push(u8::try_from(cosigner.len()).ok()?);
    out.extend_from_slice(cosigner.as_bytes());
    out.extend_from_slice(&time.to_be_bytes());
    out.push(u8::try_from(checkpoint.origin().len()).ok()?);
    out.extend_from_slice(checkpoint.origin().as_bytes());
    out.extend_from_slice(&0u64.to_be_bytes());
    out.extend_from_slice(&checkpoint.size().to_be_bytes());
    out.extend_from_slice(checkpoint.root().as_bytes());
    Some(out)
}

const LABEL: &[u8; 12] = b"subtree/v1\n\0";
