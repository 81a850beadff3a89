//! The policy text.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    MAX_POLICY_LEN, Policy, PolicyError, PolicyLog, PolicyWitness,
    quorum::{Group, Member, Quorum},
};
use crate::{
    decimal,
    note::{KeyType, VerifierKey},
};

pub(super) fn parse(bytes: &[u8]) -> Result<Policy, PolicyError> {
    if bytes.len() > MAX_POLICY_LEN {
        return Err(PolicyError::TooLong { actual: bytes.len() });
    }
    let text = bytes.strip_suffix(b"\n").ok_or(PolicyError::Unterminated)?;
    let mut parser = Parser::default();
    for (place, line) in text.split(|byte| *byte == b'\n').enumerate() {
        parser.line = place + 1;
        parser.take(line)?;
    }
    let quorum = parser.quorum.ok_or(PolicyError::NoQuorum)?;
    Ok(Policy { logs: parser.logs, witnesses: parser.witnesses, groups: parser.groups, quorum })
}

#[derive(Default)]
struct Parser {
    line: usize,
    logs: Vec<PolicyLog>,
    witnesses: Vec<PolicyWitness>,
    groups: Vec<Group>,
    quorum: Option<Quorum>,
    /// Witnesses and groups share one name space.
    names: BTreeMap<String, Member>,
    /// Names that are already a member of a group.
    used: BTreeSet<String>,
}

impl Parser {
    fn take(&mut self, line: &[u8]) -> Result<(), PolicyError> {
        if let Some(octet) = line.iter().copied().find(|octet| !is_allowed(*octet)) {
            return Err(PolicyError::Octet { line: self.line, octet });
        }
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            return Ok(());
        }
        // Only now: comments may be any octets.
        let line = std::str::from_utf8(line).map_err(|_| self.malformed())?;
        let items: Vec<&str> = line.split([' ', '\t']).filter(|item| !item.is_empty()).collect();
        match items.as_slice() {
            ["log", vkey] => self.log(vkey, None),
            ["log", vkey, url] => self.log(vkey, Some(url)),
            ["witness", name, vkey] => self.witness(name, vkey, None),
            ["witness", name, vkey, url] => self.witness(name, vkey, Some(url)),
            ["group", name, threshold, members @ ..] if !members.is_empty() => {
                self.group(name, threshold, members)
            }
            ["quorum", name] => self.set_quorum(name),
            _ => Err(self.malformed()),
        }
    }

    fn log(&mut self, vkey: &str, url: Option<&str>) -> Result<(), PolicyError> {
        let key = self.key(vkey, |kind| kind == KeyType::Ed25519, KeyType::Ed25519)?;
        if self.logs.iter().any(|log| log.key.public_key() == key.public_key()) {
            return Err(self.duplicate("key"));
        }
        self.logs.push(PolicyLog { key, url: url.map(ToOwned::to_owned) });
        Ok(())
    }

    fn witness(&mut self, name: &str, vkey: &str, url: Option<&str>) -> Result<(), PolicyError> {
        let key = self.key(vkey, KeyType::is_cosignature, KeyType::CosignatureV1)?;
        if self.witnesses.iter().any(|witness| witness.key.public_key() == key.public_key()) {
            return Err(self.duplicate("key"));
        }
        self.define(name, Member::Witness(self.witnesses.len()))?;
        self.witnesses.push(PolicyWitness { name: name.to_owned(), key, url: url.map(ToOwned::to_owned) });
        Ok(())
    }

    fn group(&mut self, name: &str, threshold: &str, names: &[&str]) -> Result<(), PolicyError> {
        let mut members = Vec::with_capacity(names.len());
        for member in names {
            members.push(self.lookup(member)?);
            if !self.used.insert((*member).to_owned()) {
                return Err(self.duplicate(member));
            }
        }
        let count = match threshold {
            "any" => Some(1),
            "all" => Some(members.len()),
            number => decimal::parse(number).and_then(|k| usize::try_from(k).ok()),
        };
        let threshold = count.filter(|k| (1..=members.len()).contains(k)).ok_or_else(|| {
            PolicyError::Threshold { line: self.line, actual: threshold.to_owned(), members: members.len() }
        })?;
        self.define(name, Member::Group(self.groups.len()))?;
        self.groups.push(Group { threshold, members });
        Ok(())
    }

    fn set_quorum(&mut self, name: &str) -> Result<(), PolicyError> {
        if self.quorum.is_some() {
            return Err(self.duplicate("quorum"));
        }
        self.quorum = Some(if name == NONE { Quorum::None } else { Quorum::Of(self.lookup(name)?) });
        Ok(())
    }

    fn key(
        &self,
        vkey: &str,
        fits: impl Fn(KeyType) -> bool,
        wanted: KeyType,
    ) -> Result<VerifierKey, PolicyError> {
        let key = VerifierKey::parse(vkey).map_err(|source| PolicyError::Key { line: self.line, source })?;
        if !fits(key.kind()) {
            return Err(PolicyError::KeyType { line: self.line, actual: key.kind(), wanted });
        }
        Ok(key)
    }

    fn define(&mut self, name: &str, member: Member) -> Result<(), PolicyError> {
        if name == NONE || self.names.insert(name.to_owned(), member).is_some() {
            return Err(self.duplicate(name));
        }
        Ok(())
    }

    fn lookup(&self, name: &str) -> Result<Member, PolicyError> {
        let found = self.names.get(name).copied();
        found.ok_or_else(|| PolicyError::Undefined { line: self.line, name: name.to_owned() })
    }

    fn malformed(&self) -> PolicyError {
        PolicyError::Line { line: self.line }
    }

    fn duplicate(&self, what: &str) -> PolicyError {
        PolicyError::Duplicate { line: self.line, what: what.to_owned() }
    }
}

/// The predefined name: a quorum, never a member.
const NONE: &str = "none";

/// Tab, printable ASCII and everything with the high bit; the newline has been split at.
const fn is_allowed(octet: u8) -> bool {
    matches!(octet, 0x09 | 0x20..=0x7e | 0x80..=0xff)
}
