//! The first way through a log: that all its entries are those of the checkpoint, before one of them is judged, and
//! when the service spoke.
//!
//! What is kept is 40 octets for each 256 entries: the bundle's root, so that the second way through reads the same
//! entries, and the earliest instant that the service names behind it.

use treering_provenance::content::TrustAnchors;
use treering_provenance::statement::Statement;
use treering_tlog::bundle;
use treering_tlog::hash::{Hash, leaf_hash};
use treering_tlog::tile::{TILE_HEIGHT, TILE_WIDTH, TileId};
use treering_tlog::tree::Frontier;

use super::super::reader::Reader;
use super::super::{Source, TraceError};
use super::walk::Progress;

/// A surveyed log.
pub(super) struct Survey {
    size: u64,
    bundles: Vec<Surveyed>,
}

struct Surveyed {
    root: Hash,
    /// The earliest instant of a statement of the service behind this bundle.
    after: u64,
}

/// Whether a statement is one of the service's own.
pub(super) fn is_ours(anchors: &TrustAnchors, statement: &Statement) -> bool {
    anchors.roles.iter().any(|role| role.iss == statement.issuer())
}

impl Survey {
    /// Reads everything under the reader's checkpoint. `end` is an instant by which all of it was there.
    pub(super) async fn of<S: Source>(
        reader: &Reader<'_, S>,
        end: u64,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self, TraceError> {
        let (checkpoint, anchors) = (reader.checkpoint(), &reader.founding()?.1);
        let size = checkpoint.size();
        let (mut tree, mut found) = (Frontier::new(), Vec::new());
        for index in 0..size.div_ceil(u64::from(TILE_WIDTH)) {
            let entries = fetch(reader.source(), index, size).await?;
            let root = root_of(&entries);
            if entries.len() == usize::from(TILE_WIDTH) {
                tree.push_complete(TILE_HEIGHT, root);
            } else {
                for entry in &entries {
                    tree.push(leaf_hash(entry));
                }
            }
            // Unverified here: whose signature is not what it should be is listed when it is judged.
            let statements = entries.iter().filter_map(|entry| Statement::parse(entry).ok());
            let ours = statements.filter(|statement| is_ours(anchors, statement));
            found.push((root, ours.filter_map(|statement| statement.issued_at()).min()));
            progress(Progress::Reading { done: (index + 1) * u64::from(TILE_WIDTH), all: size });
        }
        if tree.root() != *checkpoint.root() {
            let reason = format!("the entries give root {}, it says {}", tree.root(), checkpoint.root());
            return Err(TraceError::Checkpoint(reason));
        }
        let mut after = end;
        let mut bundles = Vec::with_capacity(found.len());
        for (root, earliest) in found.into_iter().rev() {
            bundles.push(Surveyed { root, after });
            after = after.min(earliest.unwrap_or(u64::MAX));
        }
        bundles.reverse();
        Ok(Self { size, bundles })
    }

    /// How many bundles there are.
    pub(super) fn bundles(&self) -> u64 {
        self.bundles.len() as u64
    }

    /// A bundle's entries, which are those that were surveyed, and the earliest instant behind them.
    pub(super) async fn bundle(
        &self,
        source: &impl Source,
        index: u64,
    ) -> Result<(Vec<Vec<u8>>, u64), TraceError> {
        let entries = fetch(source, index, self.size).await?;
        let surveyed = usize::try_from(index).ok().and_then(|index| self.bundles.get(index));
        if let Some(surveyed) = surveyed.filter(|surveyed| surveyed.root == root_of(&entries)) {
            return Ok((entries, surveyed.after));
        }
        let reason = "the source gives other entries than a moment ago".to_owned();
        Err(TraceError::Entry { index: index * u64::from(TILE_WIDTH), reason })
    }
}

async fn fetch(source: &impl Source, index: u64, size: u64) -> Result<Vec<Vec<u8>>, TraceError> {
    let width = TileId::new(0, index).width(size);
    let bytes = source.bundle(index, width).await?;
    let first = index * u64::from(TILE_WIDTH);
    let wrong = |reason: String| TraceError::Entry { index: first, reason };
    let entries = bundle::decode(&bytes).map_err(|error| wrong(format!("its bundle: {error}")))?;
    if entries.len() != usize::from(width) {
        return Err(wrong(format!("its bundle has {} entries, want {width}", entries.len())));
    }
    Ok(entries.into_iter().map(<[u8]>::to_vec).collect())
}

fn root_of(entries: &[Vec<u8>]) -> Hash {
    let mut tree = Frontier::new();
    for entry in entries {
        tree.push(leaf_hash(entry));
    }
    tree.root()
}
