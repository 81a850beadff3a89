//! The simulated platform: what is wrong in one point is refused by the check of that point.

use ciborium::Value;
use data_encoding::HEXLOWER;
use treering::attester;
use treering::attester::simulated::nitro::Hierarchy;
use treering::verifier::{self, AppraisalPolicy, Assurance, Collateral, HardwareRoots, NITRO_DOCUMENT};

use super::hardware::real;
use super::{
    BINDING, HOUR, NOW, PLATFORM, case_of, detail, enclave, encode, example, image, patched, pcrs, platform,
    put, roots_of, signed,
};
use crate::verifier::{Case, assert_refused, failed, main, vectors};

#[track_caller]
fn assert_format(case: &Case, reason: &str) {
    let appraisal = case.appraise();
    assert_refused(&appraisal, "format");
    assert!(detail(&appraisal, "format").contains(reason), "{}", detail(&appraisal, "format"));
}

#[test]
fn a_simulated_platform_is_accepted_only_where_it_is_pinned() {
    let case = example();
    let appraised = case.appraise().into_appraised().unwrap();
    assert_eq!(appraised.assurance(), Assurance::Simulated);
    assert!(appraised.matches_binding(&BINDING) && !appraised.matches_binding(&[0; 64]));
    assert_eq!(main(appraised.appraisal()).machine(), Some(PLATFORM.instance_id().as_bytes()));
    assert_eq!(main(appraised.appraisal()).vector().runtime_opaque, 0, "nothing is said about memory");
    let elsewhere = Case { roots: HardwareRoots::vendors(), ..case.clone() }.appraise();
    assert_refused(&elsewhere, "root");
    assert_eq!(main(&elsewhere).assurance(), None);
    assert_refused(&Case { roots: HardwareRoots::with_simulated([[0; 32]]), ..case }.appraise(), "root");
    assert_eq!(attester::NITRO_DOCUMENT, NITRO_DOCUMENT);
    assert!(verifier::vendor_roots().any(|(name, _)| name == "aws-nitro-enclaves-g1"));
}

/// What the simulation writes is what hardware writes, octet for octet, where it is not a value.
#[test]
fn a_simulated_document_has_the_form_of_a_real_one() {
    let Some(vectors) = vectors() else { return };
    let [real, _] = real(&vectors);
    let shape = |octets: &[u8]| {
        let parts: Value = ciborium::from_reader(octets).unwrap();
        let parts = parts.into_array().unwrap();
        let payload: Value = ciborium::from_reader(parts[2].as_bytes().unwrap().as_slice()).unwrap();
        let fields: Vec<String> =
            payload.as_map().unwrap().iter().map(|(key, _)| key.as_text().unwrap().to_owned()).collect();
        (octets[..7].to_vec(), parts[3].as_bytes().unwrap().len(), parts[2].as_bytes().unwrap()[0], fields)
    };
    assert_eq!(shape(example().octets()), shape(real.octets()));
}

type Change = fn(&mut Vec<(Value, Value)>);

#[test]
fn what_is_wrong_in_a_signed_document_is_named() {
    assert_eq!(patched(|_| {}).appraise().refusal(), None);
    let cases: &[(&str, Change)] = &[
        ("module_id has", |fields| put(fields, "module_id", "")),
        ("module_id has", |fields| put(fields, "module_id", "x".repeat(129))),
        ("digest is not SHA384", |fields| put(fields, "digest", "SHA512")),
        ("timestamp is zero", |fields| put(fields, "timestamp", 0)),
        ("unsigned integer", |fields| put(fields, "timestamp", -1)),
        ("pcrs are missing", |fields| fields.retain(|(key, _)| key.as_text() != Some("pcrs"))),
        ("there are no PCRs", |fields| pcrs(fields).clear()),
        ("PCR3 has 32 octets", |fields| pcrs(fields)[3].1 = Value::Bytes(vec![0; 32])),
        ("unknown entry 32", |fields| pcrs(fields).push((32.into(), Value::Bytes(vec![0; 48])))),
        ("pcrs have 0 twice", |fields| pcrs(fields)[1].0 = 0.into()),
        ("certificate has 0 octets", |fields| put(fields, "certificate", Value::Bytes(vec![]))),
        ("certificate has 1025 octets", |fields| put(fields, "certificate", Value::Bytes(vec![0; 1025]))),
        ("cabundle has 1 to 5", |fields| put(fields, "cabundle", Value::Array(vec![]))),
        ("cabundle has 1 to 5", |fields| put(fields, "cabundle", vec![Value::Bytes(vec![1]); 6])),
        ("of cabundle has 1025", |fields| put(fields, "cabundle", vec![Value::Bytes(vec![1; 1025])])),
        ("public_key has 1 to 1024", |fields| put(fields, "public_key", Value::Bytes(vec![]))),
        ("public_key has 1 to 1024", |fields| put(fields, "public_key", Value::Bytes(vec![1; 1025]))),
        ("user_data has 0 to 512", |fields| put(fields, "user_data", Value::Bytes(vec![1; 513]))),
        ("nonce has 0 to 512", |fields| put(fields, "nonce", Value::Bytes(vec![1; 513]))),
        ("nonce is a byte string", |fields| put(fields, "nonce", "text")),
        ("at most 9 entries", |fields| fields.push(("more".into(), 1.into()))),
        ("unknown entry \"more\"", |fields| fields[8] = ("more".into(), 1.into())),
        ("NitroTPM", |fields| {
            let (key, _) = fields.iter_mut().find(|(key, _)| key.as_text() == Some("pcrs")).unwrap();
            *key = "nitrotpm_pcrs".into();
        }),
    ];
    for (reason, change) in cases {
        assert_format(&patched(change), reason);
    }
    let mut twice = enclave().fields(&BINDING);
    twice[8] = twice[0].clone();
    assert_format(&signed(&encode(&Value::Map(twice))), "\"module_id\" twice");
    let payload = encode(&Value::Map(enclave().fields(&BINDING)));
    assert_format(&signed(&[payload.as_slice(), &[0]].concat()), "follow the CBOR item");
    // Inside the signature any encoding will do: some hardware writes a map of indefinite length.
    let indefinite = [&[0xbf], &payload[1..], &[0xff]].concat();
    assert_eq!(signed(&indefinite).appraise().refusal(), None);
    // Nothing optional.
    let least = patched(|fields| fields.truncate(6));
    assert_eq!(least.appraise().refusal(), None);
    assert!(!least.appraise().matches_binding(&BINDING));
}

#[test]
fn the_binding_value_is_carried_whole_in_user_data_and_nowhere_else() {
    let with = |name: &str, octets: &[u8]| {
        patched(|fields| {
            put(fields, "user_data", Value::Null);
            put(fields, name, Value::Bytes(octets.to_vec()));
        })
        .appraise()
    };
    assert!(with("user_data", &BINDING).matches_binding(&BINDING));
    assert!(!with("nonce", &BINDING).matches_binding(&BINDING));
    assert!(!with("public_key", &BINDING).matches_binding(&BINDING));
    let longer = [&BINDING[..], &[0]].concat();
    assert!(!with("user_data", &longer).matches_binding(&BINDING));
    assert!(!with("user_data", &BINDING[..63]).matches_binding(&BINDING));
    assert_eq!(with("user_data", &longer).refusal(), None, "genuine all the same");
}

type Misuse = fn(&mut Hierarchy);

#[test]
fn a_chain_with_one_thing_wrong_is_refused() {
    let with = |change: Misuse| {
        let mut hierarchy = Hierarchy::default();
        change(&mut hierarchy);
        case_of(&platform(hierarchy).enclave(image(), NOW)).appraise()
    };
    assert_eq!(with(|_| {}).refusal(), None);
    let cases: &[(&str, &str, Misuse)] = &[
        ("chain", "not a CA", |hierarchy| hierarchy.authorities[0] = false),
        ("chain", "not a CA", |hierarchy| hierarchy.authorities[1] = false),
        ("chain", "not a CA", |hierarchy| hierarchy.authorities[2] = false),
        ("chain", "not a CA", |hierarchy| hierarchy.authorities[3] = false),
        ("chain", "path length", |hierarchy| hierarchy.region_path_length = 1),
        ("chain", "may not sign certificates", |hierarchy| hierarchy.instance_signs_certificates = false),
        ("leaf", "digitalSignature", |hierarchy| hierarchy.leaf_signs = false),
        ("leaf", "got a CA's", |hierarchy| hierarchy.leaf_is_authority = true),
    ];
    for (check, reason, change) in cases {
        let appraisal = with(*change);
        assert_refused(&appraisal, check);
        assert!(detail(&appraisal, check).contains(reason), "{}", detail(&appraisal, check));
        assert_eq!(main(&appraisal).vector().hardware, 99);
    }
}

#[test]
fn certificates_of_another_platform_or_order_are_refused() {
    let other = platform(Hierarchy::default());
    let bytes = |ders: &[Vec<u8>]| Value::Array(ders.iter().cloned().map(Value::Bytes).collect());
    let (ours, theirs) = (PLATFORM.certificates(), other.certificates());
    let bundle = |ders: &[Vec<u8>]| patched(|fields| put(fields, "cabundle", bytes(ders))).appraise();
    assert_eq!(bundle(&ours[..4]).refusal(), None);
    let mut reversed = ours[..4].to_vec();
    reversed.reverse();
    assert_refused(&bundle(&reversed), "chain");
    assert_refused(&bundle(&ours[1..4]), "root");
    assert_refused(&bundle(&[ours[0].clone(), ours[2].clone(), ours[3].clone()]), "chain");
    assert_refused(&bundle(&[&ours[..3], &theirs[3..4]].concat()), "chain");
    // More than it takes.
    assert_refused(&bundle(&[&ours[..1], &theirs[1..2], &ours[1..4]].concat()), "chain");
    assert_refused(&bundle(&[&ours[..4], &[vec![0x30, 0]]].concat()), "chain");
    // A leaf that the chain endorses, and whose key did not sign.
    let leaf = patched(|fields| put(fields, "certificate", Value::Bytes(theirs[4].clone())));
    assert_refused(&leaf.appraise(), "chain");
    let whole = patched(|fields| {
        put(fields, "certificate", Value::Bytes(theirs[4].clone()));
        put(fields, "cabundle", bytes(&theirs[..4]));
    });
    let crls = [0, 1].map(|authority| other.crl(authority, false, NOW, NOW + HOUR).unwrap());
    let collateral = Collateral::new(vec![], crls.to_vec()).unwrap();
    let whole = Case { roots: roots_of(&other), collateral, ..whole }.appraise();
    assert_refused(&whole, "signature");
    assert_eq!(failed(&whole), ["signature"]);
    // Whose root is not pinned, though the signatures hold.
    let foreign = Case { roots: roots_of(&PLATFORM), ..case_of(&other.enclave(image(), NOW)) };
    assert_refused(&foreign.appraise(), "root");
}

/// The octets of a result over a real document: see the test of this name for SEV-SNP.
#[test]
fn the_octets_of_a_result_are_pinned() {
    let Some(vectors) = vectors() else { return };
    let appraisal = real(&vectors)[0].appraise();
    let text = String::from_utf8(appraisal.ear().to_vec()).unwrap();
    let text = text.replace(verifier::BUILD, "treering 0");
    // The baseline's digest is another one whenever some kind gets a section there.
    let text = text.replace(&AppraisalPolicy::baseline().id(), "baseline");
    let digest = HEXLOWER.encode(&verifier::fingerprint(text.as_bytes()));
    assert_eq!(digest, "23dd1a89555ca98816e4e54dce13ed2d40b47cb6ffa634acbb664bc26fc56b92");
}
