//! `treering bench issue` and `treering bench replay`: whole decisions, with real processes over TLS and a witness.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use super::super::demo::Scene;
use super::super::output;
use super::append::{WARM_UP, count, temporary, used};
use super::limits::Limits;
use super::meter::{Latencies, Usage, Window};

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    /// Clients, each with one decision at a time
    #[arg(long, value_name = "N", default_value_t = 16)]
    clients: usize,
    /// How long to measure, after a second of warming up
    #[arg(long, value_name = "S", default_value_t = 5)]
    seconds: u64,
    /// Where to make the temporary folder
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The witness program; without it, `treering-witness` beside this program
    #[arg(long, value_name = "FILE")]
    witness_bin: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Which decisions are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// From challenge to credential, the workload's side and the witness included.
    Issue,
    /// Trace and replay of logged decisions from the stopped log, on one thread.
    Replay,
}

#[derive(Serialize)]
struct Figures {
    throughput_per_s: f64,
    p50_ms: f64,
    p99_ms: f64,
    p999_ms: f64,
    cpu_us_each: f64,
    rss_peak_bytes: u64,
    limits: Limits,
}

pub(super) fn run(args: &Args, what: What) -> Result<ExitCode> {
    ensure!((1..=1024).contains(&args.clients), "--clients is {}, want 1 to 1024", args.clients);
    ensure!((1..=3600).contains(&args.seconds), "--seconds is {}, want 1 to 3600", args.seconds);
    let dir = temporary(args.dir.as_deref())?;
    let limits = Limits::measure(dir.path(), 1184)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let measured = runtime.block_on(async {
        let scene = Scene::set(dir.path(), args.witness_bin.as_deref()).await?;
        match what {
            What::Issue => issue(args, scene).await,
            What::Replay => replay(args, scene).await,
        }
    })?;
    let done = count(measured.latencies.count());
    ensure!(done > 0.0, "no decision was made in the time measured");
    let figures = Figures {
        throughput_per_s: done / measured.seconds,
        p50_ms: measured.latencies.ms(0.50),
        p99_ms: measured.latencies.ms(0.99),
        p999_ms: measured.latencies.ms(0.999),
        cpu_us_each: measured.cpu_s * 1e6 / done,
        rss_peak_bytes: measured.rss_peak_bytes,
        limits,
    };
    if args.json {
        output::json(&figures)?;
    } else {
        print(what, &figures);
    }
    Ok(ExitCode::SUCCESS)
}

struct Measured {
    latencies: Latencies,
    seconds: f64,
    cpu_s: f64,
    rss_peak_bytes: u64,
}

async fn issue(args: &Args, scene: Scene) -> Result<Measured> {
    let scene = Arc::new(scene);
    let window = Window::of(WARM_UP, Duration::from_secs(args.seconds));
    let clients: Vec<_> =
        (0..args.clients).map(|_| tokio::spawn(one_client(Arc::clone(&scene), window))).collect();
    tokio::time::sleep_until(window.begin().into()).await;
    let id = scene.service().id();
    let before = (Usage::of(id)?, Usage::of(None)?);
    let mut latencies = Latencies::new()?;
    for client in clients {
        latencies.add(&client.await??)?;
    }
    let (service, own) = (Usage::of(id)?, Usage::of(None)?);
    Arc::into_inner(scene).context("a client that still runs")?.stop().await?;
    let cpu_s = used(before.0, service) + used(before.1, own);
    Ok(Measured { latencies, seconds: window.seconds(), cpu_s, rss_peak_bytes: service.rss_peak_bytes })
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

/// Decisions that are made before they are replayed.
const LOGGED: usize = 32;

async fn replay(args: &Args, scene: Scene) -> Result<Measured> {
    let client = scene.workload()?;
    let mut credentials = Vec::with_capacity(LOGGED);
    for _ in 0..LOGGED {
        credentials.push(scene.acquire(&client).await?);
    }
    let stopped = scene.stop().await?;
    let source = stopped.source()?;
    let window = Window::of(WARM_UP, Duration::from_secs(args.seconds));
    let (mut latencies, mut before) = (Latencies::new()?, None);
    for credential in credentials.iter().cycle() {
        if !window.is_open() {
            break;
        }
        let begin = Instant::now();
        if begin >= window.begin() && before.is_none() {
            before = Some(Usage::of(None)?);
        }
        stopped.replay(credential, &source).await?;
        let end = Instant::now();
        if window.counts(begin, end) {
            latencies.record(end - begin);
        }
    }
    let after = Usage::of(None)?;
    let cpu_s = used(before.unwrap_or(after), after);
    Ok(Measured { latencies, seconds: window.seconds(), cpu_s, rss_peak_bytes: after.rss_peak_bytes })
}

fn print(what: What, figures: &Figures) {
    let name = match what {
        What::Issue => "credentials issued, logged, witnessed",
        What::Replay => "decisions traced and made again",
    };
    output::line(format!(
        "{:.0}/s {name}: p50 {:.1} ms, p99 {:.1} ms, p99.9 {:.1} ms",
        figures.throughput_per_s, figures.p50_ms, figures.p99_ms, figures.p999_ms
    ));
    output::line(format!(
        "  each: {:.0} us of CPU, which is {:.0} Ed25519 signatures of this machine; memory {:.0} MiB at most",
        figures.cpu_us_each,
        figures.cpu_us_each * figures.limits.ed25519_sign_per_s / 1e6,
        count(figures.rss_peak_bytes) / f64::from(1 << 20)
    ));
}
