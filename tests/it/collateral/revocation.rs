//! What AWS and NVIDIA publish of revocations, from a stand-in of both: fetched by what certificates name, kept, used;
//! and what is revoked is refused by name.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use treering::attester::composite::Composite;
use treering::attester::simulated::nitro::{EnclaveImage, NitroPlatform};
use treering::attester::simulated::nvidia::{Device, Model, Said};
use treering::attester::simulated::{Launch, Platform};
use treering::attester::{Attestation, Attester, AttesterError, CRL_TYPE, EvidenceItem};
use treering::verifier::{Evidence, NITRO_DOCUMENT, NVIDIA_GPU, Wanted, nvidia_from_hex_and_pem, wanted};
use treering_provenance::content::{PolicyType, ReferenceValue, ReferenceValues, Refusal, V1};

use super::{Vendor, outcomes, tls_ca};
use crate::support::{Ask, Run, Settings, Stage, cli, folder, now};
use crate::verifier::{read, vectors};

const DAY: u64 = 86_400;
/// Where the simulated certificates say that the lists are.
const NITRO_ROOT: &str = "/crl/00000000-0000-4000-8000-000000000001.crl";
const NITRO_REGION: &str = "/crl/00000000-0000-4000-8000-000000000002.crl";
const NVIDIA_ROOT: &str = "/crl/l1-root.crl";
const NVIDIA_IDENTITY: &str = "/crl/l2-gh100.crl";
const STRICT: &str = "[nitro]\nrequire_crl = true\n[nvidia_gpu]\nrequire_reference_value = false\n";

fn pem(der: &[u8]) -> String {
    pem_rfc7468::encode_string("CERTIFICATE", pem_rfc7468::LineEnding::LF, der).unwrap()
}

/// A document of an enclave that attests now.
struct Enclave(Arc<NitroPlatform>);

fn image() -> EnclaveImage {
    EnclaveImage::of(b"image")
}

impl Attester for Enclave {
    fn report(&self, report_data: &[u8; 64]) -> Result<Attestation, AttesterError> {
        // Without the lists that a simulated one brings along: hardware's are to be fetched.
        let attestation = self.0.enclave(image(), now()).report(report_data)?;
        Ok(Attestation { documents: Vec::new(), ..attestation })
    }
}

/// The same, with lists of its own, of two days ago.
struct Hoarder(Arc<NitroPlatform>);

impl Attester for Hoarder {
    fn report(&self, report_data: &[u8; 64]) -> Result<Attestation, AttesterError> {
        let list = |authority| {
            let bytes = self.0.crl(authority, false, now() - 2 * DAY, now() + DAY)?;
            Ok(EvidenceItem { media_type: CRL_TYPE, bytes })
        };
        let documents = [0, 1].into_iter().map(list).collect::<Result<_, AttesterError>>()?;
        Ok(Attestation { documents, ..Enclave(Arc::clone(&self.0)).report(report_data)? })
    }
}

impl Vendor {
    /// The lists of root and region; with `revoked`, that authority's has the certificate below it.
    fn publish_nitro(&self, platform: &NitroPlatform, revoked: Option<usize>) {
        for (authority, path) in [NITRO_ROOT, NITRO_REGION].into_iter().enumerate() {
            let bad = revoked == Some(authority);
            self.publish(path, platform.crl(authority, bad, now() - DAY, now() + DAY).unwrap());
        }
    }

    /// The lists of NVIDIA's authorities, and what they say of the device's boot ROM.
    fn publish_nvidia(&self, device: &Device, said: Said) {
        let (from, until) = (now() - DAY, now() + DAY);
        for (position, path) in [(2, NVIDIA_IDENTITY), (3, NVIDIA_ROOT)] {
            self.publish(path, device.crl(position, false, from, until).unwrap());
        }
        self.says(device.serial(), device.ocsp(1, said, from, until).unwrap());
    }
}

/// Evidence in a file, a policy, roots, and a store that is filled from the stand-in.
struct Desk {
    dir: PathBuf,
    kind: &'static str,
    vendor: Vendor,
}

impl Desk {
    fn new(kind: &'static str, attester: &dyn Attester, root: &[u8]) -> Self {
        let (dir, vendor) = (folder("revocation"), Vendor::start(Vec::new()));
        let evidence = attester.report(&[0x5a; 64]).unwrap().evidence.remove(0).bytes;
        std::fs::write(dir.join("evidence.bin"), evidence).unwrap();
        std::fs::write(dir.join("root.pem"), pem(root)).unwrap();
        let desk = Self { dir, kind, vendor };
        desk.policy("");
        desk
    }

    fn path(&self, name: &str) -> String {
        self.dir.join(name).to_str().unwrap().to_owned()
    }

    fn policy(&self, more: &str) {
        let lenient = STRICT.replace("[nitro]", "[nitro]\nrequire_reference_value = false");
        let text = format!("version = 1\nname = \"t\"\n{lenient}{more}");
        std::fs::write(self.dir.join("policy.toml"), text).unwrap();
    }

    fn fetch(&self) -> Run {
        let (store, evidence, ca, url) =
            (self.path("store"), self.path("evidence.bin"), tls_ca(&self.dir), &self.vendor.url);
        cli([
            "collateral",
            "fetch",
            "--store",
            &store,
            "--evidence",
            &evidence,
            "--kind",
            self.kind,
            "--aws-nitro-crl",
            url,
            "--nvidia-crl",
            url,
            "--nvidia-ocsp",
            url,
            "--allow-http",
            "--tls-ca",
            &ca,
            "--json",
        ])
    }

    /// Why the evidence is refused with what is in the store, if it is.
    fn refused(&self) -> Option<(String, String)> {
        let (policy, evidence, root) =
            (self.path("policy.toml"), self.path("evidence.bin"), self.path("root.pem"));
        let mut arguments = vec![
            "appraise",
            "--kind",
            self.kind,
            "--evidence",
            &evidence,
            "--policy",
            &policy,
            "--simulated-root",
            &root,
            "--json",
        ];
        let store = self.path("store");
        if self.dir.join("store").exists() {
            arguments.extend(["--collateral", &store]);
        }
        let run = cli(arguments);
        let report = run.json();
        let text = |name: &str| report["refused"][name].as_str().map(str::to_owned);
        assert_eq!(run.code, i32::from(text("check").is_some()), "{run:?}");
        Some((text("check")?, text("reason")?))
    }

    #[track_caller]
    fn is_refused(&self, words: &str) {
        let (check, detail) = self.refused().unwrap_or_else(|| panic!("not refused: {words}"));
        assert_eq!(check, "revocation", "{detail}");
        assert!(detail.contains(words), "{detail}");
    }
}

#[test]
fn lists_of_nitro_are_fetched_kept_and_used() {
    let platform = Arc::new(NitroPlatform::generate(now()).unwrap());
    let desk = Desk::new("nitro", &Enclave(Arc::clone(&platform)), platform.root_certificate());
    desk.is_refused("no CRL of the root certificate given");
    assert_eq!(outcomes(&desk.fetch().ended(1)), ["the vendor does not have it"; 2]);
    desk.vendor.publish_nitro(&platform, None);
    assert_eq!(outcomes(&desk.fetch().ended(0)), ["fetched"; 2]);
    assert_eq!(outcomes(&desk.fetch().ended(0)), ["unchanged"; 2]);
    assert_eq!(desk.refused(), None);
    // As old as they are, they are too old for this policy.
    desk.policy("[collateral]\nmax_age_s = { crl = 3600 }\n");
    desk.is_refused("CRL");
    desk.policy("[collateral]\nmax_age_s = { crl = 172800 }\n");
    assert_eq!(desk.refused(), None);
    for (authority, name) in
        [(0, "CA certificate 1 (region.simulated.nitro-enclaves)"), (1, "zone.region.simulated")]
    {
        desk.vendor.publish_nitro(&platform, Some(authority));
        desk.fetch().ended(0);
        desk.is_refused(name);
    }
    // In an outage what is kept counts.
    desk.vendor.answers_with(503);
    assert!(outcomes(&desk.fetch().ended(0))[0].contains("503"));
    desk.is_refused("zone.region.simulated");
}

#[test]
fn lists_and_answers_of_nvidia_are_fetched_kept_and_used() {
    let device = Device::generate(Model::Gh100, now()).unwrap();
    let desk = Desk::new("nvidia-gpu", &device, &device.chain()[4]);
    desk.is_refused("the boot ROM's certificate");
    // The boot ROM's certificate names no list: NVIDIA answers by OCSP, and this responder does not know the issuer.
    assert_eq!(outcomes(&desk.fetch().ended(1)), ["the vendor does not have it"; 3]);
    desk.vendor.publish_nvidia(&device, Said::Good);
    assert_eq!(outcomes(&desk.fetch().ended(0)), ["fetched"; 3]);
    // An answer has no ETag; lists have.
    assert_eq!(outcomes(&desk.fetch().ended(0)), ["fetched", "unchanged", "unchanged"]);
    assert_eq!(desk.refused(), None);
    desk.policy("[collateral]\nmax_age_s = { ocsp-response = 3600 }\n");
    desk.is_refused("OCSP response");
    desk.policy("");
    for (said, words) in [
        (Said::Revoked(6), "the boot ROM's certificate (GH100 A01 GSP BROM) is on hold (OCSP)"),
        (Said::Revoked(1), "key compromised"),
        (Said::Unknown, "unknown to its issuer"),
    ] {
        desk.vendor.publish_nvidia(&device, said);
        desk.fetch().ended(0);
        desk.is_refused(words);
    }
    desk.vendor.publish_nvidia(&device, Said::Good);
    desk.vendor.publish(NVIDIA_IDENTITY, device.crl(2, true, now() - DAY, now() + DAY).unwrap());
    desk.fetch().ended(0);
    desk.is_refused("the provisioner's certificate (NVIDIA GH100 Provisioner ICA 1) is on a CRL");
    // An answer about another certificate is none, and what is kept stays.
    let other = Device::generate(Model::Gh100, now()).unwrap();
    let foreign = other.ocsp(1, Said::Good, now() - DAY, now() + DAY).unwrap();
    desk.vendor.says(device.serial(), foreign);
    let run = desk.fetch().ended(0);
    assert!(outcomes(&run)[0].contains("about something else"), "{run:?}");
}

/// Files that were carried here are found by whose they are: they do not say where they were published.
#[test]
fn lists_that_are_imported_are_used_too() {
    let platform = Arc::new(NitroPlatform::generate(now()).unwrap());
    let desk = Desk::new("nitro", &Enclave(Arc::clone(&platform)), platform.root_certificate());
    let carried = desk.dir.join("carried");
    std::fs::create_dir(&carried).unwrap();
    for authority in 0..2 {
        let list = platform.crl(authority, false, now() - DAY, now() + DAY).unwrap();
        std::fs::write(carried.join(format!("{authority}.crl")), list).unwrap();
    }
    let (store, carried) = (desk.path("store"), desk.path("carried"));
    let imported = cli(["collateral", "import", "--store", &store, &carried, "--json"]).ended(0).json();
    let names = |at: usize| imported["imported"][at]["names"].clone();
    assert_eq!(names(0), serde_json::json!(["aws/nitro/crl/of/simulated.nitro-enclaves"]));
    assert_eq!(names(1), serde_json::json!(["aws/nitro/crl/of/region.simulated.nitro-enclaves"]));
    assert_eq!(desk.refused(), None);
}

/// What real evidence calls for.
#[test]
fn real_evidence_names_lists_and_a_responder() {
    let Some(vectors) = vectors() else { return };
    let evidence = vectors.join("evidence");
    let names = |media_type: &str, octets: Vec<u8>| -> Vec<(String, String)> {
        let all = wanted(&Evidence::new([(media_type, octets)]).unwrap());
        all.iter().map(|one: &Wanted| (one.name(), one.of().unwrap())).collect()
    };
    let pair = |name: &str, of: &str| (name.to_owned(), of.to_owned());
    assert_eq!(
        names(NITRO_DOCUMENT, read(evidence.join("nitro/nitro_attest/attestation.cose"))),
        [
            pair(
                "aws/nitro/crl/root/ab4960cc-7d63-42bd-9e9f-59338cb67f84",
                "aws/nitro/crl/of/aws.nitro-enclaves"
            ),
            pair(
                "aws/nitro/crl/eu-central-1/da69a570-f489-4370-99bc-f2fca9224088",
                "aws/nitro/crl/of/4c2ecc4dee288943.eu-central-1.aws.nitro-enclaves"
            ),
        ]
    );
    let gpu = |name: &str| {
        let dir = evidence.join("nvidia/attestation-sdk/gpu");
        let hex = String::from_utf8(read(dir.join(format!("{name}AttestationReport.txt")))).unwrap();
        let chain = read(dir.join(format!("{name}CertChain.txt")));
        names(NVIDIA_GPU, nvidia_from_hex_and_pem(&hex, &chain).unwrap())
    };
    // Hashes of the issuer and serial number as `openssl ocsp -reqout` writes them for the same certificates.
    let issuer = "25d92e964356717a4f5bf81f01cffdfc201020db2968cb162cd0779572a2791003e69eba0ccc0a94";
    assert_eq!(
        gpu("hopper"),
        [
            pair(&format!("nvidia/ocsp/{issuer}/416a5fafcbd9fa5ca3"), "nvidia/ocsp/of/416a5fafcbd9fa5ca3"),
            pair("nvidia/crl/l2-gh100", "nvidia/crl/of/nvidia-gh100-identity"),
            pair("nvidia/crl/l1-root", "nvidia/crl/of/nvidia-device-identity-ca"),
        ]
    );
    let blackwell: Vec<String> = gpu("blackwell").into_iter().map(|(name, _)| name).collect();
    assert!(blackwell[0].ends_with("/41e6de55c3bdc14277"), "{blackwell:?}");
    assert_eq!(blackwell[1..], ["nvidia/crl/l2-gb100", "nvidia/crl/l1-root"]);
}

/// A changed document or item calls for something else of the same vendor, or for nothing.
#[test]
fn changed_evidence_chooses_no_other_host() {
    let nitro = Arc::new(NitroPlatform::generate(now()).unwrap());
    let gpu = Device::generate(Model::Gh100, now()).unwrap();
    let evidence: [(&dyn Attester, &str); 2] = [(&Enclave(nitro), "aws/nitro/crl/"), (&gpu, "nvidia/")];
    for (attester, vendor) in evidence {
        let item = attester.report(&[0x5a; 64]).unwrap().evidence.remove(0);
        let of = |octets: Vec<u8>| wanted(&Evidence::new([(item.media_type, octets)]).unwrap());
        assert!(of(item.bytes.clone()).len() > 1);
        let plain =
            |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || b"-/".contains(&octet);
        let changes =
            |at: usize| [1, 0x20, item.bytes[at] ^ b'/', item.bytes[at] ^ b'.'].map(|change| (at, change));
        for (at, change) in (0..item.bytes.len()).flat_map(changes) {
            let mut octets = item.bytes.clone();
            octets[at] ^= change;
            for name in of(octets).iter().map(Wanted::name) {
                assert!(name.starts_with(vendor) && name.bytes().all(plain), "octet {at}: {name}");
            }
        }
    }
}

/// A service that asks the stand-in for all that it has no newer list of, and trusts the platforms of a file.
async fn asking(dir: &Path, vendor: &Vendor, roots: &Path) -> Stage {
    let (store, ca, url) = (dir.join("store"), tls_ca(dir), &vendor.url);
    // Asked each time, so that what is published is seen at once.
    let section = format!(
        "[collateral]\ndir = \"{}\"\nfetch = true\nrefresh_s = 0\nallow_http = true\ntls_ca = \"{ca}\"\n\
         requests_per_minute = 1000\n[collateral.vendors]\namd_kds = \"{url}\"\naws_nitro_crl = \"{url}\"\n\
         aws_nitro_regional_crl = \"{url}\"\nnvidia_crl = \"{url}\"\nnvidia_ocsp = \"{url}\"\n",
        store.display()
    );
    let init = vec!["--simulated-root".to_owned(), roots.to_str().unwrap().to_owned()];
    let stage = Stage::make(&Settings { config: Some(section), init, ..Settings::default() }).await;
    stage.serve();
    stage.grant_all().await;
    stage
}

/// Policies under which nothing may be revoked, of an enclave and of a guest with a GPU.
async fn govern(stage: &Stage, measurement: Vec<u8>) {
    let values = ReferenceValues {
        v: V1,
        workload: "all".to_owned(),
        values: vec![
            ReferenceValue::single("nitro", "enclave", "pcr0", image().measurements[0].to_vec()),
            ReferenceValue::single("sev-snp", "with-gpu", "measurement", measurement),
        ],
        provenance: Vec::new(),
    };
    let values = stage.register("ci", &values).await;
    stage.bring_into_force(values.leaf, None).await;
    let composite = "[composite.components]\nsev-snp = 1\nnvidia-gpu = 1\n";
    for (name, tee, more) in [("enclave", "nitro", ""), ("with-gpu", "sev-snp+nvidia-gpu", composite)] {
        let policy =
            format!("version = 1\nname = \"{name}\"\n[sev_snp]\nrequire_tcb_floor = false\n{STRICT}{more}");
        let policy = Stage::policy(PolicyType::Appraisal, name, &policy);
        let identifier = Stage::identifier(name);
        let manifest = format!(
            "version = 1\nidentifier = \"{identifier}\"\nappraisal_policy = \"{name}\"\nreference_values = \"all\"\n\
             max_ttl_s = 600\n[[selector]]\nname = \"one\"\ntee = [\"{tee}\"]\nassurance = [\"simulated\"]\n\
             reference_values = [\"{name}\"]\n"
        );
        for policy in [policy, Stage::policy(PolicyType::Mapping, &identifier, &manifest)] {
            let policy = stage.register("author", &policy).await;
            stage.bring_into_force(policy.leaf, None).await;
        }
    }
}

/// The service asks AWS and NVIDIA for what their certificates name, goes on in an outage, and refuses what is revoked.
#[tokio::test]
async fn the_service_asks_whether_certificates_are_revoked() {
    let dir = folder("revocation-service");
    let nitro = Arc::new(NitroPlatform::generate(now()).unwrap());
    let gpu = Arc::new(Device::generate(Model::Gh100, now()).unwrap());
    let roots = dir.join("platforms.pem");
    std::fs::write(&roots, pem(nitro.root_certificate()) + &pem(&gpu.chain()[4])).unwrap();
    let vendor = Vendor::start(Vec::new());
    vendor.publish_nitro(&nitro, None);
    vendor.publish_nvidia(&gpu, Said::Good);
    let stage = asking(&dir, &vendor, &roots).await;
    let milan = Arc::new(Platform::load(stage.path("platform").as_ref()).unwrap());
    let guest = milan.guest(Launch::of_image(b"image")).unwrap();
    govern(&stage, guest.launch().measurement.to_vec()).await;
    let with_gpu = Composite::new(vec![Box::new(guest), Box::new(Arc::clone(&gpu))]);
    let (enclave, hoarder) = (Enclave(Arc::clone(&nitro)), Hoarder(Arc::clone(&nitro)));
    let workloads: [(&str, &dyn Attester); 3] =
        [("enclave", &enclave), ("with-gpu", &with_gpu), ("enclave", &hoarder)];
    let net = stage.stranger();
    let ask = async |name: &str, attester| {
        Ask::begin(&stage, &net, &Stage::identifier(name)).await.attest(attester).send(&net).await
    };
    let all_get_one = async || {
        for (name, attester) in workloads {
            ask(name, attester).await.is(201);
        }
    };
    all_get_one().await;
    vendor.publish_nitro(&nitro, Some(1));
    vendor.publish_nvidia(&gpu, Said::Revoked(6));
    // Lists of one's own that are older hold back nothing.
    let of_enclave = "revoked: CA certificate 2 (zone.region.simulated.nitro-enclaves)";
    let of_gpu = "the boot ROM's certificate (GH100 A01 GSP BROM) is on hold (OCSP)";
    for ((name, attester), words) in workloads.into_iter().zip([of_enclave, of_gpu, of_enclave]) {
        let refusal: Refusal = stage.refusal(&ask(name, attester).await).await;
        assert_eq!(
            (refusal.step.as_str(), refusal.reason.as_str()),
            ("appraisal", "revocation"),
            "{}",
            refusal.detail
        );
        assert!(refusal.detail.contains(words), "{}", refusal.detail);
    }
    // It was a hold, and AWS took back what it had said; then both are down.
    vendor.publish_nitro(&nitro, None);
    vendor.publish_nvidia(&gpu, Said::Good);
    all_get_one().await;
    vendor.answers_with(503);
    all_get_one().await;
}
