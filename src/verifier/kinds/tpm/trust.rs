//! Whose word an attestation key rests on: a root that the policy names, or the policy itself.
//!
//! No maker of TPMs is trusted by default: there are dozens, and which of them count is for the owner to say. The
//! certificate of the key is among the collateral, known by the key in it.

use data_encoding::HEXLOWER;
use treering_provenance::x509::{MAX_INTERMEDIATES, Profile, verify_path};
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::der::oid::{AssociatedOid, ObjectIdentifier};
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAltName};

use super::key::Key;
use super::policy::Policy;
use crate::verifier::collateral::Collateral;
use crate::verifier::roots::{HardwareRoots, fingerprint};

/// Who vouches for a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Voucher {
    /// The policy names the key.
    Policy(String),
    /// A root that the policy names.
    Root(String),
    /// The root of a simulated platform, pinned by configuration.
    Simulated,
}

/// tcg-kp-AIKCertificate (TCG EK Credential Profile, section 3.6): the key is an attestation key.
const ATTESTATION_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.8.3");

/// What the collateral and the policy are worth for one key: kept, since the quote and the instant do not count in it.
#[derive(Debug)]
pub(in crate::verifier) struct Endorsement {
    /// The key's certificate, or that the policy needs none.
    pub(super) certificate: Result<String, String>,
    /// Whether it says that the key is for attestation: restricted, so that it signs as a quote only what the TPM made.
    pub(super) is_for_attestation: bool,
    /// Signatures from it up.
    pub(super) chain: Result<String, String>,
    /// What the chain ends in.
    pub(super) voucher: Result<Voucher, String>,
    /// First and last second of each certificate.
    pub(super) validity: Vec<(u64, u64)>,
    /// What of the collateral it rests on.
    pub(super) collateral: Collateral,
}

impl Endorsement {
    /// Whether signatures were verified for it. Where the policy names the key there are none, and whoever sends its quote
    /// with ever other collateral must not push the chains of others out.
    pub(super) fn is_worth_keeping(&self) -> bool {
        matches!(self.voucher, Ok(Voucher::Root(_) | Voucher::Simulated))
    }
}

/// One certificate of the collateral.
struct Candidate<'a> {
    der: &'a [u8],
    profile: Profile,
}

pub(super) fn endorse(key: &Key, given: &Collateral, policy: &Policy, roots: &HardwareRoots) -> Endorsement {
    if let Some(named) = policy.keys.with(&key.fingerprint()) {
        let why = "not needed: the policy names the key".to_owned();
        return Endorsement {
            certificate: Ok(why.clone()),
            is_for_attestation: false,
            chain: Ok(why),
            voucher: Ok(Voucher::Policy(named.name.clone())),
            validity: Vec::new(),
            collateral: Collateral::default(),
        };
    }
    let read = |der: &'_ Vec<u8>| Profile::parse(der).ok();
    let all: Vec<Candidate<'_>> = (given.certificates().iter())
        .filter_map(|der| Some(Candidate { der, profile: read(der)? }))
        .collect();
    let mut endorsement = Endorsement {
        certificate: Err("the policy does not name the key, and no certificate of it was given".to_owned()),
        is_for_attestation: false,
        chain: Err(String::new()),
        voucher: Err(String::new()),
        validity: Vec::new(),
        collateral: Collateral::of_parts(given.certificates().to_vec(), Vec::new(), Vec::new()),
    };
    let spki = key.spki();
    let Some(leaf) = all.iter().find(|one| one.profile.spki() == spki) else {
        return endorsement;
    };
    endorsement.certificate = check_leaf(leaf.der).map(|()| "a certificate of the key".to_owned());
    endorsement.is_for_attestation = says_attestation(leaf.der);
    let trusted = |one: &Candidate<'_>| voucher(one.der, policy, roots);
    match climb(leaf, &all, &trusted) {
        Ok((chain, validity)) => {
            endorsement.chain = Ok(format!("{} certificates", chain.len()));
            endorsement.validity = validity;
            let root = chain.last().map_or(leaf, |one| one);
            endorsement.voucher = trusted(root).ok_or_else(|| {
                let hex = HEXLOWER.encode(&fingerprint(root.der));
                format!("the root with SHA-256 {hex} is none that the policy names")
            });
            let certificates = chain.iter().map(|one| one.der.to_vec()).collect();
            endorsement.collateral = Collateral::of_parts(certificates, Vec::new(), Vec::new());
        }
        Err(reason) => endorsement.chain = Err(reason),
    }
    endorsement
}

fn voucher(der: &[u8], policy: &Policy, roots: &HardwareRoots) -> Option<Voucher> {
    let print = fingerprint(der);
    let named = policy.roots.with(&print).map(|root| Voucher::Root(root.name.clone()));
    named.or_else(|| roots.is_simulated(&print).then_some(Voucher::Simulated))
}

type Chain<'a> = (Vec<&'a Candidate<'a>>, Vec<(u64, u64)>);

/// Goes from issuer to issuer, to the first that is trusted, or to one that issued itself.
fn climb<'a>(
    leaf: &'a Candidate<'a>,
    all: &'a [Candidate<'a>],
    trusted: &dyn Fn(&Candidate<'_>) -> Option<Voucher>,
) -> Result<Chain<'a>, String> {
    let mut chain = vec![leaf];
    while let Some(last) = chain.last().copied() {
        let signed_by =
            |one: &&Candidate<'_>| verify_path(&[(last.der, &last.profile)], &[&one.profile]).is_ok();
        let mut issuers: Vec<&Candidate<'_>> = all.iter().filter(signed_by).collect();
        // Several may have one key, such as a root and the same root under another: the trusted one is wanted.
        issuers.sort_by_key(|one| trusted(one).is_none());
        let Some(issuer) = issuers.first().copied() else {
            return Err("an issuer is missing among the certificates, or did not sign".to_owned());
        };
        if trusted(issuer).is_some() || issuer.profile.names_issuer(&issuer.profile) {
            let links: Vec<(&[u8], &Profile)> = chain.iter().map(|one| (one.der, &one.profile)).collect();
            let path = verify_path(&links, &[&issuer.profile]).map_err(|error| error.to_string())?;
            chain.push(issuer);
            return Ok((chain, path.validity));
        }
        if chain.len() > MAX_INTERMEDIATES {
            break;
        }
        chain.push(issuer);
    }
    Err(format!("more than {MAX_INTERMEDIATES} certificates between the key's and a root"))
}

/// A certificate of an attestation key: for signatures, not an authority's, and nothing critical in it that is not
/// understood (TCG, "TPM 2.0 Keys for Device Identity and Attestation", section 8).
fn check_leaf(der: &[u8]) -> Result<(), String> {
    let certificate = Certificate::from_der(der).map_err(|error| format!("its certificate: {error}"))?;
    let extensions = certificate.tbs_certificate().extensions().map(Vec::as_slice).unwrap_or_default();
    if !extensions.iter().any(|extension| extension.extn_id == KeyUsage::OID) {
        // A maker's root certifies endorsement keys too, which are for decryption.
        return Err("its certificate does not say what the key is for".to_owned());
    }
    let known = [KeyUsage::OID, BasicConstraints::OID, SubjectAltName::OID, ExtendedKeyUsage::OID];
    for extension in extensions {
        let (id, value) = (extension.extn_id, extension.extn_value.as_bytes());
        if extension.critical && !known.contains(&id) {
            return Err(format!("its certificate has a critical extension {id}, which is not understood"));
        }
        let bad = |error: x509_cert::der::Error| format!("its certificate, extension {id}: {error}");
        if id == KeyUsage::OID && !KeyUsage::from_der(value).map_err(bad)?.digital_signature() {
            return Err("its certificate is not for signatures".to_owned());
        }
        if id == BasicConstraints::OID && BasicConstraints::from_der(value).map_err(bad)?.ca {
            return Err("its certificate is an authority's".to_owned());
        }
    }
    Ok(())
}

/// Whether a certificate says that its key is an attestation key.
fn says_attestation(der: &[u8]) -> bool {
    let Ok(certificate) = Certificate::from_der(der) else { return false };
    let extensions = certificate.tbs_certificate().extensions().map(Vec::as_slice).unwrap_or_default();
    let mut usages = extensions.iter().filter(|extension| extension.extn_id == ExtendedKeyUsage::OID);
    usages.any(|extension| {
        let usage = ExtendedKeyUsage::from_der(extension.extn_value.as_bytes());
        usage.is_ok_and(|usage| usage.0.contains(&ATTESTATION_KEY))
    })
}
