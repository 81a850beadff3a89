//! Which revocation lists a document calls for: those that its certificates name, where AWS publishes them.
//!
//! A certificate names a URL, and is read here before anybody has verified it. So the URL must have one of the two forms
//! that AWS's have, and what is taken from it is a region and a UUID: evidence never chooses a host.

use x509_cert::Certificate;
use x509_cert::der::Decode;

use super::document::Document;
use crate::verifier::certificates::{crl_points, label};
use crate::verifier::collateral::Collateral;
use crate::verifier::wanted::{Wanted, lists_of, nitro_crl_of};

/// What the names of all authorities of Nitro Enclaves end in.
const AUTHORITIES: &str = "nitro-enclaves";
/// Where the root's list is, and what the hosts of regions' lists are made of.
const ROOT_HOST: &str = "aws-nitro-enclaves-crl.s3.amazonaws.com";
const REGION: (&str, &str, &str) = ("crl-", "-aws-nitro-enclaves.s3.", ".amazonaws.com");
/// Characters of a region's name: `ap-southeast-4` has 14.
const MAX_REGION: usize = 32;
/// Hex digits of a UUID between its dashes.
const UUID: [usize; 5] = [8, 4, 4, 4, 12];

pub(super) fn wants(octets: &[u8]) -> Vec<Wanted> {
    let Ok(document) = Document::read(octets) else { return Vec::new() };
    let certificates = document.cabundle.iter().chain([&document.certificate]);
    certificates.filter_map(|der| Certificate::from_der(der).ok()).filter_map(|one| list_of(&one)).collect()
}

/// The list on which a certificate would be.
fn list_of(certificate: &Certificate) -> Option<Wanted> {
    let (region, id) = crl_points(certificate).iter().find_map(|url| place(url))?;
    let authority = label(certificate.tbs_certificate().issuer());
    Some(Wanted::NitroCrl { region, id, authority })
}

/// Region, none for the root's list, and UUID.
fn place(url: &str) -> Option<(Option<String>, String)> {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"))?;
    let (host, path) = rest.split_once('/')?;
    let id = path.strip_prefix("crl/")?.strip_suffix(".crl").filter(|id| is_uuid(id))?.to_owned();
    if host == ROOT_HOST {
        return Some((None, id));
    }
    let (before, between, after) = REGION;
    let (region, again) = host.strip_prefix(before)?.strip_suffix(after)?.split_once(between)?;
    (region == again && is_region(region)).then(|| (Some(region.to_owned()), id))
}

fn is_uuid(text: &str) -> bool {
    let hex = |part: &str| part.bytes().all(|octet| matches!(octet, b'0'..=b'9' | b'a'..=b'f'));
    text.split('-').map(str::len).eq(UUID) && text.split('-').all(hex)
}

fn is_region(text: &str) -> bool {
    let fits = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'-';
    (1..=MAX_REGION).contains(&text.len()) && text.bytes().all(fits)
}

/// Lists of authorities of Nitro Enclaves, by the authorities' names.
pub(super) fn named(collateral: &Collateral) -> Vec<(String, Collateral)> {
    lists_of(collateral, |authority| authority.ends_with(AUTHORITIES), nitro_crl_of)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "ab4960cc-7d63-42bd-9e9f-59338cb67f84";

    #[test]
    fn evidence_chooses_a_region_and_a_number_and_no_host() {
        let root = format!("http://aws-nitro-enclaves-crl.s3.amazonaws.com/crl/{ID}.crl");
        assert_eq!(place(&root), Some((None, ID.to_owned())));
        let region =
            format!("http://crl-eu-central-1-aws-nitro-enclaves.s3.eu-central-1.amazonaws.com/crl/{ID}.crl");
        assert_eq!(place(&region), Some((Some("eu-central-1".to_owned()), ID.to_owned())));
        for other in [
            root.replace("aws-nitro-enclaves-crl", "evil"),
            root.replace(".amazonaws.com", ".amazonaws.com.evil.example"),
            root.replace("http", "ftp"),
            root.replace("/crl/", "/crl/../"),
            root.replace(ID, "latest"),
            root.replace("59338cb67f84", "59338CB67F84"),
            root.replace(".crl", ".crl?x"),
            region.replace("s3.eu-central-1", "s3.eu-central-2"),
            region.replace("eu-central-1", "eu.central/1"),
            region.replace("eu-central-1", ""),
            region.replace("eu-central-1", &"a".repeat(33)),
            region.replace("http://", "http://user@"),
        ] {
            assert_eq!(place(&other), None, "{other}");
        }
    }
}
