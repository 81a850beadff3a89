//! Public keys: COSE_Key (RFC 9052 section 7), SubjectPublicKeyInfo, and the RFC 9679 thumbprint that is our `kid`.

use std::fmt;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, EcdsaVerificationAlgorithm, ParsedPublicKey,
    UnparsedPublicKey,
};
use ciborium::Value;
use sha2::{Digest as _, Sha256};
use treering_tlog::ed25519::verify_strict;

use super::{Algorithm, CoseError, twin::has_low_s};
use crate::strict;

/// The longest COSE_Key: a P-384 key with a kid of 64 bytes, `alg` and `key_ops` stays below it.
const MAX_KEY_BYTES: usize = 256;
/// The longest key set: 64 keys.
const MAX_KEY_SET_BYTES: usize = 64 * MAX_KEY_BYTES;

const KTY: i64 = 1;
const KID: i64 = 2;
const ALG: i64 = 3;
const CRV: i64 = -1;
const X: i64 = -2;
const Y: i64 = -3;
const PRIVATE: i64 = -4;
const KTY_OKP: i64 = 1;
const KTY_EC2: i64 = 2;
const CRV_P256: i64 = 1;
const CRV_P384: i64 = 2;
const CRV_ED25519: i64 = 6;

/// DER before the 32 key bytes of an Ed25519 SubjectPublicKeyInfo (RFC 8410).
const SPKI_ED25519: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// DER before the 65 point bytes of a P-256 SubjectPublicKeyInfo (RFC 5480).
const SPKI_P256: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// DER before the 97 point bytes of a P-384 SubjectPublicKeyInfo (RFC 5480).
const SPKI_P384: [u8; 23] = [
    0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81,
    0x04, 0x00, 0x22, 0x03, 0x62, 0x00,
];

/// A public key that verifies signatures: Ed25519, P-256 or P-384.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifyingKey {
    material: Material,
    thumbprint: [u8; 32],
}

#[derive(Clone, PartialEq, Eq)]
enum Material {
    Ed25519(Box<ed25519_dalek::VerifyingKey>),
    /// The uncompressed point, 0x04 || x || y.
    P256([u8; 65]),
    /// The uncompressed point, 0x04 || x || y.
    P384([u8; 97]),
}

impl VerifyingKey {
    /// An Ed25519 key. Small-order and non-canonical points are refused.
    pub fn from_ed25519(bytes: &[u8; 32]) -> Result<Self, CoseError> {
        let refused = CoseError::Key("not a point of Ed25519");
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| refused)?;
        if key.is_weak() {
            return Err(CoseError::Key("Ed25519 point of small order"));
        }
        if key.to_edwards().compress().as_bytes() != bytes {
            return Err(CoseError::Key("Ed25519 point is not canonical"));
        }
        Self::new(Material::Ed25519(Box::new(key)))
    }

    /// A P-256 key from its uncompressed point.
    pub fn from_p256(point: &[u8]) -> Result<Self, CoseError> {
        let refused = CoseError::Key("want an uncompressed point of P-256");
        let point: [u8; 65] = point.try_into().map_err(|_| refused.clone())?;
        if point[0] != 0x04 || ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).is_err() {
            return Err(refused);
        }
        Self::new(Material::P256(point))
    }

    /// A P-384 key from its uncompressed point.
    pub fn from_p384(point: &[u8]) -> Result<Self, CoseError> {
        let refused = CoseError::Key("want an uncompressed point of P-384");
        let point: [u8; 97] = point.try_into().map_err(|_| refused.clone())?;
        if point[0] != 0x04 || ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point).is_err() {
            return Err(refused);
        }
        Self::new(Material::P384(point))
    }

    /// A key from a DER SubjectPublicKeyInfo: Ed25519, or P-256 or P-384 with an uncompressed point.
    pub fn from_spki(der: &[u8]) -> Result<Self, CoseError> {
        if let Some(key) = der.strip_prefix(&SPKI_ED25519) {
            let key: &[u8; 32] = key.try_into().map_err(|_| CoseError::Key("Ed25519 key has 32 bytes"))?;
            return Self::from_ed25519(key);
        }
        if let Some(point) = der.strip_prefix(&SPKI_P256) {
            return Self::from_p256(point);
        }
        let point = der.strip_prefix(&SPKI_P384);
        Self::from_p384(
            point.ok_or(CoseError::Key("SubjectPublicKeyInfo is neither Ed25519, P-256 nor P-384"))?,
        )
    }

    /// A key from a COSE_Key in deterministic CBOR. A key with a private part is refused.
    pub fn from_cose_key(bytes: &[u8]) -> Result<Self, CoseError> {
        Self::from_value(&strict::decode(bytes, MAX_KEY_BYTES)?)
    }

    fn from_value(value: &Value) -> Result<Self, CoseError> {
        let map = value.as_map().ok_or(CoseError::Key("COSE_Key is a map"))?;
        let field = |label: i64| {
            let wanted = Value::from(label);
            map.iter().find(|(key, _)| *key == wanted).map(|(_, value)| value)
        };
        let number =
            |label| field(label).and_then(Value::as_integer).and_then(|value| i64::try_from(value).ok());
        let bytes = |label| field(label).and_then(Value::as_bytes).map(Vec::as_slice);
        if field(PRIVATE).is_some() {
            return Err(CoseError::Key("holds a private part"));
        }
        let key = match (number(KTY), number(CRV), bytes(X), bytes(Y)) {
            (Some(KTY_OKP), Some(CRV_ED25519), Some(x), None) => {
                Self::from_ed25519(x.try_into().map_err(|_| CoseError::Key("Ed25519 key has 32 bytes"))?)?
            }
            (Some(KTY_EC2), Some(CRV_P256), Some(x), Some(y)) if x.len() == 32 && y.len() == 32 => {
                Self::from_p256(&[&[0x04], x, y].concat())?
            }
            (Some(KTY_EC2), Some(CRV_P384), Some(x), Some(y)) if x.len() == 48 && y.len() == 48 => {
                Self::from_p384(&[&[0x04], x, y].concat())?
            }
            _ => {
                let wanted = "COSE_Key is neither Ed25519 nor P-256 or P-384 with full coordinates";
                return Err(CoseError::Key(wanted));
            }
        };
        match number(ALG) {
            Some(alg) if field(ALG).is_some() => key.accepts(Algorithm::from_id(alg)?)?,
            _ if field(ALG).is_some() => return Err(CoseError::Key("alg is not an integer")),
            _ => {}
        }
        Ok(key)
    }

    fn new(material: Material) -> Result<Self, CoseError> {
        let mut key = Self { material, thumbprint: [0; 32] };
        key.thumbprint = Sha256::digest(key.to_cose_key()?).into();
        Ok(key)
    }

    /// The COSE_Key with its required members only: what the thumbprint covers.
    pub fn to_cose_key(&self) -> Result<Vec<u8>, CoseError> {
        Ok(strict::encode(&Value::Map(self.members()))?)
    }

    /// The COSE_Key with `kid` and `alg`, as a key set serves it.
    pub fn to_published_key(&self) -> Value {
        let mut members = self.members();
        members.push((KID.into(), Value::Bytes(self.thumbprint.to_vec())));
        members.push((ALG.into(), self.algorithm().id().into()));
        Value::Map(members)
    }

    fn members(&self) -> Vec<(Value, Value)> {
        let bytes = |bytes: &[u8]| Value::Bytes(bytes.to_vec());
        match &self.material {
            Material::Ed25519(key) => vec![
                (KTY.into(), KTY_OKP.into()),
                (CRV.into(), CRV_ED25519.into()),
                (X.into(), bytes(key.as_bytes())),
            ],
            Material::P256(point) => ec2(CRV_P256, point),
            Material::P384(point) => ec2(CRV_P384, point),
        }
    }

    /// The DER SubjectPublicKeyInfo.
    pub fn to_spki(&self) -> Vec<u8> {
        match &self.material {
            Material::Ed25519(key) => [SPKI_ED25519.as_slice(), key.as_bytes()].concat(),
            Material::P256(point) => [SPKI_P256.as_slice(), point].concat(),
            Material::P384(point) => [SPKI_P384.as_slice(), point].concat(),
        }
    }

    /// The RFC 9679 SHA-256 thumbprint: our `kid`.
    pub const fn thumbprint(&self) -> &[u8; 32] {
        &self.thumbprint
    }

    /// The algorithm this key signs with unless a header says the other spelling.
    pub const fn algorithm(&self) -> Algorithm {
        match self.material {
            Material::Ed25519(_) => Algorithm::EdDsa,
            Material::P256(_) => Algorithm::Es256,
            Material::P384(_) => Algorithm::Es384,
        }
    }

    /// Verifies a COSE signature: Ed25519 strictly, ECDSA as r || s with low S.
    pub fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> Result<(), CoseError> {
        self.accepts(algorithm)?;
        match &self.material {
            Material::Ed25519(key) => {
                let signature =
                    ed25519_dalek::Signature::from_slice(signature).map_err(|_| CoseError::Signature)?;
                if verify_strict(key, message, &signature) { Ok(()) } else { Err(CoseError::Signature) }
            }
            Material::P256(point) => verify_ecdsa(&ECDSA_P256_SHA256_FIXED, point, message, signature),
            Material::P384(point) => verify_ecdsa(&ECDSA_P384_SHA384_FIXED, point, message, signature),
        }
    }

    fn accepts(&self, algorithm: Algorithm) -> Result<(), CoseError> {
        match (&self.material, algorithm) {
            (Material::Ed25519(_), Algorithm::EdDsa | Algorithm::Ed25519)
            | (Material::P256(_), Algorithm::Es256 | Algorithm::Esp256)
            | (Material::P384(_), Algorithm::Es384 | Algorithm::Esp384) => Ok(()),
            (Material::Ed25519(_), _) => Err(CoseError::KeyMismatch { alg: algorithm.id(), key: "Ed25519" }),
            (Material::P256(_), _) => Err(CoseError::KeyMismatch { alg: algorithm.id(), key: "P-256" }),
            (Material::P384(_), _) => Err(CoseError::KeyMismatch { alg: algorithm.id(), key: "P-384" }),
        }
    }
}

/// The members of a COSE_Key with two coordinates, from an uncompressed point.
fn ec2(curve: i64, point: &[u8]) -> Vec<(Value, Value)> {
    let coordinates = point.get(1..).unwrap_or_default();
    let (x, y) = coordinates.split_at(coordinates.len() / 2);
    let bytes = |bytes: &[u8]| Value::Bytes(bytes.to_vec());
    vec![(KTY.into(), KTY_EC2.into()), (CRV.into(), curve.into()), (X.into(), bytes(x)), (Y.into(), bytes(y))]
}

/// r || s with low S.
fn verify_ecdsa(
    algorithm: &'static EcdsaVerificationAlgorithm,
    point: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<(), CoseError> {
    let key = UnparsedPublicKey::new(algorithm, point);
    key.verify(message, signature).map_err(|_| CoseError::Signature)?;
    if has_low_s(signature) { Ok(()) } else { Err(CoseError::HighS) }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kid = data_encoding::BASE64URL_NOPAD.encode(&self.thumbprint);
        write!(f, "VerifyingKey({:?}, {kid})", self.algorithm())
    }
}

/// A COSE Key Set: what SCRAPI serves at `/.well-known/scitt-keys`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeySet(pub Vec<VerifyingKey>);

impl KeySet {
    /// The deterministic encoding: an array of COSE_Keys with `kid` and `alg`.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CoseError> {
        let keys = self.0.iter().map(VerifyingKey::to_published_key).collect();
        Ok(strict::encode(&Value::Array(keys))?)
    }

    /// Parses a key set; one key that is refused refuses the set.
    pub fn parse(bytes: &[u8]) -> Result<Self, CoseError> {
        let value = strict::decode(bytes, MAX_KEY_SET_BYTES)?;
        let keys = value.as_array().ok_or(CoseError::Key("a key set is an array"))?;
        keys.iter().map(VerifyingKey::from_value).collect::<Result<_, _>>().map(Self)
    }

    /// The key with this thumbprint.
    pub fn find(&self, kid: &[u8]) -> Option<&VerifyingKey> {
        self.0.iter().find(|key| key.thumbprint().as_slice() == kid)
    }
}
