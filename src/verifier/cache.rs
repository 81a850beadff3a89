//! What was verified once and need not be again: chains and collateral, by the digest of what they were read from.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::collateral::Collateral;

/// What is made of collateral and of other octets, such as the certificates that evidence brings along in their order.
pub(super) fn key<'a>(collateral: &Collateral, octets: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
    let key = Sha256::new().chain_update(collateral.digest());
    octets.into_iter().fold(key, |key, one| key.chain_update(Sha256::digest(one))).finalize().into()
}

/// A bounded map from a digest to what was made of it; what came first goes first.
///
/// Only what holds belongs in it: a caller must not push good chains out with bad ones.
#[derive(Debug)]
pub(super) struct Cache<T> {
    capacity: usize,
    kept: Mutex<Kept<T>>,
}

#[derive(Debug)]
struct Kept<T> {
    values: HashMap<[u8; 32], Arc<T>>,
    order: VecDeque<[u8; 32]>,
}

impl<T> Cache<T> {
    pub(super) fn new(capacity: usize) -> Self {
        let kept = Kept { values: HashMap::new(), order: VecDeque::new() };
        Self { capacity: capacity.max(1), kept: Mutex::new(kept) }
    }

    /// How many values are kept.
    pub(super) fn len(&self) -> usize {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).order.len()
    }

    /// The value kept under this digest, or the one made now, which is kept if it `holds`.
    pub(super) fn get_or_make(
        &self,
        digest: [u8; 32],
        make: impl FnOnce() -> T,
        holds: impl FnOnce(&T) -> bool,
    ) -> Arc<T> {
        // A panic elsewhere leaves the map whole: each change to it is one call.
        if let Some(kept) = self.kept.lock().unwrap_or_else(PoisonError::into_inner).values.get(&digest) {
            return Arc::clone(kept);
        }
        let made = Arc::new(make());
        if !holds(&made) {
            return made;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.values.insert(digest, Arc::clone(&made)).is_none() {
            kept.order.push_back(digest);
        }
        while kept.order.len() > self.capacity {
            if let Some(oldest) = kept.order.pop_front() {
                kept.values.remove(&oldest);
            }
        }
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_what_holds_and_no_more_than_its_capacity() {
        let cache = Cache::new(2);
        let made = |key: u8, value: u32, holds: bool| *cache.get_or_make([key; 32], || value, |_| holds);
        assert_eq!(made(1, 10, true), 10);
        assert_eq!(made(1, 11, true), 10, "kept");
        assert_eq!(made(2, 20, false), 20);
        assert_eq!(made(2, 21, true), 21, "what does not hold is not kept");
        assert_eq!(made(3, 30, true), 30);
        assert_eq!(made(1, 12, true), 12, "the oldest went");
        assert_eq!(made(3, 31, true), 30);
    }
}
