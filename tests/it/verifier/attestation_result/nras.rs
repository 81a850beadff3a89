//! The real bundle of NVIDIA's service.

use serde_json::Value;
use treering::verifier::ATTESTATION_RESULT_BUNDLE;

use super::{case_of, external};
use crate::verifier::{
    Case, assert_affirming, assert_refused, main, no_flipped_bit_is_accepted, read, vectors,
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
