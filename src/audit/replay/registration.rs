//! A registration made again: somebody else's statement against the registration policy at index 0, by the rules that
//! the service decided by.
//!
//! The one thing that those ask and that the log does not hold is the instant. The rules are asked at both ends of the
//! interval that the log proves. What they ask of the instant is always to lie within some span, so what is accepted at
//! both ends is accepted everywhere between.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use treering_provenance::content::RegistrationPolicy;
use treering_provenance::envelope::Plaintext;
use treering_provenance::statement::{Body, Kind, Statement};
use treering_tlog::hash::Hash;

use crate::governance::RegistrationError;
use crate::governance::rules::{self, IssuerKeys};
use crate::ident::TrustDomain;

use super::instants::{Around, shown};
use super::report::Outcome;

/// What was found in the log before an entry, by leaf hash: index and kind.
pub(super) type Before = BTreeMap<Hash, (u64, Option<Kind>)>;

/// What a registration was decided from, but for the policy.
pub(super) struct Registration {
    pub(super) around: Around,
    /// The content, if it is confidential, or why it was not opened.
    pub(super) opened: Option<Result<Plaintext, String>>,
    /// What its content names and the log had, and the statement's other spelling, if the log had that.
    pub(super) before: Before,
}

/// The policy that registrations are judged by.
pub(super) struct Registrar<'a> {
    pub(super) policy: &'a RegistrationPolicy,
    pub(super) keys: IssuerKeys,
    pub(super) domain: TrustDomain,
}

impl Registrar<'_> {
    /// Decides again.
    pub(super) fn judge(&self, statement: &Statement, registration: &Registration) -> Outcome {
        let Some(interval) = registration.around.interval() else {
            let Around { before, after } = registration.around;
            return Outcome::Undetermined(format!(
                "the service's own statements contradict each other: one before it is of {}, one behind it of {}",
                crate::clock::rfc3339(before),
                crate::clock::rfc3339(after)
            ));
        };
        let refused = |error: RegistrationError| Outcome::Differs(format!("the policy refuses it: {error}"));
        let (start, end) = (*interval.start(), *interval.end());
        let ends = [start..=start, end..=end];
        let at_ends = ends.map(|when| self.accept(statement, registration, when));
        let [first, last] = at_ends;
        let Err(error) = first.and(last) else {
            // Who signed what kind, and when, is decided without the content; more is not known then.
            return match &registration.opened {
                Some(Err(reason)) => Outcome::NotOpened(reason.clone()),
                _ => Outcome::Identical,
            };
        };
        match self.accept(statement, registration, interval.clone()) {
            Err(error) => refused(error),
            Ok(()) => Outcome::Undetermined(format!(
                "accepted or not, by when between {} it was registered: {error}",
                shown(&interval)
            )),
        }
    }

    /// Steps 1 to 7 of the rules; without the content, steps 1 to 5.
    fn accept(
        &self,
        statement: &Statement,
        registration: &Registration,
        when: RangeInclusive<u64>,
    ) -> Result<(), RegistrationError> {
        let statement = rules::submission(self.policy, statement.entry())?;
        let (issuer, kind) = rules::header(self.policy, &self.keys, &statement, when)?;
        if let Some(twin) = rules::other_spelling(issuer, &statement)? {
            rules::check_spelling(registration.before.get(&twin).map(|(index, _)| *index))?;
        }
        let content = match (statement.body(), &registration.opened) {
            (Body::Hashed { .. }, Some(Ok(opened))) => Some(rules::opened(opened, kind)?),
            (Body::Hashed { .. }, Some(Err(_))) => None,
            _ => rules::plain(&statement, kind, issuer)?,
        };
        let Some(content) = content else { return Ok(()) };
        for named in rules::content(self.policy, &self.domain, &content, &statement)? {
            named.check(registration.before.get(&named.leaf).copied())?;
        }
        Ok(())
    }
}
