//! `treering bench table`: every measurement one after the other, each a process of its own, as one table.
//!
//! In scope: figures beside what the machine can do at most and beside what was aimed at. Out of scope: an exit status
//! that depends on them; only a measurement that could not be made is a failure.

mod aims;
mod comparisons;
mod growth;
mod rows;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};

use super::super::output;
use super::super::processes::{this_program, witness_program};
use super::disk;
use aims::{Aim, number, verdict};
use comparisons::comparisons;
use growth::SMALL_ENTRIES;
use rows::{Base, WITNESS, WITNESS_AIMS, cpu, rows};

/// Free disk that an entry of the large log may need: 450 octets at rest, as much again while tables are merged.
const FREE_BYTES_PER_ENTRY: u64 = 1000;
/// The limits, under their names in every run.
const LIMITS: [&str; 5] =
    ["fdatasync_p50_ms", "fdatasync_p99_ms", "sha256_per_s", "ed25519_sign_per_s", "ed25519_verify_per_s"];

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    /// How long each measurement takes
    #[arg(long, value_name = "S", default_value_t = 8)]
    seconds: u64,
    /// Entries of the large log, whose figures are compared with those of a log of 100,000
    #[arg(long, value_name = "N", default_value_t = 10_000_000)]
    large: u64,
    /// Where to make the temporary folders: the disk to be measured
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The witness program; without it, `treering-witness` beside this program
    #[arg(long, value_name = "FILE")]
    witness_bin: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    ensure!((1..=3600).contains(&args.seconds), "--seconds is {}, want 1 to 3600", args.seconds);
    ensure!(args.large > SMALL_ENTRIES, "--large is {}, want more than {SMALL_ENTRIES}", args.large);
    let program = this_program()?;
    let folder = args.dir.clone().unwrap_or_else(std::env::temp_dir);
    let mut remarks = vec![
        "figures belong to this machine and this hour; the load shares the machine with what it measures"
            .to_owned(),
    ];
    let large = large(args.large, disk::free(&folder)?, &mut remarks)?;
    let mut table = Table { quiet: args.json, rows: Vec::new(), figures: Map::new(), failed: false };
    table.heading();
    for row in rows(args)? {
        let mut command = Command::new(&program);
        command.arg("bench").args(&row.arguments).arg("--json");
        table.add(&row.name, &mut command, row.base, &row.aims);
    }
    growth::add(&mut table, args, &folder, large)?;
    table.add(WITNESS, &mut witness(args, &folder)?, Base::Sync, WITNESS_AIMS);
    table.end(large, &remarks)?;
    Ok(if table.failed { ExitCode::from(output::FAILED) } else { ExitCode::SUCCESS })
}

/// How large the large log may be.
fn large(wanted: u64, free: u64, remarks: &mut Vec<String>) -> Result<u64> {
    let room = free / FREE_BYTES_PER_ENTRY;
    if room >= wanted {
        return Ok(wanted);
    }
    // A round number.
    let taken = room / SMALL_ENTRIES * SMALL_ENTRIES;
    ensure!(
        taken > SMALL_ENTRIES,
        "{free} octets of disk are free, want {} for a large log: name another disk with --dir",
        3 * SMALL_ENTRIES * FREE_BYTES_PER_ENTRY
    );
    remarks.push(format!(
        "the large log has {taken} entries instead of {wanted}: {} GB of disk are free",
        free / 1_000_000_000
    ));
    Ok(taken)
}

fn witness(args: &Args, folder: &Path) -> Result<Command> {
    let mut command = Command::new(witness_program(args.witness_bin.as_deref())?);
    command.args(["bench", "--clients", "64", "--origins", "1000", "--json", "--seconds"]);
    command.arg(args.seconds.to_string()).arg("--dir").arg(folder);
    Ok(command)
}

/// The table as it grows.
struct Table {
    /// Nothing is printed before the end.
    quiet: bool,
    rows: Vec<Value>,
    /// Of each row, by its name.
    figures: Map<String, Value>,
    /// A measurement could not be made.
    failed: bool,
}

impl Table {
    fn heading(&self) {
        let (figures, beside) = ("", "beside this machine's limit");
        self.line(format!(
            "{figures:<29} {:>8} {:>8} {:>8} {:>8} {:>5}  {beside:<29}  {:<34}",
            "1/s", "p50 ms", "p99 ms", "CPU us", "MiB", "aimed at (p50, p99 in ms)"
        ));
    }

    /// Runs one measurement and adds its line. One that cannot be made leaves the others worth having.
    fn add(&mut self, name: &str, command: &mut Command, base: Base, aims: &[Aim]) {
        match measure(command) {
            Ok(figures) => self.measured(name, command, figures, (base, aims)),
            Err(error) => {
                self.fail(&format!("{name:<29} failed: {error:#}"));
                self.rows.push(json!({ "name": name, "error": format!("{error:#}") }));
            }
        }
    }

    /// Something could not be measured.
    fn fail(&mut self, what: &str) {
        self.failed = true;
        self.line(what);
    }

    fn measured(&mut self, name: &str, command: &Command, figures: Value, (base, aims): (Base, &[Aim])) {
        let (what, ratio) = base.beside(&figures);
        let columns = [
            (number(&figures, "throughput_per_s"), 8, 0),
            (number(&figures, "p50_ms"), 8, 3),
            (number(&figures, "p99_ms"), 8, 3),
            (cpu(&figures), 8, 1),
            (number(&figures, "rss_end_bytes") / f64::from(1 << 20), 5, 0),
        ];
        let cells: Vec<String> =
            columns.into_iter().map(|(value, width, digits)| cell(value, width, digits)).collect();
        let wanted: Vec<String> = aims.iter().map(Aim::text).collect();
        self.line(format!(
            "{name:<29} {}  {:<29}  {:<34}  {}",
            cells.join(" "),
            format!("{what}: {ratio:.2}"),
            wanted.join(", "),
            verdict(aims, &figures)
        ));
        let arguments: Vec<_> = command.get_args().map(std::ffi::OsStr::to_string_lossy).collect();
        let judged: Vec<_> = aims.iter().map(|aim| aim.json(number(&figures, aim.figure))).collect();
        self.rows.push(json!({
            "name": name, "arguments": arguments, "figures": figures,
            "beside": { "what": what, "ratio": ratio }, "aims": judged,
        }));
        self.figures.insert(name.to_owned(), figures);
    }

    /// What follows from several rows, and what the machine could do in all of them.
    fn end(&self, large: u64, remarks: &[String]) -> Result<()> {
        let comparisons = comparisons(&self.figures, large);
        let limits: Vec<_> = LIMITS.iter().map(|name| (*name, self.range(name))).collect();
        if self.quiet {
            let limits: Map<String, Value> = limits
                .into_iter()
                .map(|(name, (least, most))| (name.to_owned(), json!({ "least": least, "greatest": most })))
                .collect();
            let comparisons: Vec<_> = comparisons.iter().map(comparisons::Comparison::json).collect();
            return output::json(&json!({
                "rows": self.rows, "comparisons": comparisons, "limits": limits, "remarks": remarks,
            }));
        }
        self.line("");
        for comparison in comparisons {
            let bound = comparison.aim.bound;
            self.line(format!(
                "{:<56} {:>9.2}  {:<30} {:<9} {}",
                comparison.name,
                comparison.value,
                comparison.of,
                bound.text(),
                if bound.holds(comparison.value) { "holds" } else { "misses" }
            ));
        }
        self.line("\nlimits of this machine, least and greatest of these runs (a hash is of as many octets as the run's entries)");
        for (name, (least, most)) in limits {
            let digits = if name.ends_with("_ms") { 3 } else { 0 };
            self.line(format!("  {name:<22} {least:>12.digits$} {most:>12.digits$}"));
        }
        for remark in remarks {
            self.line(format!("note: {remark}"));
        }
        Ok(())
    }

    /// A limit's least and greatest value of all runs that measured it.
    fn range(&self, limit: &str) -> (f64, f64) {
        let name = format!("limits.{limit}");
        let values = self.figures.values().map(|figures| number(figures, &name));
        let values = values.filter(|value| !value.is_nan());
        values.fold((f64::NAN, f64::NAN), |(least, most), value| (value.min(least), value.max(most)))
    }

    fn line(&self, text: impl std::fmt::Display) {
        if !self.quiet {
            output::line(text);
        }
    }
}

/// Runs a measurement and reads its JSON.
fn measure(command: &mut Command) -> Result<Value> {
    let done = command.stdin(Stdio::null()).output().with_context(|| format!("run {command:?}"))?;
    ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr).trim_end());
    serde_json::from_slice(&done.stdout).context("no JSON was printed")
}

/// A figure in its column; what this measurement does not have is a dash.
fn cell(value: f64, width: usize, digits: usize) -> String {
    if value.is_nan() { format!("{:>width$}", "-") } else { format!("{value:>width$.digits$}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_log_is_as_large_as_the_disk_allows_and_the_table_says_so() {
        let mut remarks = Vec::new();
        assert_eq!(large(10_000_000, 10_000_000_000, &mut remarks).unwrap(), 10_000_000);
        assert!(remarks.is_empty());
        assert_eq!(large(10_000_000, 2_345_678_901, &mut remarks).unwrap(), 2_300_000);
        assert!(remarks[0].contains("2300000 entries instead of 10000000"), "{remarks:?}");
        assert!(large(10_000_000, 150_000_000, &mut remarks).is_err());
    }
}
