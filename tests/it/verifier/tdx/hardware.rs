//! Quotes of hardware, with the collateral of their time.

use treering::verifier::{self, Assurance, Collateral, Status};

use super::{
    COLLATERAL_90C06F, COLLATERAL_2025, COLLATERAL_50806F, LENIENT, MARCH_2026, MID_2025, example, folder,
    real, v4, v5,
};
use crate::verifier::intel::{DAY, NOW, assert_only, check, cut, flipped_bits_are_refused, not_evaluated};
use crate::verifier::{Case, assert_affirming, assert_refused, collateral, failed, main, policy_of, read};

/// The quotes of the vectors whose TD has SEPT_VE_DISABLE off, and is bound to a service TD.
const EARLY: &str = "go-tdx-guest/tdx_prod_quote_SPR_E4.dat";
const BOUND: &str = "trustee/tdx_quote_5.dat";
/// Lets the quote of a TD under debugging pass.
const DEBUG_WAIVED: &str = r#"[tdx]
require_reference_value = false
[tdx.tcb]
statuses = ["OutOfDate"]
[[waiver]]
check = "debug"
reason = "laboratory"
until = "2030-01-01T00:00:00Z"
"#;
/// 2026-11-18: the collateral of both is of another time.
const LATE: u64 = 1_795_000_000;

#[test]
fn real_quotes_of_up_to_date_platforms_affirm() {
    let (Some(v4), Some(v5)) = (v4(), v5()) else { return };
    for case in [v4, v5] {
        let appraisal = case.appraise();
        assert_affirming(&case.name, &appraisal);
        assert!(check(&appraisal, "tcb-status").detail().starts_with("UpToDate"), "{}", case.name);
        assert_eq!(main(&appraisal).vector().hardware, 2);
        let dynamic = "allowed: dynamic platform, cached keys, SMT";
        assert_eq!(check(&appraisal, "platform").detail(), dynamic, "every real host has them");
        assert_eq!(main(&appraisal).machine().map(<[u8]>::len), Some(16));
        assert_eq!(appraisal.collateral().documents().len(), 2);
        assert_eq!(appraisal.collateral().certificates().len(), 1, "the chain is in the quote");
        assert_eq!(main(&appraisal).assurance(), Some(Assurance::Hardware));
    }
}

/// What the vectors' manifest says of each, by name.
#[test]
fn real_quotes_are_refused_for_what_is_wrong_with_them() {
    if folder().is_none() {
        return;
    }
    let cases = [
        ("dcap-qvl/quote-from-tappd.hex", COLLATERAL_2025, MID_2025, "tcb-level", "No matching TCB level"),
        ("dcap-qvl/tdx-quote.hex", COLLATERAL_2025, MID_2025, "tcb-level", "No matching TCB level"),
        (
            "go-tdx-guest/tdx_prod_quote_SPR_E4.dat",
            COLLATERAL_50806F,
            MARCH_2026,
            "tcb-level",
            "No matching TCB level",
        ),
        ("trustee/tdx_quote_5.dat", COLLATERAL_90C06F, MARCH_2026, "tcb-level", "No matching TCB level"),
        ("trustee/tdx_quote_4.dat", COLLATERAL_50806F, MARCH_2026, "debug", "debugging is allowed"),
        ("trustee/tdx_quote_6.dat", COLLATERAL_50806F, MARCH_2026, "collateral", "FMSPC 00a06d080000"),
        (
            "go-tdx-guest/ccel/cos-113-tdx-quote.dat",
            COLLATERAL_50806F,
            MARCH_2026,
            "collateral",
            "FMSPC 00806f050000",
        ),
        ("dcap-qvl/tdx_quote", COLLATERAL_2025, LATE, "freshness", "CRL of the root"),
        ("go-tdx-guest/quote_v5_sample.dat", COLLATERAL_90C06F, LATE, "freshness", "CRL of the PCK"),
        (
            "attestation-rs/tdx_quote_live.dat",
            COLLATERAL_2025,
            MID_2025,
            "validity",
            "of the PCK is not valid before 2026-03-30",
        ),
    ];
    for (quote, collateral, now, name, words) in cases {
        let appraisal = real(quote, quote, collateral, now).unwrap().appraise();
        assert_refused(&appraisal, name);
        assert!(check(&appraisal, name).detail().contains(words), "{quote}");
        let besides: Vec<&str> = failed(&appraisal).into_iter().filter(|failed| *failed != name).collect();
        let known: &[&str] = match quote {
            EARLY => &["td-attributes"],
            BOUND => &["service-td"],
            _ => &[],
        };
        assert_eq!(besides, known, "{quote}");
    }
}

/// What others keep of Intel's answers without all that belongs to it, or of several times.
#[test]
fn collateral_that_lacks_a_part_or_is_of_several_times_is_refused() {
    let Some(dir) = folder() else { return };
    let with = |quote: &str, files: &[&str], crls: &[&str], now: u64| {
        let mut all = collateral(&files.iter().map(|file| read(dir.join(file))).collect::<Vec<_>>());
        for crl in crls {
            all = all.merged(Collateral::read_crl(&read(dir.join(crl))).unwrap()).unwrap();
        }
        Case::of(quote, verifier::TDX_QUOTE, cut(&read(dir.join(quote))), all, now).appraise()
    };
    // 2025-11-10: TCB information and identity for this platform, and nothing beside them.
    let granite = with(
        "trustee/tdx_quote_6.dat",
        &["trustee/tcbInfo.json", "trustee/enclaveIdentity.json"],
        &[],
        1_762_732_800,
    );
    let missing = "the CRL of the PCK certificate's issuer; the CRL of the root; the certificate of the TCB signing key";
    assert_only(&granite, "collateral", missing);
    // 2023-07-01: all of one time but the certificate of who signed it.
    let early = with(
        EARLY,
        &["go-tdx-guest/sample_tcbInfo_response", "go-tdx-guest/sample_qeIdentity_response"],
        &["go-tdx-guest/pckcrl", "go-tdx-guest/rootcrl.der"],
        1_688_169_600,
    );
    assert_refused(&early, "collateral");
    assert_eq!(
        check(&early, "collateral").detail(),
        "not among the collateral: the certificate of the TCB signing key"
    );
    // 2026-02-16: TCB information of February under CRLs and an identity of March.
    let mixed = with(
        "go-tdx-guest/quote_v5_sample.dat",
        &[
            "go-tdx-guest/sample_tcbinfo_response_v5",
            "attestation-rs/collateral/td_qe_identity.json",
            "attestation-rs/collateral/qe_identity_signing_chain.pem",
        ],
        &["attestation-rs/collateral/pck_crl_platform.der", "attestation-rs/collateral/root_ca_crl.der"],
        1_771_200_000,
    );
    assert_refused(&mixed, "validity");
    assert!(check(&mixed, "validity").detail().starts_with("the collateral is not all of one time"));
}

/// What Trustee reads in a quote is what we read in it.
#[test]
fn another_parser_reads_the_same_in_a_real_quote() {
    let Some(case) = real("debug", "trustee/tdx_quote_4.dat", COLLATERAL_50806F, MARCH_2026) else { return };
    let theirs = read(folder().unwrap().join("trustee/parse_tdx_claims_expected.json"));
    let theirs: serde_json::Value = serde_json::from_slice(&theirs).unwrap();
    let appraisal = case.appraise();
    let ours = main(&appraisal).claims().unwrap();
    for (ours_name, name) in [
        ("mrtd", "mr_td"),
        ("mrseam", "mr_seam"),
        ("mrsignerseam", "mrsigner_seam"),
        ("mrconfigid", "mr_config_id"),
        ("mrowner", "mr_owner"),
        ("mrownerconfig", "mr_owner_config"),
        ("rtmr0", "rtmr_0"),
        ("rtmr1", "rtmr_1"),
        ("rtmr2", "rtmr_2"),
        ("rtmr3", "rtmr_3"),
        ("report_data", "report_data"),
        ("tee_tcb_svn", "tcb_svn"),
    ] {
        assert_eq!(ours[ours_name], theirs["quote"]["body"][name], "{name}");
    }
}

/// Expired collateral is the one thing wrong: everything else was judged at the collateral's own time.
#[test]
fn what_is_untimely_is_judged_at_its_own_time() {
    let Some(case) = v4() else { return };
    let late = Case { now: NOW, ..case.clone() }.appraise();
    assert_only(&late, "freshness", "it was to be replaced by 2025-07-19T10:00:35Z");
    assert_eq!(not_evaluated(&late), [""; 0]);
    assert!(check(&late, "tcb-status").detail().starts_with("UpToDate"), "at that time");
    assert_eq!(main(&late).vector().hardware, 96);
    let early = Case { now: MID_2025 - 30 * DAY, ..case }.appraise();
    assert_only(&early, "freshness", "is not the one of that time");
}

#[test]
fn a_real_debug_quote_is_out_of_date_too_and_says_so() {
    let Some(case) = real("debug", "trustee/tdx_quote_4.dat", COLLATERAL_50806F, MARCH_2026) else { return };
    let appraisal = case.appraise();
    assert_only(&appraisal, "debug", "the host can read");
    assert!(check(&appraisal, "tcb-status").detail().starts_with("OutOfDate"));
    assert_eq!(check(&appraisal, "advisories").detail().matches("INTEL-SA-").count(), 11);
    let denied =
        format!("{LENIENT}[tdx.tcb]\nstatuses = [\"OutOfDate\"]\ndenied_advisories = [\"INTEL-SA-00837\"]\n");
    let appraisal = Case { policy: policy_of(&denied), ..case.clone() }.appraise();
    assert_eq!(failed(&appraisal), ["advisories", "debug"]);
    let strict = Case { policy: policy_of(LENIENT), ..case.clone() }.appraise();
    assert_eq!(failed(&strict), ["tcb-status", "debug"]);
    // A debug TD can be let pass, with a reason; the result is a warning.
    let waived = format!(
        "{denied}[[waiver]]\ncheck = \"debug\"\nreason = \"laboratory\"\nuntil = \"2030-01-01T00:00:00Z\"\n[[waiver]]\ncheck = \"advisories\"\nreason = \"known\"\nuntil = \"2030-01-01T00:00:00Z\"\n"
    );
    let appraisal = Case { policy: policy_of(&waived), ..case }.appraise();
    assert_eq!(appraisal.refusal(), None);
    assert_eq!(appraisal.status(), Status::Warning);
}

/// One of every seventh octet; the whole below.
#[test]
fn flipped_bits_of_real_quotes_are_refused() {
    let (Some(v4), Some(v5)) = (v4(), v5()) else { return };
    for case in [v4, v5] {
        assert_affirming(&case.name, &case.appraise());
        flipped_bits_are_refused(&case);
    }
}

#[test]
#[ignore = "soak: every bit of the four quotes that a policy lets pass, minutes"]
fn every_flipped_bit_of_real_quotes_is_refused() {
    let (Some(v4), Some(v5)) = (v4(), v5()) else { return };
    let dstack = super::logs::dstack_of_its_time().unwrap();
    let debug = real("debug", "trustee/tdx_quote_4.dat", COLLATERAL_50806F, MARCH_2026).unwrap();
    let debug = Case { policy: policy_of(DEBUG_WAIVED), ..debug };
    for case in [v4, v5, dstack, debug] {
        let all = 0..case.octets().len();
        crate::verifier::no_flipped_bit_is_accepted(&case, all);
    }
}

#[test]
fn a_quote_has_one_form() {
    let Some(case) = v4() else { return };
    let octets = case.octets().to_vec();
    let buffer = [octets.clone(), vec![0; 70]].concat();
    assert_only(
        &case.with_octets(buffer.clone()).appraise(),
        "canonical",
        "the quote: 5006 octets, want 4936",
    );
    assert_eq!(verifier::intel_quote_length(&buffer), Some(4936));
    assert_eq!(verifier::intel_quote_length(&octets[..4000]), None);
    assert_eq!(verifier::intel_quote_length(b"something else"), None);
    // The line ends of the certificates, in another convention of the same length.
    let text = octets.windows(27).position(|window| window == b"-----BEGIN CERTIFICATE-----").unwrap();
    let mut other = octets.clone();
    other[text + 27] = b' ';
    assert_only(&case.with_octets(other).appraise(), "canonical", "plain PEM");
    // A length that covers more than there is in it.
    let mut other = octets.clone();
    other[48 + 584] += 1;
    assert_refused(&case.with_octets(other).appraise(), "format");
    for (at, value, check) in [(0, 3, "format"), (2, 3, "format"), (12, 0, "format"), (4, 0, "format")] {
        let mut other = octets.clone();
        other[at] = value;
        assert_refused(&case.with_octets(other).appraise(), check);
    }
}

/// Answers of PCS in files of their own, CRLs in DER, certificates in PEM: together the same as the assembled form.
#[test]
fn collateral_is_read_as_people_keep_it() {
    let (Some(dir), Some(case)) = (folder(), v5()) else { return };
    let file = |name: &str| read(dir.join("attestation-rs/collateral").join(name));
    let mut pieces = collateral(&[
        file("tcb_info_90c06f000000.json"),
        file("tcb_info_50806f000000.json"),
        file("td_qe_identity.json"),
        file("tcb_signing_chain.pem"),
    ]);
    for crl in ["pck_crl_platform.der", "root_ca_crl.der"] {
        pieces = pieces.merged(Collateral::read_crl(&file(crl)).unwrap()).unwrap();
    }
    let pieces = Case { collateral: pieces, ..case.clone() };
    assert_affirming("pieces", &pieces.appraise());
    assert_eq!(pieces.appraise().ear(), case.appraise().ear(), "what was used is the same");
    for text in ["{", "{}", r#"{"tcbInfo":{}}"#, r#"{"tcb_info":"","qe_identity":""}"#] {
        Collateral::read(text.as_bytes()).unwrap_err();
    }
}

/// Logged decisions are replayed to these octets: a change of one is a change of the format.
#[test]
fn the_octets_of_a_result_are_pinned() {
    let Some(case) = v4() else { return };
    let policy = policy_of("[tdx]\nrequire_reference_value = false\n");
    let appraisal = Case { policy, ..case }.appraise();
    assert_affirming("pinned", &appraisal);
    // The build names the sources, which change without the format.
    let text = String::from_utf8(appraisal.ear().to_vec()).unwrap();
    let text = text.replace(verifier::BUILD, "treering 0.1.0");
    assert_eq!(data_encoding::HEXLOWER.encode(&sha2_of(text.as_bytes())), PINNED);
}

fn sha2_of(octets: &[u8]) -> [u8; 32] {
    use sha2::{Digest, Sha256};
    Sha256::digest(octets).into()
}

const PINNED: &str = "a76bc3b4b6c84f2290b123175fbcb4f332ecd775211faa9fcf5cf28482318197";

/// A quote says what collateral it calls for, by the names under which that is found in what people keep.
#[test]
fn what_a_quote_calls_for_is_found_by_name() {
    let Some(case) = v4() else { return };
    let wanted = verifier::wanted(&case.evidence);
    let names: Vec<String> = wanted.iter().map(verifier::Wanted::name).collect();
    let all = ["intel/tdx/tcb/b0c06f000000", "intel/tdx/qe-identity", "intel/crl/platform", "intel/crl/root"];
    assert_eq!(names, all);
    assert!(wanted.iter().all(|one| one.is_among(&case.collateral)));
    assert!(!wanted.iter().any(|one| one.is_among(&Collateral::default())));
    let parts = verifier::named(&case.collateral).into_iter().map(|(_, part)| part);
    let collateral = parts.reduce(|one, other| one.merged(other).unwrap()).unwrap();
    assert_affirming("by name", &Case { collateral, ..case.clone() }.appraise());
    let filled = case.with_octets([case.octets(), &[0; 70]].concat());
    assert_eq!(verifier::wanted(&filled.evidence), wanted);
    let simulated = verifier::named(&example().collateral);
    assert!(simulated.iter().all(|(name, _)| !name.starts_with("intel/crl/")), "another organisation's");
}
