//! Killed processes and damaged write-ahead logs.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use treering_log::{Append, Log, NewEntry, OpenError, fsck};
use treering_tlog::{hash::leaf_hash, inclusion};

use crate::support::{TestSealer, append, config, grow, open};

/// Tells the re-executed test binary to be the child, and where.
const CHILD: &str = "TREERING_LOG_CRASH_CHILD";

/// Not a test by itself: the process that gets killed. It appends for ever and prints what was acknowledged.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let log = open(Path::new(&dir));
        let tasks: Vec<_> = (0..6).map(|task| tokio::spawn(append_for_ever(log.clone(), task))).collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

async fn append_for_ever(log: Log, task: u64) {
    for round in 0u64.. {
        let text = |part: u64| {
            format!("{} {task} {round} {part} {}", std::process::id(), "x".repeat(50 * task as usize))
        };
        let texts: Vec<String> = (0..2 + task % 3).map(text).collect();
        let entries = texts.iter().map(|text| NewEntry::plain(text.as_bytes())).collect();
        let mut append = Append::of(entries);
        append.once = vec![leaf_hash(texts[0].as_bytes()).to_bytes()];
        let done = log.append(append).await.unwrap();
        let lines: Vec<String> =
            done.indexes().iter().zip(&texts).map(|(index, text)| format!("ack {index} {text}")).collect();
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", lines.join("\n")).unwrap();
    }
}

/// Starts the child, kills it after a while, and returns what it had acknowledged.
fn run_and_kill(dir: &Path, after: Duration) -> BTreeMap<u64, String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["crash::child", "--exact", "--nocapture"])
        .env(CHILD, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let reader = thread::spawn(move || {
        let mut acks = BTreeMap::new();
        let mut lines = out.split(b'\n').map_while(Result::ok).peekable();
        while let Some(line) = lines.next() {
            // The last line may be cut off by the kill.
            let ack = String::from_utf8(line).ok().filter(|_| lines.peek().is_some());
            let fields =
                ack.as_deref().and_then(|ack| ack.strip_prefix("ack ")).and_then(|ack| ack.split_once(' '));
            if let Some((index, text)) = fields {
                acks.insert(index.parse().unwrap(), text.to_owned());
            }
        }
        acks
    });
    thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}

#[test]
fn killed_at_any_moment_nothing_acknowledged_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let (mut acknowledged, mut size) = (BTreeMap::<u64, String>::new(), 0);
    // Delays that a random generator gave, so that a failure can be repeated.
    for delay in [180, 61, 243, 97, 32, 154, 275, 76, 118, 209] {
        let new = run_and_kill(dir.path(), Duration::from_millis(delay));
        let log = open(dir.path());
        assert!(log.size() >= size, "the log shrank from {size} to {}", log.size());
        size = log.size();
        let root = log.head().map(|head| *head.root());
        for (index, text) in &acknowledged {
            assert_eq!(log.leaf(*index).unwrap(), Some(leaf_hash(str::as_bytes(text))), "{text}");
        }
        for (index, text) in &new {
            let leaf = leaf_hash(text.as_bytes());
            assert_eq!(log.index_of_leaf(&leaf).unwrap(), Some(*index), "{text}");
            assert_eq!(log.entry(*index).unwrap().unwrap(), text.as_bytes());
            let path = log.inclusion(*index, size).unwrap();
            inclusion::verify(&leaf, *index, size, &path, &root.unwrap()).unwrap();
            if text.split(' ').nth(3) == Some("0") {
                assert_eq!(log.used(leaf.as_bytes()).unwrap(), Some(*index));
            }
        }
        assert_eq!(fsck::check(&log, |_, _| ()).findings, vec![]);
        acknowledged.extend(new);
    }
    eprintln!("killed 10 times: {} acknowledged entries, all there, of {size}", acknowledged.len());
    assert!(acknowledged.len() > 20, "the child hardly ran");
}

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
