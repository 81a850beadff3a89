//! Appraisal of NVIDIA GPUs and switches: reports of hardware where the folder of foreign vectors lies beside this
//! repository, and a simulated device, which can be made wrong in one point at a time.

mod switch;

use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;
use treering::attester::Attester;
use treering::attester::simulated::nvidia::{Device, Fields, Identity, Model, Said};
use treering::verifier::{
    self, Appraisal, Assurance, Collateral, Document, Evidence, HardwareRoots, ReferenceValue,
    ReferenceValues, Registers, Status, Verifier,
};

use super::{
    Case, assert_affirming, assert_refused, main, no_flipped_bit_is_accepted, policy_of, read, vectors,
};

/// 2026-07-01T00:00:00Z.
const NOW: u64 = 1_782_864_000;
pub(crate) const BINDING: [u8; 64] = [0x5a; 64];

static GPU: LazyLock<Device> = LazyLock::new(|| Device::generate(Model::Gh100, NOW).unwrap());
static SWITCH: LazyLock<Device> = LazyLock::new(|| Device::generate(Model::Ls10, NOW).unwrap());

pub(crate) fn case_of(name: &str, device: &Device) -> Case {
    let octets = Attester::report(device, &BINDING).unwrap().evidence.remove(0).bytes;
    Case {
        roots: HardwareRoots::with_simulated([device.root_fingerprint()]),
        ..Case::of(name, device.media_type(), octets, Collateral::default(), NOW)
    }
}

/// One of each kind, for the tests of all kinds.
pub(crate) fn examples() -> Vec<Case> {
    vec![case_of("simulated GPU", &GPU), case_of("simulated switch", &SWITCH)]
}

/// The simulated GPU's report with this changed, signed again.
fn changed(change: impl FnOnce(&mut Fields)) -> Case {
    let mut fields = GPU.ordinary([7; 32]);
    change(&mut fields);
    let report = GPU.report(&fields).unwrap();
    case_of("changed", &GPU).with_octets(Device::item(&report, GPU.chain()).unwrap())
}

/// The simulated GPU's report with these octets changed, signed again.
fn patched(patch: impl FnOnce(&mut Vec<u8>)) -> Case {
    let mut report = GPU.report(&GPU.ordinary([7; 32])).unwrap();
    patch(&mut report);
    GPU.sign_report(&mut report).unwrap();
    case_of("patched", &GPU).with_octets(Device::item(&report, GPU.chain()).unwrap())
}

fn with_policy(case: &Case, text: &str) -> Appraisal {
    let text = format!("[nvidia_gpu]\nrequire_reference_value = false\nrequire_revocation = false\n{text}");
    Case { policy: policy_of(&text), ..case.clone() }.appraise()
}

// --- evidence from hardware ---------------------------------------------------------------------------------------

/// Every report in the vectors: name, media type, item.
fn real(vectors: &Path) -> Vec<(String, &'static str, Vec<u8>)> {
    let nvidia = vectors.join("evidence/nvidia");
    let mut found = Vec::new();
    for name in [
        "hopper_evidence.json",
        "hopper_evidence_cert_hold.json",
        "multi_gpu_hopper.json",
        "switch_evidence_ls10.json",
        "multi_switch_ls10.json",
    ] {
        let items = verifier::read_nvidia_export(&read(nvidia.join("attestation-sdk").join(name))).unwrap();
        for (number, (media_type, octets)) in items.into_iter().enumerate() {
            found.push((format!("{name}, {number}"), media_type, octets));
        }
    }
    for (report, chain) in [
        ("attestation-sdk/gpu/blackwellAttestationReport.txt", "attestation-sdk/gpu/blackwellCertChain.txt"),
        ("attestation-sdk/gpu/hopperAttestationReport.txt", "attestation-sdk/gpu/hopperCertChain.txt"),
        ("trustee/hopperAttestationReport.txt", "trustee/hopper_cert_chain_case1.txt"),
    ] {
        let hex = String::from_utf8(read(nvidia.join(report))).unwrap();
        let octets = verifier::nvidia_from_hex_and_pem(&hex, &read(nvidia.join(chain))).unwrap();
        found.push((report.to_owned(), verifier::NVIDIA_GPU, octets));
    }
    found
}

fn real_case((name, media_type, octets): (String, &'static str, Vec<u8>)) -> Case {
    Case::of(&name, media_type, octets, Collateral::default(), NOW)
}

#[test]
fn every_real_report_is_genuine_and_bound_to_nothing_of_ours() {
    let Some(vectors) = vectors() else { return };
    let cases: Vec<Case> = real(&vectors).into_iter().map(real_case).collect();
    assert_eq!(cases.len(), 14);
    for case in cases {
        let appraisal = case.appraise();
        assert_affirming(&case.name, &appraisal);
        let component = main(&appraisal);
        assert_eq!(component.assurance(), Some(Assurance::Hardware), "{}", case.name);
        assert_eq!(verifier::guess_kind(case.octets()), Some(component.kind()), "{}", case.name);
        assert_eq!(component.machine().map(<[u8]>::len), Some(9), "{}", case.name);
        assert!(!appraisal.matches_binding(&BINDING), "{}", case.name);
        assert!(
            component.claim("fwid").is_some() && component.claim("vbios_version").is_some(),
            "{}",
            case.name
        );
    }
}

/// What NVIDIA's own service said of such a report, and what another parser reads in one.
#[test]
fn what_a_real_report_says_is_read() {
    let Some(vectors) = vectors() else { return };
    let claims = |name: &str| {
        let found = real(&vectors).into_iter().find(|(one, ..)| one == name).unwrap();
        main(&real_case(found).appraise()).claims().unwrap().clone()
    };
    let trustee = claims("trustee/hopperAttestationReport.txt");
    let theirs = read(vectors.join("evidence/nvidia/trustee/hopperAttestationReport-claims.txt"));
    let theirs: serde_json::Value = serde_json::from_slice(&theirs).unwrap();
    for (ours, name) in [
        ("driver_version", "driver_version"),
        ("vbios_version", "vbios_version"),
        ("fwid", "fwid"),
        ("board_id", "board_id"),
        ("chip_sku", "chip_sku"),
        ("project", "project"),
        ("project_sku", "project_sku"),
    ] {
        assert_eq!(trustee[ours], theirs["config"][name], "{ours}");
    }
    for index in 1..=64 {
        let zero = "0".repeat(96);
        let measured = trustee["measurements"][format!("measurement{}", index - 1)].as_str().unwrap_or(&zero);
        assert_eq!(measured, theirs["measurements"][index.to_string()].as_str().unwrap(), "index {index}");
    }
    let hopper = claims("hopper_evidence.json, 0");
    assert_eq!((&hopper["chip"], &hopper["generation"]), (&"GH100".into(), &"hopper".into()));
    assert_eq!((&hopper["mode"], &hopper["driver_version"]), (&"protected-pcie".into(), &"590.12".into()));
    let blackwell = claims("attestation-sdk/gpu/blackwellAttestationReport.txt");
    assert_eq!(
        (&blackwell["generation"], &blackwell["serial"]),
        (&"blackwell".into(), &"41e6de55c3bdc14277".into())
    );
    assert_eq!(blackwell["model"], "GB100 A01 GSP BROM");
    let switch = claims("switch_evidence_ls10.json, 0");
    assert_eq!((&switch["generation"], &switch["switch_pdi"]), (&"ls10".into(), &"203eb31ad9ed0008".into()));
    // The boot ROM's serial number is the type of the device and this number.
    assert_eq!(switch["serial"], "50203eb31ad9ed0008");
}

/// On hold is something that an authority says, and not something in the evidence: alone, this one is genuine.
#[test]
fn a_certificate_on_hold_is_known_by_an_answer_alone() {
    let Some(vectors) = vectors() else { return };
    let held = read(vectors.join("evidence/nvidia/attestation-sdk/hopper_evidence_cert_hold.json"));
    let item = verifier::read_nvidia_export(&held).unwrap().remove(0);
    let case = real_case(("on hold".to_owned(), item.0, item.1));
    assert_affirming("without an answer", &case.appraise());
    let strict = policy_of("[nvidia_gpu]\nrequire_reference_value = false\n");
    assert_refused(&Case { policy: strict, ..case }.appraise(), "revocation");
}

/// Every seventh octet: all of its bits in the report, one in the certificates, which cost more.
fn spread(case: &Case) {
    let verifier = Verifier::new(case.roots.clone());
    let report = case.octets().windows(6).position(|window| window == b"report").unwrap();
    let flip = |start: usize| {
        for octet in (start..case.octets().len()).step_by(14) {
            let bits = if octet < report { octet % 8..octet % 8 + 1 } else { 0..8 };
            for bit in bits {
                let mut flipped = case.octets().to_vec();
                flipped[octet] ^= 1 << bit;
                let evidence = case.with_octets(flipped).evidence;
                let appraisal =
                    verifier.appraise(&evidence, &case.collateral, &case.policy, &case.references, case.now);
                let refusal = appraisal.refusal().and_then(|refusal| refusal.check());
                assert!(refusal.is_some(), "{}: octet {octet:#x}, bit {bit}", case.name);
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| flip(0));
        flip(7);
    });
}

#[test]
fn flipped_bits_of_real_reports_are_refused() {
    let Some(vectors) = vectors() else { return };
    // Blackwell's; the soak test has all.
    let wanted = "attestation-sdk/gpu/blackwellAttestationReport.txt";
    let found = real(&vectors).into_iter().find(|(name, ..)| name == wanted).unwrap();
    spread(&real_case(found));
}

#[test]
#[ignore = "soak: every bit of fourteen reports, more than half an hour"]
fn every_flipped_bit_of_every_real_device_report_is_refused() {
    let Some(vectors) = vectors() else { return };
    for found in real(&vectors) {
        let case = real_case(found);
        no_flipped_bit_is_accepted(&case, 0..case.octets().len());
    }
}

// --- a simulated device -------------------------------------------------------------------------------------------

#[test]
fn a_simulated_device_affirms_where_its_root_is_pinned() {
    for case in examples() {
        let appraisal = case.appraise();
        assert_affirming(&case.name, &appraisal);
        assert_eq!(main(&appraisal).assurance(), Some(Assurance::Simulated));
        assert!(appraisal.matches_binding(&BINDING) && !appraisal.matches_binding(&[0; 64]));
        let vendors = Case { roots: HardwareRoots::vendors(), ..case.clone() };
        assert_refused(&vendors.appraise(), "root");
        assert_eq!(vendors.appraise().status(), Status::Contraindicated);
    }
    let blackwell = case_of("blackwell", &Device::generate(Model::Gb100, NOW).unwrap()).appraise();
    assert_affirming("blackwell", &blackwell);
    assert_eq!(main(&blackwell).generation(), Some("blackwell"));
}

/// Both are held to one form.
#[test]
fn attester_and_verifier_have_the_same_names() {
    use treering::attester::simulated::nvidia::{GPU_EVIDENCE, SWITCH_EVIDENCE};
    assert_eq!((GPU_EVIDENCE, SWITCH_EVIDENCE), (verifier::NVIDIA_GPU, verifier::NVIDIA_SWITCH));
    let report = GPU.report(&GPU.ordinary([1; 32])).unwrap();
    assert_eq!(Device::item(&report, GPU.chain()).unwrap(), verifier::nvidia_evidence(&report, GPU.chain()));
}

/// A binding value's digest for one kind is not one for the other.
#[test]
fn a_nonce_made_for_another_kind_binds_nothing() {
    let nonce = verifier::digest_of("treering-binding-nvidia-switch-v1", &BINDING);
    let case = changed(|fields| fields.nonce = nonce);
    let appraisal = case.appraise();
    assert_affirming("another tag", &appraisal);
    assert!(!appraisal.matches_binding(&BINDING));
}

#[test]
fn what_is_wrong_in_a_signed_report_is_named() {
    for (octet, value, check) in [
        (0x00, 0x12, "format"),    // SPDM 1.2
        (0x01, 0xe1, "format"),    // another request
        (0x02, 0x00, "format"),    // no signature wanted
        (0x03, 0x01, "format"),    // one measurement
        (0x24, 0x01, "format"),    // another slot
        (0x25, 0x12, "format"),    // SPDM 1.2
        (0x26, 0x61, "format"),    // another response
        (0x27, 0x01, "canonical"), // reserved
        (0x28, 0x01, "canonical"), // reserved
        (0x29, 0x3f, "format"),    // 63 measurements
        (0x2a, 0xc1, "format"),    // their length
        (0x2d, 0x02, "format"),    // index
        (0x2e, 0x02, "format"),    // specification
        (0x2f, 0x34, "format"),    // size
        (0x31, 0x81, "format"),    // raw
        (0x31, 0x04, "format"),    // no type that is assigned
        (0x32, 0x20, "format"),    // octets
    ] {
        assert_refused(&patched(|report| report[octet] = value).appraise(), check);
    }
    let longer = patched(|report| report.insert(report.len() - 96, 0));
    assert_refused(&longer.appraise(), "canonical");
    let twice = changed(|fields| fields.opaque.push((3, b"1.0\0".to_vec())));
    assert_refused(&twice.appraise(), "canonical");
    assert_refused(&changed(|fields| fields.measurements.truncate(63)).appraise(), "format");
}

#[test]
fn an_item_has_one_form() {
    let case = case_of("simulated GPU", &GPU);
    let octets = case.octets();
    // The same map with a length in a longer form; something after it; a fourth key.
    let at = octets.windows(6).position(|window| window == b"report").unwrap() + 6;
    let [head, high, low] = octets[at..at + 3] else { panic!() };
    assert_eq!(head, 0x59);
    let longer = [&octets[..at], &[0x5a, 0, 0, high, low], &octets[at + 3..]].concat();
    assert_refused(&case.with_octets(longer).appraise(), "canonical");
    assert_refused(&case.with_octets([octets, &[0][..]].concat()).appraise(), "canonical");
    let fourth = [&[0xa4][..], &octets[1..], &[0x61, b'x', 0x00]].concat();
    let refusal = case.with_octets(fourth).appraise().refusal().unwrap();
    assert!(matches!(refusal.check(), Some("format" | "canonical")), "{refusal}");
    let version = [&[0xa3, 0x61, b'v', 2][..], &octets[4..]].concat();
    assert_refused(&case.with_octets(version).appraise(), "format");
    let report = GPU.report(&GPU.ordinary([1; 32])).unwrap();
    let short = Device::item(&report, &GPU.chain()[..2]).unwrap();
    assert_refused(&case.with_octets(short).appraise(), "format");
}

#[test]
fn a_chain_must_lead_from_the_leaf_to_its_root() {
    let case = case_of("simulated GPU", &GPU);
    let report = GPU.report(&GPU.ordinary([1; 32])).unwrap();
    let with = |chain: &[Vec<u8>]| case.with_octets(Device::item(&report, chain).unwrap()).appraise();
    let mut reordered = GPU.chain().to_vec();
    reordered.swap(1, 2);
    assert_refused(&with(&reordered), "chain");
    let mut without = GPU.chain().to_vec();
    without.remove(2);
    assert_refused(&with(&without), "chain");
    let mut foreign = GPU.chain().to_vec();
    foreign[0] = SWITCH.chain()[0].clone();
    assert_refused(&with(&foreign), "chain");
    let mut junk = GPU.chain().to_vec();
    junk[1] = vec![0x30, 0];
    assert_refused(&with(&junk), "chain");
    // A report of another device of the same make.
    let other = Device::generate(Model::Gh100, NOW).unwrap();
    let forged = other.report(&other.ordinary([1; 32])).unwrap();
    assert_refused(&case.with_octets(Device::item(&forged, GPU.chain()).unwrap()).appraise(), "signature");
}

#[test]
fn certificates_count_in_their_time() {
    let case = case_of("simulated GPU", &GPU);
    for now in [NOW - 7200, NOW + 21 * 365 * 86_400] {
        assert_refused(&Case { now, ..case.clone() }.appraise(), "validity");
    }
}

#[test]
fn a_device_is_what_all_its_certificates_say() {
    let identity = Identity { dmtf_chip: "GB100", ..Identity::of(Model::Gh100) };
    let mixed = Device::with_identity(identity, NOW).unwrap();
    assert_refused(&case_of("mixed", &mixed).appraise(), "device");
    // A switch's report under a switch's certificates, handed over as a GPU's, and the other way round.
    let switch = case_of("switch", &SWITCH);
    let evidence = Evidence::new([(verifier::NVIDIA_GPU, switch.octets().to_vec())]).unwrap();
    assert_refused(&Case { evidence, ..switch.clone() }.appraise(), "format");
    let report =
        SWITCH.report(&Fields { measurements: vec![[1; 48]; 64], ..SWITCH.ordinary([1; 32]) }).unwrap();
    let as_gpu = Device::item(&report, SWITCH.chain()).unwrap();
    let evidence = Evidence::new([(verifier::NVIDIA_GPU, as_gpu)]).unwrap();
    assert_refused(&Case { evidence, ..switch }.appraise(), "device");
}

#[test]
fn the_firmware_of_the_report_is_that_of_the_key() {
    let other = changed(|fields| fields.set(20, &[9; 48]));
    assert_refused(&other.appraise(), "fwid");
    let silent = changed(|fields| fields.opaque.retain(|(number, _)| *number != 20));
    assert_affirming("an older driver", &silent.appraise());
}

#[test]
fn a_crl_counts_where_it_is_given() {
    let case = case_of("simulated GPU", &GPU);
    let with =
        |crls: Vec<Vec<u8>>| Case { collateral: Collateral::new(vec![], crls).unwrap(), ..case.clone() };
    let (from, until) = (NOW - 3600, NOW + 86_400);
    for position in 1..4 {
        let good = with(vec![GPU.crl(position, false, from, until).unwrap()]).appraise();
        assert_affirming("good", &good);
        assert_eq!(good.collateral().crls().len(), 1);
        assert_refused(&with(vec![GPU.crl(position, true, from, until).unwrap()]).appraise(), "revocation");
        assert_refused(
            &with(vec![GPU.crl(position, false, from - 9, from).unwrap()]).appraise(),
            "revocation",
        );
    }
    // Of another device's authorities: not about this chain, and not kept.
    let foreign = with(vec![SWITCH.crl(2, true, from, until).unwrap()]).appraise();
    assert_affirming("another chain's", &foreign);
    assert!(foreign.collateral().crls().is_empty());
    // The names of one device's, signed by another's.
    let other = Device::generate(Model::Gh100, NOW).unwrap();
    assert_refused(&with(vec![other.crl(2, false, from, until).unwrap()]).appraise(), "revocation");
    assert_refused(&with(vec![vec![0x30, 0]]).appraise(), "revocation");
}

fn with_answers(case: &Case, answers: Vec<Vec<u8>>) -> Case {
    let document = |bytes| Document { media_type: verifier::OCSP_RESPONSE.to_owned(), bytes };
    let documents = answers.into_iter().map(document).collect();
    Case { collateral: Collateral::default().with_documents(documents).unwrap(), ..case.clone() }
}

#[test]
fn an_ocsp_response_counts_where_it_is_given() {
    let case = case_of("simulated GPU", &GPU);
    let (from, until) = (NOW - 3600, NOW + 86_400);
    let said =
        |position, said| with_answers(&case, vec![GPU.ocsp(position, said, from, until).unwrap()]).appraise();
    for position in 1..4 {
        assert_affirming("good", &said(position, Said::Good));
        for bad in [Said::Revoked(6), Said::Revoked(1), Said::Unknown] {
            assert_refused(&said(position, bad), "revocation");
        }
    }
    let held = said(1, Said::Revoked(6)).refusal().unwrap().to_string();
    assert!(held.contains("on hold"), "{held}");
    let late = with_answers(&case, vec![GPU.ocsp(1, Said::Good, from - 9, from).unwrap()]);
    assert_refused(&late.appraise(), "revocation");
    // Signed by an authority that has no say about this certificate.
    let usurped = with_answers(&case, vec![GPU.ocsp_of(1, 3, Said::Good, from, until).unwrap()]);
    assert_refused(&usurped.appraise(), "revocation");
    // By a responder that the issuer certified for it, and by one that it certified for something else.
    for (chosen, said, refused) in
        [(true, Said::Good, false), (true, Said::Revoked(6), true), (false, Said::Good, true)]
    {
        let answer = GPU.ocsp_by_responder(1, chosen, said, from, until).unwrap();
        let appraisal = with_answers(&case, vec![answer]).appraise();
        if refused {
            assert_refused(&appraisal, "revocation");
        } else {
            assert_affirming("by a responder", &appraisal);
        }
    }
    let foreign =
        with_answers(&case, vec![SWITCH.ocsp(1, Said::Revoked(6), from, until).unwrap()]).appraise();
    assert_affirming("another chain's", &foreign);
    assert!(foreign.collateral().documents().is_empty());
    assert_refused(&with_answers(&case, vec![vec![0x30, 0]]).appraise(), "revocation");
    // A word about each certificate between leaf and root satisfies the strictest policy, and is what is logged.
    let strict = policy_of("[nvidia_gpu]\nrequire_reference_value = false\n");
    let all: Vec<Vec<u8>> =
        (1..4).map(|position| GPU.ocsp(position, Said::Good, from, until).unwrap()).collect();
    let two = Case { policy: strict.clone(), ..with_answers(&case, all[..2].to_vec()) };
    assert_refused(&two.appraise(), "revocation");
    let three = Case { policy: strict, ..with_answers(&case, all) }.appraise();
    assert_affirming("all", &three);
    assert_eq!(three.collateral().documents().len(), 3);
}

/// A waiver lets pass that nobody says anything; what is said counts.
#[test]
fn a_waiver_of_revocation_is_none_of_what_is_revoked() {
    let policy = policy_of(
        "[nvidia_gpu]\nrequire_reference_value = false\n[[waiver]]\ncheck = \"revocation\"\nkind = \"nvidia-gpu\"\nreason = \"r\"\nuntil = \"2030-01-01T00:00:00Z\"\n",
    );
    let case = Case { policy, ..case_of("simulated GPU", &GPU) };
    let silent = case.appraise();
    assert_eq!((silent.refusal(), main(&silent).vector().hardware), (None, 32));
    let answer = GPU.ocsp(1, Said::Revoked(6), NOW - 3600, NOW + 86_400).unwrap();
    let held = with_answers(&case, vec![answer]).appraise();
    assert_refused(&held, "revocation");
    assert_eq!(main(&held).vector().hardware, 96);
}

#[test]
fn flipped_bits_of_an_ocsp_response_are_refused_or_about_nothing() {
    let case = case_of("simulated GPU", &GPU);
    let answer = GPU.ocsp(1, Said::Revoked(6), NOW - 3600, NOW + 86_400).unwrap();
    let strict = policy_of("[nvidia_gpu]\nrequire_reference_value = false\n");
    for at in 0..answer.len() {
        let mut flipped = answer.clone();
        flipped[at] ^= 1 << (at % 8);
        let appraisal = Case { policy: strict.clone(), ..with_answers(&case, vec![flipped]) }.appraise();
        assert_refused(&appraisal, "revocation");
    }
}

#[test]
fn the_policy_is_kept() {
    let case = case_of("simulated GPU", &GPU);
    assert_affirming("no rules", &with_policy(&case, ""));
    assert_refused(&with_policy(&case, "denied_generations = [\"hopper\"]"), "allowed-generation");
    assert_affirming("another", &with_policy(&case, "denied_generations = [\"blackwell\", \"ls10\"]"));
    assert_affirming("a version", &with_policy(&case, "driver_versions = [\"1.0\", \"590.12\"]"));
    assert_refused(&with_policy(&case, "driver_versions = [\"590.1\"]"), "driver-version");
    assert_affirming("a floor", &with_policy(&case, "min_driver_version = \"570.86.10\""));
    assert_refused(&with_policy(&case, "min_driver_version = \"590.13\""), "driver-version");
    assert_affirming("a VBIOS", &with_policy(&case, "vbios_versions = [\"96.00.A5.00.01\"]"));
    assert_refused(&with_policy(&case, "vbios_versions = [\"96.00.a4.00.01\"]"), "vbios-version");
    assert_refused(
        &with_policy(&case, "[nvidia_gpu.min_vbios_version]\nhopper = \"96.00.b0\""),
        "vbios-version",
    );
    assert_affirming("a floor", &with_policy(&case, "[nvidia_gpu.min_vbios_version]\nhopper = \"96.00.9f\""));
    let silent = changed(|fields| fields.opaque.retain(|(number, _)| ![3, 6].contains(number)));
    assert_affirming("says nothing, nothing asked", &with_policy(&silent, ""));
    assert_refused(&with_policy(&silent, "min_driver_version = \"1\""), "driver-version");
    assert_refused(&with_policy(&silent, "vbios_versions = [\"96.00.a5.00.01\"]"), "vbios-version");
    let text = "min_driver_version = \"590.13\"\n[[waiver]]\ncheck = \"driver-version\"\nkind = \"nvidia-gpu\"\nreason = \"r\"\nuntil = \"2027-01-01T00:00:00Z\"\n";
    let waived = with_policy(&case, text);
    assert_eq!((waived.refusal(), waived.status()), (None, Status::Warning));
}

#[test]
fn protected_pcie_is_allowed_by_name() {
    let protected = changed(|fields| {
        fields.set(21, &[0xaa]);
        fields.set(36, &[2, 0]);
    });
    assert_refused(&with_policy(&protected, ""), "mode");
    assert_affirming("allowed", &with_policy(&protected, "allow_protected_pcie = true"));
    let older = changed(|fields| {
        fields.opaque.retain(|(number, _)| *number != 36);
        fields.set(21, &[0xaa]);
    });
    assert_refused(&with_policy(&older, ""), "mode");
    let multi = changed(|fields| fields.set(36, &[1, 0]));
    assert_affirming("several, encrypted", &with_policy(&multi, ""));
    let contradicting = changed(|fields| fields.set(36, &[2, 0]));
    assert_refused(&with_policy(&contradicting, "allow_protected_pcie = true"), "mode");
    for (number, value) in [(21, &[0x56][..]), (36, &[3, 0]), (36, &[0])] {
        assert_refused(&with_policy(&changed(|fields| fields.set(number, value)), ""), "mode");
    }
}

#[test]
fn machines_are_known_by_the_boot_roms_serial_number() {
    let case = case_of("simulated GPU", &GPU);
    let machine = |serial: &[u8]| {
        let hex = data_encoding::HEXLOWER.encode(serial);
        with_policy(&case, &format!("[[nvidia_gpu.machine]]\nname = \"rack 7\"\nserial = \"{hex}\"\n"))
    };
    let named = machine(GPU.serial());
    assert_affirming("named", &named);
    assert_eq!(main(&named).vector().instance_identity, 2);
    assert_eq!(main(&named).machine(), Some(GPU.serial()));
    let other = machine(&[1; 9]);
    assert_refused(&other, "machine");
    assert_eq!(main(&other).vector().instance_identity, 97);
}

#[test]
fn reference_values_decide_what_runs() {
    let case = case_of("simulated GPU", &GPU);
    let measured = GPU.ordinary([0; 32]).measurements;
    let registers = |numbers: &[usize]| -> Registers {
        numbers.iter().map(|number| (format!("measurement{number}"), measured[*number].to_vec())).collect()
    };
    let value = |registers| ReferenceValue {
        name: "driver 590.12".to_owned(),
        tee: "nvidia-gpu".to_owned(),
        registers,
        source: [0; 32],
    };
    let with =
        |value| Case { references: ReferenceValues::new(vec![value]).unwrap(), ..case.clone() }.appraise();
    let good = with(value(registers(&[0, 9, 63])));
    assert_affirming("good", &good);
    assert_eq!(main(&good).vector().executables, 3, "three of sixty-four");
    let all: Vec<usize> = (0..64).collect();
    assert_eq!(main(&with(value(registers(&all)))).vector().executables, 2);
    assert_eq!(main(&with(value(registers(&all[1..])))).vector().executables, 3);
    assert_eq!(main(&good).reference().unwrap().name, "driver 590.12");
    let mut wrong = registers(&[0, 9]);
    wrong.insert("measurement9".to_owned(), measured[10].to_vec());
    let refused = with(value(wrong));
    assert_refused(&refused, "reference-value");
    assert_eq!(main(&refused).vector().executables, 33);
    let strict = policy_of("[nvidia_gpu]\nrequire_revocation = false\n");
    assert_refused(&Case { policy: strict, ..case.clone() }.appraise(), "reference-value");
    for (register, octets) in
        [("measurement64", 48), ("measurement01", 48), ("measurement0", 32), ("pcr0", 48)]
    {
        let registers = Registers::from([(register.to_owned(), vec![1; octets])]);
        ReferenceValues::new(vec![value(registers)]).unwrap_err();
    }
}

#[test]
fn what_a_policy_cannot_mean_is_remarked() {
    let remarks = |text: &str| {
        let remarks = verifier::lint(&policy_of(text), NOW);
        remarks.iter().map(|remark| format!("{remark:?}")).collect::<Vec<_>>().join("\n")
    };
    let denied = remarks("[nvidia_gpu]\ndenied_generations = [\"hopper\", \"blackwell\"]\n");
    assert!(denied.contains("nvidia_gpu") && denied.contains("every generation is denied"), "{denied}");
    let driver = remarks("[nvidia_switch]\nmin_driver_version = \"1\"\n");
    assert!(driver.contains("a switch has none"), "{driver}");
    let machine = "[[nvidia_gpu.machine]]\nname = \"a\"\nserial = \"01\"\n";
    assert!(remarks(&machine.repeat(2)).contains("is there twice"));
    assert!(remarks("[composite]\nrequire_colocation = true\n").contains("no kind vouches"));
}

#[test]
fn exports_that_are_not_of_the_form_are_refused() {
    for text in ["", "{}", "[{}]", "[{\"arch\":\"HOPPER\",\"evidence\":\"!\",\"certificate\":\"\"}]"] {
        verifier::read_nvidia_export(text.as_bytes()).unwrap_err();
    }
    assert_eq!(verifier::read_nvidia_export(b"[]").unwrap(), []);
    verifier::nvidia_from_hex_and_pem("zz", b"").unwrap_err();
    verifier::read_nvidia_export(&vec![b' '; 2 << 20]).unwrap_err();
}

proptest! {
    #[test]
    fn no_octets_panic(octets in prop::collection::vec(any::<u8>(), 0..400), at in any::<prop::sample::Index>()) {
        let case = case_of("simulated GPU", &GPU);
        let policy = policy_of("");
        for octets in [octets.clone(), {
            let mut spliced = case.octets().to_vec();
            let start = at.index(spliced.len());
            let end = (start + octets.len()).min(spliced.len());
            spliced.splice(start..end, octets.iter().copied());
            spliced
        }] {
            let appraisal = Case { policy: policy.clone(), ..case.with_octets(octets.clone()) }.appraise();
            prop_assert!(appraisal.refusal().is_some());
            drop(verifier::read_nvidia_export(&octets));
        }
    }

    #[test]
    fn no_ocsp_response_panics(octets in prop::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>()) {
        let case = case_of("simulated GPU", &GPU);
        let mut answer = GPU.ocsp(2, Said::Good, NOW, NOW + 1).unwrap();
        let start = at.index(answer.len());
        answer.splice(start.., octets.iter().copied());
        drop(with_answers(&case, vec![answer]).appraise());
    }
}
