//! Which check a refusal of `dcap-qvl` is put to follows from its text (`CAUSES` in `src/verifier/kinds/intel/verdict.rs`).
//! Each text of that table is made to come about here, by evidence or collateral that is wrong in one point, or is named
//! with why it cannot: a release of the crate that words one otherwise fails here.

use std::collections::BTreeSet;
use std::path::Path;

use treering::attester;
use treering::attester::simulated::intel::{
    Enclave, IntelModel, IntelPlatform, IntelStatus, QuotingEnclave, Revoked, Td, TdVersion, measure,
};
use treering::verifier::{Collateral, Document, TDX_QUOTE};

use super::intel::{self, DAY, NOW, PLATFORM, check, not_evaluated, of_items, with_collateral};
use super::{Case, failed, read, sgx, tdx};

const TCB_INFO: &str = attester::TCB_INFO_TYPE;
const IDENTITY: &str = attester::ENCLAVE_IDENTITY_TYPE;

/// Texts that do not come about, or are not shown, since something here looks first.
const UNSEEN: &[(&str, &str)] = &[
    ("CertExpired", "validity reads the dates of the certificates itself, and says which one it is"),
    ("CertNotValidYet", "the same"),
    ("TCB Info issue date", "a document without dates is none: the check collateral"),
    ("TCB Info next update", "the same"),
    ("QE Identity issue date", "the same"),
    ("QE Identity next update", "the same"),
    ("TCBInfo issue date is in the future", "it is judged at the instant of the newest document: freshness"),
    ("QE Identity issue date is in the future", "the same"),
    ("Failed to load root ca", "the root is read, and its fingerprint is pinned, before"),
    ("UnknownRevocationStatus", "lists are taken by their issuers' names, and both are there"),
    ("TCB Info signer", "only certificates that the root issued are taken for signers"),
    ("QE Identity signer", "the same"),
    ("chain is too short for TCB Info", "without a signer the collateral is not complete"),
    ("chain is too short for QE Identity", "the same"),
    ("TCB Info leaf", "a signer is a certificate that was read before"),
    ("QE Identity leaf", "the same"),
    ("PCK cert", "the certificates of a quote are read before: format"),
    ("chain is too short in quote", "the same"),
    ("Intel extension", "the same"),
    ("decode QE report", "it has a fixed length"),
    ("QE auth data", "lengths are judged before: canonical"),
    ("signed quote scope", "the same"),
    ("Fmspc mismatch", "TCB information of another family is not taken: the check collateral"),
    ("TCB FMSPC", "the same"),
    ("SERVTD_EXT", "the crate is told to let service TDs pass; service-td judges them"),
    ("MR service TD", "the same"),
    ("for claims", "lists are read before; what of them is read only then is the number"),
    ("CRL number", "simulated authorities give every list one, and the real ones' are not to be signed here"),
];

/// Every document of this type with this in its body replaced, signed again or not.
fn edited(case: &Case, media_type: &'static str, from: &str, to: &str, sign: bool) -> Case {
    let mut changed = 0;
    let documents = case.collateral.documents().iter().map(|document| {
        let text = std::str::from_utf8(&document.bytes).unwrap();
        if document.media_type != media_type || !text.contains(from) {
            return document.clone();
        }
        changed += 1;
        let text = text.replace(from, to);
        let (_, body) = text.split_once(':').unwrap();
        let (body, _) = body.rsplit_once(",\"signature\"").unwrap();
        let bytes = if sign {
            PLATFORM.sign_document(media_type, body).unwrap().bytes
        } else {
            text.clone().into_bytes()
        };
        Document { media_type: media_type.to_owned(), bytes }
    });
    let documents: Vec<Document> = documents.collect();
    assert!(changed > 0, "{from:?} is not in the documents");
    let collateral =
        Collateral::new(case.collateral.certificates().to_vec(), case.collateral.crls().to_vec());
    Case { collateral: collateral.unwrap().with_documents(documents).unwrap(), ..case.clone() }
}

fn of(td: &Td) -> Case {
    intel::simulated(TDX_QUOTE, PLATFORM.quote_td(td, &[0; 64]).unwrap())
}

fn td() -> Td {
    Td::of(measure(b"firmware"))
}

/// A quote by a quoting enclave that is another than Intel's in one point.
fn under(change: impl FnOnce(&mut Enclave)) -> Case {
    let QuotingEnclave(mut enclave) = QuotingEnclave::of_td();
    change(&mut enclave);
    let quote = PLATFORM.sign_quote(&td().signed_octets(&[0; 64]), &QuotingEnclave(enclave)).unwrap();
    intel::simulated(TDX_QUOTE, quote)
}

/// A quote with one octet changed, at an offset from the end of what is signed.
fn damaged(at: usize) -> Case {
    let case = of(&Td { version: TdVersion::Four, ..td() });
    let mut octets = case.octets().to_vec();
    octets[48 + 584 + 4 + at] ^= 1;
    case.with_octets(octets)
}

/// The lists of another platform of the same names, from this one on.
fn lists_of_another(which: usize) -> Case {
    let other = IntelPlatform::generate(IntelModel::default(), NOW).unwrap();
    let mut items = PLATFORM.publish(&PLATFORM.collateral()).unwrap();
    items[which] = other.publish(&other.collateral()).unwrap().remove(which);
    Case { collateral: of_items(vec![PLATFORM.signer().to_vec()], items), ..of(&td()) }
}

/// A list of the PCK's issuer that names another algorithm inside than outside.
fn list_of_two_algorithms() -> Case {
    const ECDSA_SHA256: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
    let mut items = PLATFORM.publish(&PLATFORM.collateral()).unwrap();
    let list = &mut items[1].bytes;
    let at = list.windows(ECDSA_SHA256.len()).position(|window| window == ECDSA_SHA256).unwrap();
    list[at + ECDSA_SHA256.len() - 1] = 3;
    Case { collateral: of_items(vec![PLATFORM.signer().to_vec()], items), ..of(&td()) }
}

/// A text, the check that it is put to, and what makes it come about.
fn shown() -> Vec<(&'static str, &'static str, Case)> {
    let case = of(&td());
    let info = |from: &str, to: &str| edited(&case, TCB_INFO, from, to, true);
    let identity = |from: &str, to: &str| edited(&case, IDENTITY, from, to, true);
    let with = |change: fn(&mut attester::simulated::intel::IntelCollateral)| with_collateral(&case, change);
    let old = |case: &Case, media_type| {
        let dates = |(from, until): (u64, u64)| {
            let date = |at| treering::clock::rfc3339(at);
            format!("\"issueDate\":\"{}\",\"nextUpdate\":\"{}\"", date(from), date(until))
        };
        let ordinary = dates(PLATFORM.collateral().current);
        edited(case, media_type, &ordinary, &dates((NOW - 40 * DAY, NOW - 10 * DAY)), true)
    };
    let mut late = td();
    late.current_tcb_svn[0] = 1;
    vec![
        ("CrlExpired", "validity", with(|one| one.crls_current = (NOW - 40 * DAY, NOW - 10 * DAY))),
        ("TCBInfo expired", "validity", old(&case, TCB_INFO)),
        ("QE Identity expired", "validity", old(&case, IDENTITY)),
        ("root CA CRL", "revocation", lists_of_another(0)),
        ("PCK CRL", "revocation", list_of_two_algorithms()),
        ("Crl", "revocation", lists_of_another(1)),
        ("CertRevoked", "revocation", with(|one| one.revoked = vec![Revoked::Pck])),
        ("decode TcbInfo", "collateral", info("\"tcbLevels\"", "\"levels\"")),
        (
            "invalid for tcb_info",
            "collateral-signature",
            edited(&case, TCB_INFO, "UpToDate", "OutOfDate", false),
        ),
        ("decode QeIdentity", "collateral", identity("\"isvprodid\"", "\"prodid\"")),
        (
            "invalid for qe_identity",
            "collateral-signature",
            edited(&case, IDENTITY, "UpToDate", "OutOfDate", false),
        ),
        ("Unsupported QE Identity", "collateral", identity("\"version\":2", "\"version\":9")),
        ("invalid for qe_report", "qe-report", damaged(134)),
        ("QE report hash", "attestation-key", damaged(64)),
        ("QE MRSIGNER", "qe-identity", with(|one| one.quoting_enclave_signer = [7; 32])),
        ("QE report validation", "qe-identity", under(|enclave| enclave.attributes = (0x17, 0xe7))),
        ("QE ISVPRODID", "qe-identity", under(|enclave| enclave.isv_prod_id = 9)),
        (
            "QE MISCSELECT",
            "qe-identity",
            identity("\"miscselect\":\"00000000\"", "\"miscselect\":\"00000001\""),
        ),
        ("QE ATTRIBUTES", "qe-identity", under(|enclave| enclave.attributes = (0x95, 0xe7))),
        ("QE ISVSVN", "qe-identity", under(|enclave| enclave.isv_svn = 1)),
        ("in QE Identity", "qe-identity", identity("\"UpToDate\"", "\"SWHardeningNeeded\"")),
        ("ISV enclave report signature", "signature", damaged(0)),
        ("current TDX TCB", "tcb-level", of(&late)),
        ("Revoked", "tcb-level", with(|one| one.platform = IntelStatus::of("Revoked", NOW))),
        ("TDX module", "tdx-module", with(|one| one.module_signer = [9; 48])),
        ("tdxModule", "tdx-module", info("\"mrsigner\":\"0000", "\"mrsigner\":\"00")),
        ("TCB info in the collateral", "tcb-level", info("\"version\":3", "\"version\":2")),
        ("No matching TCB level", "tcb-level", with(|one| one.pce_svn += 1)),
        (
            "component count mismatch",
            "tcb-level",
            info("\"sgxtcbcomponents\":[{\"svn\":5},", "\"sgxtcbcomponents\":["),
        ),
        ("in TCB Info", "tcb-level", with(|one| one.platform = IntelStatus::of("TDRelaunchAdvised", NOW))),
    ]
}

#[test]
fn each_text_of_dcap_qvl_is_put_to_its_check() {
    for (text, name, case) in shown() {
        let appraisal = case.appraise();
        assert!(failed(&appraisal).contains(&name), "{text}: {:#?}", appraisal.checks().collect::<Vec<_>>());
        let detail = check(&appraisal, name).detail();
        assert!(detail.contains(text), "{text}: {detail}");
    }
}

/// What a TD may not be, the crate stops at and a check of its own says; what comes after was not reached, and says so.
const OF_TDS: [(&str, &str, u64); 3] = [
    ("TD migration", "migration", 1 << 28 | 1 << 29),
    ("TD attributes", "td-attributes", 1 << 28 | 1 << 40),
    ("SEPT_VE_DISABLE", "td-attributes", 0),
];

#[test]
fn attributes_that_stop_the_crate_are_said_by_checks_of_their_own() {
    for (text, name, attributes) in OF_TDS {
        let appraisal = of(&Td { attributes, ..td() }).appraise();
        assert_eq!(failed(&appraisal), [name], "{text}");
        assert!(check(&appraisal, "signature").ok() && check(&appraisal, "tcb-level").ok(), "{text}");
        assert!(not_evaluated(&appraisal).contains(&"tcb-status"), "{text}");
    }
}

/// A date that cannot be read: of a level, of a module's, and of an enclave's platform, where the crate words it otherwise.
#[test]
fn dates_of_levels_that_cannot_be_read_are_put_to_their_checks() {
    let of_level = "\"tcbStatus\":\"UpToDate\",\"advisoryIDs\":[]}]}";
    let date = format!("\"tcbDate\":\"{}\",", treering::clock::rfc3339(PLATFORM.collateral().platform.date));
    let changed = |case: &Case, tail: &str| {
        edited(case, TCB_INFO, &format!("{date}{tail}"), &format!("\"tcbDate\":\"soon\",{tail}"), true)
    };
    for (case, tail, name, words) in [
        (tdx::example(), format!("{of_level},\"signature\""), "tcb-level", "Invalid TCB level tcbDate"),
        (sgx::example(), format!("{of_level},\"signature\""), "tcb-level", "platform TCB date"),
        (tdx::example(), format!("{of_level}],\"tcbLevels\""), "tdx-module", "Invalid TDX module tcbDate"),
    ] {
        let appraisal = changed(&case, &tail).appraise();
        assert_eq!(failed(&appraisal).first(), Some(&name), "{:#?}", appraisal.checks().collect::<Vec<_>>());
        assert!(check(&appraisal, name).detail().contains(words));
    }
}

/// The table in the sources, whole: what is in it is shown here, or is said why not.
#[test]
fn every_text_of_the_table_is_shown_or_said_why_not() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/verifier/kinds/intel/verdict.rs");
    let source = String::from_utf8(read(path)).unwrap();
    let (_, table) = source.split_once("const CAUSES").unwrap();
    let (table, _) = table.split_once("];").unwrap();
    let rows = table.lines().filter_map(|line| line.trim().strip_prefix("(\"")?.split('"').next());
    let rows: BTreeSet<&str> = rows.collect();
    let shown = shown();
    let here = shown.iter().map(|(text, ..)| *text).chain(UNSEEN.iter().map(|(text, _)| *text));
    let elsewhere = OF_TDS.iter().map(|(text, ..)| *text).chain(["tcbDate", "platform TCB date"]);
    let here: BTreeSet<&str> = here.chain(elsewhere).collect();
    assert_eq!(rows, here);
    assert!(rows.len() > 50);
}
