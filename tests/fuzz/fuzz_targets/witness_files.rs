#![no_main]

use treering_fuzz::{formats, write_seeds};

libfuzzer_sys::fuzz_target!(
    init: write_seeds("witness_files", formats::seeds),
    |data: &[u8]| formats::witness_files(data)
);
