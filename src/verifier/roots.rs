//! The hardware roots of trust: the vendors', built into each kind and pinned by the SHA-256 of their certificates,
//! and those of simulated platforms if, and only if, the configuration pins them.
//!
//! A root is trusted by its hash, never because evidence came with it.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

/// Which roots of simulated platforms are trusted, next to the vendors'.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HardwareRoots {
    simulated: BTreeSet<[u8; 32]>,
}

impl HardwareRoots {
    /// The vendors' roots alone.
    pub const fn vendors() -> Self {
        Self { simulated: BTreeSet::new() }
    }

    /// The vendors' roots and those of simulated platforms, by the SHA-256 of their certificates.
    pub fn with_simulated(fingerprints: impl IntoIterator<Item = [u8; 32]>) -> Self {
        Self { simulated: fingerprints.into_iter().collect() }
    }

    /// The simulated ones.
    pub fn simulated(&self) -> impl Iterator<Item = &[u8; 32]> {
        self.simulated.iter()
    }

    pub(super) fn is_simulated(&self, fingerprint: &[u8; 32]) -> bool {
        self.simulated.contains(fingerprint)
    }
}

/// SHA-256 of a certificate in DER.
pub fn fingerprint(der: &[u8]) -> [u8; 32] {
    Sha256::digest(der).into()
}
