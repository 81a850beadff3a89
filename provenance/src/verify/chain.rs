//! From a workload's certificate to a pinned CA.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

use super::{Run, Stop, cannot_evaluate, check, untrusted};
use crate::{
    cose::VerifyingKey,
    trust::Trust,
    x509::{MAX_INTERMEDIATES, PathError, Profile, verify_path},
};

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
        return Err(cannot_evaluate(check::ISSUER_SIGNATURE, PathError::TooMany(intermediates.len())));
    }
    let parse =
        |der: &[u8]| Profile::parse(der).map_err(|error| cannot_evaluate(check::ISSUER_SIGNATURE, error));
    let pinned = trust.ca().iter().map(|der| parse(der)).collect::<Result<Vec<_>, _>>()?;
    let above = intermediates.iter().map(|der| parse(der)).collect::<Result<Vec<_>, _>>()?;
    let links: Vec<(&[u8], &Profile)> =
        [(leaf, profile)].into_iter().chain(intermediates.iter().copied().zip(&above)).collect();
    let path = verify_path(&links, &pinned.iter().collect::<Vec<_>>()).map_err(|error| match error {
        PathError::TooMany(_) => cannot_evaluate(check::ISSUER_SIGNATURE, error),
        PathError::NoAnchor | PathError::Issuer { .. } => untrusted(check::ISSUER_SIGNATURE, error),
    })?;
    if let Some((_, (not_before, not_after))) = path.outside(now) {
        let problem = format!("{now} is outside the validity of a certificate, {not_before} to {not_after}");
        return Err(untrusted(check::VALIDITY, problem));
    }
    let certificates = path.validity.len();
    run.pass(check::VALIDITY, format!("{now} is within the validity of {certificates} certificates"));
    run.pass(check::ISSUER_SIGNATURE, format!("{} signatures up to a pinned CA", path.used));
    Ok(path.issuer_spki)
}

/// Whether `key`, P-256, signed the message: r || s of 64 bytes, or DER. The caller compares nothing by these bytes, so
/// both values of S are accepted.
pub(super) fn ecdsa_p256_verifies(key: &VerifyingKey, message: &[u8], signature: &[u8]) -> bool {
    let algorithm = if signature.len() == 64 { &ECDSA_P256_SHA256_FIXED } else { &ECDSA_P256_SHA256_ASN1 };
    // aws-lc reads the key from its SubjectPublicKeyInfo, too.
    UnparsedPublicKey::new(algorithm, key.to_spki()).verify(message, signature).is_ok()
}
