//! The first two entries of a log: its registration policy at index 0 and its trust anchors at index 1, both public,
//! in one batch (RFC 9943 section 5.1.1.1). No checkpoint of a smaller tree is ever published.

use treering_provenance::bytes::{Bytes, Fixed};
use treering_provenance::content::{
    HardwareRoot, RegisteredIssuer, RegistrationPolicy, Role as RoleKey, TrustAnchors, V1,
};
use treering_provenance::cose::{Algorithm, CoseError, VerifyingKey};
use treering_provenance::statement::{Kind, MAX_STATEMENT_BYTES, StatementError};

use crate::config::Config;
use crate::keys::Role;
use crate::ledger::{Conditions, Ledger, LedgerError, Logged};

/// Why a log could not be begun.
#[derive(Debug, thiserror::Error)]
pub enum GenesisError {
    /// An issuer in the configuration.
    #[error("issuer `{iss}`: {reason}")]
    Issuer {
        /// Its name.
        iss: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A key of ours.
    #[error(transparent)]
    Cose(#[from] CoseError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// What the two statements say, beside what the ledger knows.
pub struct Genesis<'a> {
    /// The configuration: issuers, approvers, threshold.
    pub config: &'a Config,
    /// The log's verifier key, as a signed note has it.
    pub log_vkey: String,
    /// The key of receipts.
    pub receipt_key: &'a VerifyingKey,
    /// The CA's certificate, DER.
    pub ca: Vec<u8>,
    /// Hardware roots: name, SHA-256, whether simulated.
    pub hardware_roots: Vec<(String, [u8; 32], bool)>,
    /// The witness policy (C2SP tlog-policy), if there is one.
    pub witness_policy: Option<String>,
}

/// The registration policy that the configuration describes.
pub fn registration_policy(config: &Config) -> Result<RegistrationPolicy, GenesisError> {
    let mut issuers = Vec::new();
    for issuer in &config.issuers {
        let bad = |reason: String| GenesisError::Issuer { iss: issuer.iss.clone(), reason };
        let key = data_encoding::BASE64URL_NOPAD.decode(issuer.key.as_bytes());
        let key = key.map_err(|_| bad("its key is not base64url".to_owned()))?;
        VerifyingKey::from_cose_key(&key).map_err(|error| bad(error.to_string()))?;
        let kinds: Result<Vec<Kind>, StatementError> = issuer.kinds.iter().map(|kind| kind.parse()).collect();
        let kinds = kinds.map_err(|error| bad(error.to_string()))?;
        issuers.push(RegisteredIssuer {
            iss: issuer.iss.clone(),
            kinds,
            keys: vec![Bytes(key)],
            public: issuer.public,
        });
    }
    Ok(RegistrationPolicy {
        v: V1,
        origin: config.origin.clone(),
        issuers,
        algs: vec![Algorithm::EdDsa.id(), Algorithm::Es256.id()],
        max_statement_bytes: u64::try_from(MAX_STATEMENT_BYTES).unwrap_or(u64::MAX),
        approvals_threshold: config.governance.threshold,
        approvers: config.governance.approvers.clone(),
    })
}

/// The trust anchors of a ledger.
pub fn trust_anchors(ledger: &Ledger, genesis: &Genesis<'_>) -> Result<TrustAnchors, GenesisError> {
    let mut roles = Vec::new();
    for role in [Role::Authority, Role::Governance, Role::Ledger, Role::Mapper, Role::Verifier] {
        let key = Bytes(ledger.signer(role)?.key().to_cose_key()?);
        roles.push(RoleKey { iss: ledger.role_uri(role), key });
    }
    let hardware_roots = genesis.hardware_roots.iter().map(|(name, sha256, simulated)| HardwareRoot {
        name: name.clone(),
        sha256: Fixed(*sha256),
        simulated: *simulated,
    });
    Ok(TrustAnchors {
        v: V1,
        origin: ledger.origin().to_owned(),
        trust_domain: ledger.trust_domain().to_string(),
        log_vkey: genesis.log_vkey.clone(),
        receipt_keys: vec![Bytes(genesis.receipt_key.to_cose_key()?)],
        ca: vec![Bytes(genesis.ca.clone())],
        roles,
        hardware_roots: hardware_roots.collect(),
        witness_policy: genesis.witness_policy.clone(),
    })
}

/// Writes both statements into an empty log.
pub async fn create(ledger: &Ledger, genesis: &Genesis<'_>, now: u64) -> Result<Logged, GenesisError> {
    let policy = ledger.prepare_public(Role::Ledger, &registration_policy(genesis.config)?, now)?;
    let anchors = ledger.prepare_public(Role::Ledger, &trust_anchors(ledger, genesis)?, now)?;
    Ok(ledger.commit(vec![policy, anchors], Conditions::default()).await?)
}
