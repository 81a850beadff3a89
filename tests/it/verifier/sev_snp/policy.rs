//! What the policy and the reference values ask, key by key.

use std::path::Path;

use treering::attester::simulated::{Launch, Processor};
use treering::verifier::{
    self, AppraisalPolicy, Collateral, Evidence, HardwareRoots, REPORT_BYTES, ReferenceValue,
    ReferenceValues, Status,
};

use super::{
    BINDING, MEASUREMENT, MILAN, NOW, certificates, patched, platform, policy, simulated, simulated_with,
};
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

type Change = fn(&mut [u8; REPORT_BYTES]);

/// One rule and a report, genuine in everything, that breaks it, and one that keeps it. What an ordinary guest on an ordinary
/// host is: SMT allowed and on, one socket not required, ECC, alias check complete, mitigations 0x0b.
const RULES: &[(&str, &str, Change, Change)] = &[
    ("guest-policy", "[sev_snp.guest_policy]\nforbid_smt = true", AS_IT_IS, |report| report[0x0a] &= !1),
    ("guest-policy", "[sev_snp.guest_policy]\nrequire_single_socket = true", AS_IT_IS, |report| {
        report[0x0a] |= 1 << 4;
    }),
    ("guest-policy", "[sev_snp.guest_policy]\nforbid_cxl = true", |report| report[0x0a] |= 1 << 5, AS_IT_IS),
    ("guest-policy", "[sev_snp.guest_policy]\nrequire_aes_256_xts = true", AS_IT_IS, |report| {
        report[0x0a] |= 1 << 6;
    }),
    ("guest-policy", "[sev_snp.guest_policy]\nrequire_rapl_disabled = true", AS_IT_IS, |report| {
        report[0x0a] |= 1 << 7;
    }),
    ("guest-policy", "[sev_snp.guest_policy]\nrequire_ciphertext_hiding = true", AS_IT_IS, |report| {
        report[0x0b] |= 1;
    }),
    ("guest-policy", "[sev_snp.guest_policy]\nrequire_page_swap_disabled = true", AS_IT_IS, |report| {
        report[0x0b] |= 1 << 1;
    }),
    // The minor version is the first octet, the major the second.
    (
        "guest-policy",
        "[sev_snp.guest_policy]\nmin_abi = [1, 55]",
        |report| report[0x08..0x0a].copy_from_slice(&[54, 1]),
        |report| {
            report[0x08..0x0a].copy_from_slice(&[55, 1]);
        },
    ),
    (
        "platform",
        "[sev_snp.platform]\nrequire_alias_check = true",
        |report| report[0x40] &= !(1 << 5),
        AS_IT_IS,
    ),
    ("platform", "[sev_snp.platform]\nrequire_ecc = true", |report| report[0x40] &= !(1 << 2), AS_IT_IS),
    ("platform", "[sev_snp.platform]\nrequire_tsme = true", AS_IT_IS, |report| report[0x40] |= 1 << 1),
    ("platform", "[sev_snp.platform]\nrequire_rapl_disabled = true", AS_IT_IS, |report| {
        report[0x40] |= 1 << 3;
    }),
    ("platform", "[sev_snp.platform]\nrequire_ciphertext_hiding = true", AS_IT_IS, |report| {
        report[0x40] |= 1 << 4;
    }),
    ("platform", "[sev_snp.platform]\nforbid_smt = true", AS_IT_IS, |report| report[0x40] &= !1),
    ("platform", "[sev_snp.platform]\nforbid_tio = true", |report| report[0x40] |= 1 << 7, AS_IT_IS),
    ("mitigations", "[sev_snp.mitigations]\nmilan = 0x10", AS_IT_IS, |report| {
        report[0x1f8] |= 0x10;
        report[0x200] |= 0x10;
    }),
    // Set now and not at launch, or the other way round: it was not in force all the time.
    ("mitigations", "[sev_snp.mitigations]\nmilan = 0x0b", |report| report[0x1f8] &= !0x08, AS_IT_IS),
    ("mitigations", "[sev_snp.mitigations]\nmilan = 0x0b", |report| report[0x200] &= !0x08, AS_IT_IS),
    ("vmpl", "vmpl = [1]", AS_IT_IS, |report| report[0x30] = 1),
];

const AS_IT_IS: Change = |_| {};

#[test]
fn the_policy_is_kept() {
    for (check, rule, breaks, keeps) in RULES {
        let broken = simulated(&patched(breaks), &policy(rule));
        assert_refused(&broken, check);
        assert_eq!(failed(&broken), [*check], "{rule}");
        assert_eq!(simulated(&patched(keeps), &policy(rule)).refusal(), None, "{rule}");
    }
    for (check, rule) in [
        ("allowed-generation", "denied_generations = [\"milan\"]"),
        ("allowed-key", "signing_keys = [\"vlek\"]"),
    ] {
        assert_eq!(failed(&simulated(&patched(|_| {}), &policy(rule))), [check], "{rule}");
    }
    assert_eq!(simulated(&patched(|_| {}), &policy("denied_generations = [\"genoa\"]")).refusal(), None);
    // Reports before version 5 have no mitigation vectors.
    let old = MILAN.guest(Launch { report_version: 3, ..Launch::of(MEASUREMENT) }).unwrap();
    let old = old.report_bytes(&BINDING).unwrap();
    assert_eq!(failed(&simulated(&old, &policy("[sev_snp.mitigations]\nmilan = 0x01"))), ["mitigations"]);
    assert_eq!(
        main(&simulated(&patched(|_| {}), &policy("denied_generations = [\"milan\"]"))).vector().hardware,
        96,
        "not to be relied on at all"
    );
}

/// Who signed the ID block: its key, and the author of that key, whose digest says something only with AUTHOR_KEY_EN.
#[test]
fn id_blocks_are_of_the_keys_that_the_policy_names() {
    let (named, other) = ("ab".repeat(48), "cd".repeat(48));
    let signed: Change = |report| {
        report[0xe0..0x110].fill(0xab);
        report[0x110..0x140].fill(0xab);
        report[0x48] |= 1;
    };
    let without_author: Change = |report| {
        report[0xe0..0x110].fill(0xab);
        report[0x110..0x140].fill(0xab);
    };
    for key in ["id_key_digests", "author_key_digests"] {
        let rule = |digest: &str| policy(&format!("{key} = [\"{other}\", \"{digest}\"]"));
        assert_eq!(simulated(&patched(signed), &rule(&named)).refusal(), None, "{key}");
        assert_eq!(failed(&simulated(&patched(signed), &rule(&other))), ["id-block"], "{key}");
        assert_eq!(failed(&simulated(&patched(|_| {}), &rule(&named))), ["id-block"], "{key}");
    }
    let author = policy(&format!("author_key_digests = [\"{named}\"]"));
    assert_eq!(failed(&simulated(&patched(without_author), &author)), ["id-block"]);
    let id = policy(&format!("id_key_digests = [\"{named}\"]"));
    assert_eq!(simulated(&patched(without_author), &id).refusal(), None);
}

#[test]
fn a_floor_is_required_unless_the_policy_says_otherwise() {
    let strict =
        AppraisalPolicy::parse(b"version = 1\nname = \"t\"\n[sev_snp]\nrequire_reference_value = false")
            .unwrap();
    assert_eq!(failed(&simulated(&patched(|_| {}), &strict)), ["tcb-floor"]);
    // The host could roll back to what is committed.
    let floor = policy("[sev_snp.tcb_floor.milan]\nbootloader = 4\ntee = 0\nsnp = 24\nmicrocode = 219");
    assert_eq!(simulated(&patched(|_| {}), &floor).refusal(), None);
    for octet in [0x1e0, 0x1e6, 0x1e7] {
        assert_eq!(
            failed(&simulated(&patched(|report| report[octet] -= 1), &floor)),
            ["tcb-floor"],
            "{octet:#x}"
        );
    }
    // Below the floor is genuine and weak.
    let higher = |bootloader, tee, snp, microcode| {
        let text = format!(
            "[sev_snp.tcb_floor.milan]\nbootloader = {bootloader}\ntee = {tee}\nsnp = {snp}\nmicrocode = {microcode}"
        );
        simulated(&patched(|_| {}), &policy(&text))
    };
    for refused in
        [higher(5, 0, 24, 219), higher(4, 1, 24, 219), higher(4, 0, 25, 219), higher(4, 0, 24, 220)]
    {
        assert_eq!(failed(&refused), ["tcb-floor"]);
        assert_eq!(main(&refused).vector().hardware, 32);
    }
}

/// A Turin has its first mutable code, the TCB's octets in another order, and a chip id of 8 octets.
#[test]
fn a_turin_is_judged_as_one() {
    let turin = platform(Processor::Turin);
    let collateral =
        Collateral::new(turin.certificates().to_vec(), vec![turin.revocation_list().to_vec()]).unwrap();
    let with = |rules: &str, change: Change| {
        let mut report = turin.guest(Launch::of(MEASUREMENT)).unwrap().report_bytes(&BINDING).unwrap();
        change(&mut report);
        turin.sign_report(&mut report).unwrap();
        let text = format!("version = 1\nname = \"t\"\n[sev_snp]\nrequire_reference_value = false\n{rules}");
        let policy = AppraisalPolicy::parse(text.as_bytes()).unwrap();
        let evidence = Evidence::snp(report.to_vec()).unwrap();
        let roots = HardwareRoots::with_simulated([turin.root_fingerprint()]);
        verifier::appraise(&evidence, &collateral, &policy, &ReferenceValues::none(), &roots, NOW)
    };
    let floor = |fmc: u8, tee: u8| {
        format!(
            "[sev_snp.tcb_floor.turin]\nfmc = {fmc}\nbootloader = 1\ntee = {tee}\nsnp = 4\nmicrocode = 81"
        )
    };
    assert_eq!(with(&floor(1, 1), AS_IT_IS).refusal(), None);
    let of_milan = "[sev_snp.tcb_floor.milan]\nbootloader = 0\ntee = 0\nsnp = 0\nmicrocode = 0";
    assert_eq!(failed(&with(of_milan, AS_IT_IS)), ["tcb-floor"], "there is none for this generation");
    assert_eq!(failed(&with(&floor(2, 1), AS_IT_IS)), ["tcb-floor"]);
    assert_eq!(failed(&with(&floor(1, 2), AS_IT_IS)), ["tcb-floor"]);
    // Committed: fmc, bootloader, tee, snp, three reserved octets, microcode.
    let committed: [Change; 5] = [
        |report| report[0x1e0] -= 1,
        |report| report[0x1e1] -= 1,
        |report| report[0x1e2] -= 1,
        |report| report[0x1e3] -= 1,
        |report| report[0x1e7] -= 1,
    ];
    for lower in committed {
        assert_eq!(failed(&with(&floor(1, 1), lower)), ["tcb-floor"]);
    }
    // Another chip; and what follows the 8 octets.
    for wrong in [(|report| report[0x1a0] ^= 1) as Change, |report| report[0x1a8] = 1] {
        assert_eq!(failed(&with(&floor(1, 1), wrong)), ["chip-binding"]);
    }
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
    // HOST_DATA, which carries the policy of an agent, and the names of the ID block count with the measurement; alone they
    // are the word of whoever started it.
    let value = |names: &[(&str, &[u8])]| {
        let mut value = image("image 7", MEASUREMENT, [9; 32]);
        value.registers = names.iter().map(|(name, octets)| ((*name).to_owned(), octets.to_vec())).collect();
        ReferenceValues::new(vec![value])
    };
    let given: [(&str, &[u8]); 3] =
        [("host_data", &[7; 32]), ("family_id", &[8; 16]), ("image_id", &[9; 16])];
    let launched = patched(|report| {
        report[0xc0..0xe0].fill(7);
        report[0x10..0x20].fill(8);
        report[0x20..0x30].fill(9);
    });
    let of = |names: &[(&str, &[u8])]| {
        simulated_with(&launched, &required, &value(names).unwrap(), &certificates(), NOW)
    };
    let measured: (&str, &[u8]) = ("measurement", &MEASUREMENT);
    let all = of(&[measured, given[0], given[1], given[2]]);
    assert_eq!((all.refusal(), main(&all).vector().executables), (None, 3));
    assert_eq!(main(&all).claim("family_id"), Some(&*"08".repeat(16)));
    assert_eq!(main(&all).claim("image_id"), Some(&*"09".repeat(16)));
    for (name, octets) in given {
        let mut other = octets.to_vec();
        other[0] ^= 1;
        assert_eq!(failed(&of(&[measured, (name, &other)])), ["reference-value"], "{name}");
        assert_eq!(of(&[measured, (name, octets)]).refusal(), None, "{name}");
        assert_eq!(failed(&of(&[(name, octets)])), ["reference-value"], "{name}");
        value(&[(name, &octets[1..])]).unwrap_err();
    }
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
