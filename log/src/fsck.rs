//! Recomputing a log from its entries, and saying where it differs from what is stored.
//!
//! In scope: entries against leaf hashes, hashes against the hashes below them, the root against the signed
//! checkpoint, and what a source knows beside the tree. Out of scope: repairing anything, and what entries mean.
//!
//! Memory is a few tiles, whatever the log's size. When an entry and its stored leaf hash differ, the next
//! level (or, at the right edge, the signed root) says which of the two is damaged; checking then goes on with
//! the other, so that one damaged byte is one finding.

mod store;

use treering_tlog::{
    checkpoint::Checkpoint,
    hash::{Hash, leaf_hash},
    note::{Note, VerifierKey},
    tile::{self, TILE_HEIGHT, TILE_WIDTH, TileId},
    tree::Frontier,
};

use crate::schema::{LEVELS, WIDTH};

/// Most findings in a report: enough to see a pattern, and an end to a walk over a log that is not there.
pub const MAX_FINDINGS: usize = 100;

/// What is checked: a store, or a directory of static tiles.
pub trait LogSource {
    /// The key that must have signed the checkpoint; without it the signature is not checked.
    fn log_key(&self) -> Option<&VerifierKey>;

    /// The newest signed checkpoint; `None` if the log is empty.
    fn checkpoint(&self) -> Result<Option<Vec<u8>>, SourceError>;

    /// The first `width` entries of a bundle, as they are stored: one fragment or more, in order.
    fn bundle(&self, index: u64, width: u16) -> Result<Vec<Fragment>, SourceError>;

    /// The first `width` hashes of a tile.
    fn tile(&self, id: TileId, width: u16) -> Result<Vec<u8>, SourceError>;

    /// Checks what the source knows of an entry beside the tree; says what is wrong.
    fn check_entry(&self, index: u64, entry: &[u8], leaf: &Hash) -> Vec<String> {
        let _ = (index, entry, leaf);
        Vec::new()
    }

    /// Checks what the source knows beside entries and tree.
    fn check_rest(&self, size: u64) -> Vec<Finding> {
        let _ = size;
        Vec::new()
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
        frontier: Some(Frontier::new()),
        levels: vec![Vec::new(); usize::from(LEVELS)],
        findings,
    };
    let mut entries = 0;
    while entries < check.size && check.findings.len() < MAX_FINDINGS {
        entries += u64::from(check.bundle(entries / WIDTH));
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

/// The entries of one bundle, as far as they can be read.
#[derive(Default)]
struct Read {
    /// The leaf hash of each; `None` behind a broken length.
    leaves: Vec<Option<Hash>>,
    /// Fragments whose lengths do not add up: where they begin and end, and what is wrong.
    broken: Vec<(u64, u64, String)>,
}

struct Check<'a> {
    source: &'a dyn LogSource,
    size: u64,
    /// The signed root.
    root: Hash,
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

    /// Checks one bundle and its tile of level 0; returns how many entries it has.
    fn bundle(&mut self, index: u64) -> u16 {
        let id = TileId::new(0, index);
        let (width, first) = (id.width(self.size), index * WIDTH);
        let stored = self.tile(id, width);
        let read = match self.source.bundle(index, width) {
            Ok(fragments) => Some(self.entries(&fragments, first, width, stored.as_deref())),
            Err(error) => {
                let last = first + u64::from(width) - 1;
                self.find(first, format!("entries {first} to {last} cannot be read: {error}"));
                None
            }
        };
        let leaves = match (stored, read) {
            (Some(stored), Some(read)) => Some(self.judge(index, stored, &read)),
            (Some(stored), None) => Some(stored),
            (None, Some(read)) => read.leaves.into_iter().collect(),
            (None, None) => None,
        };
        match (leaves, &mut self.frontier) {
            (Some(leaves), Some(frontier)) => {
                for leaf in &leaves {
                    frontier.push(*leaf);
                }
                if width == TILE_WIDTH {
                    self.rise(0, index, &leaves);
                }
            }
            // Neither entries nor hashes: the tree cannot be followed over this gap. Later bundles are still
            // compared with their own tiles.
            _ => self.frontier = None,
        }
        width
    }

    fn tile(&mut self, id: TileId, width: u16) -> Option<Vec<Hash>> {
        let hashes = self.source.tile(id, width).map_err(|error| error.to_string()).and_then(|bytes| {
            let hashes = tile::decode(&bytes).map_err(|error| error.to_string())?;
            if hashes.len() == usize::from(width) {
                Ok(hashes)
            } else {
                Err(format!("it has {} hashes", hashes.len()))
            }
        });
        hashes
            .map_err(|why| {
                let (TileId { level, index }, under) = (id, first_under(id.level, id.index * WIDTH));
                self.find(under, format!("tile {index} of level {level} cannot be read: {why}"));
            })
            .ok()
    }

    /// Hashes the entries of a bundle, and has the source check each that is sound.
    fn entries(&mut self, fragments: &[Fragment], first: u64, width: u16, stored: Option<&[Hash]>) -> Read {
        let (end, mut read) = (first + u64::from(width), Read::default());
        let borders = fragments.iter().skip(1).map(|next| next.first).chain([end]);
        for (fragment, border) in fragments.iter().zip(borders) {
            if let Err(why) = self.fragment(fragment, border, stored, &mut read.leaves) {
                read.broken.push((fragment.first, border, why));
            }
        }
        read
    }

    /// Hashes the entries up to a border; the error says where the lengths stop adding up.
    fn fragment(
        &mut self,
        fragment: &Fragment,
        border: u64,
        stored: Option<&[Hash]>,
        leaves: &mut Vec<Option<Hash>>,
    ) -> Result<(), String> {
        let mut rest = fragment.bytes.as_slice();
        for index in fragment.first..border {
            let Some((entry, after)) = split(rest) else {
                leaves.extend((index..border).map(|_| None));
                return Err(format!("the bytes end before entry {index} does"));
            };
            rest = after;
            let leaf = leaf_hash(entry);
            if stored.is_none_or(|stored| stored.get(leaves.len()) == Some(&leaf)) {
                for what in self.source.check_entry(index, entry, &leaf) {
                    self.find(index, what);
                }
            }
            leaves.push(Some(leaf));
        }
        if rest.is_empty() {
            return Ok(());
        }
        Err(format!("{} bytes are left over after entry {}", rest.len(), border - 1))
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
        let bytes = self.source.tile(parent, parent.width(self.size)).unwrap_or_default();
        let hashes = tile::decode(&bytes).unwrap_or_default();
        let place = usize::try_from(index % WIDTH).unwrap_or(usize::MAX);
        hashes.get(place).is_some_and(|hash| root_of_tile(leaves) == *hash)
    }

    /// Adds the root of a full tile to the level above, and compares that level's tile when it is full.
    fn rise(&mut self, level: u8, index: u64, hashes: &[Hash]) {
        let above = level + 1;
        let Some(filling) = self.levels.get_mut(usize::from(above)) else { return };
        filling.push(root_of_tile(hashes));
        if filling.len() == usize::from(TILE_WIDTH) {
            let full = std::mem::take(filling);
            self.compare(TileId::new(above, index / WIDTH), &full);
            self.rise(above, index / WIDTH, &full);
        }
    }

    /// Compares a tile above level 0 with the hashes recomputed for it.
    fn compare(&mut self, id: TileId, computed: &[Hash]) {
        let width = u16::try_from(computed.len()).unwrap_or(TILE_WIDTH);
        let Some(stored) = self.tile(id, width) else { return };
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
        self.findings.extend(self.source.check_rest(self.size));
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

/// The first entry and what follows it. Unlike a whole decoding, this finds the sound entries before a damage.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))
}
