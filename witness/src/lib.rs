//! A witness of transparency logs: it cosigns a checkpoint only if the log's tree has grown from the one it cosigned last.
//!
//! # What's in scope
//!
//! - the checks, pure: [`rules`];
//! - the last cosigned checkpoint of every log, on disk: [`store`];
//! - the service and its HTTP, after [C2SP tlog-witness](https://c2sp.org/tlog-witness): [`service`], [`http`];
//! - asking a witness, for logs: [`client`];
//! - what the program needs: [`clock`], [`config`], [`key`].
//!
//! # What's out of scope
//!
//! Logs' contents, TLS (put a proxy before it, or listen on loopback), the optional `sign-subtree` call, and any wire or
//! signature format: those are in `treering-tlog`. It never sees the log's database.

pub mod client;
pub mod clock;
pub mod config;
pub mod http;
pub mod key;
pub mod rules;
pub mod service;
pub mod store;
