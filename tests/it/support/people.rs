//! Those who register, approve, activate and audit.

use ciborium::Value;
use data_encoding::BASE64URL_NOPAD;
use serde_json::json;
use sha2::{Digest, Sha384};
use treering::audit::Keyring;
use treering::client::{ClientError, Registered, Registrant, RemoteSource};
use treering_provenance::bytes::Bytes;
use treering_provenance::content::{
    AnyContent, Approval, Content, Policy, PolicyType, ReferenceValue, ReferenceValues, Refusal, V1,
};
use treering_provenance::cose::sig_structure;
use treering_provenance::grant::AuditorKey;
use treering_provenance::receipt::Receipt;
use treering_provenance::statement::{Body, Statement};
use treering_provenance::strict;
use treering_tlog::hash::Hash;

use super::stage::TRUST_DOMAIN;
use super::{Net, Reply, Stage, cli, image, now};

const DAY_S: u64 = 24 * 60 * 60;

/// An appraisal policy that the simulated platform meets.
pub(crate) const APPRAISAL: &str = "\
version = 1
name = \"default\"
[sev_snp]
require_reference_value = true
signing_keys = [\"vcek\"]
vmpl = [0]
[sev_snp.tcb_floor.milan]
bootloader = 3
tee = 0
snp = 8
microcode = 115
[sev_snp.platform]
require_alias_check = false
";

/// Sends a request again as long as the answer is that policies changed while it was decided: other tests activate
/// theirs beside this one.
pub(super) async fn until_not_stale<F: Future<Output = Reply>>(send: impl Fn() -> F) -> Reply {
    loop {
        let reply = send().await;
        if reply.status != 409 || reply.json()["type"] != "urn:treering:problem:stale" {
            return reply;
        }
    }
}

/// An activation in the log.
pub(crate) struct Activated {
    pub(crate) index: u64,
    /// What the next one of its name must name as its predecessor.
    pub(crate) leaf: Hash,
}

impl Stage {
    /// The `iss` of an issuer.
    pub(crate) fn issuer(name: &str) -> String {
        format!("https://{name}.{TRUST_DOMAIN}")
    }

    /// The identifier of a workload.
    pub(crate) fn identifier(name: &str) -> String {
        format!("spiffe://{TRUST_DOMAIN}/{name}")
    }

    /// Registers content as one of the issuers.
    pub(crate) async fn try_register<C: Content>(
        &self,
        who: &str,
        content: &C,
    ) -> Result<Registered, ClientError> {
        let client = self.client(if ["author", "approver"].contains(&who) { who } else { "ci" });
        let (signer, issuer) = (self.signer(who), Self::issuer(who));
        let registrant = Registrant { issuer: &issuer, signer: &*signer, origin: &self.origin };
        client.register_content(&registrant, content, now()).await
    }

    pub(crate) async fn register<C: Content>(&self, who: &str, content: &C) -> Registered {
        self.try_register(who, content).await.unwrap()
    }

    /// A small statement of the issuer who may register plain payloads (needs [`Settings::extra`](super::Settings)).
    pub(crate) fn filler(&self, number: u64) -> Vec<u8> {
        self.filler_of(number.to_be_bytes().to_vec())
    }

    /// The same, with this payload.
    pub(crate) fn filler_of(&self, payload: Vec<u8>) -> Vec<u8> {
        let signer = self.signer("foreign");
        let claims = vec![(1.into(), Self::issuer("foreign").into()), (2.into(), "filler".into())];
        let protected = Value::Map(vec![
            (1.into(), (-8).into()),
            (3.into(), "text/plain".into()),
            (4.into(), Value::Bytes(signer.kid().to_vec())),
            (15.into(), Value::Map(claims)),
        ]);
        let protected = strict::encode(&protected).unwrap();
        let signature = signer.sign(&sig_structure(&protected, &payload)).unwrap();
        let parts =
            [Value::Bytes(protected), Value::Map(Vec::new()), Value::Bytes(payload), Value::Bytes(signature)];
        strict::encode(&Value::Tag(18, Box::new(Value::Array(parts.into())))).unwrap()
    }

    /// Consent to a policy, for a day from now.
    pub(crate) async fn approve(&self, who: &str, policy: Hash, predecessor: Option<Hash>) {
        let window = (now(), now() + DAY_S);
        self.approve_for(who, policy, predecessor, window).await;
    }

    /// Consent to a policy, for a time.
    pub(crate) async fn approve_for(
        &self,
        who: &str,
        policy: Hash,
        predecessor: Option<Hash>,
        (not_before, not_after): (u64, u64),
    ) {
        let predecessor = predecessor.map(Into::into);
        self.register(who, &Approval { v: V1, policy: policy.into(), predecessor, not_before, not_after })
            .await;
    }

    /// Asks for an activation; again, if another test activated something meanwhile.
    pub(crate) async fn activate(&self, policy: Hash) -> Reply {
        let body = json!({ "policy": BASE64URL_NOPAD.encode(policy.as_bytes()) });
        let net = self.net("operator");
        until_not_stale(|| net.post("/v1/activations", &body)).await
    }

    /// All approvals, and the activation, which replaces another.
    pub(crate) async fn bring_into_force(&self, policy: Hash, predecessor: Option<Hash>) -> Activated {
        self.approve("approver", policy, predecessor).await;
        if self.extra.is_some() {
            self.approve("second", policy, predecessor).await;
        }
        let logged = self.activate(policy).await.is(201).json();
        let leaf = BASE64URL_NOPAD.decode(logged["leaf"].as_str().unwrap().as_bytes()).unwrap();
        Activated { index: logged["index"].as_u64().unwrap(), leaf: Hash::from_slice(&leaf).unwrap() }
    }

    /// A mapping manifest for a workload.
    pub(crate) fn manifest(name: &str, assurance: &str) -> Policy {
        Self::manifest_with(name, assurance, "default", "payments")
    }

    pub(crate) fn manifest_with(name: &str, assurance: &str, policy: &str, references: &str) -> Policy {
        let identifier = Self::identifier(name);
        let body = format!(
            "version = 1\nidentifier = \"{identifier}\"\nappraisal_policy = \"{policy}\"\nreference_values = \"{references}\"\nmax_ttl_s = 600\n[[selector]]\nname = \"all\"\ntee = [\"sev-snp\"]\nassurance = [\"{assurance}\"]\nreference_values = [\"payments 1\"]\n[selector.claims]\nlevel = 3\n"
        );
        Self::policy(PolicyType::Mapping, &identifier, &body)
    }

    pub(crate) fn policy(policy_type: PolicyType, name: &str, body: &str) -> Policy {
        Policy {
            v: V1,
            policy_type,
            name: name.to_owned(),
            media_type: "application/toml".to_owned(),
            body: Bytes(body.as_bytes().to_vec()),
            predecessor: None,
        }
    }

    /// A workload whose mapping manifest is in force.
    pub(crate) async fn workload(&self, name: &str) -> String {
        let manifest = self.register("author", &Self::manifest(name, "simulated")).await;
        self.bring_into_force(manifest.leaf, None).await;
        Self::identifier(name)
    }

    /// Reference values of the image, and the appraisal policy.
    pub(crate) async fn set_the_scene(&self) {
        let values = ReferenceValues {
            v: V1,
            workload: "payments".to_owned(),
            values: vec![ReferenceValue::single(
                "sev-snp",
                "payments 1",
                "measurement",
                Sha384::digest(image()).to_vec(),
            )],
            provenance: Vec::new(),
        };
        let values = self.register("ci", &values).await;
        self.bring_into_force(values.leaf, None).await;
        let policy = Self::policy(PolicyType::Appraisal, "default", APPRAISAL);
        let policy = self.register("author", &policy).await;
        self.bring_into_force(policy.leaf, None).await;
    }

    /// Grants the auditor everything.
    pub(crate) async fn grant_all(&self) -> u64 {
        let body = json!({
            "grantee": "Auditors Ltd", "public_key": BASE64URL_NOPAD.encode(self.auditor().public().as_bytes()),
            "scopes": ["*"], "classes": ["*"], "from": 0, "to": now() + DAY_S,
        });
        self.net("operator").post("/v1/grants", &body).await.is(201).json()["index"].as_u64().unwrap()
    }

    /// What a subcommand says of the log, as the auditor reads it from the service; it must end with 0.
    pub(crate) fn audit(&self, arguments: &[&str]) -> serde_json::Value {
        let path = |name: &str| self.path(name);
        let (trust, key, url, ca) = (path("trust.json"), path("auditor.key"), self.url(), path("tls/ca.pem"));
        let (certificate, secret) = (path("clients/auditor.pem"), path("clients/auditor.key"));
        let from = ["--trust", &trust, "--key", &key, "--url", &url, "--tls-ca", &ca];
        let by = ["--client-cert", &certificate, "--client-key", &secret, "--json"];
        cli(arguments.iter().copied().chain(from).chain(by)).ended(0).json()
    }

    /// The auditor's key.
    pub(crate) fn auditor(&self) -> AuditorKey {
        AuditorKey::from_jwk(&std::fs::read_to_string(self.path("auditor.key")).unwrap()).unwrap()
    }

    /// The statement at an index.
    pub(crate) async fn statement(&self, net: &Net, index: u64) -> Statement {
        Statement::parse(&net.get(&format!("/v1/statements/{index}")).await.is(200).body).unwrap()
    }

    /// The content at an index, opened with the auditor's key.
    pub(crate) async fn content(&self, index: u64) -> AnyContent {
        let net = self.net("auditor");
        let statement = self.statement(&net, index).await;
        let (media_type, body) = match statement.body() {
            Body::Public { content_type, bytes } => (content_type.unwrap().to_owned(), bytes.to_vec()),
            Body::Hashed { .. } => {
                let leaf = BASE64URL_NOPAD.encode(statement.leaf().as_bytes());
                let sealed = net.get(&format!("/v1/leaves/{leaf}/content")).await.is(200).body;
                let source = RemoteSource(self.client("auditor"));
                let keyring = Keyring::unlock(&source, &self.auditor(), &self.origin).await.unwrap();
                let plaintext = keyring.open(&statement, &sealed).unwrap();
                (plaintext.media_type().to_owned(), plaintext.body().to_vec())
            }
        };
        AnyContent::parse(&media_type, &body).unwrap().unwrap()
    }

    /// The index of an entry id.
    pub(crate) async fn index_of(&self, net: &Net, entry: &str) -> u64 {
        let receipt = net.get(&format!("/entries/{entry}")).await.is(200);
        Receipt::parse(&receipt.body).unwrap().inclusions()[0].index
    }

    /// What the log says about a refusal.
    pub(crate) async fn refusal(&self, reply: &Reply) -> Refusal {
        let detail = reply.problem(403, "refused");
        assert_eq!(detail, "the evidence was not accepted; the entry has the reasons, for who may read it");
        let entry = reply.json()["entry"].as_str().unwrap().to_owned();
        let index = self.index_of(&self.stranger(), &entry).await;
        match self.content(index).await {
            AnyContent::Refusal(refusal) => refusal,
            other => panic!("{other:?}"),
        }
    }

    /// The size of the tree that the service has committed.
    pub(crate) async fn committed(&self) -> u64 {
        let net = self.stranger();
        let id = self.statement(&net, 0).await.entry_id();
        let receipt = net.get(&format!("/entries/{id}")).await.is(200);
        Receipt::parse(&receipt.body).unwrap().head().unwrap().size
    }

    /// The tree that the service shows: size and root, as it signed them.
    pub(crate) async fn checkpoint(&self) -> treering_tlog::checkpoint::Checkpoint {
        let body = self.stranger().get("/checkpoint").await.is(200).body;
        let note = treering_tlog::note::Note::parse(&body).unwrap();
        treering_tlog::checkpoint::Checkpoint::parse(note.text()).unwrap()
    }
}
