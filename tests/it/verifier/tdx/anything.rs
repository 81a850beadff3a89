//! Any octets at all: as quote, in the midst of one, as event log or collateral.

use proptest::prelude::*;
use treering::verifier::{self, Collateral};

use super::{example, with_log};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_octets_panic(octets in prop::collection::vec(any::<u8>(), 0..600), begin in 0_usize..5000) {
        let case = example();
        drop(case.with_octets(octets.clone()).appraise());
        // In the midst of a quote, and as an event log.
        let mut quote = case.octets().to_vec();
        let end = quote.len();
        quote.splice(begin.min(end)..(begin + octets.len()).min(end), octets.iter().copied());
        prop_assert!(octets.is_empty() || case.with_octets(quote).appraise().refusal().is_some());
        for kind in [verifier::CCEL_TYPE, verifier::RUNTIME_LOG_TYPE] {
            let appraisal = with_log(&case, kind, octets.clone()).appraise();
            prop_assert!(octets.is_empty() || appraisal.refusal().is_some());
        }
        drop(Collateral::read(&[b"{", &octets[..]].concat()));
    }
}
