//! The simulated platform: what is wrong in one point is refused by the check of that point.

use std::sync::Arc;

use ciborium::Value;
use sha2::{Digest as _, Sha384, Sha512};
use treering::attester;
use treering::attester::simulated::cca::{self, CcaPlatform, Claims, RealmImage};
use treering::verifier::{Assurance, CCA_TOKEN, HardwareRoots, Refused, Status};

use super::{BINDING, LENIENT, REALM, assert_format, detail, digest, example, parts, policy};
use crate::verifier::{Case, assert_affirming, assert_refused, failed, main, policy_of};

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
fn what_is_no_token_is_not_taken_for_one() {
    for octets in [vec![], vec![0xd9, 0x01, 0x8f], b"arm.com".to_vec(), vec![0; 5000]] {
        let appraisal = example().with_octets(octets).appraise();
        assert!(matches!(appraisal.into_appraised(), Err(Refused::NotEvidence(_))));
    }
    let long = [example().octets(), &vec![0; 0x4000]].concat();
    assert_refused(&example().with_octets(long).appraise(), "format");
}
