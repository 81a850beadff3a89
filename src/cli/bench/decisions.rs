//! `treering bench issue`, `verify` and `replay`: whole decisions, with real processes over TLS and a witness.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use treering_provenance::verify::{Outcome, VerifyOptions, verify_x509};

use crate::clock::{Clock, SystemClock};

use super::super::demo::Scene;
use super::super::{files, output};
use super::disk::{Disk, temporary};
use super::limits::Limits;
use super::meter::{Latencies, Memory, Rates, Usage, Window, count};
use super::threads;

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Issue {
    /// Clients, each with one credential at a time
    #[arg(long, value_name = "N", default_value_t = 16)]
    clients: usize,
    #[command(flatten)]
    load: Load,
}

/// Of what was issued before, without a service
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Again {
    /// Threads, each with one credential at a time
    #[arg(long, value_name = "N", default_value_t = 1)]
    threads: usize,
    #[command(flatten)]
    load: Load,
}

#[derive(Debug, Clone, clap::Args)]
struct Load {
    /// How long to measure, after a warm-up of a second at most
    #[arg(long, value_name = "S", default_value_t = 5)]
    seconds: u64,
    /// Where to make the temporary folder: the disk to be measured
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The witness program; without it, `treering-witness` beside this program
    #[arg(long, value_name = "FILE")]
    witness_bin: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Which decisions are measured, by how many at a time.
#[derive(Debug, Clone, Copy)]
enum What {
    /// From challenge to credential, the workload's side and the witness included.
    Issue { clients: usize },
    /// A relying party's check of a credential, offline.
    Verify { threads: usize },
    /// Trace and replay of logged decisions from the stopped log.
    Replay { threads: usize },
}

#[derive(Serialize)]
struct Figures {
    #[serde(skip_serializing_if = "Option::is_none")]
    clients: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    threads: Option<usize>,
    #[serde(flatten)]
    rates: Rates,
    /// Entries are of several kinds; `all` holds sealed content too.
    disk_bytes_per_entry: Disk,
    cpu_us_each: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_cpu_us_each: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    witness_cpu_us_each: Option<f64>,
    #[serde(flatten)]
    memory: Memory,
    limits: Limits,
}

pub(super) fn issue(args: &Issue) -> Result<ExitCode> {
    run(&args.load, What::Issue { clients: args.clients })
}

pub(super) fn verify(args: &Again) -> Result<ExitCode> {
    run(&args.load, What::Verify { threads: args.threads })
}

pub(super) fn replay(args: &Again) -> Result<ExitCode> {
    run(&args.load, What::Replay { threads: args.threads })
}

fn run(args: &Load, what: What) -> Result<ExitCode> {
    let (option, at_a_time) = match what {
        What::Issue { clients } => ("--clients", clients),
        What::Verify { threads } | What::Replay { threads } => ("--threads", threads),
    };
    ensure!((1..=1024).contains(&at_a_time), "{option} is {at_a_time}, want 1 to 1024");
    ensure!((1..=3600).contains(&args.seconds), "--seconds is {}, want 1 to 3600", args.seconds);
    let dir = temporary(args.dir.as_deref())?;
    // The hash is that of a report.
    let limits = Limits::measure(dir.path(), 1184, Duration::from_secs(args.seconds))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let measured = runtime.block_on(async {
        let scene = Scene::set(dir.path(), args.witness_bin.as_deref()).await?;
        match what {
            What::Issue { clients } => issued(clients, args.seconds, scene).await,
            What::Verify { threads } => verified(threads, args.seconds, scene).await,
            What::Replay { threads } => replayed(threads, args.seconds, scene).await,
        }
    })?;
    let done = count(measured.latencies.count());
    ensure!(done > 0.0, "no decision was made in the time measured");
    let each = |seconds: f64| seconds * 1e6 / done;
    let is_asked = matches!(what, What::Issue { .. });
    let figures = Figures {
        clients: is_asked.then_some(at_a_time),
        threads: (!is_asked).then_some(at_a_time),
        rates: Rates::of(&measured.latencies, measured.seconds, 1.0),
        disk_bytes_per_entry: measured.disk,
        cpu_us_each: each(measured.cpu_s),
        server_cpu_us_each: measured.server_cpu_s.map(each),
        witness_cpu_us_each: measured.witness_cpu_s.map(each),
        memory: measured.memory,
        limits,
    };
    if args.json {
        output::json(&figures)?;
    } else {
        print(what, at_a_time, &figures);
    }
    Ok(ExitCode::SUCCESS)
}

struct Measured {
    latencies: Latencies,
    seconds: f64,
    /// Of all processes but the witness.
    cpu_s: f64,
    server_cpu_s: Option<f64>,
    witness_cpu_s: Option<f64>,
    /// Of the service, where there is one, else of this process.
    memory: Memory,
    disk: Disk,
}

async fn issued(clients: usize, seconds: u64, scene: Scene) -> Result<Measured> {
    let scene = Arc::new(scene);
    let window = Window::of_seconds(seconds);
    let clients: Vec<_> =
        (0..clients).map(|_| tokio::spawn(one_client(Arc::clone(&scene), window))).collect();
    tokio::time::sleep_until(window.begin().into()).await;
    let (service, witness) = (scene.service().id(), scene.witness().id());
    let used = || -> Result<_> { Ok((Usage::of(service)?, Usage::of(witness)?, Usage::of(None)?)) };
    let before = used()?;
    let mut latencies = Latencies::new()?;
    for client in clients {
        latencies.add(&client.await??)?;
    }
    let after = used()?;
    let stopped = Arc::into_inner(scene).context("a client that still runs")?.stop().await?;
    let server_cpu_s = after.0.cpu_since(before.0);
    Ok(Measured {
        latencies,
        seconds: window.seconds(),
        cpu_s: server_cpu_s + after.2.cpu_since(before.2),
        server_cpu_s: Some(server_cpu_s),
        witness_cpu_s: Some(after.1.cpu_since(before.1)),
        memory: after.0.memory,
        disk: Disk::of(stopped.open()?.log(), None)?,
    })
}

async fn one_client(scene: Arc<Scene>, window: Window) -> Result<Latencies> {
    let (client, mut latencies) = (scene.workload()?, Latencies::new()?);
    while window.is_open() {
        let begin = Instant::now();
        std::hint::black_box(scene.acquire(&client).await?);
        let end = Instant::now();
        if window.counts(begin, end) {
            latencies.record(end - begin);
        }
    }
    Ok(latencies)
}

/// Decisions that are made before they are verified or replayed.
const LOGGED: usize = 32;

/// Credentials from a scene.
async fn credentials(scene: &Scene) -> Result<Vec<String>> {
    let client = scene.workload()?;
    let mut credentials = Vec::with_capacity(LOGGED);
    for _ in 0..LOGGED {
        credentials.push(scene.acquire(&client).await?);
    }
    Ok(credentials)
}

async fn verified(threads: usize, seconds: u64, scene: Scene) -> Result<Measured> {
    let credentials = credentials(&scene).await?;
    let chains: Vec<_> =
        credentials.iter().map(|credential| files::certificates(credential.as_bytes())).collect();
    let stopped = scene.stop().await?;
    let (trust, now) = (stopped.trust()?, SystemClock.now());
    let worked = threads::run(threads, seconds, |thread| {
        let (trust, mut chains) = (&trust, chains.iter().cycle().skip(thread));
        Ok(move || {
            let chain = chains.next().context("a credential")?;
            let verdict =
                verify_x509(chain, trust, &VerifyOptions { now, identifier: None, possession: None });
            ensure!(verdict.outcome() == Outcome::Trustworthy, "{:?}", verdict.failed());
            Ok(())
        })
    })?;
    Ok(Measured::here(worked, Disk::of(stopped.open()?.log(), None)?))
}

async fn replayed(threads: usize, seconds: u64, scene: Scene) -> Result<Measured> {
    let credentials = credentials(&scene).await?;
    let stopped = scene.stop().await?;
    let worked = {
        let source = stopped.source()?;
        threads::run(threads, seconds, |thread| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let (stopped, source) = (&stopped, &source);
            let mut credentials = credentials.iter().cycle().skip(thread);
            Ok(move || {
                let credential = credentials.next().context("a credential")?;
                runtime.block_on(stopped.replay(credential, source))
            })
        })?
    };
    Ok(Measured::here(worked, Disk::of(stopped.open()?.log(), None)?))
}

impl Measured {
    /// What threads of this process did.
    fn here(worked: threads::Worked, disk: Disk) -> Self {
        Self {
            latencies: worked.latencies,
            seconds: worked.seconds,
            cpu_s: worked.cpu_s,
            server_cpu_s: None,
            witness_cpu_s: None,
            memory: worked.usage.memory,
            disk,
        }
    }
}

fn print(what: What, at_a_time: usize, figures: &Figures) {
    let name = match what {
        What::Issue { .. } => "credentials issued, logged, witnessed",
        What::Verify { .. } => "credentials verified offline",
        What::Replay { .. } => "decisions traced and made again",
    };
    output::line(format!(
        "{:.0}/s {name}, {at_a_time} at a time: {}",
        figures.rates.throughput_per_s,
        figures.rates.text()
    ));
    let part = |name: &str, cpu: Option<f64>| cpu.map_or(String::new(), |cpu| format!(", {cpu:.0} {name}"));
    output::line(format!(
        "  each: {:.0} us of CPU{}{}; that is {:.0} Ed25519 verifications of this machine",
        figures.cpu_us_each,
        part("of them the service", figures.server_cpu_us_each),
        part("beside them the witness", figures.witness_cpu_us_each),
        figures.cpu_us_each * figures.limits.ed25519_verify_per_s / 1e6
    ));
    output::line(format!("  {}", figures.disk_bytes_per_entry.text()));
    output::line(format!("  {}", figures.memory.text()));
    output::line(format!("  {}", figures.limits.text()));
}
