//! A registered statement, offline: its issuer, and a receipt in it or beside it.

use ciborium::Value;
use treering_provenance::{
    cose::Signer as _,
    issuer::KnownIssuer,
    receipt,
    statement::{Draft, Kind},
    strict,
    verify::{Check, Outcome, StatementOptions, check, verify_statement},
};

use super::{Authority, DAY, ISS};
use crate::fixture::{LOG_ROLE, NOW, ORIGIN, World, confidential};

struct Registered {
    world: World,
    known: KnownIssuer,
    entry: Vec<u8>,
    receipt: Vec<u8>,
}

impl Registered {
    fn new() -> Self {
        let root = Authority::root();
        let statement = root.leaf().statement(&[]);
        let mut world = World::new();
        let index = world.log.push(statement.leaf());
        let seal = receipt::seal(&world.receipt_key, LOG_ROLE, &world.log.head(), NOW).unwrap();
        let receipt = receipt::assemble(&seal, &[world.log.inclusion(index)]).unwrap();
        Self { world, known: root.known(), entry: statement.entry().to_vec(), receipt }
    }

    fn options(&self) -> StatementOptions<'_> {
        StatementOptions { iss: ISS, known: &self.known, receipt: Some(&self.receipt), at: None, now: NOW }
    }

    /// The outcome, and the check that failed.
    fn judge(&self, bytes: &[u8], options: &StatementOptions<'_>) -> (Outcome, Option<&'static str>) {
        let verdict = verify_statement(bytes, &self.world.trust(), options);
        (verdict.outcome(), verdict.failed().map(Check::name))
    }

    fn with_unprotected(&self, unprotected: Vec<(Value, Value)>) -> Vec<u8> {
        let Value::Tag(18, message) = strict::decode(&self.entry, 1 << 16).unwrap() else { panic!("tag") };
        let mut parts = message.into_array().unwrap();
        parts[1] = Value::Map(unprotected);
        strict::encode(&Value::Tag(18, Box::new(Value::Array(parts)))).unwrap()
    }
}

#[test]
fn a_registered_statement_is_verified_offline_and_the_verdict_says_what_was_not() {
    let registered = Registered::new();
    let verdict = verify_statement(&registered.entry, &registered.world.trust(), &registered.options());
    assert_eq!(verdict.outcome(), Outcome::Trustworthy, "{verdict:?}");
    assert_eq!(verdict.log().unwrap().index, 5);
    let names = |checks: &[Check]| checks.iter().map(Check::name).collect::<Vec<_>>();
    assert_eq!(names(verdict.checked()), [check::STATEMENT, check::STATEMENT_SIGNATURE, check::RECEIPT]);
    let left = [check::REVOCATION, check::AUDIENCE, check::WITNESSES, check::CONTENT];
    assert_eq!(names(verdict.not_checked()), left);
    // As a transparent statement: the receipt is carried, the first that holds is enough.
    let receipts = Value::Array(vec![Value::Bytes(vec![0]), Value::Bytes(registered.receipt.clone())]);
    let carried = registered.with_unprotected(vec![(394.into(), receipts)]);
    let alone = StatementOptions { receipt: None, ..registered.options() };
    assert_eq!(registered.judge(&carried, &alone), (Outcome::Trustworthy, None));
    assert_eq!(registered.judge(&registered.entry, &alone), (Outcome::CannotEvaluate, Some(check::RECEIPT)));
}

#[test]
fn a_statement_of_another_issuer_log_or_time_is_untrusted() {
    let registered = Registered::new();
    let signature = (Outcome::Untrusted, Some(check::STATEMENT_SIGNATURE));
    let judge = |options: StatementOptions<'_>| registered.judge(&registered.entry, &options);
    assert_eq!(judge(StatementOptions { iss: "https://other.example", ..registered.options() }), signature);
    let other = Authority::root().known();
    assert_eq!(judge(StatementOptions { known: &other, ..registered.options() }), signature);
    assert_eq!(judge(StatementOptions { at: Some(NOW + 2 * DAY), ..registered.options() }), signature);
    assert_eq!(judge(StatementOptions { now: NOW + 2 * DAY, ..registered.options() }), signature);
    let elsewhere = Registered::new();
    for receipt in [elsewhere.receipt.as_slice(), b"garbage"] {
        let options = StatementOptions { receipt: Some(receipt), ..registered.options() };
        assert_eq!(judge(options), (Outcome::Untrusted, Some(check::RECEIPT)));
    }
    let garbage = registered.judge(b"garbage", &registered.options());
    assert_eq!(garbage, (Outcome::CannotEvaluate, Some(check::STATEMENT)));
}

#[test]
fn a_statement_for_another_log_is_untrusted_here() {
    let mut registered = Registered::new();
    let signer = crate::fixture::signer(40);
    registered.known = KnownIssuer { keys: vec![signer.key().clone()], ..KnownIssuer::default() };
    for (audience, wanted) in [
        (ORIGIN, (Outcome::CannotEvaluate, Some(check::RECEIPT))),
        ("log.staging.example/1", (Outcome::Untrusted, Some(check::AUDIENCE))),
    ] {
        let draft = confidential(Kind::Appraisal, ISS, vec![], None);
        let statement = Draft { audience, ..draft }.sign(&signer).unwrap();
        let options = StatementOptions { receipt: None, ..registered.options() };
        assert_eq!(registered.judge(statement.entry(), &options), wanted);
    }
}
