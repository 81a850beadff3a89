//! The integration tests, one binary.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stderr, reason = "test code")]

mod appraise;
mod layering;
mod packaging;
