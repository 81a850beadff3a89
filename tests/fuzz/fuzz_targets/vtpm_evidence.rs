#![no_main]

use treering_fuzz::{vtpm, write_seeds};

libfuzzer_sys::fuzz_target!(
    init: write_seeds("vtpm_evidence", vtpm::seeds),
    |data: &[u8]| vtpm::vtpm_evidence(data)
);
