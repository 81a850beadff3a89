//! Whether appending costs more in a large log: a small and a large one, measured in turns.
//!
//! Filling a large log writes gigabytes, and a machine that has just done so is slower for a while, whatever is measured
//! then: a log of 100,000, too. So a turn is to fill the large log, to measure the small one, and to measure the large
//! one, each by a process of its own.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use serde_json::Value;

use super::super::super::processes::{text, this_program};
use super::super::meter::count;
use super::super::{api, disk};
use super::{Args, Base, Table, measure};

pub(super) const SMALL: &str = "in a log of 100000";
pub(super) const SMALL_ENTRIES: u64 = 100_000;
/// How often each is measured.
const TURNS: usize = 3;
/// A large log merges its index of two million entries every two million entries: in windows of this many times the others,
/// both logs have such a merge.
const WINDOWS: u64 = 2;
/// The figure that is a greatest one.
const PEAK: &str = "rss_peak_bytes";
/// Octets of an entry.
const ENTRY_BYTES: usize = 400;

/// The name of the row of the large log.
pub(super) fn large_name(large: u64) -> String {
    format!("in a log of {large}")
}

/// Adds both rows: the means of all turns.
pub(super) fn add(table: &mut Table, args: &Args, folder: &Path, large: u64) -> Result<()> {
    let program = this_program()?;
    let seconds = (WINDOWS * args.seconds).to_string();
    let append = |log: &[&str]| {
        let mut command = Command::new(&program);
        command.args(["bench", "append", "--clients", "512", "--json", "--seconds", &seconds]).args(log);
        command
    };
    let entries = SMALL_ENTRIES.to_string();
    let mut small = append(&["--prefill", &entries, "--dir", text(folder)?]);
    let turn = || -> Result<[Value; 2]> {
        let dir = disk::temporary(Some(folder))?;
        api::fill_apart(dir.path(), large, ENTRY_BYTES)?;
        Ok([measure(&mut small)?, measure(&mut append(&["--log", text(dir.path())?]))?])
    };
    let (mut of_small, mut of_large, mut error) = (Vec::new(), Vec::new(), None);
    for turn in std::iter::repeat_with(turn).take(TURNS) {
        match turn {
            Ok([small, large]) => {
                of_small.push(small);
                of_large.push(large);
            }
            Err(failed) => error = Some(failed),
        }
    }
    // A turn that cannot be made leaves the others worth having.
    if let Some(error) = &error {
        table.fail(&format!("a turn of the two logs failed: {error:#}"));
    }
    let rows =
        [(SMALL.to_owned(), small, of_small), (large_name(large), append(&["--log", "FOLDER"]), of_large)];
    for (name, command, figures) in rows {
        if !figures.is_empty() {
            table.measured(&name, &command, mean(&figures), (Base::Hash, &[]));
        }
    }
    Ok(())
}

/// Each figure of some runs of one measurement: the mean, whole where all are; of what is at most, the greatest.
fn mean(runs: &[Value]) -> Value {
    let [first, ..] = runs else { return Value::Null };
    if let Value::Object(first) = first {
        let of = |name: &String| {
            let runs: Vec<Value> = runs.iter().filter_map(|run| run.get(name).cloned()).collect();
            if name == PEAK { greatest(&runs) } else { mean(&runs) }
        };
        return Value::Object(first.keys().map(|name| (name.clone(), of(name))).collect());
    }
    let whole: Option<Vec<u64>> = runs.iter().map(Value::as_u64).collect();
    if let Some(whole) = whole {
        return (whole.iter().sum::<u64>() / whole.len() as u64).into();
    }
    let numbers: Option<Vec<f64>> = runs.iter().map(Value::as_f64).collect();
    numbers.map_or_else(
        || first.clone(),
        |numbers| (numbers.iter().sum::<f64>() / count(numbers.len() as u64)).into(),
    )
}

fn greatest(runs: &[Value]) -> Value {
    runs.iter().filter_map(Value::as_u64).max().into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_figure_is_the_mean_of_its_own() {
        let run = |rate: f64, peak: u64| json!({ "rate": rate, "limits": { "sync": rate / 4.0 }, "rss_peak_bytes": peak, "rss_end_bytes": peak, "kind": "api" });
        let wanted = json!({
            "rate": 15.0, "limits": { "sync": 3.75 }, "rss_peak_bytes": 300, "rss_end_bytes": 200, "kind": "api",
        });
        assert_eq!(mean(&[run(10.0, 100), run(20.0, 300)]), wanted);
        assert_eq!(mean(&[]), Value::Null);
    }
}
