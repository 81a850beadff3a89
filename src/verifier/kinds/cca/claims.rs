//! What a token says, as the Attester's claims in the result. Whether it is true, the checks say.

use data_encoding::HEXLOWER;
use serde::Serialize;

use super::platform::Component;
use super::token::Token;

#[derive(Serialize)]
struct Claims<'a> {
    platform_profile: &'a str,
    implementation_id: String,
    instance_id: String,
    lifecycle: String,
    config: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    manufacturing_config: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verification_service: Option<&'a str>,
    hash_algorithm: &'a str,
    components: Vec<ComponentClaims<'a>>,
    realm: Realm<'a>,
}

#[derive(Serialize)]
struct ComponentClaims<'a> {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'a str>,
    measurement: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    signer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hash_algorithm: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    live_activation: Option<bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    countersigners: Vec<String>,
}

#[derive(Serialize)]
struct Realm<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance_id: Option<String>,
    challenge: String,
    personalization: String,
    initial_measurement: String,
    extensible_measurements: Vec<String>,
    hash_algorithm: &'a str,
    public_key: String,
    public_key_hash_algorithm: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_encryption_policy: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    live_activation_policy: Option<&'static str>,
}

/// The claims of a token.
pub(super) fn of(token: &Token) -> serde_json::Value {
    let (platform, realm) = (&token.platform, &token.realm);
    let claims = Claims {
        platform_profile: &platform.profile,
        implementation_id: HEXLOWER.encode(&platform.implementation_id),
        instance_id: HEXLOWER.encode(&platform.instance_id),
        lifecycle: format!("{:#x}", platform.lifecycle),
        config: HEXLOWER.encode(&platform.config),
        manufacturing_config: platform.manufacturing_config.as_ref().map(|octets| HEXLOWER.encode(octets)),
        verification_service: platform.verification_service.as_deref(),
        hash_algorithm: &platform.hash_algorithm,
        components: platform.components.iter().map(component).collect(),
        realm: Realm {
            profile: realm.profile.as_deref(),
            instance_id: realm.instance_id.map(|id| HEXLOWER.encode(&id)),
            challenge: HEXLOWER.encode(&realm.challenge),
            personalization: HEXLOWER.encode(&realm.personalization),
            initial_measurement: HEXLOWER.encode(&realm.initial_measurement),
            extensible_measurements: realm
                .extensible_measurements
                .iter()
                .map(|octets| HEXLOWER.encode(octets))
                .collect(),
            hash_algorithm: &realm.hash_algorithm,
            public_key: HEXLOWER.encode(&realm.public_key),
            public_key_hash_algorithm: &realm.public_key_hash_algorithm,
            memory_encryption_policy: realm
                .memory_encryption_policy
                .map(|_| if realm.has_private_context() { "private" } else { "shared" }),
            live_activation_policy: realm
                .live_activation_policy
                .map(|policy| if policy == 0 { "disallow" } else { "allow" }),
        },
    };
    // Texts and numbers always become JSON.
    serde_json::to_value(claims).unwrap_or_default()
}

fn component(component: &Component) -> ComponentClaims<'_> {
    ComponentClaims {
        kind: component.kind.as_deref(),
        measurement: HEXLOWER.encode(&component.measurement),
        version: component.version.as_deref(),
        signer: HEXLOWER.encode(&component.signer),
        hash_algorithm: component.hash_algorithm.as_deref(),
        live_activation: component.live_activation,
        countersigners: component.countersigners.iter().map(|octets| HEXLOWER.encode(octets)).collect(),
    }
}
