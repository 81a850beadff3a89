//! Any octets at all, as token or as signed claims.

use proptest::prelude::*;
use treering::attester::simulated::cca;

use super::{BINDING, REALM, encode, example};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_octets_as_token_panic_or_pass(octets in prop::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(example().with_octets(octets).appraise().refusal().is_some());
    }

    /// Signed by the right keys: whatever the claims are, they are read or refused.
    #[test]
    fn no_signed_claims_panic(of_realm in any::<bool>(), at in 0..2000_usize, octets in prop::collection::vec(any::<u8>(), 1..64)) {
        let mut payloads = [
            encode(REALM.platform_claims().unwrap()),
            encode(REALM.realm_claims(&BINDING).unwrap()),
        ];
        let payload = &mut payloads[usize::from(of_realm)];
        let at = at % payload.len();
        for (to, from) in payload[at..].iter_mut().zip(&octets) {
            *to = *from;
        }
        let platform = REALM.platform().sign(&payloads[0]).unwrap();
        let realm = REALM.sign(&payloads[1]).unwrap();
        drop(example().with_octets(cca::token(platform, realm).unwrap()).appraise().into_appraised());
    }
}
