#![no_main]

use treering_fuzz::{service, write_seeds};

libfuzzer_sys::fuzz_target!(
    init: write_seeds("intel_quote", service::seeds),
    |data: &[u8]| service::intel_quote(data)
);
