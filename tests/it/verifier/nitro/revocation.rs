//! Lists of revoked certificates: whose they are, and when they count.

use treering::attester::simulated;
use treering::attester::simulated::nitro::Hierarchy;
use treering::verifier::{CheckResult, Collateral, Status};

use super::{NOW, PLATFORM, detail, example, platform, policy};
use crate::verifier::{Case, assert_refused, failed, main};

#[test]
fn crls_count_where_they_are_given() {
    let day = 86_400;
    let crl = |authority, revoked| PLATFORM.crl(authority, revoked, NOW - day, NOW + day).unwrap();
    let with = |rules: &str, crls: Vec<Vec<u8>>| {
        let collateral = Collateral::new(vec![], crls).unwrap();
        Case { policy: policy(rules), collateral, ..example() }.appraise()
    };
    let (required, lenient) = ("", "require_crl = false");
    let all = with(required, vec![crl(0, false), crl(1, false)]);
    assert_eq!(all.refusal(), None);
    assert_eq!(all.collateral().crls().len(), 2, "what was used is logged");
    assert_refused(&with(required, vec![]), "revocation");
    let one = with(required, vec![crl(0, false)]);
    assert!(detail(&one, "revocation").contains("no CRL of CA certificate 1"));
    assert_refused(&one, "revocation");
    for crls in [vec![], vec![crl(1, false)]] {
        let unchecked = with(lenient, crls);
        let check = unchecked.checks().find(|check| check.name() == "revocation").unwrap();
        assert!(check.ok() && check.detail().contains("not checked"));
        assert_eq!(check.relaxed(), Some("require_crl"));
    }
    let both = with(lenient, vec![crl(0, false), crl(1, false)]);
    let relaxed: Vec<&str> = both.checks().filter_map(CheckResult::relaxed).collect();
    assert_eq!(relaxed, ["require_reference_value"], "the lists are there");
    let waiver = "[[waiver]]\ncheck = \"revocation\"\nreason = \"r\"\nuntil = \"2030-01-01T00:00:00Z\"";
    for authority in 0..3 {
        for rules in [lenient, waiver] {
            let revoked = with(rules, vec![crl(authority, true)]);
            assert_eq!(failed(&revoked), ["revocation"]);
            assert_refused(&revoked, "revocation");
            assert_eq!(main(&revoked).vector().hardware, 96);
        }
    }
    let waived = with(waiver, vec![]);
    assert_eq!((waived.refusal(), main(&waived).vector().hardware), (None, 32));
    for (from, until) in [(NOW - 2 * day, NOW - day), (NOW + day, NOW + 2 * day)] {
        let stale = PLATFORM.crl(0, false, from, until).unwrap();
        assert_refused(&with(lenient, vec![stale]), "revocation");
    }
    let late = PLATFORM.crl(0, false, NOW - 2 * day, NOW - 9).unwrap();
    let grace = |seconds: u64| format!("{lenient}\n[collateral]\ngrace_s = {seconds}");
    let graced = with(&grace(10), vec![late.clone()]);
    assert_eq!(
        (graced.refusal(), graced.status(), failed(&graced)),
        (None, Status::Warning, vec!["revocation"])
    );
    let ear: serde_json::Value = serde_json::from_slice(graced.ear()).unwrap();
    let waivers = &ear["submods"]["nitro"]["ear_verifier_claims"]["waivers"];
    assert_eq!(waivers[0]["reason"], "grace of 10 s for collateral");
    assert!(waivers[0].get("until").is_none() && waivers.as_array().unwrap().len() == 1);
    assert_refused(&with(&grace(8), vec![late]), "revocation");
    let young = format!("{lenient}\n[collateral]\nmax_age_s = {{ crl = 3600 }}");
    assert_refused(&with(&young, vec![crl(0, false)]), "revocation");
    // In the name of an authority of the chain, by another key.
    let forged = platform(Hierarchy::default()).crl(0, false, NOW - day, NOW + day).unwrap();
    assert!(detail(&with(lenient, vec![forged.clone()]), "revocation").contains("did not sign it"));
    let mut broken = crl(0, false);
    *broken.last_mut().unwrap() ^= 1;
    assert_refused(&with(lenient, vec![broken]), "revocation");
    assert_refused(&with(lenient, vec![b"no CRL".to_vec()]), "revocation");
    // The same again from what was logged.
    for crls in [vec![forged], vec![crl(0, false)]] {
        let case = Case { collateral: Collateral::new(vec![], crls).unwrap(), ..example() };
        let first = case.appraise();
        let again = Case { collateral: first.collateral().clone(), ..case }.appraise();
        assert!(again.ear() == first.ear());
    }
    // Those of others are for the other components of the evidence, and are not logged with this one.
    let other = Collateral::new(vec![], vec![sev_snp_crl()]).unwrap();
    let appraisal = Case { collateral: other, policy: policy(lenient), ..example() }.appraise();
    assert_eq!((appraisal.refusal(), appraisal.collateral().is_empty()), (None, true));
}

fn sev_snp_crl() -> Vec<u8> {
    let processor = simulated::Processor::Milan;
    let platform = simulated::Platform::generate(processor, processor.ordinary_tcb(), NOW).unwrap();
    platform.crl(true, NOW, NOW + 1).unwrap()
}
