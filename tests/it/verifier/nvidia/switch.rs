//! A switch's report is judged as a GPU's: the same things wrong are refused by the same checks.

use treering::attester::simulated::nvidia::{Device, Fields, Model};
use treering::verifier::{Appraisal, Collateral, ReferenceValue, ReferenceValues};

use super::{NOW, SWITCH, case_of};
use crate::verifier::{Case, assert_affirming, assert_refused, main, policy_of};

const LENIENT: &str = "[nvidia_switch]\nrequire_reference_value = false\nrequire_revocation = false\n";

fn case() -> Case {
    case_of("switch", &SWITCH)
}

fn of_report(report: &[u8]) -> Appraisal {
    case().with_octets(Device::item(report, SWITCH.chain()).unwrap()).appraise()
}

/// The report with these octets changed, signed again.
fn patched(patch: impl FnOnce(&mut Vec<u8>)) -> Appraisal {
    let mut report = SWITCH.report(&SWITCH.ordinary([7; 32])).unwrap();
    patch(&mut report);
    SWITCH.sign_report(&mut report).unwrap();
    of_report(&report)
}

#[test]
fn what_is_wrong_in_a_switchs_report_is_named() {
    assert_affirming("as it is", &patched(|_| {}));
    assert_refused(&patched(|report| report[0x29] = 30), "format");
    assert_refused(&patched(|report| report[0x27] = 1), "canonical");
    assert_refused(&patched(|report| report.insert(report.len() - 96, 0)), "canonical");
    let more = Fields { measurements: vec![[1; 48]; 32], ..SWITCH.ordinary([7; 32]) };
    assert_refused(&of_report(&SWITCH.report(&more).unwrap()), "format");
    let other = Device::generate(Model::Ls10, NOW).unwrap();
    assert_refused(&of_report(&other.report(&other.ordinary([7; 32])).unwrap()), "signature");
    let mut reordered = SWITCH.chain().to_vec();
    reordered.swap(1, 2);
    let report = SWITCH.report(&SWITCH.ordinary([7; 32])).unwrap();
    assert_refused(&case().with_octets(Device::item(&report, &reordered).unwrap()).appraise(), "chain");
    assert_refused(&Case { now: NOW + 21 * 365 * 86_400, ..case() }.appraise(), "validity");
    let revoked = SWITCH.crl(2, true, NOW - 3600, NOW + 86_400).unwrap();
    let collateral = Collateral::new(vec![], vec![revoked]).unwrap();
    assert_refused(&Case { collateral, ..case() }.appraise(), "revocation");
    // A switch's report does not repeat the firmware's digest; one that does must have the right one.
    let mut fields = SWITCH.ordinary([7; 32]);
    fields.set(20, &[9; 48]);
    assert_refused(&of_report(&SWITCH.report(&fields).unwrap()), "fwid");
}

#[test]
fn the_policy_of_switches_is_kept() {
    let with = |rules: &str| Case { policy: policy_of(&format!("{LENIENT}{rules}")), ..case() }.appraise();
    assert_affirming("no rules", &with(""));
    assert_refused(&with("denied_generations = [\"ls10\"]"), "allowed-generation");
    assert_refused(&with("min_driver_version = \"1\""), "driver-version");
    assert_refused(&with("vbios_versions = [\"1\"]"), "vbios-version");
    let machine = |serial: &[u8]| {
        let hex = data_encoding::HEXLOWER.encode(serial);
        with(&format!("[[nvidia_switch.machine]]\nname = \"rack 7\"\nserial = \"{hex}\"\n"))
    };
    assert_affirming("named", &machine(SWITCH.serial()));
    assert_refused(&machine(&[1; 9]), "machine");
    assert_refused(&Case { policy: policy_of(""), ..case() }.appraise(), "revocation");
    let value = |octets: [u8; 48]| ReferenceValue {
        name: "firmware 1".to_owned(),
        tee: "nvidia-switch".to_owned(),
        registers: [("measurement30".to_owned(), octets.to_vec())].into(),
        source: [0; 32],
    };
    let measured = SWITCH.ordinary([0; 32]).measurements[30];
    let with =
        |octets| Case { references: ReferenceValues::new(vec![value(octets)]).unwrap(), ..case() }.appraise();
    assert_affirming("known", &with(measured));
    assert_eq!(main(&with(measured)).vector().executables, 3);
    assert_refused(&with([1; 48]), "reference-value");
}
