//! Subject handles: `sub` of a statement about a workload, without naming it.
//!
//! In scope: making a handle and recognising one's own. Two statements of one workload look unrelated; who has the
//! workload's key (its owner's monitor, a grant holder) finds them all.
//! Out of scope: where the handle key is kept.

use data_encoding::BASE64URL_NOPAD;
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::mac::{hkdf_sha256, hmac_sha256};

/// Domain tag of a handle.
pub const SUBJECT_TAG: &[u8] = b"treering-sub-v1";
/// Domain tag of a workload's key.
pub const SUBJECT_KEY_TAG: &[u8] = b"treering-sub-key-v1";
/// Random bytes in a handle, and bytes of its tag.
const HALF: usize = 16;

/// The key that makes and recognises the handles of one workload.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SubjectKey([u8; 32]);

impl std::fmt::Debug for SubjectKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SubjectKey(..)")
    }
}

impl SubjectKey {
    /// HKDF-SHA-256 of the handle key, for a workload identifier (or a scope's name).
    pub fn derive(handle_key: &[u8; 32], workload: &str) -> Self {
        Self(hkdf_sha256(SUBJECT_KEY_TAG, handle_key, workload.as_bytes()))
    }

    /// The key from its bytes, as a grant delivers it.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes. They are secret.
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// A handle from 16 random bytes.
    pub fn handle(&self, random: &[u8; HALF]) -> String {
        BASE64URL_NOPAD.encode(&[random.as_slice(), &self.tag(random)].concat())
    }

    /// Whether a subject is a handle of this workload.
    pub fn recognises(&self, subject: &str) -> bool {
        let Ok(bytes) = BASE64URL_NOPAD.decode(subject.as_bytes()) else {
            return false;
        };
        let Some((random, tag)) = bytes.split_at_checked(HALF) else {
            return false;
        };
        bool::from(tag.ct_eq(&self.tag(random)))
    }

    fn tag(&self, random: &[u8]) -> [u8; HALF] {
        let mac = hmac_sha256(&self.0, &[SUBJECT_TAG, &[0], random]);
        let mut tag = [0; HALF];
        tag.iter_mut().zip(mac).for_each(|(out, byte)| *out = byte);
        tag
    }
}
