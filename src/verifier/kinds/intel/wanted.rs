//! What a quote calls for, and under which names what was given would be wanted.

use dcap_qvl::intel::pck_ca_with;
use x509_cert::crl::CertificateList;
use x509_cert::der::Decode;

use super::ROOT;
use super::collateral::{ENCLAVE_IDENTITY_TYPE, TCB_INFO_TYPE, head, signers};
use super::provider::Aws;
use super::quote::{Quote, Tee, quote_length};
use crate::verifier::collateral::Collateral;
use crate::verifier::wanted::Wanted;

/// Issuers of PCK certificates, by the names that PCS has for them, and what their own names have in them.
const ISSUERS: [(&str, &str); 2] =
    [("platform", "CN=Intel SGX PCK Platform CA"), ("processor", "CN=Intel SGX PCK Processor CA")];
const INTEL: &str = "O=Intel Corporation";

/// The collateral that a quote calls for; the filling of a quoting library's buffer does not matter here.
pub(in crate::verifier) fn wants(tee: Tee, octets: &[u8]) -> Vec<Wanted> {
    let quote = quote_length(octets).and_then(|length| octets.get(..length));
    let Some(quote) = quote.and_then(|octets| Quote::read(tee, octets).ok()) else { return Vec::new() };
    let [leaf, ..] = quote.certificates();
    let ca = pck_ca_with::<Aws>(leaf).map_or("platform", |ca| ca.as_id_str());
    vec![
        Wanted::IntelTcbInfo { tee: tee.lower(), fmspc: quote.pck.fmspc },
        Wanted::IntelQeIdentity { tee: tee.lower() },
        Wanted::IntelPckCrl { ca },
        Wanted::IntelRootCrl,
    ]
}

/// Documents of this TEE, each with the certificates of Intel's that may have signed it.
pub(in crate::verifier) fn named_documents(tee: Tee, collateral: &Collateral) -> Vec<(String, Collateral)> {
    let signers: Vec<Vec<u8>> = signers(collateral, ROOT).into_iter().map(<[u8]>::to_vec).collect();
    let named = collateral.documents().iter().filter_map(|document| {
        let head = head(&document.bytes)?;
        let wanted = match document.media_type.as_str() {
            TCB_INFO_TYPE if head.id == tee.name() => {
                let fmspc = data_encoding::HEXLOWER_PERMISSIVE.decode(head.fmspc.as_bytes()).ok()?;
                Wanted::IntelTcbInfo { tee: tee.lower(), fmspc: fmspc.try_into().ok()? }
            }
            ENCLAVE_IDENTITY_TYPE if head.id == tee.identity() => {
                Wanted::IntelQeIdentity { tee: tee.lower() }
            }
            _ => return None,
        };
        let part = Collateral::of_parts(signers.clone(), Vec::new(), vec![document.clone()]);
        Some((wanted.name(), part))
    });
    named.collect()
}

/// Intel's CRLs, by their issuers' names; whether those signed them shows when a quote is verified.
pub(in crate::verifier) fn named_crls(collateral: &Collateral) -> Vec<(String, Collateral)> {
    let root = x509_cert::Certificate::from_der(ROOT).ok();
    let named = collateral.crls().iter().filter_map(|der| {
        let list: CertificateList = CertificateList::from_der(der).ok()?;
        let issuer = list.tbs_cert_list.issuer;
        let text = issuer.to_string();
        let of_issuer = ISSUERS.iter().find(|(_, name)| text.contains(name) && text.contains(INTEL));
        let wanted = match of_issuer {
            Some((ca, _)) => Wanted::IntelPckCrl { ca },
            None if root.as_ref().is_some_and(|root| *root.tbs_certificate().subject() == issuer) => {
                Wanted::IntelRootCrl
            }
            None => return None,
        };
        Some((wanted.name(), Collateral::of_parts(Vec::new(), vec![der.clone()], Vec::new())))
    });
    named.collect()
}
