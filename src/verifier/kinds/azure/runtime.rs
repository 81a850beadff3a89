//! Runtime data of Azure's paravisor: JSON whose SHA-256 is in the report.
//!
//! The hash is over the octets, so nothing in them can be changed, and what is not known here needs no judgement.

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};

use super::super::tpm::key::Key;

/// Octets of it: two keys and a few words have 1.2 KiB.
const MAX_BYTES: usize = 16 * 1024;
/// The name of the vTPM's attestation key.
const ATTESTATION_KEY: &str = "HCLAkPub";

/// What of it matters.
#[derive(Debug)]
pub(super) struct Runtime {
    pub(super) key: Key,
    pub(super) vm: VmConfiguration,
    pub(super) user_data: Option<String>,
}

#[derive(Deserialize)]
struct Json {
    keys: Vec<Jwk>,
    #[serde(rename = "vm-configuration")]
    vm: VmConfiguration,
    #[serde(rename = "user-data")]
    user_data: Option<String>,
}

#[derive(Deserialize)]
struct Jwk {
    kid: String,
    kty: String,
    #[serde(default)]
    key_ops: Vec<String>,
    #[serde(default)]
    n: String,
    #[serde(default)]
    e: String,
}

/// How the VM is set up, in the paravisor's words.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct VmConfiguration {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) console_enabled: Option<bool>,
    /// SHA-256 of a certificate that the paravisor was configured with, base64url.
    #[serde(skip_serializing_if = "Option::is_none")]
    root_cert_thumbprint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) secure_boot: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tpm_enabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tpm_persisted: Option<bool>,
    #[serde(rename = "vmUniqueId", skip_serializing_if = "Option::is_none")]
    vm_unique_id: Option<String>,
}

impl Runtime {
    pub(super) fn read(octets: &[u8]) -> Result<Self, String> {
        if octets.len() > MAX_BYTES {
            return Err(format!("runtime data has at most {MAX_BYTES} octets, got {}", octets.len()));
        }
        let json: Json = serde_json::from_slice(octets).map_err(|error| format!("runtime data: {error}"))?;
        let mut keys = json.keys.iter().filter(|key| key.kid == ATTESTATION_KEY);
        let (Some(jwk), None) = (keys.next(), keys.next()) else {
            return Err(format!("runtime data: want one key {ATTESTATION_KEY}"));
        };
        if jwk.kty != "RSA" || jwk.key_ops != ["sign"] {
            return Err(format!("runtime data: {ATTESTATION_KEY} is not an RSA key for signatures alone"));
        }
        let number = |text: &str| BASE64URL_NOPAD.decode(text.as_bytes());
        let (Ok(modulus), Ok(exponent)) = (number(&jwk.n), number(&jwk.e)) else {
            return Err(format!("runtime data: {ATTESTATION_KEY} is not in base64url"));
        };
        let key = Key::rsa(&modulus, &exponent).map_err(|reason| format!("runtime data: {reason}"))?;
        Ok(Self { key, vm: json.vm, user_data: json.user_data })
    }
}
