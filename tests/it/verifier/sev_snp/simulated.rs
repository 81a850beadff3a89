//! The simulated platform: what is wrong in one point is refused by the check of that point.

use treering::attester::Attester;
use treering::attester::simulated::{Launch, Processor};
use treering::verifier::{
    self, AppraisalPolicy, Assurance, Collateral, Evidence, HardwareRoots, REPORT_BYTES, ReferenceValues,
    Status,
};

use super::{
    BINDING, MEASUREMENT, MILAN, NOW, guest, patched, platform, policy, simulated, simulated_with,
    without_crl,
};
use crate::verifier::{assert_affirming, assert_refused, failed, main, relaxations};

#[test]
fn a_simulated_platform_is_accepted_only_where_it_is_pinned() {
    for processor in [Processor::Milan, Processor::Genoa, Processor::Turin] {
        let platform = platform(processor);
        for report_version in [3, 5] {
            let guest = platform.guest(Launch { report_version, ..Launch::of(MEASUREMENT) }).unwrap();
            let attestation = guest.report(&BINDING).unwrap();
            let evidence = Evidence::new(attestation.items()).unwrap();
            let crls = attestation.documents.into_iter().map(|list| list.bytes).collect();
            let collateral = Collateral::new(attestation.endorsements, crls).unwrap();
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
        ("migration", "REPORT_ID_MA of an agent", |report| report[0x160] = 0),
        ("migration", "REPORT_ID_MA of zeros", |report| report[0x160..0x180].fill(0)),
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
fn a_crl_counts_where_it_is_given() {
    let with = |policy: &AppraisalPolicy, collateral: &Collateral| {
        simulated_with(&patched(|_| {}), policy, &ReferenceValues::none(), collateral, NOW)
    };
    let with_crl = |policy: &AppraisalPolicy, crl: &[u8]| {
        with(policy, &without_crl().merged(Collateral::read_crl(crl).unwrap()).unwrap())
    };
    let required = policy("");
    // Without one it is refused, unless the owner says otherwise, which shows; or waives it, which shows and warns.
    assert_eq!(failed(&with(&required, &without_crl())), ["revocation"]);
    let unchecked = with(&policy("require_crl = false"), &without_crl());
    assert_affirming("unchecked", &unchecked);
    assert_eq!(
        relaxations(&unchecked),
        r#"[{"check":"revocation","key":"require_crl"},{"check":"tcb-floor","key":"require_tcb_floor"},{"check":"reference-value","key":"require_reference_value"}]"#
    );
    let waiver =
        policy("[[waiver]]\ncheck = \"revocation\"\nreason = \"r\"\nuntil = \"2030-01-01T00:00:00Z\"");
    let waived = with(&waiver, &without_crl());
    assert_eq!((waived.refusal(), waived.status()), (None, Status::Warning));
    assert_eq!(main(&waived).vector().hardware, 32);
    assert!(!relaxations(&waived).contains("require_crl"));
    let day = 86_400;
    let good = MILAN.crl(false, NOW - day, NOW + day).unwrap();
    assert_eq!(with_crl(&required, &good).refusal(), None);
    let revoked = MILAN.crl(true, NOW - day, NOW + day).unwrap();
    // What is revoked is refused, whatever is waived.
    assert_refused(&with_crl(&waiver, &revoked), "revocation");
    assert_refused(&with_crl(&policy("require_crl = false"), &revoked), "revocation");
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
    // Beside one that holds, a list of another root of that name is nothing, and is not logged; what cannot be read, or is
    // signed by this root and not understood, is refused.
    let both = |other: &[u8]| {
        let crls = vec![good.clone(), other.to_vec()];
        with(&required, &Collateral::new(MILAN.certificates().to_vec(), crls).unwrap())
    };
    let another = platform(Processor::Milan);
    assert_eq!(
        (both(another.revocation_list()).refusal(), both(&broken).collateral().crls().len()),
        (None, 1)
    );
    assert_refused(&both(b"no CRL"), "revocation");
    assert_refused(&both(&revoked), "revocation");
}
