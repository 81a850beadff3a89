//! Registration of statements that others made: content first, then the statement, and every reason to reject either.

use axum::http::Method;
use ciborium::Value;
use data_encoding::BASE64URL_NOPAD;
use serde_json::json;
use sha2::{Digest, Sha256};
use treering_provenance::bytes::{Bytes, Fixed};
use treering_provenance::content::{Content, ProvenanceType, V1, WorkloadProvenance};
use treering_provenance::cose::{CoseError, Signer, VerifyingKey, sig_structure};
use treering_provenance::envelope::{self, ContentKey, Context, Plaintext};
use treering_provenance::receipt::Receipt;
use treering_provenance::statement::{Draft, Kind, Payload, Statement};
use treering_provenance::strict;

use crate::support::{Net, Reply, Stage, now, random, shared};

const KIND: Kind = Kind::WorkloadProvenance;

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

/// Content that is sealed, not yet uploaded, and what its statement says.
struct Sealed {
    issuer: String,
    subject: String,
    origin: String,
    plaintext: Plaintext,
    envelope: Vec<u8>,
}

impl Sealed {
    async fn new(stage: &Stage, who: &str) -> Self {
        let plaintext = Plaintext::of(&document(), random()).unwrap();
        Self::of(stage, who, KIND, plaintext).await
    }

    async fn of(stage: &Stage, who: &str, kind: Kind, plaintext: Plaintext) -> Self {
        let reply =
            stage.net("ci").post("/v1/content-keys", &json!({ "kind": kind.as_str() })).await.is(200).json();
        let octets = |name: &str| BASE64URL_NOPAD.decode(reply[name].as_str().unwrap().as_bytes()).unwrap();
        let key = ContentKey::from_bytes(octets("key").try_into().unwrap());
        let (kek_id, wrapped) =
            (Fixed(octets("kek_id").try_into().unwrap()), octets("wrapped").try_into().unwrap());
        let (issuer, subject) = (Stage::issuer(who), Fixed(random::<32>()).to_string());
        let context = Context { origin: &stage.origin, issuer: &issuer, subject: &subject, kind };
        let envelope = envelope::seal_wrapped(&plaintext, &context, &key, (&kek_id, &wrapped)).unwrap();
        Self { issuer, subject, origin: stage.origin.clone(), plaintext, envelope }
    }

    async fn upload(self, stage: &Stage) -> Self {
        put(&stage.net("ci"), &Sha256::digest(&self.envelope), &self.envelope).await.is(204);
        self
    }

    fn draft(&self) -> Draft<'_> {
        Draft {
            kind: KIND,
            issuer: &self.issuer,
            subject: &self.subject,
            audience: &self.origin,
            issued_at: now(),
            parents: Vec::new(),
            cred: None,
            payload: self.plaintext.payload(KIND, &self.envelope).unwrap(),
        }
    }
}

async fn put(net: &Net, name: &[u8], bytes: &[u8]) -> Reply {
    let path = format!("/v1/content/{}", BASE64URL_NOPAD.encode(name));
    net.send(Method::PUT, &path, Some("application/cose"), bytes.to_vec()).await
}

/// A signer that lies in one point.
struct Liar<'a> {
    inner: &'a dyn Signer,
    kid: Option<[u8; 32]>,
    change: fn(&mut [u8]),
}

impl Signer for Liar<'_> {
    fn key(&self) -> &VerifyingKey {
        self.inner.key()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CoseError> {
        let mut signature = self.inner.sign(message)?;
        (self.change)(&mut signature);
        Ok(signature)
    }

    fn kid(&self) -> [u8; 32] {
        self.kid.unwrap_or_else(|| self.inner.kid())
    }
}

/// n - s, which verifies as well as s.
fn high_s(signature: &mut [u8]) {
    const ORDER: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    let order = data_encoding::HEXLOWER.decode(ORDER.as_bytes()).unwrap();
    let mut borrow = 0;
    for place in (0..32).rev() {
        let difference = i16::from(order[place]) - i16::from(signature[32 + place]) - borrow;
        borrow = i16::from(difference < 0);
        signature[32 + place] = u8::try_from(difference.rem_euclid(256)).unwrap();
    }
}

#[tokio::test]
async fn a_statement_is_registered_and_registering_it_again_changes_nothing() {
    let stage = shared().await;
    let net = stage.stranger();
    let sealed = Sealed::new(stage, "ci").await.upload(stage).await;
    let statement = sealed.draft().sign(&*stage.signer("ci")).unwrap();
    let first = net.entries(statement.entry()).await.is(201);
    assert_eq!(first.header("location"), format!("/entries/{}", statement.entry_id()));
    let index = |reply: &Reply| Receipt::parse(&reply.body).unwrap().inclusions()[0].index;
    // Again, also with something in the unprotected header, which is not part of the entry.
    let unprotected = Value::Map(vec![(Value::from("hint"), Value::from(1))]);
    let dressed = with_unprotected(statement.entry(), unprotected);
    for again in [statement.entry(), &dressed] {
        let reply = net.entries(again).await.is(201);
        assert_eq!(reply.header("location"), first.header("location"));
        assert_eq!(index(&reply), index(&first));
    }
    assert_eq!(stage.statement(&net, index(&first)).await.entry(), statement.entry());
}

fn with_unprotected(entry: &[u8], unprotected: Value) -> Vec<u8> {
    let Value::Tag(18, message) = strict::decode(entry, 1 << 17).unwrap() else { panic!() };
    let mut parts = message.into_array().unwrap();
    parts[1] = unprotected;
    strict::encode(&Value::Tag(18, Box::new(Value::Array(parts)))).unwrap()
}

#[tokio::test]
async fn who_signs_for_whom_and_when_is_checked() {
    let stage = shared().await;
    let net = stage.stranger();
    let sealed = Sealed::new(stage, "ci").await.upload(stage).await;
    let (signer, author) = (stage.signer("ci"), stage.signer("author"));
    let rejected = async |draft: Draft<'_>, signer: &dyn Signer| {
        net.entries(draft.sign(signer).unwrap().entry()).await.concise(400, "Rejected")
    };
    let unknown = Draft { issuer: "https://nobody.example", ..sealed.draft() };
    assert_eq!(
        rejected(unknown, &*signer).await,
        "the registration policy does not name the issuer `https://nobody.example`"
    );
    let wrong_kid = Liar { inner: &*signer, kid: Some(random()), change: |_| () };
    assert!(rejected(sealed.draft(), &wrong_kid).await.starts_with("kid is not the thumbprint"));
    // Another registered issuer's key is not this issuer's.
    assert!(rejected(sealed.draft(), &*author).await.starts_with("kid is not the thumbprint"));
    let forged = Liar { inner: &*author, kid: Some(signer.kid()), change: |_| () };
    assert!(rejected(sealed.draft(), &forged).await.starts_with("signature: "));
    let bad = Liar { inner: &*signer, kid: None, change: |signature| signature[0] ^= 1 };
    assert!(rejected(sealed.draft(), &bad).await.starts_with("signature: "));

    let elsewhere = Draft { audience: "log.staging.example/1", ..sealed.draft() };
    let detail = rejected(elsewhere, &*signer).await;
    assert_eq!(detail, format!("aud is `log.staging.example/1`, want `{}`", stage.origin));
    for issued_at in [0, now() - 3600, now() + 3600, u64::from(u32::MAX)] {
        let detail = rejected(Draft { issued_at, ..sealed.draft() }, &*signer).await;
        assert!(detail.starts_with(&format!("iat is {issued_at}, want ")), "{detail}");
    }
    let kind = Draft { kind: Kind::Policy, ..sealed.draft() };
    let detail = rejected(kind, &*signer).await;
    assert_eq!(detail, format!("`{}` may not register statements of kind policy", Stage::issuer("ci")));
    // After all that it is as good as before.
    net.entries(sealed.draft().sign(&*signer).unwrap().entry()).await.is(201);
}

#[tokio::test]
async fn content_is_there_and_is_what_the_statement_commits_to() {
    let stage = shared().await;
    let net = stage.stranger();
    let signer = stage.signer("ci");
    let rejected = async |draft: Draft<'_>| {
        net.entries(draft.sign(&*signer).unwrap().entry()).await.concise(400, "Rejected")
    };
    let sealed = Sealed::new(stage, "ci").await;
    let detail = rejected(sealed.draft()).await;
    assert_eq!(detail, "the content is not here: upload it first (PUT /v1/content/{sha256})");
    let sealed = sealed.upload(stage).await;

    // A commitment to another plaintext: two readers must not be shown two texts.
    let envelope = envelope::digest(&sealed.envelope);
    let payload = Payload::Confidential { envelope, commit: Fixed(random()) };
    let detail = rejected(Draft { payload, ..sealed.draft() }).await;
    assert!(detail.starts_with("content: ") && detail.contains("commit"), "{detail}");
    // Somebody's envelope under a statement of another subject: bound to where it was sealed.
    let copied = Draft { subject: "copied", ..sealed.draft() };
    assert!(rejected(copied).await.starts_with("content: "));
    // An uploaded thing that is no envelope, and one under a key that is not the ledger's.
    let noise = random::<64>();
    put(&stage.net("ci"), &Sha256::digest(noise), &noise).await.is(204);
    let payload = Payload::Confidential { envelope: envelope::digest(&noise), commit: Fixed(random()) };
    assert!(rejected(Draft { payload, ..sealed.draft() }).await.starts_with("content: "));
    let context =
        Context { origin: &sealed.origin, issuer: &sealed.issuer, subject: &sealed.subject, kind: KIND };
    let key = ContentKey::from_bytes(random());
    let own =
        envelope::seal_wrapped(&sealed.plaintext, &context, &key, (&Fixed(random()), &random())).unwrap();
    put(&stage.net("ci"), &Sha256::digest(&own), &own).await.is(204);
    let payload = sealed.plaintext.payload(KIND, &own).unwrap();
    assert!(rejected(Draft { payload, ..sealed.draft() }).await.starts_with("content: "));

    // Content of another kind than the statement, and of no type that is known.
    for plaintext in [
        Plaintext::of(&Stage::manifest("mislabelled", "simulated"), random()).unwrap(),
        Plaintext::new("text/plain", b"hello".to_vec(), random()),
    ] {
        let other = Sealed::of(stage, "ci", KIND, plaintext).await.upload(stage).await;
        let detail = rejected(other.draft()).await;
        assert!(detail.ends_with("is not of this kind"), "{detail}");
    }
    // Content that is of the kind, and not in its one form.
    let body = [document().to_cbor().unwrap(), vec![0]].concat();
    let plaintext = Plaintext::new(WorkloadProvenance::MEDIA_TYPE, body, random());
    let odd = Sealed::of(stage, "ci", KIND, plaintext).await.upload(stage).await;
    assert!(rejected(odd.draft()).await.starts_with("content: "));
}

#[tokio::test]
async fn uploads_are_named_by_their_hash_and_limited() {
    let stage = shared().await;
    let net = stage.net("ci");
    put(&net, &random::<32>(), b"content").await.problem(400, "malformed");
    put(&net, b"short", b"content").await.problem(400, "malformed");
    let large = vec![0; (16 << 20) + 1];
    put(&net, &Sha256::digest(&large), &large).await.problem(413, "too-large");
    let larger = vec![0; (16 << 20) + (64 << 10) + 1];
    put(&net, &Sha256::digest(&larger), &larger).await.problem(413, "too-large");
    net.post("/v1/content-keys", &json!({ "kind": "gossip" })).await.problem(400, "malformed");
    net.post("/v1/content-keys", &json!({ "kind": "policy", "scope": "all" }))
        .await
        .problem(422, "malformed");
}

/// A statement as a foreign SCITT client makes it: without our label, with a plain payload.
fn foreign(signer: &dyn Signer, alg: i64, issuer: &str, payload: Value) -> Vec<u8> {
    let claims = vec![(1.into(), issuer.into()), (2.into(), "pkg:generic/payments@1".into())];
    let protected = Value::Map(vec![
        (1.into(), alg.into()),
        (3.into(), "text/plain".into()),
        (4.into(), Value::Bytes(signer.kid().to_vec())),
        (15.into(), Value::Map(claims)),
    ]);
    let protected = strict::encode(&protected).unwrap();
    let signed = payload.as_bytes().cloned().unwrap_or_default();
    let signature = signer.sign(&sig_structure(&protected, &signed)).unwrap();
    let parts = vec![Value::Bytes(protected), Value::Map(Vec::new()), payload, Value::Bytes(signature)];
    strict::encode(&Value::Tag(18, Box::new(Value::Array(parts)))).unwrap()
}

#[tokio::test]
async fn plain_payloads_are_taken_from_those_whom_the_policy_names_public() {
    let stage = shared().await;
    let net = stage.stranger();
    let issuer = Stage::issuer("foreign");
    let statement = foreign(&*stage.signer("foreign"), -8, &issuer, Value::Bytes(b"it works".to_vec()));
    let receipt = net.entries(&statement).await.is(201);
    let index = Receipt::parse(&receipt.body).unwrap().inclusions()[0].index;
    assert_eq!(stage.statement(&net, index).await.kind(), None, "its kind is told by the policy alone");

    // With our label too; and from nobody else.
    let payload = || Payload::Public {
        content_type: WorkloadProvenance::MEDIA_TYPE.to_owned(),
        bytes: document().to_cbor().unwrap(),
    };
    let sealed = Sealed::new(stage, "ci").await;
    let draft = Draft { issuer: &issuer, payload: payload(), ..sealed.draft() };
    net.entries(draft.sign(&*stage.signer("foreign")).unwrap().entry()).await.is(201);
    let draft = Draft { payload: payload(), ..sealed.draft() };
    let detail =
        net.entries(draft.sign(&*stage.signer("ci")).unwrap().entry()).await.concise(400, "Rejected");
    assert_eq!(detail, "the registration policy takes no plain payloads from this issuer");
    let statement =
        foreign(&*stage.signer("ci"), -8, &Stage::issuer("ci"), Value::Bytes(b"mine too".to_vec()));
    let detail = net.entries(&statement).await.concise(400, "Rejected");
    assert!(detail.contains("has no `treering` label"), "{detail}");
}

#[tokio::test]
async fn algorithms_and_signatures_have_one_spelling() {
    let stage = shared().await;
    let net = stage.stranger();
    let p256 = stage.signer("p256");
    let sealed = Sealed::new(stage, "p256").await.upload(stage).await;
    let high = Liar { inner: &*p256, kid: None, change: high_s };
    let statement = sealed.draft().sign(&high).unwrap();
    let detail = net.entries(statement.entry()).await.concise(400, "Rejected");
    assert!(detail.ends_with("(high S), which is a second spelling of another signature: send r || (order - S) instead, or ask the operator for `high_s` of this issuer"), "{detail}");
    let statement = sealed.draft().sign(&*p256).unwrap();
    net.entries(statement.entry()).await.is(201);

    let issuer = Stage::issuer("foreign");
    let signer = stage.signer("foreign");
    let payload = || Value::Bytes(b"payload".to_vec());
    // ES384, PS256, a MAC, private use; and two that we know, and the policy does not name.
    for alg in [-35, -37, 5, -70_000, -9, -19] {
        let statement = foreign(&*signer, alg, &issuer, payload());
        net.entries(&statement).await.concise(400, "Bad Signature Algorithm");
    }
    // ES256 in the header over an Ed25519 key.
    let statement = foreign(&*signer, -7, &issuer, payload());
    assert!(net.entries(&statement).await.concise(400, "Rejected").starts_with("signature: "));
    let detached = foreign(&*signer, -8, &issuer, Value::Null);
    assert_eq!(net.entries(&detached).await.concise(400, "Payload Missing"), "the payload is detached");
}

#[tokio::test]
async fn what_is_not_a_statement_in_its_one_encoding_is_malformed() {
    let stage = shared().await;
    let net = stage.stranger();
    let sealed = Sealed::new(stage, "ci").await.upload(stage).await;
    let good = sealed.draft().sign(&*stage.signer("ci")).unwrap().entry().to_vec();
    let malformed = async |bytes: &[u8]| net.entries(bytes).await.concise(400, "Malformed request");

    assert_eq!(good[..3], [0xd2, 0x84, 0x59], "tag 18, an array of four, a byte string");
    let longer = [&good[..2], &[0x5a, 0, 0], &good[3..]].concat();
    malformed(&longer).await;
    let indefinite = [&[0xd2, 0x9f], &good[2..], &[0xff]].concat();
    malformed(&indefinite).await;
    malformed(&[good.as_slice(), &[0]].concat()).await;
    malformed(&good[..good.len() - 1]).await;
    malformed(&good[1..]).await; // untagged
    malformed(&[&[0xd8, 18], &good[1..]].concat()).await; // the tag in two octets
    malformed(&[&[0xd1], &good[1..]].concat()).await; // another tag
    malformed(&[]).await;
    malformed(b"{}").await;
    malformed(&random::<200>()).await;
    for label in [33, 32] {
        let chain = Value::Map(vec![(label.into(), Value::Bytes(vec![0x30, 0]))]);
        let detail = malformed(&with_unprotected(&good, chain)).await;
        assert!(
            detail.contains("x5chain is accepted only in the protected header: sign it there"),
            "{detail}"
        );
    }
    for media_type in [None, Some("application/json"), Some("application/cbor")] {
        net.send(Method::POST, "/entries", media_type, good.clone()).await.concise(400, "Malformed request");
    }
    for media_type in ["application/cose; cose-type=\"cose-sign1\"", "application/scitt-statement+cose"] {
        net.send(Method::POST, "/entries", Some(media_type), good.clone()).await.is(201);
    }
}

#[tokio::test]
async fn a_statement_has_at_most_as_many_octets_as_an_entry() {
    let stage = shared().await;
    let net = stage.stranger();
    let (issuer, signer) = (Stage::issuer("foreign"), stage.signer("foreign"));
    let of = |octets: usize| foreign(&*signer, -8, &issuer, Value::Bytes(vec![7; octets]));
    let around = of(60_000).len() - 60_000;
    let (fits, too_large) = (of(65_535 - around), of(65_536 - around));
    assert_eq!((fits.len(), too_large.len()), (65_535, 65_536));
    net.entries(&fits).await.is(201);
    let detail = net.entries(&too_large).await.concise(400, "Malformed request");
    assert_eq!(detail, "not a signed statement in deterministic CBOR: 65536 octets, the policy takes 65535");
    // Far too large is not even read to its end.
    let detail = net.entries(&vec![0; 2 * 65_535 + 1]).await.concise(400, "Malformed request");
    assert!(!detail.contains("the policy takes"), "it was read whole: {detail}");
}

#[tokio::test]
async fn statements_of_our_own_roles_are_not_registered_by_others() {
    let stage = shared().await;
    let net = stage.stranger();
    let sealed = Sealed::new(stage, "ci").await.upload(stage).await;
    // The role's name, by somebody else; and the role's key, which its owner could use: the policy does not name it.
    let role = format!("spiffe://{}/treering/authority", crate::support::TRUST_DOMAIN);
    let draft = Draft { issuer: &role, ..sealed.draft() };
    let statement: Statement = draft.sign(&*stage.signer("ci")).unwrap();
    let detail = net.entries(statement.entry()).await.concise(400, "Rejected");
    assert!(detail.contains("does not name the issuer"), "{detail}");
}
