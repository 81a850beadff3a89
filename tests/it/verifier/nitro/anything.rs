//! Octets of anybody: no panic, and nothing taken for a document that is none.

use ciborium::Value;
use proptest::prelude::*;
use treering::verifier::Refused;

use super::{BINDING, enclave, encode, example, signed};
use crate::verifier::assert_refused;

#[test]
fn what_is_no_document_is_not_taken_for_one() {
    for octets in [vec![], vec![0x84], b"imodule_id".to_vec(), vec![0; 5000]] {
        let appraisal = example().with_octets(octets).appraise();
        assert!(matches!(appraisal.into_appraised(), Err(Refused::NotEvidence(_))));
    }
    let long = [example().octets(), &vec![0; 0x3000]].concat();
    assert_refused(&example().with_octets(long).appraise(), "format");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_octets_as_document_panic_or_pass(octets in prop::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(example().with_octets(octets).appraise().refusal().is_some());
    }

    /// Signed by the right key: whatever the payload is, it is read or refused.
    #[test]
    fn no_signed_payload_panics(at in 0..5000_usize, octets in prop::collection::vec(any::<u8>(), 1..64)) {
        let mut payload = encode(&Value::Map(enclave().fields(&BINDING)));
        let at = at % payload.len();
        for (to, from) in payload[at..].iter_mut().zip(&octets) {
            *to = *from;
        }
        drop(signed(&payload).appraise().into_appraised());
    }
}
