//! Signed tokens: compact JWS (RFC 7515) and COSE_Sign1 (RFC 9052), as others and we wrap attestation results.
//!
//! What RFC 8725 asks: the algorithm is that of the key and never the token's choice, `none` and everything symmetric is
//! unknown here, a header parameter that must be understood is refused, and keys that come with a token (`jwk`, `jku`,
//! `x5c`, `x5u`) are never looked at. Base64url has one spelling, without padding and without bits that say nothing.
//! In scope: reading, keys by `kid`, signatures, times. Out of scope: what the claims mean (`ear`, `kinds`).

mod keys;

use data_encoding::BASE64URL_NOPAD;
use serde_json::Value;
use treering_provenance::cose::{Algorithm, Sign1, sig_structure};

use super::json;

pub use keys::{KeyError, TokenAlgorithm, TokenKeys};

/// Octets of a token: results with annotated evidence have 2 to 20 KiB.
pub const MAX_TOKEN_BYTES: usize = 64 * 1024;
/// By how much an issuer's clock may be ahead of ours.
pub const MAX_SKEW_S: u64 = 60;

/// Why a token is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Too large.
    #[error("a token has at most {MAX_TOKEN_BYTES} octets, got {0}")]
    TooLarge(usize),
    /// Not a token, or one that could be read in two ways.
    #[error("not a token: {0}")]
    Form(String),
    /// An algorithm that nobody here accepts, such as `none`.
    #[error("algorithm {0} is not accepted")]
    Algorithm(String),
    /// No key of that name.
    #[error("no key for {0}")]
    Key(String),
    /// The key is for another algorithm.
    #[error("the token names {token}, the key is for {key}")]
    KeyAlgorithm {
        /// What the token names.
        token: &'static str,
        /// What the key is for.
        key: &'static str,
    },
    /// The signature does not verify.
    #[error("the signature does not verify")]
    Signature,
    /// Claims of the wrong form.
    #[error("claims: {0}")]
    Claims(String),
    /// Not of this time.
    #[error("{0}")]
    Time(String),
    /// It cannot be signed.
    #[error("signing: {0}")]
    Signing(String),
}

/// A token, read; its signature is not verified.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    algorithm: TokenAlgorithm,
    kid: Option<Vec<u8>>,
    typ: Option<String>,
    signed: Vec<u8>,
    signature: Vec<u8>,
    payload: Vec<u8>,
}

impl Token {
    /// Reads a JWS in compact form.
    pub(super) fn read_jws(bytes: &[u8]) -> Result<Self, TokenError> {
        let form = |reason: &str| TokenError::Form(reason.to_owned());
        if bytes.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::TooLarge(bytes.len()));
        }
        let parts: Vec<&[u8]> = bytes.split(|octet| *octet == b'.').collect();
        let [header, payload, signature] = parts.as_slice() else {
            return Err(form("want three parts with dots between them"));
        };
        let decode = |part: &[u8], what: &str| {
            let decoded = BASE64URL_NOPAD.decode(part);
            decoded.map_err(|_| {
                form(&format!("the {what} is not base64url, unpadded and with no bit set in vain"))
            })
        };
        let signed = bytes.get(..header.len() + 1 + payload.len()).unwrap_or_default().to_vec();
        let header =
            json::object(&decode(header, "header")?).map_err(|error| form(&format!("header: {error}")))?;
        for name in ["crit", "b64"] {
            if header.get(name).is_some() {
                return Err(form(&format!("header parameter {name:?} is not understood here")));
            }
        }
        let text = |name: &str| match header.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(form(&format!("header parameter {name:?} is not text"))),
        };
        let algorithm = text("alg")?.ok_or_else(|| form("the header names no algorithm"))?;
        Ok(Self {
            algorithm: TokenAlgorithm::of_name(&algorithm).ok_or(TokenError::Algorithm(algorithm))?,
            kid: text("kid")?.map(String::into_bytes),
            typ: text("typ")?,
            signed,
            signature: decode(signature, "signature")?,
            payload: decode(payload, "payload")?,
        })
    }

    /// Reads a tagged COSE_Sign1: deterministic, and with nothing in the header that is not signed.
    pub(super) fn read_cose(bytes: &[u8]) -> Result<Self, TokenError> {
        if bytes.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::TooLarge(bytes.len()));
        }
        let form = |error: &dyn std::fmt::Display| TokenError::Form(error.to_string());
        let message = Sign1::parse(bytes, MAX_TOKEN_BYTES).map_err(|error| form(&error))?;
        if !message.unprotected_is_empty() || message.to_bytes().as_deref() != Ok(bytes) {
            return Err(form(&"want deterministic encoding and an empty unprotected header"));
        }
        let payload = message.payload().ok_or_else(|| form(&"the payload is not in it"))?;
        let typ = message.protected_int(16).and_then(|value| value.as_text());
        Ok(Self {
            algorithm: TokenAlgorithm::of_cose(message.algorithm()),
            kid: message.kid().map(<[u8]>::to_vec),
            typ: typ.or(message.content_type()).map(str::to_owned),
            signed: sig_structure(message.protected_bytes(), payload),
            signature: message.signature().to_vec(),
            payload: payload.to_vec(),
        })
    }

    /// What is signed, without the header.
    pub(super) fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The `kid`, for people.
    pub(super) fn key_name(&self) -> String {
        match self.kid.as_deref() {
            None => "a token without kid".to_owned(),
            Some(kid) => match std::str::from_utf8(kid) {
                Ok(text) if text.chars().all(|char| !char.is_control()) => format!("kid {text:?}"),
                _ => format!("kid {}", BASE64URL_NOPAD.encode(kid)),
            },
        }
    }

    /// Whether one of the keys is the one that the token names.
    pub(super) fn is_known_to(&self, keys: &TokenKeys) -> bool {
        keys.find(self.kid.as_deref()).is_some()
    }

    /// Verifies the signature by the key that it names: the key says the algorithm.
    pub(super) fn verify(&self, keys: &TokenKeys) -> Result<(), TokenError> {
        let key = keys.find(self.kid.as_deref()).ok_or_else(|| TokenError::Key(self.key_name()))?;
        if key.algorithm() != self.algorithm {
            let (token, key) = (self.algorithm.name(), key.algorithm().name());
            return Err(TokenError::KeyAlgorithm { token, key });
        }
        if key.verify(&self.signed, &self.signature) { Ok(()) } else { Err(TokenError::Signature) }
    }

    /// The media type that the header names, in full; `Err` if it is one of another kind of token.
    pub(super) fn check_type(&self, expected: &str) -> Result<(), TokenError> {
        let Some(typ) = &self.typ else { return Ok(()) };
        let bare = typ.split(';').next().unwrap_or_default().trim();
        let bare = bare.strip_prefix("application/").unwrap_or(bare).to_ascii_lowercase();
        // "JWT" is what most libraries write whatever the token is.
        if bare == expected || bare == "jwt" {
            Ok(())
        } else {
            Err(TokenError::Form(format!("its type is {typ:?}, want {expected}")))
        }
    }
}

/// The `iat`, `nbf` and `exp` of claims, whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) issued: Option<u64>,
    pub(super) not_before: Option<u64>,
    pub(super) expires: Option<u64>,
}

impl Times {
    /// Reads them; a time that is no whole number is an error.
    pub(super) fn of(claims: &Value) -> Result<Self, String> {
        let time = |name: &str| match claims.get(name) {
            None => Ok(None),
            Some(value) => {
                value.as_u64().map(Some).ok_or_else(|| format!("{name} is not a whole number of seconds"))
            }
        };
        Ok(Self { issued: time("iat")?, not_before: time("nbf")?, expires: time("exp")? })
    }

    /// Whether it is their time.
    pub(super) fn check(&self, now: u64) -> Result<String, String> {
        let latest = now.saturating_add(MAX_SKEW_S);
        for (name, time) in [("iat", self.issued), ("nbf", self.not_before)] {
            if let Some(time) = time.filter(|time| *time > latest) {
                return Err(format!("{name} is {time}, the instant is {now}"));
            }
        }
        match self.expires {
            Some(expires) if expires <= now => Err(format!("it expired at {expires}, the instant is {now}")),
            Some(expires) => Ok(format!("until {expires}")),
            None => Ok("it names no end".to_owned()),
        }
    }

    /// Whether they are of the last so many seconds.
    pub(super) fn check_age(&self, now: u64, max_age_s: u64) -> Result<String, String> {
        let issued = self.issued.ok_or("it does not say when it was issued")?;
        let age = now.saturating_sub(issued);
        if age <= max_age_s {
            Ok(format!("{age} s old"))
        } else {
            Err(format!("{age} s old, at most {max_age_s} s are accepted"))
        }
    }
}

/// The audiences: a text or a list of them (RFC 7519 section 4.1.3).
pub(super) fn audiences(claims: &Value) -> Result<Vec<&str>, String> {
    texts(claims, "aud")
}

/// A claim that is a text or a list of texts.
pub(super) fn texts<'a>(claims: &'a Value, name: &str) -> Result<Vec<&'a str>, String> {
    let odd = || format!("{name} is neither text nor a list of texts");
    match claims.get(name) {
        None => Ok(Vec::new()),
        Some(Value::String(one)) => Ok(vec![one]),
        Some(Value::Array(list)) => list.iter().map(|one| one.as_str().ok_or_else(odd)).collect(),
        Some(_) => Err(odd()),
    }
}

/// Whether octets look like a compact JWS, or a JSON text around some, or a tagged COSE_Sign1.
pub(super) fn looks_like_a_token(octets: &[u8]) -> bool {
    octets.starts_with(b"eyJ") || octets.starts_with(b"[[\"JWT\"") || octets.starts_with(&[0xd2, 0x84])
}

/// The name of a COSE algorithm in a JWS.
pub(super) const fn jws_name(algorithm: Algorithm) -> &'static str {
    TokenAlgorithm::of_cose(algorithm).name()
}
