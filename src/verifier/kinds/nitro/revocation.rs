//! CRLs of the chain's authorities, where the caller gave any: read strictly, verified over the octets received.

use treering_provenance::x509;
use x509_cert::Certificate;
use x509_cert::crl::CertificateList;
use x509_cert::der::Decode;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::KeyUsage;

use super::chain::Link;

const CRL_DISTRIBUTION_POINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.31");

/// A CRL that an authority of the chain signed.
pub(super) struct Revocation {
    /// The position of the authority in the chain, counted from the root.
    pub(super) issuer: usize,
    pub(super) this_update: u64,
    pub(super) next_update: Option<u64>,
    /// The certificate of the chain that it names, if it does.
    pub(super) revoked: Option<String>,
}

/// Each CRL given that names an authority of the chain as its issuer, or cannot be read, with its octets. Those of
/// others are for other components of the evidence.
pub(super) fn read(given: &[Vec<u8>], chain: &[Link]) -> Vec<(Result<Revocation, String>, Vec<u8>)> {
    let one = |der: &Vec<u8>| match CertificateList::from_der(der) {
        Err(error) => Some((Err(format!("not a CRL: {error}")), der.clone())),
        Ok(list) => {
            let issuer = chain.iter().position(|link| is_issued_by(&list, link))?;
            Some((verified(der, &list, issuer, chain), der.clone()))
        }
    };
    given.iter().filter_map(one).collect()
}

/// The positions of the authorities that publish CRLs: those that a certificate they issued says where to find.
pub(super) fn publishers(chain: &[Link]) -> impl Iterator<Item = usize> {
    let says_where = |link: &Link| {
        let certificate = Certificate::from_der(&link.der);
        let extensions = certificate.ok().and_then(|one| one.tbs_certificate().extensions().cloned());
        extensions.is_some_and(|all| all.iter().any(|one| one.extn_id == CRL_DISTRIBUTION_POINTS))
    };
    chain.iter().skip(1).enumerate().filter(move |(_, link)| says_where(link)).map(|(issuer, _)| issuer)
}

fn is_issued_by(list: &CertificateList, link: &Link) -> bool {
    Certificate::from_der(&link.der)
        .is_ok_and(|one| *one.tbs_certificate().subject() == list.tbs_cert_list.issuer)
}

fn verified(der: &[u8], list: &CertificateList, issuer: usize, chain: &[Link]) -> Result<Revocation, String> {
    let authority = chain.get(issuer).ok_or("no such authority")?;
    if list.signature_algorithm != list.tbs_cert_list.signature {
        return Err("the CRL's two signature algorithms differ".to_owned());
    }
    if !x509::is_signed_by(der, authority.profile.spki()) {
        return Err(format!("the CRL names {} as its issuer, which did not sign it", authority.name));
    }
    if !may_sign_crls(authority) {
        return Err(format!("{} may not sign CRLs", authority.name));
    }
    let entries = list.tbs_cert_list.revoked_certificates.as_deref().unwrap_or_default();
    let critical =
        |extensions: &Option<Vec<Extension>>| extensions.iter().flatten().any(|extension| extension.critical);
    if critical(&list.tbs_cert_list.crl_extensions)
        || entries.iter().any(|entry| critical(&entry.crl_entry_extensions))
    {
        // Delta, partial and indirect CRLs say so by a critical extension; we read none of them.
        return Err("the CRL has a critical extension that this verifier does not know".to_owned());
    }
    let issued = chain.get(issuer.saturating_add(1));
    let revokes =
        |link: &&Link| entries.iter().any(|entry| entry.serial_number.as_bytes() == link.profile.serial());
    Ok(Revocation {
        issuer,
        this_update: list.tbs_cert_list.this_update.to_unix_duration().as_secs(),
        next_update: list.tbs_cert_list.next_update.map(|time| time.to_unix_duration().as_secs()),
        revoked: issued.filter(revokes).map(|link| link.name.clone()),
    })
}

/// RFC 5280 section 6.3.3 (f): the key usage, if there is one, says so.
fn may_sign_crls(authority: &Link) -> bool {
    let usage = Certificate::from_der(&authority.der).map(|one| {
        one.tbs_certificate().get_extension::<KeyUsage>().map(|found| found.map(|(_, usage)| usage))
    });
    match usage {
        Ok(Ok(usage)) => usage.is_none_or(|usage| usage.crl_sign()),
        _ => false,
    }
}
