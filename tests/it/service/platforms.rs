//! Evidence of every kind, end to end: a workload on each platform gets a credential by the public API, which is
//! verified, traced and made again; and what must be refused is, whatever the kind.

use std::fs;
use std::sync::Arc;

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::OnceCell;
use treering::attester::composite::Composite;
use treering::attester::simulated::azure::{AzureVm, Host, VmConfiguration};
use treering::attester::simulated::cca::{CcaPlatform, RealmImage};
use treering::attester::simulated::intel::{Enclave, IntelModel, IntelPlatform, Td, TdVersion, measure};
use treering::attester::simulated::nitro::{EnclaveImage, NitroPlatform};
use treering::attester::simulated::nvidia::{Device, Model};
use treering::attester::simulated::tpm::Tpm;
use treering::attester::simulated::{Launch, Platform};
use treering::attester::{Attestation, Attester, AttesterError, EvidenceItem, NITRO_DOCUMENT};
use treering::client::ClientError;
use treering::verifier::{ATTESTATION_RESULT, PLATFORM_TOKEN, digest_of};
use treering_provenance::content::{PolicyType, ReferenceValue, ReferenceValues, Refusal, V1};

use crate::support::{Ask, Settings, Stage, cli, folder, now};
use crate::verifier::tokens::Issuer;

const IMAGE: &[u8] = b"an image for every platform";
/// The appraisal policies: every kind alone, a processor with a GPU, and SEV-SNP alone. Their sections are the same.
const EVERY_KIND: (&str, &str) = ("every-kind", "");
const WITH_GPU: (&str, &str) = ("with-gpu", "[composite.components]\nsev-snp = 1\nnvidia-gpu = 1\n");
const SNP_ALONE: (&str, &str) = ("snp-alone", "[composite.components]\nsev-snp = 1\n");

/// A workload on a platform of some kind.
struct Workload {
    /// Its name, in its identifier and of its reference value.
    name: &'static str,
    /// What its manifest selects on.
    tee: &'static str,
    assurance: &'static str,
    /// What is measured: the kind, the register and its value.
    measured: (&'static str, &'static str, Vec<u8>),
    attester: Box<dyn Attester>,
}

impl Workload {
    fn policy(&self) -> &'static str {
        if self.tee.contains('+') { WITH_GPU.0 } else { EVERY_KIND.0 }
    }
}

/// Evidence of one item, which a function makes.
struct By<F>(&'static str, F);

impl<F: Fn(&[u8; 64]) -> Vec<u8> + Send + Sync> Attester for By<F> {
    fn report(&self, report_data: &[u8; 64]) -> Result<Attestation, AttesterError> {
        let item = EvidenceItem { media_type: self.0, bytes: (self.1)(report_data) };
        Ok(Attestation { evidence: vec![item], ..Attestation::default() })
    }
}

/// Those who vouch for the platforms: the configuration and the policies name them before any workload is there.
struct Platforms {
    intel: Arc<IntelPlatform>,
    nitro: Arc<NitroPlatform>,
    cca: Arc<CcaPlatform>,
    tpm: Tpm,
    gpu: Arc<Device>,
    verifier: Issuer,
    cluster: Issuer,
}

impl Platforms {
    fn generate() -> Self {
        let now = now();
        let mut tpm = Tpm::generate(now).unwrap();
        tpm.extend(4, &Sha256::digest(IMAGE).into());
        Self {
            intel: Arc::new(IntelPlatform::generate(IntelModel::default(), now).unwrap()),
            nitro: Arc::new(NitroPlatform::generate(now).unwrap()),
            cca: Arc::new(CcaPlatform::generate().unwrap()),
            tpm,
            gpu: Arc::new(Device::generate(Model::Gh100, now).unwrap()),
            verifier: Issuer::ed25519(7),
            cluster: Issuer::ed25519(8),
        }
    }

    /// Root certificates, and of CCA, which has none, the platform's key.
    fn roots(&self) -> String {
        let pem = |label: &str, der: &[u8]| {
            pem_rfc7468::encode_string(label, pem_rfc7468::LineEnding::LF, der).unwrap()
        };
        let [tpm, _] = self.tpm.certificates();
        let roots = [self.intel.chain()[2], self.nitro.root_certificate(), tpm, &self.gpu.chain()[4]];
        let roots: String = roots.iter().map(|der| pem("CERTIFICATE", der)).collect();
        roots + &pem("PUBLIC KEY", &self.cca.key())
    }

    /// The sections of the appraisal policies.
    fn sections(&self) -> String {
        let (verifier, cluster) = (self.verifier.jwks(), self.cluster.jwks());
        let cca = BASE64.encode(&self.cca.key());
        format!(
            "[sev_snp]\nrequire_tcb_floor = false\n\
             [tpm]\nrequire_secure_boot = false\n\
             [nitro]\nrequire_crl = false\n\
             [cca]\nrequire_platform_reference = false\n\
             [[cca.platform_key]]\nname = \"simulated\"\nspki = \"{cca}\"\n\
             [nvidia_gpu]\nrequire_reference_value = false\nrequire_revocation = false\n\
             [[external]]\nname = \"another Verifier\"\nformat = \"ear-04\"\nissuer = \"https://verifier.example\"\n\
             tees = [\"sev-snp\"]\nkeys = '''{verifier}'''\n\
             [[software]]\nname = \"cluster\"\nissuer = \"https://k8s.example\"\naudience = \"https://treering.example\"\n\
             subjects = [\"api\"]\nimage_digest = \"/image\"\nkeys = '''{cluster}'''\n"
        )
    }

    /// A workload of each kind: the row of every table.
    fn workloads(self, milan: &Arc<Platform>) -> Vec<Workload> {
        let Self { intel, nitro, cca, tpm, gpu, verifier, cluster } = self;
        let guest = || milan.guest(Launch::of_image(IMAGE)).unwrap();
        let measurement = guest().launch().measurement.to_vec();
        let td = |version| {
            let td = Td::of(measure(&[IMAGE, &[version as u8]].concat()));
            Td { version, ..td }
        };
        let [four, five] = [TdVersion::Four, TdVersion::Five].map(td);
        let [mrtd_4, mrtd_5] = [&four, &five].map(|td| td.mrtd.to_vec());
        let image = EnclaveImage::of(IMAGE);
        let pcr0 = image.measurements[0].to_vec();
        let document = move |binding: &[u8; 64]| {
            nitro.enclave(image.clone(), now()).report(binding).unwrap().evidence.remove(0).bytes
        };
        let pcr4 = tpm.registers().find(|(index, _)| *index == 4).unwrap().1.to_vec();
        let realm = RealmImage::of(IMAGE);
        let rim = realm.initial_measurement.to_vec();
        let td_host = Host::Tdx(Arc::clone(&intel), Box::new(five.clone()));
        let composite = Composite::new(vec![Box::new(guest()), Box::new(gpu)]);
        let row =
            |name, tee, assurance, measured, attester| Workload { name, tee, assurance, measured, attester };
        let simulated = |name, tee, register, value, attester| {
            row(name, tee, "simulated", (tee, register, value), attester)
        };
        vec![
            simulated("tdx-v4", "tdx", "mrtd", mrtd_4, Box::new(intel.guest(four))),
            simulated("tdx-v5", "tdx", "mrtd", mrtd_5.clone(), Box::new(intel.guest(five))),
            simulated(
                "sgx",
                "sgx",
                "mrenclave",
                vec![7; 32],
                Box::new(intel.enclave(Enclave::of([7; 32], [8; 32]))),
            ),
            simulated("nitro", "nitro", "pcr0", pcr0, Box::new(By(NITRO_DOCUMENT, document))),
            simulated("tpm", "tpm", "pcr4", pcr4, Box::new(tpm)),
            simulated("az-snp", "az-snp", "measurement", measurement.clone(), azure(Host::Snp(guest()))),
            simulated("az-tdx", "az-tdx", "mrtd", mrtd_5, azure(td_host)),
            simulated("cca", "cca", "rim", rim, Box::new(cca.realm(realm).unwrap())),
            row(
                "another-verifier",
                "sev-snp",
                "hardware",
                ("sev-snp", "measurement", vec![0x11; 48]),
                Box::new(By(ATTESTATION_RESULT, move |binding: &[u8; 64]| {
                    verifier.jwt(&ear(binding)).into_bytes()
                })),
            ),
            row(
                "software",
                "software",
                "software",
                ("software", "image-digest", vec![9; 32]),
                Box::new(By(PLATFORM_TOKEN, move |binding: &[u8; 64]| {
                    cluster.jwt(&token(binding)).into_bytes()
                })),
            ),
            row(
                "with-gpu",
                "sev-snp+nvidia-gpu",
                "simulated",
                ("sev-snp", "measurement", measurement),
                Box::new(composite),
            ),
        ]
    }
}

fn azure(host: Host) -> Box<dyn Attester> {
    let vm_unique_id = "911B0EF8-9DBA-48B0-B275-4E4DF2D39252".to_owned();
    let vm = VmConfiguration { console_enabled: false, secure_boot: true, tpm_enabled: true, vm_unique_id };
    Box::new(AzureVm::new(host, Tpm::generate(now()).unwrap(), vm).unwrap())
}

/// Seconds for which the tokens of others hold; a manifest allows 600.
const TOKEN_S: u64 = 300;

/// What another Verifier says of a SEV-SNP guest.
fn ear(binding: &[u8; 64]) -> Value {
    let claims =
        json!({ "measurement": HEXLOWER.encode(&[0x11; 48]), "report_data": HEXLOWER.encode(binding) });
    json!({
        "eat_profile": "tag:ietf.org,2026:rats/ear#04",
        "iat": now(), "exp": now() + TOKEN_S,
        "ear_verifier_id": { "developer": "https://verifier.example", "build": "v 1" },
        "ear_status": "affirming",
        "submods": { "sev-snp": {
            "ear_status": "affirming",
            "ear_trustworthiness_vector":
                { "configuration": 2, "hardware": 2, "runtime-opaque": 2, "executables": 2 },
            "ear_attester_claims": claims,
            "eat_nonce": BASE64URL_NOPAD.encode(binding),
        } },
    })
}

/// A cluster's word about a workload without a TEE.
fn token(binding: &[u8; 64]) -> Value {
    let digest = BASE64URL_NOPAD.encode(&digest_of("treering-binding-software-v1", binding));
    json!({
        "iss": "https://k8s.example", "sub": "api", "aud": [format!("https://treering.example#{digest}")],
        "iat": now(), "nbf": now(), "exp": now() + TOKEN_S,
        "image": format!("sha256:{}", HEXLOWER.encode(&[9; 32])),
    })
}

/// A service under whose policies a workload of every kind may have a credential.
struct Scene {
    stage: Stage,
    workloads: Vec<Workload>,
}

async fn scene() -> &'static Scene {
    static SCENE: OnceCell<Scene> = OnceCell::const_new();
    SCENE.get_or_init(Scene::set).await
}

impl Scene {
    async fn set() -> Self {
        let platforms = Platforms::generate();
        let roots = folder("platforms").join("roots.pem");
        fs::write(&roots, platforms.roots()).unwrap();
        let init = vec!["--simulated-root".to_owned(), roots.to_str().unwrap().to_owned()];
        let stage = Stage::make(&Settings { init, ..Settings::default() }).await;
        stage.serve();
        stage.grant_all().await;
        let sections = platforms.sections();
        let milan = Arc::new(Platform::load(stage.path("platform").as_ref()).unwrap());
        let workloads = platforms.workloads(&milan);
        let values = workloads.iter().map(|workload| {
            let (kind, register, value) = &workload.measured;
            ReferenceValue::single(kind, workload.name, register, value.clone())
        });
        let values = ReferenceValues {
            v: V1,
            workload: "all".to_owned(),
            values: values.collect(),
            provenance: Vec::new(),
        };
        let values = stage.register("ci", &values).await;
        stage.bring_into_force(values.leaf, None).await;
        for (name, more) in [EVERY_KIND, WITH_GPU, SNP_ALONE] {
            let text = format!("version = 1\nname = \"{name}\"\n{sections}{more}");
            put(&stage, PolicyType::Appraisal, name, &text).await;
        }
        let scene = Self { stage, workloads };
        for workload in &scene.workloads {
            scene.manifest(workload, workload.name, workload.policy()).await;
        }
        scene
    }

    /// Brings a manifest into force by which this workload, appraised by this policy, has this name.
    async fn manifest(&self, workload: &Workload, name: &str, policy: &str) {
        let (identifier, Workload { name: value, tee, assurance, .. }) = (Stage::identifier(name), workload);
        let text = format!(
            "version = 1\nidentifier = \"{identifier}\"\nappraisal_policy = \"{policy}\"\nreference_values = \"all\"\n\
             max_ttl_s = 600\n[[selector]]\nname = \"{value}\"\ntee = [\"{tee}\"]\nassurance = [\"{assurance}\"]\n\
             reference_values = [\"{value}\"]\n[selector.derived]\ntee = \"tee\"\n"
        );
        put(&self.stage, PolicyType::Mapping, &identifier, &text).await;
    }

    /// Asks for this target with evidence by this attester for a value that a function makes of the right one.
    async fn refused(
        &self,
        target: &str,
        attester: &dyn Attester,
        change: impl Fn([u8; 64]) -> [u8; 64],
    ) -> Refusal {
        let net = self.stage.stranger();
        let ask = Ask::begin(&self.stage, &net, &Stage::identifier(target)).await;
        let binding = change(ask.binding());
        let reply = ask.attest_to(&binding, attester).send(&net).await;
        self.stage.refusal(&reply).await
    }
}

async fn put(stage: &Stage, kind: PolicyType, name: &str, text: &str) {
    let policy = stage.register("author", &Stage::policy(kind, name, text)).await;
    stage.bring_into_force(policy.leaf, None).await;
}

#[tokio::test]
async fn a_workload_of_every_kind_gets_a_credential_that_is_verified_traced_and_replayed() {
    let scene = scene().await;
    let (stage, dir) = (&scene.stage, folder("credentials"));
    for workload in &scene.workloads {
        let (name, target) = (workload.name, Stage::identifier(workload.name));
        let acquired = loop {
            // Other tests activate policies beside this one.
            match stage.anonymous().acquire(workload.attester.as_ref(), &target, &stage.rp_id).await {
                Err(ClientError::Refused { code, .. }) if code == "stale" => {}
                other => break other.unwrap_or_else(|error| panic!("{name}: {error}")),
            }
        };
        // No credential outlasts the token that it rests on.
        let longest = if ["another-verifier", "software"].contains(&name) { TOKEN_S } else { 600 };
        let lasts = acquired.response.not_after.saturating_sub(now());
        assert!((longest - 30..=longest).contains(&lasts), "{name}: {lasts}");
        let file = dir.join(format!("{name}.pem"));
        fs::write(&file, acquired.response.credential).unwrap();
        let file = file.to_str().unwrap();
        let verify = ["verify", "--credential", file, "--trust", &stage.path("trust.json"), "--uri", &target];
        let verdict = cli(verify.iter().chain(&["--json"])).ended(0).json();
        assert_eq!(verdict["verdict"], "trustworthy", "{name}: {verdict}");
        let traced = scene.stage.audit(&["trace", "--credential", file]);
        assert_eq!(
            (&traced["trace"]["evidence"], &traced["replay"]["identical"]),
            (&json!(true), &json!(true)),
            "{name}"
        );
        let says = traced["trace"]["steps"].to_string();
        let mapped = format!("tee `{}`, assurance `{}`", workload.tee, workload.assurance);
        assert!(says.contains(&mapped), "{name}: {says}");
    }
    let replay = scene.stage.audit(&["replay", "--all"]);
    assert_eq!(replay["verdict"], "identical", "{replay}");
}

#[tokio::test]
async fn evidence_of_any_kind_for_another_value_is_refused() {
    let scene = scene().await;
    for workload in &scene.workloads {
        let other = |mut binding: [u8; 64]| {
            binding[63] ^= 1;
            binding
        };
        let refusal = scene.refused(workload.name, workload.attester.as_ref(), other).await;
        assert_eq!(
            (refusal.step.as_str(), refusal.reason.as_str()),
            ("binding", "not-bound"),
            "{}",
            workload.name
        );
    }
}

#[tokio::test]
async fn a_policy_that_does_not_name_the_kind_refuses_it() {
    let scene = scene().await;
    for workload in &scene.workloads {
        let target = format!("elsewhere/{}", workload.name);
        scene.manifest(workload, &target, SNP_ALONE.0).await;
        let refusal = scene.refused(&target, workload.attester.as_ref(), |binding| binding).await;
        let got = (refusal.step.as_str(), refusal.reason.as_str());
        assert_eq!(got, ("appraisal", "components"), "{}: {}", workload.name, refusal.detail);
    }
    let replay = scene.stage.audit(&["replay", "--all", "--kind", "refusal"]);
    assert_eq!(replay["verdict"], "identical", "{replay}");
}

/// The evidence of each is good by the policy that they share; the manifest of another is not for it.
#[tokio::test]
async fn no_workload_gets_the_name_of_another_kind() {
    let scene = scene().await;
    let alone: Vec<&Workload> = scene.workloads.iter().filter(|one| one.policy() == EVERY_KIND.0).collect();
    for (workload, next) in alone.iter().zip(alone.iter().cycle().skip(1)) {
        let refusal = scene.refused(next.name, workload.attester.as_ref(), |binding| binding).await;
        let got = (refusal.step.as_str(), refusal.reason.as_str());
        assert_eq!(got, ("mapping", "no-selector"), "{}: {}", workload.name, refusal.detail);
    }
}

/// The composite's evidence of items chosen by number, each made for the value that it says.
struct Part<'a>(&'a dyn Attester, &'a [(usize, u8)]);
impl Attester for Part<'_> {
    fn report(&self, report_data: &[u8; 64]) -> Result<Attestation, AttesterError> {
        let mut all = self.0.report(report_data)?;
        let item = |(number, change): &(usize, u8)| {
            let mut data = *report_data;
            data[0] ^= change;
            self.0.report(&data).map(|mut one| one.evidence.swap_remove(*number))
        };
        all.evidence = self.1.iter().map(item).collect::<Result<_, _>>()?;
        Ok(all)
    }
}

/// One component that is not there, or was made for another value, is named.
#[tokio::test]
async fn a_component_that_is_missing_or_bound_to_another_value_is_named() {
    let scene = scene().await;
    let workload = scene.workloads.iter().find(|one| one.policy() == WITH_GPU.0).unwrap();
    let attester = workload.attester.as_ref();
    for (items, step, reason, named) in [
        (&[(0, 0)][..], "appraisal", "components", "0 of kind nvidia-gpu, want 1"),
        (&[(1, 0)], "appraisal", "components", "0 of kind sev-snp, want 1"),
        (&[(0, 0), (1, 1)], "binding", "not-bound", "nvidia-gpu"),
        (&[(0, 1), (1, 0)], "binding", "not-bound", "sev-snp"),
    ] {
        let refusal = scene.refused(workload.name, &Part(attester, items), |binding| binding).await;
        assert_eq!((refusal.step.as_str(), refusal.reason.as_str()), (step, reason), "{}", refusal.detail);
        assert!(refusal.detail.contains(named), "{}", refusal.detail);
    }
}
