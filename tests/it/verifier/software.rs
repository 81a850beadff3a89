//! Platform tokens of workloads without a TEE: synthetic, shaped as Kubernetes and CI systems document theirs.

use std::sync::LazyLock;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use proptest::prelude::*;
use serde_json::{Value, json};
use treering::verifier::{
    self, Assurance, Collateral, PLATFORM_TOKEN, ReferenceValue, ReferenceValues, Status, digest_of,
};

use super::tokens::{Issuer, KID};
use super::{Case, assert_affirming, assert_refused, failed, main, no_flipped_bit_is_accepted, policy_of};

const NOW: u64 = 1_800_000_000;
const BINDING: [u8; 64] = [0x5a; 64];
static ISSUER: LazyLock<Issuer> = LazyLock::new(|| Issuer::ed25519(9));

fn rules(more: &str) -> String {
    format!(
        "[[software]]\nname = \"cluster\"\nissuer = \"https://k8s.example\"\naudience = \"https://treering.example\"\nsubjects = [\"system:serviceaccount:payments:api\"]\nkeys = '''{}'''\n{more}\n",
        ISSUER.jwks()
    )
}

/// A service account token, with the binding in its audience.
fn claims() -> Value {
    let digest = BASE64URL_NOPAD.encode(&digest_of("treering-binding-software-v1", &BINDING));
    json!({
        "iss": "https://k8s.example",
        "sub": "system:serviceaccount:payments:api",
        "aud": [format!("https://treering.example#{digest}")],
        "iat": NOW, "nbf": NOW, "exp": NOW + 600,
        "kubernetes.io": { "namespace": "payments", "serviceaccount": { "name": "api" }, "pod": { "name": "api-0" } },
        "image": { "digest": format!("sha256:{}", HEXLOWER.encode(&[9; 32])) },
    })
}

fn case(claims: &Value, more: &str) -> Case {
    let token = ISSUER.jwt(claims).into_bytes();
    Case {
        policy: policy_of(&rules(more)),
        ..Case::of("software", PLATFORM_TOKEN, token, Collateral::default(), NOW)
    }
}

pub(crate) fn example() -> Case {
    case(&claims(), "require_reference_value = false")
}

/// It passes where the policy says so, and never looks like more than it is.
#[test]
fn a_platform_token_is_software_and_says_so() {
    let appraisal = example().appraise();
    assert_affirming("software", &appraisal);
    let vector = main(&appraisal).vector();
    assert_eq!(
        (vector.hardware, vector.runtime_opaque, vector.executables),
        (0, 0, 0),
        "no hardware vouches"
    );
    assert!(appraisal.matches_binding(&BINDING) && !appraisal.matches_binding(&[0; 64]));
    let ear: Value = serde_json::from_slice(appraisal.ear()).unwrap();
    assert_eq!(ear["submods"]["software"]["ear_verifier_claims"]["assurance"], "software");
    let appraised = appraisal.into_appraised().unwrap();
    assert_eq!((appraised.assurance(), appraised.tee().as_str()), (Assurance::Software, "software"));
}

#[test]
fn what_is_wrong_in_a_token_is_named() {
    for (name, value, check) in [
        ("iss", json!("https://other.example"), "issuer"),
        ("sub", json!("system:serviceaccount:payments:other"), "subject"),
        ("sub", json!(7), "claims"),
        ("aud", json!("https://other.example"), "audience"),
        ("aud", json!(["https://treering.example", "https://other.example"]), "claims"),
        ("aud", json!("https://treering.example#short"), "claims"),
        ("aud", json!([]), "claims"),
        ("exp", json!(NOW), "validity"),
        ("exp", json!(null), "claims"),
        ("iat", json!(NOW - 601), "age"),
        ("nbf", json!(NOW + 61), "validity"),
    ] {
        let mut changed = claims();
        changed[name] = value;
        let appraisal = case(&changed, "require_reference_value = false").appraise();
        assert_refused(&appraisal, check);
        assert_eq!(failed(&appraisal), [check]);
        assert_eq!(appraisal.status(), Status::Contraindicated);
    }
    let stranger = Issuer::ed25519(10).jwt(&claims()).into_bytes();
    assert_refused(&example().with_octets(stranger).appraise(), "signature");
    let renamed = ISSUER.raw("{\"alg\":\"EdDSA\",\"kid\":\"x\"}", &claims().to_string());
    assert_refused(&example().with_octets(renamed.into_bytes()).appraise(), "issuer-key");
    for typ in ["wit+jwt", "at+jwt", "eat+jwt"] {
        let header = format!("{{\"alg\":\"EdDSA\",\"kid\":\"{KID}\",\"typ\":\"{typ}\"}}");
        let other = ISSUER.raw(&header, &claims().to_string()).into_bytes();
        assert_refused(&example().with_octets(other).appraise(), "format");
    }
    let unsigned = ISSUER.raw(&format!("{{\"alg\":\"none\",\"kid\":\"{KID}\"}}"), &claims().to_string());
    assert_refused(&example().with_octets(unsigned.into_bytes()).appraise(), "format");
}

/// A token that does not carry the binding is genuine, and bound to nothing of ours.
#[test]
fn an_audience_without_binding_binds_nothing() {
    let mut plain = claims();
    plain["aud"] = json!("https://treering.example");
    let appraisal = case(&plain, "require_reference_value = false").appraise();
    assert_eq!(appraisal.refusal(), None);
    assert!(!appraisal.matches_binding(&BINDING));
}

#[test]
fn the_image_is_judged_where_the_token_names_it() {
    let with = |octet: u8| {
        let registers = [("image-digest".to_owned(), vec![octet; 32])].into();
        let value = ReferenceValue {
            name: "api 1".to_owned(),
            tee: "software".to_owned(),
            registers,
            source: [0; 32],
        };
        ReferenceValues::new(vec![value]).unwrap()
    };
    let named = case(&claims(), "image_digest = \"/image/digest\"");
    assert_refused(&named.appraise(), "reference-value");
    let known = Case { references: with(9), ..named.clone() }.appraise();
    assert_eq!(known.refusal(), None);
    assert_eq!(main(&known).reference().unwrap().name, "api 1");
    assert_refused(&Case { references: with(8), ..named }.appraise(), "reference-value");
    assert_refused(&case(&claims(), "image_digest = \"/nowhere\"").appraise(), "claims");
}

#[test]
fn a_section_that_trusts_too_much_is_refused() {
    for (from, to) in [
        ("subjects = [\"system:serviceaccount:payments:api\"]", "subjects = []"),
        ("audience = \"https://treering.example\"", "audience = \"\""),
        ("audience = \"https://treering.example\"", "audience = \"a#b\""),
        ("audience = \"https://treering.example\"\n", ""),
        ("name = \"cluster\"", "name = \"cluster\"\nsubject = \"x\""),
    ] {
        let text = rules("");
        assert!(text.contains(from));
        let text = format!("version = 1\nname = \"t\"\n{}", text.replace(from, to));
        verifier::AppraisalPolicy::parse(text.as_bytes()).unwrap_err();
    }
}

#[test]
fn every_flipped_bit_of_a_platform_token_is_refused() {
    let case = example();
    no_flipped_bit_is_accepted(&case, 0..case.octets().len());
}

#[test]
fn the_octets_of_a_result_are_pinned() {
    let text = String::from_utf8(example().appraise().ear().to_vec()).unwrap();
    let text = text.replace(verifier::BUILD, "treering 0");
    assert_eq!(
        HEXLOWER.encode(&verifier::fingerprint(text.as_bytes())),
        "a0826d2ec676ddef26323c5ae45de25ca3c5aa0e4f0c444a72efd4a39773dde7"
    );
}

proptest! {
    #[test]
    fn no_claims_make_it_panic(payload in "\\PC{0,200}", octets in prop::collection::vec(any::<u8>(), 0..300)) {
        let token = ISSUER.raw(&format!("{{\"alg\":\"EdDSA\",\"kid\":\"{KID}\"}}"), &payload);
        for octets in [token.into_bytes(), octets] {
            prop_assert!(example().with_octets(octets).appraise().refusal().is_some());
        }
    }
}
