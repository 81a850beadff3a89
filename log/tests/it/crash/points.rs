//! Killed by its own hand at each named point of the commit path.

use std::{
    io::Read as _, os::unix::process::ExitStatusExt as _, path::Path, sync::mpsc, thread, time::Duration,
};

use treering_log::Point;

use super::child;
use crate::{account::Account, support::open};

/// Runs the child until it kills itself at a point.
fn run_until(dir: &Path, point: Point, passing: u32) -> Account {
    let mut child = child::spawn(dir, Some((point, passing)));
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
    let bytes = bytes.unwrap_or_else(|_| panic!("{point:?} is not passed {passing} times"));
    assert_eq!(status.signal(), Some(9), "{point:?} {passing}: {}", String::from_utf8_lossy(&bytes));
    let mut told = Account::read(&bytes);
    told.checkpoint_file(dir);
    told
}

/// Each passing in the same log, so that each crash has the crashes before it in its past.
fn crash_at(point: Point, passings: &[u32]) {
    let dir = tempfile::tempdir().unwrap();
    let mut all = Account::default();
    for passing in passings {
        let new = run_until(dir.path(), point, *passing);
        all.merge(&new);
        new.check(&open(dir.path()));
    }
    let log = open(dir.path());
    all.check_all(&log);
    if passings.iter().any(|passing| *passing > 2) {
        assert!(log.size() > 2, "{point:?}: the child hardly ran");
    }
}

/// Points that only a log's birth passes.
const BIRTH: [Point; 2] = [Point::StoreMade, Point::Born];

#[test]
fn killed_while_a_log_is_born_it_is_born_again() {
    for point in BIRTH {
        crash_at(point, &[1]);
    }
}

#[test]
fn killed_at_each_point_nothing_answered_is_lost() {
    for point in Point::ALL.into_iter().filter(|point| !BIRTH.contains(point)) {
        crash_at(point, &[1, 2, 3, 7]);
    }
}

#[test]
#[ignore = "soak: the passings of each point to the fortieth, some minutes"]
fn killed_at_each_passing_of_each_point_nothing_answered_is_lost() {
    for point in Point::ALL.into_iter().filter(|point| !BIRTH.contains(point)) {
        crash_at(point, &(1..=40).collect::<Vec<_>>());
    }
}
