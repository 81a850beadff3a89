#![no_main]

use treering_fuzz::{formats, write_seeds};

libfuzzer_sys::fuzz_target!(
    init: write_seeds("tlog_policy", formats::seeds),
    |data: &[u8]| formats::tlog_policy(data)
);
