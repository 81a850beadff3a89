//! From the key that signed a report up to a pinned root, through the certificates that come with it.
//!
//! What is decided here depends on the certificates, the collateral and the pinned roots alone, not on the report or
//! the time: so it can be kept.

use treering_provenance::cose::{Algorithm, VerifyingKey};
use treering_provenance::x509::{Path, PathError, Profile, verify_path};

use super::device::Device;
use super::revocation::{self, Said};
use crate::verifier::collateral::Collateral;
use crate::verifier::roots::{HardwareRoots, fingerprint};

/// SHA-256 of "NVIDIA Device Identity CA" in DER.
pub(super) const NVIDIA_ROOT: [u8; 32] = [
    0x10, 0x2b, 0xf6, 0x59, 0xd5, 0x41, 0x96, 0x14, 0xc9, 0xd8, 0xe6, 0xae, 0xce, 0xbc, 0x80, 0x45, 0x4e,
    0xb2, 0x6b, 0x1d, 0xf6, 0xa7, 0x69, 0xac, 0x72, 0x0b, 0x9a, 0x69, 0x0b, 0x16, 0x7b, 0x48,
];

/// Whose root it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Root {
    Nvidia,
    Simulated,
}

/// One certificate of the chain.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) name: &'static str,
    pub(super) der: Vec<u8>,
    pub(super) profile: Profile,
}

/// What the certificates are worth. Only [`verify`] makes one.
#[derive(Debug)]
pub(in crate::verifier) struct VerifiedChain {
    /// The names of the certificates, leaf first.
    pub(super) names: Vec<&'static str>,
    /// Whether signatures lead from the leaf to the last certificate, each by one that may issue.
    pub(super) chain: Result<Path, String>,
    pub(super) root: Result<Root, String>,
    pub(super) device: Result<Device, String>,
    /// What authorities of the chain say about its certificates.
    pub(super) said: Vec<Said>,
    /// The leaf's key, if the chain holds up to a pinned root.
    pub(super) key: Option<VerifyingKey>,
}

impl VerifiedChain {
    /// Whether it is worth keeping.
    pub(super) fn holds(&self) -> bool {
        self.key.is_some() && revocation::holds(&self.said)
    }
}

/// Verifies certificates, leaf first: four signatures of P-384, and those of CRLs and OCSP responses.
pub(super) fn verify(chain: &[Vec<u8>], collateral: &Collateral, roots: &HardwareRoots) -> VerifiedChain {
    let root = chain.last().ok_or_else(|| "there is no certificate".to_owned());
    let root = root.and_then(|der| trusted(der, roots));
    let (links, error) = match read(chain) {
        Ok(links) => (links, None),
        Err(error) => (Vec::new(), Some(error)),
    };
    let path = error.map_or_else(|| path(&links), Err);
    let leaf = links.first().map(|leaf| key(&leaf.profile));
    let (path, key) = match (path, leaf) {
        (Ok(path), Some(Ok(key))) => (Ok(path), root.is_ok().then_some(key)),
        (Ok(_), Some(Err(error))) | (Err(error), _) => (Err(error), None),
        (Ok(_), None) => (Err("there is no certificate".to_owned()), None),
    };
    let said = match &key {
        Some(_) => revocation::read(collateral, &links),
        // Of nobody's chain no authority can say anything.
        None => Vec::new(),
    };
    VerifiedChain {
        names: links.iter().map(|link| link.name).collect(),
        chain: path,
        root,
        device: Device::of(chain),
        said,
        key,
    }
}

fn read(chain: &[Vec<u8>]) -> Result<Vec<Link>, String> {
    let last = chain.len().saturating_sub(1);
    let link = |(at, der): (usize, &Vec<u8>)| {
        let name = match at {
            0 => "the leaf",
            1 => "the boot ROM's certificate",
            2 if at < last => "the provisioner's certificate",
            at if at == last => "the root",
            _ => "the identity CA's certificate",
        };
        match Profile::parse(der) {
            Ok(profile) => Ok(Link { name, der: der.clone(), profile }),
            Err(error) => Err(format!("{name}: {error}")),
        }
    };
    chain.iter().enumerate().map(link).collect()
}

fn path(links: &[Link]) -> Result<Path, String> {
    let (root, below) = links.split_last().ok_or("there is no certificate")?;
    let each: Vec<(&[u8], &Profile)> =
        below.iter().map(|link| (link.der.as_slice(), &link.profile)).collect();
    match verify_path(&each, &[&root.profile]) {
        Ok(path) if path.used == each.len() => Ok(path),
        Ok(path) => {
            Err(format!("{} of {} certificates are not in the chain", each.len() - path.used, each.len()))
        }
        Err(PathError::Issuer { position, error }) => {
            let issuer = links.get(position).map_or("an issuer", |link| link.name);
            Err(format!("{issuer}: {error}"))
        }
        Err(PathError::NoAnchor) => Err("the signatures do not lead from the leaf to the root".to_owned()),
        Err(error @ PathError::TooMany(_)) => Err(error.to_string()),
    }
}

fn key(leaf: &Profile) -> Result<VerifyingKey, String> {
    leaf.check_workload().map_err(|error| format!("the leaf: {error}"))?;
    let key = VerifyingKey::from_spki(leaf.spki()).map_err(|error| format!("the leaf's key: {error}"))?;
    if key.algorithm() == Algorithm::Es384 {
        Ok(key)
    } else {
        Err("the leaf's key is not one of P-384".to_owned())
    }
}

/// NVIDIA's root is never a simulated one.
fn trusted(der: &[u8], roots: &HardwareRoots) -> Result<Root, String> {
    let fingerprint = fingerprint(der);
    if fingerprint == NVIDIA_ROOT {
        return Ok(Root::Nvidia);
    }
    if roots.is_simulated(&fingerprint) {
        return Ok(Root::Simulated);
    }
    let hex = data_encoding::HEXLOWER.encode(&fingerprint);
    Err(format!("the last certificate, with SHA-256 {hex}, is not a pinned root"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verifier::pem;

    #[test]
    fn the_root_in_this_folder_is_the_pinned_one() {
        let blocks = pem::blocks(include_bytes!("roots/nvidia-device-identity.pem")).unwrap();
        let [root] = blocks.as_slice() else { panic!("{} certificates", blocks.len()) };
        assert_eq!(trusted(&root.der, &HardwareRoots::vendors()), Ok(Root::Nvidia));
        assert_eq!(trusted(&root.der, &HardwareRoots::with_simulated([NVIDIA_ROOT])), Ok(Root::Nvidia));
        trusted(b"another", &HardwareRoots::vendors()).unwrap_err();
    }
}
