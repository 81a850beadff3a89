//! Evidence of several components: a processor and its devices, or several machines.

use std::sync::{Arc, LazyLock};

use treering::attester::Attester;
use treering::attester::simulated::nitro::{EnclaveImage, NitroPlatform};
use treering::attester::simulated::nvidia::{Device, Model};
use treering::attester::simulated::{Launch, Platform, Processor};
use treering::verifier::{
    self, Appraisal, Collateral, Evidence, HardwareRoots, MAX_ITEMS, Refused, Verifier,
};

use super::nvidia::BINDING;
use super::sev_snp;
use super::{Case, assert_affirming, assert_refused, policy_of};

/// The simulated platforms' own time: certificates are valid from then on.
const NOW: u64 = 1_782_864_000;
const RULES: &str = "[sev_snp]\nrequire_reference_value = false\nrequire_tcb_floor = false\n\
    [nvidia_gpu]\nrequire_reference_value = false\nrequire_revocation = false\n";

static MILAN: LazyLock<Arc<Platform>> = LazyLock::new(|| platform(Processor::Milan));
static GENOA: LazyLock<Arc<Platform>> = LazyLock::new(|| platform(Processor::Genoa));
static GPUS: LazyLock<[Device; 2]> =
    LazyLock::new(|| [Model::Gh100, Model::Gb100].map(|model| Device::generate(model, NOW).unwrap()));

fn platform(processor: Processor) -> Arc<Platform> {
    Arc::new(Platform::generate(processor, processor.ordinary_tcb(), NOW).unwrap())
}

type Item = (&'static str, Vec<u8>);

fn snp(platform: &Arc<Platform>, binding: &[u8; 64]) -> Item {
    let guest = platform.guest(Launch::of_image(b"image")).unwrap();
    (verifier::SNP_REPORT, guest.report_bytes(binding).unwrap().to_vec())
}

fn gpu(number: usize, binding: &[u8; 64]) -> Item {
    let item = Attester::report(&GPUS[number], binding).unwrap().evidence.remove(0);
    (item.media_type, item.bytes)
}

fn case(items: Vec<Item>, policy: &str) -> Case {
    let pinned = [&MILAN, &GENOA].map(|platform| platform.root_fingerprint());
    let roots = pinned.into_iter().chain(GPUS.iter().map(Device::root_fingerprint));
    Case {
        evidence: Evidence::new(items).unwrap(),
        policy: policy_of(&format!("{RULES}{policy}")),
        roots: HardwareRoots::with_simulated(roots),
        ..Case::of("composite", "x/y", vec![], of(&[&MILAN, &GENOA]), NOW)
    }
}

/// Certificates and CRLs of platforms.
fn of(platforms: &[&Arc<Platform>]) -> Collateral {
    let certificates = platforms.iter().flat_map(|platform| platform.certificates().clone()).collect();
    let crls = platforms.iter().map(|platform| platform.revocation_list().to_vec()).collect();
    Collateral::new(certificates, crls).unwrap()
}

const CPU_AND_GPU: &str = "[composite.components]\nsev-snp = 1\nnvidia-gpu = 1\n";

fn ear(appraisal: &Appraisal) -> serde_json::Value {
    serde_json::from_slice(appraisal.ear()).unwrap()
}

#[track_caller]
fn refused_naming(appraisal: &Appraisal, check: &str, name: &str) {
    assert_refused(appraisal, check);
    let text = appraisal.refusal().unwrap().to_string();
    assert!(text.contains(name), "{text}");
}

#[test]
fn what_no_kind_takes_is_not_guessed_at() {
    let case = sev_snp::simulated_case();
    let foreign = Evidence::new([("application/octet-stream", case.octets().to_vec())]).unwrap();
    for evidence in [foreign, Evidence::snp(vec![]).unwrap()] {
        let appraisal = Case { evidence, ..case.clone() }.appraise();
        assert!(!appraisal.is_evidence());
        assert!(matches!(appraisal.into_appraised(), Err(Refused::NotEvidence(_))));
    }
}

#[test]
fn a_processor_and_its_gpu_bound_to_one_value_affirm() {
    let appraisal = case(vec![snp(&MILAN, &BINDING), gpu(0, &BINDING)], CPU_AND_GPU).appraise();
    assert_affirming("both", &appraisal);
    assert!(appraisal.matches_binding(&BINDING) && !appraisal.matches_binding(&[0; 64]));
    assert_eq!(appraisal.unbound(&BINDING).count(), 0);
    let made: Vec<&str> = appraisal.composite_checks().iter().map(verifier::CheckResult::name).collect();
    assert_eq!(made, verifier::checks_of_composites());
    let ear = ear(&appraisal);
    for submod in ["sev-snp", "nvidia-gpu"] {
        assert_eq!(ear["submods"][submod]["ear_status"], "affirming");
        assert_eq!(ear["submods"][submod]["ear_trustworthiness_vector"]["hardware"], 2);
    }
    assert_eq!(ear["submods"]["composite"]["ear_verifier_claims"]["colocation"], "unproven");
    assert!(ear.get("ear_device_topology").is_none());
    assert_eq!(appraisal.into_appraised().unwrap().tee(), "sev-snp+nvidia-gpu");
}

#[test]
fn a_missing_component_refuses_the_whole() {
    refused_naming(&case(vec![snp(&MILAN, &BINDING)], CPU_AND_GPU).appraise(), "components", "nvidia-gpu");
    refused_naming(&case(vec![gpu(0, &BINDING)], CPU_AND_GPU).appraise(), "components", "sev-snp");
    let two = case(vec![snp(&MILAN, &BINDING), gpu(0, &BINDING), gpu(1, &BINDING)], CPU_AND_GPU);
    refused_naming(&two.appraise(), "components", "2 of kind nvidia-gpu, want 1");
    let unasked =
        case(vec![snp(&MILAN, &BINDING), gpu(0, &BINDING)], "[composite.components]\nsev-snp = 1\n");
    refused_naming(&unasked.appraise(), "components", "nvidia-gpu");
    let unnamed = case(vec![snp(&MILAN, &BINDING), gpu(0, &BINDING)], "");
    refused_naming(&unnamed.appraise(), "components", "the policy names none");
}

#[test]
fn a_stale_component_refuses_the_whole() {
    let old = Device::generate(Model::Gh100, NOW - 25 * 365 * 86_400).unwrap();
    let item = Attester::report(&old, &BINDING).unwrap().evidence.remove(0);
    let both = case(vec![snp(&MILAN, &BINDING), (item.media_type, item.bytes)], CPU_AND_GPU);
    let roots = HardwareRoots::with_simulated([MILAN.root_fingerprint(), old.root_fingerprint()]);
    refused_naming(&Case { roots, ..both }.appraise(), "validity", "nvidia-gpu");
}

#[test]
fn a_foreign_component_refuses_the_whole() {
    let both = case(vec![snp(&MILAN, &BINDING), gpu(0, &BINDING)], CPU_AND_GPU);
    let roots = HardwareRoots::with_simulated([MILAN.root_fingerprint()]);
    let appraisal = Case { roots, ..both.clone() }.appraise();
    refused_naming(&appraisal, "root", "nvidia-gpu");
    let every = appraisal.composite_checks().iter().find(|check| check.name() == "every-component").unwrap();
    assert!(every.failed() && every.detail().contains("nvidia-gpu"));
    let mut items = vec![snp(&MILAN, &BINDING), gpu(0, &BINDING)];
    let last = items[1].1.len() - 1;
    items[1].1[last] ^= 1;
    refused_naming(&case(items, CPU_AND_GPU).appraise(), "signature", "nvidia-gpu");
}

#[test]
fn an_unbound_component_refuses_the_whole_and_is_named() {
    for items in
        [vec![snp(&MILAN, &BINDING), gpu(0, &[1; 64])], vec![gpu(0, &[1; 64]), snp(&MILAN, &BINDING)]]
    {
        let appraisal = case(items, CPU_AND_GPU).appraise();
        refused_naming(&appraisal, "binding", "nvidia-gpu carries another value than sev-snp");
        assert!(!appraisal.matches_binding(&BINDING));
        let unbound: Vec<&str> = appraisal.unbound(&BINDING).map(verifier::Component::name).collect();
        assert_eq!(unbound, ["nvidia-gpu"]);
    }
    // Without one that carries it whole: those of one kind are compared.
    let gpus = "[composite.components]\nnvidia-gpu = 2\n";
    let two = case(vec![gpu(0, &BINDING), gpu(1, &[1; 64])], gpus).appraise();
    refused_naming(&two, "binding", "nvidia-gpu-2 carries another value than nvidia-gpu");
    let same = case(vec![gpu(0, &BINDING), gpu(1, &BINDING)], gpus).appraise();
    assert_affirming("two GPUs", &same);
}

#[test]
fn one_component_is_not_two() {
    let report = snp(&MILAN, &BINDING);
    let two = "[composite.components]\nsev-snp = 2\n";
    refused_naming(&case(vec![report.clone(), report], two).appraise(), "distinct", "sev-snp-2");
    // Two guests on one processor are two.
    assert_affirming("two guests", &case(vec![snp(&MILAN, &BINDING), snp(&MILAN, &BINDING)], two).appraise());
    // One GPU is one, even where its second report says something else.
    let mut fields = GPUS[0].ordinary(verifier::digest_of("treering-binding-nvidia-gpu-v1", &BINDING));
    fields.measurements[40] = [9; 48];
    let again = Device::item(&GPUS[0].report(&fields).unwrap(), GPUS[0].chain()).unwrap();
    let items = vec![gpu(0, &BINDING), (verifier::NVIDIA_GPU, again)];
    let appraisal = case(items, "[composite.components]\nnvidia-gpu = 2\n").appraise();
    refused_naming(&appraisal, "distinct", "nvidia-gpu-2 is the device of nvidia-gpu again");
}

/// Each processor has its own certificate in one collateral; the one for each report is found, in any order.
#[test]
fn two_machines_have_two_certificates() {
    let two = "[composite.components]\nsev-snp = 2\n";
    let other_milan = platform(Processor::Milan);
    for second in [&*GENOA, &other_milan] {
        let roots = HardwareRoots::with_simulated([MILAN.root_fingerprint(), second.root_fingerprint()]);
        let both =
            |items| Case { collateral: of(&[&MILAN, second]), roots: roots.clone(), ..case(items, two) };
        for items in [
            vec![snp(&MILAN, &BINDING), snp(second, &BINDING)],
            vec![snp(second, &BINDING), snp(&MILAN, &BINDING)],
        ] {
            let case = both(items);
            let appraisal = case.appraise();
            assert_affirming("two machines", &appraisal);
            let [one, other] = appraisal.components() else { panic!() };
            assert_ne!(one.machine(), other.machine());
            let collateral = appraisal.collateral();
            assert_eq!((collateral.certificates().len(), collateral.crls().len()), (6, 2));
            // From the logged collateral, and from a cache: the same octets.
            let logged = Case { collateral: appraisal.collateral().clone(), ..case.clone() }.appraise();
            assert_eq!(logged.ear(), appraisal.ear());
            let kept = Verifier::new(case.roots.clone());
            for _ in 0..2 {
                let Case { evidence, collateral, policy, references, now, .. } = &case;
                assert_eq!(kept.appraise(evidence, collateral, policy, references, *now), appraisal);
            }
        }
        // A third machine, whose certificate is not there.
        let third = platform(Processor::Milan);
        refused_naming(
            &both(vec![snp(&MILAN, &BINDING), snp(&third, &BINDING)]).appraise(),
            "endorsement",
            "sev-snp-2",
        );
    }
}

/// Documents of Nitro enclaves say when they were made.
#[test]
fn components_made_far_apart_refuse_the_whole() {
    let enclaves = Arc::new(NitroPlatform::generate(NOW).unwrap());
    let document = |made: u64, image: &[u8]| {
        let enclave = enclaves.enclave(EnclaveImage::of(image), made);
        (verifier::NITRO_DOCUMENT, enclave.report(&BINDING).unwrap().evidence.remove(0).bytes)
    };
    let appraise = |max: u64| {
        let policy = format!(
            "[nitro]\nrequire_reference_value = false\nrequire_crl = false\n[composite]\nmax_spread_s = {max}\n\
             [composite.components]\nnitro = 2\n"
        );
        let two = vec![document(NOW, b"one"), document(NOW - 100, b"other")];
        let roots = HardwareRoots::with_simulated([enclaves.root_fingerprint()]);
        Case { roots, ..case(two, &policy) }.appraise()
    };
    assert_affirming("within", &appraise(100));
    refused_naming(&appraise(99), "freshness", "nitro-2 was made 100 s before nitro,");
}

/// A token of another Verifier's says when it was issued, and a Nitro document when it was made: what is stale here is
/// not expired anywhere, and is refused for its own age.
#[test]
fn a_component_that_is_too_old_refuses_the_whole_for_its_age() {
    let enclaves = Arc::new(NitroPlatform::generate(NOW).unwrap());
    let both = |made: u64, issued: u64, max_spread_s: u64| {
        let enclave = enclaves.enclave(EnclaveImage::of(b"image"), made);
        let document = enclave.report(&BINDING).unwrap().evidence.remove(0).bytes;
        let (token, rules) = super::attestation_result::issued_at(issued, &BINDING);
        let policy = format!(
            "[nitro]\nrequire_reference_value = false\nrequire_crl = false\n{rules}[composite]\nmax_spread_s = {max_spread_s}\n\
             [composite.components]\nnitro = 1\nattestation-result = 1\n"
        );
        let items = vec![(verifier::NITRO_DOCUMENT, document), (verifier::ATTESTATION_RESULT, token)];
        let roots = HardwareRoots::with_simulated([enclaves.root_fingerprint()]);
        Case { roots, ..case(items, &policy) }.appraise()
    };
    assert_affirming("both of now", &both(NOW, NOW, 0));
    // The document's own age: at most 300 s, while its certificates are for three hours.
    refused_naming(&both(NOW - 301, NOW, 600), "timestamp", "nitro");
    assert_affirming("a document just young enough", &both(NOW - 300, NOW, 600));
    // The token's own age: at most 600 s, while it does not end.
    refused_naming(&both(NOW, NOW - 601, 900), "age", "attestation-result");
    assert_affirming("a token just young enough", &both(NOW, NOW - 600, 900));
    // Each young enough by itself, and too far from the other.
    let apart = both(NOW, NOW - 500, 499);
    refused_naming(&apart, "freshness", "attestation-result was made 500 s before nitro,");
    assert_affirming("just near enough", &both(NOW, NOW - 500, 500));
}

/// Nothing that is made of evidence is to outlast what the evidence rests on: the first end among all components.
#[test]
fn what_ends_first_among_the_components_bounds_the_whole() {
    let report = snp(&MILAN, &BINDING);
    let until = |items: Vec<Item>, policy: &str, more: Collateral| {
        let case = case(items, policy);
        let collateral = case.collateral.clone().merged(more).unwrap();
        let roots = HardwareRoots::with_simulated([
            MILAN.root_fingerprint(),
            ENCLAVES.root_fingerprint(),
            GPUS[0].root_fingerprint(),
        ]);
        let appraisal = Case { collateral, roots, ..case }.appraise();
        assert_eq!(appraisal.refusal(), None, "{:#?}", appraisal.checks().collect::<Vec<_>>());
        appraisal.into_appraised().unwrap().until().unwrap()
    };
    // Certificates of years, a list of a day, a document's certificate of three hours, a token of minutes.
    let alone = until(vec![report.clone()], "", Collateral::default());
    assert!(alone > NOW + 365 * 86_400, "{alone}");
    let list = MILAN.crl(false, NOW - 10, NOW + 86_400).unwrap();
    let list = Collateral::read_crl(&list).unwrap();
    assert_eq!(until(vec![report.clone()], "", list), NOW + 86_400);
    let document = ENCLAVES.enclave(EnclaveImage::of(b"image"), NOW).report(&BINDING).unwrap();
    let document = (verifier::NITRO_DOCUMENT, document.evidence[0].bytes.clone());
    let nitro = "[nitro]\nrequire_reference_value = false\nrequire_crl = false\n";
    let components = "[composite.components]\nsev-snp = 1\nnitro = 1\n";
    let both =
        until(vec![report.clone(), document.clone()], &format!("{nitro}{components}"), Collateral::default());
    assert!((NOW + 1..=NOW + 3 * 3600).contains(&both), "{}", both - NOW);
    let (token, rules) = super::attestation_result::ending_at(NOW, NOW + 77, &BINDING);
    let components = "[composite.components]\nsev-snp = 1\nnitro = 1\nattestation-result = 1\n";
    let all = vec![report, document, (verifier::ATTESTATION_RESULT, token)];
    assert_eq!(until(all, &format!("{nitro}{rules}{components}"), Collateral::default()), NOW + 77);
}

static ENCLAVES: LazyLock<Arc<NitroPlatform>> =
    LazyLock::new(|| Arc::new(NitroPlatform::generate(NOW).unwrap()));

#[test]
fn devices_are_named_by_the_policy() {
    let policy = "[[composite.device]]\nname = \"a\"\ncomponents = { sev-snp = 1, nvidia-gpu = 1 }\n\
        [[composite.device]]\nname = \"b\"\ncomponents = { sev-snp = 1, nvidia-gpu = 1 }\n";
    let items = vec![snp(&MILAN, &BINDING), snp(&GENOA, &BINDING), gpu(0, &BINDING), gpu(1, &BINDING)];
    let appraisal = case(items.clone(), policy).appraise();
    assert_affirming("two devices", &appraisal);
    let ear = ear(&appraisal);
    let topology = serde_json::json!({"a": ["sev-snp", "nvidia-gpu"], "b": ["sev-snp-2", "nvidia-gpu-2"]});
    assert_eq!(ear["ear_device_topology"], topology);
    assert_eq!(ear["submods"]["composite"]["ear_verifier_claims"]["colocation"], "unproven");
    refused_naming(
        &case(items[..3].to_vec(), policy).appraise(),
        "components",
        "1 of kind nvidia-gpu, want 2",
    );
}

#[test]
fn colocation_is_never_claimed_where_it_is_required() {
    let policy =
        "[composite]\nrequire_colocation = true\n[composite.components]\nsev-snp = 1\nnvidia-gpu = 1\n";
    let appraisal = case(vec![snp(&MILAN, &BINDING), gpu(0, &BINDING)], policy).appraise();
    assert_refused(&appraisal, "colocation");
}

#[test]
fn the_section_is_read_strictly() {
    for text in [
        "[composite.components]\nno-such = 1\n",
        "[[composite.device]]\nname = \"\"\ncomponents = { sev-snp = 1 }\n",
        "[[composite.device]]\nname = \"a\"\ncomponents = { no-such = 1 }\n",
        "[composite.components]\nsev-snp = 1\n[[composite.device]]\nname = \"a\"\ncomponents = { sev-snp = 1 }\n",
        "[[composite.device]]\nname = \"a\"\ncomponents = {}\n[[composite.device]]\nname = \"a\"\ncomponents = {}\n",
        "[composite]\nrequire_colokation = true\n",
    ] {
        let text = format!("version = 1\nname = \"t\"\n{text}");
        verifier::AppraisalPolicy::parse(text.as_bytes()).unwrap_err();
    }
}

#[test]
fn sixteen_items_are_the_most() {
    let items = vec![snp(&MILAN, &BINDING); MAX_ITEMS + 1];
    assert!(matches!(Evidence::new(items.clone()), Err(verifier::EvidenceError::Count(17))));
    let guests: Vec<Item> = (0..MAX_ITEMS).map(|_| snp(&MILAN, &BINDING)).collect();
    let appraisal = case(guests, "[composite.components]\nsev-snp = 16\n").appraise();
    assert_affirming("sixteen guests", &appraisal);
    assert_eq!(appraisal.components().last().unwrap().name(), "sev-snp-16");
}
