//! The transparency-log specifications, pure.
//!
//! # What's in scope
//!
//! - the Merkle tree of RFC 9162 (section 2.1): [`hash`], [`tree`], [`inclusion`], [`consistency`];
//! - the tiles and entry bundles of [C2SP tlog-tiles](https://c2sp.org/tlog-tiles): [`tile`], [`bundle`];
//! - signed notes, checkpoints and cosignatures
//!   ([signed-note](https://c2sp.org/signed-note), [tlog-checkpoint](https://c2sp.org/tlog-checkpoint),
//!   [tlog-cosignature](https://c2sp.org/tlog-cosignature)): [`note`], [`checkpoint`], [`cosignature`];
//! - the one strict check of Ed25519 signatures: [`ed25519`];
//! - whom to believe, and the proof that travels ([tlog-policy](https://c2sp.org/tlog-policy),
//!   [tlog-proof](https://c2sp.org/tlog-proof)): [`policy`], [`proof`];
//! - the wire of a witness ([tlog-witness](https://c2sp.org/tlog-witness)): [`add_checkpoint`];
//! - the subtrees of the Merkle Tree Certificates draft, alone in their module because drafts move: [`subtree`].
//!
//! # What's out of scope
//!
//! I/O, storage, clocks, async, HTTP, and any meaning of an entry. Time and nodes of a tree come in as arguments.
//! Signature types other than Ed25519 notes (0x01), Ed25519 cosignatures (0x04) and ML-DSA-44 cosignatures of whole trees
//! (0x06) are never verified here; their lines in a note are kept and ignored, as the specification asks.
//!
//! Everything that parses refuses instead of repairing: a value has one encoding, and `parse` then `serialize` gives the
//! same bytes back.

pub mod add_checkpoint;
mod base64;
pub mod bundle;
pub mod checkpoint;
pub mod consistency;
pub mod cosignature;
pub mod ed25519;
pub mod hash;
pub mod inclusion;
pub mod note;
pub mod policy;
pub mod proof;
pub mod subtree;
pub mod tile;
pub mod tree;

mod decimal;
