//! From the key that signed a report up to a pinned root.
//!
//! What is decided here depends on the collateral and the pinned roots alone, not on the report or the time: so it
//! can be kept (`ChainCache`), and a second appraisal under the same key costs one P-384 signature.

use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED, ParsedPublicKey};

use super::certificate::{Crl, Endorsement, Parsed, Role};
use super::generation::{Generation, PinnedRoot, pinned};
use super::snapshot::completed;
use crate::verifier::collateral::Collateral;
use crate::verifier::crl;
use crate::verifier::roots::HardwareRoots;

/// A pinned root under which a chain ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Root {
    pub(super) generation: Generation,
    pub(super) simulated: bool,
    pub(super) fingerprint: [u8; 32],
}

/// The seconds in which one certificate is valid.
#[derive(Debug, Clone)]
pub(super) struct Window {
    pub(super) name: String,
    pub(super) not_before: u64,
    pub(super) not_after: u64,
}

/// A CRL that the root signed, and what it says about the chain.
#[derive(Debug, Clone)]
pub(super) struct Revocation {
    pub(super) crl: Crl,
    pub(super) revoked: Option<String>,
}

/// A CRL that was given, and what it is worth. Its octets are not kept with it: they are the collateral's.
#[derive(Debug, Clone)]
pub(super) struct Listed {
    /// Which of those given it is.
    position: usize,
    pub(super) read: Result<Revocation, String>,
}

/// What the collateral is worth. Only [`verify`] makes one.
#[derive(Debug)]
pub(in crate::verifier) struct VerifiedVek {
    /// The certificates of the snapshot it rests on: the chain found, or all that were given where there is none.
    certificates: Vec<Vec<u8>>,
    /// The VCEK or VLEK certificate, read.
    pub(super) endorsement: Result<Endorsement, String>,
    /// Whether signatures lead from it up to a self-signed root.
    pub(super) chain: Result<String, String>,
    /// Whether that root is pinned.
    pub(super) root: Result<Root, String>,
    /// Validity of every certificate of the chain.
    pub(super) windows: Vec<Window>,
    /// Each CRL given.
    crls: Vec<Listed>,
    /// The key, if the whole chain holds.
    pub(super) key: Option<ParsedPublicKey>,
}

impl VerifiedVek {
    /// Whether it is worth keeping: a caller must not push good chains out with bad ones, nor fill memory with a CRL
    /// of its own making.
    pub(super) fn holds(&self) -> bool {
        self.key.is_some() && self.crls.iter().all(|one| one.read.is_ok())
    }

    /// The lists that count at an instant: the newest, those that revoke something of the chain, however old (AMD has two
    /// lists of one root, of which each may know something else), and what cannot be believed.
    pub(super) fn in_force(&self, now: u64) -> impl Iterator<Item = &Listed> {
        let date = |one: &Listed| one.read.as_ref().ok().map(|read| read.crl.this_update);
        self.crls.iter().filter(move |one| {
            let Ok(read) = &one.read else { return true };
            let all = self.crls.iter().filter_map(date);
            read.revoked.is_some() || !crl::is_superseded(read.crl.this_update, all, now)
        })
    }

    /// The snapshot that it rests on at an instant, of the collateral that it was made of.
    pub(super) fn collateral(&self, given: &Collateral, now: u64) -> Collateral {
        let crls = self.in_force(now).filter_map(|one| given.crls().get(one.position).cloned()).collect();
        Collateral::of_parts(self.certificates.clone(), crls, Vec::new())
    }
}

/// Verifies a snapshot against the pinned roots: four RSA signatures at most for each chain tried, and the CRLs'.
pub(super) fn verify(given: &Collateral, roots: &HardwareRoots) -> VerifiedVek {
    let parsed = completed(given);
    let unjudged = |reason: &str| {
        (0..given.crls().len()).map(|position| Listed { position, read: Err(reason.to_owned()) }).collect()
    };
    let mut verified = VerifiedVek {
        certificates: ders(parsed.iter()),
        endorsement: Err("no VCEK or VLEK certificate was given".to_owned()),
        chain: Err("no VCEK or VLEK certificate was given".to_owned()),
        root: Err("no chain leads to a root".to_owned()),
        windows: Vec::new(),
        crls: unjudged("no chain to check it against"),
        key: None,
    };
    let leaf = match only_endorsement(&parsed) {
        Ok(leaf) => leaf,
        Err(error) => {
            verified.endorsement = Err(error.clone());
            verified.chain = Err(error);
            return verified;
        }
    };
    let kind = match leaf.role() {
        Role::Endorsement(kind) => kind,
        Role::Root(_) | Role::Intermediate(_) | Role::Other => return verified,
    };
    verified.endorsement = leaf.endorsement(kind);
    verified.windows.push(window(leaf));
    match links(leaf, &parsed) {
        Ok((issuer, root)) => {
            verified.chain =
                Ok(format!("{} < {} < {}", leaf.common_name(), issuer.common_name(), root.common_name()));
            verified.windows.extend([window(issuer), window(root)]);
            verified.root = trusted(root, issuer, roots);
            // Those of other vendors, for the other components of composite evidence, are not this kind's.
            let crls = given.crls().iter().enumerate().filter(|(_, crl)| root.may_have_issued(crl));
            let mut read: Vec<_> = crls.map(|one| (one, revocation(one.1, leaf, issuer, root))).collect();
            // Simulated roots have one name, and another component's list is no forgery: beside one that holds, what another
            // key signed is nothing, as if it had not been given.
            if read.iter().any(|(_, read)| read.is_ok()) {
                read.retain(|((_, crl), read)| read.is_ok() || !root.is_of_another_key(crl));
            }
            verified.crls = read.into_iter().map(|((position, _), read)| Listed { position, read }).collect();
            verified.certificates = ders([leaf, issuer, root]);
        }
        Err(error) => verified.chain = Err(error),
    }
    if let (Ok(endorsement), true) = (&verified.endorsement, verified.root.is_ok()) {
        match ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, &endorsement.public_key) {
            Ok(key) => verified.key = Some(key),
            Err(error) => verified.endorsement = Err(format!("the key is no point of P-384: {error}")),
        }
    }
    verified
}

fn ders<'a>(certificates: impl IntoIterator<Item = &'a Parsed>) -> Vec<Vec<u8>> {
    certificates.into_iter().map(|one| one.der().to_vec()).collect()
}

fn only_endorsement(parsed: &[Parsed]) -> Result<&Parsed, String> {
    let mut found = parsed.iter().filter(|one| matches!(one.role(), Role::Endorsement(_)));
    let first = found.next().ok_or("no VCEK or VLEK certificate was given")?;
    match found.count() {
        0 => Ok(first),
        // Of several, the one that fits the report was looked for before (`selection`).
        more => Err(format!("none of the {} VCEK and VLEK certificates is for this report", more + 1)),
    }
}

/// Finds issuer and root whose signatures hold. Several certificates may have one name (a vendor renews them): any
/// chain that holds will do.
fn links<'a>(leaf: &Parsed, parsed: &'a [Parsed]) -> Result<(&'a Parsed, &'a Parsed), String> {
    let kind = match leaf.role() {
        Role::Endorsement(kind) => kind,
        Role::Root(_) | Role::Intermediate(_) | Role::Other => {
            return Err("not an endorsement key".to_owned());
        }
    };
    let issuers =
        parsed.iter().filter(|one| matches!(one.role(), Role::Intermediate(_)) && one.issues() == kind);
    let mut error = format!(
        "no certificate of the issuer of {} is among those given; want AMD's {} of that generation",
        leaf.common_name(),
        if kind == super::report::SigningKey::Vlek { "ASVK" } else { "ASK" },
    );
    for issuer in issuers.filter(|issuer| leaf.names_issuer(issuer)) {
        match leaf.verify(issuer).and_then(|()| root_of(issuer, parsed)) {
            Ok(root) => return Ok((issuer, root)),
            Err(reason) => error = reason,
        }
    }
    Err(error)
}

fn root_of<'a>(issuer: &Parsed, parsed: &'a [Parsed]) -> Result<&'a Parsed, String> {
    let mut error = format!("no certificate of the root of {} is among those given", issuer.common_name());
    for root in parsed.iter().filter(|one| one.is_self_issued() && issuer.names_issuer(one)) {
        match issuer.verify(root).and_then(|()| root.verify(root)) {
            Ok(()) => return Ok(root),
            Err(reason) => error = reason,
        }
    }
    Err(error)
}

fn trusted(root: &Parsed, issuer: &Parsed, roots: &HardwareRoots) -> Result<Root, String> {
    let fingerprint = root.fingerprint();
    let (Role::Root(named), Role::Intermediate(issuing)) = (root.role(), issuer.role()) else {
        return Err(format!("{} is not the name of a root", root.common_name()));
    };
    let simulated = match pinned(roots, &fingerprint) {
        Some(PinnedRoot::Amd(generation)) if generation == named => false,
        Some(PinnedRoot::Simulated) => true,
        Some(PinnedRoot::Amd(_)) | None => {
            let hex = data_encoding::HEXLOWER.encode(&fingerprint);
            return Err(format!("the root {} with SHA-256 {hex} is not pinned", root.common_name()));
        }
    };
    if issuing != named {
        return Err(format!("{} is issued under the root of {named}", issuer.common_name()));
    }
    Ok(Root { generation: named, simulated, fingerprint })
}

fn window(certificate: &Parsed) -> Window {
    let (not_before, not_after) = certificate.validity();
    Window { name: certificate.common_name().to_owned(), not_before, not_after }
}

/// AMD's CRLs are the root's, so they can name the issuer; every VCEK has serial number 0, and a CRL of the issuer
/// does not exist.
fn revocation(der: &[u8], leaf: &Parsed, issuer: &Parsed, root: &Parsed) -> Result<Revocation, String> {
    let crl = root.verify_crl(der)?;
    let revoked = [issuer, root].into_iter().find(|one| crl.revokes(one.serial()));
    let revoked = revoked.map(|one| {
        let serial = data_encoding::HEXLOWER.encode(one.serial());
        format!("{} (serial number {serial}), issuer of {}", one.common_name(), leaf.common_name())
    });
    Ok(Revocation { crl, revoked })
}
