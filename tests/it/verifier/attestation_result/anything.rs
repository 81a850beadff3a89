//! Any octets at all, as token or as signed claims.

use proptest::prelude::*;
use treering::verifier::{
    ATTESTATION_RESULT, ATTESTATION_RESULT_BUNDLE, ATTESTATION_RESULT_CWT, ATTESTATION_RESULT_JWT,
};

use super::{ED25519, case_of, examples, external};
use crate::verifier::tokens::KID;

proptest! {
    #[test]
    fn no_octets_make_it_panic(octets in prop::collection::vec(any::<u8>(), 0..400), form in 0..4_usize) {
        let media_type = [ATTESTATION_RESULT, ATTESTATION_RESULT_CWT, ATTESTATION_RESULT_JWT, ATTESTATION_RESULT_BUNDLE][form];
        let case = case_of(media_type, octets, "");
        prop_assert!(case.appraise().refusal().is_some());
    }

    /// Well signed, and anything inside.
    #[test]
    fn no_claims_make_it_panic(claims in "\\PC{0,200}", format in 0..10_usize) {
        let examples = examples();
        let example = &examples[format];
        let rules = external(example.issuer, example.format, example.tee, &ED25519.jwks(), "require_reference_value = false");
        let header = format!("{{\"alg\":\"EdDSA\",\"kid\":\"{KID}\"}}");
        for payload in [claims.clone(), format!("{{\"submods\":{{\"{}\":[1]}}}}", claims.escape_default())] {
            let case = case_of(example.media_type, ED25519.raw(&header, &payload), &rules);
            prop_assert!(case.appraise().refusal().is_some());
        }
    }
}
