//! Recomputing a log from its entries, and saying where it differs from what is stored.
//!
//! In scope: entries against leaf hashes, hashes against the hashes below them, the root against the signed
//! checkpoint, and what a source knows beside the tree. Out of scope: repairing anything, and what entries mean.
//!
//! Memory is a few tiles, whatever the log's size. When an entry and its stored leaf hash differ, the next
//! level (or, at the right edge, the signed root) says which of the two is damaged; checking then goes on with
//! the other, so that one damaged byte is one finding.

mod bundle;
mod store;

use std::hash::{BuildHasher as _, RandomState};

use treering_tlog::{
    checkpoint::Checkpoint,
    hash::Hash,
    note::{Note, VerifierKey},
    tile::{self, TILE_HEIGHT, TILE_WIDTH, TileId},
    tree::Frontier,
};

use self::bundle::{Bundle, Read};
use crate::{
    nodes::TileNodes,
    schema::{LEVELS, WIDTH},
};

/// Most findings in a report: enough to see a pattern, and an end to a walk over a log that is not there.
pub const MAX_FINDINGS: usize = 100;

/// Bundles that are read and hashed at a time, by all cores together: some 16,000 entries.
const WINDOW: u64 = 64;

/// What is checked: a store, or a directory of static tiles.
pub trait LogSource: Sync {
    /// The key that must have signed the checkpoint; without it the signature is not checked.
    fn log_key(&self) -> Option<&VerifierKey>;

    /// The newest signed checkpoint; `None` if the log is empty.
    fn checkpoint(&self) -> Result<Option<Vec<u8>>, SourceError>;

    /// The first `width` entries of a bundle, as they are stored: one fragment or more, in order.
    fn bundle(&self, index: u64, width: u16) -> Result<Vec<Fragment>, SourceError>;

    /// The first `width` hashes of a tile.
    fn tile(&self, id: TileId, width: u16) -> Result<SourceTile, SourceError>;

    /// The row that the source must have beside the tree to lead back to this entry; 0 if it has none.
    fn row_of(&self, rows: &Rows, index: u64, leaf: &Hash) -> u64 {
        let _ = (rows, index, leaf);
        0
    }

    /// Checks what the source knows beside entries and tree; `wanted` is the sum of the rows of all sound entries.
    fn check_rest(&self, size: u64, rows: &Rows, wanted: u64) -> Vec<Finding> {
        let _ = (size, rows, wanted);
        Vec::new()
    }
}

/// Fingerprints of rows, to be added up: two sets of rows have the same sum only if they are the same set.
///
/// They are made under a key of this run, so nobody can have prepared other rows with the same sum. Comparing two sums
/// replaces two random reads for each entry by one walk over the rows, in their own order.
#[derive(Debug, Default)]
pub struct Rows {
    key: RandomState,
}

impl Rows {
    /// The fingerprint of a row that leads from a key to an entry.
    pub fn row(&self, family: &str, key: &[u8], index: u64) -> u64 {
        self.key.hash_one((family, key, index))
    }
}

/// Stored entries in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// The index of the first.
    pub first: u64,
    /// Each behind its length, as in a C2SP bundle.
    pub bytes: Vec<u8>,
}

/// A tile as a source has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceTile {
    /// Its hashes, as in a C2SP tile.
    pub hashes: Vec<u8>,
    /// The nodes of a full tile that the source keeps with it, to make proofs from; `None` if it keeps none.
    pub inner: Option<Vec<Hash>>,
}

/// A source that could not be read.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct SourceError(pub String);

/// Something that is not as it was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The entry that is damaged, or the first one under a damaged hash; `None` if no entry can be named.
    pub entry: Option<u64>,
    /// What was found.
    pub what: String,
}

/// The outcome of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Entries that were read.
    pub entries: u64,
    /// The root recomputed from them; `None` where a gap made that impossible.
    pub root: Option<Hash>,
    /// What is wrong; empty means that every entry, hash and signature is as it should be.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }
}

/// Checks a log from its first entry to its checkpoint; `progress` is told entries done and entries in all.
pub fn check(source: &dyn LogSource, mut progress: impl FnMut(u64, u64)) -> Report {
    let mut findings = Vec::new();
    let Some(checkpoint) = checkpoint(source, &mut findings) else {
        let root = findings.is_empty().then_some(treering_tlog::hash::EMPTY_ROOT);
        return Report { entries: 0, root, findings };
    };
    let mut check = Check {
        source,
        size: checkpoint.size(),
        root: *checkpoint.root(),
        rows: Rows::default(),
        sum: 0,
        frontier: Some(Frontier::new()),
        levels: vec![Vec::new(); usize::from(LEVELS)],
        findings,
    };
    let bundles = check.size.div_ceil(WIDTH);
    let (mut entries, mut next) = (0, 0);
    while next < bundles && check.findings.len() < MAX_FINDINGS {
        let window = next..bundles.min(next + WINDOW);
        next = window.end;
        for bundle in bundle::read_all(source, &check.rows, check.size, window) {
            entries += u64::from(check.bundle(bundle));
        }
        progress(entries, check.size);
    }
    check.finish();
    check.findings.truncate(MAX_FINDINGS);
    Report { entries, root: check.frontier.map(|frontier| frontier.root()), findings: check.findings }
}

/// Parses the checkpoint and checks its signature; without one there is nothing to check against.
fn checkpoint(source: &dyn LogSource, findings: &mut Vec<Finding>) -> Option<Checkpoint> {
    let mut find = |what| findings.push(Finding { entry: None, what });
    let bytes = match source.checkpoint() {
        Ok(bytes) => bytes?,
        Err(error) => {
            find(format!("the checkpoint cannot be read: {error}"));
            return None;
        }
    };
    let parsed = Note::parse(&bytes).map_err(|error| error.to_string()).and_then(|note| {
        Checkpoint::parse(note.text()).map(|checkpoint| (note, checkpoint)).map_err(|error| error.to_string())
    });
    let (note, checkpoint) = match parsed {
        Ok(parsed) => parsed,
        Err(why) => {
            find(format!("the checkpoint is malformed: {why}"));
            return None;
        }
    };
    if let Some(key) = source.log_key()
        && let Err(error) = note.verify(std::slice::from_ref(key))
    {
        find(format!("the checkpoint is not signed by {}: {error}", key.name()));
    }
    Some(checkpoint)
}

struct Check<'a> {
    source: &'a dyn LogSource,
    size: u64,
    /// The signed root.
    root: Hash,
    rows: Rows,
    /// The sum of the rows of all sound entries so far.
    sum: u64,
    /// The tree recomputed; `None` after a gap.
    frontier: Option<Frontier>,
    /// Per level from 1, the hashes recomputed for the tile that is being filled.
    levels: Vec<Vec<Hash>>,
    findings: Vec<Finding>,
}

impl Check<'_> {
    fn find(&mut self, entry: u64, what: impl Into<String>) {
        self.findings.push(Finding { entry: Some(entry), what: what.into() });
    }

    /// Judges one bundle and its tile of level 0; returns how many entries it has.
    fn bundle(&mut self, bundle: Bundle) -> u16 {
        let Bundle { id, width, stored, entries, root, inner, rows } = bundle;
        let first = id.index * WIDTH;
        self.sum = self.sum.wrapping_add(rows);
        if let Err(why) = inner {
            self.inner(id, why);
        }
        let stored = stored.map_err(|why| self.unreadable(id, &why)).ok();
        let read = entries.map_err(|why| {
            let last = first + u64::from(width) - 1;
            self.find(first, format!("entries {first} to {last} cannot be read: {why}"));
        });
        let leaves = match (stored, read) {
            // The usual case: entries, leaf hashes and tile agree, and the tile's root is known.
            (Some(stored), Ok(_)) if root.is_some() => Some(stored),
            (Some(stored), Ok(read)) => Some(self.judge(id.index, stored, &read)),
            (Some(stored), Err(())) => Some(stored),
            (None, Ok(read)) => read.leaves.into_iter().collect(),
            (None, Err(())) => None,
        };
        match (leaves, &mut self.frontier) {
            (Some(leaves), Some(frontier)) => {
                if width == TILE_WIDTH {
                    let root = root.unwrap_or_else(|| root_of_tile(&leaves));
                    frontier.push_complete(TILE_HEIGHT, root);
                    self.rise(0, id.index, root);
                } else {
                    for leaf in &leaves {
                        frontier.push(*leaf);
                    }
                }
            }
            // Neither entries nor hashes: the tree cannot be followed over this gap. Later bundles are still
            // compared with their own tiles.
            _ => self.frontier = None,
        }
        width
    }

    fn unreadable(&mut self, id: TileId, why: &str) {
        let TileId { level, index } = id;
        self.find(
            first_under(level, index * WIDTH),
            format!("tile {index} of level {level} cannot be read: {why}"),
        );
    }

    fn inner(&mut self, id: TileId, why: &str) {
        let TileId { level, index } = id;
        self.find(first_under(level, index * WIDTH), format!("tile {index} of level {level}: {why}"));
    }

    fn tile(&mut self, id: TileId, width: u16) -> Option<bundle::Tile> {
        bundle::tile(self.source, id, width).map_err(|why| self.unreadable(id, &why)).ok()
    }

    /// Compares entries with their stored leaf hashes; returns the hashes to go on with.
    fn judge(&mut self, index: u64, stored: Vec<Hash>, read: &Read) -> Vec<Hash> {
        let first = index * WIDTH;
        let mut differ: Vec<u64> = (first..)
            .zip(stored.iter().zip(&read.leaves))
            .filter(|(_, (stored, leaf))| Some(**stored) != **leaf)
            .map(|(index, _)| index)
            .collect();
        for (from, end, why) in &read.broken {
            // A wrong length garbles all behind it: one finding, at the entry where it begins.
            let at = differ.iter().copied().find(|at| (*from..*end).contains(at)).unwrap_or(end - 1);
            differ.retain(|at| !(*from..*end).contains(at));
            self.find(
                at,
                format!("entry {at} is damaged, and what follows up to {} with it: {why}", end - 1),
            );
        }
        if differ.is_empty() {
            return stored;
        }
        let computed: Option<Vec<Hash>> = read.leaves.iter().copied().collect();
        let computed = computed.filter(|computed| self.explains(index, computed));
        let what = match (self.explains(index, &stored), &computed) {
            (true, _) => "does not match its leaf hash: the entry was changed",
            (false, Some(_)) => "is sound, but its stored leaf hash was changed",
            (false, None) => "and its stored leaf hash differ, and the hashes above match neither",
        };
        for at in differ {
            self.find(at, format!("entry {at} {what}"));
        }
        computed.unwrap_or(stored)
    }

    /// Whether these leaf hashes lead to what is above them: the stored parent of a full tile, else the root.
    fn explains(&self, index: u64, leaves: &[Hash]) -> bool {
        if leaves.len() < usize::from(TILE_WIDTH) {
            let Some(mut frontier) = self.frontier.clone() else { return false };
            for leaf in leaves {
                frontier.push(*leaf);
            }
            return frontier.root() == self.root;
        }
        let parent = TileId::new(1, index / WIDTH);
        let above = bundle::tile(self.source, parent, parent.width(self.size));
        let hashes = above.map_or_else(|_| Vec::new(), |above| above.hashes);
        let place = usize::try_from(index % WIDTH).unwrap_or(usize::MAX);
        hashes.get(place).is_some_and(|hash| root_of_tile(leaves) == *hash)
    }

    /// Adds the root of a full tile to the level above, and compares that level's tile when it is full.
    fn rise(&mut self, level: u8, index: u64, root: Hash) {
        let above = level + 1;
        let Some(filling) = self.levels.get_mut(usize::from(above)) else { return };
        filling.push(root);
        if filling.len() == usize::from(TILE_WIDTH) {
            let full = std::mem::take(filling);
            self.compare(TileId::new(above, index / WIDTH), &full);
            self.rise(above, index / WIDTH, root_of_tile(&full));
        }
    }

    /// Compares a tile above level 0 with the hashes recomputed for it.
    fn compare(&mut self, id: TileId, computed: &[Hash]) {
        let width = u16::try_from(computed.len()).unwrap_or(TILE_WIDTH);
        let Some(bundle::Tile { hashes: stored, inner }) = self.tile(id, width) else { return };
        for (place, (stored, computed)) in (id.index * WIDTH..).zip(stored.iter().zip(computed)) {
            if stored != computed {
                let (from, to) = (first_under(id.level, place), first_under(id.level, place + 1) - 1);
                let what = format!(
                    "hash {place} of level {} does not match entries {from} to {to} under it",
                    id.level
                );
                self.find(from, what);
            }
        }
        if width == TILE_WIDTH && stored == *computed {
            let nodes = TileNodes::from_hashes(stored);
            if let Err(why) = bundle::inner(inner.as_deref(), &nodes) {
                self.inner(id, why);
            }
        }
    }

    /// The partial tiles, the root, and what the source knows beside the tree.
    fn finish(&mut self) {
        if let Some(root) = self.frontier.as_ref().map(Frontier::root) {
            for (level, hashes) in (0u8..).zip(std::mem::take(&mut self.levels)) {
                if !hashes.is_empty() {
                    self.compare(TileId::new(level, tile::full_tiles(level, self.size)), &hashes);
                }
            }
            if root != self.root {
                let what = format!("the entries give root {root}, the checkpoint says {}", self.root);
                self.findings.push(Finding { entry: None, what });
            }
        }
        self.findings.extend(self.source.check_rest(self.size, &self.rows, self.sum));
    }
}

/// The first entry under a hash of a level.
fn first_under(level: u8, hash: u64) -> u64 {
    hash.checked_shl(u32::from(level) * u32::from(TILE_HEIGHT)).unwrap_or(u64::MAX)
}

fn root_of_tile(hashes: &[Hash]) -> Hash {
    let mut tree = Frontier::new();
    for hash in hashes {
        tree.push(*hash);
    }
    tree.root()
}
