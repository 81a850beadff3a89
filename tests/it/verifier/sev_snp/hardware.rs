//! Reports of hardware, their certificates, and every bit of two of them.

use std::path::Path;

use treering::attester::{self, recorded};
use treering::verifier::{
    self, AppraisalPolicy, Collateral, Evidence, HardwareRoots, REPORT_BYTES, ReferenceValues, Status,
};

use super::{BINDING, appraise, example, recorded_parts};
use crate::verifier::{
    Case, assert_affirming, assert_refused, base64url, collateral, failed, main, policy_of, read, vectors,
};

/// 2026-07-01T00:00:00Z: every VCEK of the vectors is valid then.
const MID_2026: u64 = 1_782_864_000;
/// 2025-06-01T00:00:00Z: the VLEK of the vectors is valid then.
const MID_2025: u64 = 1_748_736_000;

#[test]
fn the_recorded_report_is_genuine_and_bound_to_nothing_of_ours() {
    let (report, collateral) = recorded_parts();
    let appraisal = appraise(&report, &collateral, recorded::INSTANT);
    assert_affirming("recorded", &appraisal);
    assert!(!appraisal.matches_binding(&BINDING));
    assert_eq!(main(&appraisal).vector().executables, 0);
    assert_eq!(appraisal.collateral().certificates().len(), 3, "AMD's own certificates are filled in");
    assert_eq!(attester::SNP_REPORT, verifier::SNP_REPORT);
}

/// Name, report, certificates, instant.
type Vector = (String, Vec<u8>, Collateral, u64);

fn real_cases(vectors: &Path) -> Vec<Vector> {
    let snp = vectors.join("evidence/snp");
    let file = |path: &str| read(snp.join(path));
    let case = |name: &str, report: Vec<u8>, certificates: &[Vec<u8>], now: u64| {
        (name.to_owned(), report, collateral(certificates), now)
    };
    let milan_with_asvk = file("trustee/milan_ask_ark_asvk.pem");
    let mut cases = vec![
        case(
            "milan v2, virtee",
            file("virtee-sev/report_milan.bin"),
            &[file("virtee-sev/vcek_milan.der")],
            MID_2026,
        ),
        case(
            "milan v2, trustee",
            file("trustee/test-report.bin"),
            &[file("trustee/test-vcek.der")],
            MID_2026,
        ),
        case(
            "milan v3, dstack",
            file("dstack/extracted_report_milan.bin"),
            &[file("dstack/sev_snp_vcek.pem")],
            MID_2026,
        ),
        case(
            "milan v3, ms-tav",
            file("ms-tav/milan_attestation_report.bin"),
            &[file("ms-tav/milan_vcek.pem")],
            MID_2026,
        ),
        case(
            "genoa v3, ms-tav",
            file("ms-tav/genoa_attestation_report.bin"),
            &[file("ms-tav/genoa_vcek.pem")],
            MID_2026,
        ),
        case(
            "genoa v3, the whole chain given",
            file("ms-tav/genoa_attestation_report.bin"),
            &[file("ms-tav/genoa_vcek.pem"), file("trustee/genoa_ask_ark_asvk.pem")],
            MID_2026,
        ),
        case(
            "milan v3, VLEK",
            file("trustee/test-vlek-report.bin"),
            &[file("trustee/test-vlek.der"), milan_with_asvk],
            MID_2025,
        ),
        veraison_case(&file("veraison-services/sevsnp-tsm-report.json")),
    ];
    let azure = vectors.join("evidence/az-snp-vtpm");
    let hcl = read(azure.join("trustee/hcl-report.bin"));
    cases.push(case(
        "azure milan v2",
        hcl[0x20..][..REPORT_BYTES].to_vec(),
        &[read(azure.join("trustee/vcek.pem"))],
        MID_2026,
    ));
    for name in [
        "attestation-rs/milan-v3-attestation.json",
        "trustee/evidence-genoa.json",
        "trustee/evidence-v0.json",
        "trustee/evidence-v1.json",
        "trustee/evidence-v2.json",
    ] {
        cases.push(azure_case(name, &read(azure.join(name))));
    }
    cases.extend(tacra_cases(vectors));
    cases
}

/// Evidence of a vTPM: the report lies at 0x20 in the HCL report.
fn azure_case(name: &str, json: &[u8]) -> Vector {
    let json: serde_json::Value = serde_json::from_slice(json).unwrap();
    let evidence = json.get("evidence").unwrap_or(&json);
    let hcl: Vec<u8> = match (&evidence["hcl_report"], &evidence["report"]) {
        (serde_json::Value::String(text), _) => base64url(text),
        (_, octets) => serde_json::from_value(octets.clone()).unwrap(),
    };
    let vcek = evidence["vcek"].as_str().unwrap();
    let vcek = if vcek.starts_with("-----") { vcek.as_bytes().to_vec() } else { base64url(vcek) };
    (name.to_owned(), hcl[0x20..][..REPORT_BYTES].to_vec(), Collateral::read(&vcek).unwrap(), MID_2026)
}

/// What configfs-tsm gives: the report, and the host's certificate table, whose PEM files follow one another.
fn veraison_case(json: &[u8]) -> Vector {
    let json: serde_json::Value = serde_json::from_slice(json).unwrap();
    let report = base64url(json["outblob"].as_str().unwrap());
    let table = base64url(json["auxblob"].as_str().unwrap());
    let start = table.windows(5).position(|window| window == b"-----").unwrap();
    let pem: Vec<u8> = table[start..].iter().copied().filter(u8::is_ascii).collect();
    ("genoa v3, veraison".to_owned(), report, Collateral::read(&pem).unwrap(), MID_2026)
}

fn tacra_cases(vectors: &Path) -> Vec<Vector> {
    let json: serde_json::Value = serde_json::from_slice(&read(vectors.join("tacra/vectors.json"))).unwrap();
    let mut cases = Vec::new();
    for name in ["enrollment", "enrollment_absent_timestamp", "retrieval"] {
        let evidence = find_evidence(&json[name]).unwrap_or_else(|| panic!("{name} has no evidence"));
        let evidence: serde_json::Value = serde_json::from_slice(&base64url(evidence)).unwrap();
        let bytes = |value: &serde_json::Value| base64url(value.as_str().unwrap());
        let vcek = bytes(&evidence["certs"]["VCEK"]);
        let collateral = Collateral::read(&vcek).unwrap();
        cases.push((format!("milan v5, tacra {name}"), bytes(&evidence["report"]), collateral, MID_2026));
    }
    cases
}

fn find_evidence(value: &serde_json::Value) -> Option<&str> {
    let object = value.as_object()?;
    let own = object.get("evidence").and_then(serde_json::Value::as_str);
    own.or_else(|| object.values().find_map(find_evidence))
}

#[test]
fn every_real_report_is_genuine_at_its_instant() {
    let Some(vectors) = vectors() else { return };
    let cases = real_cases(&vectors);
    assert_eq!(cases.len(), 17);
    for (name, report, collateral, now) in &cases {
        assert_affirming(name, &appraise(report, collateral, *now));
    }
}

/// The report of a guest that may be debugged, which a waiver lets pass.
fn debugged(vectors: &Path) -> Case {
    let dir = vectors.join("evidence/snp/go-sev-guest");
    let collateral = collateral(&[read(dir.join("vcek.testcer"))]);
    let report = read(dir.join("attestation.bin"));
    let policy = policy_of(
        "[sev_snp]\nrequire_reference_value = false\nrequire_tcb_floor = false\nrequire_crl = false\n[[waiver]]\ncheck = \"debug\"\nreason = \"laboratory\"\nuntil = \"2030-01-01T00:00:00Z\"\n",
    );
    Case { policy, ..Case::of("debugged", verifier::SNP_REPORT, report, collateral, MID_2026) }
}

#[test]
fn a_report_that_allows_debugging_is_genuine_and_refused() {
    let Some(vectors) = vectors() else { return };
    let dir = vectors.join("evidence/snp/go-sev-guest");
    let collateral = collateral(&[read(dir.join("vcek.testcer"))]);
    let appraisal = appraise(&read(dir.join("attestation.bin")), &collateral, MID_2026);
    assert_refused(&appraisal, "debug");
    assert_eq!(failed(&appraisal), ["debug"]);
    assert_eq!((main(&appraisal).vector().configuration, main(&appraisal).vector().runtime_opaque), (96, 96));
    assert_eq!(main(&appraisal).vector().hardware, 2, "the hardware is genuine all the same");
    assert_eq!(debugged(&vectors).appraise().refusal(), None, "waived");
}

#[test]
fn vceks_with_bad_signatures_are_refused() {
    let Some(vectors) = vectors() else { return };
    let dir = vectors.join("evidence/snp/trustee");
    for name in ["test-vcek-invalid-legacy.der", "test-vcek-invalid-new.der"] {
        let collateral = collateral(&[read(dir.join(name))]);
        let appraisal = appraise(&read(dir.join("test-report.bin")), &collateral, MID_2026);
        assert_refused(&appraisal, "chain");
        assert_eq!(appraisal.status(), Status::Contraindicated);
        assert_eq!(main(&appraisal).vector().hardware, 99);
    }
}

#[test]
fn a_vlek_needs_its_time_and_its_issuer() {
    let Some(vectors) = vectors() else { return };
    let dir = vectors.join("evidence/snp/trustee");
    let report = read(dir.join("test-vlek-report.bin"));
    let (vlek, chain) = (read(dir.join("test-vlek.der")), read(dir.join("milan_ask_ark_asvk.pem")));
    let whole = collateral(&[vlek.clone(), chain]);
    assert_refused(&appraise(&report, &whole, MID_2026), "validity");
    assert_refused(&appraise(&report, &whole, 0), "validity");
    assert_refused(&appraise(&report, &collateral(std::slice::from_ref(&vlek)), MID_2025), "chain");
    let other = collateral(&[vlek, read(dir.join("genoa_ask_ark_asvk.pem"))]);
    assert_refused(&appraise(&report, &other, MID_2025), "chain");

    let policy = |keys: &str, vmpl: &str| {
        let text = format!(
            "version = 1\nname = \"t\"\n[sev_snp]\nrequire_reference_value = false\nrequire_tcb_floor = false\nrequire_crl = false\nsigning_keys = {keys}\nvmpl = {vmpl}"
        );
        let evidence = Evidence::snp(report.clone()).unwrap();
        let policy = AppraisalPolicy::parse(text.as_bytes()).unwrap();
        let amd = HardwareRoots::vendors();
        verifier::appraise(&evidence, &whole, &policy, &ReferenceValues::none(), &amd, MID_2025)
    };
    assert_affirming("VLEK", &policy("[\"vlek\"]", "[1]"));
    assert_refused(&policy("[\"vcek\"]", "[1]"), "allowed-key");
    assert_refused(&policy("[\"vlek\"]", "[0]"), "vmpl");
    assert_eq!(main(&policy("[\"vlek\"]", "[1]")).machine(), None, "a VLEK names no chip");
}

#[test]
fn certificates_of_another_chip_or_generation_are_refused() {
    let Some(vectors) = vectors() else { return };
    let snp = vectors.join("evidence/snp");
    let report = read(snp.join("ms-tav/milan_attestation_report.bin"));
    let vcek = read(snp.join("ms-tav/milan_vcek.pem"));

    let swapped = appraise(&report, &collateral(&[read(snp.join("dstack/sev_snp_vcek.pem"))]), MID_2026);
    assert_refused(&swapped, "signature");
    assert!(failed(&swapped).contains(&"tcb-binding") && failed(&swapped).contains(&"chip-binding"));

    for wrong in ["trustee/genoa_ask_ark_asvk.pem", "trustee/turin_ask_ark_asvk.pem"] {
        let given = collateral(&[vcek.clone(), read(snp.join(wrong))]);
        assert_refused(&appraise(&report, &given, MID_2026), "chain");
    }
    let genoa = appraise(&report, &collateral(&[read(snp.join("ms-tav/genoa_vcek.pem"))]), MID_2026);
    assert_refused(&genoa, "signature");
    assert!(failed(&genoa).contains(&"generation"));

    // Of two, the one for this report is found; if neither is, there is none.
    let both = collateral(&[vcek.clone(), read(snp.join("dstack/sev_snp_vcek.pem"))]);
    let alone = appraise(&report, &collateral(&[vcek]), MID_2026);
    assert_eq!(appraise(&report, &both, MID_2026).ear(), alone.ear());
    let others = [read(snp.join("dstack/sev_snp_vcek.pem")), read(snp.join("ms-tav/genoa_vcek.pem"))];
    assert_refused(&appraise(&report, &collateral(&others), MID_2026), "endorsement");
    assert_refused(&appraise(&report, &Collateral::default(), MID_2026), "endorsement");
}

/// No report of a Turin is among the vectors; its certificates are, and hold.
#[test]
fn the_chain_of_a_turin_holds() {
    let Some(vectors) = vectors() else { return };
    let snp = vectors.join("evidence/snp");
    let report = read(snp.join("virtee-sev/report_milan.bin"));
    for issuers in [vec![], vec![read(snp.join("trustee/turin_ask_ark_asvk.pem"))]] {
        let given = collateral(&[vec![read(snp.join("virtee-sev/vcek_turin.der"))], issuers].concat());
        let appraisal = appraise(&report, &given, MID_2026);
        let failed = failed(&appraisal);
        assert!(
            ["chain", "root", "validity", "endorsement"].iter().all(|name| !failed.contains(name)),
            "{failed:?}"
        );
        assert_refused(&appraisal, "signature");
        assert!(failed.contains(&"generation"));
    }
}

#[test]
fn every_flipped_bit_of_the_recorded_report_is_refused() {
    crate::verifier::no_flipped_bit_is_accepted(&example(), 0..REPORT_BYTES);
}

#[test]
fn every_flipped_bit_of_a_newer_real_report_is_refused() {
    let Some(vectors) = vectors() else { return };
    let (_, report, collateral, now) = tacra_cases(&vectors).remove(0);
    let case = Case::of("tacra", verifier::SNP_REPORT, report, collateral, now);
    crate::verifier::no_flipped_bit_is_accepted(&case, 0..REPORT_BYTES);
}

#[test]
#[ignore = "soak: every bit of eighteen reports, minutes"]
fn every_flipped_bit_of_every_real_report_is_refused() {
    let Some(vectors) = vectors() else { return };
    let affirming = real_cases(&vectors).into_iter().map(|(name, report, collateral, now)| {
        Case::of(&name, verifier::SNP_REPORT, report, collateral, now)
    });
    for case in affirming.chain([debugged(&vectors)]) {
        crate::verifier::no_flipped_bit_is_accepted(&case, 0..REPORT_BYTES);
    }
}
