//! The verdict of `dcap-qvl`, taken apart.
//!
//! The crate goes through its steps in one order and stops at the first that fails, with a text. The table [`CAUSES`]
//! says which step and which check a text belongs to; what comes after that step was not looked at, and no check says
//! that it was. Each text is made to come about by a test, or named there with why it cannot
//! (`tests/it/verifier/causes.rs`).

use dcap_qvl::verify::QuoteVerifier;
use dcap_qvl::{QuoteClaims, QuotePolicy};
use treering_provenance::x509::{Profile, verify_path};

use super::collateral::Chosen;
use super::provider::Aws;
use super::quote::Quote;

/// The steps of `dcap-qvl`, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// The CRLs are read; the root is not on its own.
    Crls,
    /// TCB information: dates, certificate, signature.
    TcbInfo,
    /// Identity of the quoting enclave: the same.
    QeIdentity,
    /// The certificates of the PCK.
    PckChain,
    /// The PCK's signature on the QE's report.
    QeReport,
    /// The QE's report is over the attestation key.
    AttestationKey,
    /// The QE is the one of the identity.
    QeMatch,
    /// The attestation key's signature on the quote.
    Signature,
    /// A TCB level that the platform has.
    TcbLevel,
    /// The TDX module is Intel's.
    Module,
    /// The TCB level that a TD has by now; and none is revoked.
    CurrentLevel,
    /// Attributes of the TD.
    Attributes,
}

/// Which text of an error belongs to which step and check. The first that occurs in it counts.
const CAUSES: &[(&str, Step, &str)] = &[
    ("CrlExpired", Step::Crls, VALIDITY),
    ("CertExpired", Step::Crls, VALIDITY),
    ("CertNotValidYet", Step::Crls, VALIDITY),
    ("TCB Info issue date", Step::TcbInfo, "collateral"),
    ("TCB Info next update", Step::TcbInfo, "collateral"),
    ("TCBInfo issue date is in the future", Step::TcbInfo, VALIDITY),
    ("TCBInfo expired", Step::TcbInfo, VALIDITY),
    ("QE Identity issue date is in the future", Step::QeIdentity, VALIDITY),
    ("QE Identity expired", Step::QeIdentity, VALIDITY),
    ("Failed to load root ca", Step::Crls, "root"),
    ("root CA CRL", Step::Crls, "revocation"),
    ("PCK CRL", Step::Crls, "revocation"),
    ("Crl", Step::Crls, "revocation"),
    ("CertRevoked", Step::Crls, "revocation"),
    ("UnknownRevocationStatus", Step::Crls, "revocation"),
    ("decode TcbInfo", Step::TcbInfo, "collateral"),
    ("TCB Info signer", Step::TcbInfo, "collateral-signature"),
    ("chain is too short for TCB Info", Step::TcbInfo, "collateral-signature"),
    ("TCB Info leaf", Step::TcbInfo, "collateral-signature"),
    ("invalid for tcb_info", Step::TcbInfo, "collateral-signature"),
    ("decode QeIdentity", Step::QeIdentity, "collateral"),
    ("QE Identity issue date", Step::QeIdentity, "collateral"),
    ("QE Identity next update", Step::QeIdentity, "collateral"),
    ("QE Identity signer", Step::QeIdentity, "collateral-signature"),
    ("chain is too short for QE Identity", Step::QeIdentity, "collateral-signature"),
    ("QE Identity leaf", Step::QeIdentity, "collateral-signature"),
    ("invalid for qe_identity", Step::QeIdentity, "collateral-signature"),
    ("Unsupported QE Identity", Step::QeIdentity, "collateral"),
    ("PCK cert", Step::PckChain, "chain"),
    ("chain is too short in quote", Step::PckChain, "chain"),
    ("Intel extension", Step::PckChain, "chain"),
    ("invalid for qe_report", Step::QeReport, "qe-report"),
    ("decode QE report", Step::QeReport, "qe-report"),
    ("QE auth data", Step::AttestationKey, "attestation-key"),
    ("QE report hash", Step::AttestationKey, "attestation-key"),
    ("QE MRSIGNER", Step::QeMatch, "qe-identity"),
    ("QE report validation", Step::QeMatch, "qe-identity"),
    ("QE ISVPRODID", Step::QeMatch, "qe-identity"),
    ("QE MISCSELECT", Step::QeMatch, "qe-identity"),
    ("QE ATTRIBUTES", Step::QeMatch, "qe-identity"),
    ("QE ISVSVN", Step::QeMatch, "qe-identity"),
    ("in QE Identity", Step::QeMatch, "qe-identity"),
    ("ISV enclave report signature", Step::Signature, "signature"),
    ("signed quote scope", Step::Signature, "signature"),
    ("current TDX TCB", Step::CurrentLevel, "tcb-level"),
    ("Revoked", Step::CurrentLevel, "tcb-level"),
    ("TDX module", Step::Module, "tdx-module"),
    ("tdxModule", Step::Module, "tdx-module"),
    ("Fmspc mismatch", Step::TcbLevel, "tcb-level"),
    ("TCB FMSPC", Step::TcbLevel, "tcb-level"),
    ("TCB info in the collateral", Step::TcbLevel, "tcb-level"),
    ("No matching TCB level", Step::TcbLevel, "tcb-level"),
    ("component count mismatch", Step::TcbLevel, "tcb-level"),
    ("in TCB Info", Step::TcbLevel, "tcb-level"),
    ("tcbDate", Step::TcbLevel, "tcb-level"),
    ("platform TCB date", Step::TcbLevel, "tcb-level"),
    ("TD migration", Step::Attributes, "migration"),
    ("TD attributes", Step::Attributes, "td-attributes"),
    ("SEPT_VE_DISABLE", Step::Attributes, "td-attributes"),
    ("SERVTD_EXT", Step::Attributes, "service-td"),
    ("MR service TD", Step::Attributes, "service-td"),
    ("for claims", Step::Crls, "revocation"),
    ("CRL number", Step::Crls, "revocation"),
];
/// The check of times.
pub(super) const VALIDITY: &str = "validity";

/// Why it stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stop {
    step: Step,
    check: &'static str,
    text: String,
}

/// What came out.
#[derive(Debug, Clone)]
pub(in crate::verifier) struct Verdict {
    claims: Option<Box<QuoteClaims>>,
    /// Where it stopped.
    stop: Option<Stop>,
    begun: bool,
}

/// What the verdict says of one check.
pub(super) enum Answer<'a> {
    Holds,
    Fails(&'a str),
    NotReached,
}

impl Verdict {
    /// No verdict: something that it needs is missing.
    pub(super) fn not_begun() -> Self {
        Self { claims: None, stop: None, begun: false }
    }

    /// What was verified, if all of it was.
    pub(in crate::verifier) fn claims(&self) -> Option<&QuoteClaims> {
        self.claims.as_deref()
    }

    /// What it says of the check that this step decides.
    pub(super) fn answer(&self, step: Step, check: &str) -> Answer<'_> {
        match &self.stop {
            _ if !self.begun => Answer::NotReached,
            None => Answer::Holds,
            Some(stop) if stop.check == check => Answer::Fails(&stop.text),
            Some(stop) if stop.step > step => Answer::Holds,
            Some(_) => Answer::NotReached,
        }
    }
}

/// Verifies a quote at an instant; if the collateral is of another time, at that, so that one sees what else is wrong.
/// Whether it may be of another time is for the checks `validity` and `freshness`.
pub(super) fn of(quote: &Quote, root: &[u8], chosen: &Chosen, now: u64) -> Verdict {
    let instant = chosen.instant(now);
    // What the crate may be told to let pass has a check of its own here; its policies do not decide anything.
    let verifier =
        QuoteVerifier::<Aws>::new_with_config(root.to_vec()).allow_debug(true).allow_service_td(true);
    let policy = QuotePolicy::claims_only(instant);
    match verifier.verify_with_policy(quote.raw(), &chosen.v3, instant, &policy) {
        Ok(claims) => Verdict { claims: Some(Box::new(claims)), stop: None, begun: true },
        Err(error) => {
            let text = format!("{error:#}");
            let (step, check) = cause(&text).unwrap_or_else(|| whose_chain(quote));
            Verdict { claims: None, stop: Some(Stop { step, check, text }), begun: true }
        }
    }
}

fn cause(text: &str) -> Option<(Step, &'static str)> {
    let found = CAUSES.iter().find(|(part, _, _)| text.contains(part))?;
    Some((found.1, found.2))
}

/// What is left are errors of paths of certificates, which do not say whose: the quote's, if that one does not hold.
fn whose_chain(quote: &Quote) -> (Step, &'static str) {
    let parsed: Vec<Profile> =
        quote.certificates().iter().filter_map(|der| Profile::parse(der).ok()).collect();
    let [leaf, issuer, root] = parsed.as_slice() else { return (Step::Crls, "chain") };
    let links: Vec<(&[u8], &Profile)> =
        quote.certificates().iter().map(Vec::as_slice).zip([leaf, issuer]).collect();
    match verify_path(&links, &[root]) {
        Ok(_) => (Step::TcbInfo, "collateral-signature"),
        Err(_) => (Step::Crls, "chain"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each text leads to the check that it names, not to an earlier line of the table that occurs in it too.
    #[test]
    fn every_cause_is_found_by_its_own_text() {
        for (text, step, check) in CAUSES {
            assert_eq!(cause(text), Some((*step, *check)), "{text}");
        }
        assert_eq!(cause("UnknownIssuer"), None, "whose, the text does not say");
    }
}
