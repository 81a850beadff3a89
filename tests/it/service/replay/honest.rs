//! What an honest service logged comes out the same, whoever asks and however.

use serde_json::json;
use treering::client::RemoteSource;
use treering::verifier::Verifier;
use treering_provenance::statement::Kind;

use super::{first_of, opened, replay, replay_by, story, tally};
use crate::support::{Ask, cli, now, shared};

#[tokio::test]
async fn all_that_an_honest_service_decided_comes_out_the_same() {
    let story = story().await;
    let data = story.stage.path("data");
    let local = replay(&story.stage, &["--data", &data], true, &["--all"]).ended(0).json();
    assert_eq!(local["verdict"], "identical", "{local}");
    let decisions = &local["decisions"];
    assert_eq!(decisions["appraisal"], tally(6), "{local}");
    assert_eq!((&decisions["mapping"], &decisions["issuance"]), (&tally(2), &tally(2)));
    assert_eq!(decisions["refusal"], tally(4));
    // Values, policy, manifest; policy and manifest again.
    assert_eq!(decisions["activation"], tally(5));
    // Five proposals, two approvals of each, two documents, two foreign statements.
    assert_eq!(decisions["registration"], tally(5 + 10 + 2 + 2));
    let counted: u64 =
        decisions.as_object().unwrap().values().map(|one| one["identical"].as_u64().unwrap()).sum();
    assert_eq!(counted + local["records"].as_u64().unwrap(), local["tree_size"].as_u64().unwrap());
    for list in ["differing", "undetermined", "not_opened"] {
        assert_eq!(local[list], json!([]));
    }
    assert_eq!(local["not_checked"].as_array().unwrap().len(), 3);
    // The service says the same of itself.
    let (all, _) = &story.remote;
    assert_eq!(all.code, 0, "{all:?}");
    assert_eq!(all.json(), local);

    let text = cli([
        "replay",
        "--all",
        "--trust",
        &story.stage.path("trust.json"),
        "--key",
        &story.stage.path("auditor.key"),
        "--data",
        &data,
    ])
    .ended(0);
    assert!(text.stdout.ends_with("every decision came out the same\n"), "{}", text.stdout);
    assert_eq!(text.stderr, "", "progress is for terminals");
}

#[tokio::test]
async fn one_entry_or_kind_is_made_again_alone() {
    let story = story().await;
    let data = story.stage.path("data");
    let run = |which: &[&str]| replay(&story.stage, &["--data", &data], true, which).ended(0).json();
    let report = run(&["--all", "--kind", "mapping", "--kind", "refusal"]);
    assert_eq!(report["decisions"], json!({ "mapping": tally(2), "refusal": tally(4) }));
    assert_eq!(report["records"], 0);
    let log = opened(&story.stage.dir);
    let at = first_of(&log, Kind::Issuance);
    let report = run(&["--entry", &at.to_string()]);
    assert_eq!((&report["decisions"], &report["records"]), (&json!({ "issuance": tally(1) }), &json!(0)));
    let report = run(&["--entry", "0"]);
    assert_eq!((&report["decisions"], &report["records"]), (&json!({}), &json!(1)));
    let size = log.size().to_string();
    let beyond = replay(&story.stage, &["--data", &data], true, &["--entry", &size]).ended(3);
    assert!(beyond.stderr.contains("entries under its checkpoint"), "{}", beyond.stderr);
    replay(&story.stage, &["--data", &data], true, &[]).ended(3);
    replay(&story.stage, &["--data", &data], true, &["--all", "--entry", "2"]).ended(3);
    let unknown = replay(&story.stage, &["--data", &data], true, &["--all", "--kind", "dice"]).ended(3);
    assert!(unknown.stderr.contains("want one of registration"), "{}", unknown.stderr);
}

/// Whatever other tests have the shared service decide meanwhile, certificates and clocks at their limits included.
#[tokio::test]
async fn a_busy_service_is_replayed_while_it_decides() {
    let stage = shared().await;
    let (target, net) = (stage.workload("busy").await, stage.stranger());
    Ask::good(stage, &net, &target).await.send(&net).await.is(201);
    // Each witnessed checkpoint is the next one's beginning.
    for _ in 0..3 {
        tokio::time::sleep(std::time::Duration::from_millis(700)).await;
        let source = RemoteSource(stage.client("auditor"));
        let report = replay_by(stage, &source, Verifier::new, now()).await;
        assert_eq!((report.differing.as_slice(), report.left_out), (&[][..], 0));
        assert!(report.decisions["activation"].identical >= 3, "{report:?}");
        assert!(report.decisions["registration"].identical >= 9, "{report:?}");
        assert_eq!(report.cosigners.len(), 1);
    }
}

/// Without a key nobody claims to have made a decision again that could not be opened.
#[tokio::test]
async fn without_a_key_what_is_not_opened_is_named() {
    let story = story().await;
    let data = story.stage.path("data");
    let report = replay(&story.stage, &["--data", &data], false, &["--all"]).ended(2).json();
    assert_eq!(report["verdict"], "cannot-evaluate");
    let decisions = &report["decisions"];
    // The foreign statements are plain.
    let registration = json!({ "identical": 2, "differing": 0, "undetermined": 0, "not_opened": 17 });
    assert_eq!(decisions["registration"], registration, "{report}");
    for (kind, count) in
        [("activation", 5), ("appraisal", 6), ("mapping", 2), ("issuance", 2), ("refusal", 4)]
    {
        assert_eq!(decisions[kind]["not_opened"], count, "{report}");
        assert_eq!(decisions[kind]["identical"], 0, "{report}");
    }
    let named = report["not_opened"].as_array().unwrap();
    assert_eq!(named.len(), 17 + 19);
    assert!(named.iter().all(|one| one["what"] == "no auditor's key was given"), "{report}");
    let last = report["not_checked"].as_array().unwrap().last().unwrap().as_str().unwrap();
    assert!(last.starts_with("what was in force behind entry "), "{last}");
    let (_, public) = &story.remote;
    assert_eq!((public.code, public.json()), (2, report), "nobody needs a certificate for that");
}
