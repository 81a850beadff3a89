//! The verdict of a relying party on a credential, or on a statement, offline.
//!
//! In scope: X.509 credentials ([`verify_x509`]): certificate, proof, statement, receipt, checkpoint, witnesses, proof
//! of possession, against a trust file and a time; statements of an issuer that the relying party knows, with their
//! receipts ([`verify_statement`]). The verdict lists what was checked and always what was not.
//! Out of scope: fetching anything; contents (an auditor's business); whether a credential was revoked since.

mod chain;
mod proof;
mod statement;

use serde::Serialize;

use crate::{
    content::{Claim, Claims},
    cose::VerifyingKey,
    trust::Trust,
    x509::{Profile, ProfileError, X509Error},
};

pub use statement::{StatementOptions, verify_statement};

/// Domain tag of a proof of possession: what the certificate's key signs is this, followed by the challenge.
pub const POP_TAG: &[u8] = b"treering-pop-v1";
/// The longest challenge.
pub const MAX_CHALLENGE_BYTES: usize = 1024;
/// The name under which a certificate's claims say how much the evidence is worth.
pub const CLAIM_ASSURANCE: &str = "assurance";

/// Names of checks, as verdicts list them.
pub mod check {
    /// The bytes are a signed statement.
    pub const STATEMENT: &str = "statement";
    /// The certificate is DER, of the workload profile.
    pub const CERTIFICATE: &str = "certificate";
    /// One URI SAN in the trust domain, and the one expected.
    pub const IDENTIFIER: &str = "identifier";
    /// The time is within the validity of the certificate and its issuers.
    pub const VALIDITY: &str = "validity";
    /// The chain of signatures up to a pinned CA.
    pub const ISSUER_SIGNATURE: &str = "issuer-signature";
    /// One proof extension, in its place.
    pub const PROOF_EXTENSION: &str = "proof-extension";
    /// The statement is signed by who may: an issuance by who may issue, another by the issuer asked for.
    pub const STATEMENT_SIGNATURE: &str = "statement-signature";
    /// The statement is meant for this log.
    pub const AUDIENCE: &str = "audience";
    /// The statement commits to this very certificate.
    pub const COMMITMENT: &str = "credential-commitment";
    /// The statement is in the log: signature, origin, size, path.
    pub const RECEIPT: &str = "receipt";
    /// The log's key signed the same checkpoint.
    pub const CHECKPOINT: &str = "checkpoint";
    /// The statements that the issuance names are in the log.
    pub const PARENTS: &str = "parents";
    /// A quorum of witnesses cosigned the checkpoint.
    pub const WITNESSES: &str = "witnesses";
    /// Who presents the certificate holds its key.
    pub const POSSESSION: &str = "proof-of-possession";
    /// Whether it was revoked or quarantined since. Never checked here.
    pub const REVOCATION: &str = "revocation";
    /// What evidence, reference values and policies say. Never checked here: they are confidential.
    pub const CONTENT: &str = "content";
}

/// A relying party's conclusion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// All that was checked holds.
    Trustworthy,
    /// Something that is well formed contradicts.
    Untrusted,
    /// The input is not a credential, or not a statement, at all.
    CannotEvaluate,
}

impl Outcome {
    /// The exit code of a command that ends with this outcome.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Trustworthy => 0,
            Self::Untrusted => 1,
            Self::CannotEvaluate => 2,
        }
    }

    /// The text in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trustworthy => "trustworthy",
            Self::Untrusted => "untrusted",
            Self::CannotEvaluate => "cannot-evaluate",
        }
    }
}

/// One check, with what it found or why it was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    name: &'static str,
    detail: String,
}

impl Check {
    /// Its name: one of [`check`].
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// What it found, for a person.
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

/// The verdict on a credential or a statement.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    #[serde(rename = "verdict")]
    outcome: Outcome,
    checked: Vec<Check>,
    not_checked: Vec<Check>,
    failed: Option<Check>,
    credential: Option<Credential>,
    log: Option<LogPosition>,
}

impl Verdict {
    /// The conclusion.
    pub const fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// What was checked and holds, in order.
    pub fn checked(&self) -> &[Check] {
        &self.checked
    }

    /// What was not checked, and why.
    pub fn not_checked(&self) -> &[Check] {
        &self.not_checked
    }

    /// The check that failed.
    pub const fn failed(&self) -> Option<&Check> {
        self.failed.as_ref()
    }

    /// What the certificate says, once its issuer's signature holds.
    pub const fn credential(&self) -> Option<&Credential> {
        self.credential.as_ref()
    }

    /// Where it was logged, once its receipt holds.
    pub const fn log(&self) -> Option<&LogPosition> {
        self.log.as_ref()
    }
}

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Credential {
    /// The workload identifier.
    pub identifier: String,
    /// The serial number, hex.
    pub serial: String,
    /// Unix seconds.
    pub not_before: u64,
    /// Unix seconds.
    pub not_after: u64,
    /// Such as `simulated`: how much the evidence is worth.
    pub assurance: Option<String>,
    /// All claims.
    pub claims: Claims,
}

/// Where a credential was logged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogPosition {
    /// The log's origin.
    pub origin: String,
    /// Position of the issuance.
    pub index: u64,
    /// Leaves of the tree it was proven in.
    pub size: u64,
    /// Root of that tree, base64.
    pub root: String,
    /// The issuance's entry id, base64url: with it the entry is found at the log.
    pub entry_id: String,
    /// Who issued.
    pub issuer: String,
    /// Unix seconds of each witness's cosignature.
    pub witnessed: Vec<(String, u64)>,
}

/// A proof of possession: the certificate's key over [`POP_TAG`] and a challenge of the relying party.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Possession<'a> {
    /// The challenge.
    pub challenge: &'a [u8],
    /// ECDSA P-256 with SHA-256, as r || s or as DER.
    pub signature: &'a [u8],
}

/// What a relying party wants to know beside the trust file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifyOptions<'a> {
    /// Unix seconds.
    pub now: u64,
    /// The workload identifier that the peer must have.
    pub identifier: Option<&'a str>,
    /// The peer's proof of possession.
    pub possession: Option<Possession<'a>>,
}

/// What the certificate's key signs to prove possession.
pub fn possession_message(challenge: &[u8]) -> Vec<u8> {
    [POP_TAG, challenge].concat()
}

/// Verifies an X.509 credential: the workload's certificate first, then its intermediates, DER.
///
/// 1. The workload's certificate is no X.509: cannot evaluate. 2. It is not of the profile, or has another identifier
///    than wanted: untrusted. 3. No chain of valid signatures and dates to a pinned CA: untrusted. 4. No proof, or not in
///    its place: untrusted. 5. The statement is not an issuance for this log by who may issue, or does not commit to
///    this certificate: untrusted. 6. The receipt, the checkpoint, an embedded parent or the quorum fails: untrusted.
///    7. The proof of possession fails: untrusted.
pub fn verify_x509<C: AsRef<[u8]>>(chain: &[C], trust: &Trust, options: &VerifyOptions<'_>) -> Verdict {
    let mut run = Run::new();
    let result = run.x509(chain, trust, options);
    run.conclude(result)
}

/// Why a run stopped.
struct Stop {
    outcome: Outcome,
    check: Check,
}

#[expect(clippy::needless_pass_by_value, reason = "callers hand over what they found")]
fn untrusted(name: &'static str, detail: impl ToString) -> Stop {
    Stop { outcome: Outcome::Untrusted, check: Check { name, detail: detail.to_string() } }
}

#[expect(clippy::needless_pass_by_value, reason = "callers hand over what they found")]
fn cannot_evaluate(name: &'static str, detail: impl ToString) -> Stop {
    Stop { outcome: Outcome::CannotEvaluate, check: Check { name, detail: detail.to_string() } }
}

/// A verdict in the making.
struct Run {
    checked: Vec<Check>,
    not_checked: Vec<Check>,
    credential: Option<Credential>,
    log: Option<LogPosition>,
}

impl Run {
    fn empty() -> Self {
        Self { checked: Vec::new(), not_checked: Vec::new(), credential: None, log: None }
    }

    fn new() -> Self {
        let mut run = Self::empty();
        run.skip(check::REVOCATION, "needs the log's current status");
        run.skip(
            check::CONTENT,
            "evidence, reference values and policies are confidential: an auditor reads them",
        );
        run
    }

    #[expect(clippy::needless_pass_by_value, reason = "callers hand over what they found")]
    fn pass(&mut self, name: &'static str, detail: impl ToString) {
        self.checked.push(Check { name, detail: detail.to_string() });
    }

    #[expect(clippy::needless_pass_by_value, reason = "callers hand over what they found")]
    fn skip(&mut self, name: &'static str, detail: impl ToString) {
        self.not_checked.push(Check { name, detail: detail.to_string() });
    }

    fn conclude(self, result: Result<(), Stop>) -> Verdict {
        let (outcome, failed) = match result {
            Ok(()) => (Outcome::Trustworthy, None),
            Err(stop) => (stop.outcome, Some(stop.check)),
        };
        let Self { checked, not_checked, credential, log } = self;
        Verdict { outcome, checked, not_checked, failed, credential, log }
    }

    fn x509<C: AsRef<[u8]>>(
        &mut self,
        chain: &[C],
        trust: &Trust,
        options: &VerifyOptions<'_>,
    ) -> Result<(), Stop> {
        let mut certificates = chain.iter().map(AsRef::as_ref);
        let leaf =
            certificates.next().ok_or_else(|| cannot_evaluate(check::CERTIFICATE, "no certificate"))?;
        // (1) and (2)
        let profile = Profile::parse(leaf).map_err(|error| match error {
            // Well formed, and not to be believed: the proof is there twice, critical or out of place.
            ProfileError::Der(X509Error::Position | X509Error::Critical | X509Error::DuplicateExtension) => {
                untrusted(check::PROOF_EXTENSION, error)
            }
            _ => cannot_evaluate(check::CERTIFICATE, error),
        })?;
        profile.check_workload().map_err(|error| untrusted(check::CERTIFICATE, error))?;
        let key = profile.key().map_err(|error| untrusted(check::CERTIFICATE, error))?;
        self.pass(check::CERTIFICATE, "of the workload profile, P-256");
        let identifier = self.identifier(&profile, trust, options)?;
        // (3)
        let issuer_spki =
            chain::verify(self, (leaf, &profile), &certificates.collect::<Vec<_>>(), trust, options.now)?;
        self.credential = Some(describe(&profile, identifier)?);
        // (4) to (6)
        proof::verify(self, leaf, &issuer_spki, trust)?;
        // (7)
        self.possession(&key, options)
    }

    fn identifier(
        &mut self,
        profile: &Profile,
        trust: &Trust,
        options: &VerifyOptions<'_>,
    ) -> Result<String, Stop> {
        let uri = profile.uri(trust.trust_domain()).map_err(|error| untrusted(check::IDENTIFIER, error))?;
        match options.identifier {
            Some(wanted) if wanted != uri => {
                return Err(untrusted(check::IDENTIFIER, format!("is `{uri}`, want `{wanted}`")));
            }
            Some(_) => self.pass(check::IDENTIFIER, format!("{uri}, as expected")),
            None => self.pass(check::IDENTIFIER, format!("{uri}, in the trust domain")),
        }
        Ok(uri)
    }

    fn possession(&mut self, key: &VerifyingKey, options: &VerifyOptions<'_>) -> Result<(), Stop> {
        let Some(possession) = options.possession else {
            self.skip(check::POSSESSION, "no challenge was answered: a copy of the certificate would pass");
            return Ok(());
        };
        if possession.challenge.len() > MAX_CHALLENGE_BYTES {
            return Err(cannot_evaluate(
                check::POSSESSION,
                format!("challenge exceeds {MAX_CHALLENGE_BYTES} bytes"),
            ));
        }
        let message = possession_message(possession.challenge);
        if !chain::ecdsa_p256_verifies(key, &message, possession.signature) {
            return Err(untrusted(check::POSSESSION, "the certificate's key did not sign the challenge"));
        }
        self.pass(check::POSSESSION, "the certificate's key signed the challenge");
        Ok(())
    }
}

fn describe(profile: &Profile, identifier: String) -> Result<Credential, Stop> {
    let claims = profile.claims().map_err(|error| untrusted(check::CERTIFICATE, error))?.unwrap_or_default();
    let assurance = match claims.get(CLAIM_ASSURANCE) {
        Some(Claim::Text(text)) => Some(text.clone()),
        _ => None,
    };
    let (not_before, not_after) = profile.validity();
    let serial = data_encoding::HEXLOWER.encode(profile.serial());
    Ok(Credential { identifier, serial, not_before, not_after, assurance, claims })
}
