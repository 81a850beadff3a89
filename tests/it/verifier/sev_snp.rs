//! Appraisal of SEV-SNP evidence: from hardware (the recorded report in this repository; more where the folder of
//! foreign vectors lies beside it), and from the simulated platform, which can be made wrong in one point at a time.

mod anything;
mod hardware;
mod policy;
mod result;
mod simulated;

use std::sync::{Arc, LazyLock};

use treering::attester::recorded;
use treering::attester::simulated::{Guest, Launch, Platform, Processor};
use treering::verifier::{
    self, Appraisal, AppraisalPolicy, Collateral, Evidence, HardwareRoots, REPORT_BYTES, ReferenceValues,
};

use super::Case;

pub(crate) const BINDING: [u8; 64] = [0x5a; 64];

fn appraise(report: &[u8], collateral: &Collateral, now: u64) -> Appraisal {
    let evidence = Evidence::snp(report.to_vec()).unwrap();
    let policy = AppraisalPolicy::baseline();
    verifier::appraise(
        &evidence,
        collateral,
        &policy,
        &ReferenceValues::none(),
        &HardwareRoots::vendors(),
        now,
    )
}

fn recorded_parts() -> (Vec<u8>, Collateral) {
    let milan = recorded::milan().unwrap();
    (milan.evidence[0].bytes.clone(), Collateral::from_der(milan.endorsements).unwrap())
}

/// The recorded report.
pub(crate) fn example() -> Case {
    let (report, collateral) = recorded_parts();
    Case::of("recorded", verifier::SNP_REPORT, report, collateral, recorded::INSTANT)
}

/// A report of the simulated platform.
pub(crate) fn simulated_case() -> Case {
    let report = guest().report_bytes(&BINDING).unwrap().to_vec();
    Case { roots: roots(), ..Case::of("simulated", verifier::SNP_REPORT, report, certificates(), NOW) }
}

const NOW: u64 = recorded::INSTANT;
const MEASUREMENT: [u8; 48] = [0xa5; 48];

static MILAN: LazyLock<Arc<Platform>> = LazyLock::new(|| platform(Processor::Milan));

fn platform(processor: Processor) -> Arc<Platform> {
    Arc::new(Platform::generate(processor, processor.ordinary_tcb(), NOW).unwrap())
}

fn guest() -> Guest {
    MILAN.guest(Launch::of(MEASUREMENT)).unwrap()
}

fn roots() -> HardwareRoots {
    HardwareRoots::with_simulated([MILAN.root_fingerprint()])
}

/// With its CRL, which a policy requires by default.
fn certificates() -> Collateral {
    without_crl().merged(Collateral::read_crl(MILAN.revocation_list()).unwrap()).unwrap()
}

fn without_crl() -> Collateral {
    Collateral::from_der(MILAN.certificates().to_vec()).unwrap()
}

fn policy(snp: &str) -> AppraisalPolicy {
    let text = format!(
        "version = 1\nname = \"t\"\n[sev_snp]\nrequire_reference_value = false\nrequire_tcb_floor = false\n{snp}"
    );
    AppraisalPolicy::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn simulated(report: &[u8], policy: &AppraisalPolicy) -> Appraisal {
    simulated_with(report, policy, &ReferenceValues::none(), &certificates(), NOW)
}

fn simulated_with(
    report: &[u8],
    policy: &AppraisalPolicy,
    references: &ReferenceValues,
    collateral: &Collateral,
    now: u64,
) -> Appraisal {
    let evidence = Evidence::snp(report.to_vec()).unwrap();
    verifier::appraise(&evidence, collateral, policy, references, &roots(), now)
}

/// A report changed before it is signed: authentic, and wrong in one point.
fn patched(change: impl FnOnce(&mut [u8; REPORT_BYTES])) -> [u8; REPORT_BYTES] {
    let mut report = guest().report_bytes(&BINDING).unwrap();
    change(&mut report);
    MILAN.sign_report(&mut report).unwrap();
    report
}
