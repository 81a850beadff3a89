//! Integration tests of the witness: over real HTTP, and with the real process.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stderr, reason = "test code")]

mod support;

mod client;
mod conformance;
mod crash;
mod journal;
mod mirror;
mod pinned;
mod process;
mod race;
mod status;
