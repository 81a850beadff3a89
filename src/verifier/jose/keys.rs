//! The keys of those who sign tokens, as a policy pins them: a JWK Set (RFC 7517) as its issuer serves it, or one key in
//! PEM (SubjectPublicKeyInfo). Each is for one algorithm: its curve's, or for RSA the one that is named beside it.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use serde_json::Value;
use sha2::{Digest, Sha256};
use treering_provenance::cose::Algorithm;
use x509_cert::der::{Decode, Encode, Reader, SliceReader, asn1::UintRef};
use x509_cert::spki::SubjectPublicKeyInfoRef;

use crate::verifier::{json, pem};

/// Octets of a JWK Set: one with certificates has 30 KiB.
const MAX_KEYS_BYTES: usize = 64 * 1024;
/// Keys in a set: an issuer has its last, its present and its next, and some more.
const MAX_KEYS: usize = 32;

/// Why keys cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Neither a JWK Set nor PEM, or too large.
    #[error("not a set of keys: {0}")]
    Form(String),
    /// One of the keys.
    #[error("key {name}: {reason}")]
    Key {
        /// Its `kid`, or its number.
        name: String,
        /// Why.
        reason: String,
    },
}

/// An algorithm by which tokens are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenAlgorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
    /// RSA PKCS#1 v1.5 with SHA-256.
    Rs256,
    /// RSA PKCS#1 v1.5 with SHA-384.
    Rs384,
    /// RSA-PSS with SHA-256.
    Ps256,
    /// RSA-PSS with SHA-384.
    Ps384,
}

impl TokenAlgorithm {
    const ALL: [Self; 7] =
        [Self::Es256, Self::Es384, Self::EdDsa, Self::Rs256, Self::Rs384, Self::Ps256, Self::Ps384];

    /// The name in a JWS.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
        }
    }

    /// The algorithm of this name; `none` and the symmetric ones are not among them.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }

    pub(in crate::verifier) const fn of_cose(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Es256 | Algorithm::Esp256 => Self::Es256,
            Algorithm::Es384 | Algorithm::Esp384 => Self::Es384,
            Algorithm::EdDsa | Algorithm::Ed25519 => Self::EdDsa,
        }
    }

    const fn rsa(self) -> Option<&'static RsaParameters> {
        match self {
            Self::Rs256 => Some(&RSA_PKCS1_2048_8192_SHA256),
            Self::Rs384 => Some(&RSA_PKCS1_2048_8192_SHA384),
            Self::Ps256 => Some(&RSA_PSS_2048_8192_SHA256),
            Self::Ps384 => Some(&RSA_PSS_2048_8192_SHA384),
            Self::Es256 | Self::Es384 | Self::EdDsa => None,
        }
    }
}

/// The keys of one issuer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TokenKeys {
    keys: Vec<TokenKey>,
}

/// One key, for one algorithm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::verifier) struct TokenKey {
    kid: Option<String>,
    algorithm: TokenAlgorithm,
    material: Material,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Material {
    Ed25519(ed25519_dalek::VerifyingKey),
    /// An uncompressed point.
    Ec(Vec<u8>),
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
}

impl TokenKeys {
    /// Reads a JWK Set or a PEM public key. RSA keys that name no algorithm are for `rsa`.
    pub fn parse(text: &str, rsa: Option<TokenAlgorithm>) -> Result<Self, KeyError> {
        let form = |reason: &str| KeyError::Form(reason.to_owned());
        if text.len() > MAX_KEYS_BYTES {
            return Err(form(&format!("at most {MAX_KEYS_BYTES} octets, got {}", text.len())));
        }
        if pem::is_pem(text.as_bytes()) {
            return Self::parse_pem(text, rsa);
        }
        let set = json::object(text.as_bytes()).map_err(|error| form(&error))?;
        let list = set.get("keys").and_then(Value::as_array).ok_or_else(|| form("want {\"keys\": [...]}"))?;
        if list.is_empty() || list.len() > MAX_KEYS {
            return Err(form(&format!("1 to {MAX_KEYS} keys, got {}", list.len())));
        }
        let mut keys: Vec<TokenKey> = Vec::new();
        for (number, jwk) in list.iter().enumerate() {
            let kid = jwk.get("kid").and_then(Value::as_str).map(str::to_owned);
            let name = kid.clone().unwrap_or_else(|| number.to_string());
            let bad = |reason: &str| KeyError::Key { name: name.clone(), reason: reason.to_owned() };
            if jwk.get("use").is_some_and(|of| of.as_str() != Some("sig")) {
                return Err(bad("it is not for signatures"));
            }
            if list.len() > 1 && kid.is_none() {
                return Err(bad("one of several keys needs a kid"));
            }
            if keys.iter().any(|key| key.kid == kid) {
                return Err(bad("that kid occurs twice"));
            }
            let material = Material::of_jwk(jwk).map_err(|error| bad(&error))?;
            let named = jwk.get("alg").and_then(Value::as_str);
            let algorithm = material.algorithm(named, rsa).map_err(|error| bad(&error))?;
            keys.push(TokenKey { kid, algorithm, material });
        }
        Ok(Self { keys })
    }

    fn parse_pem(text: &str, rsa: Option<TokenAlgorithm>) -> Result<Self, KeyError> {
        let blocks = pem::blocks(text.as_bytes()).map_err(|error| KeyError::Form(error.to_owned()))?;
        let [block] = blocks.as_slice() else {
            return Err(KeyError::Form(format!("want one PEM block, got {}", blocks.len())));
        };
        if block.label != "PUBLIC KEY" {
            return Err(KeyError::Form(format!("want PUBLIC KEY, got {}", block.label)));
        }
        let bad = |reason: String| KeyError::Key { name: "in PEM".to_owned(), reason };
        let material = Material::of_spki(&block.der).map_err(bad)?;
        let algorithm = material.algorithm(None, rsa).map_err(bad)?;
        Ok(Self { keys: vec![TokenKey { kid: None, algorithm, material }] })
    }

    /// The key of this name. Without names there must be no choice: one key, and it has none or the token has none.
    pub(in crate::verifier) fn find(&self, kid: Option<&[u8]>) -> Option<&TokenKey> {
        match (kid, self.keys.as_slice()) {
            (None, [one]) => Some(one),
            (Some(_), [one]) if one.kid.is_none() => Some(one),
            (None, _) => None,
            (Some(kid), keys) => keys.iter().find(|key| key.is_named(kid)),
        }
    }

    /// SHA-256 of each key, whatever it is called.
    pub(in crate::verifier) fn fingerprints(&self) -> impl Iterator<Item = [u8; 32]> {
        self.keys.iter().map(|key| key.material.fingerprint())
    }
}

impl TokenKey {
    pub(in crate::verifier) const fn algorithm(&self) -> TokenAlgorithm {
        self.algorithm
    }

    /// COSE names a key by octets, JOSE by text: theirs, or base64url of them.
    fn is_named(&self, kid: &[u8]) -> bool {
        self.kid.as_ref().is_some_and(|own| own.as_bytes() == kid || *own == BASE64URL_NOPAD.encode(kid))
    }

    pub(in crate::verifier) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match (&self.material, self.algorithm) {
            (Material::Ed25519(key), TokenAlgorithm::EdDsa) => {
                ed25519_dalek::Signature::from_slice(signature)
                    .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok())
            }
            (Material::Ec(point), TokenAlgorithm::Es256) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature).is_ok()
            }
            (Material::Ec(point), TokenAlgorithm::Es384) => {
                UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point).verify(message, signature).is_ok()
            }
            (Material::Rsa { n, e }, algorithm) => algorithm.rsa().is_some_and(|parameters| {
                RsaPublicKeyComponents { n, e }.verify(parameters, message, signature).is_ok()
            }),
            _ => false,
        }
    }
}

impl Material {
    fn of_jwk(jwk: &Value) -> Result<Self, String> {
        let octets = |name: &str| {
            let text = jwk.get(name).and_then(Value::as_str).ok_or_else(|| format!("{name} is missing"))?;
            BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| format!("{name} is not base64url"))
        };
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        if jwk.get("d").is_some() || jwk.get("k").is_some() {
            return Err("it is secret: a policy is public to its readers".to_owned());
        }
        match (text("kty"), text("crv")) {
            (Some("OKP"), Some("Ed25519")) => {
                let octets: [u8; 32] = octets("x")?.try_into().map_err(|_| "want 32 octets")?;
                Self::of_ed25519(&octets)
            }
            (Some("EC"), Some(curve @ ("P-256" | "P-384"))) => {
                let point = [vec![4], octets("x")?, octets("y")?].concat();
                let want = if curve == "P-256" { 65 } else { 97 };
                if point.len() == want { Ok(Self::Ec(point)) } else { Err(format!("not a point of {curve}")) }
            }
            (Some("RSA"), _) if jwk.get("n").is_some() => Self::of_rsa(octets("n")?, octets("e")?),
            // Some serve the certificate alone. It is pinned as it stands here; nothing else in it counts.
            (Some("RSA" | "EC"), _) => Self::of_certificate(jwk),
            (kty, crv) => Err(format!("kty {kty:?}, crv {crv:?} is not accepted")),
        }
    }

    fn of_certificate(jwk: &Value) -> Result<Self, String> {
        let first = jwk.get("x5c").and_then(|list| list.get(0)).and_then(Value::as_str);
        let der = BASE64.decode(first.ok_or("neither key nor certificate")?.as_bytes());
        let der = der.map_err(|_| "x5c is not base64")?;
        let certificate = x509_cert::Certificate::from_der(&der).map_err(|error| error.to_string())?;
        let spki = certificate.tbs_certificate().subject_public_key_info();
        Self::of_spki(&spki.to_der().map_err(|error| error.to_string())?)
    }

    fn of_spki(der: &[u8]) -> Result<Self, String> {
        let info = SubjectPublicKeyInfoRef::from_der(der).map_err(|error| error.to_string())?;
        let key = info.subject_public_key.as_bytes().ok_or("the key is not whole octets")?;
        match info.algorithm.oid.to_string().as_str() {
            "1.3.101.112" => Self::of_ed25519(key.try_into().map_err(|_| "want 32 octets")?),
            // The length of the point says which curve; others have other lengths or other first octets.
            "1.2.840.10045.2.1" if matches!(key, [4, ..]) && matches!(key.len(), 65 | 97) => {
                Ok(Self::Ec(key.to_vec()))
            }
            "1.2.840.113549.1.1.1" => {
                let mut reader = SliceReader::new(key).map_err(|error| error.to_string())?;
                let parts = reader.sequence(|inner| {
                    let n = UintRef::decode(inner)?.as_bytes().to_vec();
                    let e = UintRef::decode(inner)?.as_bytes().to_vec();
                    Ok::<_, x509_cert::der::Error>((n, e))
                });
                let (n, e) = parts.map_err(|error| error.to_string())?;
                Self::of_rsa(n, e)
            }
            other => Err(format!("key type {other} is not accepted")),
        }
    }

    fn of_ed25519(octets: &[u8; 32]) -> Result<Self, String> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(octets).map_err(|error| error.to_string())?;
        if key.is_weak() { Err("a key of small order".to_owned()) } else { Ok(Self::Ed25519(key)) }
    }

    fn of_rsa(n: Vec<u8>, e: Vec<u8>) -> Result<Self, String> {
        if !(256..=1024).contains(&n.len()) || n.first() == Some(&0) || e.is_empty() || e.len() > 8 {
            return Err(format!("want RSA of 2048 to 8192 bits, got {} octets", n.len()));
        }
        Ok(Self::Rsa { n, e })
    }

    /// What the key is for: a curve has one algorithm, RSA the one that is named.
    fn algorithm(&self, named: Option<&str>, rsa: Option<TokenAlgorithm>) -> Result<TokenAlgorithm, String> {
        let own = match self {
            Self::Ed25519(_) => TokenAlgorithm::EdDsa,
            Self::Ec(point) if point.len() == 65 => TokenAlgorithm::Es256,
            Self::Ec(_) => TokenAlgorithm::Es384,
            Self::Rsa { .. } => {
                let named = named.map(|name| TokenAlgorithm::of_name(name).ok_or(name)).transpose();
                let named = named.map_err(|name| format!("alg {name:?} is not accepted"))?;
                let chosen = named.or(rsa).ok_or("an RSA key must say its alg, or the policy beside it")?;
                return if chosen.rsa().is_some() {
                    Ok(chosen)
                } else {
                    Err(format!("{} is not for RSA", chosen.name()))
                };
            }
        };
        match named {
            Some(name) if name != own.name() => {
                Err(format!("alg is {name:?}, the key is for {}", own.name()))
            }
            _ => Ok(own),
        }
    }

    fn fingerprint(&self) -> [u8; 32] {
        match self {
            Self::Ed25519(key) => Sha256::digest(key.as_bytes()).into(),
            Self::Ec(point) => Sha256::digest(point).into(),
            Self::Rsa { n, e } => Sha256::new().chain_update(n).chain_update(e).finalize().into(),
        }
    }
}
