//! `treering bench append`: what is asked for, and the figures.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use super::super::output;
use super::disk::{Disk, temporary};
use super::http::Answers;
use super::limits::Limits;
use super::meter::{Latencies, Memory, Rates, count};
use super::{api, scrapi};

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    /// Clients, each with one append at a time
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub(super) clients: usize,
    /// How long to measure, after a warm-up of a second at most
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
    /// Entries that are in the log before, put there by another process (path api)
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) prefill: u64,
    /// A folder that `bench fill` made: its log is measured, and grows (path api)
    #[arg(long, value_name = "DIR", conflicts_with_all = ["prefill", "dir"])]
    pub(super) log: Option<PathBuf>,
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
    pub(super) cpu: Cpu,
    /// Of the process that holds the log.
    pub(super) memory: Memory,
    /// Opening the log: as it was filled, or, where nothing was, again at the end.
    pub(super) open_ms: f64,
    pub(super) entries: Grown,
    pub(super) disk: Disk,
    /// By SCRAPI only.
    pub(super) submitted: Option<Submitted>,
}

/// CPU seconds of the measured time.
pub(super) struct Cpu {
    /// Of all processes but the witnesses.
    pub(super) all: f64,
    /// Of the service, where it is a process of its own.
    pub(super) server: Option<f64>,
    pub(super) witnesses: Option<f64>,
}

/// Entries in the log.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Grown {
    pub(super) before: u64,
    pub(super) after: u64,
}

/// What SCRAPI's clients counted.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Submitted {
    pub(super) answers: Answers,
    /// Statements that were signed while the clock ran, since those made before were used up or too old.
    pub(super) signed_live: u64,
}

#[derive(Serialize)]
struct Figures {
    #[serde(flatten)]
    rates: Rates,
    disk_bytes_per_entry: Disk,
    cpu_us_per_entry: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_cpu_us_per_entry: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    witness_cpu_us_per_entry: Option<f64>,
    #[serde(flatten)]
    memory: Memory,
    open_ms: f64,
    log_entries: Grown,
    #[serde(flatten)]
    submitted: Option<Submitted>,
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
    ensure!(args.witnesses <= 64, "--witnesses is {}, want at most 64", args.witnesses);
    ensure!(args.path == Way::Api || args.prefill == 0, "--prefill goes with --path api");
    ensure!(args.path == Way::Api || args.log.is_none(), "--log goes with --path api");
    ensure!(args.prefill != 1, "--prefill is 1, want 0, or 2 and more");
    ensure!(
        args.path == Way::Api || args.entries_per_append == 1,
        "--entries-per-append goes with --path api"
    );
    let own = args.log.is_none().then(|| temporary(args.dir.as_deref())).transpose()?;
    let dir = own.as_ref().map_or(args.log.as_deref(), |own| Some(own.path())).context("a folder")?;
    ensure!(
        own.is_some() || dir.join("data").exists(),
        "{} has no log: `treering bench fill`",
        dir.display()
    );
    let limits = Limits::measure(dir, args.entry_bytes, Duration::from_secs(args.seconds))?;
    let run = match args.path {
        Way::Api => api::run(args, dir)?,
        Way::Scrapi => scrapi::run(args, dir)?,
    };
    let per_append = u32::try_from(args.entries_per_append).map_or(1.0, f64::from);
    let entries = (count(run.latencies.count()) * per_append).max(1.0);
    let each = |seconds: f64| seconds * 1e6 / entries;
    let figures = Figures {
        rates: Rates::of(&run.latencies, run.seconds, per_append),
        disk_bytes_per_entry: run.disk,
        cpu_us_per_entry: each(run.cpu.all),
        server_cpu_us_per_entry: run.cpu.server.map(each),
        witness_cpu_us_per_entry: run.cpu.witnesses.map(each),
        memory: run.memory,
        open_ms: run.open_ms,
        log_entries: run.entries,
        submitted: run.submitted,
        limits,
    };
    if args.json {
        output::json(&figures)?;
    } else {
        print(args, &figures);
    }
    Ok(ExitCode::SUCCESS)
}

fn print(args: &Args, figures: &Figures) {
    let (limits, rates) = (&figures.limits, &figures.rates);
    output::line(format!(
        "{:.0} entries/s of {} octets by {} clients: {}",
        rates.throughput_per_s,
        args.entry_bytes,
        args.clients,
        rates.text()
    ));
    let part = |name: &str, cpu: Option<f64>| cpu.map_or(String::new(), |cpu| format!(", {cpu:.1} {name}"));
    output::line(format!(
        "  one entry: {:.1} us of CPU{}{}",
        figures.cpu_us_per_entry,
        part("of them the service", figures.server_cpu_us_per_entry),
        part("beside them the witnesses", figures.witness_cpu_us_per_entry)
    ));
    output::line(format!("  {}", figures.disk_bytes_per_entry.text()));
    output::line(format!(
        "  {}; opening the log: {:.0} ms; {} entries before, {} after",
        figures.memory.text(),
        figures.open_ms,
        figures.log_entries.before,
        figures.log_entries.after
    ));
    if let Some(submitted) = &figures.submitted {
        output::line(format!(
            "  {}; statements signed while the clock ran: {}",
            submitted.answers.text(),
            submitted.signed_live
        ));
    }
    output::line(format!("  {}", limits.text()));
    output::line(format!(
        "  ratios: p50 is {:.1} syncs; CPU per entry is {:.1} leaf hashes; entries/s are {:.2} of one core's verifications",
        rates.p50_ms / limits.fdatasync_p50_ms,
        figures.cpu_us_per_entry * limits.sha256_per_s / 1e6,
        rates.throughput_per_s / limits.ed25519_verify_per_s
    ));
}
