#![no_main]
//! See [`treering_fuzz::service::token`].

use treering_fuzz::{service, write_seeds};

libfuzzer_sys::fuzz_target!(
    init: write_seeds("token", service::seeds),
    |data: &[u8]| service::token(data)
);
