#![no_main]

use treering_fuzz::{provenance, write_seeds};

libfuzzer_sys::fuzz_target!(
    init: write_seeds("consistency_receipt", provenance::seeds),
    |data: &[u8]| provenance::consistency_receipt(data)
);
