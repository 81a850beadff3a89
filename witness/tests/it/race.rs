//! The rollback race of the specification, provoked.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use treering_tlog::checkpoint::Checkpoint;
use treering_tlog::note::Note;
use treering_witness::rules::Refusal;
use treering_witness::service::AddError;
use treering_witness::store::origin_hash;

use crate::support::{NOW, ORIGIN, Served, TestLog, fixed_clock, open_witness};

/// Many updates from the same old size at once: one wins, all others learn its size.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_concurrent_updates_from_one_size_exactly_one_wins() {
    let served = Arc::new(Served::start().await);
    let log = Arc::new(TestLog::new(0, 64));
    let mut size = 0;
    for _ in 0..5 {
        let calls: Vec<_> = (1..=8)
            .map(|step| {
                let (served, log) = (Arc::clone(&served), Arc::clone(&log));
                tokio::spawn(async move { (size + step, served.add(log.request(size, size + step)).await) })
            })
            .collect();
        let mut won = Vec::new();
        let mut conflicts = Vec::new();
        for call in calls {
            let (new, answer) = call.await.unwrap();
            match answer.status {
                200 => won.push(new),
                409 => conflicts.push(answer.body),
                other => panic!("status {other}"),
            }
        }
        assert_eq!((won.len(), conflicts.len()), (1, 7));
        assert!(conflicts.iter().all(|body| *body == format!("{}\n", won[0])));
        size = won[0];
    }
}

/// The first update is stalled between its check and its write. A second, larger one must not slip in between, or the
/// first would then roll it back.
#[test]
fn a_stalled_update_cannot_roll_back_a_later_one() {
    let folder = tempfile::tempdir().unwrap();
    let (stalled, is_stalled) = mpsc::channel::<()>();
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let first = AtomicBool::new(true);
    // The clock is read between the check and the write: a good place to stall.
    let clock = Arc::new(move || {
        if first.swap(false, Ordering::SeqCst) {
            stalled.send(()).unwrap();
            released.lock().unwrap().recv().unwrap();
        }
        NOW
    });
    let witness = open_witness(&folder.path().join("state"), clock);
    let log = TestLog::new(0, 9);
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| witness.add_checkpoint(&log.request(0, 3)));
        is_stalled.recv().unwrap();
        let fast = scope.spawn(|| witness.add_checkpoint(&log.request(0, 9)));
        // Time for the second to do the wrong thing; with the lock it can only wait.
        std::thread::sleep(Duration::from_millis(100));
        assert!(!fast.is_finished());
        assert!(witness.is_well(), "busy is not broken");
        release.send(()).unwrap();
        assert!(slow.join().unwrap().is_ok());
        assert!(matches!(fast.join().unwrap(), Err(AddError::Refused(Refusal::Conflict { size: 3 }))));
    });
    let stored = Note::parse(&witness.latest(&origin_hash(ORIGIN)).unwrap()).unwrap();
    assert_eq!(Checkpoint::parse(stored.text()).unwrap().size(), 3);
}

/// A panic between check and write leaves the state unknown: nothing is cosigned any more, whatever waits in line.
#[test]
fn a_panic_in_a_turn_stops_the_witness() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let witness = open_witness(&state, Arc::new(|| panic!("on purpose")));
    let log = TestLog::new(0, 9);
    std::thread::scope(|scope| {
        let calls: Vec<_> =
            (0..4).map(|_| scope.spawn(|| witness.add_checkpoint(&log.request(0, 3)))).collect();
        for call in calls {
            assert!(matches!(call.join().unwrap(), Err(AddError::Broken)));
        }
    });
    assert!(!witness.is_well());
    assert!(matches!(witness.add_checkpoint(&log.request(0, 3)), Err(AddError::Broken)));
    drop(witness);
    assert!(open_witness(&state, fixed_clock()).add_checkpoint(&log.request(0, 3)).is_ok());
}
