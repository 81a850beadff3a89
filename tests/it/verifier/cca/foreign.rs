//! Tokens that others made with test keys: there are none of hardware.

use std::path::Path;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use treering::attester::simulated::cca;
use treering::verifier::{
    self, AppraisalPolicy, Assurance, ReferenceValue, ReferenceValues, Refused, Registers, Status,
};

use super::{BINDING, REALM, assert_format, digest, encode, example, of_octets, parts, with_key};
use crate::verifier::{Case, assert_refused, failed, main, read, vectors};

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

/// The reference values that Veraison's tool keeps beside its tokens fit the first of them, and no other.
#[test]
fn reference_values_that_others_made_fit_their_tokens() {
    let Some(vectors) = vectors() else { return };
    let json: serde_json::Value =
        serde_json::from_slice(&read(vectors.join("evidence/cca/rust-ccatoken/rv.json"))).unwrap();
    let octets =
        |value: &serde_json::Value| HEXLOWER_PERMISSIVE.decode(value.as_str().unwrap().as_bytes()).unwrap();
    let platform = |value: &serde_json::Value| {
        let components =
            value["sw-components"].as_array().unwrap().iter().enumerate().flat_map(|(at, one)| {
                [
                    (format!("sw{at}"), &one["measurement-value"]),
                    (format!("sw{at}-signer"), &one["signer-id"]),
                ]
            });
        let whole = [
            ("implementation".to_owned(), &value["implementation-id"]),
            ("config".to_owned(), &value["platform-configuration"]),
        ];
        components.chain(whole).map(|(name, value)| (name, octets(value))).collect::<Registers>()
    };
    let realm = |value: &serde_json::Value| {
        let extensible = value["extensible-measurements"].as_array().unwrap().iter().enumerate();
        let extensible = extensible.map(|(at, one)| (format!("rem{at}"), one));
        let whole = [
            ("rim".to_owned(), &value["initial-measurement"]),
            ("rpv".to_owned(), &value["personalization-value"]),
        ];
        extensible.chain(whole).map(|(name, value)| (name, octets(value))).collect::<Registers>()
    };
    let platforms = json["platform"].as_array().unwrap().iter().map(platform);
    let realms = json["realm"].as_array().unwrap().iter().map(realm);
    let value = |registers| ReferenceValue {
        name: "rv.json".to_owned(),
        tee: verifier::SUBMOD_CCA.to_owned(),
        registers,
        source: [0; 32],
    };
    let references = ReferenceValues::new(platforms.chain(realms).map(value).collect()).unwrap();
    let [first, others @ ..] = foreign(&vectors);
    let appraisal = Case { references: references.clone(), ..first }.appraise();
    assert_eq!((appraisal.refusal(), main(&appraisal).vector().executables), (None, 2));
    assert_eq!(main(&appraisal).reference().unwrap().name, "rv.json");
    for other in others {
        let appraisal = Case { references: references.clone(), ..other }.appraise();
        assert_eq!(
            failed(&appraisal),
            ["platform-reference", "reference-value"],
            "they are given, and count"
        );
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
            crate::verifier::no_flipped_bit_is_accepted(&case, at..at + 1);
        }
    }
}

#[test]
#[ignore = "soak: every bit of four tokens"]
fn every_flipped_bit_of_foreign_tokens_is_refused() {
    let Some(vectors) = vectors() else { return };
    for case in foreign(&vectors) {
        crate::verifier::no_flipped_bit_is_accepted(&case, 0..case.octets().len());
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
    assert_eq!(digest, "f558c443bdcc77a7d8c191b5e8a19a33d76ffcca09f654bf94820b70900f84ff");
}
