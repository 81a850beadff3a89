//! The publisher against fake witnesses: honest, silent, lying, ahead of us.

use std::{
    path::Path,
    process::Command,
    sync::{Arc, Mutex},
    time::Duration,
};

use treering_log::{
    Append, AppendError, Log, NewEntry, Sealer as _,
    export::to_dir,
    publisher::{BoxFuture, CosignError, Cosigned, Cosigner, Publisher, StartError, State, Timing},
};
use treering_tlog::{
    checkpoint::Checkpoint,
    cosignature::CosignSigner,
    hash::{EMPTY_ROOT, Hash},
    note::Note,
    policy::Policy,
};

#[path = "honest.rs"]
mod honest;

use honest::{Seen, cosign};

use crate::support::{TestSealer, append, config, grow};

const TIMING: Timing = Timing {
    request: Duration::from_secs(2),
    pause: Duration::from_millis(2),
    longest_pause: Duration::from_millis(20),
};
const SOON: Duration = Duration::from_secs(20);
const BRIEFLY: Duration = Duration::from_millis(150);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Honest,
    /// Answers nothing, never.
    Silent,
    /// Does not say what it has seen, but cosigns.
    Forgetful,
    /// Its signature does not verify.
    Garbled,
    /// Signs with another key under the right name.
    Stranger,
    /// Cosigns another root.
    OtherRoot,
    /// Claims to have cosigned more than there is, and does not show it.
    Boaster,
    /// The same, and shows it: a checkpoint that the log's key has signed.
    Ahead,
    /// Answers a conflict with the size that was named.
    Stuck,
}

/// A witness that keeps the rules of C2SP tlog-witness, unless it is told not to.
struct Fake {
    name: String,
    signer: CosignSigner,
    state: Mutex<FakeState>,
}

struct FakeState {
    manner: Manner,
    seen: Seen,
    /// The old sizes that it was asked with.
    asked: Vec<u64>,
}

impl Fake {
    fn new(number: u8) -> Arc<Self> {
        let signer =
            CosignSigner::from_seed(format!("witness.example/{number}"), &[100 + number; 32]).unwrap();
        let state = FakeState { manner: Manner::Honest, seen: Seen::NOTHING, asked: vec![] };
        Arc::new(Self { name: format!("w{number}"), signer, state: Mutex::new(state) })
    }

    fn set(&self, manner: Manner) {
        self.state.lock().unwrap().manner = manner;
    }

    fn asked(&self) -> Vec<u64> {
        self.state.lock().unwrap().asked.clone()
    }

    fn answer(&self, old: u64, proof: &[Hash], bytes: &[u8]) -> Result<Cosigned, CosignError> {
        let mut state = self.state.lock().unwrap();
        state.asked.push(old);
        let note = Note::parse(bytes).unwrap();
        let checkpoint = Checkpoint::parse(note.text()).unwrap();
        match state.manner {
            Manner::Silent => return Err(CosignError::Unreachable("connection refused".into())),
            Manner::Boaster | Manner::Ahead => return Err(CosignError::Conflict { size: 1_000_000 }),
            Manner::Stuck => return Err(CosignError::Conflict { size: old }),
            _ => {}
        }
        state.seen.check(old, &checkpoint, proof)?;
        let stranger = CosignSigner::from_seed(self.signer.name(), &[9; 32]).unwrap();
        let other = Checkpoint::new(checkpoint.origin(), checkpoint.size(), EMPTY_ROOT).unwrap().body();
        let line = match state.manner {
            Manner::Stranger => stranger.cosign(note.text(), 5).unwrap(),
            Manner::OtherRoot => self.signer.cosign(&other, 5).unwrap(),
            _ => cosign(&self.signer, &note),
        };
        if state.manner == Manner::Garbled {
            let mut blob = line.blob();
            blob[40] ^= 1;
            let line = treering_tlog::note::NoteSignature::from_blob(line.name(), &blob).unwrap();
            return Ok(Cosigned { lines: vec![line] });
        }
        state.seen.keep(&checkpoint, note, line.clone());
        Ok(Cosigned { lines: vec![line] })
    }
}

impl Cosigner for Fake {
    fn name(&self) -> &str {
        &self.name
    }

    fn add_checkpoint<'a>(
        &'a self,
        old_size: u64,
        proof: &'a [Hash],
        note: &'a [u8],
    ) -> BoxFuture<'a, Result<Cosigned, CosignError>> {
        Box::pin(async move { self.answer(old_size, proof, note) })
    }

    fn latest<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, CosignError>> {
        let state = self.state.lock().unwrap();
        let answer = match state.manner {
            Manner::Silent | Manner::Forgetful => Err(CosignError::Unreachable("connection refused".into())),
            Manner::Ahead => {
                let seal = TestSealer::new(1).seal(1_000_000, &EMPTY_ROOT, 5).unwrap();
                Ok(Some(seal.note))
            }
            _ => Ok(state.seen.note.clone()),
        };
        Box::pin(async move { answer })
    }
}

struct Town {
    dir: tempfile::TempDir,
    witnesses: Vec<Arc<Fake>>,
    policy: Policy,
}

/// Three witnesses, of which this many are a quorum.
fn town(quorum: u8) -> Town {
    let witnesses: Vec<_> = (1..=3).map(Fake::new).collect();
    let lines = witnesses.iter().map(|w| format!("witness {} {}\n", w.name, w.signer.verifier()));
    let text = format!("{}group g {quorum} w1 w2 w3\nquorum g\n", lines.collect::<String>());
    let log = format!("log {}\n", treering_log::Sealer::log_key(&*TestSealer::new(1)));
    let policy = Policy::parse(format!("{log}{text}").as_bytes()).unwrap();
    Town { dir: tempfile::tempdir().unwrap(), witnesses, policy }
}

impl Town {
    fn open(&self) -> Log {
        Log::open_held(config(self.dir.path()), TestSealer::new(1)).unwrap()
    }

    async fn publish(&self, log: &Log) -> Result<Publisher, StartError> {
        let cosigners = self.witnesses.iter().map(|w| Arc::clone(w) as Arc<dyn Cosigner>).collect();
        Publisher::spawn(log.clone(), self.policy.clone(), cosigners, TIMING).await
    }

    fn verify(&self, note: &[u8]) -> u64 {
        self.policy.verify(&Note::parse(note).unwrap()).unwrap().checkpoint().size()
    }
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}

#[tokio::test]
async fn a_quorum_cosigns_what_is_appended() {
    let town = town(2);
    let log = town.open();
    let held = log.append(Append::of(vec![NewEntry::plain(*b"a"), NewEntry::plain(*b"b")])).await;
    assert_eq!(held.unwrap_err(), AppendError::Held, "nothing is signed before the witnesses were asked");
    let publisher = town.publish(&log).await.unwrap();
    for (from, to) in [(0, 2), (2, 3), (3, 300)] {
        grow(&log, from, to).await;
        let witnessed = log.wait_witnessed(to, SOON).await.unwrap();
        assert_eq!(town.verify(witnessed.cosigned_note()), witnessed.size());
        assert!(witnessed.cosignatures().len() >= 2);
        for (name, blob) in witnessed.cosignatures() {
            assert!(name.starts_with("witness.example/") && blob.len() == 76, "{name} {}", blob.len());
        }
    }
    to_dir(&log, &town.dir.path().join("tiles")).unwrap();
    let exported = std::fs::read(town.dir.path().join("tiles/checkpoint")).unwrap();
    assert_eq!(exported, log.witnessed().unwrap().cosigned_note(), "an export carries the cosignatures");
    publisher.shutdown().await;
    let before = log.witnessed().unwrap();
    drop(log);
    let log = town.open();
    assert_eq!(log.witnessed().unwrap(), before, "kept over a restart");
    assert_eq!(treering_log::fsck::check(&log, |_, _| ()).findings, vec![]);
}

#[tokio::test]
async fn one_silent_witness_does_not_matter_two_do() {
    let town = town(2);
    town.witnesses[0].set(Manner::Silent);
    let log = town.open();
    let publisher = town.publish(&log).await.unwrap();
    grow(&log, 0, 5).await;
    log.wait_witnessed(5, SOON).await.unwrap();
    town.witnesses[1].set(Manner::Silent);
    grow(&log, 5, 7).await;
    let error = log.wait_witnessed(7, BRIEFLY).await.unwrap_err();
    assert_eq!(error.to_string(), "witnesses have cosigned size 5, wanted 7 within 150ms");
    town.witnesses[1].set(Manner::Honest);
    log.wait_witnessed(7, SOON).await.unwrap();
    assert_eq!(*publisher.state().borrow(), State::Running);
}

#[tokio::test]
async fn the_size_of_a_conflict_is_adopted() {
    let town = town(2);
    {
        let log = town.open();
        let publisher = town.publish(&log).await.unwrap();
        grow(&log, 0, 10).await;
        log.wait_witnessed(10, SOON).await.unwrap();
        publisher.shutdown().await;
    }
    // The first cosigned for certain or not at all; make it know size 10, and not say so at the start.
    for witness in &town.witnesses {
        let known = witness.state.lock().unwrap().seen.size;
        if known == 10 {
            witness.set(Manner::Forgetful);
            break;
        }
    }
    let forgetful =
        town.witnesses.iter().find(|w| w.state.lock().unwrap().manner == Manner::Forgetful).unwrap();
    forgetful.state.lock().unwrap().asked.clear();
    // Without the third, the forgetful one is needed.
    let third = town.witnesses.iter().rev().find(|w| w.name != forgetful.name).unwrap();
    let log = town.open();
    let publisher = town.publish(&log).await.unwrap();
    third.set(Manner::Silent);
    grow(&log, 10, 20).await;
    log.wait_witnessed(20, SOON).await.unwrap();
    assert_eq!(forgetful.asked()[..2], [0, 10], "asked from 0, told 10, asked from 10");
    drop(publisher);
}

#[tokio::test]
async fn a_lying_witness_counts_for_nothing() {
    for manner in [Manner::Garbled, Manner::Stranger, Manner::OtherRoot, Manner::Stuck, Manner::Boaster] {
        let town = town(2);
        town.witnesses[0].set(manner);
        let log = town.open();
        let publisher = town.publish(&log).await.unwrap();
        town.witnesses[1].set(Manner::Silent);
        grow(&log, 0, 5).await;
        let error = log.wait_witnessed(5, BRIEFLY).await;
        assert!(error.is_err(), "{manner:?} and one honest witness are no quorum of two");
        town.witnesses[1].set(Manner::Honest);
        let witnessed = log.wait_witnessed(5, SOON).await.unwrap();
        town.verify(witnessed.cosigned_note());
        let names: Vec<_> = witnessed.cosignatures().iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["witness.example/2", "witness.example/3"], "{manner:?}");
        assert_eq!(*publisher.state().borrow(), State::Running, "{manner:?}");
        drop(publisher);
    }
}

#[tokio::test]
async fn too_few_answers_at_the_start_are_refused() {
    let town = town(2);
    town.witnesses[0].set(Manner::Silent);
    town.witnesses[2].set(Manner::Silent);
    let log = town.open();
    let error = town.publish(&log).await.unwrap_err();
    assert!(matches!(&error, StartError::TooFew { silent, wanted: 2, .. } if silent.len() == 2), "{error}");
    assert!(error.to_string().contains("connection refused"), "{error}");
    let refused = log.append(Append::of(vec![NewEntry::plain(*b"a"), NewEntry::plain(*b"b")])).await;
    assert_eq!(refused.unwrap_err(), AppendError::Held);
    town.witnesses[2].set(Manner::Honest);
    town.publish(&log).await.unwrap();
    grow(&log, 0, 2).await;
}

#[tokio::test]
async fn a_restored_backup_signs_nothing() {
    let (town, backup) = (town(2), tempfile::tempdir().unwrap());
    {
        let log = town.open();
        let publisher = town.publish(&log).await.unwrap();
        grow(&log, 0, 5).await;
        log.wait_witnessed(5, SOON).await.unwrap();
        publisher.shutdown().await;
        log.shutdown().await;
    }
    copy(town.dir.path(), backup.path());
    {
        let log = town.open();
        let publisher = town.publish(&log).await.unwrap();
        grow(&log, 5, 9).await;
        log.wait_witnessed(9, SOON).await.unwrap();
        publisher.shutdown().await;
    }
    // All of the backup comes back, the checkpoint file too: from inside, all is well.
    let restored = backup.path().join(town.dir.path().file_name().unwrap());
    let log = Log::open_held(config(&restored), TestSealer::new(1)).unwrap();
    let error = town.publish(&log).await.unwrap_err();
    assert!(matches!(error, StartError::Ahead { theirs: 9, ours: 5, .. }), "{error}");
    assert!(error.to_string().contains("Bring back the newer store"), "{error}");
    let refused = log.append(Append::of(vec![NewEntry::plain(*b"fork")])).await.unwrap_err();
    assert_eq!(refused, AppendError::Held);
}

#[tokio::test]
async fn another_history_signs_nothing() {
    let town = town(2);
    {
        let log = town.open();
        let publisher = town.publish(&log).await.unwrap();
        grow(&log, 0, 5).await;
        log.wait_witnessed(5, SOON).await.unwrap();
        publisher.shutdown().await;
    }
    let other = tempfile::tempdir().unwrap();
    {
        let log = Log::open(config(other.path()), TestSealer::new(1)).unwrap();
        append(&log, 1000, 1010).await;
    }
    let log = Log::open_held(config(other.path()), TestSealer::new(1)).unwrap();
    let error = town.publish(&log).await.unwrap_err();
    assert!(matches!(error, StartError::Fork { size: 5, .. }), "{error}");
}

/// The start check can miss nothing that matters, but a witness may learn more while we run: another process
/// with a copy of our key, for one.
#[tokio::test]
async fn a_witness_ahead_of_a_running_log_halts_it() {
    let town = town(2);
    let log = town.open();
    let publisher = town.publish(&log).await.unwrap();
    grow(&log, 0, 5).await;
    log.wait_witnessed(5, SOON).await.unwrap();
    // One is enough: no witness can sign for the log.
    town.witnesses[1].set(Manner::Ahead);
    grow(&log, 5, 6).await;
    let mut state = publisher.state();
    let halted =
        tokio::time::timeout(SOON, state.wait_for(|state| *state != State::Running)).await.unwrap().unwrap();
    assert!(
        matches!(&*halted, State::Halted(why) if why.contains("has cosigned size 1000000, this log has 6"))
    );
    let refused = log.append(Append::of(vec![NewEntry::plain(*b"more")])).await.unwrap_err();
    assert_eq!(refused, AppendError::Held);
}

#[tokio::test]
async fn a_cosigner_outside_the_policy_is_refused() {
    let town = town(2);
    let log = town.open();
    let stranger = Fake::new(7) as Arc<dyn Cosigner>;
    let error = Publisher::spawn(log, town.policy.clone(), vec![stranger], TIMING).await.unwrap_err();
    assert!(matches!(error, StartError::NotInPolicy { .. }), "{error}");
}

/// While one candidate is pursued, batches go on, and the next candidate covers all of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_go_on_while_witnesses_are_slow() {
    let town = town(3);
    let log = town.open();
    let publisher = town.publish(&log).await.unwrap();
    grow(&log, 0, 2).await;
    log.wait_witnessed(2, SOON).await.unwrap();
    town.witnesses[2].set(Manner::Silent);
    for i in 2..60 {
        append(&log, i, i + 1).await;
    }
    assert!(log.witnessed().unwrap().size() < 60);
    town.witnesses[2].set(Manner::Honest);
    let witnessed = log.wait_witnessed(60, SOON).await.unwrap();
    assert_eq!(town.verify(witnessed.cosigned_note()), 60);
    assert!(town.witnesses[0].asked().len() < 10, "few candidates, not one per batch");
    drop(publisher);
}

#[tokio::test]
async fn publishing_ends_with_the_log() {
    let town = town(2);
    let log = town.open();
    let publisher = town.publish(&log).await.unwrap();
    grow(&log, 0, 2).await;
    log.wait_witnessed(2, SOON).await.unwrap();
    log.shutdown().await;
    let mut state = publisher.state();
    let stopped = tokio::time::timeout(SOON, state.wait_for(|state| *state == State::Stopped)).await;
    assert!(stopped.unwrap().is_ok());
}
