//! The load generator: clients over real HTTP against a real witness process, and what the machine could give at most.
//!
//! In scope: generated logs, a closed loop of clients that keep their connections, quantiles. Out of scope: judging the
//! figures.
//!
//! Each client has logs of its own, so that no request meets a conflict; each request is a larger checkpoint with its
//! consistency proof, signed before the clock starts. The generator runs on the same machine as the witness and takes its
//! share of it: the figures are of both.

mod client;
mod logs;
mod machine;

use std::fs;
use std::io::{self, BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use treering_tlog::note::KeyError;

pub use self::machine::Machine;
use self::{client::Sample, logs::Logs};
use crate::{
    clock,
    key::{self, KeyFileError},
    store::{StateDir, StoreError},
};

/// What to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The witness program.
    pub program: PathBuf,
    /// Where to make the temporary folder: the disk that is measured.
    pub folder: PathBuf,
    /// Clients, each with one connection and one request at a time.
    pub clients: usize,
    /// Logs, at least as many.
    pub origins: usize,
    /// How long to measure.
    pub seconds: u64,
}

/// What came out.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// As asked for.
    pub clients: usize,
    /// As asked for.
    pub origins: usize,
    /// As measured.
    pub seconds: f64,
    /// Requests answered with a cosignature, after the warm-up.
    pub cosigned: usize,
    /// Other answers, after the warm-up. There should be none.
    pub refused: usize,
    /// Cosignatures a second.
    pub throughput_per_s: f64,
    /// Median time from the first byte sent to the last received, in milliseconds.
    pub p50_ms: f64,
    /// The time that one request in a hundred exceeds.
    pub p99_ms: f64,
    /// The time that one request in a thousand exceeds.
    pub p999_ms: f64,
    /// The longest time.
    pub max_ms: f64,
    /// Requests that had to be signed while the clock ran, because more were sent than prepared.
    pub signed_live: usize,
    /// Milliseconds from the start of the process to its readiness, with as many empty logs.
    pub start_ms: f64,
    /// Milliseconds from the start of a second process, after the first was killed, to its readiness: it reads and verifies
    /// the states of all logs that were cosigned.
    pub restart_ms: f64,
    /// What the machine can do at most, measured just before.
    pub limits: Machine,
}

/// Makes a witness and logs in a temporary folder, runs the clients against it, and ends it.
pub fn run(options: &Options) -> Result<Report, BenchError> {
    if options.clients == 0 || options.origins < options.clients || options.seconds == 0 {
        return Err(BenchError::Options);
    }
    let folder = tempfile::tempdir_in(&options.folder)?;
    let limits = Machine::measure(folder.path())?;
    let logs = Logs::new(options.origins, options.seconds + WARM_UP_S)?;
    prepare(folder.path(), &logs)?;
    let begun = clock::monotonic();
    let server = Server::start(&options.program, folder.path())?;
    let start_ms = ms(begun.elapsed());
    let seconds = Duration::from_secs(options.seconds);
    // One thread: the witness should have the other core to itself as far as this goes.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let clients = logs.share(options.clients);
    let ran = runtime.block_on(client::run(server.address, clients, Duration::from_secs(WARM_UP_S), seconds));
    drop(server);
    let (samples, signed_live) = ran?;
    let begun = clock::monotonic();
    drop(Server::start(&options.program, folder.path())?);
    let restart_ms = ms(begun.elapsed());
    Ok(Report { signed_live, start_ms, restart_ms, ..report(options, &samples, limits) })
}

fn report(options: &Options, samples: &[Sample], limits: Machine) -> Report {
    let refused = samples.iter().filter(|sample| sample.status != 200).count();
    let mut times: Vec<Duration> =
        samples.iter().filter(|sample| sample.status == 200).map(|sample| sample.time).collect();
    times.sort_unstable();
    let at = |per_mille| ms(quantile(&times, per_mille));
    let seconds = Duration::from_secs(options.seconds).as_secs_f64();
    Report {
        clients: options.clients,
        origins: options.origins,
        seconds,
        cosigned: times.len(),
        refused,
        throughput_per_s: f64::from(u32::try_from(times.len()).unwrap_or(u32::MAX)) / seconds,
        p50_ms: at(500),
        p99_ms: at(990),
        p999_ms: at(999),
        max_ms: at(1000),
        signed_live: 0,
        start_ms: 0.0,
        restart_ms: 0.0,
        limits,
    }
}

/// The time that all but `1000 - per_mille` thousandths stay within; nothing of nothing.
fn quantile(sorted: &[Duration], per_mille: usize) -> Duration {
    let place = (sorted.len() * per_mille).div_ceil(1000).saturating_sub(1);
    sorted.get(place).copied().unwrap_or_default()
}

fn ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// Key, state directory and configuration.
fn prepare(folder: &Path, logs: &Logs) -> Result<(), BenchError> {
    let signer = key::create(&folder.join("witness.key"), NAME)?;
    StateDir::create(&folder.join("state"), signer.verifier())?;
    let mut config = format!(
        "name = {NAME:?}\nkey_file = \"witness.key\"\nstate_dir = \"state\"\nlisten = \"127.0.0.1:0\"\n\
         [limits]\nconcurrent_requests_max = 4096\nlog_per_second = 1000000\nlog_burst = 1000000\n"
    );
    for vkey in logs.vkeys() {
        config.push_str("[[log]]\nvkey = \"");
        config.push_str(&vkey);
        config.push_str("\"\n");
    }
    Ok(fs::write(folder.join("witness.toml"), config)?)
}

/// The witness process; killed when dropped.
struct Server {
    child: Child,
    address: SocketAddr,
}

#[derive(Deserialize)]
struct Ready {
    listening: SocketAddr,
}

impl Server {
    fn start(program: &Path, folder: &Path) -> Result<Self, BenchError> {
        let mut child = Command::new(program)
            .args(["serve", "--json", "--config"])
            .arg(folder.join("witness.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut line = String::new();
        let stdout = child.stdout.take().ok_or(BenchError::NotReady)?;
        let read = BufReader::new(stdout).read_line(&mut line);
        // Made first, so that the process ends whatever it said.
        let mut server = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        read?;
        let ready: Ready = serde_json::from_str(&line).map_err(|_| BenchError::NotReady)?;
        server.address = ready.listening;
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its state is in a temporary folder; both fail only if it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Why there are no figures.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BenchError {
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A generated key is refused.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The witness's key cannot be made.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// A generated checkpoint cannot be signed.
    #[error("cannot make a request: {0}")]
    Log(String),
    /// The witness did not say that it listens.
    #[error("the witness did not start")]
    NotReady,
    /// Nothing to run.
    #[error("want at least one client, one second, and as many origins as clients")]
    Options,
    /// An answer that is not HTTP.
    #[error("the witness's answer is not HTTP/1.1 with a content-length")]
    Protocol,
    /// The witness's state cannot be made.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Seconds that are not measured: caches fill, connections open.
const WARM_UP_S: u64 = 2;
const NAME: &str = "bench.example/witness";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_occurred() {
        let times: Vec<Duration> = (1..=1000).map(Duration::from_millis).collect();
        for (per_mille, wanted) in [(1, 1), (500, 500), (990, 990), (999, 999), (1000, 1000)] {
            assert_eq!(quantile(&times, per_mille), Duration::from_millis(wanted));
        }
        assert_eq!(quantile(&times[..3], 500), Duration::from_millis(2));
        assert_eq!(quantile(&[], 500), Duration::ZERO);
    }
}
