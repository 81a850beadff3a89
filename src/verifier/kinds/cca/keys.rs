//! Which of the policy's platform keys a token may be signed by. There is no public root: the keys that the owner of
//! the policy names are the trust anchors, and the policy is logged and approved.

use sha2::{Digest, Sha256};

use super::policy::{PlatformKey, Policy};
use super::token::Token;
use crate::verifier::roots::HardwareRoots;
use crate::verifier::sign1;

/// The implementation id of simulated platforms. They count only where the configuration pins their key, whatever a
/// policy says.
const SIMULATED_IMPLEMENTATION: &[u8; 32] = b"treering-simulated-cca-platform!";

/// The keys that the policy has for the platform that a token names.
pub(super) struct Candidates<'a> {
    keys: Vec<&'a PlatformKey>,
    /// The one that signed.
    signer: Option<&'a PlatformKey>,
    /// Whether that, or the only candidate, is pinned as a simulated platform's.
    pinned: bool,
    says_simulated: bool,
}

impl<'a> Candidates<'a> {
    /// Finds them, and the one that signed: one signature for each.
    pub(super) fn of(token: &Token, policy: &'a Policy, roots: &HardwareRoots) -> Self {
        let keys: Vec<&PlatformKey> =
            policy.platform_keys.iter().filter(|key| key.is_for(&token.platform)).collect();
        let signer = keys.iter().copied().find(|one| sign1::verifies(&token.platform_message, &one.key));
        let named = signer.or_else(|| keys.first().copied());
        Self {
            pinned: named.is_some_and(|one| roots.is_simulated(&Sha256::digest(one.key.to_spki()).into())),
            says_simulated: token.platform.implementation_id == *SIMULATED_IMPLEMENTATION,
            keys,
            signer,
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.keys.len()
    }

    /// The one that signed.
    pub(super) fn signer(&self) -> Option<&'a PlatformKey> {
        self.signer
    }

    /// Whether the platform is a simulated one, pinned by the configuration.
    pub(super) fn is_simulated(&self) -> bool {
        self.pinned
    }

    /// Whether the platform says that it is a simulated one, and the configuration does not pin its key.
    pub(super) fn is_simulated_in_vain(&self) -> bool {
        self.says_simulated && !self.pinned
    }
}
