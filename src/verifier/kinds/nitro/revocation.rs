//! CRLs of the chain's authorities, where the caller gave any: read strictly, verified over the octets received.

use x509_cert::Certificate;
use x509_cert::crl::CertificateList;
use x509_cert::der::Decode;

use super::chain::Link;
use crate::verifier::certificates::{called, crl_points};
use crate::verifier::crl::{self, Authority};

/// A CRL that an authority of the chain signed.
#[derive(Debug)]
pub(super) struct Revocation {
    /// The position of the authority in the chain, counted from the root.
    pub(super) issuer: usize,
    pub(super) this_update: u64,
    pub(super) next_update: Option<u64>,
    /// The certificate of the chain that it names, if it does.
    pub(super) revoked: Option<String>,
}

/// A CRL that was given, and what it is worth. Its octets are not kept with it: they are the collateral's.
#[derive(Debug)]
pub(super) struct Listed {
    /// Which of those given it is.
    pub(super) position: usize,
    pub(super) read: Result<Revocation, String>,
}

/// Each CRL given that names an authority of the chain as its issuer, or cannot be read. Those of others are for other
/// components of the evidence.
pub(super) fn read(given: &[Vec<u8>], chain: &[Link]) -> Vec<Listed> {
    let one = |(position, der): (usize, &Vec<u8>)| {
        let read = match CertificateList::from_der(der) {
            Err(error) => Err(format!("not a CRL: {error}")),
            Ok(list) => {
                let issuer = chain.iter().position(|link| is_issued_by(&list, link))?;
                verified(der, &list, issuer, chain)
            }
        };
        Some(Listed { position, read })
    };
    given.iter().enumerate().filter_map(one).collect()
}

/// The positions of the authorities that publish CRLs: those that a certificate they issued says where to find.
pub(super) fn publishers(chain: &[Link]) -> impl Iterator<Item = usize> {
    let says_where =
        |link: &Link| Certificate::from_der(&link.der).is_ok_and(|one| !crl_points(&one).is_empty());
    chain.iter().skip(1).enumerate().filter(move |(_, link)| says_where(link)).map(|(issuer, _)| issuer)
}

/// Of lists that were read those that count at an instant: of each authority the newest, and what cannot be believed.
pub(super) fn in_force(read: &[Listed], now: u64) -> Vec<&Listed> {
    let all = || read.iter().filter_map(|one| one.read.as_ref().ok());
    let counts = |one: &Revocation| {
        let of_the_same = all().filter(|other| other.issuer == one.issuer);
        !crl::is_superseded(one.this_update, of_the_same.map(|other| other.this_update), now)
    };
    read.iter().filter(|one| one.read.as_ref().map_or(true, counts)).collect()
}

fn is_issued_by(list: &CertificateList, link: &Link) -> bool {
    Certificate::from_der(&link.der)
        .is_ok_and(|one| *one.tbs_certificate().subject() == list.tbs_cert_list.issuer)
}

fn verified(der: &[u8], list: &CertificateList, issuer: usize, chain: &[Link]) -> Result<Revocation, String> {
    let authority = chain.get(issuer).ok_or("no such authority")?;
    let by = Authority { name: &authority.name, der: &authority.der, spki: authority.profile.spki() };
    let issued = chain.get(issuer.saturating_add(1)).ok_or("the CRL is the leaf's")?;
    crl::verify(der, list, &by, &issued.der)?;
    let entries = list.tbs_cert_list.revoked_certificates.as_deref().unwrap_or_default();
    let revokes =
        |link: &&Link| entries.iter().any(|entry| entry.serial_number.as_bytes() == link.profile.serial());
    Ok(Revocation {
        issuer,
        this_update: list.tbs_cert_list.this_update.to_unix_duration().as_secs(),
        next_update: list.tbs_cert_list.next_update.map(|time| time.to_unix_duration().as_secs()),
        revoked: Some(issued).filter(revokes).map(|link| called(&link.name, &link.der)),
    })
}
