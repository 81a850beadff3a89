//! The tree on disk against RFC 9162 as it is written.

use proptest::prelude::*;
use treering_log::{Log, fsck};
use treering_tlog::{
    consistency,
    hash::{EMPTY_ROOT, Hash},
    inclusion, tile,
};

use crate::support::{Naive, append, grow, leaf, open};

const SIZES: u64 = 300;

fn naive(size: u64) -> Naive {
    Naive::new((0..size).map(leaf).collect())
}

/// Every root, inclusion proof and consistency proof of every size, equal byte for byte.
fn check_all(log: &Log, size: u64) {
    std::thread::scope(|scope| {
        for half in 0..2 {
            scope.spawn(move || check_sizes(log, (half..=size).step_by(2)));
        }
    });
}

fn check_sizes(log: &Log, sizes: impl Iterator<Item = u64>) {
    let mut naive = naive(log.size());
    for n in sizes {
        let root = naive.root(0, n as usize);
        assert_eq!(log.root_at(n).unwrap(), root);
        for i in 0..n {
            let path = log.inclusion(i, n).unwrap();
            assert_eq!(path, naive.path(i as usize, 0, n as usize), "inclusion of {i} in {n}");
            inclusion::verify(&leaf(i), i, n, &path, &root).unwrap();
        }
        for m in 0..=n {
            let proof = log.consistency(m, n).unwrap();
            assert_eq!(proof, naive.consistency(m as usize, n as usize), "consistency of {m} and {n}");
            consistency::verify(m, n, &naive.root(0, m as usize), &root, &proof).unwrap();
        }
    }
}

#[tokio::test]
async fn every_size_grown_by_uneven_batches() {
    let dir = tempfile::tempdir().unwrap();
    let (log, mut naive) = (open(dir.path()), naive(SIZES));
    assert!(log.head().is_none());
    assert_eq!(log.root_at(0).unwrap(), EMPTY_ROOT);
    // A fixed walk of batch sizes, from 2 to 40.
    let (mut size, mut step) = (0, 7);
    while size < SIZES {
        step = (step * 31 + 11) % 39 + 2;
        let next = SIZES.min(size + step);
        let done = append(&log, size, next).await;
        assert_eq!(done.head().root(), &naive.root(0, next as usize));
        size = next;
    }
    check_all(&log, SIZES);
    assert!(fsck::check(&log, |_, _| ()).is_clean());
}

/// In four ranges at once, because opening is mostly waiting for the disk.
#[test]
fn reopened_at_every_size() {
    std::thread::scope(|scope| {
        for range in [(0, 75), (75, 150), (150, 225), (225, SIZES)] {
            scope.spawn(move || runtime().block_on(reopened(range.0, range.1)));
        }
    });
}

async fn reopened(from: u64, to: u64) {
    let dir = tempfile::tempdir().unwrap();
    let mut naive = naive(to);
    let mut size = 0;
    while size < to {
        let log = open(dir.path());
        let next = if size == 0 { from.max(2) } else { size + 1 };
        let done = append(&log, size, next).await;
        size = next;
        let n = size as usize;
        assert_eq!(done.head().root(), &naive.root(0, n));
        assert_eq!(log.root_at(size / 2).unwrap(), naive.root(0, n / 2));
        for i in [size / 3, size - 1] {
            assert_eq!(log.inclusion(i, size).unwrap(), naive.path(i as usize, 0, n));
            assert_eq!(log.consistency(i, size).unwrap(), naive.consistency(i as usize, n));
        }
        log.shutdown().await;
    }
    let log = open(dir.path());
    assert_eq!(log.size(), to);
    assert!(fsck::check(&log, |_, _| ()).is_clean());
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// The widths that the specification spells out for 70,000 entries, and the third tile level.
#[tokio::test]
async fn seventy_thousand_entries() {
    const SIZE: u64 = 70_000;
    let dir = tempfile::tempdir().unwrap();
    {
        let log = open(dir.path());
        grow(&log, 0, SIZE).await;
    }
    let log = open(dir.path());
    assert_eq!(log.size(), SIZE);
    for (level, index, width) in [(0, 272, 256), (0, 273, 112), (1, 0, 256), (1, 1, 17), (2, 0, 1)] {
        assert_eq!(log.tile(level, index, width).unwrap().unwrap().len(), usize::from(width) * 32);
        if width < 256 {
            assert_eq!(log.tile(level, index, width + 1).unwrap(), None, "wider than the log");
        }
    }
    assert_eq!(log.tile(1, 2, 1).unwrap(), None);
    assert_eq!(log.tile(3, 0, 1).unwrap(), None);
    assert_eq!(log.tile(0, 0, 0).unwrap(), None, "empty tiles are not served");
    let report = fsck::check(&log, |_, _| ());
    assert_eq!((report.findings, report.entries), (vec![], SIZE));
    assert_eq!(report.root.as_ref(), Some(log.head().unwrap().root()));
    let root = log.root_at(SIZE).unwrap();
    for i in [0, 255, 256, 65_535, 65_536, SIZE - 1] {
        let path = log.inclusion(i, SIZE).unwrap();
        inclusion::verify(&log.leaf(i).unwrap().unwrap(), i, SIZE, &path, &root).unwrap();
    }
    let old = log.root_at(65_537).unwrap();
    consistency::verify(65_537, SIZE, &old, &root, &log.consistency(65_537, SIZE).unwrap()).unwrap();
}

#[tokio::test]
async fn tiles_and_bundles_are_served_at_every_width() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    for (from, to) in [(0, 5), (5, 6), (6, 200), (200, 256), (256, 258), (258, 262)] {
        grow(&log, from, to).await;
    }
    let hashes: Vec<Hash> = (0..262).map(leaf).collect();
    for (index, most) in [(0u64, 256u16), (1, 6)] {
        let first = index as usize * 256;
        for width in 1..=most {
            let want = &hashes[first..first + usize::from(width)];
            assert_eq!(log.tile(0, index, width).unwrap().unwrap(), tile::encode(want));
            let bytes = log.bundle(index, width).unwrap().unwrap();
            let entries = treering_tlog::bundle::decode(&bytes).unwrap();
            let want: Vec<_> = (first as u64..).take(usize::from(width)).map(crate::support::entry).collect();
            assert_eq!(entries, want);
        }
        assert_eq!(log.bundle(index, most + 1).unwrap(), None);
    }
}

#[tokio::test]
async fn what_is_beyond_the_log_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    grow(&log, 0, 10).await;
    assert_eq!(log.entry(10).unwrap(), None);
    assert_eq!(log.leaf(u64::MAX).unwrap(), None);
    assert!(log.inclusion(10, 10).is_err());
    assert!(log.inclusion(0, 11).is_err());
    assert!(log.inclusion(0, 0).is_err());
    assert!(log.consistency(3, 11).is_err());
    assert!(log.consistency(4, 3).is_err());
    assert!(log.root_at(u64::MAX).is_err());
    assert_eq!(log.tile(63, u64::MAX, 256).unwrap(), None);
    assert_eq!(log.bundle(u64::MAX, 256).unwrap(), None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    #[test]
    fn batches_of_any_size_give_the_same_tree(batches in proptest::collection::vec(1u64..=256, 1..8), seed in 0u64..1000) {
        runtime().block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let log = open(dir.path());
            let mut size = 0;
            for batch in &batches {
                let next = size + (*batch).max(if size == 0 { 2 } else { 1 });
                append(&log, size, next).await;
                size = next;
            }
            let (mut naive, n) = (naive(size), size as usize);
            assert_eq!(log.head().unwrap().root(), &naive.root(0, n));
            for k in 0..16 {
                let (m, i) = ((seed + k * 7919) % (size + 1), (seed + k * 104_729) % size);
                assert_eq!(log.consistency(m, size).unwrap(), naive.consistency(m as usize, n));
                assert_eq!(log.inclusion(i, size).unwrap(), naive.path(i as usize, 0, n));
            }
            assert!(fsck::check(&log, |_, _| ()).is_clean());
        });
    }
}
