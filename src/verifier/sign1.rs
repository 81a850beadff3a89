//! COSE_Sign1 (RFC 9052) as platforms sign their evidence: one outer encoding and no other, whatever is inside.
//!
//! In scope: what stands outside of the signature (encoding, headers, its length), and the signature itself.
//! Out of scope: whose key it is, and what the payload says (`kinds`).

use treering_provenance::cose::{Algorithm, CoseError, Sign1, VerifyingKey};
use treering_provenance::strict::StrictError;

/// CBOR tag 18, which some forms leave out.
const TAG: u8 = 0xd2;

/// Why octets are not evidence of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// They are not of this form at all.
    Format(String),
    /// They are, and are not the only ones that mean this.
    NotCanonical(String),
}

/// Reads a message that has its tag.
pub(super) fn read(octets: &[u8], max: usize) -> Result<Sign1, Unreadable> {
    let message = Sign1::parse(octets, max).map_err(unreadable)?;
    let format = |reason: &str| Err(Unreadable::Format(reason.to_owned()));
    let not_canonical = |reason: &str| Err(Unreadable::NotCanonical(reason.to_owned()));
    if message.payload().is_none() {
        return format("the payload is detached, want it attached");
    }
    // Nothing but the algorithm is in the protected header, so that it has one encoding.
    let (algorithm, protected, length): (_, &[u8], _) = match message.algorithm() {
        Algorithm::Es384 => ("ES384", &[0xa1, 0x01, 0x38, 0x22], 96),
        Algorithm::Es256 => ("ES256", &[0xa1, 0x01, 0x26], 64),
        other => return format(&format!("algorithm {}, want ES384 (-35) or ES256 (-7)", other.id())),
    };
    if message.protected_bytes() != protected {
        return not_canonical("the protected header has more than the algorithm, or another encoding");
    }
    if !message.unprotected_is_empty() {
        return not_canonical("the unprotected header, which nobody signed, is not empty");
    }
    if message.signature().len() != length {
        let got = message.signature().len();
        return not_canonical(&format!("a signature of {algorithm} has {length} octets, got {got}"));
    }
    match message.to_bytes() {
        Ok(again) if again == octets => Ok(message),
        _ => not_canonical("the message is written otherwise than in deterministic encoding"),
    }
}

/// Reads a message that has no tag.
pub(super) fn read_untagged(octets: &[u8], max: usize) -> Result<Sign1, Unreadable> {
    if octets.first() == Some(&TAG) {
        return Err(Unreadable::Format("the COSE_Sign1 has tag 18, want it without".to_owned()));
    }
    read(&[&[TAG], octets].concat(), max.saturating_add(1))
}

/// Whether this key signed it. Platforms do not prefer one of the two signatures that ECDSA has for each.
pub(super) fn verifies(message: &Sign1, key: &VerifyingKey) -> bool {
    matches!(message.verify(key), Ok(()) | Err(CoseError::HighS))
}

/// Whether an error is about the encoding alone.
pub(super) fn unreadable(error: CoseError) -> Unreadable {
    match error {
        CoseError::Strict(
            StrictError::LongForm(_)
            | StrictError::Indefinite(_)
            | StrictError::Trailing(_)
            | StrictError::KeyOrder(_)
            | StrictError::DuplicateKey,
        ) => Unreadable::NotCanonical(error.to_string()),
        error => Unreadable::Format(error.to_string()),
    }
}
