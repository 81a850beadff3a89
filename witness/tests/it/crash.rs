//! Killed at each point of the write path: a process that serves the witness on a disk which ends it, by SIGKILL, before,
//! within or after a chosen call; and the same with a loss of power, which takes what was not synced.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::net::TcpListener;
use treering_witness::client::{CallError, WitnessClient};
use treering_witness::config::Limits;
use treering_witness::http;
use treering_witness::journal::{Disk, RealDisk};
use treering_witness::service::Witness;
use treering_witness::store::{StateDir, StoreError};

use crate::support::{TestLog, fixed_clock, log_keys, open_witness, witness_signer};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum When {
    Before,
    /// Half of the bytes are written; for calls that write none, as `Before`.
    Within,
    After,
}

/// What becomes of what was not synced.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Unsynced {
    /// The process is killed, and the kernel has it still.
    Kept,
    /// The power is lost, and so is it.
    Lost,
}

/// Ends the process at one call.
struct Deadly {
    left: AtomicI64,
    when: When,
    unsynced: Unsynced,
    disk: Lossy,
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
        self.die()
    }

    fn die(&self) -> ! {
        match self.unsynced {
            Unsynced::Kept => die(),
            Unsynced::Lost => self.disk.lose(),
        }
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
        let half = || self.disk.append(file, &bytes[..bytes.len() / 2]).unwrap();
        self.call(half, || self.disk.append(file, bytes))
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        self.call(|| (), || self.disk.sync(file))
    }

    fn overwrite(&self, file: &File, bytes: &[u8]) -> io::Result<()> {
        // Never half: it is one sector.
        self.call(|| (), || self.disk.overwrite(file, bytes))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call(|| (), || self.disk.rename(from, to))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.call(|| (), || self.disk.sync_dir(dir))
    }
}

/// A disk that can lose its power: what was not synced can be taken back. (A file that was made and never named by a
/// rename stays, empty: nobody reads it.)
#[derive(Default)]
struct Lossy(Mutex<Unsafe>);

/// All that a loss of power takes.
#[derive(Default)]
struct Unsafe {
    /// By inode: what an append made longer, and how long it is safe; what was written over, and what was there.
    longer: BTreeMap<u64, (File, u64)>,
    over: BTreeMap<u64, (File, Vec<u8>)>,
    /// Renames, and what was replaced under the name that it is kept by.
    renamed: Vec<(PathBuf, PathBuf, Option<PathBuf>)>,
}

impl Lossy {
    fn lock(&self) -> MutexGuard<'_, Unsafe> {
        self.0.lock().unwrap()
    }

    /// Nobody is answered after this: the lock is never given back.
    fn lose(&self) -> ! {
        let mut lost = self.lock();
        for (from, to, replaced) in lost.renamed.drain(..).rev() {
            fs::rename(&to, &from).unwrap();
            if let Some(replaced) = replaced {
                fs::rename(replaced, &to).unwrap();
            }
        }
        for (file, len) in lost.longer.values() {
            file.set_len(*len).unwrap();
        }
        for (file, bytes) in lost.over.values() {
            file.set_len(0).unwrap();
            file.write_all_at(bytes, 0).unwrap();
        }
        die()
    }
}

impl Disk for Lossy {
    fn append(&self, file: &File, bytes: &[u8]) -> io::Result<()> {
        let mut lost = self.lock();
        let before = file.metadata()?;
        lost.longer.entry(before.ino()).or_insert((file.try_clone()?, before.len()));
        RealDisk.append(file, bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        let mut lost = self.lock();
        RealDisk.sync(file)?;
        let inode = file.metadata()?.ino();
        lost.longer.remove(&inode);
        lost.over.remove(&inode);
        Ok(())
    }

    fn overwrite(&self, file: &File, bytes: &[u8]) -> io::Result<()> {
        let mut lost = self.lock();
        let before = file.metadata()?;
        // The witness has it open for writing only.
        let kept = fs::read(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
        lost.over.entry(before.ino()).or_insert((file.try_clone()?, kept));
        RealDisk.overwrite(file, bytes)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut lost = self.lock();
        let replaced = to.exists().then(|| to.with_extension(format!("kept{}", lost.renamed.len())));
        if let Some(replaced) = &replaced {
            // One that was killed has left its own.
            fs::remove_file(replaced).ok();
            fs::hard_link(to, replaced)?;
        }
        RealDisk.rename(from, to)?;
        lost.renamed.push((from.to_owned(), to.to_owned(), replaced));
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut lost = self.lock();
        RealDisk.sync_dir(dir)?;
        let synced = lost.renamed.extract_if(.., |(_, to, _)| to.parent() == Some(dir));
        synced.filter_map(|(_, _, replaced)| replaced).try_for_each(fs::remove_file)
    }
}

const VARIABLE: &str = "TREERING_WITNESS_CRASH";

/// Not a test by itself: the process that the tests here start, and that ends at the call it is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the process that the crash tests start; alone it does nothing"]
async fn child() {
    let Some(told) = std::env::var_os(VARIABLE) else { return };
    let told = told.into_string().unwrap();
    let mut words = told.splitn(4, ' ');
    let call = words.next().unwrap().parse().unwrap();
    let when = match words.next().unwrap() {
        "Before" => When::Before,
        "Within" => When::Within,
        _ => When::After,
    };
    let unsynced = if words.next() == Some("Lost") { Unsynced::Lost } else { Unsynced::Kept };
    let state = PathBuf::from(words.next().unwrap());
    let disk = Arc::new(Deadly { left: AtomicI64::new(call), when, unsynced, disk: Lossy::default() });
    // The process that starts this one has just let go of it: see `support::open_dir`.
    let dir = loop {
        match StateDir::open_on(&state, witness_signer().verifier(), Arc::clone(&disk) as _, 1_500) {
            Err(StoreError::Locked { .. }) => tokio::time::sleep(Duration::from_millis(2)).await,
            opened => break opened.unwrap(),
        }
    };
    let limits = Limits::default();
    let witness = Witness::open(witness_signer(), dir, log_keys(), fixed_clock(), &limits, None).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    eprintln!("listening {}", listener.local_addr().unwrap());
    io::stderr().flush().unwrap();
    let metrics = PrometheusBuilder::new().build_recorder().handle();
    http::serve(listener, Arc::new(witness), limits, metrics, std::future::pending()).await.unwrap();
}

/// One life: from the start to the kill; what was answered for, from `acknowledged`.
async fn live_and_die(
    state: &Path,
    log: &TestLog,
    (call, when, unsynced): (usize, When, Unsynced),
    mut acknowledged: u64,
) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::child", "--ignored", "--nocapture"])
        .env(VARIABLE, format!("{call} {when:?} {unsynced:?} {}", state.display()))
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
async fn die_at(points: impl Iterator<Item = (usize, When)>, unsynced: Unsynced) {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    StateDir::create(&state, witness_signer().verifier()).unwrap();
    let (log, fork) = (TestLog::new(0, 3_000), TestLog::new(1, 3_000));
    let mut acknowledged = 0;
    for (call, when) in points {
        acknowledged = live_and_die(&state, &log, (call, when, unsynced), acknowledged).await;
        let witness = open_witness(&state, fixed_clock());
        let (_, found) = witness.states().next().unwrap();
        let found = found.map_or(0, |found| found.checkpoint().size());
        // One request at a time: at most the one that was not answered any more.
        assert!(
            found == acknowledged || found == acknowledged + 1,
            "ended {when:?} call {call}, the unsynced {unsynced:?}: answered for {acknowledged}, came back with {found}"
        );
        assert!(found == 0 || witness.add_checkpoint(&fork.request(found, found + 1)).is_err());
        acknowledged = found;
    }
    assert!(acknowledged > 10, "there were commits: {acknowledged}");
}

#[tokio::test]
async fn killed_at_points_of_the_write_path_it_remembers() {
    let whens = [When::Before, When::Within, When::After];
    die_at((0..24).map(|call| (call, whens[call % 3])), Unsynced::Kept).await;
}

#[tokio::test]
async fn after_a_loss_of_power_at_points_of_the_write_path_it_remembers() {
    let whens = [When::After, When::Before, When::Within];
    die_at((0..24).map(|call| (call, whens[call % 3])), Unsynced::Lost).await;
}

#[tokio::test]
#[ignore = "long: a process for each of 50 calls, ended before, within and after it, by a kill and a loss of power"]
async fn killed_at_every_point_of_the_write_path_it_remembers() {
    for unsynced in [Unsynced::Kept, Unsynced::Lost] {
        let whens = [When::Before, When::Within, When::After];
        die_at((0..50).flat_map(|call| whens.map(|when| (call, when))), unsynced).await;
    }
}
