//! The simulated platform: what is wrong in one point is refused by the check of that point.

use treering::attester::simulated::intel::{
    Enclave, IntelModel, IntelPlatform, IntelStatus, QuotingEnclave, Revoked, Td, TdVersion,
};
use treering::attester::{self, Attester};
use treering::verifier::{self, Assurance, Collateral, Evidence, HardwareRoots};

use super::{BINDING, LENIENT, example, of, td};
use crate::verifier::intel::{
    DAY, NOW, PLATFORM, assert_only, check, not_evaluated, of_items, with_collateral,
};
use crate::verifier::{Case, assert_affirming, assert_refused, main, policy_of};

#[test]
fn a_simulated_platform_is_accepted_only_where_it_is_pinned() {
    for version in [TdVersion::Four, TdVersion::Five] {
        let case = of(&Td { version, ..td() });
        let appraisal = case.appraise();
        assert_affirming("simulated", &appraisal);
        assert_eq!(main(&appraisal).assurance(), Some(Assurance::Simulated));
        assert!(check(&appraisal, "root").detail().starts_with("SIMULATED"));
        assert!(appraisal.matches_binding(&BINDING) && !appraisal.matches_binding(&[0; 64]));
        assert_eq!(main(&appraisal).machine(), Some(&PLATFORM.ppid()[..]));
        assert_eq!(main(&appraisal).generation(), Some("fmspc-90c06f000000"));
        let unpinned = Case { roots: HardwareRoots::vendors(), ..case }.appraise();
        assert_only(&unpinned, "root", "which is not pinned");
        assert!(not_evaluated(&unpinned).contains(&"signature"), "and nothing after it was looked at");
    }
}

#[test]
fn an_attester_hands_over_all_that_a_verifier_needs() {
    let attestation = PLATFORM.guest(td()).report(&BINDING).unwrap();
    let evidence = Evidence::new(attestation.items()).unwrap();
    let collateral = of_items(attestation.endorsements.clone(), attestation.documents.clone());
    assert_affirming("attested", &Case { evidence, collateral, ..example() }.appraise());
    let constants = [
        (attester::TDX_QUOTE, verifier::TDX_QUOTE),
        (attester::SGX_QUOTE, verifier::SGX_QUOTE),
        (attester::TCB_INFO_TYPE, verifier::TCB_INFO_TYPE),
        (attester::ENCLAVE_IDENTITY_TYPE, verifier::ENCLAVE_IDENTITY_TYPE),
        (attester::CRL_TYPE, verifier::CRL_TYPE),
    ];
    assert!(constants.iter().all(|(one, other)| one == other));
}

/// One octet, at an offset from the end of what is signed.
fn damaged(at: usize) -> Case {
    let case = of(&Td { version: TdVersion::Four, ..td() });
    let mut octets = case.octets().to_vec();
    octets[48 + 584 + 4 + at] ^= 1;
    case.with_octets(octets)
}

#[test]
fn each_signature_is_verified() {
    assert_only(&damaged(0).appraise(), "signature", "signature is invalid");
    assert_only(&damaged(64).appraise(), "attestation-key", "hash mismatch");
    assert_only(&damaged(134).appraise(), "qe-report", "invalid for qe_report");
    assert_only(&damaged(134 + 384).appraise(), "qe-report", "invalid for qe_report");
    let mut signed = td().signed_octets(&BINDING);
    signed[100] ^= 1;
    let other = PLATFORM.sign_quote(&signed, &QuotingEnclave::of_td()).unwrap();
    assert_affirming("signed again", &example().with_octets(other).appraise());
}

#[test]
fn the_chain_is_verified() {
    let stranger = IntelPlatform::generate(IntelModel::default(), NOW).unwrap();
    let signed = td().signed_octets(&BINDING);
    let [_, issuer, root] = PLATFORM.chain();
    let [strange, ..] = stranger.chain();
    let enclave = QuotingEnclave::of_td();
    let mixed = PLATFORM.sign_quote_under(&signed, &enclave, [strange, issuer, root]).unwrap();
    assert_refused(&example().with_octets(mixed).appraise(), "chain");
    // The stranger's own, under a root that is not pinned, and under ours.
    let own = stranger.sign_quote(&signed, &enclave).unwrap();
    assert_only(&example().with_octets(own).appraise(), "root", "not pinned");
    let [leaf, issuer, _] = stranger.chain();
    let under = stranger.sign_quote_under(&signed, &enclave, [leaf, issuer, root]).unwrap();
    assert_refused(&example().with_octets(under).appraise(), "chain");
    let without = PLATFORM.sign_quote_under(&signed, &enclave, [root, root, root]).unwrap();
    assert_refused(&example().with_octets(without).appraise(), "format");
}

#[test]
fn documents_are_those_that_the_root_names() {
    let stranger = IntelPlatform::generate(IntelModel::default(), NOW).unwrap();
    let strange = stranger.publish(&stranger.collateral()).unwrap();
    let ours = PLATFORM.publish(&PLATFORM.collateral()).unwrap();
    let mixed = |kind: &str, signer: Vec<u8>| {
        let other = strange.iter().filter(|item| item.media_type == kind).cloned();
        let items = ours.iter().filter(|item| item.media_type != kind).cloned().chain(other).collect();
        Case { collateral: of_items(vec![signer], items), ..example() }
    };
    let signer = || PLATFORM.signer().to_vec();
    let tcb_info = mixed(attester::TCB_INFO_TYPE, signer()).appraise();
    assert_only(&tcb_info, "collateral-signature", "invalid for tcb_info");
    let identity = mixed(attester::ENCLAVE_IDENTITY_TYPE, signer()).appraise();
    assert_only(&identity, "collateral-signature", "invalid for qe_identity");
    assert_only(&mixed("none", stranger.signer().to_vec()).appraise(), "collateral-signature", "");
    assert_refused(&mixed(attester::CRL_TYPE, signer()).appraise(), "revocation");
    let nothing = Case { collateral: Collateral::default(), ..example() }.appraise();
    assert_only(&nothing, "collateral", "the CRL of the root; the certificate of the TCB signing key");
}

/// The octets as served: the same document in another order does not verify.
#[test]
fn a_document_written_anew_does_not_verify() {
    let items = PLATFORM.publish(&PLATFORM.collateral()).unwrap().into_iter().map(|mut item| {
        let text = String::from_utf8_lossy(&item.bytes)
            .replace(r#""id":"TDX","version":3"#, r#""version":3,"id":"TDX""#);
        if item.media_type == attester::TCB_INFO_TYPE {
            item.bytes = text.into_bytes();
        }
        item
    });
    let collateral = of_items(vec![PLATFORM.signer().to_vec()], items.collect());
    assert_refused(&Case { collateral, ..example() }.appraise(), "collateral-signature");
}

#[test]
fn what_is_revoked_or_not_current_is_refused() {
    for revoked in [Revoked::Pck, Revoked::Issuer, Revoked::Signer] {
        let case = with_collateral(&example(), |collateral| collateral.revoked = vec![revoked]);
        assert_only(&case.appraise(), "revocation", "CertRevoked");
    }
    let old = (NOW - 40 * DAY, NOW - 10 * DAY);
    // Not all of one time: at that of the CRLs the documents are old, and the other way round.
    let documents = with_collateral(&example(), |collateral| collateral.current = old).appraise();
    assert_refused(&documents, "validity");
    assert!(check(&documents, "freshness").detail().contains("TCB information of"));
    let crls = with_collateral(&example(), |collateral| collateral.crls_current = old).appraise();
    assert_refused(&crls, "validity");
    assert!(check(&crls, "freshness").detail().contains("CRL of the root"));
    let future = (NOW + DAY, NOW + 10 * DAY);
    let early = with_collateral(&example(), |collateral| collateral.current = future).appraise();
    assert_only(&early, "freshness", "is not the one of that time");
    let expired = Case { now: NOW + 8 * 365 * DAY, ..example() }.appraise();
    assert_refused(&expired, "validity");
    assert!(check(&expired, "validity").detail().contains("the certificate of the PCK expired"));
}

#[test]
fn the_quoting_enclave_is_the_one_of_the_identity() {
    let signer = with_collateral(&example(), |collateral| collateral.quoting_enclave_signer = [7; 32]);
    assert_only(&signer.appraise(), "qe-identity", "QE MRSIGNER");
    let QuotingEnclave(ordinary) = QuotingEnclave::of_td();
    let wrong = [
        (Enclave { isv_prod_id: 9, ..ordinary.clone() }, "QE ISVPRODID"),
        (Enclave { isv_svn: 1, ..ordinary.clone() }, "QE ISVSVN"),
        (Enclave { attributes: (0x17, 0xe7), ..ordinary.clone() }, "Debug mode"),
        (Enclave { attributes: (0x95, 0xe7), ..ordinary }, "QE ATTRIBUTES"),
    ];
    for (enclave, words) in wrong {
        let quote = PLATFORM.sign_quote(&td().signed_octets(&BINDING), &QuotingEnclave(enclave)).unwrap();
        assert_only(&example().with_octets(quote).appraise(), "qe-identity", words);
    }
}

#[test]
fn the_module_is_intels() {
    let case = with_collateral(&example(), |collateral| collateral.module_signer = [9; 48]);
    assert_only(&case.appraise(), "tdx-module", "MRSIGNER mismatch");
    let mut old = td();
    old.tee_tcb_svn[0] = 4;
    assert_only(&of(&old).appraise(), "tdx-module", "below minimum");
    old.tee_tcb_svn[1] = 7;
    assert_only(&of(&old).appraise(), "tdx-module", "TDX_07");
}

#[test]
fn what_a_td_may_not_be_is_refused() {
    const SEPT_VE_DISABLE: u64 = 1 << 28;
    let with = |attributes: u64| of(&Td { attributes, ..td() }).appraise();
    assert_only(&with(SEPT_VE_DISABLE | 1), "debug", "debugging");
    assert_only(&with(SEPT_VE_DISABLE | 0x10), "debug", "profiling");
    let migratable = with(SEPT_VE_DISABLE | 1 << 29);
    assert_only(&migratable, "migration", "elsewhere");
    assert!(check(&migratable, "signature").ok(), "it is genuine");
    assert!(not_evaluated(&migratable).contains(&"tcb-status"), "and what was not reached says so");
    assert_only(&with(0), "td-attributes", "SEPT_VE_DISABLE");
    assert_only(&with(SEPT_VE_DISABLE | 1 << 40), "td-attributes", "reserved");
    let bound = of(&Td { service_td: [3; 48], ..td() });
    assert_only(&bound.appraise(), "service-td", "0303");
    let named = |octet: &str| policy_of(&format!("{LENIENT}service_td = [\"{}\"]\n", octet.repeat(48)));
    assert_affirming("named", &Case { policy: named("03"), ..bound }.appraise());
    // An extended report says what is bound now, whatever was at first.
    let extended = |first: u8, now: u8| {
        of(&Td {
            version: TdVersion::FiveExtended,
            service_td: [first; 48],
            current_service_td: [now; 48],
            ..td()
        })
    };
    assert_affirming("none", &extended(0, 0).appraise());
    assert_only(&extended(0, 4).appraise(), "service-td", "0404");
    assert_only(&extended(3, 0).appraise(), "service-td", "0303");
    assert_affirming("named", &Case { policy: named("04"), ..extended(0, 4) }.appraise());
    assert_only(&Case { policy: named("03"), ..extended(3, 4) }.appraise(), "service-td", "0404");
}

/// Whatever is collateral, the newest current document is taken, and only what was used is logged.
#[test]
fn only_what_was_used_is_logged() {
    let older = with_collateral(&example(), |collateral| {
        collateral.evaluation_number = 17;
        collateral.platform = IntelStatus::of("OutOfDate", NOW - 100 * DAY);
    });
    let both = Case { collateral: older.collateral.merged(example().collateral).unwrap(), ..example() };
    let appraisal = both.appraise();
    assert_affirming("both", &appraisal);
    assert_eq!(appraisal.collateral().documents().len(), 2, "those of TDX, and of the later evaluation");
    assert!(check(&appraisal, "tcb-evaluation").detail().starts_with("number 18"));
}
