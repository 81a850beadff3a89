#![no_main]

use treering_fuzz::{formats, write_seeds};

libfuzzer_sys::fuzz_target!(
    init: write_seeds("checkpoint", formats::seeds),
    |data: &[u8]| formats::checkpoint(data)
);
