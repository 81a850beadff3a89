//! Killed under load, at random moments.

use std::{io::Read as _, path::Path, thread, time::Duration};

use super::child;
use crate::{account::Account, random::Random, support::open};

/// Starts the child, kills it after a while, and returns what it had told.
fn run_and_kill(dir: &Path, after: Duration) -> Account {
    let mut child = child::spawn(dir, None);
    let mut out = child.stdout.take().unwrap();
    let reader = thread::spawn(move || {
        let mut told = Vec::new();
        out.read_to_end(&mut told).unwrap();
        Account::read(&told)
    });
    thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
    let mut told = reader.join().unwrap();
    told.checkpoint_file(dir);
    told
}

/// Kills this many times; every answer is held against the log at once, all of them together at the end.
fn kill(times: u32, seed: u64) {
    eprintln!("seed {seed}");
    let dir = tempfile::tempdir().unwrap();
    let (mut random, mut all) = (Random::new(seed), Account::default());
    for _ in 0..times {
        // Opening takes some 20 ms: some are killed while they open, and open what a killed one left.
        let new = run_and_kill(dir.path(), Duration::from_millis(5 + random.below(120)));
        let before = all.told_size();
        all.merge(&new);
        let log = open(dir.path());
        assert!(log.size() >= before);
        new.check(&log);
    }
    all.check_all(&open(dir.path()));
    eprintln!(
        "killed {times} times: {} answered entries, all there, of {}",
        all.len(),
        open(dir.path()).size()
    );
    assert!(all.len() > 10 * times as usize, "the child hardly ran");
}

#[test]
fn killed_at_any_moment_nothing_answered_is_lost() {
    kill(30, 1);
}

#[test]
#[ignore = "soak: five hundred kills take a minute or two"]
fn killed_hundreds_of_times_nothing_answered_is_lost() {
    kill(500, Random::fresh_seed());
}
