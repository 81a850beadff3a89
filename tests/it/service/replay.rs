//! `treering replay`: all that an honest service logged comes out the same; each lie of one that is not, is listed.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tokio::sync::OnceCell;
use treering::audit::{
    Appraise, Keyring, LocalSource, Report, Scope, Source, SourceError, Verdict, replay_log,
};
use treering::client::RemoteSource;
use treering::config::Config;
use treering::keys::Role;
use treering::ledger::{Conditions, Draft, Ledger, Prepared, Subject};
use treering::vault::{Class, Delivery, GrantId, Scope as VaultScope};
use treering::verifier::{
    Appraisal as Appraised, AppraisalPolicy, Collateral, Evidence, HardwareRoots, ReferenceValues, Verifier,
};
use treering_provenance::bytes::{Bytes, Fixed};
use treering_provenance::content::{
    Activation, AnyContent, Appraisal, Content, Grant, Issuance, Mapping, PolicyType, ProvenanceType,
    Refusal, V1, WorkloadProvenance,
};
use treering_provenance::cose::{Ed25519Signer, Signer};
use treering_provenance::grant::WrappedKek;
use treering_provenance::statement::{self, Kind, Payload, Statement};
use treering_tlog::hash::Hash;

use crate::support::{
    APPRAISAL, Ask, Run, Settings, Stage, cli, csr, folder, guest, image, now, open_ledger, random, shared,
};

/// A stopped log in which something of everything was decided.
struct Story {
    stage: Stage,
    /// What the service said of itself before it stopped.
    remote: (Run, Run),
}

async fn story() -> &'static Story {
    static STORY: OnceCell<Story> = OnceCell::const_new();
    STORY.get_or_init(tell).await
}

fn document() -> WorkloadProvenance {
    WorkloadProvenance {
        v: V1,
        workload: "payments".to_owned(),
        provenance_type: ProvenanceType::Compliance,
        media_type: "text/plain".to_owned(),
        body: Bytes(random::<16>().to_vec()),
        subjects: Vec::new(),
    }
}

async fn tell() -> Story {
    let stage = Stage::make(&Settings { extra: true, ..Settings::default() }).await;
    stage.serve();
    stage.grant_all().await;
    stage.set_the_scene().await;
    let target = stage.workload("replayed").await;
    let net = stage.stranger();
    stage.register("ci", &document()).await;
    stage.register("p256", &document()).await;
    net.entries(&stage.filler(1)).await.is(201);
    Ask::good(&stage, &net, &target).await.send(&net).await.is(201);
    let refused = async |ask: Ask| drop(stage.refusal(&ask.send(&net).await).await);
    let begin = || Ask::begin(&stage, &net, &target);
    refused(begin().await.attest(&guest(&stage, b"unknown"))).await;
    let mut ask = begin().await.attest(&guest(&stage, &image()));
    ask.csr = csr(&rcgen::PKCS_ECDSA_P256_SHA256);
    refused(ask).await;
    let mut ask = begin().await;
    ask.csr = b"not a request".to_vec();
    refused(ask.attest(&guest(&stage, &image()))).await;
    // The policy changes; what was decided under the old one stays as it was.
    let (_, first) = last_activation(&stage, PolicyType::Appraisal).await;
    let stricter = APPRAISAL.replace("microcode = 115", "microcode = 110");
    let stricter =
        stage.register("author", &Stage::policy(PolicyType::Appraisal, "default", &stricter)).await;
    stage.bring_into_force(stricter.leaf, Some(first)).await;
    Ask::good(&stage, &net, &target).await.send(&net).await.is(201);
    // A manifest that takes hardware only refuses the same workload at the step `mapping`.
    let (_, first) = last_activation(&stage, PolicyType::Mapping).await;
    let hardware = stage.register("author", &Stage::manifest("replayed", "hardware")).await;
    stage.bring_into_force(hardware.leaf, Some(first)).await;
    refused(begin().await.attest(&guest(&stage, &image()))).await;
    net.entries(&stage.filler(2)).await.is(201);
    let url = stage.url();
    let (tls, certificate, key) =
        (stage.path("tls/ca.pem"), stage.path("clients/auditor.pem"), stage.path("clients/auditor.key"));
    let as_auditor = ["--url", &url, "--tls-ca", &tls, "--client-cert", &certificate, "--client-key", &key];
    let all = replay(&stage, &as_auditor, true, &["--all"]);
    let public = replay(&stage, &["--url", &url, "--tls-ca", &tls], false, &["--all"]);
    stage.stop();
    Story { stage, remote: (all, public) }
}

/// The last activation of a type: index and leaf hash.
async fn last_activation(stage: &Stage, kind: PolicyType) -> (u64, Hash) {
    let net = stage.stranger();
    for index in (2..stage.committed().await).rev() {
        let statement = stage.statement(&net, index).await;
        if statement.kind() == Some(Kind::Activation)
            && let AnyContent::Activation(activation) = stage.content(index).await
            && activation.policy_type == kind
        {
            return (index, statement.leaf());
        }
    }
    panic!("none");
}

fn replay(stage: &Stage, from: &[&str], key: bool, which: &[&str]) -> Run {
    let (trust, auditor) = (stage.path("trust.json"), stage.path("auditor.key"));
    let mut arguments = vec!["replay", "--json", "--trust", &trust];
    arguments.extend(key.then_some(["--key", &auditor]).into_iter().flatten());
    cli([&arguments, from, which].concat())
}

fn tally(identical: u64) -> Value {
    json!({ "identical": identical, "differing": 0, "undetermined": 0, "not_opened": 0 })
}

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

/// The verifier of tomorrow: as today's, but for one rule.
struct Stricter(Verifier);

impl Appraise for Stricter {
    fn appraise(
        &self,
        evidence: &Evidence,
        collateral: &Collateral,
        policy: &AppraisalPolicy,
        references: &ReferenceValues,
        now: u64,
    ) -> Appraised {
        let text = String::from_utf8(policy.bytes().to_vec()).unwrap();
        // Whoever asks for less than this is asking for too little.
        let policy = AppraisalPolicy::parse(text.replace("microcode = 110", "microcode = 255").as_bytes());
        self.0.appraise(evidence, collateral, &policy.unwrap(), references, now)
    }
}

async fn replay_by<A: Appraise>(
    stage: &Stage,
    source: &impl Source,
    verifier: impl FnOnce(HardwareRoots) -> A,
    now: u64,
) -> Report {
    let trust = stage.trust();
    let keyring = Keyring::unlock(source, &stage.auditor(), trust.origin()).await.unwrap();
    let mut told = Vec::new();
    let scope = Scope::default();
    let report =
        replay_log(source, &trust, &keyring, &scope, (verifier, now), &mut |progress| told.push(progress))
            .await
            .unwrap();
    assert!(told.len() >= 2, "{told:?}");
    report
}

#[tokio::test]
async fn a_verifier_that_decides_otherwise_shows_as_a_list() {
    let story = story().await;
    let source = LocalSource::open(story.stage.path("data").as_ref()).unwrap();
    let same = replay_by(&story.stage, &source, Verifier::new, now()).await;
    assert_eq!(same.verdict, Verdict::Identical, "{same:?}");
    let other = replay_by(&story.stage, &source, |roots| Stricter(Verifier::new(roots)), now()).await;
    assert_eq!(other.verdict, Verdict::Differs);
    // What was decided under the second policy: accepted, and refused by the manifest.
    let decided: Vec<_> = other.differing.iter().map(|one| one.decision).collect();
    assert_eq!(decided, ["appraisal", "mapping", "issuance", "appraisal", "refusal"], "{other:?}");
    let what = &other.differing[0].what;
    assert!(what.contains("ear_status is \"") && what.contains("logged was \"affirming\""), "{what}");
    assert!(what.contains("checks.tcb-floor.ok is false now, logged was true"), "{what}");
    assert!(other.differing[1].what.starts_with("it is refused now, at step appraisal"), "{other:?}");
    let refused = "it is refused for appraisal: tcb-floor now; logged was mapping: no-selector";
    assert_eq!(other.differing[4].what, refused);
    assert_eq!(other.decisions["appraisal"].identical, 4);
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

fn opened(dir: &Path) -> treering_log::Log {
    treering_log::Log::open_read_only(dir.join("data")).unwrap()
}

fn kind_at(log: &treering_log::Log, index: u64) -> Option<Kind> {
    Statement::parse(&log.entry(index).unwrap().unwrap()).unwrap().kind()
}

fn first_of(log: &treering_log::Log, kind: Kind) -> u64 {
    (0..log.size()).find(|index| kind_at(log, *index) == Some(kind)).unwrap()
}

/// A copy of the story's ledger, in the hands of who has its keys.
struct Dishonest {
    dir: PathBuf,
    ledger: Ledger,
}

impl Dishonest {
    fn take(story: &Story) -> Self {
        let dir = folder("dishonest").join("ledger");
        copy(&story.stage.dir, &dir);
        let ledger = open_ledger(&dir, &Config::load(&story.stage.config).unwrap(), false);
        Self { dir, ledger }
    }

    async fn log(&self, prepared: Prepared) -> (u64, Hash) {
        let place = self.ledger.commit(vec![prepared], Conditions::default()).await.unwrap().only().unwrap();
        (place.index, place.leaf)
    }

    /// Logs a decision of one of the roles, for an instant.
    async fn say<C: Content>(
        &self,
        role: Role,
        content: &C,
        at: u64,
        (parents, cred): (&[Hash], Option<[u8; 32]>),
    ) -> (u64, Hash) {
        let subject = Subject::Scope(VaultScope::Governance);
        let mut draft = Draft::new(role, content, subject, Class::Decision).unwrap();
        draft.parents = parents.to_vec();
        draft.cred = cred;
        self.log(self.ledger.prepare(draft, at).await.unwrap()).await
    }

    /// Logs a plain statement as if it had been registered.
    async fn register(&self, issuer: &str, signer: &dyn Signer, issued_at: u64) -> u64 {
        let payload = Payload::Public {
            content_type: WorkloadProvenance::MEDIA_TYPE.to_owned(),
            bytes: document().to_cbor().unwrap(),
        };
        let draft = statement::Draft {
            kind: Kind::WorkloadProvenance,
            issuer,
            subject: "something",
            audience: self.ledger.origin(),
            issued_at,
            parents: Vec::new(),
            cred: None,
            payload,
        };
        let statement = draft.sign(signer).unwrap();
        self.log(Prepared::foreign(statement, None, Vec::new())).await.0
    }

    /// The content of the n-th statement of a kind, and its leaf hash.
    fn nth(&self, kind: Kind, n: usize) -> (Hash, AnyContent) {
        let log = self.ledger.log();
        let mut found = (0..log.size()).filter(|index| kind_at(log, *index) == Some(kind));
        let read = self.ledger.read(found.nth(n).unwrap()).unwrap();
        (read.statement.leaf(), read.content().unwrap())
    }

    async fn replay(self, story: &Story) -> Run {
        self.ledger.log().shutdown().await;
        drop(self.ledger);
        let data = self.dir.join("data");
        replay(&story.stage, &["--data", data.to_str().unwrap()], true, &["--all"])
    }
}

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

/// A source that holds something back, or gives something else than it gave.
struct Withholding {
    inner: LocalSource,
    content: Option<Hash>,
    bundles: std::sync::atomic::AtomicU32,
    changed_from: u32,
}

impl Source for Withholding {
    async fn checkpoint(&self) -> Result<Vec<u8>, SourceError> {
        self.inner.checkpoint().await
    }

    async fn entry(&self, index: u64) -> Result<Vec<u8>, SourceError> {
        self.inner.entry(index).await
    }

    async fn bundle(&self, index: u64, width: u16) -> Result<Vec<u8>, SourceError> {
        let mut bytes = self.inner.bundle(index, width).await?;
        let calls = self.bundles.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        if calls >= self.changed_from {
            *bytes.last_mut().unwrap() ^= 1;
        }
        Ok(bytes)
    }

    async fn index_of(&self, leaf: &Hash) -> Result<Option<u64>, SourceError> {
        self.inner.index_of(leaf).await
    }

    async fn inclusion(&self, index: u64, size: u64) -> Result<Vec<Hash>, SourceError> {
        self.inner.inclusion(index, size).await
    }

    async fn content(&self, leaf: &Hash) -> Result<Option<Vec<u8>>, SourceError> {
        if self.content == Some(*leaf) { Ok(None) } else { self.inner.content(leaf).await }
    }

    async fn grants(&self, thumbprint: &[u8; 32]) -> Result<Vec<(GrantId, Delivery)>, SourceError> {
        self.inner.grants(thumbprint).await
    }

    async fn granted(&self, grant: &GrantId) -> Result<Vec<WrappedKek>, SourceError> {
        self.inner.granted(grant).await
    }
}

#[tokio::test]
async fn missing_content_differs_and_other_entries_end_the_replay() {
    let story = story().await;
    let log = opened(&story.stage.dir);
    let appraised = first_of(&log, Kind::Appraisal);
    let leaf = log.leaf(appraised).unwrap().unwrap();
    drop(log);
    let source = |content, changed_from| Withholding {
        inner: LocalSource::open(story.stage.path("data").as_ref()).unwrap(),
        content,
        bundles: 0.into(),
        changed_from,
    };
    let report = replay_by(&story.stage, &source(Some(leaf), u32::MAX), Verifier::new, now()).await;
    let found: Vec<_> = report.differing.iter().map(|one| (one.entry, one.decision, &*one.what)).collect();
    let missing = "its content is missing, without a tombstone";
    assert_eq!(found[0], (appraised, "appraisal", missing), "{found:?}");
    let decided: Vec<_> = found.iter().map(|(_, decision, _)| *decision).collect();
    assert_eq!(
        decided,
        ["appraisal", "mapping", "issuance"],
        "what rests on it cannot be made again: {found:?}"
    );
    assert!(found[1].2.contains(&format!("entry {appraised}: {missing}")), "{found:?}");

    for (changed_from, reason) in [(0, "the entries give root "), (1, "other entries than a moment ago")] {
        let source = source(None, changed_from);
        let (trust, keyring) = (story.stage.trust(), Keyring::default());
        let scope = Scope::default();
        let ended = replay_log(&source, &trust, &keyring, &scope, (Verifier::new, now()), &mut |_| ()).await;
        let error = ended.unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}
