//! Reading a log: entries, proofs, tiles, and the indexes beside the tree.
//!
//! Everything here reads committed state, bounded by the newest head. Reads block for as long as the disk
//! takes, which is microseconds when the block is cached.

use treering_tlog::{
    consistency,
    hash::Hash,
    inclusion,
    tile::{self, TileId},
    tree::{self, RangeError},
};

use crate::{
    append::RegisterName,
    log::Log,
    nodes::Nodes,
    schema::{self, Family},
    store::{Store, StoreError},
    tiles,
};

/// Why a read gave nothing.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The entry or tree asked for is beyond the log, or the range is reversed.
    #[error("{what}: {actual}, the log has {size} entries")]
    Beyond {
        /// What was asked for.
        what: &'static str,
        /// The number asked for.
        actual: u64,
        /// Entries in the log.
        size: u64,
    },
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A row's key and value.
pub type KeyValue = (Vec<u8>, Vec<u8>);

impl Log {
    /// The entry at an index; `None` beyond the log.
    pub fn entry(&self, index: u64) -> Result<Option<Vec<u8>>, ReadError> {
        if index >= self.size() {
            return Ok(None);
        }
        Ok(Some(tiles::entry(self.store(), index)?))
    }

    /// The leaf hash at an index; `None` beyond the log.
    pub fn leaf(&self, index: u64) -> Result<Option<Hash>, ReadError> {
        if index >= self.size() {
            return Ok(None);
        }
        Ok(Some(Nodes::new(self.store(), self.memory(), self.size()).leaf(index)?))
    }

    /// The index of the entry with this leaf hash.
    pub fn index_of_leaf(&self, leaf: &Hash) -> Result<Option<u64>, ReadError> {
        Ok(self.visible(self.index().entry(self.store(), self.memory(), leaf)?))
    }

    /// The content that is kept for the entry with this leaf hash.
    pub fn content(&self, leaf: &Hash) -> Result<Option<Vec<u8>>, ReadError> {
        Ok(self.index_of_leaf(leaf)?.map(|index| self.content_at(index)).transpose()?.flatten())
    }

    /// The content that is kept for the entry at an index.
    pub fn content_at(&self, index: u64) -> Result<Option<Vec<u8>>, ReadError> {
        if index >= self.size() {
            return Ok(None);
        }
        Ok(self.store().bytes("a content", Family::Content, &schema::content_key(index))?)
    }

    /// The entries under an index key, in order, after an index, at most `limit`.
    pub fn lookup(&self, key: &[u8; 32], after: Option<u64>, limit: usize) -> Result<Vec<u64>, ReadError> {
        let (size, mut found) = (self.size(), Vec::new());
        let Some(from) = after.map_or(Some(0), |after| after.checked_add(1)) else { return Ok(found) };
        for pair in self.store().from(Family::Keys, &schema::index_key(key, from))?.take(limit) {
            let (stored, _) = pair?;
            if !stored.starts_with(key) {
                break;
            }
            let index = schema::index_of_key(&stored).map_err(StoreError::from)?;
            if index < size {
                found.push(index);
            }
        }
        Ok(found)
    }

    /// The entry that a register points to; `None` if it was never set.
    pub fn register(&self, name: &RegisterName) -> Result<Option<u64>, ReadError> {
        Ok(self.store().index(Family::Registers, schema::register_key(name))?)
    }

    /// The first entry of the append that used a once key.
    pub fn used(&self, key: &[u8; 32]) -> Result<Option<u64>, ReadError> {
        Ok(self.store().index(Family::Once, key)?)
    }

    /// A row of a side table.
    pub fn row(&self, table: u8, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        Ok(self.store().bytes("a row", Family::Rows, &schema::row_key(table, key))?)
    }

    /// All rows of a table whose keys begin with a prefix, in order of their keys. For prefixes that are known
    /// to have few; otherwise [`rows_after`](Self::rows_after).
    pub fn rows(&self, table: u8, prefix: &[u8]) -> Result<Vec<KeyValue>, ReadError> {
        self.rows_after(table, prefix, None, usize::MAX)
    }

    /// As [`rows`](Self::rows), after a key, at most `limit`.
    pub fn rows_after(
        &self,
        table: u8,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<KeyValue>, ReadError> {
        let (start, mut found) = (schema::row_key(table, prefix), Vec::new());
        let from = after.map_or_else(|| start.clone(), |after| schema::row_key(table, after));
        for pair in self.store().from(Family::Rows, &from)? {
            let (key, value) = pair?;
            let inside = key.starts_with(&start);
            let Some((_, own)) = key.split_first().filter(|_| inside && found.len() < limit) else { break };
            if after == Some(own) {
                continue;
            }
            let value = schema::decode_bytes("a row", value.into_vec()).map_err(StoreError::from)?;
            found.push((own.to_vec(), value));
        }
        Ok(found)
    }

    /// The first `width` hashes of a tile, as C2SP bytes; `None` if the log does not have them.
    pub fn tile(&self, level: u8, index: u64, width: u16) -> Result<Option<Vec<u8>>, ReadError> {
        let id = TileId::new(level, index);
        if width == 0 || id.width(self.size()) < width {
            return Ok(None);
        }
        Ok(Some(tile::encode(&tiles::tile(self.store(), id, width)?.first(width))))
    }

    /// The first `width` entries of a bundle, as C2SP bytes; `None` if the log does not have them.
    pub fn bundle(&self, index: u64, width: u16) -> Result<Option<Vec<u8>>, ReadError> {
        if width == 0 || TileId::new(0, index).width(self.size()) < width {
            return Ok(None);
        }
        Ok(Some(tiles::bundle_bytes(self.store(), index, width)?))
    }

    /// The root of the first `size` entries.
    pub fn root_at(&self, size: u64) -> Result<Hash, ReadError> {
        let mut nodes = self.nodes("tree size", size, size)?;
        Ok(tree::root_at(size, |coord| nodes.read(coord))?)
    }

    /// Proves that the entry at `index` is in the tree of the first `size` entries.
    pub fn inclusion(&self, index: u64, size: u64) -> Result<Vec<Hash>, ReadError> {
        if index >= size {
            return Err(ReadError::Beyond { what: "entry index", actual: index, size });
        }
        let mut nodes = self.nodes("tree size", size, size)?;
        inclusion::prove(index, size, |coord| nodes.read(coord)).map_err(range_error)
    }

    /// Proves that the tree of `old` entries is a prefix of the tree of `new`.
    pub fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, ReadError> {
        if old > new {
            return Err(ReadError::Beyond { what: "old tree size", actual: old, size: new });
        }
        let mut nodes = self.nodes("tree size", new, new)?;
        consistency::prove(old, new, |coord| nodes.read(coord)).map_err(range_error)
    }

    fn nodes(&self, what: &'static str, actual: u64, size: u64) -> Result<Nodes<'_>, ReadError> {
        let have = self.size();
        if actual > have {
            return Err(ReadError::Beyond { what, actual, size: have });
        }
        Ok(Nodes::new(self.store(), self.memory(), size))
    }

    /// An index counts once the head that covers it is out.
    fn visible(&self, index: Option<u64>) -> Option<u64> {
        let size = self.size();
        index.filter(|index| *index < size)
    }
}

impl Store {
    /// The index under a key of `once` or `registers`.
    pub(crate) fn index(&self, family: Family, key: &[u8]) -> Result<Option<u64>, StoreError> {
        let value = self.get(family, key)?;
        Ok(value.map(|value| schema::decode_index(family.name(), &value)).transpose()?)
    }

    /// The caller's bytes under a key of `content` or `rows`.
    pub(crate) fn bytes(
        &self,
        what: &'static str,
        family: Family,
        key: &[u8],
    ) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.get(family, key)?.map(|value| schema::decode_bytes(what, value)).transpose()?)
    }
}

fn range_error(error: RangeError<StoreError>) -> ReadError {
    match error {
        RangeError::Node(error) => error.into(),
        // Ranges come from sizes that were checked above.
        _ => ReadError::Store(StoreError::Inconsistent {
            what: "a proof",
            at: 0,
            why: "its range is no subtree",
        }),
    }
}
