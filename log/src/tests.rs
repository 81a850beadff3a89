//! Tests that reach below the interface: failed writes, and bytes changed under the checksums.

use std::{
    collections::BTreeSet,
    ops::Range,
    path::Path,
    sync::{Arc, atomic::AtomicBool},
};

use treering_tlog::{
    tile::{self, TileId},
    tree::NodeCoord,
};

use crate::{
    Append, AppendError, Head, Log, NewEntry, OpenError, RegisterName, Row,
    fsck::{self, Finding},
    index::run::{self, RUN_BITS, RunId},
    probe::Probed,
    schema::{self, EdgeOf, Family, meta},
    store::Store,
    support::{TestSealer, append, config, entry, grow, leaf, open},
};

const SIZE: u64 = 600;

fn id(level: u8, number: u32) -> RunId {
    RunId { shortest: RUN_BITS, level, number }
}

async fn log_of(dir: &Path) -> Log {
    let log = open(dir);
    grow(&log, 0, 500).await;
    // The right edge in fragments.
    for i in (500..SIZE).step_by(5) {
        append(&log, i, i + 5).await;
    }
    log
}

/// Changes one byte of a stored value, checks, and changes it back.
fn with_flip(log: &Log, family: Family, key: &[u8], at: usize) -> Vec<Finding> {
    let value = log.store().get(family, key).unwrap().unwrap();
    let mut changed = value.clone();
    changed[at] ^= 1;
    log.store().testing_only_put(family, key, &changed);
    let findings = fsck::check(log, |_, _| ()).findings;
    log.store().testing_only_put(family, key, &value);
    findings
}

fn one(findings: &[Finding]) -> (u64, &str) {
    match findings {
        [Finding { entry: Some(entry), what }] => (*entry, what),
        other => panic!("{other:#?}"),
    }
}

#[tokio::test]
async fn fsck_names_the_entry_under_a_changed_byte() {
    let dir = tempfile::tempdir().unwrap();
    let log = log_of(dir.path()).await;
    assert_eq!(fsck::check(&log, |_, _| ()).findings, vec![]);
    // Entry 300 in the full bundle 1, and entry 557, the third of the fragment that begins at 555.
    let full =
        (Family::Entries, schema::bundle_key(1).to_vec(), Family::Tiles, schema::tile_key(TileId::new(0, 1)));
    let edge = (
        Family::Edge,
        schema::edge_key(EdgeOf::Bundle, 555).to_vec(),
        Family::Edge,
        schema::edge_key(EdgeOf::Tile(0), 555),
    );
    for (first, index, (entries, bundle, tiles, tile)) in [(256, 300, full), (555, 557, edge)] {
        let before: usize = (first..index).map(|i| 2 + entry(i).len()).sum();
        let findings = with_flip(&log, entries, &bundle, before + 2);
        let (found, what) = one(&findings);
        assert_eq!(found, index);
        assert!(what.contains("the entry was changed"), "{what}");
        // Its length: a garbled fragment is one finding, and fragments after it are read all the same.
        assert_eq!(one(&with_flip(&log, entries, &bundle, before + 1)).0, index);
        assert_eq!(one(&with_flip(&log, entries, &bundle, before)).0, index);
        let hash = usize::try_from(index - first).unwrap() * 32;
        let findings = with_flip(&log, tiles, &tile, hash);
        let (found, what) = one(&findings);
        assert_eq!(found, index);
        assert!(what.contains("stored leaf hash was changed"), "{what}");
    }
    assert_eq!(one(&with_flip(&log, Family::Edge, &schema::edge_key(EdgeOf::Tile(1), 1), 0)).0, 256);
    let findings = with_flip(&log, Family::Tiles, &schema::tile_key(TileId::new(0, 1)), 32 * 256);
    assert_eq!(one(&findings), (256, "tile 1 of level 0: its inner nodes do not follow from its hashes"));
    tend(&log);
    let run = id(2, 0);
    let short = run::short(&leaf(300));
    let page = run.page_of(short);
    let leads = run::page(log.store(), run, page).unwrap();
    let place = leads.iter().position(|lead| lead.hash == short).unwrap();
    let key = run.page_key(page);
    // The last byte of its index, and of what is kept of its hash.
    for at in [1 + 12 * place + 11, 1 + 12 * place + 7] {
        let findings = with_flip(&log, Family::HashIndex, &key, at);
        let (found, what) = one(&findings[..1]);
        assert_eq!((found, what), (300, "the index of leaf hashes does not know entry 300"));
    }
    let findings = with_flip(&log, Family::HashIndex, &key, 0);
    let said = |finding: &Finding| finding.what.contains("cannot be read for entry 300");
    assert!(findings.iter().any(said) || findings.len() == fsck::MAX_FINDINGS, "a version byte");
    assert_eq!(fsck::check(&log, |_, _| ()).findings, vec![]);
}

/// Waits until the index is tended: runs are where the size says.
fn tend(log: &Log) {
    log.index().tend(log.store(), &Probed::default(), &AtomicBool::new(false)).unwrap();
}

#[tokio::test]
async fn fsck_finds_what_is_beside_the_tree() {
    let dir = tempfile::tempdir().unwrap();
    let log = log_of(dir.path()).await;
    let put = |family, key: &[u8], value: &[u8]| log.store().testing_only_put(family, key, value);
    put(Family::Registers, b"r", &schema::encode_index(SIZE));
    put(Family::Once, &[1; 32], &[2]);
    put(Family::Keys, &schema::index_key(&[3; 32], SIZE), &[]);
    tend(&log);
    let run = id(2, 0);
    let key = run.page_key(run.pages() - 1);
    let page = log.store().get(Family::HashIndex, &key).unwrap().unwrap();
    put(Family::HashIndex, &key, &[&page[..], &[0xff; 8], &[0; 4]].concat());
    put(Family::Content, &schema::content_key(SIZE), &schema::encode_bytes(b"nobody's"));
    put(Family::Edge, &schema::edge_key(EdgeOf::Tile(0), 256), &[7; 32]);
    put(Family::Edge, &schema::edge_key(EdgeOf::Bundle, SIZE), &[0, 0]);
    let whats: Vec<String> =
        fsck::check(&log, |_, _| ()).findings.into_iter().map(|finding| finding.what).collect();
    let wanted = [
        "the index of leaf hashes has 601 hashes for 600 entries",
        "the index of leaf hashes has a hash for entry 0 out of place",
        "once has version 2, this program reads 1",
        "registers names entry 600, which is not there",
        "keys names entry 600, which is not there",
        "content names entry 600, which is not there",
        "edge has a fragment that is not at the right edge: 000000000000000100",
        "edge has a fragment that is not at the right edge: ff0000000000000258",
    ];
    assert_eq!(whats, wanted);
}

/// A write that fails half way: all waiting callers are told, nothing of it is seen, nothing more is written,
/// and opening again goes on from the last commit.
#[tokio::test]
async fn a_failed_write_poisons() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    grow(&log, 0, 10).await;
    log.store().testing_only_fail_next_write();
    let mut lost = Append::of(vec![NewEntry::plain(entry(10))]);
    (lost.once, lost.set) = (vec![[1; 32]], vec![(RegisterName::new("r").unwrap(), 0)]);
    let error = log.append(lost).await.unwrap_err();
    assert!(matches!(&error, AppendError::Poisoned(why) if why.contains("injected")), "{error}");
    log.stopped().await;
    assert!(!log.is_running());
    assert_eq!(
        (log.size(), log.used(&[1; 32]).unwrap(), log.index_of_leaf(&leaf(10)).unwrap()),
        (10, None, None)
    );
    let row = Row { table: 1, key: vec![1], value: Some(vec![1]) };
    assert!(matches!(log.put_rows(vec![row]).await, Err(AppendError::Poisoned(_))));
    let batch = log.store().batch();
    assert!(matches!(batch.commit(), Err(crate::StoreError::Poisoned(_))), "the store refuses by itself too");
    assert_eq!(log.entry(9).unwrap().unwrap(), entry(9), "what was committed can still be read");
    drop(log);
    let log = open(dir.path());
    assert_eq!(log.size(), 10);
    assert_eq!(append(&log, 10, 11).await.indexes(), [10]);
}

/// Puts one value, closes, and says how opening went.
fn reopened_with(dir: &Path, family: Family, key: &[u8], value: &[u8]) -> OpenError {
    let log = open(dir);
    let before = log.store().get(family, key).unwrap().unwrap();
    log.store().testing_only_put(family, key, value);
    drop(log);
    let error = Log::open(config(dir), TestSealer::new(1)).unwrap_err();
    let log = Log::open_read_only(dir);
    drop(log);
    let store = Store::open(&dir.join("db"), false).unwrap();
    store.testing_only_put(family, key, &before);
    error
}

#[tokio::test]
async fn opening_checks_the_right_edge() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let head: Arc<Head> = {
        let log = log_of(dir).await;
        log.head().unwrap()
    };
    let newer = reopened_with(dir, Family::Meta, meta::FORMAT, &schema::encode_format(schema::FORMAT + 1));
    assert!(matches!(&newer, OpenError::Newer { what } if what == "format 7"), "{newer}");
    let older = reopened_with(dir, Family::Meta, meta::FORMAT, &schema::encode_format(schema::FORMAT - 1));
    assert!(matches!(&older, OpenError::Older { format: 5 }), "{older}");
    let newer = reopened_with(dir, Family::Meta, meta::HEAD, &[2]);
    assert!(matches!(&newer, OpenError::Newer { .. }), "{newer}");
    let origin = reopened_with(dir, Family::Meta, meta::ORIGIN, &schema::encode_bytes(b"else"));
    assert!(matches!(&origin, OpenError::Origin { actual, .. } if actual == "else"), "{origin}");
    let unsigned = Head { size: SIZE + 1, ..(*head).clone() };
    let error = reopened_with(dir, Family::Meta, meta::HEAD, &schema::encode_head(&unsigned));
    assert!(matches!(error, OpenError::Head { size: 601, .. }), "{error}");
    let mut hashes: Vec<_> = (555..560).map(leaf).collect();
    hashes.swap(0, 1);
    let error =
        reopened_with(dir, Family::Edge, &schema::edge_key(EdgeOf::Tile(0), 555), &tile::encode(&hashes));
    assert!(matches!(error, OpenError::Edge { size: 600, .. }), "{error}");
    let mut bundle = Vec::new();
    for i in [555, 556, 557, 559, 558] {
        treering_tlog::bundle::push(&mut bundle, &entry(i)).unwrap();
    }
    let error = reopened_with(dir, Family::Edge, &schema::edge_key(EdgeOf::Bundle, 555), &bundle);
    assert!(matches!(error, OpenError::Entry { index: 558 }), "{error}");
    assert_eq!(open(dir).size(), SIZE);
}

/// An older store lacks families, and opening would add them to it: it is refused, by whoever opens it, as it is.
#[tokio::test]
async fn a_store_of_an_older_format_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let database = dir.path().join("db");
    let log = log_of(dir.path()).await;
    log.store().testing_only_put(Family::Meta, meta::FORMAT, &schema::encode_format(5));
    drop(log);
    Store::testing_only_remove_family(&database, Family::Edge);
    let before = Store::families(&database).unwrap();
    let refused = [
        Log::open(config(dir.path()), TestSealer::new(1)).unwrap_err(),
        Log::open_read_only(dir.path()).unwrap_err(),
        match crate::reindex::reindex(dir.path(), |_, _, _| ()).unwrap_err() {
            crate::reindex::ReindexError::Open(error) => error,
            other => panic!("{other}"),
        },
    ];
    for refused in refused {
        assert!(matches!(refused, OpenError::Older { format: 5 }), "{refused}");
    }
    assert_eq!(Store::families(&database).unwrap(), before);
}

/// Bundles and tiles are C2SP bytes, at the right edge in fragments that never cross a border, and whole in their own place
/// when they are full. A reader of another version would otherwise miss entries.
#[tokio::test]
async fn fragments_unchanged() {
    let dir = tempfile::tempdir().unwrap();
    let log = log_of(dir.path()).await;
    let keys = |family| {
        let pairs = log.store().from(family, &[]).unwrap().map(Result::unwrap);
        pairs.map(|(key, _)| key.to_vec()).collect::<Vec<_>>()
    };
    assert_eq!(keys(Family::Entries), [0, 1].map(|index| schema::bundle_key(index).to_vec()));
    assert_eq!(keys(Family::Tiles), [0, 1].map(|index| schema::tile_key(TileId::new(0, index)).to_vec()));
    // The commit of 510 to 514 filled bundle 1; behind it one fragment for each commit of 5, cut at the border. On level 1
    // one for each commit that filled a tile.
    let firsts: Vec<u64> = [512].into_iter().chain((515..SIZE).step_by(5)).collect();
    let fragments =
        |of, firsts: &[u64]| firsts.iter().map(|first| schema::edge_key(of, *first).to_vec()).collect();
    let wanted: [Vec<_>; 3] = [
        fragments(EdgeOf::Tile(0), &firsts),
        fragments(EdgeOf::Tile(1), &[0, 1]),
        fragments(EdgeOf::Bundle, &firsts),
    ];
    assert_eq!(keys(Family::Edge), wanted.concat());
    // A full tile, and the roots of its sixteen sixteenths.
    let hashes: Vec<_> = (256..512).map(leaf).collect();
    let roots = (16..32).map(|i| tile::node_from_tile(NodeCoord::new(4, i), &hashes).unwrap());
    let value = |family, key: &[u8]| log.store().get(family, key).unwrap().unwrap();
    let whole = value(Family::Tiles, &schema::tile_key(TileId::new(0, 1)));
    assert_eq!(whole, tile::encode(&hashes.iter().copied().chain(roots).collect::<Vec<_>>()));
    let bundle = |entries: Range<u64>| {
        let mut bytes = Vec::new();
        entries.for_each(|i| treering_tlog::bundle::push(&mut bytes, &entry(i)).unwrap());
        bytes
    };
    assert_eq!(value(Family::Entries, &schema::bundle_key(1)), bundle(256..512));
    assert_eq!(value(Family::Edge, &schema::edge_key(EdgeOf::Bundle, 595)), bundle(595..600));
    let fragment = value(Family::Edge, &schema::edge_key(EdgeOf::Tile(0), 595));
    assert_eq!(fragment, (595..600).flat_map(|i| leaf(i).to_bytes()).collect::<Vec<_>>());
}

/// The keys of the index, as stored.
fn index_keys(log: &Log) -> BTreeSet<Vec<u8>> {
    log.store().from(Family::HashIndex, &[]).unwrap().map(|pair| pair.unwrap().0.to_vec()).collect()
}

/// The keys of a run. In these tests a filter has one part.
fn keys_of(run: RunId) -> Vec<Vec<u8>> {
    let [own, _] = run.keys();
    let pages = (0..run.pages()).map(|page| run.page_key(page));
    pages.chain([run.filter_key(0), own]).map(Vec::from).collect()
}

fn run_ids(log: &Log) -> Vec<(u8, u32)> {
    log.index().still().1.iter().map(|run| (run.id.level, run.id.number)).collect()
}

/// Blocks of 8 entries in these tests; 8 runs become one. What is in no run is in memory, and made again when the log
/// opens; what was replaced is gone.
#[tokio::test]
async fn runs_are_where_the_size_says() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path());
    for (from, size, runs) in [
        (0, 7, vec![]),
        (7, 63, (0..7).map(|n| (0, n)).collect()),
        (63, 600, vec![(2, 0), (1, 8), (0, 72), (0, 73), (0, 74)]),
        (600, 4200, [vec![(3, 0), (1, 64)], (520..525).map(|n| (0, n)).collect()].concat()),
    ] {
        grow(&log, from, size).await;
        tend(&log);
        for reopened in [false, true] {
            if reopened {
                drop(log);
                log = open(dir.path());
            }
            // The newest full block becomes a run when the next entry comes.
            let mut wanted: Vec<(u8, u32)> = runs.clone();
            if size % 8 == 0 {
                wanted.pop();
            }
            assert_eq!(run_ids(&log), wanted, "{size}");
            let keys = wanted.iter().flat_map(|&(level, number)| keys_of(id(level, number)));
            assert_eq!(index_keys(&log), keys.collect(), "{size}");
            for i in 0..size {
                assert_eq!(log.index_of_leaf(&leaf(i)).unwrap(), Some(i));
            }
            assert_eq!(log.index_of_leaf(&leaf(size)).unwrap(), None);
            assert_eq!(fsck::check(&log, |_, _| ()).findings, vec![]);
        }
    }
}

/// What a crash can leave of runs: those that a longer one has replaced. And where none is, entries are read again.
#[tokio::test]
async fn what_a_crash_leaves_of_runs_is_made_again_or_removed() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    grow(&log, 0, 63).await;
    tend(&log);
    let before: Vec<_> = log.store().from(Family::HashIndex, &[]).unwrap().map(Result::unwrap).collect();
    append(&log, 63, 65).await;
    tend(&log);
    assert_eq!(run_ids(&log), [(1, 0)]);
    let whole = index_keys(&log);
    for run in before.chunk_by(|(one, _), (other, _)| one[..5] == other[..5]) {
        let mut table = log.store().table().unwrap();
        for (key, value) in run {
            table.put(key, value).unwrap();
        }
        table.close().unwrap();
        table.take_in().unwrap();
    }
    drop(log);
    let log = open(dir.path());
    tend(&log);
    assert_eq!((run_ids(&log), index_keys(&log)), (vec![(1, 0)], whole.clone()));
    // The merged run is gone; no other covers its entries, so they are read again.
    let [first, last] = id(1, 0).keys();
    log.store().remove_tables(&first, &last).unwrap();
    drop(log);
    let log = open(dir.path());
    tend(&log);
    assert_eq!((run_ids(&log), index_keys(&log)), (vec![(1, 0)], whole));
    for i in 0..65 {
        assert_eq!(log.index_of_leaf(&leaf(i)).unwrap(), Some(i));
    }
}

/// A run that is gone is not passed over: a log that appends without it would take duplicates.
#[tokio::test]
async fn a_lost_run_is_refused_and_found() {
    let dir = tempfile::tempdir().unwrap();
    let log = log_of(dir.path()).await;
    tend(&log);
    let run = id(1, 8);
    let [first, last] = run.keys();
    log.store().remove_tables(&first, &last).unwrap();
    drop(log);
    let refused = Log::open(config(dir.path()), TestSealer::new(1)).unwrap_err();
    assert!(refused.to_string().contains("the index of leaf hashes at 512"), "{refused}");
    let log = Log::open_read_only(dir.path()).unwrap();
    let findings = fsck::check(&log, |_, _| ()).findings;
    assert!(matches!(&findings[..], [one] if one.what.contains("treering log reindex")), "{findings:#?}");
}

/// A filter that says no where it should say maybe hides an entry.
#[tokio::test]
async fn a_filter_that_lost_a_bit_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let log = log_of(dir.path()).await;
    tend(&log);
    let key = schema::part_key(2, 0, schema::Part::Filter, 0);
    let mut filter = log.store().get(Family::HashIndex, &key).unwrap().unwrap();
    let at = filter.iter().rposition(|byte| *byte != 0).unwrap();
    filter[at] &= filter[at] - 1;
    log.store().testing_only_put(Family::HashIndex, &key, &filter);
    drop(log);
    let log = Log::open_read_only(dir.path()).unwrap();
    let findings = fsck::check(&log, |_, _| ()).findings;
    assert!(findings.iter().any(|finding| finding.what.contains("out of place")), "{findings:#?}");
}
