//! A policy's way into force: registered, approved by enough, activated by an operator; and each way that ends before.

use serde_json::json;
use sha2::{Digest, Sha384};
use treering::client::ClientError;
use treering_provenance::bytes::Bytes;
use treering_provenance::content::{
    AnyContent, Content, PolicyType, ProvenanceType, ReferenceValue, ReferenceValues, V1, WorkloadProvenance,
};
use treering_tlog::hash::Hash;

use crate::support::{APPRAISAL, Ask, Settings, Stage, image, now, random, shared};

/// SCRAPI's "Rejected" and its reason.
async fn rejected<C: Content>(stage: &Stage, who: &str, content: &C) -> String {
    match stage.try_register(who, content).await {
        Err(ClientError::Refused { status, detail, .. }) => {
            assert_eq!(status, 400, "{detail}");
            detail.strip_prefix("Rejected: ").unwrap_or_else(|| panic!("{detail}")).to_owned()
        }
        other => panic!("{other:?}"),
    }
}

/// Reference values, policy and manifest are kept prepared by the service: a new activation counts for the next decision,
/// and every decision rests on what was in force where it stands in the log.
#[tokio::test]
async fn what_is_activated_counts_from_the_next_decision_on() {
    let stage = &Stage::make(&Settings::default()).await;
    stage.serve();
    stage.grant_all().await;
    let (net, target) = (&stage.stranger(), &Stage::identifier("renewed"));
    let decide = async || {
        let reply = Ask::good(stage, net, target).await.send(net).await;
        if reply.status == 201 { "issued".to_owned() } else { stage.refusal(&reply).await.reason }
    };
    let values = async |measurement: Vec<u8>| {
        let value = ReferenceValue::single("sev-snp", "payments 1", "measurement", measurement);
        let (v, workload) = (V1, "renewed".to_owned());
        let values = ReferenceValues { v, workload, values: vec![value], provenance: Vec::new() };
        stage.register("ci", &values).await.leaf
    };
    let manifest = |assurance: &str| Stage::manifest_with("renewed", assurance, "renewed", "renewed");
    let [good_values, bad_values] =
        [values(Sha384::digest(image()).to_vec()).await, values(vec![1; 48]).await];
    let registered = async |policy| stage.register("author", &policy).await.leaf;
    let [good_policy, bad_policy] =
        [registered(variant("renewed", 115)).await, registered(variant("renewed", 220)).await];
    let [good_manifest, bad_manifest] =
        [registered(manifest("simulated")).await, registered(manifest("hardware")).await];
    let mut in_force = Vec::new();
    for good in [good_values, good_policy, good_manifest] {
        in_force.push(stage.bring_into_force(good, None).await.leaf);
    }
    assert_eq!((decide().await.as_str(), decide().await.as_str()), ("issued", "issued"));
    for (number, good, bad, reason) in [
        (0, good_values, bad_values, "reference-value"),
        (1, good_policy, bad_policy, "tcb-floor"),
        (2, good_manifest, bad_manifest, "no-selector"),
    ] {
        in_force[number] = stage.bring_into_force(bad, Some(in_force[number])).await.leaf;
        assert_eq!((decide().await.as_str(), decide().await.as_str()), (reason, reason));
        in_force[number] = stage.bring_into_force(good, Some(in_force[number])).await.leaf;
        assert_eq!(decide().await, "issued");
    }
    // While decisions are made, too.
    let changes = async {
        let mut predecessor = in_force[0];
        for values in [bad_values, good_values, bad_values, good_values] {
            predecessor = stage.bring_into_force(values, Some(predecessor)).await.leaf;
        }
    };
    let decisions = async || {
        for _ in 0..12 {
            let decided = decide().await;
            assert!(["issued", "reference-value"].contains(&decided.as_str()), "{decided}");
        }
    };
    tokio::join!(changes, decisions(), decisions());
    let replay = stage.audit(&["replay", "--all"]);
    assert_eq!(replay["verdict"], "identical", "{replay}");
}

/// An appraisal policy of a name, in a variant.
fn variant(name: &str, microcode: u8) -> treering_provenance::content::Policy {
    let body = APPRAISAL
        .replace("\"default\"", &format!("\"{name}\""))
        .replace("microcode = 115", &format!("microcode = {microcode}"));
    Stage::policy(PolicyType::Appraisal, name, &body)
}

#[tokio::test]
async fn nothing_comes_into_force_without_enough_approvals() {
    let stage = shared().await;
    let policy = stage.register("author", &variant("approved", 1)).await.leaf;
    let missing = async |policy: Hash| stage.activate(policy).await.problem(403, "approvals");
    assert!(missing(policy).await.starts_with("0 of 2 approvals"));
    stage.approve("approver", policy, None).await;
    assert!(missing(policy).await.starts_with("1 of 2 approvals"));
    // One approver twice is one approver.
    stage.approve("approver", policy, None).await;
    assert!(missing(policy).await.starts_with("1 of 2 approvals"));
    stage.approve("second", policy, None).await;
    let logged = stage.activate(policy).await.is(201).json();
    let AnyContent::Activation(activation) = stage.content(logged["index"].as_u64().unwrap()).await else {
        panic!("{logged}");
    };
    assert_eq!(Hash::from(activation.policy), policy);
    assert_eq!((activation.approvals.len(), activation.predecessor), (2, None));
    stage.activate(policy).await.problem(409, "in-force");
}

#[tokio::test]
async fn consent_counts_only_from_approvers_in_its_window_to_what_is_in_force() {
    let stage = shared().await;
    // Who may sign approvals, and is no approver.
    let policy = stage.register("author", &variant("consent", 1)).await.leaf;
    let approval = |not_before, not_after| treering_provenance::content::Approval {
        v: V1,
        policy: policy.into(),
        predecessor: None,
        not_before,
        not_after,
    };
    let reason = rejected(stage, "intern", &approval(now(), now() + 60)).await;
    assert_eq!(reason, "`https://intern.simulated.it.example` is not an approver");
    // Consent to what is not in the log.
    let unknown = treering_provenance::content::Approval {
        policy: Hash::from_bytes(random()).into(),
        ..approval(now(), now() + 60)
    };
    assert!(rejected(stage, "approver", &unknown).await.ends_with("is not in the log"));

    for (window, predecessor, note) in [
        ((now() - 100, now() - 50), None, "the approval's window is not now"),
        ((now() + 500, now() + 600), None, "the approval's window is not now"),
        (
            (now(), now() + 600),
            Some(Hash::from_bytes(random())),
            "the approval names another predecessor than what is in force",
        ),
    ] {
        let policy = stage.register("author", &variant("consent", random::<1>()[0])).await.leaf;
        for who in ["approver", "second"] {
            stage.approve_for(who, policy, predecessor, window).await;
        }
        let detail = stage.activate(policy).await.problem(403, "approvals");
        assert!(detail.starts_with("0 of 2 approvals") && detail.contains(note), "{detail}");
    }
}

#[tokio::test]
async fn only_policies_and_reference_values_are_activated() {
    let stage = shared().await;
    stage.activate(Hash::from_bytes(random())).await.problem(404, "not-found");
    let document = WorkloadProvenance {
        v: V1,
        workload: "payments".to_owned(),
        provenance_type: ProvenanceType::Vendor,
        media_type: "text/plain".to_owned(),
        body: Bytes(b"trust us".to_vec()),
        subjects: Vec::new(),
    };
    let document = stage.register("ci", &document).await;
    stage.activate(document.leaf).await.problem(400, "malformed");
    let net = stage.net("operator");
    net.post("/v1/activations", &json!({ "policy": "AAAA" })).await.problem(422, "malformed");
    net.post("/v1/activations", &json!({ "leaf": "AAAA" })).await.problem(422, "malformed");
}

#[tokio::test]
async fn a_policy_that_does_not_parse_is_not_registered() {
    let stage = shared().await;
    let appraisal = |body: &str| Stage::policy(PolicyType::Appraisal, "broken", body);
    for body in
        ["", "version = 1", "version = 2\nname = \"broken\"", "= = =", &format!("{APPRAISAL}\ncolour = 1")]
    {
        let reason = rejected(stage, "author", &appraisal(body)).await;
        assert!(reason.starts_with("policy `broken`: "), "{reason}");
    }
    let manifest = Stage::manifest("broken", "simulated");
    let text = String::from_utf8(manifest.body.0.clone()).unwrap();
    let with = |body: &str| Stage::policy(PolicyType::Mapping, &manifest.name, body);
    rejected(stage, "author", &with(&text.replace("version = 1", "version = 9"))).await;
    rejected(stage, "author", &with(&text.replace("level = 3", "assurance = \"hardware\""))).await;
    // For another workload than its name says, and for another trust domain.
    let reason = rejected(stage, "author", &with(&text.replace("/broken\"", "/other\""))).await;
    assert!(reason.contains("want the name to be that"), "{reason}");
    let foreign = "spiffe://other.example/a";
    let body = text.replace(&manifest.name, foreign);
    let reason = rejected(stage, "author", &Stage::policy(PolicyType::Mapping, foreign, &body)).await;
    assert!(reason.contains("want the trust domain"), "{reason}");
    for kind in [PolicyType::Issuance, PolicyType::KeyRelease] {
        let reason = rejected(stage, "author", &Stage::policy(kind, "later", APPRAISAL)).await;
        assert!(reason.contains("are not taken"), "{reason}");
    }
}

#[tokio::test]
async fn a_successor_replaces_its_predecessor_and_rollback_is_a_decision_of_its_own() {
    let stage = shared().await;
    let one = stage.register("author", &variant("succession", 1)).await.leaf;
    let two = stage.register("author", &variant("succession", 2)).await.leaf;
    let first = stage.bring_into_force(one, None).await;
    // Consent given when nothing was in force is no consent to replace something; nor is one that names the policy
    // and not the activation that it replaces.
    for predecessor in [None, Some(one)] {
        for who in ["approver", "second"] {
            stage.approve(who, two, predecessor).await;
        }
    }
    let detail = stage.activate(two).await.problem(403, "approvals");
    assert!(detail.contains("names another predecessor"), "{detail}");
    let second = stage.bring_into_force(two, Some(first.leaf)).await;
    let AnyContent::Activation(activation) = stage.content(second.index).await else { panic!() };
    assert_eq!(activation.predecessor.map(Hash::from), Some(first.leaf));
    // Back again: the old consent to the first does not do.
    stage.activate(one).await.problem(403, "approvals");
    stage.bring_into_force(one, Some(second.leaf)).await;
    stage.activate(one).await.problem(409, "in-force");
    // And forth: consent was to replace the first activation, and that is not the one in force.
    stage.activate(two).await.problem(403, "approvals");
}

#[tokio::test]
async fn reference_values_name_what_is_there_and_fit_the_hardware() {
    use treering_provenance::content::{ReferenceValue, ReferenceValues};
    let stage = shared().await;
    let values = |octets: usize, provenance: Vec<Hash>| ReferenceValues {
        v: V1,
        workload: "misfits".to_owned(),
        values: vec![ReferenceValue::single("sev-snp", "short", "measurement", vec![1; octets])],
        provenance: provenance.into_iter().map(Into::into).collect(),
    };
    let reason = rejected(stage, "ci", &values(47, Vec::new())).await;
    assert_eq!(reason, "reference value \"short\": sev-snp has no register \"measurement\" of 47 octets");
    let reason = rejected(stage, "ci", &values(48, vec![Hash::from_bytes(random())])).await;
    assert!(reason.ends_with("is not in the log"), "{reason}");
    let policy = stage.register("author", &variant("not-provenance", 1)).await.leaf;
    let reason = rejected(stage, "ci", &values(48, vec![policy])).await;
    assert!(reason.ends_with("is not of kind workload-provenance"), "{reason}");
}
