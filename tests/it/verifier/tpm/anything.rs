//! Any octets at all, as quote, event log or envelope.

use proptest::prelude::*;
use treering::verifier::{self, Evidence, open_vtpm_json};

use super::example;
use crate::verifier::Case;

#[test]
fn an_envelope_that_is_none_is_refused() {
    for text in ["", "{}", "[]", "{\"tpm_quote\":{\"message\":\"\",\"signature\":\"\",\"pcrs\":[]}}"] {
        open_vtpm_json(text.as_bytes()).unwrap_err();
    }
    open_vtpm_json(&vec![b' '; 2_000_000]).unwrap_err();
}

proptest! {
    #[test]
    fn no_octets_as_quote_panic_or_pass(octets in prop::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(example().with_octets(octets).appraise().refusal().is_some());
    }

    #[test]
    fn no_overwritten_quote_panics_or_passes(at in 0..1500_usize, octets in prop::collection::vec(any::<u8>(), 1..40)) {
        let case = example();
        let mut changed = case.octets().to_vec();
        let at = at % changed.len();
        for (to, from) in changed[at..].iter_mut().zip(&octets) {
            *to = *from;
        }
        let same = changed == case.octets();
        prop_assert_eq!(case.with_octets(changed).appraise().refusal().is_none(), same);
    }

    #[test]
    fn no_octets_as_log_panic_or_pass(octets in prop::collection::vec(any::<u8>(), 0..300)) {
        let items = [(verifier::TPM_QUOTE, example().octets().to_vec()), (verifier::TCG_EVENT_LOG, octets)];
        let case = Case { evidence: Evidence::new(items).unwrap(), ..example() };
        prop_assert!(case.appraise().refusal().is_some());
    }

    #[test]
    fn no_text_as_envelope_panics(text in "\\PC{0,200}") {
        drop(open_vtpm_json(text.as_bytes()));
    }
}
