//! Encrypted content: a COSE_Encrypt (RFC 9052, tag 96) under a content key of its own.
//!
//! In scope: the plaintext with its nonce and media type ([`Plaintext`]), sealing, opening. Opening always checks the
//! commitment in the statement: AES-GCM is not key-committing, so a ciphertext alone may decrypt to different texts
//! under different keys.
//! Out of scope: which key-encryption key a content is under, and where it is kept (the vault's business); delivery of
//! keys to auditors (`grant`).

mod keys;

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, MAX_TAG_LEN, NONCE_LEN, Nonce, UnboundKey};
use ciborium::Value;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize as _, Zeroizing};

pub use keys::{ContentKey, Kek};
pub(crate) use keys::{WRAPPED_KEY_BYTES, secret_key, unwrap_key, wrap_key};

use crate::{
    bytes::{Bytes, Digest, Fixed},
    content::{Content, ContentError, MAX_CONTENT_BYTES},
    mac::hmac_sha256,
    statement::{self, Body, Kind, Payload, Statement},
    strict::{self, StrictError},
};

/// Domain tag of the data that an envelope authenticates beside its content.
pub const CONTENT_TAG: &str = "treering-content-v1";
/// Domain tag of the derivation of an IV.
const IV_TAG: &[u8] = b"treering-iv-v1";
/// The longest envelope: a content, its media type and nonce, and less than 4 KiB of framing.
pub const MAX_ENVELOPE_BYTES: usize = MAX_CONTENT_BYTES + 4096;

const TAG_ENCRYPT: u64 = 96;
const LABEL_ALG: i64 = 1;
const LABEL_KID: i64 = 4;
const LABEL_IV: i64 = 5;
const ALG_A256GCM: i64 = 3;
const ALG_A256KW: i64 = -5;

/// Why an envelope was not made or not opened. Says nothing of keys or plaintext.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Not deterministic CBOR.
    #[error(transparent)]
    Strict(#[from] StrictError),
    /// The plaintext is not a content of the type wanted.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// The CBOR is not an envelope of ours.
    #[error("not an envelope: {0}")]
    Shape(&'static str),
    /// No key with this id: it was erased, or never granted.
    #[error("no key-encryption key {0}")]
    NoKey(KekId),
    /// The key does not unwrap, or the content does not authenticate under it and its context.
    #[error("envelope does not open: wrong key, wrong context, or changed bytes")]
    Decrypt,
    /// It decrypted, but not to the text that the statement commits to.
    #[error("plaintext is not the one that the statement commits to")]
    Commitment,
    /// The statement names another envelope, or is not confidential.
    #[error("envelope is not the one that the statement names")]
    Statement,
    /// The cryptographic library failed.
    #[error("encryption failed")]
    Encrypt,
}

/// The name of a [`Kek`]: 16 random bytes.
pub type KekId = Fixed<16>;

/// What an envelope is bound to: copied to another statement it does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context<'a> {
    /// The log's origin.
    pub origin: &'a str,
    /// The statement's issuer.
    pub issuer: &'a str,
    /// The statement's subject.
    pub subject: &'a str,
    /// The statement's kind.
    pub kind: Kind,
}

impl<'a> Context<'a> {
    /// The context of a statement; `None` if it is a foreign one without kind or audience.
    pub fn of(statement: &'a Statement) -> Option<Self> {
        Some(Self {
            origin: statement.audience()?,
            issuer: statement.issuer(),
            subject: statement.subject(),
            kind: statement.kind()?,
        })
    }

    fn aad(&self) -> Result<Vec<u8>, StrictError> {
        let parts = [CONTENT_TAG, self.origin, self.issuer, self.subject, self.kind.as_str()];
        strict::encode(&Value::Array(parts.map(|part| Value::Text(part.to_owned())).to_vec()))
    }
}

/// A content with the nonce that hides it in its commitment.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plaintext {
    nonce: Fixed<32>,
    #[serde(rename = "type")]
    media_type: String,
    body: Bytes,
}

impl Plaintext {
    /// Wraps bytes of some media type with 32 random bytes.
    pub fn new(media_type: &str, body: Vec<u8>, nonce: [u8; 32]) -> Self {
        Self { nonce: Fixed(nonce), media_type: media_type.to_owned(), body: Bytes(body) }
    }

    /// Wraps a typed content with 32 random bytes.
    pub fn of<C: Content>(content: &C, nonce: [u8; 32]) -> Result<Self, EnvelopeError> {
        Ok(Self::new(C::MEDIA_TYPE, content.to_cbor()?, nonce))
    }

    /// The media type of the body.
    pub fn media_type(&self) -> &str {
        &self.media_type
    }

    /// The content's bytes.
    pub fn body(&self) -> &[u8] {
        &self.body.0
    }

    /// The content as `C`, if the media type is `C`'s.
    pub fn content<C: Content>(&self) -> Result<C, EnvelopeError> {
        if self.media_type != C::MEDIA_TYPE {
            return Err(ContentError::MediaType { got: self.media_type.clone(), want: C::MEDIA_TYPE }.into());
        }
        Ok(C::from_cbor(self.body())?)
    }

    /// The commitment to this plaintext in a statement of `kind`.
    pub fn commitment(&self, kind: Kind) -> Result<Digest, EnvelopeError> {
        Ok(statement::commitment(self.nonce.as_bytes(), kind, &self.to_bytes()?))
    }

    /// The payload of the statement that this plaintext goes with, once sealed.
    pub fn payload(&self, kind: Kind, envelope: &[u8]) -> Result<Payload, EnvelopeError> {
        Ok(Payload::Confidential { envelope: digest(envelope), commit: self.commitment(kind)? })
    }

    fn to_bytes(&self) -> Result<Zeroizing<Vec<u8>>, EnvelopeError> {
        Ok(Zeroizing::new(strict::to_vec(self)?))
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        Ok(strict::from_slice(bytes, MAX_ENVELOPE_BYTES)?)
    }
}

impl Drop for Plaintext {
    fn drop(&mut self) {
        self.nonce.0.zeroize();
        self.body.0.zeroize();
    }
}

impl fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plaintext({}, {} bytes)", self.media_type, self.body.0.len())
    }
}

impl Kek {
    /// Wraps a content key (A256KW, RFC 3394).
    pub fn wrap(&self, content_key: &ContentKey) -> Result<WrappedKey, EnvelopeError> {
        wrap_key(self.expose(), content_key.expose()).ok_or(EnvelopeError::Encrypt)
    }
}

/// A content key under a key-encryption key.
pub type WrappedKey = [u8; WRAPPED_KEY_BYTES];

/// Seals a plaintext under a fresh random `content_key`, which the key-encryption key wraps.
pub fn seal(
    plaintext: &Plaintext,
    context: &Context<'_>,
    content_key: &ContentKey,
    (kek_id, kek): (&KekId, &Kek),
) -> Result<Vec<u8>, EnvelopeError> {
    seal_wrapped(plaintext, context, content_key, (kek_id, &kek.wrap(content_key)?))
}

/// As [`seal`], for one who was given a content key with itself wrapped, and not the key-encryption key. The IV
/// follows from key, context and plaintext, so that even a content key used twice by mistake does not repeat an IV
/// over two texts.
pub fn seal_wrapped(
    plaintext: &Plaintext,
    context: &Context<'_>,
    content_key: &ContentKey,
    (kek_id, wrapped): (&KekId, &WrappedKey),
) -> Result<Vec<u8>, EnvelopeError> {
    let protected = strict::encode(&Value::Map(vec![(LABEL_ALG.into(), ALG_A256GCM.into())]))?;
    let aad = enc_structure("Encrypt", &protected, &context.aad()?)?;
    let mut sealed = plaintext.to_bytes()?;
    let iv = derive_iv(content_key, &aad, &sealed);
    cipher(content_key)?
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(iv), Aad::from(&aad), &mut *sealed)
        .map_err(|_| EnvelopeError::Encrypt)?;
    let recipient = Value::Array(vec![
        Value::Bytes(Vec::new()),
        Value::Map(vec![
            (LABEL_ALG.into(), ALG_A256KW.into()),
            (LABEL_KID.into(), Value::Bytes(kek_id.0.to_vec())),
        ]),
        Value::Bytes(wrapped.to_vec()),
    ]);
    let message = Value::Array(vec![
        Value::Bytes(protected),
        Value::Map(vec![(LABEL_IV.into(), Value::Bytes(iv.to_vec()))]),
        Value::Bytes(sealed.to_vec()),
        Value::Array(vec![recipient]),
    ]);
    Ok(strict::encode(&Value::Tag(TAG_ENCRYPT, Box::new(message)))?)
}

/// Opens the envelope of a statement: it must be the one that the statement names, open under the statement's
/// context, and hold the plaintext that the statement commits to.
pub fn open(
    statement: &Statement,
    envelope: &[u8],
    kek: impl FnOnce(&KekId) -> Option<Kek>,
) -> Result<Plaintext, EnvelopeError> {
    let sealed = Sealed::of(statement, envelope)?;
    let kek = kek(&sealed.kek_id).ok_or(EnvelopeError::NoKey(sealed.kek_id))?;
    let key = unwrap_key(kek.expose(), &sealed.wrapped).ok_or(EnvelopeError::Decrypt)?;
    open_sealed(statement, sealed, &ContentKey::from_bytes(*key))
}

/// As [`open`], for one who was given this content's key alone.
pub fn open_with_key(
    statement: &Statement,
    envelope: &[u8],
    key: &ContentKey,
) -> Result<Plaintext, EnvelopeError> {
    open_sealed(statement, Sealed::of(statement, envelope)?, key)
}

/// Which key-encryption key an envelope is under.
pub fn kek_id(envelope: &[u8]) -> Result<KekId, EnvelopeError> {
    Ok(Sealed::parse(envelope)?.kek_id)
}

/// SHA-256 of an envelope: the payload of its statement.
pub fn digest(envelope: &[u8]) -> Digest {
    Fixed(Sha256::digest(envelope).into())
}

fn open_sealed(statement: &Statement, sealed: Sealed, key: &ContentKey) -> Result<Plaintext, EnvelopeError> {
    let (Some(context), Some(commit)) = (Context::of(statement), statement.commit()) else {
        return Err(EnvelopeError::Statement);
    };
    let aad = enc_structure("Encrypt", &sealed.protected, &context.aad()?)?;
    let mut buffer = Zeroizing::new(sealed.ciphertext);
    let opened =
        cipher(key)?.open_in_place(Nonce::assume_unique_for_key(sealed.iv), Aad::from(&aad), &mut buffer);
    let opened = opened.map_err(|_| EnvelopeError::Decrypt)?;
    let plaintext = Plaintext::from_bytes(opened)?;
    let computed = statement::commitment(plaintext.nonce.as_bytes(), context.kind, opened);
    if !bool::from(computed.0.ct_eq(&commit.0)) {
        return Err(EnvelopeError::Commitment);
    }
    Ok(plaintext)
}

/// An envelope taken apart.
struct Sealed {
    protected: Vec<u8>,
    iv: [u8; NONCE_LEN],
    ciphertext: Vec<u8>,
    kek_id: KekId,
    wrapped: [u8; WRAPPED_KEY_BYTES],
}

impl Sealed {
    fn of(statement: &Statement, envelope: &[u8]) -> Result<Self, EnvelopeError> {
        let named =
            matches!(statement.body(), Body::Hashed { digest: named, .. } if digest(envelope).0 == *named);
        if !named {
            return Err(EnvelopeError::Statement);
        }
        Self::parse(envelope)
    }

    fn parse(envelope: &[u8]) -> Result<Self, EnvelopeError> {
        use EnvelopeError::Shape;
        let Value::Tag(TAG_ENCRYPT, message) = strict::decode(envelope, MAX_ENVELOPE_BYTES)? else {
            return Err(Shape("want CBOR tag 96"));
        };
        let parts: Option<[Value; 4]> = message.into_array().ok().and_then(|parts| parts.try_into().ok());
        let [protected, unprotected, ciphertext, recipients] = parts.ok_or(Shape("want four parts"))?;
        let want_protected = strict::encode(&Value::Map(vec![(LABEL_ALG.into(), ALG_A256GCM.into())]))?;
        let protected = protected.into_bytes().ok().filter(|bytes| *bytes == want_protected);
        let iv = match unprotected.as_map().map(Vec::as_slice) {
            Some([(label, Value::Bytes(iv))]) if *label == Value::from(LABEL_IV) => {
                iv.as_slice().try_into().ok()
            }
            _ => None,
        };
        let ciphertext = ciphertext.into_bytes().ok().filter(|bytes| bytes.len() >= MAX_TAG_LEN);
        let recipients: Option<[Value; 1]> =
            recipients.into_array().ok().and_then(|list| list.try_into().ok());
        let [recipient] = recipients.ok_or(Shape("want one recipient"))?;
        let (kek_id, wrapped) =
            parse_recipient(&recipient).ok_or(Shape("recipient is not A256KW with a kid"))?;
        Ok(Self {
            protected: protected.ok_or(Shape("protected header is not {1: 3} (A256GCM)"))?,
            iv: iv.ok_or(Shape("unprotected header is not one 12-byte IV"))?,
            ciphertext: ciphertext.ok_or(Shape("ciphertext is shorter than a tag"))?,
            kek_id,
            wrapped,
        })
    }
}

fn parse_recipient(recipient: &Value) -> Option<(KekId, [u8; WRAPPED_KEY_BYTES])> {
    let [Value::Bytes(protected), Value::Map(unprotected), Value::Bytes(wrapped)] =
        recipient.as_array()?.as_slice()
    else {
        return None;
    };
    let [(alg_label, alg), (kid_label, Value::Bytes(kid))] = unprotected.as_slice() else {
        return None;
    };
    let shaped = protected.is_empty()
        && *alg_label == Value::from(LABEL_ALG)
        && *alg == Value::from(ALG_A256KW)
        && *kid_label == Value::from(LABEL_KID);
    let kid = kid.as_slice().try_into().ok()?;
    shaped.then_some((Fixed(kid), wrapped.as_slice().try_into().ok()?))
}

/// RFC 9052 section 5.3: what is authenticated beside the ciphertext.
pub(crate) fn enc_structure(
    context: &str,
    protected: &[u8],
    external_aad: &[u8],
) -> Result<Vec<u8>, StrictError> {
    strict::encode(&Value::Array(vec![
        Value::Text(context.to_owned()),
        Value::Bytes(protected.to_vec()),
        Value::Bytes(external_aad.to_vec()),
    ]))
}

fn cipher(key: &ContentKey) -> Result<LessSafeKey, EnvelopeError> {
    let key = UnboundKey::new(&AES_256_GCM, key.expose()).map_err(|_| EnvelopeError::Encrypt)?;
    Ok(LessSafeKey::new(key))
}

fn derive_iv(key: &ContentKey, aad: &[u8], plaintext: &[u8]) -> [u8; NONCE_LEN] {
    let framed = (aad.len() as u64).to_be_bytes();
    let mac = hmac_sha256(key.expose(), &[IV_TAG, &framed, aad, plaintext]);
    let mut iv = [0; NONCE_LEN];
    iv.iter_mut().zip(mac).for_each(|(out, byte)| *out = byte);
    iv
}
