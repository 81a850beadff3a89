//! Credentials put together from parts of others: with the old signature, or, as a CA would that works for somebody
//! else, with a new one.

use std::path::Path;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use treering_provenance::proof::CredentialProof;
use treering_provenance::x509;

/// The proof in a credential.
pub(crate) fn proof_of(der: &[u8]) -> CredentialProof {
    let parts = x509::split_certificate(der).unwrap();
    CredentialProof::parse(x509::proof(parts.tbs).unwrap().unwrap()).unwrap()
}

/// The credential with these octets for its proof, and the signature as it was.
pub(crate) fn with_proof(der: &[u8], proof: &[u8]) -> Vec<u8> {
    let parts = x509::split_certificate(der).unwrap();
    let tbs = x509::insert_proof(&x509::strip(parts.tbs).unwrap(), proof).unwrap();
    x509::assemble_certificate(&tbs, parts.algorithm, parts.signature)
}

/// The credential, signed anew with the CA's own key.
pub(crate) fn signed_anew(der: &[u8], ca_key: impl AsRef<Path>) -> Vec<u8> {
    let parts = x509::split_certificate(der).unwrap();
    let pem = std::fs::read(ca_key).unwrap();
    let (_, pkcs8) = pem_rfc7468::decode_vec(&pem).unwrap();
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &pkcs8).unwrap();
    let signature = key.sign(&SystemRandom::new(), parts.tbs).unwrap();
    x509::assemble_certificate(parts.tbs, parts.algorithm, signature.as_ref())
}

/// PEM of certificates.
pub(crate) fn pem(chain: &[Vec<u8>]) -> String {
    let pem = |der| pem_rfc7468::encode_string("CERTIFICATE", pem_rfc7468::LineEnding::LF, der).unwrap();
    chain.iter().map(|der| pem(der)).collect()
}
