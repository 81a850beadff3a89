//! The token: its two parts in one outer encoding, each a COSE_Sign1 of one form.

use ciborium::Value;
use treering_provenance::cose::{CoseError, Sign1};
use treering_provenance::strict;

use super::platform::PlatformClaims;
use super::realm::RealmClaims;
use crate::verifier::cbor;
use crate::verifier::sign1::{self, Unreadable};

/// Octets of a token: those known have 1.2 to 1.4 KiB, and the RMM hands them out in pages of 4 KiB.
const MAX_TOKEN_BYTES: usize = 16 * 1024;
/// The tag of a token, and the keys of its parts (TOKEN, RMM).
const TAG: u64 = 399;
const PLATFORM: u64 = 44234;
const REALM: u64 = 44241;
/// How a token begins, and how a CMW collection does (tag 907).
const TAG_OCTETS: [u8; 3] = [0xd9, 0x01, 0x8f];
const COLLECTION_OCTETS: [u8; 3] = [0xd9, 0x03, 0x8b];

/// A token, read, not yet trusted.
pub(super) struct Token {
    pub(super) platform_message: Sign1,
    pub(super) platform: PlatformClaims,
    pub(super) realm_message: Sign1,
    pub(super) realm: RealmClaims,
}

/// Whether octets are recognisably a token: two of four signs, none of which shares a bit with another.
pub(super) fn looks_like_a_token(octets: &[u8]) -> bool {
    let has = |name: &[u8]| octets.windows(name.len()).any(|window| window == name);
    let signs = [
        octets.starts_with(&TAG_OCTETS) || octets.starts_with(&COLLECTION_OCTETS),
        // The keys of the two parts, each followed by a byte string of 256 octets or more.
        has(&[0x19, 0xac, 0xca, 0x59]),
        has(&[0x19, 0xac, 0xd1, 0x59]),
        has(b"arm.com"),
    ];
    signs.iter().filter(|sign| **sign).count() >= 2
}

impl Token {
    pub(super) fn read(octets: &[u8]) -> Result<Self, Unreadable> {
        let format = |reason: &str| Unreadable::Format(reason.to_owned());
        if octets.starts_with(&COLLECTION_OCTETS) {
            let reason = "a CMW collection (tag 907), which is not supported; want a token with tag 399";
            return Err(format(reason));
        }
        let value = strict::decode(octets, MAX_TOKEN_BYTES);
        let value = value.map_err(|error| sign1::unreadable(CoseError::Strict(error)))?;
        let Value::Tag(TAG, inner) = value else {
            return Err(format("want a CCA token, CBOR tag 399"));
        };
        // The scanner has seen to it that the keys are sorted, and none is there twice.
        let parts = inner.into_map().map_err(|_| format("a CCA token is a map"))?;
        let [(first, Value::Bytes(platform)), (second, Value::Bytes(realm))] = parts.as_slice() else {
            return Err(format("a CCA token has two parts, each a byte string"));
        };
        if *first != Value::from(PLATFORM) || *second != Value::from(REALM) {
            return Err(format("the parts of a CCA token have the keys 44234 and 44241"));
        }
        let (platform_message, platform) = part("platform token", platform, PlatformClaims::of)?;
        let (realm_message, realm) = part("realm token", realm, RealmClaims::of)?;
        Ok(Self { platform_message, platform, realm_message, realm })
    }
}

fn part<T>(
    what: &str,
    octets: &[u8],
    claims: impl FnOnce(Value) -> Result<T, String>,
) -> Result<(Sign1, T), Unreadable> {
    let message = sign1::read(octets, MAX_TOKEN_BYTES).map_err(|error| match error {
        Unreadable::Format(reason) => Unreadable::Format(format!("{what}: {reason}")),
        Unreadable::NotCanonical(reason) => Unreadable::NotCanonical(format!("{what}: {reason}")),
    })?;
    let payload = cbor::read(message.payload().unwrap_or_default());
    let read = payload.and_then(claims).map_err(|reason| Unreadable::Format(format!("{what}: {reason}")))?;
    Ok((message, read))
}
