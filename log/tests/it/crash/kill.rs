//! Killed under load, at random moments.

use std::{io::Read as _, path::Path, sync::mpsc, thread, time::Duration};

use super::child;
use crate::{
    account::Account,
    random::Random,
    support::{each, open_small_runs},
};

/// When the child is killed.
#[derive(Clone, Copy)]
enum When {
    /// This long after it was started: while it opens what a killed one left, or soon after.
    Started(Duration),
    /// This long after its first answer.
    Answered(Duration),
}

/// Starts the child, kills it, and returns what it had told.
fn run_and_kill(dir: &Path, when: When) -> Account {
    let mut child = child::spawn(dir, None);
    let mut out = child.stdout.take().unwrap();
    let (first, answered) = mpsc::channel();
    let reader = thread::spawn(move || {
        let (mut told, mut part, mut begun) = (Vec::new(), vec![0; 1 << 16], false);
        loop {
            let count = out.read(&mut part).unwrap();
            if count == 0 {
                return Account::read(&told);
            }
            told.extend_from_slice(&part[..count]);
            if !begun && told.windows(6).any(|word| word == b"entry ") {
                begun = true;
                first.send(()).ok();
            }
        }
    });
    match when {
        When::Started(after) => thread::sleep(after),
        When::Answered(after) => {
            if answered.recv_timeout(Duration::from_secs(30)).is_err() {
                child.kill().unwrap();
                let mut said = String::new();
                child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
                panic!("the child does not answer: {:?} {said}", child.wait());
            }
            thread::sleep(after);
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let mut told = reader.join().unwrap();
    told.checkpoint_file(dir);
    told
}

/// Kills in some logs at once, this many times each.
fn kill(logs: u64, times: u32, seed: u64) {
    eprintln!("seed {seed}");
    each(&(0..logs).collect::<Vec<_>>(), |log| kill_in_one(times, seed + log));
}

/// Every answer is held against the log at once, all of them together at the end.
fn kill_in_one(times: u32, seed: u64) {
    let dir = tempfile::tempdir().unwrap();
    let (mut random, mut all) = (Random::new(seed), Account::default());
    for _ in 0..times {
        let when = if random.percent(25) {
            When::Started(Duration::from_millis(random.below(60)))
        } else {
            When::Answered(Duration::from_micros(random.below(50_000)))
        };
        let new = run_and_kill(dir.path(), when);
        let before = all.told_size();
        all.merge(&new);
        let log = open_small_runs(dir.path());
        assert!(log.size() >= before);
        new.check(&log);
    }
    let log = open_small_runs(dir.path());
    all.check_all(&log);
    eprintln!("killed {times} times: {} answered entries, all there, of {}", all.len(), log.size());
    assert!(all.len() > 5 * times as usize, "the child hardly ran");
}

#[test]
fn killed_at_any_moment_nothing_answered_is_lost() {
    kill(4, 60, 1);
}

#[test]
#[ignore = "soak: two thousand kills take some minutes"]
fn killed_thousands_of_times_nothing_answered_is_lost() {
    kill(8, 250, Random::fresh_seed());
}
