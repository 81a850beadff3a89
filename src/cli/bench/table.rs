//! `treering bench table`: every measurement one after the other, each a process of its own, as one table.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::super::output;
use super::super::processes::{text, this_program, witness_program};

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    /// How long each measurement takes
    #[arg(long, value_name = "S", default_value_t = 8)]
    seconds: u64,
    /// Entries of the large log, whose figures are compared with those of a log of 100,000
    #[arg(long, value_name = "N", default_value_t = 2_000_000)]
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

/// One line of the table.
struct Row {
    name: String,
    arguments: Vec<String>,
    /// What one operation rests on, for the last column.
    rests_on: Base,
}

/// What a figure is divided by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Base {
    /// The latency, by a sync of the disk.
    Sync,
    /// The CPU of one, by the time of a verification.
    Verification,
    /// The CPU of one, by the time of a leaf hash.
    Hash,
    /// The time of one, by that of a verification of P-384 on as many threads.
    P384,
    /// Nothing: the figure is of clients and service together, and mostly of HTTP.
    Nothing,
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let program = this_program()?;
    let mut all = Vec::new();
    if !args.json {
        output::line(format!(
            "{:<34} {:>9} {:>9} {:>9} {:>9} {:>9} {:>8}  {}",
            "", "1/s", "p50 ms", "p99 ms", "p99.9 ms", "CPU us", "MiB", "ratio, measured beside it"
        ));
    }
    for row in rows(args)? {
        let figures = measure(&program, &row.arguments)?;
        if !args.json {
            output::line(line(&row, &figures));
        }
        all.push(json!({ "name": row.name, "arguments": row.arguments, "figures": figures }));
    }
    let witness = witness(args)?;
    if args.json {
        all.push(json!({ "name": "witness", "figures": witness }));
        output::json(&all)?;
    } else {
        output::line(format!(
            "{:<34} {:>9.0} {:>9.2} {:>9.2} {:>9.2}",
            "witness, 64 clients, 256 logs",
            number(&witness, "per_second"),
            number(&witness, "p50_ms"),
            number(&witness, "p99_ms"),
            number(&witness, "p999_ms")
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn rows(args: &Args) -> Result<Vec<Row>> {
    let seconds = args.seconds.to_string();
    let large = args.large.to_string();
    let append = |more: &[&str]| {
        [["append", "--seconds", seconds.as_str()].as_slice(), more]
            .concat()
            .iter()
            .map(|s| (*s).to_owned())
            .collect()
    };
    let plain = |parts: &[&str]| parts.iter().map(|part| (*part).to_owned()).collect();
    let row =
        |name: &str, arguments: Vec<String>, rests_on| Row { name: name.to_owned(), arguments, rests_on };
    let mut rows = vec![
        row("one client", append(&["--clients", "1"]), Base::Sync),
        row("Rust API, 512 clients", append(&["--clients", "512"]), Base::Hash),
        row(
            "three adjacent in one append",
            append(&["--clients", "256", "--entries-per-append", "3"]),
            Base::Hash,
        ),
        row(
            "SCRAPI over TLS, 128 clients",
            append(&["--path", "scrapi", "--clients", "128"]),
            Base::Verification,
        ),
        row("quorum of 2 of 3 witnesses", append(&["--clients", "64", "--witnesses", "3"]), Base::Sync),
        row("in a log of 100,000", append(&["--clients", "512", "--prefill", "100000"]), Base::Hash),
        row(&format!("in a log of {large}"), append(&["--clients", "512", "--prefill", &large]), Base::Hash),
        row("inclusion path, Rust API", plain(&["prove", "--entries", "1000000"]), Base::Hash),
        row(
            "receipt over TLS, 64 clients",
            plain(&["prove", "--path", "http", "--clients", "64"]),
            Base::Nothing,
        ),
        row("fsck", plain(&["fsck", "--entries", "1000000"]), Base::Hash),
        row("issuance, witnessed", plain(&["issue", "--seconds", &seconds]), Base::Verification),
        row("trace and replay", plain(&["replay", "--seconds", &seconds]), Base::Verification),
    ];
    if let Some(dir) = &args.dir {
        let dir = text(dir)?;
        for row in &mut rows {
            row.arguments.extend(["--dir".to_owned(), dir.to_owned()]);
        }
    }
    if let Some(bin) = &args.witness_bin {
        let bin = text(bin)?;
        for row in rows.iter_mut().filter(|row| {
            matches!(row.arguments.first().map(String::as_str), Some("append" | "issue" | "replay"))
        }) {
            row.arguments.extend(["--witness-bin".to_owned(), bin.to_owned()]);
        }
    }
    // In memory alone: no folder.
    rows.push(row("appraisal, warm, 2 threads", plain(&["appraise", "--seconds", &seconds]), Base::P384));
    Ok(rows)
}

/// Runs one measurement and reads its JSON.
fn measure(program: &Path, arguments: &[String]) -> Result<Value> {
    let mut command = Command::new(program);
    command.arg("bench").args(arguments).arg("--json");
    output_of(&mut command)
}

fn witness(args: &Args) -> Result<Value> {
    let mut command = Command::new(witness_program(args.witness_bin.as_deref())?);
    command.args([
        "bench",
        "--clients",
        "64",
        "--origins",
        "256",
        "--json",
        "--seconds",
        &args.seconds.to_string(),
    ]);
    output_of(&mut command)
}

fn output_of(command: &mut Command) -> Result<Value> {
    let done = command.stdin(Stdio::null()).output().with_context(|| format!("run {command:?}"))?;
    ensure!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_slice(&done.stdout).with_context(|| format!("{command:?} printed no JSON"))
}

fn number(figures: &Value, name: &str) -> f64 {
    figures.get(name).and_then(Value::as_f64).unwrap_or(f64::NAN)
}

fn line(row: &Row, figures: &Value) -> String {
    let either = |ms: &str, us: &str| {
        figures.get(ms).and_then(Value::as_f64).unwrap_or_else(|| number(figures, us) / 1000.0)
    };
    let limit = |name: &str| number(figures.get("limits").unwrap_or(&Value::Null), name);
    let measured = ["cpu_us_per_entry", "cpu_us_each", "cpu_us_per_proof"];
    let cpu = measured.iter().map(|name| number(figures, name));
    let cpu = cpu.into_iter().find(|cpu| !cpu.is_nan()).unwrap_or(f64::NAN);
    let p50 = either("p50_ms", "p50_us");
    let ratio = match row.rests_on {
        Base::Sync => format!("p50 is {:.1} syncs of the disk", p50 / limit("fdatasync_p50_ms")),
        Base::Verification => {
            format!("CPU is {:.1} verifications (Ed25519)", cpu * limit("ed25519_verify_per_s") / 1e6)
        }
        Base::Hash => format!("CPU is {:.1} leaf hashes", cpu * limit("sha256_per_s") / 1e6),
        Base::P384 => {
            let each = limit("p384_verify_per_s") / number(figures, "throughput_per_s");
            format!("as long as {each:.2} verifications (P-384)")
        }
        Base::Nothing => String::new(),
    };
    let columns = [
        (number(figures, "throughput_per_s"), 9, 0),
        (p50, 9, 3),
        (either("p99_ms", "p99_us"), 9, 3),
        (either("p999_ms", "p999_us"), 9, 3),
        (cpu, 9, 1),
        (number(figures, "rss_peak_bytes") / f64::from(1 << 20), 8, 0),
    ];
    let cells: Vec<String> =
        columns.into_iter().map(|(value, width, digits)| cell(value, width, digits)).collect();
    format!("{:<34} {}  {ratio}", row.name, cells.join(" "))
}

/// A figure in its column; what this measurement does not have is a dash.
fn cell(value: f64, width: usize, digits: usize) -> String {
    if value.is_nan() { format!("{:>width$}", "-") } else { format!("{value:>width$.digits$}") }
}
