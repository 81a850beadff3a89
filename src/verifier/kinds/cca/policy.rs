//! What the appraisal policy may ask of a CCA platform and a realm, and whose platforms it trusts.

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER_PERMISSIVE};
use serde::Deserialize;
use treering_provenance::cose::{Algorithm, VerifyingKey};

use super::platform::PlatformClaims;
use crate::verifier::pem;
use crate::verifier::policy::{Hex, Id, NamedBy, hex};

const IMPLEMENTATION_BYTES: usize = 32;
const INSTANCE_BYTES: usize = 33;

/// The section `[cca]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::verifier) struct Policy {
    pub(in crate::verifier) require_reference_value: bool,
    pub(super) require_platform_reference: bool,
    #[serde(rename = "implementation_ids")]
    pub(super) implementations: Vec<Hex<IMPLEMENTATION_BYTES>>,
    #[serde(rename = "platform_key")]
    pub(super) platform_keys: Vec<PlatformKey>,
    #[serde(rename = "machine")]
    pub(super) machines: NamedBy<InstanceId>,
}

/// Fail closed: what a policy does not say is strict, as far as strictness needs no value of the owner's.
impl Default for Policy {
    fn default() -> Self {
        Self {
            require_reference_value: true,
            require_platform_reference: true,
            implementations: Vec::new(),
            platform_keys: Vec::new(),
            machines: NamedBy::default(),
        }
    }
}

/// A platform attestation key (CPAK) that is trusted, for all platforms or for those named.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "KeyText")]
pub(super) struct PlatformKey {
    pub(super) name: String,
    instance_id: Option<Hex<INSTANCE_BYTES>>,
    implementation_id: Option<Hex<IMPLEMENTATION_BYTES>>,
    pub(super) key: VerifyingKey,
}

impl PlatformKey {
    /// Whether it is for the platform that these claims name.
    pub(super) fn is_for(&self, platform: &PlatformClaims) -> bool {
        self.instance_id.as_ref().is_none_or(|id| **id == platform.instance_id)
            && self.implementation_id.as_ref().is_none_or(|id| **id == platform.implementation_id)
    }

    pub(super) fn may_be_for_implementation(&self, allowed: &[Hex<IMPLEMENTATION_BYTES>]) -> bool {
        self.implementation_id.as_ref().is_none_or(|id| allowed.contains(id))
    }

    pub(super) fn may_be_for_machine(&self, machines: &NamedBy<InstanceId>) -> bool {
        self.instance_id.as_ref().is_none_or(|id| machines.with(&**id).is_some())
    }
}

/// The instance id of a platform that may run the workload.
#[derive(Debug, Clone)]
pub(super) enum InstanceId {}

impl Id for InstanceId {
    const KEY: &'static str = "instance_id";

    fn read(text: &str) -> Result<Vec<u8>, String> {
        hex(text, INSTANCE_BYTES..=INSTANCE_BYTES)
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyText {
    name: String,
    instance_id: Option<Hex<INSTANCE_BYTES>>,
    implementation_id: Option<Hex<IMPLEMENTATION_BYTES>>,
    spki: Option<String>,
    cose_key: Option<String>,
    jwk: Option<Jwk>,
}

/// A public key of RFC 7517. One with a private part is refused, as every unknown member is.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Jwk {
    kty: String,
    crv: String,
    x: String,
    y: String,
    #[serde(default, rename = "kid")]
    _kid: Option<String>,
    #[serde(default, rename = "alg")]
    _alg: Option<String>,
    #[serde(default, rename = "use")]
    _use: Option<String>,
}

impl TryFrom<KeyText> for PlatformKey {
    type Error = String;

    fn try_from(text: KeyText) -> Result<Self, String> {
        let bad = |reason: String| format!("platform_key {:?}: {reason}", text.name);
        let key = match (&text.spki, &text.cose_key, &text.jwk) {
            (Some(spki), None, None) => self::spki(spki),
            (None, Some(key), None) => HEXLOWER_PERMISSIVE
                .decode(key.as_bytes())
                .map_err(|_| "cose_key is not hex".to_owned())
                .and_then(|octets| VerifyingKey::from_cose_key(&octets).map_err(|error| error.to_string())),
            (None, None, Some(jwk)) => jwk.read(),
            _ => Err("want one of spki, cose_key and jwk".to_owned()),
        };
        let key = key.map_err(bad)?;
        if !matches!(key.algorithm(), Algorithm::Es256 | Algorithm::Es384) {
            return Err(bad("want a key of P-256 or P-384".to_owned()));
        }
        let KeyText { name, instance_id, implementation_id, .. } = text;
        Ok(Self { name, instance_id, implementation_id, key })
    }
}

impl Jwk {
    fn read(&self) -> Result<VerifyingKey, String> {
        let coordinate = |text: &str| {
            BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| "a coordinate is not base64url".to_owned())
        };
        let point = [vec![0x04], coordinate(&self.x)?, coordinate(&self.y)?].concat();
        let key = match (self.kty.as_str(), self.crv.as_str()) {
            ("EC", "P-256") => VerifyingKey::from_p256(&point),
            ("EC", "P-384") => VerifyingKey::from_p384(&point),
            _ => return Err("want a JWK of type EC on P-256 or P-384".to_owned()),
        };
        key.map_err(|error| error.to_string())
    }
}

/// A SubjectPublicKeyInfo in PEM, or in base64.
fn spki(text: &str) -> Result<VerifyingKey, String> {
    let der = if pem::is_pem(text.as_bytes()) {
        let blocks = pem::blocks(text.as_bytes()).map_err(str::to_owned)?;
        match blocks.as_slice() {
            [block] if block.label == "PUBLIC KEY" => block.der.clone(),
            _ => return Err("want one PEM block, PUBLIC KEY".to_owned()),
        }
    } else {
        BASE64.decode(text.as_bytes()).map_err(|_| "spki is neither PEM nor base64".to_owned())?
    };
    VerifyingKey::from_spki(&der).map_err(|error| error.to_string())
}
