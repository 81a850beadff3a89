//! Many callers at once, full pools, and stopping.

use std::{sync::Arc, time::Duration};

use treering_log::{Append, AppendError, Log, NewEntry, RegisterName, Row};
use treering_tlog::inclusion;

use crate::support::{Mode, TestSealer, append, config, entry, grow, leaf, open};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_answer_is_provable_at_its_head() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    grow(&log, 0, 2).await;
    let tasks: Vec<_> = (0..64u64).map(|task| tokio::spawn(writer(log.clone(), task))).collect();
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await.unwrap());
    }
    all.sort_unstable();
    assert_eq!(all, (2..log.size()).collect::<Vec<_>>(), "every index was answered exactly once");
    assert!(treering_log::fsck::check(&log, |_, _| ()).is_clean());
}

async fn writer(log: Log, task: u64) -> Vec<u64> {
    let mut indexes = Vec::new();
    for round in 0..20 {
        let first = 1_000_000 + task * 1000 + round * 10;
        let count = 1 + (task + round) % 4;
        let done = append(&log, first, first + count).await;
        let consecutive: Vec<u64> = (done.indexes()[0]..).take(count as usize).collect();
        assert_eq!(done.indexes(), consecutive, "entries of one append are adjacent");
        let head = done.head();
        assert!(log.size() >= head.size(), "an answer comes after its head is out");
        for (i, index) in (first..).zip(done.indexes()) {
            assert_eq!(log.entry(*index).unwrap().unwrap(), entry(i));
            let path = log.inclusion(*index, head.size()).unwrap();
            inclusion::verify(&leaf(i), *index, head.size(), &path, head.root()).unwrap();
        }
        indexes.extend_from_slice(done.indexes());
    }
    indexes
}

/// Of many appends that rest on the same governance head, one moves it; the others must decide again.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_moves_a_register() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    grow(&log, 0, 2).await;
    let name = RegisterName::new("governance").unwrap();
    let racers: Vec<_> = (0..32u64)
        .map(|i| {
            let mut append = Append::of(vec![NewEntry::plain(entry(100 + i))]);
            append.expect = vec![(name.clone(), None)];
            append.set = vec![(name.clone(), 0)];
            append.once = vec![[i as u8; 32]];
            let log = log.clone();
            tokio::spawn(async move { log.append(append).await })
        })
        .collect();
    let (mut won, mut stale) = (Vec::new(), 0);
    for racer in racers {
        match racer.await.unwrap() {
            Ok(done) => won.extend_from_slice(done.indexes()),
            Err(AppendError::StaleExpectation { actual, .. }) => {
                assert!(actual.is_some());
                stale += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!((won.as_slice(), stale, log.size()), ([2].as_slice(), 31, 3));
    assert_eq!(log.register(&name).unwrap(), Some(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_pool_says_so_and_recovers() {
    let dir = tempfile::tempdir().unwrap();
    let sealer = TestSealer::new(1);
    let mut config = config(dir.path());
    config.pool_entries = 4;
    let log = Log::open(config, Arc::clone(&sealer) as _).unwrap();
    grow(&log, 0, 2).await;
    sealer.set(Mode::Wait);
    let seals = sealer.seals();
    let spawn = |from: u64, to: u64| {
        let log = log.clone();
        tokio::spawn(async move { append(&log, from, to).await.indexes().to_vec() })
    };
    let first = spawn(10, 11);
    while sealer.seals() == seals {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let waiting = spawn(20, 24);
    while log.waiting().0 < 4 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let refused = log.append(Append::of(vec![NewEntry::plain(entry(30))])).await.unwrap_err();
    assert!(matches!(refused, AppendError::Full { entries: 4, .. }), "{refused}");
    assert_eq!(log.size(), 2, "nothing is visible before the commit");
    assert_eq!(log.index_of_leaf(&leaf(10)).unwrap(), None);
    sealer.set(Mode::Sign);
    assert_eq!(first.await.unwrap(), [2]);
    assert_eq!(waiting.await.unwrap(), [3, 4, 5, 6]);
    append(&log, 30, 31).await;
}

#[tokio::test]
async fn a_head_that_cannot_be_sealed_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let sealer = TestSealer::new(1);
    let log = Log::open(config(dir.path()), Arc::clone(&sealer) as _).unwrap();
    grow(&log, 0, 3).await;
    for mode in [Mode::Fail, Mode::Misstate] {
        sealer.set(mode);
        let mut append = Append::of(vec![NewEntry::plain(entry(3))]);
        append.once = vec![[9; 32]];
        let refused = log.append(append).await.unwrap_err();
        assert!(matches!(refused, AppendError::Seal(_)), "{refused}");
        assert_eq!((log.size(), log.used(&[9; 32]).unwrap()), (3, None));
    }
    sealer.set(Mode::Sign);
    grow(&log, 3, 600).await;
    assert!(treering_log::fsck::check(&log, |_, _| ()).is_clean());
}

#[tokio::test]
async fn shutdown_answers_what_waits_and_refuses_what_comes() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    grow(&log, 0, 2).await;
    let tasks: Vec<_> = (0..20)
        .map(|i| {
            let log = log.clone();
            tokio::spawn(async move { log.append(Append::of(vec![NewEntry::plain(entry(50 + i))])).await })
        })
        .collect();
    tokio::task::yield_now().await;
    log.shutdown().await;
    assert!(!log.is_running());
    let mut done = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => done += 1,
            Err(error) => assert_eq!(error, AppendError::Stopped),
        }
    }
    assert_eq!(log.size(), 2 + done);
    let row = Row { table: 1, key: vec![1], value: Some(vec![2]) };
    assert_eq!(log.put_rows(vec![row]).await, Err(AppendError::Stopped));
    assert_eq!(std::fs::read(dir.path().join("checkpoint")).unwrap(), log.head().unwrap().note());
    drop(log);
    assert_eq!(open(dir.path()).size(), 2 + done);
}

/// A caller who goes away does not take the sequencer along.
#[tokio::test]
async fn a_cancelled_append_harms_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    grow(&log, 0, 2).await;
    for i in 0..50 {
        let cancelled = log.append(Append::of(vec![NewEntry::plain(entry(100 + i))]));
        drop(tokio::time::timeout(Duration::ZERO, cancelled).await);
    }
    append(&log, 500, 501).await;
    assert!(treering_log::fsck::check(&log, |_, _| ()).is_clean());
}
