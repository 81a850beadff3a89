//! Content that was uploaded and whose statement has not come yet: in memory, bounded, short-lived.
//!
//! A crash loses it, and nothing else: its statement is then rejected, and the client uploads again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

/// The largest content: what the log takes.
const MAX_CONTENT_BYTES: usize = 16 * 1024 * 1024;
/// All staged content together.
const MAX_STAGED_BYTES: usize = 256 * 1024 * 1024;
/// What an item takes beside its octets; it bounds the number of items, too.
const ITEM_BYTES: usize = 1024;
/// How long content waits for its statement.
const LIFETIME_S: u64 = 600;

/// Why content was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StagingError {
    /// Larger than content may be.
    #[error("content has at most {MAX_CONTENT_BYTES} octets, got {0}")]
    TooLarge(usize),
    /// The name is not the SHA-256 of the octets.
    #[error("the octets do not have the SHA-256 that they are uploaded under")]
    Name,
    /// Too much waits already.
    #[error("too much content waits for its statement; try again later")]
    Full,
}

#[derive(Default)]
struct Staged {
    items: HashMap<[u8; 32], (Vec<u8>, u64)>,
    bytes: usize,
}

/// Uploaded content by its SHA-256.
#[derive(Default)]
pub struct Staging(Mutex<Staged>);

impl Staging {
    /// Takes content under its SHA-256.
    pub fn put(&self, name: [u8; 32], bytes: Vec<u8>, now: u64) -> Result<(), StagingError> {
        if bytes.len() > MAX_CONTENT_BYTES {
            return Err(StagingError::TooLarge(bytes.len()));
        }
        if <[u8; 32]>::from(Sha256::digest(&bytes)) != name {
            return Err(StagingError::Name);
        }
        let mut staged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        staged.items.retain(|_, (_, expires)| *expires > now);
        staged.bytes = staged.items.values().map(|(bytes, _)| bytes.len() + ITEM_BYTES).sum();
        if staged.bytes + bytes.len() + ITEM_BYTES > MAX_STAGED_BYTES {
            return Err(StagingError::Full);
        }
        staged.items.insert(name, (bytes, now.saturating_add(LIFETIME_S)));
        Ok(())
    }

    /// The content of this name. It stays until it expires, so that a client may send its statement again.
    pub fn get(&self, name: &[u8; 32], now: u64) -> Option<Vec<u8>> {
        let staged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        staged.items.get(name).filter(|(_, expires)| *expires > now).map(|(bytes, _)| bytes.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(bytes: &[u8]) -> [u8; 32] {
        Sha256::digest(bytes).into()
    }

    #[test]
    fn content_waits_for_a_while_under_its_own_name() {
        let staging = Staging::default();
        staging.put(name(b"a"), b"a".to_vec(), 100).unwrap();
        assert_eq!(staging.get(&name(b"a"), 100 + LIFETIME_S - 1), Some(b"a".to_vec()));
        assert_eq!(staging.get(&name(b"a"), 100 + LIFETIME_S), None);
        assert_eq!(staging.put(name(b"a"), b"b".to_vec(), 100), Err(StagingError::Name));
    }

    #[test]
    fn memory_is_bounded() {
        let staging = Staging::default();
        let large = vec![0; MAX_CONTENT_BYTES + 1];
        assert!(matches!(staging.put(name(&large), large, 0), Err(StagingError::TooLarge(_))));
        for filler in 0..15_u8 {
            let content = vec![filler; MAX_CONTENT_BYTES];
            staging.put(name(&content), content, 0).unwrap();
        }
        let content = vec![99; MAX_CONTENT_BYTES];
        assert_eq!(staging.put(name(&content), content, 0), Err(StagingError::Full));
        staging.put(name(b"x"), b"x".to_vec(), LIFETIME_S).unwrap();
    }
}
