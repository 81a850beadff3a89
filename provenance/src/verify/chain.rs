//! From a workload's certificate to a pinned CA.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_ASN1, ED25519, UnparsedPublicKey,
    VerificationAlgorithm,
};

use super::{Run, Stop, cannot_evaluate, check, untrusted};
use crate::{
    cose::VerifyingKey,
    trust::Trust,
    x509::{self, Parts, Profile},
};

/// The most intermediates: a CA for the service and one above it.
const MAX_INTERMEDIATES: usize = 4;

/// AlgorithmIdentifiers (DER) of the signatures accepted on certificates, with the beginning of the
/// SubjectPublicKeyInfo that the issuer must have and how it is verified.
const ALGORITHMS: [(&[u8], &[u8], &dyn VerificationAlgorithm); 3] = [
    // ecdsa-with-SHA256 by a P-256 key.
    (
        &[0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02],
        &[
            0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
            0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
        ],
        &ECDSA_P256_SHA256_ASN1,
    ),
    // ecdsa-with-SHA384 by a P-384 key.
    (
        &[0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03],
        &[
            0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b,
            0x81, 0x04, 0x00, 0x22, 0x03, 0x62, 0x00,
        ],
        &ECDSA_P384_SHA384_ASN1,
    ),
    // Ed25519.
    (
        &[0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70],
        &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00],
        &ED25519,
    ),
];

/// Verifies the chain of names, signatures and dates, and returns the SubjectPublicKeyInfo of the workload
/// certificate's direct issuer.
pub(super) fn verify(
    run: &mut Run,
    (leaf, profile): (&[u8], &Profile),
    intermediates: &[&[u8]],
    trust: &Trust,
    now: u64,
) -> Result<Vec<u8>, Stop> {
    if intermediates.len() > MAX_INTERMEDIATES {
        let problem =
            format!("{} intermediates, at most {MAX_INTERMEDIATES} are accepted", intermediates.len());
        return Err(cannot_evaluate(check::ISSUER_SIGNATURE, problem));
    }
    let parse =
        |der: &[u8]| Profile::parse(der).map_err(|error| cannot_evaluate(check::ISSUER_SIGNATURE, error));
    let pinned = trust.ca().iter().map(|der| parse(der)).collect::<Result<Vec<_>, _>>()?;
    let mut links = vec![(leaf, profile.clone())];
    for der in intermediates {
        links.push((der, parse(der)?));
    }
    // In the order of TLS: each certificate is signed by the next; the first that a pinned CA signed ends the chain.
    let mut first_issuer = None;
    for (depth, (der, certificate)) in links.iter().enumerate() {
        in_validity(certificate, now)?;
        let signed_by = |issuer: &Profile| {
            certificate.names_issuer(issuer) && signature_verifies(der, certificate, issuer.spki())
        };
        let below = u8::try_from(depth).unwrap_or(u8::MAX);
        if let Some(ca) = pinned.iter().find(|ca| signed_by(ca)) {
            ca.check_ca(below).map_err(|error| untrusted(check::ISSUER_SIGNATURE, error))?;
            in_validity(ca, now)?;
            run.pass(check::VALIDITY, format!("{now} is within the validity of {} certificates", depth + 2));
            run.pass(check::ISSUER_SIGNATURE, format!("{} signatures up to a pinned CA", depth + 1));
            return Ok(first_issuer.unwrap_or_else(|| ca.spki().to_vec()));
        }
        let Some((_, next)) = links.get(depth + 1).filter(|(_, next)| signed_by(next)) else {
            break;
        };
        next.check_ca(below).map_err(|error| untrusted(check::ISSUER_SIGNATURE, error))?;
        first_issuer.get_or_insert_with(|| next.spki().to_vec());
    }
    Err(untrusted(check::ISSUER_SIGNATURE, "no chain of signatures to a pinned CA"))
}

/// Whether `key`, P-256, signed the message: r || s of 64 bytes, or DER. The caller compares nothing by these bytes, so
/// both values of S are accepted.
pub(super) fn ecdsa_p256_verifies(key: &VerifyingKey, message: &[u8], signature: &[u8]) -> bool {
    let spki = key.to_spki();
    let [(_, prefix, _), ..] = ALGORITHMS;
    let Some(point) = spki.strip_prefix(prefix) else {
        return false;
    };
    let algorithm = if signature.len() == 64 { &ECDSA_P256_SHA256_FIXED } else { &ECDSA_P256_SHA256_ASN1 };
    UnparsedPublicKey::new(algorithm, point).verify(message, signature).is_ok()
}

fn in_validity(certificate: &Profile, now: u64) -> Result<(), Stop> {
    let (not_before, not_after) = certificate.validity();
    if (not_before..=not_after).contains(&now) {
        return Ok(());
    }
    let problem = format!("{now} is outside the validity of a certificate, {not_before} to {not_after}");
    Err(untrusted(check::VALIDITY, problem))
}

fn signature_verifies(der: &[u8], certificate: &Profile, issuer_spki: &[u8]) -> bool {
    let Ok(Parts { tbs, algorithm, signature }) = x509::split_certificate(der) else {
        return false;
    };
    // What is outside the signature must say what is inside.
    if !certificate.algorithms_agree() {
        return false;
    }
    ALGORITHMS.iter().filter(|(identifier, ..)| *identifier == algorithm).any(|(_, prefix, verifier)| {
        let key = issuer_spki.strip_prefix(*prefix);
        key.is_some_and(|key| UnparsedPublicKey::new(*verifier, key).verify(tbs, signature).is_ok())
    })
}
