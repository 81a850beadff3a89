//! The attestation key: read from the forms in which it comes, and what it signs.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};
use sha2::{Digest, Sha256};
use x509_cert::der::{Decode, Encode, asn1::UintRef};
use x509_cert::spki::SubjectPublicKeyInfoRef;

use super::wire::{PublicKey, Signature, algorithm};

const RSA_ENCRYPTION: &str = "1.2.840.113549.1.1.1";
/// DER of the heads of a SubjectPublicKeyInfo, up to the key's own octets.
const P256_HEAD: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
const P384_HEAD: &[u8] = &[
    0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81,
    0x04, 0x00, 0x22, 0x03, 0x62, 0x00,
];
/// AlgorithmIdentifier of an RSA key: rsaEncryption, NULL.
const RSA_ALGORITHM: &[u8] =
    &[0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
/// Octets of a modulus: 2048 to 4096 bits. TPMs make 2048 and 3072.
const MODULUS_OCTETS: std::ops::RangeInclusive<usize> = 256..=512;
/// TPMs and paravisors use no other exponent.
const EXPONENT: &[u8] = &[1, 0, 1];
/// Octets of the longest SubjectPublicKeyInfo of such keys.
const MAX_SPKI_OCTETS: usize = 1024;

/// A public key that may sign quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::verifier::kinds) enum Key {
    /// Modulus, with the exponent 65537.
    Rsa(Vec<u8>),
    /// The uncompressed point.
    P256(Vec<u8>),
    /// The uncompressed point.
    P384(Vec<u8>),
}

impl Key {
    /// Of a modulus and an exponent, big-endian, neither with leading zeros.
    pub(in crate::verifier::kinds) fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, String> {
        let bits_set = modulus.first().is_some_and(|first| *first >= 0x80);
        if !MODULUS_OCTETS.contains(&modulus.len()) || !bits_set {
            return Err(format!("an RSA key has 2048 to 4096 bits, got {} octets", modulus.len()));
        }
        if exponent != EXPONENT {
            return Err("the exponent of an RSA key is 65537".to_owned());
        }
        Ok(Self::Rsa(modulus.to_vec()))
    }

    /// Of a SubjectPublicKeyInfo in its one DER encoding.
    pub(super) fn from_spki(der: &[u8]) -> Result<Self, String> {
        let key = match (der.strip_prefix(P256_HEAD), der.strip_prefix(P384_HEAD)) {
            (Some(point), _) => Self::P256(point.to_vec()),
            (_, Some(point)) => Self::P384(point.to_vec()),
            _ => rsa_of_spki(der)?,
        };
        if key.spki() == der && key.is_whole() {
            Ok(key)
        } else {
            Err("not a key in its one encoding".to_owned())
        }
    }

    /// Of the key in a TPMT_PUBLIC.
    pub(super) fn from_public(public: &PublicKey) -> Result<Self, String> {
        let point = |x: &[u8], y: &[u8], octets: usize| {
            // Shorter coordinates would be a second form of the same key.
            let whole = x.len() == octets && y.len() == octets;
            whole.then(|| [&[4], x, y].concat()).ok_or(format!("a coordinate has {octets} octets"))
        };
        match public {
            PublicKey::Rsa(modulus, exponent) => {
                let exponent = exponent.to_be_bytes();
                let start = exponent.iter().position(|octet| *octet != 0).unwrap_or(exponent.len());
                Self::rsa(modulus, exponent.get(start..).unwrap_or_default())
            }
            PublicKey::P256(x, y) => point(x, y, 32).map(Self::P256),
            PublicKey::P384(x, y) => point(x, y, 48).map(Self::P384),
        }
    }

    fn is_whole(&self) -> bool {
        match self {
            Self::Rsa(_) => true,
            Self::P256(point) => point.len() == 65 && point.first() == Some(&4),
            Self::P384(point) => point.len() == 97 && point.first() == Some(&4),
        }
    }

    /// What it is, for people.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Rsa(modulus) => format!("RSA with {} bits", modulus.len().saturating_mul(8)),
            Self::P256(_) => "ECDSA P-256".to_owned(),
            Self::P384(_) => "ECDSA P-384".to_owned(),
        }
    }

    /// SubjectPublicKeyInfo in DER.
    pub(super) fn spki(&self) -> Vec<u8> {
        match self {
            Self::Rsa(modulus) => spki_of_rsa(modulus).unwrap_or_default(),
            Self::P256(point) => [P256_HEAD, point].concat(),
            Self::P384(point) => [P384_HEAD, point].concat(),
        }
    }

    /// SHA-256 of [`Self::spki`]: what names the key.
    pub(super) fn fingerprint(&self) -> [u8; 32] {
        Sha256::digest(self.spki()).into()
    }

    /// Whether the signature over the octets received is this key's.
    pub(super) fn verify(&self, message: &[u8], signature: &Signature) -> Result<&'static str, String> {
        match (self, signature.scheme, signature.hash) {
            (Self::Rsa(modulus), scheme, hash) => {
                let (name, parameters) = rsa_parameters(scheme, hash).ok_or_else(|| unknown(signature))?;
                let key = RsaPublicKeyComponents { n: modulus.as_slice(), e: EXPONENT };
                let octets = signature.parts.first().map(Vec::as_slice).unwrap_or_default();
                key.verify(parameters, message, octets).map_err(|_| not_signed(name)).map(|()| name)
            }
            (Self::P256(point), algorithm::ECDSA, algorithm::SHA256) => {
                ecdsa(&ECDSA_P256_SHA256_FIXED, point, 32, message, signature)
                    .map(|()| "ECDSA P-256 with SHA-256")
            }
            (Self::P384(point), algorithm::ECDSA, algorithm::SHA384) => {
                ecdsa(&ECDSA_P384_SHA384_FIXED, point, 48, message, signature)
                    .map(|()| "ECDSA P-384 with SHA-384")
            }
            _ => Err(unknown(signature)),
        }
    }
}

fn unknown(signature: &Signature) -> String {
    format!(
        "scheme {:#06x} with hash {:#06x} is not accepted for such a key",
        signature.scheme, signature.hash
    )
}

fn not_signed(name: &str) -> String {
    format!("the key did not sign this quote ({name})")
}

fn rsa_parameters(scheme: u16, hash: u16) -> Option<(&'static str, &'static RsaParameters)> {
    Some(match (scheme, hash) {
        (algorithm::RSASSA, algorithm::SHA256) => ("RSASSA with SHA-256", &RSA_PKCS1_2048_8192_SHA256),
        (algorithm::RSASSA, algorithm::SHA384) => ("RSASSA with SHA-384", &RSA_PKCS1_2048_8192_SHA384),
        (algorithm::RSAPSS, algorithm::SHA256) => ("RSA-PSS with SHA-256", &RSA_PSS_2048_8192_SHA256),
        (algorithm::RSAPSS, algorithm::SHA384) => ("RSA-PSS with SHA-384", &RSA_PSS_2048_8192_SHA384),
        _ => return None,
    })
}

fn ecdsa(
    scheme: &'static dyn VerificationAlgorithm,
    point: &[u8],
    octets: usize,
    message: &[u8],
    signature: &Signature,
) -> Result<(), String> {
    // Without leading zeros a number would have a second form.
    if signature.parts.iter().any(|part| part.len() != octets) {
        return Err(format!("each number of the signature has {octets} octets"));
    }
    UnparsedPublicKey::new(scheme, point)
        .verify(message, &signature.parts.concat())
        .map_err(|_| not_signed("ECDSA"))
}

fn rsa_of_spki(der: &[u8]) -> Result<Key, String> {
    if der.len() > MAX_SPKI_OCTETS {
        return Err(format!("a public key has at most {MAX_SPKI_OCTETS} octets, got {}", der.len()));
    }
    let bad = |error: x509_cert::der::Error| format!("not a public key: {error}");
    let info = SubjectPublicKeyInfoRef::from_der(der).map_err(bad)?;
    if info.algorithm.oid.to_string() != RSA_ENCRYPTION {
        return Err(format!("a key of algorithm {}, want RSA, P-256 or P-384", info.algorithm.oid));
    }
    let key = info.subject_public_key.as_bytes().unwrap_or_default();
    let (modulus, exponent) = rsa_numbers(key).map_err(bad)?;
    Key::rsa(&modulus, &exponent)
}

/// RSAPublicKey: SEQUENCE of modulus and exponent.
fn rsa_numbers(der: &[u8]) -> Result<(Vec<u8>, Vec<u8>), x509_cert::der::Error> {
    use x509_cert::der::{Reader, SliceReader};
    let mut reader = SliceReader::new(der)?;
    reader.sequence(|inner| {
        let modulus: UintRef<'_> = inner.decode()?;
        let exponent: UintRef<'_> = inner.decode()?;
        Ok((modulus.as_bytes().to_vec(), exponent.as_bytes().to_vec()))
    })
}

fn spki_of_rsa(modulus: &[u8]) -> Option<Vec<u8>> {
    use x509_cert::der::{Header, Length, Tag};
    let element = |tag: Tag, content: &[u8]| -> Option<Vec<u8>> {
        let mut out = Header::new(tag, Length::try_from(content.len()).ok()?).to_der().ok()?;
        out.extend_from_slice(content);
        Some(out)
    };
    let numbers = [UintRef::new(modulus).ok()?.to_der().ok()?, UintRef::new(EXPONENT).ok()?.to_der().ok()?];
    let key = element(Tag::Sequence, &numbers.concat())?;
    let bits = element(Tag::BitString, &[&[0], key.as_slice()].concat())?;
    element(Tag::Sequence, &[RSA_ALGORITHM, &bits].concat())
}
