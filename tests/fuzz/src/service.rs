//! What the service reads: evidence, collateral, policies, manifests, configuration.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use treering::{
    attester::{
        recorded,
        simulated::{
            Launch, Platform, Processor,
            intel::{IntelModel, IntelPlatform, QuotingEnclave, Td},
            nvidia,
        },
    },
    config::Config,
    ident::{TrustDomain, WorkloadIdentifier},
    mapper::{self, Manifest},
    verifier::{
        self, Appraisal, AppraisalPolicy, Collateral, Document, Evidence, HardwareRoots, REPORT_BYTES,
        ReferenceValue, ReferenceValues, TokenOptions, Verifier,
    },
    wire,
};
use treering_provenance::cose::{Ed25519Signer, Signer};

use crate::{Input, edited};

/// A report of hardware and one of a simulated chip, each with what it takes to appraise it.
struct Known {
    hardware: Vec<u8>,
    hardware_collateral: Collateral,
    platform: Arc<Platform>,
    simulated: [u8; REPORT_BYTES],
    simulated_collateral: Collateral,
    verifier: Verifier,
    references: ReferenceValues,
}

static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    let recorded = recorded::milan().unwrap();
    let processor = Processor::Milan;
    let platform =
        Arc::new(Platform::generate(processor, processor.ordinary_tcb(), recorded::INSTANT).unwrap());
    let launch = Launch::of_image(b"image");
    let guest = platform.guest(launch).unwrap();
    let reference = ReferenceValue {
        name: "image 1".to_owned(),
        tee: verifier::SUBMOD_SNP.to_owned(),
        registers: [(verifier::MEASUREMENT.to_owned(), launch.measurement.to_vec())].into(),
        source: [0; 32],
    };
    Known {
        hardware: recorded.evidence[0].bytes.clone(),
        hardware_collateral: Collateral::from_der(recorded.endorsements).unwrap(),
        simulated: guest.report_bytes(&[7; 64]).unwrap(),
        simulated_collateral: Collateral::from_der(platform.certificates().to_vec()).unwrap(),
        verifier: Verifier::new(HardwareRoots::with_simulated([platform.root_fingerprint()])),
        references: ReferenceValues::new(vec![reference]).unwrap(),
        platform,
    }
});

impl Known {
    fn appraise(&self, report: &[u8], collateral: &Collateral, policy: &AppraisalPolicy) -> Appraisal {
        let evidence = Evidence::snp(report.to_vec()).unwrap();
        self.verifier.appraise(&evidence, collateral, policy, &self.references, recorded::INSTANT)
    }
}

/// Appraisal policies, and what a genuine report is worth under them.
pub fn appraisal_policy(data: &[u8]) {
    let Ok(policy) = AppraisalPolicy::parse(data) else { return };
    assert_eq!(policy.bytes(), data);
    let known = &*KNOWN;
    let appraisal = known.appraise(&known.simulated, &known.simulated_collateral, &policy);
    assert!(appraisal.is_authentic(), "no policy makes a genuine report a forged one");
    let _ = known.appraise(&known.hardware, &known.hardware_collateral, &policy);
}

/// Evidence and endorsements as a workload posts them.
pub fn cmw_collection(data: &[u8]) {
    let Ok(collection) = serde_json::from_slice::<BTreeMap<String, serde_json::Value>>(data) else { return };
    if let Ok((evidence, collateral)) = wire::parse_collection(&collection) {
        let again = wire::parse_collection(&wire::collection(&evidence, &collateral)).unwrap();
        assert_eq!(again, (evidence, collateral));
    }
}

/// Files of evidence and endorsements: CMWs of any form.
pub fn cmw_file(data: &[u8]) {
    if let Ok(cmw) = wire::cmw::Cmw::read(data) {
        let again = cmw.to_cbor().unwrap();
        assert_eq!(wire::cmw::Cmw::read(&again).unwrap(), cmw);
        assert_eq!(wire::cmw::Cmw::read(&again).unwrap().to_cbor().unwrap(), again);
        if let Some(json) = cmw.to_json() {
            assert_eq!(wire::cmw::Cmw::read(json.to_string().as_bytes()).unwrap(), cmw);
        }
    }
    let _ = wire::read_cmw(data);
    let _ = wire::cmw::Cmw::in_certificate(data);
}

/// Certificates and revocation lists in PEM, DER and our own form, and a genuine report under them: only AMD's own
/// chain makes it authentic.
pub fn collateral(data: &[u8]) {
    if let Ok(collateral) = Collateral::from_canonical_bytes(data) {
        assert_eq!(collateral.canonical_bytes(), data);
    }
    let known = &*KNOWN;
    for collateral in [Collateral::read(data), Collateral::read_crl(data)].into_iter().flatten() {
        let again = Collateral::from_canonical_bytes(&collateral.canonical_bytes()).unwrap();
        assert_eq!(again, collateral);
        if !collateral.certificates().is_empty() || !collateral.crls().is_empty() {
            let alone = Collateral::new(collateral.certificates().to_vec(), collateral.crls().to_vec());
            assert_eq!(Collateral::read(collateral.to_pem().as_bytes()), alone);
        }
        let _ = verifier::current_until(&collateral);
        for (_, part) in verifier::named(&collateral) {
            assert!(!part.is_empty());
        }
        let appraisal = known.appraise(&known.hardware, &collateral, &AppraisalPolicy::baseline());
        let genuine = known.hardware_collateral.certificates();
        let has_it = genuine.iter().all(|der| collateral.certificates().contains(der));
        assert!(has_it || !appraisal.is_authentic());
    }
}

/// The service's configuration, through a file, as it is read.
pub fn config(data: &[u8]) {
    static FILE: LazyLock<PathBuf> = LazyLock::new(|| {
        std::env::temp_dir().join(format!("treering-fuzz-config-{}.toml", std::process::id()))
    });
    std::fs::write(&*FILE, data).unwrap();
    if let Ok(config) = Config::load(&FILE) {
        let _ = config.registration_policy();
        config.to_toml().unwrap();
    }
}

/// Evidence as it is stored.
pub fn evidence(data: &[u8]) {
    if let Ok(evidence) = Evidence::from_canonical_bytes(data) {
        assert_eq!(evidence.canonical_bytes(), data);
    }
}

/// Trust domains and workload identifiers.
pub fn identifier(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(identifier) = WorkloadIdentifier::parse(text) {
        assert_eq!(identifier.as_str(), text);
        assert!(TrustDomain::parse(identifier.trust_domain().as_str()).is_ok());
    }
    if let Ok(domain) = TrustDomain::parse(text) {
        assert_eq!(domain.as_str(), text);
    }
}

/// Mapping manifests, and what they make of an appraised workload.
pub fn manifest(data: &[u8]) {
    let Ok(manifest) = Manifest::parse(data) else { return };
    let known = &*KNOWN;
    let appraisal =
        known.appraise(&known.simulated, &known.simulated_collateral, &AppraisalPolicy::baseline());
    let appraised = appraisal.into_appraised().unwrap();
    if let Ok(claims) = mapper::map(&appraised, &manifest) {
        let assurance = claims.claims().get("assurance").map(|claim| format!("{claim:?}"));
        assert!(
            assurance.is_some_and(|text| text.contains("simulated")),
            "a manifest hid what the evidence is"
        );
    }
}

/// Reference values, TOML and JSON.
pub fn reference_values(data: &[u8]) {
    if let Ok(values) = ReferenceValues::parse(data) {
        let _ = values.digest();
        for value in values.values() {
            assert!(values.find(&value.tee, &value.registers).is_some());
        }
    }
}

/// SEV-SNP reports: any bytes, a genuine report with changes (never authentic), and a simulated one with changes and
/// signed again, which reaches what lies behind the signature.
pub fn snp_report(data: &[u8]) {
    let known = &*KNOWN;
    let policy = AppraisalPolicy::baseline();
    match Input::of(data) {
        Some(Input::Raw(bytes)) => {
            if let Ok(evidence) = Evidence::snp(bytes.to_vec()) {
                let collateral = &known.hardware_collateral;
                let appraisal = known.verifier.appraise(
                    &evidence,
                    collateral,
                    &policy,
                    &known.references,
                    recorded::INSTANT,
                );
                assert!(!appraisal.is_authentic() || bytes == known.hardware);
            }
        }
        Some(Input::Edits(edits)) => {
            if let Some(report) = edited(&known.hardware, edits) {
                let appraisal = known.appraise(&report, &known.hardware_collateral, &policy);
                assert!(!appraisal.is_authentic() && appraisal.into_appraised().is_err());
            }
            if let Some(report) = edited(&known.simulated, edits) {
                let mut report: [u8; REPORT_BYTES] = report.try_into().unwrap();
                known.platform.sign_report(&mut report).unwrap();
                let appraisal = known.appraise(&report, &known.simulated_collateral, &policy);
                assert!(!appraisal.ear().is_empty() || !appraisal.is_evidence());
                let _ = appraisal.into_appraised();
            }
        }
        None => {}
    }
}

/// A simulated Intel platform, a quote of it, and its collateral.
struct KnownIntel {
    platform: IntelPlatform,
    td: Td,
    quote: Vec<u8>,
    collateral: Collateral,
    verifier: Verifier,
}

static INTEL: LazyLock<KnownIntel> = LazyLock::new(|| {
    let platform = IntelPlatform::generate(IntelModel::default(), recorded::INSTANT).unwrap();
    let td = Td::of([7; 48]);
    let (mut crls, mut documents) = (Vec::new(), Vec::new());
    for item in platform.publish(&platform.collateral()).unwrap() {
        match item.media_type {
            verifier::CRL_TYPE => crls.push(item.bytes),
            media_type => documents.push(Document { media_type: media_type.to_owned(), bytes: item.bytes }),
        }
    }
    let collateral = Collateral::new(vec![platform.signer().to_vec()], crls).unwrap();
    KnownIntel {
        quote: platform.quote_td(&td, &[7; 64]).unwrap(),
        collateral: collateral.with_documents(documents).unwrap(),
        verifier: Verifier::new(HardwareRoots::with_simulated([platform.root_fingerprint()])),
        platform,
        td,
    }
});

impl KnownIntel {
    fn appraise(&self, items: Vec<(&str, Vec<u8>)>) -> Option<Appraisal> {
        let evidence = Evidence::new(items).ok()?;
        let (policy, references) = (AppraisalPolicy::baseline(), ReferenceValues::none());
        Some(self.verifier.appraise(&evidence, &self.collateral, &policy, &references, recorded::INSTANT))
    }
}

/// Intel quotes: any bytes as a quote and as the logs beside one, a genuine quote with changes (never authentic), and
/// one whose signed octets were changed before they were signed.
pub fn intel_quote(data: &[u8]) {
    let known = &*INTEL;
    match Input::of(data) {
        Some(Input::Raw(bytes)) => {
            for media_type in [verifier::TDX_QUOTE, verifier::SGX_QUOTE] {
                let appraisal = known.appraise(vec![(media_type, bytes.to_vec())]);
                assert!(appraisal.is_none_or(|one| !one.is_authentic() || bytes == known.quote));
            }
            for media_type in [verifier::CCEL_TYPE, verifier::RUNTIME_LOG_TYPE] {
                let quote = (verifier::TDX_QUOTE, known.quote.clone());
                let _ = known.appraise(vec![quote, (media_type, bytes.to_vec())]);
            }
            if let Some(length) = verifier::intel_quote_length(bytes) {
                assert!(length <= bytes.len());
            }
        }
        Some(Input::Edits(edits)) => {
            if let Some(quote) = edited(&known.quote, edits) {
                let appraisal = known.appraise(vec![(verifier::TDX_QUOTE, quote)]).unwrap();
                assert!(!appraisal.is_authentic() && appraisal.into_appraised().is_err());
            }
            if let Some(signed) = edited(&known.td.signed_octets(&[7; 64]), edits) {
                let quote = known.platform.sign_quote(&signed, &QuotingEnclave::of_td()).unwrap();
                let appraisal = known.appraise(vec![(verifier::TDX_QUOTE, quote)]).unwrap();
                let _ = appraisal.into_appraised();
            }
        }
        None => {}
    }
}

/// The formats of other Verifiers, and the type of their tokens.
const FORMATS: [(&str, &str); 7] = [
    ("ear-04", "application/eat+jwt"),
    ("ear-veraison", "application/eat+jwt"),
    ("ear-trustee", "application/eat+jwt"),
    ("intel-trust-authority", "application/jwt"),
    ("azure-attestation", "application/jwt"),
    ("google-confidential-space", "application/jwt"),
    ("nvidia-nras", "application/eat-bun+json"),
];

/// Results that a fixed key signed: genuine ones by the length of their list, and a policy for each format.
struct Tokens {
    signer: Ed25519Signer,
    genuine: [(&'static str, Vec<u8>); 2],
    policies: Vec<AppraisalPolicy>,
}

static TOKENS: LazyLock<Tokens> = LazyLock::new(|| {
    let signer = Ed25519Signer::from_seed(&[7; 32]).unwrap();
    let spki = data_encoding::BASE64.encode(&signer.key().to_spki());
    let keys = format!("-----BEGIN PUBLIC KEY-----\n{spki}\n-----END PUBLIC KEY-----\n");
    let policy = |(format, _): &(&str, &str)| {
        let text = format!(
            "version = 1\nname = \"t\"\n[[external]]\nname = \"v\"\nformat = \"{format}\"\nissuer = \"{}\"\ntees = [\"sev-snp\"]\nkeys = \"\"\"\n{keys}\"\"\"\nallow_simulated = true\nrequire_reference_value = false\n[[software]]\nname = \"p\"\nissuer = \"i\"\naudience = \"a\"\nsubjects = [\"s\"]\nkeys = \"\"\"\n{keys}\"\"\"\nimage_digest = \"/image\"\n",
            verifier::DEVELOPER
        );
        AppraisalPolicy::parse(text.as_bytes()).unwrap()
    };
    let result = KNOWN.appraise(&KNOWN.simulated, &KNOWN.simulated_collateral, &AppraisalPolicy::baseline());
    let jwt = verifier::write_jwt(&result, TokenOptions::default(), &signer).unwrap().into_bytes();
    let cwt = verifier::write_cwt(&result, TokenOptions::default(), &signer).unwrap();
    let genuine = [("application/eat+jwt", jwt), ("application/eat+cwt", cwt)];
    Tokens { genuine, policies: FORMATS.iter().map(policy).collect(), signer }
});

/// A result of another Verifier, or a platform's token. Raw octets are a token's, then the payload of one that is signed;
/// edits are made to a genuine one.
pub fn token(data: &[u8]) {
    let tokens = &*TOKENS;
    let appraise = |media_type: &str, octets: Vec<u8>, policy: &AppraisalPolicy| {
        let evidence = Evidence::new([(media_type, octets)]).ok()?;
        let (none, values) = (Collateral::default(), ReferenceValues::none());
        Some(KNOWN.verifier.appraise(&evidence, &none, policy, &values, recorded::INSTANT))
    };
    match Input::of(data) {
        Some(Input::Raw(bytes)) => {
            let header = r#"{"alg":"EdDSA"}"#;
            let part = |octets: &[u8]| data_encoding::BASE64URL_NOPAD.encode(octets);
            let signed = format!("{}.{}", part(header.as_bytes()), part(bytes));
            let token = format!("{signed}.{}", part(&tokens.signer.sign(signed.as_bytes()).unwrap()));
            for ((_, media_type), policy) in FORMATS.iter().zip(&tokens.policies) {
                appraise(media_type, bytes.to_vec(), policy);
                appraise(media_type, token.clone().into_bytes(), policy);
            }
            appraise("application/eat+cwt", bytes.to_vec(), &tokens.policies[0]);
            appraise(verifier::PLATFORM_TOKEN, token.into_bytes(), &tokens.policies[0]);
        }
        Some(Input::Edits(edits)) => {
            for (media_type, genuine) in &tokens.genuine {
                let Some(changed) = edited(genuine, edits) else { continue };
                if let Some(appraisal) = appraise(media_type, changed, &tokens.policies[0]) {
                    assert!(!appraisal.is_authentic() && appraisal.into_appraised().is_err());
                }
            }
        }
        None => {}
    }
}

/// A simulated GPU and what it signed.
struct Gpu {
    device: nvidia::Device,
    report: Vec<u8>,
    verifier: Verifier,
}

static GPU: LazyLock<Gpu> = LazyLock::new(|| {
    let device = nvidia::Device::generate(nvidia::Model::Gh100, recorded::INSTANT).unwrap();
    let report = device.report(&device.ordinary([7; 32])).unwrap();
    let verifier = Verifier::new(HardwareRoots::with_simulated([device.root_fingerprint()]));
    Gpu { device, report, verifier }
});

/// What evidence calls for has a name of bearable length, of which no part leads elsewhere.
pub(crate) fn wanted_by_name(evidence: &Evidence) {
    for one in verifier::wanted(evidence) {
        let (name, of) = (one.name(), one.of().unwrap_or_default());
        assert!(name.len() < 200 && of.len() < 100 && !name.contains(".."), "{name} {of}");
    }
}

/// NVIDIA's reports: any bytes, an item with changes (never authentic), and a report with changes and signed again.
pub fn nvidia_report(data: &[u8]) {
    let gpu = &*GPU;
    let policy = AppraisalPolicy::baseline();
    let appraise = |item: Vec<u8>| {
        let evidence = Evidence::new([(verifier::NVIDIA_GPU, item)]).ok()?;
        wanted_by_name(&evidence);
        let none = ReferenceValues::none();
        Some(gpu.verifier.appraise(&evidence, &Collateral::default(), &policy, &none, recorded::INSTANT))
    };
    let item = |report: &[u8]| nvidia::Device::item(report, gpu.device.chain()).unwrap();
    match Input::of(data) {
        Some(Input::Raw(bytes)) => {
            let _ = verifier::read_nvidia_export(bytes);
            let _ = verifier::read_ocsp_reply(bytes);
            if let Some(appraisal) = appraise(bytes.to_vec()) {
                assert!(!appraisal.is_authentic() || bytes == item(&gpu.report));
            }
        }
        Some(Input::Edits(edits)) => {
            let whole = item(&gpu.report);
            if let Some(appraisal) = edited(&whole, edits).and_then(&appraise) {
                assert!(!appraisal.is_authentic() && appraisal.into_appraised().is_err());
            }
            if let Some(mut report) = edited(&gpu.report, edits) {
                gpu.device.sign_report(&mut report).unwrap();
                let appraisal = appraise(item(&report)).unwrap();
                assert!(!appraisal.ear().is_empty() || !appraisal.is_evidence());
                let _ = appraisal.into_appraised();
            }
        }
        None => {}
    }
}

/// Inputs to begin with.
pub fn seeds() -> crate::Seeds {
    let known = &*KNOWN;
    let raw = |bytes: &[u8]| [&[0], bytes].concat();
    let gpu = nvidia::Device::item(&GPU.report, GPU.device.chain()).unwrap();
    let evidence = Evidence::snp(known.simulated.to_vec()).unwrap();
    let collection = wire::collection(&evidence, &known.simulated_collateral);
    let references = "[[reference]]\nname = \"a\"\nmeasurement = \"".to_owned() + &"0f".repeat(48) + "\"\n";
    vec![
        ("appraisal_policy", include_bytes!("../../../docs/samples/appraisal-policy.toml").to_vec()),
        ("appraisal_policy", AppraisalPolicy::baseline().bytes().to_vec()),
        ("cmw_collection", serde_json::to_vec(&collection).unwrap()),
        ("cmw_file", serde_json::to_vec(&collection).unwrap()),
        (
            "cmw_file",
            wire::cmw::Cmw::read(&serde_json::to_vec(&collection).unwrap()).unwrap().to_cbor().unwrap(),
        ),
        ("cmw_file", b"\xda\x63\x74\x01\x01\x41\xaa".to_vec()),
        ("nvidia_report", raw(&gpu)),
        ("nvidia_report", vec![1, 0, 0x30, 1]),
        ("collateral", known.hardware_collateral.to_pem().into_bytes()),
        ("collateral", known.hardware_collateral.certificates()[0].clone()),
        ("collateral", known.simulated_collateral.canonical_bytes()),
        ("collateral", INTEL.collateral.canonical_bytes()),
        ("collateral", INTEL.collateral.documents()[0].bytes.clone()),
        ("collateral", known.platform.crl(true, recorded::INSTANT, recorded::INSTANT + 60).unwrap()),
        ("config", include_bytes!("../../../docs/samples/treering.toml").to_vec()),
        ("evidence", evidence.canonical_bytes()),
        ("identifier", b"spiffe://prod.bank.example/payments/api".to_vec()),
        ("identifier", b"prod.bank.example".to_vec()),
        ("intel_quote", raw(&INTEL.quote)),
        ("intel_quote", vec![1, 0, 0x50, 1]),
        ("intel_quote", vec![1, 2, 0x9b, 0x10]),
        ("manifest", include_bytes!("../../../docs/samples/mapping-manifest.toml").to_vec()),
        ("reference_values", references.into_bytes()),
        ("snp_report", raw(&known.hardware)),
        ("snp_report", raw(&known.simulated)),
        ("snp_report", vec![1, 0, 0x50, 1]),
        ("snp_report", vec![1, 0, 0, 3, 0, 0x90, 0xff]),
        ("token", raw(&TOKENS.genuine[0].1)),
        ("token", raw(&TOKENS.genuine[1].1)),
        (
            "token",
            raw(br#"{"iss":"i","sub":"s","aud":"a","iat":1,"exp":2,"image":"sha256:00","submods":{}}"#),
        ),
        ("token", vec![1, 0, 0x50, 1]),
    ]
}
