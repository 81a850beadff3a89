//! Each format, mapped to one statement, and wrong in one point at a time.

use serde_json::{Value, json};
use treering::verifier::Assurance;

use super::{BINDING, NOW, examples};
use crate::verifier::{assert_affirming, assert_refused, failed, main};

#[test]
fn every_format_is_mapped_to_the_same_statement() {
    for example in examples() {
        let case = example.case(&example.claims, "");
        let appraisal = case.appraise();
        assert_affirming(example.format, &appraisal);
        let appraised = appraisal.clone().into_appraised().unwrap();
        assert_eq!(appraised.tee(), example.tee, "{}", example.format);
        assert_eq!(appraised.assurance(), Assurance::Hardware);
        assert_eq!(main(&appraisal).vector().hardware, 2);
        assert_eq!(main(&appraisal).claim("verifier"), Some("v"), "who vouched is said");
        assert!(appraisal.matches_binding(&BINDING), "{}: carries the binding", example.format);
        assert!(!appraisal.matches_binding(&[0; 64]));
    }
}

/// Each format, wrong in one point each, and the check that says so.
#[test]
fn what_a_format_says_that_is_wrong_is_named() {
    let wrong: [(&str, &str, Value, &str); 24] = [
        ("ear-04", "/submods/sev-snp/ear_status", json!("contraindicated"), "claims"),
        ("ear-04", "/ear_status", json!("contraindicated"), "status"),
        ("ear-04", "/ear_status", json!("fine"), "claims"),
        ("ear-04", "/submods/sev-snp/ear_trustworthiness_vector/hardware", json!(96), "claims"),
        ("ear-04", "/submods/sev-snp/ear_trustworthiness_vector/hardware", json!(300), "claims"),
        ("ear-04", "/submods/sev-snp/ear_trustworthiness_vector", json!({ "software": 2 }), "claims"),
        ("ear-04", "/submods/sev-snp/ear_trustworthiness_vector/configuration", json!(0), "debug"),
        ("ear-04", "/eat_profile", json!("tag:github.com,2023:veraison/ear"), "claims"),
        ("ear-04", "/iat", json!(1.5), "claims"),
        ("ear-04", "/ear_verifier_id/developer", json!("https://other.example"), "issuer"),
        ("ear-04", "/submods", json!({}), "claims"),
        ("ear-veraison", "/eat_profile", json!("tag:ietf.org,2026:rats/ear#04"), "claims"),
        (
            "ear-trustee",
            "/submods/cpu0/ear.veraison.annotated-evidence/snp/policy_debug_allowed",
            json!(true),
            "debug",
        ),
        ("ear-trustee", "/submods/cpu0/ear.veraison.annotated-evidence", json!({ "sample": {} }), "claims"),
        ("intel-trust-authority", "/attester_tcb_status", json!("OutOfDate"), "tcb-status"),
        ("intel-trust-authority", "/tdx_is_debuggable", json!(true), "debug"),
        ("intel-trust-authority", "/policy_ids_unmatched", json!([{ "id": "x" }]), "status"),
        ("intel-trust-authority", "/attester_type", json!("SGX"), "claims"),
        ("intel-trust-authority", "/iss", json!("https://other.example"), "issuer"),
        ("azure-attestation", "/x-ms-sevsnpvm-is-debuggable", json!(true), "debug"),
        ("azure-attestation", "/x-ms-compliance-status", json!("none"), "status"),
        ("google-confidential-space", "/dbgstat", json!("enabled"), "debug"),
        ("google-confidential-space", "/swname", json!("GCE"), "status"),
        (
            "google-confidential-space",
            "/submods/confidential_space/support_attributes",
            json!(["USABLE"]),
            "status",
        ),
    ];
    let examples = examples();
    for (format, pointer, value, check) in wrong {
        let example = examples.iter().find(|example| example.format == format).unwrap();
        let mut claims = example.claims.clone();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        claims.pointer_mut(parent).unwrap()[name] = value.clone();
        let appraisal = example.case(&claims, "").appraise();
        assert_refused(&appraisal, check);
        assert_eq!(failed(&appraisal), [check], "{format} {pointer} {value}: nothing else is wrong");
    }
}

#[test]
fn a_token_of_another_time_is_refused() {
    let example = &examples()[4];
    for (name, value, check) in [
        ("exp", json!(NOW), "validity"),
        ("nbf", json!(NOW + 61), "validity"),
        ("iat", json!(NOW + 61), "validity"),
        ("iat", json!(NOW - 601), "age"),
        ("iat", json!(-1), "claims"),
        ("exp", json!("tomorrow"), "claims"),
    ] {
        let mut claims = example.claims.clone();
        claims[name] = value;
        assert_refused(&example.case(&claims, "").appraise(), check);
    }
    let mut claims = example.claims.clone();
    claims.as_object_mut().unwrap().remove("exp");
    assert_refused(&example.case(&claims, "").appraise(), "claims");
    // A clock a little ahead of ours is let pass.
    let mut claims = example.claims.clone();
    claims["iat"] = json!(NOW + 60);
    assert_eq!(example.case(&claims, "").appraise().refusal(), None);
}
