//! Octets of anybody: no panic, and nothing taken for a report that is none.

use proptest::prelude::*;
use treering::attester::simulated::nvidia::Said;
use treering::verifier;

use super::revocation::with_answers;
use super::{GPU, NOW, case_of};
use crate::verifier::{Case, policy_of};

#[test]
fn exports_that_are_not_of_the_form_are_refused() {
    for text in ["", "{}", "[{}]", "[{\"arch\":\"HOPPER\",\"evidence\":\"!\",\"certificate\":\"\"}]"] {
        verifier::read_nvidia_export(text.as_bytes()).unwrap_err();
    }
    assert_eq!(verifier::read_nvidia_export(b"[]").unwrap(), []);
    verifier::nvidia_from_hex_and_pem("zz", b"").unwrap_err();
    verifier::read_nvidia_export(&vec![b' '; 2 << 20]).unwrap_err();
}

proptest! {
    #[test]
    fn no_octets_panic(octets in prop::collection::vec(any::<u8>(), 0..400), at in any::<prop::sample::Index>()) {
        let case = case_of("simulated GPU", &GPU);
        let policy = policy_of("");
        for octets in [octets.clone(), {
            let mut spliced = case.octets().to_vec();
            let start = at.index(spliced.len());
            let end = (start + octets.len()).min(spliced.len());
            spliced.splice(start..end, octets.iter().copied());
            spliced
        }] {
            let appraisal = Case { policy: policy.clone(), ..case.with_octets(octets.clone()) }.appraise();
            prop_assert!(appraisal.refusal().is_some());
            drop(verifier::read_nvidia_export(&octets));
        }
    }

    #[test]
    fn no_ocsp_response_panics(octets in prop::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>()) {
        let case = case_of("simulated GPU", &GPU);
        let mut answer = GPU.ocsp(2, Said::Good, NOW, NOW + 1).unwrap();
        let start = at.index(answer.len());
        answer.splice(start.., octets.iter().copied());
        drop(with_answers(&case, vec![answer]).appraise());
    }
}
