//! The workload's side of mechanism C, W-CA-V: make a key, get a challenge, have evidence made that is bound to both,
//! ask for the credential. The key never leaves.

use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use treering_provenance::bytes::Bytes;
use zeroize::Zeroizing;

use crate::attester::{Attestation, Attester, EvidenceItem};
use crate::binding::binding_value;
use crate::verifier::{CRL_TYPE, Collateral, Document, Evidence};
use crate::wire::{CredentialRequest, CredentialResponse, collection};

use super::{Client, ClientError};

/// What an Attester handed over, as a Verifier takes it.
pub fn evidence_of(attestation: Attestation) -> Result<(Evidence, Collateral), ClientError> {
    let setup = |error: &dyn std::fmt::Display| ClientError::Setup(error.to_string());
    let evidence = Evidence::new(attestation.items()).map_err(|error| setup(&error))?;
    let (crls, documents): (Vec<_>, Vec<_>) =
        attestation.documents.into_iter().partition(|item| item.media_type == CRL_TYPE);
    let document = |item: EvidenceItem| {
        let media_type = item.media_type.to_owned();
        Document { media_type, bytes: item.bytes }
    };
    let crls = crls.into_iter().map(|item| item.bytes).collect();
    let collateral = Collateral::new(attestation.endorsements, crls)
        .and_then(|collateral| collateral.with_documents(documents.into_iter().map(document).collect()))
        .map_err(|error| setup(&error))?;
    Ok((evidence, collateral))
}

/// A credential and its key.
pub struct Acquired {
    /// What the service answered.
    pub response: CredentialResponse,
    /// The private key, PKCS#8 in PEM.
    pub key: Zeroizing<String>,
}

impl Client {
    /// Acquires a credential. `rp_id` is the name that the workload is configured to speak to: a service that goes by
    /// another one is refused, since evidence for it could be relayed (TACRA, server substitution).
    pub async fn acquire(
        &self,
        attester: &dyn Attester,
        target: &str,
        rp_id: &str,
    ) -> Result<Acquired, ClientError> {
        let setup = |error: &dyn std::fmt::Display| ClientError::Setup(error.to_string());
        let key = KeyPair::generate().map_err(|error| setup(&error))?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let csr = params.serialize_request(&key).map_err(|error| setup(&error))?.der().to_vec();

        let challenge = self.challenge(target).await?;
        if challenge.rp_id != rp_id {
            let reason = format!("the service calls itself `{}`, want `{rp_id}`", challenge.rp_id);
            return Err(ClientError::Setup(reason));
        }
        let binding = binding_value(&challenge.challenge.0, target, rp_id, &csr);
        let attestation = attester.report(&binding).map_err(|error| setup(&error))?;
        let (evidence, collateral) = evidence_of(attestation)?;
        let request = CredentialRequest {
            challenge: challenge.challenge,
            target: target.to_owned(),
            csr: Bytes(csr),
            evidence: collection(&evidence, &collateral),
        };
        let response = self.post_json("/v1/credentials", &request).await?;
        Ok(Acquired { response, key: Zeroizing::new(key.serialize_pem()) })
    }
}
