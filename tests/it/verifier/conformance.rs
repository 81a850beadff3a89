//! What every kind of evidence must do, whatever it is: one example each, and the same tests for all.

use treering::verifier::{self, Collateral, Evidence, Refused, Verifier};

use super::{Case, assert_affirming, policy_of};

/// One example of each kind that affirms: from hardware where there is one, else from a simulated platform.
pub(super) fn examples() -> Vec<Case> {
    let mut all = vec![
        super::sev_snp::example(),
        super::tdx::example(),
        super::sgx::example(),
        super::attestation_result::example(),
        super::software::example(),
        super::tpm::example(),
        super::azure::example(),
        super::azure::tdx_example(),
        super::nitro::example(),
        super::cca::example(),
    ];
    all.extend(super::nvidia::examples());
    all
}

#[test]
fn every_kind_has_an_example_that_affirms() {
    let examples = examples();
    for (kind, media_type) in verifier::kinds() {
        let case = examples.iter().find(|case| case.evidence.items()[0].media_type() == media_type);
        let case = case.unwrap_or_else(|| panic!("{kind} has no example"));
        assert_eq!(verifier::guess_kind(case.octets()), Some(kind), "{}", case.name);
        let appraisal = case.appraise();
        assert_affirming(&case.name, &appraisal);
        assert_eq!(super::main(&appraisal).kind(), kind);
        let made: Vec<&str> = appraisal.checks().map(verifier::CheckResult::name).collect();
        assert_eq!(Some(made), verifier::checks_of(kind), "{kind}: every check is made and reported");
    }
}

/// The same inputs give the same octets: again, from a cache, and from the collateral as it is logged.
#[test]
fn every_kind_gives_the_same_octets_again() {
    for case in examples() {
        let first = case.appraise();
        assert_eq!(case.appraise(), first, "{}", case.name);
        let logged = Collateral::from_canonical_bytes(&first.collateral().canonical_bytes()).unwrap();
        assert_eq!(logged.digest(), *first.collateral_digest());
        let again = Case { collateral: logged, ..case.clone() }.appraise();
        assert_eq!(again.ear(), first.ear(), "{}: from the logged collateral", case.name);
        let verifier = Verifier::new(case.roots.clone());
        for _ in 0..2 {
            let kept =
                verifier.appraise(&case.evidence, &case.collateral, &case.policy, &case.references, case.now);
            assert_eq!(kept, first, "{}: from the cache", case.name);
        }
    }
}

#[test]
fn every_kind_refuses_what_is_cut_short_or_goes_on() {
    for case in examples() {
        let octets = case.octets().to_vec();
        let step = (octets.len() / 97).max(1);
        for length in (0..octets.len()).step_by(step) {
            let refusal = case.with_octets(octets[..length].to_vec()).appraise().refusal();
            assert!(refusal.is_some(), "{}: {length} octets", case.name);
        }
        for more in [&[0_u8][..], b"\n", &[0xff; 64]] {
            let refusal = case.with_octets([&octets, more].concat()).appraise().refusal();
            assert!(refusal.is_some(), "{}: followed by {more:?}", case.name);
        }
    }
}

/// A thousand octets spread over the evidence, one bit of each.
#[test]
fn every_kind_refuses_changed_octets() {
    for case in examples() {
        let verifier = Verifier::new(case.roots.clone());
        let octets = case.octets().to_vec();
        for at in (0..octets.len()).step_by((octets.len() / 1000).max(1)) {
            let mut changed = octets.clone();
            changed[at] ^= 1 << (at % 8);
            let evidence = case.with_octets(changed).evidence;
            let appraisal =
                verifier.appraise(&evidence, &case.collateral, &case.policy, &case.references, case.now);
            assert!(appraisal.refusal().is_some(), "{}: octet {at:#x}", case.name);
        }
    }
}

#[test]
fn no_kind_takes_the_octets_of_another() {
    let examples = examples();
    for case in &examples {
        for (kind, media_type) in verifier::kinds() {
            if media_type == case.evidence.items()[0].media_type() {
                continue;
            }
            let evidence = Evidence::new([(media_type, case.octets().to_vec())]).unwrap();
            let refusal = Case { evidence, ..case.clone() }.appraise().refusal();
            assert!(refusal.is_some(), "{} taken for {kind}", case.name);
        }
    }
}

/// Left without its section, a policy asks for all that needs no value of its owner's: no kind affirms by default.
#[test]
fn no_kind_passes_a_policy_that_says_nothing() {
    for case in examples() {
        let strict = Case { policy: policy_of(""), ..case.clone() };
        assert!(matches!(strict.appraise().refusal(), Some(Refused::Check { .. })), "{}", case.name);
    }
}
