//! Instants that the log does not prove, and logs of several bundles.

use serde_json::json;
use treering::audit::LocalSource;
use treering::keys::Role;
use treering::ledger::{Conditions, Prepared};
use treering::verifier::Verifier;
use treering_provenance::bytes::{Bytes, Fixed};
use treering_provenance::content::{Grant, V1};
use treering_provenance::statement::Statement;

use super::{Dishonest, replay, replay_by, story, tally};
use crate::support::{Stage, now, random};

/// A statement by which the service names an instant.
async fn tick(liar: &Dishonest, at: u64) {
    let grant = Grant {
        v: V1,
        grantee: "nobody".to_owned(),
        key_thumbprint: Fixed(random()),
        scopes: Vec::new(),
        classes: Vec::new(),
        from: 0,
        to: 0,
        message: Bytes(Vec::new()),
    };
    liar.say(Role::Ledger, &grant, at, (&[], None)).await;
}

/// What the log does not prove is not said to be so: a quiet hour on both sides of a registration.
#[tokio::test]
async fn a_registration_at_an_unknown_instant_is_undetermined() {
    let story = story().await;
    let liar = Dishonest::take(story);
    let (issuer, signer) = (Stage::issuer("foreign"), story.stage.signer("foreign"));
    let begin = now();
    let unknown = liar.register(&issuer, &*signer, begin + 5000).await;
    let never = liar.register(&issuer, &*signer, begin + 20_000).await;
    tick(&liar, begin + 10_000).await;
    let known = liar.register(&issuer, &*signer, begin + 10_100).await;
    tick(&liar, begin + 10_200).await;
    // The clock runs back: what stands between the two came at no time.
    let nowhere = liar.register(&issuer, &*signer, begin + 10_200).await;
    let backwards = begin + 9_999;
    tick(&liar, backwards).await;
    let dir = liar.dir.join("data");
    liar.ledger.log().shutdown().await;
    drop(liar.ledger);
    let source = LocalSource::open(&dir).unwrap();
    let report = replay_by(&story.stage, &source, Verifier::new, begin + 30_000).await;
    assert_eq!(report.differing.iter().map(|one| one.entry).collect::<Vec<_>>(), [never], "{report:?}");
    let undetermined: Vec<_> = report.undetermined.iter().map(|one| (one.entry, &*one.what)).collect();
    let [(at, what), (second, contradiction)] = undetermined.as_slice() else { panic!("{report:?}") };
    assert_eq!((*at, *second), (unknown, nowhere));
    let end = treering::clock::rfc3339(backwards + 60);
    assert!(what.contains(&format!(" and {end} it was registered: iat is ")), "{what}");
    assert!(contradiction.contains("contradict each other"), "{contradiction}");
    assert!(report.decisions["registration"].identical > 19, "that at {known} was determined: {report:?}");
}

/// Over many bundles, each of which is read twice.
async fn of_a_long_log(count: u64) {
    let story = story().await;
    let liar = Dishonest::take(story);
    for first in (0..count).step_by(200) {
        let prepared = (first..count.min(first + 200)).map(|number| {
            let statement = Statement::parse_submission(&story.stage.filler(1_000_000 + number)).unwrap();
            Prepared::foreign(statement, None, Vec::new())
        });
        liar.ledger.commit(prepared.collect(), Conditions::default()).await.unwrap();
    }
    let (issuer, signer) = (Stage::issuer("foreign"), story.stage.signer("foreign"));
    let stale = liar.register(&issuer, &*signer, now() - 4000).await;
    let size = stale + 1;
    let dir = liar.dir.join("data");
    liar.ledger.log().shutdown().await;
    drop(liar.ledger);
    let source = LocalSource::open(&dir).unwrap();
    let watch = treering::clock::Stopwatch::start();
    let report = replay_by(&story.stage, &source, Verifier::new, now()).await;
    eprintln!("{size} entries in {:.1} s", watch.seconds());
    assert_eq!(report.tree_size, size);
    assert_eq!(report.decisions["registration"].identical, 19 + count);
    assert_eq!(report.differing.iter().map(|one| one.entry).collect::<Vec<_>>(), [stale]);
    drop(source);
    let (data, which) = (dir.to_str().unwrap(), stale.to_string());
    let one = replay(&story.stage, &["--data", data], true, &["--entry", &which]).ended(1).json();
    assert_eq!(one["decisions"]["registration"]["differing"], 1, "{one}");
    let which = (stale - 1).to_string();
    let one = replay(&story.stage, &["--data", data], true, &["--entry", &which]).ended(0).json();
    assert_eq!(one["decisions"], json!({ "registration": tally(1) }));
}

#[tokio::test]
async fn a_log_of_several_bundles_is_replayed() {
    of_a_long_log(700).await;
}

#[tokio::test]
#[ignore = "soak: a hundred thousand statements are signed, logged and judged"]
async fn a_log_of_many_bundles_is_replayed() {
    of_a_long_log(100_000).await;
}
