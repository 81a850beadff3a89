//! Certificates of the AMD kind: read strictly, verified over the octets received.
//!
//! In scope: names, validity, AMD's extensions (AMD 57230, VCEK certificate definition), RSA-PSS with SHA-384.
//! Out of scope: which certificate is trusted (`roots`, `chain`).

use aws_lc_rs::signature::{RSA_PSS_2048_8192_SHA384, UnparsedPublicKey};
use x509_cert::crl::CertificateList;
use x509_cert::der::asn1::{Ia5StringRef, OctetString};
use x509_cert::der::{Decode, Encode, Reader, SliceReader};
use x509_cert::ext::Extension;
use x509_cert::name::Name;
use x509_cert::{Certificate, spki};

use super::generation::Generation;
use super::report::{SigningKey, Tcb};
use crate::verifier::certificates::common_name;
use crate::verifier::roots::fingerprint;

const RSA_PSS: &str = "1.2.840.113549.1.1.10";
const EC_PUBLIC_KEY: &str = "1.2.840.10045.2.1";
const BASIC_CONSTRAINTS: &str = "2.5.29.19";
const KEY_USAGE: &str = "2.5.29.15";
/// AMD's arc; what follows is relative to it.
const AMD: &str = "1.3.6.1.4.1.3704.1.";
/// Octets of an uncompressed point of P-384.
const P384_POINT_BYTES: usize = 97;

/// What a certificate is for, by its common name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Root(Generation),
    Intermediate(Generation),
    Endorsement(SigningKey),
    Other,
}

/// A certificate that was read, not yet trusted.
#[derive(Debug, Clone)]
pub(super) struct Parsed {
    der: Vec<u8>,
    tbs: Vec<u8>,
    certificate: Certificate,
    common_name: String,
}

impl Parsed {
    /// Reads one certificate in DER, within the limits of collateral; nothing may follow it.
    pub(super) fn read(der: &[u8]) -> Result<Self, String> {
        let certificate =
            Certificate::from_der(der).map_err(|error| format!("not a certificate: {error}"))?;
        let tbs = to_be_signed(der).map_err(|error| format!("not a certificate: {error}"))?.to_vec();
        let common_name = common_name(certificate.tbs_certificate().subject())?;
        Ok(Self { der: der.to_vec(), tbs, certificate, common_name })
    }

    pub(super) fn der(&self) -> &[u8] {
        &self.der
    }

    pub(super) fn common_name(&self) -> &str {
        &self.common_name
    }

    pub(super) fn fingerprint(&self) -> [u8; 32] {
        fingerprint(&self.der)
    }

    pub(super) fn role(&self) -> Role {
        let name = self.common_name.as_str();
        if let Some(generation) = name.strip_prefix("ARK-").and_then(Generation::from_name) {
            return Role::Root(generation);
        }
        match name {
            "SEV-VCEK" => return Role::Endorsement(SigningKey::Vcek),
            "SEV-VLEK" => return Role::Endorsement(SigningKey::Vlek),
            _ => {}
        }
        let issuer = name.strip_prefix("SEV-VLEK-").or_else(|| name.strip_prefix("SEV-"));
        issuer.and_then(Generation::from_name).map_or(Role::Other, Role::Intermediate)
    }

    /// Whether this certificate issues VLEKs rather than VCEKs.
    pub(super) fn issues(&self) -> SigningKey {
        if self.common_name.starts_with("SEV-VLEK-") { SigningKey::Vlek } else { SigningKey::Vcek }
    }

    /// First and last second of validity.
    pub(super) fn validity(&self) -> (u64, u64) {
        let validity = self.certificate.tbs_certificate().validity();
        (validity.not_before.to_unix_duration().as_secs(), validity.not_after.to_unix_duration().as_secs())
    }

    pub(super) fn serial(&self) -> &[u8] {
        self.certificate.tbs_certificate().serial_number().as_bytes()
    }

    /// Whether the names say that `issuer` issued this one (RFC 5280 section 6.1: compared as encoded).
    pub(super) fn names_issuer(&self, issuer: &Self) -> bool {
        same_name(self.certificate.tbs_certificate().issuer(), issuer.certificate.tbs_certificate().subject())
    }

    pub(super) fn is_self_issued(&self) -> bool {
        self.names_issuer(self)
    }

    /// Whether the signature over the octets received is `issuer`'s.
    pub(super) fn verify(&self, issuer: &Self) -> Result<(), String> {
        if !self.names_issuer(issuer) {
            return Err(format!("{} is not issued by {}", self.common_name, issuer.common_name));
        }
        issuer.check_is_authority()?;
        let outer = self.certificate.signature_algorithm();
        if outer != self.certificate.tbs_certificate().signature() {
            return Err(format!("{}: its two signature algorithms differ", self.common_name));
        }
        let signature = self.certificate.signature();
        issuer
            .verify_pss(&outer.oid.to_string(), &self.tbs, signature.as_bytes())
            .map_err(|error| format!("{}: {error} (issuer {})", self.common_name, issuer.common_name))
    }

    /// Whether a CRL names this certificate as its issuer, or cannot be read at all: then it is for
    /// [`Self::verify_crl`] to complain.
    pub(super) fn may_have_issued(&self, crl: &[u8]) -> bool {
        let list: Result<CertificateList, _> = CertificateList::from_der(crl);
        list.map_or(true, |list| {
            same_name(&list.tbs_cert_list.issuer, self.certificate.tbs_certificate().subject())
        })
    }

    /// Reads a CRL and verifies that this certificate signed it.
    pub(super) fn verify_crl(&self, der: &[u8]) -> Result<Crl, String> {
        let list: CertificateList =
            CertificateList::from_der(der).map_err(|error| format!("not a CRL: {error}"))?;
        let tbs = to_be_signed(der).map_err(|error| format!("not a CRL: {error}"))?;
        if !same_name(&list.tbs_cert_list.issuer, self.certificate.tbs_certificate().subject()) {
            return Err(format!("the CRL is not issued by {}", self.common_name));
        }
        if list.signature_algorithm != list.tbs_cert_list.signature {
            return Err("the CRL's two signature algorithms differ".to_owned());
        }
        let critical = |extensions: &Option<Vec<Extension>>| {
            extensions.iter().flatten().any(|extension| extension.critical)
        };
        let entries = list.tbs_cert_list.revoked_certificates.unwrap_or_default();
        if critical(&list.tbs_cert_list.crl_extensions)
            || entries.iter().any(|entry| critical(&entry.crl_entry_extensions))
        {
            // Delta and indirect CRLs say so by a critical extension; we read neither.
            return Err("the CRL has a critical extension that this verifier does not know".to_owned());
        }
        self.verify_pss(&list.signature_algorithm.oid.to_string(), tbs, list.signature.as_bytes())
            .map_err(|error| format!("CRL: {error}"))?;
        Ok(Crl {
            this_update: list.tbs_cert_list.this_update.to_unix_duration().as_secs(),
            next_update: list.tbs_cert_list.next_update.map(|time| time.to_unix_duration().as_secs()),
            revoked: entries.iter().map(|entry| entry.serial_number.as_bytes().to_vec()).collect(),
        })
    }

    /// Whether octets are a CRL that can be read, and that another key signed.
    pub(super) fn is_of_another_key(&self, der: &[u8]) -> bool {
        let list: Result<CertificateList, _> = CertificateList::from_der(der);
        let (Ok(list), Ok(tbs)) = (list, to_be_signed(der)) else { return false };
        let algorithm = list.signature_algorithm.oid.to_string();
        self.verify_pss(&algorithm, tbs, list.signature.as_bytes()).is_err()
    }

    fn verify_pss(&self, algorithm: &str, message: &[u8], signature: Option<&[u8]>) -> Result<(), String> {
        if algorithm != RSA_PSS {
            return Err(format!("signed by algorithm {algorithm}, want {RSA_PSS} (RSA-PSS)"));
        }
        let signature = signature.ok_or("its signature is not a whole number of octets")?;
        // SubjectPublicKeyInfo: an RSA key in a certificate of AMD's is the plain PKCS #1 one.
        let key = self.certificate.tbs_certificate().subject_public_key_info();
        let key = key.to_der().map_err(|error| format!("public key: {error}"))?;
        UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA384, key)
            .verify(message, signature)
            .map_err(|_| "its signature does not verify (RSA-PSS with SHA-384)".to_owned())
    }

    fn check_is_authority(&self) -> Result<(), String> {
        use x509_cert::ext::pkix::{BasicConstraints, KeyUsage};
        let constraints: BasicConstraints = self.extension(BASIC_CONSTRAINTS)?;
        let usage: KeyUsage = self.extension(KEY_USAGE)?;
        if constraints.ca && usage.key_cert_sign() {
            Ok(())
        } else {
            Err(format!("{} may not issue certificates", self.common_name))
        }
    }

    fn extension<T: for<'a> Decode<'a, Error = x509_cert::der::Error>>(
        &self,
        oid: &str,
    ) -> Result<T, String> {
        let found = self.extensions().find(|extension| extension.extn_id.to_string() == oid);
        let found = found.ok_or_else(|| format!("{} lacks extension {oid}", self.common_name))?;
        T::from_der(found.extn_value.as_bytes())
            .map_err(|error| format!("{}: extension {oid}: {error}", self.common_name))
    }

    fn extensions(&self) -> impl Iterator<Item = &Extension> {
        self.certificate.tbs_certificate().extensions().into_iter().flatten()
    }

    /// Reads AMD's extensions of a VCEK or VLEK certificate.
    pub(super) fn endorsement(&self, kind: SigningKey) -> Result<Endorsement, String> {
        let mut found = AmdExtensions::default();
        for extension in self.extensions() {
            found.take(extension)?;
        }
        let key = self.certificate.tbs_certificate().subject_public_key_info();
        Ok(Endorsement {
            kind,
            product: found.product.ok_or("no product name (extension .2)")?,
            tcb: Tcb {
                fmc: found.fmc,
                bootloader: found.bootloader.ok_or("no bootloader version (extension .3.1)")?,
                tee: found.tee.ok_or("no TEE version (extension .3.2)")?,
                snp: found.snp.ok_or("no SNP version (extension .3.3)")?,
                microcode: found.microcode.ok_or("no microcode version (extension .3.8)")?,
            },
            hardware_id: found.hardware_id,
            service_provider: found.service_provider,
            public_key: p384_point(key)?,
        })
    }
}

/// A CRL whose signature was verified.
#[derive(Debug, Clone)]
pub(super) struct Crl {
    pub(super) this_update: u64,
    pub(super) next_update: Option<u64>,
    revoked: Vec<Vec<u8>>,
}

impl Crl {
    pub(super) fn revokes(&self, serial: &[u8]) -> bool {
        self.revoked.iter().any(|revoked| revoked == serial)
    }
}

/// What a VCEK or VLEK certificate says about the key that signs reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endorsement {
    pub(super) kind: SigningKey,
    pub(super) product: String,
    pub(super) tcb: Tcb,
    pub(super) hardware_id: Option<Vec<u8>>,
    pub(super) service_provider: Option<String>,
    pub(super) public_key: Vec<u8>,
}

#[derive(Default)]
struct AmdExtensions {
    product: Option<String>,
    bootloader: Option<u8>,
    tee: Option<u8>,
    snp: Option<u8>,
    microcode: Option<u8>,
    fmc: Option<u8>,
    hardware_id: Option<Vec<u8>>,
    service_provider: Option<String>,
}

impl AmdExtensions {
    fn take(&mut self, extension: &Extension) -> Result<(), String> {
        let oid = extension.extn_id.to_string();
        let value = extension.extn_value.as_bytes();
        let number = || u8::from_der(value).map_err(|error| format!("extension {oid}: {error}"));
        let text = || {
            Ia5StringRef::from_der(value)
                .map(|text| text.as_str().to_owned())
                .map_err(|error| format!("extension {oid}: {error}"))
        };
        match oid.strip_prefix(AMD) {
            Some("2") => set(&mut self.product, text()?, &oid),
            Some("3.1") => set(&mut self.bootloader, number()?, &oid),
            Some("3.2") => set(&mut self.tee, number()?, &oid),
            Some("3.3") => set(&mut self.snp, number()?, &oid),
            Some("3.8") => set(&mut self.microcode, number()?, &oid),
            Some("3.9") => set(&mut self.fmc, number()?, &oid),
            Some("4") => set(&mut self.hardware_id, hardware_id(value)?, &oid),
            Some("5") => set(&mut self.service_provider, text()?, &oid),
            _ if extension.critical => Err(format!("extension {oid} is critical and unknown")),
            _ => Ok(()),
        }
    }
}

fn set<T>(slot: &mut Option<T>, value: T, oid: &str) -> Result<(), String> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("extension {oid} is there twice")),
    }
}

/// The hardware id is the raw octets in older certificates and a DER OCTET STRING in newer ones; Turin's has 8.
fn hardware_id(value: &[u8]) -> Result<Vec<u8>, String> {
    let id = match value.len() {
        8 | 64 => value.to_vec(),
        _ => {
            OctetString::from_der(value).map_err(|error| format!("hardware id: {error}"))?.as_bytes().to_vec()
        }
    };
    if matches!(id.len(), 8 | 64) {
        Ok(id)
    } else {
        Err(format!("a hardware id has 8 or 64 octets, got {}", id.len()))
    }
}

fn p384_point(key: &spki::SubjectPublicKeyInfoOwned) -> Result<Vec<u8>, String> {
    let algorithm = key.algorithm.oid.to_string();
    let point = key.subject_public_key.as_bytes().unwrap_or_default();
    if algorithm == EC_PUBLIC_KEY && point.len() == P384_POINT_BYTES {
        Ok(point.to_vec())
    } else {
        Err(format!("the key is not one of P-384 (algorithm {algorithm}, {} octets)", point.len()))
    }
}

fn same_name(one: &Name, other: &Name) -> bool {
    match (one.to_der(), other.to_der()) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

/// The octets that a signature of a certificate or CRL covers: the first element of the outer SEQUENCE, as received.
fn to_be_signed(der: &[u8]) -> Result<&[u8], x509_cert::der::Error> {
    let mut reader = SliceReader::new(der)?;
    let header = x509_cert::der::Header::decode(&mut reader)?;
    header.tag().assert_eq(x509_cert::der::Tag::Sequence)?;
    reader.tlv_bytes()
}
