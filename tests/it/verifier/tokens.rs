//! Issuers of tokens for tests: keys made here, of every algorithm that is accepted.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
};
use data_encoding::BASE64URL_NOPAD;
use ed25519_dalek::Signer as _;
use serde_json::{Value, json};

/// The name of every test key.
pub(crate) const KID: &str = "test-key";

type Sign = dyn Fn(&[u8]) -> Vec<u8> + Send + Sync;

/// Somebody who signs tokens.
pub(crate) struct Issuer {
    pub(crate) algorithm: &'static str,
    /// Its public key as a JWK.
    pub(crate) jwk: Value,
    sign: Box<Sign>,
}

fn b64(octets: impl AsRef<[u8]>) -> String {
    BASE64URL_NOPAD.encode(octets.as_ref())
}

impl Issuer {
    /// Ed25519 of a fixed seed: its signatures are the same in every run.
    pub(crate) fn ed25519(seed: u8) -> Self {
        let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
        let x = b64(key.verifying_key().as_bytes());
        Self {
            algorithm: "EdDSA",
            jwk: json!({ "kty": "OKP", "crv": "Ed25519", "x": x, "kid": KID }),
            sign: Box::new(move |message| key.sign(message).to_bytes().to_vec()),
        }
    }

    pub(crate) fn ecdsa(algorithm: &'static str) -> Self {
        let (signing, curve) = match algorithm {
            "ES256" => (&ECDSA_P256_SHA256_FIXED_SIGNING, "P-256"),
            _ => (&ECDSA_P384_SHA384_FIXED_SIGNING, "P-384"),
        };
        let key = EcdsaKeyPair::generate(signing).unwrap();
        let point = key.public_key().as_ref()[1..].to_vec();
        let (x, y) = point.split_at(point.len() / 2);
        Self {
            algorithm,
            jwk: json!({ "kty": "EC", "crv": curve, "x": b64(x), "y": b64(y), "kid": KID }),
            sign: Box::new(move |message| key.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()),
        }
    }

    pub(crate) fn rsa(algorithm: &'static str) -> Self {
        let key = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let public = key.public_key();
        let n = b64(public.modulus().big_endian_without_leading_zero());
        let e = b64(public.exponent().big_endian_without_leading_zero());
        let encoding: &'static dyn signature::RsaEncoding = match algorithm {
            "RS256" => &signature::RSA_PKCS1_SHA256,
            "PS256" => &signature::RSA_PSS_SHA256,
            _ => &signature::RSA_PSS_SHA384,
        };
        Self {
            algorithm,
            jwk: json!({ "kty": "RSA", "n": n, "e": e, "kid": KID, "alg": algorithm, "use": "sig" }),
            sign: Box::new(move |message| {
                let mut out = vec![0; key.public_modulus_len()];
                key.sign(encoding, &SystemRandom::new(), message, &mut out).unwrap();
                out
            }),
        }
    }

    /// Its keys as a policy has them.
    pub(crate) fn jwks(&self) -> String {
        json!({ "keys": [self.jwk] }).to_string()
    }

    /// A token of these claims.
    pub(crate) fn jwt(&self, claims: &Value) -> String {
        self.raw(&json!({ "alg": self.algorithm, "typ": "JWT", "kid": KID }).to_string(), &claims.to_string())
    }

    /// A token of any header and payload.
    pub(crate) fn raw(&self, header: &str, payload: &str) -> String {
        let signed = format!("{}.{}", b64(header), b64(payload));
        let signature = b64((self.sign)(signed.as_bytes()));
        format!("{signed}.{signature}")
    }
}

/// One key in PEM.
pub(crate) fn pem_of_p256() -> String {
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let der = AsDer::as_der(key.public_key()).unwrap();
    let der: aws_lc_rs::encoding::PublicKeyX509Der<'_> = der;
    format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        data_encoding::BASE64.encode(der.as_ref())
    )
}
