//! A witness of transparency logs: it cosigns a checkpoint only if the log's tree has grown from the one it cosigned last.
//!
//! # What's in scope
//!
//! - the checks, pure: [`rules`];
//! - the last cosigned checkpoint of every log: [`state`], on disk in [`store`] and its [`journal`];
//! - the service and its HTTP, after [C2SP tlog-witness](https://c2sp.org/tlog-witness): [`service`], [`http`], [`rate`];
//! - asking a witness, for logs: [`client`], over [`fetch`];
//! - proof that a log has forked: [`evidence`]; finding it in what a log serves ([`tiles`], [`mirror`]) and in what other
//!   witnesses have cosigned ([`compare`]);
//! - measuring it: [`mod@bench`];
//! - what the program needs: [`clock`], [`config`], [`key`], [`signers`].
//!
//! # What's out of scope
//!
//! The meaning of entries (the mirror hashes them and forgets them), serving TLS (put a proxy before it, or listen on
//! loopback), the optional `sign-subtree` call, and any wire or
//! signature format: those are in `treering-tlog`. It never sees the log's database.

pub mod bench;
pub mod client;
pub mod clock;
pub mod compare;
pub mod config;
pub mod evidence;
pub mod fetch;
pub mod http;
pub mod journal;
pub mod key;
pub mod mirror;
pub mod rate;
pub mod rules;
pub mod service;
pub mod signers;
pub mod state;
pub mod store;
pub mod tiles;
