//! From a hash back to its entry: `leaf-index` and `entry-id-index`.
//!
//! A row is found by the first half of the hash, its *slot*, which halves what these two indexes cost on disk and in
//! every merge of tables. What is found is compared with the whole hash, so a lookup never answers with an entry whose
//! hash only begins like the one asked for. Two entries that share a slot are not both taken in: whoever wants to make
//! such a pair has to hash 2^64 texts, both of them his own, and is refused the second.

use sha2::{Digest, Sha256};
use treering_tlog::hash::Hash;

use crate::{
    nodes::{Memory, Nodes},
    schema::{Family, slot},
    store::{Store, StoreError},
    tiles,
};

/// What is in the slot of a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// Nothing.
    Free,
    /// The entry with this very hash.
    Same(u64),
    /// Another entry.
    Other(u64),
}

/// Looks for the entry with a leaf hash.
pub(crate) fn leaf(store: &Store, memory: &Memory, leaf: &Hash) -> Result<Slot, StoreError> {
    let Some(index) = store.index(Family::LeafIndex, slot(leaf.as_bytes()))? else { return Ok(Slot::Free) };
    let found = Nodes::new(store, memory, index.saturating_add(1)).leaf(index)?;
    Ok(if found == *leaf { Slot::Same(index) } else { Slot::Other(index) })
}

/// Looks for the entry whose SHA-256 this is.
pub(crate) fn entry_id(store: &Store, id: &[u8; 32]) -> Result<Slot, StoreError> {
    let Some(index) = store.index(Family::EntryIdIndex, slot(id))? else { return Ok(Slot::Free) };
    let found: [u8; 32] = Sha256::digest(tiles::entry(store, index)?).into();
    Ok(if found == *id { Slot::Same(index) } else { Slot::Other(index) })
}
