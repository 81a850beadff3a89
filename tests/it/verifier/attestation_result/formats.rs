//! Each format, mapped to one statement, and wrong in one point at a time.

use serde_json::{Value, json};
use treering::verifier::{Assurance, Status};

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

/// What Azure says of guests of both TEEs, and of its confidential VMs.
#[test]
fn what_azure_says_of_guests_and_of_its_own_vms_is_judged() {
    let (snp, tdx, vm) = (6, 7, 8);
    let cases: [(usize, &str, Option<Value>, &str); 12] = [
        (snp, "/x-ms-sevsnpvm-migration-allowed", Some(json!(true)), "debug"),
        (snp, "/x-ms-sevsnpvm-migration-allowed", None, "claims"),
        (snp, "/x-ms-sevsnpvm-is-debuggable", None, "claims"),
        (tdx, "/tdx_td_attributes_debug", Some(json!(true)), "debug"),
        (tdx, "/tdx_td_attributes_debug", None, "claims"),
        (tdx, "/attester_tcb_status", Some(json!("OutOfDate")), "tcb-status"),
        (vm, "/x-ms-isolation-tee/x-ms-compliance-status", None, "status"),
        (vm, "/x-ms-isolation-tee/x-ms-compliance-status", Some(json!("azure-signed-cvm")), "status"),
        (vm, "/x-ms-isolation-tee/x-ms-sevsnpvm-migration-allowed", Some(json!(true)), "debug"),
        (vm, "/x-ms-isolation-tee/x-ms-sevsnpvm-is-debuggable", Some(json!(true)), "debug"),
        (vm, "/x-ms-isolation-tee", None, "claims"),
        (vm, "/x-ms-attestation-type", Some(json!("sgx")), "claims"),
    ];
    assert_one_wrong(&cases);
    // A guest of its own says nothing of compliance, and need not.
    let mut claims = examples()[snp].claims.clone();
    claims.as_object_mut().unwrap().remove("x-ms-compliance-status");
    assert_affirming("a guest", &examples()[snp].case(&claims, "").appraise());
}

/// What Google says of the platform: how it booted, and on which hardware, or on none.
#[test]
fn what_google_says_of_the_platform_is_judged() {
    let google = 9;
    assert_one_wrong(&[
        (google, "/secboot", Some(json!(false)), "status"),
        (google, "/secboot", None, "status"),
        (google, "/hwmodel", Some(json!("GCP_ABACUS")), "claims"),
        (google, "/hwmodel", Some(json!("GCP_AMD_SEV")), "tee"),
        (google, "/hwmodel", Some(json!("GCP_AMD_SEV_ES")), "tee"),
        (google, "/hwmodel", Some(json!("GCP_SHIELDED_VM")), "tee"),
    ]);
    for (model, tee, assurance, hardware) in [
        ("GCP_INTEL_TDX", "tdx", Assurance::Hardware, 2),
        ("GCP_AMD_SEV", "sev", Assurance::Hardware, 2),
        ("GCP_AMD_SEV_ES", "sev-es", Assurance::Hardware, 2),
        ("GCP_SHIELDED_VM", "gcp-shielded-vm", Assurance::Software, 0),
    ] {
        let mut example = examples().swap_remove(google);
        example.claims["hwmodel"] = model.into();
        example.tee = tee;
        let appraisal = example.case(&example.claims, "").appraise();
        assert_affirming(model, &appraisal);
        let vector = main(&appraisal).vector();
        assert_eq!((vector.hardware, vector.runtime_opaque), (hardware, hardware), "{model}");
        let appraised = appraisal.into_appraised().unwrap();
        assert_eq!((appraised.tee().as_str(), appraised.assurance()), (tee, assurance));
    }
}

/// An image that is usable and no longer stable: where the policy lets a warning pass, the result is one.
#[test]
fn a_vendors_warning_stays_one() {
    let google = examples().swap_remove(9);
    let mut claims = google.claims.clone();
    claims["submods"]["confidential_space"]["support_attributes"] = json!(["USABLE"]);
    let appraisal = google.case(&claims, "allow_warning = true").appraise();
    assert_eq!((appraisal.refusal(), appraisal.status()), (None, Status::Warning));
    assert_eq!(main(&appraisal).vector().hardware, 32);
}

/// The example of this number with one claim replaced or left out: this check fails, and no other.
#[track_caller]
fn assert_one_wrong(cases: &[(usize, &str, Option<Value>, &str)]) {
    let examples = examples();
    for (number, pointer, value, check) in cases {
        let example = &examples[*number];
        let mut claims = example.claims.clone();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let parent = claims.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        assert!(parent.remove(name).is_some(), "{pointer}");
        if let Some(value) = value {
            parent.insert(name.to_owned(), value.clone());
        }
        let appraisal = example.case(&claims, "").appraise();
        assert_refused(&appraisal, check);
        assert_eq!(failed(&appraisal), [*check], "{} {pointer} {value:?}", example.format);
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
