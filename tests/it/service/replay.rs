//! `treering replay`: all that an honest service logged comes out the same; each lie of one that is not, is listed.

mod decisions;
mod honest;
mod instants;
mod sources;
mod verifiers;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tokio::sync::OnceCell;
use treering::audit::{Appraise, Keyring, Report, Scope, Source, replay_log};
use treering::config::Config;
use treering::keys::Role;
use treering::ledger::{Conditions, Draft, Ledger, Prepared, Subject};
use treering::vault::{Class, Scope as VaultScope};
use treering::verifier::HardwareRoots;
use treering_provenance::bytes::Bytes;
use treering_provenance::content::{AnyContent, Content, PolicyType, ProvenanceType, V1, WorkloadProvenance};
use treering_provenance::cose::Signer;
use treering_provenance::statement::{self, Kind, Payload, Statement};
use treering_tlog::hash::Hash;

use crate::support::{
    APPRAISAL, Ask, Run, Settings, Stage, cli, csr, folder, guest, image, open_ledger, random,
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
