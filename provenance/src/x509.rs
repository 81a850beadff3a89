//! X.509 with a credential proof, cut from raw DER.
//!
//! In scope: putting the proof extension into a TBSCertificate and taking it out again byte for byte ([`insert_proof`],
//! [`strip`]), taking a certificate apart and putting one together, the commitment `cred`, the profile of a
//! workload's certificate ([`Profile`]), and paths of signatures to an anchor ([`verify_path`]). Nothing is ever re-encoded from a decoded form: what a parser drops or
//! normalises would be outside the commitment.
//! Out of scope: verdicts (`verify`), whose certificates are wanted (`issuer`), making certificates.

mod der;
mod path;
mod profile;

use sha2::{Digest as _, Sha256};

pub use path::{MAX_INTERMEDIATES, Path, PathError, is_signed_by, verify_path};
pub use profile::{MAX_CLAIMS_BYTES, Profile, ProfileError};

use crate::bytes::Digest;
use der::{Tlv, tag};

/// OID 1.3.6.1.4.1.32473.1.1, the credential proof, as DER content bytes. (An OID under 2.25 would not parse in Go.)
pub const OID_PROOF: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x81, 0xfd, 0x59, 0x01, 0x01];
/// OID 1.3.6.1.4.1.32473.1.2, the claims: a deterministic CBOR map.
pub const OID_CLAIMS: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x81, 0xfd, 0x59, 0x01, 0x02];
/// OID 1.3.6.1.4.1.11129.2.4.2, the SCT list of RFC 6962.
pub const OID_SCT: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0xd6, 0x79, 0x02, 0x04, 0x02];
/// The longest certificate: TLS stacks accept chains of 64 KiB at most.
pub const MAX_CERTIFICATE_BYTES: usize = 64 << 10;
/// Domain tag of the commitment to an X.509 credential.
pub const CRED_TAG: &[u8] = b"treering-cred-x509-v1";

/// Why DER was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum X509Error {
    /// Longer than [`MAX_CERTIFICATE_BYTES`].
    #[error("certificate has {0} bytes, at most {MAX_CERTIFICATE_BYTES} are accepted")]
    TooLong(usize),
    /// Not DER: truncated, trailing bytes, an indefinite or long-form length.
    #[error("not DER: {0}")]
    Der(&'static str),
    /// DER, but not a certificate of version 3.
    #[error("not a certificate: {0}")]
    Shape(&'static str),
    /// One extension twice.
    #[error("an extension occurs twice")]
    DuplicateExtension,
    /// The proof extension is there already.
    #[error("certificate has a proof already")]
    HasProof,
    /// The proof is not last, but for an SCT list after it.
    #[error("the proof is not the last extension, or more than an SCT list follows it")]
    Position,
    /// The proof or the SCT list is critical.
    #[error("the proof and SCT extensions must not be critical")]
    Critical,
}

/// A certificate taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts<'a> {
    /// The TBSCertificate, tag and length included: what the issuer signs.
    pub tbs: &'a [u8],
    /// The AlgorithmIdentifier of the signature, tag and length included.
    pub algorithm: &'a [u8],
    /// The signature.
    pub signature: &'a [u8],
}

/// Takes a certificate apart.
pub fn split_certificate(certificate: &[u8]) -> Result<Parts<'_>, X509Error> {
    if certificate.len() > MAX_CERTIFICATE_BYTES {
        return Err(X509Error::TooLong(certificate.len()));
    }
    let content = der::only(certificate, tag::SEQUENCE)?;
    let (tbs, rest) = Tlv::take(content, tag::SEQUENCE)?;
    let (algorithm, rest) = Tlv::take(rest, tag::SEQUENCE)?;
    let signature = der::only(rest, tag::BIT_STRING)?;
    // The first byte counts unused bits, of which a signature has none.
    let signature = signature.strip_prefix(&[0]).ok_or(X509Error::Shape("signature has unused bits"))?;
    Ok(Parts { tbs: tbs.whole, algorithm: algorithm.whole, signature })
}

/// Puts a certificate together. Inverse of [`split_certificate`].
pub fn assemble_certificate(tbs: &[u8], algorithm: &[u8], signature: &[u8]) -> Vec<u8> {
    let signature = der::wrap(tag::BIT_STRING, &[&[0], signature].concat());
    der::wrap(tag::SEQUENCE, &[tbs, algorithm, &signature].concat())
}

/// Adds the proof to a TBSCertificate as its last extension, not critical. `proof` is the content of the extension's
/// OCTET STRING. An SCT list can only come after: one that is there already would not cover the proof.
pub fn insert_proof(tbs: &[u8], proof: &[u8]) -> Result<Vec<u8>, X509Error> {
    let layout = Layout::parse(tbs)?;
    if layout.proof.is_some() {
        return Err(X509Error::HasProof);
    }
    if layout.sct.is_some() {
        return Err(X509Error::Position);
    }
    let extension = [der::wrap(tag::OID, OID_PROOF), der::wrap(tag::OCTET_STRING, proof)].concat();
    let extension = der::wrap(tag::SEQUENCE, &extension);
    let with_proof = layout.others.iter().map(|extension| extension.whole).chain([extension.as_slice()]);
    Ok(layout.rebuild(&with_proof.collect::<Vec<_>>().concat()))
}

/// The TBSCertificate without proof and SCT list, every other byte as it was but for the three lengths around them.
/// This is what `cred` commits to. Both may be absent.
pub fn strip(tbs: &[u8]) -> Result<Vec<u8>, X509Error> {
    let layout = Layout::parse(tbs)?;
    let others = layout.others.iter().map(|extension| extension.whole).collect::<Vec<_>>().concat();
    Ok(layout.rebuild(&others))
}

/// The content of the proof extension.
pub fn proof(tbs: &[u8]) -> Result<Option<&[u8]>, X509Error> {
    Ok(Layout::parse(tbs)?.proof.map(|extension| extension.value))
}

/// The SubjectPublicKeyInfo, tag and length included.
pub fn spki(tbs: &[u8]) -> Result<&[u8], X509Error> {
    Ok(Layout::parse(tbs)?.spki)
}

/// The same of a certificate that others made, who put an SCT list among the other extensions as they like.
fn spki_of_others(tbs: &[u8]) -> Result<&[u8], X509Error> {
    Ok(Layout::read(tbs)?.spki)
}

/// The commitment to a credential: SHA-256 over the tag, the hash of the issuer's SubjectPublicKeyInfo, and the
/// stripped TBSCertificate. The issuer's key is in it so that no other issuer can claim the entry.
pub fn cred(issuer_spki: &[u8], stripped_tbs: &[u8]) -> Digest {
    let mut hash = Sha256::new();
    hash.update(CRED_TAG);
    hash.update([0]);
    hash.update(Sha256::digest(issuer_spki));
    hash.update(stripped_tbs);
    let digest: [u8; 32] = hash.finalize().into();
    digest.into()
}

/// A TBSCertificate taken apart around its extensions.
struct Layout<'a> {
    /// All fields before the extensions.
    fields: &'a [u8],
    spki: &'a [u8],
    others: Vec<Extension<'a>>,
    proof: Option<Extension<'a>>,
    sct: Option<Extension<'a>>,
    /// Whether something follows the proof or the SCT list that may not.
    misplaced: bool,
}

impl<'a> Layout<'a> {
    /// Of a certificate of ours, where proof and SCT list have their places.
    fn parse(tbs: &'a [u8]) -> Result<Self, X509Error> {
        let layout = Self::read(tbs)?;
        if layout.misplaced { Err(X509Error::Position) } else { Ok(layout) }
    }

    fn read(tbs: &'a [u8]) -> Result<Self, X509Error> {
        if tbs.len() > MAX_CERTIFICATE_BYTES {
            return Err(X509Error::TooLong(tbs.len()));
        }
        let content = der::only(tbs, tag::SEQUENCE)?;
        let (version, rest) = Tlv::take(content, tag::CONTEXT_0)?;
        if version.content != [0x02, 0x01, 0x02] {
            return Err(X509Error::Shape("version is not 3"));
        }
        let (_serial, rest) = Tlv::take(rest, tag::INTEGER)?;
        let (_algorithm, rest) = Tlv::take(rest, tag::SEQUENCE)?;
        let (_issuer, rest) = Tlv::take(rest, tag::SEQUENCE)?;
        let (_validity, rest) = Tlv::take(rest, tag::SEQUENCE)?;
        let (_subject, rest) = Tlv::take(rest, tag::SEQUENCE)?;
        let (spki, rest) = Tlv::take(rest, tag::SEQUENCE)?;
        let fields = content.get(..content.len().saturating_sub(rest.len())).unwrap_or_default();
        let (others, proof, sct) = (Vec::new(), None, None);
        let mut layout = Self { fields, spki: spki.whole, others, proof, sct, misplaced: false };
        if !rest.is_empty() {
            let list = der::only(der::only(rest, tag::CONTEXT_3)?, tag::SEQUENCE)?;
            layout.read_extensions(list)?;
        }
        Ok(layout)
    }

    fn read_extensions(&mut self, mut list: &'a [u8]) -> Result<(), X509Error> {
        if list.is_empty() {
            return Err(X509Error::Shape("list of extensions is empty"));
        }
        let mut seen: Vec<&[u8]> = Vec::new();
        while !list.is_empty() {
            let (extension, rest) = Extension::take(list)?;
            list = rest;
            if seen.contains(&extension.oid) {
                return Err(X509Error::DuplicateExtension);
            }
            seen.push(extension.oid);
            let cut = extension.oid == OID_PROOF || extension.oid == OID_SCT;
            if cut && extension.critical {
                return Err(X509Error::Critical);
            }
            // In order: others, proof, SCT list. Whatever comes after its successor is out of place.
            match extension.oid {
                OID_SCT => self.sct = Some(extension),
                OID_PROOF => {
                    self.misplaced |= self.sct.is_some();
                    self.proof = Some(extension);
                }
                _ => {
                    self.misplaced |= self.sct.is_some() || self.proof.is_some();
                    self.others.push(extension);
                }
            }
        }
        Ok(())
    }

    fn rebuild(&self, extensions: &[u8]) -> Vec<u8> {
        if extensions.is_empty() {
            return der::wrap(tag::SEQUENCE, self.fields);
        }
        let list = der::wrap(tag::CONTEXT_3, &der::wrap(tag::SEQUENCE, extensions));
        der::wrap(tag::SEQUENCE, &[self.fields, &list].concat())
    }
}

#[derive(Clone, Copy)]
struct Extension<'a> {
    whole: &'a [u8],
    oid: &'a [u8],
    critical: bool,
    value: &'a [u8],
}

impl<'a> Extension<'a> {
    fn take(input: &'a [u8]) -> Result<(Self, &'a [u8]), X509Error> {
        let (extension, rest) = Tlv::take(input, tag::SEQUENCE)?;
        let (oid, fields) = Tlv::take(extension.content, tag::OID)?;
        let (critical, fields) = match fields.first() {
            Some(&tag::BOOLEAN) => {
                let (flag, fields) = Tlv::take(fields, tag::BOOLEAN)?;
                // DER leaves the default (false) out, and spells true as 0xff.
                if flag.content != [0xff] {
                    return Err(X509Error::Der("critical is not spelled as DER wants"));
                }
                (true, fields)
            }
            _ => (false, fields),
        };
        let value = der::only(fields, tag::OCTET_STRING)?;
        Ok((Self { whole: extension.whole, oid: oid.content, critical, value }, rest))
    }
}
