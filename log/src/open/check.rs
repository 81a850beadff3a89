//! The stored log against its own signed head, and against the checkpoint that was published.
//!
//! In scope: what must hold whatever the store is kept on. Out of scope: files and locks ([`open`](super::open)).

use std::sync::Arc;

use treering_tlog::{
    bundle,
    checkpoint::Checkpoint,
    hash::leaf_hash,
    note::VerifierKey,
    tile::{TILE_WIDTH, TileId, full_tiles, partial_width},
    tree::{self, Frontier},
};

use super::{OpenError, Opened, stored_head, stored_witnessed};
use crate::{
    index::{Damage, Index},
    integrate::{Edge, EdgeTile},
    nodes::{Nodes, TileNodes},
    schema::LEVELS,
    sequencer::check_note,
    store::{Store, StoreError},
    tiles,
};

/// Checks a store from its head on, and gives what the sequencer needs of it.
pub(crate) fn check(
    store: Store,
    origin: &str,
    key: &VerifierKey,
    published: Option<&Checkpoint>,
    run_bits: u8,
) -> Result<Opened, OpenError> {
    let head = stored_head(&store)?;
    if let Some(head) = &head {
        check_note(head, origin, key).map_err(|why| OpenError::Head { size: head.size, why })?;
    }
    let size = head.as_ref().map_or(0, |head| head.size);
    let edge = read_edge(&store, size)?;
    if let Some(head) = head.as_ref().filter(|head| head.root != edge.root()) {
        return Err(OpenError::Edge { size, actual: edge.root(), wanted: head.root });
    }
    check_edge_entries(&store, &edge)?;
    if let Some(published) = published {
        check_prefix(&store, size, published)?;
    }
    let witnessed = stored_witnessed(&store)?;
    let index = Index::load(&store, size, Damage::Refuse, run_bits)?;
    Ok(Opened { store, index, edge, head, witnessed })
}

/// Reads the partial tile of each level, and the frontier that they and the full tiles' parents make.
fn read_edge(store: &Store, size: u64) -> Result<Edge, StoreError> {
    let mut levels = Vec::with_capacity(usize::from(LEVELS));
    for level in 0..LEVELS {
        let width = partial_width(level, size);
        let (hashes, starts) = tiles::edge_tile(store, TileId::new(level, full_tiles(level, size)), width)?;
        // More than the signed size would mean that the head and the tiles were not written together.
        if hashes.len() != usize::from(width) {
            let why = "it has more hashes than the signed head covers";
            return Err(StoreError::Inconsistent { what: "an edge tile", at: size, why });
        }
        levels.push(EdgeTile { nodes: Arc::new(TileNodes::from_hashes(hashes)), starts });
    }
    let mut nodes = Nodes::of_store(store, size);
    let frontier = Frontier::read(size, |coord| nodes.read(coord))?;
    Ok(Edge::stored(frontier, levels))
}

/// Compares the entries of the last, partial bundle with the leaf hashes of the edge.
fn check_edge_entries(store: &Store, edge: &Edge) -> Result<(), OpenError> {
    let hashes = edge.hashes(0);
    let width = u16::try_from(hashes.len()).unwrap_or(TILE_WIDTH);
    let index = edge.size() / u64::from(TILE_WIDTH);
    let bytes = tiles::edge_bundle(store, index, width)?;
    let first = index * u64::from(TILE_WIDTH);
    let entries = bundle::decode(&bytes).map_err(|_| OpenError::Entry { index: first })?;
    for ((index, entry), hash) in (first..).zip(entries).zip(hashes) {
        if leaf_hash(entry) != *hash {
            return Err(OpenError::Entry { index });
        }
    }
    Ok(())
}

/// Checks that the published tree is a prefix of ours.
fn check_prefix(store: &Store, size: u64, published: &Checkpoint) -> Result<(), OpenError> {
    if published.size() > size {
        return Err(OpenError::Behind { database: size, file: published.size() });
    }
    let mut nodes = Nodes::of_store(store, size);
    let actual = tree::root_at(published.size(), |coord| nodes.read(coord))?;
    if actual != *published.root() {
        return Err(OpenError::Contradicts { size: published.size(), actual, wanted: *published.root() });
    }
    Ok(())
}
