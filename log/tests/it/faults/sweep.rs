//! A fault at each call in turn.

use std::{collections::BTreeMap, path::Path, sync::Mutex};

use super::workload::{LONG, SHORT, Shape};
use crate::{
    account::Account,
    random::Random,
    shim::{self, Fault, How, NONE, Run},
    support::{each, open_small_runs},
};

/// What the sweep has seen: how often the process was stopped, by which call.
#[derive(Default)]
struct Tally {
    stopped: BTreeMap<String, u32>,
    unnoticed: BTreeMap<String, u32>,
    aborted: u32,
}

/// One run: whatever failed, nothing that was answered is lost, nothing that was signed is contradicted, and without
/// the fault the log opens and grows.
fn run(shape: Shape, fault: Fault, tally: &Mutex<Tally>) {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("log");
    let Run { output, counted } = shim::run(&mut shape.command(&dir), &dir, fault);
    let mut told = Account::read(&output);
    told.checkpoint_file(&dir);
    for refusal in &told.refusals {
        let clear = ["IO error", "No space left", "nput/output error", "a failed write"];
        assert!(clear.iter().any(|words| refusal.contains(words)), "{fault:?} {counted:?}: {refusal}");
    }
    let log = open_small_runs(&dir);
    told.check_all(&log);
    grow_a_little(&log);
    told.check(&log);
    let mut tally = tally.lock().unwrap();
    let Some((_, failed)) = counted else {
        tally.aborted += 1;
        return;
    };
    let tally = if told.refusals.is_empty() { &mut tally.unnoticed } else { &mut tally.stopped };
    *tally.entry(failed).or_default() += 1;
}

pub(super) fn grow_a_little(log: &treering_log::Log) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let size = log.size();
    runtime.block_on(crate::support::append(log, 1_000_000, 1_000_002));
    assert_eq!(log.size(), size + 2);
}

/// How many calls the workload makes when nothing fails.
pub(super) fn calls(shape: Shape) -> u32 {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("log");
    let Run { output, counted } = shim::run(&mut shape.command(&dir), &dir, NONE);
    let (calls, failed) = counted.unwrap();
    let told = Account::read(&output);
    assert_eq!((told.refusals.len(), failed.as_str()), (0, "-"));
    told.check_all(&open_small_runs(&dir));
    assert_eq!(told.len() as u64, shape.size());
    calls
}

fn sweep(shape: Shape, faults: &[Fault]) -> Tally {
    let tally = Mutex::new(Tally::default());
    each(faults, |fault| run(shape, *fault, &tally));
    let tally = tally.into_inner().unwrap();
    eprintln!(
        "{} faults; stopped by {:?}; went on after {:?}; aborted by RocksDB {} times",
        faults.len(),
        tally.stopped,
        tally.unnoticed,
        tally.aborted
    );
    tally
}

/// All the ways in turn, so that each call fails in one of them, and its neighbours in the others.
#[test]
fn after_a_fault_at_each_call_nothing_answered_is_lost() {
    let fault = |(at, how)| Fault { at, how };
    let faults: Vec<_> = (1..=calls(SHORT)).zip(How::FAILING.into_iter().cycle()).map(fault).collect();
    every_kind_of_call_has_failed(&sweep(SHORT, &faults));
}

#[test]
fn after_a_fault_in_a_longer_life_nothing_answered_is_lost() {
    let (calls, mut random) = (calls(LONG), Random::new(3));
    let fault = |how| Fault { at: 1 + random.below(u64::from(calls)) as u32, how };
    let faults: Vec<Fault> = How::FAILING.into_iter().cycle().take(48).map(fault).collect();
    let tally = sweep(LONG, &faults);
    assert!(tally.stopped.values().sum::<u32>() > 10, "the faults do not reach the log");
}

#[test]
#[ignore = "soak: each of some hundred calls, in four ways, takes some minutes"]
fn after_each_fault_at_each_call_nothing_answered_is_lost() {
    let calls = calls(LONG);
    let each = |how| (1..=calls + 3).map(move |at| Fault { at, how });
    let tally = sweep(LONG, &How::FAILING.into_iter().flat_map(each).collect::<Vec<_>>());
    every_kind_of_call_has_failed(&tally);
}

/// `link` is what takes a table of the index in, on a thread of its own: the log notices when it next writes, if it does.
fn every_kind_of_call_has_failed(tally: &Tally) {
    for call in ["open", "write", "fdatasync", "fsync", "rename", "mkdir"] {
        let known = tally.stopped.keys().any(|name| name.starts_with(call));
        assert!(known, "no {call} has ever stopped the log: {:?}", tally.stopped);
    }
    assert!(
        tally.stopped.contains_key("link") || tally.unnoticed.contains_key("link"),
        "no link has ever failed"
    );
}

/// The tests above would not notice a shim that never fails anything.
#[test]
fn a_dead_disk_lets_nothing_be_answered() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("log");
    let fault = Fault { at: 1, how: How::Dead };
    let Run { output, counted } = shim::run(&mut LONG.command(&dir), &dir, fault);
    let told = Account::read(&output);
    assert_eq!((told.len(), told.told_size(), counted.unwrap().1.as_str()), (0, 0, "mkdir"));
    assert_eq!(told.refusals.len(), 5, "{:?}", told.refusals);
    assert!(!Path::new(&dir).exists());
}
