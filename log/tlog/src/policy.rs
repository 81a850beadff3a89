//! Trust policies of [C2SP tlog-policy](https://c2sp.org/tlog-policy): which logs, which witnesses, which quorum.
//!
//! In scope: the text, evaluating a quorum, verifying a checkpoint under a policy. Out of scope: reaching anyone; URLs are
//! carried as text.
//!
//! Names are UTF-8 here, which the specification strongly recommends but does not require; comments may be any octets.

mod parse;
mod quorum;

use std::borrow::Borrow;
use std::collections::BTreeSet;

use thiserror::Error;

use self::quorum::{Group, Quorum};
use crate::{
    checkpoint::{Checkpoint, CheckpointError},
    note::{KeyError, KeyType, Note, NoteError, VerifiedSignature, VerifierKey},
};

/// The longest policy text. 32 of each, which the specification asks for, are about 10 kB.
pub const MAX_POLICY_LEN: usize = 256 * 1024;

/// A trust policy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Policy {
    logs: Vec<PolicyLog>,
    witnesses: Vec<PolicyWitness>,
    groups: Vec<Group>,
    quorum: Quorum,
}

/// A log that is believed, if the quorum cosigns it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PolicyLog {
    /// Its key; the name of the key is the log's origin.
    pub key: VerifierKey,
    /// Where it may be reached.
    pub url: Option<String>,
}

/// A witness that counts towards the quorum.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PolicyWitness {
    /// Its name in this policy, not that of its key.
    pub name: String,
    /// Its cosignature key.
    pub key: VerifierKey,
    /// Where it may be reached: the submission prefix.
    pub url: Option<String>,
}

impl Policy {
    /// Parses a policy text.
    pub fn parse(bytes: &[u8]) -> Result<Self, PolicyError> {
        parse::parse(bytes)
    }

    /// The logs, in the order of the text.
    pub fn logs(&self) -> &[PolicyLog] {
        &self.logs
    }

    /// The witnesses, in the order of the text.
    pub fn witnesses(&self) -> &[PolicyWitness] {
        &self.witnesses
    }

    /// Whether any witness is needed: false for `quorum none`.
    pub const fn needs_witnesses(&self) -> bool {
        !matches!(self.quorum, Quorum::None)
    }

    /// Whether these witnesses, by their names in the policy, reach the quorum. Unknown names count for nothing.
    pub fn is_quorum<S: Borrow<str> + Ord>(&self, names: &BTreeSet<S>) -> bool {
        let present: Vec<bool> = self.witnesses.iter().map(|w| names.contains(w.name.as_str())).collect();
        quorum::reached(&self.quorum, &self.groups, &present)
    }

    /// Whether every quorum that could ever be reached has one of these witnesses in it.
    ///
    /// If so, these know of every checkpoint that was ever accepted under this policy: a log that asks them cannot be
    /// an old copy of itself without learning it. A policy that needs no witness has nothing to ask: true.
    pub fn quorum_intersection<S: Borrow<str> + Ord>(&self, names: &BTreeSet<S>) -> bool {
        // Quorums are monotone: one without these witnesses exists exactly if all the others together are one.
        let others: Vec<bool> = self.witnesses.iter().map(|w| !names.contains(w.name.as_str())).collect();
        !self.needs_witnesses() || !quorum::reached(&self.quorum, &self.groups, &others)
    }

    /// The fewest witnesses that reach the quorum.
    pub fn smallest_quorum(&self) -> usize {
        quorum::smallest(&self.quorum, &self.groups)
    }

    /// The fewest witnesses that intersect every quorum.
    pub fn smallest_intersection(&self) -> usize {
        quorum::smallest_blocking(&self.quorum, &self.groups)
    }

    /// Verifies a signed checkpoint: a log of this policy signed it under its own origin, the witnesses reach the quorum,
    /// and no known key has a bad line.
    pub fn verify(&self, note: &Note) -> Result<Witnessed, PolicyError> {
        let checkpoint = Checkpoint::parse(note.text())?;
        let keys: Vec<VerifierKey> =
            self.logs.iter().map(|l| &l.key).chain(self.witnesses.iter().map(|w| &w.key)).cloned().collect();
        let verified = note.verify(&keys)?;
        // A log speaks only for its own origin, and a note signature by a witness's key cannot occur: types are in ids.
        let by_log = |key: &VerifierKey| {
            self.logs.iter().any(|log| log.key == *key) && key.name() == checkpoint.origin()
        };
        let Some(log) = verified.iter().map(VerifiedSignature::key).find(|key| by_log(key)).cloned() else {
            return Err(PolicyError::NotSignedByLog { origin: checkpoint.origin().to_owned() });
        };
        let cosigners: Vec<(String, u64)> = self
            .witnesses
            .iter()
            .filter_map(|witness| {
                // A witness may have signed twice; what it saw first bounds when the checkpoint existed.
                let times =
                    verified.iter().filter(|v| *v.key() == witness.key).filter_map(VerifiedSignature::time);
                times.min().map(|time| (witness.name.clone(), time))
            })
            .collect();
        let names: BTreeSet<&str> = cosigners.iter().map(|(name, _)| name.as_str()).collect();
        if !self.is_quorum(&names) {
            return Err(PolicyError::BelowQuorum {
                cosigners: names.into_iter().map(ToOwned::to_owned).collect(),
                wanted: self.smallest_quorum(),
            });
        }
        Ok(Witnessed { checkpoint, log, cosigners })
    }
}

/// A checkpoint that a policy accepts: only [`Policy::verify`] makes one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Witnessed {
    checkpoint: Checkpoint,
    log: VerifierKey,
    cosigners: Vec<(String, u64)>,
}

impl Witnessed {
    /// The checkpoint.
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The key of the log that signed it.
    pub const fn log(&self) -> &VerifierKey {
        &self.log
    }

    /// Names (in the policy) and times of the witnesses that cosigned it, in the policy's order.
    pub fn cosigners(&self) -> &[(String, u64)] {
        &self.cosigners
    }
}

/// Why a policy is malformed, or a checkpoint not accepted under it.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum PolicyError {
    /// The witnesses that cosigned do not reach the quorum.
    #[error("cosignatures of {cosigners:?} do not reach the quorum, want {wanted} or more")]
    BelowQuorum {
        /// Names of the witnesses that did.
        cosigners: Vec<String>,
        /// Size of the smallest quorum.
        wanted: usize,
    },
    /// The note is not a checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A forbidden octet.
    #[error("policy line {line}: octet {octet:#04x} is not allowed")]
    Octet {
        /// Line, from 1.
        line: usize,
        /// The octet.
        octet: u8,
    },
    /// A key that cannot be used.
    #[error("policy line {line}: {source}")]
    Key {
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        source: KeyError,
    },
    /// A key of a type that does not fit the role.
    #[error("policy line {line}: key type is {actual:?}, want {wanted:?}")]
    KeyType {
        /// Line, from 1.
        line: usize,
        /// Type found.
        actual: KeyType,
        /// Type of the role.
        wanted: KeyType,
    },
    /// A line that is none of the four, or has the wrong number of items.
    #[error("policy line {line}: want `log`, `witness`, `group` or `quorum` with its items")]
    Line {
        /// Line, from 1.
        line: usize,
    },
    /// A group threshold that is not 1 to the number of members.
    #[error("policy line {line}: threshold is {actual:?}, want `any`, `all` or 1 to {members}")]
    Threshold {
        /// Line, from 1.
        line: usize,
        /// Threshold found.
        actual: String,
        /// Members of the group.
        members: usize,
    },
    /// A name or key that was there before, or a reserved name.
    #[error("policy line {line}: {what} is there twice or reserved")]
    Duplicate {
        /// Line, from 1.
        line: usize,
        /// The name, or `key`.
        what: String,
    },
    /// A name that no earlier line defines.
    #[error("policy line {line}: {name:?} is not defined by an earlier line")]
    Undefined {
        /// Line, from 1.
        line: usize,
        /// The name.
        name: String,
    },
    /// No quorum line.
    #[error("policy has no quorum line")]
    NoQuorum,
    /// The note is malformed or has a bad signature.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// No log of the policy signed the checkpoint.
    #[error("no log of the policy signed a checkpoint of origin {origin:?}")]
    NotSignedByLog {
        /// Origin of the checkpoint.
        origin: String,
    },
    /// The text is too long.
    #[error("policy is {actual} bytes, want at most {MAX_POLICY_LEN}")]
    TooLong {
        /// Bytes found.
        actual: usize,
    },
    /// The text does not end in a newline.
    #[error("policy does not end in a newline")]
    Unterminated,
}
