//! Stops, starts, a witness that is away, and a disk that went back in time.

use std::fs;
use std::path::Path;

use treering_provenance::content::AnyContent;
use treering_provenance::statement::Kind;

use crate::support::law::Law;
use crate::support::{Ask, Settings, Stage, cli, folder};

async fn stage() -> Stage {
    let stage =
        Stage::make(&Settings { witness: true, witness_timeout_s: Some(1), ..Settings::default() }).await;
    stage.start_witness();
    stage.serve();
    stage
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test]
async fn a_restart_keeps_everything() {
    let stage = stage().await;
    let net = stage.stranger();
    let target = Stage::identifier("kept");
    // What is refused before a decision leaves no trace.
    let early = Ask::good(&stage, &net, &target).await;
    let size = stage.committed().await;
    early.send(&net).await.problem(403, "no-policy");
    assert_eq!(stage.committed().await, size);
    stage.grant_all().await;
    stage.set_the_scene().await;
    stage.workload("kept").await;
    let used = Ask::good(&stage, &net, &target).await;
    used.send(&net).await.is(201);
    let size = stage.committed().await;
    used.send(&net).await.problem(409, "challenge-used");
    assert_eq!(stage.committed().await, size, "nobody grows the log for free");
    let unused = Ask::good(&stage, &net, &target).await;
    let before = settled(&stage).await;
    assert_eq!(before.0, size);
    let text =
        cli(["log", "fsck", "--data", &stage.path("data"), "--trust", &stage.path("trust.json")]).ended(3);
    assert!(text.stderr.contains("is the service still running?"), "{}", text.stderr);

    stage.stop();
    let last = fs::read_to_string(stage.path("data/checkpoint")).unwrap();
    assert!(last.starts_with(&format!("{}\n{size}\n{}\n", stage.origin, before.1)), "{last}");
    cli(["log", "fsck", "--data", &stage.path("data"), "--trust", &stage.path("trust.json")]).ended(0);
    stage.serve();

    let net = stage.stranger();
    assert_eq!(settled(&stage).await, before, "size and root");
    used.send(&net).await.problem(409, "challenge-used");
    unused.send(&net).await.is(201);
    Ask::good(&stage, &net, &target).await.send(&net).await.is(201);
    assert!(stage.content(0).await.kind() == Kind::Policy);
    let log = stage.service_log();
    assert!(log.contains("SIMULATED"), "it says at each start that hardware is simulated: {log}");
}

/// Size and root, once the witness has seen all that is there.
async fn settled(stage: &Stage) -> (u64, String) {
    for _ in 0..100 {
        let checkpoint = stage.checkpoint().await;
        if checkpoint.size() == stage.committed().await {
            return (checkpoint.size(), checkpoint.root().to_base64());
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("the witness does not keep up");
}

#[tokio::test]
async fn without_a_quorum_nothing_leaves() {
    let stage = stage().await;
    stage.grant_all().await;
    stage.set_the_scene().await;
    let target = stage.workload("unwitnessed").await;
    let net = stage.stranger();
    Ask::good(&stage, &net, &target).await.send(&net).await.is(201);
    stage.stop_witness();
    let ask = Ask::good(&stage, &net, &target).await;
    let reply = ask.send(&net).await;
    reply.problem(503, "no-quorum");
    assert!(!String::from_utf8_lossy(&reply.body).contains("CERTIFICATE"));

    // The issuance counts as live until its end, unless the log says that it never left.
    let last = stage.committed().await - 1;
    let abandoned = stage.statement(&net, last).await;
    let issuance = stage.statement(&net, last - 1).await;
    assert_eq!((abandoned.kind(), issuance.kind()), (Some(Kind::Abandoned), Some(Kind::Issuance)));
    assert_eq!(abandoned.parents(), [issuance.leaf().into()]);
    let AnyContent::Abandoned(content) = stage.content(last).await else { panic!() };
    assert_eq!(content.issuance, issuance.leaf().into());
    assert!(content.reason.contains("no quorum of witnesses within 1 s"), "{}", content.reason);
    let law = Law::read();
    law.accepts("statement", abandoned.entry());
    law.accepts("abandoned-content", &treering_provenance::content::Content::to_cbor(&content).unwrap());
    ask.send(&net).await.problem(409, "challenge-used");
    // What needs no witness goes on.
    net.get("/readyz").await.is(200);
    stage.register("author", &Stage::manifest("meanwhile", "simulated")).await;

    // It does not start while nobody can say whether it is the newest copy.
    stage.stop();
    let refused = stage.try_serve().unwrap_err().ended(3);
    assert!(refused.stderr.contains("start again"), "{}", refused.stderr);
    stage.start_witness();
    stage.serve();
    let net = stage.stranger();
    Ask::good(&stage, &net, &target).await.send(&net).await.is(201);
}

/// Who has nothing but junk, or somebody else's report, does not fill the log.
#[tokio::test]
async fn cheap_refusals_are_logged_within_a_budget() {
    let stage = Stage::make(&Settings { max_refused_bytes: Some(30_000), ..Settings::default() }).await;
    stage.serve();
    stage.set_the_scene().await;
    let target = stage.workload("quota").await;
    let net = stage.stranger();
    let guest = crate::support::guest(&stage, &crate::support::image());
    let junk = async |kind: usize| {
        let mut ask = Ask::begin(&stage, &net, &target).await.attest(&guest);
        match kind {
            0 => ask.evidence[0].1[0x90] ^= 1,
            1 => ask.evidence[0].1.clear(),
            _ => ask.csr = crate::support::csr(&rcgen::PKCS_ECDSA_P256_SHA256),
        }
        ask
    };
    // A new minute may begin once in between.
    let (mut logged, mut over) = (0, 0);
    for kind in [0, 1, 2, 0, 1, 2] {
        let ask = junk(kind).await;
        let size = stage.committed().await;
        let reply = ask.send(&net).await;
        if reply.status == 429 {
            reply.problem(429, "too-many-refusals");
            assert_eq!(stage.committed().await, size, "nothing is logged");
            over += 1;
        } else {
            reply.problem(403, "refused");
            logged += 1;
        }
    }
    assert!(logged >= 2 && over >= 1, "{logged} logged, {over} over the budget");
    // A workload that was made for this service, and is refused for what it is, is always logged; and a good one issued.
    let unknown = Ask::begin(&stage, &net, &target).await.attest(&crate::support::guest(&stage, b"unknown"));
    unknown.send(&net).await.problem(403, "refused");
    Ask::good(&stage, &net, &target).await.send(&net).await.is(201);
}

#[tokio::test]
async fn an_old_copy_is_not_served() {
    let stage = stage().await;
    stage.register("author", &Stage::manifest("old", "simulated")).await;
    settled(&stage).await;
    stage.stop();
    let backup = folder("backup").join("data");
    copy(stage.path("data").as_ref(), &backup);
    stage.serve();
    stage.register("author", &Stage::manifest("new", "simulated")).await;
    settled(&stage).await;
    stage.stop();

    // The database alone went back: the checkpoint file beside it knows more.
    let newer = folder("newer").join("data");
    fs::rename(stage.path("data"), &newer).unwrap();
    copy(&backup, stage.path("data").as_ref());
    fs::copy(newer.join("checkpoint"), stage.path("data/checkpoint")).unwrap();
    let refused = stage.try_serve().unwrap_err().ended(3);
    assert!(refused.stderr.contains("commits are lost"), "{}", refused.stderr);
    // All of it went back: the witness knows more.
    fs::copy(backup.join("checkpoint"), stage.path("data/checkpoint")).unwrap();
    let refused = stage.try_serve().unwrap_err().ended(3);
    assert!(refused.stderr.contains("it is an old copy"), "{}", refused.stderr);
    // The newer one again.
    fs::remove_dir_all(stage.path("data")).unwrap();
    fs::rename(&newer, stage.path("data")).unwrap();
    stage.serve();
    let second = stage.try_serve_again().ended(3);
    assert!(second.stderr.contains("in use"), "two processes on one log: {}", second.stderr);
}
