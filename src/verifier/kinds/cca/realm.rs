//! What the realm's part says (RMM, "Realm claims"), and the realm's key in it.

use ciborium::Value;
use treering_provenance::cose::{Algorithm, VerifyingKey};

use super::platform::short;
use crate::verifier::cbor::Fields;

/// Claims of a realm.
const MAX_CLAIMS: usize = 12;
/// Profiles: of RMM 1.0, and of the draft of RMM 2.0. Without one, the platform's profile stands for both.
const PROFILE_1: &str = "tag:arm.com,2023:realm#1.0.0";
const PROFILE_2: &str = "tag:arm.com,2024:realm#2.0.0";
/// Octets of an uncompressed point of P-384, as the first tokens had the realm's key, and of any form of it.
const POINT_BYTES: usize = 97;
const MAX_KEY_BYTES: usize = 256;
/// Values of the policies for memory encryption contexts and live firmware activation.
const MEC_PRIVATE: u64 = 1;
const POLICY_VALUES: u64 = 1;

/// The claims of a realm.
pub(super) struct RealmClaims {
    pub(super) profile: Option<String>,
    pub(super) challenge: [u8; 64],
    pub(super) personalization: [u8; 64],
    pub(super) initial_measurement: Vec<u8>,
    pub(super) extensible_measurements: Vec<Vec<u8>>,
    pub(super) hash_algorithm: String,
    /// As it stands there: its hash is the platform's challenge.
    pub(super) public_key: Vec<u8>,
    pub(super) public_key_hash_algorithm: String,
    /// Claims of the second version.
    pub(super) instance_id: Option<[u8; 33]>,
    pub(super) memory_encryption_policy: Option<u64>,
    pub(super) live_activation_policy: Option<u64>,
}

/// Whether a hash may have this many octets.
pub(super) fn is_hash(length: usize) -> bool {
    [32, 48, 64].contains(&length)
}

impl RealmClaims {
    pub(super) fn of(payload: Value) -> Result<Self, String> {
        let mut fields = Fields::of("claims", payload, MAX_CLAIMS)?;
        let profile = fields.maybe_text(265, "profile (265)")?;
        let second = profile.as_deref() == Some(PROFILE_2);
        if let Some(profile) = profile.as_ref().filter(|profile| !second && *profile != PROFILE_1) {
            return Err(format!("profile {:?} is not known", short(profile)));
        }
        let mut claims = Self {
            profile,
            challenge: fields.fixed(10, "challenge (10)")?,
            personalization: fields.fixed(44235, "personalization value (44235)")?,
            initial_measurement: fields.octets(44238, "initial measurement (44238)", is_hash)?,
            extensible_measurements: extensible(fields.list(44239, "extensible measurements (44239)")?)?,
            hash_algorithm: fields.text(44236, "hash algorithm (44236)")?,
            public_key: fields.octets(44237, "public key (44237)", |length| length <= MAX_KEY_BYTES)?,
            public_key_hash_algorithm: fields.text(44240, "hash algorithm of the public key (44240)")?,
            instance_id: None,
            memory_encryption_policy: None,
            live_activation_policy: None,
        };
        if second {
            claims.instance_id = Some(fields.fixed(256, "instance id (256)")?);
            let policy = |value: Option<u64>, name: &str| match value {
                Some(value) if value > POLICY_VALUES => Err(format!("{name} is 0 or 1, got {value}")),
                other => Ok(other),
            };
            let encryption = fields.number(44243, "MEC policy (44243)")?;
            claims.memory_encryption_policy = policy(Some(encryption), "MEC policy (44243)")?;
            let activation = fields.maybe_number(44244, "LFA policy (44244)")?;
            claims.live_activation_policy = policy(activation, "LFA policy (44244)")?;
            if fields.take(44257).is_some() {
                return Err(
                    "devices are assigned to the realm (44257), and are not appraised here".to_owned()
                );
            }
        }
        fields.end()?;
        Ok(claims)
    }

    /// Whether the realm's memory is encrypted under a context of its own.
    pub(super) fn has_private_context(&self) -> bool {
        self.memory_encryption_policy == Some(MEC_PRIVATE)
    }

    /// The realm's attestation key: a COSE_Key, or, where no profile says so, the bare point of the first tokens.
    pub(super) fn key(&self) -> Result<VerifyingKey, String> {
        let octets = self.public_key.as_slice();
        let key = if self.profile.is_none() && octets.len() == POINT_BYTES {
            VerifyingKey::from_p384(octets)
        } else {
            VerifyingKey::from_cose_key(octets)
        };
        let key = key.map_err(|error| error.to_string())?;
        if key.algorithm() == Algorithm::Es384 { Ok(key) } else { Err("not a key of P-384".to_owned()) }
    }
}

fn extensible(items: Vec<Value>) -> Result<Vec<Vec<u8>>, String> {
    let one = |item: Value| match item {
        Value::Bytes(octets) if is_hash(octets.len()) => Ok(octets),
        _ => Err("an extensible measurement is a hash".to_owned()),
    };
    if items.len() != 4 {
        return Err(format!("4 extensible measurements, got {}", items.len()));
    }
    items.into_iter().map(one).collect()
}
