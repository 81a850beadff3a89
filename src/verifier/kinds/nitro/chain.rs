//! From the key that signed a document up to a pinned root, through the certificates that the document brings.
//!
//! What is decided here depends on the certificates, the lists and the pinned roots alone, not on what else the document
//! says or the time: so it can be kept. An enclave has one certificate for three hours.

use treering_provenance::cose::{Algorithm, VerifyingKey};
use treering_provenance::x509::{Path, PathError, Profile, verify_path};

use super::document::Document;
use super::revocation::{self, Listed};
use crate::verifier::roots::{HardwareRoots, fingerprint};

/// SHA-256 of the root of the AWS Nitro Attestation PKI (G1) in DER, as AWS publishes it.
pub(super) const AWS_ROOT_G1: [u8; 32] = [
    0x64, 0x1a, 0x03, 0x21, 0xa3, 0xe2, 0x44, 0xef, 0xe4, 0x56, 0x46, 0x31, 0x95, 0xd6, 0x06, 0x31, 0x7e,
    0xd7, 0xcd, 0xcc, 0x3c, 0x17, 0x56, 0xe0, 0x98, 0x93, 0xf3, 0xc6, 0x8f, 0x79, 0xbb, 0x5b,
];

/// What a trusted root is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Root {
    Aws,
    Simulated,
}

/// One certificate of the chain.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) name: String,
    pub(super) der: Vec<u8>,
    pub(super) profile: Profile,
}

/// What the document's certificates are worth, and what their authorities' lists say of them. Only [`Verified::of`] makes
/// one.
#[derive(Debug)]
pub(in crate::verifier) struct Verified {
    pub(super) chain: VerifiedChain,
    pub(super) crls: Vec<Listed>,
}

impl Verified {
    /// Five signatures of P-384 at most, and those of the lists.
    pub(super) fn of(document: &Document, crls: &[Vec<u8>], roots: &HardwareRoots) -> Self {
        let chain = verify(document, roots);
        let crls = revocation::read(crls, &chain.certificates);
        Self { chain, crls }
    }

    /// Whether it is worth keeping: a caller must not push good chains out with bad ones, nor fill memory with lists of
    /// its own making.
    pub(super) fn holds(&self) -> bool {
        self.chain.key.is_some() && self.crls.iter().all(|one| one.read.is_ok())
    }
}

/// What the document's certificates are worth.
#[derive(Debug)]
pub(super) struct VerifiedChain {
    /// Whether signatures lead from the leaf to the first certificate of `cabundle`, each by one that may issue.
    pub(super) chain: Result<Path, String>,
    /// Whether the leaf may sign, and its key is one of P-384.
    pub(super) leaf: Result<(), String>,
    pub(super) root: Result<Root, String>,
    /// The key, if all of these hold.
    pub(super) key: Option<VerifyingKey>,
    /// The certificates, root first, as far as they could be read: all or none.
    pub(super) certificates: Vec<Link>,
}

/// Verifies the certificates against the pinned roots.
fn verify(document: &Document, roots: &HardwareRoots) -> VerifiedChain {
    let root = document.cabundle.first().ok_or_else(|| "cabundle is empty".to_owned());
    let root = root.and_then(|der| trusted(der, roots));
    let certificates = match read(document) {
        Ok(certificates) => certificates,
        Err(error) => {
            let (chain, leaf) = (Err(error.clone()), Err(error));
            return VerifiedChain { chain, leaf, root, key: None, certificates: Vec::new() };
        }
    };
    let (chain, leaf) = (path(&certificates), leaf(&certificates));
    let holds = chain.is_ok() && root.is_ok();
    let (leaf, key) = match leaf {
        Ok(key) => (Ok(()), holds.then_some(key)),
        Err(error) => (Err(error), None),
    };
    VerifiedChain { chain, leaf, root, key, certificates }
}

fn read(document: &Document) -> Result<Vec<Link>, String> {
    let bundle = document.cabundle.iter().enumerate().map(|(at, der)| {
        let name = if at == 0 { "the root certificate".to_owned() } else { format!("CA certificate {at}") };
        (name, der)
    });
    let all = bundle.chain([("the leaf certificate".to_owned(), &document.certificate)]);
    let link = |(name, der): (String, &Vec<u8>)| match Profile::parse(der) {
        Ok(profile) => Ok(Link { name, der: der.clone(), profile }),
        Err(error) => Err(format!("{name}: {error}")),
    };
    all.map(link).collect()
}

fn path(certificates: &[Link]) -> Result<Path, String> {
    let (root, below) = certificates.split_first().ok_or("there is no certificate")?;
    let links: Vec<(&[u8], &Profile)> =
        below.iter().rev().map(|link| (link.der.as_slice(), &link.profile)).collect();
    match verify_path(&links, &[&root.profile]) {
        Ok(path) if path.used == links.len() => Ok(path),
        Ok(path) => {
            Err(format!("{} of {} certificates are not in the chain", links.len() - path.used, links.len()))
        }
        Err(PathError::Issuer { position, error }) => {
            let issuer = certificates.iter().rev().nth(position).map_or("an issuer", |link| &link.name);
            Err(format!("{issuer}: {error}"))
        }
        Err(error @ (PathError::TooMany(_) | PathError::NoAnchor)) => Err(error.to_string()),
    }
}

fn leaf(certificates: &[Link]) -> Result<VerifyingKey, String> {
    let leaf = certificates.last().ok_or("there is no certificate")?;
    leaf.profile.check_workload().map_err(|error| error.to_string())?;
    let key = VerifyingKey::from_spki(leaf.profile.spki()).map_err(|error| error.to_string())?;
    if key.algorithm() == Algorithm::Es384 { Ok(key) } else { Err("its key is not one of P-384".to_owned()) }
}

/// AWS's root is never a simulated one.
fn trusted(der: &[u8], roots: &HardwareRoots) -> Result<Root, String> {
    let fingerprint = fingerprint(der);
    if fingerprint == AWS_ROOT_G1 {
        return Ok(Root::Aws);
    }
    if roots.is_simulated(&fingerprint) {
        return Ok(Root::Simulated);
    }
    let hex = data_encoding::HEXLOWER.encode(&fingerprint);
    Err(format!("the first certificate of cabundle, with SHA-256 {hex}, is not a pinned root"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verifier::pem;

    #[test]
    fn the_root_in_this_folder_is_the_pinned_one() {
        let blocks = pem::blocks(include_bytes!("roots/aws-nitro-enclaves-g1.pem")).unwrap();
        let [root] = blocks.as_slice() else { panic!("{} certificates", blocks.len()) };
        assert_eq!(trusted(&root.der, &HardwareRoots::vendors()), Ok(Root::Aws));
        assert_eq!(trusted(&root.der, &HardwareRoots::with_simulated([AWS_ROOT_G1])), Ok(Root::Aws));
        trusted(b"another", &HardwareRoots::vendors()).unwrap_err();
    }
}
