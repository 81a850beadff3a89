//! The real process: its commands, its signals, and kill -9 under load.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::Deserialize;
use treering_tlog::checkpoint::Checkpoint;
use treering_tlog::note::{Note, VerifierKey};
use treering_witness::client::{CallError, WitnessClient};

use crate::support::{TestLog, call};

pub(crate) const NAME: &str = "witness.example/w1";

pub(crate) fn witness(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_treering-witness"));
    command.args(args).stdin(Stdio::null());
    command
}

pub(crate) fn run(args: &[&str]) -> Output {
    witness(args).output().unwrap()
}

/// Makes a witness in a folder, with a configuration for the test log; gives its vkey.
pub(crate) fn init(folder: &Path) -> String {
    init_for(folder, &[&TestLog::new(0, 0)])
}

/// The same for several logs.
pub(crate) fn init_for(folder: &Path, logs: &[&TestLog]) -> String {
    let output = run(&["init", "--dir", folder.to_str().unwrap(), "--name", NAME]);
    assert!(output.status.success(), "{output:?}");
    let vkey = String::from_utf8(output.stdout).unwrap().trim_end().to_owned();
    let mut config = format!(
        "name = {NAME:?}\nkey_file = \"witness.key\"\nstate_dir = \"state\"\nlisten = \"127.0.0.1:0\"\n"
    );
    for log in logs {
        writeln!(config, "[[log]]\nvkey = \"{}\"", log.signer.verifier()).unwrap();
    }
    std::fs::write(folder.join("witness.toml"), config).unwrap();
    vkey
}

pub(crate) fn config_arg(folder: &Path) -> String {
    folder.join("witness.toml").to_str().unwrap().to_owned()
}

/// A serving process; killed when dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
    vkey: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ready {
    listening: SocketAddr,
    vkey: String,
}

impl Process {
    pub(crate) fn start(folder: &Path) -> Self {
        let mut child = witness(&["serve", "--config", &config_arg(folder), "--json"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Ready = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        Self { child, address: ready.listening, vkey: ready.vkey }
    }

    /// The mirror of a folder's configuration, by the address of its metrics.
    pub(crate) fn mirror(folder: &Path) -> Self {
        let mut child = witness(&["mirror", "--config", &config_arg(folder)])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: serde_json::Value =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        let address = ready["listening"].as_str().unwrap().parse().unwrap();
        Self { child, address, vkey: String::new() }
    }

    pub(crate) fn client(&self) -> WitnessClient {
        WitnessClient::new(&format!("http://{}", self.address), None, Duration::from_secs(10)).unwrap()
    }

    /// SIGKILL: no handler runs.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn signal(&self, name: &str) {
        let done = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(done.unwrap().success());
    }

    pub(crate) fn wait(&mut self) -> Option<i32> {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(20) {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the process does not stop");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

async fn add(client: &WitnessClient, log: &TestLog, old: u64, new: u64) -> Result<(), CallError> {
    client.add_checkpoint(old, &log.proof(old, new), &log.note(new).to_bytes()).await.map(drop)
}

/// The size a witness has cosigned last, as it tells a log that asks from 0.
async fn size_of(client: &WitnessClient, log: &TestLog) -> u64 {
    match client.latest(log.origin()).await.unwrap() {
        None => 0,
        Some(note) => {
            let size = Checkpoint::parse(Note::parse(&note).unwrap().text()).unwrap().size();
            if size > 0 {
                assert_eq!(add(client, log, 0, size).await, Err(CallError::Conflict { size }));
            }
            size
        }
    }
}

/// Grows a log from `size` until the witness is gone, racing with others: adopts what it is told.
async fn grow(client: WitnessClient, log: Arc<TestLog>, mut size: u64, highest: Arc<AtomicU64>) {
    loop {
        match add(&client, &log, size, size + 1).await {
            Ok(()) => {
                size += 1;
                highest.fetch_max(size, Ordering::SeqCst);
            }
            Err(CallError::Conflict { size: told }) => size = told,
            Err(_) => return,
        }
    }
}

/// Kills the process at another moment each round, under the load of several logs with two clients each.
async fn kill_9_under_load(origins: usize, rounds: u64) {
    let folder = tempfile::tempdir().unwrap();
    let named = |salt, place: usize| TestLog::new(salt, 4_000).named(&format!("log.example/{place}"));
    let logs: Vec<Arc<TestLog>> = (0..origins).map(|place| Arc::new(named(0, place))).collect();
    let forks: Vec<TestLog> = (0..origins).map(|place| named(1, place)).collect();
    init_for(folder.path(), &logs.iter().map(AsRef::as_ref).collect::<Vec<_>>());
    let highest: Vec<Arc<AtomicU64>> = (0..origins).map(|_| Arc::default()).collect();
    for round in 0..=rounds {
        let process = Process::start(folder.path());
        let client = process.client();
        let mut workers = Vec::new();
        for ((log, fork), highest) in logs.iter().zip(&forks).zip(&highest) {
            let (found, acknowledged) = (size_of(&client, log).await, highest.load(Ordering::SeqCst));
            assert!(
                found >= acknowledged,
                "round {round}: answered for {acknowledged}, came back with {found}"
            );
            if found > 0 {
                // It refuses another history of a size that it might have forgotten.
                let forked = add(&client, fork, found, found + 1).await;
                assert!(matches!(forked, Err(CallError::Refused { status: 422, .. })), "{forked:?}");
            }
            for _ in 0..2 {
                workers.push(tokio::spawn(grow(client.clone(), Arc::clone(log), found, Arc::clone(highest))));
            }
        }
        tokio::time::sleep(Duration::from_millis(40 + 23 * round % 211)).await;
        process.kill();
        for worker in workers {
            worker.await.unwrap();
        }
    }
    assert!(
        highest.iter().all(|highest| highest.load(Ordering::SeqCst) > rounds),
        "there was load: {highest:?}"
    );
}

/// Killed at random moments under load, the witness never forgets what it answered: not after any of the kills.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn kill_9_under_load_never_rolls_back() {
    kill_9_under_load(3, 6).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "long: a hundred kills, under the load of eight logs"]
async fn kill_9_a_hundred_times_never_rolls_back() {
    kill_9_under_load(8, 100).await;
}

#[tokio::test]
async fn signals_stop_it_gracefully() {
    for signal in ["TERM", "INT"] {
        let folder = tempfile::tempdir().unwrap();
        let vkey = init(folder.path());
        let mut process = Process::start(folder.path());
        assert_eq!(process.vkey, vkey);
        let log = TestLog::new(0, 2);
        assert_eq!(add(&process.client(), &log, 0, 1).await, Ok(()));
        process.signal(signal);
        assert_eq!(process.wait(), Some(0), "{signal}");
        let process = Process::start(folder.path());
        assert_eq!(size_of(&process.client(), &log).await, 1);
    }
}

#[tokio::test]
async fn metrics_count_and_health_is_told() {
    let folder = tempfile::tempdir().unwrap();
    init(folder.path());
    let process = Process::start(folder.path());
    let log = TestLog::new(0, 7);
    let client = process.client();
    assert_eq!(add(&client, &log, 0, 7).await, Ok(()));
    assert_eq!(add(&client, &log, 0, 7).await, Err(CallError::Conflict { size: 7 }));
    let health = call(process.address, "GET", "/healthz", "".into()).await;
    assert_eq!((health.status, health.body.as_str()), (200, "ok\n"));
    let metrics = call(process.address, "GET", "/metrics", "".into()).await.body;
    for line in [
        "treering_witness_add_checkpoint_requests_total{status=\"200\"} 1",
        "treering_witness_add_checkpoint_requests_total{status=\"409\"} 1",
        "treering_witness_cosigned_tree_size{origin=\"log.example/1\"} 7",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}

#[test]
fn init_and_vkey_agree_and_nothing_is_made_twice() {
    let folder = tempfile::tempdir().unwrap();
    let vkey = init(folder.path());
    let key = VerifierKey::parse(&vkey).unwrap();
    assert_eq!((key.name(), key.kind().byte()), (NAME, 4));
    let key_file = folder.path().join("witness.key");
    for args in
        [["vkey", "--config", &config_arg(folder.path())], ["vkey", "--key", key_file.to_str().unwrap()]]
    {
        let output = run(&args);
        assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{vkey}\n"), "{args:?}");
    }
    let again = run(&["init", "--dir", folder.path().to_str().unwrap(), "--name", NAME]);
    assert_eq!((again.status.code(), again.stdout.len()), (Some(1), 0));
    assert_eq!(run(&["vkey"]).status.code(), Some(2), "usage");
    // A state without its key is not taken over, and no key is left behind.
    std::fs::remove_file(&key_file).unwrap();
    let again = run(&["init", "--dir", folder.path().to_str().unwrap(), "--name", NAME]);
    assert_eq!((again.status.code(), key_file.exists()), (Some(1), false));
}

/// Each start that must not happen, with the word that says why.
#[test]
fn it_refuses_to_start_on_anything_doubtful() {
    use std::os::unix::fs::PermissionsExt as _;
    let refused = |prepare: &dyn Fn(&Path), word: &str| {
        let folder = tempfile::tempdir().unwrap();
        init(folder.path());
        prepare(folder.path());
        let output = run(&["serve", "--config", &config_arg(folder.path()), "--json"]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{word}: {stderr}");
        assert!(stderr.contains(word), "{word}: {stderr}");
        assert!(!stderr.contains("PRIVATE") && !stderr.contains("backtrace"), "{stderr}");
    };
    let set_mode =
        |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    let edit = |folder: &Path, from: &str, to: &str| {
        let path = folder.join("witness.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from));
        std::fs::write(path, text.replace(from, to)).unwrap();
    };
    refused(&|folder| set_mode(&folder.join("witness.key"), 0o640), "0640");
    refused(&|folder| std::fs::remove_file(folder.join("witness.key")).unwrap(), "witness.key");
    refused(&|folder| edit(folder, "w1", "w2"), "want \"witness.example/w2\"");
    refused(&|folder| edit(folder, "listen", "listne"), "listne");
    refused(&|folder| std::fs::remove_file(folder.join("witness.toml")).unwrap(), "witness.toml");
    refused(&|folder| std::fs::remove_dir_all(folder.join("state")).unwrap(), "no state directory");
    refused(&|folder| std::fs::remove_file(folder.join("state/journal")).unwrap(), "journal");
    refused(&|folder| std::fs::write(folder.join("state/journal"), "x").unwrap(), "damaged");
    refused(&|folder| std::fs::remove_file(folder.join("state/mark")).unwrap(), "mark");
    refused(&|folder| std::fs::write(folder.join("state/mark"), "x").unwrap(), "mark");
    refused(
        &|folder| {
            std::fs::remove_file(folder.join("witness.key")).unwrap();
            std::fs::remove_dir_all(folder.join("state")).unwrap();
            let other = tempfile::tempdir().unwrap();
            init(other.path());
            let copy = Command::new("cp").arg("-r").arg(other.path().join("state")).arg(folder).status();
            assert!(copy.unwrap().success());
            let third = tempfile::tempdir().unwrap();
            init(third.path());
            std::fs::copy(third.path().join("witness.key"), folder.join("witness.key")).unwrap();
        },
        "is not that of",
    );
}

/// With both keys every answer has both lines, and the state is read back with them.
#[tokio::test]
async fn a_witness_with_two_keys_answers_with_two_lines() {
    let folder = tempfile::tempdir().unwrap();
    let made = run(&["init", "--ml-dsa", "--dir", folder.path().to_str().unwrap(), "--name", NAME]);
    assert!(made.status.success(), "{made:?}");
    let vkeys = String::from_utf8(made.stdout).unwrap();
    let keys: Vec<VerifierKey> = vkeys.lines().map(|vkey| VerifierKey::parse(vkey).unwrap()).collect();
    assert_eq!(keys.iter().map(|key| key.kind().byte()).collect::<Vec<_>>(), [4, 6]);
    let log = TestLog::new(0, 20);
    let config = format!(
        "name = {NAME:?}\nkey_file = \"witness.key\"\nmldsa_key_file = \"witness-mldsa.key\"\nstate_dir = \"state\"\n\
         listen = \"127.0.0.1:0\"\n[[log]]\nvkey = \"{}\"\n",
        log.signer.verifier()
    );
    std::fs::write(folder.path().join("witness.toml"), config).unwrap();
    let printed = run(&["vkey", "--config", &config_arg(folder.path())]);
    assert_eq!(String::from_utf8(printed.stdout).unwrap(), vkeys);
    let mut at = 0;
    for size in [7, 20] {
        let process = Process::start(folder.path());
        let note = log.note(size);
        let lines =
            process.client().add_checkpoint(at, &log.proof(at, size), &note.to_bytes()).await.unwrap();
        let signed = Note::new(note.text(), lines).unwrap();
        let verified = signed.verify(&keys).unwrap();
        assert_eq!((signed.signatures().len(), verified.len()), (2, 2));
        assert_eq!(verified[0].time(), verified[1].time());
        let latest = process.client().latest(log.origin()).await.unwrap().unwrap();
        assert_eq!(Note::parse(&latest).unwrap().verify(&keys).unwrap().len(), 2);
        process.kill();
        at = size;
    }
}

#[test]
fn a_second_process_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    init(folder.path());
    let first = Process::start(folder.path());
    let second = run(&["serve", "--config", &config_arg(folder.path()), "--json"]);
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8(second.stderr).unwrap().contains("in use by another process"));
    first.kill();
    drop(Process::start(folder.path()));
}
