//! The log as its callers see it, against models, other implementations of its rules, and crashes.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    reason = "test code"
)]

mod concurrency;
mod crash;
mod export;
mod model;
mod open;
mod publisher;
mod support;
mod tree;
