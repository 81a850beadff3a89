//! C2SP tlog-tiles: from checkpoint, tiles and bundles alone anybody recomputes the tree; and the proofs between.

use std::collections::BTreeMap;

use serde_json::json;
use treering_tlog::hash::{Hash, leaf_hash, node_hash};
use treering_tlog::tile::{entries_path, tiles_at};
use treering_tlog::{bundle, consistency, inclusion, tile};

use crate::support::{Net, Stage, folder, shared};

const IMMUTABLE: &str = "public, max-age=31536000, immutable";
/// Enough that a bundle and a tile are full, and that there is a level above.
const FULL: u64 = 258;

/// RFC 9162, 2.1.1, as it is written.
pub(super) fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => treering_tlog::hash::EMPTY_ROOT,
        [one] => *one,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            node_hash(&root(left), &root(right))
        }
    }
}

/// Small statements of the issuer who may register plain payloads, until the log is large enough.
async fn fill(stage: &'static Stage) {
    let missing = FULL.saturating_sub(stage.committed().await);
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..8 {
        let statements: Vec<_> =
            (0..missing).filter(|number| number % 8 == task).map(|number| stage.filler(number)).collect();
        tasks.spawn(async move {
            let net = stage.stranger();
            for statement in statements {
                net.entries(&statement).await.is(201);
            }
        });
    }
    tasks.join_all().await;
}

/// Waits until the witnesses have seen at least that much.
async fn witnessed(stage: &Stage, size: u64) -> treering_tlog::checkpoint::Checkpoint {
    for _ in 0..200 {
        let checkpoint = stage.checkpoint().await;
        if checkpoint.size() >= size {
            return checkpoint;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("no checkpoint of size {size}");
}

/// Everything under a checkpoint, by path.
async fn fetch(net: &Net, size: u64) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    for (id, width) in tiles_at(size) {
        let mut paths = vec![id.path(width)];
        paths.extend((id.level == 0).then(|| entries_path(id.index, width)));
        for path in paths {
            let reply = net.get(&format!("/{path}")).await.is(200);
            assert_eq!(reply.header("content-type"), "application/octet-stream");
            assert_eq!(reply.header("cache-control"), IMMUTABLE, "{path}");
            all.insert(path, reply.body);
        }
    }
    all
}

#[tokio::test]
async fn tiles_and_bundles_recompute_the_signed_root() {
    let stage = shared().await;
    fill(stage).await;
    let net = stage.stranger();
    let checkpoint = witnessed(stage, FULL).await;
    let reply = net.get("/checkpoint").await.is(200);
    assert_eq!(reply.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(reply.header("cache-control"), "no-cache", "it is replaced with every batch");
    let note = treering_tlog::note::Note::parse(&reply.body).unwrap();
    stage.trust().policy().unwrap().verify(&note).unwrap();
    assert_eq!(checkpoint.origin(), stage.origin);

    let size = checkpoint.size();
    let tiles = fetch(&net, size).await;
    let mut leaves = Vec::new();
    for (id, width) in tiles_at(size).filter(|(id, _)| id.level == 0) {
        let bundle = &tiles[&entries_path(id.index, width)];
        let hashes: Vec<Hash> = bundle::decode(bundle).unwrap().into_iter().map(leaf_hash).collect();
        assert_eq!(tile::decode(&tiles[&id.path(width)]).unwrap(), hashes, "tile and bundle {}", id.index);
        leaves.extend(hashes);
    }
    assert_eq!(leaves.len() as u64, size);
    assert_eq!(&root(&leaves), checkpoint.root());
    // The level above: each hash is that of a full tile.
    let above = tile::decode(&tiles["tile/1/000.p/1"]).unwrap();
    assert_eq!(above, [root(&leaves[..256])]);

    // The mirror that the program makes is the same, and clean.
    let dir = folder("mirror");
    let mirrored = stage.anonymous().mirror(&dir).await.unwrap();
    assert!(mirrored.size() >= size);
    let (tiles, trust) = (dir.to_str().unwrap(), stage.path("trust.json"));
    crate::support::cli(["log", "fsck", "--tiles", tiles, "--trust", &trust]).ended(0);

    check_partial(&net, &leaves).await;
    check_proofs(&net, &leaves).await;
}

/// Every width up to what there is, as a beginning of the widest; nothing wider, nothing beyond.
async fn check_partial(net: &Net, leaves: &[Hash]) {
    for width in [1_usize, 2, 3, 100, 255] {
        let tile = net.get(&format!("/tile/0/000.p/{width}")).await.is(200);
        assert_eq!(tile::decode(&tile.body).unwrap(), leaves[..width]);
        let entries = net.get(&format!("/tile/entries/000.p/{width}")).await.is(200);
        let entries = bundle::decode(&entries.body).unwrap().into_iter().map(leaf_hash).collect::<Vec<_>>();
        assert_eq!(entries, leaves[..width]);
    }
    for absent in [
        "tile/0/002",
        "tile/0/001",
        "tile/0/001.p/255",
        "tile/0/x001/000",
        "tile/1/000",
        "tile/1/000.p/2",
        "tile/2/000.p/1",
        "tile/entries/001",
        "tile/entries/001.p/255",
        "tile/entries/x999/999",
    ] {
        let reply = net.get(&format!("/{absent}")).await;
        reply.problem(404, "not-found");
        assert_eq!(reply.header("cache-control"), "no-store", "{absent}: it may exist in a moment");
    }
    for malformed in [
        "tile/0/0",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/x000/001",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/entries/0",
        "tile/0/000/",
        "tile/0",
        "tile/%ff",
        "tile/0/%30%30%30.p/1",
        "tile/%65ntries/000.p/1",
        "tile/0//000.p/1",
        "tile/0/000.p/+1",
        "tile/18446744073709551616/000",
        "tile/0/x018/x446/x744/x073/x709/x551/616",
    ] {
        let reply = net.get(&format!("/{malformed}")).await;
        assert!([400, 404].contains(&reply.status), "{malformed}: {}", reply.status);
        assert_eq!(reply.header("content-type"), "application/problem+json", "{malformed}");
        assert_ne!(reply.headers.get("cache-control").map(|value| value.to_str().unwrap()), Some(IMMUTABLE));
    }
}

async fn check_proofs(net: &Net, leaves: &[Hash]) {
    let path = async |query: String| {
        let body = net.get(&query).await.is(200).json();
        let hashes = body["path"].as_array().unwrap().iter();
        let hash = |text: &serde_json::Value| {
            data_encoding::BASE64URL_NOPAD.decode(text.as_str().unwrap().as_bytes()).unwrap()
        };
        hashes.map(|text| Hash::from_slice(&hash(text)).unwrap()).collect::<Vec<_>>()
    };
    for size in [2_usize, 3, 7, 8, 255, 256, 257] {
        let whole = root(&leaves[..size]);
        for index in [0, 1, size / 2, size - 1] {
            let proof = path(format!("/v1/inclusion?index={index}&size={size}")).await;
            inclusion::verify(&leaves[index], index as u64, size as u64, &proof, &whole).unwrap();
        }
        for old in [1, 2, size / 2, size - 1, size] {
            let proof = path(format!("/v1/consistency?from={old}&to={size}")).await;
            let before = root(&leaves[..old]);
            consistency::verify(old as u64, size as u64, &before, &whole, &proof).unwrap();
        }
    }
    assert_eq!(net.get("/v1/inclusion?index=0&size=1").await.is(200).json(), json!({ "path": [] }));
}

/// C2SP tlog-proof of what the service has, made and verified by the program.
#[tokio::test]
async fn a_proof_from_the_service_is_verified_offline() {
    let stage = shared().await;
    witnessed(stage, 2).await;
    let dir = folder("proof");
    let path = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let (proof, entry, trust) = (path("one.tlog-proof"), path("one.cose"), stage.path("trust.json"));
    let (url, roots) = (stage.url(), stage.path("tls/ca.pem"));
    let from = ["log", "prove", "--url", &url, "--tls-ca", &roots, "--index", "1"];
    let made = crate::support::cli([&from[..], &["--out", &proof, "--entry", &entry]].concat()).ended(0);
    assert!(made.stdout.contains("entry 1 proven"), "{}", made.stdout);
    let verify = ["log", "verify-proof", "--proof", &proof, "--entry", &entry, "--trust", &trust];
    let said = crate::support::cli(verify).ended(0).stdout;
    assert!(said.contains("entry 1 of") && said.contains("cosigned by"), "{said}");
    std::fs::write(&entry, b"something else").unwrap();
    crate::support::cli(verify).ended(1);
}
