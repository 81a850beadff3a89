//! What is inside: a report or a quote in evidence of a paravisor is judged as it is outside, check by check.

use treering::attester;
use treering::attester::simulated::Launch;
use treering::attester::simulated::azure::AzureEvidence;
use treering::attester::simulated::intel::{
    IntelCollateral, IntelModel, IntelPlatform, IntelStatus, QuotingEnclave, Revoked, Td, TdVersion, measure,
};
use treering::verifier::{self, Appraisal, Collateral, HardwareRoots, REPORT_BYTES};

use super::{
    BINDING, LENIENT, MEASUREMENT, MILAN, TDX_LENIENT, attest, case, evidence, tdx_evidence, tdx_example,
    tdx_vm, vm,
};
use crate::verifier::intel::{self, DAY, PLATFORM, check, of_items, with_collateral};
use crate::verifier::tpm::NOW;
use crate::verifier::{Case, policy_of};

/// This check fails inside and outside, and every check says the same of both. Secure boot and reference values are each
/// kind's own.
#[track_caller]
fn assert_the_same_inside(name: &str, whole: &Appraisal, plain: &Appraisal) {
    assert!(check(plain, name).failed(), "{name}: {}", check(plain, name).detail());
    let own = ["secure-boot", "reference-value"];
    for outside in plain.checks().filter(|check| !own.contains(&check.name())) {
        let inside = check(whole, outside.name());
        assert_eq!((inside.ok(), inside.failed()), (outside.ok(), outside.failed()), "{}", outside.name());
        assert_eq!(inside.detail(), outside.detail(), "{}", outside.name());
    }
    assert!(whole.clone().into_appraised().is_err(), "{name}");
}

// --- SEV-SNP ------------------------------------------------------------------------------------------------------

/// The report of this evidence by itself, under the same collateral and policy.
fn report_of(whole: &Case, evidence: &AzureEvidence) -> Appraisal {
    let plain = Case::of(
        "plain",
        verifier::SNP_REPORT,
        evidence.report.0.clone(),
        whole.collateral.clone(),
        whole.now,
    );
    Case { policy: whole.policy.clone(), roots: whole.roots.clone(), ..plain }.appraise()
}

#[track_caller]
fn same_report(name: &str, evidence: &AzureEvidence, change: impl FnOnce(Case) -> Case) {
    let whole = change(Case { policy: policy_of(LENIENT), ..case(evidence) });
    assert_the_same_inside(name, &whole.appraise(), &report_of(&whole, evidence));
}

/// The report changed before it is signed.
fn patched(change: impl FnOnce(&mut [u8; REPORT_BYTES])) -> AzureEvidence {
    let mut evidence = evidence();
    let mut report: [u8; REPORT_BYTES] = evidence.report.0.as_slice().try_into().unwrap();
    change(&mut report);
    MILAN.sign_report(&mut report).unwrap();
    evidence.report.0 = report.to_vec();
    evidence
}

#[test]
fn a_report_inside_is_judged_as_one_outside() {
    type Change = fn(&mut [u8; REPORT_BYTES]);
    let changes: [(&str, Change); 10] = [
        ("format", |report| report[0] = 6),
        ("canonical", |report| report[0x4c] = 1),
        ("signature-algorithm", |report| report[0x34] = 2),
        ("signing-key", |report| report[0x48] = 7 << 2),
        ("generation", |report| report[0x189] = 0x11),
        ("tcb-binding", |report| report[0x186] -= 1),
        ("chip-binding", |report| report[0x1a0] ^= 1),
        ("tcb-order", |report| report[0x1e6] += 1),
        ("debug", |report| report[0x0a] |= 1 << 3),
        ("migration", |report| report[0x0a] |= 1 << 2),
    ];
    for (name, change) in changes {
        same_report(name, &patched(change), |case| case);
    }
    let mut broken = evidence();
    broken.report.0[0x2a0] ^= 1;
    same_report("signature", &broken, |case| case);
    let guest = vm(&Launch { vmpl: 2, ..Launch::of(MEASUREMENT) }, true);
    let guest = guest.evidence(&guest.runtime().unwrap(), &attest()).unwrap();
    same_report("vmpl", &guest, |case| case);
}

#[test]
fn the_certificates_of_a_report_inside_are_judged_as_outside() {
    let good = evidence();
    same_report("endorsement", &good, |case| Case { collateral: Collateral::default(), ..case });
    let leaf = Collateral::from_der([MILAN.certificates()[2].clone()]).unwrap();
    same_report("chain", &good, |case| Case { collateral: leaf, ..case });
    same_report("root", &good, |case| Case { roots: HardwareRoots::vendors(), ..case });
    same_report("validity", &good, |case| Case { now: NOW + 30 * 365 * DAY, ..case });
    let revoked = Collateral::read_crl(&MILAN.crl(true, NOW - DAY, NOW + DAY).unwrap()).unwrap();
    same_report("revocation", &good, |case| Case {
        collateral: case.collateral.clone().merged(revoked).unwrap(),
        ..case
    });
    let floor = "[sev_snp.tcb_floor.milan]\nbootloader = 255\ntee = 0\nsnp = 24\nmicrocode = 219";
    for (name, rules) in [
        ("allowed-key", "signing_keys = [\"vlek\"]"),
        ("allowed-generation", "denied_generations = [\"milan\"]"),
        ("tcb-floor", floor),
        ("mitigations", "[sev_snp.mitigations]\nmilan = 0x10"),
        ("guest-policy", "[sev_snp.guest_policy]\nforbid_smt = true"),
        ("platform", "[sev_snp.platform]\nrequire_tsme = true"),
        ("machine", &format!("[[sev_snp.machine]]\nname = \"other\"\nchip_id = \"{}\"", "01".repeat(64))),
        ("id-block", &format!("id_key_digests = [\"{}\"]", "ab".repeat(48))),
    ] {
        let text = LENIENT.replace("[sev_snp]\n", "");
        let (snp, own) = text.split_once("[az_snp]").unwrap();
        let policy = policy_of(&format!("[az_snp]{own}[sev_snp]\n{snp}{rules}\n"));
        same_report(name, &good, |case| Case { policy, ..case });
    }
}

// --- TDX ----------------------------------------------------------------------------------------------------------

fn evidence_of(td: Td) -> AzureEvidence {
    let vm = tdx_vm(td);
    vm.evidence(&vm.runtime().unwrap(), &vm.attest(&[0; 32])).unwrap()
}

#[track_caller]
fn same_quote(name: &str, evidence: &AzureEvidence, change: impl FnOnce(Case) -> Case) {
    let whole = tdx_example().with_octets(evidence.to_bytes().unwrap());
    let whole = change(Case { policy: policy_of(TDX_LENIENT), ..whole });
    let plain =
        Case { policy: whole.policy.clone(), roots: whole.roots.clone(), now: whole.now, ..whole.clone() };
    let quote = verifier::Evidence::new([(verifier::TDX_QUOTE, evidence.report.0.clone())]).unwrap();
    assert_the_same_inside(name, &whole.appraise(), &Case { evidence: quote, ..plain }.appraise());
}

fn td() -> Td {
    Td::of(measure(b"paravisor"))
}

#[test]
fn a_quote_inside_is_judged_as_one_outside() {
    const SEPT_VE_DISABLE: u64 = 1 << 28;
    for (name, td) in [
        ("debug", Td { attributes: SEPT_VE_DISABLE | 1, ..td() }),
        ("migration", Td { attributes: SEPT_VE_DISABLE | 1 << 29, ..td() }),
        ("td-attributes", Td { attributes: 0, ..td() }),
        ("service-td", Td { service_td: [3; 48], ..td() }),
    ] {
        same_quote(name, &evidence_of(td), |case| case);
    }
    // At offsets from the end of what is signed, in a quote of version 4.
    for (name, at) in [("signature", 0), ("attestation-key", 64), ("qe-report", 134)] {
        let mut damaged = evidence_of(Td { version: TdVersion::Four, ..td() });
        damaged.report.0[48 + 584 + 4 + at] ^= 1;
        same_quote(name, &damaged, |case| case);
    }
    let mut longer = tdx_evidence();
    longer.report.0.push(0);
    same_quote("canonical", &longer, |case| case);
    let mut shorter = tdx_evidence();
    shorter.report.0.pop();
    same_quote("format", &shorter, |case| case);
    let stranger = IntelPlatform::generate(IntelModel::default(), intel::NOW).unwrap();
    let ([_, issuer, root], [strange, ..]) = (PLATFORM.chain(), stranger.chain());
    let signed = td().signed_octets(&BINDING);
    let mut mixed = tdx_evidence();
    mixed.report.0 =
        PLATFORM.sign_quote_under(&signed, &QuotingEnclave::of_td(), [strange, issuer, root]).unwrap();
    same_quote("chain", &mixed, |case| case);
}

#[test]
fn the_collateral_of_a_quote_inside_is_judged_as_outside() {
    type Change = fn(&mut IntelCollateral);
    let good = tdx_evidence();
    let changes: [(&str, Change); 6] = [
        ("freshness", |collateral| collateral.current = (intel::NOW + DAY, intel::NOW + 9 * DAY)),
        ("revocation", |collateral| collateral.revoked = vec![Revoked::Pck]),
        ("qe-identity", |collateral| collateral.quoting_enclave_signer = [7; 32]),
        ("tdx-module", |collateral| collateral.module_signer = [9; 48]),
        ("tcb-level", |collateral| collateral.platform = IntelStatus::of("Revoked", intel::NOW)),
        ("tcb-status", |collateral| collateral.platform = IntelStatus::of("OutOfDate", intel::NOW)),
    ];
    for (name, change) in changes {
        same_quote(name, &good, |case| with_collateral(&case, change));
    }
    same_quote("collateral", &good, |case| Case { collateral: Collateral::default(), ..case });
    same_quote("root", &good, |case| Case { roots: HardwareRoots::vendors(), ..case });
    same_quote("validity", &good, |case| Case { now: intel::NOW + 8 * 365 * DAY, ..case });
    let stranger = IntelPlatform::generate(IntelModel::default(), intel::NOW).unwrap();
    let strange = stranger.publish(&stranger.collateral()).unwrap();
    let ours = PLATFORM.publish(&PLATFORM.collateral()).unwrap();
    let kind = attester::TCB_INFO_TYPE;
    let items = ours.into_iter().filter(|item| item.media_type != kind);
    let items = items.chain(strange.into_iter().filter(|item| item.media_type == kind)).collect();
    let collateral = of_items(vec![PLATFORM.signer().to_vec()], items);
    same_quote("collateral-signature", &good, |case| Case { collateral, ..case });
    let denied = |collateral: &mut IntelCollateral| {
        collateral.platform.advisories = vec!["INTEL-SA-00001".to_owned()];
    };
    let text = format!("{TDX_LENIENT}[tdx.tcb]\ndenied_advisories = [\"INTEL-SA-00001\"]\n");
    same_quote("advisories", &good, |case| Case {
        policy: policy_of(&text),
        ..with_collateral(&case, denied)
    });
}

#[test]
fn the_policy_of_quotes_counts_inside_as_outside() {
    let hex = "00".repeat(48);
    for (name, rules) in [
        ("allowed-platform", "[tdx.tcb]\ndenied_fmspcs = [\"90c06f000000\"]"),
        ("tcb-evaluation", "[tdx.tcb]\nmin_evaluation_number = 19"),
        ("platform", "[tdx.tcb]\nforbid_smt = true"),
        ("machine", &format!("[[tdx.machine]]\nname = \"other\"\nppid = \"{}\"", "00".repeat(16))),
        ("xfam", "forbidden_xfam = 0x2"),
        ("module-pins", &format!("mrseam = [\"{hex}\"]")),
        ("owner", &format!("mrowner = [\"{}\"]", "01".repeat(48))),
        ("event-log", "require_event_log = true"),
        ("events", "required_events = [\"boot\"]"),
    ] {
        let text = format!(
            "[az_tdx]\nrequire_reference_value = false\n[tdx]\nrequire_reference_value = false\n{rules}\n"
        );
        same_quote(name, &tdx_evidence(), |case| Case { policy: policy_of(&text), ..case });
    }
}
