//! A witness of transparency logs: it cosigns a checkpoint only if the log's tree has grown from the one it cosigned last.
//!
//! # What's in scope
//!
//! - the checks, pure: [`rules`];
//! - the last cosigned checkpoint of every log: [`state`], on disk in [`store`] and its [`journal`];
//! - the service and its HTTP, after [C2SP tlog-witness](https://c2sp.org/tlog-witness): [`service`], [`http`], [`rate`];
//! - asking a witness, for logs: [`client`];
//! - measuring it: [`bench`];
//! - what the program needs: [`clock`], [`config`], [`key`], [`signers`].
//!
//! # What's out of scope
//!
//! Logs' contents, TLS (put a proxy before it, or listen on loopback), the optional `sign-subtree` call, and any wire or
//! signature format: those are in `treering-tlog`. It never sees the log's database.

pub mod bench;
pub mod client;
pub mod clock;
pub mod config;
pub mod http;
pub mod journal;
pub mod key;
pub mod rate;
pub mod rules;
pub mod service;
pub mod signers;
pub mod state;
pub mod store;
