//! Whether a certificate revocation list (RFC 5280 section 5) may be believed: for the kinds whose authorities are read
//! with `treering_provenance::x509`. Which certificates it is about, and its time, the kinds judge.

use treering_provenance::x509;
use x509_cert::Certificate;
use x509_cert::crl::CertificateList;
use x509_cert::der::Decode;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::KeyUsage;

/// The authority that a list names as its issuer.
pub(super) struct Authority<'a> {
    pub(super) name: &'a str,
    /// Its certificate, DER.
    pub(super) der: &'a [u8],
    pub(super) spki: &'a [u8],
}

/// Whether a list, whose octets are these, is the authority's and says nothing that is not understood here.
pub(super) fn verify(octets: &[u8], list: &CertificateList, authority: &Authority<'_>) -> Result<(), String> {
    let name = authority.name;
    if list.signature_algorithm != list.tbs_cert_list.signature {
        return Err("the CRL's two signature algorithms differ".to_owned());
    }
    if !x509::is_signed_by(octets, authority.spki) {
        return Err(format!("the CRL names {name} as its issuer, which did not sign it"));
    }
    if !may_sign_crls(authority.der) {
        return Err(format!("{name} may not sign CRLs"));
    }
    let critical =
        |extensions: &Option<Vec<Extension>>| extensions.iter().flatten().any(|extension| extension.critical);
    let mut entries = list.tbs_cert_list.revoked_certificates.iter().flatten();
    if critical(&list.tbs_cert_list.crl_extensions)
        || entries.any(|entry| critical(&entry.crl_entry_extensions))
    {
        // Delta, partial and indirect CRLs say so by a critical extension; we read none of them.
        return Err("the CRL has a critical extension that this verifier does not know".to_owned());
    }
    Ok(())
}

/// RFC 5280 section 6.3.3 (f): the key usage, if there is one, says so.
fn may_sign_crls(der: &[u8]) -> bool {
    let usage = Certificate::from_der(der).map(|one| {
        one.tbs_certificate().get_extension::<KeyUsage>().map(|found| found.map(|(_, usage)| usage))
    });
    match usage {
        Ok(Ok(usage)) => usage.is_none_or(|usage| usage.crl_sign()),
        _ => false,
    }
}
