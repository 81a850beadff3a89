//! Collateral at hand: what vendors publish, kept so that an appraisal need not wait for a vendor, nor fail with one.
//!
//! In scope: the store (content-addressed snapshots under names), what a file is, fetching by HTTP with
//! ETag, back-off and limits ([`Fetcher`]), and filling in what evidence calls for ([`Collaterals`]).
//! Out of scope: whether any of it is trusted or fresh enough, which the Verifier decides by the appraisal policy, and
//! how octets travel ([`Get`] is the carriage's interface).

mod collaterals;
mod fetch;
mod store;
mod vendor;

pub use collaterals::{Collaterals, Rules};
pub use fetch::{Fetched, Fetcher, Get, GetError, Outcome, Question, Response};
pub use store::{Entry, Imported, Store, StoreError};
pub use vendor::Vendors;
