//! `treering bench append`: what is asked for, and the figures.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use treering_log::Log;
use treering_tlog::tile::{TILE_WIDTH, TileId};

use super::super::output;
use super::limits::Limits;
use super::meter::{Latencies, Usage};
use super::{api, scrapi};

/// Before anything is measured: connections are made, caches and memtables fill.
pub(super) const WARM_UP: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    /// Clients, each with one append at a time
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub(super) clients: usize,
    /// How long to measure, after a second of warming up
    #[arg(long, value_name = "S", default_value_t = 10)]
    pub(super) seconds: u64,
    /// Octets of an entry
    #[arg(long, value_name = "B", default_value_t = 400)]
    pub(super) entry_bytes: usize,
    /// Entries in one append (path api)
    #[arg(long, value_name = "K", default_value_t = 1)]
    pub(super) entries_per_append: usize,
    /// By which way
    #[arg(long, value_enum, default_value_t = Way::Api)]
    pub(super) path: Way,
    /// Witness processes; an append then counts when more than half of them have cosigned it
    #[arg(long, value_name = "K", default_value_t = 0)]
    pub(super) witnesses: usize,
    /// Entries that are in the log before (path api)
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) prefill: u64,
    /// Where to make the temporary folder: the disk to be measured
    #[arg(long, value_name = "DIR")]
    pub(super) dir: Option<PathBuf>,
    /// The witness program; without it, `treering-witness` beside this program
    #[arg(long, value_name = "FILE")]
    pub(super) witness_bin: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

/// The way of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Way {
    /// The Rust interface of the engine, in this process
    Api,
    /// SCRAPI over TLS: statements signed before, verified, registered, answered with a receipt
    Scrapi,
}

/// What a run measured.
pub(super) struct Run {
    /// One append each.
    pub(super) latencies: Latencies,
    pub(super) seconds: f64,
    /// CPU of the measured time, all processes but the witnesses.
    pub(super) cpu_s: f64,
    /// Of the process that holds the log.
    pub(super) rss_peak_bytes: u64,
    /// Opening the log again.
    pub(super) open_ms: f64,
    pub(super) disk: Disk,
}

/// Octets per entry over the entry itself, in table files, compacted.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Disk {
    /// Tiles and bundles.
    pub(super) tree: f64,
    /// Everything.
    pub(super) all: f64,
}

#[derive(Serialize)]
struct Figures {
    throughput_per_s: f64,
    p50_ms: f64,
    p99_ms: f64,
    p999_ms: f64,
    disk_bytes_per_entry: Disk,
    cpu_us_per_entry: f64,
    rss_peak_bytes: u64,
    open_ms: f64,
    limits: Limits,
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    ensure!((1..=65_536).contains(&args.clients), "--clients is {}, want 1 to 65536", args.clients);
    ensure!(
        (32..=65_535).contains(&args.entry_bytes),
        "--entry-bytes is {}, want 32 to 65535",
        args.entry_bytes
    );
    ensure!((1..=256).contains(&args.entries_per_append), "--entries-per-append is not 1 to 256");
    ensure!((1..=3600).contains(&args.seconds), "--seconds is {}, want 1 to 3600", args.seconds);
    ensure!(args.path == Way::Api || args.witnesses == 0, "--witnesses goes with --path api");
    ensure!(args.path == Way::Api || args.prefill == 0, "--prefill goes with --path api");
    ensure!(
        args.path == Way::Api || args.entries_per_append == 1,
        "--entries-per-append goes with --path api"
    );
    let dir = temporary(args.dir.as_deref())?;
    let limits = Limits::measure(dir.path(), args.entry_bytes)?;
    let run = match args.path {
        Way::Api => api::run(args, dir.path())?,
        Way::Scrapi => scrapi::run(args, dir.path())?,
    };
    let per_append = u32::try_from(args.entries_per_append).map_or(1.0, f64::from);
    let entries = count(run.latencies.count()) * per_append;
    let figures = Figures {
        throughput_per_s: entries / run.seconds,
        p50_ms: run.latencies.ms(0.50),
        p99_ms: run.latencies.ms(0.99),
        p999_ms: run.latencies.ms(0.999),
        disk_bytes_per_entry: run.disk,
        cpu_us_per_entry: run.cpu_s * 1e6 / entries.max(1.0),
        rss_peak_bytes: run.rss_peak_bytes,
        open_ms: run.open_ms,
        limits,
    };
    if args.json {
        output::json(&figures)?;
    } else {
        print(args, &figures);
    }
    Ok(ExitCode::SUCCESS)
}

/// A folder that is removed at the end, on the disk that is to be measured.
pub(super) fn temporary(on: Option<&Path>) -> Result<tempfile::TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("treering-bench-");
    on.map_or_else(|| builder.tempdir(), |dir| builder.tempdir_in(dir)).context("make a temporary folder")
}

/// A count as a float; beyond 2^53 the last digits do not matter.
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
pub(super) fn count(n: u64) -> f64 {
    n as f64
}

fn print(args: &Args, figures: &Figures) {
    let limits = &figures.limits;
    output::line(format!(
        "{:.0} entries/s of {} octets by {} clients: p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms",
        figures.throughput_per_s,
        args.entry_bytes,
        args.clients,
        figures.p50_ms,
        figures.p99_ms,
        figures.p999_ms
    ));
    output::line(format!(
        "  one entry: {:.1} us of CPU, {:.1} octets of tree on disk over the entry itself, {:.1} with every index",
        figures.cpu_us_per_entry, figures.disk_bytes_per_entry.tree, figures.disk_bytes_per_entry.all
    ));
    output::line(format!(
        "  memory: {:.0} MiB at most; opening the log again: {:.0} ms",
        count(figures.rss_peak_bytes) / f64::from(1 << 20),
        figures.open_ms
    ));
    output::line(format!(
        "  this machine: fdatasync p50 {:.2} ms, p99 {:.2} ms; leaf hash {:.0}/s, Ed25519 sign {:.0}/s, verify {:.0}/s",
        limits.fdatasync_p50_ms,
        limits.fdatasync_p99_ms,
        limits.sha256_per_s,
        limits.ed25519_sign_per_s,
        limits.ed25519_verify_per_s
    ));
    output::line(format!(
        "  ratios: p50 is {:.1} syncs; CPU per entry is {:.1} leaf hashes; entries/s are {:.2} of one core's verifications",
        figures.p50_ms / limits.fdatasync_p50_ms,
        figures.cpu_us_per_entry * limits.sha256_per_s / 1e6,
        figures.throughput_per_s / limits.ed25519_verify_per_s
    ));
}

/// What a process used between two instants.
pub(super) fn used(before: Usage, after: Usage) -> f64 {
    after.cpu_s - before.cpu_s
}

/// What the tables hold beside the entries themselves; `each` if all entries have the same length.
pub(super) fn disk(log: &Log, each: Option<usize>) -> Result<Disk> {
    let stats = treering_log::stats(log)?;
    let of = |names: &[&str]| -> u64 {
        let named = stats.families.iter().filter(|family| names.is_empty() || names.contains(&family.name));
        named.map(|family| family.table_bytes).sum()
    };
    let payload = match each {
        Some(octets) => stats.entries * u64::try_from(octets)?,
        None => payload(log, stats.entries)?,
    };
    let over = |bytes: u64| (count(bytes) - count(payload)) / count(stats.entries.max(1));
    Ok(Disk { tree: over(of(&["entries", "tiles"])), all: over(of(&[])) })
}

/// The octets of all entries.
fn payload(log: &Log, entries: u64) -> Result<u64> {
    let mut octets = 0;
    for index in 0..entries.div_ceil(u64::from(TILE_WIDTH)) {
        let width = TileId::new(0, index).width(entries);
        let bundle = log.bundle(index, width)?.context("a bundle")?;
        octets += u64::try_from(bundle.len())? - 2 * u64::from(width);
    }
    Ok(octets)
}
