//! Whether what a service answers proves what it should: the check of a sample of the answers.

use anyhow::{Context, Result};
use treering_provenance::cose::KeySet;
use treering_provenance::receipt::{Included, Receipt};
use treering_provenance::trust::Trust;
use treering_tlog::hash::{Hash, leaf_hash};

/// Of a client's answers, its first and every so many-th are checked: a check costs as much CPU as a third of a
/// registration, and the load shares the machine with the service.
const SAMPLE: u64 = 256;

/// Whether a client checks its n-th answer, counted from 0.
pub(super) fn is_sampled(n: u64) -> bool {
    n.is_multiple_of(SAMPLE)
}

/// The log's origin and the service's keys, as a relying party has them.
pub(super) struct Receipts {
    origin: String,
    keys: KeySet,
}

impl Receipts {
    pub(super) fn of(trust: &Trust) -> Self {
        Self { origin: trust.origin().to_owned(), keys: trust.receipt_keys().clone() }
    }

    /// Verifies that a receipt proves a leaf: its path leads to the root that the service's key has signed.
    pub(super) fn check(&self, receipt: &[u8], leaf: &Hash) -> Result<Included> {
        let receipt = Receipt::parse(receipt)?;
        let key = receipt.kid().and_then(|kid| self.keys.find(kid)).context("a receipt by an unknown key")?;
        Ok(receipt.verify_inclusion(key, &self.origin, leaf)?)
    }
}

/// The leaf of the entry that a request carries.
pub(super) fn leaf_of_request(request: &[u8]) -> Hash {
    let end =
        request.windows(4).position(|octets| octets == b"\r\n\r\n").map_or(request.len(), |end| end + 4);
    leaf_hash(request.get(end..).unwrap_or_default())
}
