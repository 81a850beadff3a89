//! `/v1/challenges` and `/v1/credentials`: one way to a credential, and every way to none.

use data_encoding::BASE64URL_NOPAD;
use rcgen::{PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384};
use serde_json::{Value, json};
use treering::attester::simulated::Launch;
use treering::attester::{Attester, recorded};
use treering::binding::{CHALLENGE_LIFETIME_S, Challenger};
use treering::keys::KeyStore;
use treering_provenance::content::PolicyType;
use treering_provenance::verify::{Outcome, VerifyOptions, verify_x509};
use treering_provenance::x509::Profile;

use crate::support::demo::certificates;
use crate::support::{
    APPRAISAL, Ask, Net, Stage, TRUST_DOMAIN, csr, folder, guest, image, now, random, shared,
};

async fn scene(name: &str) -> (&'static Stage, Net, String) {
    let stage = shared().await;
    let target = stage.workload(name).await;
    (stage, stage.stranger(), target)
}

#[tokio::test]
async fn a_workload_gets_a_credential_that_holds() {
    let (stage, net, target) = scene("issued").await;
    let ask = Ask::good(stage, &net, &target).await;
    let answer = ask.send(&net).await.is(201).json();
    let names: Vec<&str> = answer.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["credential", "not_after", "index", "tree_size"]);
    assert!(answer["index"].as_u64() < answer["tree_size"].as_u64(), "{answer}");
    let not_after = answer["not_after"].as_u64().unwrap();
    assert!((now() + 590..=now() + 600).contains(&not_after), "the manifest's max_ttl_s is 600: {answer}");

    let path = folder("issued").join("credential.pem");
    std::fs::write(&path, answer["credential"].as_str().unwrap()).unwrap();
    let chain = certificates(&path);
    assert_eq!(chain.len(), 2);
    let options = VerifyOptions { now: now(), identifier: Some(&target), possession: None };
    let verdict = verify_x509(&chain, &stage.trust(), &options);
    assert_eq!(verdict.outcome(), Outcome::Trustworthy, "{verdict:?}");
    assert_eq!(Some(verdict.log().unwrap().index), answer["index"].as_u64());
    let key = Profile::parse(&chain[0]).unwrap().key().unwrap().to_spki();
    assert!(ask.csr.windows(key.len()).any(|window| window == key), "it is the key of the request");
}

#[tokio::test]
async fn challenges_of_others_too_old_or_for_another_target_are_refused() {
    let (stage, net, target) = scene("challenged").await;
    let refused = async |challenge: Vec<u8>, target: &str| {
        let mut ask = Ask::begin(stage, &net, target).await;
        ask.challenge = challenge;
        ask.attest(&guest(stage, &image())).send(&net).await.problem(409, "challenge")
    };
    let foreign = Challenger::new(&random());
    let detail = refused(foreign.make(random(), &target, now()), &target).await;
    assert_eq!(detail, "the challenge is not one of this ledger for this target");

    // The service's own secret: only the age is wrong.
    let secret = KeyStore::at(stage.path("keys")).master().unwrap().derive("challenge");
    let own = Challenger::new(&secret);
    let detail = refused(own.make(random(), &target, now() - CHALLENGE_LIFETIME_S - 5), &target).await;
    assert!(detail.contains("want at most 300 s"), "{detail}");
    let detail = refused(own.make(random(), &target, now() + 600), &target).await;
    assert_eq!(detail, "the challenge is not one of this ledger for this target", "from the future");

    let other = stage.workload("challenged/other").await;
    let for_other = Ask::begin(stage, &net, &other).await.challenge;
    refused(for_other, &target).await;
    for length in [0, 39, 41, 4096] {
        let detail = refused(vec![0; length], &target).await;
        assert_eq!(detail, format!("a challenge has 40 octets, got {length}"));
    }
}

#[tokio::test]
async fn a_challenge_is_used_once() {
    let (stage, net, target) = scene("once").await;
    let ask = Ask::good(stage, &net, &target).await;
    ask.send(&net).await.is(201);
    ask.send(&net).await.problem(409, "challenge-used");
    // By another request too, and by one that was refused.
    let mut other = Ask::begin(stage, &net, &target).await;
    other.challenge.clone_from(&ask.challenge);
    other.attest(&guest(stage, &image())).send(&net).await.problem(409, "challenge-used");
    let refused = Ask::begin(stage, &net, &target).await.attest(&guest(stage, b"another image"));
    stage.refusal(&refused.send(&net).await).await;
    refused.send(&net).await.problem(409, "challenge-used");
}

#[tokio::test]
async fn of_simultaneous_requests_with_one_challenge_one_wins() {
    let (stage, net, target) = scene("raced").await;
    let ask = Ask::good(stage, &net, &target).await;
    let nets: Vec<Net> = (0..6).map(|_| stage.stranger()).collect();
    let mut statuses = Vec::new();
    let requests = nets.iter().map(|net| ask.send(net));
    for reply in futures(requests).await {
        if reply.status == 409 {
            reply.problem(409, "challenge-used");
        }
        statuses.push(reply.status);
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409, 409, 409]);
}

/// Polls all at once on this task.
async fn futures<F: Future>(all: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut all: Vec<_> = all.map(|one| (Box::pin(one), None)).collect();
    std::future::poll_fn(|context| {
        for (future, output) in &mut all {
            if output.is_none()
                && let std::task::Poll::Ready(ready) = future.as_mut().poll(context)
            {
                *output = Some(ready);
            }
        }
        let done = all.iter().all(|(_, output)| output.is_some());
        if done { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    all.into_iter().map(|(_, output)| output.unwrap()).collect()
}

#[tokio::test]
async fn without_policies_in_force_nothing_is_decided() {
    let stage = shared().await;
    let net = stage.stranger();
    // Whichever is missing, and the challenge stays as good as new: nothing was decided.
    let refused = async |name: &str| {
        let ask = Ask::good(stage, &net, &Stage::identifier(name)).await;
        for _ in 0..2 {
            let detail = ask.send(&net).await.problem(403, "no-policy");
            assert_eq!(detail, "no policy that lets this target have a credential is in force");
        }
    };
    refused("nobody").await;
    // Proposed and approved is not in force.
    let proposed = stage.register("author", &Stage::manifest("proposed", "simulated")).await;
    stage.approve("approver", proposed.leaf, None).await;
    stage.approve("second", proposed.leaf, None).await;
    refused("proposed").await;
    for (name, policy, references) in
        [("no-policy", "absent", "payments"), ("no-values", "default", "absent")]
    {
        let manifest = Stage::manifest_with(name, "simulated", policy, references);
        let manifest = stage.register("author", &manifest).await;
        stage.bring_into_force(manifest.leaf, None).await;
        refused(name).await;
    }
}

#[tokio::test]
async fn what_is_not_the_message_is_malformed() {
    let (stage, net, target) = scene("malformed").await;
    let good = Ask::good(stage, &net, &target).await.json();
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut body = good.clone();
        change(&mut body);
        body
    };
    let mut bodies = vec![
        (422, changed(&|body| body["colour"] = "red".into())),
        (422, changed(&|body| drop(body.as_object_mut().unwrap().remove("csr")))),
        (422, changed(&|body| body["csr"] = "=".into())),
        (422, changed(&|body| body["csr"] = 7.into())),
        (422, json!([])),
        (400, changed(&|body| body["csr"] = BASE64URL_NOPAD.encode(&vec![0; 8193]).into())),
        (400, changed(&|body| body["evidence"]["__cmwc_t"] = "tag:other".into())),
        (400, changed(&|body| drop(body["evidence"].as_object_mut().unwrap().remove("__cmwc_t")))),
        // A collection without a report; records that are none.
        (400, changed(&|body| drop(body["evidence"].as_object_mut().unwrap().remove("evidence-0")))),
        (400, changed(&|body| body["evidence"]["evidence-0"] = json!(["a/b", "AAAA"]))),
        (400, changed(&|body| body["evidence"]["evidence-0"] = json!(["a/b", "=", 4]))),
        (400, changed(&|body| body["evidence"]["evidence-0"][2] = 8.into())),
        (400, changed(&|body| body["evidence"]["evidence-0"] = json!(["", "AAAA", 4]))),
        (400, changed(&|body| body["evidence"]["x"] = json!(["text/plain", "AAAA", 2]))),
        (
            400,
            changed(&|body| {
                for number in 0..64 {
                    body["evidence"][format!("more-{number}")] = json!(["a/b", "AAAA", 4]);
                }
            }),
        ),
        (400, changed(&|body| body["target"] = "spiffe://other.example/a".into())),
        (400, changed(&|body| body["target"] = "https://bank.example/a".into())),
    ];
    bodies.push((400, changed(&|body| body["evidence"]["evidence-0"][1] = "A".repeat(400_000).into())));
    for (status, body) in bodies {
        let reply = net.post("/v1/credentials", &body).await;
        reply.problem(status, "malformed");
    }
    let post = async |path, media_type, body: Vec<u8>| {
        net.send(axum::http::Method::POST, path, media_type, body).await
    };
    for path in ["/v1/credentials", "/v1/challenges"] {
        post(path, Some("application/json"), b"{".to_vec()).await.problem(400, "malformed");
        post(path, Some("application/json"), Vec::new()).await.problem(400, "malformed");
        post(path, Some("application/json"), vec![0xff; 8]).await.problem(400, "malformed");
        post(path, None, b"{}".to_vec()).await.problem(415, "malformed");
        let oversized = vec![b' '; (2 << 20) + 1];
        post(path, Some("application/json"), oversized).await.problem(413, "malformed");
    }
    for target in ["spiffe://other.example/a", "spiffe://", "", &format!("spiffe://{TRUST_DOMAIN}/a/../b")] {
        net.post("/v1/challenges", &json!({ "target": target })).await.problem(400, "malformed");
    }
    net.post("/v1/challenges", &json!({ "target": target, "colour": "red" })).await.problem(422, "malformed");
    // All that while, the challenge was not used up.
    net.post("/v1/credentials", &good).await.is(201);
}

/// Everything that is wrong with evidence or key is refused and logged; the caller learns that, and no more.
#[tokio::test]
async fn what_the_evidence_does_not_bear_out_is_refused_and_logged() {
    let (stage, net, target) = scene("refused").await;
    let guest = guest(stage, &image());
    let begin = || Ask::begin(stage, &net, &target);
    let logged = async |ask: Ask| {
        let refusal = stage.refusal(&ask.send(&net).await).await;
        assert_eq!(refusal.target, target);
        assert!(refusal.appraisal.is_some());
        (refusal.step, refusal.reason)
    };
    let is = |step: &str, reason: &str| (step.to_owned(), reason.to_owned());

    // The key: not the request's own signature, another curve, another request than the evidence is bound to.
    let mut ask = begin().await;
    let last = ask.csr.len() - 1;
    ask.csr[last] ^= 1;
    assert_eq!(logged(ask.attest(&guest)).await, is("binding", "no-possession"));
    let mut ask = begin().await;
    ask.csr = csr(&PKCS_ECDSA_P384_SHA384);
    assert_eq!(logged(ask.attest(&guest)).await, is("binding", "key-type"));
    let mut ask = begin().await;
    ask.csr = b"not a request".to_vec();
    assert_eq!(logged(ask.attest(&guest)).await, is("binding", "csr-malformed"));
    let mut ask = begin().await.attest(&guest);
    ask.csr = csr(&PKCS_ECDSA_P256_SHA256);
    assert_eq!(logged(ask).await, is("binding", "not-bound"));

    // Relayed: evidence for another challenge, another target, another server; recorded on real hardware.
    let mut ask = begin().await;
    let mut relayed = begin().await;
    relayed.csr.clone_from(&ask.csr);
    ask.evidence = relayed.attest(&guest).evidence;
    ask.endorsements = stage_endorsements(stage);
    assert_eq!(logged(ask).await, is("binding", "not-bound"));
    let mut ask = begin().await;
    ask.rp_id = "https://another.example".to_owned();
    assert_eq!(logged(ask.attest(&guest)).await, is("binding", "not-bound"));
    let mut ask = begin().await;
    let recorded = recorded::milan().unwrap();
    ask.evidence = recorded.items().map(|(kind, bytes)| (kind.to_owned(), bytes)).collect();
    ask.endorsements = recorded.endorsements;
    assert_eq!(logged(ask).await, is("binding", "not-bound"));

    // What runs, and how: an unknown image, a guest that can be debugged.
    let unknown = Ask::begin(stage, &net, &target).await.attest(&crate::support::guest(stage, b"unknown"));
    assert_eq!(logged(unknown).await, is("appraisal", "reference-value"));
    let debugged = Launch { policy: guest.launch().policy | 1 << 19, ..*guest.launch() };
    let platform = treering::attester::simulated::Platform::load(stage.path("platform").as_ref()).unwrap();
    let debugged = std::sync::Arc::new(platform).guest(debugged).unwrap();
    assert_eq!(logged(begin().await.attest(&debugged)).await, is("appraisal", "debug"));
    // A chip under a root that nobody trusts.
    let mut ask = begin().await;
    let tcb = treering::attester::simulated::SimulatedTcb::default();
    let processor = treering::attester::simulated::Processor::Milan;
    let rogue = treering::attester::simulated::Platform::generate(processor, tcb, now()).unwrap();
    let rogue = std::sync::Arc::new(rogue).guest(*guest.launch()).unwrap();
    ask = ask.attest(&rogue);
    assert_eq!(logged(ask).await, is("appraisal", "root"));
}

fn stage_endorsements(stage: &Stage) -> Vec<Vec<u8>> {
    guest(stage, &image()).report(&[0; 64]).unwrap().endorsements
}

#[tokio::test]
async fn what_is_no_evidence_is_refused_and_logged() {
    let (stage, net, target) = scene("no-evidence").await;
    let guest = guest(stage, &image());
    let logged = async |change: &dyn Fn(&mut Ask)| {
        let mut ask = Ask::begin(stage, &net, &target).await.attest(&guest);
        change(&mut ask);
        let refusal = stage.refusal(&ask.send(&net).await).await;
        assert_eq!(refusal.step, "appraisal");
        refusal.reason
    };
    assert_eq!(logged(&|ask| ask.evidence[0].1 = random::<1184>().to_vec()).await, "evidence");
    assert_eq!(logged(&|ask| ask.evidence[0].1.clear()).await, "evidence");
    assert_eq!(logged(&|ask| ask.evidence[0].1.truncate(1183)).await, "evidence");
    assert_eq!(logged(&|ask| ask.evidence[0].0 = "text/plain".to_owned()).await, "evidence");
    // Two reports, even twice the same: the policy does not name two components.
    assert_eq!(logged(&|ask| ask.evidence.push(ask.evidence[0].clone())).await, "components");
    // A changed octet in what is signed, in the signature, and in what the parser would drop.
    for place in [0x90, 0x2a0, 0x2a0 + 144, 1183] {
        let reason = logged(&|ask| ask.evidence[0].1[place] ^= 1).await;
        assert!(["signature", "canonical"].contains(&reason.as_str()), "octet {place}: {reason}");
    }
    assert_eq!(logged(&|ask| ask.endorsements.clear()).await, "endorsement");
}

#[tokio::test]
async fn a_workload_that_no_selector_matches_is_refused() {
    let stage = shared().await;
    let net = stage.stranger();
    let manifest = stage.register("author", &Stage::manifest("hardware-only", "hardware")).await;
    stage.bring_into_force(manifest.leaf, None).await;
    let ask = Ask::good(stage, &net, &Stage::identifier("hardware-only")).await;
    let refusal = stage.refusal(&ask.send(&net).await).await;
    assert_eq!((refusal.step.as_str(), refusal.reason.as_str()), ("mapping", "no-selector"));
    assert!(refusal.detail.contains("assurance"), "{}", refusal.detail);
}

/// What is in force is asked of the log at each decision: no cache, no file.
#[tokio::test]
async fn the_next_request_is_decided_by_the_policy_in_force_then() {
    let stage = shared().await;
    let net = stage.stranger();
    let manifest = Stage::manifest_with("changing", "simulated", "changing", "payments");
    let manifest = stage.register("author", &manifest).await;
    stage.bring_into_force(manifest.leaf, None).await;
    let target = Stage::identifier("changing");
    let named = APPRAISAL.replace("\"default\"", "\"changing\"");
    let lenient = stage.register("author", &Stage::policy(PolicyType::Appraisal, "changing", &named)).await;
    let strict = named.replace("microcode = 115", "microcode = 255");
    let strict = stage.register("author", &Stage::policy(PolicyType::Appraisal, "changing", &strict)).await;

    let first = stage.bring_into_force(lenient.leaf, None).await;
    Ask::good(stage, &net, &target).await.send(&net).await.is(201);
    let prepared = Ask::good(stage, &net, &target).await;
    let second = stage.bring_into_force(strict.leaf, Some(first.leaf)).await;
    let refusal = stage.refusal(&prepared.send(&net).await).await;
    assert_eq!((refusal.step.as_str(), refusal.reason.as_str()), ("appraisal", "tcb-floor"));
    // Back, by an activation of its own.
    stage.bring_into_force(lenient.leaf, Some(second.leaf)).await;
    Ask::good(stage, &net, &target).await.send(&net).await.is(201);
}
