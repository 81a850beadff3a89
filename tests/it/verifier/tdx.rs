//! Appraisal of TDX quotes: from hardware, where the folder of foreign vectors lies beside this repository, and from
//! the simulated platform, which can be made wrong in one point at a time.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use treering::attester::simulated::intel::{
    Enclave, IntelModel, IntelPlatform, IntelStatus, QuotingEnclave, Revoked, Td, TdVersion, measure,
};
use treering::attester::{self, Attester};
use treering::verifier::{
    self, Assurance, Collateral, Evidence, HardwareRoots, ReferenceValue, ReferenceValues, Status,
};

use super::intel::{
    DAY, NOW, PLATFORM, assert_only, check, cut, not_evaluated, of_items, simulated, with_collateral,
};
use super::{Case, assert_affirming, assert_refused, collateral, failed, main, policy_of, read, vectors};

/// 2025-06-25T00:00:00Z, 2026-03-21T00:00:00Z: instants at which the collateral of the vectors is current.
const MID_2025: u64 = 1_750_809_600;
const MARCH_2026: u64 = 1_774_051_200;
const BINDING: [u8; 64] = [0x5a; 64];
/// Lenient, as far as the test at hand is not about it.
const LENIENT: &str = "[tdx]\nrequire_reference_value = false\n";

fn folder() -> Option<PathBuf> {
    Some(vectors()?.join("evidence/tdx"))
}

fn real(name: &str, quote_file: &str, collateral_file: &str, now: u64) -> Option<Case> {
    let dir = folder()?;
    let octets = read(dir.join(quote_file));
    let octets = if Path::new(quote_file).extension().is_some_and(|extension| extension == "hex") {
        let text = String::from_utf8(octets).unwrap();
        data_encoding::HEXLOWER_PERMISSIVE.decode(text.trim().trim_start_matches("0x").as_bytes()).unwrap()
    } else {
        octets
    };
    let collateral = collateral(&[read(dir.join(collateral_file))]);
    Some(Case::of(name, verifier::TDX_QUOTE, cut(&octets), collateral, now))
}

/// The quotes of the vectors whose TD has SEPT_VE_DISABLE off, and is bound to a service TD.
const EARLY: &str = "go-tdx-guest/tdx_prod_quote_SPR_E4.dat";
const BOUND: &str = "trustee/tdx_quote_5.dat";
/// 2026-11-18: the collateral of both is of another time.
const LATE: u64 = 1_795_000_000;
const COLLATERAL_2025: &str = "dcap-qvl/tdx_quote_collateral.json";
const COLLATERAL_50806F: &str = "assembled/collateral_fmspc_50806f_2026-03.json";
const COLLATERAL_90C06F: &str = "assembled/collateral_fmspc_90c06f_2026-03.json";

fn v4() -> Option<Case> {
    real("v4", "dcap-qvl/tdx_quote", COLLATERAL_2025, MID_2025)
}

fn v5() -> Option<Case> {
    real("v5", "go-tdx-guest/quote_v5_sample.dat", COLLATERAL_90C06F, MARCH_2026)
}

fn td() -> Td {
    Td { rtmrs: [[1; 48], [2; 48], [3; 48], [0; 48]], ..Td::of(measure(b"firmware")) }
}

fn of(td: &Td) -> Case {
    simulated(verifier::TDX_QUOTE, PLATFORM.quote_td(td, &BINDING).unwrap())
}

/// A simulated quote of version 5.
pub(crate) fn example() -> Case {
    of(&td())
}

// --- evidence from hardware ---------------------------------------------------------------------------------------

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

#[test]
fn every_seventh_octet_of_real_quotes_is_refused_when_changed() {
    let (Some(v4), Some(v5)) = (v4(), v5()) else { return };
    for case in [v4, v5] {
        assert_affirming(&case.name, &case.appraise());
        let verifier = verifier::Verifier::new(case.roots.clone());
        for at in (0..case.octets().len()).step_by(7) {
            let mut octets = case.octets().to_vec();
            octets[at] ^= 1 << (at % 8);
            let evidence = case.with_octets(octets).evidence;
            let appraisal =
                verifier.appraise(&evidence, &case.collateral, &case.policy, &case.references, case.now);
            let refusal = appraisal.refusal();
            assert!(matches!(refusal, Some(verifier::Refused::Check { .. })), "{} {at:#x}", case.name);
        }
    }
}

#[test]
#[ignore = "soak: every bit of two quotes, two minutes"]
fn every_flipped_bit_of_real_quotes_is_refused() {
    let (Some(v4), Some(v5)) = (v4(), v5()) else { return };
    for case in [v4, v5] {
        let all = 0..case.octets().len();
        super::no_flipped_bit_is_accepted(&case, all);
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
    let text = String::from_utf8(appraisal.ear().to_vec()).unwrap();
    let text = text.replace(verifier::BUILD, concat!("treering ", env!("CARGO_PKG_VERSION")));
    assert_eq!(data_encoding::HEXLOWER.encode(&sha2_of(text.as_bytes())), PINNED);
}

fn sha2_of(octets: &[u8]) -> [u8; 32] {
    use sha2::{Digest, Sha256};
    Sha256::digest(octets).into()
}

const PINNED: &str = "b353a40663ec38acd4ef0a9b2d0d98a83bdd6907b15e76afc4ed038db010b797";

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

// --- event logs ---------------------------------------------------------------------------------------------------

fn with_log(case: &Case, media_type: &str, log: Vec<u8>) -> Case {
    let quote = (verifier::TDX_QUOTE, case.octets().to_vec());
    Case { evidence: Evidence::new([quote, (media_type, log)]).unwrap(), ..case.clone() }
}

/// The log of a real TD gives its registers; GRUB's commands and UEFI variables are proven, file names are not.
#[test]
fn a_real_event_log_gives_the_registers() {
    let Some(dir) = folder() else { return };
    let quote = cut(&read(dir.join("go-tdx-guest/ccel/cos-113-tdx-quote.dat")));
    let log = read(dir.join("go-tdx-guest/ccel/ccel_data.dat"));
    let case = Case::of("ccel", verifier::TDX_QUOTE, quote, Collateral::default(), MARCH_2026);
    let appraisal = with_log(&case, verifier::CCEL_TYPE, log.clone()).appraise();
    assert_eq!(failed(&appraisal), ["collateral"], "there is none for this platform");
    assert_eq!(check(&appraisal, "event-log").detail(), "it gives rtmr0, rtmr1, rtmr2");
    let data = check(&appraisal, "event-data").detail();
    assert_eq!(data, "digests prove the data of 31 events; of 12 it is not proven, and not used");
    let events = main(&appraisal).claims().unwrap()["events"].as_array().unwrap().clone();
    let text = |event: &serde_json::Value| event["text"].as_str().unwrap().to_owned();
    let line = events.iter().map(text).find(|text| text.starts_with("/syslinux/vmlinuz.A init=")).unwrap();
    let named = |wanted: &str| {
        let wanted = serde_json::to_string(wanted).unwrap();
        let text = format!("[tdx]\nrequire_event_log = true\nrequired_events = [{wanted}]\n");
        let case = Case { policy: policy_of(&text), ..case.clone() };
        check(&with_log(&case, verifier::CCEL_TYPE, log.clone()).appraise(), "events").ok()
    };
    assert!(named(&line) && named("Exit Boot Services Returned with Success"));
    assert!(!named("/syslinux/vmlinuz.A"), "a file name beside the digest of the file");
    // Forged: the command line that is shown, under the digest of the real one.
    let at = log.windows(line.len()).position(|window| window == line.as_bytes()).unwrap();
    let mut forged = log.clone();
    forged[at + 1] = b'S';
    let appraisal = with_log(&case, verifier::CCEL_TYPE, forged).appraise();
    assert!(check(&appraisal, "event-log").ok(), "the digests are as they were");
    let shown = main(&appraisal).claims().unwrap()["events"].to_string();
    assert!(!shown.contains("Syslinux/vmlinuz.A init="), "but nothing is claimed from it");
}

/// The log of another boot, as one of the foreign vectors has it.
#[test]
fn a_log_that_does_not_give_the_registers_is_refused() {
    let Some(dir) = folder() else { return };
    let quote = cut(&read(dir.join("attestation-rs/tdx_quote_live.dat")));
    let log = read(dir.join("attestation-rs/tdx_ccel_live.bin"));
    let case = Case::of("ccel", verifier::TDX_QUOTE, quote, Collateral::default(), MARCH_2026);
    let appraisal = with_log(&case, verifier::CCEL_TYPE, log).appraise();
    assert!(check(&appraisal, "event-log").detail().contains("for rtmr2, which is not what the quote says"));
    for file in ["trustee/CCEL_data_ovmf", "trustee/CCEL_data"] {
        let mut log = read(dir.join(file));
        log.truncate(64 * 1024);
        let appraisal = with_log(&case, verifier::CCEL_TYPE, log).appraise();
        assert!(check(&appraisal, "event-log").failed(), "{file}");
    }
}

fn dstack() -> Option<(Case, Vec<u8>)> {
    let json: serde_json::Value =
        serde_json::from_slice(&read(folder()?.join("dstack/tdx-lite-getquote.json"))).unwrap();
    let quote = data_encoding::HEXLOWER.decode(json["quote"].as_str().unwrap().as_bytes()).unwrap();
    let log = json["event_log"].as_str().unwrap().as_bytes().to_vec();
    let case = Case::of("dstack", verifier::TDX_QUOTE, cut(&quote), Collateral::default(), MARCH_2026);
    Some((case, log))
}

/// dstack's own events are digested whole: name and payload are proven.
#[test]
fn a_real_runtime_log_gives_the_registers() {
    let Some((case, log)) = dstack() else { return };
    let hash = "os-image-hash=07a2388c7a6a1b6a646d443f1517990a4ec294471d63146cda9d56972765051d";
    let policy = |event: &str| policy_of(&format!("[tdx]\nrequired_events = [\"{event}\"]\n"));
    let case = Case { policy: policy(hash), ..case };
    let appraisal = with_log(&case, verifier::RUNTIME_LOG_TYPE, log.clone()).appraise();
    assert_eq!(check(&appraisal, "event-log").detail(), "it gives rtmr0, rtmr1, rtmr2, rtmr3");
    assert!(check(&appraisal, "events").ok());
    assert!(main(&appraisal).claims().unwrap()["events"].to_string().contains(hash));
    let other = Case { policy: policy("os-image-hash=00"), ..case.clone() };
    let appraisal = with_log(&other, verifier::RUNTIME_LOG_TYPE, log.clone()).appraise();
    assert!(check(&appraisal, "events").failed());
    // A payload, or the name of an event that is not digested with it.
    let text = String::from_utf8(log.clone()).unwrap();
    let forged = text.replace("07a2388c", "17a2388c");
    let appraisal = with_log(&case, verifier::RUNTIME_LOG_TYPE, forged.into_bytes()).appraise();
    assert!(check(&appraisal, "event-log").detail().contains("rtmr3"));
    assert_eq!(main(&appraisal).claims().unwrap().get("events"), None);
    let renamed = text.replace("acpi-loader", "acpi-header");
    let appraisal = with_log(&case, verifier::RUNTIME_LOG_TYPE, renamed.into_bytes()).appraise();
    assert!(check(&appraisal, "event-log").ok());
    assert!(!main(&appraisal).claims().unwrap()["events"].to_string().contains("acpi-"));
    // A digest that is given and is not the one of what stands beside it.
    let wrong = text.replace(
        r#""digest":"","event":"system-ready""#,
        &format!(r#""digest":"{}","event":"system-ready""#, "00".repeat(48)),
    );
    let appraisal = with_log(&case, verifier::RUNTIME_LOG_TYPE, wrong.into_bytes()).appraise();
    assert!(check(&appraisal, "event-data").failed());
    let spaced = text.replace("},{", "}, {");
    let appraisal = with_log(&case, verifier::RUNTIME_LOG_TYPE, spaced.into_bytes()).appraise();
    assert!(check(&appraisal, "event-log").detail().contains("compact JSON"));
    assert!(!check(&appraisal, "event-data").ok() && !check(&appraisal, "event-data").failed());
}

/// A log with one event, and a TD whose RTMR1 is what that event gives.
fn logged(kind: u32, digested: &[u8], data: &[u8]) -> Case {
    use sha2::{Digest, Sha384};
    let spec = [&b"Spec ID Event03\0"[..], &[0, 0, 0, 0, 0, 2, 0, 2, 1, 0, 0, 0, 0xc, 0, 48, 0, 0]].concat();
    let mut log = [1_u32.to_le_bytes(), 3_u32.to_le_bytes()].concat();
    log.extend([0; 20]);
    log.extend(u32::try_from(spec.len()).unwrap().to_le_bytes());
    log.extend(spec);
    log.extend([2_u32.to_le_bytes(), kind.to_le_bytes(), 1_u32.to_le_bytes()].concat());
    log.extend(0xc_u16.to_le_bytes());
    let digest = Sha384::digest(digested);
    log.extend(digest);
    log.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
    log.extend(data);
    let mut td = td();
    td.rtmrs[1] = Sha384::new().chain_update([0; 48]).chain_update(digest).finalize().into();
    with_log(&of(&td), verifier::CCEL_TYPE, log)
}

#[test]
fn data_that_contradicts_its_digest_is_refused() {
    const EFI_ACTION: u32 = 0x8000_0007;
    assert_affirming("logged", &logged(EFI_ACTION, b"boot", b"boot").appraise());
    assert_only(&logged(EFI_ACTION, b"boot", b"shut").appraise(), "event-data", "of an event of rtmr1");
    // An image: what stands beside its digest is not used.
    let appraisal = logged(0x8000_0003, b"an image", b"its name").appraise();
    assert_affirming("image", &appraisal);
    assert_eq!(main(&appraisal).claims().unwrap().get("events"), None);
    let wanted = format!("{LENIENT}required_events = [\"boot\"]\n");
    let policy = || policy_of(&wanted);
    assert_affirming("named", &Case { policy: policy(), ..logged(EFI_ACTION, b"boot", b"boot") }.appraise());
    let other = Case { policy: policy(), ..logged(EFI_ACTION, b"shut", b"shut") };
    assert_only(&other.appraise(), "events", "no event \"boot\" is proven");
    let without = Case { policy: policy(), ..example() };
    assert_only(&without.appraise(), "events", "no event log came along");
    let required = policy_of(&format!("{LENIENT}require_event_log = true\n"));
    assert_only(&Case { policy: required, ..example() }.appraise(), "event-log", "the policy requires one");
    let cut_short = with_log(&example(), verifier::CCEL_TYPE, vec![1; 40]);
    assert_refused(&cut_short.appraise(), "event-log");
}

// --- the simulated platform ---------------------------------------------------------------------------------------

#[test]
fn a_simulated_platform_is_accepted_only_where_it_is_pinned() {
    for version in [TdVersion::Four, TdVersion::Five] {
        let case = of(&Td { version, ..td() });
        let appraisal = case.appraise();
        assert_affirming("simulated", &appraisal);
        assert_eq!(main(&appraisal).assurance(), Some(Assurance::Simulated));
        assert!(check(&appraisal, "root").detail().starts_with("SIMULATED"));
        assert!(appraisal.matches_binding(&BINDING) && !appraisal.matches_binding(&[0; 64]));
        assert_eq!(main(&appraisal).machine(), Some(&PLATFORM.ppid()[..]));
        assert_eq!(main(&appraisal).generation(), Some("fmspc-90c06f000000"));
        let unpinned = Case { roots: HardwareRoots::vendors(), ..case }.appraise();
        assert_only(&unpinned, "root", "which is not pinned");
        assert!(not_evaluated(&unpinned).contains(&"signature"), "and nothing after it was looked at");
    }
}

#[test]
fn an_attester_hands_over_all_that_a_verifier_needs() {
    let attestation = PLATFORM.guest(td()).report(&BINDING).unwrap();
    let evidence = Evidence::new(attestation.items()).unwrap();
    let collateral = of_items(attestation.endorsements.clone(), attestation.documents.clone());
    assert_affirming("attested", &Case { evidence, collateral, ..example() }.appraise());
    let constants = [
        (attester::TDX_QUOTE, verifier::TDX_QUOTE),
        (attester::SGX_QUOTE, verifier::SGX_QUOTE),
        (attester::TCB_INFO_TYPE, verifier::TCB_INFO_TYPE),
        (attester::ENCLAVE_IDENTITY_TYPE, verifier::ENCLAVE_IDENTITY_TYPE),
        (attester::CRL_TYPE, verifier::CRL_TYPE),
    ];
    assert!(constants.iter().all(|(one, other)| one == other));
}

/// One octet, at an offset from the end of what is signed.
fn damaged(at: usize) -> Case {
    let case = of(&Td { version: TdVersion::Four, ..td() });
    let mut octets = case.octets().to_vec();
    octets[48 + 584 + 4 + at] ^= 1;
    case.with_octets(octets)
}

#[test]
fn each_signature_is_verified() {
    assert_only(&damaged(0).appraise(), "signature", "signature is invalid");
    assert_only(&damaged(64).appraise(), "attestation-key", "hash mismatch");
    assert_only(&damaged(134).appraise(), "qe-report", "invalid for qe_report");
    assert_only(&damaged(134 + 384).appraise(), "qe-report", "invalid for qe_report");
    let mut signed = td().signed_octets(&BINDING);
    signed[100] ^= 1;
    let other = PLATFORM.sign_quote(&signed, &QuotingEnclave::of_td()).unwrap();
    assert_affirming("signed again", &example().with_octets(other).appraise());
}

#[test]
fn the_chain_is_verified() {
    let stranger = IntelPlatform::generate(IntelModel::default(), NOW).unwrap();
    let signed = td().signed_octets(&BINDING);
    let [_, issuer, root] = PLATFORM.chain();
    let [strange, ..] = stranger.chain();
    let enclave = QuotingEnclave::of_td();
    let mixed = PLATFORM.sign_quote_under(&signed, &enclave, [strange, issuer, root]).unwrap();
    assert_refused(&example().with_octets(mixed).appraise(), "chain");
    // The stranger's own, under a root that is not pinned, and under ours.
    let own = stranger.sign_quote(&signed, &enclave).unwrap();
    assert_only(&example().with_octets(own).appraise(), "root", "not pinned");
    let [leaf, issuer, _] = stranger.chain();
    let under = stranger.sign_quote_under(&signed, &enclave, [leaf, issuer, root]).unwrap();
    assert_refused(&example().with_octets(under).appraise(), "chain");
    let without = PLATFORM.sign_quote_under(&signed, &enclave, [root, root, root]).unwrap();
    assert_refused(&example().with_octets(without).appraise(), "format");
}

#[test]
fn documents_are_those_that_the_root_names() {
    let stranger = IntelPlatform::generate(IntelModel::default(), NOW).unwrap();
    let strange = stranger.publish(&stranger.collateral()).unwrap();
    let ours = PLATFORM.publish(&PLATFORM.collateral()).unwrap();
    let mixed = |kind: &str, signer: Vec<u8>| {
        let other = strange.iter().filter(|item| item.media_type == kind).cloned();
        let items = ours.iter().filter(|item| item.media_type != kind).cloned().chain(other).collect();
        Case { collateral: of_items(vec![signer], items), ..example() }
    };
    let signer = || PLATFORM.signer().to_vec();
    let tcb_info = mixed(attester::TCB_INFO_TYPE, signer()).appraise();
    assert_only(&tcb_info, "collateral-signature", "invalid for tcb_info");
    let identity = mixed(attester::ENCLAVE_IDENTITY_TYPE, signer()).appraise();
    assert_only(&identity, "collateral-signature", "invalid for qe_identity");
    assert_only(&mixed("none", stranger.signer().to_vec()).appraise(), "collateral-signature", "");
    assert_refused(&mixed(attester::CRL_TYPE, signer()).appraise(), "revocation");
    let nothing = Case { collateral: Collateral::default(), ..example() }.appraise();
    assert_only(&nothing, "collateral", "the CRL of the root; the certificate of the TCB signing key");
}

/// The octets as served: the same document in another order does not verify.
#[test]
fn a_document_written_anew_does_not_verify() {
    let items = PLATFORM.publish(&PLATFORM.collateral()).unwrap().into_iter().map(|mut item| {
        let text = String::from_utf8_lossy(&item.bytes)
            .replace(r#""id":"TDX","version":3"#, r#""version":3,"id":"TDX""#);
        if item.media_type == attester::TCB_INFO_TYPE {
            item.bytes = text.into_bytes();
        }
        item
    });
    let collateral = of_items(vec![PLATFORM.signer().to_vec()], items.collect());
    assert_refused(&Case { collateral, ..example() }.appraise(), "collateral-signature");
}

#[test]
fn what_is_revoked_or_not_current_is_refused() {
    for revoked in [Revoked::Pck, Revoked::Issuer, Revoked::Signer] {
        let case = with_collateral(&example(), |collateral| collateral.revoked = vec![revoked]);
        assert_only(&case.appraise(), "revocation", "CertRevoked");
    }
    let old = (NOW - 40 * DAY, NOW - 10 * DAY);
    // Not all of one time: at that of the CRLs the documents are old, and the other way round.
    let documents = with_collateral(&example(), |collateral| collateral.current = old).appraise();
    assert_refused(&documents, "validity");
    assert!(check(&documents, "freshness").detail().contains("TCB information of"));
    let crls = with_collateral(&example(), |collateral| collateral.crls_current = old).appraise();
    assert_refused(&crls, "validity");
    assert!(check(&crls, "freshness").detail().contains("CRL of the root"));
    let future = (NOW + DAY, NOW + 10 * DAY);
    let early = with_collateral(&example(), |collateral| collateral.current = future).appraise();
    assert_only(&early, "freshness", "is not the one of that time");
    let expired = Case { now: NOW + 8 * 365 * DAY, ..example() }.appraise();
    assert_refused(&expired, "validity");
    assert!(check(&expired, "validity").detail().contains("the certificate of the PCK expired"));
}

#[test]
fn the_quoting_enclave_is_the_one_of_the_identity() {
    let signer = with_collateral(&example(), |collateral| collateral.quoting_enclave_signer = [7; 32]);
    assert_only(&signer.appraise(), "qe-identity", "QE MRSIGNER");
    let QuotingEnclave(ordinary) = QuotingEnclave::of_td();
    let wrong = [
        (Enclave { isv_prod_id: 9, ..ordinary.clone() }, "QE ISVPRODID"),
        (Enclave { isv_svn: 1, ..ordinary.clone() }, "QE ISVSVN"),
        (Enclave { attributes: (0x17, 0xe7), ..ordinary.clone() }, "Debug mode"),
        (Enclave { attributes: (0x95, 0xe7), ..ordinary }, "QE ATTRIBUTES"),
    ];
    for (enclave, words) in wrong {
        let quote = PLATFORM.sign_quote(&td().signed_octets(&BINDING), &QuotingEnclave(enclave)).unwrap();
        assert_only(&example().with_octets(quote).appraise(), "qe-identity", words);
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

#[test]
fn the_module_is_intels() {
    let case = with_collateral(&example(), |collateral| collateral.module_signer = [9; 48]);
    assert_only(&case.appraise(), "tdx-module", "MRSIGNER mismatch");
    let mut old = td();
    old.tee_tcb_svn[0] = 4;
    assert_only(&of(&old).appraise(), "tdx-module", "below minimum");
    old.tee_tcb_svn[1] = 7;
    assert_only(&of(&old).appraise(), "tdx-module", "TDX_07");
}

#[test]
fn what_a_td_may_not_be_is_refused() {
    const SEPT_VE_DISABLE: u64 = 1 << 28;
    let with = |attributes: u64| of(&Td { attributes, ..td() }).appraise();
    assert_only(&with(SEPT_VE_DISABLE | 1), "debug", "debugging");
    assert_only(&with(SEPT_VE_DISABLE | 0x10), "debug", "profiling");
    let migratable = with(SEPT_VE_DISABLE | 1 << 29);
    assert_only(&migratable, "migration", "elsewhere");
    assert!(check(&migratable, "signature").ok(), "it is genuine");
    assert!(not_evaluated(&migratable).contains(&"tcb-status"), "and what was not reached says so");
    assert_only(&with(0), "td-attributes", "SEPT_VE_DISABLE");
    assert_only(&with(SEPT_VE_DISABLE | 1 << 40), "td-attributes", "reserved");
    let bound = of(&Td { service_td: [3; 48], ..td() });
    assert_only(&bound.appraise(), "service-td", "0303");
    let named = policy_of(&format!("{LENIENT}service_td = [\"{}\"]\n", "03".repeat(48)));
    assert_affirming("named", &Case { policy: named, ..bound }.appraise());
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
    let started = [("mrtd", mrtd), ("rtmr0", [1; 48]), ("rtmr1", [2; 48]), ("rtmr2", [3; 48])];
    let with = |registers: &[(&str, [u8; 48])]| {
        let references = ReferenceValues::new(vec![value(registers)]).unwrap();
        Case { references, ..example() }.appraise()
    };
    for (registers, executables) in [(&started[..], 2), (&started[..1], 3)] {
        let appraisal = with(registers);
        assert_affirming("reference", &appraisal);
        assert_eq!(main(&appraisal).vector().executables, executables);
        assert_eq!(main(&appraisal).reference().unwrap().name, "image 1");
    }
    let other = with(&[("mrtd", mrtd), ("rtmr3", [9; 48])]);
    assert_only(&other, "reference-value", "none of the 1 reference values");
    assert_eq!(main(&other).vector().executables, 33);
    assert_only(&Case { policy: policy_of(""), ..example() }.appraise(), "reference-value", "none of the 0");
    ReferenceValues::new(vec![value(&[("pcr0", [0; 48])])]).unwrap_err();
}

/// Whatever is collateral, the newest current document is taken, and only what was used is logged.
#[test]
fn only_what_was_used_is_logged() {
    let older = with_collateral(&example(), |collateral| {
        collateral.evaluation_number = 17;
        collateral.platform = IntelStatus::of("OutOfDate", NOW - 100 * DAY);
    });
    let both = Case { collateral: older.collateral.merged(example().collateral).unwrap(), ..example() };
    let appraisal = both.appraise();
    assert_affirming("both", &appraisal);
    assert_eq!(appraisal.collateral().documents().len(), 2, "those of TDX, and of the later evaluation");
    assert!(check(&appraisal, "tcb-evaluation").detail().starts_with("number 18"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_octets_panic(octets in prop::collection::vec(any::<u8>(), 0..600), begin in 0_usize..5000) {
        let case = example();
        drop(case.with_octets(octets.clone()).appraise());
        // In the midst of a quote, and as an event log.
        let mut quote = case.octets().to_vec();
        let end = quote.len();
        quote.splice(begin.min(end)..(begin + octets.len()).min(end), octets.iter().copied());
        prop_assert!(octets.is_empty() || case.with_octets(quote).appraise().refusal().is_some());
        for kind in [verifier::CCEL_TYPE, verifier::RUNTIME_LOG_TYPE] {
            let appraisal = with_log(&case, kind, octets.clone()).appraise();
            prop_assert!(octets.is_empty() || appraisal.refusal().is_some());
        }
        drop(Collateral::read(&[b"{", &octets[..]].concat()));
    }
}
