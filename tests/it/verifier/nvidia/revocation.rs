//! What authorities say of the certificates that they issued: lists, and answers by OCSP.

use treering::attester::simulated::nvidia::{Device, Model, Said};
use treering::verifier::{self, Collateral, Document};

use super::{GPU, NOW, SWITCH, case_of};
use crate::verifier::{Case, assert_affirming, assert_refused, main, policy_of};

#[test]
fn a_crl_counts_where_it_is_given() {
    let case = case_of("simulated GPU", &GPU);
    let with =
        |crls: Vec<Vec<u8>>| Case { collateral: Collateral::new(vec![], crls).unwrap(), ..case.clone() };
    let (from, until) = (NOW - 3600, NOW + 86_400);
    for position in 1..4 {
        let good = with(vec![GPU.crl(position, false, from, until).unwrap()]).appraise();
        assert_affirming("good", &good);
        assert_eq!(good.collateral().crls().len(), 1);
        assert_refused(&with(vec![GPU.crl(position, true, from, until).unwrap()]).appraise(), "revocation");
        assert_refused(
            &with(vec![GPU.crl(position, false, from - 9, from).unwrap()]).appraise(),
            "revocation",
        );
    }
    // Of another device's authorities: not about this chain, and not kept.
    let foreign = with(vec![SWITCH.crl(2, true, from, until).unwrap()]).appraise();
    assert_affirming("another chain's", &foreign);
    assert!(foreign.collateral().crls().is_empty());
    // The names of one device's, signed by another's.
    let other = Device::generate(Model::Gh100, NOW).unwrap();
    assert_refused(&with(vec![other.crl(2, false, from, until).unwrap()]).appraise(), "revocation");
    assert_refused(&with(vec![vec![0x30, 0]]).appraise(), "revocation");
}

pub(super) fn with_answers(case: &Case, answers: Vec<Vec<u8>>) -> Case {
    let document = |bytes| Document { media_type: verifier::OCSP_RESPONSE.to_owned(), bytes };
    let documents = answers.into_iter().map(document).collect();
    Case { collateral: Collateral::default().with_documents(documents).unwrap(), ..case.clone() }
}

#[test]
fn an_ocsp_response_counts_where_it_is_given() {
    let case = case_of("simulated GPU", &GPU);
    let (from, until) = (NOW - 3600, NOW + 86_400);
    let said =
        |position, said| with_answers(&case, vec![GPU.ocsp(position, said, from, until).unwrap()]).appraise();
    for position in 1..4 {
        assert_affirming("good", &said(position, Said::Good));
        for bad in [Said::Revoked(6), Said::Revoked(1), Said::Unknown] {
            assert_refused(&said(position, bad), "revocation");
        }
    }
    let held = said(1, Said::Revoked(6)).refusal().unwrap().to_string();
    assert!(held.contains("on hold"), "{held}");
    let late = with_answers(&case, vec![GPU.ocsp(1, Said::Good, from - 9, from).unwrap()]);
    assert_refused(&late.appraise(), "revocation");
    // Signed by an authority that has no say about this certificate.
    let usurped = with_answers(&case, vec![GPU.ocsp_of(1, 3, Said::Good, from, until).unwrap()]);
    assert_refused(&usurped.appraise(), "revocation");
    // By a responder that the issuer certified for it, and by one that it certified for something else.
    for (chosen, said, refused) in
        [(true, Said::Good, false), (true, Said::Revoked(6), true), (false, Said::Good, true)]
    {
        let answer = GPU.ocsp_by_responder(1, chosen, said, from, until).unwrap();
        let appraisal = with_answers(&case, vec![answer]).appraise();
        if refused {
            assert_refused(&appraisal, "revocation");
        } else {
            assert_affirming("by a responder", &appraisal);
        }
    }
    let foreign =
        with_answers(&case, vec![SWITCH.ocsp(1, Said::Revoked(6), from, until).unwrap()]).appraise();
    assert_affirming("another chain's", &foreign);
    assert!(foreign.collateral().documents().is_empty());
    assert_refused(&with_answers(&case, vec![vec![0x30, 0]]).appraise(), "revocation");
    // A word about each certificate between leaf and root satisfies the strictest policy, and is what is logged.
    let strict = policy_of("[nvidia_gpu]\nrequire_reference_value = false\n");
    let all: Vec<Vec<u8>> =
        (1..4).map(|position| GPU.ocsp(position, Said::Good, from, until).unwrap()).collect();
    let two = Case { policy: strict.clone(), ..with_answers(&case, all[..2].to_vec()) };
    assert_refused(&two.appraise(), "revocation");
    let three = Case { policy: strict, ..with_answers(&case, all) }.appraise();
    assert_affirming("all", &three);
    assert_eq!(three.collateral().documents().len(), 3);
}

/// A waiver lets pass that nobody says anything; what is said counts.
#[test]
fn a_waiver_of_revocation_is_none_of_what_is_revoked() {
    let policy = policy_of(
        "[nvidia_gpu]\nrequire_reference_value = false\n[[waiver]]\ncheck = \"revocation\"\nkind = \"nvidia-gpu\"\nreason = \"r\"\nuntil = \"2030-01-01T00:00:00Z\"\n",
    );
    let case = Case { policy, ..case_of("simulated GPU", &GPU) };
    let silent = case.appraise();
    assert_eq!((silent.refusal(), main(&silent).vector().hardware), (None, 32));
    let answer = GPU.ocsp(1, Said::Revoked(6), NOW - 3600, NOW + 86_400).unwrap();
    let held = with_answers(&case, vec![answer]).appraise();
    assert_refused(&held, "revocation");
    assert_eq!(main(&held).vector().hardware, 96);
}

#[test]
fn flipped_bits_of_an_ocsp_response_are_refused_or_about_nothing() {
    let case = case_of("simulated GPU", &GPU);
    let answer = GPU.ocsp(1, Said::Revoked(6), NOW - 3600, NOW + 86_400).unwrap();
    let strict = policy_of("[nvidia_gpu]\nrequire_reference_value = false\n");
    for at in 0..answer.len() {
        let mut flipped = answer.clone();
        flipped[at] ^= 1 << (at % 8);
        let appraisal = Case { policy: strict.clone(), ..with_answers(&case, vec![flipped]) }.appraise();
        assert_refused(&appraisal, "revocation");
    }
}
