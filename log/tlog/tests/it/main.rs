//! Integration tests of the formats: vectors that others made, other implementations, pinned bytes, arbitrary bytes.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::format_push_string, reason = "test code")]

mod support;

mod differential;
mod ed25519;
mod merkle;
mod mldsa;
mod pinned;
mod plants;
mod policy;
mod robust;
mod sunlight;
mod tessera;
