//! What the platform's part says (RMM, "CCA platform claims").

use ciborium::Value;

use super::realm::is_hash;
use crate::verifier::cbor::Fields;

/// Claims of a platform, and members of a component.
const MAX_CLAIMS: usize = 12;
const MAX_MEMBERS: usize = 7;
/// Components that are read: firmware has four to ten.
pub(super) const MAX_COMPONENTS: usize = 32;
/// Countersigners of a component.
const MAX_COUNTERSIGNERS: usize = 16;
/// Octets of a configuration, whose form is its vendor's.
const MAX_CONFIG_BYTES: usize = 1024;
/// Octets of a text.
const MAX_TEXT_BYTES: usize = 256;

/// Profiles that say what the claims mean: of 2022, of RMM 1.0, and of the draft of RMM 2.0.
const PROFILE_2022: &str = "http://arm.com/CCA-SSD/1.0.0";
const PROFILE_1: &str = "tag:arm.com,2023:cca_platform#1.0.0";
const PROFILE_2: &str = "tag:arm.com,2024:cca_platform#2.0.0";
/// The one client of a platform's attestation: the Realm Management Security Domain.
const CLIENT_RMSD: u64 = 1;

/// The claims of a platform.
pub(super) struct PlatformClaims {
    pub(super) profile: String,
    pub(super) challenge: Vec<u8>,
    pub(super) implementation_id: [u8; 32],
    pub(super) instance_id: [u8; 33],
    pub(super) config: Vec<u8>,
    pub(super) manufacturing_config: Option<Vec<u8>>,
    pub(super) lifecycle: u64,
    pub(super) components: Vec<Component>,
    pub(super) verification_service: Option<String>,
    pub(super) hash_algorithm: String,
}

/// A component of the platform's firmware.
pub(super) struct Component {
    pub(super) kind: Option<String>,
    pub(super) measurement: Vec<u8>,
    pub(super) version: Option<String>,
    pub(super) signer: Vec<u8>,
    pub(super) hash_algorithm: Option<String>,
    /// Whether it can be replaced while realms run.
    pub(super) live_activation: Option<bool>,
    pub(super) countersigners: Vec<Vec<u8>>,
}

impl PlatformClaims {
    pub(super) fn of(payload: Value) -> Result<Self, String> {
        let mut fields = Fields::of("claims", payload, MAX_CLAIMS)?;
        let profile = fields.text(265, "profile (265)")?;
        let second = profile == PROFILE_2;
        if !second && ![PROFILE_2022, PROFILE_1].contains(&profile.as_str()) {
            return Err(format!("profile {:?} is not known", short(&profile)));
        }
        let config_octets = |length: usize| length <= MAX_CONFIG_BYTES;
        let mut claims = Self {
            profile,
            challenge: fields.octets(10, "challenge (10)", is_hash)?,
            implementation_id: fields.fixed(2396, "implementation id (2396)")?,
            instance_id: fields.fixed(256, "instance id (256)")?,
            config: fields.octets(2401, "config (2401)", config_octets)?,
            manufacturing_config: None,
            lifecycle: fields.number(2395, "lifecycle (2395)")?,
            components: components(fields.list(2399, "software components (2399)")?)?,
            verification_service: fields.maybe_text(2400, "verification service (2400)")?,
            hash_algorithm: fields.text(2402, "hash algorithm (2402)")?,
        };
        if claims.instance_id.first() != Some(&1) {
            return Err("the instance id does not begin with 0x01 (RAND)".to_owned());
        }
        if second {
            claims.manufacturing_config =
                fields.maybe_octets(2403, "manufacturing config (2403)", config_octets)?;
            if fields.number(2394, "client id (2394)")? != CLIENT_RMSD {
                return Err("the client id is not that of the RMSD (1)".to_owned());
            }
            if fields.take(2404).is_some() {
                return Err("platform extensions (2404) are not appraised here".to_owned());
            }
        }
        let texts = [claims.verification_service.as_ref(), Some(&claims.hash_algorithm)];
        check_texts(texts)?;
        fields.end()?;
        Ok(claims)
    }
}

fn components(items: Vec<Value>) -> Result<Vec<Component>, String> {
    if items.is_empty() || items.len() > MAX_COMPONENTS {
        return Err(format!("1 to {MAX_COMPONENTS} software components, got {}", items.len()));
    }
    items.into_iter().map(Component::of).collect()
}

impl Component {
    fn of(item: Value) -> Result<Self, String> {
        let mut fields = Fields::of("members of a software component", item, MAX_MEMBERS)?;
        let live_activation = match fields.take(7) {
            None => None,
            Some(Value::Bool(supported)) => Some(supported),
            Some(_) => return Err("live activation (7) is true or false".to_owned()),
        };
        let countersigners = match fields.take(8) {
            None => Vec::new(),
            Some(Value::Array(items)) if (1..=MAX_COUNTERSIGNERS).contains(&items.len()) => {
                items.into_iter().map(countersigner).collect::<Result<_, _>>()?
            }
            Some(_) => return Err(format!("countersigners (8) are a list of 1 to {MAX_COUNTERSIGNERS}")),
        };
        let component = Self {
            kind: fields.maybe_text(1, "component type (1)")?,
            measurement: fields.octets(2, "measurement (2)", is_hash)?,
            version: fields.maybe_text(4, "version (4)")?,
            signer: fields.octets(5, "signer (5)", is_hash)?,
            hash_algorithm: fields.maybe_text(6, "hash algorithm (6)")?,
            live_activation,
            countersigners,
        };
        check_texts([&component.kind, &component.version, &component.hash_algorithm].map(Option::as_ref))?;
        fields.end()?;
        Ok(component)
    }
}

fn countersigner(item: Value) -> Result<Vec<u8>, String> {
    match item {
        Value::Bytes(octets) if is_hash(octets.len()) => Ok(octets),
        _ => Err("a countersigner is a hash".to_owned()),
    }
}

fn check_texts<const N: usize>(texts: [Option<&String>; N]) -> Result<(), String> {
    match texts.into_iter().flatten().find(|text| text.len() > MAX_TEXT_BYTES) {
        Some(text) => Err(format!("a text has at most {MAX_TEXT_BYTES} octets, got {}", text.len())),
        None => Ok(()),
    }
}

/// A text in a message.
pub(super) fn short(text: &str) -> String {
    text.chars().take(60).collect()
}
