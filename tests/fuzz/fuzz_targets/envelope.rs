#![no_main]

use treering_fuzz::{provenance, write_seeds};

libfuzzer_sys::fuzz_target!(
    init: write_seeds("envelope", provenance::seeds),
    |data: &[u8]| provenance::envelope(data)
);
