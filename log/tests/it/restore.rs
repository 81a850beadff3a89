//! A backup is restored, and witnesses are asked: every combination of what three of them may answer.
//!
//! The log had 9 entries, and a quorum had cosigned them. The backup has 5. From inside, all is well with it.

use std::{collections::BTreeSet, fmt::Write as _, sync::Arc, time::Duration};

use treering_log::{
    Append, AppendError, Log, NewEntry, Sealer as _,
    publisher::{BoxFuture, CosignError, Cosigned, Cosigner, StartError, check_start},
};
use treering_tlog::{
    checkpoint::Checkpoint,
    cosignature::CosignSigner,
    hash::{Hash, leaf_hash},
    note::{Note, NoteSigner},
    policy::Policy,
};

use crate::support::{Naive, ORIGIN, TestSealer, config, copy, grow, leaf};

const BACKUP: u64 = 5;
const LATEST: u64 = 9;
/// Time is paused: a witness that hangs costs none.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What a witness answers when it is asked for its latest checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Answer {
    // The truth, of witnesses that have seen more or less.
    /// Size 9.
    Latest,
    /// Size 5, as the backup.
    Backup,
    /// Size 3: it has been away, or its own state was restored.
    Stale,
    /// It knows no checkpoint of this log.
    Nothing,

    // No answer.
    /// It refuses the connection.
    Silent,
    /// It takes the connection and says nothing.
    Hanging,

    // Lies.
    /// Size 5 with a cosignature by another key under its name.
    Forged,
    /// Size 5 with one bit of its cosignature changed.
    Garbled,
    /// A genuine checkpoint of another log.
    OtherOrigin,
    /// A size that the log never signed.
    Unsigned,
    /// Octets.
    Garbage,

    // What nobody but the log's key can make.
    /// Size 9, signed by the log, with a worthless cosignature.
    LatestForged,
    /// Size 5 with another root, signed by the log and by the witness: the log has forked.
    Fork,
}

impl Answer {
    const ALL: [Self; 13] = [
        Self::Latest,
        Self::Backup,
        Self::Stale,
        Self::Nothing,
        Self::Silent,
        Self::Hanging,
        Self::Forged,
        Self::Garbled,
        Self::OtherOrigin,
        Self::Unsigned,
        Self::Garbage,
        Self::LatestForged,
        Self::Fork,
    ];

    /// Whether it says something that is a prefix of the backup, with a good signature.
    fn counts(self) -> bool {
        matches!(self, Self::Backup | Self::Stale | Self::Nothing)
    }

    /// Whether it shows that this is not the log's latest, and cannot be a lie.
    fn proves(self) -> bool {
        matches!(self, Self::Latest | Self::LatestForged | Self::Fork)
    }
}

struct Witness {
    name: String,
    signer: CosignSigner,
    answer: Answer,
}

impl Witness {
    fn new(number: usize, answer: Answer) -> Self {
        let name = format!("w{number}");
        let signer =
            CosignSigner::from_seed(format!("witness.example/{number}"), &[number as u8; 32]).unwrap();
        Self { name, signer, answer }
    }

    /// A checkpoint, signed by whom it takes.
    fn note(&self) -> Option<Vec<u8>> {
        let (origin, size, root) = match self.answer {
            Answer::Nothing => return None,
            Answer::Garbage => return Some(b"\xff\x00 no note\n\n".to_vec()),
            Answer::Latest | Answer::LatestForged | Answer::Unsigned => (ORIGIN, LATEST, root(LATEST)),
            Answer::Stale => (ORIGIN, 3, root(3)),
            Answer::OtherOrigin => ("log.example/other", BACKUP, root(BACKUP)),
            Answer::Fork => (ORIGIN, BACKUP, leaf_hash(b"another history")),
            _ => (ORIGIN, BACKUP, root(BACKUP)),
        };
        let text = Checkpoint::new(origin, size, root).unwrap().body();
        let seed = if self.answer == Answer::Unsigned { 77 } else { 1 };
        let mut lines = vec![NoteSigner::from_seed(origin, &[seed; 32]).unwrap().sign(&text).unwrap()];
        let stranger = CosignSigner::from_seed(self.signer.name(), &[99; 32]).unwrap();
        lines.push(match self.answer {
            Answer::Forged | Answer::LatestForged => stranger.cosign(&text, 1).unwrap(),
            Answer::Garbled => {
                let mut blob = self.signer.cosign(&text, 1).unwrap().blob();
                blob[50] ^= 1;
                treering_tlog::note::NoteSignature::from_blob(self.signer.name(), &blob).unwrap()
            }
            _ => self.signer.cosign(&text, 1).unwrap(),
        });
        Some(Note::new(text, lines).unwrap().to_bytes())
    }
}

impl Cosigner for Witness {
    fn name(&self) -> &str {
        &self.name
    }

    fn add_checkpoint<'a>(
        &'a self,
        _: u64,
        _: &'a [Hash],
        _: &'a [u8],
    ) -> BoxFuture<'a, Result<Cosigned, CosignError>> {
        panic!("nothing is to be cosigned");
    }

    fn latest<'a>(&'a self, origin: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, CosignError>> {
        assert_eq!(origin, ORIGIN);
        Box::pin(async {
            match self.answer {
                Answer::Silent => Err(CosignError::Unreachable("connection refused".into())),
                Answer::Hanging => std::future::pending().await,
                _ => Ok(self.note()),
            }
        })
    }
}

fn root(size: u64) -> Hash {
    Naive::new((0..LATEST).map(leaf).collect()).root(0, size as usize)
}

fn policy(rule: &str) -> Policy {
    let mut text = format!("log {}\n", TestSealer::new(1).log_key());
    for number in 0..3 {
        let witness = Witness::new(number, Answer::Silent);
        writeln!(text, "witness {} {}", witness.name, witness.signer.verifier()).unwrap();
    }
    Policy::parse(format!("{text}{rule}").as_bytes()).unwrap()
}

/// The backup, restored with everything beside it, the checkpoint file too.
async fn restored() -> (tempfile::TempDir, Log) {
    let (dir, backup) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = Log::open(config(dir.path()), TestSealer::new(1)).unwrap();
    grow(&log, 0, BACKUP).await;
    log.shutdown().await;
    drop(log);
    copy(dir.path(), backup.path());
    let log = Log::open(config(dir.path()), TestSealer::new(1)).unwrap();
    grow(&log, BACKUP, LATEST).await;
    drop(log);
    let log = Log::open_held(config(backup.path()), TestSealer::new(1)).unwrap();
    (backup, log)
}

async fn ask(log: &Log, policy: &Policy, answers: [Answer; 3]) -> Result<BTreeSet<String>, StartError> {
    let witness = |(number, answer)| Arc::new(Witness::new(number, answer)) as Arc<dyn Cosigner>;
    let cosigners: Vec<_> = answers.into_iter().enumerate().map(witness).collect();
    let seen = check_start(log, policy, &cosigners, TIMEOUT).await?;
    Ok(seen.into_keys().collect())
}

fn combinations() -> impl Iterator<Item = [Answer; 3]> {
    let all = || Answer::ALL.into_iter();
    all().flat_map(move |a| all().flat_map(move |b| all().map(move |c| [a, b, c])))
}

/// All 2,197 combinations, against the rule in a sentence: one proof refuses; else enough good answers let through.
#[tokio::test(start_paused = true)]
async fn which_answers_let_a_log_start() {
    let (_dir, log) = restored().await;
    // How many must answer, so that every quorum has one of them in it.
    let rules = [
        ("group q 2 w0 w1 w2\nquorum q\n", 2),
        ("group q any w0 w1 w2\nquorum q\n", 3),
        ("group q all w0 w1 w2\nquorum q\n", 1),
    ];
    for (rule, wanted) in rules {
        let policy = policy(rule);
        let mut started = 0;
        for answers in combinations() {
            let outcome = ask(&log, &policy, answers).await;
            started += u32::from(outcome.is_ok());
            judge(answers, outcome, wanted);
        }
        assert!(started > 0);
    }
}

fn judge(answers: [Answer; 3], outcome: Result<BTreeSet<String>, StartError>, wanted: usize) {
    let good = answers.iter().filter(|answer| answer.counts()).count();
    let first = answers.iter().find(|answer| answer.proves());
    match (first, outcome) {
        (Some(Answer::Fork), Err(StartError::Fork { size: BACKUP, .. }))
        | (
            Some(Answer::Latest | Answer::LatestForged),
            Err(StartError::Ahead { theirs: LATEST, ours: BACKUP, .. }),
        ) => {}
        (None, Ok(seen)) => assert!(good >= wanted && seen.len() == good, "{answers:?}: {seen:?}"),
        (None, Err(StartError::TooFew { answered, silent, wanted: said })) => {
            assert!(good < wanted, "{answers:?}");
            assert_eq!((answered.len(), silent.len(), said), (good, 3 - good, wanted), "{answers:?}");
        }
        (_, outcome) => panic!("{answers:?}: {outcome:?}"),
    }
}

/// A group within a group: w0 is in every quorum, so its answer alone is enough, and the others' together are, too.
#[tokio::test(start_paused = true)]
async fn which_answers_let_a_log_start_under_a_nested_policy() {
    let (_dir, log) = restored().await;
    let policy = policy("group either any w1 w2\ngroup q all w0 either\nquorum q\n");
    for answers in combinations().filter(|answers| !answers.iter().any(|answer| answer.proves())) {
        let enough = answers[0].counts() || (answers[1].counts() && answers[2].counts());
        assert_eq!(ask(&log, &policy, answers).await.is_ok(), enough, "{answers:?}");
    }
}

/// The question that matters: a quorum of two has cosigned size 9, whichever two it was, and the third may have, too.
/// One witness may do whatever it likes, or nothing, and the backup still does not start.
#[tokio::test(start_paused = true)]
async fn one_bad_witness_of_three_does_not_let_a_backup_start() {
    let (_dir, log) = restored().await;
    let policy = policy("group q 2 w0 w1 w2\nquorum q\n");
    let truth =
        |seen: u8| [0, 1, 2].map(|w| if seen & (1 << w) == 0 { Answer::Backup } else { Answer::Latest });
    let (mut refused, mut two_faults) = (0, 0);
    let worlds =
        [0b011u8, 0b101, 0b110, 0b111].into_iter().flat_map(|seen| (0..3).map(move |bad| (seen, bad)));
    for ((seen, bad), manner) in worlds.flat_map(|world| Answer::ALL.map(|manner| (world, manner))) {
        let mut answers = truth(seen);
        answers[bad] = manner;
        ask(&log, &policy, answers).await.unwrap_err();
        refused += 1;
        // With a second one out of reach it may start: docs/promises.md says so.
        answers[(bad + 1) % 3] = Answer::Silent;
        two_faults += u32::from(ask(&log, &policy, answers).await.is_ok());
    }
    assert_eq!(refused, 4 * 3 * 13);
    assert!(two_faults > 0, "then the sentence in docs/promises.md is too weak");
    let held = log.append(Append::of(vec![NewEntry::plain(*b"fork")])).await;
    assert_eq!(held.unwrap_err(), AppendError::Held);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_says_what_to_do() {
    let (_dir, log) = restored().await;
    let policy = policy("group q 2 w0 w1 w2\nquorum q\n");
    let text = async |answers| ask(&log, &policy, answers).await.unwrap_err().to_string();
    let ahead = text([Answer::Latest, Answer::Backup, Answer::Backup]).await;
    for words in
        ["witness w0 has cosigned size 9, this log has 5", "Bring back the newer store", "log-end procedure"]
    {
        assert!(ahead.contains(words), "{ahead}");
    }
    let fork = text([Answer::Backup, Answer::Backup, Answer::Fork]).await;
    for words in ["w2", "has forked", "Sign nothing", "log-end procedure"] {
        assert!(fork.contains(words), "{fork}");
    }
    // The proof is in the text, whole: anybody can check it by the log's key.
    let note = Note::parse(fork.split_once("key:\n").unwrap().1.as_bytes()).unwrap();
    note.verify(&[TestSealer::new(1).log_key()]).unwrap();
    assert_ne!(Checkpoint::parse(note.text()).unwrap().root(), &root(BACKUP));
    let few = text([Answer::Silent, Answer::Hanging, Answer::Backup]).await;
    for words in ["w0", "connection refused", "w1", "no answer within 5s", "Bring 2 or more", "start again"] {
        assert!(few.contains(words), "{few}");
    }
    for (lie, words) in [
        (Answer::Forged, "key witness.example/0"),
        (Answer::Garbled, "key witness.example/0"),
        (Answer::OtherOrigin, "of log log.example/other, wanted log.example/tests"),
        (Answer::Unsigned, "key log.example/tests"),
    ] {
        let few = text([lie, Answer::Silent, Answer::Backup]).await;
        assert!(few.contains(words), "{lie:?}: {few}");
    }
}
