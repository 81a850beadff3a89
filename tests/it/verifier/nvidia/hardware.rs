//! Reports of hardware, where the folder of foreign vectors lies beside this repository.

use std::path::Path;

use treering::verifier::{self, Assurance, Collateral, Verifier};

use super::{BINDING, NOW};
use crate::verifier::{
    Case, assert_affirming, assert_refused, main, no_flipped_bit_is_accepted, policy_of, read, vectors,
};

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
