//! Appraisal of evidence, kind by kind: from hardware (recorded reports in this repository; more where the folder of
//! foreign vectors lies beside it), and from simulated platforms, which can be made wrong in one point at a time.

pub(crate) mod attestation_result;
mod azure;
mod build;
mod causes;
mod cca;
mod composite;
mod conformance;
mod document;
mod intel;
mod lint;
mod newest;
mod nitro;
mod nvidia;
pub(crate) mod sev_snp;
mod sgx;
mod software;
mod tdx;
pub(crate) mod tokens;
mod tpm;
mod vectors;
mod warm;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use data_encoding::{BASE64, BASE64URL_NOPAD};
use treering::verifier::{
    self, Appraisal, AppraisalPolicy, Collateral, Component, Evidence, HardwareRoots, ReferenceValues,
    Refused, Status, Verifier,
};

/// The folder of foreign vectors; where it must be (in CI), a test without it fails.
pub(crate) fn vectors() -> Option<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors");
    if dir.is_dir() {
        return Some(dir);
    }
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{} is missing", dir.display());
    // Past the capture of what tests print.
    std::io::stderr().write_all(format!("skipped: {} is missing\n", dir.display()).as_bytes()).unwrap();
    None
}

pub(crate) fn read(path: impl AsRef<Path>) -> Vec<u8> {
    std::fs::read(path.as_ref()).unwrap_or_else(|error| panic!("{}: {error}", path.as_ref().display()))
}

/// Any alphabet, padded or not.
pub(crate) fn base64url(text: &str) -> Vec<u8> {
    let text: String = text.trim().trim_end_matches('=').replace('+', "-").replace('/', "_");
    BASE64URL_NOPAD.decode(text.as_bytes()).unwrap_or_else(|_| BASE64.decode(text.as_bytes()).unwrap())
}

/// Collateral of several files.
pub(crate) fn collateral(files: &[Vec<u8>]) -> Collateral {
    let each = files.iter().map(|file| Collateral::read(file).unwrap());
    each.reduce(|one, other| one.merged(other).unwrap()).unwrap_or_default()
}

/// Everything that one appraisal takes.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) evidence: Evidence,
    pub(crate) collateral: Collateral,
    pub(crate) policy: AppraisalPolicy,
    pub(crate) references: ReferenceValues,
    pub(crate) roots: HardwareRoots,
    pub(crate) now: u64,
}

impl Case {
    /// Evidence of one item under the vendors' roots and the baseline policy.
    pub(crate) fn of(
        name: &str,
        media_type: &str,
        octets: Vec<u8>,
        collateral: Collateral,
        now: u64,
    ) -> Self {
        Self {
            name: name.to_owned(),
            evidence: Evidence::new([(media_type, octets)]).unwrap(),
            collateral,
            policy: AppraisalPolicy::baseline(),
            references: ReferenceValues::none(),
            roots: HardwareRoots::vendors(),
            now,
        }
    }

    pub(crate) fn appraise(&self) -> Appraisal {
        let Self { evidence, collateral, policy, references, roots, now, .. } = self;
        verifier::appraise(evidence, collateral, policy, references, roots, *now)
    }

    /// The same with the first item replaced.
    pub(crate) fn with_octets(&self, octets: Vec<u8>) -> Self {
        let mut items: Vec<(String, Vec<u8>)> = Vec::new();
        for item in self.evidence.items() {
            items.push((item.media_type().to_owned(), item.bytes().to_vec()));
        }
        items[0].1 = octets;
        Self { evidence: Evidence::new(items).unwrap(), ..self.clone() }
    }

    pub(crate) fn octets(&self) -> &[u8] {
        self.evidence.items()[0].bytes()
    }
}

/// A policy of these lines after version and name.
pub(crate) fn policy_of(text: &str) -> AppraisalPolicy {
    let text = format!("version = 1\nname = \"t\"\n{text}");
    AppraisalPolicy::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The only component, or the first.
pub(crate) fn main(appraisal: &Appraisal) -> &Component {
    &appraisal.components()[0]
}

pub(crate) fn failed(appraisal: &Appraisal) -> Vec<&'static str> {
    appraisal.checks().filter(|check| check.failed()).map(verifier::CheckResult::name).collect()
}

/// The checks of the first component that hold because a key of the policy asks for less, as its result says: JSON.
pub(crate) fn relaxations(appraisal: &Appraisal) -> String {
    let ear: serde_json::Value = serde_json::from_slice(appraisal.ear()).unwrap();
    ear["submods"][main(appraisal).name()]["ear_verifier_claims"]["relaxations"].to_string()
}

#[track_caller]
pub(crate) fn assert_affirming(name: &str, appraisal: &Appraisal) {
    assert_eq!(appraisal.refusal(), None, "{name}: {:#?}", appraisal.checks().collect::<Vec<_>>());
    assert_eq!(appraisal.status(), Status::Affirming, "{name}");
    appraisal.clone().into_appraised().unwrap();
}

/// The check named refuses it, whatever else may fail after it.
#[track_caller]
pub(crate) fn assert_refused(appraisal: &Appraisal, check: &str) {
    let refusal = appraisal.refusal().unwrap_or_else(|| panic!("not refused by {check}"));
    assert_eq!(refusal.check(), Some(check), "{refusal}");
    assert_eq!(appraisal.clone().into_appraised().unwrap_err(), refusal);
    assert!(failed(appraisal).contains(&check));
}

/// Flips every bit of the first item in a range of octets, one at a time, and has each result refused by a check: what
/// is not signed must be refused as non-canonical. Chains are verified once; both cores work.
pub(crate) fn no_flipped_bit_is_accepted(case: &Case, octets: std::ops::Range<usize>) {
    no_flipped_bit_of_every_nth_octet_is_accepted(case, octets, 1);
}

/// The same for a part of the octets: the whole of long evidence takes long.
pub(crate) fn no_flipped_bit_of_every_nth_octet_is_accepted(
    case: &Case,
    octets: std::ops::Range<usize>,
    step: usize,
) {
    let verifier = Verifier::new(case.roots.clone());
    let appraise = |evidence: &Evidence| {
        verifier.appraise(evidence, &case.collateral, &case.policy, &case.references, case.now)
    };
    assert_eq!(appraise(&case.evidence).refusal(), None, "{}", case.name);
    let flip_all = |octets: std::ops::Range<usize>| {
        for (octet, bit) in octets.step_by(step).flat_map(|octet| (0..8).map(move |bit| (octet, bit))) {
            let mut flipped = case.octets().to_vec();
            flipped[octet] ^= 1 << bit;
            let appraisal = appraise(&case.with_octets(flipped).evidence);
            let refusal = appraisal.refusal();
            assert!(
                matches!(refusal, Some(Refused::Check { .. })),
                "{}: octet {octet:#x}, bit {bit}: {refusal:?}",
                case.name
            );
            assert!(appraisal.into_appraised().is_err());
        }
    };
    let middle = octets.start.midpoint(octets.end);
    std::thread::scope(|scope| {
        scope.spawn(|| flip_all(octets.start..middle));
        flip_all(middle..octets.end);
    });
}
