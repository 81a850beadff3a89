//! One item of evidence: a report with the certificates of the key that signed it.
//!
//! NVIDIA's tools hand both over as base64 in JSON, with PEM inside: forms with room for unsigned octets (`export`
//! reads them). What is appraised is one deterministic CBOR map, `{"v": 1, "chain": [certificate...], "report": ...}`,
//! certificates in DER, leaf first, root last: every octet of it is signed, or fixed by the form.

use serde::{Deserialize, Serialize};
use treering_provenance::bytes::Bytes;
use treering_provenance::strict::{self, StrictError};

use crate::verifier::canonical::canonical;

/// The version of the form.
const VERSION: u8 = 1;
/// A leaf, a boot ROM, two CAs and the root; a shorter chain has no CA of NVIDIA's between.
pub(super) const CHAIN: std::ops::RangeInclusive<usize> = 3..=6;
/// Octets of an item: real ones have 6 to 8 KiB.
const MAX_BYTES: usize = 64 * 1024;

/// Why octets are not evidence of this kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// Not of the form.
    Format(String),
    /// Of the form, and written otherwise than it must be.
    NotCanonical(String),
}

/// An item, taken apart; nothing in it is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Container {
    pub(super) chain: Vec<Vec<u8>>,
    pub(super) report: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    v: u8,
    chain: Vec<Bytes>,
    report: Bytes,
}

/// Writes an item: a report as the device gave it (request and response), and the certificates, leaf first.
pub fn write(report: &[u8], chain: &[Vec<u8>]) -> Vec<u8> {
    let chain = chain.iter().cloned().map(Bytes).collect();
    canonical(&Form { v: VERSION, chain, report: Bytes(report.to_vec()) })
}

impl Container {
    pub(super) fn read(octets: &[u8]) -> Result<Self, Unreadable> {
        let form = |reason: String| Unreadable::Format(reason);
        let read: Form = strict::from_slice(octets, MAX_BYTES).map_err(|error| match error {
            StrictError::TooLong { .. }
            | StrictError::Truncated(_)
            | StrictError::Shape(_)
            | StrictError::Refused { .. } => form(error.to_string()),
            other => Unreadable::NotCanonical(other.to_string()),
        })?;
        if read.v != VERSION {
            return Err(form(format!("version {} of the form, want {VERSION}", read.v)));
        }
        if !CHAIN.contains(&read.chain.len()) {
            let (least, most) = (CHAIN.start(), CHAIN.end());
            return Err(form(format!("{least} to {most} certificates, got {}", read.chain.len())));
        }
        let chain = read.chain.into_iter().map(|one| one.0).collect();
        Ok(Self { chain, report: read.report.0 })
    }
}

/// Whether octets are recognisably such an item. A changed octet leaves two of the three signs.
pub(super) fn looks_like_one(octets: &[u8]) -> bool {
    let has = |sign: &[u8]| octets.windows(sign.len()).any(|window| window == sign);
    let signs = [has(b"eport"), has(b"chai"), has(&[0x11, 0xe0, 0x01, 0xff])];
    octets.len() <= MAX_BYTES && signs.iter().filter(|sign| **sign).count() >= 2
}
