//! What the tests of TDX and SGX have in common: quotes of hardware with their collateral, a simulated platform, and
//! collateral of it that is wrong in one point.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use data_encoding::HEXLOWER_PERMISSIVE;
use treering::attester::simulated::intel::{IntelCollateral, IntelModel, IntelPlatform};
use treering::attester::{self, EvidenceItem};
use treering::verifier::{
    self, Appraisal, CheckResult, Collateral, Document, HardwareRoots, Refused, Verifier,
};

use super::{Case, collateral, read, vectors};

/// 2026-03-01T00:00:00Z.
pub(crate) const NOW: u64 = 1_772_323_200;
pub(crate) const DAY: u64 = 86_400;

/// 2025-06-25T00:00:00Z: the collateral of `dcap-qvl`'s vectors is current.
pub(crate) const MID_2025: u64 = 1_750_809_600;

/// A quote of the vectors, in octets or in hex, and collateral for it; both in this folder.
pub(crate) fn real(
    media_type: &str,
    folder: &str,
    (quote, published): (&str, &str),
    (name, now): (&str, u64),
) -> Option<Case> {
    let dir = vectors()?.join("evidence").join(folder);
    let mut octets = read(dir.join(quote));
    if Path::new(quote).extension().is_some_and(|extension| extension == "hex") {
        let text = String::from_utf8(octets).unwrap();
        octets = HEXLOWER_PERMISSIVE.decode(text.trim().trim_start_matches("0x").as_bytes()).unwrap();
    }
    let collateral = collateral(&[read(dir.join(published))]);
    Some(Case::of(name, media_type, cut(&octets), collateral, now))
}

/// One bit of every seventh octet, each refused by a check. Of every octet a test of `make soak` flips every bit.
pub(crate) fn flipped_bits_are_refused(case: &Case) {
    let verifier = Verifier::new(case.roots.clone());
    for at in (0..case.octets().len()).step_by(7) {
        let mut octets = case.octets().to_vec();
        octets[at] ^= 1 << (at % 8);
        let evidence = case.with_octets(octets).evidence;
        let appraisal =
            verifier.appraise(&evidence, &case.collateral, &case.policy, &case.references, case.now);
        let refusal = appraisal.refusal();
        assert!(matches!(refusal, Some(Refused::Check { .. })), "{} {at:#x}", case.name);
    }
}

pub(crate) static PLATFORM: LazyLock<Arc<IntelPlatform>> =
    LazyLock::new(|| Arc::new(IntelPlatform::generate(IntelModel::default(), NOW).unwrap()));

pub(crate) fn of_items(certificates: Vec<Vec<u8>>, items: Vec<EvidenceItem>) -> Collateral {
    let (crls, documents): (Vec<_>, Vec<_>) =
        items.into_iter().partition(|item| item.media_type == attester::CRL_TYPE);
    let documents = documents.into_iter().map(|item| {
        let media_type = item.media_type.to_owned();
        Document { media_type, bytes: item.bytes }
    });
    let crls = crls.into_iter().map(|item| item.bytes).collect();
    Collateral::new(certificates, crls).unwrap().with_documents(documents.collect()).unwrap()
}

pub(crate) fn published(collateral: &IntelCollateral) -> Collateral {
    of_items(vec![PLATFORM.signer().to_vec()], PLATFORM.publish(collateral).unwrap())
}

pub(crate) fn ordinary() -> Collateral {
    published(&PLATFORM.collateral())
}

pub(crate) fn simulated(media_type: &str, quote: Vec<u8>) -> Case {
    let roots = HardwareRoots::with_simulated([PLATFORM.root_fingerprint()]);
    Case { roots, ..Case::of("simulated", media_type, quote, ordinary(), NOW) }
}

/// The same case with collateral that was changed before it was signed.
pub(crate) fn with_collateral(case: &Case, change: impl FnOnce(&mut IntelCollateral)) -> Case {
    let mut collateral = PLATFORM.collateral();
    change(&mut collateral);
    Case { collateral: published(&collateral), ..case.clone() }
}

pub(crate) fn check<'a>(appraisal: &'a Appraisal, name: &str) -> &'a CheckResult {
    appraisal.checks().find(|check| check.name() == name).unwrap_or_else(|| panic!("no check {name}"))
}

/// Names of the checks that were not reached.
pub(crate) fn not_evaluated(appraisal: &Appraisal) -> Vec<&'static str> {
    let open = |check: &&CheckResult| !check.ok() && !check.failed();
    appraisal.checks().filter(open).map(CheckResult::name).collect()
}

/// Refused by this check with this in its words, and by no other: what was not reached is said not to be.
#[track_caller]
pub(crate) fn assert_only(appraisal: &Appraisal, name: &str, words: &str) {
    assert_eq!(super::failed(appraisal), [name], "{:#?}", appraisal.checks().collect::<Vec<_>>());
    let detail = check(appraisal, name).detail();
    assert!(detail.contains(words), "{detail}");
    super::assert_refused(appraisal, name);
}

/// A quote as it lies in a file, without what a quoting library's buffer adds after it.
pub(crate) fn cut(octets: &[u8]) -> Vec<u8> {
    octets[..verifier::intel_quote_length(octets).unwrap()].to_vec()
}
