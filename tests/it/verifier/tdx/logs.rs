//! Event logs that come along with a quote.

use treering::attester::simulated::intel::Td;
use treering::verifier::{self, Collateral};

use super::{COLLATERAL_90C06F, LENIENT, MARCH_2026, example, folder, of, td, with_log};
use crate::verifier::intel::{assert_only, check, cut};
use crate::verifier::{Case, assert_affirming, assert_refused, collateral, failed, main, policy_of, read};

/// 2026-04-15T11:06:40Z: the PCK certificate of dstack's quote is valid, and the collateral of its platform still current.
const APRIL_2026: u64 = 1_776_251_200;

/// The log of a real TD gives its registers; GRUB's commands and UEFI variables are proven, file names are not.
#[test]
fn a_real_event_log_gives_the_registers() {
    let Some(dir) = folder() else { return };
    let quote = cut(&read(dir.join("go-tdx-guest/ccel/cos-113-tdx-quote.dat")));
    let log = read(dir.join("go-tdx-guest/ccel/ccel_data.dat"));
    let case = Case::of("ccel", verifier::TDX_QUOTE, quote, Collateral::default(), MARCH_2026);
    let appraisal = with_log(&case, verifier::CCEL_TYPE, log.clone()).appraise();
    assert_eq!(failed(&appraisal), ["collateral"], "there is none for this platform");
    let nonce = read(dir.join("go-tdx-guest/ccel/nonce.dat")).try_into().unwrap();
    assert!(appraisal.matches_binding(&nonce), "what the quote was asked for with");
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
        // Up to a MiB of memory, nearly all of it filling: whoever hands it in cuts that off.
        log.truncate(verifier::event_log_length(&log).unwrap());
        let appraisal = with_log(&case, verifier::CCEL_TYPE, log).appraise();
        let detail = check(&appraisal, "event-log").detail();
        assert!(detail.ends_with("for rtmr0, which is not what the quote says"), "{file}: {detail}");
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

/// The quote alone at its instant, with the collateral of its platform.
pub(super) fn dstack_of_its_time() -> Option<Case> {
    let (case, _) = dstack()?;
    let collateral = collateral(&[read(folder()?.join(COLLATERAL_90C06F))]);
    Some(Case { collateral, now: APRIL_2026, ..case })
}

/// The one real quote with a log whose platform the vectors have collateral for: affirmed with what the log proves.
#[test]
fn a_real_quote_with_its_runtime_log_affirms() {
    let (Some(case), Some((_, log))) = (dstack_of_its_time(), dstack()) else { return };
    let hash = "os-image-hash=07a2388c7a6a1b6a646d443f1517990a4ec294471d63146cda9d56972765051d";
    let required = format!("{LENIENT}require_event_log = true\nrequired_events = [\"{hash}\"]\n");
    let policy = policy_of(&format!("{required}require_secure_boot = false\n"));
    let case = Case { policy, ..case };
    let appraisal = with_log(&case, verifier::RUNTIME_LOG_TYPE, log.clone()).appraise();
    assert_affirming("dstack", &appraisal);
    assert!(check(&appraisal, "tcb-status").detail().starts_with("UpToDate"));
    assert_eq!(failed(&case.appraise()), ["event-log", "events"], "without the log");
    // dstack boots without it, and its log cannot say so.
    let secure = Case { policy: policy_of(&required), ..case.clone() };
    let secure = with_log(&secure, verifier::RUNTIME_LOG_TYPE, log.clone()).appraise();
    assert_only(&secure, "secure-boot", "the log does not say");
    // The day before, the certificate of its PCK was not valid yet.
    let early = Case { now: MARCH_2026, ..case };
    assert_refused(&with_log(&early, verifier::RUNTIME_LOG_TYPE, log).appraise(), "validity");
}

/// A log with one event, and a TD whose RTMR1 is what that event gives.
fn logged(kind: u32, digested: &[u8], data: &[u8]) -> Case {
    logged_all(&[(2, kind, digested, data)], td())
}

/// One event: index in a CCEL, type, what its digest is over, and what stands beside it.
type Logged<'a> = (u32, u32, &'a [u8], &'a [u8]);

/// A log, and a TD whose registers are what it gives, as far as it extends them.
fn logged_all(events: &[Logged<'_>], mut td: Td) -> Case {
    use sha2::{Digest, Sha384};
    let spec = [&b"Spec ID Event03\0"[..], &[0, 0, 0, 0, 0, 2, 0, 2, 1, 0, 0, 0, 0xc, 0, 48, 0, 0]].concat();
    let mut log = [1_u32.to_le_bytes(), 3_u32.to_le_bytes()].concat();
    log.extend([0; 20]);
    log.extend(u32::try_from(spec.len()).unwrap().to_le_bytes());
    log.extend(spec);
    let mut registers = [[0; 48]; 5];
    for (index, kind, digested, data) in events {
        log.extend([index.to_le_bytes(), kind.to_le_bytes(), 1_u32.to_le_bytes()].concat());
        log.extend(0xc_u16.to_le_bytes());
        let digest = Sha384::digest(digested);
        log.extend(digest);
        log.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
        log.extend(*data);
        let register = &mut registers[*index as usize];
        *register = Sha384::new().chain_update(*register).chain_update(digest).finalize().into();
        td.rtmrs[*index as usize - 1] = *register;
    }
    with_log(&of(&td), verifier::CCEL_TYPE, log)
}

/// A log that is required must explain what firmware and boot loader extended, and whatever else is not zero.
#[test]
fn a_required_log_must_give_the_registers() {
    const EFI_ACTION: u32 = 0x8000_0007;
    let required = || policy_of(&format!("{LENIENT}require_event_log = true\nrequire_secure_boot = false\n"));
    let under = |case: Case| Case { policy: required(), ..case }.appraise();
    let event = |index| (index, EFI_ACTION, &b"x"[..], &b"x"[..]);
    let zero = Td { rtmrs: [[0; 48]; 4], ..td() };
    let whole = [event(1), event(2), event(3)];
    assert_affirming("whole", &under(logged_all(&whole, zero.clone())));
    assert_affirming("with rtmr3", &under(logged_all(&[&whole[..], &[event(4)]].concat(), zero.clone())));
    let beyond = Td { rtmrs: [[0; 48], [0; 48], [0; 48], [9; 48]], ..td() };
    assert_only(&under(logged_all(&whole, beyond)), "event-log", "does not give rtmr3");
    // Empty, in both forms; a part; and a register that is zero, which firmware never leaves so.
    let empty = logged_all(&[], zero.clone());
    assert_only(&under(empty.clone()), "event-log", "does not give rtmr0");
    let dstack = with_log(&of(&zero), verifier::RUNTIME_LOG_TYPE, b"[]".to_vec());
    assert_only(&under(dstack.clone()), "event-log", "does not give rtmr0");
    assert_only(&under(logged_all(&whole[..2], zero.clone())), "event-log", "does not give rtmr2");
    assert_only(&under(logged_all(&whole[1..], td())), "event-log", "does not give rtmr0");
    // Where none is required, an empty one proves nothing and harms nothing.
    for case in [empty, dstack] {
        let appraisal = case.appraise();
        assert_affirming("not required", &appraisal);
        assert_eq!(check(&appraisal, "event-log").detail(), "it gives no register");
    }
}

/// UEFI_VARIABLE_DATA of SecureBoot: the GUID of global variables, two lengths, the name, the value.
fn secure_boot_variable(value: u8) -> Vec<u8> {
    let guid = [0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11, 0xaa, 0x0d, 0, 0xe0, 0x98, 3, 0x2b, 0x8c];
    let name: Vec<u8> = "SecureBoot".encode_utf16().flat_map(u16::to_le_bytes).collect();
    [&guid[..], &[10, 0, 0, 0, 0, 0, 0, 0], &[1, 0, 0, 0, 0, 0, 0, 0], &name, &[value]].concat()
}

#[test]
fn secure_boot_is_what_the_log_proves() {
    const VARIABLE: u32 = 0x8000_0001;
    let (on, off) = (secure_boot_variable(1), secure_boot_variable(0));
    let logged = |values: &[&[u8]], index: u32| {
        let events: Vec<Logged<'_>> = values.iter().map(|data| (index, VARIABLE, *data, *data)).collect();
        logged_all(&events, td())
    };
    let under = |case: &Case, rules: &str| {
        Case { policy: policy_of(&format!("{LENIENT}{rules}")), ..case.clone() }.appraise()
    };
    let secure = logged(&[&on], 1);
    assert_affirming("on", &under(&secure, ""));
    assert_eq!(check(&under(&secure, ""), "secure-boot").detail(), "on, as the event log proves");
    assert_eq!(main(&under(&secure, "")).claims().unwrap()["secure_boot"], true);
    // Off, or off for a while: refused, and the platform is genuine all the same.
    for values in [&[off.as_slice()][..], &[&on, &off], &[&off, &on]] {
        let open = logged(values, 1);
        let refused = under(&open, "");
        assert_only(&refused, "secure-boot", "off, as the event log proves");
        assert_eq!((main(&refused).vector().configuration, main(&refused).vector().hardware), (96, 2));
        let let_pass = under(&open, "require_secure_boot = false\n");
        assert_affirming("let pass", &let_pass);
        assert_eq!(check(&let_pass, "secure-boot").relaxed(), Some("require_secure_boot"));
        let waiver = "[[waiver]]\ncheck = \"secure-boot\"\nkind = \"tdx\"\nreason = \"r\"\nuntil = \"2030-01-01T00:00:00Z\"\n";
        let waived = under(&open, waiver);
        assert_eq!((waived.refusal(), main(&waived).vector().configuration), (None, 32));
    }
    // In another register, of another variable, or beside another digest it says nothing; without a log, nobody does.
    let elsewhere = logged(&[&off], 2);
    let says_nothing = [elsewhere, logged_all(&[(1, VARIABLE, b"x", b"x")], td()), example()];
    for case in &says_nothing {
        assert_affirming("not said", &under(case, ""));
        assert_eq!(main(&under(case, "")).claims().unwrap().get("secure_boot"), None);
    }
    let forged = under(&logged_all(&[(1, VARIABLE, &off, &on)], td()), "");
    assert_only(&forged, "event-data", "of an event of rtmr0");
    assert!(!check(&forged, "secure-boot").ok());
    // Where a log is required, it must say.
    let other: Vec<Logged<'_>> = (1..4).map(|index| (index, 0x8000_0007, &b"x"[..], &b"x"[..])).collect();
    let required =
        under(&logged_all(&other, Td { rtmrs: [[0; 48]; 4], ..td() }), "require_event_log = true\n");
    assert_only(&required, "secure-boot", "the log does not say");
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
