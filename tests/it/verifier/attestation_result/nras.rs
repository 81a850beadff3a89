//! The real bundle of NVIDIA's service, and one of the same claims under a test key, wrong in one point at a time.

use std::collections::BTreeSet;

use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use treering::verifier::{ATTESTATION_RESULT_BUNDLE, NVIDIA_GPU, Status, digest_of, fingerprint};

use super::{BINDING, NOW, case_of, external, signer};
use crate::verifier::{
    Case, assert_affirming, assert_refused, failed, main, no_flipped_bit_is_accepted, read, vectors,
};

/// The key that the two signatures of the bundle determine (ECDSA lets the key be computed up to a sign from each).
const NRAS_KEY: &str = r#"{"keys":[{"kty":"EC","crv":"P-384","kid":"nv-eat-kid-prod-20250609211310110-93b13aa1-17e4-4c14-9d33-dba2323329f2","x":"SxcafsuCx2kYrk2OvoKU8qXKcQ2blXApum6dljy5su8zKVdXqO3WN3sGU5aI7duV","y":"ZkueLsZQyl7RvE7DzVShOVtQESioynTYLMc78rLJ28hO31w5aRyiUQnE2dwQ9nky"}]}"#;
const NRAS_NOW: u64 = 1_749_601_900;

fn nras() -> Option<Case> {
    let path = vectors()?.join("evidence/nvidia/attestation-sdk/hopperClaimsv3_detached_eat.json");
    let bundle: Value = serde_json::from_slice(&read(path)).unwrap();
    let more = "require_reference_value = false";
    let rules = external("https://nras.attestation.nvidia.com", "nvidia-nras", "nvidia-gpu", NRAS_KEY, more);
    Some(Case { now: NRAS_NOW, ..case_of(ATTESTATION_RESULT_BUNDLE, bundle.to_string(), &rules) })
}

#[test]
fn the_real_bundle_of_nras_is_accepted_at_its_instant() {
    let Some(case) = nras() else { return };
    let appraisal = case.appraise();
    assert_affirming("nras", &appraisal);
    let component = main(&appraisal);
    assert_eq!((component.tee(), component.generation()), ("nvidia-gpu", Some("gh100")));
    assert_eq!(component.vector().executables, 2);
    let later = Case { now: 1_749_605_458, policy: case.policy.clone(), ..case.clone() };
    assert_refused(&later.appraise(), "validity");
    // As the service wrote it, with white space: the bundle is not signed, so it has one spelling here.
    let path = vectors().unwrap().join("evidence/nvidia/attestation-sdk/hopperClaimsv3_detached_eat.json");
    assert_refused(&case.with_octets(read(path)).appraise(), "format");
    // The overall token names another device's token.
    let mut bundle: Value = serde_json::from_slice(case.octets()).unwrap();
    bundle[1]["GPU-0"] = bundle[0][1].clone();
    assert_refused(&case.with_octets(bundle.to_string().into_bytes()).appraise(), "claims");
    bundle[1]["GPU-1"] = bundle[0][1].clone();
    assert_refused(&case.with_octets(bundle.to_string().into_bytes()).appraise(), "format");
}

#[test]
fn flipped_bits_of_the_real_bundle_are_refused() {
    let Some(case) = nras() else { return };
    let octets = case.octets().to_vec();
    for at in (0..octets.len()).step_by(7) {
        let mut flipped = octets.clone();
        flipped[at] ^= 1 << (at % 8);
        assert!(case.with_octets(flipped).appraise().refusal().is_some(), "octet {at}");
    }
}

#[test]
#[ignore = "soak: every bit of the bundle, two P-384 signatures each"]
fn every_flipped_bit_of_the_real_bundle_is_refused() {
    let Some(case) = nras() else { return };
    no_flipped_bit_is_accepted(&case, 0..case.octets().len());
}

// --- a bundle of ours ---------------------------------------------------------------------------------------------

const ISSUER: &str = "https://nras.attestation.nvidia.com";
const NRAS_TAG: &str = "treering-binding-nvidia-gpu-v1";

fn said() -> Value {
    json!({ "iss": ISSUER, "iat": NOW, "nbf": NOW, "exp": NOW + 300, "jti": "1",
        "eat_nonce": HEXLOWER.encode(&digest_of(NRAS_TAG, &BINDING)) })
}

fn overall() -> Value {
    let mut claims = said();
    claims["sub"] = "NVIDIA-PLATFORM-ATTESTATION".into();
    claims["x-nvidia-ver"] = "3.0".into();
    claims["x-nvidia-overall-att-result"] = true.into();
    claims
}

/// What the service says of a device that is as it should be: every claim of its version 3.
fn device() -> Value {
    let mut claims = said();
    for name in [
        "secboot",
        "x-nvidia-gpu-arch-check",
        "x-nvidia-gpu-attestation-report-parsed",
        "x-nvidia-gpu-attestation-report-nonce-match",
        "x-nvidia-gpu-attestation-report-signature-verified",
        "x-nvidia-gpu-attestation-report-cert-chain-fwid-match",
        "x-nvidia-gpu-vbios-index-no-conflict",
    ] {
        claims[name] = true.into();
    }
    for rim in ["driver", "vbios"] {
        for found in
            ["fetched", "schema-validated", "signature-verified", "version-match", "measurements-available"]
        {
            claims[format!("x-nvidia-gpu-{rim}-rim-{found}")] = true.into();
        }
    }
    for chain in ["attestation-report", "driver-rim", "vbios-rim"] {
        claims[format!("x-nvidia-gpu-{chain}-cert-chain")] = json!({
            "x-nvidia-cert-status": "valid", "x-nvidia-cert-ocsp-status": "good",
            "x-nvidia-cert-expiration-date": "2099-12-31T23:59:59Z", "x-nvidia-cert-revocation-reason": null,
        });
    }
    for (name, value) in [
        ("measres", json!("success")),
        ("dbgstat", json!("disabled")),
        ("hwmodel", json!("GH100 A01 GSP BROM")),
        ("ueid", json!("4781763792860821861")),
        ("oemid", json!("5703")),
        ("x-nvidia-gpu-driver-version", json!("550.90.07")),
        ("x-nvidia-gpu-vbios-version", json!("96.00.9F.00.01")),
        ("x-nvidia-attestation-warning", Value::Null),
    ] {
        claims[name] = value;
    }
    claims
}

/// A bundle of these claims, signed; the overall token names the device's.
fn bundle(overall: &Value, device: &Value, more: &str) -> Case {
    let key = signer("ES384");
    let token = key.jwt(device);
    let mut overall = overall.clone();
    let sha256 = HEXLOWER.encode(&fingerprint(token.as_bytes()));
    overall["submods"] = json!({ "GPU-0": ["DIGEST", ["SHA-256", sha256]] });
    let bundle = json!([["JWT", key.jwt(&overall)], { "GPU-0": token }]).to_string();
    let more = format!("require_reference_value = false\n{more}");
    case_of(
        ATTESTATION_RESULT_BUNDLE,
        bundle,
        &external(ISSUER, "nvidia-nras", "nvidia-gpu", &key.jwks(), &more),
    )
}

#[test]
fn a_bundle_of_another_key_is_read_as_the_real_one() {
    let appraisal = bundle(&overall(), &device(), "").appraise();
    assert_affirming("synthetic", &appraisal);
    assert!(appraisal.matches_binding(&BINDING) && !appraisal.matches_binding(&[0; 64]));
    assert_eq!(main(&appraisal).generation(), Some("gh100"));
    assert_eq!(main(&appraisal).tee(), treering_kind(NVIDIA_GPU));
    let Some(vectors) = vectors() else { return };
    let real = read(vectors.join("evidence/nvidia/attestation-sdk/hopperClaimsv3_decoded.json"));
    let real: Value = serde_json::from_slice(&real).unwrap();
    let names = |claims: &Value| -> BTreeSet<String> { leaves(claims).into_iter().collect() };
    assert_eq!(names(&device()), names(&real["GPU-0"]), "the synthetic one has every claim of the real one");
}

/// The kind whose evidence has this type.
fn treering_kind(media_type: &str) -> &'static str {
    treering::verifier::kinds().find(|(_, its)| *its == media_type).unwrap().0
}

/// The place of each claim, also of those inside others.
fn leaves(claims: &Value) -> Vec<String> {
    let each = claims.as_object().unwrap().iter().flat_map(|(name, value)| match value {
        Value::Object(_) => leaves(value).into_iter().map(|inner| format!("/{name}{inner}")).collect(),
        _ => vec![format!("/{name}")],
    });
    each.collect()
}

/// What a claim is not to be: of truths their opposite and something that only looks like it, of words others.
fn wrong(value: &Value) -> Vec<Value> {
    match value {
        Value::Bool(_) => vec![json!(false), json!("true"), Value::Null],
        Value::Null => vec![json!("certificateHold")],
        Value::Number(_) => vec![json!("soon")],
        _ => vec![json!("revoked"), json!(""), Value::Null],
    }
}

/// Every claim about the device, broken one by one: a check refuses it, or it is one of those that are only shown.
#[test]
fn every_claim_of_the_service_about_a_device_counts() {
    const SHOWN: [&str; 8] = [
        "/jti",
        "/ueid",
        "/oemid",
        "/x-nvidia-gpu-driver-version",
        "/x-nvidia-gpu-vbios-version",
        "/x-nvidia-gpu-attestation-report-cert-chain/x-nvidia-cert-expiration-date",
        "/x-nvidia-gpu-driver-rim-cert-chain/x-nvidia-cert-expiration-date",
        "/x-nvidia-gpu-vbios-rim-cert-chain/x-nvidia-cert-expiration-date",
    ];
    let good = device();
    let mut judged = 0;
    for place in leaves(&good) {
        let broken = wrong(good.pointer(&place).unwrap());
        for value in broken {
            let mut claims = good.clone();
            *claims.pointer_mut(&place).unwrap() = value.clone();
            let appraisal = bundle(&overall(), &claims, "").appraise();
            if SHOWN.contains(&place.as_str()) {
                assert_affirming(&place, &appraisal);
                continue;
            }
            let check = match place.as_str() {
                "/iss" | "/iat" | "/nbf" | "/exp" | "/eat_nonce" => "claims",
                // The word is a name, and any will do; it is a name, though.
                "/hwmodel" | "/dbgstat" if value.is_null() => "claims",
                "/hwmodel" => continue,
                "/dbgstat" => "debug",
                _ => "status",
            };
            assert_refused(&appraisal, check);
            if check != "claims" {
                assert_eq!(failed(&appraisal), [check], "{place} {value}: nothing else is wrong");
            }
            judged += 1;
        }
        // Left out.
        if !SHOWN.contains(&place.as_str()) && !good.pointer(&place).unwrap().is_null() {
            let (parent, name) = place.rsplit_once('/').unwrap();
            let mut claims = good.clone();
            claims.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name);
            let left_out = bundle(&overall(), &claims, "").appraise();
            // From when it counts the overall token says, too; an age both must have.
            assert_eq!(left_out.refusal().is_none(), place == "/nbf", "{place}");
        }
    }
    assert!(judged > 70, "{judged}");
}

#[test]
fn the_overall_result_and_whole_chains_are_asked_for() {
    for value in [json!(false), json!("true"), Value::Null] {
        let mut claims = overall();
        claims["x-nvidia-overall-att-result"] = value;
        let appraisal = bundle(&claims, &device(), "").appraise();
        assert_refused(&appraisal, "status");
    }
    for chain in ["attestation-report", "driver-rim", "vbios-rim"] {
        let name = format!("x-nvidia-gpu-{chain}-cert-chain");
        let mut claims = device();
        claims.as_object_mut().unwrap().remove(&name);
        assert_refused(&bundle(&overall(), &claims, "").appraise(), "status");
        // A certificate on hold: the service's own policy may let it pass, with an overall result of true.
        let mut held = device();
        held[&name]["x-nvidia-cert-ocsp-status"] = "revoked".into();
        held[&name]["x-nvidia-cert-revocation-reason"] = "certificate_hold".into();
        let appraisal = bundle(&overall(), &held, "").appraise();
        assert_refused(&appraisal, "status");
        assert!(appraisal.refusal().unwrap().to_string().contains("x-nvidia-cert-ocsp-status"), "{chain}");
    }
    let mut warned = device();
    warned["x-nvidia-attestation-warning"] = "an old VBIOS".into();
    assert_refused(&bundle(&overall(), &warned, "").appraise(), "status");
    let allowed = bundle(&overall(), &warned, "allow_warning = true").appraise();
    assert_eq!((allowed.refusal(), allowed.status()), (None, Status::Warning));
}
