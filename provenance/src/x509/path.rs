//! Paths of certificates: names, signatures, and what a CA may do, from an end entity up to an anchor.
//!
//! In scope: RFC 5280 section 6.1 without name constraints and policies, over the octets received. The anchors are
//! the caller's, and so is the time: a [`Path`] says how long each of its certificates is valid.
//! Out of scope: what the end entity must be (the profile's checks), revocation.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ED25519,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, UnparsedPublicKey,
    VerificationAlgorithm,
};

use super::{
    Parts, Profile, ProfileError,
    der::{self, Tlv, tag},
    split_certificate,
};

/// The most certificates between an end entity's and the anchor: a CA for the service and one above it, twice.
pub const MAX_INTERMEDIATES: usize = 4;

/// AlgorithmIdentifiers (DER) of signatures on certificates.
const ECDSA_SHA256: &[u8] = &[0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
const ECDSA_SHA384: &[u8] = &[0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03];
const RSA_SHA256: &[u8] =
    &[0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b, 0x05, 0x00];
const RSA_SHA384: &[u8] =
    &[0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c, 0x05, 0x00];
const RSA_SHA512: &[u8] =
    &[0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d, 0x05, 0x00];
/// Of keys, and of Ed25519's signatures too.
const ED25519_KEY: &[u8] = &[0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70];
const P256_KEY: &[u8] = &[
    0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07,
];
const P384_KEY: &[u8] = &[
    0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00,
    0x22,
];
const RSA_KEY: &[u8] =
    &[0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];

/// How a signature of one algorithm by a key of another is verified.
const ALGORITHMS: [(&[u8], &[u8], &dyn VerificationAlgorithm); 7] = [
    (ECDSA_SHA256, P256_KEY, &ECDSA_P256_SHA256_ASN1),
    (ECDSA_SHA384, P384_KEY, &ECDSA_P384_SHA384_ASN1),
    // What OpenSSL's defaults make of a P-384 CA.
    (ECDSA_SHA256, P384_KEY, &ECDSA_P384_SHA256_ASN1),
    (ED25519_KEY, ED25519_KEY, &ED25519),
    (RSA_SHA256, RSA_KEY, &RSA_PKCS1_2048_8192_SHA256),
    (RSA_SHA384, RSA_KEY, &RSA_PKCS1_2048_8192_SHA384),
    (RSA_SHA512, RSA_KEY, &RSA_PKCS1_2048_8192_SHA512),
];

/// Why there is no path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// More certificates than are followed.
    #[error("{0} intermediates, at most {MAX_INTERMEDIATES} are accepted")]
    TooMany(usize),
    /// Nobody's signature.
    #[error("no chain of signatures to a pinned CA")]
    NoAnchor,
    /// An issuer on the way, or the anchor, may not issue what is below it.
    #[error("certificate {position} of the path: {error}")]
    Issuer {
        /// Counted from the end entity, which is 0.
        position: usize,
        /// What is wrong with it.
        error: ProfileError,
    },
}

/// A path that holds, whatever the time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// How many of the certificates it needed; the anchor is above them.
    pub used: usize,
    /// Which anchor it ends at, counted from 0.
    pub anchor: usize,
    /// The SubjectPublicKeyInfo of the end entity's direct issuer.
    pub issuer_spki: Vec<u8>,
    /// First and last second of each certificate from the end entity's to the anchor's.
    pub validity: Vec<(u64, u64)>,
}

impl Path {
    /// The first certificate that is not valid then: its position and its dates.
    pub fn outside(&self, now: u64) -> Option<(usize, (u64, u64))> {
        let mut dates = self.validity.iter().copied().enumerate();
        dates.find(|(_, (not_before, not_after))| !(*not_before..=*not_after).contains(&now))
    }
}

/// Follows the certificates in TLS's order, each signed by the next, to the first that an anchor signed.
pub fn verify_path(links: &[(&[u8], &Profile)], anchors: &[&Profile]) -> Result<Path, PathError> {
    let intermediates = links.len().saturating_sub(1);
    if intermediates > MAX_INTERMEDIATES {
        return Err(PathError::TooMany(intermediates));
    }
    let check = |position: usize, issuer: &Profile| {
        let below = u8::try_from(position.saturating_sub(1)).unwrap_or(u8::MAX);
        issuer.check_ca(below).map_err(|error| PathError::Issuer { position, error })
    };
    let mut validity = Vec::new();
    let mut first_issuer = None;
    for (position, (der, certificate)) in links.iter().enumerate() {
        let above = position.saturating_add(1);
        validity.push(certificate.validity());
        let signed_by = |issuer: &Profile| {
            certificate.names_issuer(issuer) && signature_verifies(der, certificate, issuer.spki())
        };
        if let Some((anchor, ca)) = anchors.iter().enumerate().find(|(_, ca)| signed_by(ca)) {
            check(above, ca)?;
            validity.push(ca.validity());
            let issuer_spki = first_issuer.unwrap_or_else(|| ca.spki().to_vec());
            return Ok(Path { used: above, anchor, issuer_spki, validity });
        }
        let Some((_, next)) = links.get(above).filter(|(_, next)| signed_by(next)) else {
            break;
        };
        check(above, next)?;
        first_issuer.get_or_insert_with(|| next.spki().to_vec());
    }
    Err(PathError::NoAnchor)
}

fn signature_verifies(der: &[u8], certificate: &Profile, issuer_spki: &[u8]) -> bool {
    // What is outside the signature must say what is inside.
    certificate.algorithms_agree() && is_signed_by(der, issuer_spki)
}

/// Whether the key of this SubjectPublicKeyInfo signed this certificate or CRL (both are a sequence of what is signed,
/// the algorithm, and the signature). That the algorithm inside is the one outside is for the caller to compare.
pub fn is_signed_by(der: &[u8], issuer_spki: &[u8]) -> bool {
    let Ok(Parts { tbs, algorithm, signature }) = split_certificate(der) else {
        return false;
    };
    let Some((kind, key)) = public_key(issuer_spki) else {
        return false;
    };
    let fits = |(signed, by, _): &&(&[u8], &[u8], _)| *signed == algorithm && *by == kind;
    ALGORITHMS
        .iter()
        .find(fits)
        .is_some_and(|(_, _, verifier)| UnparsedPublicKey::new(*verifier, key).verify(tbs, signature).is_ok())
}

/// The AlgorithmIdentifier and the key of a SubjectPublicKeyInfo.
fn public_key(spki: &[u8]) -> Option<(&[u8], &[u8])> {
    let content = der::only(spki, tag::SEQUENCE).ok()?;
    let (algorithm, rest) = Tlv::take(content, tag::SEQUENCE).ok()?;
    let key = der::only(rest, tag::BIT_STRING).ok()?.strip_prefix(&[0])?;
    Some((algorithm.whole, key))
}
