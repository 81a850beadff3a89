//! What opening refuses.

use std::{
    fs,
    path::Path,
    process::Command,
    sync::{Arc, mpsc},
    time::Duration,
};

use treering_log::{Append, AppendError, Log, NewEntry, OpenError, Point, Sealer as _};

use crate::support::{TestSealer, append, config, grow, open, small_runs};

async fn log_of(dir: &Path, size: u64) {
    let log = open(dir);
    grow(&log, 0, size).await;
    log.shutdown().await;
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}

#[test]
fn a_log_is_made_only_on_request() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.create = false;
    let error = Log::open(config.clone(), TestSealer::new(1)).unwrap_err();
    assert!(matches!(error, OpenError::Missing { .. }), "{error}");
    config.dir = dir.path().join("nowhere");
    assert!(matches!(Log::open(config.clone(), TestSealer::new(1)), Err(OpenError::Missing { .. })));
    assert!(matches!(Log::open_read_only(dir.path()), Err(OpenError::Missing { .. })));
    assert_eq!(fs::read_dir(dir.path()).unwrap().filter(|f| f.as_ref().unwrap().path().is_dir()).count(), 0);
    config.dir = dir.path().to_path_buf();
    drop(open(dir.path()));
    Log::open(config, TestSealer::new(1)).unwrap();
}

/// The length of the index's runs is stored nowhere: with one run, and with more.
#[tokio::test]
async fn a_log_of_shorter_runs_is_refused() {
    for (size, runs) in [(10, 1), (20, 2)] {
        let dir = tempfile::tempdir().unwrap();
        let mut short = small_runs(dir.path());
        let (taken, take) = mpsc::channel();
        short.testing_only_probe = Some(Arc::new(move |point| {
            if point == Point::RunTaken {
                taken.send(()).unwrap();
            }
        }));
        let log = Log::open(short, TestSealer::new(1)).unwrap();
        grow(&log, 0, size).await;
        for _ in 0..runs {
            take.recv_timeout(Duration::from_secs(30)).unwrap();
        }
        log.shutdown().await;
        drop(log);
        let error = Log::open(config(dir.path()), TestSealer::new(1)).unwrap_err();
        assert!(error.to_string().contains("the index of leaf hashes"), "{error}");
        Log::open(small_runs(dir.path()), TestSealer::new(1)).unwrap();
    }
}

#[tokio::test]
async fn the_first_append_has_two_entries() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let refused = log.append(Append::of(vec![NewEntry::plain(*b"one")])).await.unwrap_err();
    assert_eq!(refused, AppendError::Genesis { entries: 1 });
    assert!(log.head().is_none());
    drop(log);
    assert!(!dir.path().join("checkpoint").exists(), "no head of size 0 or 1 is signed");
    let log = open(dir.path());
    assert_eq!(append(&log, 0, 2).await.head().size(), 2);
    assert_eq!(append(&log, 2, 3).await.indexes(), [2]);
}

#[tokio::test]
async fn a_second_process_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    grow(&log, 0, 3).await;
    let error = Log::open(config(dir.path()), TestSealer::new(1)).unwrap_err();
    assert!(
        matches!(error, OpenError::InUse { .. }) && error.to_string().contains("in use by another process")
    );
    assert!(matches!(Log::open_read_only(dir.path()), Err(OpenError::InUse { .. })));
    drop(log);
    let reader = Log::open_read_only(dir.path()).unwrap();
    let second = Log::open_read_only(dir.path()).unwrap();
    assert!(matches!(Log::open(config(dir.path()), TestSealer::new(1)), Err(OpenError::InUse { .. })));
    drop((reader, second));
    open(dir.path());
}

#[tokio::test]
async fn read_only_reads_and_does_not_write() {
    let dir = tempfile::tempdir().unwrap();
    log_of(dir.path(), 300).await;
    let log = Log::open_read_only(dir.path()).unwrap();
    assert_eq!(log.size(), 300);
    assert_eq!(log.entry(299).unwrap().unwrap(), crate::support::entry(299));
    assert_eq!(treering_log::fsck::check(&log, |_, _| ()).findings, vec![]);
    assert_eq!(treering_log::stats(&log).unwrap().entries, 300);
    let refused = log.append(Append::of(vec![NewEntry::plain(*b"x")])).await.unwrap_err();
    assert_eq!(refused, AppendError::Stopped);
}

#[tokio::test]
async fn another_origin_or_key_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    log_of(dir.path(), 3).await;
    let other = TestSealer::of("log.example/other", 1);
    let error = Log::open(config(dir.path()), other).unwrap_err();
    // The checkpoint file is the first to notice.
    assert!(matches!(error, OpenError::File { .. }), "{error}");
    fs::remove_file(dir.path().join("checkpoint")).unwrap();
    let other = TestSealer::of("log.example/other", 1);
    let error = Log::open(config(dir.path()), other).unwrap_err();
    assert!(matches!(error, OpenError::Origin { .. }), "{error}");
    let error = Log::open(config(dir.path()), TestSealer::new(2)).unwrap_err();
    assert!(matches!(error, OpenError::Head { size: 3, .. }), "{error}");
    open(dir.path());
    assert!(dir.path().join("checkpoint").exists(), "a missing file is written again");
}

#[tokio::test]
async fn a_database_behind_the_checkpoint_file_is_refused() {
    let (dir, backup) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    log_of(dir.path(), 5).await;
    copy(&dir.path().join("db"), backup.path());
    {
        let log = open(dir.path());
        grow(&log, 5, 9).await;
    }
    fs::remove_dir_all(dir.path().join("db")).unwrap();
    let error = Log::open(config(dir.path()), TestSealer::new(1)).unwrap_err();
    assert!(matches!(error, OpenError::Behind { database: 0, file: 9 }), "a lost database: {error}");
    copy(&backup.path().join("db"), dir.path());
    let error = Log::open(config(dir.path()), TestSealer::new(1)).unwrap_err();
    assert!(matches!(error, OpenError::Behind { database: 5, file: 9 }), "an old database: {error}");
    let log = Log::open_read_only(dir.path()).unwrap();
    let findings = treering_log::fsck::check(&log, |_, _| ()).findings;
    assert!(findings.len() == 1 && findings[0].what.contains("checkpoint file"), "{findings:?}");
}

#[tokio::test]
async fn another_history_is_refused() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    log_of(dir.path(), 5).await;
    {
        let log = open(other.path());
        append(&log, 100, 110).await;
    }
    fs::copy(dir.path().join("checkpoint"), other.path().join("checkpoint")).unwrap();
    let error = Log::open(config(other.path()), TestSealer::new(1)).unwrap_err();
    assert!(matches!(error, OpenError::Contradicts { size: 5, .. }), "{error}");
}

#[tokio::test]
async fn a_damaged_checkpoint_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    log_of(dir.path(), 5).await;
    let path = dir.path().join("checkpoint");
    let sound = fs::read(&path).unwrap();
    for damaged in [vec![], b"nonsense".to_vec(), [&sound[..], b"x"].concat(), {
        let mut flipped = sound.clone();
        let at = flipped.len() - 10;
        flipped[at] = if flipped[at] == b'A' { b'B' } else { b'A' };
        flipped
    }] {
        fs::write(&path, damaged).unwrap();
        let error = Log::open(config(dir.path()), TestSealer::new(1)).unwrap_err();
        assert!(matches!(error, OpenError::File { .. }), "{error}");
    }
    fs::write(&path, sound).unwrap();
    open(dir.path());
}

#[tokio::test]
async fn a_checkpoint_file_that_lags_is_brought_up_to_date() {
    let dir = tempfile::tempdir().unwrap();
    log_of(dir.path(), 5).await;
    let path = dir.path().join("checkpoint");
    let old = fs::read(&path).unwrap();
    {
        let log = open(dir.path());
        grow(&log, 5, 300).await;
    }
    fs::write(&path, old).unwrap();
    let log = open(dir.path());
    assert_eq!(fs::read(&path).unwrap(), log.head().unwrap().note());
}

#[tokio::test]
async fn what_a_head_carries_survives() {
    let dir = tempfile::tempdir().unwrap();
    let sealer = TestSealer::new(1);
    let head = {
        let log = Log::open(config(dir.path()), Arc::clone(&sealer) as _).unwrap();
        Arc::clone(append(&log, 0, 4).await.head())
    };
    assert_eq!((head.size(), head.sealed_at()), (4, 1_700_000_000));
    assert_eq!(head.receipt(), b"receipt 4 1700000000");
    let log = Log::open(config(dir.path()), Arc::clone(&sealer) as _).unwrap();
    assert_eq!(*log.head().unwrap(), *head);
    assert_eq!(log.log_key(), Some(&sealer.log_key()));
    assert_eq!(sealer.seals(), 1, "opening signs nothing");
}
