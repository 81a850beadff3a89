//! Whole decisions by the service's own code, in this process: evidence in and a credential with its proof out, a refusal,
//! and logged decisions made again: `cargo bench -p treering --bench decisions`.
//!
//! The platform is simulated, and there is no witness and no network: one client waits for one synced commit. Under load,
//! with a witness and over TLS: `treering bench issue` and `replay`; an appraisal alone: `benches/appraise`.
#![expect(clippy::unwrap_used, reason = "a bench")]

use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use sha2::{Digest, Sha256, Sha384};
use tokio::runtime::Runtime;
use treering::attester::Attester;
use treering::attester::simulated::{Guest, Launch, Platform};
use treering::audit::{self, Keyring, LocalSource, Scope, Verdict};
use treering::authority::{Authority, CaFiles};
use treering::binding::{Challenger, binding_value};
use treering::client::evidence_of;
use treering::clock::{Clock, SystemClock};
use treering::collateral::Collaterals;
use treering::config::Config;
use treering::governance::{self, GrantTerms, Registrar};
use treering::ident::TrustDomain;
use treering::issuance::{IssuanceError, Issuer, Request, Rules};
use treering::keys::{self, KeyStore};
use treering::ledger::{HeadSealer, Ledger, ReleaseRule};
use treering::verifier::{HardwareRoots, MEASUREMENT, SUBMOD_SNP, Verifier};
use treering_log::{Config as LogConfig, Log};
use treering_provenance::bytes::{Bytes, Fixed};
use treering_provenance::content::{
    Approval, Content, Policy, PolicyType, ReferenceValue, ReferenceValues, V1,
};
use treering_provenance::cose::Ed25519Signer;
use treering_provenance::envelope::{self, Context, Plaintext};
use treering_provenance::grant::AuditorKey;
use treering_provenance::statement::Draft;
use treering_provenance::trust::{Release, Trust};
use treering_provenance::verify::{Outcome, VerifyOptions, verify_x509};
use treering_tlog::hash::Hash;

/// That of the service: its decisions make as many small values here.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TRUST_DOMAIN: &str = "simulated.bench.example";
const TARGET: &str = "spiffe://simulated.bench.example/payments/api";
const IMAGE: &[u8] = b"the image that reference values name";
const OTHER_IMAGE: &[u8] = b"an image that nobody registered";
/// Credentials in the log that is replayed.
const LOGGED: u64 = 32;
const HOUR_S: u64 = 60 * 60;

const APPRAISAL_POLICY: &str = "\
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
const MANIFEST: &str = "\
version = 1
identifier = \"spiffe://simulated.bench.example/payments/api\"
appraisal_policy = \"default\"
reference_values = \"payments\"
max_ttl_s = 3600
[[selector]]
name = \"released\"
tee = [\"sev-snp\"]
assurance = [\"simulated\"]
reference_values = [\"payments 1\"]
[selector.claims]
environment = \"bench\"
";

/// The folder of a ledger, as `treering init` makes it.
struct Folder {
    dir: tempfile::TempDir,
    config: Config,
    platform: Arc<Platform>,
}

impl Folder {
    fn make() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut init = Command::new(env!("CARGO_BIN_EXE_treering"));
        init.args(["init", "--trust-domain", TRUST_DOMAIN, "--simulated", "--dir"]).arg(dir.path());
        assert!(init.stdout(Stdio::null()).status().unwrap().success(), "treering init");
        let config = Config::load(&dir.path().join("treering.toml")).unwrap();
        let platform = Arc::new(Platform::load(&dir.path().join("platform")).unwrap());
        Self { dir, config, platform }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn trust(&self) -> Trust {
        Trust::parse(&fs::read(self.path("trust.json")).unwrap()).unwrap()
    }

    fn auditor(&self) -> AuditorKey {
        let jwk = keys::read_secret(&self.path("auditor.key")).unwrap();
        AuditorKey::from_jwk(std::str::from_utf8(&jwk).unwrap()).unwrap()
    }

    fn guest(&self, image: &[u8]) -> Guest {
        self.platform.guest(Launch::of_image(image)).unwrap()
    }

    /// Opens the log and puts the roles on it, as the service does.
    fn open(&self) -> Roles {
        let Config { origin, keys_dir, data_dir, credentials, .. } = &self.config;
        let (keys, domain) = (KeyStore::at(keys_dir), TrustDomain::parse(TRUST_DOMAIN).unwrap());
        let sealer = HeadSealer::load(&keys, origin, &domain).unwrap();
        let settings = LogConfig::new(data_dir, Arc::new(|| SystemClock.now()));
        let log = Log::open(settings, Arc::new(sealer)).unwrap();
        let embed_parents = credentials.embed_parents;
        let release = ReleaseRule { at: Release::Committed, timeout: Duration::ZERO, embed_parents };
        let master = keys.master().unwrap();
        let ledger = Arc::new(Ledger::new(log, &keys, &master, origin, domain.clone(), release).unwrap());
        let ca = CaFiles { certificate: &credentials.ca_certificate, key: &credentials.ca_key };
        let issuer = Issuer::new(
            Arc::clone(&ledger),
            Authority::load(&ca, domain).unwrap(),
            Challenger::new(&master.derive("challenge")),
            HardwareRoots::with_simulated([self.platform.root_fingerprint()]),
            Collaterals::none(),
            Rules {
                rp_id: self.config.rp_id.clone(),
                max_ttl_s: credentials.max_ttl_s,
                max_refused_bytes_per_minute: credentials.max_refused_bytes_per_minute,
            },
        );
        Roles { registrar: Registrar::new(Arc::clone(&ledger)).unwrap(), issuer, ledger }
    }
}

/// A ledger and the roles on it that decide.
struct Roles {
    ledger: Arc<Ledger>,
    registrar: Registrar,
    issuer: Issuer,
}

impl Roles {
    /// Registers confidential content as one of the issuers that `init` made.
    async fn register<C: Content>(&self, folder: &Folder, who: &str, content: &C) -> Hash {
        let (now, origin) = (SystemClock.now(), self.ledger.origin());
        let key = keys::read_ed25519(&folder.path(&format!("issuers/{who}.pem"))).unwrap();
        let signer = Ed25519Signer::from_seed(&key.to_bytes()).unwrap();
        let (issuer, subject) =
            (format!("https://{who}.{TRUST_DOMAIN}"), Fixed(keys::random::<32>().unwrap()).to_string());
        let plaintext = Plaintext::of(content, keys::random().unwrap()).unwrap();
        let key = governance::content_key(&self.ledger, C::KIND, now).await.unwrap();
        let context = Context { origin, issuer: &issuer, subject: &subject, kind: C::KIND };
        let wrapped = (&key.kek_id, &key.wrapped);
        let sealed = envelope::seal_wrapped(&plaintext, &context, &key.content_key, wrapped).unwrap();
        let draft = Draft {
            kind: C::KIND,
            issuer: &issuer,
            subject: &subject,
            audience: origin,
            issued_at: now,
            parents: Vec::new(),
            cred: None,
            payload: plaintext.payload(C::KIND, &sealed).unwrap(),
        };
        let statement = draft.sign(&signer).unwrap();
        self.registrar.staging().put(Sha256::digest(&sealed).into(), sealed, now).unwrap();
        self.registrar.register(statement.entry(), now).await.unwrap().leaf
    }

    /// Registers, approves and activates.
    async fn bring_into_force<C: Content>(&self, folder: &Folder, who: &str, content: &C) {
        let policy = self.register(folder, who, content).await;
        let now = SystemClock.now();
        let window = (now, now + HOUR_S);
        let approval = Approval {
            v: V1,
            policy: policy.into(),
            predecessor: None,
            not_before: window.0,
            not_after: window.1,
        };
        self.register(folder, "approver", &approval).await;
        governance::activate(&self.ledger, self.registrar.policy(), policy, SystemClock.now()).await.unwrap();
    }

    /// What an issuance rests on, and an auditor's grant.
    async fn set_the_scene(&self, folder: &Folder) {
        let measurement = Sha384::digest(IMAGE).to_vec();
        let references = ReferenceValues {
            v: V1,
            workload: "payments".to_owned(),
            values: vec![ReferenceValue::single(SUBMOD_SNP, "payments 1", MEASUREMENT, measurement)],
            provenance: Vec::new(),
        };
        let policy = |policy_type, name: &str, body: &str| Policy {
            v: V1,
            policy_type,
            name: name.to_owned(),
            media_type: "application/toml".to_owned(),
            body: Bytes(body.as_bytes().to_vec()),
            predecessor: None,
        };
        self.bring_into_force(folder, "ci", &references).await;
        let appraisal = policy(PolicyType::Appraisal, "default", APPRAISAL_POLICY);
        self.bring_into_force(folder, "author", &appraisal).await;
        self.bring_into_force(folder, "author", &policy(PolicyType::Mapping, TARGET, MANIFEST)).await;
        let (now, all) = (SystemClock.now(), || vec!["*".to_owned()]);
        let terms = GrantTerms { scopes: all(), classes: all(), from: 0, to: now + HOUR_S };
        governance::grant(&self.ledger, "Audit Ltd", folder.auditor().public(), terms, now).await.unwrap();
    }

    /// The workload's side: a key, a challenge, and evidence bound to both.
    fn request(&self, guest: &Guest) -> Request {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let csr = params.serialize_request(&KeyPair::generate().unwrap()).unwrap().der().to_vec();
        let random = keys::random().unwrap();
        let challenge = self.issuer.challenge(TARGET, random, SystemClock.now()).unwrap();
        let binding = binding_value(&challenge, TARGET, self.issuer.rp_id(), &csr);
        let (evidence, collateral) = evidence_of(guest.report(&binding).unwrap()).unwrap();
        Request { challenge, target: TARGET.to_owned(), csr, evidence, collateral }
    }

    /// A credential, PEM.
    async fn issue(&self, request: &Request) -> String {
        self.issuer.acquire(request, &SystemClock).await.unwrap().pem().unwrap()
    }

    async fn refuse(&self, request: &Request) -> String {
        match self.issuer.acquire(request, &SystemClock).await {
            Err(IssuanceError::Refused { entry }) => entry,
            Err(error) => panic!("not refused, and not issued: {error}"),
            Ok(_) => panic!("issued for an image that nobody registered"),
        }
    }
}

/// What is measured is measured on decisions that are as they should be: one that a relying party would not believe, or
/// an auditor could not repeat, would be a figure of nothing.
fn check(credential: &str, trust: &Trust) -> Vec<u8> {
    // The CA's certificate follows.
    let der = CertificateDer::pem_slice_iter(credential.as_bytes()).next().unwrap().unwrap().to_vec();
    let options = VerifyOptions { now: SystemClock.now(), identifier: Some(TARGET), possession: None };
    let verdict = verify_x509(&[der.as_slice()], trust, &options);
    assert_eq!(verdict.outcome(), Outcome::Trustworthy, "{:?}", verdict.failed());
    der
}

fn decisions(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let folder = Folder::make();
    let roles = folder.open();
    let guest = folder.guest(IMAGE);
    let credential = runtime.block_on(async {
        roles.set_the_scene(&folder).await;
        let mut last = String::new();
        for _ in 0..LOGGED {
            last = roles.issue(&roles.request(&guest)).await;
        }
        roles.ledger.log().shutdown().await;
        last
    });
    drop(roles);
    let credential = check(&credential, &folder.trust());
    replay(c, &runtime, &folder, &credential);
    issue(c, &runtime, &folder);
}

/// From the folder of the stopped log, as an auditor has it.
fn replay(c: &mut Criterion, runtime: &Runtime, folder: &Folder, credential: &[u8]) {
    let (trust, source) = (folder.trust(), source(&folder.config.data_dir));
    let keyring = runtime.block_on(Keyring::unlock(&source, &folder.auditor(), trust.origin())).unwrap();
    let traced = || runtime.block_on(audit::trace(credential, &source, &trust, &keyring)).unwrap();
    let trace = traced();
    let mut group = c.benchmark_group("replay");
    group.bench_function("a credential's decision, traced before", |b| {
        b.iter(|| {
            let replay = audit::replay(black_box(&trace));
            assert!(replay.identical, "{:?}", replay.notes);
        });
    });
    group.bench_function("a credential, traced and its decision made again", |b| {
        b.iter(|| assert!(audit::replay(&traced()).identical));
    });
    let all = || {
        let mut quiet = |_| ();
        let appraiser = (|roots| Verifier::with_capacity(roots, 1), SystemClock.now());
        let scope = Scope::default();
        let report = audit::replay_log(&source, &trust, &keyring, &scope, appraiser, &mut quiet);
        runtime.block_on(report).unwrap()
    };
    let decisions = all().decisions.values().map(|tally| tally.identical).sum();
    assert!(decisions >= 3 * LOGGED, "an appraisal, a mapping and an issuance each: {decisions}");
    group.throughput(Throughput::Elements(decisions));
    group.bench_function(format!("a log of {LOGGED} credentials, all {decisions} decisions"), |b| {
        b.iter(|| assert_eq!(all().verdict, Verdict::Identical));
    });
    group.finish();
}

fn source(data: &Path) -> LocalSource {
    LocalSource::open(data).unwrap()
}

/// One at a time, each with its synced commit. What the workload does is done before the time is taken.
fn issue(c: &mut Criterion, runtime: &Runtime, folder: &Folder) {
    let (roles, trust) = (folder.open(), folder.trust());
    let (known, other) = (folder.guest(IMAGE), folder.guest(OTHER_IMAGE));
    let mut group = c.benchmark_group("issue");
    group.bench_function("a credential: appraised, mapped, logged, released", |b| {
        b.iter_batched(
            || roles.request(&known),
            |request| runtime.block_on(roles.issue(&request)),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("a refusal: appraised, logged", |b| {
        b.iter_batched(
            || roles.request(&other),
            |request| runtime.block_on(roles.refuse(&request)),
            BatchSize::SmallInput,
        );
    });
    group.finish();
    check(&runtime.block_on(roles.issue(&roles.request(&known))), &trust);
    runtime.block_on(roles.ledger.log().shutdown());
}

criterion_group!(benches, decisions);
criterion_main!(benches);
