//! What the policy and the reference values ask, key by key.

use serde_json::{Value, json};
use treering::verifier::{self, Assurance, ReferenceValue, ReferenceValues, Status};

use super::{Example, MEASUREMENT, NOW, case_of, examples, external, signer};
use crate::verifier::{Case, assert_affirming, assert_refused, failed, main, relaxations};

/// The name of a register of each format, and that another value is not accepted.
#[test]
fn reference_values_decide_what_runs() {
    let value = |tee: &str, register: &str, octets: Vec<u8>| ReferenceValue {
        name: "payments 1".to_owned(),
        tee: tee.to_owned(),
        registers: [(register.to_owned(), octets)].into(),
        source: [0; 32],
    };
    for example in examples().iter().filter(|one| one.tee == "sev-snp" || one.format.starts_with("google")) {
        let (tee, register, right) = match example.format {
            "google-confidential-space" => ("attestation-result", "image-digest", vec![9; 32]),
            _ => ("sev-snp", "measurement", MEASUREMENT.to_vec()),
        };
        let mut wrong = right.clone();
        wrong[0] ^= 1;
        let with = |octets| ReferenceValues::new(vec![value(tee, register, octets)]).unwrap();
        let case = example.case(&example.claims, "");
        let known = Case { references: with(right), ..case.clone() }.appraise();
        assert_affirming(example.format, &known);
        assert_eq!(main(&known).reference().unwrap().name, "payments 1");
        assert_eq!(main(&known).vector().executables, 3);
        let unknown = Case { references: with(wrong), ..case }.appraise();
        assert_refused(&unknown, "reference-value");
        assert_eq!(main(&unknown).vector().executables, 33);
    }
    let first = &examples()[0];
    let rules = external(first.issuer, first.format, first.tee, &signer("ES256").jwks(), "");
    let strict = case_of(first.media_type, signer("ES256").jwt(&first.claims), &rules).appraise();
    assert_refused(&strict, "reference-value");
    assert_eq!(failed(&strict), ["reference-value"], "required unless the policy says otherwise");
}

/// A TD is what all five of its registers say: another value in one of them, or two that changed places, is another TD.
#[test]
fn registers_of_a_td_are_told_apart_in_every_format() {
    const REGISTERS: [&str; 5] = ["mrtd", "rtmr0", "rtmr1", "rtmr2", "rtmr3"];
    let references = |values: [u8; 5]| {
        let registers =
            REGISTERS.iter().zip(values).map(|(name, octet)| ((*name).to_owned(), vec![octet; 48])).collect();
        let (name, tee) = ("payments 1".to_owned(), "tdx".to_owned());
        ReferenceValues::new(vec![ReferenceValue { name, tee, registers, source: [0; 32] }]).unwrap()
    };
    let examples = examples();
    let of_tds: Vec<&Example> =
        examples.iter().filter(|one| one.tee == "tdx" && !one.format.starts_with("google")).collect();
    let formats: Vec<&str> = of_tds.iter().map(|one| one.format).collect();
    let wanted = ["ear-trustee", "intel-trust-authority", "intel-trust-authority", "azure-attestation"];
    assert_eq!(formats, wanted, "Intel's in both of its versions");
    for example in of_tds {
        let case = example.case(&example.claims, "");
        let with = |values| Case { references: references(values), ..case.clone() }.appraise();
        let known = with([1, 2, 3, 4, 5]);
        assert_affirming(example.format, &known);
        assert_eq!(main(&known).reference().unwrap().name, "payments 1");
        for one in 0..5 {
            let mut wrong = [1, 2, 3, 4, 5];
            wrong[one] = 9;
            assert_refused(&with(wrong), "reference-value");
            for other in 0..one {
                let mut swapped = [1, 2, 3, 4, 5];
                swapped.swap(one, other);
                let appraisal = with(swapped);
                assert_refused(&appraisal, "reference-value");
                assert_eq!(failed(&appraisal), ["reference-value"], "{} {one} {other}", example.format);
            }
        }
    }
}

/// Every key of the section changes something, and only that.
#[test]
fn the_policy_is_kept() {
    let examples = examples();
    let (ear, intel, google) = (&examples[0], &examples[4], &examples[9]);
    let refused = |example: &Example, claims: &Value, more: &str, check: &str| {
        let appraisal = example.case(claims, more).appraise();
        assert_refused(&appraisal, check);
        assert_eq!(failed(&appraisal), [check], "{more}");
    };
    let passes = |example: &Example, claims: &Value, more: &str| {
        let appraisal = example.case(claims, more).appraise();
        assert_eq!(appraisal.refusal(), None, "{more}");
        appraisal
    };
    refused(google, &google.claims, "audience = \"https://other.example\"", "audience");
    passes(google, &google.claims, "audience = \"https://treering.example\"");
    let mut old = intel.claims.clone();
    old["iat"] = json!(NOW - 3600);
    refused(intel, &old, "", "age");
    passes(intel, &old, "max_age_s = 3600");
    let mut swh = intel.claims.clone();
    swh["attester_tcb_status"] = "SWHardeningNeeded".into();
    refused(intel, &swh, "", "tcb-status");
    passes(intel, &swh, "allowed_tcb_statuses = [\"SWHardeningNeeded\"]");
    let mut warns = ear.claims.clone();
    warns["ear_status"] = "warning".into();
    warns["submods"]["sev-snp"]["ear_status"] = "warning".into();
    warns["submods"]["sev-snp"]["ear_trustworthiness_vector"]["hardware"] = json!(32);
    refused(ear, &warns, "", "status");
    assert_eq!(passes(ear, &warns, "allow_warning = true").status(), Status::Warning, "and it shows");
    let mut simulated = ear.claims.clone();
    simulated["submods"]["sev-snp"]["ear_verifier_claims"] = json!({ "assurance": "simulated" });
    refused(ear, &simulated, "", "assurance");
    let shown = passes(ear, &simulated, "allow_simulated = true").into_appraised().unwrap();
    assert_eq!(shown.assurance(), Assurance::Simulated);
    simulated["submods"]["sev-snp"]["ear_verifier_claims"]["assurance"] = json!("excellent");
    refused(ear, &simulated, "allow_simulated = true", "assurance");
    let mut two = ear.claims.clone();
    two["submods"]["nvidia-gpu"] = json!({ "ear_status": "affirming" });
    refused(ear, &two, "", "claims");
    passes(ear, &two, "submod = \"sev-snp\"");
    refused(ear, &two, "submod = \"tdx\"", "claims");
    let rules =
        external(ear.issuer, ear.format, "tdx", &signer("ES256").jwks(), "require_reference_value = false");
    let foreign = case_of(ear.media_type, signer("ES256").jwt(&ear.claims), &rules).appraise();
    assert_eq!(failed(&foreign), ["tee"]);
    let none = case_of(ear.media_type, signer("ES256").jwt(&ear.claims), "").appraise();
    assert_refused(&none, "issuer-key");
    for more in ["submod = \"x\"", "max_age = 3", "rsa_algorithm = \"none\"", "tees = []"] {
        let text = external(intel.issuer, intel.format, "tdx", &signer("PS384").jwks(), more);
        let text = format!("version = 1\nname = \"t\"\n{text}");
        verifier::AppraisalPolicy::parse(text.as_bytes()).unwrap_err();
    }
}

/// What a section asks less than it would by default is in the result, where it is what lets a token pass.
#[test]
fn what_a_section_does_not_ask_is_in_the_result() {
    const UNJUDGED: &str = r#"{"check":"reference-value","key":"require_reference_value"}"#;
    let ear = &examples()[0];
    let of = |claims: &Value, more: &str| relaxations(&ear.case(claims, more).appraise());
    assert_eq!(of(&ear.claims, ""), format!("[{UNJUDGED}]"), "the examples' own");
    let all = "allow_warning = true\nallow_simulated = true";
    assert_eq!(of(&ear.claims, all), format!("[{UNJUDGED}]"), "it passes without them, too");
    let submod = |claims: &mut Value, name: &str, value: Value| {
        claims["submods"]["sev-snp"][name] = value;
    };
    let mut warns = ear.claims.clone();
    warns["ear_status"] = "warning".into();
    submod(&mut warns, "ear_status", "warning".into());
    let warning = r#"{"check":"status","key":"allow_warning"}"#;
    assert_eq!(of(&warns, "allow_warning = true"), format!("[{warning},{UNJUDGED}]"));
    let mut simulated = ear.claims.clone();
    submod(&mut simulated, "ear_verifier_claims", json!({ "assurance": "simulated" }));
    let trial = r#"{"check":"assurance","key":"allow_simulated"}"#;
    assert_eq!(of(&simulated, "allow_simulated = true"), format!("[{trial},{UNJUDGED}]"));
    // With a value that is found, nothing is left unasked.
    let value = ReferenceValue {
        name: "payments 1".to_owned(),
        tee: "sev-snp".to_owned(),
        registers: [("measurement".to_owned(), MEASUREMENT.to_vec())].into(),
        source: [0; 32],
    };
    let known = Case { references: ReferenceValues::new(vec![value]).unwrap(), ..ear.case(&ear.claims, "") };
    assert_eq!(relaxations(&known.appraise()), "[]");
}

#[test]
fn a_waiver_lets_pass_and_shows() {
    let intel = &examples()[4];
    let mut claims = intel.claims.clone();
    claims["attester_tcb_status"] = "OutOfDate".into();
    let waiver =
        "[[waiver]]\ncheck = \"tcb-status\"\nreason = \"patch week\"\nuntil = \"2100-01-01T00:00:00Z\"";
    let appraisal = intel.case(&claims, waiver).appraise();
    assert_eq!(appraisal.refusal(), None);
    assert_eq!((appraisal.status(), main(&appraisal).vector().hardware), (Status::Warning, 32));
}
