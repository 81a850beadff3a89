//! Signed statements: RFC 9943 COSE_Sign1 with the header of `schemas/statements.cddl`.
//!
//! In scope: building ([`Draft`]), parsing ([`Statement`]) and verifying ([`Verified`]) one statement; its names: leaf
//! hash (in SCRAPI: entry id), statement id; the hiding commitment to a confidential plaintext ([`commitment`]).
//! Out of scope: which issuer may register what (the registration policy's reader decides), content (`content`),
//! encryption (`envelope`).

mod header;
mod kind;

use ciborium::Value;
use data_encoding::BASE64URL_NOPAD;
use treering_tlog::{
    bundle::MAX_ENTRY_LEN,
    hash::{Hash, leaf_hash},
};

pub use kind::{Form, Kind};

use crate::{
    bytes::{Digest, Leaf},
    cose::{Algorithm, CoseError, Sign1, Signer, VerifyingKey},
    mac::hmac_sha256,
    strict::StrictError,
};

/// The longest statement: an entry of a C2SP bundle has a 16-bit length.
pub const MAX_STATEMENT_BYTES: usize = MAX_ENTRY_LEN;
/// The longest issuer (RFC 9943 section 6).
pub const MAX_ISSUER_BYTES: usize = 8192;
/// The longest subject or audience. Ours have 43 bytes and the length of an origin; foreign subjects are often URIs.
pub const MAX_NAME_BYTES: usize = 2048;
/// Format version of our header label.
pub const HEADER_VERSION: i64 = 1;
/// What a confidential payload is the hash of.
pub const ENVELOPE_TYPE: &str = "application/cose; cose-type=\"cose-encrypt\"";
/// Domain tag of the commitment to a plaintext.
pub const COMMIT_TAG: &[u8] = b"treering-commit-v1";

/// How SCRAPI locations spell a leaf hash: the entry id, base64url.
pub fn entry_id(leaf: &Hash) -> String {
    BASE64URL_NOPAD.encode(leaf.as_bytes())
}

/// Inverse of [`entry_id`].
pub fn leaf_of_entry_id(id: &str) -> Option<Hash> {
    Hash::from_slice(&BASE64URL_NOPAD.decode(id.as_bytes()).ok()?).ok()
}

/// Why a statement was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// The COSE layer refused it.
    #[error(transparent)]
    Cose(#[from] CoseError),
    /// A header parameter is missing or is not what its place wants.
    #[error("header parameter {name}: {problem}")]
    Header {
        /// Which parameter.
        name: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// The unprotected header is not empty.
    #[error("the unprotected header is not empty")]
    Unprotected,
    /// Certificates in the unprotected header: whoever stores the entry could exchange them.
    #[error(
        "x5chain is accepted only in the protected header: sign it there, since the log keeps no unprotected header"
    )]
    UnprotectedChain,
    /// The payload is detached.
    #[error("the payload is detached")]
    PayloadMissing,
    /// A text that is no kind.
    #[error("unknown kind `{0}`")]
    UnknownKind(String),
    /// The payload's form is not allowed for the kind.
    #[error("a {kind} statement {rule}")]
    KindRule {
        /// The kind.
        kind: Kind,
        /// What the kind asks for.
        rule: String,
    },
    /// The signature names another key.
    #[error("kid is {got}, the key has {want}")]
    WrongKid {
        /// In the header.
        got: String,
        /// Of the key.
        want: String,
    },
}

impl From<StrictError> for StatementError {
    fn from(error: StrictError) -> Self {
        Self::Cose(error.into())
    }
}

/// What a statement's payload is, as a draft gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// The content itself.
    Public {
        /// Its media type.
        content_type: String,
        /// The content.
        bytes: Vec<u8>,
    },
    /// The hash of an encrypted content.
    Confidential {
        /// SHA-256 of the envelope's bytes.
        envelope: Digest,
        /// The [`commitment`] to the plaintext.
        commit: Digest,
    },
}

/// A statement to be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft<'a> {
    /// What it says.
    pub kind: Kind,
    /// The URI of the role or party that signs.
    pub issuer: &'a str,
    /// An opaque handle (see [`crate::subject`]).
    pub subject: &'a str,
    /// The origin of the log that it is meant for.
    pub audience: &'a str,
    /// Unix seconds.
    pub issued_at: u64,
    /// Leaf hashes of the decision's earlier steps, nearest first.
    pub parents: Vec<Leaf>,
    /// For an issuance, the commitment to the credential.
    pub cred: Option<Digest>,
    /// The payload.
    pub payload: Payload,
}

impl Draft<'_> {
    /// Signs the draft. The result has passed every check that a stranger's statement passes.
    pub fn sign(&self, signer: &dyn Signer) -> Result<Statement, StatementError> {
        let protected = header::protected(self, signer);
        let payload = match &self.payload {
            Payload::Public { bytes, .. } => bytes.as_slice(),
            Payload::Confidential { envelope, .. } => envelope.as_bytes(),
        };
        let sign1 = Sign1::sign(signer, &protected, payload, false)?;
        Statement::parse(&sign1.to_bytes()?)
    }
}

/// What a statement's payload is, as received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body<'a> {
    /// The content itself.
    Public {
        /// Its media type, if the header names one as text.
        content_type: Option<&'a str>,
        /// The content.
        bytes: &'a [u8],
    },
    /// The SHA-256 hash of something stored elsewhere (RFC 9995).
    Hashed {
        /// The hash.
        digest: &'a [u8; 32],
        /// The media type of what was hashed, if the header names one as text.
        content_type: Option<&'a str>,
    },
}

/// A statement, parsed and checked against its kind's header rules. Its signature is not verified yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    sign1: Sign1,
    entry: Vec<u8>,
    header: header::Header,
}

impl Statement {
    /// Parses an entry as it lies in the log: deterministic, tagged, with an empty unprotected header.
    pub fn parse(entry: &[u8]) -> Result<Self, StatementError> {
        let sign1 = Sign1::parse(entry, MAX_STATEMENT_BYTES)?;
        if !sign1.unprotected_is_empty() {
            return Err(StatementError::Unprotected);
        }
        let header = header::Header::read(&sign1)?;
        Ok(Self { sign1, entry: entry.to_vec(), header })
    }

    /// Parses what a client sends: as [`Statement::parse`], but the unprotected header is emptied first (RFC 9943
    /// section 6.3). It must hold no certificates, which would be lost.
    pub fn parse_submission(bytes: &[u8]) -> Result<Self, StatementError> {
        const X5BAG: i64 = 32;
        let sign1 = Sign1::parse(bytes, MAX_STATEMENT_BYTES)?;
        if sign1.unprotected_int(header::LABEL_X5CHAIN).or(sign1.unprotected_int(X5BAG)).is_some() {
            return Err(StatementError::UnprotectedChain);
        }
        if sign1.unprotected_is_empty() {
            let header = header::Header::read(&sign1)?;
            return Ok(Self { sign1, entry: bytes.to_vec(), header });
        }
        Self::parse(&sign1.without_unprotected().to_bytes()?)
    }

    /// Verifies the signature. A statement of ours must also name the key by its thumbprint.
    pub fn verify(self, key: &VerifyingKey) -> Result<Verified, StatementError> {
        self.check_signature(key)?;
        Ok(Verified { statement: self })
    }

    /// As [`verify`](Self::verify), for who goes on with the statement as it is.
    pub fn check_signature(&self, key: &VerifyingKey) -> Result<(), StatementError> {
        if self.header.label.is_some() && self.kid() != Some(key.thumbprint().as_slice()) {
            return Err(StatementError::WrongKid {
                got: BASE64URL_NOPAD.encode(self.kid().unwrap_or_default()),
                want: BASE64URL_NOPAD.encode(key.thumbprint()),
            });
        }
        Ok(self.sign1.verify(key)?)
    }

    /// The log entry: the tagged bytes.
    pub fn entry(&self) -> &[u8] {
        &self.entry
    }

    /// The leaf hash: SHA-256(0x00 || entry).
    pub fn leaf(&self) -> Hash {
        leaf_hash(&self.entry)
    }

    /// The entry id: the leaf hash as SCRAPI locations spell it.
    pub fn entry_id(&self) -> String {
        entry_id(&self.leaf())
    }

    /// SHA-256 of what was signed: the same for two signatures over one statement.
    pub fn statement_id(&self) -> Result<[u8; 32], StatementError> {
        Ok(self.sign1.signed_digest()?)
    }

    /// What it says; `None` for a statement of a foreign client, whose kind the registration policy gives.
    pub fn kind(&self) -> Option<Kind> {
        self.header.label.as_ref().map(|label| label.kind)
    }

    /// The issuer.
    pub fn issuer(&self) -> &str {
        &self.header.issuer
    }

    /// The subject.
    pub fn subject(&self) -> &str {
        &self.header.subject
    }

    /// The origin of the log that it is meant for. Only a foreign statement may lack it.
    pub fn audience(&self) -> Option<&str> {
        self.header.audience.as_deref()
    }

    /// When it was signed, in Unix seconds, as its issuer says. Only a foreign statement may lack it.
    pub fn issued_at(&self) -> Option<u64> {
        self.header.issued_at
    }

    /// The earlier steps of the decision, nearest first.
    pub fn parents(&self) -> &[Leaf] {
        self.header.label.as_ref().map(|label| label.parents.as_slice()).unwrap_or_default()
    }

    /// The commitment to the plaintext.
    pub fn commit(&self) -> Option<&Digest> {
        self.header.label.as_ref().and_then(|label| label.commit.as_ref())
    }

    /// The commitment to a credential.
    pub fn cred(&self) -> Option<&Digest> {
        self.header.label.as_ref().and_then(|label| label.cred.as_ref())
    }

    /// The key identifier: for statements of ours the RFC 9679 thumbprint.
    pub fn kid(&self) -> Option<&[u8]> {
        self.sign1.kid()
    }

    /// The issuer's certificates (RFC 9360), signed like everything here and not judged.
    pub(crate) fn x5chain(&self) -> Option<&Value> {
        self.sign1.protected_int(header::LABEL_X5CHAIN)
    }

    /// Whether it carries its issuer's certificates.
    pub fn is_certified(&self) -> bool {
        self.x5chain().is_some()
    }

    /// The hash of the issuer's certificate.
    pub(crate) fn x5t(&self) -> Option<&Value> {
        self.sign1.protected_int(header::LABEL_X5T)
    }

    /// The leaf hash of the same statement with the other spelling of its ECDSA signature, which verifies as well.
    pub fn twin(&self) -> Result<Option<Hash>, StatementError> {
        let twin = self.sign1.with_other_s().map(|twin| twin.to_bytes()).transpose()?;
        Ok(twin.map(|entry| leaf_hash(&entry)))
    }

    /// The signature algorithm.
    pub const fn algorithm(&self) -> Algorithm {
        self.sign1.algorithm()
    }

    /// The payload.
    pub fn body(&self) -> Body<'_> {
        match &self.header.hashed {
            Some((digest, content_type)) => Body::Hashed { digest, content_type: content_type.as_deref() },
            None => Body::Public {
                content_type: self.sign1.content_type(),
                bytes: self.sign1.payload().unwrap_or_default(),
            },
        }
    }
}

/// A statement whose signature was verified: only [`Statement::verify`] makes one.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified {
    statement: Statement,
}

impl Verified {
    /// The statement.
    pub fn into_inner(self) -> Statement {
        self.statement
    }
}

impl std::ops::Deref for Verified {
    type Target = Statement;

    fn deref(&self) -> &Statement {
        &self.statement
    }
}

/// The hiding commitment to a plaintext: HMAC-SHA-256 under the 32-byte nonce that lies in the plaintext. AES-GCM
/// does not commit to its key, so without this two readers could be shown two texts for one ciphertext; and a bare
/// hash of a text with little entropy could be looked up.
pub fn commitment(nonce: &[u8; 32], kind: Kind, plaintext: &[u8]) -> Digest {
    hmac_sha256(nonce, &[COMMIT_TAG, &[0], kind.as_str().as_bytes(), &[0], plaintext]).into()
}
