//! What the policy and the reference values ask, key by key.

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use treering::verifier::{AppraisalPolicy, ReferenceValue, ReferenceValues, Registers, Status};

use super::{TPM, example, reference};
use crate::verifier::{Case, assert_affirming, assert_refused, failed, main, policy_of};

#[test]
fn registers_are_found_among_the_reference_values() {
    let matching = Case { references: reference("pcr4", vec![0; 32]), ..example() };
    let appraisal = matching.appraise();
    assert_affirming("pcr4", &appraisal);
    assert_eq!(main(&appraisal).vector().executables, 3);
    assert_eq!(main(&appraisal).reference().unwrap().name, "image");
    // Of configuration, or written by anybody: not what was booted.
    for of_nothing in ["pcr1", "pcr7", "pcr16", "pcr23"] {
        let case = Case { references: reference(of_nothing, vec![0; 32]), ..example() };
        assert_eq!(failed(&case.appraise()), ["reference-value"], "{of_nothing}");
    }
    let other = Case { references: reference("pcr4", vec![1; 32]), ..example() };
    assert_refused(&other.appraise(), "reference-value");
    assert_eq!(main(&other.appraise()).vector().executables, 33);
    for (register, octets) in [("pcr24", 32), ("pcr04", 32), ("pcr4", 20), ("measurement", 48)] {
        let registers = Registers::from([(register.to_owned(), vec![0; octets])]);
        let value =
            ReferenceValue { name: "x".to_owned(), tee: "tpm".to_owned(), registers, source: [1; 32] };
        ReferenceValues::new(vec![value]).unwrap_err();
    }
}

#[test]
fn the_policy_of_quotes_is_kept() {
    let with = |text: &str| {
        let policy = policy_of(&format!("[tpm]\n{text}"));
        Case { policy, ..example() }.appraise()
    };
    let lenient = "require_reference_value = false\nrequire_secure_boot = false\n";
    assert_affirming("lenient", &with(lenient));
    assert_eq!(failed(&with("")), ["secure-boot", "reference-value"], "strict by default");
    assert_eq!(failed(&with("require_secure_boot = false\n")), ["reference-value"]);
    assert_eq!(failed(&with("require_reference_value = false\n")), ["secure-boot"]);
    assert_eq!(failed(&with(&format!("{lenient}pcr_bank = \"sha384\"\n"))), ["pcr-digest"]);
    let key = HEXLOWER.encode(&Sha256::digest(TPM.spki()));
    let machine =
        |key: &str| format!("{lenient}[[tpm.machine]]\nname = \"rack 7\"\nspki_sha256 = \"{key}\"\n");
    let appraisal = with(&machine(&key));
    assert_affirming("machine", &appraisal);
    assert_eq!(main(&appraisal).vector().instance_identity, 2);
    assert_eq!(main(&appraisal).machine().unwrap(), Sha256::digest(TPM.spki()).as_slice());
    let appraisal = with(&machine(&"00".repeat(32)));
    assert_eq!(failed(&appraisal), ["machine"]);
    assert_eq!(main(&appraisal).vector().instance_identity, 97);
    for text in [
        "[tpm]\nextra = 1",
        "[tpm]\npcr_bank = \"sha1\"",
        "[[tpm.root]]\nname = \"x\"\nsha256 = \"00\"",
        "[[tpm.attestation_key]]\nname = \"x\"",
        &format!("[[tpm.machine]]\nname = \"a\"\nspki_sha256 = \"{key}\"\n").repeat(2),
    ] {
        AppraisalPolicy::parse(format!("version = 1\nname = \"t\"\n{text}").as_bytes()).unwrap_err();
    }
}

#[test]
fn a_waiver_of_secure_boot_shows() {
    let policy = policy_of(
        "[tpm]\nrequire_reference_value = false\n[[waiver]]\ncheck = \"secure-boot\"\nkind = \"tpm\"\nreason = \"r\"\nuntil = \"2030-01-01T00:00:00Z\"\n",
    );
    let appraisal = Case { policy, ..example() }.appraise();
    assert_eq!(appraisal.refusal(), None);
    assert_eq!(appraisal.status(), Status::Warning);
}
