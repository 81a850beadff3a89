//! Any octets at all, as report, collateral, policy or reference values.

use std::sync::LazyLock;

use proptest::prelude::*;
use treering::verifier::{
    Appraisal, AppraisalPolicy, Collateral, Evidence, REPORT_BYTES, ReferenceValues, Verifier,
};

use super::{BINDING, MILAN, NOW, certificates, guest, roots};

static SHARED: LazyLock<Verifier> = LazyLock::new(|| Verifier::new(roots()));

fn survives(report: Vec<u8>, collateral: &Collateral) -> Appraisal {
    let (policy, none) = (AppraisalPolicy::baseline(), ReferenceValues::none());
    SHARED.appraise(&Evidence::snp(report).unwrap(), collateral, &policy, &none, NOW)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_octets_as_report_panic_or_pass(report in prop::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(survives(report, &certificates()).refusal().is_some());
    }

    #[test]
    fn no_overwritten_report_panics_or_passes(at in 0..REPORT_BYTES, octets in prop::collection::vec(any::<u8>(), 1..64)) {
        let genuine = guest().report_bytes(&BINDING).unwrap();
        let mut report = genuine;
        for (to, from) in report[at..].iter_mut().zip(&octets) {
            *to = *from;
        }
        prop_assert_eq!(survives(report.to_vec(), &certificates()).refusal().is_none(), report == genuine);
    }

    #[test]
    fn no_octets_as_collateral_panic(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
        drop(Collateral::read(&bytes));
        drop(Collateral::from_canonical_bytes(&bytes));
        if let Ok(crl) = Collateral::read_crl(&bytes) {
            let collateral = certificates().merged(crl).unwrap();
            prop_assert!(survives(guest().report_bytes(&BINDING).unwrap().to_vec(), &collateral).refusal().is_some());
        }
    }

    /// A certificate cut short or changed is unreadable, or its chain does not hold.
    #[test]
    fn no_changed_certificate_panics_or_passes(which in 0..3_usize, cut in any::<prop::sample::Index>(), change in any::<Option<(prop::sample::Index, u8)>>()) {
        let mut all = MILAN.certificates().to_vec();
        let original = all.clone();
        let length = all[which].len();
        if let Some((at, to)) = change {
            all[which][at.index(length)] = to;
        } else {
            all[which].truncate(cut.index(length));
        }
        let unchanged = all == original;
        if let Ok(collateral) = Collateral::from_der(all) {
            let appraisal = survives(guest().report_bytes(&BINDING).unwrap().to_vec(), &collateral);
            prop_assert_eq!(appraisal.refusal().is_none(), unchanged);
        }
    }

    #[test]
    fn no_octets_as_policy_or_reference_values_panic(text in ".{0,300}") {
        drop(AppraisalPolicy::parse(text.as_bytes()));
        drop(ReferenceValues::parse(text.as_bytes()));
    }
}
