//! The profile of a workload's certificate: X509-SVID and the WIMSE certificate profile.

use x509_cert::{
    Certificate,
    der::{
        Decode as _,
        oid::{AssociatedOid as _, ObjectIdentifier},
    },
    ext::{
        Extension,
        pkix::{
            BasicConstraints, ExtendedKeyUsage, KeyUsage, NameConstraints, SubjectAltName, name::GeneralName,
        },
    },
};

use crate::{
    content::{Claims, claims_from_cbor},
    cose::{Algorithm, VerifyingKey},
    x509::{self, OID_CLAIMS, OID_PROOF, OID_SCT, X509Error},
};

/// The longest claims extension.
pub const MAX_CLAIMS_BYTES: usize = 8 << 10;

/// Extended key usages of a key that signs statements: none is registered for that, and these come nearest. A TLS
/// server's key alone is not for it: no key has two purposes.
const STATEMENT_USAGES: [ObjectIdentifier; 3] = [
    ObjectIdentifier::new_unwrap("2.5.29.37.0"),
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2"),
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3"),
];

/// Why a certificate is outside the profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// Not an X.509 certificate at all.
    #[error("not an X.509 certificate: {0}")]
    Malformed(String),
    /// Not DER, or a proof or SCT extension out of place.
    #[error(transparent)]
    Der(#[from] X509Error),
    /// The subject's key is not P-256.
    #[error("the key is not P-256")]
    Key,
    /// Not exactly one URI as subject alternative name.
    #[error("want one URI and nothing else as subject alternative name, got {0}")]
    Uri(String),
    /// The URI is not a workload identifier of the trust domain.
    #[error("`{uri}` is not a workload identifier of `{trust_domain}`")]
    TrustDomain {
        /// The URI.
        uri: String,
        /// The trust domain.
        trust_domain: String,
    },
    /// A CA certificate, or key usages of one, where a workload's is wanted, or the other way round.
    #[error("{0}")]
    Usage(&'static str),
    /// A critical extension that is not understood.
    #[error("critical extension {0} is not understood")]
    Critical(String),
    /// The claims extension is malformed.
    #[error("claims extension: {0}")]
    Claims(String),
}

/// What a certificate says, as far as the profile goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    certificate: Certificate,
    /// The SubjectPublicKeyInfo as it stands in the certificate.
    spki: Vec<u8>,
}

impl Profile {
    /// Parses a certificate of ours.
    pub fn parse(der: &[u8]) -> Result<Self, ProfileError> {
        Self::read(der, x509::spki)
    }

    /// Parses a certificate that others made for purposes of theirs.
    pub fn parse_foreign(der: &[u8]) -> Result<Self, ProfileError> {
        Self::read(der, x509::spki_of_others)
    }

    fn read(der: &[u8], spki: fn(&[u8]) -> Result<&[u8], X509Error>) -> Result<Self, ProfileError> {
        // First what we cut ourselves: it limits the size, and refuses what is not DER.
        let spki = spki(x509::split_certificate(der)?.tbs)?.to_vec();
        let certificate =
            Certificate::from_der(der).map_err(|error| ProfileError::Malformed(error.to_string()))?;
        Ok(Self { certificate, spki })
    }

    /// The SubjectPublicKeyInfo, tag and length included.
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// The one URI in the subject alternative name, checked against the trust domain.
    pub fn uri(&self, trust_domain: &str) -> Result<String, ProfileError> {
        let names = self.extension::<SubjectAltName>()?;
        let names = names.as_ref().map(|names| names.0.as_slice()).unwrap_or_default();
        let [GeneralName::UniformResourceIdentifier(uri)] = names else {
            return Err(ProfileError::Uri(format!("{} names", names.len())));
        };
        let uri = uri.to_string();
        let rest = uri.strip_prefix("spiffe://").or_else(|| uri.strip_prefix("wimse://"));
        let path =
            rest.and_then(|rest| rest.strip_prefix(trust_domain)).and_then(|rest| rest.strip_prefix('/'));
        let good = path.is_some_and(|path| path.split('/').all(is_segment));
        if good {
            Ok(uri)
        } else {
            Err(ProfileError::TrustDomain { uri, trust_domain: trust_domain.to_owned() })
        }
    }

    /// Whether it is for this name: a URI (which has a colon) or a DNS name as subject alternative name, octet for
    /// octet, and no wildcard.
    pub fn is_for(&self, name: &str) -> Result<bool, ProfileError> {
        let names = self.extension::<SubjectAltName>()?;
        let names = names.as_ref().map(|names| names.0.as_slice()).unwrap_or_default();
        Ok(names.iter().any(|found| match found {
            GeneralName::UniformResourceIdentifier(uri) => name.contains(':') && uri.as_str() == name,
            GeneralName::DnsName(dns) => !name.contains(':') && dns.as_str() == name,
            _ => false,
        }))
    }

    /// Checks that it may sign statements: an end entity's, whose extended key usages, if it has any, have one that
    /// is not for TLS servers, mail or time stamps alone (RFC 5280 section 4.2.1.12).
    pub fn check_signs_statements(&self) -> Result<(), ProfileError> {
        self.check_workload()?;
        match self.extension::<ExtendedKeyUsage>()? {
            Some(usages) if !usages.0.iter().any(|usage| STATEMENT_USAGES.contains(usage)) => {
                Err(ProfileError::Usage(
                    "want no extended key usage, or codeSigning, clientAuth or any among them",
                ))
            }
            _ => Ok(()),
        }
    }

    /// Checks that it is a workload's certificate and not a CA's, with no critical extension that we do not read.
    pub fn check_workload(&self) -> Result<(), ProfileError> {
        self.check_critical()?;
        if self.extension::<BasicConstraints>()?.is_some_and(|constraints| constraints.ca) {
            return Err(ProfileError::Usage("want an end entity's certificate, got a CA's"));
        }
        let usage = self.extension::<KeyUsage>()?;
        let usage = usage.ok_or(ProfileError::Usage("want a key usage extension"))?;
        if !usage.digital_signature() || usage.key_cert_sign() || usage.crl_sign() {
            return Err(ProfileError::Usage(
                "want key usage digitalSignature without keyCertSign and cRLSign",
            ));
        }
        Ok(())
    }

    /// Checks that it is a CA's certificate with at most `below` CAs between it and the workload's.
    pub fn check_ca(&self, below: u8) -> Result<(), ProfileError> {
        self.check_critical()?;
        // Nothing here evaluates them; where they are critical, as RFC 5280 wants, they were refused just now.
        if self.extensions().iter().any(|extension| extension.extn_id == NameConstraints::OID) {
            return Err(ProfileError::Usage("name constraints are not evaluated, want an issuer without"));
        }
        match self.extension::<BasicConstraints>()? {
            Some(constraints) if constraints.ca => {
                if constraints.path_len_constraint.is_some_and(|limit| limit < below) {
                    return Err(ProfileError::Usage("path length constraint is exceeded"));
                }
            }
            _ => return Err(ProfileError::Usage("issuer is not a CA")),
        }
        match self.extension::<KeyUsage>()? {
            Some(usage) if !usage.key_cert_sign() => {
                Err(ProfileError::Usage("issuer may not sign certificates"))
            }
            _ => Ok(()),
        }
    }

    /// The subject's public key, P-256.
    pub fn key(&self) -> Result<VerifyingKey, ProfileError> {
        let key = VerifyingKey::from_spki(&self.spki).ok();
        key.filter(|key| key.algorithm() == Algorithm::Es256).ok_or(ProfileError::Key)
    }

    /// First and last second of validity, in Unix seconds.
    pub fn validity(&self) -> (u64, u64) {
        let validity = self.certificate.tbs_certificate().validity();
        (validity.not_before.to_unix_duration().as_secs(), validity.not_after.to_unix_duration().as_secs())
    }

    /// The serial number's bytes.
    pub fn serial(&self) -> &[u8] {
        self.certificate.tbs_certificate().serial_number().as_bytes()
    }

    /// The claims, if there are any.
    pub fn claims(&self) -> Result<Option<Claims>, ProfileError> {
        let found = self.extensions().iter().find(|extension| extension.extn_id.as_bytes() == OID_CLAIMS);
        let claims =
            found.map(|extension| claims_from_cbor(extension.extn_value.as_bytes(), MAX_CLAIMS_BYTES));
        claims.transpose().map_err(|error| ProfileError::Claims(error.to_string()))
    }

    /// Whether this certificate names `issuer`'s subject as its issuer.
    pub fn names_issuer(&self, issuer: &Self) -> bool {
        self.certificate.tbs_certificate().issuer() == issuer.certificate.tbs_certificate().subject()
    }

    /// Whether the signature algorithm inside and outside the signed part is the same.
    pub fn algorithms_agree(&self) -> bool {
        self.certificate.tbs_certificate().signature() == self.certificate.signature_algorithm()
    }

    fn extensions(&self) -> &[Extension] {
        self.certificate.tbs_certificate().extensions().map(Vec::as_slice).unwrap_or_default()
    }

    fn extension<T>(&self) -> Result<Option<T>, ProfileError>
    where
        T: for<'a> x509_cert::der::Decode<'a> + x509_cert::der::oid::AssociatedOid,
    {
        let found = self.extensions().iter().find(|extension| extension.extn_id == T::OID);
        let decoded = found.map(|extension| T::from_der(extension.extn_value.as_bytes()));
        decoded.transpose().map_err(|_| ProfileError::Malformed(format!("extension {}", T::OID)))
    }

    fn check_critical(&self) -> Result<(), ProfileError> {
        let known = |extension: &Extension| {
            let oid = extension.extn_id;
            [BasicConstraints::OID, KeyUsage::OID, ExtendedKeyUsage::OID, SubjectAltName::OID].contains(&oid)
                || [OID_CLAIMS, OID_PROOF, OID_SCT].contains(&oid.as_bytes())
        };
        match self.extensions().iter().find(|extension| extension.critical && !known(extension)) {
            Some(unknown) => Err(ProfileError::Critical(unknown.extn_id.to_string())),
            None => Ok(()),
        }
    }
}

/// SPIFFE-ID section 2.2: a segment is not empty, not `.` or `..`, and of these characters.
fn is_segment(segment: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    !segment.is_empty() && segment != "." && segment != ".." && segment.bytes().all(allowed)
}
