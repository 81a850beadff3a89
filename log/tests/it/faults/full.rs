//! A file system that is really full.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use treering_log::{Append, AppendError, Log, NewEntry};

use crate::{
    account::Account,
    support::{TestSealer, config, open},
};

/// A small file system in memory, gone when this is dropped.
struct Small {
    dir: PathBuf,
    _parent: tempfile::TempDir,
}

impl Small {
    /// `None` where the test may not mount.
    fn mount() -> Option<Self> {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().to_path_buf();
        mount(&["-t", "tmpfs", "-o", "size=24m", "tmpfs"], &dir).then_some(Self { dir, _parent: parent })
    }

    fn enlarge(&self) {
        assert!(mount(&["-o", "remount,size=256m"], &self.dir));
    }
}

fn mount(arguments: &[&str], dir: &Path) -> bool {
    let status = Command::new("mount").args(arguments).arg(dir).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

impl Drop for Small {
    fn drop(&mut self) {
        Command::new("umount").arg(&self.dir).status().ok();
    }
}

#[tokio::test]
async fn a_full_disk_stops_the_log_and_loses_nothing() {
    let Some(small) = Small::mount() else {
        eprintln!(
            "NOT RUN: a small file system cannot be mounted here (needs root); the sweep has ENOSPC by shim"
        );
        return;
    };
    let dir = small.dir.join("log");
    let log = open(&dir);
    let (mut told, mut refused) = (Account::default(), None);
    for round in 0..200u8 {
        let texts: Vec<String> = (0..2).map(|part| format!("{round} {part}")).collect();
        let mut append = Append::of(texts.iter().map(|text| NewEntry::plain(text.as_bytes())).collect());
        append.entries[0].content = Some(vec![round; 400_000]);
        append.once = vec![[round; 32]];
        match log.append(append).await {
            Ok(done) => {
                assert!(refused.is_none(), "an append was answered after a failed write");
                told.appended(&done, &texts, &[[round; 32]]);
            }
            Err(error) => refused = Some(error),
        }
    }
    let refused = refused.expect("24 MB hold more than 80 MB?");
    assert!(matches!(&refused, AppendError::Poisoned(why) if why.contains("No space left")), "{refused}");
    assert!(told.len() > 20, "{}", told.len());
    told.check(&log);
    drop(log);
    // Still full: it opens or says why not, and either way keeps what it has.
    match Log::open(config(&dir), TestSealer::new(1)) {
        Ok(log) => told.check(&log),
        Err(error) => assert!(error.to_string().contains("No space left"), "{error}"),
    }
    small.enlarge();
    let log = open(&dir);
    told.check_all(&log);
    crate::support::append(&log, 0, 2).await;
    eprintln!("{} answered entries, all there after the disk was full", told.len());
}
