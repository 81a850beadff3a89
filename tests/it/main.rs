//! The integration tests, one binary.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stderr, reason = "test code")]

mod appraise;
mod attester;
mod bench;
mod cddl;
mod cmd;
mod collateral;
mod conformance;
mod demo;
mod layering;
mod mapping;
mod packaging;
mod service;
#[path = "../../log/tests/it/small.rs"]
mod small;
mod support;
mod tacra;
mod vault;
mod verifier;
