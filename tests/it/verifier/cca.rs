//! Appraisal of Arm CCA tokens. No token of hardware is public: those of the folder of foreign vectors are made with
//! test keys by Veraison's tools, and the simulated platform's can be made wrong in one point at a time.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use ciborium::Value;
use data_encoding::{BASE64, HEXLOWER};
use proptest::prelude::*;
use sha2::{Digest as _, Sha384, Sha512};
use treering::attester::simulated::cca::{self, CcaPlatform, Claims, Realm, RealmImage};
use treering::attester::{self, Attester};
use treering::verifier::{
    self, Appraisal, AppraisalPolicy, Assurance, CCA_TOKEN, Collateral, HardwareRoots, ReferenceValue,
    ReferenceValues, Refused, Status,
};

use super::{Case, assert_affirming, assert_refused, failed, main, policy_of, read, vectors};

const NOW: u64 = 1_782_864_000;
const BINDING: [u8; 64] = [0x5a; 64];
const LENIENT: &str = "[cca]\nrequire_reference_value = false\nrequire_platform_reference = false\n";

// --- tokens that others made --------------------------------------------------------------------------------------

/// A JWK of a file, as the policy has it.
fn jwk(file: &[u8]) -> String {
    let json: serde_json::Value = serde_json::from_slice(file).unwrap();
    let key = if json.is_array() { &json[0]["pkey"] } else { &json };
    let member = |name: &str| key[name].as_str().unwrap().to_owned();
    let (kty, crv, x, y) = (member("kty"), member("crv"), member("x"), member("y"));
    format!("jwk = {{ kty = \"{kty}\", crv = \"{crv}\", x = \"{x}\", y = \"{y}\" }}")
}

/// The ids that a file of trust anchors has beside the key.
fn ids(file: &[u8]) -> String {
    let json: serde_json::Value = serde_json::from_slice(file).unwrap();
    let member = |name: &str| json[0][name].as_str().unwrap().to_owned();
    let (instance, implementation) = (member("instance-id"), member("implementation-id"));
    format!("instance_id = \"{instance}\"\nimplementation_id = \"{implementation}\"\n")
}

/// The public key in a CoRIM: a PEM text as it stands in its octets.
fn pem_of(corim: &[u8]) -> String {
    let text = String::from_utf8_lossy(corim);
    let (_, after) = text.split_once("-----BEGIN PUBLIC KEY-----").unwrap();
    let (body, _) = after.split_once("-----END PUBLIC KEY-----").unwrap();
    format!("spki = \"\"\"-----BEGIN PUBLIC KEY-----{body}-----END PUBLIC KEY-----\"\"\"")
}

fn with_key(key: &str) -> AppraisalPolicy {
    policy_of(&format!("{LENIENT}[[cca.platform_key]]\nname = \"test key\"\n{key}"))
}

fn of_octets(name: &str, octets: Vec<u8>, policy: AppraisalPolicy) -> Case {
    Case { policy, ..Case::of(name, CCA_TOKEN, octets, Collateral::default(), NOW) }
}

fn foreign(vectors: &Path) -> [Case; 4] {
    let dir = vectors.join("evidence/cca");
    let file = |path: &str| read(dir.join(path));
    let anchors = file("rust-ccatoken/ta-02-ok.json");
    let named = with_key(&format!("{}{}", ids(&anchors), jwk(&anchors)));
    let cpak = with_key(&jwk(&file("rust-ccatoken/cpak.json")));
    let good = with_key(&pem_of(&file("veraison-services/corim-cca-platform-valid.cbor")));
    let evidence = with_key(&pem_of(&file("veraison-services/cca-endorsements.cbor")));
    [
        of_octets("ccatoken 01", file("rust-ccatoken/cca-token-01.cbor"), cpak),
        of_octets("ccatoken 02", file("rust-ccatoken/cca-token-02.cbor"), named),
        of_octets("veraison good", file("veraison-services/cca-good.cbor"), good),
        of_octets("veraison evidence", file("veraison-services/cca-evidence.cbor"), evidence),
    ]
}

/// What they say about memory is that the realm is isolated, hence a warning in the vector, and no check that fails.
#[test]
fn foreign_tokens_hold_under_their_keys() {
    let Some(vectors) = vectors() else { return };
    for case in foreign(&vectors) {
        let appraisal = case.appraise();
        assert_eq!(appraisal.refusal(), None, "{}", case.name);
        assert!(failed(&appraisal).is_empty(), "{}", case.name);
        assert_eq!((appraisal.status(), main(&appraisal).vector().runtime_opaque), (Status::Warning, 32));
        assert_eq!(main(&appraisal).assurance(), Some(Assurance::Hardware), "by the word of the policy");
        let challenge = main(&appraisal).claims().unwrap()["realm"]["challenge"].as_str().unwrap();
        let challenge: [u8; 64] = HEXLOWER.decode(challenge.as_bytes()).unwrap().try_into().unwrap();
        assert!(appraisal.matches_binding(&challenge) && !appraisal.matches_binding(&BINDING));
        appraisal.into_appraised().unwrap();
        let unnamed = Case { policy: AppraisalPolicy::baseline(), ..case.clone() }.appraise();
        assert_refused(&unnamed, "platform-key");
        assert_eq!(main(&unnamed).vector().hardware, 99);
    }
}

#[test]
fn other_keys_than_the_right_one_are_refused() {
    let Some(vectors) = vectors() else { return };
    let dir = vectors.join("evidence/cca/rust-ccatoken");
    let [first, second, ..] = foreign(&vectors);
    // Of the wrong curve, of the right curve, and for another platform.
    let pkey = with_key(&jwk(&read(dir.join("pkey.json"))));
    for case in [&first, &second] {
        assert_refused(&Case { policy: pkey.clone(), ..case.clone() }.appraise(), "platform-signature");
    }
    let elsewhere = read(dir.join("ta.json"));
    let elsewhere = with_key(&format!("{}{}", ids(&elsewhere), jwk(&elsewhere)));
    assert_refused(&Case { policy: elsewhere, ..second }.appraise(), "platform-key");
    // A key that is no point of its curve is none.
    let bad = "version = 1\nname = \"t\"\n[[cca.platform_key]]\nname = \"bad\"\n";
    let bad = format!("{bad}{}", jwk(&read(dir.join("ta-02-bad.json"))));
    let error = AppraisalPolicy::parse(bad.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("P-256"), "{error}");
}

/// The realm's claim sets that must not be taken, in a token: their reason is named before any signature is looked at.
#[test]
fn foreign_claim_sets_are_refused_by_their_reasons() {
    let Some(vectors) = vectors() else { return };
    let dir = vectors.join("evidence/cca/rust-ccatoken");
    let wrapped = |file: &str| {
        let platform = REALM.platform().sign(&encode(REALM.platform_claims().unwrap())).unwrap();
        let realm = REALM.sign(&read(dir.join(file))).unwrap();
        example().with_octets(cca::token(platform, realm).unwrap())
    };
    assert_format(&wrapped("realm-claims-missing-challenge.cbor"), "challenge (10) is missing");
    assert_format(&wrapped("realm-claims+spurious-numeric-key.cbor"), "unknown entry 1234567");
    assert_format(&wrapped("realm-claims+spurious-text-key.cbor"), "unknown entry \"unknown-key\"");
    // The good one is read; its key is not the one that signed here.
    assert_refused(&wrapped("realm-claims.cbor").appraise(), "realm-signature");
    let platform = REALM.platform().sign(&read(dir.join("platform-claims.cbor"))).unwrap();
    let realm = REALM.sign(&encode(REALM.realm_claims(&BINDING).unwrap())).unwrap();
    let appraisal = example().with_octets(cca::token(platform, realm).unwrap()).appraise();
    assert!(failed(&appraisal).contains(&"key-binding") && !failed(&appraisal).contains(&"format"));
}

#[test]
fn a_token_of_two_tokens_is_refused() {
    let Some(vectors) = vectors() else { return };
    let [first, second, ..] = foreign(&vectors);
    let realm = |case: &Case| parts(case.octets()).1;
    let mixed = cca::token(parts(second.octets()).0, realm(&first)).unwrap();
    let appraisal = second.with_octets(mixed).appraise();
    assert_refused(&appraisal, "key-binding");
    assert_eq!(failed(&appraisal), ["key-binding"], "both signatures hold");
}

#[test]
fn psa_tokens_and_other_tags_are_refused() {
    let Some(vectors) = vectors() else { return };
    let [first, ..] = foreign(&vectors);
    let psa = read(vectors.join("evidence/cca/veraison-services/psa-evidence.cbor"));
    assert!(matches!(first.with_octets(psa).appraise().refusal(), Some(Refused::NotEvidence(_))));
    let octets = first.octets();
    let collection = [&[0xd9, 0x03, 0x8b], &octets[3..]].concat();
    assert_format(&first.with_octets(collection), "tag 907");
    assert_format(&first.with_octets([&[0xd9, 0x01, 0x90], &octets[3..]].concat()), "tag 399");
    assert_format(&first.with_octets(octets[3..].to_vec()), "tag 399");
    // The tag, and a length, in longer forms; a part more than there is.
    let long = [&[0xda, 0, 0, 0x01, 0x8f], &octets[3..]].concat();
    assert_refused(&first.with_octets(long).appraise(), "canonical");
    assert_refused(&first.with_octets([octets, &[0]].concat()).appraise(), "canonical");
    let three = [&[0xd9, 0x01, 0x8f, 0xa3, 0x00, 0x00], &octets[4..]].concat();
    assert_format(&first.with_octets(three), "two parts");
}

/// Every seventh octet in an ordinary run; the whole below.
#[test]
fn flipped_bits_of_foreign_tokens_are_refused() {
    let Some(vectors) = vectors() else { return };
    for case in foreign(&vectors) {
        for at in (0..case.octets().len()).step_by(7) {
            super::no_flipped_bit_is_accepted(&case, at..at + 1);
        }
    }
}

#[test]
#[ignore = "soak: every bit of four tokens"]
fn every_flipped_bit_of_foreign_tokens_is_refused() {
    let Some(vectors) = vectors() else { return };
    for case in foreign(&vectors) {
        super::no_flipped_bit_is_accepted(&case, 0..case.octets().len());
    }
}

// --- the simulated platform ---------------------------------------------------------------------------------------

static REALM: LazyLock<Realm> = LazyLock::new(|| {
    let platform = Arc::new(CcaPlatform::generate().unwrap());
    platform.realm(RealmImage::of(b"image 7")).unwrap()
});

fn roots() -> HardwareRoots {
    HardwareRoots::with_simulated([REALM.platform().key_fingerprint()])
}

fn key_of(platform: &CcaPlatform) -> String {
    format!("spki = \"{}\"", BASE64.encode(&platform.key()))
}

/// The example of this kind.
pub(crate) fn example() -> Case {
    let octets = REALM.report(&BINDING).unwrap().evidence.remove(0).bytes;
    Case { roots: roots(), ..of_octets("simulated", octets, with_key(&key_of(REALM.platform()))) }
}

fn policy(rules: &str) -> AppraisalPolicy {
    let key = format!("[[cca.platform_key]]\nname = \"ours\"\n{}\n", key_of(REALM.platform()));
    policy_of(&format!("{LENIENT}{rules}\n{key}"))
}

fn encode(claims: Claims) -> Vec<u8> {
    let mut out = Vec::new();
    ciborium::into_writer(&Value::Map(claims), &mut out).unwrap();
    out
}

fn parts(token: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let value: Value = ciborium::from_reader(token).unwrap();
    let (_, map) = value.into_tag().unwrap();
    let mut parts = map.into_map().unwrap().into_iter().map(|(_, part)| part.into_bytes().unwrap());
    (parts.next().unwrap(), parts.next().unwrap())
}

/// A token whose claims were changed before each part was signed.
fn patched(platform: impl FnOnce(&mut Claims), realm: impl FnOnce(&mut Claims)) -> Case {
    let mut of_platform = REALM.platform_claims().unwrap();
    let mut of_realm = REALM.realm_claims(&BINDING).unwrap();
    platform(&mut of_platform);
    realm(&mut of_realm);
    example().with_octets(REALM.token(of_platform, of_realm).unwrap())
}

fn platform(change: impl FnOnce(&mut Claims)) -> Case {
    patched(change, |_| {})
}

fn realm(change: impl FnOnce(&mut Claims)) -> Case {
    patched(|_| {}, change)
}

fn put(claims: &mut Claims, key: u64, value: impl Into<Value>) {
    without(claims, key);
    claims.push((key.into(), value.into()));
}

fn without(claims: &mut Claims, key: u64) {
    claims.retain(|(one, _)| *one != Value::from(key));
}

fn bytes(octets: &[u8]) -> Value {
    Value::Bytes(octets.to_vec())
}

/// The members of the first component.
fn component(claims: &mut Claims) -> &mut Vec<(Value, Value)> {
    let (_, list) = claims.iter_mut().find(|(key, _)| *key == Value::from(2399)).unwrap();
    list.as_array_mut().unwrap()[0].as_map_mut().unwrap()
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
    let appraisal = case.appraise();
    assert_affirming("simulated", &appraisal);
    let appraised = appraisal.into_appraised().unwrap();
    assert_eq!(appraised.assurance(), Assurance::Simulated);
    assert!(appraised.matches_binding(&BINDING) && !appraised.matches_binding(&[0; 64]));
    assert_eq!(main(appraised.appraisal()).machine(), Some(&REALM.platform().instance_id()[..]));
    // A policy that names its key does not make it hardware.
    let elsewhere = Case { roots: HardwareRoots::vendors(), ..case.clone() }.appraise();
    assert_refused(&elsewhere, "platform-key");
    assert_eq!(main(&elsewhere).assurance(), None);
    // A pin does not make it a key of the policy.
    let unnamed = Case { policy: policy_of(LENIENT), ..case }.appraise();
    assert_refused(&unnamed, "platform-key");
    assert_eq!(attester::CCA_TOKEN, CCA_TOKEN);
}

type Change = fn(&mut Claims);

#[test]
fn what_is_wrong_in_the_platform_token_is_named() {
    assert_eq!(platform(|_| {}).appraise().refusal(), None);
    let cases: &[(&str, Change)] = &[
        ("profile (265) is missing", |claims| without(claims, 265)),
        ("is not known", |claims| put(claims, 265, "tag:arm.com,2030:cca_platform#9.0.0")),
        ("challenge (10) has 31", |claims| put(claims, 10, bytes(&[0; 31]))),
        ("implementation id (2396) has 33", |claims| put(claims, 2396, bytes(&[0; 33]))),
        ("instance id (256) has 32", |claims| put(claims, 256, bytes(&[1; 32]))),
        ("does not begin with 0x01", |claims| put(claims, 256, bytes(&[2; 33]))),
        ("config (2401) is missing", |claims| without(claims, 2401)),
        ("config (2401) has 1025", |claims| put(claims, 2401, bytes(&[0; 1025]))),
        ("lifecycle (2395) is an unsigned", |claims| put(claims, 2395, -1)),
        ("software components (2399) is missing", |claims| without(claims, 2399)),
        ("1 to 32 software components", |claims| put(claims, 2399, Value::Array(vec![]))),
        ("measurement (2) is missing", |claims| without(component(claims), 2)),
        ("signer (5) has 20", |claims| put(component(claims), 5, bytes(&[0; 20]))),
        ("unknown entry 3", |claims| put(component(claims), 3, 1)),
        ("live activation (7)", |claims| put(component(claims), 7, 1)),
        ("countersigners (8)", |claims| put(component(claims), 8, Value::Array(vec![]))),
        ("a countersigner is a hash", |claims| put(component(claims), 8, vec![bytes(&[0; 31])])),
        ("a text has at most 256", |claims| put(component(claims), 4, "1".repeat(257))),
        ("a text has at most 256", |claims| put(claims, 2400, "x".repeat(257))),
        ("hash algorithm (2402) is missing", |claims| without(claims, 2402)),
        ("client id (2394) is missing", |claims| without(claims, 2394)),
        ("not that of the RMSD", |claims| put(claims, 2394, 2)),
        ("platform extensions", |claims| put(claims, 2404, Value::Array(vec![]))),
        ("unknown entry 77", |claims| put(claims, 77, 1)),
        // What the second profile brought is unknown to the first.
        ("unknown entry 2394", |claims| put(claims, 265, "tag:arm.com,2023:cca_platform#1.0.0")),
    ];
    for (reason, change) in cases {
        let case = platform(change);
        assert_format(&case, reason);
        assert!(detail(&case.appraise(), "format").starts_with("platform token: "));
    }
    let twice = platform(|claims| claims.push(claims[1].clone()));
    assert_format(&twice, "10 twice");
    let more = platform(|claims| {
        put(claims, 2403, bytes(&[1]));
        put(component(claims), 7, true);
        put(component(claims), 8, vec![bytes(&[3; 48])]);
    });
    assert_eq!(more.appraise().refusal(), None);
    for profile in ["http://arm.com/CCA-SSD/1.0.0", "tag:arm.com,2023:cca_platform#1.0.0"] {
        let first = platform(|claims| {
            put(claims, 265, profile);
            without(claims, 2394);
        });
        assert_eq!(first.appraise().refusal(), None);
    }
}

#[test]
fn what_is_wrong_in_the_realm_token_is_named() {
    let cases: &[(&str, Change)] = &[
        ("is not known", |claims| put(claims, 265, "tag:arm.com,2030:realm#9.0.0")),
        ("challenge (10) has 32", |claims| put(claims, 10, bytes(&[0; 32]))),
        ("personalization value (44235) has 63", |claims| put(claims, 44235, bytes(&[0; 63]))),
        ("initial measurement (44238) has 20", |claims| put(claims, 44238, bytes(&[0; 20]))),
        ("4 extensible measurements, got 3", |claims| put(claims, 44239, vec![bytes(&[0; 32]); 3])),
        ("an extensible measurement is a hash", |claims| put(claims, 44239, vec![bytes(&[0; 31]); 4])),
        ("public key (44237) has 257", |claims| put(claims, 44237, bytes(&[0; 257]))),
        ("hash algorithm (44236) is a text", |claims| put(claims, 44236, 1)),
        ("of the public key (44240) is missing", |claims| without(claims, 44240)),
        ("instance id (256) is missing", |claims| without(claims, 256)),
        ("MEC policy (44243) is missing", |claims| without(claims, 44243)),
        ("MEC policy (44243) is 0 or 1", |claims| put(claims, 44243, 2)),
        ("LFA policy (44244) is 0 or 1", |claims| put(claims, 44244, 2)),
        ("devices are assigned", |claims| put(claims, 44257, bytes(&[0; 32]))),
        ("unknown entry 77", |claims| put(claims, 77, 1)),
    ];
    for (reason, change) in cases {
        let case = realm(change);
        assert_format(&case, reason);
        assert!(detail(&case.appraise(), "format").starts_with("realm token: "));
    }
    assert_eq!(realm(|claims| put(claims, 44244, 1)).appraise().refusal(), None);
}

/// A token of the first profiles: both forms of the realm's key, and what each may stand beside.
#[test]
fn both_forms_of_the_realms_key_are_read() {
    let (cose, point) = REALM.public_key().unwrap();
    let token = |profile: Option<&str>, key: &[u8]| {
        patched(
            |claims| put(claims, 10, bytes(&digest(key))),
            |claims| {
                for second in [265, 256, 44243] {
                    without(claims, second);
                }
                if let Some(profile) = profile {
                    put(claims, 265, profile);
                }
                put(claims, 44237, bytes(key));
            },
        )
        .appraise()
    };
    let first = Some("tag:arm.com,2023:realm#1.0.0");
    assert_eq!(token(None, &point).refusal(), None);
    assert_eq!(token(None, &cose).refusal(), None);
    assert_eq!(token(first, &cose).refusal(), None);
    assert_eq!(main(&token(first, &cose)).vector().runtime_opaque, 32);
    assert_refused(&token(first, &point), "realm-signature");
    let mut off = point.clone();
    off[96] ^= 1;
    assert_refused(&token(None, &off), "realm-signature");
    // Another key of the right form.
    let other = Arc::new(CcaPlatform::generate().unwrap()).realm(RealmImage::of(b"x")).unwrap();
    let other = token(None, &other.public_key().unwrap().1);
    assert_eq!(failed(&other), ["realm-signature"]);
}

fn digest(octets: &[u8]) -> [u8; 32] {
    verifier::fingerprint(octets)
}

#[test]
fn only_the_platforms_word_makes_the_key_the_realms() {
    let other = platform(|claims| put(claims, 10, bytes(&[0; 32])));
    assert_eq!(failed(&other.appraise()), ["key-binding"]);
    // Of the right key, by another algorithm than the realm names.
    let longer = realm(|claims| put(claims, 44240, "sha-512"));
    assert_eq!(failed(&longer.appraise()), ["key-binding"]);
    let unknown = realm(|claims| put(claims, 44240, "md5"));
    assert!(detail(&unknown.appraise(), "key-binding").contains("\"md5\" is not known"));
    for name in ["sha-384", "sha-512"] {
        let (cose, _) = REALM.public_key().unwrap();
        let hash = match name {
            "sha-384" => Sha384::digest(&cose).to_vec(),
            _ => Sha512::digest(&cose).to_vec(),
        };
        let case = patched(|claims| put(claims, 10, bytes(&hash)), |claims| put(claims, 44240, name));
        assert_eq!(case.appraise().refusal(), None, "{name}");
    }
}

#[test]
fn what_is_not_signed_has_one_form() {
    let (platform, realm) = parts(example().octets());
    let with = |platform: Vec<u8>, realm: Vec<u8>| {
        example().with_octets(cca::token(platform, realm).unwrap()).appraise()
    };
    assert_eq!(with(platform.clone(), realm.clone()).refusal(), None);
    for part in [&platform, &realm] {
        let put_in = |changed: Vec<u8>| {
            if part == &platform { with(changed, realm.clone()) } else { with(platform.clone(), changed) }
        };
        // Without the tag; {4: h'00'} unprotected; a long form; {1: -35, 4: h'00'} protected; an octet after it.
        assert_refused(&put_in(part[1..].to_vec()), "format");
        assert_refused(&put_in([&part[..7], &[0xa1, 4, 0x41, 0], &part[8..]].concat()), "canonical");
        assert_refused(&put_in([&part[..8], &[0x5a, 0, 0], &part[9..]].concat()), "canonical");
        let protected = [&part[..2], &[0x47, 0xa2, 1, 0x38, 0x22, 4, 0x41, 0], &part[7..]].concat();
        assert_refused(&put_in(protected), "canonical");
        assert_refused(&put_in([part.as_slice(), &[0]].concat()), "canonical");
        let shorter = [&part[..part.len() - 98], &[0x58, 95], &part[part.len() - 95..]].concat();
        assert_refused(&put_in(shorter), "canonical");
        let mut broken = part.clone();
        *broken.last_mut().unwrap() ^= 1;
        let signature = if part == &platform { "platform-signature" } else { "realm-signature" };
        assert_eq!(failed(&put_in(broken)), [signature]);
    }
}

#[test]
fn only_a_secured_platform_is_accepted() {
    for state in [0x3000, 0x3003, 0x30ff] {
        assert_eq!(platform(|claims| put(claims, 2395, state)).appraise().refusal(), None);
    }
    for state in [0, 0x1000, 0x2000, 0x2fff, 0x3100, 0x4000, 0x5000, 0x6000, 0x7000] {
        let appraisal = platform(|claims| put(claims, 2395, state)).appraise();
        assert_eq!(failed(&appraisal), ["lifecycle"], "{state:#x}");
        let vector = main(&appraisal).vector();
        assert_eq!((vector.configuration, vector.runtime_opaque, vector.hardware), (96, 96, 2));
    }
    let waiver = "[[waiver]]\ncheck = \"lifecycle\"\nreason = \"a bench\"\nuntil = \"2030-01-01T00:00:00Z\"";
    let waived = Case { policy: policy(waiver), ..platform(|claims| put(claims, 2395, 0x4000)) }.appraise();
    assert_eq!((waived.refusal(), waived.status()), (None, Status::Warning));
}

#[test]
fn hash_algorithms_are_known_ones() {
    for name in ["sha-384", "sha-512"] {
        let case = patched(|claims| put(claims, 2402, name), |claims| put(claims, 44236, name));
        assert_eq!(case.appraise().refusal(), None);
    }
    let cases = [
        realm(|claims| put(claims, 44236, "sha-1")),
        platform(|claims| put(claims, 2402, "sha256")),
        platform(|claims| put(component(claims), 6, "md5")),
    ];
    for case in cases {
        assert_eq!(failed(&case.appraise()), ["hash-algorithms"]);
    }
}

#[test]
fn memory_is_encrypted_where_the_realm_says_that_it_has_its_own_context() {
    let shared = realm(|claims| put(claims, 44243, 0)).appraise();
    assert_eq!((shared.refusal(), main(&shared).vector().runtime_opaque), (None, 32));
    assert_eq!(main(&example().appraise()).vector().runtime_opaque, 2);
}

#[test]
fn implementations_machines_and_keys_are_those_that_the_policy_names() {
    let with = |rules: &str| Case { policy: policy(rules), ..example() }.appraise();
    let ours = HEXLOWER.encode(&cca::IMPLEMENTATION_ID);
    assert_eq!(with(&format!("implementation_ids = [\"{ours}\"]")).refusal(), None);
    let other = with(&format!("implementation_ids = [\"{}\"]", "00".repeat(32)));
    assert_eq!(failed(&other), ["implementation"]);
    assert_eq!(main(&other).vector().hardware, 96);

    let machine =
        |id: &[u8]| format!("[[cca.machine]]\nname = \"rack 7\"\ninstance_id = \"{}\"", HEXLOWER.encode(id));
    let instance = REALM.platform().instance_id();
    let named = with(&machine(&instance));
    assert_eq!((named.refusal(), main(&named).vector().instance_identity), (None, 2));
    let unnamed = with(&machine(&[1; 33]));
    assert_eq!(failed(&unnamed), ["machine"]);
    assert_eq!(main(&unnamed).vector().instance_identity, 97);

    // A key counts for the platforms that it is named for; among several, the one that signed.
    let key = |id: &str| {
        let key = key_of(REALM.platform());
        let policy = with_key(&format!("{id}\n{key}"));
        Case { policy, ..example() }.appraise()
    };
    assert_eq!(key(&format!("instance_id = \"{}\"", HEXLOWER.encode(&instance))).refusal(), None);
    assert_eq!(key(&format!("implementation_id = \"{ours}\"")).refusal(), None);
    assert_refused(&key(&format!("instance_id = \"{}\"", "01".repeat(33))), "platform-key");
    assert_refused(&key(&format!("implementation_id = \"{}\"", "00".repeat(32))), "platform-key");
    let stranger = CcaPlatform::generate().unwrap();
    let both = with(&format!("[[cca.platform_key]]\nname = \"stranger\"\n{}", key_of(&stranger)));
    assert_eq!((both.refusal(), main(&both).assurance()), (None, Some(Assurance::Simulated)));
    let roots = HardwareRoots::with_simulated([stranger.key_fingerprint()]);
    let only = Case { policy: with_key(&key_of(&stranger)), roots, ..example() }.appraise();
    assert_eq!(failed(&only), ["platform-signature"]);
}

#[test]
fn platform_keys_have_three_forms() {
    let spki = REALM.platform().key();
    let (x, y) = spki[spki.len() - 96..].split_at(48);
    let base64url = |octets: &[u8]| data_encoding::BASE64URL_NOPAD.encode(octets);
    let jwk = format!("kty = \"EC\", crv = \"P-384\", x = \"{}\", y = \"{}\"", base64url(x), base64url(y));
    let cose = [&[0xa4, 1, 2, 0x20, 2, 0x21, 0x58, 48], x, &[0x22, 0x58, 48], y].concat();
    let forms = [
        key_of(REALM.platform()),
        format!(
            "spki = \"\"\"-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n\"\"\"",
            BASE64.encode(&spki)
        ),
        format!("cose_key = \"{}\"", HEXLOWER.encode(&cose)),
        format!("jwk = {{ {jwk} }}"),
        format!("jwk = {{ {jwk}, kid = \"a\", alg = \"ES384\", use = \"sig\" }}"),
    ];
    for form in &forms {
        let case = Case { policy: with_key(form), ..example() };
        assert_eq!(case.appraise().refusal(), None, "{form}");
    }
    let refused = [
        String::new(),
        format!("{}\n{}", forms[0], forms[2]),
        "spki = \"AAAA\"".to_owned(),
        "spki = \"!\"".to_owned(),
        "cose_key = \"a0\"".to_owned(),
        "cose_key = \"x\"".to_owned(),
        format!("jwk = {{ {jwk}, d = \"AA\" }}"),
        format!("jwk = {{ {} }}", jwk.replace("P-384", "P-521")),
        format!("jwk = {{ {} }}", jwk.replace("P-384", "P-256")),
        format!("{}\ninstance_id = \"01\"", forms[0]),
        // Ed25519.
        "spki = \"MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\"".to_owned(),
    ];
    for form in refused {
        let text = format!("version = 1\nname = \"t\"\n[[cca.platform_key]]\nname = \"k\"\n{form}");
        AppraisalPolicy::parse(text.as_bytes()).unwrap_err();
    }
}

fn reference(registers: &[(&str, &[u8])]) -> ReferenceValue {
    let registers = registers.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec())).collect();
    ReferenceValue {
        name: "image 7".to_owned(),
        tee: verifier::SUBMOD_CCA.to_owned(),
        registers,
        source: [9; 32],
    }
}

#[test]
fn reference_values_of_realms_and_of_platforms_are_told_apart() {
    let rim = digest(b"image 7");
    let zero = [0; 32];
    let of_realm: &[(&str, &[u8])] = &[("rim", &rim)];
    let all: &[(&str, &[u8])] = &[
        ("rim", &rim),
        ("rem0", &zero),
        ("rem1", &zero),
        ("rem2", &zero),
        ("rem3", &zero),
        ("rpv", &[0; 64]),
    ];
    let (first, second, signer) = ([0xb1; 32], [0xb2; 32], [0xee; 32]);
    let of_platform: &[(&str, &[u8])] = &[
        ("sw0", &first),
        ("sw0-signer", &signer),
        ("sw1", &second),
        ("implementation", &cca::IMPLEMENTATION_ID),
        ("config", &[0xcf; 4]),
    ];
    let strict = format!("[[cca.platform_key]]\nname = \"ours\"\n{}", key_of(REALM.platform()));
    let with = |rules: &str, values: &[&[(&str, &[u8])]]| {
        let values = values.iter().map(|registers| reference(registers)).collect();
        let references = ReferenceValues::new(values).unwrap();
        Case { policy: policy_of(rules), references, ..example() }.appraise()
    };
    let both = with(&strict, &[of_platform, of_realm]);
    assert_affirming("both", &both);
    assert_eq!(main(&both).vector().executables, 3);
    assert_eq!(both.into_appraised().unwrap().reference().unwrap().source, [9; 32]);
    assert_eq!(main(&with(&strict, &[of_platform, all])).vector().executables, 2);
    assert_eq!(main(&with(&strict, &[of_platform, &all[5..]])).vector().executables, 0);
    assert_eq!(failed(&with(&strict, &[of_realm])), ["platform-reference"]);
    assert_eq!(main(&with(&strict, &[of_realm])).vector().hardware, 32);
    let no_realm = with(&strict, &[of_platform]);
    assert_eq!(failed(&no_realm), ["reference-value"]);
    assert_eq!(main(&no_realm).vector().executables, 33);
    assert_eq!(failed(&with(&strict, &[])), ["platform-reference", "reference-value"]);
    // One value of both is one of neither.
    let mixed = [of_platform, of_realm].concat();
    assert_eq!(failed(&with(&strict, &[&mixed])), ["platform-reference", "reference-value"]);
    // Not required, but given: then they count.
    let lenient = format!("{LENIENT}{strict}");
    assert_eq!(failed(&with(&lenient, &[&[("sw0", &second)]])), ["platform-reference"]);
    assert_eq!(failed(&with(&lenient, &[&[("rim", &zero)]])), ["reference-value"]);
    assert_eq!(with(&lenient, &[]).refusal(), None);
    for odd in [("rim", 31), ("rem4", 32), ("rpv", 32), ("sw32", 32), ("implementation", 33), ("config", 65)]
    {
        ReferenceValues::new(vec![reference(&[(odd.0, &vec![0; odd.1])])]).unwrap_err();
    }
}

/// The octets of a result over a foreign token: see the test of this name for SEV-SNP.
#[test]
fn the_octets_of_a_result_are_pinned() {
    let Some(vectors) = vectors() else { return };
    let appraisal = foreign(&vectors)[0].appraise();
    let text = String::from_utf8(appraisal.ear().to_vec()).unwrap();
    let text = text.replace(verifier::BUILD, "treering 0");
    let digest = HEXLOWER.encode(&digest(text.as_bytes()));
    assert_eq!(digest, "7961895dceb54a056b8097b564fa9286cd8826d0555178fc77b8264b148e4ae4");
}

#[test]
fn what_is_no_token_is_not_taken_for_one() {
    for octets in [vec![], vec![0xd9, 0x01, 0x8f], b"arm.com".to_vec(), vec![0; 5000]] {
        let appraisal = example().with_octets(octets).appraise();
        assert!(matches!(appraisal.into_appraised(), Err(Refused::NotEvidence(_))));
    }
    let long = [example().octets(), &vec![0; 0x4000]].concat();
    assert_refused(&example().with_octets(long).appraise(), "format");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_octets_as_token_panic_or_pass(octets in prop::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(example().with_octets(octets).appraise().refusal().is_some());
    }

    /// Signed by the right keys: whatever the claims are, they are read or refused.
    #[test]
    fn no_signed_claims_panic(of_realm in any::<bool>(), at in 0..2000_usize, octets in prop::collection::vec(any::<u8>(), 1..64)) {
        let mut payloads = [
            encode(REALM.platform_claims().unwrap()),
            encode(REALM.realm_claims(&BINDING).unwrap()),
        ];
        let payload = &mut payloads[usize::from(of_realm)];
        let at = at % payload.len();
        for (to, from) in payload[at..].iter_mut().zip(&octets) {
            *to = *from;
        }
        let platform = REALM.platform().sign(&payloads[0]).unwrap();
        let realm = REALM.sign(&payloads[1]).unwrap();
        drop(example().with_octets(cca::token(platform, realm).unwrap()).appraise().into_appraised());
    }
}
