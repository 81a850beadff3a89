//! The sections `[[issuer]]` and `[[issuer.anchor]]`: third parties whose statements are registered.

use serde::{Deserialize, Serialize};
use treering_provenance::bytes::Bytes;
use treering_provenance::content::{IssuerAnchor, RegisteredIssuer};
use treering_provenance::cose::{Algorithm, VerifyingKey};
use treering_provenance::statement::{Kind, StatementError};

use super::ConfigError;

/// A third party whose statements are registered.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    /// The `iss` of its statements.
    pub iss: String,
    /// Its public key: a COSE_Key in base64url. It has one, or trust anchors, or both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The kinds it may register.
    pub kinds: Vec<String>,
    /// Whether it may register plain payloads, which everybody can read for ever.
    #[serde(default)]
    pub public: bool,
    /// Whether its ECDSA signatures may have a high S, as half of those that most libraries make have.
    #[serde(default)]
    pub high_s: bool,
    /// CAs that certify its keys: its statements carry certificates (`x5chain`) that lead to one of them.
    #[serde(default, rename = "anchor", skip_serializing_if = "Vec::is_empty")]
    pub anchors: Vec<Anchor>,
}

/// A CA that certifies an issuer's keys.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anchor {
    /// Its certificate, PEM, in the file itself: it goes into the registration policy, for everybody to read.
    pub certificate: String,
    /// The subject alternative name, a URI or a DNS name, that the issuer's certificates have; without it, `iss`.
    pub name: Option<String>,
}

impl Issuer {
    /// The issuer as the registration policy has it.
    pub fn registered(&self) -> Result<RegisteredIssuer, ConfigError> {
        let bad = |reason: String| ConfigError::Rule(format!("issuer `{}`: {reason}", self.iss));
        if self.key.is_none() && self.anchors.is_empty() {
            return Err(bad("want a key, or an [[issuer.anchor]]".to_owned()));
        }
        let mut keys = Vec::new();
        if let Some(text) = &self.key {
            let key = data_encoding::BASE64URL_NOPAD.decode(text.as_bytes());
            let key = key.map_err(|_| bad("its key is not base64url".to_owned()))?;
            VerifyingKey::from_cose_key(&key).map_err(|error| bad(error.to_string()))?;
            keys.push(Bytes(key));
        }
        let anchor = |anchor: &Anchor| {
            let pem = pem_rfc7468::decode_vec(anchor.certificate.as_bytes());
            match pem {
                Ok(("CERTIFICATE", der)) => Ok(IssuerAnchor {
                    certificate: Bytes(der),
                    name: anchor.name.clone().unwrap_or_else(|| self.iss.clone()),
                }),
                _ => Err(bad("the certificate of an anchor is not one in PEM".to_owned())),
            }
        };
        let anchors = self.anchors.iter().map(anchor).collect::<Result<_, _>>()?;
        let kinds: Result<Vec<Kind>, StatementError> = self.kinds.iter().map(|kind| kind.parse()).collect();
        let kinds = kinds.map_err(|error| bad(error.to_string()))?;
        let (iss, public, high_s) = (self.iss.clone(), self.public, self.high_s);
        Ok(RegisteredIssuer { iss, kinds, keys, public, anchors, high_s })
    }
}

/// Whether an issuer can have a P-384 key: it has one, or may have one certified. ES384 is in the policy for those.
pub(super) fn may_sign_es384(issuer: &RegisteredIssuer) -> bool {
    let keys = issuer.verifying_keys().unwrap_or_default();
    !issuer.anchors.is_empty() || keys.iter().any(|key| key.algorithm() == Algorithm::Es384)
}
