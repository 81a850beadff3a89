//! A directory of static tiles: complete, and any changed byte is found and named.

use std::{fs, path::Path};

use treering_log::{
    Log, Sealer as _,
    export::{StaticDir, to_dir},
    fsck::{self, Finding},
};

use crate::support::{TestSealer, entry, grow, open};

const SIZE: u64 = 66_050;

async fn exported(dir: &Path, size: u64) -> Log {
    let log = open(&dir.join("log"));
    grow(&log, 0, size).await;
    assert_eq!(to_dir(&log, &dir.join("tiles")).unwrap(), size);
    log
}

fn check(dir: &Path) -> Vec<Finding> {
    let key = TestSealer::new(1).log_key();
    let source = StaticDir::new(dir.join("tiles"), Some(key));
    fsck::check(&source, |_, _| ()).findings
}

/// Changes one byte of a file, checks, and changes it back.
fn with_flip(dir: &Path, file: &str, at: usize) -> Vec<Finding> {
    let path = dir.join("tiles").join(file);
    let mut bytes = fs::read(&path).unwrap();
    bytes[at] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let findings = check(dir);
    bytes[at] ^= 1;
    fs::write(&path, &bytes).unwrap();
    findings
}

fn one(findings: &[Finding]) -> (u64, &str) {
    match findings {
        [Finding { entry: Some(entry), what }] => (*entry, what),
        other => panic!("{other:#?}"),
    }
}

/// Where an entry begins in its bundle, without its length.
fn offset(index: u64) -> usize {
    (index / 256 * 256..index).map(|i| 2 + entry(i).len()).sum::<usize>() + 2
}

#[tokio::test]
async fn any_changed_byte_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let log = exported(dir, 600).await;
    assert_eq!(check(dir), vec![]);

    // An entry in a full bundle, and one at the right edge, where only the root can tell.
    for (file, index) in [("tile/entries/000", 77), ("tile/entries/001", 511), ("tile/entries/002.p/88", 590)]
    {
        let findings = with_flip(dir, file, offset(index));
        let (found, what) = one(&findings);
        assert_eq!(found, index);
        assert!(what.contains("the entry was changed"), "{what}");
    }
    // The length of an entry: what follows cannot be read, the finding names the first.
    for at in [offset(300) - 1, offset(300) - 2] {
        let findings = with_flip(dir, "tile/entries/001", at);
        assert_eq!(one(&findings).0, 300);
    }
    // A leaf hash, full and partial.
    for (file, index) in [("tile/0/000", 5), ("tile/0/002.p/88", 600 - 1)] {
        let findings = with_flip(dir, file, index % 256 * 32 + 31);
        let (found, what) = one(&findings);
        assert_eq!(found, index as u64);
        assert!(what.contains("its stored leaf hash was changed"), "{what}");
    }
    // A hash of level 1 covers 256 entries.
    let findings = with_flip(dir, "tile/1/000.p/2", 32);
    assert_eq!(one(&findings).0, 256);
    // Every byte of the checkpoint.
    let len = fs::read(dir.join("tiles/checkpoint")).unwrap().len();
    for at in 0..len {
        assert!(!with_flip(dir, "checkpoint", at).is_empty(), "byte {at} of the checkpoint");
    }
    assert_eq!(check(dir), vec![]);
    drop(log);
}

#[tokio::test]
async fn two_damages_are_two_findings() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    exported(dir, 600).await;
    let flip = |file: &str, at: usize| {
        let path = dir.join("tiles").join(file);
        let mut bytes = fs::read(&path).unwrap();
        bytes[at] ^= 0x80;
        fs::write(path, bytes).unwrap();
    };
    flip("tile/entries/000", offset(10));
    flip("tile/entries/000", offset(11));
    flip("tile/0/001", 0);
    let found: Vec<_> = check(dir).iter().map(|finding| finding.entry).collect();
    assert_eq!(found, [Some(10), Some(11), Some(256)]);
}

#[tokio::test]
async fn missing_and_surplus_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    exported(dir, 600).await;
    let path = dir.join("tiles/tile/entries/001");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, [&bytes[..], b"more"].concat()).unwrap();
    assert_eq!(one(&check(dir)).0, 511);
    fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    assert_eq!(one(&check(dir)).0, 511);
    fs::remove_file(&path).unwrap();
    assert_eq!(one(&check(dir)).0, 256);
    fs::remove_file(dir.join("tiles/tile/0/001")).unwrap();
    assert!(check(dir).len() >= 2, "neither entries nor hashes");
    fs::remove_file(dir.join("tiles/checkpoint")).unwrap();
    assert_eq!(check(dir)[0].entry, None);
}

/// A checkpoint of another size that is signed all the same (a log that lies) does not fit the entries.
#[tokio::test]
async fn a_signed_lie_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let log = exported(dir, 600).await;
    let lie = TestSealer::new(1).seal(600, &log.root_at(599).unwrap(), 1).unwrap().note;
    fs::write(dir.join("tiles/checkpoint"), lie).unwrap();
    let findings = check(dir);
    assert!(
        findings.iter().any(|finding| finding.entry.is_none() && finding.what.contains("give root")),
        "{findings:?}"
    );
}

/// Partial files may be deleted once the full ones are there.
#[tokio::test]
async fn a_full_tile_stands_for_its_partials() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let log = exported(dir, 300).await;
    let old = fs::read(dir.join("tiles/checkpoint")).unwrap();
    grow(&log, 300, 512).await;
    to_dir(&log, &dir.join("tiles")).unwrap();
    fs::write(dir.join("tiles/checkpoint"), old).unwrap();
    fs::remove_file(dir.join("tiles/tile/0/001.p/44")).unwrap();
    fs::remove_file(dir.join("tiles/tile/entries/001.p/44")).unwrap();
    assert_eq!(check(dir), vec![]);
}

/// Three levels of tiles.
#[tokio::test]
async fn a_large_export() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    exported(dir, SIZE).await;
    let (mut calls, mut last) = (0, 0);
    let source = StaticDir::new(dir.join("tiles"), None);
    let report = fsck::check(&source, |done, all| {
        calls += 1;
        assert!(last < done && done <= all && all == SIZE);
        last = done;
    });
    assert_eq!((report.findings, report.entries, last), (vec![], SIZE, SIZE));
    assert!(calls > 1, "progress is told as it is made, in pieces of some bundles");
    assert_eq!(one(&with_flip(dir, "tile/1/000", 3 * 32)).0, 3 * 256);
    assert_eq!(one(&with_flip(dir, "tile/2/000.p/1", 0)).0, 0);
    assert_eq!(one(&with_flip(dir, "tile/1/001.p/2", 32)).0, 65_536 + 256);
}
