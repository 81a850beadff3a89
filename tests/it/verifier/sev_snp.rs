//! Appraisal of SEV-SNP evidence: from hardware (the recorded report in this repository; more where the folder of
//! foreign vectors lies beside it), and from the simulated platform, which can be made wrong in one point at a time.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use treering::attester::simulated::{Guest, Launch, Platform, Processor};
use treering::attester::{self, Attester, recorded};
use treering::verifier::{
    self, Appraisal, AppraisalPolicy, Assurance, Collateral, Evidence, HardwareRoots, REPORT_BYTES,
    ReferenceValue, ReferenceValues, Status, Verifier,
};

use super::{Case, assert_affirming, assert_refused, base64url, collateral, failed, main, read, vectors};

/// 2026-07-01T00:00:00Z: every VCEK of the vectors is valid then.
const MID_2026: u64 = 1_782_864_000;
/// 2025-06-01T00:00:00Z: the VLEK of the vectors is valid then.
const MID_2025: u64 = 1_748_736_000;
pub(crate) const BINDING: [u8; 64] = [0x5a; 64];

fn appraise(report: &[u8], collateral: &Collateral, now: u64) -> Appraisal {
    let evidence = Evidence::snp(report.to_vec()).unwrap();
    let policy = AppraisalPolicy::baseline();
    verifier::appraise(
        &evidence,
        collateral,
        &policy,
        &ReferenceValues::none(),
        &HardwareRoots::vendors(),
        now,
    )
}

// --- evidence from hardware ---------------------------------------------------------------------------------------

fn recorded_parts() -> (Vec<u8>, Collateral) {
    let milan = recorded::milan().unwrap();
    (milan.evidence[0].bytes.clone(), Collateral::from_der(milan.endorsements).unwrap())
}

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

/// The recorded report.
pub(crate) fn example() -> Case {
    let (report, collateral) = recorded_parts();
    Case::of("recorded", verifier::SNP_REPORT, report, collateral, recorded::INSTANT)
}

/// A report of the simulated platform.
pub(crate) fn simulated_case() -> Case {
    let report = guest().report_bytes(&BINDING).unwrap().to_vec();
    Case { roots: roots(), ..Case::of("simulated", verifier::SNP_REPORT, report, certificates(), NOW) }
}

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
            "version = 1\nname = \"t\"\n[sev_snp]\nrequire_reference_value = false\nrequire_tcb_floor = false\nsigning_keys = {keys}\nvmpl = {vmpl}"
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

// --- every bit ----------------------------------------------------------------------------------------------------

#[test]
fn every_flipped_bit_of_the_recorded_report_is_refused() {
    super::no_flipped_bit_is_accepted(&example(), 0..REPORT_BYTES);
}

#[test]
fn every_flipped_bit_of_a_newer_real_report_is_refused() {
    let Some(vectors) = vectors() else { return };
    let (_, report, collateral, now) = tacra_cases(&vectors).remove(0);
    let case = Case::of("tacra", verifier::SNP_REPORT, report, collateral, now);
    super::no_flipped_bit_is_accepted(&case, 0..REPORT_BYTES);
}

// --- one thing wrong at a time ------------------------------------------------------------------------------------

const NOW: u64 = recorded::INSTANT;
const MEASUREMENT: [u8; 48] = [0xa5; 48];

static MILAN: LazyLock<Arc<Platform>> = LazyLock::new(|| platform(Processor::Milan));

fn platform(processor: Processor) -> Arc<Platform> {
    Arc::new(Platform::generate(processor, processor.ordinary_tcb(), NOW).unwrap())
}

fn guest() -> Guest {
    MILAN.guest(Launch::of(MEASUREMENT)).unwrap()
}

fn roots() -> HardwareRoots {
    HardwareRoots::with_simulated([MILAN.root_fingerprint()])
}

fn certificates() -> Collateral {
    Collateral::from_der(MILAN.certificates().to_vec()).unwrap()
}

fn policy(snp: &str) -> AppraisalPolicy {
    let text = format!(
        "version = 1\nname = \"t\"\n[sev_snp]\nrequire_reference_value = false\nrequire_tcb_floor = false\n{snp}"
    );
    AppraisalPolicy::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn simulated(report: &[u8], policy: &AppraisalPolicy) -> Appraisal {
    simulated_with(report, policy, &ReferenceValues::none(), &certificates(), NOW)
}

fn simulated_with(
    report: &[u8],
    policy: &AppraisalPolicy,
    references: &ReferenceValues,
    collateral: &Collateral,
    now: u64,
) -> Appraisal {
    let evidence = Evidence::snp(report.to_vec()).unwrap();
    verifier::appraise(&evidence, collateral, policy, references, &roots(), now)
}

/// A report changed before it is signed: authentic, and wrong in one point.
fn patched(change: impl FnOnce(&mut [u8; REPORT_BYTES])) -> [u8; REPORT_BYTES] {
    let mut report = guest().report_bytes(&BINDING).unwrap();
    change(&mut report);
    MILAN.sign_report(&mut report).unwrap();
    report
}

#[test]
fn a_simulated_platform_is_accepted_only_where_it_is_pinned() {
    for processor in [Processor::Milan, Processor::Genoa, Processor::Turin] {
        let platform = platform(processor);
        for report_version in [3, 5] {
            let guest = platform.guest(Launch { report_version, ..Launch::of(MEASUREMENT) }).unwrap();
            let attestation = guest.report(&BINDING).unwrap();
            let evidence = Evidence::new(attestation.items()).unwrap();
            let collateral = Collateral::from_der(attestation.endorsements).unwrap();
            let under = |roots: HardwareRoots| {
                let none = ReferenceValues::none();
                verifier::appraise(&evidence, &collateral, &policy(""), &none, &roots, NOW)
            };
            let appraised =
                under(HardwareRoots::with_simulated([platform.root_fingerprint()])).into_appraised().unwrap();
            assert_eq!(appraised.assurance(), Assurance::Simulated);
            assert!(appraised.matches_binding(&BINDING) && !appraised.matches_binding(&[0; 64]));
            assert_eq!(main(appraised.appraisal()).claim("measurement"), Some(&*"a5".repeat(48)));
            assert_eq!(main(appraised.appraisal()).machine(), Some(&platform.chip_id()[..]));
            assert!(String::from_utf8_lossy(appraised.ear()).contains("\"assurance\":\"simulated\""));
            assert_refused(&under(HardwareRoots::vendors()), "root");
            assert!(
                String::from_utf8_lossy(under(HardwareRoots::vendors()).ear())
                    .contains("\"assurance\":\"none\"")
            );
            assert_refused(&under(HardwareRoots::with_simulated([[0; 32]])), "root");
        }
    }
}

#[test]
fn a_simulated_root_does_not_stand_in_for_amd() {
    // The simulated VCEK with AMD's own issuer and root: the names alone tell them apart.
    let only_leaf = Collateral::from_der([MILAN.certificates()[2].clone()]).unwrap();
    let report = guest().report_bytes(&BINDING).unwrap();
    let appraisal = simulated_with(&report, &policy(""), &ReferenceValues::none(), &only_leaf, NOW);
    assert_refused(&appraisal, "chain");
}

#[test]
fn what_is_wrong_in_a_signed_report_is_named() {
    type Change = fn(&mut [u8; REPORT_BYTES]);
    let cases: &[(&str, &str, Change)] = &[
        ("format", "version 6", |report| report[0] = 6),
        ("format", "version 1", |report| report[0] = 1),
        ("canonical", "reserved octets of a TCB version", |report| report[0x3a] = 1),
        ("canonical", "reserved octets before the report data", |report| report[0x4c] = 1),
        ("canonical", "reserved octets after CPUID", |report| report[0x18b] = 1),
        ("canonical", "reserved octets after the mitigations", |report| report[0x208] = 1),
        ("canonical", "policy bit 17", |report| report[0x0a] &= !2),
        ("canonical", "policy bit 26", |report| report[0x0b] |= 4),
        ("canonical", "KEY_INFO bit 5", |report| report[0x48] |= 0x20),
        ("canonical", "CPUID of no known processor", |report| report[0x188] = 0x17),
        ("signature-algorithm", "SIG_ALGO 2", |report| report[0x34] = 2),
        ("signing-key", "named a VLEK", |report| report[0x48] = 1 << 2),
        ("signing-key", "named none", |report| report[0x48] = 7 << 2),
        ("signing-key", "reserved", |report| report[0x48] = 3 << 2),
        ("generation", "a Genoa's CPUID", |report| report[0x189] = 0x11),
        ("tcb-binding", "lower reported SNP version", |report| report[0x186] -= 1),
        ("tcb-binding", "lower reported microcode", |report| report[0x187] -= 1),
        ("chip-binding", "another chip", |report| report[0x1a0] ^= 1),
        ("tcb-order", "committed above current", |report| report[0x1e6] += 1),
        ("tcb-order", "committed firmware above current", |report| report[0x1ec] += 1),
        ("debug", "DEBUG", |report| report[0x0a] |= 1 << 3),
        ("migration", "MIGRATE_MA", |report| report[0x0a] |= 1 << 2),
        ("vmpl", "VMPL 2", |report| report[0x30] = 2),
    ];
    assert_eq!(simulated(&patched(|_| {}), &policy("")).refusal(), None);
    for (check, what, change) in cases {
        let appraisal = simulated(&patched(change), &policy(""));
        let refusal = appraisal.refusal().unwrap_or_else(|| panic!("accepted: {what}"));
        assert_eq!(refusal.check(), Some(*check), "{what}: {refusal}");
    }
}

#[test]
fn what_is_not_signed_must_be_zero() {
    for at in [0x2a0 + 48, 0x2e8 + 71, 0x330, REPORT_BYTES - 1] {
        let mut report = guest().report_bytes(&BINDING).unwrap();
        report[at] = 1;
        assert_refused(&simulated(&report, &policy("")), "canonical");
    }
    let mut report = guest().report_bytes(&BINDING).unwrap();
    report[0x50] ^= 1;
    assert_refused(&simulated(&report, &policy("")), "signature");
    let mut report = guest().report_bytes(&BINDING).unwrap();
    report[0x2a0..0x330].fill(0);
    assert_refused(&simulated(&report, &policy("")), "signature");
}

#[test]
fn a_masked_chip_is_no_machine() {
    let masked = patched(|report| report[0x1a0..0x1e0].fill(0));
    let appraised = simulated(&masked, &policy("")).into_appraised().unwrap();
    assert_eq!(main(appraised.appraisal()).machine(), None);
    let hex = data_encoding::HEXLOWER.encode(&MILAN.chip_id());
    let named = policy(&format!("[[sev_snp.machine]]\nname = \"ours\"\nchip_id = \"{hex}\""));
    assert_refused(&simulated(&masked, &named), "machine");
    let ours = simulated(&patched(|_| {}), &named);
    assert_eq!((ours.refusal(), main(&ours).vector().instance_identity), (None, 2));
    let other = policy(&format!("[[sev_snp.machine]]\nname = \"other\"\nchip_id = \"{}\"", "00".repeat(64)));
    let refused = simulated(&patched(|_| {}), &other);
    assert_refused(&refused, "machine");
    assert_eq!(main(&refused).vector().instance_identity, 97);
}

#[test]
fn the_policy_is_kept() {
    let digest = "ab".repeat(48);
    let floor = |microcode: u8| {
        format!("[sev_snp.tcb_floor.milan]\nbootloader = 4\ntee = 0\nsnp = 24\nmicrocode = {microcode}")
    };
    let cases = [
        ("allowed-generation", "denied_generations = [\"milan\"]".to_owned()),
        ("allowed-key", "signing_keys = [\"vlek\"]".to_owned()),
        ("vmpl", "vmpl = [1]".to_owned()),
        ("revocation", "require_crl = true".to_owned()),
        ("tcb-floor", floor(220)),
        ("mitigations", "[sev_snp.mitigations]\nmilan = 0x10".to_owned()),
        ("guest-policy", "[sev_snp.guest_policy]\nforbid_smt = true".to_owned()),
        ("guest-policy", "[sev_snp.guest_policy]\nrequire_single_socket = true".to_owned()),
        ("guest-policy", "[sev_snp.guest_policy]\nrequire_aes_256_xts = true".to_owned()),
        ("guest-policy", "[sev_snp.guest_policy]\nrequire_rapl_disabled = true".to_owned()),
        ("guest-policy", "[sev_snp.guest_policy]\nrequire_ciphertext_hiding = true".to_owned()),
        ("guest-policy", "[sev_snp.guest_policy]\nrequire_page_swap_disabled = true".to_owned()),
        ("guest-policy", "[sev_snp.guest_policy]\nmin_abi = [1, 55]".to_owned()),
        ("platform", "[sev_snp.platform]\nrequire_tsme = true".to_owned()),
        ("platform", "[sev_snp.platform]\nrequire_rapl_disabled = true".to_owned()),
        ("platform", "[sev_snp.platform]\nrequire_ciphertext_hiding = true".to_owned()),
        ("platform", "[sev_snp.platform]\nforbid_smt = true".to_owned()),
        ("id-block", format!("id_key_digests = [\"{digest}\"]")),
        ("id-block", format!("author_key_digests = [\"{digest}\"]")),
    ];
    for (check, rule) in &cases {
        let appraisal = simulated(&patched(|_| {}), &policy(rule));
        assert_refused(&appraisal, check);
        assert_eq!(failed(&appraisal), [*check], "{rule}");
    }
    let kept = [
        floor(219),
        "[sev_snp.mitigations]\nmilan = 0x0b".to_owned(),
        "[sev_snp.platform]\nrequire_alias_check = true\nrequire_ecc = true\nforbid_tio = true".to_owned(),
        "[sev_snp.guest_policy]\nforbid_cxl = true\nmin_abi = [0, 0]".to_owned(),
    ];
    for rule in &kept {
        assert_eq!(simulated(&patched(|_| {}), &policy(rule)).refusal(), None, "{rule}");
    }
    // Below the floor is genuine and weak, denied is not to be relied on at all.
    assert_eq!(main(&simulated(&patched(|_| {}), &policy(&floor(220)))).vector().hardware, 32);
    assert_eq!(
        main(&simulated(&patched(|_| {}), &policy("denied_generations = [\"milan\"]"))).vector().hardware,
        96
    );
}

#[test]
fn a_floor_is_required_unless_the_policy_says_otherwise() {
    let strict =
        AppraisalPolicy::parse(b"version = 1\nname = \"t\"\n[sev_snp]\nrequire_reference_value = false")
            .unwrap();
    assert_refused(&simulated(&patched(|_| {}), &strict), "tcb-floor");
    // Committed below the floor: the host could roll back to it.
    let floor = policy("[sev_snp.tcb_floor.milan]\nbootloader = 4\ntee = 0\nsnp = 24\nmicrocode = 219");
    assert_refused(&simulated(&patched(|report| report[0x1e7] -= 1), &floor), "tcb-floor");
}

#[test]
fn a_waiver_lets_pass_and_shows() {
    let waived = |until: &str| {
        let text = format!(
            "version = 1\nname = \"t\"\n[sev_snp]\nrequire_reference_value = false\nrequire_tcb_floor = false\n[[waiver]]\ncheck = \"debug\"\nreason = \"a test bench\"\nuntil = \"{until}\""
        );
        AppraisalPolicy::parse(text.as_bytes()).unwrap()
    };
    let report = patched(|report| report[0x0a] |= 1 << 3);
    let appraised = simulated(&report, &waived("2030-01-01T00:00:00Z")).into_appraised().unwrap();
    assert_eq!(appraised.status(), Status::Warning);
    let ear: serde_json::Value = serde_json::from_slice(appraised.ear()).unwrap();
    let claims = &ear["submods"]["sev-snp"]["ear_verifier_claims"];
    assert_eq!(claims["waivers"][0]["reason"], "a test bench");
    let check = claims["checks"].as_array().unwrap().iter().find(|check| check["name"] == "debug").unwrap();
    assert_eq!((&check["ok"], &check["waived"]), (&false.into(), &"a test bench".into()));
    // Over, or for another check: refused.
    assert_refused(&simulated(&report, &waived("2026-01-01T00:00:00Z")), "debug");
    let other = patched(|report| report[0x0a] |= 1 << 2);
    assert_refused(&simulated(&other, &waived("2030-01-01T00:00:00Z")), "migration");
}

fn image(name: &str, measurement: [u8; 48], source: [u8; 32]) -> ReferenceValue {
    let registers = [(verifier::MEASUREMENT.to_owned(), measurement.to_vec())].into();
    ReferenceValue { name: name.to_owned(), tee: verifier::SUBMOD_SNP.to_owned(), registers, source }
}

#[test]
fn reference_values_decide_what_runs() {
    let reference = |measurement| ReferenceValues::new(vec![image("image 7", measurement, [9; 32])]).unwrap();
    let required =
        AppraisalPolicy::parse(b"version = 1\nname = \"t\"\n[sev_snp]\nrequire_tcb_floor = false").unwrap();
    let report = patched(|_| {});
    let with = |policy: &AppraisalPolicy, references: &ReferenceValues| {
        simulated_with(&report, policy, references, &certificates(), NOW)
    };
    let known = with(&required, &reference(MEASUREMENT));
    assert_eq!((main(&known).vector().executables, known.status()), (3, Status::Affirming));
    assert_eq!(known.into_appraised().unwrap().reference().unwrap().source, [9; 32]);
    let unknown = with(&required, &reference([0; 48]));
    assert_refused(&unknown, "reference-value");
    assert_eq!((main(&unknown).vector().executables, unknown.status()), (33, Status::Warning));
    assert_refused(&with(&required, &ReferenceValues::none()), "reference-value");
    // Not required, but given: then they count.
    assert_refused(&with(&policy(""), &reference([0; 48])), "reference-value");
    assert_eq!(main(&with(&policy(""), &ReferenceValues::none())).vector().executables, 0);
}

#[test]
fn a_crl_counts_where_it_is_given() {
    let with_crl = |policy: &AppraisalPolicy, crl: &[u8]| {
        let crl = Collateral::read_crl(crl).unwrap();
        let collateral = certificates().merged(crl).unwrap();
        simulated_with(&patched(|_| {}), policy, &ReferenceValues::none(), &collateral, NOW)
    };
    let required = policy("require_crl = true");
    let day = 86_400;
    let good = MILAN.crl(false, NOW - day, NOW + day).unwrap();
    assert_eq!(with_crl(&required, &good).refusal(), None);
    let revoked = MILAN.crl(true, NOW - day, NOW + day).unwrap();
    assert_refused(&with_crl(&policy(""), &revoked), "revocation");
    assert_eq!(main(&with_crl(&policy(""), &revoked)).vector().hardware, 96);
    assert_refused(
        &with_crl(&policy(""), &MILAN.crl(false, NOW - 2 * day, NOW - day).unwrap()),
        "revocation",
    );
    assert_refused(
        &with_crl(&policy(""), &MILAN.crl(false, NOW + day, NOW + 2 * day).unwrap()),
        "revocation",
    );
    assert_refused(
        &with_crl(&policy(""), &platform(Processor::Milan).crl(false, NOW - day, NOW + day).unwrap()),
        "revocation",
    );
    let mut broken = good.clone();
    let last = broken.len() - 1;
    broken[last] ^= 1;
    assert_refused(&with_crl(&policy(""), &broken), "revocation");
    assert_refused(&with_crl(&policy(""), b"no CRL"), "revocation");
}

// --- the same again -----------------------------------------------------------------------------------------------

#[test]
fn the_same_inputs_give_the_same_octets() {
    let (report, collateral) = recorded_parts();
    let first = appraise(&report, &collateral, recorded::INSTANT);
    let again = appraise(&report, &collateral, recorded::INSTANT);
    assert_eq!(first, again);
    // From the snapshot as it is logged, through its canonical octets: what a replay does.
    let logged = Collateral::from_canonical_bytes(&first.collateral().canonical_bytes()).unwrap();
    assert_eq!(logged.digest(), *first.collateral_digest());
    assert_eq!(appraise(&report, &logged, recorded::INSTANT).ear(), first.ear());
    assert_ne!(appraise(&report, &logged, recorded::INSTANT + 1).ear(), first.ear());
    // Certificates that no chain needs change nothing, and are not kept.
    let more = logged.merged(certificates()).unwrap();
    let more = Collateral::from_der(
        more.certificates().iter().filter(|der| **der != MILAN.certificates()[2]).cloned(),
    );
    assert_eq!(appraise(&report, &more.unwrap(), recorded::INSTANT), first);
    // The cache changes nothing, full or not.
    let verifier = Verifier::with_capacity(roots(), 1);
    let policy = AppraisalPolicy::baseline();
    let simulated = Evidence::snp(guest().report_bytes(&BINDING).unwrap().to_vec()).unwrap();
    let recorded = Evidence::snp(report).unwrap();
    for _ in 0..3 {
        for (evidence, collateral) in
            [(&recorded, &collateral), (&simulated, &certificates()), (&recorded, &Collateral::default())]
        {
            let none = ReferenceValues::none();
            let cached = verifier.appraise(evidence, collateral, &policy, &none, recorded::INSTANT);
            let fresh = verifier::appraise(evidence, collateral, &policy, &none, &roots(), recorded::INSTANT);
            assert_eq!(cached, fresh);
        }
    }
}

/// The policy of the pinned result; its digest is in it.
const PINNED_POLICY: &str = "\
# What `treering appraise` applies without --policy: is this genuine hardware, and not open by construction?
# No floor of the owner's, no reference values, any privilege level, either kind of signing key.
version = 1
name = \"baseline\"

[sev_snp]
require_reference_value = false
require_tcb_floor = false
signing_keys = [\"vcek\", \"vlek\"]
vmpl = [0, 1, 2, 3]
";

/// A logged appraisal is replayed and compared octet by octet. If this fails, every replay of an appraisal that this
/// version of the program made fails too: the version of the crate, which is in the result, must change with it.
#[test]
fn the_octets_of_a_result_are_pinned() {
    let policy = AppraisalPolicy::parse(PINNED_POLICY.as_bytes()).unwrap();
    let appraisal = Case { policy, ..example() }.appraise();
    let text = String::from_utf8(appraisal.ear().to_vec()).unwrap();
    let text = text.replace(verifier::BUILD, "treering 0");
    // The baseline's digest is another one whenever some kind gets a section there.
    let text = text.replace(&AppraisalPolicy::baseline().id(), "baseline");
    let digest = verifier::fingerprint(text.as_bytes());
    assert_eq!(
        data_encoding::HEXLOWER.encode(&digest),
        "b9866266ca7c5e120f4675f296f16b12c1584849b27738c2b18b1e4f437db335"
    );
}

#[test]
fn the_result_is_an_ear() {
    let (report, collateral) = recorded_parts();
    let appraisal = appraise(&report, &collateral, recorded::INSTANT);
    let ear: serde_json::Value = serde_json::from_slice(appraisal.ear()).unwrap();
    assert_eq!(ear["eat_profile"], "tag:ietf.org,2026:rats/ear#04");
    assert_eq!(ear["iat"], recorded::INSTANT);
    assert_eq!(ear["ear_status"], "affirming");
    assert_eq!(ear["ear_verifier_id"]["build"], verifier::BUILD);
    let submod = &ear["submods"]["sev-snp"];
    assert_eq!(submod["ear_status"], "affirming");
    assert_eq!(submod["ear_appraisal_policy_ids"][0], AppraisalPolicy::baseline().id());
    let vector = &submod["ear_trustworthiness_vector"];
    assert_eq!(
        [
            &vector["instance-identity"],
            &vector["configuration"],
            &vector["executables"],
            &vector["hardware"],
            &vector["runtime-opaque"]
        ],
        [0, 2, 0, 2, 2]
    );
    assert_eq!(submod["ear_attester_claims"]["generation"], "Milan");
    assert_eq!(submod["ear_verifier_claims"]["assurance"], "hardware");
    assert!(
        ear.get("exp").is_none(),
        "an unsigned result does not expire; the statement it is logged in dates it"
    );
}

// --- documents ----------------------------------------------------------------------------------------------------

#[test]
fn the_sample_policy_is_one() {
    let sample = read(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/samples/appraisal-policy.toml"));
    let policy = AppraisalPolicy::parse(&sample).unwrap();
    assert_eq!(policy.name(), "production");
    assert!(policy.waivers().is_empty());
    // As it stands it accepts an ordinary platform with a known image.
    let reference = image("image", MEASUREMENT, [0; 32]);
    let references = ReferenceValues::new(vec![reference]).unwrap();
    let appraisal = simulated_with(&patched(|_| {}), &policy, &references, &certificates(), NOW);
    assert_eq!(appraisal.refusal(), None);
}

// --- anything at all ----------------------------------------------------------------------------------------------

static SHARED: LazyLock<Verifier> = LazyLock::new(|| Verifier::new(roots()));

fn survives(report: Vec<u8>, collateral: &Collateral) -> Appraisal {
    let (policy, none) = (AppraisalPolicy::baseline(), ReferenceValues::none());
    SHARED.appraise(&Evidence::snp(report).unwrap(), collateral, &policy, &none, NOW)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_octets_as_report_panic_or_pass(report in prop::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(survives(report, &certificates()).refusal().is_some());
    }

    #[test]
    fn no_overwritten_report_panics_or_passes(at in 0..REPORT_BYTES, octets in prop::collection::vec(any::<u8>(), 1..64)) {
        let genuine = guest().report_bytes(&BINDING).unwrap();
        let mut report = genuine;
        for (to, from) in report[at..].iter_mut().zip(&octets) {
            *to = *from;
        }
        prop_assert_eq!(survives(report.to_vec(), &certificates()).refusal().is_none(), report == genuine);
    }

    #[test]
    fn no_octets_as_collateral_panic(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
        drop(Collateral::read(&bytes));
        drop(Collateral::from_canonical_bytes(&bytes));
        if let Ok(crl) = Collateral::read_crl(&bytes) {
            let collateral = certificates().merged(crl).unwrap();
            prop_assert!(survives(guest().report_bytes(&BINDING).unwrap().to_vec(), &collateral).refusal().is_some());
        }
    }

    /// A certificate cut short or changed is unreadable, or its chain does not hold.
    #[test]
    fn no_changed_certificate_panics_or_passes(which in 0..3_usize, cut in any::<prop::sample::Index>(), change in any::<Option<(prop::sample::Index, u8)>>()) {
        let mut all = MILAN.certificates().to_vec();
        let original = all.clone();
        let length = all[which].len();
        if let Some((at, to)) = change {
            all[which][at.index(length)] = to;
        } else {
            all[which].truncate(cut.index(length));
        }
        let unchanged = all == original;
        if let Ok(collateral) = Collateral::from_der(all) {
            let appraisal = survives(guest().report_bytes(&BINDING).unwrap().to_vec(), &collateral);
            prop_assert_eq!(appraisal.refusal().is_none(), unchanged);
        }
    }

    #[test]
    fn no_octets_as_policy_or_reference_values_panic(text in ".{0,300}") {
        drop(AppraisalPolicy::parse(text.as_bytes()));
        drop(ReferenceValues::parse(text.as_bytes()));
    }
}
