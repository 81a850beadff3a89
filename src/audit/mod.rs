//! What an auditor does, without trust in the service: open what was granted, trace a credential, make its decision
//! again, or every decision in the log.
//!
//! In scope: everything is read through a [`Source`] (the service over the network, or a copy of its data), and each
//! entry is checked against one signed, witnessed checkpoint before it counts.
//! Out of scope: checking the whole log (`treering_log::fsck`).

mod credential;
mod error;
mod keyring;
mod reader;
mod replay;
mod source;
mod trace;

pub use error::TraceError;
pub use keyring::{Keyring, KeyringError};
pub use replay::{
    Appraise, Decided, Finding, MAX_WAIT_S, Progress, Replay, Report, Scope, Tally, Verdict, replay,
    replay_log,
};
pub use source::{LocalSource, Source, SourceError};
pub use trace::{Step, Trace, Traced, trace};
