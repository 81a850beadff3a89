//! Documents of hardware, where the folder of foreign vectors lies beside this repository.

use std::path::Path;

use data_encoding::HEXLOWER;
use treering::verifier::{Assurance, Collateral, NITRO_DOCUMENT, ReferenceValues, Status};

use super::policy::reference;
use super::{BINDING, HOUR, detail};
use crate::verifier::{Case, assert_affirming, assert_refused, failed, main, policy_of, read, vectors};

pub(super) fn real(vectors: &Path) -> [Case; 2] {
    let case = |name: &str, path: &str, now: u64| {
        let octets = read(vectors.join("evidence/nitro").join(path));
        Case::of(name, NITRO_DOCUMENT, octets, Collateral::default(), now)
    };
    [
        case("nitro_attest", "nitro_attest/attestation.cose", 1_736_179_700),
        case("dstack", "dstack/dstack-attest_nitro_attestation.extracted.cose", 1_766_678_660),
    ]
}

#[test]
fn real_documents_are_genuine_at_their_instant() {
    let Some(vectors) = vectors() else { return };
    let [first, second] = real(&vectors);
    for (case, instance, pcr0) in
        [(&first, "i-0bee92034f3d60691", "8bb159f2"), (&second, "i-0827e799ec9232d44", "eb7d0dab")]
    {
        let appraisal = case.appraise();
        assert_affirming(&case.name, &appraisal);
        let component = main(&appraisal);
        assert_eq!(component.assurance(), Some(Assurance::Hardware));
        assert_eq!(component.machine(), Some(instance.as_bytes()));
        assert_eq!(component.claim("instance_id"), Some(instance));
        assert!(component.claims().unwrap()["pcrs"]["0"].as_str().unwrap().starts_with(pcr0));
        assert!(!appraisal.matches_binding(&BINDING), "bound to nothing of ours");
        assert!(appraisal.collateral().is_empty(), "all that it rests on is in the document");
        let day_later = Case { now: case.now + 86_400, ..case.clone() }.appraise();
        assert_refused(&day_later, "validity");
        assert_refused(&Case { now: case.now - HOUR, ..case.clone() }.appraise(), "validity");
    }
    // The second carries 64 octets in user_data: that is the one place of the binding value.
    let carried = HEXLOWER.decode(main(&second.appraise()).claim("user_data").unwrap().as_bytes()).unwrap();
    assert!(second.appraise().matches_binding(&carried.try_into().unwrap()));
}

/// A policy with the defaults, and the parent's instance, which PCR4 measures. No CRL of that time is known: so it is
/// waived, which shows.
#[test]
fn real_documents_pass_a_strict_policy() {
    let Some(vectors) = vectors() else { return };
    for case in real(&vectors) {
        let claims = main(&case.appraise()).claims().unwrap().clone();
        let instance = claims["instance_id"].as_str().unwrap();
        let pcr0 = HEXLOWER.decode(claims["pcrs"]["0"].as_str().unwrap().as_bytes()).unwrap();
        let machine = format!(
            "[[nitro.machine]]\nname = \"ours\"\ninstance_id = \"{instance}\"\n[[waiver]]\ncheck = \"revocation\"\nkind = \"nitro\"\nreason = \"nobody kept the lists\"\nuntil = \"2030-01-01T00:00:00Z\""
        );
        let references = ReferenceValues::new(vec![reference(&[(0, pcr0)])]).unwrap();
        let strict = Case { policy: policy_of(&machine), references, ..case.clone() };
        let appraisal = strict.appraise();
        assert_eq!((appraisal.refusal(), appraisal.status()), (None, Status::Warning), "{}", case.name);
        assert_eq!(failed(&appraisal), ["revocation"]);
        let vector = main(&appraisal).vector();
        assert_eq!((vector.executables, vector.instance_identity, vector.hardware), (2, 2, 32));
    }
}

#[test]
fn other_forms_of_a_real_document_are_refused() {
    let Some(vectors) = vectors() else { return };
    let [case, other] = real(&vectors);
    let octets = case.octets();
    let tagged = case.with_octets([&[0xd2], octets].concat()).appraise();
    assert_refused(&tagged, "format");
    assert!(detail(&tagged, "format").contains("tag 18"));
    // {4: h'00'} in the unprotected header.
    let unprotected = [&octets[..6], &[0xa1, 0x04, 0x41, 0x00], &octets[7..]].concat();
    assert_refused(&case.with_octets(unprotected).appraise(), "canonical");
    // The payload's length in four octets rather than two.
    let long = [&octets[..7], &[0x5a, 0, 0], &octets[8..]].concat();
    assert_refused(&case.with_octets(long).appraise(), "canonical");
    assert_refused(&case.with_octets([octets, &[0]].concat()).appraise(), "canonical");
    let spliced = [&octets[..octets.len() - 96], &other.octets()[other.octets().len() - 96..]].concat();
    assert_refused(&case.with_octets(spliced).appraise(), "signature");
    let scale = read(vectors.join("evidence/nitro/dstack/dstack-attest_nitro_attestation.bin"));
    assert!(case.with_octets(scale).appraise().refusal().is_some(), "with another project's prefix");
}

/// Every seventh octet, and all that is not signed: the whole takes a minute and more in an unoptimised build.
fn flip_some_of(case: &Case) {
    let length = case.octets().len();
    crate::verifier::no_flipped_bit_is_accepted(case, 0..16);
    crate::verifier::no_flipped_bit_is_accepted(case, length - 98..length);
    for at in (16..length - 98).step_by(7) {
        crate::verifier::no_flipped_bit_is_accepted(case, at..at + 1);
    }
}

#[test]
fn flipped_bits_of_a_real_document_are_refused() {
    let Some(vectors) = vectors() else { return };
    flip_some_of(&real(&vectors)[0]);
}

#[test]
fn flipped_bits_of_a_newer_real_document_are_refused() {
    let Some(vectors) = vectors() else { return };
    flip_some_of(&real(&vectors)[1]);
}

#[test]
#[ignore = "soak: every bit of two documents, minutes"]
fn every_flipped_bit_of_real_documents_is_refused() {
    let Some(vectors) = vectors() else { return };
    for case in real(&vectors) {
        crate::verifier::no_flipped_bit_is_accepted(&case, 0..case.octets().len());
    }
}
