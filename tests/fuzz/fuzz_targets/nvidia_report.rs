#![no_main]

use treering_fuzz::{service, write_seeds};

libfuzzer_sys::fuzz_target!(
    init: write_seeds("nvidia_report", service::seeds),
    |data: &[u8]| service::nvidia_report(data)
);
