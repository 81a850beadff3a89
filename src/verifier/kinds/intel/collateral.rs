//! Intel's collateral: which of what was given belongs to a quote, and the forms in which people keep it.
//!
//! TCB information and identities of enclaves are documents as PCS serves them, `{"tcbInfo":{...},"signature":"..."}`.
//! The signature is over the octets of the inner object, so those are kept as they are and never written anew.
//! Out of scope: whether any of it is signed, current and true (`verdict`).

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use dcap_qvl::QuoteCollateralV3;
use serde::Deserialize;
use serde_json::value::RawValue;
use treering_provenance::x509::{self, Profile};
use x509_cert::crl::CertificateList;
use x509_cert::der::Decode;

use super::quote::Quote;
use crate::clock;
use crate::verifier::collateral::{Collateral, CollateralError, Document};
use crate::verifier::pem;

/// Media type of TCB information as PCS serves it. No type is registered; this is the name we use, in Intel's tree.
pub const TCB_INFO_TYPE: &str = "application/vnd.intel.tcb-info+json";
/// Media type of the identity of a quoting enclave as PCS serves it; likewise.
pub const ENCLAVE_IDENTITY_TYPE: &str = "application/vnd.intel.enclave-identity+json";

/// Octets of an uncompressed point of P-256, which end a SubjectPublicKeyInfo.
const POINT_BYTES: usize = 65;

/// What was taken for one quote.
#[derive(Debug)]
pub(super) struct Chosen {
    /// As `dcap-qvl` takes it.
    pub(super) v3: QuoteCollateralV3,
    /// As it is logged.
    pub(super) snapshot: Collateral,
    /// What of it is issued anew from time to time.
    pub(super) dated: [Dated; 4],
    /// When each certificate is valid, by whose it is.
    pub(super) windows: Vec<(&'static str, (u64, u64))>,
}

/// Something that is issued anew from time to time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dated {
    /// By the name that a policy has for it.
    pub(super) what: &'static str,
    /// For people.
    pub(super) name: &'static str,
    pub(super) from: u64,
    pub(super) until: Option<u64>,
}

impl Chosen {
    /// The instant to verify at: this one, if everything is current, else one at which it was.
    pub(super) fn instant(&self, now: u64) -> u64 {
        let current = |dated: &Dated| dated.from <= now && dated.until.is_none_or(|until| now <= until);
        if self.dated.iter().all(current) {
            return now;
        }
        self.dated.iter().map(|dated| dated.from).max().unwrap_or(now)
    }
}

/// A document of Intel's and its signature.
#[derive(Deserialize)]
struct Signed<'a> {
    #[serde(borrow, alias = "tcbInfo", alias = "enclaveIdentity")]
    body: &'a RawValue,
    signature: &'a str,
}

/// What a document says about itself.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Head {
    pub(super) id: String,
    #[serde(default)]
    pub(super) fmspc: String,
    issue_date: String,
    next_update: String,
    tcb_evaluation_data_number: u32,
}

/// A document that fits a quote.
struct Fitting<'a> {
    document: &'a Document,
    body: &'a str,
    signature: Vec<u8>,
    current: (u64, u64),
}

/// Takes what belongs to a quote out of what was given. Where several documents or CRLs fit, a genuine one is taken, of
/// these a current one, and of several current ones the newest, whatever their order.
pub(super) fn choose(quote: &Quote, root: &[u8], given: &Collateral, now: u64) -> Result<Chosen, String> {
    let fmspc = HEXLOWER.encode(&quote.pck.fmspc);
    let (kind, identity) = (quote.tee.name(), quote.tee.identity());
    let signers = signers(given, root);
    let newest = |media_type, fits: &dyn Fn(&Head) -> bool| newest(given, media_type, &signers, now, fits);
    let tcb_info = newest(TCB_INFO_TYPE, &|head| head.id == kind && head.fmspc.eq_ignore_ascii_case(&fmspc));
    let tcb_info = tcb_info.ok_or_else(|| format!("TCB information of {kind} for FMSPC {fmspc}"));
    let qe_identity = newest(ENCLAVE_IDENTITY_TYPE, &|head| head.id == identity);
    let qe_identity = qe_identity.ok_or_else(|| format!("the identity of {identity}"));
    let [_, issuer, _] = quote.certificates();
    let pck_crl =
        newest_crl(given, issuer, now).ok_or_else(|| "the CRL of the PCK certificate's issuer".to_owned());
    let root_crl = newest_crl(given, root, now).ok_or_else(|| "the CRL of the root".to_owned());
    let signer = signers.first().ok_or_else(|| "the certificate of the TCB signing key".to_owned());

    let problems = [
        tcb_info.as_ref().err(),
        qe_identity.as_ref().err(),
        pck_crl.as_ref().err(),
        root_crl.as_ref().err(),
        signer.as_ref().err(),
    ];
    let (Ok(tcb_info), Ok(qe_identity), Ok(pck_crl), Ok(root_crl), Ok(_)) =
        (&tcb_info, &qe_identity, &pck_crl, &root_crl, &signer)
    else {
        let missing: Vec<&str> = problems.into_iter().flatten().map(String::as_str).collect();
        return Err(format!("not among the collateral: {}", missing.join("; ")));
    };
    let (tcb_signer, qe_signer) = (signer_of(tcb_info, &signers), signer_of(qe_identity, &signers));
    let chain = |signer: &[u8]| pem::block("CERTIFICATE", signer);
    Ok(Chosen {
        v3: QuoteCollateralV3 {
            pck_crl_issuer_chain: String::new(),
            root_ca_crl: root_crl.0.clone(),
            pck_crl: pck_crl.0.clone(),
            tcb_info_issuer_chain: chain(tcb_signer),
            tcb_info: tcb_info.body.to_owned(),
            tcb_info_signature: tcb_info.signature.clone(),
            qe_identity_issuer_chain: chain(qe_signer),
            qe_identity: qe_identity.body.to_owned(),
            qe_identity_signature: qe_identity.signature.clone(),
            pck_certificate_chain: None,
        },
        snapshot: Collateral::of_parts(
            vec![tcb_signer.to_vec(), qe_signer.to_vec()],
            vec![root_crl.0.clone(), pck_crl.0.clone()],
            vec![tcb_info.document.clone(), qe_identity.document.clone()],
        ),
        dated: [
            Dated { what: "crl", name: "CRL of the root", from: root_crl.1, until: root_crl.2 },
            Dated {
                what: "crl",
                name: "CRL of the PCK certificate's issuer",
                from: pck_crl.1,
                until: pck_crl.2,
            },
            dated("tcb-info", "TCB information", tcb_info),
            dated("qe-identity", "identity of the quoting enclave", qe_identity),
        ],
        windows: windows(quote, tcb_signer, qe_signer),
    })
}

fn dated(what: &'static str, name: &'static str, document: &Fitting<'_>) -> Dated {
    let (from, until) = document.current;
    Dated { what, name, from, until: Some(until) }
}

/// When each certificate is valid. One that cannot be read is for the verification to complain about.
fn windows(quote: &Quote, tcb_signer: &[u8], qe_signer: &[u8]) -> Vec<(&'static str, (u64, u64))> {
    let [pck, issuer, root] = quote.certificates();
    let named = [
        ("of the PCK", pck.as_slice()),
        ("of the PCK's issuer", issuer.as_slice()),
        ("of the root", root.as_slice()),
        ("of the TCB signing key", tcb_signer),
        ("of the TCB signing key", qe_signer),
    ];
    named.into_iter().filter_map(|(name, der)| Some((name, Profile::parse(der).ok()?.validity()))).collect()
}

/// What a document says about itself.
pub(super) fn head(document: &[u8]) -> Option<Head> {
    let signed: Signed<'_> = serde_json::from_slice(document).ok()?;
    serde_json::from_str(signed.body.get()).ok()
}

/// Which evaluation of Intel's a document is of, and when it was issued.
pub(in crate::verifier) fn edition(document: &[u8]) -> Option<(u32, u64)> {
    let head = head(document)?;
    Some((head.tcb_evaluation_data_number, clock::parse_rfc3339(&head.issue_date).ok()?))
}

/// When a document of Intel's is to be replaced, as it says itself.
pub(in crate::verifier) fn until(document: &[u8]) -> Option<u64> {
    clock::parse_rfc3339(&head(document)?.next_update).ok()
}

/// The document that fits: of several one that is signed before others, then a current one, then the one of the latest
/// TCB evaluation, then the newest.
fn newest<'a>(
    given: &'a Collateral,
    media_type: &str,
    signers: &[&[u8]],
    now: u64,
    fits: &dyn Fn(&Head) -> bool,
) -> Option<Fitting<'a>> {
    let documents = given.documents().iter().filter(|document| document.media_type == media_type);
    let read = documents.filter_map(|document| {
        let signed: Signed<'_> = serde_json::from_slice(&document.bytes).ok()?;
        let head: Head = serde_json::from_str(signed.body.get()).ok()?;
        let issued = clock::parse_rfc3339(&head.issue_date).ok()?;
        let until = clock::parse_rfc3339(&head.next_update).ok()?;
        let signature = HEXLOWER_PERMISSIVE.decode(signed.signature.as_bytes()).ok()?;
        let rank = ((issued..=until).contains(&now), head.tcb_evaluation_data_number, issued);
        let current = (issued, until);
        fits(&head).then_some((rank, Fitting { document, body: signed.body.get(), signature, current }))
    });
    best(read, |fitting| signers.iter().any(|der| is_signed(fitting, der)))
}

/// The one of the highest rank, genuine ones before others.
fn best<R: Ord, T>(ranked: impl Iterator<Item = (R, T)>, genuine: impl Fn(&T) -> bool) -> Option<T> {
    let all = genuine_first(ranked.collect(), |(_, one): &(R, T)| genuine(one));
    all.into_iter().max_by(|(one, _), (other, _)| one.cmp(other)).map(|(_, one)| one)
}

/// Those that are genuine, or all where none is: whether they are is asked only where there are several.
fn genuine_first<T>(all: Vec<T>, genuine: impl Fn(&T) -> bool) -> Vec<T> {
    if all.len() < 2 {
        return all;
    }
    let (genuine, others): (Vec<T>, Vec<T>) = all.into_iter().partition(genuine);
    if genuine.is_empty() { others } else { genuine }
}

/// The CRL of this issuer, when it was issued and is to be replaced: of several one that it signed before others, then a
/// current one, then the newest.
fn newest_crl(given: &Collateral, issuer: &[u8], now: u64) -> Option<(Vec<u8>, u64, Option<u64>)> {
    let spki = Profile::parse(issuer).ok()?.spki().to_vec();
    let issuer = x509_cert::Certificate::from_der(issuer).ok()?;
    let read = given.crls().iter().filter_map(|der| {
        let list: CertificateList = CertificateList::from_der(der).ok()?;
        let list = list.tbs_cert_list;
        let issued = list.this_update.to_unix_duration().as_secs();
        let until = list.next_update.map(|time| time.to_unix_duration().as_secs());
        let rank = ((issued..=until.unwrap_or(u64::MAX)).contains(&now), issued);
        (&list.issuer == issuer.tbs_certificate().subject()).then_some((rank, (der.clone(), issued, until)))
    });
    best(read, |(der, ..)| x509::is_signed_by(der, &spki))
}

/// Certificates of the keys that sign documents: those that name this root as their issuer and are no CA's, and that it
/// signed. Whether it did is asked only where there are several; where it signed none, the verification complains.
pub(super) fn signers<'a>(given: &'a Collateral, root: &[u8]) -> Vec<&'a [u8]> {
    let Ok(root) = Profile::parse(root) else { return Vec::new() };
    let is_signer = |der: &&[u8]| {
        Profile::parse(der).is_ok_and(|one| one.names_issuer(&root) && one.check_ca(0).is_err())
    };
    let named = given.certificates().iter().map(Vec::as_slice).filter(is_signer);
    genuine_first(named.collect(), |der| x509::is_signed_by(der, root.spki()))
}

/// Whether the key of this certificate signed a document.
fn is_signed(document: &Fitting<'_>, der: &[u8]) -> bool {
    let Ok(profile) = Profile::parse(der) else { return false };
    let spki = profile.spki();
    let point = spki.get(spki.len().saturating_sub(POINT_BYTES)..).unwrap_or_default();
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
    key.verify(document.body.as_bytes(), &document.signature).is_ok()
}

/// The one that signed a document. If none did, the first, for the verification to complain about.
fn signer_of<'a>(document: &Fitting<'_>, signers: &[&'a [u8]]) -> &'a [u8] {
    match signers {
        [only] => only,
        several => several
            .iter()
            .find(|der| is_signed(document, der))
            .or(several.first())
            .copied()
            .unwrap_or_default(),
    }
}

/// Reads a file in one of Intel's forms: an answer of PCS (TCB information or an enclave's identity), or the JSON in
/// which `dcap-qvl` and others keep all the collateral of a quote. `None` if it is neither.
pub(in crate::verifier) fn read(bytes: &[u8]) -> Option<Result<Collateral, CollateralError>> {
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return None;
    }
    let bad = |error: serde_json::Error| CollateralError::Document(error.to_string());
    let keys: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(bytes).ok()?;
    if keys.contains_key("tcb_info") && keys.contains_key("qe_identity") {
        return Some(serde_json::from_slice(bytes).map_err(bad).and_then(of_v3));
    }
    let forms = [("tcbInfo", TCB_INFO_TYPE), ("enclaveIdentity", ENCLAVE_IDENTITY_TYPE)];
    let (key, media_type) = forms.into_iter().find(|(key, _)| keys.contains_key(*key))?;
    let signed: Result<Signed<'_>, _> = serde_json::from_slice(bytes);
    let document =
        signed.map_err(bad).map(|signed| document(key, media_type, signed.body.get(), signed.signature));
    Some(document.and_then(|document| Collateral::default().with_documents(vec![document])))
}

fn of_v3(v3: QuoteCollateralV3) -> Result<Collateral, CollateralError> {
    let mut certificates = Vec::new();
    for chain in [&v3.tcb_info_issuer_chain, &v3.qe_identity_issuer_chain, &v3.pck_crl_issuer_chain] {
        let blocks = pem::blocks(chain.as_bytes()).map_err(|error| CollateralError::Pem(error.to_owned()))?;
        certificates.extend(blocks.into_iter().map(|block| block.der));
    }
    let documents = vec![
        document("tcbInfo", TCB_INFO_TYPE, &v3.tcb_info, &HEXLOWER.encode(&v3.tcb_info_signature)),
        document(
            "enclaveIdentity",
            ENCLAVE_IDENTITY_TYPE,
            &v3.qe_identity,
            &HEXLOWER.encode(&v3.qe_identity_signature),
        ),
    ];
    certificates.sort();
    certificates.dedup();
    Collateral::new(certificates, vec![v3.root_ca_crl, v3.pck_crl])?.with_documents(documents)
}

/// A document as PCS serves it.
fn document(key: &str, media_type: &str, body: &str, signature: &str) -> Document {
    let bytes = format!(r#"{{"{key}":{body},"signature":"{signature}"}}"#).into_bytes();
    Document { media_type: media_type.to_owned(), bytes }
}
