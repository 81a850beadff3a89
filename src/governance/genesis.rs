//! The first two entries of a log: its registration policy at index 0 and its trust anchors at index 1, both public,
//! in one batch (RFC 9943 section 5.1.1.1). No checkpoint of a smaller tree is ever published.

use treering_provenance::bytes::{Bytes, Fixed};
use treering_provenance::content::{HardwareRoot, RegistrationPolicy, Role as RoleKey, TrustAnchors, V1};
use treering_provenance::cose::{CoseError, VerifyingKey};

use crate::keys::Role;
use crate::ledger::{Conditions, Ledger, LedgerError, Logged};

/// Why a log could not be begun.
#[derive(Debug, thiserror::Error)]
pub enum GenesisError {
    /// A key of ours.
    #[error(transparent)]
    Cose(#[from] CoseError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// What the two statements say, beside what the ledger knows.
pub struct Genesis<'a> {
    /// Who may register what.
    pub registration: RegistrationPolicy,
    /// The name of the service in the binding.
    pub rp_id: String,
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
        rp_id: genesis.rp_id.clone(),
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
    let policy = ledger.prepare_public(Role::Ledger, &genesis.registration, now)?;
    let anchors = ledger.prepare_public(Role::Ledger, &trust_anchors(ledger, genesis)?, now)?;
    Ok(ledger.commit(vec![policy, anchors], Conditions::default()).await?)
}
