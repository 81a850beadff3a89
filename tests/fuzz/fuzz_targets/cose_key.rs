#![no_main]

use treering_fuzz::{provenance, write_seeds};

libfuzzer_sys::fuzz_target!(
    init: write_seeds("cose_key", provenance::seeds),
    |data: &[u8]| provenance::cose_key(data)
);
