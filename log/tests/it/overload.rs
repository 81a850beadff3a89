//! More callers than the log can serve, and readers that do not read.

use std::{
    fs,
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use treering_log::{Append, AppendError, Log, NewEntry, fsck};

use crate::support::{Mode, TestSealer, append, config, entry, grow, open};

/// Tells the re-executed test binary to be the child, and where: memory is measured in a process of its own.
const DIR: &str = "TREERING_LOG_OVERLOAD_CHILD";

const POOL_BYTES: usize = 4 << 20;
const APPEND_BYTES: usize = 512 << 10;

#[test]
fn a_flood_does_not_fill_memory() {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["overload::child", "--exact", "--nocapture"])
        .env(DIR, dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    eprintln!("{}", said.lines().find(|line| line.contains("offered")).unwrap());
}

/// Not a test by itself. The sequencer stands still, and two gigabytes are offered: none of it may stay.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let sealer = TestSealer::new(1);
        let mut config = config(Path::new(&dir));
        config.pool_bytes = POOL_BYTES;
        let log = Log::open(config, Arc::clone(&sealer) as _).unwrap();
        grow(&log, 0, 2).await;
        sealer.set(Mode::Wait);
        let (mut waiting, mut full, before) = (Vec::new(), 0u32, resident());
        for round in 0..4000u64 {
            let mut offered = Append::of(vec![NewEntry::plain(entry(1000 + round))]);
            offered.entries[0].content = Some(vec![7; APPEND_BYTES]);
            let log = log.clone();
            let mut answer = Box::pin(async move { log.append(offered).await });
            // A refusal comes at once, a place in the pool does not: one look tells.
            match tokio::time::timeout(Duration::ZERO, &mut answer).await {
                Ok(refused) => {
                    assert!(matches!(refused, Err(AppendError::Full { .. })), "{refused:?}");
                    full += 1;
                }
                Err(_) => waiting.push(answer),
            }
        }
        let (bytes, grown) = (log.waiting().1, resident().saturating_sub(before));
        eprintln!(
            "offered {} MB: {full} refused, {bytes} bytes waiting, memory grew by {} MB",
            (4000 * APPEND_BYTES) >> 20,
            grown >> 20
        );
        assert!(bytes <= POOL_BYTES, "{bytes}");
        // The pool, the batch that the sequencer holds, and what an allocator keeps.
        assert!(grown < 64 << 20, "memory grew by {grown} bytes");
        assert!(full > 3900, "{full}");
        sealer.set(Mode::Sign);
        for answer in waiting {
            answer.await.unwrap();
        }
    });
}

/// The memory of this process.
fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

/// Ten times more clients than the pool has room for, each asking again when it was refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_ten_times_the_load_every_client_is_served() {
    const CLIENTS: u64 = 80;
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.pool_entries = 8;
    let log = Log::open(config, TestSealer::new(1)).unwrap();
    grow(&log, 0, 2).await;
    let (stop, refused) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| tokio::spawn(ask(log.clone(), client, Arc::clone(&stop), Arc::clone(&refused))))
        .collect();
    // Until there was enough for all, however fast this machine is.
    while log.size() < CLIENTS * 50 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert!(log.waiting().0 <= 8);
    }
    stop.store(true, Ordering::Relaxed);
    let mut served = Vec::new();
    for client in clients {
        served.push(client.await.unwrap());
    }
    let (least, most) = (served.iter().min().unwrap(), served.iter().max().unwrap());
    let refused = refused.load(Ordering::Relaxed);
    eprintln!("each of {CLIENTS} clients was served {least} to {most} times; {refused} refusals");
    assert!(refused > 0, "there was no overload");
    assert!(*least >= 10, "of 50 on average, one client had {least}");
}

/// One client: how often it was served until it was stopped.
async fn ask(log: Log, client: u64, stop: Arc<AtomicBool>, refused: Arc<AtomicU64>) -> u64 {
    let mut served = 0;
    while !stop.load(Ordering::Relaxed) {
        match log.append(Append::of(vec![NewEntry::plain(format!("{client} {served}"))])).await {
            Ok(_) => served += 1,
            Err(AppendError::Full { entries, .. }) => {
                assert!(entries <= 8, "the bound is not kept: {entries}");
                refused.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => panic!("{error}"),
        }
        // Who was served asks as late as who was refused, or it would have the place it just left.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    served
}

/// Readers that take a snapshot and stand still in the midst of it, and readers that read without end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_do_not_hold_the_sequencer() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    grow(&log, 0, 2000).await;
    let alone = pace(&log, 10_000).await;
    let (stop, standing) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let still: Vec<_> = (0..16)
        .map(|_| {
            let (log, stop, standing) = (log.clone(), Arc::clone(&stop), Arc::clone(&standing));
            thread::spawn(move || stand_still(&log, &stop, &standing))
        })
        .collect();
    while standing.load(Ordering::SeqCst) < 16 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let beside = pace(&log, 20_000).await;
    stop.store(true, Ordering::SeqCst);
    for reader in still {
        reader.join().unwrap();
    }
    eprintln!("200 appends: {alone:?} alone, {beside:?} beside 16 readers that stand still");
    assert!(beside < alone * 4 + Duration::from_millis(500), "{alone:?} alone, {beside:?} beside readers");
}

/// Checks the whole log, and stops at the first sign of progress until it is let go.
fn stand_still(log: &Log, stop: &AtomicBool, standing: &AtomicU64) {
    let stood = AtomicBool::new(false);
    let report = fsck::check(log, |_, _| {
        if stood.swap(true, Ordering::SeqCst) {
            return;
        }
        standing.fetch_add(1, Ordering::SeqCst);
        while !stop.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(2));
        }
    });
    assert!(report.entries >= 2000);
}

async fn pace(log: &Log, first: u64) -> Duration {
    let since = Instant::now();
    for i in 0..200 {
        append(log, first + i, first + i + 1).await;
    }
    since.elapsed()
}
