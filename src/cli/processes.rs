//! Servers as child processes: started, waited for until they listen, and stopped as an operator would.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// How long a process may take to be ready, on a slow machine under load.
const READY_TIMEOUT: Duration = Duration::from_mins(1);
/// How long a process may take to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// A server that runs, and where it listens.
pub(super) struct Server {
    child: Child,
    /// The address that it said.
    pub(super) listening: String,
}

impl Server {
    /// Starts a server and waits for the line in which it says where it listens; what it logs goes to a file.
    pub(super) async fn start(program: &Path, arguments: &[&str], log: &Path) -> Result<Self> {
        let shown = program.display();
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(log).with_context(|| format!("make {}", log.display()))?)
            // Whatever ends this program ends its servers.
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("start {shown}"))?;
        let stdout = child.stdout.take().context("a child without output")?;
        let mut lines = BufReader::new(stdout).lines();
        let line = tokio::time::timeout(READY_TIMEOUT, lines.next_line()).await;
        let line =
            line.with_context(|| format!("{shown} was not ready in {} s", READY_TIMEOUT.as_secs()))??;
        let said = || fs::read_to_string(log).unwrap_or_default();
        let line = line.with_context(|| format!("{shown} ended before it was ready: {}", said()))?;
        let ready: Value = serde_json::from_str(&line).with_context(|| format!("{shown} said `{line}`"))?;
        let listening = ready.get("listening").and_then(Value::as_str);
        let listening = listening.with_context(|| format!("{shown} said `{line}`"))?.to_owned();
        Ok(Self { child, listening })
    }

    /// The port that it listens on.
    pub(super) fn port(&self) -> &str {
        self.listening.rsplit(':').next().unwrap_or_default()
    }

    /// Its process id; none once it has ended.
    pub(super) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Tells it to stop, and waits for it.
    pub(super) async fn stop(&mut self, name: &str) -> Result<()> {
        let id = self.child.id().with_context(|| format!("{name} has stopped already"))?;
        let kill = Command::new("kill").args(["-TERM", &id.to_string()]).status().await?;
        ensure!(kill.success(), "{name} could not be told to stop");
        let status = tokio::time::timeout(STOP_TIMEOUT, self.child.wait()).await;
        let status =
            status.with_context(|| format!("{name} did not stop in {} s", STOP_TIMEOUT.as_secs()))??;
        ensure!(status.success(), "{name} stopped with {status}");
        Ok(())
    }
}

/// Runs a program to its end and returns what it printed.
pub(super) async fn capture(program: &Path, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).output().await;
    let output = output.with_context(|| format!("run {}", program.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{} {}: {said}", program.display(), arguments.join(" "));
    Ok(String::from_utf8(output.stdout)?)
}

/// This program.
pub(super) fn this_program() -> Result<PathBuf> {
    std::env::current_exe().context("find this program")
}

/// The witness program: the one that was named, or the one beside this program.
pub(super) fn witness_program(given: Option<&Path>) -> Result<PathBuf> {
    if let Some(path) = given {
        return Ok(path.to_owned());
    }
    let beside = this_program()?.with_file_name("treering-witness");
    ensure!(
        beside.exists(),
        "{} does not exist: build it (cargo build --workspace), or name it with --witness-bin",
        beside.display()
    );
    Ok(beside)
}

/// A path as an argument.
pub(super) fn text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))
}

/// The configuration of a witness that watches one log, in the witness's own folder.
pub(super) fn witness_config(dir: &Path, name: &str, log_vkey: &str) -> Result<PathBuf> {
    let path = dir.join("witness.toml");
    let settings = format!(
        "name = \"{name}\"\nkey_file = \"witness.key\"\nstate_dir = \"state\"\nlisten = \"127.0.0.1:0\"\n\n[[log]]\nvkey = \"{log_vkey}\"\n"
    );
    fs::write(&path, settings).with_context(|| format!("write {}", path.display()))?;
    Ok(path)
}
