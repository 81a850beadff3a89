//! What the policy and the reference values ask, key by key.

use treering::verifier::{self, ReferenceValue, ReferenceValues, Registers, Status};

use super::{GPU, NOW, case_of, changed, with_policy};
use crate::verifier::{Case, assert_affirming, assert_refused, main, policy_of};

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
