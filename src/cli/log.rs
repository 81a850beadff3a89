//! `treering log`: check, measure, mend, prove, export a log.

mod proof;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use treering_log::fsck::{self, LogSource, Report, Rows};
use treering_log::{Log, Step, export, reindex, stats};
use treering_tlog::hash::Hash;
use treering_tlog::note::VerifierKey;
use treering_tlog::tile::TileId;

use super::{files, output};

const EXAMPLES: &str = "\
Examples:
  Is everything as it was signed? (Stop the service first, or check an export.)
    treering log fsck --data data --trust trust.json
  One entry, proven to somebody else, and verified there:
    treering log prove --data data --index 7 --out seven.tlog-proof --entry seven.cose
    treering log verify-proof --proof seven.tlog-proof --entry seven.cose --trust trust.json

Each command has examples of its own. All but `prove --url` read a folder, and no network.";

const FSCK_EXAMPLES: &str = "\
Examples:
  A log's folder (stop the service first, or check an export):
    treering log fsck --data data --trust trust.json
  A directory of C2SP tiles, such as an export or a mirror:
    treering log fsck --tiles export --trust trust.json --json

Everything is recomputed from the entries: leaf hashes, tiles, root, and the checkpoint's signature. If all that is wrong is \
the index of leaf hashes, `treering log reindex` builds it anew.

With --json: clean, entries, root, findings (of each: entry, what).
Exit status: 0 clean, 1 findings (each names its entry), 3 it could not be read.";

const STATS_EXAMPLES: &str = "\
Examples:
  How large it is, and what takes the room:
    treering log stats --data data
  For a program that watches growth:
    treering log stats --data data --json

With --json: origin, entries, witnessed, families (of each: name, keys, table_bytes, memory_bytes).";

const REINDEX_EXAMPLES: &str = "\
Examples:
  The index of leaf hashes is damaged (the service must be stopped):
    treering log reindex --data data
    treering log fsck --data data --trust trust.json
  For a program:
    treering log reindex --data data --json

The index follows from the tree: nothing is lost with it, and nothing else in the folder is changed. It is built from the \
leaf hashes, once they have given the root in the log's own head.

With --json: entries.
Exit status: 0 built anew, 3 it could not be, for instance because the leaf hashes are damaged too.";

const EXPORT_EXAMPLES: &str = "\
Examples:
  A copy for auditors and mirrors, which `treering log fsck --tiles` checks:
    treering log export --data data --to export
  For a program:
    treering log export --data data --to export --json

With --json: entries, directory.";

/// Check, measure, mend and export a log, and prove what is in it
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Recompute everything from the entries, and say which entry is wrong
    #[command(after_help = FSCK_EXAMPLES)]
    Fsck {
        /// The log's folder
        #[arg(long, value_name = "DIR", conflicts_with = "tiles", required_unless_present = "tiles")]
        data: Option<PathBuf>,
        /// A directory of C2SP tiles
        #[arg(long, value_name = "DIR")]
        tiles: Option<PathBuf>,
        /// The trust file, whose log key must have signed the checkpoint
        #[arg(long, value_name = "FILE")]
        trust: PathBuf,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Entries and octets
    #[command(after_help = STATS_EXAMPLES)]
    Stats {
        /// The log's folder
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Build a damaged index of leaf hashes anew from the tree
    #[command(after_help = REINDEX_EXAMPLES)]
    Reindex {
        /// The log's folder
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Write the proof of one entry, in the form of C2SP tlog-proof
    #[command(after_help = proof::PROVE_EXAMPLES)]
    Prove(proof::Prove),
    /// Verify such a proof, of any log, offline
    #[command(after_help = proof::VERIFY_EXAMPLES)]
    VerifyProof(proof::Verify),
    /// Write the log as a directory of C2SP tiles, which any web server can serve
    #[command(after_help = EXPORT_EXAMPLES)]
    Export {
        /// The log's folder
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// The directory to write
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    match &args.command {
        Command::Fsck { data, tiles, trust, json } => {
            let key = files::trust(trust)?.log_key().clone();
            let report = match (data, tiles) {
                (Some(data), _) => check(&Keyed { log: open(data)?, key }, *json),
                (None, Some(tiles)) => check(&export::StaticDir::new(tiles, Some(key)), *json),
                (None, None) => bail!("name the log's folder (--data) or a directory of tiles (--tiles)"),
            };
            print_report(&report, *json)
        }
        Command::Stats { data, json } => print_stats(&open(data)?, *json),
        Command::Reindex { data, json } => {
            let entries = rebuild(data, *json)?;
            if *json {
                output::json(&json!({ "entries": entries }))?;
            } else {
                output::line(format!(
                    "the index of {entries} entries was built anew: check it with `treering log fsck`"
                ));
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Prove(args) => super::wait(proof::prove(args)),
        Command::VerifyProof(args) => proof::verify(args),
        Command::Export { data, to, json } => {
            let entries = export::to_dir(&open(data)?, to)?;
            if *json {
                output::json(&json!({ "entries": entries, "directory": to }))?;
            } else {
                output::line(format!("{entries} entries in {}", to.display()));
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn open(data: &std::path::Path) -> Result<Log> {
    Log::open_read_only(data)
        .with_context(|| format!("open the log in {} (is the service still running?)", data.display()))
}

/// A log's folder, and the key that must have signed its checkpoint: the folder's own word would not do.
struct Keyed {
    log: Log,
    key: VerifierKey,
}

impl LogSource for Keyed {
    fn log_key(&self) -> Option<&VerifierKey> {
        Some(&self.key)
    }

    fn checkpoint(&self) -> Result<Option<Vec<u8>>, fsck::SourceError> {
        LogSource::checkpoint(&self.log)
    }

    fn bundle(&self, index: u64, width: u16) -> Result<Vec<fsck::Fragment>, fsck::SourceError> {
        LogSource::bundle(&self.log, index, width)
    }

    fn tile(&self, id: TileId, width: u16) -> Result<fsck::SourceTile, fsck::SourceError> {
        LogSource::tile(&self.log, id, width)
    }

    fn row_of(&self, rows: &Rows, index: u64, leaf: &Hash) -> u64 {
        LogSource::row_of(&self.log, rows, index, leaf)
    }

    fn check_rest(&self, size: u64, rows: &Rows, wanted: u64) -> Vec<fsck::Finding> {
        LogSource::check_rest(&self.log, size, rows, wanted)
    }
}

fn bar(quiet: bool) -> ProgressBar {
    let bar = if quiet { ProgressBar::hidden() } else { ProgressBar::new(0) };
    if let Ok(style) = ProgressStyle::with_template("{msg}{bar:40} {pos}/{len} entries, {eta} left") {
        bar.set_style(style);
    }
    bar
}

fn rebuild(data: &std::path::Path, quiet: bool) -> Result<u64> {
    let bar = bar(quiet);
    let built = reindex(data, |step, done, all| {
        bar.set_message(match step {
            Step::Check => "checking ",
            Step::Write => "indexing ",
        });
        bar.set_length(all);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    built.with_context(|| format!("build the index of the log in {} anew", data.display()))
}

fn check(source: &dyn LogSource, quiet: bool) -> Report {
    let bar = bar(quiet);
    let report = fsck::check(source, |done, all| {
        bar.set_length(all);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    report
}

fn print_report(report: &Report, json: bool) -> Result<ExitCode> {
    let clean = report.is_clean();
    if json {
        let findings: Vec<_> = report
            .findings
            .iter()
            .map(|finding| json!({ "entry": finding.entry, "what": finding.what }))
            .collect();
        let root = report.root.map(|root| root.to_base64());
        output::json(
            &json!({ "clean": clean, "entries": report.entries, "root": root, "findings": findings }),
        )?;
    } else {
        for finding in &report.findings {
            let entry = finding.entry.map_or("log".to_owned(), |entry| format!("entry {entry}"));
            output::line(format!("{entry}: {}", finding.what));
        }
        let verdict = if clean { "clean" } else { "NOT as it was signed" };
        output::line(format!("{} entries: {verdict}", report.entries));
    }
    Ok(if clean { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn print_stats(log: &Log, json: bool) -> Result<ExitCode> {
    let figures = stats(log)?;
    if json {
        let families: Vec<_> = figures
            .families
            .iter()
            .map(|family| {
                json!({
                    "name": family.name, "keys": family.keys,
                    "table_bytes": family.table_bytes, "memory_bytes": family.memory_bytes,
                })
            })
            .collect();
        output::json(&json!({
            "origin": log.origin(), "entries": figures.entries, "witnessed": figures.witnessed, "families": families,
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    output::line(format!("{}: {} entries", log.origin(), figures.entries));
    if let Some(witnessed) = figures.witnessed {
        output::line(format!("witnessed up to {witnessed}"));
    }
    for family in &figures.families {
        let (name, keys) = (family.name, family.keys);
        output::line(format!(
            "  {name:<18} {keys:>10} keys {:>12} octets in tables {:>12} in memory",
            family.table_bytes, family.memory_bytes
        ));
    }
    Ok(ExitCode::SUCCESS)
}
