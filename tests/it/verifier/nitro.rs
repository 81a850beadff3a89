//! Appraisal of AWS Nitro Enclaves: real documents where the folder of foreign vectors lies beside the repository, and
//! documents of the simulated platform, which can be made wrong in one point at a time.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use ciborium::Value;
use data_encoding::HEXLOWER;
use proptest::prelude::*;
use treering::attester::simulated::nitro::{Enclave, EnclaveImage, Hierarchy, NitroPlatform};
use treering::attester::{self, Attester, simulated};
use treering::verifier::{
    self, Appraisal, AppraisalPolicy, Assurance, CheckResult, Collateral, HardwareRoots, NITRO_DOCUMENT,
    ReferenceValue, ReferenceValues, Refused, Status,
};

use super::{Case, assert_affirming, assert_refused, failed, main, policy_of, read, vectors};

const NOW: u64 = 1_782_864_000;
const HOUR: u64 = 3600;
const BINDING: [u8; 64] = [0x5a; 64];

// --- documents of hardware ----------------------------------------------------------------------------------------

fn real(vectors: &Path) -> [Case; 2] {
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
    super::no_flipped_bit_is_accepted(case, 0..16);
    super::no_flipped_bit_is_accepted(case, length - 98..length);
    for at in (16..length - 98).step_by(7) {
        super::no_flipped_bit_is_accepted(case, at..at + 1);
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
        super::no_flipped_bit_is_accepted(&case, 0..case.octets().len());
    }
}

// --- the simulated platform ---------------------------------------------------------------------------------------

static PLATFORM: LazyLock<Arc<NitroPlatform>> = LazyLock::new(|| platform(Hierarchy::default()));

fn platform(hierarchy: Hierarchy) -> Arc<NitroPlatform> {
    Arc::new(NitroPlatform::with(hierarchy, NOW).unwrap())
}

fn roots_of(platform: &NitroPlatform) -> HardwareRoots {
    HardwareRoots::with_simulated([platform.root_fingerprint()])
}

fn image() -> EnclaveImage {
    EnclaveImage::of(b"image 7")
}

fn enclave() -> Enclave {
    PLATFORM.enclave(image(), NOW)
}

fn reference(pcrs: &[(u8, Vec<u8>)]) -> ReferenceValue {
    let registers = pcrs.iter().map(|(index, value)| (format!("pcr{index}"), value.clone())).collect();
    ReferenceValue {
        name: "image 7".to_owned(),
        tee: verifier::SUBMOD_NITRO.to_owned(),
        registers,
        source: [9; 32],
    }
}

/// A document of an enclave.
fn case_of(enclave: &Enclave) -> Case {
    let mut attestation = enclave.report(&BINDING).unwrap();
    let octets = attestation.evidence.remove(0).bytes;
    let crls = attestation.documents.into_iter().map(|list| list.bytes).collect();
    let case = Case::of("simulated", NITRO_DOCUMENT, octets, Collateral::new(vec![], crls).unwrap(), NOW);
    Case { roots: roots_of(enclave.platform()), policy: policy(""), ..case }
}

/// The example of this kind.
pub(crate) fn example() -> Case {
    case_of(&enclave())
}

fn policy(nitro: &str) -> AppraisalPolicy {
    policy_of(&format!("[nitro]\nrequire_reference_value = false\n{nitro}"))
}

fn encode(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    ciborium::into_writer(value, &mut out).unwrap();
    out
}

/// A document whose fields were changed before it was signed.
fn patched(change: impl FnOnce(&mut Vec<(Value, Value)>)) -> Case {
    let mut fields = enclave().fields(&BINDING);
    change(&mut fields);
    signed(&encode(&Value::Map(fields)))
}

fn signed(payload: &[u8]) -> Case {
    example().with_octets(PLATFORM.sign(payload).unwrap())
}

fn put(fields: &mut Vec<(Value, Value)>, name: &str, value: impl Into<Value>) {
    fields.retain(|(key, _)| key.as_text() != Some(name));
    fields.push((name.into(), value.into()));
}

fn pcrs(fields: &mut [(Value, Value)]) -> &mut Vec<(Value, Value)> {
    let (_, pcrs) = fields.iter_mut().find(|(key, _)| key.as_text() == Some("pcrs")).unwrap();
    pcrs.as_map_mut().unwrap()
}

fn detail(appraisal: &Appraisal, check: &str) -> String {
    appraisal.checks().find(|one| one.name() == check).unwrap().detail().to_owned()
}

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

#[test]
fn a_document_is_for_its_time() {
    let at = |now: u64, rules: &str| Case { now, policy: policy(rules), ..example() }.appraise();
    assert_eq!(at(NOW + 300, "").refusal(), None);
    assert_refused(&at(NOW + 301, ""), "timestamp");
    assert_eq!(at(NOW - 60, "").refusal(), None);
    assert_refused(&at(NOW - 61, ""), "timestamp");
    assert_eq!(failed(&at(NOW + 301, "")), ["timestamp"]);
    assert_eq!(main(&at(NOW + 301, "")).vector().configuration, 96);
    assert_eq!(at(NOW + 2 * HOUR, "max_age_s = 7200").refusal(), None);
    assert_refused(&at(NOW + 10, "max_age_s = 9"), "timestamp");
    assert_refused(&at(NOW - 10, "max_skew_s = 9"), "timestamp");
    // The leaf lives for three hours.
    let long = "max_age_s = 100000";
    assert_refused(&at(NOW + 3 * HOUR + 1, long), "validity");
    assert_refused(&at(NOW - 301, "max_skew_s = 100000"), "validity");
    let latest = Case { now: u64::MAX, ..example() }.appraise();
    assert_refused(&latest, "validity");
    let far = patched(|fields| put(fields, "timestamp", u64::MAX));
    assert_refused(&far.appraise(), "timestamp");
}

#[test]
fn an_enclave_in_debug_mode_is_genuine_and_refused() {
    let debug = PLATFORM.enclave(EnclaveImage { measurements: [[0; 48]; 3], ..image() }, NOW);
    let appraisal = case_of(&debug).appraise();
    assert_eq!(failed(&appraisal), ["debug"]);
    assert_eq!((main(&appraisal).vector().configuration, main(&appraisal).vector().runtime_opaque), (96, 96));
    assert_eq!(main(&appraisal).vector().hardware, 2);
    for index in 0..3 {
        assert_refused(
            &patched(|fields| pcrs(fields)[index].1 = Value::Bytes(vec![0; 48])).appraise(),
            "debug",
        );
        assert_refused(&patched(|fields| drop(pcrs(fields).remove(index))).appraise(), "debug");
    }
    let waived = policy(
        "[[waiver]]\ncheck = \"debug\"\nkind = \"nitro\"\nreason = \"a bench\"\nuntil = \"2030-01-01T00:00:00Z\"",
    );
    let waived = Case { policy: waived, ..case_of(&debug) }.appraise();
    assert_eq!((waived.refusal(), waived.status()), (None, Status::Warning));
}

#[test]
fn parents_are_those_that_the_policy_names() {
    let role = "arn:aws:iam::123456789012:role/payments";
    let signer = [7; 48];
    let named = EnclaveImage { role: Some(role.to_owned()), signer: Some(signer), ..image() };
    let with = |enclave: &Enclave, rules: &str| Case { policy: policy(rules), ..case_of(enclave) }.appraise();
    let (named, plain) = (PLATFORM.enclave(named, NOW), enclave());
    let rules = [
        format!("parent_roles = [\"arn:aws:iam::1:role/x\", \"{role}\"]"),
        format!("signing_certificates = [\"{}\"]", HEXLOWER.encode(&signer)),
    ];
    for rule in &rules {
        assert_eq!(with(&named, rule).refusal(), None, "{rule}");
        assert_eq!(failed(&with(&plain, rule)), ["parent"], "{rule}");
    }
    assert_eq!(with(&named, &rules.join("\n")).refusal(), None);
    assert_refused(&with(&named, "parent_roles = [\"arn:aws:iam::123456789012:role/other\"]"), "parent");
    assert_refused(&with(&named, &format!("signing_certificates = [\"{}\"]", "00".repeat(48))), "parent");
    for bad in [
        "[nitro]\nparent_roles = [\"payments\"]",
        "[nitro]\nsigning_certificates = [\"00\"]",
        "[[nitro.machine]]\nname = \"a\"\ninstance_id = \"0123\"",
        "[nitro]\nmax_age = 1",
    ] {
        let text = format!("version = 1\nname = \"t\"\n{bad}");
        AppraisalPolicy::parse(text.as_bytes()).unwrap_err();
    }
}

#[test]
fn machines_are_instances_and_pcr4_agrees() {
    let rule = |id: &str| policy(&format!("[[nitro.machine]]\nname = \"ours\"\ninstance_id = \"{id}\""));
    let ours = rule(PLATFORM.instance_id());
    let appraisal = Case { policy: ours.clone(), ..example() }.appraise();
    assert_eq!((appraisal.refusal(), main(&appraisal).vector().instance_identity), (None, 2));
    let other = Case { policy: rule("i-00000000000000000"), ..example() }.appraise();
    assert_eq!(failed(&other), ["machine"]);
    assert_eq!(main(&other).vector().instance_identity, 97);
    let odd = patched(|fields| pcrs(fields)[4].1 = Value::Bytes(vec![1; 48]));
    assert_eq!(failed(&Case { policy: ours.clone(), ..odd }.appraise()), ["machine"]);
    let nameless = patched(|fields| put(fields, "module_id", "a-module"));
    assert_eq!(main(&nameless.appraise()).machine(), None);
    assert_eq!(failed(&Case { policy: ours, ..nameless }.appraise()), ["machine"]);
}

#[test]
fn reference_values_decide_what_runs() {
    let [zero, one, two] = image().measurements.map(|value| value.to_vec());
    let with = |rules: &str, values: Vec<ReferenceValue>| {
        let references = ReferenceValues::new(values).unwrap();
        Case { policy: policy_of(rules), references, ..example() }.appraise()
    };
    let cases = [
        (vec![(0, zero.clone())], 2),
        (vec![(1, one.clone()), (2, two.clone())], 2),
        (vec![(1, one.clone())], 3),
        (vec![(0, zero), (1, one), (2, two)], 2),
    ];
    for (pcrs, executables) in cases {
        let appraisal = with("", vec![reference(&pcrs)]);
        assert_eq!(appraisal.refusal(), None);
        assert_eq!(main(&appraisal).vector().executables, executables, "{pcrs:?}");
        assert_eq!(appraisal.into_appraised().unwrap().reference().unwrap().source, [9; 32]);
    }
    let of_nothing = with("", vec![reference(&[(5, vec![0; 48])])]);
    assert_eq!(failed(&of_nothing), ["reference-value"]);
    assert!(detail(&of_nothing, "reference-value").contains("of which 1 say nothing of what runs"));
    let unknown = with("", vec![reference(&[(0, vec![1; 48])])]);
    assert_eq!(failed(&unknown), ["reference-value"]);
    assert_eq!((main(&unknown).vector().executables, unknown.status()), (33, Status::Warning));
    assert_refused(&with("", vec![]), "reference-value");
    // Not required, but given: then they count.
    let lenient = "[nitro]\nrequire_reference_value = false";
    assert_refused(&with(lenient, vec![reference(&[(0, vec![1; 48])])]), "reference-value");
    assert_eq!(with(lenient, vec![]).refusal(), None);
    for (index, octets) in [(32, 48), (0, 32)] {
        ReferenceValues::new(vec![reference(&[(index, vec![0; octets])])]).unwrap_err();
    }
}

#[test]
fn crls_count_where_they_are_given() {
    let day = 86_400;
    let crl = |authority, revoked| PLATFORM.crl(authority, revoked, NOW - day, NOW + day).unwrap();
    let with = |rules: &str, crls: Vec<Vec<u8>>| {
        let collateral = Collateral::new(vec![], crls).unwrap();
        Case { policy: policy(rules), collateral, ..example() }.appraise()
    };
    let (required, lenient) = ("", "require_crl = false");
    let all = with(required, vec![crl(0, false), crl(1, false)]);
    assert_eq!(all.refusal(), None);
    assert_eq!(all.collateral().crls().len(), 2, "what was used is logged");
    assert_refused(&with(required, vec![]), "revocation");
    let one = with(required, vec![crl(0, false)]);
    assert!(detail(&one, "revocation").contains("no CRL of CA certificate 1"));
    assert_refused(&one, "revocation");
    for crls in [vec![], vec![crl(1, false)]] {
        let unchecked = with(lenient, crls);
        let check = unchecked.checks().find(|check| check.name() == "revocation").unwrap();
        assert!(check.ok() && check.detail().contains("not checked"));
        assert_eq!(check.relaxed(), Some("require_crl"));
    }
    let both = with(lenient, vec![crl(0, false), crl(1, false)]);
    let relaxed: Vec<&str> = both.checks().filter_map(CheckResult::relaxed).collect();
    assert_eq!(relaxed, ["require_reference_value"], "the lists are there");
    let waiver = "[[waiver]]\ncheck = \"revocation\"\nreason = \"r\"\nuntil = \"2030-01-01T00:00:00Z\"";
    for authority in 0..3 {
        for rules in [lenient, waiver] {
            let revoked = with(rules, vec![crl(authority, true)]);
            assert_eq!(failed(&revoked), ["revocation"]);
            assert_refused(&revoked, "revocation");
            assert_eq!(main(&revoked).vector().hardware, 96);
        }
    }
    let waived = with(waiver, vec![]);
    assert_eq!((waived.refusal(), main(&waived).vector().hardware), (None, 32));
    for (from, until) in [(NOW - 2 * day, NOW - day), (NOW + day, NOW + 2 * day)] {
        let stale = PLATFORM.crl(0, false, from, until).unwrap();
        assert_refused(&with(lenient, vec![stale]), "revocation");
    }
    let late = PLATFORM.crl(0, false, NOW - 2 * day, NOW - 9).unwrap();
    let grace = |seconds: u64| format!("{lenient}\n[collateral]\ngrace_s = {seconds}");
    let graced = with(&grace(10), vec![late.clone()]);
    assert_eq!(
        (graced.refusal(), graced.status(), failed(&graced)),
        (None, Status::Warning, vec!["revocation"])
    );
    let ear: serde_json::Value = serde_json::from_slice(graced.ear()).unwrap();
    let waivers = &ear["submods"]["nitro"]["ear_verifier_claims"]["waivers"];
    assert_eq!(waivers[0]["reason"], "grace of 10 s for collateral");
    assert!(waivers[0].get("until").is_none() && waivers.as_array().unwrap().len() == 1);
    assert_refused(&with(&grace(8), vec![late]), "revocation");
    let young = format!("{lenient}\n[collateral]\nmax_age_s = {{ crl = 3600 }}");
    assert_refused(&with(&young, vec![crl(0, false)]), "revocation");
    // In the name of an authority of the chain, by another key.
    let forged = platform(Hierarchy::default()).crl(0, false, NOW - day, NOW + day).unwrap();
    assert!(detail(&with(lenient, vec![forged.clone()]), "revocation").contains("did not sign it"));
    let mut broken = crl(0, false);
    *broken.last_mut().unwrap() ^= 1;
    assert_refused(&with(lenient, vec![broken]), "revocation");
    assert_refused(&with(lenient, vec![b"no CRL".to_vec()]), "revocation");
    // The same again from what was logged.
    for crls in [vec![forged], vec![crl(0, false)]] {
        let case = Case { collateral: Collateral::new(vec![], crls).unwrap(), ..example() };
        let first = case.appraise();
        let again = Case { collateral: first.collateral().clone(), ..case }.appraise();
        assert!(again.ear() == first.ear());
    }
    // Those of others are for the other components of the evidence, and are not logged with this one.
    let other = Collateral::new(vec![], vec![sev_snp_crl()]).unwrap();
    let appraisal = Case { collateral: other, policy: policy(lenient), ..example() }.appraise();
    assert_eq!((appraisal.refusal(), appraisal.collateral().is_empty()), (None, true));
}

fn sev_snp_crl() -> Vec<u8> {
    let processor = simulated::Processor::Milan;
    let platform = simulated::Platform::generate(processor, processor.ordinary_tcb(), NOW).unwrap();
    platform.crl(true, NOW, NOW + 1).unwrap()
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

#[test]
fn what_is_no_document_is_not_taken_for_one() {
    for octets in [vec![], vec![0x84], b"imodule_id".to_vec(), vec![0; 5000]] {
        let appraisal = example().with_octets(octets).appraise();
        assert!(matches!(appraisal.into_appraised(), Err(Refused::NotEvidence(_))));
    }
    let long = [example().octets(), &vec![0; 0x3000]].concat();
    assert_refused(&example().with_octets(long).appraise(), "format");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_octets_as_document_panic_or_pass(octets in prop::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(example().with_octets(octets).appraise().refusal().is_some());
    }

    /// Signed by the right key: whatever the payload is, it is read or refused.
    #[test]
    fn no_signed_payload_panics(at in 0..5000_usize, octets in prop::collection::vec(any::<u8>(), 1..64)) {
        let mut payload = encode(&Value::Map(enclave().fields(&BINDING)));
        let at = at % payload.len();
        for (to, from) in payload[at..].iter_mut().zip(&octets) {
            *to = *from;
        }
        drop(signed(&payload).appraise().into_appraised());
    }
}
