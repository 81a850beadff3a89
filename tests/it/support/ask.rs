//! A request for a credential, each part of which a test can make wrong.

use std::sync::Arc;

use data_encoding::BASE64URL_NOPAD;
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256, SignatureAlgorithm};
use serde_json::{Map, Value, json};
use treering::attester::Attester;
use treering::attester::simulated::{Guest, Launch, Platform};
use treering::binding::binding_value;

use super::people::until_not_stale;
use super::{Net, Reply, Stage};

/// The image whose measurement is a reference value.
pub(crate) fn image() -> Vec<u8> {
    b"an image that CI built".to_vec()
}

/// A guest of this image on the stage's platform.
pub(crate) fn guest(stage: &Stage, image: &[u8]) -> Guest {
    let platform = Platform::load(stage.path("platform").as_ref()).unwrap();
    Arc::new(platform).guest(Launch::of_image(image)).unwrap()
}

/// A request: right, until a test changes it.
pub(crate) struct Ask {
    pub(crate) challenge: Vec<u8>,
    pub(crate) target: String,
    pub(crate) rp_id: String,
    pub(crate) csr: Vec<u8>,
    /// Media type and octets.
    pub(crate) evidence: Vec<(String, Vec<u8>)>,
    pub(crate) endorsements: Vec<Vec<u8>>,
    /// CRLs and vendors' documents: media type and octets.
    pub(crate) documents: Vec<(String, Vec<u8>)>,
}

/// A certification request for a new key.
pub(crate) fn csr(algorithm: &'static SignatureAlgorithm) -> Vec<u8> {
    let key = KeyPair::generate_for(algorithm).unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.serialize_request(&key).unwrap().der().to_vec()
}

impl Ask {
    /// A request with a fresh challenge, a new key, and no evidence yet.
    pub(crate) async fn begin(stage: &Stage, net: &Net, target: &str) -> Self {
        let reply = net.post("/v1/challenges", &json!({ "target": target })).await.is(201).json();
        assert_eq!(reply["rp_id"], stage.rp_id);
        let challenge = BASE64URL_NOPAD.decode(reply["challenge"].as_str().unwrap().as_bytes()).unwrap();
        Self {
            challenge,
            target: target.to_owned(),
            rp_id: stage.rp_id.clone(),
            csr: csr(&PKCS_ECDSA_P256_SHA256),
            evidence: Vec::new(),
            endorsements: Vec::new(),
            documents: Vec::new(),
        }
    }

    /// A request that is right in every point.
    pub(crate) async fn good(stage: &Stage, net: &Net, target: &str) -> Self {
        Self::begin(stage, net, target).await.attest(&guest(stage, &image()))
    }

    /// The value that the evidence must carry.
    pub(crate) fn binding(&self) -> [u8; 64] {
        binding_value(&self.challenge, &self.target, &self.rp_id, &self.csr)
    }

    /// Has evidence made for the request as it is now.
    pub(crate) fn attest(self, attester: &dyn Attester) -> Self {
        let binding = self.binding();
        self.attest_to(&binding, attester)
    }

    /// Has evidence made that carries this value, which may be another.
    pub(crate) fn attest_to(mut self, binding: &[u8; 64], attester: &dyn Attester) -> Self {
        let attestation = attester.report(binding).unwrap();
        self.evidence = attestation.items().map(|(kind, bytes)| (kind.to_owned(), bytes)).collect();
        self.endorsements = attestation.endorsements;
        let documents = attestation.documents.into_iter();
        self.documents = documents.map(|item| (item.media_type.to_owned(), item.bytes)).collect();
        self
    }

    /// The message.
    pub(crate) fn json(&self) -> Value {
        let record = |kind: &str, bytes: &[u8], ind: u64| json!([kind, BASE64URL_NOPAD.encode(bytes), ind]);
        let mut evidence = Map::new();
        evidence.insert("__cmwc_t".to_owned(), json!("tag:treering.example,2026:evidence"));
        for (number, (kind, bytes)) in self.evidence.iter().enumerate() {
            evidence.insert(format!("evidence-{number}"), record(kind, bytes, 4));
        }
        for (number, bytes) in self.endorsements.iter().enumerate() {
            evidence.insert(format!("certificate-{number}"), record("application/pkix-cert", bytes, 2));
        }
        for (number, (kind, bytes)) in self.documents.iter().enumerate() {
            evidence.insert(format!("document-{number}"), record(kind, bytes, 2));
        }
        json!({
            "challenge": BASE64URL_NOPAD.encode(&self.challenge),
            "target": self.target,
            "csr": BASE64URL_NOPAD.encode(&self.csr),
            "evidence": evidence,
        })
    }

    /// Sends it.
    pub(crate) async fn send(&self, net: &Net) -> Reply {
        let body = self.json();
        until_not_stale(|| net.post("/v1/credentials", &body)).await
    }
}
