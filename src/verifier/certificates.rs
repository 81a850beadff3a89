//! What several kinds read of a vendor's certificates alike.

use treering_provenance::x509::Profile;
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};
use x509_cert::ext::pkix::{AuthorityInfoAccessSyntax, CrlDistributionPoints};
use x509_cert::name::Name;

/// A responder in a certificate's list of services (RFC 6960 section 4.2.2.2).
const OCSP: &str = "1.3.6.1.5.5.7.48.1";
/// Characters of a common name (X.520, `ub-common-name`): what is longer names nothing here.
const MAX_NAME: usize = 64;
const COMMON_NAME: &str = "2.5.4.3";

/// When each of these certificates ends; what cannot be read has no end.
pub(super) fn ends(certificates: &[Vec<u8>]) -> Vec<u64> {
    let end = |der: &Vec<u8>| Profile::parse(der).ok().map(|profile| profile.validity().1);
    certificates.iter().filter_map(end).collect()
}

/// The common name of a subject; empty if there is none.
pub(super) fn common_name(name: &Name) -> Result<String, String> {
    let mut found = None;
    for attribute in name.iter().filter(|attribute| attribute.oid.to_string() == COMMON_NAME) {
        let text = std::str::from_utf8(attribute.value.value()).map_err(|_| "a common name is not text")?;
        if found.replace(text.to_owned()).is_some() {
            return Err("a certificate has two common names".to_owned());
        }
    }
    Ok(found.unwrap_or_default())
}

/// The common name of an authority as a part of a name of collateral: lower case, words joined by `-`.
pub(super) fn label(name: &Name) -> Option<String> {
    let text = common_name(name).ok()?;
    (1..=MAX_NAME).contains(&text.len()).then(|| text.to_ascii_lowercase().replace(' ', "-"))
}

/// A certificate for people: what it is for in its chain, and what it is called.
pub(super) fn called(role: &str, der: &[u8]) -> String {
    let name =
        Certificate::from_der(der).ok().and_then(|one| common_name(one.tbs_certificate().subject()).ok());
    name.filter(|name| !name.is_empty()).map_or_else(|| role.to_owned(), |name| format!("{role} ({name})"))
}

/// Where a certificate says that its issuer publishes whether it is revoked (RFC 5280 section 4.2.1.13): URIs.
pub(super) fn crl_points(certificate: &Certificate) -> Vec<String> {
    let points = certificate.tbs_certificate().get_extension::<CrlDistributionPoints>();
    let points = points.ok().flatten().map(|(_, points)| points.0).unwrap_or_default();
    points.iter().filter_map(|point| point.distribution_point.as_ref()).flat_map(uris).collect()
}

/// Whether a certificate names a responder of OCSP, at this address.
pub(super) fn names_responder(certificate: &Certificate, is_it: impl Fn(&str) -> bool) -> bool {
    let services = certificate.tbs_certificate().get_extension::<AuthorityInfoAccessSyntax>();
    let services = services.ok().flatten().map(|(_, services)| services.0).unwrap_or_default();
    services.iter().any(|service| {
        service.access_method.to_string() == OCSP && uri(&service.access_location).is_some_and(&is_it)
    })
}

/// The URIs of a distribution point.
pub(super) fn uris(name: &DistributionPointName) -> Vec<String> {
    match name {
        DistributionPointName::FullName(names) => names.iter().filter_map(uri).map(str::to_owned).collect(),
        DistributionPointName::NameRelativeToCRLIssuer(_) => Vec::new(),
    }
}

fn uri(name: &GeneralName) -> Option<&str> {
    match name {
        GeneralName::UniformResourceIdentifier(uri) => Some(uri.as_str()),
        _ => None,
    }
}
