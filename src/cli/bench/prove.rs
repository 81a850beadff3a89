//! `treering bench prove`: inclusion proofs, in this process and over HTTP.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hyper::StatusCode;
use serde::Serialize;
use treering_provenance::statement::entry_id;
use treering_tlog::hash::leaf_hash;

use super::super::output;
use super::append::{WARM_UP, count, temporary};
use super::http::load;
use super::ledger::BenchLedger;
use super::limits::Limits;
use super::meter::{Latencies, Window};
use super::{api, scrapi};

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    /// Clients, each with one request at a time (path http)
    #[arg(long, value_name = "N", default_value_t = 32)]
    pub(super) clients: usize,
    /// How long to measure, after a second of warming up
    #[arg(long, value_name = "S", default_value_t = 5)]
    pub(super) seconds: u64,
    /// Entries of the log
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    pub(super) entries: u64,
    /// By which way
    #[arg(long, value_enum, default_value_t = Way::Api)]
    pub(super) path: Way,
    /// Where to make the temporary folder
    #[arg(long, value_name = "DIR")]
    pub(super) dir: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

/// The way of a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Way {
    /// The Rust interface of the engine: one thread asks for the paths of entries all over the log
    Api,
    /// Receipts over HTTP (`GET /entries/{id}`, TLS), the service a process of its own
    Http,
}

#[derive(Serialize)]
struct Figures {
    throughput_per_s: f64,
    p50_us: f64,
    p99_us: f64,
    p999_us: f64,
    /// Of the one thread that asks (path api).
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_us_per_proof: Option<f64>,
    limits: Limits,
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    ensure!((1..=4096).contains(&args.clients), "--clients is {}, want 1 to 4096", args.clients);
    ensure!(
        (512..=100_000_000).contains(&args.entries),
        "--entries is {}, want 512 to 100000000",
        args.entries
    );
    let dir = temporary(args.dir.as_deref())?;
    let limits = Limits::measure(dir.path(), 65)?;
    let (latencies, seconds) = match args.path {
        Way::Api => by_api(args, dir.path())?,
        Way::Http => by_http(args, dir.path())?,
    };
    let us = |share| latencies.ms(share) * 1000.0;
    let figures = Figures {
        throughput_per_s: count(latencies.count()) / seconds,
        p50_us: us(0.50),
        p99_us: us(0.99),
        p999_us: us(0.999),
        cpu_us_per_proof: (args.path == Way::Api).then(|| seconds * 1e6 / count(latencies.count())),
        limits,
    };
    if args.json {
        output::json(&figures)?;
    } else {
        output::line(format!(
            "{:.0} proofs/s in a log of {} entries: p50 {:.0} us, p99 {:.0} us, p99.9 {:.0} us",
            figures.throughput_per_s, args.entries, figures.p50_us, figures.p99_us, figures.p999_us
        ));
        output::line(format!(
            "  ratio: p50 is {:.1} node hashes of this machine",
            figures.p50_us * figures.limits.sha256_per_s / 1e6
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// A step that visits entries all over the log, each tile often enough to be in memory.
const STRIDE: u64 = 7919;

fn by_api(args: &Args, dir: &Path) -> Result<(Latencies, f64)> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (log, _) = api::new_log(dir, 16_384)?;
    runtime.block_on(api::fill(&log, args.entries, 400))?;
    let (size, mut latencies, mut index) = (log.size(), Latencies::new()?, 0);
    let window = Window::of(WARM_UP, Duration::from_secs(args.seconds));
    while window.is_open() {
        index = (index + STRIDE) % size;
        let begin = Instant::now();
        std::hint::black_box(log.inclusion(index, size)?);
        let end = Instant::now();
        if window.counts(begin, end) {
            latencies.record(end - begin);
        }
    }
    runtime.block_on(log.shutdown());
    Ok((latencies, window.seconds()))
}

fn by_http(args: &Args, dir: &Path) -> Result<(Latencies, f64)> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let mut ledger = BenchLedger::start(dir).await?;
        let statements = ledger.statements(usize::try_from(args.entries)?, 400)?;
        let ids: Vec<String> = statements.iter().map(|statement| entry_id(&leaf_hash(statement))).collect();
        scrapi::register_all(&ledger, statements).await?;
        let (ids, place) = (Arc::new(ids), Arc::new(AtomicU64::new(0)));
        let target = ledger.target()?;
        let to = target.clone();
        let next = move || {
            let place = place.fetch_add(STRIDE, Ordering::Relaxed) % u64::try_from(ids.len()).ok()?;
            Some(to.get(&format!("/entries/{}", ids.get(usize::try_from(place).ok()?)?)))
        };
        let window = Window::of(WARM_UP, Duration::from_secs(args.seconds));
        let measured = load(&target, args.clients, window, StatusCode::OK, next).await;
        ledger.service.stop("the service").await.context("stop")?;
        measured
    })
}
