#![no_main]

use treering_fuzz::{service, write_seeds};

libfuzzer_sys::fuzz_target!(
    init: write_seeds("cmw_file", service::seeds),
    |data: &[u8]| service::cmw_file(data)
);
