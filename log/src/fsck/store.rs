//! A log's own store as a source: fragments, the indexes beside the tree, and the checkpoint file.

use sha2::{Digest, Sha256};
use treering_tlog::{
    checkpoint::Checkpoint,
    hash::Hash,
    note::{Note, VerifierKey},
    tile::TileId,
};

use super::{Finding, Fragment, LogSource, SourceError};
use crate::{
    checkpoint_file,
    log::Log,
    schema::{self, Family},
    store::{Pair, StoreError},
    tiles,
};

impl LogSource for Log {
    fn log_key(&self) -> Option<&VerifierKey> {
        Self::log_key(self)
    }

    fn checkpoint(&self) -> Result<Option<Vec<u8>>, SourceError> {
        Ok(self.head().map(|head| head.note().to_vec()))
    }

    fn bundle(&self, index: u64, width: u16) -> Result<Vec<Fragment>, SourceError> {
        Ok(tiles::bundle_fragments(self.store(), index, width)?)
    }

    fn tile(&self, id: TileId, width: u16) -> Result<Vec<u8>, SourceError> {
        let hashes = tiles::tile_hashes(self.store(), id, width)?;
        Ok(treering_tlog::tile::encode(&hashes))
    }

    /// Both ways back to the entry must lead to it.
    fn check_entry(&self, index: u64, entry: &[u8], leaf: &Hash) -> Vec<String> {
        let id: [u8; 32] = Sha256::digest(entry).into();
        [(Family::LeafIndex, leaf.as_bytes()), (Family::EntryIdIndex, &id)]
            .into_iter()
            .filter_map(|(family, hash)| match self.store().index(family, schema::slot(hash)) {
                Ok(Some(found)) if found == index => None,
                Ok(Some(found)) => {
                    Some(format!("{} says that entry {index} is entry {found}", family.name()))
                }
                Ok(None) => Some(format!("{} does not know entry {index}", family.name())),
                Err(error) => Some(format!("{} cannot be read for entry {index}: {error}", family.name())),
            })
            .collect()
    }

    fn check_rest(&self, size: u64) -> Vec<Finding> {
        let mut rest = Rest { log: self, size, findings: Vec::new() };
        rest.head();
        for family in [Family::LeafIndex, Family::EntryIdIndex, Family::Once, Family::Registers] {
            rest.indexes(family, |_, value| schema::decode_index(family.name(), value));
        }
        rest.indexes(Family::Keys, |key, _| schema::index_of_key(key));
        rest.contents();
        rest.checkpoint_file();
        rest.findings
    }
}

impl From<StoreError> for SourceError {
    fn from(error: StoreError) -> Self {
        Self(error.to_string())
    }
}

struct Rest<'a> {
    log: &'a Log,
    size: u64,
    findings: Vec<Finding>,
}

impl Rest<'_> {
    fn find(&mut self, entry: Option<u64>, what: String) {
        // A damaged family would otherwise fill memory with findings; the report is cut there anyway.
        if self.findings.len() < super::MAX_FINDINGS {
            self.findings.push(Finding { entry, what });
        }
    }

    /// The head's record says what its note says, and the witnessed head is a prefix.
    fn head(&mut self) {
        if let Some(head) = self.log.head() {
            let note = Note::parse(head.note()).ok();
            let checkpoint = note.and_then(|note| Checkpoint::parse(note.text()).ok());
            let said = checkpoint
                .map(|checkpoint| (checkpoint.origin().to_owned(), checkpoint.size(), *checkpoint.root()));
            if said != Some((self.log.origin().to_owned(), head.size(), *head.root())) {
                self.find(None, "the stored head and its note differ".into());
            }
        }
        if let Some(witnessed) = self.log.witnessed() {
            self.prefix("the witnessed head", witnessed.size(), *witnessed.head().root());
        }
    }

    fn prefix(&mut self, what: &str, size: u64, root: Hash) {
        // Of the newest size the signed root is at hand: it does not suffer from a damaged tile, which is a
        // finding of its own already.
        let ours = match self.log.head() {
            Some(head) if head.size() == size => Ok(*head.root()),
            _ => self.log.root_at(size),
        };
        match ours {
            Ok(ours) if ours == root => {}
            Ok(ours) => self.find(None, format!("{what} has root {root} at size {size}, the log has {ours}")),
            Err(error) => self.find(None, format!("{what} of size {size} cannot be compared: {error}")),
        }
    }

    /// Every index in a family is one of an entry; a way back is unique, so there are no more than entries.
    fn indexes(&mut self, family: Family, index: impl Fn(&[u8], &[u8]) -> Result<u64, schema::FormatError>) {
        let mut keys = 0u64;
        self.walk(family, |rest, (key, value)| {
            keys += 1;
            match index(&key, &value) {
                Ok(index) if index < rest.size => {}
                Ok(index) => {
                    rest.find(None, format!("{} names entry {index}, which is not there", family.name()));
                }
                Err(error) => rest.find(None, error.to_string()),
            }
        });
        if matches!(family, Family::LeafIndex | Family::EntryIdIndex) && keys > self.size {
            self.find(None, format!("{} has {keys} keys for {} entries", family.name(), self.size));
        }
    }

    /// Every content belongs to an entry.
    fn contents(&mut self) {
        self.walk(Family::Content, |rest, (key, value)| {
            if let Err(error) = schema::decode_bytes("a content", value.into_vec()) {
                rest.find(None, error.to_string());
            }
            let leaf = Hash::from_slice(&key).ok();
            let there = leaf.and_then(|leaf| rest.log.index_of_leaf(&leaf).ok().flatten());
            if there.is_none() {
                rest.find(None, format!("a content lies under leaf {}, which is not there", hex(&key)));
            }
        });
    }

    fn walk(&mut self, family: Family, mut each: impl FnMut(&mut Self, Pair)) {
        let pairs = match self.log.store().from(family, &[]) {
            Ok(pairs) => pairs,
            Err(error) => return self.find(None, format!("{} cannot be read: {error}", family.name())),
        };
        for pair in pairs {
            match pair {
                Ok(pair) => each(self, pair),
                Err(error) => return self.find(None, format!("{} cannot be read: {error}", family.name())),
            }
        }
    }

    fn is_heads_note(&self, bytes: &[u8]) -> bool {
        self.log.head().is_some_and(|head| head.note() == bytes)
    }

    /// The file beside the database is a checkpoint of this log's past.
    fn checkpoint_file(&mut self) {
        let bytes = match checkpoint_file::read(self.log.dir()) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return,
            Err(error) => return self.find(None, format!("the checkpoint file cannot be read: {error}")),
        };
        let note = Note::parse(&bytes).map_err(|error| error.to_string());
        let checkpoint =
            note.and_then(|note| Checkpoint::parse(note.text()).map_err(|error| error.to_string()));
        match checkpoint {
            Ok(checkpoint) if checkpoint.origin() != self.log.origin() => {
                self.find(None, format!("the checkpoint file is of log {}", checkpoint.origin()));
            }
            // Its signature is that of the head's note, which is checked where the log's key is known.
            Ok(checkpoint) if checkpoint.size() == self.size && !self.is_heads_note(&bytes) => {
                self.find(None, "the checkpoint file differs from the stored head's note".into());
            }
            Ok(checkpoint) => self.prefix("the checkpoint file", checkpoint.size(), *checkpoint.root()),
            Err(why) => self.find(None, format!("the checkpoint file is malformed: {why}")),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    Hash::from_slice(bytes).map_or_else(|_| format!("{bytes:?}"), |hash| hash.to_hex())
}
