//! The claims of an EAR by name and by number (draft-ietf-rats-ear-04): JSON has names, CBOR numbers, and both the same
//! claims. What is inside the claims of Attester and Verifier has names in both.

use ciborium::Value as Cbor;
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Map, Value as Json};

use crate::verifier::appraisal::Status;

/// Where in the result an object stands: which names are numbers there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Top,
    VerifierId,
    Submods,
    Appraisal,
    Vector,
    Claims,
}

const TOP: &[(&str, i64)] = &[
    ("iss", 1),
    ("sub", 2),
    ("aud", 3),
    ("exp", 4),
    ("nbf", 5),
    ("iat", 6),
    ("jti", 7),
    ("eat_nonce", 10),
    ("eat_profile", 265),
    ("submods", 266),
    ("ear_status", 1000),
    ("ear_raw_evidence", 1002),
    ("ear_verifier_id", 1004),
    ("ear_device_topology", 1007),
];
const VERIFIER_ID: &[(&str, i64)] = &[("developer", 0), ("build", 1)];
const APPRAISAL: &[(&str, i64)] = &[
    ("eat_nonce", 10),
    ("eat_profile", 265),
    ("ear_status", 1000),
    ("ear_trustworthiness_vector", 1001),
    ("ear_appraisal_policy_ids", 1003),
    ("ear_attester_claims", 1005),
    ("ear_verifier_claims", 1006),
    ("ear_veraison_key_attestation", -70002),
];
/// The claims of AR4SI, in the order of their numbers from 0 on.
pub(super) const VECTOR: [&str; 8] = [
    "instance-identity",
    "configuration",
    "executables",
    "file-system",
    "hardware",
    "runtime-opaque",
    "storage-opaque",
    "sourced-data",
];
const VECTOR_LABELS: &[(&str, i64)] = &[
    (VECTOR[0], 0),
    (VECTOR[1], 1),
    (VECTOR[2], 2),
    (VECTOR[3], 3),
    (VECTOR[4], 4),
    (VECTOR[5], 5),
    (VECTOR[6], 6),
    (VECTOR[7], 7),
];

impl Place {
    const fn labels(self) -> &'static [(&'static str, i64)] {
        match self {
            Self::Top => TOP,
            Self::VerifierId => VERIFIER_ID,
            Self::Appraisal => APPRAISAL,
            Self::Vector => VECTOR_LABELS,
            Self::Submods | Self::Claims => &[],
        }
    }

    /// Where the value of this claim stands.
    fn below(self, name: &str) -> Self {
        match (self, name) {
            (Self::Top, "ear_verifier_id") => Self::VerifierId,
            (Self::Top, "submods") => Self::Submods,
            (Self::Submods, _) => Self::Appraisal,
            (Self::Appraisal, "ear_trustworthiness_vector") => Self::Vector,
            _ => Self::Claims,
        }
    }
}

/// The number of a status in CBOR.
pub(super) const fn status_number(status: Status) -> i64 {
    match status {
        Status::None => 0,
        Status::Affirming => 2,
        Status::Warning => 32,
        Status::Contraindicated => 96,
    }
}

/// The claims in CBOR.
pub(super) fn to_cbor(claims: &Json) -> Result<Cbor, String> {
    cbor(Place::Top, "", claims)
}

fn cbor(place: Place, name: &str, value: &Json) -> Result<Cbor, String> {
    match (place, name, value) {
        (Place::Top | Place::Appraisal, "ear_status", Json::String(text)) => {
            let status = Status::of_name(text).ok_or_else(|| format!("{text:?} is no status"))?;
            return Ok(Cbor::from(status_number(status)));
        }
        (Place::Top | Place::Appraisal, "eat_nonce", Json::String(text)) => {
            let octets = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| "eat_nonce is not base64url")?;
            return Ok(Cbor::Bytes(octets));
        }
        _ => {}
    }
    let inner = if name.is_empty() { place } else { place.below(name) };
    Ok(match value {
        Json::Null => Cbor::Null,
        Json::Bool(bool) => Cbor::Bool(*bool),
        Json::Number(number) => {
            let whole = number.as_u64().map(Cbor::from).or_else(|| number.as_i64().map(Cbor::from));
            whole.ok_or_else(|| format!("{number} is not a whole number"))?
        }
        Json::String(text) => Cbor::Text(text.clone()),
        Json::Array(list) => {
            Cbor::Array(list.iter().map(|one| cbor(Place::Claims, "-", one)).collect::<Result<_, _>>()?)
        }
        Json::Object(members) => {
            let labels = inner.labels();
            let member = |(name, value): (&String, &Json)| {
                let label = labels.iter().find(|(known, _)| known == name);
                let key = label.map_or_else(|| Cbor::Text(name.clone()), |(_, number)| Cbor::from(*number));
                Ok::<_, String>((key, cbor(inner, name, value)?))
            };
            Cbor::Map(members.iter().map(member).collect::<Result<_, _>>()?)
        }
    })
}

/// A claim by the names that JSON has, from its path in CBOR: `[266].sev-snp[1000]` is `submods.sev-snp.ear_status`.
pub(in crate::verifier) fn name_of_path(path: &str) -> String {
    let (mut place, mut name, mut rest) = (Place::Top, String::new(), path);
    while let Some(first) = rest.chars().next() {
        // Up to the bracket that closes a number, or to what begins the next name.
        let after_first = rest.get(first.len_utf8()..).unwrap_or_default();
        let length = match first {
            '[' => after_first.find(']').map(|at| at.saturating_add(2)),
            _ => after_first.find(['[', '.']).map(|at| at.saturating_add(first.len_utf8())),
        };
        let length = length.unwrap_or(rest.len());
        let (segment, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
        rest = after;
        let number = segment.strip_prefix('[').and_then(|one| one.strip_suffix(']'));
        let label = number.and_then(|number| number.parse::<i64>().ok());
        let known = place.labels().iter().find(|(_, known)| Some(*known) == label).map(|(known, _)| *known);
        let claim = known.unwrap_or_else(|| segment.trim_start_matches('.'));
        if known.is_some() && !name.is_empty() {
            name.push('.');
        }
        name.push_str(known.unwrap_or(if name.is_empty() { claim } else { segment }));
        place = place.below(claim);
    }
    name
}

/// The claims with the names that JSON has for them.
pub(super) fn to_json(claims: &Cbor) -> Result<Json, String> {
    json(Place::Top, "", claims)
}

fn json(place: Place, name: &str, value: &Cbor) -> Result<Json, String> {
    if matches!(place, Place::Top | Place::Appraisal) && name == "ear_status" {
        let number = value.as_integer().and_then(|number| i64::try_from(number).ok());
        let status = [Status::None, Status::Affirming, Status::Warning, Status::Contraindicated]
            .into_iter()
            .find(|status| Some(status_number(*status)) == number);
        return Ok(status.ok_or("ear_status is not 0, 2, 32 or 96")?.name().into());
    }
    let inner = if name.is_empty() { place } else { place.below(name) };
    Ok(match value {
        Cbor::Null => Json::Null,
        Cbor::Bool(bool) => Json::Bool(*bool),
        Cbor::Integer(number) => match i128::from(*number) {
            number if number >= 0 => u64::try_from(number).map_err(|_| "a number beyond 64 bits")?.into(),
            number => i64::try_from(number).map_err(|_| "a number beyond 64 bits")?.into(),
        },
        Cbor::Text(text) => Json::String(text.clone()),
        Cbor::Bytes(octets) => Json::String(BASE64URL_NOPAD.encode(octets)),
        Cbor::Array(list) => {
            Json::Array(list.iter().map(|one| json(Place::Claims, "-", one)).collect::<Result<_, _>>()?)
        }
        Cbor::Map(members) => {
            let mut out = Map::new();
            for (key, value) in members {
                let name = name_of(inner, key)?;
                let value = json(inner, &name, value)?;
                if out.insert(name, value).is_some() {
                    return Err("a claim occurs by name and by number".to_owned());
                }
            }
            Json::Object(out)
        }
        _ => return Err("a value that has no JSON".to_owned()),
    })
}

fn name_of(place: Place, key: &Cbor) -> Result<String, String> {
    match key {
        // What has a number is named by it and not otherwise.
        Cbor::Text(text) if place.labels().iter().any(|(name, _)| name == text) => {
            Err(format!("{text:?} is a number in CBOR"))
        }
        Cbor::Text(text) => Ok(text.clone()),
        Cbor::Integer(number) => {
            let number = i128::from(*number);
            let known = place.labels().iter().find(|(_, label)| i128::from(*label) == number);
            Ok(known.map_or_else(|| number.to_string(), |(name, _)| (*name).to_owned()))
        }
        _ => Err("a claim that is named by neither text nor number".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_in_cbor_have_the_names_of_json() {
        for (path, name) in [
            ("[6]", "iat"),
            ("[1004][1]", "ear_verifier_id.build"),
            ("[266].sev-snp[1000]", "submods.sev-snp.ear_status"),
            ("[266].sev-snp[1001][4]", "submods.sev-snp.ear_trustworthiness_vector.hardware"),
            ("[266].sev-snp[1005].report_data", "submods.sev-snp.ear_attester_claims.report_data"),
            ("[266].sev-snp[1003][0]", "submods.sev-snp.ear_appraisal_policy_ids[0]"),
            ("[3][1]", "aud[1]"),
            (".own", "own"),
            ("[77]", "[77]"),
            ("", ""),
            ("[6", "[6"),
            ("\u{e9}", "\u{e9}"),
        ] {
            assert_eq!(name_of_path(path), name, "{path}");
        }
    }
}
