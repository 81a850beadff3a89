//! Collateral: the certificates, CRLs and vendor documents that an appraisal rests on, as one content-addressed
//! snapshot.
//!
//! The same snapshot and instant give the same verdict for ever, also after the vendor withdraws a certificate.
//! In scope: limits, reading PEM and DER, canonical octets.
//! Out of scope: which of it a kind of evidence takes, and whether any of it is trusted (`kinds`).

use treering_provenance::bytes::Bytes;
use treering_provenance::strict;

use super::canonical::{Address, canonical};
use super::kinds::intel;
use super::pem;

/// Octets of one certificate: vendors' have 0.5 to 2 KiB.
pub const MAX_CERTIFICATE_BYTES: usize = 8 * 1024;
/// Octets of one CRL: vendors' have 0.3 to 4 KiB; a thousand revoked serial numbers fit.
pub const MAX_CRL_BYTES: usize = 64 * 1024;
/// Octets of one document: Intel's TCB information has 2 to 20 KiB, an event log up to a hundred.
pub const MAX_DOCUMENT_BYTES: usize = 256 * 1024;
/// Documents in one snapshot.
pub const MAX_DOCUMENTS: usize = 16;

/// Certificates in one snapshot: a leaf, its issuers and the root, for each of a few platforms.
pub const MAX_CERTIFICATES: usize = 32;
/// CRLs in one snapshot.
pub const MAX_CRLS: usize = 8;
/// All of them, and room for framing.
const MAX_CANONICAL_BYTES: usize = MAX_CERTIFICATES * (MAX_CERTIFICATE_BYTES + 16)
    + MAX_CRLS * (MAX_CRL_BYTES + 16)
    + MAX_DOCUMENTS * (MAX_DOCUMENT_BYTES + 256 + 16)
    + 64;
/// First element of the canonical octets: names the form and its version.
const FORM: &str = "treering-collateral-v2";

/// The canonical octets' elements.
type Parts = (String, Vec<Bytes>, Vec<Bytes>, Vec<(String, Bytes)>);

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
    /// A document is too large.
    #[error("a document has at most {MAX_DOCUMENT_BYTES} octets, got {0}")]
    DocumentTooLarge(usize),
    /// A media type is too long, empty, or not printable ASCII.
    #[error("a media type is 1 to 255 printable ASCII characters")]
    MediaType,
    /// A CRL is too large.
    #[error("a CRL has at most {MAX_CRL_BYTES} octets, got {0}")]
    CrlTooLarge(usize),
    /// A PEM file could not be read, or has neither certificates nor CRLs.
    #[error("{0}")]
    Pem(String),
    /// A vendor's document could not be read.
    #[error("not a vendor's document: {0}")]
    Document(String),
    /// The stored form is not the canonical one.
    #[error("not canonical collateral: {0}")]
    Encoding(String),
}

/// What a vendor publishes in a form of its own, such as Intel's TCB information: the octets as served, signature
/// included, since any other arrangement of the same JSON does not verify.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Document {
    /// What the octets are.
    pub media_type: String,
    /// The octets.
    pub bytes: Vec<u8>,
}

/// Certificates and CRLs in DER, and documents: sorted, without duplicates.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Collateral {
    certificates: Vec<Vec<u8>>,
    crls: Vec<Vec<u8>>,
    documents: Vec<Document>,
    address: Address,
}

impl Collateral {
    /// Collateral of certificates in DER.
    pub fn from_der(certificates: impl IntoIterator<Item = Vec<u8>>) -> Result<Self, CollateralError> {
        Self::new(certificates.into_iter().collect(), Vec::new())
    }

    /// Collateral of certificates and CRLs in DER.
    pub fn new(certificates: Vec<Vec<u8>>, crls: Vec<Vec<u8>>) -> Result<Self, CollateralError> {
        limit("certificates", MAX_CERTIFICATES, certificates.len())?;
        limit("CRLs", MAX_CRLS, crls.len())?;
        for certificate in &certificates {
            readable(certificate).map_err(CollateralError::Certificate)?;
        }
        if let Some(crl) = crls.iter().find(|crl| crl.len() > MAX_CRL_BYTES) {
            return Err(CollateralError::CrlTooLarge(crl.len()));
        }
        Ok(Self::of_parts(certificates, crls, Vec::new()))
    }

    /// The same with these documents too.
    pub fn with_documents(self, documents: Vec<Document>) -> Result<Self, CollateralError> {
        let documents = [self.documents, documents].concat();
        limit("documents", MAX_DOCUMENTS, documents.len())?;
        for document in &documents {
            let length = document.bytes.len();
            if length > MAX_DOCUMENT_BYTES {
                return Err(CollateralError::DocumentTooLarge(length));
            }
            let printable = document.media_type.bytes().all(|octet| (0x20..0x7f).contains(&octet));
            if document.media_type.is_empty() || document.media_type.len() > 255 || !printable {
                return Err(CollateralError::MediaType);
            }
        }
        Ok(Self::of_parts(self.certificates, self.crls, documents))
    }

    /// Of parts that were within the limits before.
    pub(super) fn of_parts(
        mut certificates: Vec<Vec<u8>>,
        mut crls: Vec<Vec<u8>>,
        mut documents: Vec<Document>,
    ) -> Self {
        certificates.sort();
        certificates.dedup();
        crls.sort();
        crls.dedup();
        documents.sort();
        documents.dedup();
        Self { certificates, crls, documents, address: Address::default() }
    }

    /// Reads a file: a PEM bundle of certificates and CRLs, one certificate in DER, or several one after another, or
    /// Intel's collateral in JSON.
    pub fn read(bytes: &[u8]) -> Result<Self, CollateralError> {
        if let Some(read) = intel::read_collateral(bytes) {
            return read;
        }
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
        let merged = Self::new(certificates, [self.crls, other.crls].concat())?;
        merged.with_documents([self.documents, other.documents].concat())
    }

    /// The certificates in DER.
    pub fn certificates(&self) -> &[Vec<u8>] {
        &self.certificates
    }

    /// The CRLs in DER.
    pub fn crls(&self) -> &[Vec<u8>] {
        &self.crls
    }

    /// The documents.
    pub fn documents(&self) -> &[Document] {
        &self.documents
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.certificates.is_empty() && self.crls.is_empty() && self.documents.is_empty()
    }

    /// A PEM bundle of the certificates and CRLs.
    pub fn to_pem(&self) -> String {
        let certificates = self.certificates.iter().map(|der| pem::block("CERTIFICATE", der));
        certificates.chain(self.crls.iter().map(|der| pem::block("X509 CRL", der))).collect()
    }

    /// Deterministic CBOR: `["treering-collateral-v2", [certificate...], [CRL...], [[media type, document]...]]`,
    /// each list sorted.
    pub fn canonical_bytes(&self) -> Vec<u8> {
        let list = |list: &[Vec<u8>]| -> Vec<Bytes> { list.iter().cloned().map(Bytes).collect() };
        let documents: Vec<(&str, Bytes)> =
            self.documents.iter().map(|one| (one.media_type.as_str(), Bytes(one.bytes.clone()))).collect();
        canonical(&(FORM, list(&self.certificates), list(&self.crls), documents))
    }

    /// Reads [`Self::canonical_bytes`]; any other encoding of the same content is refused.
    pub fn from_canonical_bytes(bytes: &[u8]) -> Result<Self, CollateralError> {
        let bad = |reason: String| CollateralError::Encoding(reason);
        let read: Result<Parts, _> = strict::from_slice(bytes, MAX_CANONICAL_BYTES);
        let (form, certificates, crls, documents) = read.map_err(|error| bad(error.to_string()))?;
        let list = |list: Vec<Bytes>| list.into_iter().map(|one| one.0).collect();
        let documents =
            documents.into_iter().map(|(media_type, bytes)| Document { media_type, bytes: bytes.0 });
        let collateral = Self::new(list(certificates), list(crls))?.with_documents(documents.collect())?;
        if form == FORM && collateral.canonical_bytes() == bytes {
            Ok(collateral)
        } else {
            Err(bad("another form, not sorted, or something is there twice".to_owned()))
        }
    }

    /// SHA-256 of the canonical octets: the content address.
    pub fn digest(&self) -> [u8; 32] {
        self.address.of(|| self.canonical_bytes())
    }
}

/// Whether this is one certificate in DER, whatever it is for.
fn readable(der: &[u8]) -> Result<(), String> {
    use x509_cert::der::Decode;
    if der.len() > MAX_CERTIFICATE_BYTES {
        return Err(format!("a certificate has at most {MAX_CERTIFICATE_BYTES} octets, got {}", der.len()));
    }
    x509_cert::Certificate::from_der(der).map(drop).map_err(|error| format!("not a certificate: {error}"))
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
        super::super::kinds::sev_snp::built_in().take(2).collect()
    }

    /// Logged appraisals name their collateral by the hash of these octets.
    #[test]
    fn the_canonical_octets_are_pinned() {
        let empty = [&[0x84, 0x76][..], b"treering-collateral-v2", &[0x80, 0x80, 0x80]].concat();
        assert_eq!(Collateral::default().canonical_bytes(), empty);
        let hex = data_encoding::HEXLOWER.encode(&Collateral::new(two(), vec![vec![1]]).unwrap().digest());
        assert_eq!(hex, "d48f27fdd9844fae9715c537d5e8c9b72bc011f9bfea599dcb1d4106e06b6567");
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
        let reversed = one.certificates.iter().rev().cloned().collect();
        let swapped = Collateral { certificates: reversed, ..Collateral::default() };
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
