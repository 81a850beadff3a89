//! Appraisal of SGX quotes: from hardware, where the folder of foreign vectors lies beside this repository, and from
//! the simulated platform. What is Intel's own is tested with TDX; here once more, that it is the same.

use treering::attester::Attester;
use treering::attester::simulated::intel::{
    Enclave, IntelModel, IntelPlatform, IntelStatus, QuotingEnclave, Revoked,
};
use treering::verifier::{self, Assurance, Collateral, Evidence, ReferenceValue, ReferenceValues, Status};

use super::intel::{
    self, DAY, MID_2025, NOW, PLATFORM, assert_only, check, flipped_bits_are_refused, of_items, simulated,
    with_collateral,
};
use super::{Case, assert_affirming, assert_refused, failed, main, policy_of};

const BINDING: [u8; 64] = [0x5a; 64];
const LENIENT: &str = "[sgx]\nrequire_reference_value = false\n";

fn real() -> Option<Case> {
    let files = ("sgx_quote", "sgx_quote_collateral.json");
    intel::real(verifier::SGX_QUOTE, "sgx/dcap-qvl", files, ("real", MID_2025))
}

fn enclave() -> Enclave {
    Enclave::of([0xee; 32], [0x51; 32])
}

fn of(enclave: &Enclave) -> Case {
    simulated(verifier::SGX_QUOTE, PLATFORM.quote_enclave(enclave, &BINDING).unwrap())
}

/// A simulated quote.
pub(crate) fn example() -> Case {
    of(&enclave())
}

#[test]
fn the_real_quote_is_genuine_and_of_a_platform_that_needs_hardening() {
    let Some(case) = real() else { return };
    let appraisal = case.appraise();
    assert_eq!(appraisal.refusal(), None);
    assert_eq!((appraisal.status(), main(&appraisal).vector().hardware), (Status::Warning, 32));
    assert!(check(&appraisal, "tcb-status").detail().starts_with("ConfigurationAndSWHardeningNeeded"));
    assert_eq!(main(&appraisal).assurance(), Some(Assurance::Hardware));
    let strict = Case { policy: policy_of(LENIENT), ..case.clone() }.appraise();
    assert_only(&strict, "tcb-status", "ConfigurationAndSWHardeningNeeded");
    let late = Case { now: MID_2025 + 300 * DAY, ..case }.appraise();
    assert_only(&late, "freshness", "CRL of the root");
}

/// One of every seventh octet; the whole below.
#[test]
fn flipped_bits_of_the_real_quote_are_refused() {
    let Some(case) = real() else { return };
    flipped_bits_are_refused(&case);
}

#[test]
#[ignore = "soak: every bit of a quote, a minute"]
fn every_flipped_bit_of_the_real_quote_is_refused() {
    let Some(case) = real() else { return };
    let all = 0..case.octets().len();
    super::no_flipped_bit_is_accepted(&case, all);
}

#[test]
fn a_simulated_enclave_is_accepted_only_where_it_is_pinned() {
    let appraisal = example().appraise();
    assert_affirming("simulated", &appraisal);
    assert_eq!(main(&appraisal).assurance(), Some(Assurance::Simulated));
    assert!(appraisal.matches_binding(&BINDING) && !appraisal.matches_binding(&[0; 64]));
    let unpinned = Case { roots: verifier::HardwareRoots::vendors(), ..example() }.appraise();
    assert_only(&unpinned, "root", "not pinned");
    let attestation = PLATFORM.enclave(enclave()).report(&BINDING).unwrap();
    let evidence = Evidence::new(attestation.items()).unwrap();
    let collateral = of_items(attestation.endorsements.clone(), attestation.documents.clone());
    assert_affirming("attested", &Case { evidence, collateral, ..example() }.appraise());
}

#[test]
fn what_is_wrong_with_a_platform_is_named() {
    let revoked = with_collateral(&example(), |collateral| collateral.revoked = vec![Revoked::Pck]);
    assert_only(&revoked.appraise(), "revocation", "CertRevoked");
    let none = with_collateral(&example(), |collateral| collateral.pce_svn += 1);
    assert_only(&none.appraise(), "tcb-level", "No matching TCB level");
    let old =
        with_collateral(&example(), |collateral| collateral.platform = IntelStatus::of("OutOfDate", NOW));
    let old = Case { policy: policy_of(LENIENT), ..old };
    assert_only(&old.appraise(), "tcb-status", "OutOfDate");
    let signer = with_collateral(&example(), |collateral| collateral.quoting_enclave_signer = [7; 32]);
    assert_only(&signer.appraise(), "qe-identity", "QE MRSIGNER");
    let number = policy_of(&format!("{LENIENT}[sgx.tcb]\nmin_evaluation_number = 19\n"));
    assert_only(&Case { policy: number, ..example() }.appraise(), "tcb-evaluation", "18");
    let denied = policy_of(&format!("{LENIENT}[sgx.tcb]\ndenied_fmspcs = [\"90c06f000000\"]\n"));
    assert_only(&Case { policy: denied, ..example() }.appraise(), "allowed-platform", "90c06f");
    let smt = policy_of(&format!("{LENIENT}[sgx.tcb]\nforbid_smt = true\n"));
    assert_only(&Case { policy: smt, ..example() }.appraise(), "platform", "SMT");
    let advisories = with_collateral(&example(), |collateral| {
        collateral.platform.advisories = vec!["INTEL-SA-1".to_owned()];
    });
    let denied = policy_of(&format!("{LENIENT}[sgx.tcb]\ndenied_advisories = [\"INTEL-SA-1\"]\n"));
    assert_only(&Case { policy: denied, ..advisories }.appraise(), "advisories", "INTEL-SA-1");
    let ppid = "00".repeat(16);
    let machine = policy_of(&format!("{LENIENT}[[sgx.machine]]\nname = \"a\"\nppid = \"{ppid}\"\n"));
    assert_only(&Case { policy: machine, ..example() }.appraise(), "machine", "none of those");
    // Where the quote ends, and where its parts begin: 48 octets of header, 384 of the enclave's report, a length.
    for (at, name) in [(0, "signature"), (64, "attestation-key"), (128, "qe-report"), (512, "qe-report")] {
        let mut octets = example().octets().to_vec();
        octets[48 + 384 + 4 + at] ^= 1;
        assert_only(&example().with_octets(octets).appraise(), name, "");
    }
    let longer = [example().octets(), &[0]].concat();
    assert_only(&example().with_octets(longer).appraise(), "canonical", "the quote");
}

#[test]
fn what_is_wrong_with_certificates_and_collateral_is_named() {
    let nothing = Case { collateral: Collateral::default(), ..example() };
    assert_only(&nothing.appraise(), "collateral", "the CRL of the root");
    let expired = Case { now: NOW + 8 * 365 * DAY, ..example() };
    assert_refused(&expired.appraise(), "validity");
    let early = with_collateral(&example(), |collateral| collateral.current = (NOW + DAY, NOW + 9 * DAY));
    assert_only(&early.appraise(), "freshness", "is not the one of that time");
    let stranger = IntelPlatform::generate(IntelModel::default(), NOW).unwrap();
    let items = PLATFORM.publish(&PLATFORM.collateral()).unwrap();
    let signer = Case { collateral: of_items(vec![stranger.signer().to_vec()], items), ..example() };
    assert_only(&signer.appraise(), "collateral-signature", "");
    let signed = enclave().signed_octets(PLATFORM.model(), &BINDING);
    let ([_, issuer, root], [strange, ..]) = (PLATFORM.chain(), stranger.chain());
    let mixed = PLATFORM.sign_quote_under(&signed, &QuotingEnclave::of_enclave(), [strange, issuer, root]);
    assert_refused(&example().with_octets(mixed.unwrap()).appraise(), "chain");
}

#[test]
fn what_an_enclave_may_not_be_is_refused() {
    let with = |flags: u64| of(&Enclave { attributes: (flags, 3), ..enclave() }).appraise();
    assert_only(&with(0x07), "debug", "debugging");
    assert_only(&with(0x04), "attributes", "not initialised");
    let config_id = [0xc0; 64];
    let without = of(&Enclave { config_id, ..enclave() });
    assert_only(&without.appraise(), "attributes", "KSS is off");
    let kss = of(&Enclave { config_id, attributes: (0x85, 3), ..enclave() });
    let appraisal = kss.appraise();
    assert_affirming("KSS", &appraisal);
    let claims = main(&appraisal).claims().unwrap();
    assert_eq!(claims["kss"]["configid"], data_encoding::HEXLOWER.encode(&config_id));
    let waived = format!(
        "{LENIENT}[[waiver]]\ncheck = \"debug\"\nreason = \"laboratory\"\nuntil = \"2030-01-01T00:00:00Z\"\n"
    );
    let case = of(&Enclave { attributes: (0x07, 3), ..enclave() });
    let appraisal = Case { policy: policy_of(&waived), ..case }.appraise();
    assert_eq!((appraisal.refusal(), appraisal.status()), (None, Status::Warning));
    // A quote of a TD is none of an enclave.
    let td =
        PLATFORM.sign_quote(&enclave().signed_octets(PLATFORM.model(), &BINDING), &QuotingEnclave::of_td());
    assert_refused(&example().with_octets(td.unwrap()).appraise(), "qe-identity");
}

#[test]
fn the_policy_is_kept() {
    for text in
        ["min_isv_svn = 1", "required_attributes = 4\nforbidden_attributes = 0x80\nforbidden_xfrm = 4"]
    {
        let policy = policy_of(&format!("{LENIENT}{text}\n"));
        assert_affirming(text, &Case { policy, ..example() }.appraise());
    }
    for (text, name) in [
        ("min_isv_svn = 2", "isv-svn"),
        ("required_attributes = 0x80", "attributes"),
        ("forbidden_attributes = 4", "attributes"),
        ("forbidden_xfrm = 2", "attributes"),
    ] {
        let policy = policy_of(&format!("{LENIENT}{text}\n"));
        assert_only(&Case { policy, ..example() }.appraise(), name, "");
    }
}

#[test]
fn reference_values_decide_what_runs() {
    let with = |registers: &[(&str, Vec<u8>)]| {
        let registers = registers.iter().map(|(name, octets)| ((*name).to_owned(), octets.clone()));
        let value = ReferenceValue {
            name: "enclave 1".to_owned(),
            tee: "sgx".to_owned(),
            registers: registers.collect(),
            source: [1; 32],
        };
        let references = ReferenceValues::new(vec![value]).unwrap();
        Case { references, ..example() }.appraise()
    };
    let enclave = with(&[("mrenclave", vec![0xee; 32])]);
    assert_affirming("mrenclave", &enclave);
    assert_eq!(main(&enclave).vector().executables, 2);
    let signer = with(&[("mrsigner", vec![0x51; 32]), ("isvprodid", vec![0, 1]), ("isvsvn", vec![0, 1])]);
    assert_affirming("mrsigner", &signer);
    assert_eq!(main(&signer).vector().executables, 3);
    for of_nothing in [("isvprodid", vec![0, 1]), ("isvsvn", vec![0, 1]), ("configid", vec![0; 64])] {
        assert_only(&with(&[of_nothing]), "reference-value", "of which 1 say nothing of what runs");
    }
    let other = with(&[("mrsigner", vec![0x51; 32]), ("isvprodid", vec![1, 0])]);
    assert_only(&other, "reference-value", "none of the 1");
    assert_eq!(failed(&Case { policy: policy_of(""), ..example() }.appraise()), ["reference-value"]);
}
