//! `treering bench fill`: a log of so many entries, made by a process that then ends, so that who measures the log
//! begins with nothing of it in memory.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, ensure};
use serde::Serialize;

use super::super::output;
use super::meter::count;
use super::{api, disk};

/// What a log is filled with
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct Filling {
    /// Entries of the log
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    pub(super) entries: u64,
    /// Octets of an entry
    #[arg(long, value_name = "B", default_value_t = 400)]
    pub(super) entry_bytes: usize,
}

impl Filling {
    /// Whether there can be such a log.
    pub(super) fn check(&self) -> Result<()> {
        let Self { entries, entry_bytes } = self;
        ensure!((2..=1_000_000_000).contains(entries), "--entries is {entries}, want 2 to 10^9");
        ensure!((32..=65_535).contains(entry_bytes), "--entry-bytes is {entry_bytes}, want 32 to 65535");
        Ok(())
    }
}

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    filling: Filling,
    /// The folder: keys and data are made in it
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Figures {
    entries: u64,
    seconds: f64,
    throughput_per_s: f64,
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let Filling { entries, entry_bytes } = args.filling;
    args.filling.check()?;
    ensure!(!args.dir.join("data").exists(), "{} has a log already: name a new folder", args.dir.display());
    std::fs::create_dir_all(&args.dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let begin = Instant::now();
    let log = api::opener(&args.dir, 0)?(true)?;
    runtime.block_on(api::fill(&log, entries, entry_bytes))?;
    // What the index and the store merge because of it belongs to the filling, and not to what is measured afterwards.
    disk::rest(&args.dir);
    runtime.block_on(log.shutdown());
    drop(log);
    disk::sync(&args.dir)?;
    let seconds = begin.elapsed().as_secs_f64();
    let figures = Figures { entries, seconds, throughput_per_s: count(entries) / seconds };
    if args.json {
        output::json(&figures)?;
    } else {
        output::line(format!(
            "{} entries in {} within {seconds:.1} s ({:.0}/s)",
            figures.entries,
            args.dir.display(),
            figures.throughput_per_s
        ));
    }
    Ok(ExitCode::SUCCESS)
}
