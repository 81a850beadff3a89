//! The result: the same octets again, and an EAR.

use treering::attester::recorded;
use treering::verifier::{self, AppraisalPolicy, Collateral, Evidence, ReferenceValues, Verifier};

use super::{BINDING, MILAN, appraise, certificates, example, guest, recorded_parts, roots};
use crate::verifier::Case;

#[test]
fn the_same_inputs_give_the_same_octets() {
    let (report, collateral) = recorded_parts();
    let first = appraise(&report, &collateral, recorded::INSTANT);
    let again = appraise(&report, &collateral, recorded::INSTANT);
    assert_eq!(first, again);
    // From the snapshot as it is logged, through its canonical octets: what a replay does.
    let logged = Collateral::from_canonical_bytes(&first.collateral().canonical_bytes()).unwrap();
    assert_eq!(logged.digest(), *first.collateral_digest());
    assert_eq!(appraise(&report, &logged, recorded::INSTANT).ear(), first.ear());
    assert_ne!(appraise(&report, &logged, recorded::INSTANT + 1).ear(), first.ear());
    // Certificates that no chain needs change nothing, and are not kept.
    let more = logged.merged(certificates()).unwrap();
    let more = Collateral::from_der(
        more.certificates().iter().filter(|der| **der != MILAN.certificates()[2]).cloned(),
    );
    assert_eq!(appraise(&report, &more.unwrap(), recorded::INSTANT), first);
    // The cache changes nothing, full or not.
    let verifier = Verifier::with_capacity(roots(), 1);
    let policy = AppraisalPolicy::baseline();
    let simulated = Evidence::snp(guest().report_bytes(&BINDING).unwrap().to_vec()).unwrap();
    let recorded = Evidence::snp(report).unwrap();
    for _ in 0..3 {
        for (evidence, collateral) in
            [(&recorded, &collateral), (&simulated, &certificates()), (&recorded, &Collateral::default())]
        {
            let none = ReferenceValues::none();
            let cached = verifier.appraise(evidence, collateral, &policy, &none, recorded::INSTANT);
            let fresh = verifier::appraise(evidence, collateral, &policy, &none, &roots(), recorded::INSTANT);
            assert_eq!(cached, fresh);
        }
    }
}

/// The policy of the pinned result; its digest is in it.
const PINNED_POLICY: &str = "\
# What `treering appraise` applies without --policy: is this genuine hardware, and not open by construction?
# No floor of the owner's, no reference values, any privilege level, either kind of signing key.
version = 1
name = \"baseline\"

[sev_snp]
require_reference_value = false
require_crl = false
require_tcb_floor = false
signing_keys = [\"vcek\", \"vlek\"]
vmpl = [0, 1, 2, 3]
";

/// A logged appraisal is replayed and compared octet by octet. If this fails, every replay of an appraisal that this
/// version of the program made fails too: the version of the crate, which is in the result, must change with it.
#[test]
fn the_octets_of_a_result_are_pinned() {
    let policy = AppraisalPolicy::parse(PINNED_POLICY.as_bytes()).unwrap();
    let appraisal = Case { policy, ..example() }.appraise();
    let text = String::from_utf8(appraisal.ear().to_vec()).unwrap();
    let text = text.replace(verifier::BUILD, "treering 0");
    // The baseline's digest is another one whenever some kind gets a section there.
    let text = text.replace(&AppraisalPolicy::baseline().id(), "baseline");
    let digest = verifier::fingerprint(text.as_bytes());
    assert_eq!(
        data_encoding::HEXLOWER.encode(&digest),
        "269794cfeb02230e2675e274d01c829bd4a1e9c6f47234d5bac8a0d0ad6d80de"
    );
}

#[test]
fn the_result_is_an_ear() {
    let (report, collateral) = recorded_parts();
    let appraisal = appraise(&report, &collateral, recorded::INSTANT);
    let ear: serde_json::Value = serde_json::from_slice(appraisal.ear()).unwrap();
    assert_eq!(ear["eat_profile"], "tag:ietf.org,2026:rats/ear#04");
    assert_eq!(ear["iat"], recorded::INSTANT);
    assert_eq!(ear["ear_status"], "affirming");
    assert_eq!(ear["ear_verifier_id"]["build"], verifier::BUILD);
    let submod = &ear["submods"]["sev-snp"];
    assert_eq!(submod["ear_status"], "affirming");
    assert_eq!(submod["ear_appraisal_policy_ids"][0], AppraisalPolicy::baseline().id());
    let vector = &submod["ear_trustworthiness_vector"];
    assert_eq!(
        [
            &vector["instance-identity"],
            &vector["configuration"],
            &vector["executables"],
            &vector["hardware"],
            &vector["runtime-opaque"]
        ],
        [0, 2, 0, 2, 2]
    );
    assert_eq!(submod["ear_attester_claims"]["generation"], "Milan");
    assert_eq!(submod["ear_verifier_claims"]["assurance"], "hardware");
    assert!(
        ear.get("exp").is_none(),
        "an unsigned result does not expire; the statement it is logged in dates it"
    );
}
