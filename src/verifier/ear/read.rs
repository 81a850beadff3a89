//! Reading an EAR: of the draft that we write, and of the older profiles that Veraison and Trustee still write.

use std::collections::BTreeMap;

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Map, Value};

use super::labels::VECTOR;
use super::{PROFILE, tier};
use crate::verifier::appraisal::Status;
use crate::verifier::jose::texts;

/// Submodules in one result: as many as evidence has items.
const MAX_SUBMODS: usize = 16;

/// Which document a result follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EarProfile {
    /// draft-ietf-rats-ear-04.
    Draft04,
    /// The first one, with dots in its names, as Veraison writes it.
    Veraison,
    /// The same as Confidential Containers' Trustee writes it.
    Trustee,
}

impl EarProfile {
    const ALL: [Self; 3] = [Self::Draft04, Self::Veraison, Self::Trustee];

    /// The `eat_profile`.
    pub const fn uri(self) -> &'static str {
        match self {
            Self::Draft04 => PROFILE,
            Self::Veraison => "tag:github.com,2023:veraison/ear",
            Self::Trustee => "tag:github.com,2024:confidential-containers/Trustee",
        }
    }

    /// How the profile names the claim.
    fn claim(self, name: &'static str) -> &'static str {
        if self == Self::Draft04 {
            return name;
        }
        match name {
            "ear_verifier_id" => "ear.verifier-id",
            "ear_status" => "ear.status",
            "ear_trustworthiness_vector" => "ear.trustworthiness-vector",
            "ear_attester_claims" => "ear.veraison.annotated-evidence",
            "ear_verifier_claims" => "ear.veraison.policy-claims",
            other => other,
        }
    }
}

/// A result, read. That it is signed and of this time, its reader has verified.
#[derive(Debug, Clone, PartialEq)]
pub struct Ear {
    /// Which document it follows.
    pub profile: EarProfile,
    /// When it was issued, Unix seconds.
    pub issued_at: u64,
    /// Who made the Verifier.
    pub developer: String,
    /// Which build of it.
    pub build: String,
    /// The overall status: as stated, or else the worst of the submodules.
    pub status: Status,
    /// The nonces that the Verifier was given.
    pub nonces: Vec<Vec<u8>>,
    /// The appraisals by name.
    pub submods: BTreeMap<String, EarSubmod>,
}

/// The appraisal of one submodule.
#[derive(Debug, Clone, PartialEq)]
pub struct EarSubmod {
    /// Its status.
    pub status: Status,
    /// AR4SI values in the order of their numbers; 0 where nothing is claimed.
    pub vector: [i8; 8],
    /// The policies it was appraised by.
    pub policy_ids: Vec<String>,
    /// The nonces in the evidence.
    pub nonces: Vec<Vec<u8>>,
    /// On the word of the Attester: an object, or null.
    pub(in crate::verifier) attester_claims: Value,
    /// On the word of the Verifier: an object, or null.
    pub(in crate::verifier) verifier_claims: Value,
}

impl Ear {
    /// Reads claims, named as in JSON.
    pub(in crate::verifier) fn read(claims: &Value) -> Result<Self, String> {
        let uri = text(claims, "eat_profile")?;
        let profile = EarProfile::ALL.into_iter().find(|profile| profile.uri() == uri);
        let profile = profile.ok_or_else(|| format!("profile {uri:?} is not known here"))?;
        let issued_at = claims.get("iat").and_then(Value::as_u64).ok_or("iat is not a whole number")?;
        let verifier = claims.get(profile.claim("ear_verifier_id")).ok_or("no verifier is named")?;
        let submods = claims.get("submods").and_then(Value::as_object).ok_or("there are no submodules")?;
        if submods.is_empty() || submods.len() > MAX_SUBMODS {
            return Err(format!("1 to {MAX_SUBMODS} submodules, got {}", submods.len()));
        }
        let read = |(name, value): (&String, &Value)| {
            let submod =
                EarSubmod::read(profile, value).map_err(|error| format!("submodule {name:?}: {error}"));
            submod.map(|submod| (name.clone(), submod))
        };
        let submods: BTreeMap<String, EarSubmod> = submods.iter().map(read).collect::<Result<_, _>>()?;
        let worst = submods.values().map(|submod| submod.status).max().unwrap_or(Status::Contraindicated);
        let stated = status(claims, profile)?.unwrap_or(worst);
        if stated != Status::None && stated < worst {
            return Err(format!("it states {} over a submodule that is {}", stated.name(), worst.name()));
        }
        Ok(Self {
            profile,
            issued_at,
            developer: text(verifier, "developer")?.to_owned(),
            build: text(verifier, "build")?.to_owned(),
            status: stated.max(worst),
            nonces: nonces(claims)?,
            submods,
        })
    }
}

impl EarSubmod {
    fn read(profile: EarProfile, value: &Value) -> Result<Self, String> {
        let status = status(value, profile)?.ok_or("it has no status")?;
        let vector = match value.get(profile.claim("ear_trustworthiness_vector")) {
            None => [0; 8],
            Some(vector) => vector_of(vector.as_object().ok_or("the vector is no object")?)?,
        };
        let worst = vector.iter().copied().map(tier).max().unwrap_or(Status::None);
        if status < worst {
            return Err(format!("it states {} over a vector that is {}", status.name(), worst.name()));
        }
        let claims = |name| match value.get(profile.claim(name)) {
            None => Ok(Value::Null),
            Some(claims) if claims.is_object() => Ok(claims.clone()),
            Some(_) => Err(format!("{name} is no object")),
        };
        let policies = match profile {
            EarProfile::Draft04 => texts(value, "ear_appraisal_policy_ids")?,
            EarProfile::Veraison | EarProfile::Trustee => texts(value, "ear.appraisal-policy-id")?,
        };
        Ok(Self {
            status,
            vector,
            policy_ids: policies.into_iter().map(str::to_owned).collect(),
            nonces: nonces(value)?,
            attester_claims: claims("ear_attester_claims")?,
            verifier_claims: claims("ear_verifier_claims")?,
        })
    }
}

fn vector_of(claims: &Map<String, Value>) -> Result<[i8; 8], String> {
    if claims.is_empty() {
        return Err("the vector is empty".to_owned());
    }
    let mut vector = [0; 8];
    for (name, value) in claims {
        let at = VECTOR.iter().position(|known| known == name);
        let slot =
            at.and_then(|at| vector.get_mut(at)).ok_or_else(|| format!("{name:?} is no claim of AR4SI"))?;
        let value = value.as_i64().and_then(|value| i8::try_from(value).ok());
        *slot = value.ok_or_else(|| format!("{name} is not a number of -128 to 127"))?;
    }
    Ok(vector)
}

fn status(value: &Value, profile: EarProfile) -> Result<Option<Status>, String> {
    match value.get(profile.claim("ear_status")) {
        None => Ok(None),
        Some(stated) => {
            let known = stated.as_str().and_then(Status::of_name);
            known.map(Some).ok_or_else(|| format!("{stated} is no status"))
        }
    }
}

/// Nonces in base64url. Some Verifiers pad it; they are signed as they stand.
fn nonces(value: &Value) -> Result<Vec<Vec<u8>>, String> {
    let decode = |text: &str| {
        let octets = BASE64URL_NOPAD.decode(text.trim_end_matches('=').as_bytes());
        octets.ok().filter(|octets| super::NONCE_BYTES.contains(&octets.len()))
    };
    let read =
        |text: &str| decode(text).ok_or_else(|| "eat_nonce is not base64url of 8 to 64 octets".to_owned());
    texts(value, "eat_nonce")?.into_iter().map(read).collect()
}

fn text<'a>(value: &'a Value, name: &str) -> Result<&'a str, String> {
    value.get(name).and_then(Value::as_str).ok_or_else(|| format!("{name} is not text"))
}
