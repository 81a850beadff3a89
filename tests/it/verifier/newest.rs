//! Of several lists, answers and documents about one thing the newest that is genuine counts: a caller who gives an older
//! one holds back nothing that the service knows.

use std::sync::Arc;

use treering::attester::Attester as _;
use treering::attester::simulated::intel::{IntelModel, IntelPlatform, IntelStatus, Revoked, Td, measure};
use treering::attester::simulated::nitro::{EnclaveImage, NitroPlatform};
use treering::attester::simulated::nvidia::{Device, Model, Said};
use treering::attester::simulated::{Launch, Platform, Processor};
use treering::verifier::{
    self, Appraisal, Collateral, Document, HardwareRoots, NITRO_DOCUMENT, SNP_REPORT, Status, TDX_QUOTE,
    Verifier,
};

use super::intel::{self, of_items, with_collateral};
use super::{Case, assert_affirming, assert_refused, nvidia, policy_of};

const NOW: u64 = intel::NOW;
const DAY: u64 = intel::DAY;

/// Of a list: whether it revokes, from when it is and until when.
type Dated = (bool, u64, u64);

/// From what an appraisal says that it used, the same result comes again, octet for octet; and so it does from what one
/// Verifier kept, at another instant before and after.
#[track_caller]
fn replayed(case: &Case) -> Appraisal {
    let verifier = Verifier::new(case.roots.clone());
    for now in [case.now - 120, case.now, case.now - 120] {
        let at = Case { now, ..case.clone() };
        let warm = verifier.appraise(&at.evidence, &at.collateral, &at.policy, &at.references, now);
        assert_eq!(warm, at.appraise(), "{}: {now}", case.name);
    }
    let appraisal = case.appraise();
    let again = Case { collateral: appraisal.collateral().clone(), ..case.clone() }.appraise();
    assert_eq!(again, appraisal);
    appraisal
}

fn lists(crls: Vec<Vec<u8>>) -> Collateral {
    Collateral::new(vec![], crls).unwrap()
}

fn with_answers(crls: Vec<Vec<u8>>, answers: Vec<Vec<u8>>) -> Collateral {
    let document = |bytes| Document { media_type: verifier::OCSP_RESPONSE.to_owned(), bytes };
    lists(crls).with_documents(answers.into_iter().map(document).collect()).unwrap()
}

/// An enclave, without lists, under these rules beside that any may run.
fn nitro(rules: &str) -> (Arc<NitroPlatform>, Case) {
    let platform = Arc::new(NitroPlatform::generate(NOW).unwrap());
    let mut document = platform.enclave(EnclaveImage::of(b"image"), NOW).report(&[0; 64]).unwrap();
    let case = Case {
        policy: policy_of(&format!("[nitro]\nrequire_reference_value = false\n{rules}")),
        roots: HardwareRoots::with_simulated([verifier::fingerprint(platform.root_certificate())]),
        ..Case::of("nitro", NITRO_DOCUMENT, document.evidence.remove(0).bytes, Collateral::default(), NOW)
    };
    (platform, case)
}

/// A guest of a Milan, without lists, likewise.
fn milan(rules: &str) -> (Arc<Platform>, Case) {
    let processor = Processor::Milan;
    let milan = Arc::new(Platform::generate(processor, processor.ordinary_tcb(), NOW).unwrap());
    let report = milan.guest(Launch::of([1; 48])).unwrap().report(&[0; 64]).unwrap().evidence.remove(0).bytes;
    let certificates = Collateral::from_der(milan.certificates().to_vec()).unwrap();
    let lenient = "[sev_snp]\nrequire_reference_value = false\nrequire_tcb_floor = false\n";
    let case = Case {
        policy: policy_of(&format!("{lenient}{rules}")),
        roots: HardwareRoots::with_simulated([milan.root_fingerprint()]),
        ..Case::of("snp", SNP_REPORT, report, certificates, NOW)
    };
    (milan, case)
}

fn with_lists(case: &Case, crls: Vec<Vec<u8>>) -> Case {
    Case { collateral: case.collateral.clone().merged(lists(crls)).unwrap(), ..case.clone() }
}

/// Cases that affirm, with several lists and answers each: which of them count the instant says.
pub(super) fn of_several_lists() -> Vec<Case> {
    let (old, new, end) = (NOW - DAY, NOW - 60, NOW + DAY);
    let (enclaves, enclave) = nitro("require_crl = false\n");
    let list = |authority, revoked, from| enclaves.crl(authority, revoked, from, end).unwrap();
    let all = vec![list(0, false, old), list(0, true, NOW + 60), list(1, true, old), list(1, false, new)];
    let enclave = with_lists(&enclave, all);
    let (platform, guest) = milan("require_crl = false\n");
    let list = |from| platform.crl(false, from, end).unwrap();
    let guest = with_lists(&guest, vec![list(old), list(new), list(NOW + 60)]);
    let gpu = Device::generate(Model::Gh100, NOW).unwrap();
    let list = |revoked, from| gpu.crl(2, revoked, from, end).unwrap();
    let answer = |said, from| gpu.ocsp(1, said, from, end).unwrap();
    let said =
        vec![answer(Said::Revoked(6), old), answer(Said::Good, new), answer(Said::Revoked(1), NOW + 60)];
    let collateral = with_answers(vec![list(true, old), list(false, new)], said);
    let device = Case { now: NOW, collateral, ..nvidia::case_of("gpu", &gpu) };
    vec![enclave, guest, device]
}

#[test]
fn of_several_lists_the_instant_says_which_count() {
    for case in of_several_lists() {
        assert_affirming(&case.name, &replayed(&case));
        let checks = |now| replayed(&Case { now, ..case.clone() }).checks().cloned().collect::<Vec<_>>();
        assert_ne!(checks(NOW - 120), checks(NOW), "{}", case.name);
    }
}

/// The older list, which says nothing, and the newer one, which revokes; and the other way round, which is a hold that
/// ended. Both at an instant, and before the newer one was there.
#[test]
fn the_newest_list_of_nitro_counts() {
    let (platform, case) = nitro("");
    let list = |authority, revoked, from, until| platform.crl(authority, revoked, from, until).unwrap();
    let root = list(0, false, NOW - DAY, NOW + DAY);
    let of_region = |crls: Vec<Vec<u8>>| {
        let collateral = lists([vec![root.clone()], crls].concat());
        Case { collateral, ..case.clone() }
    };
    let (clean, revokes) = (list(1, false, NOW - DAY, NOW + DAY), list(1, true, NOW - 60, NOW + DAY));
    assert_affirming("the older alone", &replayed(&of_region(vec![clean.clone()])));
    let both = replayed(&of_region(vec![clean.clone(), revokes.clone()]));
    assert_refused(&both, "revocation");
    assert_eq!(both.collateral().crls().len(), 2, "the root's, and one of the region's");
    // Not yet there: the one of that time counts.
    let early = Case { now: NOW - 120, ..of_region(vec![clean, revokes]) };
    let before = replayed(&early);
    assert!(before.checks().any(|check| check.name() == "revocation" && check.ok()));
    assert_eq!(before.collateral().crls().len(), 2);
    let (held, released) = (list(1, true, NOW - DAY, NOW + DAY), list(1, false, NOW - 60, NOW + DAY));
    assert_affirming("a hold that ended", &replayed(&of_region(vec![held, released])));
    // One that has ended holds back none, either.
    let (ended, current) = (list(1, false, NOW - 9 * DAY, NOW - DAY), list(1, false, NOW - 60, NOW + DAY));
    assert_affirming("a current one", &replayed(&of_region(vec![ended.clone(), current])));
    assert_refused(&replayed(&of_region(vec![ended])), "revocation");
    // What nobody of the chain signed is no newer list of his, and refuses as before.
    let forged = NitroPlatform::generate(NOW).unwrap().crl(1, false, NOW, NOW + DAY).unwrap();
    assert_refused(&replayed(&of_region(vec![list(1, true, NOW - DAY, NOW + DAY), forged])), "revocation");
}

#[test]
fn the_newest_word_of_nvidia_counts() {
    let gpu = Device::generate(Model::Gh100, NOW).unwrap();
    let case = Case { now: NOW, ..nvidia::case_of("gpu", &gpu) };
    let with = |crls, answers| Case { collateral: with_answers(crls, answers), ..case.clone() };
    let list = |revoked, from| gpu.crl(2, revoked, from, NOW + DAY).unwrap();
    let answer = |said, from| gpu.ocsp(1, said, from, NOW + DAY).unwrap();
    let (old, new) = (NOW - DAY, NOW - 60);
    let revoked = replayed(&with(vec![list(false, old), list(true, new)], vec![]));
    assert_refused(&revoked, "revocation");
    assert_eq!(revoked.collateral().crls().len(), 1);
    let held = replayed(&with(vec![], vec![answer(Said::Good, old), answer(Said::Revoked(6), new)]));
    assert_refused(&held, "revocation");
    assert_eq!(held.collateral().documents().len(), 1);
    let released = vec![answer(Said::Revoked(6), old), answer(Said::Good, new)];
    assert_affirming("released", &replayed(&with(vec![list(true, old), list(false, new)], released)));
    // Which certificate of its responder an answer comes with is not signed: a renewed one makes an old answer no newer.
    let renewed = gpu.ocsp_with_certificate(1, true, Said::Good, (old, NOW + DAY), NOW - 30).unwrap();
    assert_affirming("by a responder", &replayed(&with(vec![], vec![renewed.clone()])));
    assert_refused(&replayed(&with(vec![], vec![renewed, answer(Said::Revoked(6), new)])), "revocation");
    // Nor is it relied on before its time.
    let early = gpu.ocsp_with_certificate(1, true, Said::Good, (old, NOW + DAY), NOW + 30).unwrap();
    assert_refused(&replayed(&with(vec![], vec![early])), "revocation");
    // A list and an answer are words of two kinds: a newer answer takes no list's place.
    let both = with(vec![gpu.crl(1, true, old, NOW + DAY).unwrap()], vec![answer(Said::Good, new)]);
    assert_refused(&replayed(&both), "revocation");
}

/// AMD's root has two lists at two addresses, one of VCEKs' issuers and one of VLEKs'. Which one a list is it does not say:
/// what either revokes is revoked, and the newer one says how current what is known is.
#[test]
fn the_newest_list_of_amd_counts_and_what_any_revokes_is_revoked() {
    let (milan, case) = milan("");
    let with = |crls| with_lists(&case, crls);
    let list = |revoked, from, until| milan.crl(revoked, from, until).unwrap();
    let ended = list(false, NOW - 9 * DAY, NOW - DAY);
    assert_refused(&replayed(&with(vec![ended.clone()])), "revocation");
    let current = replayed(&with(vec![ended, list(false, NOW - 60, NOW + DAY)]));
    assert_affirming("current", &current);
    assert_eq!(current.collateral().crls().len(), 1);
    for (revoked, at) in [(false, NOW - 60), (true, NOW - DAY)] {
        let other = if revoked { NOW - 60 } else { NOW - DAY };
        let lists = vec![list(!revoked, at, NOW + DAY), list(revoked, other, NOW + DAY)];
        assert_refused(&replayed(&with(lists)), "revocation");
    }
}

const WAIVER: &str = "[[waiver]]\ncheck = \"revocation\"\nreason = \"r\"\nuntil = \"2030-01-01T00:00:00Z\"\n";

/// A waiver of what is not known lets pass that one list has ended, and not what the other revokes: whichever of the two
/// is looked at first.
#[test]
fn under_a_waiver_a_list_that_has_ended_hides_no_revocation() {
    let ended = (false, NOW - 9 * DAY, NOW - DAY);
    let revokes = (true, NOW - DAY, NOW + DAY);
    let both = [[ended, revokes], [revokes, ended]];
    let check = |with: &dyn Fn(Vec<Vec<u8>>, Vec<Vec<u8>>) -> Case,
                 list: &dyn Fn(usize, Dated) -> Vec<u8>| {
        for [one, other] in both {
            let appraisal = replayed(&with(vec![list(0, one), list(1, other)], vec![]));
            assert_refused(&appraisal, "revocation");
        }
        let waived = replayed(&with(vec![list(0, ended), list(1, ended)], vec![]));
        assert_eq!((waived.refusal(), waived.status()), (None, Status::Warning));
    };

    let (nitro, case) = nitro(WAIVER);
    check(
        &|crls, _| Case { collateral: lists(crls), ..case.clone() },
        &|authority, (revoked, from, until)| nitro.crl(authority, revoked, from, until).unwrap(),
    );

    let gpu = Device::generate(Model::Gh100, NOW).unwrap();
    let rules = "[nvidia_gpu]\nrequire_reference_value = false\n";
    let case =
        Case { now: NOW, policy: policy_of(&format!("{rules}{WAIVER}")), ..nvidia::case_of("gpu", &gpu) };
    let with = |crls, answers| Case { collateral: with_answers(crls, answers), ..case.clone() };
    check(&with, &|issuer, (revoked, from, until)| gpu.crl(issuer + 1, revoked, from, until).unwrap());
    // Lists are looked at before answers.
    let list = gpu.crl(2, false, ended.1, ended.2).unwrap();
    let answer = gpu.ocsp(1, Said::Revoked(6), revokes.1, revokes.2).unwrap();
    assert_refused(&replayed(&with(vec![list], vec![answer])), "revocation");

    let (milan, case) = milan(WAIVER);
    let snp = |crls| with_lists(&case, crls);
    // The shorter list is looked at first. It is the newer one, and has ended; the older one, which revokes, has not.
    let ended = milan.crl(false, NOW - 60, NOW - 30).unwrap();
    let revokes = milan.crl(true, NOW - DAY, NOW + DAY).unwrap();
    assert_refused(&replayed(&snp(vec![ended.clone(), revokes])), "revocation");
    let waived = replayed(&snp(vec![ended]));
    assert_eq!((waived.refusal(), waived.status()), (None, Status::Warning));
}

/// A newer one that Intel did not sign takes no place of one that it did.
#[test]
fn the_newest_genuine_list_and_document_of_intel_counts() {
    let quote = intel::PLATFORM.quote_td(&Td::of(measure(b"firmware")), &[0; 64]).unwrap();
    let policy = policy_of("[tdx]\nrequire_reference_value = false\n");
    let case = Case { policy, ..intel::simulated(TDX_QUOTE, quote) };
    // The caller's older list is clean, and the newer one revokes.
    let revokes = with_collateral(&case, |collateral| {
        collateral.revoked = vec![Revoked::Pck];
        collateral.crls_current.0 += 60;
    });
    let later = NOW + 120;
    let both = Case { collateral: both(&case, &revokes), now: later, ..case.clone() };
    assert_refused(&replayed(&both), "revocation");
    // Of levels likewise.
    let level = with_collateral(&case, |collateral| {
        collateral.evaluation_number += 1;
        collateral.platform = IntelStatus::of("OutOfDate", NOW - 100 * DAY);
    });
    assert_refused(&replayed(&Case { collateral: self::both(&case, &level), ..case.clone() }), "tcb-status");
    // Another's, of the same names, newer, and signed by nobody who counts.
    let other = IntelPlatform::generate(IntelModel::default(), NOW).unwrap();
    let mut collateral = other.collateral();
    collateral.evaluation_number += 9;
    (collateral.crls_current.0, collateral.current.0) =
        (collateral.crls_current.0 + 60, collateral.current.0 + 60);
    let forged = of_items(vec![], other.publish(&collateral).unwrap());
    let signer = Collateral::from_der([other.signer().to_vec()]).unwrap();
    let certified = forged.clone().merged(signer).unwrap();
    // Also with the certificate of who signed it, which names the root and is not signed by it.
    for (name, forged) in
        [("beside a forged one", forged), ("beside one with a signer of its own", certified)]
    {
        let collateral = case.collateral.clone().merged(forged).unwrap();
        let appraisal = replayed(&Case { collateral, now: later, ..case.clone() });
        assert_affirming(name, &appraisal);
        let used = appraisal.collateral();
        assert_eq!((used.documents().len(), used.certificates().len()), (2, 1), "{name}");
    }
}

fn both(one: &Case, other: &Case) -> Collateral {
    one.collateral.clone().merged(other.collateral.clone()).unwrap()
}
