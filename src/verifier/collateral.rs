//! Collateral: the certificates and CRLs that an appraisal rests on, as one content-addressed snapshot.
//!
//! The same snapshot and instant give the same verdict for ever, also after the vendor withdraws a certificate.
//! In scope: limits, reading PEM and DER, canonical octets, filling in AMD's own certificates.
//! Out of scope: whether any of it is trusted (`chain`).

use sha2::{Digest, Sha256};
use treering_provenance::bytes::Bytes;
use treering_provenance::strict;

use super::canonical::canonical;
use super::certificate::{MAX_CERTIFICATE_BYTES, MAX_CRL_BYTES, Parsed, Role};
use super::{pem, roots};

/// Certificates in one snapshot: a VEK, its issuer and the root, for each of a few platforms.
pub const MAX_CERTIFICATES: usize = 32;
/// CRLs in one snapshot.
pub const MAX_CRLS: usize = 8;
/// All of them, and room for framing.
const MAX_CANONICAL_BYTES: usize =
    MAX_CERTIFICATES * (MAX_CERTIFICATE_BYTES + 16) + MAX_CRLS * (MAX_CRL_BYTES + 16) + 64;
/// First element of the canonical octets: names the form and its version.
const FORM: &str = "treering-collateral-v1";

/// Media type of a certificate (RFC 5280), as collateral travels and is logged.
pub const CERTIFICATE_TYPE: &str = "application/pkix-cert";
/// Media type of a revocation list.
pub const CRL_TYPE: &str = "application/pkix-crl";

/// Why octets cannot be collateral.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CollateralError {
    /// Too many certificates or CRLs.
    #[error("collateral has at most {max} {what}, got {got}")]
    Count {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        max: usize,
        /// How many there were.
        got: usize,
    },
    /// A certificate could not be read.
    #[error("{0}")]
    Certificate(String),
    /// A CRL is too large.
    #[error("a CRL has at most {MAX_CRL_BYTES} octets, got {0}")]
    CrlTooLarge(usize),
    /// A PEM file could not be read, or has neither certificates nor CRLs.
    #[error("{0}")]
    Pem(String),
    /// The stored form is not the canonical one.
    #[error("not canonical collateral: {0}")]
    Encoding(String),
}

/// Certificates and CRLs in DER, sorted, without duplicates.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Collateral {
    certificates: Vec<Vec<u8>>,
    crls: Vec<Vec<u8>>,
}

impl Collateral {
    /// Collateral of certificates in DER.
    pub fn from_der(certificates: impl IntoIterator<Item = Vec<u8>>) -> Result<Self, CollateralError> {
        Self::new(certificates.into_iter().collect(), Vec::new())
    }

    /// Collateral of certificates and CRLs in DER.
    pub fn new(mut certificates: Vec<Vec<u8>>, mut crls: Vec<Vec<u8>>) -> Result<Self, CollateralError> {
        limit("certificates", MAX_CERTIFICATES, certificates.len())?;
        limit("CRLs", MAX_CRLS, crls.len())?;
        for certificate in &certificates {
            Parsed::read(certificate).map_err(CollateralError::Certificate)?;
        }
        if let Some(crl) = crls.iter().find(|crl| crl.len() > MAX_CRL_BYTES) {
            return Err(CollateralError::CrlTooLarge(crl.len()));
        }
        certificates.sort();
        certificates.dedup();
        crls.sort();
        crls.dedup();
        Ok(Self { certificates, crls })
    }

    /// Reads a file: a PEM bundle of certificates and CRLs, one certificate in DER, or several one after another.
    pub fn read(bytes: &[u8]) -> Result<Self, CollateralError> {
        if !pem::is_pem(bytes) {
            let max = MAX_CERTIFICATES * MAX_CERTIFICATE_BYTES;
            if bytes.len() > max {
                let text = format!("certificates in DER have at most {max} octets, got {}", bytes.len());
                return Err(CollateralError::Certificate(text));
            }
            return Self::from_der(split_der(bytes));
        }
        let mut certificates = Vec::new();
        let mut crls = Vec::new();
        for block in pem::blocks(bytes).map_err(|error| CollateralError::Pem(error.to_owned()))? {
            match block.label.as_str() {
                "CERTIFICATE" => certificates.push(block.der),
                "X509 CRL" => crls.push(block.der),
                other => return Err(CollateralError::Pem(format!("neither certificate nor CRL: {other}"))),
            }
        }
        Self::new(certificates, crls)
    }

    /// Reads a file of CRLs: PEM, or one in DER.
    pub fn read_crl(bytes: &[u8]) -> Result<Self, CollateralError> {
        if pem::is_pem(bytes) { Self::read(bytes) } else { Self::new(Vec::new(), vec![bytes.to_vec()]) }
    }

    /// Both together.
    pub fn merged(self, other: Self) -> Result<Self, CollateralError> {
        let certificates = [self.certificates, other.certificates].concat();
        Self::new(certificates, [self.crls, other.crls].concat())
    }

    /// The certificates in DER.
    pub fn certificates(&self) -> &[Vec<u8>] {
        &self.certificates
    }

    /// The CRLs in DER.
    pub fn crls(&self) -> &[Vec<u8>] {
        &self.crls
    }

    /// A PEM bundle of all of it.
    pub fn to_pem(&self) -> String {
        let certificates = self.certificates.iter().map(|der| pem::block("CERTIFICATE", der));
        certificates.chain(self.crls.iter().map(|der| pem::block("X509 CRL", der))).collect()
    }

    /// The snapshot that an appraisal really rests on: where the caller gave no intermediate or no root, AMD's own
    /// are added. What the caller gave is never replaced: a wrong chain is refused, not repaired.
    #[must_use]
    pub fn completed(&self) -> Self {
        let mut parsed = self.parsed();
        for wanted in [is_intermediate, is_root] {
            if parsed.iter().any(wanted) {
                continue;
            }
            let built_in = roots::built_in().filter_map(|der| Parsed::read(&der).ok());
            let missing =
                built_in.filter(wanted).find(|issuer| parsed.iter().any(|one| one.names_issuer(issuer)));
            parsed.extend(missing);
        }
        let mut certificates: Vec<Vec<u8>> = parsed.iter().map(|one| one.der().to_vec()).collect();
        certificates.sort();
        Self { certificates, crls: self.crls.clone() }
    }

    /// The same CRLs with these certificates only: what a chain was found in need not be kept whole.
    pub(super) fn only(&self, chain: [&Parsed; 3]) -> Self {
        let mut certificates = chain.map(|one| one.der().to_vec()).to_vec();
        certificates.sort();
        Self { certificates, crls: self.crls.clone() }
    }

    /// Deterministic CBOR: `["treering-collateral-v1", [certificate...], [CRL...]]`, each list sorted.
    pub fn canonical_bytes(&self) -> Vec<u8> {
        let list = |list: &[Vec<u8>]| -> Vec<Bytes> { list.iter().cloned().map(Bytes).collect() };
        canonical(&(FORM, list(&self.certificates), list(&self.crls)))
    }

    /// Reads [`Self::canonical_bytes`]; any other encoding of the same content is refused.
    pub fn from_canonical_bytes(bytes: &[u8]) -> Result<Self, CollateralError> {
        let bad = |reason: String| CollateralError::Encoding(reason);
        let read: Result<(String, Vec<Bytes>, Vec<Bytes>), _> =
            strict::from_slice(bytes, MAX_CANONICAL_BYTES);
        let (form, certificates, crls) = read.map_err(|error| bad(error.to_string()))?;
        let list = |list: Vec<Bytes>| list.into_iter().map(|one| one.0).collect();
        let collateral = Self::new(list(certificates), list(crls))?;
        if form == FORM && collateral.canonical_bytes() == bytes {
            Ok(collateral)
        } else {
            Err(bad("another form, not sorted, or something is there twice".to_owned()))
        }
    }

    /// SHA-256 of the canonical octets: the content address.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.canonical_bytes()).into()
    }

    /// The certificates, read. The constructor has read each of them before.
    pub(super) fn parsed(&self) -> Vec<Parsed> {
        self.certificates.iter().filter_map(|der| Parsed::read(der).ok()).collect()
    }
}

fn is_intermediate(certificate: &Parsed) -> bool {
    matches!(certificate.role(), Role::Intermediate(_))
}

fn is_root(certificate: &Parsed) -> bool {
    matches!(certificate.role(), Role::Root(_))
}

fn limit(what: &'static str, max: usize, got: usize) -> Result<(), CollateralError> {
    if got > max { Err(CollateralError::Count { what, max, got }) } else { Ok(()) }
}

/// Cuts certificates in DER that follow one another; what is no DER stays one piece, for the reader to complain about.
fn split_der(bytes: &[u8]) -> Vec<Vec<u8>> {
    use x509_cert::der::{Reader, SliceReader};
    let mut pieces = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() && pieces.len() <= MAX_CERTIFICATES {
        let first = SliceReader::new(rest).and_then(|mut reader| reader.tlv_bytes().map(<[u8]>::len));
        let (piece, after) = rest.split_at(first.unwrap_or(rest.len()).min(rest.len()));
        pieces.push(piece.to_vec());
        rest = after;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> Vec<Vec<u8>> {
        roots::built_in().take(2).collect()
    }

    /// Logged appraisals name their collateral by the hash of these octets.
    #[test]
    fn the_canonical_octets_are_pinned() {
        let empty = [&[0x83, 0x76][..], b"treering-collateral-v1", &[0x80, 0x80]].concat();
        assert_eq!(Collateral::default().canonical_bytes(), empty);
        let hex = data_encoding::HEXLOWER.encode(&Collateral::new(two(), vec![vec![1]]).unwrap().digest());
        assert_eq!(hex, "b44eb31de97e8a657edbc112d5feaae203cc49701b5db38a5be055e6aebd0959");
    }

    #[test]
    fn order_and_repetition_do_not_matter() {
        let one = Collateral::from_der(two()).unwrap();
        let mut other = [two(), two()].concat();
        other.reverse();
        assert_eq!(Collateral::from_der(other).unwrap(), one);
        assert_eq!(Collateral::from_canonical_bytes(&one.canonical_bytes()).unwrap(), one);
        assert_eq!(Collateral::read(one.to_pem().as_bytes()).unwrap(), one);
        assert_eq!(Collateral::read(&two().concat()).unwrap(), one);
    }

    #[test]
    fn other_encodings_and_too_much_are_refused() {
        let one = Collateral::from_der(two()).unwrap();
        let swapped =
            Collateral { certificates: one.certificates.iter().rev().cloned().collect(), crls: vec![] };
        Collateral::from_canonical_bytes(&swapped.canonical_bytes()).unwrap_err();
        let longer = [one.canonical_bytes(), vec![0]].concat();
        Collateral::from_canonical_bytes(&longer).unwrap_err();
        let many = vec![two().remove(0); MAX_CERTIFICATES + 1];
        assert!(matches!(Collateral::from_der(many), Err(CollateralError::Count { got: 33, .. })));
        let crl = vec![0; MAX_CRL_BYTES + 1];
        assert_eq!(
            Collateral::new(vec![], vec![crl]).unwrap_err(),
            CollateralError::CrlTooLarge(MAX_CRL_BYTES + 1)
        );
        Collateral::read(b"-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n").unwrap_err();
    }
}
