//! Freshness and binding: what ties Evidence to one challenge, one purpose, one server and one key.
//!
//! In scope: the challenge (the nonce we hand out and recognise without keeping state) and the TACRA binding value
//! (draft-novak-rats-tacra, in the field order of its hardware vectors of 30 September 2026: freshness, target,
//! relying-party id, subject). The draft moves: this file is the only one that knows it.
//! Out of scope: using a challenge once (the log's append does that) and reading REPORT_DATA (`verifier`).

use aws_lc_rs::{constant_time, hmac};
use sha2::{Digest, Sha512};

/// How long a challenge is good for. SEV-SNP firmware may take ten seconds for a throttled report, so TACRA asks for
/// 60 s at least; five minutes leaves room for a queue at the host.
pub const CHALLENGE_LIFETIME_S: u64 = 300;
/// How far ahead of our clock a challenge of ours may seem (two servers of one ledger).
const CHALLENGE_SKEW_S: u64 = 5;
/// Random octets, issue time, and truncated HMAC.
pub const CHALLENGE_BYTES: usize = 16 + 8 + 16;

const CHALLENGE_TAG: &[u8] = b"treering-challenge-v1\0";

/// The 64-octet value that Evidence must carry: SHA-512 over the four fields, each with its length (u32, big-endian).
pub fn binding_value(freshness: &[u8], target: &str, rp_id: &str, subject: &[u8]) -> [u8; 64] {
    let mut hash = Sha512::new();
    for field in [freshness, target.as_bytes(), rp_id.as_bytes(), subject] {
        // Every field was limited to far less than 4 GiB when it was read.
        hash.update(u32::try_from(field.len()).unwrap_or(u32::MAX).to_be_bytes());
        hash.update(field);
    }
    hash.finalize().into()
}

/// Why a challenge was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChallengeError {
    /// Not [`CHALLENGE_BYTES`] long.
    #[error("a challenge has {CHALLENGE_BYTES} octets, got {0}")]
    Length(usize),
    /// Not made by this ledger, or made for another target.
    #[error("the challenge is not one of this ledger for this target")]
    Foreign,
    /// Too old.
    #[error("the challenge is {age_s} s old, want at most {CHALLENGE_LIFETIME_S} s")]
    Expired {
        /// Its age.
        age_s: u64,
    },
}

/// A challenge of ours that is not expired: only [`Challenger::recognise`] makes one. Whether it was used before,
/// only the log can say.
#[derive(Debug, Clone)]
pub struct Challenge {
    bytes: Vec<u8>,
}

impl Challenge {
    /// When a challenge of these octets was made, as it says of itself.
    pub fn made_at(bytes: &[u8]) -> Option<u64> {
        bytes.get(16..24)?.try_into().ok().map(u64::from_be_bytes)
    }

    /// The octets, as the freshness field of the binding.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Makes and recognises challenges without keeping them: octets || time || HMAC over both and the target.
pub struct Challenger {
    key: hmac::Key,
}

impl Challenger {
    /// A challenger with a secret of its own.
    pub fn new(secret: &[u8; 32]) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, secret) }
    }

    /// Makes a challenge for a target from fresh random octets.
    pub fn make(&self, random: [u8; 16], target: &str, now: u64) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(CHALLENGE_BYTES);
        bytes.extend_from_slice(&random);
        bytes.extend_from_slice(&now.to_be_bytes());
        let tag = self.tag(&bytes, target);
        bytes.extend_from_slice(&tag);
        bytes
    }

    /// Recognises a challenge of ours for this target.
    pub fn recognise(&self, bytes: &[u8], target: &str, now: u64) -> Result<Challenge, ChallengeError> {
        if bytes.len() != CHALLENGE_BYTES {
            return Err(ChallengeError::Length(bytes.len()));
        }
        let (head, tag) = bytes.split_at(CHALLENGE_BYTES - 16);
        if constant_time::verify_slices_are_equal(&self.tag(head, target), tag).is_err() {
            return Err(ChallengeError::Foreign);
        }
        let issued = head.last_chunk::<8>().map_or(0, |time| u64::from_be_bytes(*time));
        if issued > now.saturating_add(CHALLENGE_SKEW_S) {
            return Err(ChallengeError::Foreign);
        }
        let age_s = now.saturating_sub(issued);
        if age_s > CHALLENGE_LIFETIME_S {
            return Err(ChallengeError::Expired { age_s });
        }
        Ok(Challenge { bytes: bytes.to_vec() })
    }

    fn tag(&self, head: &[u8], target: &str) -> [u8; 16] {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(CHALLENGE_TAG);
        context.update(head);
        context.update(target.as_bytes());
        let mut tag = [0; 16];
        tag.iter_mut().zip(context.sign().as_ref()).for_each(|(to, from)| *to = *from);
        tag
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenger() -> Challenger {
        Challenger::new(&[7; 32])
    }

    #[test]
    fn a_challenge_is_recognised_once_made_and_not_otherwise() {
        let bytes = challenger().make([1; 16], "spiffe://a/b", 1000);
        assert!(challenger().recognise(&bytes, "spiffe://a/b", 1000).is_ok());
        assert!(challenger().recognise(&bytes, "spiffe://a/b", 1000 + CHALLENGE_LIFETIME_S).is_ok());
        assert_eq!(
            challenger().recognise(&bytes, "spiffe://a/b", 1001 + CHALLENGE_LIFETIME_S).unwrap_err(),
            ChallengeError::Expired { age_s: CHALLENGE_LIFETIME_S + 1 }
        );
        assert_eq!(
            challenger().recognise(&bytes, "spiffe://a/c", 1000).unwrap_err(),
            ChallengeError::Foreign
        );
        assert_eq!(challenger().recognise(&bytes, "spiffe://a/b", 900).unwrap_err(), ChallengeError::Foreign);
        let other = Challenger::new(&[8; 32]);
        assert_eq!(other.recognise(&bytes, "spiffe://a/b", 1000).unwrap_err(), ChallengeError::Foreign);
        for position in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[position] ^= 1;
            assert!(challenger().recognise(&changed, "spiffe://a/b", 1000).is_err());
        }
        assert_eq!(challenger().recognise(&bytes[1..], "x", 0).unwrap_err(), ChallengeError::Length(39));
    }

    #[test]
    fn no_two_field_splits_collide() {
        let one = binding_value(b"ab", "c", "d", b"e");
        assert_ne!(one, binding_value(b"a", "bc", "d", b"e"));
        assert_ne!(one, binding_value(b"ab", "d", "c", b"e"));
        assert_ne!(one, binding_value(b"ab", "c", "d", b""));
    }
}
