//! Every status code of the specification, and those beyond it, over real HTTP.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use treering_tlog::add_checkpoint::MAX_REQUEST_LEN;
use treering_tlog::checkpoint::Checkpoint;
use treering_tlog::cosignature::CosignSigner;
use treering_tlog::hash::{EMPTY_ROOT, leaf_hash};
use treering_tlog::note::{Note, NoteSignature, NoteSigner};
use treering_witness::config::Limits;
use treering_witness::store::origin_hash;

use crate::support::{
    NOW, ORIGIN, Served, TestLog, fixed_clock, log_keys, open_witness, request, witness_signer,
};

#[tokio::test]
async fn success_is_200_with_the_cosignature_line_only() {
    let served = Served::start().await;
    let log = TestLog::new(0, 9);
    let answer = served.add(log.request(0, 4)).await;
    assert_eq!((answer.status, answer.content_type.as_str()), (200, "text/plain; charset=utf-8"));
    let mut note = log.note(4);
    note.add_signatures(treering_tlog::note::parse_signature_lines(&answer.body).unwrap()).unwrap();
    assert_eq!(note.signatures().len(), 2);
    let verified = note.verify(&[witness_signer().verifier().clone()]).unwrap();
    assert_eq!(verified[0].time(), Some(NOW));
    // Growth, twice, and the same again.
    assert_eq!(served.add(log.request(4, 9)).await.status, 200);
    assert_eq!(served.add(log.request(9, 9)).await.status, 200);
}

#[tokio::test]
async fn the_empty_tree_can_be_cosigned() {
    let served = Served::start().await;
    let log = TestLog::new(0, 2);
    assert_eq!(served.add(log.request(0, 0)).await.status, 200);
    assert_eq!(served.add(log.request(0, 0)).await.status, 200);
    assert_eq!(served.add(log.request(0, 2)).await.status, 200);
}

#[tokio::test]
async fn malformed_is_400() {
    let served = Served::start().await;
    let log = TestLog::new(0, 5);
    let good = String::from_utf8(log.request(0, 5)).unwrap();
    let hash = leaf_hash(b"x");
    for bad in [
        String::new(),
        "\n".to_owned(),
        good.replace("old 0", "old 00"),
        good.replace("old 0", "old  0"),
        good.replace("old 0", "new 0"),
        good.replace("old 0\n", "old 0\n\n"),
        good.replace("old 0\n\n", "old 0\n"),
        good.replace("old 0\n", "old 0\nAAAA\n"),
        good.replace("old 0\n", &format!("old 0\n{}", format!("{hash}\n").repeat(64))),
        good.replace(&log.root(5).to_base64(), "AAAA"),
        good.replace("\u{2014} ", "- "),
        good.trim_end().to_owned(),
    ] {
        let answer = served.add(bad.clone()).await;
        assert_eq!(answer.status, 400, "{bad:?}: {answer:?}");
    }
    assert_eq!(served.add(b"old 0\n\n\xff\n".as_slice()).await.status, 400);
    // Above the checkpoint's size: before the comparison with the stored size.
    assert_eq!(served.add(request(6, vec![], &log.note(5))).await.status, 400);
    assert_eq!(served.add(good).await.status, 200, "none of these changed anything");
}

#[tokio::test]
async fn not_signed_by_the_log_is_403() {
    let served = Served::start().await;
    let log = TestLog::new(0, 5);
    let body = log.checkpoint(5).body();
    let good = log.signer.sign(&body).unwrap();
    let bad = NoteSignature::new(ORIGIN, good.key_id(), vec![7; 64]).unwrap();
    let namesake = NoteSigner::from_seed(ORIGIN, &[9; 32]).unwrap().sign(&body).unwrap();
    let stranger = NoteSigner::from_seed("stranger", &[9; 32]).unwrap().sign(&body).unwrap();
    for (why, lines) in [
        ("only a bad line", vec![bad.clone()]),
        ("a bad line before a good one", vec![bad.clone(), good.clone()]),
        ("a bad line after a good one", vec![good.clone(), bad]),
        ("another key of the same name", vec![namesake.clone()]),
        ("a stranger's key", vec![stranger.clone()]),
    ] {
        let note = Note::new(body.clone(), lines).unwrap();
        assert_eq!(served.add(request(0, vec![], &note)).await.status, 403, "{why}");
    }
    let note = Note::new(body, vec![stranger, good, namesake]).unwrap();
    assert_eq!(served.add(request(0, vec![], &note)).await.status, 200, "strangers' lines are ignored");
}

#[tokio::test]
async fn an_unknown_origin_is_404_before_signatures_are_looked_at() {
    let served = Served::start().await;
    let checkpoint = Checkpoint::new("log.example/2", 1, leaf_hash(b"x")).unwrap();
    let note = TestLog::new(0, 0).sign(&checkpoint);
    assert_eq!(served.add(request(0, vec![], &note)).await.status, 404);
}

#[tokio::test]
async fn another_old_size_is_409_with_the_size() {
    let served = Served::start().await;
    let log = TestLog::new(0, 9);
    let answer = served.add(log.request(3, 9)).await;
    assert_eq!((answer.status, answer.body.as_str()), (409, "0\n"));
    assert_eq!(served.add(log.request(0, 5)).await.status, 200);
    for (old, new) in [(0, 9), (4, 9), (6, 9), (0, 5), (0, 0), (4, 4)] {
        let answer = served.add(log.request(old, new)).await;
        assert_eq!(
            (answer.status, answer.content_type.as_str(), answer.body.as_str()),
            (409, "text/x.tlog.size", "5\n"),
            "{old} to {new}"
        );
    }
    // Also where the proof would be bad: the size is compared first.
    assert_eq!(served.add(request(4, vec![leaf_hash(b"x")], &log.note(9))).await.status, 409);
    assert_eq!(served.add(log.request(5, 9)).await.status, 200);
}

#[tokio::test]
async fn what_does_not_follow_is_422() {
    let served = Served::start().await;
    let (log, fork) = (TestLog::new(0, 9), TestLog::new(1, 9));
    let empty = |root| log.sign(&Checkpoint::new(ORIGIN, 0, root).unwrap());
    let wrong_empty = request(0, vec![], &empty(leaf_hash(b"x")));
    assert_eq!(served.add(wrong_empty).await.status, 422, "size 0 with another root");
    let from_empty = request(0, vec![leaf_hash(b"x")], &log.note(5));
    assert_eq!(served.add(from_empty).await.status, 422, "a proof from old size 0");
    let same = request(0, vec![leaf_hash(b"x")], &empty(EMPTY_ROOT));
    assert_eq!(served.add(same).await.status, 422, "a proof from 0 to 0");

    assert_eq!(served.add(log.request(0, 5)).await.status, 200);
    assert_eq!(served.add(fork.request(5, 5)).await.status, 422, "same size, other root");
    assert_eq!(served.add(fork.request(5, 9)).await.status, 422, "another history");
    assert_eq!(served.add(request(5, vec![], &log.note(9))).await.status, 422, "no proof");
    let mut surplus = log.proof(5, 9);
    surplus.push(leaf_hash(b"x"));
    assert_eq!(served.add(request(5, surplus, &log.note(9))).await.status, 422, "a hash too many");
    let mut missing = log.proof(5, 9);
    missing.pop();
    assert_eq!(served.add(request(5, missing, &log.note(9))).await.status, 422, "a hash too few");
    let same = request(5, vec![leaf_hash(b"x")], &log.note(5));
    assert_eq!(served.add(same).await.status, 422, "a proof between equal sizes");
    assert_eq!(served.add(log.request(5, 9)).await.status, 200, "none of these changed anything");
}

#[tokio::test]
async fn other_paths_and_methods_are_refused() {
    let served = Served::start().await;
    assert_eq!(served.get("/add-checkpoint").await.status, 405);
    assert_eq!(served.get("/").await.status, 404);
    assert_eq!(served.get("/healthz").await.status, 200);
    assert_eq!(served.get("/metrics").await.status, 200);
}

#[tokio::test]
async fn monitors_get_the_latest_cosigned_checkpoint() {
    let served = Served::start().await;
    let log = TestLog::new(0, 9);
    let path = format!("/{}/checkpoint", origin_hash(ORIGIN));
    assert_eq!(served.get(&path).await.status, 404, "never cosigned");
    assert_eq!(served.get(&format!("/{}/checkpoint", origin_hash("other"))).await.status, 404, "unknown");
    assert_eq!(served.get("/xyz/checkpoint").await.status, 404);

    // A forged line under the witness's own key, and strangers' lines, must not be kept.
    let mut note = log.note(4);
    let own = witness_signer().cosign(note.text(), 1).unwrap();
    let forged = NoteSignature::new(own.name(), own.key_id(), vec![7; 72]).unwrap();
    let other = CosignSigner::from_seed("w2", &[5; 32]).unwrap().cosign(note.text(), 1).unwrap();
    note.add_signatures([forged, other]).unwrap();
    assert_eq!(served.add(request(0, vec![], &note)).await.status, 200);

    let answer = served.get(&path).await;
    assert_eq!((answer.status, answer.content_type.as_str()), (200, "text/plain; charset=utf-8"));
    let kept = Note::parse(answer.body.as_bytes()).unwrap();
    assert_eq!(kept.text(), log.note(4).text());
    let keys = [log.signer.verifier().clone(), witness_signer().verifier().clone()];
    assert_eq!(kept.verify(&keys).unwrap().len(), 2);
    assert_eq!(kept.signatures().len(), 2);

    // And the state is readable by the next process.
    let folder = served.stop().await;
    let reopened = open_witness(&folder.path().join("state"), fixed_clock());
    assert_eq!(reopened.latest(&origin_hash(ORIGIN)), Some(answer.body.into_bytes()));
}

#[tokio::test]
async fn a_body_without_end_is_413_and_a_slow_one_408() {
    let limits = Limits { body_timeout_s: 1, ..Limits::default() };
    let served = Served::start_with(fixed_clock(), limits).await;
    assert_eq!(served.add(vec![b'x'; MAX_REQUEST_LEN + 1]).await.status, 413);
    // Just within the limit it is read, and malformed.
    assert_eq!(served.add(vec![b'x'; MAX_REQUEST_LEN]).await.status, 400);

    let mut slow = TcpStream::connect(served.address).await.unwrap();
    slow.write_all(b"POST /add-checkpoint HTTP/1.1\r\nhost: w\r\ncontent-length: 100\r\n\r\nold 0\n")
        .await
        .unwrap();
    let mut answer = [0; 12];
    tokio::time::timeout(Duration::from_secs(10), slow.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
}

#[tokio::test]
async fn too_many_open_requests_are_503() {
    let limits = Limits { concurrent_requests_max: 1, ..Limits::default() };
    let served = Served::start_with(fixed_clock(), limits).await;
    let mut slow = TcpStream::connect(served.address).await.unwrap();
    slow.write_all(b"POST /add-checkpoint HTTP/1.1\r\nhost: w\r\ncontent-length: 100\r\n\r\nold 0\n")
        .await
        .unwrap();
    let log = TestLog::new(0, 1);
    // The slow request takes its place as soon as its head is read.
    let mut seen = Vec::new();
    for _ in 0..100 {
        seen.push(served.add(log.request(0, 0)).await.status);
        if seen.last() == Some(&503) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(seen.last(), Some(&503), "{seen:?}");
    drop(slow);
    for _ in 0..100 {
        if served.add(log.request(0, 0)).await.status == 200 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the place was not given back");
}

#[tokio::test]
async fn a_client_that_never_finishes_does_not_hold_up_the_stop() {
    let limits = Limits { body_timeout_s: 600, shutdown_timeout_s: 1, ..Limits::default() };
    let served = Served::start_with(fixed_clock(), limits).await;
    let mut slow = TcpStream::connect(served.address).await.unwrap();
    slow.write_all(b"POST /add-checkpoint HTTP/1.1\r\nhost: w\r\ncontent-length: 100\r\n\r\nold 0\n")
        .await
        .unwrap();
    assert_eq!(served.add(TestLog::new(0, 1).request(0, 1)).await.status, 200);
    served.stop().await;
}

/// The log's own signature is what counts: strangers cannot use up what a log may ask, and one log not another's.
#[tokio::test]
async fn a_log_that_asks_too_often_is_429() {
    let limits = Limits { log_per_second: 1, log_burst: 2, ..Limits::default() };
    let other = TestLog::new(0, 4).named("log.example/other");
    let mut keys = log_keys();
    keys.insert(other.origin().to_owned(), vec![other.signer.verifier().clone()]);
    let served = Served::start_for(keys, fixed_clock(), limits).await;
    let log = TestLog::new(0, 9);
    let body = log.checkpoint(5).body();
    let unsigned = NoteSignature::new(ORIGIN, log.signer.verifier().id(), vec![7; 64]).unwrap();
    for _ in 0..20 {
        let note = Note::new(body.clone(), vec![unsigned.clone()]).unwrap();
        assert_eq!(served.add(request(0, vec![], &note)).await.status, 403);
    }
    assert_eq!(served.add(log.request(0, 4)).await.status, 200);
    assert_eq!(served.add(log.request(0, 4)).await.status, 409, "an answer counts, whatever it is");
    let answer = served.add(log.request(4, 9)).await;
    assert_eq!((answer.status, answer.retry_after.as_deref()), (429, Some("1")));
    assert_eq!(served.add(other.request(0, 4)).await.status, 200, "another log has asked nothing yet");
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(served.add(log.request(4, 9)).await.status, 200);
}

/// 16 lines of the longest kind that a note may carry must fit into a request.
#[tokio::test]
async fn sixteen_post_quantum_lines_fit() {
    let served = Served::start().await;
    let log = TestLog::new(0, 5);
    let mut note = log.note(5);
    let lines =
        (0..16u8).map(|i| NoteSignature::new(format!("witness.example/{i}"), 7, vec![i; 5_000]).unwrap());
    note.add_signatures(lines).unwrap();
    assert_eq!(served.add(request(0, vec![], &note)).await.status, 200);
}

#[tokio::test]
async fn time_never_goes_back_and_is_never_0() {
    let now = Arc::new(AtomicU64::new(0));
    let hand = Arc::clone(&now);
    let served = Served::start_with(Arc::new(move || hand.load(Ordering::SeqCst)), Limits::default()).await;
    let log = TestLog::new(0, 9);
    assert_eq!(served.add(log.request(0, 1)).await.status, 500, "a clock that shows nothing");
    let mut times = Vec::new();
    for (old, time) in [(0, 100), (1, 50), (2, 200)] {
        now.store(time, Ordering::SeqCst);
        let answer = served.add(log.request(old, old + 1)).await;
        assert_eq!(answer.status, 200);
        let note = Note::parse(format!("{}\n{}", log.note(old + 1).text(), answer.body).as_bytes()).unwrap();
        times.push(note.verify(&[witness_signer().verifier().clone()]).unwrap()[0].time().unwrap());
    }
    assert_eq!(times, [100, 100, 200]);
}
