//! Reading a log's tiles, [C2SP tlog-tiles](https://c2sp.org/tlog-tiles): its checkpoint, entry bundles and hash tiles.
//!
//! In scope: fetching with limits, and what the tiles say a tree begins with, held against a root. Out of scope: believing
//! any of it without such a root.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hyper::{Method, StatusCode};
use rustls::ClientConfig;
use thiserror::Error;
use treering_tlog::{
    bundle::{self, BundleError, MAX_BUNDLE_LEN},
    checkpoint::{Checkpoint, CheckpointError},
    consistency,
    hash::{Hash, leaf_hash},
    note::{Note, NoteError, VerifierKey},
    tile::{self, TILE_WIDTH, TileError, TileId, entries_path, node_from_tile},
    tree::{NodeCoord, RangeError, root_at},
};

use crate::fetch::{FetchError, Fetcher};

/// A client of one log. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LogClient {
    fetcher: Fetcher,
}

/// A checkpoint with a valid signature of its log: only [`LogClient::checkpoint`] and [`SignedCheckpoint::verify`] make one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SignedCheckpoint {
    note: Note,
    checkpoint: Checkpoint,
}

impl SignedCheckpoint {
    /// Checks a note's signature by the log, and its origin.
    pub fn verify(note: &[u8], origin: &str, keys: &[VerifierKey]) -> Result<Self, TilesError> {
        let note = Note::parse(note)?;
        note.verify(keys)?;
        let checkpoint = Checkpoint::parse(note.text())?;
        if checkpoint.origin() != origin {
            return Err(TilesError::OtherOrigin { actual: checkpoint.origin().to_owned() });
        }
        Ok(Self { note, checkpoint })
    }

    /// The note.
    pub const fn note(&self) -> &Note {
        &self.note
    }

    /// What it says.
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }
}

/// What a tree begins with, by its own root: only [`LogClient::prefix`] makes one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Prefix {
    /// Root of the first leaves.
    pub root: Hash,
    /// Consistency proof from it to the whole tree.
    pub path: Vec<Hash>,
}

impl LogClient {
    /// A client of the log below an address; see [`Fetcher::new`].
    pub fn new(url: &str, tls: Option<Arc<ClientConfig>>, timeout: Duration) -> Result<Self, TilesError> {
        Ok(Self { fetcher: Fetcher::new(url, tls, timeout)? })
    }

    /// The log's latest checkpoint, its signature verified.
    pub async fn checkpoint(
        &self,
        origin: &str,
        keys: &[VerifierKey],
    ) -> Result<SignedCheckpoint, TilesError> {
        let note = self.get("checkpoint", MAX_CHECKPOINT_LEN).await?;
        let note = note.ok_or_else(|| TilesError::Absent { path: "checkpoint".to_owned() })?;
        SignedCheckpoint::verify(&note, origin, keys)
    }

    /// The leaf hashes of the first `width` entries of a bundle.
    pub async fn leaves(&self, index: u64, width: u16) -> Result<Vec<Hash>, TilesError> {
        let path = |width| entries_path(index, width);
        let bytes = self.get_wide(path, width, MAX_BUNDLE_LEN).await?;
        let entries = bundle::decode(&bytes)?;
        let entries = entries.get(..usize::from(width)).ok_or_else(|| TilesError::Short {
            path: path(width),
            actual: entries.len(),
            wanted: width,
        })?;
        Ok(entries.iter().map(|entry| leaf_hash(entry)).collect())
    }

    /// The first `width` hashes of a tile.
    pub async fn tile(&self, id: TileId, width: u16) -> Result<Vec<Hash>, TilesError> {
        let path = |width| id.path(width);
        let bytes = self.get_wide(path, width, MAX_TILE_LEN).await?;
        let mut hashes = tile::decode(&bytes)?;
        if hashes.len() < usize::from(width) {
            return Err(TilesError::Short { path: path(width), actual: hashes.len(), wanted: width });
        }
        hashes.truncate(usize::from(width));
        Ok(hashes)
    }

    /// What the tree of a checkpoint begins with at a smaller size, proved by the checkpoint's own root.
    ///
    /// Tiles that do not lead to that root are an error: they say nothing about the log's trees, only that it does not
    /// serve what it signed.
    pub async fn prefix(&self, size: u64, of: &Checkpoint) -> Result<Prefix, TilesError> {
        let mut tiles = BTreeMap::new();
        loop {
            let node = |coord: NodeCoord| {
                let (id, _) = TileId::of_node(coord).map_err(Missing::Tile)?;
                let hashes: &Vec<Hash> = tiles.get(&id).ok_or(Missing::Fetch(id))?;
                node_from_tile(coord, hashes).map_err(Missing::Tile)
            };
            let missing = match (root_at(size, node), consistency::prove(size, of.size(), node)) {
                (Ok(root), Ok(path)) => {
                    let leads = consistency::verify(size, of.size(), &root, of.root(), &path);
                    leads.map_err(|_| TilesError::NotTheTree { size: of.size() })?;
                    return Ok(Prefix { root, path });
                }
                (Err(missing), _) | (_, Err(RangeError::Node(missing))) => missing,
                // No prefix: a size above the tree's.
                (_, Err(_)) => return Err(TilesError::Larger { size, of: of.size() }),
            };
            match missing {
                Missing::Tile(error) => return Err(error.into()),
                Missing::Fetch(id) => {
                    let hashes = self.tile(id, id.width(of.size())).await?;
                    tiles.insert(id, hashes);
                }
            }
        }
    }

    /// A partial tile or bundle, or the full one in its place: a log may remove partial ones once there is a full one.
    async fn get_wide(
        &self,
        path: impl Fn(u16) -> String,
        width: u16,
        limit: usize,
    ) -> Result<Vec<u8>, TilesError> {
        if let Some(bytes) = self.get(&path(width), limit).await? {
            return Ok(bytes);
        }
        let full = path(TILE_WIDTH);
        self.get(&full, limit).await?.ok_or(TilesError::Absent { path: full })
    }

    /// `None` for 404.
    async fn get(&self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, TilesError> {
        let answer = self.fetcher.call(Method::GET, &format!("/{path}"), Vec::new(), limit).await?;
        let identity = answer.content_encoding.as_deref().is_none_or(|encoding| encoding == "identity");
        match answer.status {
            StatusCode::OK if identity => Ok(Some(answer.body)),
            StatusCode::OK => Err(TilesError::Encoding { path: path.to_owned() }),
            StatusCode::NOT_FOUND => Ok(None),
            status => Err(TilesError::Status { path: path.to_owned(), status: status.as_u16() }),
        }
    }
}

/// Why a node is not known yet.
enum Missing {
    Fetch(TileId),
    Tile(TileError),
}

/// Why a log's tiles cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TilesError {
    /// Nothing there.
    #[error("{path} is absent")]
    Absent {
        /// Path below the log's address.
        path: String,
    },
    /// The bundle is malformed.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The text is no checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Compressed though nobody asked for it.
    #[error("{path} has a content-encoding, want none")]
    Encoding {
        /// Path below the log's address.
        path: String,
    },
    /// No answer.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// A prefix larger than the tree.
    #[error("size is {size}, want at most {of}")]
    Larger {
        /// Size asked for.
        size: u64,
        /// Size of the tree.
        of: u64,
    },
    /// The note is malformed or not signed by the log.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The hash tiles are not those of the signed tree.
    #[error("the tiles are not those of the tree that was signed at size {size}")]
    NotTheTree {
        /// Size of the checkpoint.
        size: u64,
    },
    /// A checkpoint of another log.
    #[error("checkpoint is of {actual:?}")]
    OtherOrigin {
        /// Its origin.
        actual: String,
    },
    /// Fewer than the size says.
    #[error("{path} has {actual}, want {wanted}")]
    Short {
        /// Path below the log's address.
        path: String,
        /// Hashes or entries found.
        actual: usize,
        /// Hashes or entries wanted.
        wanted: u16,
    },
    /// Another status than 200 or 404.
    #[error("{path} is answered with status {status}")]
    Status {
        /// Path below the log's address.
        path: String,
        /// The status code.
        status: u16,
    },
    /// The tile is malformed.
    #[error(transparent)]
    Tile(#[from] TileError),
}

impl TilesError {
    /// Whether the log serves what is malformed, not signed, or not the tree that it signed; otherwise it was not reached.
    pub const fn is_finding(&self) -> bool {
        !matches!(self, Self::Absent { .. } | Self::Fetch(_) | Self::Status { .. } | Self::Encoding { .. })
    }
}

/// As for a witness: 16 post-quantum signatures.
const MAX_CHECKPOINT_LEN: usize = treering_tlog::add_checkpoint::MAX_CHECKPOINT_LEN;
const MAX_TILE_LEN: usize = TILE_WIDTH as usize * treering_tlog::hash::HASH_SIZE;
