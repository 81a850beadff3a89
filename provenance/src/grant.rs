//! Grants: delivery of one key to an auditor by HPKE, and of the keys that it opens.
//!
//! In scope: an auditor's X25519 key and its file (JWK), the COSE_Encrypt0 (COSE-HPKE, HPKE-3) that holds a grant key,
//! wrapping key-encryption keys to a grant key (RFC 3394). Grant keys live in statements, wraps in an erasable side
//! table, so that a late grant touches no leaf.
//! Out of scope: which keys a grant covers, and the side table.
//!
//! COSE-HPKE (draft-ietf-cose-hpke-27) is a draft: its numbers are here and nowhere else. `coset` refuses them, so the
//! message is read as plain CBOR.

mod auditor;

use ciborium::Value;
use hpke::{
    Deserializable as _, OpModeR, OpModeS, Serializable as _, aead::AesGcm128, kdf::HkdfSha256,
    kem::X25519HkdfSha256, rand_core,
};
use zeroize::Zeroizing;

pub use auditor::{AuditorKey, AuditorPublicKey};

use crate::{
    bytes::Fixed,
    envelope::{Kek, KekId, WRAPPED_KEY_BYTES, enc_structure, secret_key, unwrap_key, wrap_key},
    strict::{self, StrictError},
};

/// Domain tag of the data that a grant authenticates beside the key.
pub const GRANT_TAG: &str = "treering-grant-v1";
/// COSE algorithm HPKE-3: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-128-GCM.
pub const ALG_HPKE_3: i64 = 41;
/// The longest grant message: a header, 32 bytes of encapsulation, 48 bytes of ciphertext.
pub const MAX_MESSAGE_BYTES: usize = 512;

const TAG_ENCRYPT0: u64 = 16;
const LABEL_ALG: i64 = 1;
const LABEL_KID: i64 = 4;
const LABEL_EK: i64 = -4;

/// Why a grant was not made or not opened. Says nothing of keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// Not deterministic CBOR.
    #[error(transparent)]
    Strict(#[from] StrictError),
    /// The CBOR is not a grant message.
    #[error("not a grant message: {0}")]
    Shape(&'static str),
    /// The message is for another key.
    #[error("grant is for key {got}, not {want}")]
    Recipient {
        /// In the message.
        got: String,
        /// The auditor's.
        want: String,
    },
    /// It does not open: wrong context, or changed bytes.
    #[error("grant does not open: wrong key, wrong context, or changed bytes")]
    Decrypt,
    /// HPKE failed, as it does for a public key of small order.
    #[error("encapsulation failed")]
    Encapsulate,
    /// The auditor's key file is malformed.
    #[error("auditor key: {0}")]
    KeyFile(String),
}

secret_key! {
    /// The key that a grant delivers: key-encryption keys are wrapped to it.
    GrantKey
}

/// What a grant message is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GrantContext<'a> {
    /// The log's origin.
    pub origin: &'a str,
    /// Who receives it.
    pub grantee: &'a str,
}

impl GrantContext<'_> {
    fn aad(&self) -> Result<Vec<u8>, StrictError> {
        let parts = [GRANT_TAG, self.origin, self.grantee];
        strict::encode(&Value::Array(parts.map(|part| Value::Text(part.to_owned())).to_vec()))
    }
}

/// Encrypts a grant key to an auditor. `seed` is 32 fresh random bytes, from which the ephemeral key is made.
pub fn seal(
    key: &GrantKey,
    auditor: &AuditorPublicKey,
    context: &GrantContext<'_>,
    seed: [u8; 32],
) -> Result<Vec<u8>, GrantError> {
    let protected = protected()?;
    let aad = enc_structure("Encrypt0", &protected, &context.aad()?)?;
    let (encapsulated, ciphertext) =
        hpke::single_shot_seal_with_rng::<AesGcm128, HkdfSha256, X25519HkdfSha256>(
            &OpModeS::Base,
            auditor.hpke(),
            &[],
            key.expose(),
            &aad,
            &mut OneSeed(Zeroizing::new(seed)),
        )
        .map_err(|_| GrantError::Encapsulate)?;
    let unprotected = vec![
        (LABEL_KID.into(), Value::Bytes(auditor.thumbprint().0.to_vec())),
        (LABEL_EK.into(), Value::Bytes(encapsulated.to_bytes().to_vec())),
    ];
    let message = vec![Value::Bytes(protected), Value::Map(unprotected), Value::Bytes(ciphertext)];
    Ok(strict::encode(&Value::Tag(TAG_ENCRYPT0, Box::new(Value::Array(message))))?)
}

/// Opens a grant message with the auditor's key.
pub fn open(
    message: &[u8],
    auditor: &AuditorKey,
    context: &GrantContext<'_>,
) -> Result<GrantKey, GrantError> {
    let message = Message::parse(message)?;
    let want = *auditor.public().thumbprint();
    if message.kid != Some(want) {
        let got = message.kid.map_or_else(|| "(none)".to_owned(), |kid| kid.to_string());
        return Err(GrantError::Recipient { got, want: want.to_string() });
    }
    let opened = message.open(auditor, &context.aad()?)?;
    let key: Result<[u8; 32], _> = opened.as_slice().try_into();
    Ok(GrantKey::from_bytes(key.map_err(|_| GrantError::Shape("a grant key has 32 bytes"))?))
}

/// Wraps a key-encryption key to a grant key.
pub fn wrap(grant: &GrantKey, kek: &Kek) -> Result<[u8; WRAPPED_KEY_BYTES], GrantError> {
    wrap_key(grant.expose(), kek.expose()).ok_or(GrantError::Encapsulate)
}

/// Inverse of [`wrap`]. Which key it is says the side table; a wrong one opens no envelope.
pub fn unwrap(grant: &GrantKey, wrapped: &[u8]) -> Result<Kek, GrantError> {
    Ok(Kek::from_bytes(*unwrap_key(grant.expose(), wrapped).ok_or(GrantError::Decrypt)?))
}

/// A wrapped key-encryption key with its name: a row of the side table, and of an auditor's bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrappedKek {
    /// Which key.
    pub kek_id: KekId,
    /// The key, wrapped to the grant key.
    pub wrapped: Fixed<WRAPPED_KEY_BYTES>,
}

/// A COSE_Encrypt0 of HPKE-3, taken apart.
struct Message {
    protected: Vec<u8>,
    kid: Option<Fixed<32>>,
    encapsulated: Vec<u8>,
    ciphertext: Vec<u8>,
}

impl Message {
    fn parse(bytes: &[u8]) -> Result<Self, GrantError> {
        use GrantError::Shape;
        let Value::Tag(TAG_ENCRYPT0, message) = strict::decode(bytes, MAX_MESSAGE_BYTES)? else {
            return Err(Shape("want CBOR tag 16"));
        };
        let parts = message.as_array().map(Vec::as_slice);
        let Some([Value::Bytes(header), Value::Map(unprotected), Value::Bytes(ciphertext)]) = parts else {
            return Err(Shape("want protected, unprotected and ciphertext"));
        };
        if *header != protected()? {
            return Err(Shape("protected header is not {1: 41} (HPKE-3)"));
        }
        let (mut kid, mut encapsulated) = (None, None);
        for (label, value) in unprotected {
            let bytes = value.as_bytes().ok_or(Shape("unprotected parameters are byte strings"))?;
            if *label == Value::from(LABEL_KID) {
                kid = <[u8; 32]>::try_from(bytes.as_slice()).ok().map(Fixed);
            } else if *label == Value::from(LABEL_EK) {
                encapsulated = Some(bytes.clone());
            } else {
                return Err(Shape("unprotected header has more than kid and ek"));
            }
        }
        let encapsulated = encapsulated.ok_or(Shape("no encapsulated key"))?;
        Ok(Self { protected: header.clone(), kid, encapsulated, ciphertext: ciphertext.clone() })
    }

    fn open(&self, auditor: &AuditorKey, external_aad: &[u8]) -> Result<Zeroizing<Vec<u8>>, GrantError> {
        let aad = enc_structure("Encrypt0", &self.protected, external_aad)?;
        decrypt(auditor, &self.encapsulated, &[], &aad, &self.ciphertext)
    }
}

/// HPKE in base mode, suite HPKE-3. `info` is empty in a grant, as COSE-HPKE has it by default.
fn decrypt(
    auditor: &AuditorKey,
    encapsulated: &[u8],
    info: &[u8],
    aad: &[u8],
    ciphertext: &[u8],
) -> Result<Zeroizing<Vec<u8>>, GrantError> {
    let encapsulated = <X25519HkdfSha256 as hpke::Kem>::EncappedKey::from_bytes(encapsulated);
    let opened = hpke::single_shot_open::<AesGcm128, HkdfSha256, X25519HkdfSha256>(
        &OpModeR::Base,
        auditor.hpke(),
        &encapsulated.map_err(|_| GrantError::Decrypt)?,
        info,
        ciphertext,
        aad,
    );
    opened.map(Zeroizing::new).map_err(|_| GrantError::Decrypt)
}

fn protected() -> Result<Vec<u8>, StrictError> {
    strict::encode(&Value::Map(vec![(LABEL_ALG.into(), ALG_HPKE_3.into())]))
}

/// A generator that gives the caller's 32 random bytes, once: HPKE asks for exactly as many to make the ephemeral key.
struct OneSeed(Zeroizing<[u8; 32]>);

impl rand_core::TryRng for OneSeed {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_be_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_be_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Self::Error> {
        // More than one block is never asked for; if it were, the next is the hash of this one, never a repetition.
        for block in out.chunks_mut(32) {
            block.iter_mut().zip(self.0.iter()).for_each(|(out, byte)| *out = *byte);
            *self.0 = crate::mac::hmac_sha256(self.0.as_slice(), &[b"treering-seed-v1"]);
        }
        Ok(())
    }
}

impl rand_core::TryCryptoRng for OneSeed {}

#[cfg(test)]
mod tests;
