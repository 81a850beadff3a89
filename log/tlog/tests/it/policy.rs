//! Policies: the text, quorums, and what a checkpoint needs to be accepted.

use std::collections::BTreeSet;

use proptest::prelude::*;
use treering_tlog::checkpoint::Checkpoint;
use treering_tlog::cosignature::CosignSigner;
use treering_tlog::hash::leaf_hash;
use treering_tlog::note::{Note, NoteSigner};
use treering_tlog::policy::{Policy, PolicyError};
use treering_tlog::proof::{TlogProof, TlogProofError};

fn log(seed: u8) -> NoteSigner {
    NoteSigner::from_seed(format!("log.example/{seed}"), &[seed; 32]).unwrap()
}

fn witness(seed: u8) -> CosignSigner {
    CosignSigner::from_seed(format!("witness.example/{seed}"), &[seed; 32]).unwrap()
}

/// A policy of one log (seed 1), witnesses X1 to X3 and Y1 to Y3 (seeds 11 to 13 and 21 to 23), and these last lines.
fn policy(last: &str) -> Result<Policy, PolicyError> {
    let mut text = format!("# who is believed\nlog {} https://log.example/\n", log(1).verifier());
    for (name, seed) in [("X1", 11), ("X2", 12), ("X3", 13), ("Y1", 21), ("Y2", 22), ("Y3", 23)] {
        text += &format!("witness {name} {}\n", witness(seed).verifier());
    }
    Policy::parse((text + last).as_bytes())
}

/// The example of the specification.
const TWO_LEVELS: &str =
    "group X 2 X1 X2 X3\n\tgroup  Y any Y1\tY2 Y3 \n\ngroup X-and-Y all X Y\nquorum X-and-Y\n";

fn names<'a>(list: &[&'a str]) -> BTreeSet<&'a str> {
    list.iter().copied().collect()
}

#[test]
fn quorums_are_counted_through_groups() {
    let policy = policy(TWO_LEVELS).unwrap();
    assert_eq!(policy.logs().len(), 1);
    assert_eq!(policy.logs()[0].url.as_deref(), Some("https://log.example/"));
    assert_eq!(policy.witnesses().len(), 6);
    for (present, wanted) in [
        (vec![], false),
        (vec!["X1", "X2"], false),
        (vec!["X1", "Y1"], false),
        (vec!["X1", "X3", "Y2"], true),
        (vec!["X1", "X2", "X3", "Y1", "Y2", "Y3"], true),
        (vec!["Y1", "Y2", "Y3", "X-and-Y", "X"], false),
    ] {
        assert_eq!(policy.is_quorum(&names(&present)), wanted, "{present:?}");
    }
    assert_eq!(policy.smallest_quorum(), 3);
    // Two of three X are in every quorum's X part, or all three Y are.
    assert_eq!(policy.smallest_intersection(), 2);
    for (answering, wanted) in [
        (vec![], false),
        (vec!["X1"], false),
        (vec!["X1", "X2"], true),
        (vec!["Y1", "Y2"], false),
        (vec!["Y1", "Y2", "Y3"], true),
        (vec!["X1", "Y1", "Y2"], false),
    ] {
        assert_eq!(policy.quorum_intersection(&names(&answering)), wanted, "{answering:?}");
    }
}

#[test]
fn no_quorum_asks_nobody() {
    let policy = policy("quorum none\n").unwrap();
    assert!(!policy.needs_witnesses());
    assert!(policy.is_quorum(&names(&[])));
    assert!(policy.quorum_intersection(&names(&[])));
    assert_eq!((policy.smallest_quorum(), policy.smallest_intersection()), (0, 0));
    let single = crate::policy::policy("quorum Y2\n").unwrap();
    assert!(single.is_quorum(&names(&["Y2"])) && !single.is_quorum(&names(&["Y1"])));
    assert!(single.quorum_intersection(&names(&["Y2"])) && !single.quorum_intersection(&names(&["Y1"])));
}

#[test]
fn malformed_policies_are_refused_with_their_line() {
    let first = 8; // lines before the last ones
    let duplicate =
        |line: usize, what: &str| PolicyError::Duplicate { line: first + line, what: what.to_owned() };
    let undefined =
        |line: usize, name: &str| PolicyError::Undefined { line: first + line, name: name.to_owned() };
    let threshold =
        |actual: &str, members| PolicyError::Threshold { line: 9, actual: actual.to_owned(), members };
    let same_key = format!("witness other {}\nquorum none\n", witness(11).verifier());
    let same_log = format!("log {}\nquorum none\n", log(1).verifier());
    for (last, wanted) in [
        ("", PolicyError::NoQuorum),
        ("quorum none", PolicyError::Unterminated),
        ("quorum none\nquorum none\n", duplicate(2, "quorum")),
        ("quorum Z\n", undefined(1, "Z")),
        ("quorum G\ngroup G any X1\n", undefined(1, "G")),
        ("group G any H\ngroup H any X1\nquorum G\n", undefined(1, "H")),
        ("group G any G\nquorum G\n", undefined(1, "G")),
        ("group G any none\nquorum G\n", undefined(1, "none")),
        ("group none any X1\nquorum none\n", duplicate(1, "none")),
        ("group X1 any X2\nquorum none\n", duplicate(1, "X1")),
        ("group G any X1 X1\nquorum none\n", duplicate(1, "X1")),
        ("group G any X1\ngroup H any X1\nquorum none\n", duplicate(2, "X1")),
        ("group G 0 X1\nquorum G\n", threshold("0", 1)),
        ("group G 3 X1 X2\nquorum G\n", threshold("3", 2)),
        ("group G 01 X1 X2\nquorum G\n", threshold("01", 2)),
        ("group G some X1 X2\nquorum G\n", threshold("some", 2)),
        ("group G any\nquorum none\n", PolicyError::Line { line: 9 }),
        ("quorum\n", PolicyError::Line { line: 9 }),
        ("quorum none # trailing comments are items\n", PolicyError::Line { line: 9 }),
        ("Quorum none\n", PolicyError::Line { line: 9 }),
        ("quorum none\r\n", PolicyError::Octet { line: 9, octet: b'\r' }),
        ("# \u{7f}\nquorum none\n", PolicyError::Octet { line: 9, octet: 0x7f }),
        (&same_key, duplicate(1, "key")),
        (&same_log, duplicate(1, "key")),
    ] {
        assert_eq!(policy(last), Err(wanted), "{last}");
    }
    let swapped = format!("log {}\nquorum none\n", witness(31).verifier());
    assert!(matches!(policy(&swapped), Err(PolicyError::KeyType { line: 9, .. })));
    assert!(matches!(policy("log nonsense\nquorum none\n"), Err(PolicyError::Key { line: 9, .. })));
    // Comments may be any octets, also such as are not UTF-8.
    assert!(Policy::parse(b"  # \xff\xfe\nquorum none\n").is_ok());
    assert_eq!(Policy::parse(b"quorum \xff\n"), Err(PolicyError::Line { line: 1 }));
    assert!(matches!(Policy::parse(&vec![b'#'; 300_000]), Err(PolicyError::TooLong { actual: 300_000 })));
}

#[test]
fn thirty_two_of_everything_is_fine() {
    let mut text = String::new();
    for seed in 1..=32u8 {
        text += &format!("log {}\n", log(seed).verifier());
        text += &format!("witness w{seed} {}\n", witness(seed + 100).verifier());
        let before = if seed == 1 { String::new() } else { format!(" g{}", seed - 1) };
        text += &format!("group g{seed} all w{seed}{before}\n");
    }
    let policy = Policy::parse((text + "quorum g32\n").as_bytes()).unwrap();
    assert_eq!((policy.smallest_quorum(), policy.smallest_intersection()), (32, 1));
}

fn signed(log_seed: u8, witnesses: &[u8]) -> Note {
    let body = Checkpoint::new("log.example/1", 1, leaf_hash(b"entry")).unwrap().body();
    let mut lines = vec![log(log_seed).sign(&body).unwrap()];
    lines.extend(witnesses.iter().map(|seed| witness(*seed).cosign(&body, u64::from(*seed)).unwrap()));
    Note::new(body, lines).unwrap()
}

#[test]
fn a_checkpoint_is_accepted_with_log_and_quorum_only() {
    let policy = policy(TWO_LEVELS).unwrap();
    let witnessed = policy.verify(&signed(1, &[21, 12, 11])).unwrap();
    assert_eq!(witnessed.checkpoint().size(), 1);
    assert_eq!(witnessed.log(), log(1).verifier());
    let wanted = [("X1".to_owned(), 11), ("X2".to_owned(), 12), ("Y1".to_owned(), 21)];
    assert_eq!(witnessed.cosigners(), wanted);

    assert!(matches!(
        policy.verify(&signed(1, &[11, 12])),
        Err(PolicyError::BelowQuorum { cosigners, wanted: 3 }) if cosigners == ["X1", "X2"]
    ));
    // A second cosignature of the same witness does not count twice; the earlier time is the one that holds.
    let mut doubled = signed(1, &[11, 21]);
    let body = doubled.text().to_owned();
    doubled.add_signatures([witness(11).cosign(&body, 3).unwrap()]).unwrap();
    assert!(matches!(policy.verify(&doubled), Err(PolicyError::BelowQuorum { .. })));
    doubled.add_signatures([witness(12).cosign(&body, 12).unwrap()]).unwrap();
    assert_eq!(policy.verify(&doubled).unwrap().cosigners()[0], ("X1".to_owned(), 3));
    // Witnesses without the log, another log under its own name, a stranger's log: none is the log.
    assert!(matches!(policy.verify(&signed(2, &[11, 12, 21])), Err(PolicyError::NotSignedByLog { .. })));
    assert!(matches!(policy.verify(&signed(2, &[])), Err(PolicyError::Note(_))));
}

#[test]
fn a_log_speaks_for_its_own_origin_only() {
    let text = format!("log {}\nlog {}\nquorum none\n", log(1).verifier(), log(2).verifier());
    let policy = Policy::parse(text.as_bytes()).unwrap();
    assert!(policy.verify(&signed(1, &[])).is_ok());
    assert!(matches!(policy.verify(&signed(2, &[])), Err(PolicyError::NotSignedByLog { .. })));
}

#[test]
fn an_offline_proof_needs_log_quorum_and_path() {
    let policy = policy(TWO_LEVELS).unwrap();
    let proof = TlogProof::new(0, vec![], signed(1, &[11, 12, 21])).unwrap();
    assert!(proof.verify(&leaf_hash(b"entry"), &policy).is_ok());
    assert!(matches!(proof.verify(&leaf_hash(b"other"), &policy), Err(TlogProofError::Inclusion(_))));
    let misplaced = TlogProof::new(1, vec![], signed(1, &[11, 12, 21])).unwrap();
    assert!(matches!(misplaced.verify(&leaf_hash(b"entry"), &policy), Err(TlogProofError::Inclusion(_))));
    let unwitnessed = TlogProof::new(0, vec![], signed(1, &[])).unwrap();
    assert!(matches!(unwitnessed.verify(&leaf_hash(b"entry"), &policy), Err(TlogProofError::Policy(_))));
}

proptest! {
    /// By definition, over every set of witnesses: a set intersects every quorum if no quorum avoids it.
    #[test]
    fn intersection_is_what_its_definition_says(answering in 0u8..64) {
        let policy = policy(TWO_LEVELS).unwrap();
        let all = ["X1", "X2", "X3", "Y1", "Y2", "Y3"];
        let pick = |bits: u8| -> BTreeSet<&str> {
            all.iter().enumerate().filter(|(i, _)| bits >> i & 1 == 1).map(|(_, name)| *name).collect()
        };
        let quorums = || (0u8..64).filter(|bits| policy.is_quorum(&pick(*bits)));
        let wanted = quorums().all(|quorum| quorum & answering != 0);
        prop_assert_eq!(policy.quorum_intersection(&pick(answering)), wanted);
        if wanted {
            prop_assert!(answering.count_ones() as usize >= policy.smallest_intersection());
        }
        prop_assert_eq!(quorums().map(u8::count_ones).min(), Some(3));
    }
}
