//! Lies about decisions: registrations, results, mappings, credentials, refusals, activations.

use serde_json::{Value, json};
use treering::keys::Role;
use treering::ledger::Prepared;
use treering::vault::{Class, Scope as VaultScope};
use treering_provenance::bytes::{Bytes, Fixed};
use treering_provenance::content::{
    Activation, AnyContent, Appraisal, Content, Issuance, Mapping, Refusal, V1,
};
use treering_provenance::cose::Ed25519Signer;
use treering_provenance::statement::{self, Kind};
use treering_tlog::hash::Hash;

use super::{Dishonest, Story, story, tally};
use crate::support::{Stage, now, random};

fn appraisal(content: AnyContent) -> Appraisal {
    let AnyContent::Appraisal(appraisal) = content else { panic!("{content:?}") };
    appraisal
}

/// The appraisal, for another instant and with a challenge of its own.
fn renewed(mut appraisal: Appraisal, at: u64) -> Appraisal {
    appraisal.binding.freshness = Bytes([&random::<16>()[..], &at.to_be_bytes(), &random::<16>()].concat());
    let result = String::from_utf8(appraisal.result.0).unwrap();
    let result = result.replace(&format!("\"iat\":{}", appraisal.now), &format!("\"iat\":{at}"));
    Appraisal { now: at, result: Bytes(result.into_bytes()), ..appraisal }
}

#[tokio::test]
async fn registrations_that_the_policy_refuses_are_listed() {
    let story = story().await;
    let liar = Dishonest::take(story);
    let (stranger, foreign, ci) = (
        Ed25519Signer::from_seed(&random()).unwrap(),
        story.stage.signer("foreign"),
        story.stage.signer("ci"),
    );
    let (foreign, ci) = ((Stage::issuer("foreign"), foreign), (Stage::issuer("ci"), ci));
    let good = liar.register(&foreign.0, &*foreign.1, now()).await;
    let wanted = [
        (liar.register("https://stranger.example", &stranger, now()).await, "does not name the issuer"),
        (liar.register(&foreign.0, &stranger, now()).await, "kid is not the thumbprint"),
        (liar.register(&foreign.0, &*foreign.1, now() - 4000).await, "iat is "),
        (liar.register(&foreign.0, &*foreign.1, now() + 4000).await, "iat is "),
        (liar.register(&ci.0, &*ci.1, now()).await, "takes no plain payloads from this issuer"),
    ];
    let mut wanted: Vec<_> =
        wanted.into_iter().map(|(index, reason)| (index, "registration", reason)).collect();
    // Rules that the service wants to have from now on, past everybody.
    let AnyContent::RegistrationPolicy(mut rules) = liar.nth(Kind::Policy, 0).1 else { panic!() };
    rules.approvals_threshold = 1;
    let (index, _) = liar.log(liar.ledger.prepare_public(Role::Ledger, &rules, now()).unwrap()).await;
    wanted.push((index, "record", "is of a kind that the service signs when a log begins, and not later"));
    let report = liar.replay(story).await.ended(1).json();
    listed(&report, &wanted);
    for found in &report["differing"].as_array().unwrap()[..5] {
        assert!(found["what"].as_str().unwrap().starts_with("the policy refuses it: "), "{found}");
    }
    assert_eq!(report["decisions"]["registration"]["identical"], 20, "that at {good} was honest");
    // The rest is as it was.
    assert_eq!(report["decisions"]["appraisal"], tally(6));
}

#[tokio::test]
async fn results_that_the_verifier_does_not_give_are_listed() {
    let story = story().await;
    let liar = Dishonest::take(story);
    let at = now();
    let mut wanted: Vec<(u64, &str, &str)> = Vec::new();

    // An accepted one appraised again, under the policy that was replaced, and under the one in force.
    let (_, accepted) = liar.nth(Kind::Appraisal, 4);
    let accepted = appraisal(accepted);
    let old = appraisal(liar.nth(Kind::Appraisal, 0).1);
    let (index, _) = liar.say(Role::Verifier, &renewed(old, at), at, (&[], None)).await;
    wanted.push((index, "appraisal", "rests on another appraisal `default` than the one in force"));
    let again = renewed(accepted.clone(), at);
    let honest = liar.say(Role::Verifier, &again, at, (&[], None)).await;
    // The same challenge twice.
    let (index, _) =
        liar.say(Role::Verifier, &Appraisal { policy_id: "x".to_owned(), ..again }, at, (&[], None)).await;
    wanted.push((index, "appraisal", "its challenge was used by an earlier decision"));
    // A result that affirms what is refused: the report with one octet changed.
    let mut forged = renewed(accepted.clone(), at);
    forged.evidence[0].body.0[0x2a0] ^= 1;
    let (index, _) = liar.say(Role::Verifier, &forged, at, (&[], None)).await;
    wanted.push((index, "appraisal", "ear_status is \"contraindicated\" now, logged was \"affirming\""));
    // A status beside the result, a time that is not the statement's.
    let status = Appraisal { status: "warning".to_owned(), ..renewed(accepted.clone(), at) };
    let (index, _) = liar.say(Role::Verifier, &status, at, (&[], None)).await;
    wanted.push((index, "appraisal", "the status beside the result is warning, want affirming"));
    let (index, _) = liar.say(Role::Verifier, &renewed(accepted.clone(), at), at + 1, (&[], None)).await;
    wanted.push((index, "appraisal", "for another time than it was signed at"));
    let mut foreign = renewed(accepted.clone(), at);
    foreign.binding.rp_id = "https://another.example".to_owned();
    let (index, _) = liar.say(Role::Verifier, &foreign, at, (&[], None)).await;
    wanted.push((index, "appraisal", "was asked for by `https://another.example`"));

    let report = liar.replay(story).await.ended(1).json();
    listed(&report, &wanted);
    assert_eq!(report["decisions"]["appraisal"]["identical"], 7, "that at {} was honest", honest.0);
}

#[tokio::test]
async fn decisions_that_do_not_follow_are_listed() {
    let story = story().await;
    let liar = Dishonest::take(story);
    let at = now();
    let mut wanted: Vec<(u64, &str, &str)> = Vec::new();
    let (accepted_leaf, accepted) = liar.nth(Kind::Appraisal, 4);
    let accepted = appraisal(accepted);

    // A mapping with one more claim: by the manifest that the first mapping rested on, and it is replaced, too.
    let (mapping_leaf, mapping) = liar.nth(Kind::Mapping, 1);
    let AnyContent::Mapping(mapping) = mapping else { panic!() };
    let (index, _) = liar.say(Role::Mapper, &mapping, at, (&[accepted_leaf], None)).await;
    wanted.push((index, "mapping", "rests on another mapping `spiffe://"));
    // The manifest comes back into force, by enough approvals; then the claims alone are wrong.
    let (_, manifest) = bring_back(&liar, story).await;
    let more = Mapping {
        claims: mapping.claims.clone().into_iter().chain([("admin".to_owned(), "yes".into())]).collect(),
        manifest: manifest.into(),
        ..mapping.clone()
    };
    let (index, _) = liar.say(Role::Mapper, &more, at, (&[accepted_leaf], None)).await;
    wanted.push((index, "mapping", "the mapping gives other claims: `claims` differs"));
    // Of what was refused there is none.
    let refused = liar.nth(Kind::Refusal, 0);
    let AnyContent::Refusal(refusal) = refused.1 else { panic!() };
    let refused = Hash::from(refusal.appraisal.unwrap());
    let none = Mapping { appraisal: refused.into(), manifest: manifest.into(), ..mapping.clone() };
    let (index, _) = liar.say(Role::Mapper, &none, at, (&[refused], None)).await;
    wanted.push((index, "mapping", "it is refused now, at step appraisal"));

    // Credentials for another key, for longer, for another commitment.
    let (_, issuance) = liar.nth(Kind::Issuance, 1);
    let AnyContent::Issuance(issuance) = issuance else { panic!() };
    let decided = accepted.now;
    let parents = [mapping_leaf, accepted_leaf];
    let key = Issuance { spki_sha256: Fixed(random()), ..issuance.clone() };
    let longer = Issuance { not_after: decided + 86_400, ..issuance.clone() };
    for (content, reason) in [
        (&key, "another key was asked for"),
        (&longer, "the validity is longer than the manifest allows"),
        (&issuance, "`cred` commits to another certificate"),
    ] {
        let (index, _) = liar.say(Role::Authority, content, decided, (&parents, Some(random()))).await;
        wanted.push((index, "issuance", reason));
    }

    // A refusal of what is accepted, and one for another reason.
    let lie = Refusal { appraisal: Some(accepted_leaf.into()), ..refusal.clone() };
    let (index, _) = liar.say(Role::Verifier, &lie, at, (&[accepted_leaf], None)).await;
    wanted.push((index, "refusal", "it is accepted now; logged was a refusal at step appraisal"));
    let lie = Refusal { reason: "debug".to_owned(), ..refusal };
    let (index, _) = liar.say(Role::Verifier, &lie, at, (&[refused], None)).await;
    wanted.push((
        index,
        "refusal",
        "it is refused for appraisal: reference-value now; logged was appraisal: debug",
    ));

    let report = liar.replay(story).await.ended(1).json();
    listed(&report, &wanted);
    assert_eq!(report["decisions"]["issuance"]["identical"], 2);
}

/// What differs is this: entry, kind, and words of the reason.
fn listed(report: &Value, wanted: &[(u64, &str, &str)]) {
    let found = report["differing"].as_array().unwrap();
    let said: Vec<_> = found.iter().map(Value::to_string).collect();
    assert_eq!(found.len(), wanted.len(), "{}", said.join("\n"));
    for (found, (index, decision, reason)) in found.iter().zip(wanted) {
        assert_eq!((&found["entry"], &found["decision"]), (&json!(index), &json!(decision)), "{found}");
        assert!(found["what"].as_str().unwrap().contains(reason), "{found}, want {reason}");
    }
}

/// An activation of the first manifest in place of the second; approvals of it are made as the approvers make them.
async fn bring_back(liar: &Dishonest, story: &Story) -> (u64, Hash) {
    let AnyContent::Activation(first) = liar.nth(Kind::Activation, 2).1 else { panic!() };
    let (second, _) = liar.nth(Kind::Activation, 4);
    let approval = treering_provenance::content::Approval {
        v: V1,
        policy: first.policy,
        predecessor: Some(second.into()),
        not_before: now() - 10,
        not_after: now() + 1000,
    };
    let mut approvals = Vec::new();
    for who in ["approver", "second"] {
        let (_, leaf) = foreign(liar, story, who, &approval).await;
        approvals.push(leaf.into());
    }
    let again = Activation { approvals, predecessor: Some(second.into()), ..first };
    liar.say(Role::Governance, &again, now(), (&[], None)).await
}

/// A confidential statement of a third party, sealed with the ledger's help as in a registration.
async fn foreign<C: Content>(liar: &Dishonest, story: &Story, who: &str, content: &C) -> (u64, Hash) {
    use treering_provenance::envelope::{self, ContentKey, Context, Kek, Plaintext};
    let kek = liar.ledger.vault().kek(&VaultScope::Governance, Class::Decision, now()).await.unwrap();
    let (issuer, subject) = (Stage::issuer(who), Fixed(random::<32>()).to_string());
    let plaintext = Plaintext::of(content, random()).unwrap();
    let context = Context { origin: liar.ledger.origin(), issuer: &issuer, subject: &subject, kind: C::KIND };
    let recipient = (&kek.id.into(), &Kek::from_bytes(*kek.key));
    let key = ContentKey::from_bytes(random());
    let sealed = envelope::seal(&plaintext, &context, &key, recipient).unwrap();
    let draft = statement::Draft {
        kind: C::KIND,
        issuer: &issuer,
        subject: &subject,
        audience: liar.ledger.origin(),
        issued_at: now(),
        parents: Vec::new(),
        cred: None,
        payload: plaintext.payload(C::KIND, &sealed).unwrap(),
    };
    let statement = draft.sign(&*story.stage.signer(who)).unwrap();
    liar.log(Prepared::foreign(statement, Some(sealed), Vec::new())).await
}

#[tokio::test]
async fn activations_without_consent_are_listed() {
    let story = story().await;
    let liar = Dishonest::take(story);
    let AnyContent::Activation(first) = liar.nth(Kind::Activation, 2).1 else { panic!() };
    let (second, _) = liar.nth(Kind::Activation, 4);
    let say =
        async |activation: &Activation| liar.say(Role::Governance, activation, now(), (&[], None)).await;
    let mut wanted = Vec::new();
    // Consent to the step before: it named another predecessor.
    let (index, third) = say(&Activation { predecessor: Some(second.into()), ..first.clone() }).await;
    wanted.push((index, "the approval names another predecessor than what is in force"));
    let (index, _) = say(&Activation { predecessor: Some(second.into()), ..first.clone() }).await;
    wanted.push((index, "names another predecessor than what was in force"));
    let (index, fourth) =
        say(&Activation { name: "x".to_owned(), predecessor: Some(third.into()), ..first.clone() }).await;
    wanted.push((index, "activates what is not an earlier statement of this type and name"));
    assert_ne!(third, fourth);
    // An approver who is none.
    let AnyContent::Activation(values) = liar.nth(Kind::Activation, 0).1 else { panic!() };
    let (current, _) = liar.nth(Kind::Activation, 0);
    let (index, _) = say(&Activation { predecessor: Some(current.into()), ..values }).await;
    wanted.push((index, "activates what was in force already"));
    let wanted: Vec<_> = wanted.into_iter().map(|(index, reason)| (index, "activation", reason)).collect();
    listed(&liar.replay(story).await.ended(1).json(), &wanted);
}
