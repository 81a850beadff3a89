//! The trust file of a relying party: all that it must know beforehand.
//!
//! In scope: the JSON form ([`TrustFile`]) and its parsed, self-consistent form ([`Trust`]).
//! Out of scope: how the file reaches the relying party.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use treering_tlog::{
    note::{KeyType, VerifierKey},
    policy::Policy,
};

use crate::{
    bytes::Bytes,
    cose::{KeySet, VerifyingKey},
    statement::Kind,
};

/// The longest trust file: a hundred issuers and CAs of a KiB each, and a witness policy, with room to spare.
pub const MAX_TRUST_BYTES: usize = 1 << 20;

/// Why a trust file was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// Too long.
    #[error("trust file has {0} bytes, at most {MAX_TRUST_BYTES} are accepted")]
    TooLong(usize),
    /// Not JSON of this form.
    #[error("trust file: {0}")]
    Json(String),
    /// Of another version.
    #[error("trust file has version {0}, want 1")]
    Version(u64),
    /// A field does not parse.
    #[error("trust file, {field}: {problem}")]
    Field {
        /// Which.
        field: &'static str,
        /// What is wrong.
        problem: String,
    },
}

/// When a credential may be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Release {
    /// When a quorum of witnesses cosigned the checkpoint.
    Witnessed,
    /// When it is committed. A lost disk restored to an older state cannot be detected by this alone.
    Committed,
}

/// The trust file as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustFile {
    /// Format version: 1.
    pub v: u64,
    /// The log's origin.
    pub origin: String,
    /// The trust domain of the credentials.
    pub trust_domain: String,
    /// The log's checkpoint key, as a C2SP verifier key.
    pub log_vkey: String,
    /// Keys that sign receipts, each a COSE_Key.
    pub receipt_keys: Vec<Bytes>,
    /// Who may sign what.
    pub issuers: Vec<TrustedIssuer>,
    /// Certificates of the credential authority, PEM, one each.
    pub ca: Vec<String>,
    /// The witness policy (C2SP tlog-policy), if there are witnesses.
    pub policy: Option<String>,
    /// When a credential may be believed.
    pub release: Release,
}

/// An issuer of statements in a [`TrustFile`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustedIssuer {
    /// Its URI.
    pub iss: String,
    /// What it may sign.
    pub kinds: Vec<Kind>,
    /// Its keys, each a COSE_Key.
    pub keys: Vec<Bytes>,
}

impl TrustFile {
    /// The JSON text.
    pub fn to_json(&self) -> Result<String, TrustError> {
        serde_json::to_string_pretty(self).map_err(|error| TrustError::Json(error.to_string()))
    }
}

/// A trust file that was parsed and agrees with itself.
#[derive(Debug, Clone)]
pub struct Trust {
    origin: String,
    domain: String,
    log_key: VerifierKey,
    receipt_keys: KeySet,
    issuers: Vec<(String, Vec<Kind>, KeySet)>,
    ca: Vec<Vec<u8>>,
    policy: Option<Policy>,
    release: Release,
}

impl Trust {
    /// Parses a trust file.
    pub fn parse(json: &[u8]) -> Result<Self, TrustError> {
        if json.len() > MAX_TRUST_BYTES {
            return Err(TrustError::TooLong(json.len()));
        }
        let file: TrustFile =
            serde_json::from_slice(json).map_err(|error| TrustError::Json(error.to_string()))?;
        Self::from_file(&file)
    }

    /// Checks a trust file.
    pub fn from_file(file: &TrustFile) -> Result<Self, TrustError> {
        if file.v != 1 {
            return Err(TrustError::Version(file.v));
        }
        let log_key = VerifierKey::parse(&file.log_vkey).map_err(|error| field("log_vkey", error))?;
        if log_key.kind() != KeyType::Ed25519 || log_key.name() != file.origin {
            return Err(field("log_vkey", format!("want an Ed25519 key named `{}`", file.origin)));
        }
        let policy = file.policy.as_ref().map(|text| Policy::parse(text.as_bytes())).transpose();
        let policy = policy.map_err(|error| field("policy", error))?;
        match &policy {
            Some(policy) if !policy.logs().iter().any(|log| log.key == log_key) => {
                return Err(field("policy", "does not name the log's key"));
            }
            None if file.release == Release::Witnessed => {
                return Err(field("policy", "release is `witnessed`, which needs a witness policy"));
            }
            Some(policy) if file.release == Release::Witnessed && !policy.needs_witnesses() => {
                return Err(field("policy", "release is `witnessed`, but the quorum is none"));
            }
            _ => {}
        }
        if file.receipt_keys.is_empty() || file.ca.is_empty() {
            return Err(field("receipt_keys, ca", "want at least one of each"));
        }
        let issuer = |issuer: &TrustedIssuer| {
            Ok((issuer.iss.clone(), issuer.kinds.clone(), keys("issuers", &issuer.keys)?))
        };
        let trust = Self {
            origin: file.origin.clone(),
            domain: file.trust_domain.clone(),
            log_key,
            receipt_keys: keys("receipt_keys", &file.receipt_keys)?,
            issuers: file.issuers.iter().map(issuer).collect::<Result<_, _>>()?,
            ca: file.ca.iter().map(|pem| certificate(pem)).collect::<Result<_, _>>()?,
            policy,
            release: file.release,
        };
        trust.check_purposes()?;
        Ok(trust)
    }

    /// No key has two purposes: the log's, the receipts' and the issuers' keys all differ.
    fn check_purposes(&self) -> Result<(), TrustError> {
        let log_key = self.log_key.public_key().try_into().map_err(|error| field("log_vkey", error))?;
        let log = VerifyingKey::from_ed25519(log_key).map_err(|error| field("log_vkey", error))?;
        let mut seen = BTreeSet::from([*log.thumbprint()]);
        let sets = [&self.receipt_keys].into_iter().chain(self.issuers.iter().map(|(_, _, keys)| keys));
        for keys in sets {
            let thumbprints: BTreeSet<_> = keys.0.iter().map(|key| *key.thumbprint()).collect();
            if !seen.is_disjoint(&thumbprints) {
                return Err(field("receipt_keys, issuers, log_vkey", "one key has two purposes"));
            }
            seen.extend(thumbprints);
        }
        Ok(())
    }

    /// The log's origin.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The trust domain of the credentials.
    pub fn trust_domain(&self) -> &str {
        &self.domain
    }

    /// The log's checkpoint key.
    pub const fn log_key(&self) -> &VerifierKey {
        &self.log_key
    }

    /// Keys that sign receipts.
    pub const fn receipt_keys(&self) -> &KeySet {
        &self.receipt_keys
    }

    /// The key by which `iss` may sign statements of this kind, by its thumbprint.
    pub fn issuer_key(&self, iss: &str, kind: Kind, thumbprint: &[u8]) -> Option<&VerifyingKey> {
        let entries = self.issuers.iter().filter(|(issuer, kinds, _)| issuer == iss && kinds.contains(&kind));
        entries.into_iter().find_map(|(_, _, keys)| keys.find(thumbprint))
    }

    /// Certificates of the credential authority, DER.
    pub fn ca(&self) -> &[Vec<u8>] {
        &self.ca
    }

    /// The witness policy.
    pub const fn policy(&self) -> Option<&Policy> {
        self.policy.as_ref()
    }

    /// When a credential may be believed.
    pub const fn release(&self) -> Release {
        self.release
    }
}

fn keys(name: &'static str, keys: &[Bytes]) -> Result<KeySet, TrustError> {
    let key = |bytes: &Bytes| VerifyingKey::from_cose_key(&bytes.0).map_err(|error| field(name, error));
    keys.iter().map(key).collect::<Result<_, _>>().map(KeySet)
}

fn certificate(pem: &str) -> Result<Vec<u8>, TrustError> {
    let (label, der) = pem_rfc7468::decode_vec(pem.as_bytes()).map_err(|error| field("ca", error))?;
    if label != "CERTIFICATE" {
        return Err(field("ca", format!("want a CERTIFICATE, got {label}")));
    }
    Ok(der)
}

#[expect(clippy::needless_pass_by_value, reason = "callers map an error that they own")]
fn field(field: &'static str, problem: impl ToString) -> TrustError {
    TrustError::Field { field, problem: problem.to_string() }
}
