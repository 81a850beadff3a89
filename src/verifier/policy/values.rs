//! Values that sections of several kinds have: octets in hex, and the machines that may run a workload.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::ops::{Deref, RangeInclusive};

use data_encoding::HEXLOWER_PERMISSIVE;
use serde::Deserialize;

use crate::verifier::checks::{Found, Outcome, fail};

/// So many octets in hex.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub(in crate::verifier) struct Hex<const OCTETS: usize>([u8; OCTETS]);

impl<const OCTETS: usize> TryFrom<String> for Hex<OCTETS> {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let octets = hex(&text, OCTETS..=OCTETS)?;
        octets.try_into().map(Self).map_err(|_| format!("want {OCTETS} octets"))
    }
}

impl<const OCTETS: usize> Deref for Hex<OCTETS> {
    type Target = [u8; OCTETS];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// By what a policy knows the things that it names in tables of one kind: a chip's id, a certificate's hash.
pub(in crate::verifier) trait Id {
    /// The key beside `name`.
    const KEY: &'static str;
    /// Whether one of them with two names is refused, rather than remarked on.
    const DISTINCT: bool = false;

    /// Reads it, such as [`hex`] of a length.
    fn read(text: &str) -> Result<Vec<u8>, String>;
}

/// Octets in hex, of one of these lengths.
pub(in crate::verifier) fn hex(text: &str, octets: RangeInclusive<usize>) -> Result<Vec<u8>, String> {
    let read = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok();
    read.filter(|read| octets.contains(&read.len())).ok_or_else(|| match octets.into_inner() {
        (least, most) if least == most => format!("want {least} octets in hex, got {text:?}"),
        (least, most) => format!("want {least} to {most} octets in hex, got {text:?}"),
    })
}

/// Something that a policy names, such as a machine that may run the workload.
#[derive(Debug, Clone)]
pub(in crate::verifier) struct Named {
    pub(in crate::verifier) name: String,
    pub(in crate::verifier) id: Vec<u8>,
}

/// All that is named in tables of one kind, such as `[[sev_snp.machine]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Vec<BTreeMap<String, String>>")]
pub(in crate::verifier) struct NamedBy<K: Id>(Vec<Named>, PhantomData<K>);

impl<K: Id> Default for NamedBy<K> {
    fn default() -> Self {
        Self(Vec::new(), PhantomData)
    }
}

impl<K: Id> Deref for NamedBy<K> {
    type Target = [Named];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<K: Id> TryFrom<Vec<BTreeMap<String, String>>> for NamedBy<K> {
    type Error = String;

    fn try_from(tables: Vec<BTreeMap<String, String>>) -> Result<Self, String> {
        let mut all = Self::default();
        for mut table in tables {
            let (name, id) = (table.remove("name"), table.remove(K::KEY));
            let (Some(name), Some(id), true) = (name, id, table.is_empty()) else {
                return Err(format!("want name and {}, and nothing else", K::KEY));
            };
            let id = K::read(&id).map_err(|reason| format!("{}: {reason}", K::KEY))?;
            if K::DISTINCT && all.with(&id).is_some() {
                return Err(format!("the same {} has two names", K::KEY));
            }
            all.0.push(Named { name, id });
        }
        Ok(all)
    }
}

impl<K: Id> NamedBy<K> {
    /// The one with this id.
    pub(in crate::verifier) fn with(&self, id: &[u8]) -> Option<&Named> {
        self.iter().find(|one| one.id == id)
    }

    /// Of machines, AR4SI's instance-identity if every check holds.
    pub(in crate::verifier) fn instance_identity(&self) -> i8 {
        if self.is_empty() { 0 } else { 2 }
    }

    /// Of machines, the check `machine`: the id, asked for only where any are named, is that of one of them.
    pub(in crate::verifier) fn check<T: AsRef<[u8]>>(
        &self,
        id: impl FnOnce() -> Result<T, Found>,
        stranger: &str,
    ) -> Outcome {
        if self.is_empty() {
            return Ok("the policy names none".to_owned());
        }
        match self.with(id()?.as_ref()) {
            Some(machine) => Ok(format!("{}, named by the policy", machine.name)),
            None => fail(stranger),
        }
    }
}
