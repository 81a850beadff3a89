//! Generations of AMD EPYC, and the root and issuer of each: built in, the roots pinned by hash.

use crate::verifier::pem;
use crate::verifier::roots::HardwareRoots;

/// A generation of AMD EPYC processors: each has a root of its own, and its own layout of the TCB version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Generation {
    /// EPYC 7003.
    Milan,
    /// EPYC 9004, 8004, 97x4 (also named Bergamo and Siena).
    Genoa,
    /// EPYC 9005.
    Turin,
}

impl Generation {
    /// Every generation there is a root for.
    pub const ALL: [Self; 3] = [Self::Milan, Self::Genoa, Self::Turin];

    /// The name as AMD's certificates write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Milan => "Milan",
            Self::Genoa => "Genoa",
            Self::Turin => "Turin",
        }
    }

    /// Reads the name as AMD's certificates write it.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|generation| generation.name() == name)
    }

    /// SHA-256 of its ARK in DER, as pinned.
    pub fn root_fingerprint(self) -> [u8; 32] {
        let found = AMD_ROOTS.iter().find(|(generation, _)| *generation == self);
        found.map_or([0; 32], |(_, pin)| *pin)
    }

    /// The ARK (root) and the ASK (the issuer of VCEKs) in PEM. The ASVK, which issues VLEKs, comes with the
    /// endorsements: it must chain to the same pinned root.
    const fn built_in(self) -> [&'static str; 2] {
        match self {
            Self::Milan => [include_str!("roots/milan-ark.pem"), include_str!("roots/milan-ask.pem")],
            Self::Genoa => [include_str!("roots/genoa-ark.pem"), include_str!("roots/genoa-ask.pem")],
            Self::Turin => [include_str!("roots/turin-ark.pem"), include_str!("roots/turin-ask.pem")],
        }
    }
}

impl std::fmt::Display for Generation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// SHA-256 of each ARK in DER. Written out so that a change of a built-in file is a change of two files.
const AMD_ROOTS: [(Generation, [u8; 32]); 3] = [
    (
        Generation::Milan,
        [
            0x69, 0xd0, 0x63, 0xb4, 0x53, 0x44, 0xd2, 0x6a, 0x2e, 0x94, 0xe1, 0xf4, 0x21, 0x0d, 0xe4, 0x9e,
            0xf5, 0x55, 0x30, 0x82, 0x87, 0xd4, 0xc1, 0x74, 0x44, 0x5c, 0x95, 0x63, 0x9a, 0x54, 0x0b, 0xcd,
        ],
    ),
    (
        Generation::Genoa,
        [
            0x4c, 0x65, 0x98, 0xd1, 0x9c, 0x18, 0x71, 0x9c, 0x5d, 0xfd, 0x4a, 0x7d, 0x33, 0x5f, 0x67, 0x4e,
            0x5b, 0xfe, 0x1d, 0x8f, 0x80, 0x0c, 0xea, 0x2c, 0xf2, 0x70, 0xc1, 0x0d, 0x10, 0x3d, 0xb2, 0xf1,
        ],
    ),
    (
        Generation::Turin,
        [
            0x1f, 0x08, 0x41, 0x61, 0xa4, 0x4b, 0xb6, 0xd9, 0x37, 0x78, 0xa9, 0x04, 0x87, 0x7d, 0x48, 0x19,
            0xca, 0xfa, 0x5d, 0x05, 0xef, 0x41, 0x93, 0xb2, 0xde, 0xd9, 0xdd, 0x9c, 0x73, 0xdd, 0x3f, 0x6a,
        ],
    ),
];

/// What a trusted root is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PinnedRoot {
    Amd(Generation),
    Simulated,
}

/// What the root with this fingerprint is, if it is trusted. AMD's root is never a simulated one.
pub(super) fn pinned(roots: &HardwareRoots, fingerprint: &[u8; 32]) -> Option<PinnedRoot> {
    let amd = AMD_ROOTS.iter().find(|(_, pin)| pin == fingerprint);
    match amd {
        Some((generation, _)) => Some(PinnedRoot::Amd(*generation)),
        None if roots.is_simulated(fingerprint) => Some(PinnedRoot::Simulated),
        None => None,
    }
}

/// The built-in certificates of all generations, in DER.
pub(in crate::verifier) fn built_in() -> impl Iterator<Item = Vec<u8>> {
    Generation::ALL
        .into_iter()
        .flat_map(Generation::built_in)
        .filter_map(|pem| pem::blocks(pem.as_bytes()).ok())
        .flatten()
        .map(|block| block.der)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verifier::roots::fingerprint;

    #[test]
    fn the_built_in_roots_are_the_pinned_ones() {
        let all: Vec<Vec<u8>> = built_in().collect();
        assert_eq!(all.len(), 6);
        for (der, generation) in all.iter().step_by(2).zip(Generation::ALL) {
            let root = pinned(&HardwareRoots::vendors(), &fingerprint(der));
            assert_eq!(root, Some(PinnedRoot::Amd(generation)));
        }
    }

    #[test]
    fn a_simulated_root_counts_only_where_it_is_pinned() {
        assert_eq!(pinned(&HardwareRoots::vendors(), &[7; 32]), None);
        assert_eq!(pinned(&HardwareRoots::with_simulated([[7; 32]]), &[7; 32]), Some(PinnedRoot::Simulated));
        assert_eq!(pinned(&HardwareRoots::with_simulated([[7; 32]]), &[8; 32]), None);
        let milan = AMD_ROOTS[0].1;
        let root = pinned(&HardwareRoots::with_simulated([milan]), &milan);
        assert_eq!(root, Some(PinnedRoot::Amd(Generation::Milan)), "AMD's root is never a simulated one");
    }
}
