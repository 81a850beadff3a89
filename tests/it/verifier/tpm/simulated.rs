//! The simulated TPM: what is wrong in one point is refused by the check of that point.

use data_encoding::HEXLOWER;
use treering::attester::simulated::tpm::{ATTESTATION_KEY_ATTRIBUTES, Attest, CertificateForm, Quote, Tpm};
use treering::attester::{self, Attester};
use treering::verifier::{self, Assurance, Collateral, Evidence, HardwareRoots, Verifier};

use super::{BINDING, DAY, LENIENT, NOW, TPM, attest, case, example, plain};
use crate::verifier::{Case, assert_affirming, assert_refused, failed, main, policy_of};

#[test]
fn a_simulated_quote_counts_where_its_root_is_pinned() {
    for case in [example(), plain()] {
        let appraisal = case.appraise();
        assert_affirming(&case.name, &appraisal);
        assert_eq!(main(&appraisal).assurance(), Some(Assurance::Simulated));
        assert!(appraisal.matches_binding(&BINDING) && !appraisal.matches_binding(&[0x5b; 64]));
        let vendors = Case { roots: HardwareRoots::vendors(), ..case };
        assert_refused(&vendors.appraise(), "root");
    }
    let attestation = TPM.report(&BINDING).unwrap();
    let evidence = Evidence::new(attestation.items()).unwrap();
    let collateral = Collateral::from_der(attestation.endorsements).unwrap();
    let appraisal = Case { evidence, collateral, ..example() }.appraise();
    assert_affirming("attester", &appraisal);
    assert!(appraisal.matches_binding(&BINDING));
    assert_eq!(attester::TPM_QUOTE, verifier::TPM_QUOTE);
}

#[test]
fn a_root_that_the_policy_names_makes_it_software() {
    let root = HEXLOWER.encode(&TPM.root_fingerprint());
    let policy = policy_of(&format!("{LENIENT}[[tpm.root]]\nname = \"maker\"\nsha256 = \"{root}\"\n"));
    let case = Case { policy, roots: HardwareRoots::vendors(), ..example() };
    let appraisal = case.appraise();
    assert_affirming("root", &appraisal);
    assert_eq!(main(&appraisal).assurance(), Some(Assurance::Software));
    assert_eq!(main(&appraisal).vector().hardware, 2, "a maker vouches for it");
    assert_eq!(main(&appraisal).vector().runtime_opaque, 0);
}

/// Signs what `edit` makes of the quote.
fn signed(edit: impl FnOnce(&mut Attest)) -> Case {
    let mut attest = attest();
    edit(&mut attest);
    case(&TPM.quote(&attest).unwrap())
}

/// Leaves the signed part and puts it together otherwise.
fn put_together(edit: impl FnOnce(&mut Quote)) -> Case {
    let mut quote = TPM.quote(&attest()).unwrap();
    edit(&mut quote);
    case(&quote)
}

#[test]
fn what_is_wrong_in_a_signed_quote_is_named() {
    let all = || vec![(0xb, vec![0xff; 3])];
    let cases: Vec<(&str, Case)> = vec![
        ("quote-type", signed(|attest| attest.magic = 0xff54_4348)),
        ("quote-type", signed(|attest| attest.kind = 0x8017)),
        ("quote-type", signed(|attest| attest.kind = 0x801a)),
        ("format", signed(|attest| attest.safe = 2)),
        ("format", signed(|attest| attest.selections = vec![(0xb, vec![0xff; 4])])),
        ("format", signed(|attest| attest.selections = vec![(0xb, vec![0xff; 3]); 9])),
        ("pcr-digest", signed(|attest| attest.pcr_digest[0] ^= 1)),
        ("pcr-digest", signed(|attest| attest.selections = vec![(0xc, vec![0xff; 3])])),
        ("pcr-digest", signed(|attest| attest.selections = [all(), vec![(0xc, vec![0; 3])]].concat())),
        ("pcr-digest", signed(|attest| attest.selections = vec![(0xb, vec![0xff, 0xff, 0x7f])])),
        ("pcr-digest", signed(|attest| attest.selections = Vec::new())),
        ("pcr-digest", put_together(|quote| quote.pcrs.get_mut(&3).unwrap()[0] ^= 1)),
        ("pcr-digest", put_together(|quote| drop(quote.pcrs.remove(&3)))),
        ("pcr-digest", put_together(|quote| quote.pcrs.get_mut(&3).unwrap().push(0))),
        ("format", put_together(|quote| drop(quote.pcrs.insert(24, vec![0; 32])))),
        ("format", put_together(|quote| quote.attest.push(0))),
        ("format", put_together(|quote| quote.signature.push(0))),
        ("format", put_together(|quote| quote.signature[1] = 0x1a)),
        ("format", put_together(|quote| quote.key = None)),
        ("format", put_together(|quote| quote.public = Some(TPM.public()))),
        ("quote-signature", put_together(|quote| quote.signature[3] = 0xc)),
        (
            "quote-signature",
            put_together(|quote| quote.signature = [&[0, 0x14, 0, 0xb, 1, 0][..], &[1; 256]].concat()),
        ),
        ("quote-signature", put_together(|quote| *quote.attest.last_mut().unwrap() ^= 1)),
        ("quote-key", put_together(|quote| quote.key.as_mut().unwrap().push(0))),
        ("quote-key", put_together(|quote| quote.key = Some(vec![0x30, 0]))),
    ];
    for (number, (check, case)) in cases.into_iter().enumerate() {
        let appraisal = case.appraise();
        assert!(failed(&appraisal).contains(&check), "{number}: {:?}", failed(&appraisal));
        assert_refused(&appraisal, check);
    }
}

#[test]
fn a_number_of_a_signature_has_one_form() {
    // r without its first octet, which no TPM of today leaves out, and with one more.
    let stretched = |edit: fn(&mut Vec<u8>)| {
        put_together(|quote| {
            let mut r = quote.signature[6..38].to_vec();
            let s = quote.signature[40..72].to_vec();
            edit(&mut r);
            let length = u16::try_from(r.len()).unwrap().to_be_bytes();
            quote.signature = [&quote.signature[..4], &length, &r, &[0, 32], &s].concat();
        })
    };
    assert_affirming("as it is", &stretched(|_| {}).appraise());
    assert_refused(&stretched(|r| r.insert(0, 0)).appraise(), "quote-signature");
    assert_refused(
        &stretched(|r| {
            r.remove(0);
        })
        .appraise(),
        "quote-signature",
    );
}

#[test]
fn another_encoding_of_the_container_is_refused() {
    let octets = example().octets().to_vec();
    // The map's head in a longer form, indefinite, and with a key too many.
    let pairs = octets[0] & 0x1f;
    let long = [&[0xb8, pairs], &octets[1..]].concat();
    assert_refused(&example().with_octets(long).appraise(), "canonical");
    let indefinite = [&[0xbf], &octets[1..], &[0xff]].concat();
    assert_refused(&example().with_octets(indefinite).appraise(), "canonical");
    let more = [&[0xa0 | (pairs + 1)], &octets[1..], &[0x69], &b"unknownxx"[..], &[0]].concat();
    assert_refused(&example().with_octets(more).appraise(), "format");
    let trailing = [octets.as_slice(), &[0]].concat();
    assert_refused(&example().with_octets(trailing).appraise(), "canonical");
}

#[test]
fn the_attributes_of_the_key_are_bound_and_judged() {
    // Every attribute that must be set, left out; and one that must not be.
    for attributes in [1 << 1, 1 << 4, 1 << 5, 1 << 16, 1 << 18]
        .map(|bit| ATTESTATION_KEY_ATTRIBUTES & !bit)
        .into_iter()
        .chain([ATTESTATION_KEY_ATTRIBUTES | 1 << 17])
    {
        let mut tpm = Tpm::generate(NOW).unwrap();
        tpm.set_attributes(attributes);
        let quote = tpm.quote_with_public(&tpm.attest(&[])).unwrap();
        let case = Case {
            collateral: Collateral::from_der(tpm.certificates().to_vec()).unwrap(),
            roots: HardwareRoots::with_simulated([tpm.root_fingerprint()]),
            ..case(&quote)
        };
        assert_eq!(failed(&case.appraise()), ["key-attributes"], "{attributes:#x}");
    }
    // Whoever has the quote cannot say something else of the key, nor of its parent.
    let quote = TPM.quote_with_public(&attest()).unwrap();
    let mut public = TPM.public();
    public[7] |= 0x80;
    let other = Quote { public: Some(public), ..quote.clone() };
    assert_refused(&case(&other).appraise(), "key-attributes");
    let other = Quote { parent: Some(vec![0x40, 0, 0, 1]), ..quote.clone() };
    assert_refused(&case(&other).appraise(), "key-attributes");
    let other = Quote { parent: Some(vec![0; 5]), ..quote };
    assert_refused(&case(&other).appraise(), "key-attributes");
}

/// A key that would sign anything signs what its holder wrote: neither a certificate for signatures nor a public area of the
/// holder's own making says that it is an attestation key.
#[test]
fn a_key_under_a_root_must_be_certified_for_attestation() {
    let ordinary = CertificateForm::ordinary(NOW - DAY, NOW + DAY);
    let for_signatures = CertificateForm { for_attestation: false, ..ordinary };
    let root = HEXLOWER.encode(&TPM.root_fingerprint());
    let rules = |more: &str| {
        policy_of(&format!("{LENIENT}{more}[[tpm.root]]\nname = \"maker\"\nsha256 = \"{root}\"\n"))
    };
    let with = |case: Case, form: &CertificateForm, more: &str| {
        let certificates = vec![TPM.certificates()[0].clone(), TPM.certificate(form).unwrap()];
        let collateral = Collateral::from_der(certificates).unwrap();
        Case { collateral, policy: rules(more), roots: HardwareRoots::vendors(), ..case }.appraise()
    };
    for case in [example(), plain()] {
        assert_affirming("certified", &with(case.clone(), &ordinary, ""));
        let refused = with(case, &for_signatures, "");
        assert_eq!(failed(&refused), ["key-attributes"]);
        assert_eq!(main(&refused).vector().hardware, 99);
    }
    // The owner may take the word of the public area, and then there must be one; the result says so.
    let lenient = "require_key_purpose = false\n";
    assert_eq!(failed(&with(plain(), &for_signatures, lenient)), ["key-attributes"]);
    let relaxed = with(example(), &for_signatures, lenient);
    assert_affirming("relaxed", &relaxed);
    let check = relaxed.checks().find(|check| check.name() == "key-attributes").unwrap();
    assert_eq!(check.relaxed(), Some("require_key_purpose"));
    // Under a simulated root it is the same, and a key that the policy names needs no certificate.
    let simulated = Case {
        collateral: Collateral::from_der([
            TPM.certificates()[0].clone(),
            TPM.certificate(&for_signatures).unwrap(),
        ])
        .unwrap(),
        ..plain()
    };
    assert_eq!(failed(&simulated.appraise()), ["key-attributes"]);
    let key = HEXLOWER.encode(&verifier::fingerprint(&TPM.spki()));
    let named = format!("{LENIENT}[[tpm.attestation_key]]\nname = \"host\"\nspki_sha256 = \"{key}\"\n");
    assert_affirming("named", &Case { policy: policy_of(&named), ..simulated }.appraise());
}

/// A key that the policy names has no chain: whoever has one, and sends ever other collateral along, takes no place of those
/// that do.
#[test]
fn a_key_that_the_policy_names_pushes_no_chain_out_of_what_is_kept() {
    let key = HEXLOWER.encode(&verifier::fingerprint(&TPM.spki()));
    let named = format!("{LENIENT}[[tpm.attestation_key]]\nname = \"host\"\nspki_sha256 = \"{key}\"\n");
    let (rooted, named) = (plain(), Case { policy: policy_of(&named), ..plain() });
    let verifier = Verifier::with_capacity(rooted.roots.clone(), 1);
    let appraise = |case: &Case| {
        let Case { evidence, collateral, policy, references, now, .. } = case;
        assert_affirming(&case.name, &verifier.appraise(evidence, collateral, policy, references, *now));
        verifier.kept_chains()
    };
    assert_eq!(appraise(&named), 0);
    assert_eq!(appraise(&Case { collateral: Collateral::default(), ..named }), 0);
    assert_eq!(appraise(&rooted), 1);
}

#[test]
fn certificates_of_the_key_are_judged() {
    let with = |form: &CertificateForm, now: u64| {
        let certificates = vec![TPM.certificates()[0].clone(), TPM.certificate(form).unwrap()];
        Case { collateral: Collateral::from_der(certificates).unwrap(), now, ..plain() }.appraise()
    };
    let good = CertificateForm::ordinary(NOW - DAY, NOW + DAY);
    assert_affirming("good", &with(&good, NOW));
    assert_refused(&with(&good, NOW + 2 * DAY), "validity");
    assert_refused(&with(&CertificateForm { from: NOW + 60, ..good }, NOW), "validity");
    assert_refused(&with(&CertificateForm { usage: 0x04, ..good }, NOW), "endorsement");
    assert_refused(&with(&CertificateForm { authority: true, ..good }, NOW), "endorsement");
    assert_refused(&with(&CertificateForm { critical: true, ..good }, NOW), "endorsement");
    let collateral = |certificates: Vec<Vec<u8>>| Collateral::from_der(certificates).unwrap();
    let [root, own] = TPM.certificates().clone();
    let other = Tpm::generate(NOW).unwrap();
    let [other_root, other_key] = other.certificates().clone();
    for (check, certificates) in [
        ("endorsement", vec![]),
        ("endorsement", vec![root.clone()]),
        ("endorsement", vec![root, other_key]),
        ("chain", vec![own.clone()]),
        // The names are the same, the key is not.
        ("chain", vec![own, other_root]),
    ] {
        let case = Case { collateral: collateral(certificates), ..plain() };
        assert_refused(&case.appraise(), check);
    }
}
