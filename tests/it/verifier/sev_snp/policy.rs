//! What the policy and the reference values ask, key by key.

use std::path::Path;

use treering::verifier::{self, AppraisalPolicy, ReferenceValue, ReferenceValues, Status};

use super::{MEASUREMENT, MILAN, NOW, certificates, patched, policy, simulated, simulated_with};
use crate::verifier::{assert_refused, failed, main, read};

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
