//! What NVIDIA publishes of the certificates of a device: the lists that they name, and an answer by OCSP about a
//! certificate that names none, such as the boot ROM's.
//!
//! A certificate is read here before anybody has verified it. So a URL must have the form that NVIDIA's have, and what is
//! taken from it is the name of a list: evidence never chooses a host.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use x509_cert::Certificate;
use x509_cert::der::{Decode, Encode};

use super::container::Container;
use super::ocsp;
use crate::verifier::certificates::{crl_points, label, names_responder};
use crate::verifier::collateral::Collateral;
use crate::verifier::wanted::{OcspQuestion, Wanted, lists_of, nvidia_crl_of, nvidia_ocsp_of};

const CRL_HOST: &str = "crl.ndis.nvidia.com/crl/";
const OCSP_HOST: &str = "ocsp.ndis.nvidia.com";
/// What the names of NVIDIA's authorities begin with.
const AUTHORITIES: &str = "nvidia-";
/// Characters of a list's name: `l2-gh100` has 8.
const MAX_FILE: usize = 32;

/// Of every certificate between the leaf, which the device makes itself, and the root.
pub(super) fn wants(octets: &[u8]) -> Vec<Wanted> {
    let Ok(container) = Container::read(octets) else { return Vec::new() };
    let chain = container.chain.iter().map(|der| Certificate::from_der(der));
    let Ok(chain) = chain.collect::<Result<Vec<_>, _>>() else { return Vec::new() };
    let answers = chain.iter().any(|one| names_responder(one, |url| bare(url) == Some(OCSP_HOST)));
    let below_root = chain.windows(2).skip(1);
    let wanted = below_root.filter_map(|pair| match pair {
        [one, issuer] => list_of(one).or_else(|| answers.then(|| question(one, issuer)).flatten()),
        _ => None,
    });
    wanted.collect()
}

/// The list on which a certificate would be.
fn list_of(certificate: &Certificate) -> Option<Wanted> {
    let file = crl_points(certificate).iter().find_map(|url| file(url))?;
    Some(Wanted::NvidiaCrl { file, authority: label(certificate.tbs_certificate().issuer()) })
}

fn file(url: &str) -> Option<String> {
    let file = bare(url)?.strip_prefix(CRL_HOST)?.strip_suffix(".crl")?;
    let fits = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'-';
    ((1..=MAX_FILE).contains(&file.len()) && file.bytes().all(fits)).then(|| file.to_owned())
}

/// A URL without its scheme, and without a slash that nothing follows.
fn bare(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"))?;
    Some(rest.strip_suffix('/').unwrap_or(rest))
}

fn question(certificate: &Certificate, issuer: &Certificate) -> Option<Wanted> {
    let hash = |octets: &[u8]| digest(&SHA1_FOR_LEGACY_USE_ONLY, octets).as_ref().try_into().ok();
    let name = issuer.tbs_certificate().subject().to_der().ok()?;
    let key = issuer.tbs_certificate().subject_public_key_info().subject_public_key.raw_bytes();
    Some(Wanted::NvidiaOcsp(OcspQuestion {
        issuer_name: hash(&name)?,
        issuer_key: hash(key)?,
        serial: certificate.tbs_certificate().serial_number().as_bytes().to_vec(),
    }))
}

/// Lists of NVIDIA's authorities by their names, and answers by the serial numbers that they are about.
pub(super) fn named(collateral: &Collateral) -> Vec<(String, Collateral)> {
    let lists = lists_of(collateral, |authority| authority.starts_with(AUTHORITIES), nvidia_crl_of);
    let documents = collateral.documents().iter().filter(|one| one.media_type == ocsp::OCSP_RESPONSE);
    let answers = documents.flat_map(|document| {
        let serials = ocsp::serials(&document.bytes);
        let part = Collateral::of_parts(Vec::new(), Vec::new(), vec![document.clone()]);
        serials.into_iter().map(move |serial| (nvidia_ocsp_of(&serial), part.clone()))
    });
    lists.into_iter().chain(answers).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_chooses_the_name_of_a_list_and_no_host() {
        let real = "http://crl.ndis.nvidia.com/crl/l2-gh100.crl";
        assert_eq!(file(real).as_deref(), Some("l2-gh100"));
        for other in [
            real.replace("crl.ndis.nvidia.com", "crl.evil.example"),
            real.replace("ndis.nvidia.com", "ndis.nvidia.com.evil.example"),
            real.replace("l2-gh100", "../l2-gh100"),
            real.replace("l2-gh100", ""),
            real.replace("l2-gh100", &"a".repeat(33)),
            real.replace("http", "ldap"),
        ] {
            assert_eq!(file(&other), None, "{other}");
        }
    }
}
