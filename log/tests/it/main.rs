//! The log as its callers see it, against models, other implementations of its rules, and crashes.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    reason = "test code"
)]

mod account;
mod concurrency;
mod crash;
mod damage;
mod export;
mod faults;
mod model;
mod open;
mod overload;
mod publisher;
mod random;
mod restore;
mod shim;
mod small;
mod support;
mod tree;
