//! Killed by its own hand at each named point of the commit path.

use std::{
    io::Read as _, os::unix::process::ExitStatusExt as _, path::Path, sync::mpsc, thread, time::Duration,
};

use treering_log::Point;

use super::child::{self, End};
use crate::{
    account::Account,
    shim::Loss,
    support::{each, open_small_runs},
};

/// Runs the child until it ends itself.
fn run_until(dir: &Path, end: End) -> Account {
    let mut child = child::spawn(dir, Some(end));
    let mut out = child.stdout.take().unwrap();
    let (told, tell) = mpsc::channel();
    let reader = thread::spawn(move || {
        let mut bytes = Vec::new();
        out.read_to_end(&mut bytes).unwrap();
        told.send(bytes).unwrap();
    });
    let bytes = tell.recv_timeout(Duration::from_secs(30));
    child.kill().unwrap();
    let status = child.wait().unwrap();
    reader.join().unwrap();
    let bytes = bytes.unwrap_or_else(|_| panic!("{end:?} is not passed"));
    assert_eq!(status.signal(), Some(9), "{end:?}: {}", String::from_utf8_lossy(&bytes));
    let mut told = Account::read(&bytes);
    told.checkpoint_file(dir);
    told
}

/// Each passing in the same log, so that each crash has the crashes before it in its past.
fn crash_at(point: Point, passings: &[u32], loss: Option<Loss>) {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("log");
    let mut all = Account::default();
    for passing in passings {
        let new = run_until(&dir, End { point, passing: *passing, loss });
        all.merge(&new);
        new.check(&open_small_runs(&dir));
    }
    let log = open_small_runs(&dir);
    all.check_all(&log);
    if passings.iter().any(|passing| *passing > 2) {
        assert!(log.size() > 2, "{point:?}: the child hardly ran");
    }
}

/// Points that only a log's birth passes.
const BIRTH: [Point; 2] = [Point::StoreMade, Point::Born];

fn later_points() -> Vec<Point> {
    Point::ALL.into_iter().filter(|point| !BIRTH.contains(point)).collect()
}

#[test]
fn killed_while_a_log_is_born_it_is_born_again() {
    for loss in [None, Some(Loss::All), Some(Loss::Names), Some(Loss::Bytes), Some(Loss::Half)] {
        for point in BIRTH {
            crash_at(point, &[1], loss);
        }
    }
}

#[test]
fn killed_at_each_point_nothing_answered_is_lost() {
    each(&later_points(), |point| crash_at(*point, &[1, 2, 3, 7], None));
}

#[test]
fn after_a_loss_of_power_at_each_point_nothing_answered_is_lost() {
    let losses = Loss::ALL.into_iter().cycle();
    let ends: Vec<_> = later_points().into_iter().zip(losses).collect();
    each(&ends, |(point, loss)| {
        crash_at(*point, &[1, 5], Some(Loss::All));
        crash_at(*point, &[2], Some(*loss));
    });
}

/// The file loses nothing by itself, so only this notices if it is not safe when it is said to be.
#[test]
fn a_checkpoint_file_that_is_synced_survives_a_loss_of_power() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("log");
    run_until(&dir, End { point: Point::CheckpointSynced, passing: 1, loss: Some(Loss::All) });
    assert!(!std::fs::read(dir.join("checkpoint")).unwrap().is_empty());
}

#[test]
#[ignore = "soak: the passings of each point to the fortieth, some minutes"]
fn killed_at_each_passing_of_each_point_nothing_answered_is_lost() {
    each(&later_points(), |point| crash_at(*point, &(1..=40).collect::<Vec<_>>(), None));
}

#[test]
#[ignore = "soak: the passings of each point to the twentieth, four losses at each, some minutes"]
fn after_a_loss_of_power_at_each_passing_of_each_point_nothing_answered_is_lost() {
    let ends: Vec<_> =
        later_points().into_iter().flat_map(|point| Loss::ALL.map(|loss| (point, loss))).collect();
    each(&ends, |(point, loss)| crash_at(*point, &(1..=20).collect::<Vec<_>>(), Some(*loss)));
}
