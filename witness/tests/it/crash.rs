//! Killed at each point of the write path: a process that serves the witness on a disk which ends it, by SIGKILL, before,
//! within or after a chosen call.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::net::TcpListener;
use treering_witness::client::{CallError, WitnessClient};
use treering_witness::config::Limits;
use treering_witness::http;
use treering_witness::journal::{Disk, RealDisk};
use treering_witness::service::Witness;
use treering_witness::store::StateDir;

use crate::support::{TestLog, fixed_clock, log_keys, open_witness, witness_signer};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum When {
    Before,
    /// Half of the bytes are written; for calls that write none, as `Before`.
    Within,
    After,
}

/// Ends the process at one call.
struct Deadly {
    left: AtomicI64,
    when: When,
}

impl Deadly {
    fn call<T>(&self, half: impl FnOnce(), whole: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        if self.left.fetch_sub(1, Ordering::SeqCst) != 0 {
            return whole();
        }
        match self.when {
            When::Before => {}
            When::Within => half(),
            When::After => drop(whole()),
        }
        die()
    }
}

fn die() -> ! {
    drop(Command::new("kill").args(["-KILL", &std::process::id().to_string()]).status());
    loop {
        std::thread::park();
    }
}

impl Disk for Deadly {
    fn append(&self, file: &File, bytes: &[u8]) -> io::Result<()> {
        let half = || RealDisk.append(file, &bytes[..bytes.len() / 2]).unwrap();
        self.call(half, || RealDisk.append(file, bytes))
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        self.call(|| (), || RealDisk.sync(file))
    }

    fn overwrite(&self, file: &File, bytes: &[u8]) -> io::Result<()> {
        // Never half: it is one sector.
        self.call(|| (), || RealDisk.overwrite(file, bytes))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call(|| (), || RealDisk.rename(from, to))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.call(|| (), || RealDisk.sync_dir(dir))
    }
}

const VARIABLE: &str = "TREERING_WITNESS_CRASH";

/// Not a test by itself: the process that the tests here start, and that ends at the call it is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the process that the crash tests start; alone it does nothing"]
async fn child() {
    let Some(told) = std::env::var_os(VARIABLE) else { return };
    let told = told.into_string().unwrap();
    let mut words = told.splitn(3, ' ');
    let call = words.next().unwrap().parse().unwrap();
    let when = match words.next().unwrap() {
        "Before" => When::Before,
        "Within" => When::Within,
        _ => When::After,
    };
    let state = PathBuf::from(words.next().unwrap());
    let disk = Arc::new(Deadly { left: AtomicI64::new(call), when });
    let dir = StateDir::open_on(&state, witness_signer().verifier(), disk, 1_500).unwrap();
    let limits = Limits::default();
    let witness = Witness::open(witness_signer(), dir, log_keys(), fixed_clock(), &limits, None).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    eprintln!("listening {}", listener.local_addr().unwrap());
    io::stderr().flush().unwrap();
    let metrics = PrometheusBuilder::new().build_recorder().handle();
    http::serve(listener, Arc::new(witness), limits, metrics, std::future::pending()).await.unwrap();
}

/// One life: from the start to the kill; what was answered for, from `acknowledged`.
async fn live_and_die(state: &Path, log: &TestLog, call: usize, when: When, mut acknowledged: u64) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::child", "--ignored", "--nocapture"])
        .env(VARIABLE, format!("{call} {when:?} {}", state.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    // It may die before it listens.
    let address = lines.find_map(|line| line.unwrap().strip_prefix("listening ")?.parse::<SocketAddr>().ok());
    if let Some(address) = address {
        let url = format!("http://{address}");
        let client = WitnessClient::new(&url, None, Duration::from_secs(10)).unwrap();
        let mut old = acknowledged;
        loop {
            let note = log.note(old + 1).to_bytes();
            match client.add_checkpoint(old, &log.proof(old, old + 1), &note).await {
                Ok(_) => {
                    old += 1;
                    acknowledged = old;
                }
                // What the life before had written and not answered.
                Err(CallError::Conflict { size }) => old = size,
                Err(CallError::Unreachable { .. }) => break,
                Err(other) => panic!("call {call} {when:?}: {other}"),
            }
        }
    }
    let status = child.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "call {call} {when:?}");
    acknowledged
}

/// All calls at once: the start, its rename, commits, their marks, compactions.
async fn die_at(points: impl Iterator<Item = (usize, When)>) {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    StateDir::create(&state, witness_signer().verifier()).unwrap();
    let (log, fork) = (TestLog::new(0, 3_000), TestLog::new(1, 3_000));
    let mut acknowledged = 0;
    for (call, when) in points {
        acknowledged = live_and_die(&state, &log, call, when, acknowledged).await;
        let witness = open_witness(&state, fixed_clock());
        let (_, found) = witness.states().next().unwrap();
        let found = found.map_or(0, |found| found.checkpoint().size());
        // One request at a time: at most the one that was not answered any more.
        assert!(
            found == acknowledged || found == acknowledged + 1,
            "killed {when:?} call {call}: answered for {acknowledged}, came back with {found}"
        );
        assert!(found == 0 || witness.add_checkpoint(&fork.request(found, found + 1)).is_err());
        acknowledged = found;
    }
    assert!(acknowledged > 10, "there were commits: {acknowledged}");
}

#[tokio::test]
async fn killed_at_points_of_the_write_path_it_remembers() {
    let whens = [When::Before, When::Within, When::After];
    die_at((0..24).map(|call| (call, whens[call % 3]))).await;
}

#[tokio::test]
#[ignore = "long: a process for each of 50 calls, killed before, within and after it"]
async fn killed_at_every_point_of_the_write_path_it_remembers() {
    die_at((0..50).flat_map(|call| [When::Before, When::Within, When::After].map(|when| (call, when)))).await;
}
