#![no_main]

use treering_fuzz::{provenance, write_seeds};

libfuzzer_sys::fuzz_target!(
    init: write_seeds("trust_file", provenance::seeds),
    |data: &[u8]| provenance::trust_file(data)
);
