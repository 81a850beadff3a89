//! Evidence: what an Attester hands over, as typed octets.
//!
//! In scope: the list of items, its limits, its canonical octets and digest. Out of scope: what the octets mean
//! (`kinds`) and how they came here (a CMW, a file).

use sha2::{Digest, Sha256};
use treering_provenance::bytes::Bytes;
use treering_provenance::strict;

use super::canonical::canonical;

/// Media type of a SEV-SNP attestation report: the 1184 octets of AMD 56860, table "ATTESTATION_REPORT", as the
/// firmware returns them. No type is registered for them; this is the name we use, in AMD's vendor tree.
pub const SNP_REPORT: &str = "application/vnd.amd.sev-snp-attestation-report";

/// Media type of a TPM 2.0 quote with its key and registers: our own container (docs/verifier.md).
pub const TPM_QUOTE: &str = "application/vnd.treering.tpm-quote+cbor";
/// Media type of a SEV-SNP report for an Azure paravisor, with a quote of its vTPM: our own container.
pub const AZ_SNP: &str = "application/vnd.treering.az-snp+cbor";
/// Media type of a TDX quote for an Azure paravisor, with a quote of its vTPM: our own container.
pub const AZ_TDX: &str = "application/vnd.treering.az-tdx+cbor";
/// Media type of a TCG event log, as the firmware of a machine with a TPM hands it over.
pub const TCG_EVENT_LOG: &str = "application/vnd.treering.tcg-event-log";
/// Media type of an NVIDIA GPU's report with its certificates, in one deterministic CBOR map: a form of ours, since
/// NVIDIA's has room for octets that nobody signed (docs/verifier.md).
pub const NVIDIA_GPU: &str = "application/vnd.treering.nvidia-gpu-evidence+cbor";
/// The same of an `NVSwitch`.
pub const NVIDIA_SWITCH: &str = "application/vnd.treering.nvidia-switch-evidence+cbor";

/// Media type of an attestation document of AWS Nitro Enclaves, as the Nitro Security Module returns it. No type is
/// registered for them; this is the name we use, in AWS's vendor tree.
pub const NITRO_DOCUMENT: &str = "application/vnd.aws.nitro-attestation-document";

/// Media type of an Arm CCA attestation token, CBOR tag 399. The one that its draft uses is a general one with the
/// profile as a parameter; this is a name of ours, in Arm's vendor tree.
pub const CCA_TOKEN: &str = "application/vnd.arm.cca-attestation-token";

/// Items in one Evidence: a confidential VM, its GPUs (eight in the largest machines) and a vTPM, with room to spare.
pub const MAX_ITEMS: usize = 16;
/// Octets of one item. A TDX quote with its certificates has about 8 KiB, a vTPM event log is the largest.
pub const MAX_ITEM_BYTES: usize = 256 * 1024;
/// Octets of a media type (RFC 6838 section 4.2: two names of at most 127 characters).
const MAX_MEDIA_TYPE_BYTES: usize = 255;
/// All items with their types, and at most 16 octets of framing each.
const MAX_CANONICAL_BYTES: usize = MAX_ITEMS * (MAX_ITEM_BYTES + MAX_MEDIA_TYPE_BYTES + 16);

/// One piece of Evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvidenceItem {
    media_type: String,
    bytes: Vec<u8>,
}

impl EvidenceItem {
    /// What the octets are.
    pub fn media_type(&self) -> &str {
        &self.media_type
    }

    /// The octets, as received.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Why octets cannot be Evidence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// None or too many items.
    #[error("evidence has 1 to {MAX_ITEMS} items, got {0}")]
    Count(usize),
    /// An item is too large.
    #[error("an item of evidence has at most {MAX_ITEM_BYTES} octets, got {0}")]
    TooLarge(usize),
    /// A media type is too long, empty, or not printable ASCII.
    #[error("a media type is 1 to {MAX_MEDIA_TYPE_BYTES} printable ASCII characters")]
    MediaType,
    /// The stored form is not the canonical one.
    #[error("not canonical evidence: {0}")]
    Encoding(String),
}

/// What an Attester handed over, within limits, otherwise unjudged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    items: Vec<EvidenceItem>,
}

impl Evidence {
    /// Evidence of (media type, octets) items.
    pub fn new<T: Into<String>>(
        items: impl IntoIterator<Item = (T, Vec<u8>)>,
    ) -> Result<Self, EvidenceError> {
        let items: Vec<EvidenceItem> =
            items.into_iter().map(|(kind, bytes)| EvidenceItem { media_type: kind.into(), bytes }).collect();
        if items.is_empty() || items.len() > MAX_ITEMS {
            return Err(EvidenceError::Count(items.len()));
        }
        for item in &items {
            if item.bytes.len() > MAX_ITEM_BYTES {
                return Err(EvidenceError::TooLarge(item.bytes.len()));
            }
            let printable = item.media_type.bytes().all(|octet| (0x20..0x7f).contains(&octet));
            if item.media_type.is_empty() || item.media_type.len() > MAX_MEDIA_TYPE_BYTES || !printable {
                return Err(EvidenceError::MediaType);
            }
        }
        Ok(Self { items })
    }

    /// One SEV-SNP report.
    pub fn snp(report: Vec<u8>) -> Result<Self, EvidenceError> {
        Self::new([(SNP_REPORT, report)])
    }

    /// The items, in the order received.
    pub fn items(&self) -> &[EvidenceItem] {
        &self.items
    }

    /// Deterministic CBOR: an array of [media type, octets].
    pub fn canonical_bytes(&self) -> Vec<u8> {
        let pairs: Vec<_> =
            self.items.iter().map(|item| (&item.media_type, Bytes(item.bytes.clone()))).collect();
        canonical(&pairs)
    }

    /// Reads [`Self::canonical_bytes`]; any other encoding of the same items is refused.
    pub fn from_canonical_bytes(bytes: &[u8]) -> Result<Self, EvidenceError> {
        let read: Result<Vec<(String, Bytes)>, _> = strict::from_slice(bytes, MAX_CANONICAL_BYTES);
        let pairs = read.map_err(|error| EvidenceError::Encoding(error.to_string()))?;
        Self::new(pairs.into_iter().map(|(media_type, bytes)| (media_type, bytes.0)))
    }

    /// SHA-256 of the canonical octets: the content address.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.canonical_bytes()).into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn limits_are_kept() {
        assert_eq!(Evidence::new::<&str>([]).unwrap_err(), EvidenceError::Count(0));
        assert_eq!(Evidence::new(vec![("a", vec![]); MAX_ITEMS + 1]).unwrap_err(), EvidenceError::Count(17));
        assert_eq!(
            Evidence::snp(vec![0; MAX_ITEM_BYTES + 1]).unwrap_err(),
            EvidenceError::TooLarge(MAX_ITEM_BYTES + 1)
        );
        assert_eq!(Evidence::new([("", vec![])]).unwrap_err(), EvidenceError::MediaType);
        assert_eq!(Evidence::new([("a\n", vec![])]).unwrap_err(), EvidenceError::MediaType);
    }

    /// Logged evidence is addressed by these octets: a change of one breaks every stored digest.
    #[test]
    fn the_canonical_octets_are_pinned() {
        let evidence = Evidence::new([("a/b", vec![1, 2])]).unwrap();
        assert_eq!(evidence.canonical_bytes(), [0x81, 0x82, 0x63, b'a', b'/', b'b', 0x42, 1, 2]);
    }

    proptest! {
        #[test]
        fn canonical_octets_round_trip(items in prop::collection::vec(("[a-z/.+-]{1,40}", prop::collection::vec(any::<u8>(), 0..300)), 1..5)) {
            let evidence = Evidence::new(items).unwrap();
            prop_assert_eq!(&Evidence::from_canonical_bytes(&evidence.canonical_bytes()).unwrap(), &evidence);
        }

        #[test]
        fn only_canonical_octets_are_read(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(evidence) = Evidence::from_canonical_bytes(&bytes) {
                prop_assert_eq!(evidence.canonical_bytes(), bytes);
            }
        }
    }
}
