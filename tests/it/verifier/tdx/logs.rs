//! Event logs that come along with a quote.

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
    let policy = policy_of(&format!("{LENIENT}require_event_log = true\nrequired_events = [\"{hash}\"]\n"));
    let case = Case { policy, ..case };
    let appraisal = with_log(&case, verifier::RUNTIME_LOG_TYPE, log.clone()).appraise();
    assert_affirming("dstack", &appraisal);
    assert!(check(&appraisal, "tcb-status").detail().starts_with("UpToDate"));
    assert_eq!(failed(&case.appraise()), ["event-log", "events"], "without the log");
    // The day before, the certificate of its PCK was not valid yet.
    let early = Case { now: MARCH_2026, ..case };
    assert_refused(&with_log(&early, verifier::RUNTIME_LOG_TYPE, log).appraise(), "validity");
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
