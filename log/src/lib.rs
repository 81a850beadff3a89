//! An append-only Merkle log on RocksDB.
//!
//! # What's in scope
//!
//! - the engine: one [sequencer](Log) owns the tree; callers wait in a bounded pool; one synced batch per
//!   commit holds entries, contents, tiles, index keys, used keys, registers, side-table rows and the signed
//!   head;
//! - reading: entries, tiles and bundles as C2SP tlog-tiles serves them, inclusion and consistency proofs,
//!   lookups by keys that the caller chose;
//! - [`publisher`]: bringing heads to witnesses until a quorum has cosigned; asking them, before anything is
//!   signed, whether this log is their latest;
//! - [`fsck`], [`export`], [`stats()`].
//!
//! # What's out of scope
//!
//! - what an entry means: bytes come in, an index and a sealed head go out;
//! - keys: heads are signed by the caller's [`Sealer`];
//! - HTTP, and the wire of witnesses: that is the caller's [`publisher::Cosigner`].
//!
//! # What is promised
//!
//! An [`Appended`] exists only after the fsync of its batch. Cost per entry and memory do not grow with the
//! log, and opening reads its right edge and its newest entries only. After a failed write the log stops until it is opened again.

pub mod export;
pub mod fsck;
pub mod publisher;

mod append;
mod checkpoint_file;
mod committed;
mod head;
mod index;
mod integrate;
mod log;
mod manifest_file;
mod nodes;
mod open;
mod plan;
mod pool;
mod probe;
mod reader;
mod reindex;
mod schema;
mod sequencer;
mod stats;
mod store;
mod tiles;

// The tests of the rooms and those in tests/it share their sealer and their naive tree.
#[cfg(test)]
extern crate self as treering_log;
#[cfg(test)]
#[path = "../tests/sim/mod.rs"]
mod sim;
#[cfg(test)]
#[path = "../tests/it/support.rs"]
mod support;
#[cfg(test)]
mod tests;

pub use append::{
    Append, AppendError, Appended, InvalidRegisterName, MAX_APPEND_BYTES, MAX_APPEND_ENTRIES, MAX_CONDITIONS,
    MAX_CONTENT_LEN, MAX_INDEX_KEYS, MAX_REGISTER_NAME_LEN, MAX_ROW_KEY_LEN, MAX_ROW_VALUE_LEN, MAX_ROWS,
    NewEntry, RegisterName, Row,
};
pub use head::{Head, Seal, SealError, Sealer, WitnessedHead};
pub use log::{Clock, Config, Log, WaitError};
pub use open::OpenError;
pub use probe::{Point, Probe};
pub use reader::{KeyValue, ReadError};
pub use reindex::{ReindexError, Step, reindex};
pub use schema::{FORMAT, FormatError};
pub use stats::{FamilyStats, Stats, stats};
pub use store::StoreError;
