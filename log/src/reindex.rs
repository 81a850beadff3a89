//! Building the index of leaf hashes anew.
//!
//! The index follows from the tree, so nothing is lost with it; but a log that appends without it would take
//! duplicates, and so a damaged one is refused. This is the way out, for a stopped log.
//!
//! It is a command and not a part of opening: it reads the hashes of the whole log, which opening must not, and whoever
//! runs it has seen that the disk changed what it had synced.
//!
//! In scope: the one family that is derived. Out of scope: everything else in the store, which is read here and never
//! changed, and whether it is what was signed (opening, fsck).

use std::{path::Path, sync::atomic::AtomicBool};

use treering_tlog::{
    hash::Hash,
    tile::{TILE_WIDTH, TileId},
    tree::Frontier,
};

use crate::{
    index::{Damage, Index, run::RUN_BITS},
    manifest_file,
    open::{self, DATABASE, OpenError},
    probe::Probed,
    schema::WIDTH,
    store::{Store, StoreError},
    tiles,
};

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The leaf hashes are held against the root: nothing has been changed yet.
    Check,
    /// The index is being written.
    Write,
}

/// Why the index was not built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReindexError {
    /// There is no log that could be opened, or another process has it.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The leaf hashes are not those of the signed head. Nothing was changed.
    #[error(
        "the leaf hashes give root {actual}, the head says {wanted}: an index of them would be wrong, and nothing was changed. Run fsck"
    )]
    Root {
        /// The root of the leaf hashes.
        actual: Hash,
        /// The root in the head.
        wanted: Hash,
    },
    /// The store could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Removes the index of leaf hashes of a stopped log and builds it anew from the tree; returns how many entries it is
/// over. `progress` is told entries done and entries in all, for each step.
///
/// Broken off at any moment it can be begun again: until it is done, opening finds the index whole, or refuses.
pub fn reindex(dir: &Path, mut progress: impl FnMut(Step, u64, u64)) -> Result<u64, ReindexError> {
    if !dir.exists() {
        return Err(OpenError::Missing { dir: dir.to_path_buf() }.into());
    }
    let _lock = open::lock(dir)?;
    let store = store_of(dir)?;
    let head = open::stored_head(&store)?;
    let size = head.as_ref().map_or(0, |head| head.size);
    let actual = root(&store, size, |done| progress(Step::Check, done, size))?;
    if let Some(head) = head.filter(|head| head.root != actual) {
        return Err(ReindexError::Root { actual, wanted: head.root });
    }
    store.clear_index()?;
    write(&store, size, |done| progress(Step::Write, done, size))?;
    // As the log will be opened.
    Index::load(&store, size, Damage::Refuse, RUN_BITS)?;
    manifest_file::keep(dir, &dir.join(DATABASE))
        .map_err(OpenError::io("keep the manifest's length in", dir))?;
    Ok(size)
}

/// The database, with what opening checks of it before it looks at what is in it.
fn store_of(dir: &Path) -> Result<Store, OpenError> {
    let (path, missing) = (dir.join(DATABASE), || OpenError::Missing { dir: dir.to_path_buf() });
    if !open::format::look(&path)? {
        return Err(missing());
    }
    open::check_manifest(dir, &path, None)?;
    let store = Store::open(&path, false)?;
    open::format::check(&store)?;
    open::stored_origin(&store)?.ok_or_else(missing)?;
    Ok(store)
}

/// The leaf hashes of the log, a tile at a time, each with the index of its first.
fn leaves(store: &Store, size: u64) -> impl Iterator<Item = Result<(u64, Vec<Hash>), StoreError>> {
    (0..size.div_ceil(WIDTH)).map(move |tile| {
        let first = tile * WIDTH;
        let width = u16::try_from(size - first).unwrap_or(TILE_WIDTH).min(TILE_WIDTH);
        Ok((first, tiles::tile(store, TileId::new(0, tile), width)?.first(width)))
    })
}

fn root(store: &Store, size: u64, mut done: impl FnMut(u64)) -> Result<Hash, StoreError> {
    let mut tree = Frontier::new();
    for tile in leaves(store, size) {
        let (first, hashes) = tile?;
        for leaf in &hashes {
            tree.push(*leaf);
        }
        done(first + hashes.len() as u64);
    }
    Ok(tree.root())
}

/// Adds every entry, as if the log had grown to here: runs come out where the size says.
fn write(store: &Store, size: u64, mut done: impl FnMut(u64)) -> Result<(), StoreError> {
    let (index, never) = (Index::empty(RUN_BITS), AtomicBool::new(false));
    for tile in leaves(store, size) {
        let (first, hashes) = tile?;
        if index.add((first..).zip(&hashes)) {
            index.tend(store, &Probed::default(), &never)?;
        }
        done(first + hashes.len() as u64);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Append, AppendError, Log, NewEntry,
        fsck::{self, LogSource as _},
        index::run::{self, RunId},
        schema::Family,
        support::{TestSealer, append, config, entry, grow, leaf, open},
    };

    const SIZE: u64 = 700;
    /// A run of the log below.
    const RUN: RunId = RunId { shortest: RUN_BITS, level: 1, number: 8 };
    /// An entry in it.
    const ENTRY: u64 = 520;

    /// Of 700 entries: a run of level 2, two of level 1, and shorter ones.
    async fn log_of(dir: &Path) -> Log {
        let log = open(dir);
        grow(&log, 0, SIZE).await;
        log.index().tend(log.store(), &Probed::default(), &AtomicBool::new(false)).unwrap();
        log
    }

    fn put(log: &Log, key: &[u8], value: &[u8]) {
        log.store().testing_only_put(Family::HashIndex, key, value);
    }

    fn page_of(log: &Log, index: u64) -> (Vec<u8>, Vec<u8>) {
        let key = RUN.page_key(RUN.page_of(run::short(&leaf(index)))).to_vec();
        let value = log.store().get(Family::HashIndex, &key).unwrap().unwrap();
        (key, value)
    }

    fn refused(dir: &Path) -> String {
        Log::open(config(dir), TestSealer::new(1)).unwrap_err().to_string()
    }

    /// What a mended log must be: clean, every entry found, and none taken twice.
    async fn assert_mended(dir: &Path) {
        let mut told = Vec::new();
        assert_eq!(reindex(dir, |step, done, all| told.push((step, done, all))).unwrap(), SIZE);
        assert_eq!(told.first(), Some(&(Step::Check, WIDTH, SIZE)));
        assert_eq!(told.last(), Some(&(Step::Write, SIZE, SIZE)));
        let log = open(dir);
        assert_eq!(fsck::check(&log, |_, _| ()).findings, vec![]);
        for i in 0..SIZE {
            assert_eq!(log.index_of_leaf(&leaf(i)).unwrap(), Some(i));
            let again = log.append(Append::of(vec![NewEntry::plain(entry(i))])).await.unwrap();
            assert_eq!((again.indexes(), again.duplicates()), (&[i][..], &[true][..]));
        }
        let next = append(&log, SIZE, SIZE + 1).await;
        assert_eq!(next.indexes(), [SIZE]);
    }

    #[tokio::test]
    async fn a_damaged_filter_is_refused_and_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let log = log_of(dir.path()).await;
        let key = RUN.filter_key(0);
        let filter = log.store().get(Family::HashIndex, &key).unwrap().unwrap();
        put(&log, &key, &filter[..filter.len() - 4]);
        drop(log);
        let why = refused(dir.path());
        assert!(why.contains("a filter") && why.contains("treering log reindex"), "{why}");
        assert_mended(dir.path()).await;
    }

    #[tokio::test]
    async fn a_missing_run_is_refused_and_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let log = log_of(dir.path()).await;
        let [first, last] = RUN.keys();
        log.store().remove_tables(&first, &last).unwrap();
        drop(log);
        let why = refused(dir.path());
        assert!(why.contains("is missing") && why.contains("treering log reindex"), "{why}");
        assert_mended(dir.path()).await;
    }

    /// What opening does not read. The log opens, refuses what it cannot judge, takes everything else, and goes on.
    #[tokio::test]
    async fn a_damaged_page_refuses_its_own_entries_only_until_it_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let log = log_of(dir.path()).await;
        let (key, page) = page_of(&log, ENTRY);
        put(&log, &key, &page[..page.len() - 1]);
        drop(log);
        let log = open(dir.path());
        // Twice: it does not stop the log, as it did once.
        for _ in 0..2 {
            let again = |index| log.append(Append::of(vec![NewEntry::plain(entry(index))]));
            let (unknown, known) = tokio::join!(again(ENTRY), again(3));
            let why = unknown.unwrap_err();
            assert!(matches!(&why, AppendError::Unsearchable(why) if why.contains("log reindex")), "{why}");
            assert_eq!(known.unwrap().indexes(), [3]);
        }
        assert!(log.index_of_leaf(&leaf(ENTRY)).is_err(), "not known is not none");
        assert_eq!((log.size(), log.is_running(), log.why_stopped()), (SIZE, true, None));
        let findings = fsck::check(&log, |_, _| ()).findings;
        assert!(findings.iter().any(|finding| finding.what.contains("treering log reindex")), "{findings:?}");
        drop(log);
        assert_mended(dir.path()).await;
    }

    /// A run that cannot be read cannot be merged. That must not end a log that needs it for nothing else.
    #[tokio::test]
    async fn a_log_grows_beside_a_damaged_run() {
        let dir = tempfile::tempdir().unwrap();
        let log = log_of(dir.path()).await;
        let (key, page) = page_of(&log, ENTRY);
        put(&log, &key, &page[..page.len() - 1]);
        // Up to where the damaged run is due to be merged, and beyond.
        grow(&log, SIZE, 2 * SIZE).await;
        log.index().tend(log.store(), &Probed::default(), &AtomicBool::new(false)).unwrap();
        assert!(log.index().still().1.iter().any(|run| run.id == RUN), "it was merged");
        assert_eq!(log.index_of_leaf(&leaf(2 * SIZE - 1)).unwrap(), Some(2 * SIZE - 1));
        drop(log);
        assert_eq!(reindex(dir.path(), |_, _, _| ()).unwrap(), 2 * SIZE);
        let log = open(dir.path());
        assert_eq!(fsck::check(&log, |_, _| ()).findings, vec![]);
        assert!(!log.index().still().1.iter().any(|run| run.id == RUN), "the whole one was merged");
    }

    /// An index of hashes that nobody signed would hide entries from whoever looks for duplicates.
    #[tokio::test]
    async fn of_a_damaged_tree_no_index_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let log = log_of(dir.path()).await;
        let key = crate::schema::tile_key(TileId::new(0, 1));
        let mut tile = log.store().get(Family::Tiles, &key).unwrap().unwrap();
        tile[5] ^= 1;
        log.store().testing_only_put(Family::Tiles, &key, &tile);
        let held = reindex(dir.path(), |_, _, _| ()).unwrap_err();
        assert!(matches!(held, ReindexError::Open(OpenError::InUse { .. })), "{held}");
        let before = log.checkpoint().unwrap();
        drop(log);
        let refused = reindex(dir.path(), |_, _, _| ()).unwrap_err();
        assert!(matches!(refused, ReindexError::Root { .. }), "{refused}");
        let log = open(dir.path());
        assert_eq!(log.checkpoint().unwrap(), before);
        assert!(log.index().still().1.iter().any(|run| run.id == RUN), "the index was removed");
        let nowhere = reindex(&dir.path().join("none"), |_, _, _| ()).unwrap_err();
        assert!(matches!(nowhere, ReindexError::Open(OpenError::Missing { .. })), "{nowhere}");
    }
}
