//! `treering bench fsck`: a log is filled, closed, and recomputed from its entries.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde::Serialize;
use treering_log::{Log, fsck};

use super::super::output;
use super::api;
use super::disk::{Disk, temporary};
use super::fill::Filling;
use super::limits::Limits;
use super::meter::{Memory, Usage, count};

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    filling: Filling,
    /// Where to make the temporary folder: the disk to be measured
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Figures {
    throughput_per_s: f64,
    seconds: f64,
    cpu_us_per_entry: f64,
    disk_bytes_per_entry: Disk,
    #[serde(flatten)]
    memory: Memory,
    limits: Limits,
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let Filling { entries, entry_bytes } = args.filling;
    args.filling.check()?;
    let dir = temporary(args.dir.as_deref())?;
    // A million entries are checked in about a second, and the limits are measured in as much.
    let limits = Limits::measure(dir.path(), entry_bytes, Duration::from_micros(entries) * 10)?;
    api::fill_apart(dir.path(), entries, entry_bytes)?;
    let log = Log::open_read_only(dir.path().join("data"))?;
    let (before, begin) = (Usage::of(None)?, Instant::now());
    let report = fsck::check(&log, |_, _| ());
    let seconds = begin.elapsed().as_secs_f64();
    let after = Usage::of(None)?;
    ensure!(report.is_clean() && report.entries == entries, "the log is not clean: {:?}", report.findings);
    drop(log);
    let disk = Disk::of(&api::opener(dir.path(), 0)?(false)?, Some(entry_bytes))?;
    let entries = count(report.entries);
    let figures = Figures {
        throughput_per_s: entries / seconds,
        seconds,
        cpu_us_per_entry: after.cpu_since(before) * 1e6 / entries,
        disk_bytes_per_entry: disk,
        memory: after.memory,
        limits,
    };
    if args.json {
        output::json(&figures)?;
    } else {
        output::line(format!(
            "{:.0} entries/s of {} octets recomputed and compared, every index included: {:.2} us of CPU each, \
             {:.1} leaf hashes of this machine",
            figures.throughput_per_s,
            entry_bytes,
            figures.cpu_us_per_entry,
            figures.cpu_us_per_entry * figures.limits.sha256_per_s / 1e6
        ));
        output::line(format!("  {}", figures.disk_bytes_per_entry.text()));
        output::line(format!("  {}", figures.memory.text()));
        output::line(format!("  {}", figures.limits.text()));
    }
    Ok(ExitCode::SUCCESS)
}
