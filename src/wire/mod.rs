//! The messages of docs/protocol.md, both sides of the wire in one place: JSON for our own resources, CMW (RFC 9999)
//! for evidence in it.
//!
//! Octets are unpadded base64url; times are Unix seconds.

pub mod cmw;
mod evidence;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use treering_provenance::bytes::{Bytes, Fixed, Leaf};
use treering_provenance::grant::WrappedKek;

pub use evidence::{collection, parse_collection, read_cmw};

/// `POST /v1/challenges`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChallengeRequest {
    /// The workload identifier that the credential is to carry.
    pub target: String,
}

/// Its answer.
#[derive(Debug, Serialize, Deserialize)]
pub struct ChallengeResponse {
    /// The challenge: the freshness field of the binding.
    pub challenge: Bytes,
    /// The relying-party id of this service; a workload compares it with the one it is configured with.
    pub rp_id: String,
    /// When it expires.
    pub expires_at: u64,
}

/// `POST /v1/credentials`: mechanism C, W-CA-V.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialRequest {
    /// The challenge, as given.
    pub challenge: Bytes,
    /// The workload identifier, as asked for with the challenge.
    pub target: String,
    /// The PKCS#10 certification request, DER.
    pub csr: Bytes,
    /// Evidence and endorsements: a CMW collection (RFC 9999), JSON form.
    pub evidence: BTreeMap<String, serde_json::Value>,
}

/// Its answer.
#[derive(Debug, Serialize, Deserialize)]
pub struct CredentialResponse {
    /// The certificate and the CA's, PEM.
    pub credential: String,
    /// The end of its validity.
    pub not_after: u64,
    /// The index of the issuance statement.
    pub index: u64,
    /// The size of the tree that the embedded proof leads to.
    pub tree_size: u64,
}

/// `POST /v1/content-keys`: a key under which a client encrypts the content of its statement.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContentKeyRequest {
    /// The kind of the statement.
    pub kind: String,
}

/// Its answer.
#[derive(Serialize, Deserialize)]
pub struct ContentKeyResponse {
    /// The content key.
    pub key: Fixed<32>,
    /// The name of the key-encryption key.
    pub kek_id: Fixed<16>,
    /// The content key under it.
    pub wrapped: Bytes,
}

/// The answer to whatever appended one entry.
#[derive(Debug, Serialize, Deserialize)]
pub struct LoggedResponse {
    /// The leaf hash.
    pub leaf: Leaf,
    /// The index.
    pub index: u64,
}

/// `POST /v1/activations`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActivationRequest {
    /// The leaf hash of the policy or reference values.
    pub policy: Leaf,
}

/// `POST /v1/grants`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantRequest {
    /// Who is granted it, in words.
    pub grantee: String,
    /// The grantee's X25519 public key.
    pub public_key: Fixed<32>,
    /// Scopes; `*` is all.
    pub scopes: Vec<String>,
    /// Classes; `*` is all.
    pub classes: Vec<String>,
    /// From this time.
    pub from: u64,
    /// Until this time.
    pub to: u64,
}

/// Its answer.
#[derive(Debug, Serialize, Deserialize)]
pub struct GrantResponse {
    /// The grant's name.
    pub grant: Fixed<16>,
    /// The leaf hash of the grant statement.
    pub leaf: Leaf,
    /// Its index.
    pub index: u64,
    /// The grant key, for the grantee alone (COSE-HPKE).
    pub message: Bytes,
}

/// `GET /v1/grants/{grant}/keys`.
#[derive(Debug, Serialize, Deserialize)]
pub struct GrantKeys {
    /// Every key-encryption key that the grant covers today.
    pub keys: Vec<WrappedKek>,
}

/// `GET /v1/leaves/{leaf}`.
#[derive(Debug, Serialize, Deserialize)]
pub struct LeafResponse {
    /// The index of the entry with this leaf hash.
    pub index: u64,
}

/// `GET /v1/inclusion?index=&size=` and `GET /v1/consistency?from=&to=`.
#[derive(Debug, Serialize, Deserialize)]
pub struct PathResponse {
    /// The hashes of the path.
    pub path: Vec<Leaf>,
}

/// A grant to a key.
#[derive(Debug, Serialize, Deserialize)]
pub struct GrantMessage {
    /// The grant's name.
    pub grant: Fixed<16>,
    /// Who is granted it, in words.
    pub grantee: String,
    /// The grant key, for the grantee alone (COSE-HPKE).
    pub message: Bytes,
}

/// `GET /v1/grants/by-key/{thumbprint}`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Grants {
    /// The grants.
    pub grants: Vec<GrantMessage>,
}
