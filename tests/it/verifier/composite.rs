//! Evidence of several components.

use treering::verifier::{self, Evidence, Refused};

use super::sev_snp;
use super::{assert_refused, policy_of};

#[test]
fn what_no_kind_takes_is_not_guessed_at() {
    let case = sev_snp::simulated_case();
    let foreign = Evidence::new([("application/octet-stream", case.octets().to_vec())]).unwrap();
    for evidence in [foreign, Evidence::snp(vec![]).unwrap()] {
        let appraisal = super::Case { evidence, ..case.clone() }.appraise();
        assert!(!appraisal.is_evidence());
        assert!(matches!(appraisal.into_appraised(), Err(Refused::NotEvidence(_))));
    }
}

#[test]
fn several_components_are_refused_unless_the_policy_names_them() {
    let case = sev_snp::simulated_case();
    let report = || (verifier::SNP_REPORT, case.octets().to_vec());
    let evidence = Evidence::new([report(), report()]).unwrap();
    let rules = "[sev_snp]\nrequire_reference_value = false\nrequire_tcb_floor = false\n";
    let two = super::Case { evidence: evidence.clone(), policy: policy_of(rules), ..case.clone() };
    assert_refused(&two.appraise(), "components");
    let named = format!("{rules}[composite.components]\nsev-snp = 2\n");
    let two = super::Case { evidence, policy: policy_of(&named), ..case.clone() };
    let appraisal = two.appraise();
    assert_eq!(appraisal.refusal(), None);
    let ear: serde_json::Value = serde_json::from_slice(appraisal.ear()).unwrap();
    assert_eq!(ear["submods"]["composite"]["ear_verifier_claims"]["colocation"], "unproven");
    assert!(ear["submods"]["sev-snp-2"].is_object());
    assert!(appraisal.matches_binding(&sev_snp::BINDING) && !appraisal.matches_binding(&[0; 64]));
    // One where two are wanted.
    assert_refused(&super::Case { policy: policy_of(&named), ..case }.appraise(), "components");
}
