//! Whether a certificate revocation list (RFC 5280 section 5) may be believed: for the kinds whose authorities are read
//! with `treering_provenance::x509`. Which certificates it is about, and its time, the kinds judge.

use treering_provenance::x509;
use x509_cert::Certificate;
use x509_cert::crl::CertificateList;
use x509_cert::der::Decode;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::crl::dp::IssuingDistributionPoint;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage};

use super::certificates::{crl_points, uris};

/// `x509-cert` gives its type for this another extension's identifier.
const ISSUING_DISTRIBUTION_POINT: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.28");
const UNKNOWN: &str = "the CRL has a critical extension that this verifier does not know";

/// The authority that a list names as its issuer.
pub(super) struct Authority<'a> {
    pub(super) name: &'a str,
    /// Its certificate, DER.
    pub(super) der: &'a [u8],
    pub(super) spki: &'a [u8],
}

/// Whether a list, whose octets are these, is the authority's, is for this certificate that it issued (DER), and says
/// nothing that is not understood here.
pub(super) fn verify(
    octets: &[u8],
    list: &CertificateList,
    authority: &Authority<'_>,
    about: &[u8],
) -> Result<(), String> {
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
    let critical = |extensions: &Option<Vec<Extension>>| -> Vec<Extension> {
        extensions.iter().flatten().filter(|extension| extension.critical).cloned().collect()
    };
    let mut entries = list.tbs_cert_list.revoked_certificates.iter().flatten();
    if entries.any(|entry| !critical(&entry.crl_entry_extensions).is_empty()) {
        return Err(UNKNOWN.to_owned());
    }
    for extension in critical(&list.tbs_cert_list.crl_extensions) {
        if extension.extn_id != ISSUING_DISTRIBUTION_POINT {
            // Delta CRLs say so by a critical extension; we read none.
            return Err(UNKNOWN.to_owned());
        }
        is_for(&extension, about)?;
    }
    Ok(())
}

/// Whether something newer that the same authority says of the same takes the place of what it said at `from`, at this
/// instant (RFC 5280 section 6.3.3, step (a): the current list). What is dated in the future takes no place, and keeps
/// none where there is something of before.
pub(super) fn is_superseded(from: u64, of_the_same: impl IntoIterator<Item = u64>, now: u64) -> bool {
    of_the_same.into_iter().any(|other| other <= now && (other > from || from > now))
}

/// Whether a list that is one of several of its issuer's (RFC 5280 section 5.2.5) is the one for this certificate
/// (section 6.3.3 (b)): AWS's Private CA divides those of large CAs, and any may say that it is undivided.
fn is_for(extension: &Extension, about: &[u8]) -> Result<(), String> {
    let point = IssuingDistributionPoint::from_der(extension.extn_value.as_bytes());
    let point = point.map_err(|error| format!("the CRL's distribution point: {error}"))?;
    if point.indirect_crl || point.only_some_reasons.is_some() || point.only_contains_attribute_certs {
        return Err("the CRL is indirect, for some reasons only, or not of certificates of keys".to_owned());
    }
    let certificate = Certificate::from_der(about).map_err(|error| format!("not a certificate: {error}"))?;
    let constraints = certificate.tbs_certificate().get_extension::<BasicConstraints>();
    let is_ca = constraints.is_ok_and(|found| found.is_some_and(|(_, constraints)| constraints.ca));
    if (point.only_contains_user_certs && is_ca) || (point.only_contains_ca_certs && !is_ca) {
        return Err("the CRL is not for certificates such as the one it should speak of".to_owned());
    }
    let Some(at) = point.distribution_point.as_ref().map(uris) else { return Ok(()) };
    let named = crl_points(&certificate);
    if at.iter().any(|uri| named.contains(uri)) {
        Ok(())
    } else {
        Err(format!("the CRL is the one at {at:?}, and the certificate names {named:?}"))
    }
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

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints as Constraints, CertificateParams, CertificateRevocationListParams,
        CrlDistributionPoint, CrlIssuingDistributionPoint, CrlScope, IsCa, Issuer, KeyIdMethod, KeyPair,
        KeyUsagePurpose, SerialNumber, date_time_ymd,
    };
    use treering_provenance::x509::Profile;

    use super::*;

    const HERE: &str = "http://crl.example/1.crl";

    struct Ca {
        der: Vec<u8>,
        issuer: Issuer<'static, KeyPair>,
    }

    fn ca() -> Ca {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(Constraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Ca { der, issuer: Issuer::new(params, key) }
    }

    impl Ca {
        fn certificate(&self, is_ca: bool) -> Vec<u8> {
            let mut params = CertificateParams::default();
            params.crl_distribution_points = vec![CrlDistributionPoint { uris: vec![HERE.to_owned()] }];
            if is_ca {
                params.is_ca = IsCa::Ca(Constraints::Unconstrained);
            }
            params.signed_by(&KeyPair::generate().unwrap(), &self.issuer).unwrap().der().to_vec()
        }

        /// Of a list that says which of several it is, about a certificate.
        fn judge(&self, at: &str, scope: Option<CrlScope>, about: &[u8]) -> Result<(), String> {
            let point = CrlDistributionPoint { uris: vec![at.to_owned()] };
            let params = CertificateRevocationListParams {
                this_update: date_time_ymd(2026, 1, 1),
                next_update: date_time_ymd(2027, 1, 1),
                crl_number: SerialNumber::from(1),
                issuing_distribution_point: Some(CrlIssuingDistributionPoint {
                    distribution_point: point,
                    scope,
                }),
                revoked_certs: Vec::new(),
                key_identifier_method: KeyIdMethod::Sha256,
            };
            let octets = params.signed_by(&self.issuer).unwrap().der().to_vec();
            let profile = Profile::parse(&self.der).unwrap();
            let by = Authority { name: "the CA", der: &self.der, spki: profile.spki() };
            verify(&octets, &CertificateList::from_der(&octets).unwrap(), &by, about)
        }
    }

    #[test]
    fn one_list_of_several_is_for_the_certificates_that_name_it() {
        let ca = ca();
        let (leaf, authority) = (ca.certificate(false), ca.certificate(true));
        assert_eq!(ca.judge(HERE, None, &leaf), Ok(()));
        let other = ca.judge("http://crl.example/2.crl", None, &leaf).unwrap_err();
        assert!(other.contains("/2.crl") && other.contains("/1.crl"), "{other}");
        assert_eq!(ca.judge(HERE, Some(CrlScope::UserCertsOnly), &leaf), Ok(()));
        assert_eq!(ca.judge(HERE, Some(CrlScope::CaCertsOnly), &authority), Ok(()));
        ca.judge(HERE, Some(CrlScope::UserCertsOnly), &authority).unwrap_err();
        ca.judge(HERE, Some(CrlScope::CaCertsOnly), &leaf).unwrap_err();
        ca.judge(HERE, None, &ca.der).unwrap_err();
    }

    #[test]
    fn the_newest_of_its_time_takes_the_place_of_the_others() {
        let left = |lists: &[u64], now: u64| -> Vec<u64> {
            let is_left = |from: &&u64| !is_superseded(**from, lists.iter().copied(), now);
            lists.iter().filter(is_left).copied().collect()
        };
        assert_eq!(left(&[10, 20, 30], 25), [20]);
        assert_eq!(left(&[30, 20, 10], 30), [30]);
        assert_eq!(left(&[10, 10], 25), [10, 10], "neither is newer");
        assert_eq!(left(&[20, 30], 5), [20, 30], "of none it is the time");
        assert_eq!(left(&[], 5), [0; 0]);
    }

    #[test]
    fn a_list_of_somebody_else_is_not_believed() {
        let (one, other) = (ca(), ca());
        let leaf = one.certificate(false);
        let swapped = Ca { der: other.der, issuer: one.issuer };
        assert!(swapped.judge(HERE, None, &leaf).unwrap_err().contains("did not sign it"));
    }
}
