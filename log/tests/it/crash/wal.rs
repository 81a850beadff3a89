//! Write-ahead logs as crashes leave them, and as no crash leaves them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use treering_log::{Log, OpenError, fsck};

use crate::support::{TestSealer, append, config, grow, open};

/// The newest write-ahead log, the only one with unflushed commits after a clean close.
fn newest_wal(dir: &Path) -> PathBuf {
    let files = fs::read_dir(dir.join("db")).unwrap().map(|file| file.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|ext| ext == "log")).max().unwrap()
}

async fn grown(dir: &Path) {
    let log = open(dir);
    for i in 0..20 {
        append(&log, i * 2, i * 2 + 2).await;
    }
    log.shutdown().await;
}

fn reopen(dir: &Path) -> Result<Log, OpenError> {
    Log::open(config(dir), TestSealer::new(1))
}

#[tokio::test]
async fn a_commit_cut_off_before_its_end_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    grown(dir.path()).await;
    let wal = newest_wal(dir.path());
    let (before, old_checkpoint) =
        (fs::read(&wal).unwrap(), fs::read(dir.path().join("checkpoint")).unwrap());
    {
        let log = open(dir.path());
        grow(&log, 40, 41).await;
    }
    // The crash that the next lines make: the last commit was on its way to the disk and nobody had an answer,
    // so the checkpoint file was not replaced either.
    fs::write(dir.path().join("checkpoint"), &old_checkpoint).unwrap();
    let wal = newest_wal(dir.path());
    let whole = fs::read(&wal).unwrap();
    assert_ne!(whole, before);
    fs::write(&wal, &whole[..whole.len() - 5]).unwrap();
    let log = reopen(dir.path()).unwrap();
    assert_eq!(log.size(), 40, "the torn commit is gone, all before it are there");
    assert_eq!(fsck::check(&log, |_, _| ()).findings, vec![]);
    grow(&log, 40, 300).await;
}

#[tokio::test]
async fn a_lost_commit_that_was_published_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    grown(dir.path()).await;
    let wal = newest_wal(dir.path());
    let whole = fs::read(&wal).unwrap();
    fs::write(&wal, &whole[..whole.len() - 5]).unwrap();
    let error = reopen(dir.path()).unwrap_err();
    assert!(matches!(error, OpenError::Behind { database: 38, file: 40 }), "{error}");
    assert!(error.to_string().contains("would fork the log"));
}

#[tokio::test]
async fn a_damaged_middle_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    grown(dir.path()).await;
    // Without the checkpoint file, so that it is the write-ahead log itself that is refused.
    fs::remove_file(dir.path().join("checkpoint")).unwrap();
    let wal = newest_wal(dir.path());
    let mut bytes = fs::read(&wal).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&wal, &bytes).unwrap();
    let error = reopen(dir.path()).unwrap_err();
    assert!(matches!(error, OpenError::Store(_)), "{error}");
    assert!(error.to_string().to_lowercase().contains("corruption"), "{error}");
    bytes[middle] ^= 1;
    fs::write(&wal, &bytes).unwrap();
    assert_eq!(reopen(dir.path()).unwrap().size(), 40, "refusing has changed nothing");
}

/// Garbage where the next record would begin: what a crash can leave when a file grew before its data came.
#[tokio::test]
async fn zeros_after_the_end_are_dropped() {
    let dir = tempfile::tempdir().unwrap();
    grown(dir.path()).await;
    let wal = newest_wal(dir.path());
    let mut bytes = fs::read(&wal).unwrap();
    bytes.extend_from_slice(&[0; 5000]);
    fs::write(&wal, &bytes).unwrap();
    let log = reopen(dir.path()).unwrap();
    assert_eq!(log.size(), 40);
    grow(&log, 40, 50).await;
}
