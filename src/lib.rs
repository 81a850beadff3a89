//! Treering: a transparency-log-backed provenance ledger for trustworthy workload identity.
//!
//! The rooms, floor by floor; a room imports only rooms of lower floors (`tests/it/layering.rs`):
//!
//! | floor | rooms |
//! |---|---|
//! | 0 | [`clock`], [`ident`], [`keys`], [`binding`] |
//! | 1 | [`vault`], [`verifier`], [`attester`] |
//! | 2 | [`mapper`], [`ledger`], [`collateral`] |
//! | 3 | [`authority`] |
//! | 4 | [`governance`] |
//! | 5 | [`issuance`], [`audit`], [`wire`] |
//! | 6 | [`http`], [`client`] |
//! | 7 | [`config`], [`conformance`] |
//! | 8 | [`cli`] |

pub mod attester;
pub mod audit;
pub mod authority;
pub mod binding;
pub mod cli;
pub mod client;
pub mod clock;
pub mod collateral;
pub mod config;
pub mod conformance;
pub mod governance;
pub mod http;
pub mod ident;
pub mod issuance;
pub mod keys;
pub mod ledger;
pub mod mapper;
pub mod vault;
pub mod verifier;
pub mod wire;
