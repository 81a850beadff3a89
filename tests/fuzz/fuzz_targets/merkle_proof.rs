#![no_main]

use treering_fuzz::{formats, write_seeds};

libfuzzer_sys::fuzz_target!(
    init: write_seeds("merkle_proof", formats::seeds),
    |data: &[u8]| formats::merkle_proof(data)
);
