//! Receipts of consistency: whoever knows an older tree learns the newest one, signed, from one answer.

use treering_provenance::cose::Sign1;
use treering_provenance::receipt::{MAX_RECEIPT_BYTES, Receipt};
use treering_tlog::hash::Hash;

use super::tiles::root;
use crate::support::{Net, Settings, Stage, shared};

/// The first leaves.
async fn leaves(stage: &Stage, net: &Net, count: u64) -> Vec<Hash> {
    let mut leaves = Vec::new();
    for index in 0..count {
        leaves.push(stage.statement(net, index).await.leaf());
    }
    leaves
}

async fn receipt(net: &Net, query: &str) -> Vec<u8> {
    let reply = net.get(&format!("/v1/consistency-receipt?{query}")).await.is(200);
    assert_eq!(reply.header("content-type"), "application/cose");
    reply.body
}

#[tokio::test]
async fn a_receipt_of_consistency_leads_from_a_known_tree_to_the_newest() {
    let stage = shared().await;
    let net = stage.stranger();
    let known = leaves(stage, &net, 7).await;
    let trust = stage.trust();
    let key = &trust.receipt_keys().0[0];
    let mut last = 0;
    for old in 1..=known.len() {
        let parsed = Receipt::parse(&receipt(&net, &format!("from={old}")).await).unwrap();
        let before = (old as u64, &root(&known[..old]));
        let extended = parsed.verify_consistency(key, &stage.origin, before).unwrap();
        assert!(extended.size() >= last.max(known.len() as u64), "the tree only grows");
        last = extended.size();
        // Not from another tree, for another log, by another key.
        let other = (old as u64, &Hash::from_bytes([7; 32]));
        assert!(parsed.verify_consistency(key, &stage.origin, other).is_err());
        assert!(parsed.verify_consistency(key, "log.other.example/1", before).is_err());
        assert!(parsed.verify_consistency(stage.signer("ci").key(), &stage.origin, before).is_err());
    }
}

/// The head that witnesses cosigned is that of the checkpoint, size and root. Other tests append meanwhile, so the
/// two are asked for until they are of one size.
#[tokio::test]
async fn the_witnessed_head_is_the_checkpoints() {
    let stage = shared().await;
    let net = stage.stranger();
    let first = leaves(stage, &net, 3).await;
    let trust = stage.trust();
    let key = &trust.receipt_keys().0[0];
    for _ in 0..200 {
        let parsed = Receipt::parse(&receipt(&net, "from=3&head=witnessed").await).unwrap();
        let extended = parsed.verify_consistency(key, &stage.origin, (3, &root(&first))).unwrap();
        let checkpoint = stage.checkpoint().await;
        if checkpoint.size() == extended.size() {
            assert_eq!(checkpoint.root(), extended.root());
            return;
        }
    }
    panic!("the checkpoint is never of the size of the witnessed head");
}

/// One signature per checkpoint: nothing is signed because somebody asks for a receipt.
#[tokio::test]
async fn receipts_of_one_head_share_one_signature() {
    let stage = shared().await;
    let net = stage.stranger();
    let id = stage.statement(&net, 4).await.entry_id();
    let parts = |bytes: &[u8]| {
        let sign1 = Sign1::parse(bytes, MAX_RECEIPT_BYTES).unwrap();
        (sign1.protected_bytes().to_vec(), sign1.signature().to_vec())
    };
    for _ in 0..200 {
        let inclusion = net.get(&format!("/entries/{id}")).await.is(200).body;
        let consistency = receipt(&net, "from=3&head=committed").await;
        let size = |bytes: &[u8]| Receipt::parse(bytes).unwrap().head().unwrap().size;
        if size(&inclusion) == size(&consistency) {
            assert_eq!(parts(&inclusion), parts(&consistency));
            return;
        }
    }
    panic!("two receipts were never of one head");
}

#[tokio::test]
async fn what_has_no_receipt_of_consistency() {
    let stage = shared().await;
    let net = stage.stranger();
    for query in ["from=0", "from=18446744073709551615", "from=0&head=witnessed"] {
        let detail = net.get(&format!("/v1/consistency-receipt?{query}")).await.problem(404, "not-found");
        assert!(detail.contains("want 1 to "), "{detail}");
    }
    for query in ["", "from=", "from=-1", "from=x", "from=1&head=newest", "from=1&to=3", "from=1&from=2"] {
        net.get(&format!("/v1/consistency-receipt?{query}")).await.problem(400, "malformed");
    }

    // Without witnesses there is no head that they cosigned; and a tree is not newer than itself.
    let alone = Stage::make(&Settings::default()).await;
    alone.serve();
    let net = alone.stranger();
    net.get("/v1/consistency-receipt?from=1&head=witnessed").await.problem(404, "not-found");
    net.get("/v1/consistency-receipt?from=2").await.problem(404, "not-found");
    let first = leaves(&alone, &net, 2).await;
    let parsed = Receipt::parse(&receipt(&net, "from=1").await).unwrap();
    let trust = alone.trust();
    let key = &trust.receipt_keys().0[0];
    let extended = parsed.verify_consistency(key, &alone.origin, (1, &first[0])).unwrap();
    assert_eq!((extended.size(), *extended.root()), (2, root(&first)));
}
