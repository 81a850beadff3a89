//! An auditor's key: X25519, in a JWK file (RFC 8037).

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use hpke::{Deserializable as _, Kem as _, kem::X25519HkdfSha256};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize as _, Zeroizing};

use super::GrantError;
use crate::{
    bytes::{Digest, Fixed},
    strict,
};

/// The longest key file: four short members and two of 43 characters, with room for spaces.
const MAX_KEY_FILE_BYTES: usize = 4096;
const COSE_KTY_OKP: i64 = 1;
const COSE_CRV_X25519: i64 = 4;

type HpkePublic = <X25519HkdfSha256 as hpke::Kem>::PublicKey;
type HpkePrivate = <X25519HkdfSha256 as hpke::Kem>::PrivateKey;

/// An auditor's public key.
#[derive(Clone)]
pub struct AuditorPublicKey {
    x: [u8; 32],
    hpke: HpkePublic,
    thumbprint: Digest,
}

/// An auditor's private key, zeroed when dropped.
pub struct AuditorKey {
    d: Zeroizing<[u8; 32]>,
    hpke: HpkePrivate,
    public: AuditorPublicKey,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Jwk {
    kty: String,
    crv: String,
    alg: String,
    kid: Digest,
    x: Fixed<32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    d: Option<String>,
}

impl Drop for Jwk {
    fn drop(&mut self) {
        self.d.zeroize();
    }
}

impl AuditorPublicKey {
    /// A key from its 32 bytes.
    pub fn from_bytes(x: [u8; 32]) -> Result<Self, GrantError> {
        let hpke =
            HpkePublic::from_bytes(&x).map_err(|_| GrantError::KeyFile("not an X25519 key".to_owned()))?;
        let key = [
            (1, COSE_KTY_OKP.into()),
            (-1, COSE_CRV_X25519.into()),
            (-2, ciborium::Value::Bytes(x.to_vec())),
        ];
        let members = key.map(|(label, value)| (ciborium::Value::from(label), value)).to_vec();
        let cose_key = strict::encode(&ciborium::Value::Map(members))?;
        let digest: [u8; 32] = Sha256::digest(cose_key).into();
        Ok(Self { x, hpke, thumbprint: digest.into() })
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.x
    }

    /// The RFC 9679 thumbprint of the key as a COSE_Key.
    pub const fn thumbprint(&self) -> &Digest {
        &self.thumbprint
    }

    /// The key as a JWK without its private part.
    pub fn to_jwk(&self) -> Result<String, GrantError> {
        to_json(&self.jwk(None))
    }

    /// Parses a JWK. A private part is refused: whoever was to have the public key alone has been given too much.
    pub fn from_jwk(text: &str) -> Result<Self, GrantError> {
        let jwk = parse_jwk(text)?;
        if jwk.d.is_some() {
            return Err(GrantError::KeyFile("holds a private part where a public key is wanted".to_owned()));
        }
        jwk.public()
    }

    pub(super) const fn hpke(&self) -> &HpkePublic {
        &self.hpke
    }

    fn jwk(&self, d: Option<String>) -> Jwk {
        let text = str::to_owned;
        Jwk {
            kty: text("OKP"),
            crv: text("X25519"),
            alg: text("HPKE-3"),
            kid: self.thumbprint,
            x: Fixed(self.x),
            d,
        }
    }
}

impl fmt::Debug for AuditorPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuditorPublicKey({})", self.thumbprint)
    }
}

impl AuditorKey {
    /// A key from 32 random bytes.
    pub fn from_bytes(d: [u8; 32]) -> Result<Self, GrantError> {
        use hpke::Serializable as _;
        let d = Zeroizing::new(d);
        let hpke = HpkePrivate::from_bytes(d.as_slice())
            .map_err(|_| GrantError::KeyFile("not an X25519 key".to_owned()))?;
        let mut x = [0; 32];
        x.copy_from_slice(&X25519HkdfSha256::sk_to_pk(&hpke).to_bytes());
        Ok(Self { d, hpke, public: AuditorPublicKey::from_bytes(x)? })
    }

    /// The public half.
    pub const fn public(&self) -> &AuditorPublicKey {
        &self.public
    }

    /// The key file: a JWK with its private part. It is secret.
    pub fn to_jwk(&self) -> Result<Zeroizing<String>, GrantError> {
        let d = BASE64URL_NOPAD.encode(self.d.as_slice());
        Ok(Zeroizing::new(to_json(&self.public.jwk(Some(d)))?))
    }

    /// Parses a key file.
    pub fn from_jwk(text: &str) -> Result<Self, GrantError> {
        let jwk = parse_jwk(text)?;
        let public = jwk.public()?;
        let malformed = |what: &str| GrantError::KeyFile(what.to_owned());
        let d = jwk.d.as_ref().ok_or_else(|| malformed("has no private part"))?;
        let d = Zeroizing::new(
            BASE64URL_NOPAD.decode(d.as_bytes()).map_err(|_| malformed("d is not base64url"))?,
        );
        let key = Self::from_bytes(d.as_slice().try_into().map_err(|_| malformed("d has not 32 bytes"))?)?;
        if key.public.x != public.x {
            return Err(malformed("x is not the public half of d"));
        }
        Ok(key)
    }

    pub(super) const fn hpke(&self) -> &HpkePrivate {
        &self.hpke
    }
}

impl fmt::Debug for AuditorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuditorKey({})", self.public.thumbprint)
    }
}

impl Jwk {
    fn public(&self) -> Result<AuditorPublicKey, GrantError> {
        if (self.kty.as_str(), self.crv.as_str(), self.alg.as_str()) != ("OKP", "X25519", "HPKE-3") {
            return Err(GrantError::KeyFile("want kty OKP, crv X25519, alg HPKE-3".to_owned()));
        }
        let key = AuditorPublicKey::from_bytes(self.x.0)?;
        if key.thumbprint != self.kid {
            return Err(GrantError::KeyFile(format!(
                "kid is {}, want the thumbprint {}",
                self.kid, key.thumbprint
            )));
        }
        Ok(key)
    }
}

fn parse_jwk(text: &str) -> Result<Jwk, GrantError> {
    if text.len() > MAX_KEY_FILE_BYTES {
        return Err(GrantError::KeyFile(format!("{} bytes, at most {MAX_KEY_FILE_BYTES}", text.len())));
    }
    // serde's message may quote the value it stumbled over, which may be the private part.
    serde_json::from_str(text).map_err(|error| {
        GrantError::KeyFile(format!("not a JWK with kty, crv, alg, kid, x and d (line {})", error.line()))
    })
}

fn to_json(jwk: &Jwk) -> Result<String, GrantError> {
    serde_json::to_string_pretty(jwk).map_err(|error| GrantError::KeyFile(error.to_string()))
}
