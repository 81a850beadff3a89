#![no_main]

use treering_fuzz::{service, write_seeds};

libfuzzer_sys::fuzz_target!(
    init: write_seeds("reference_values", service::seeds),
    |data: &[u8]| service::reference_values(data)
);
