//! One spelling of a token, and one meaning of a key.

use serde_json::{Value, json};
use treering::verifier::{self, ATTESTATION_RESULT, TokenKeys};

use super::{ED25519, case_of, ear04, example, external, our_cwt, signer};
use crate::verifier::tokens::{self, Issuer, KID};
use crate::verifier::{assert_refused, no_flipped_bit_is_accepted, read, vectors};

/// RFC 8725: what a token says of its own key or algorithm counts for nothing.
#[test]
fn the_key_says_the_algorithm() {
    let claims = ear04().to_string();
    let (p256, rsa) = (signer("ES256"), signer("RS256"));
    let dev = "https://verifier.example";
    let appraise = |issuer: &Issuer, token: &str| {
        let rules = external(dev, "ear-04", "sev-snp", &issuer.jwks(), "require_reference_value = false");
        case_of(ATTESTATION_RESULT, token, &rules).appraise()
    };
    let header = |alg: &str| format!("{{\"alg\":\"{alg}\",\"kid\":\"{KID}\"}}");
    assert_eq!(appraise(p256, &p256.raw(&header("ES256"), &claims)).refusal(), None);
    for alg in ["none", "None", "HS256", "HS384", "ES256K", "RS512", ""] {
        let refused = appraise(p256, &p256.raw(&header(alg), &claims));
        assert_refused(&refused, "format");
        // Without a signature at all.
        let token = p256.raw(&header(alg), &claims);
        assert_refused(&appraise(p256, &token[..=token.rfind('.').unwrap()]), "format");
    }
    for (issuer, alg) in
        [(p256, "ES384"), (p256, "EdDSA"), (rsa, "PS256"), (rsa, "PS384"), (rsa, "RS384"), (p256, "RS256")]
    {
        assert_refused(&appraise(issuer, &issuer.raw(&header(alg), &claims)), "signature");
    }
    // A key that came along is not looked at: here the attacker's own, well signed.
    let attacker = Issuer::ecdsa("ES256");
    let own = json!({ "alg": "ES256", "kid": KID, "jwk": attacker.jwk, "jku": "https://attacker.example" });
    assert_refused(&appraise(p256, &attacker.raw(&own.to_string(), &claims)), "signature");
    for (header, check) in [
        (format!("{{\"alg\":\"ES256\",\"kid\":\"{KID}\",\"crit\":[\"exp\"],\"exp\":1}}"), "format"),
        (format!("{{\"alg\":\"ES256\",\"kid\":\"{KID}\",\"b64\":false}}"), "format"),
        (format!("{{\"alg\":\"ES256\",\"alg\":\"ES256\",\"kid\":\"{KID}\"}}"), "format"),
        (format!("{{\"alg\":\"ES256\",\"kid\":\"{KID}\",\"typ\":\"wit+jwt\"}}"), "format"),
        ("{\"alg\":\"ES256\",\"kid\":\"another\"}".to_owned(), "issuer-key"),
        ("{\"alg\":\"ES256\",\"kid\":7}".to_owned(), "format"),
        ("{\"kid\":\"test-key\"}".to_owned(), "format"),
        ("[]".to_owned(), "format"),
    ] {
        assert_refused(&appraise(p256, &p256.raw(&header, &claims)), check);
    }
    let twice = claims.replacen('{', "{\"iat\":1,", 1);
    assert_refused(&appraise(p256, &p256.raw(&header("ES256"), &twice)), "claims");
}

#[test]
fn a_token_has_one_spelling() {
    let token = String::from_utf8(example().octets().to_vec()).unwrap();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    // The last character of 64 octets in base64url has four bits that say nothing.
    let spelled = [
        format!("{signed}.{}B", &signature[..signature.len() - 1]),
        format!("{token}="),
        format!("{token}=="),
        format!("{token}\n"),
        format!(" {token}"),
        format!("{token}."),
        token.replacen('.', "..", 1),
        signed.to_owned(),
    ];
    for spelling in spelled {
        let case = example().with_octets(spelling.clone().into_bytes());
        assert_refused(&case.appraise(), "format");
    }
    let long = vec![b'A'; verifier::MAX_TOKEN_BYTES + 1];
    assert_refused(&example().with_octets(long).appraise(), "format");
}

#[test]
fn every_flipped_bit_of_a_jwt_is_refused() {
    let case = example();
    no_flipped_bit_is_accepted(&case, 0..case.octets().len());
}

#[test]
fn every_flipped_bit_of_a_cwt_is_refused() {
    let case = our_cwt();
    no_flipped_bit_is_accepted(&case, 0..case.octets().len());
}

/// A key that is served as a certificate alone, as NVIDIA and Azure do.
#[test]
fn a_key_may_be_a_certificate() {
    let Some(vectors) = vectors() else { return };
    let x5c: Value =
        serde_json::from_slice(&read(vectors.join("evidence/nvidia/attestation-rs/nras_gpu_x5c_chain.json")))
            .unwrap();
    let set = json!({ "keys": [{ "kty": "EC", "crv": "P-384", "kid": "k", "x5c": x5c["x5c"] }] });
    // "crv" with "x5c" and no coordinates: the coordinates are what a curve must have.
    TokenKeys::parse(&set.to_string(), None).unwrap_err();
    let set = json!({ "keys": [{ "kty": "EC", "kid": "k", "x5c": x5c["x5c"] }] });
    TokenKeys::parse(&set.to_string(), None).unwrap();
}

#[test]
fn keys_that_could_mean_two_things_are_refused() {
    let rsa = signer("RS256").jwk.clone();
    let edit = |edit: &dyn Fn(&mut Value)| {
        let mut key = rsa.clone();
        edit(&mut key);
        json!({ "keys": [key] }).to_string()
    };
    TokenKeys::parse(&edit(&|_| ()), None).unwrap();
    let without = edit(&|key| drop(key.as_object_mut().unwrap().remove("alg")));
    TokenKeys::parse(&without, None).unwrap_err();
    TokenKeys::parse(&without, Some(verifier::TokenAlgorithm::Ps384)).unwrap();
    TokenKeys::parse(&without, Some(verifier::TokenAlgorithm::Es256)).unwrap_err();
    for bad in [
        edit(&|key| key["alg"] = "ES256".into()),
        edit(&|key| key["alg"] = "HS256".into()),
        edit(&|key| key["use"] = "enc".into()),
        edit(&|key| key["n"] = "AQAB".into()),
        edit(&|key| key["d"] = "AQAB".into()),
        edit(&|key| *key = json!({ "kty": "oct", "k": "AAAA", "kid": "a" })),
        json!({ "keys": [] }).to_string(),
        json!({ "keys": [rsa, rsa] }).to_string(),
        json!({ "keys": [ED25519.jwk, { "kty": "OKP", "crv": "Ed25519", "x": ED25519.jwk["x"] }] })
            .to_string(),
        "{}".to_owned(),
    ] {
        TokenKeys::parse(&bad, None).unwrap_err();
    }
    TokenKeys::parse(&tokens::pem_of_p256(), None).unwrap();
    TokenKeys::parse("-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n", None).unwrap_err();
}
