#![no_main]

use treering_fuzz::{provenance, write_seeds};

libfuzzer_sys::fuzz_target!(
    init: write_seeds("x509_strip", provenance::seeds),
    |data: &[u8]| provenance::x509_strip(data)
);
