#![no_main]

use treering_fuzz::{provenance, write_seeds};

libfuzzer_sys::fuzz_target!(
    init: write_seeds("verify_x509", provenance::seeds),
    |data: &[u8]| provenance::verify_x509(data)
);
