//! What the policy and the reference values ask, key by key.

use ciborium::Value;
use data_encoding::HEXLOWER;
use treering::attester::simulated::nitro::{Enclave, EnclaveImage};
use treering::verifier::{self, AppraisalPolicy, ReferenceValue, ReferenceValues, Status};

use super::{HOUR, NOW, PLATFORM, case_of, detail, enclave, example, image, patched, pcrs, policy, put};
use crate::verifier::{Case, assert_refused, failed, main, policy_of};

pub(super) fn reference(pcrs: &[(u8, Vec<u8>)]) -> ReferenceValue {
    let registers = pcrs.iter().map(|(index, value)| (format!("pcr{index}"), value.clone())).collect();
    ReferenceValue {
        name: "image 7".to_owned(),
        tee: verifier::SUBMOD_NITRO.to_owned(),
        registers,
        source: [9; 32],
    }
}

#[test]
fn a_document_is_for_its_time() {
    let at = |now: u64, rules: &str| Case { now, policy: policy(rules), ..example() }.appraise();
    assert_eq!(at(NOW + 300, "").refusal(), None);
    assert_refused(&at(NOW + 301, ""), "timestamp");
    assert_eq!(at(NOW - 60, "").refusal(), None);
    assert_refused(&at(NOW - 61, ""), "timestamp");
    assert_eq!(failed(&at(NOW + 301, "")), ["timestamp"]);
    assert_eq!(main(&at(NOW + 301, "")).vector().configuration, 96);
    assert_eq!(at(NOW + 2 * HOUR, "max_age_s = 7200").refusal(), None);
    assert_refused(&at(NOW + 10, "max_age_s = 9"), "timestamp");
    assert_refused(&at(NOW - 10, "max_skew_s = 9"), "timestamp");
    // The leaf lives for three hours.
    let long = "max_age_s = 100000";
    assert_refused(&at(NOW + 3 * HOUR + 1, long), "validity");
    assert_refused(&at(NOW - 301, "max_skew_s = 100000"), "validity");
    let latest = Case { now: u64::MAX, ..example() }.appraise();
    assert_refused(&latest, "validity");
    let far = patched(|fields| put(fields, "timestamp", u64::MAX));
    assert_refused(&far.appraise(), "timestamp");
}

#[test]
fn an_enclave_in_debug_mode_is_genuine_and_refused() {
    let debug = PLATFORM.enclave(EnclaveImage { measurements: [[0; 48]; 3], ..image() }, NOW);
    let appraisal = case_of(&debug).appraise();
    assert_eq!(failed(&appraisal), ["debug"]);
    assert_eq!((main(&appraisal).vector().configuration, main(&appraisal).vector().runtime_opaque), (96, 96));
    assert_eq!(main(&appraisal).vector().hardware, 2);
    for index in 0..3 {
        assert_refused(
            &patched(|fields| pcrs(fields)[index].1 = Value::Bytes(vec![0; 48])).appraise(),
            "debug",
        );
        assert_refused(&patched(|fields| drop(pcrs(fields).remove(index))).appraise(), "debug");
    }
    let waived = policy(
        "[[waiver]]\ncheck = \"debug\"\nkind = \"nitro\"\nreason = \"a bench\"\nuntil = \"2030-01-01T00:00:00Z\"",
    );
    let waived = Case { policy: waived, ..case_of(&debug) }.appraise();
    assert_eq!((waived.refusal(), waived.status()), (None, Status::Warning));
}

#[test]
fn parents_are_those_that_the_policy_names() {
    let role = "arn:aws:iam::123456789012:role/payments";
    let signer = [7; 48];
    let named = EnclaveImage { role: Some(role.to_owned()), signer: Some(signer), ..image() };
    let with = |enclave: &Enclave, rules: &str| Case { policy: policy(rules), ..case_of(enclave) }.appraise();
    let (named, plain) = (PLATFORM.enclave(named, NOW), enclave());
    let rules = [
        format!("parent_roles = [\"arn:aws:iam::1:role/x\", \"{role}\"]"),
        format!("signing_certificates = [\"{}\"]", HEXLOWER.encode(&signer)),
    ];
    for rule in &rules {
        assert_eq!(with(&named, rule).refusal(), None, "{rule}");
        assert_eq!(failed(&with(&plain, rule)), ["parent"], "{rule}");
    }
    assert_eq!(with(&named, &rules.join("\n")).refusal(), None);
    assert_refused(&with(&named, "parent_roles = [\"arn:aws:iam::123456789012:role/other\"]"), "parent");
    assert_refused(&with(&named, &format!("signing_certificates = [\"{}\"]", "00".repeat(48))), "parent");
    for bad in [
        "[nitro]\nparent_roles = [\"payments\"]",
        "[nitro]\nsigning_certificates = [\"00\"]",
        "[[nitro.machine]]\nname = \"a\"\ninstance_id = \"0123\"",
        "[nitro]\nmax_age = 1",
    ] {
        let text = format!("version = 1\nname = \"t\"\n{bad}");
        AppraisalPolicy::parse(text.as_bytes()).unwrap_err();
    }
}

#[test]
fn machines_are_instances_and_pcr4_agrees() {
    let rule = |id: &str| policy(&format!("[[nitro.machine]]\nname = \"ours\"\ninstance_id = \"{id}\""));
    let ours = rule(PLATFORM.instance_id());
    let appraisal = Case { policy: ours.clone(), ..example() }.appraise();
    assert_eq!((appraisal.refusal(), main(&appraisal).vector().instance_identity), (None, 2));
    let other = Case { policy: rule("i-00000000000000000"), ..example() }.appraise();
    assert_eq!(failed(&other), ["machine"]);
    assert_eq!(main(&other).vector().instance_identity, 97);
    let odd = patched(|fields| pcrs(fields)[4].1 = Value::Bytes(vec![1; 48]));
    assert_eq!(failed(&Case { policy: ours.clone(), ..odd }.appraise()), ["machine"]);
    let nameless = patched(|fields| put(fields, "module_id", "a-module"));
    assert_eq!(main(&nameless.appraise()).machine(), None);
    assert_eq!(failed(&Case { policy: ours, ..nameless }.appraise()), ["machine"]);
}

#[test]
fn reference_values_decide_what_runs() {
    let [zero, one, two] = image().measurements.map(|value| value.to_vec());
    let with = |rules: &str, values: Vec<ReferenceValue>| {
        let references = ReferenceValues::new(values).unwrap();
        Case { policy: policy_of(rules), references, ..example() }.appraise()
    };
    let cases = [
        (vec![(0, zero.clone())], 2),
        (vec![(1, one.clone()), (2, two.clone())], 2),
        (vec![(1, one.clone())], 3),
        (vec![(0, zero), (1, one), (2, two)], 2),
    ];
    for (pcrs, executables) in cases {
        let appraisal = with("", vec![reference(&pcrs)]);
        assert_eq!(appraisal.refusal(), None);
        assert_eq!(main(&appraisal).vector().executables, executables, "{pcrs:?}");
        assert_eq!(appraisal.into_appraised().unwrap().reference().unwrap().source, [9; 32]);
    }
    let of_nothing = with("", vec![reference(&[(5, vec![0; 48])])]);
    assert_eq!(failed(&of_nothing), ["reference-value"]);
    assert!(detail(&of_nothing, "reference-value").contains("of which 1 say nothing of what runs"));
    let unknown = with("", vec![reference(&[(0, vec![1; 48])])]);
    assert_eq!(failed(&unknown), ["reference-value"]);
    assert_eq!((main(&unknown).vector().executables, unknown.status()), (33, Status::Warning));
    assert_refused(&with("", vec![]), "reference-value");
    // Not required, but given: then they count.
    let lenient = "[nitro]\nrequire_reference_value = false";
    assert_refused(&with(lenient, vec![reference(&[(0, vec![1; 48])])]), "reference-value");
    assert_eq!(with(lenient, vec![]).refusal(), None);
    for (index, octets) in [(32, 48), (0, 32)] {
        ReferenceValues::new(vec![reference(&[(index, vec![0; octets])])]).unwrap_err();
    }
}
