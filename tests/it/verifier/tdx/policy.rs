//! What the policy and the reference values ask, key by key.

use treering::attester::simulated::intel::{IntelModel, IntelPlatform, IntelStatus, Td, TdVersion, measure};
use treering::verifier::{self, ReferenceValue, ReferenceValues, Status};

use super::{LENIENT, example, of, td};
use crate::verifier::intel::{
    DAY, NOW, PLATFORM, assert_only, check, not_evaluated, of_items, with_collateral,
};
use crate::verifier::{Case, assert_affirming, main, policy_of};

#[test]
fn the_grace_of_the_policy_shows() {
    let rules = |text: &str| policy_of(&format!("{LENIENT}[collateral]\n{text}\n"));
    let at = |policy, days: u64| Case { policy, now: NOW + days * DAY, ..example() }.appraise();
    let graced = at(rules("grace_s = 864000"), 35);
    assert_eq!((graced.refusal(), graced.status()), (None, Status::Warning));
    assert!(check(&graced, "freshness").failed() && check(&graced, "freshness").waiver().is_some());
    assert_only(&at(rules("grace_s = 86400"), 35), "freshness", "to be replaced");
    for what in ["crl", "tcb-info", "qe-identity"] {
        let young = rules(&format!("max_age_s = {{ \"{what}\" = 864000 }}"));
        assert_affirming(what, &at(young.clone(), 9));
        assert_only(&at(young, 11), "freshness", "to be replaced");
    }
}

#[test]
fn the_tcb_is_judged_by_the_policy() {
    let of_status = |status: &'static str| {
        with_collateral(&example(), |collateral| {
            collateral.platform = IntelStatus::of(status, NOW - 100 * DAY);
            collateral.platform.advisories = vec!["INTEL-SA-00001".to_owned()];
        })
    };
    for status in ["SWHardeningNeeded", "ConfigurationNeeded", "OutOfDate", "OutOfDateConfigurationNeeded"] {
        let case = of_status(status);
        let lenient = case.appraise();
        assert_eq!(lenient.refusal(), None, "the baseline lets pass what is not revoked");
        assert_eq!((lenient.status(), main(&lenient).vector().hardware), (Status::Warning, 32));
        let strict = Case { policy: policy_of(LENIENT), ..case }.appraise();
        assert_only(&strict, "tcb-status", status);
    }
    let revoked = of_status("Revoked").appraise();
    assert_only(&revoked, "tcb-level", "Revoked");
    assert_eq!(main(&revoked).vector().hardware, 96);
    assert!(not_evaluated(&revoked).contains(&"tcb-status"));
    let rules = |text: &str| policy_of(&format!("{LENIENT}[tdx.tcb]\n{text}\n"));
    let out_of_date = of_status("OutOfDate");
    let with = |text: &str| Case { policy: rules(text), ..out_of_date.clone() }.appraise();
    assert_eq!(with(&format!("out_of_date_grace_s = {}", 101 * DAY)).refusal(), None);
    assert_only(&with(&format!("out_of_date_grace_s = {}", 99 * DAY)), "tcb-status", "OutOfDate");
    let denied = with("statuses = [\"OutOfDate\"]\ndenied_advisories = [\"INTEL-SA-00001\"]");
    assert_only(&denied, "advisories", "INTEL-SA-00001");
    let module =
        with_collateral(&example(), |collateral| collateral.module = IntelStatus::of("OutOfDate", NOW));
    assert!(check(&module.appraise(), "tcb-status").detail().starts_with("OutOfDate"));
    let enclave = with_collateral(&example(), |collateral| {
        collateral.quoting_enclave = IntelStatus::of("OutOfDate", NOW);
    });
    assert!(check(&enclave.appraise(), "tcb-status").detail().starts_with("OutOfDate"));
    let above = with_collateral(&example(), |collateral| collateral.cpu_svn[0] += 1);
    assert_only(&above.appraise(), "tcb-level", "No matching TCB level");
    let other = with_collateral(&example(), |collateral| collateral.fmspc = [1; 6]);
    assert_only(&other.appraise(), "collateral", "FMSPC 90c06f000000");
}

/// A module that was updated under the running TD: what it was launched with is out of date, what it runs with is not.
#[test]
fn a_td_that_should_be_launched_again_is_judged_by_the_policy() {
    let launched = |version| {
        let mut td = Td { version, ..td() };
        td.tee_tcb_svn[0] = 4;
        with_collateral(&of(&td), |collateral| {
            collateral.older_module = Some(IntelStatus::of("OutOfDate", NOW - 100 * DAY));
        })
    };
    let advised = launched(TdVersion::Five);
    let lenient = advised.appraise();
    assert_eq!((lenient.refusal(), main(&lenient).vector().hardware), (None, 32));
    assert!(check(&lenient, "tcb-status").detail().starts_with("TDRelaunchAdvised,"));
    let rules = |text: &str| policy_of(&format!("{LENIENT}[tdx.tcb]\n{text}\n"));
    assert_only(
        &Case { policy: rules(""), ..advised.clone() }.appraise(),
        "tcb-status",
        "TDRelaunchAdvised,",
    );
    let other = rules("statuses = [\"UpToDate\", \"OutOfDate\"]");
    assert_only(&Case { policy: other, ..advised.clone() }.appraise(), "tcb-status", "TDRelaunchAdvised,");
    for allowed in ["statuses = [\"TDRelaunchAdvised\"]", &format!("out_of_date_grace_s = {}", 101 * DAY)] {
        assert_eq!(
            Case { policy: rules(allowed), ..advised.clone() }.appraise().refusal(),
            None,
            "{allowed}"
        );
    }
    let late = rules(&format!("out_of_date_grace_s = {}", 99 * DAY));
    assert_only(&Case { policy: late, ..advised.clone() }.appraise(), "tcb-status", "TDRelaunchAdvised,");
    // A report of TDX 1.0 does not say what runs now.
    let four = launched(TdVersion::Four).appraise();
    assert!(check(&four, "tcb-status").detail().starts_with("OutOfDate,"));
    // With a configuration that Intel wants changed, grace does not apply.
    let mut td = td();
    td.tee_tcb_svn[0] = 4;
    let needed = with_collateral(&of(&td), |collateral| {
        collateral.older_module = Some(IntelStatus::of("OutOfDate", NOW));
        collateral.platform = IntelStatus::of("ConfigurationNeeded", NOW);
    });
    let status = "TDRelaunchAdvisedConfigurationNeeded";
    let graced = rules(&format!("out_of_date_grace_s = {}", 101 * DAY));
    assert_only(&Case { policy: graced, ..needed.clone() }.appraise(), "tcb-status", status);
    let named = rules(&format!("statuses = [\"{status}\"]"));
    assert_eq!(Case { policy: named, ..needed }.appraise().refusal(), None);
}

/// A certificate that says nothing of a flag is let pass, unless the policy wants it said.
#[test]
fn flags_that_are_not_said_fail_where_they_are_required() {
    let silent =
        IntelPlatform::generate(IntelModel { says_flags: false, ..IntelModel::default() }, NOW).unwrap();
    let quote = silent.quote_td(&td(), &[0x5a; 64]).unwrap();
    let items = silent.publish(&silent.collateral()).unwrap();
    let case = Case {
        collateral: of_items(vec![silent.signer().to_vec()], items),
        roots: verifier::HardwareRoots::with_simulated([silent.root_fingerprint()]),
        ..example().with_octets(quote)
    };
    let with = |case: &Case, rules: &str| {
        Case { policy: policy_of(&format!("{LENIENT}[tdx.tcb]\n{rules}\n")), ..case.clone() }.appraise()
    };
    for flag in ["forbid_dynamic_platform", "forbid_cached_keys", "forbid_smt"] {
        assert_affirming(flag, &with(&case, &format!("{flag} = true")));
        let required = with(&case, &format!("{flag} = true\nrequire_flags = true"));
        assert_only(&required, "platform", "does not say whether");
    }
    assert_affirming("nothing is forbidden", &with(&case, "require_flags = true"));
    assert_only(&with(&example(), "forbid_smt = true\nrequire_flags = true"), "platform", "SMT");
}

#[test]
fn the_policy_is_kept() {
    let hex = |octet: &str| octet.repeat(48);
    let base = Td { owner: [[0xaa; 48], [0xbb; 48], [0xcc; 48]], ..td() };
    let case = of(&base);
    let ppid = data_encoding::HEXLOWER.encode(&PLATFORM.ppid());
    let good = [
        format!("mrseam = [\"{}\"]", hex("5e")),
        format!("mrsignerseam = [\"{}\"]", hex("00")),
        format!(
            "mrconfigid = [\"{}\"]\nmrowner = [\"{}\"]\nmrownerconfig = [\"{}\"]",
            hex("aa"),
            hex("bb"),
            hex("cc")
        ),
        "required_attributes = 0x10000000\nforbidden_attributes = 0x40000000\nforbidden_xfam = 0x10000"
            .to_owned(),
        "[tdx.tcb]\nmin_evaluation_number = 18\ndenied_fmspcs = [\"000000000000\"]".to_owned(),
        format!("[[tdx.machine]]\nname = \"rack 1\"\nppid = \"{ppid}\""),
    ];
    for text in good {
        let policy = policy_of(&format!("{LENIENT}{text}\n"));
        assert_affirming(&text, &Case { policy, ..case.clone() }.appraise());
    }
    let bad = [
        (format!("mrseam = [\"{}\"]", hex("00")), "module-pins"),
        (format!("mrsignerseam = [\"{}\"]", hex("01")), "module-pins"),
        (format!("mrconfigid = [\"{}\"]", hex("00")), "owner"),
        (format!("mrowner = [\"{}\"]", hex("00")), "owner"),
        (format!("mrownerconfig = [\"{}\"]", hex("00")), "owner"),
        ("required_attributes = 0x40000000".to_owned(), "td-attributes"),
        ("forbidden_attributes = 0x10000000".to_owned(), "td-attributes"),
        ("forbidden_xfam = 0x2".to_owned(), "xfam"),
        ("[tdx.tcb]\nmin_evaluation_number = 19".to_owned(), "tcb-evaluation"),
        ("[tdx.tcb]\ndenied_fmspcs = [\"90c06f000000\"]".to_owned(), "allowed-platform"),
        ("[tdx.tcb]\nforbid_dynamic_platform = true".to_owned(), "platform"),
        ("[tdx.tcb]\nforbid_cached_keys = true".to_owned(), "platform"),
        ("[tdx.tcb]\nforbid_smt = true".to_owned(), "platform"),
        (format!("[[tdx.machine]]\nname = \"rack 1\"\nppid = \"{}\"", "00".repeat(16)), "machine"),
    ];
    for (text, name) in bad {
        let policy = policy_of(&format!("{LENIENT}{text}\n"));
        assert_only(&Case { policy, ..case.clone() }.appraise(), name, "");
    }
    for text in ["[tdx.tcb]\nstatuses = [\"Revoked\"]", "[tdx]\nmrseam = [\"00\"]", "[tdx]\nmr_seam = []"] {
        let text = format!("version = 1\nname = \"t\"\n{text}\n");
        verifier::AppraisalPolicy::parse(text.as_bytes()).unwrap_err();
    }
}

#[test]
fn reference_values_decide_what_runs() {
    let value = |registers: &[(&str, [u8; 48])]| ReferenceValue {
        name: "image 1".to_owned(),
        tee: "tdx".to_owned(),
        registers: registers.iter().map(|(name, octets)| ((*name).to_owned(), octets.to_vec())).collect(),
        source: [1; 32],
    };
    let mrtd = measure(b"firmware");
    let started =
        [("mrtd", mrtd), ("rtmr0", [1; 48]), ("rtmr1", [2; 48]), ("rtmr2", [3; 48]), ("rtmr3", [0; 48])];
    let with = |registers: &[(&str, [u8; 48])]| {
        let references = ReferenceValues::new(vec![value(registers)]).unwrap();
        Case { references, ..example() }.appraise()
    };
    for (registers, executables) in [(&started[..], 2), (&started[..4], 3), (&started[..1], 3)] {
        let appraisal = with(registers);
        assert_affirming("reference", &appraisal);
        assert_eq!(main(&appraisal).vector().executables, executables);
        assert_eq!(main(&appraisal).reference().unwrap().name, "image 1");
    }
    // Owner and module are not what runs; registers without MRTD are what any firmware may have written there.
    for of_nothing in [&[("mrowner", [0; 48])][..], &[("mrseam", [0x5e; 48])], &started[4..], &started[1..]] {
        let refused = with(of_nothing);
        assert_only(&refused, "reference-value", "of which 1 say nothing of what runs");
        assert_eq!((main(&refused).vector().executables, main(&refused).reference()), (33, None));
    }
    let other = with(&[("mrtd", mrtd), ("rtmr3", [9; 48])]);
    assert_only(&other, "reference-value", "none of the 1 reference values");
    assert_eq!(main(&other).vector().executables, 33);
    assert_only(&Case { policy: policy_of(""), ..example() }.appraise(), "reference-value", "none of the 0");
    ReferenceValues::new(vec![value(&[("pcr0", [0; 48])])]).unwrap_err();
}
