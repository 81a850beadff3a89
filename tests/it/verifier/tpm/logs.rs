//! Event logs of a boot, and what they prove of secure boot.

use sha2::{Digest, Sha256};
use treering::attester::simulated::tpm::Tpm;
use treering::verifier::{self, Collateral, Evidence, HardwareRoots};

use super::{NOW, example};
use crate::verifier::{Case, assert_affirming, assert_refused, failed, main, policy_of, read, vectors};

/// The log of a Google machine, and a quote of the registers that it leads to.
fn with_log(log: &[u8], edit: impl FnOnce(&mut Tpm)) -> Case {
    let mut tpm = Tpm::generate(NOW).unwrap();
    boot(&mut tpm, log);
    edit(&mut tpm);
    let quote = tpm.quote(&tpm.attest(&[])).unwrap();
    let items = [(verifier::TPM_QUOTE, quote.to_bytes().unwrap()), (verifier::TCG_EVENT_LOG, log.to_vec())];
    let collateral = Collateral::from_der(tpm.certificates().to_vec()).unwrap();
    Case {
        evidence: Evidence::new(items).unwrap(),
        collateral,
        roots: HardwareRoots::with_simulated([tpm.root_fingerprint()]),
        ..example()
    }
}

/// Where each event begins, its register, type, SHA-256 digest, and where its data begin and end: written down here a
/// second time, so that the reader under test does not test itself.
struct LoggedEvent {
    index: u8,
    kind: u32,
    digest: [u8; 32],
    data: std::ops::Range<usize>,
}

fn read_log(log: &[u8]) -> Vec<LoggedEvent> {
    let word = |at: usize| u32::from_le_bytes(log[at..at + 4].try_into().unwrap());
    let mut at = 32 + word(28) as usize;
    let mut events = Vec::new();
    while at < log.len() {
        let (index, kind, count) = (word(at), word(at + 4), word(at + 8));
        at += 12;
        let mut digest = [0; 32];
        for _ in 0..count {
            let algorithm = u16::from_le_bytes(log[at..at + 2].try_into().unwrap());
            let octets = match algorithm {
                4 => 20,
                0xb => 32,
                0xc => 48,
                other => panic!("algorithm {other}"),
            };
            if algorithm == 0xb {
                digest = log[at + 2..at + 34].try_into().unwrap();
            }
            at += 2 + octets;
        }
        let data = at + 4..at + 4 + word(at) as usize;
        at = data.end;
        events.push(LoggedEvent { index: u8::try_from(index).unwrap_or(u8::MAX), kind, digest, data });
    }
    events
}

fn sha256_events(events: &[LoggedEvent]) -> Vec<(u8, [u8; 32])> {
    events.iter().filter(|event| event.kind != 3).map(|event| (event.index, event.digest)).collect()
}

/// Extends the registers as this log says.
pub(in crate::verifier) fn boot(tpm: &mut Tpm, log: &[u8]) {
    for (index, digest) in sha256_events(&read_log(log)) {
        tpm.extend(index, &digest);
    }
}

pub(in crate::verifier) fn google_log() -> Option<Vec<u8>> {
    Some(read(vectors()?.join("evidence/tpm/dstack/tpm_eventlog.bin")))
}

#[test]
fn the_log_of_a_boot_must_lead_to_the_registers() {
    let Some(log) = google_log() else { return };
    let appraisal = with_log(&log, |_| {}).appraise();
    assert_affirming("log", &appraisal);
    let boot = &main(&appraisal).claims().unwrap()["boot"];
    assert_eq!(boot["events"], read_log(&log).len());
    assert_eq!(boot["secure_boot"], false, "as that machine was set up");
    // A register of the firmware that the log does not lead to.
    assert_refused(&with_log(&log, |tpm| tpm.extend(4, &[1; 32])).appraise(), "boot-log");
    // One that goes on being extended by what runs: the log says nothing of it.
    assert_affirming("later", &with_log(&log, |tpm| tpm.extend(10, &[1; 32])).appraise());
    // An event left out.
    let last = read_log(&log).last().map(|event| event.data.clone()).unwrap();
    let shorter = with_log(&log, |_| {});
    let mut items: Vec<_> =
        shorter.evidence.items().iter().map(|item| (item.media_type(), item.bytes().to_vec())).collect();
    items[1].1.truncate(last.start - 1);
    let shorter = Case { evidence: Evidence::new(items).unwrap(), ..shorter.clone() };
    assert_refused(&shorter.appraise(), "boot-log");
}

/// A log whose digests are right and whose words are not is worse than none.
#[test]
fn a_log_that_says_something_else_than_its_digests_is_refused() {
    let Some(log) = google_log() else { return };
    let case = with_log(&log, |_| {});
    let events = read_log(&log);
    // Types whose digest is over the data as they are: variables, separators, actions.
    let proven = |event: &&LoggedEvent| [4, 5, 7, 8, 0x8000_0001, 0x8000_0007].contains(&event.kind);
    let mut tried = 0;
    for event in events.iter().filter(proven).filter(|event| event.index < 8 && !event.data.is_empty()) {
        let mut changed = log.clone();
        changed[event.data.end - 1] ^= 1;
        let items = [(verifier::TPM_QUOTE, case.octets().to_vec()), (verifier::TCG_EVENT_LOG, changed)];
        let case = Case { evidence: Evidence::new(items).unwrap(), ..case.clone() };
        assert_refused(&case.appraise(), "boot-log");
        tried += 1;
    }
    assert!(tried > 10, "{tried}");
    let twice = [
        (verifier::TPM_QUOTE, case.octets().to_vec()),
        (verifier::TCG_EVENT_LOG, log.clone()),
        (verifier::TCG_EVENT_LOG, log),
    ];
    assert_refused(&Case { evidence: Evidence::new(twice).unwrap(), ..case }.appraise(), "boot-log");
}

/// A small log with SHA-256 digests alone, and the registers that it leads to: register, type, data.
pub(in crate::verifier) fn small_log(events: &[(u32, u32, Vec<u8>)]) -> Vec<u8> {
    let spec = [&b"Spec ID Event03\0"[..], &[0, 0, 0, 0, 0, 2, 0, 2, 1, 0, 0, 0, 0xb, 0, 32, 0, 0]].concat();
    let sized = |data: &[u8]| [&u32::try_from(data.len()).unwrap().to_le_bytes(), data].concat();
    let mut out = [&[0, 0, 0, 0, 3, 0, 0, 0][..], &[0; 20], &sized(&spec)].concat();
    for (index, kind, data) in events {
        out.extend([index.to_le_bytes(), kind.to_le_bytes(), 1_u32.to_le_bytes()].concat());
        out.extend([&[0xb, 0][..], &Sha256::digest(data), &sized(data)].concat());
    }
    out
}

/// The variable SecureBoot as firmware measures it; `vendor` is the first octet of its GUID, 0x61 of UEFI's own.
pub(in crate::verifier) fn secure_boot_variable(vendor: u8, on: u8) -> (u32, u32, Vec<u8>) {
    let guid =
        [vendor, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11, 0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c];
    let name: Vec<u8> = "SecureBoot".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let data = [&guid[..], &[10, 0, 0, 0, 0, 0, 0, 0], &[1, 0, 0, 0, 0, 0, 0, 0], &name, &[on]].concat();
    (7, 0x8000_0001, data)
}

/// Secure boot is what the log proves, of the variable that the firmware measured.
#[test]
fn secure_boot_is_proven_by_the_log() {
    let (on, off) = (secure_boot_variable(0x61, 1), secure_boot_variable(0x61, 0));
    let elsewhere = (1, on.1, on.2.clone());
    let separator = (7, 4, vec![0; 4]);
    for (proven, events) in [
        (Some(true), vec![on.clone(), separator.clone()]),
        (Some(false), vec![off.clone(), separator.clone()]),
        (Some(false), vec![on.clone(), off.clone()]),
        (Some(false), vec![off, on]),
        (None, vec![secure_boot_variable(0x62, 1)]),
        (None, vec![elsewhere]),
        (None, vec![separator]),
    ] {
        let case = with_log(&small_log(&events), |_| {});
        let strict = Case { policy: policy_of("[tpm]\nrequire_reference_value = false\n"), ..case.clone() };
        assert_affirming("not required", &case.appraise());
        let claim = main(&case.appraise()).claims().unwrap()["boot"]["secure_boot"].as_bool();
        assert_eq!(claim, proven, "{events:?}");
        match proven {
            Some(true) => assert_affirming("required", &strict.appraise()),
            Some(false) | None => assert_eq!(failed(&strict.appraise()), ["secure-boot"]),
        }
    }
}
