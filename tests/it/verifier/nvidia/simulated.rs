//! A simulated device: what is wrong in one point is refused by the check of that point.

use treering::attester::simulated::nvidia::{Device, Fields, Identity, Model};
use treering::verifier::{self, Assurance, Evidence, HardwareRoots, Status};

use super::{BINDING, GPU, NOW, SWITCH, case_of, changed, examples, patched};
use crate::verifier::{Case, assert_affirming, assert_refused, main};

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
