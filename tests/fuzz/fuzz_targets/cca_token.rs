#![no_main]

use treering_fuzz::{platforms, write_seeds};

libfuzzer_sys::fuzz_target!(
    init: write_seeds("cca_token", platforms::seeds),
    |data: &[u8]| platforms::cca_token(data)
);
