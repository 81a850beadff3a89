//! Issuers that `treering init --issuer` makes known by a certificate authority, over the network: a foreign client with
//! P-384, one whose library knows nothing of low S, and a CI that uses the program itself.

use std::fs;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair};
use ciborium::Value;
use data_encoding::BASE64URL_NOPAD;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P384_SHA384, PublicKeyData as _, SanType,
};
use sha2::{Digest, Sha384};
use treering::governance::rules;
use treering_provenance::content::{AnyContent, PolicyType, RegistrationPolicy};
use treering_provenance::cose::{Es256Signer, Signer as _, VerifyingKey, sig_structure};
use treering_provenance::receipt::Receipt;
use treering_provenance::statement::{Body, Statement};
use treering_provenance::strict;
use treering_tlog::hash::Hash;

use crate::support::{APPRAISAL, Net, Settings, Stage, cli, folder, image, now};

const SCANNER: &str = "https://scanner.example/one";
const LENIENT: &str = "https://lenient.example";
const BUILDER: &str = "https://builder.example";
const PROVENANCE: &str = "\"workload-provenance\"";
const DAY: u64 = 24 * 60 * 60;

fn time(unix: u64) -> time::OffsetDateTime {
    time::OffsetDateTime::from_unix_timestamp(unix.try_into().unwrap()).unwrap()
}

/// A CA that the service did not make.
struct Ca {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "Example Code Signing");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// A certificate for a name, valid until then.
    fn certify(&self, key: &KeyPair, name: SanType, until: u64) -> rcgen::Certificate {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![name];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        (params.not_before, params.not_after) = (time(now() - DAY), time(until));
        params.signed_by(key, &self.issuer).unwrap()
    }
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

/// A statement of a client that knows RFC 9943 and nothing of Treering: `sign` makes r || s.
fn statement(
    iss: &str,
    (alg, by): (i64, (i64, Value)),
    payload: &[u8],
    sign: impl Fn(&[u8]) -> Vec<u8>,
) -> Vec<u8> {
    let claims = vec![(1.into(), iss.into()), (2.into(), "scan-1".into())];
    let protected = Value::Map(vec![
        (1.into(), alg.into()),
        (3.into(), "application/json".into()),
        (15.into(), Value::Map(claims)),
        (by.0.into(), by.1),
    ]);
    let protected = strict::encode(&protected).unwrap();
    let signature = sign(&sig_structure(&protected, payload));
    let parts = vec![
        Value::Bytes(protected),
        Value::Map(Vec::new()),
        Value::Bytes(payload.to_vec()),
        Value::Bytes(signature),
    ];
    strict::encode(&Value::Tag(18, Box::new(Value::Array(parts)))).unwrap()
}

/// The P-384 key of a scanner, and its certificates.
struct Scanner {
    key: KeyPair,
}

impl Scanner {
    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let key =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, self.key.serialized_der()).unwrap();
        key.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
    }

    /// With whatever S comes out; its issuer is one whose both spellings are taken.
    fn statement(&self, certificate: &[u8], payload: &[u8]) -> Vec<u8> {
        let by = (33, Value::Bytes(certificate.to_vec()));
        statement(SCANNER, (-35, by), payload, |message| self.sign(message))
    }
}

/// n - s for s.
fn twin(entry: &[u8]) -> Vec<u8> {
    const ORDER: &str =
        "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973";
    let order = data_encoding::HEXLOWER.decode(ORDER.as_bytes()).unwrap();
    let mut twin = entry.to_vec();
    let start = twin.len() - 48;
    let mut borrow = 0;
    for place in (0..48).rev() {
        let difference = i16::from(order[place]) - i16::from(twin[start + place]) - borrow;
        borrow = i16::from(difference < 0);
        twin[start + place] = u8::try_from(difference.rem_euclid(256)).unwrap();
    }
    twin
}

fn leaf(registered: &serde_json::Value) -> Hash {
    let hex = registered["leaf"].as_str().unwrap();
    Hash::from_slice(&data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap()).unwrap()
}

async fn logged_policy(net: &Net) -> RegistrationPolicy {
    let entry = net.get("/v1/statements/0").await.is(200).body;
    let entry = Statement::parse(&entry).unwrap();
    let Body::Public { content_type, bytes } = entry.body() else { panic!() };
    match AnyContent::parse(content_type.unwrap(), bytes).unwrap().unwrap() {
        AnyContent::RegistrationPolicy(policy) => policy,
        other => panic!("{other:?}"),
    }
}

/// An issuer that is known by certificates, as `--issuer` takes it.
fn issuer_file(iss: &str, kinds: &str, more: &str, (ca, name): (&str, &str)) -> String {
    format!("iss = \"{iss}\"\nkinds = [{kinds}]\n{more}[[anchor]]\ncertificate = '''\n{ca}'''\n{name}")
}

/// One whose statements are plain, and made by a library that knows nothing of low S.
fn scanner_file(ca: &Ca) -> String {
    issuer_file(SCANNER, PROVENANCE, "public = true\nhigh_s = true\n", (&ca.pem, ""))
}

struct Setting {
    stage: Stage,
    ca: Ca,
    scanner: Scanner,
    lenient: KeyPair,
}

impl Setting {
    async fn make() -> Self {
        let (ca, dir) = (Ca::new(), folder("issuers"));
        let lenient = KeyPair::generate().unwrap();
        let key = VerifyingKey::from_spki(&lenient.subject_public_key_info()).unwrap();
        let key = BASE64URL_NOPAD.encode(&key.to_cose_key().unwrap());
        let lenient_file = format!(
            "iss = \"{LENIENT}\"\nkey = \"{key}\"\nkinds = [{PROVENANCE}]\npublic = true\nhigh_s = true\n"
        );
        let builds = format!("{PROVENANCE}, \"reference-values\"");
        let files = [
            ("scanner.toml", scanner_file(&ca)),
            ("lenient.toml", lenient_file),
            ("builder.toml", issuer_file(BUILDER, &builds, "", (&ca.pem, "name = \"builder.example\"\n"))),
        ];
        let mut init = Vec::new();
        for (name, text) in files {
            fs::write(dir.join(name), text).unwrap();
            init.extend(["--issuer".to_owned(), dir.join(name).to_str().unwrap().to_owned()]);
        }
        let stage = Stage::make(&Settings { init, ..Settings::default() }).await;
        stage.serve();
        let scanner = Scanner { key: KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap() };
        Self { stage, ca, scanner, lenient }
    }
}

#[tokio::test]
async fn an_issuer_known_by_certificates_registers_and_its_decision_can_be_made_again() {
    let Setting { stage, ca, scanner, lenient } = Setting::make().await;
    let net = stage.stranger();
    let good = ca.certify(&scanner.key, uri(SCANNER), now() + DAY);
    let bytes = scanner.statement(good.der(), b"{\"found\":0}");
    let reply = net.entries(&bytes).await.is(201);
    let entry = Statement::parse(&bytes).unwrap();
    let receipt = Receipt::parse(&reply.body).unwrap();
    let key = &stage.trust().receipt_keys().0[0].clone();
    receipt.verify_inclusion(key, &stage.origin, &entry.leaf()).unwrap();

    // From the log alone: the policy at index 0, the statement, and an instant.
    let policy = logged_policy(&net).await;
    assert_eq!(policy.algs, [-8, -7, -35]);
    let keys = rules::IssuerKeys::of(&policy);
    let (issuer, _) = rules::header(&policy, &keys, &entry, now()..=now()).unwrap();
    assert_eq!(issuer.iss, SCANNER);
    let error =
        rules::header(&policy, &keys, &entry, now() + 2 * DAY..=now() + 3 * DAY).map(drop).unwrap_err();
    assert!(error.to_string().contains("certificate 0 of the path is valid from"), "{error}");

    // By somebody who has the anchor, the trust file and no network.
    let dir = folder("offline");
    let write = |name: &str, bytes: &[u8]| {
        fs::write(dir.join(name), bytes).unwrap();
        dir.join(name).to_str().unwrap().to_owned()
    };
    let (statement_file, receipt_file) = (write("scan.cose", &bytes), write("scan.receipt", &reply.body));
    let trust = stage.path("trust.json");
    let verify = |issuer: &str, more: &[&str]| {
        let arguments =
            ["verify", "--statement", &statement_file, "--trust", &trust, "--issuer", issuer, "--json"];
        cli(arguments.into_iter().chain(more.iter().copied()))
    };
    let with_receipt = ["--receipt", receipt_file.as_str()];
    let anchor = |ca: &Ca| write("scanner.toml", scanner_file(ca).as_bytes());
    let verdict = verify(&anchor(&ca), &with_receipt).ended(0).json();
    assert_eq!(
        (&verdict["verdict"], &verdict["log"]["index"]),
        (&"trustworthy".into(), &2.into()),
        "{verdict}"
    );
    assert_eq!(verify(&anchor(&ca), &[]).ended(2).json()["failed"]["name"], "receipt");
    let late = [with_receipt.as_slice(), &["--at", "2039-01-01T00:00:00Z"]].concat();
    assert_eq!(verify(&anchor(&ca), &late).ended(1).json()["failed"]["name"], "statement-signature");
    assert_eq!(
        verify(&anchor(&Ca::new()), &with_receipt).ended(1).json()["failed"]["name"],
        "statement-signature"
    );

    // Each refusal says what to do, in SCRAPI's words.
    let rejected = async |certificate: &[u8]| {
        net.entries(&scanner.statement(certificate, b"{}")).await.concise(400, "Rejected")
    };
    let old = ca.certify(&scanner.key, uri(SCANNER), now() - 60);
    assert!(rejected(old.der()).await.contains("which does not include"));
    let stranger = Ca::new().certify(&scanner.key, uri(SCANNER), now() + DAY);
    assert!(rejected(stranger.der()).await.contains("no chain of signatures to a pinned CA"));
    let other = ca.certify(&scanner.key, uri(BUILDER), now() + DAY);
    assert_eq!(
        rejected(other.der()).await,
        format!("the certificate is not for this issuer: want `{SCANNER}` as a subject alternative name")
    );
    assert!(rejected(b"garbage").await.starts_with("x5chain, certificate 0: "));
    let six = Value::Array(vec![Value::Bytes(good.der().to_vec()); 6]);
    let too_many = statement(SCANNER, (-35, (33, six)), b"{}", |message| scanner.sign(message));
    let detail = net.entries(&too_many).await.concise(400, "Malformed request");
    assert!(detail.contains("at most 5 are taken"), "{detail}");
    let by_kid =
        statement(SCANNER, (-35, (4, Value::Bytes(vec![7; 32]))), b"{}", |message| scanner.sign(message));
    let detail = net.entries(&by_kid).await.concise(400, "Rejected");
    assert_eq!(detail, "this issuer is known by certificates: put x5chain (33) into the protected header");
    // The other way round: an issuer that is known by its key.
    let signer = Es256Signer::from_pkcs8(lenient.serialized_der()).unwrap();
    let by = (33, Value::Bytes(good.der().to_vec()));
    let chained = statement(LENIENT, (-7, by), b"{}", |message| signer.sign(message).unwrap());
    let detail = net.entries(&chained).await.concise(400, "Rejected");
    assert!(detail.ends_with("name one by kid, and leave x5chain out"), "{detail}");
}

#[tokio::test]
async fn an_issuer_whose_both_spellings_are_taken_has_one_entry_for_both() {
    let Setting { stage, ca, scanner, .. } = Setting::make().await;
    let net = stage.stranger();
    let certificate = ca.certify(&scanner.key, uri(SCANNER), now() + DAY);
    // As the library signs, one half of them with a high S.
    let mut high = 0;
    for number in 0..16 {
        let bytes = scanner.statement(certificate.der(), format!("{{\"run\":{number}}}").as_bytes());
        let first = net.entries(&bytes).await.is(201);
        let index = Receipt::parse(&first.body).unwrap().inclusions()[0].index;
        high += usize::from(bytes[bytes.len() - 48] >= 0x80);
        // Anybody can make the twin; it says nothing new, and gets no entry of its own.
        let twin = twin(&bytes);
        assert_ne!(Statement::parse(&twin).unwrap().leaf(), Statement::parse(&bytes).unwrap().leaf());
        let detail = net.entries(&twin).await.concise(400, "Rejected");
        assert_eq!(
            detail,
            format!("entry {index} is this statement, its signature with the other S: use that one")
        );
        net.entries(&bytes).await.is(201);
    }
    assert!((1..16).contains(&high), "{high} of 16 had a high S");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certified_ci_registers_confidential_content_with_the_program() {
    let Setting { stage, ca, .. } = Setting::make().await;
    let dir = folder("builder");
    let write = |name: &str, text: &[u8]| {
        let path = dir.join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    // Any Ed25519 key that the program reads; the CA certifies it for a host's name.
    let key = stage.path("issuers/ci.pem");
    let pair = KeyPair::from_pem(&fs::read_to_string(&key).unwrap()).unwrap();
    let certificate = ca.certify(&pair, SanType::DnsName("builder.example".try_into().unwrap()), now() + DAY);
    let certificates = write("chain.pem", certificate.pem().as_bytes());
    let document = write("build.json", b"{}");
    let (url, tls) = (stage.url(), stage.path("tls/ca.pem"));
    let connect = |who: &str| {
        let (client, key) =
            (stage.path(&format!("clients/{who}.pem")), stage.path(&format!("clients/{who}.key")));
        ["--url", &url, "--tls-ca", &tls, "--client-cert", &client, "--client-key", &key].map(str::to_owned)
    };
    let register = |what: &[&str], certificates: &[&str]| {
        let signing = ["--iss", BUILDER, "--signing-key", &key, "--origin", &stage.origin, "--json"];
        let all = what.iter().chain(&signing).chain(certificates).map(|word| (*word).to_owned());
        cli(all.chain(connect("ci")))
    };
    let build = ["provenance", "add", "--kind", "build", "--workload", "payments", "--file", &document];
    let build = [build.as_slice(), &["--media-type", "application/vnd.in-toto+json"]].concat();
    let refused = register(&build, &[]).ended(3);
    assert!(refused.stderr.contains("known by certificates"), "{}", refused.stderr);
    let certified = ["--certificates", certificates.as_str()];
    let build = register(&build, &certified).ended(0).json();
    let build = build["leaf"].as_str().unwrap();
    let value = format!("payments 1={}", data_encoding::HEXLOWER.encode(&Sha384::digest(image())));
    let reference =
        ["provenance", "reference", "--workload", "payments", "--value", &value, "--provenance", build];
    let reference = register(&reference, &certified).ended(0).json();

    // It carries its chain and names the same key.
    let statement = stage.statement(&stage.stranger(), reference["index"].as_u64().unwrap()).await;
    let public = VerifyingKey::from_spki(&pair.subject_public_key_info()).unwrap();
    assert_eq!(statement.kid().unwrap(), public.thumbprint());

    // A credential that rests on it: the auditor checks the certificates on the way back to the build.
    stage.bring_into_force(leaf(&reference), None).await;
    let policy = stage.register("author", &Stage::policy(PolicyType::Appraisal, "default", APPRAISAL)).await;
    stage.bring_into_force(policy.leaf, None).await;
    let target = stage.workload("certified").await;
    stage.grant_all().await;
    let (image, out) = (write("image", &image()), dir.join("out"));
    let platform = stage.path("platform");
    let acquire = [
        "acquire",
        "--url",
        &url,
        "--tls-ca",
        &tls,
        "--target",
        &target,
        "--rp-id",
        &stage.rp_id,
        "--simulated",
        &platform,
        "--image",
        &image,
        "--out",
        out.to_str().unwrap(),
        "--json",
    ];
    let acquired = cli(acquire).ended(0).json();
    let (trust, auditor) = (stage.path("trust.json"), stage.path("auditor.key"));
    let credential = acquired["credential"].as_str().unwrap();
    let trace = ["trace", "--credential", credential, "--trust", &trust, "--key", &auditor, "--json"];
    let report = cli(trace.map(str::to_owned).into_iter().chain(connect("auditor"))).ended(0).json();
    assert_eq!(report["trace"]["build"], true, "{report}");
    assert_eq!(report["replay"]["identical"], true, "{report}");
}
