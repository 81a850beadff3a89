//! Whether appending costs more in a large log: a small and a large one, measured in turns.
//!
//! Filling a large log writes gigabytes, and a machine that has just done so is slower for a while, whatever is measured
//! then: a log of 100,000, too. So a turn is to fill the large log, to measure the small one, and to measure the large
//! one, each by a process of its own.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use serde_json::{Map, Number, Value};

use super::super::super::processes::{text, this_program};
use super::super::{api, disk};
use super::{Args, Base, Table, measure};

pub(super) const SMALL: &str = "in a log of 100000";
pub(super) const SMALL_ENTRIES: u64 = 100_000;
/// How often each is measured.
const TURNS: usize = 3;
/// A large log merges its index of two million entries every two million entries: in windows of this many times the others,
/// both logs have such a merge.
const WINDOWS: u64 = 2;
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
    let turn = || {
        let dir = disk::temporary(Some(folder))?;
        api::fill_apart(dir.path(), large, ENTRY_BYTES)?;
        Ok([measure(&mut small)?, measure(&mut append(&["--log", text(dir.path())?]))?])
    };
    let turns = std::iter::repeat_with(turn).take(TURNS).collect::<Result<Vec<_>>>();
    let figures = |which: usize| match &turns {
        Ok(turns) => Ok(mean(&turns.iter().filter_map(|turn| turn.get(which).cloned()).collect::<Vec<_>>())),
        Err(error) => Err(anyhow::anyhow!("{error:#}")),
    };
    let figures = [figures(0), figures(1)];
    let names = [SMALL.to_owned(), large_name(large)];
    let commands = [small, append(&["--log", "FOLDER"])];
    for ((name, command), figures) in names.iter().zip(&commands).zip(figures) {
        table.put(name, command, figures, (Base::Hash, &[]));
    }
    Ok(())
}

/// The mean of each figure of some runs of one measurement.
fn mean(runs: &[Value]) -> Value {
    match runs {
        [Value::Object(first), ..] => {
            let of = |name: &String| {
                mean(&runs.iter().filter_map(|run| run.get(name).cloned()).collect::<Vec<_>>())
            };
            Value::Object(first.keys().map(|name| (name.clone(), of(name))).collect::<Map<_, _>>())
        }
        [Value::Number(_), ..] => {
            let numbers: Vec<f64> = runs.iter().filter_map(Value::as_f64).collect();
            let mean = numbers.iter().sum::<f64>() / super::super::meter::count(numbers.len() as u64);
            Number::from_f64(mean).map_or(Value::Null, Value::Number)
        }
        [first, ..] => first.clone(),
        [] => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_figure_is_the_mean_of_its_own() {
        let run = |rate: u64, sync: f64| json!({ "rate": rate, "limits": { "sync": sync }, "kind": "api" });
        let wanted = json!({ "rate": 15.0, "limits": { "sync": 0.5 }, "kind": "api" });
        assert_eq!(mean(&[run(10, 0.25), run(20, 0.75)]), wanted);
        assert_eq!(mean(&[]), Value::Null);
    }
}
