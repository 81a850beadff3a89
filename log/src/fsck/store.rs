//! A log's own store as a source: fragments, the indexes beside the tree, and the checkpoint file.

use std::sync::Arc;

use treering_tlog::{
    checkpoint::Checkpoint,
    hash::{Hash, leaf_hash},
    note::{Note, VerifierKey},
    tile::{self, TileId},
};

use super::{Finding, Fragment, LogSource, Rows, SourceError, SourceTile};
use crate::{
    checkpoint_file,
    index::{
        Run,
        run::{self, INDEX, Lead},
    },
    log::Log,
    schema::{self, EdgeOf, Family, WIDTH, edge_of_key},
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

    fn tile(&self, id: TileId, width: u16) -> Result<SourceTile, SourceError> {
        let mut tile = tiles::tile(self.store(), id, width)?;
        let inner = tile.inner.take();
        Ok(SourceTile { hashes: tile::encode(&tile.first(width)), inner })
    }

    /// The way back to the entry.
    fn row_of(&self, rows: &Rows, index: u64, leaf: &Hash) -> u64 {
        lead(rows, run::short(leaf), index)
    }

    fn check_rest(&self, size: u64, rows: &Rows, wanted: u64) -> Vec<Finding> {
        let mut rest = Rest { log: self, size, findings: Vec::new() };
        rest.head();
        rest.index(rows, wanted);
        for family in [Family::Once, Family::Registers] {
            rest.indexes(family, |_, value| schema::decode_index(family.name(), value));
        }
        rest.indexes(Family::Keys, |key, _| schema::index_of_key(key));
        rest.indexes(Family::Content, |key, value| {
            schema::decode_bytes("a content", value.to_vec())?;
            schema::index_of_content_key(key)
        });
        rest.edge();
        rest.checkpoint_file();
        rest.findings.truncate(super::MAX_FINDINGS);
        rest.findings
    }
}

fn lead(rows: &Rows, hash: u64, index: u64) -> u64 {
    rows.row(INDEX, &hash.to_be_bytes(), index)
}

/// What a walk over the index found.
#[derive(Default)]
struct Leads {
    count: u64,
    sum: u64,
    findings: Vec<Finding>,
}

impl Leads {
    fn count_page(&mut self, run: &Run, page: u32, found: &[Lead], size: u64, rows: &Rows) {
        if !found.is_sorted() {
            self.find(format!("{INDEX} has a page out of order"));
        }
        for &Lead { hash, index } in found {
            if run.id.page_of(hash) != page || !run.filter.may_have(hash) {
                self.find(format!("{INDEX} has a hash for entry {index} out of place"));
            }
            self.add(lead(rows, hash, index), index < size);
        }
    }

    fn count(log: &Log, runs: &[Arc<Run>], size: u64, rows: &Rows) -> Self {
        let mut leads = Self::default();
        for run in runs {
            for page in 0..run.id.pages() {
                if leads.findings.len() >= super::MAX_FINDINGS {
                    return leads;
                }
                match run::page(log.store(), run.id, page) {
                    Ok(found) => leads.count_page(run, page, &found, size, rows),
                    Err(error) => leads.find(format!("{INDEX} cannot be read: {error}")),
                }
            }
        }
        log.index().show_young(|hash, index| {
            leads.add(lead(rows, run::short(hash), index), index < size);
        });
        leads
    }

    /// A log that is open may have grown meanwhile.
    fn add(&mut self, row: u64, counts: bool) {
        if counts {
            (self.count, self.sum) = (self.count + 1, self.sum.wrapping_add(row));
        }
    }

    fn find(&mut self, what: String) {
        if self.findings.len() < super::MAX_FINDINGS {
            self.findings.push(Finding { entry: None, what });
        }
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

    /// The way back to the entries, from the sum of what it should be to what of it is wrong.
    fn index(&mut self, rows: &Rows, wanted: u64) {
        if let Some(error) = self.log.index().unreadable() {
            self.find(None, error.to_string());
            return;
        }
        let (still, runs) = self.log.index().still();
        let leads = Leads::count(self.log, &runs, self.size, rows);
        drop(still);
        if leads.sum != wanted {
            self.entries();
        }
        if leads.count != self.size {
            self.find(None, format!("{INDEX} has {} hashes for {} entries", leads.count, self.size));
        }
        self.findings.extend(leads.findings);
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

    /// Looks for each entry's rows one by one: slow, and only when their sum says that something is wrong.
    fn entries(&mut self) {
        for index in 0..self.size {
            let Ok(Some(entry)) = self.log.entry(index) else { continue };
            let leaf = leaf_hash(&entry);
            // A damaged entry is a finding already, and its rows are those of what it was.
            if self.log.leaf(index).ok().flatten() != Some(leaf) {
                continue;
            }
            match self.log.index().entry(self.log.store(), self.log.memory(), &leaf) {
                Ok(Some(found)) if found == index => {}
                Ok(Some(found)) => {
                    self.find(Some(index), format!("{INDEX} says that entry {index} is entry {found}"));
                }
                Ok(None) => self.find(Some(index), format!("{INDEX} does not know entry {index}")),
                Err(error) => {
                    self.find(Some(index), format!("{INDEX} cannot be read for entry {index}: {error}"));
                }
            }
            if self.findings.len() >= super::MAX_FINDINGS {
                return;
            }
        }
    }

    /// Every index in a family is one of an entry.
    fn indexes(&mut self, family: Family, index: impl Fn(&[u8], &[u8]) -> Result<u64, schema::FormatError>) {
        self.walk(family, |rest, (key, value)| match index(&key, &value) {
            Ok(index) if index < rest.size => {}
            Ok(index) => {
                rest.find(None, format!("{} names entry {index}, which is not there", family.name()));
            }
            Err(error) => rest.find(None, error.to_string()),
        });
    }

    /// The fragments are those of what is not full: others would have been left by a commit that was not whole.
    fn edge(&mut self) {
        self.walk(Family::Edge, |rest, (key, _)| {
            let at_edge = edge_of_key(&key).is_some_and(|(of, first)| {
                let level = match of {
                    EdgeOf::Bundle => 0,
                    EdgeOf::Tile(level) => level,
                };
                let full = tile::full_tiles(level, rest.size) * WIDTH;
                (full..full + u64::from(tile::partial_width(level, rest.size))).contains(&first)
            });
            if !at_edge {
                rest.find(None, format!("edge has a fragment that is not at the right edge: {}", hex(&key)));
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
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}
