//! A simulated Arm CCA platform: tokens in the form of RMM 2.0, under a platform key of its own.
//!
//! Its implementation id says what it is: a Verifier accepts it only where the configuration pins its key.

use std::sync::Arc;

use ciborium::Value;
use sha2::{Digest, Sha256};
use treering_provenance::cose::sig_structure;

use super::keys::ReportKey;
use super::nitro::{encode, public_key_info};
use super::random;
use crate::attester::{Attestation, Attester, AttesterError, CCA_TOKEN, EvidenceItem};

/// The implementation id of every simulated platform.
pub const IMPLEMENTATION_ID: [u8; 32] = *b"treering-simulated-cca-platform!";
/// The protected header of both parts: ES384 and nothing else.
const PROTECTED: [u8; 4] = [0xa1, 0x01, 0x38, 0x22];
/// CBOR tags of a COSE_Sign1 and of a token.
const TAG_SIGN1: u64 = 18;
const TAG_TOKEN: u64 = 399;
/// Lifecycle state "secured".
const SECURED: u64 = 0x3000;

/// A claim set, in the order in which it is written.
pub type Claims = Vec<(Value, Value)>;

/// A simulated platform: its attestation key (CPAK), and its instance id.
pub struct CcaPlatform {
    key: ReportKey,
    instance_id: [u8; 33],
}

impl std::fmt::Debug for CcaPlatform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let id = data_encoding::HEXLOWER.encode(&self.instance_id);
        f.debug_struct("CcaPlatform").field("instance_id", &id).finish_non_exhaustive()
    }
}

impl CcaPlatform {
    /// Makes a platform.
    pub fn generate() -> Result<Self, AttesterError> {
        let mut instance_id = [1; 33];
        if let Some((_, rest)) = instance_id.split_first_mut() {
            random(rest)?;
        }
        Ok(Self { key: ReportKey::generate()?, instance_id })
    }

    /// Its key as SubjectPublicKeyInfo: what a policy names.
    pub fn key(&self) -> Vec<u8> {
        public_key_info(&self.key)
    }

    /// SHA-256 of the key: what a configuration pins.
    pub fn key_fingerprint(&self) -> [u8; 32] {
        Sha256::digest(self.key()).into()
    }

    /// Its instance id.
    pub fn instance_id(&self) -> [u8; 33] {
        self.instance_id
    }

    /// A realm on this platform.
    pub fn realm(self: &Arc<Self>, image: RealmImage) -> Result<Realm, AttesterError> {
        let mut instance_id = [1; 33];
        if let Some((_, rest)) = instance_id.split_first_mut() {
            random(rest)?;
        }
        Ok(Realm { platform: Arc::clone(self), key: ReportKey::generate()?, image, instance_id })
    }

    /// Signs the platform's part, whatever it is.
    pub fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, AttesterError> {
        sign(&self.key, payload)
    }
}

/// What a realm was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RealmImage {
    /// RIM: the measurement at its creation.
    pub initial_measurement: [u8; 32],
    /// REMs: what it measured since.
    pub extensible_measurements: [[u8; 32]; 4],
    /// RPV: its owner's value.
    pub personalization: [u8; 64],
    /// Whether its memory has an encryption context of its own.
    pub private_encryption: bool,
}

impl RealmImage {
    /// An image that is measured by hashing its octets: the simulation's own rule.
    pub fn of(image: &[u8]) -> Self {
        Self {
            initial_measurement: Sha256::digest(image).into(),
            extensible_measurements: [[0; 32]; 4],
            personalization: [0; 64],
            private_encryption: true,
        }
    }
}

/// A simulated realm, with its attestation key (RAK).
pub struct Realm {
    platform: Arc<CcaPlatform>,
    key: ReportKey,
    image: RealmImage,
    instance_id: [u8; 33],
}

impl std::fmt::Debug for Realm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Realm").field("platform", &self.platform).finish_non_exhaustive()
    }
}

impl Realm {
    /// The platform it runs on.
    pub fn platform(&self) -> &CcaPlatform {
        &self.platform
    }

    /// Its key as a COSE_Key, and the uncompressed point.
    pub fn public_key(&self) -> Result<(Vec<u8>, Vec<u8>), AttesterError> {
        let point = self.key.public_point();
        let coordinates = point.get(1..).unwrap_or_default();
        let (x, y) = coordinates.split_at(coordinates.len() / 2);
        let key = Value::Map(vec![
            (1.into(), 2.into()),
            ((-1).into(), 2.into()),
            ((-2).into(), Value::Bytes(x.to_vec())),
            ((-3).into(), Value::Bytes(y.to_vec())),
        ]);
        Ok((encode(&key)?, point.to_vec()))
    }

    /// The claims of the platform's part.
    pub fn platform_claims(&self) -> Result<Claims, AttesterError> {
        let (key, _) = self.public_key()?;
        let component = |name: &str, octet: u8| {
            Value::Map(vec![
                (1.into(), name.into()),
                (2.into(), Value::Bytes(vec![octet; 32])),
                (4.into(), "1.0.0".into()),
                (5.into(), Value::Bytes(vec![0xee; 32])),
                (6.into(), "sha-256".into()),
            ])
        };
        Ok(vec![
            (265.into(), "tag:arm.com,2024:cca_platform#2.0.0".into()),
            (10.into(), Value::Bytes(Sha256::digest(key).to_vec())),
            (2396.into(), Value::Bytes(IMPLEMENTATION_ID.to_vec())),
            (256.into(), Value::Bytes(self.platform.instance_id.to_vec())),
            (2401.into(), Value::Bytes(vec![0xcf; 4])),
            (2395.into(), SECURED.into()),
            (2399.into(), Value::Array(vec![component("BL", 0xb1), component("RMM", 0xb2)])),
            (2400.into(), "simulated.invalid".into()),
            (2402.into(), "sha-256".into()),
            (2394.into(), 1.into()),
        ])
    }

    /// The claims of the realm's part.
    pub fn realm_claims(&self, challenge: &[u8; 64]) -> Result<Claims, AttesterError> {
        let (key, _) = self.public_key()?;
        let image = &self.image;
        let rems = image.extensible_measurements.iter().map(|value| Value::Bytes(value.to_vec()));
        Ok(vec![
            (265.into(), "tag:arm.com,2024:realm#2.0.0".into()),
            (10.into(), Value::Bytes(challenge.to_vec())),
            (256.into(), Value::Bytes(self.instance_id.to_vec())),
            (44235.into(), Value::Bytes(image.personalization.to_vec())),
            (44238.into(), Value::Bytes(image.initial_measurement.to_vec())),
            (44239.into(), Value::Array(rems.collect())),
            (44236.into(), "sha-256".into()),
            (44237.into(), Value::Bytes(key)),
            (44240.into(), "sha-256".into()),
            (44243.into(), u64::from(image.private_encryption).into()),
        ])
    }

    /// Signs the realm's part, whatever it is.
    pub fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, AttesterError> {
        sign(&self.key, payload)
    }

    /// A token of these claims, signed by platform and realm.
    pub fn token(&self, platform: Claims, realm: Claims) -> Result<Vec<u8>, AttesterError> {
        let platform = self.platform.sign(&encode(&Value::Map(platform))?)?;
        let realm = self.sign(&encode(&Value::Map(realm))?)?;
        token(platform, realm)
    }
}

/// A token of two parts that are signed.
pub fn token(platform: Vec<u8>, realm: Vec<u8>) -> Result<Vec<u8>, AttesterError> {
    let parts = Value::Map(vec![(44234.into(), Value::Bytes(platform)), (44241.into(), Value::Bytes(realm))]);
    encode(&Value::Tag(TAG_TOKEN, Box::new(parts)))
}

impl Attester for Realm {
    fn report(&self, report_data: &[u8; 64]) -> Result<Attestation, AttesterError> {
        let bytes = self.token(self.platform_claims()?, self.realm_claims(report_data)?)?;
        // The platform's key comes by the policy, not along with the evidence.
        Ok(Attestation {
            evidence: vec![EvidenceItem { media_type: CCA_TOKEN, bytes }],
            endorsements: Vec::new(),
            documents: Vec::new(),
        })
    }
}

fn sign(key: &ReportKey, payload: &[u8]) -> Result<Vec<u8>, AttesterError> {
    let signature = key.sign(&sig_structure(&PROTECTED, payload))?;
    let parts = vec![
        Value::Bytes(PROTECTED.to_vec()),
        Value::Map(Vec::new()),
        Value::Bytes(payload.to_vec()),
        Value::Bytes(signature),
    ];
    encode(&Value::Tag(TAG_SIGN1, Box::new(Value::Array(parts))))
}
