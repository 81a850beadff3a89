//! By what an issuer's statements are known: by keys of its own, which `kid` names, or by certificates, which the
//! statement carries as `x5chain` (RFC 9360) and which lead to a trust anchor of its own.
//!
//! In scope: one issuer's keys and anchors ([`KnownIssuer`]), and whether they made a statement's signature at some
//! instant. Pure: the instants are an argument, so that an auditor and a relying party decide as the service did.
//! Out of scope: what the issuer may say (the registration policy's reader decides); certificates in the unprotected
//! header, which the log does not keep (`statement` refuses them); revocation of certificates.
//!
//! A statement with `x5chain` is judged by it and by nothing else. In this order, and the first that fails refuses:
//! 1. the issuer has an anchor
//! 2. a byte string, or an array of two to five; at most 16 KiB of certificates
//! 3. each is X.509 v3 in DER, and none has a critical extension that is not read here
//! 4. the first is an end entity's with digitalSignature, and is for the name that goes with the anchor
//! 5. each is signed by the next, the last by the anchor; each issuer is a CA, within its path length; none is spare
//! 6. all of them, and the anchor, are valid at one instant
//! 7. `kid` and `x5t`, where they are there too, say the same
//! 8. the statement's signature, by the first one's key and an algorithm that fits it

use std::ops::RangeInclusive;

use ciborium::Value;
use sha2::{Digest as _, Sha256};

use crate::{
    cose::{CoseError, VerifyingKey},
    statement::{Statement, StatementError},
    x509::{MAX_INTERMEDIATES, Path, PathError, Profile, ProfileError, verify_path},
};

/// The most certificates in `x5chain`: the issuer's own, and those between it and the anchor.
pub const MAX_CHAIN_CERTIFICATES: usize = MAX_INTERMEDIATES + 1;
/// The most octets of all of them: five of 3 KiB, which even RSA-4096 ones with many names seldom have.
pub const MAX_CHAIN_BYTES: usize = 16 << 10;
/// SHA-256 as COSE names it.
const HASH_SHA256: i64 = -16;

/// Why a statement was not made by an issuer. Certificates are counted from the issuer's own, which is 0.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IssuerError {
    /// No key of that name.
    #[error("kid is not the thumbprint (RFC 9679) of a key of this issuer")]
    UnknownKey,
    /// An issuer without keys, and a statement without certificates.
    #[error("this issuer is known by certificates: put x5chain (33) into the protected header")]
    ChainMissing,
    /// An issuer without anchors, and a statement with certificates.
    #[error("this issuer is known by its keys, not by certificates: name one by kid, and leave x5chain out")]
    NoAnchor,
    /// `x5chain` is something else.
    #[error("x5chain is one certificate as a byte string, or an array of two or more (RFC 9360 section 2)")]
    Shape,
    /// Too many certificates.
    #[error(
        "x5chain has {0} certificates, at most {MAX_CHAIN_CERTIFICATES} are taken: send what the path needs"
    )]
    TooMany(usize),
    /// Too many octets.
    #[error("the certificates of x5chain have {0} octets, at most {MAX_CHAIN_BYTES} are taken")]
    TooLong(usize),
    /// A certificate is not one, or is not for what it is used for.
    #[error("x5chain, certificate {position}: {error}")]
    Certificate {
        /// Which.
        position: usize,
        /// What is wrong.
        error: ProfileError,
    },
    /// A key of another kind.
    #[error("the certificate's key is neither Ed25519, P-256 nor P-384 (as an uncompressed point)")]
    Key,
    /// The certificate is somebody else's.
    #[error("the certificate is not for this issuer: want `{0}` as a subject alternative name")]
    Name(String),
    /// It does not lead to an anchor.
    #[error("x5chain: {0}")]
    Path(#[from] PathError),
    /// Certificates beyond the path.
    #[error("x5chain: the path to the anchor takes {used} of {got} certificates: send no others")]
    Spare {
        /// How many the path has.
        used: usize,
        /// How many there are.
        got: usize,
    },
    /// A certificate was not valid then.
    #[error(
        "certificate {position} of the path is valid from {not_before} to {not_after}, which does not include {when}"
    )]
    Validity {
        /// Which; the last is the anchor.
        position: usize,
        /// Its first second.
        not_before: u64,
        /// Its last.
        not_after: u64,
        /// When it was wanted.
        when: String,
    },
    /// `kid` or `x5t` names something else than the certificate.
    #[error("{0} beside x5chain must name the first certificate: make it {1}, or leave it out")]
    Disagrees(&'static str, &'static str),
    /// The signature is good, in the spelling of the two that is not taken of this issuer.
    #[error("signature: {}, or ask the operator for `high_s` of this issuer", CoseError::HighS)]
    HighS,
    /// The signature.
    #[error("signature: {0}")]
    Signature(StatementError),
}

impl IssuerError {
    /// Whether the statement itself has not the form that the specifications want, whoever made it.
    pub const fn is_malformed(&self) -> bool {
        matches!(self, Self::Shape | Self::TooMany(_) | Self::TooLong(_))
    }
}

/// Why a certificate is no trust anchor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnchorError {
    /// Not the certificate of a CA.
    #[error("trust anchor: {0}")]
    Certificate(#[from] ProfileError),
    /// Not a name.
    #[error("trust anchor: `{0}` is neither a URI nor a DNS name in lower case without wildcards")]
    Name(String),
}

/// A CA, and the name that its certificates for an issuer must have.
#[derive(Debug, Clone)]
pub struct Anchor {
    der: Vec<u8>,
    profile: Profile,
    name: String,
}

impl Anchor {
    /// An anchor from its certificate, whose own signature says nothing, and the subject alternative name wanted.
    pub fn new(certificate: &[u8], name: &str) -> Result<Self, AnchorError> {
        let profile = Profile::parse_foreign(certificate)?;
        profile.check_ca(0)?;
        if !(is_uri(name) || is_dns_name(name)) {
            return Err(AnchorError::Name(name.to_owned()));
        }
        Ok(Self { der: certificate.to_vec(), profile, name: name.to_owned() })
    }
}

/// What is known of one issuer.
#[derive(Debug, Clone, Default)]
pub struct KnownIssuer {
    /// Its keys.
    pub keys: Vec<VerifyingKey>,
    /// Its trust anchors.
    pub anchors: Vec<Anchor>,
    /// Whether ECDSA signatures in their high-S spelling are taken too.
    pub high_s: bool,
}

impl KnownIssuer {
    /// Checks that this issuer made the statement, and gives the instants of `when` at which it could: all of them for
    /// a key, those at which the certificates were valid otherwise.
    pub fn check(
        &self,
        statement: &Statement,
        when: RangeInclusive<u64>,
    ) -> Result<RangeInclusive<u64>, IssuerError> {
        let (certified, when) = match statement.x5chain() {
            Some(chain) => self.certified(statement, chain, when).map(|(key, when)| (Some(key), when))?,
            None => (None, when),
        };
        let key = match &certified {
            Some(key) => key,
            None => self.named(statement.kid())?,
        };
        match statement.check_signature(key) {
            Ok(()) => Ok(when),
            Err(StatementError::Cose(CoseError::HighS)) if self.high_s => Ok(when),
            Err(StatementError::Cose(CoseError::HighS)) => Err(IssuerError::HighS),
            Err(error) => Err(IssuerError::Signature(error)),
        }
    }

    fn named(&self, kid: Option<&[u8]>) -> Result<&VerifyingKey, IssuerError> {
        let missing = if self.keys.is_empty() { IssuerError::ChainMissing } else { IssuerError::UnknownKey };
        self.keys.iter().find(|key| kid == Some(key.thumbprint().as_slice())).ok_or(missing)
    }

    /// Steps 1 to 7 of the head.
    fn certified(
        &self,
        statement: &Statement,
        chain: &Value,
        when: RangeInclusive<u64>,
    ) -> Result<(VerifyingKey, RangeInclusive<u64>), IssuerError> {
        if self.anchors.is_empty() {
            return Err(IssuerError::NoAnchor);
        }
        let chain = certificates(chain)?;
        let read = |(position, der): (usize, &&[u8])| {
            Profile::parse_foreign(der).map_err(|error| IssuerError::Certificate { position, error })
        };
        let profiles = chain.iter().enumerate().map(read).collect::<Result<Vec<_>, _>>()?;
        let links: Vec<_> = chain.iter().copied().zip(&profiles).collect();
        let (own, leaf) = *links.first().ok_or(IssuerError::Shape)?;
        let bad = |error| IssuerError::Certificate { position: 0, error };
        leaf.check_signs_statements().map_err(bad)?;
        let path = self.path(&links, leaf)?;
        let when = valid(&path, when)?;
        let key = VerifyingKey::from_spki(leaf.spki()).map_err(|_| IssuerError::Key)?;
        if statement.kid().is_some_and(|kid| kid != key.thumbprint().as_slice()) {
            return Err(IssuerError::Disagrees("kid", "the thumbprint (RFC 9679) of its key"));
        }
        let hash = [Value::from(HASH_SHA256), Value::Bytes(Sha256::digest(own).to_vec())];
        if statement.x5t().is_some_and(|x5t| x5t.as_array().map(Vec::as_slice) != Some(hash.as_slice())) {
            return Err(IssuerError::Disagrees("x5t", "[-16, its SHA-256]"));
        }
        Ok((key, when))
    }

    /// The path to one of the anchors for whose name the certificate is.
    fn path(&self, links: &[(&[u8], &Profile)], leaf: &Profile) -> Result<Path, IssuerError> {
        let mut named = Vec::new();
        for anchor in &self.anchors {
            let error = |error| IssuerError::Certificate { position: 0, error };
            if leaf.is_for(&anchor.name).map_err(error)? {
                named.push(anchor);
            }
        }
        if named.is_empty() {
            let wanted: Vec<_> = self.anchors.iter().map(|anchor| anchor.name.as_str()).collect();
            return Err(IssuerError::Name(wanted.join("` or `")));
        }
        let profiles: Vec<_> = named.iter().map(|anchor| &anchor.profile).collect();
        let path = verify_path(links, &profiles)?;
        // RFC 9360 leaves it open whether the anchor itself is sent.
        let anchor = named.get(path.anchor).map(|anchor| anchor.der.as_slice());
        match links.get(path.used..) {
            Some([]) => Ok(path),
            Some([(der, _)]) if anchor == Some(*der) => Ok(path),
            _ => Err(IssuerError::Spare { used: path.used, got: links.len() }),
        }
    }
}

/// `x5chain` as RFC 9360 section 2 has it: one certificate stands for itself, more are an array.
pub(crate) fn x5chain(certificates: &[Vec<u8>]) -> Option<Value> {
    let octets = |der: &Vec<u8>| Value::Bytes(der.clone());
    match certificates {
        [] => None,
        [one] => Some(octets(one)),
        many => Some(Value::Array(many.iter().map(octets).collect())),
    }
}

/// Step 2: the certificates, none of them read yet.
pub(crate) fn certificates(chain: &Value) -> Result<Vec<&[u8]>, IssuerError> {
    let certificates = match chain {
        Value::Bytes(one) => vec![one.as_slice()],
        Value::Array(many) if many.len() > MAX_CHAIN_CERTIFICATES => {
            return Err(IssuerError::TooMany(many.len()));
        }
        Value::Array(many) if many.len() >= 2 => {
            let octets = many.iter().map(|one| one.as_bytes().map(Vec::as_slice));
            octets.collect::<Option<_>>().ok_or(IssuerError::Shape)?
        }
        _ => return Err(IssuerError::Shape),
    };
    let octets = certificates.iter().map(|certificate| certificate.len()).sum();
    if octets > MAX_CHAIN_BYTES { Err(IssuerError::TooLong(octets)) } else { Ok(certificates) }
}

/// Step 6: the instants at which the whole path was valid.
fn valid(path: &Path, when: RangeInclusive<u64>) -> Result<RangeInclusive<u64>, IssuerError> {
    let (mut from, mut to) = when.into_inner();
    for (position, (not_before, not_after)) in path.validity.iter().copied().enumerate() {
        if not_after < from || not_before > to {
            let when = if from == to { from.to_string() } else { format!("any of {from} to {to}") };
            return Err(IssuerError::Validity { position, not_before, not_after, when });
        }
        (from, to) = (from.max(not_before), to.min(not_after));
    }
    Ok(from..=to)
}

/// RFC 3986: a scheme, a colon, and something.
pub(crate) fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let mut letters = scheme.bytes();
    letters.next().is_some_and(|letter| letter.is_ascii_alphabetic())
        && letters.all(|letter| letter.is_ascii_alphanumeric() || b"+-.".contains(&letter))
        && !rest.is_empty()
        && rest.bytes().all(|letter| letter.is_ascii_graphic())
}

fn is_dns_name(text: &str) -> bool {
    let allowed = |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == b'-';
    text.len() <= 253 && text.split('.').all(|label| !label.is_empty() && label.bytes().all(allowed))
}
