//! What the authorities of a chain say about the certificates they issued: in CRLs, and in OCSP responses.
//!
//! NVIDIA publishes CRLs for its CAs' certificates, and answers by OCSP for a device's. Both are collateral: an
//! appraisal asks nobody. Each is verified over the octets received, under the certificate of the chain that issued
//! what it speaks of; what speaks of other chains is left to the components they belong to.

use treering_provenance::x509;
use x509_cert::Certificate;
use x509_cert::crl::CertificateList;
use x509_cert::der::Decode;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::KeyUsage;

use super::chain::Link;
use super::ocsp;
use crate::verifier::checks::Outcome;
use crate::verifier::collateral::Collateral;
use crate::verifier::policy::CollateralPolicy;

const CRL: &str = "crl";

/// What an authority says, and when it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    /// The position in the chain of the certificate that it speaks of, leaf 0.
    pub(super) about: usize,
    /// What it is: `crl` or `ocsp-response`, as the policy names them.
    pub(super) what: &'static str,
    pub(super) from: u64,
    pub(super) until: Option<u64>,
    /// Why the certificate is not to be relied on, if it is not.
    pub(super) revoked: Option<String>,
}

impl Word {
    /// Whether it may be used at this instant.
    pub(super) fn usable(&self, freshness: &CollateralPolicy, now: u64) -> Outcome {
        let name = if self.what == CRL { "CRL" } else { "OCSP response" };
        freshness.usable(self.what, name, self.from, self.until, now)
    }
}

/// Every CRL and OCSP response about this chain, or that cannot be read; and the collateral that they are.
pub(super) fn read(given: &Collateral, chain: &[Link]) -> (Vec<Result<Word, String>>, Collateral) {
    let (mut words, mut crls, mut documents) = (Vec::new(), Vec::new(), Vec::new());
    for der in given.crls() {
        if let Some(word) = crl(der, chain) {
            words.push(word);
            crls.push(der.clone());
        }
    }
    for document in given.documents().iter().filter(|document| document.media_type == ocsp::OCSP_RESPONSE) {
        let said = ocsp::read(&document.bytes, chain);
        if !said.is_empty() {
            words.extend(said);
            documents.push(document.clone());
        }
    }
    (words, Collateral::of_parts(Vec::new(), crls, documents))
}

fn crl(der: &[u8], chain: &[Link]) -> Option<Result<Word, String>> {
    let list: CertificateList = match CertificateList::from_der(der) {
        Ok(list) => list,
        Err(error) => return Some(Err(format!("not a CRL: {error}"))),
    };
    let is_issuer = |link: &Link| {
        parsed(link).is_ok_and(|one| *one.tbs_certificate().subject() == list.tbs_cert_list.issuer)
    };
    let issuer = chain.iter().position(is_issuer)?;
    Some(verified(der, &list, issuer, chain))
}

fn verified(der: &[u8], list: &CertificateList, issuer: usize, chain: &[Link]) -> Result<Word, String> {
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
    // A root that revokes itself says so about itself; every other authority speaks of the one below it.
    let about = issuer.saturating_sub(1);
    let below = chain.get(about).ok_or("the CRL is the leaf's")?;
    let revokes =
        |link: &Link| entries.iter().any(|entry| entry.serial_number.as_bytes() == link.profile.serial());
    let revoked = [below, authority].into_iter().find(|link| {
        let issued = link.profile.names_issuer(&authority.profile);
        issued && revokes(link)
    });
    Ok(Word {
        about,
        what: CRL,
        from: list.tbs_cert_list.this_update.to_unix_duration().as_secs(),
        until: list.tbs_cert_list.next_update.map(|time| time.to_unix_duration().as_secs()),
        revoked: revoked.map(|link| format!("{} is on a CRL of {}", link.name, authority.name)),
    })
}

pub(super) fn parsed(link: &Link) -> Result<Certificate, x509_cert::der::Error> {
    Certificate::from_der(&link.der)
}

/// RFC 5280 section 6.3.3 (f): the key usage, if there is one, says so.
fn may_sign_crls(authority: &Link) -> bool {
    let usage = parsed(authority).map(|one| {
        one.tbs_certificate().get_extension::<KeyUsage>().map(|found| found.map(|(_, usage)| usage))
    });
    match usage {
        Ok(Ok(usage)) => usage.is_none_or(|usage| usage.crl_sign()),
        _ => false,
    }
}
