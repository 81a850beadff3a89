#![no_main]

use treering_fuzz::{platforms, write_seeds};

libfuzzer_sys::fuzz_target!(
    init: write_seeds("nitro_document", platforms::seeds),
    |data: &[u8]| platforms::nitro_document(data)
);
