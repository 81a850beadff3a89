//! The rules of registration, pure: the same statement under the same policy, with the same content, at the same
//! time is always decided in the same way, by the service and, years later, by an auditor (RFC 9943 section 5.1.1.2).
//!
//! In scope: steps 1 to 7 of the room's head. Out of scope: finding content and entries; no I/O and no clock here.

use std::ops::RangeInclusive;

use treering_provenance::content::{AnyContent, PolicyType, RegisteredIssuer, RegistrationPolicy};
use treering_provenance::envelope::Plaintext;
use treering_provenance::issuer::KnownIssuer;
use treering_provenance::statement::{Body, Kind, Statement};
use treering_tlog::hash::Hash;

use crate::governance::appraisal_references;
use crate::ident::{TrustDomain, WorkloadIdentifier};
use crate::mapper::Manifest;
use crate::verifier::AppraisalPolicy;

use super::RegistrationError;

/// How far a client's clock may be from ours.
pub const MAX_SKEW_S: u64 = 300;

fn reject<T>(reason: impl Into<String>) -> Result<T, RegistrationError> {
    Err(RegistrationError::Rejected(reason.into()))
}

/// Step 1: size and form of what a client sends.
pub fn submission(policy: &RegistrationPolicy, bytes: &[u8]) -> Result<Statement, RegistrationError> {
    let want = policy.max_statement_bytes;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > want {
        return Err(RegistrationError::Malformed(format!("{} octets, the policy takes {want}", bytes.len())));
    }
    Ok(Statement::parse_submission(bytes)?)
}

/// The keys and trust anchors of a policy's issuers, read once: reading a key takes a fifth of the time of a
/// verification.
#[derive(Debug)]
pub struct IssuerKeys {
    /// In the order of the policy's issuers.
    known: Vec<Result<KnownIssuer, String>>,
}

impl IssuerKeys {
    /// Reads the keys of all issuers. One that cannot be read refuses its issuer's statements, and nobody else's.
    pub fn of(policy: &RegistrationPolicy) -> Self {
        let known = policy.issuers.iter().map(|issuer| issuer.known().map_err(|error| error.to_string()));
        Self { known: known.collect() }
    }
}

/// Steps 2 to 5. The service knows the instant, an auditor what it lies between: then there must be one instant at
/// which all of them hold.
pub fn header<'a>(
    policy: &'a RegistrationPolicy,
    keys: &IssuerKeys,
    statement: &Statement,
    when: RangeInclusive<u64>,
) -> Result<(&'a RegisteredIssuer, Kind), RegistrationError> {
    let (issuer, when) = issuer(policy, keys, statement, when)?;
    let kind = kind(policy, statement, issuer, &when)?;
    Ok((issuer, kind))
}

/// Steps 2 and 3: the issuer, its signature, and when it could be given.
fn issuer<'a>(
    policy: &'a RegistrationPolicy,
    keys: &IssuerKeys,
    statement: &Statement,
    when: RangeInclusive<u64>,
) -> Result<(&'a RegisteredIssuer, RangeInclusive<u64>), RegistrationError> {
    let algorithm = statement.algorithm().id();
    if !policy.algs.contains(&algorithm) {
        return Err(RegistrationError::Algorithm(format!("{algorithm}, want one of {:?}", policy.algs)));
    }
    let name = statement.issuer();
    let mut issuers = policy.issuers.iter().zip(&keys.known);
    let Some((issuer, known)) = issuers.find(|(issuer, _)| issuer.iss == name) else {
        return reject(format!("the registration policy does not name the issuer `{name}`"));
    };
    let known = known.as_ref().map_err(|error| RegistrationError::Rejected(error.clone()))?;
    match known.check(statement, when) {
        Ok(when) => Ok((issuer, when)),
        Err(error) if error.is_malformed() => Err(RegistrationError::Malformed(error.to_string())),
        Err(error) => reject(error.to_string()),
    }
}

/// The leaf hash of a statement's other spelling, which must not be in the log before it. There is one only where the
/// policy takes both spellings of an issuer's ECDSA signatures.
pub fn other_spelling(
    issuer: &RegisteredIssuer,
    statement: &Statement,
) -> Result<Option<Hash>, RegistrationError> {
    if issuer.high_s { Ok(statement.twin()?) } else { Ok(None) }
}

/// Refuses a statement whose other spelling was found in the log, at this index.
pub fn check_spelling(found: Option<u64>) -> Result<(), RegistrationError> {
    found.map_or(Ok(()), |index| {
        reject(format!("entry {index} is this statement, its signature with the other S: use that one"))
    })
}

/// Steps 4 and 5: the kind.
fn kind(
    policy: &RegistrationPolicy,
    statement: &Statement,
    issuer: &RegisteredIssuer,
    when: &RangeInclusive<u64>,
) -> Result<Kind, RegistrationError> {
    let origin = policy.origin.as_str();
    let foreign = statement.kind().is_none();
    // A foreign client may leave `aud` out; a statement meant for another log says nothing in this one.
    if statement.audience().map_or(!foreign, |audience| audience != origin) {
        let got = statement.audience().unwrap_or("absent");
        return reject(format!("aud is `{got}`, want `{origin}`"));
    }
    // Without our label the policy tells the kind, and only of what decides nothing.
    let kind = match (statement.kind(), issuer.kinds.as_slice()) {
        (Some(kind), _) => kind,
        (None, [kind @ Kind::WorkloadProvenance]) if issuer.public => *kind,
        _ => {
            return reject("the statement has no `treering` label, and the policy does not tell its kind");
        }
    };
    if let Some(issued_at) = statement.issued_at()
        && (issued_at.saturating_add(MAX_SKEW_S) < *when.start()
            || issued_at > when.end().saturating_add(MAX_SKEW_S))
    {
        let (from, to) = (when.start(), when.end());
        let wanted = if from == to { from.to_string() } else { format!("{from} to {to}") };
        return reject(format!("iat is {issued_at}, want {wanted} within {MAX_SKEW_S} s"));
    }
    if !issuer.kinds.contains(&kind) {
        return reject(format!("`{}` may not register statements of kind {kind}", issuer.iss));
    }
    Ok(kind)
}

fn parse(media_type: &str, body: &[u8]) -> Result<Option<AnyContent>, RegistrationError> {
    AnyContent::parse(media_type, body)
        .map_err(|error| RegistrationError::Rejected(format!("content: {error}")))
}

/// Step 6 for a plain payload; `None` for one of unknown type.
pub fn plain(
    statement: &Statement,
    kind: Kind,
    issuer: &RegisteredIssuer,
) -> Result<Option<AnyContent>, RegistrationError> {
    let Body::Public { content_type, bytes } = statement.body() else {
        return reject("the payload is not plain");
    };
    if !issuer.public {
        return reject("the registration policy takes no plain payloads from this issuer");
    }
    match parse(content_type.unwrap_or_default(), bytes)? {
        Some(content) if content.kind() != kind => {
            reject(format!("the payload is of kind {}", content.kind()))
        }
        None if statement.kind().is_some() => {
            reject(format!("payload of type `{}` is not of this kind", content_type.unwrap_or("none")))
        }
        found => Ok(found),
    }
}

/// Step 6 for confidential content that was opened, which checks its commitment.
pub fn opened(plaintext: &Plaintext, kind: Kind) -> Result<AnyContent, RegistrationError> {
    match parse(plaintext.media_type(), plaintext.body())? {
        Some(content) if content.kind() == kind => Ok(content),
        _ => reject(format!("content of type `{}` is not of this kind", plaintext.media_type())),
    }
}

/// A statement that another one names, and that must be in the log before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named {
    /// Its leaf hash.
    pub leaf: Hash,
    kinds: &'static [Kind],
}

impl Named {
    /// Whether what was found there (its index and kind) is what is wanted.
    pub fn check(&self, found: Option<(u64, Option<Kind>)>) -> Result<(), RegistrationError> {
        match found {
            None => reject(format!("the statement with leaf hash {} is not in the log", self.leaf.to_hex())),
            Some((_, Some(kind))) if self.kinds.contains(&kind) => Ok(()),
            Some((index, _)) => reject(format!(
                "entry {index} is not of kind {}",
                self.kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(" or ")
            )),
        }
    }
}

/// Step 7, but for the statements that the content names.
pub fn content(
    policy: &RegistrationPolicy,
    domain: &TrustDomain,
    content: &AnyContent,
    statement: &Statement,
) -> Result<Vec<Named>, RegistrationError> {
    match content {
        AnyContent::Policy(policy) => {
            check_policy(domain, policy.policy_type, &policy.name, &policy.body.0)?;
            Ok(Vec::new())
        }
        AnyContent::Approval(approval) => {
            if !policy.approvers.iter().any(|approver| approver == statement.issuer()) {
                return reject(format!("`{}` is not an approver", statement.issuer()));
            }
            let kinds = &[Kind::Policy, Kind::ReferenceValues];
            Ok(vec![Named { leaf: Hash::from(approval.policy), kinds }])
        }
        AnyContent::ReferenceValues(values) => {
            // As they will be read when they are in force.
            if let Err(reason) = appraisal_references(values, &statement.leaf()) {
                return reject(reason);
            }
            let kinds = &[Kind::WorkloadProvenance];
            let named = values.provenance.iter().map(|leaf| Named { leaf: Hash::from(*leaf), kinds });
            Ok(named.collect())
        }
        AnyContent::WorkloadProvenance(_) => Ok(Vec::new()),
        AnyContent::Abandoned(_)
        | AnyContent::Activation(_)
        | AnyContent::Appraisal(_)
        | AnyContent::Collateral(_)
        | AnyContent::Grant(_)
        | AnyContent::Issuance(_)
        | AnyContent::Mapping(_)
        | AnyContent::Refusal(_)
        | AnyContent::RegistrationPolicy(_)
        | AnyContent::TrustAnchors(_) => {
            reject(format!("statements of kind {} are made by the service, not registered", content.kind()))
        }
    }
}

fn check_policy(
    domain: &TrustDomain,
    kind: PolicyType,
    name: &str,
    body: &[u8],
) -> Result<(), RegistrationError> {
    let problem =
        |error: &dyn std::fmt::Display| RegistrationError::Rejected(format!("policy `{name}`: {error}"));
    match kind {
        PolicyType::Appraisal => {
            AppraisalPolicy::parse(body).map_err(|error| problem(&error))?;
        }
        PolicyType::Mapping => {
            let manifest = Manifest::parse(body).map_err(|error| problem(&error))?;
            let identifier: &WorkloadIdentifier = &manifest.identifier;
            if identifier.as_str() != name {
                return Err(problem(&format!("it is a manifest for {identifier}, want the name to be that")));
            }
            if identifier.trust_domain() != domain {
                return Err(problem(&format!("want the trust domain {domain}")));
            }
        }
        PolicyType::Issuance | PolicyType::KeyRelease | PolicyType::ReferenceValues => {
            return Err(problem(&format!("policies of type {} are not taken", kind.as_str())));
        }
    }
    Ok(())
}
