#![no_main]

use treering_fuzz::{formats, write_seeds};

libfuzzer_sys::fuzz_target!(
    init: write_seeds("tile_path", formats::seeds),
    |data: &[u8]| formats::tile_path(data)
);
