//! The credential that a trace begins with: it is verified as a relying party would have done when it was issued, and
//! compared with what the log says of it, since an auditor of a forgery must not be told a true story.

use sha2::{Digest, Sha256};
use treering_provenance::proof::CredentialProof;
use treering_provenance::statement::Statement;
use treering_provenance::trust::Trust;
use treering_provenance::verify::{Outcome, VerifyOptions, verify_x509};
use treering_provenance::x509::{self, Profile};

use crate::authority::BoundKey;

use super::{Trace, TraceError};

/// The issuance statement in a credential that verifies.
pub(super) fn issuance_of(credential: &[u8], trust: &Trust) -> Result<Statement, TraceError> {
    let bad = |error: &dyn std::fmt::Display| TraceError::Credential(error.to_string());
    let parts = x509::split_certificate(credential).map_err(|error| bad(&error))?;
    let proof = x509::proof(parts.tbs).map_err(|error| bad(&error))?;
    let proof = proof.ok_or_else(|| TraceError::Credential("it carries no proof".to_owned()))?;
    let proof = CredentialProof::parse(proof).map_err(|error| bad(&error))?;
    let statement = Statement::parse(&proof.statement).map_err(|error| bad(&error))?;
    let now = statement.issued_at().unwrap_or_default();
    let verdict =
        verify_x509(&[credential], trust, &VerifyOptions { now, identifier: None, possession: None });
    match (verdict.outcome(), verdict.failed()) {
        (Outcome::Trustworthy, _) => Ok(statement),
        (_, Some(check)) => Err(bad(&format!("{}: {}", check.name(), check.detail()))),
        (_, None) => Err(bad(&"it cannot be evaluated")),
    }
}

/// Whether certificate, header, request and contents tell one story.
pub(super) fn compare(
    credential: &[u8],
    trust_domain: &str,
    statement: &Statement,
    trace: &Trace,
) -> Result<(), TraceError> {
    let logged = &trace.materials;
    let profile = Profile::parse(credential).map_err(|error| TraceError::Credential(error.to_string()))?;
    let key: [u8; 32] = Sha256::digest(profile.spki()).into();
    let request = &logged.appraisal.binding;
    let issuance = &logged.issuance;
    let stories = [
        (
            profile.uri(trust_domain).is_ok_and(|uri| uri == issuance.identifier),
            "the certificate's identifier is not the logged one",
        ),
        (
            profile.claims().is_ok_and(|claims| claims.as_ref() == Some(&issuance.claims)),
            "the certificate's claims are not the logged ones",
        ),
        (
            profile.validity() == (issuance.not_before, issuance.not_after),
            "the certificate's validity is not the logged one",
        ),
        (issuance.serial.0 == profile.serial(), "the certificate's serial number is not the logged one"),
        (*issuance.spki_sha256.as_bytes() == key, "the certificate's key is not the logged one"),
        (requested_key(&request.subject.0) == Some(key), "the logged request is for another key"),
        (
            statement.parents() == [issuance.mapping, logged.mapping.appraisal],
            "the issuance's header names other parents than its content",
        ),
        (issuance.identifier == logged.mapping.identifier, "mapping and issuance name two identifiers"),
        (issuance.identifier == request.target, "another identifier was asked for"),
        (issuance.claims == logged.mapping.claims, "mapping and issuance have different claims"),
    ];
    match stories.into_iter().find(|(holds, _)| !holds) {
        Some((_, reason)) => Err(TraceError::Credential(reason.to_owned())),
        None => Ok(()),
    }
}

/// The SHA-256 of the key that signed a certification request.
fn requested_key(csr: &[u8]) -> Option<[u8; 32]> {
    Some(Sha256::digest(BoundKey::possessed(csr).ok()?.spki()).into())
}
