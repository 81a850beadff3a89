//! Reference values: the measurements that somebody vouches for, each with the statement it comes from.

use std::collections::{BTreeMap, HashMap};

use data_encoding::HEXLOWER_PERMISSIVE;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use treering_provenance::bytes::{Bytes, Fixed};

use super::canonical::{Address, canonical};
use super::checks::{Outcome, fail, relaxed};
use super::kinds;

/// The register of a kind that measures one thing only, and the key `measurement` of a file.
pub const MEASUREMENT: &str = "measurement";
/// Registers of one value: a TPM has 24, a GPU 64.
pub const MAX_REGISTERS: usize = 64;
/// Reference values in one appraisal: a fleet's images over a few years.
pub const MAX_REFERENCE_VALUES: usize = 10_000;

/// Measurements by register, such as `measurement`, `mrtd` or `pcr4`.
pub type Registers = BTreeMap<String, Vec<u8>>;

/// What a vouched-for workload measures to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferenceValue {
    /// What it is the measurement of.
    pub name: String,
    /// The kind of evidence that carries it, such as `sev-snp`.
    pub tee: String,
    /// The registers that must have these values, all of them; others may have any.
    pub registers: Registers,
    /// The statement that says so: its leaf hash in the log, or the hash of the document.
    pub source: [u8; 32],
}

impl ReferenceValue {
    /// What it says of what runs: AR4SI's executables where evidence has these registers.
    pub(super) fn vouches(&self) -> i8 {
        kinds::by_name(&self.tee).map_or(0, |kind| (kind.about().vouches)(&self.registers))
    }

    /// The names of its registers.
    pub(super) fn names(&self) -> String {
        let names: Vec<&str> = self.registers.keys().map(String::as_str).collect();
        names.join(", ")
    }
}

/// Why something is not a set of reference values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Too many.
    #[error("at most {MAX_REFERENCE_VALUES} reference values, got {0}")]
    Count(usize),
    /// One that names an unknown kind, or too few, too many or too long registers.
    #[error("reference value {name:?}: {reason}")]
    Registers {
        /// Which one.
        name: String,
        /// Why.
        reason: String,
    },
    /// Neither TOML nor JSON of the form.
    #[error("not a file of reference values: {0}")]
    Form(String),
    /// Not hex.
    #[error("reference value {name:?}: {what} is not hex")]
    Hex {
        /// Which one.
        name: String,
        /// Which field of it.
        what: String,
    },
    /// A field of the wrong length.
    #[error("reference value {name:?}: {what} is {want} octets in hex")]
    Value {
        /// Which one.
        name: String,
        /// Which field of it.
        what: String,
        /// Its length.
        want: usize,
    },
}

/// How a kind speaks of what it measures, in [`ReferenceValues::judge`]: each a sentence up to what follows there.
pub(super) struct Words<'a> {
    /// Before the name of the value found.
    pub(super) found: &'a str,
    /// Before `not judged`.
    pub(super) unjudged: &'a str,
    /// Before `none of the 7 reference values`.
    pub(super) unknown: &'a str,
}

/// The reference values of one appraisal; none is an ordinary case.
///
/// They are found by one register each, so that finding does not slow down with their number.
#[derive(Debug, Clone, Default)]
pub struct ReferenceValues {
    values: Vec<ReferenceValue>,
    // Kind, first register and its value, to the positions that have it.
    index: HashMap<(String, String, Vec<u8>), Vec<usize>>,
    address: Address,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReferenceFile {
    reference: Vec<ReferenceText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReferenceText {
    name: String,
    #[serde(default)]
    tee: Option<String>,
    #[serde(default)]
    measurement: Option<String>,
    #[serde(default)]
    registers: BTreeMap<String, String>,
    #[serde(default)]
    source: Option<String>,
}

impl ReferenceValues {
    /// No reference values: executables stay unclaimed.
    pub fn none() -> Self {
        Self::default()
    }

    /// A set of them, in the order given.
    pub fn new(values: Vec<ReferenceValue>) -> Result<Self, ReferenceError> {
        if values.len() > MAX_REFERENCE_VALUES {
            return Err(ReferenceError::Count(values.len()));
        }
        let mut index: HashMap<_, Vec<usize>> = HashMap::new();
        for (position, value) in values.iter().enumerate() {
            let bad = |reason: String| ReferenceError::Registers { name: value.name.clone(), reason };
            let kind = kinds::by_name(&value.tee);
            let kind = kind.ok_or_else(|| bad(format!("there is no evidence of kind {:?}", value.tee)))?;
            if value.registers.len() > MAX_REGISTERS {
                return Err(bad(format!("at most {MAX_REGISTERS} registers, got {}", value.registers.len())));
            }
            let odd = value
                .registers
                .iter()
                .find(|(name, octets)| !(kind.about().has_register)(name, octets.len()));
            if let Some((name, octets)) = odd {
                let octets = octets.len();
                return Err(bad(format!("{} has no register {name:?} of {octets} octets", value.tee)));
            }
            let first = value.registers.iter().next();
            let (name, octets) = first.ok_or_else(|| bad("it names no register".to_owned()))?;
            index.entry((value.tee.clone(), name.clone(), octets.clone())).or_default().push(position);
        }
        Ok(Self { values, index, address: Address::default() })
    }

    /// Reads a file, TOML (`[[reference]]`) or JSON (`{"reference": [...]}`), with `name`, `tee` (without it,
    /// `sev-snp`), `registers` (hex by name) or `measurement` (hex) for the register of that name, and optionally
    /// `source` (hex); without a source it is the hash of the file.
    pub fn parse(bytes: &[u8]) -> Result<Self, ReferenceError> {
        let form = |error: String| ReferenceError::Form(error);
        let text = std::str::from_utf8(bytes).map_err(|error| form(error.to_string()))?;
        let file: ReferenceFile = if text.trim_start().starts_with('{') {
            serde_json::from_str(text).map_err(|error| form(error.to_string()))?
        } else {
            toml::from_str(text).map_err(|error| form(error.message().to_owned()))?
        };
        let own: [u8; 32] = Sha256::digest(bytes).into();
        let values = file.reference.into_iter().map(|value| value.read(own)).collect::<Result<_, _>>()?;
        Self::new(values)
    }

    /// All of them.
    pub fn values(&self) -> &[ReferenceValue] {
        &self.values
    }

    /// Whether any is of this kind.
    pub fn count(&self, tee: &str) -> usize {
        self.values.iter().filter(|value| value.tee == tee).count()
    }

    /// The first one of this kind that says something of what runs, and whose registers all have the values found.
    pub fn find(&self, tee: &str, found: &Registers) -> Option<&ReferenceValue> {
        self.find_where(tee, found, |value| value.vouches() > 0)
    }

    /// The first one of this kind that will do, and whose registers all have the values found.
    pub(super) fn find_where(
        &self,
        tee: &str,
        found: &Registers,
        will_do: impl Fn(&ReferenceValue) -> bool,
    ) -> Option<&ReferenceValue> {
        let candidates = found
            .iter()
            .filter_map(|(name, octets)| self.index.get(&(tee.to_owned(), name.clone(), octets.clone())));
        let fits = |position: &&usize| {
            self.values.get(**position).is_some_and(|value| {
                will_do(value) && value.registers.iter().all(|(name, octets)| found.get(name) == Some(octets))
            })
        };
        let first = candidates.flatten().filter(fits).min()?;
        self.values.get(*first)
    }

    /// The check of what runs against the values of this kind: one was found, or none is given and none required.
    pub(super) fn judge(
        &self,
        tee: &str,
        required: bool,
        found: Option<&ReferenceValue>,
        words: &Words<'_>,
    ) -> Outcome {
        match (found, self.count(tee)) {
            (Some(value), _) => Ok(format!("{} {}", words.found, value.name)),
            (None, 0) if !required => relaxed(
                "require_reference_value",
                format!("no reference values given: {} not judged", words.unjudged),
            ),
            (None, known) => {
                let of_nothing = |value: &&ReferenceValue| value.tee == tee && value.vouches() == 0;
                let silent = match self.values.iter().filter(of_nothing).count() {
                    0 => String::new(),
                    silent => format!(", of which {silent} say nothing of what runs"),
                };
                fail(format!("{} none of the {known} reference values{silent}", words.unknown))
            }
        }
    }

    /// SHA-256 over deterministic CBOR `[[name, kind, {register: octets}, source]...]`.
    pub fn digest(&self) -> [u8; 32] {
        self.address.of(|| self.canonical_bytes())
    }

    fn canonical_bytes(&self) -> Vec<u8> {
        let registers = |value: &ReferenceValue| -> BTreeMap<String, Bytes> {
            value.registers.iter().map(|(name, octets)| (name.clone(), Bytes(octets.clone()))).collect()
        };
        let values: Vec<_> = self
            .values
            .iter()
            .map(|value| (&value.name, &value.tee, registers(value), Fixed(value.source)))
            .collect();
        canonical(&values)
    }
}

impl ReferenceText {
    fn read(self, own: [u8; 32]) -> Result<ReferenceValue, ReferenceError> {
        let name = self.name;
        let key = MEASUREMENT.to_owned();
        let mut registers = Registers::new();
        for (register, text) in self.registers.iter().chain(self.measurement.iter().map(|text| (&key, text)))
        {
            registers.insert(register.clone(), hex(&name, register, text)?);
        }
        let source = match &self.source {
            Some(source) => {
                let bytes = hex(&name, "source", source)?;
                let want =
                    |_| ReferenceError::Value { name: name.clone(), what: "source".to_owned(), want: 32 };
                bytes.try_into().map_err(want)?
            }
            None => own,
        };
        let tee = self.tee.unwrap_or_else(|| super::SUBMOD_SNP.to_owned());
        Ok(ReferenceValue { name, tee, registers, source })
    }
}

fn hex(name: &str, what: &str, text: &str) -> Result<Vec<u8>, ReferenceError> {
    HEXLOWER_PERMISSIVE
        .decode(text.as_bytes())
        .map_err(|_| ReferenceError::Hex { name: name.to_owned(), what: what.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registers(octet: u8) -> Registers {
        Registers::from([(MEASUREMENT.to_owned(), vec![octet; 48])])
    }

    /// What is not named may have any value; the first in the order given is found.
    #[test]
    fn a_value_is_found_by_all_its_registers_and_no_others() {
        let value = |name: &str, octet| ReferenceValue {
            name: name.to_owned(),
            tee: "sev-snp".to_owned(),
            registers: registers(octet),
            source: [0; 32],
        };
        let values = ReferenceValues::new(vec![value("a", 1), value("b", 2), value("c", 2)]).unwrap();
        let mut found = registers(2);
        found.insert("a-register-nobody-names".to_owned(), vec![9]);
        assert_eq!(values.find("sev-snp", &found).unwrap().name, "b");
        assert_eq!(values.find("sev-snp", &Registers::new()), None);
        let mut none = value("d", 1);
        none.registers.clear();
        ReferenceValues::new(vec![none]).unwrap_err();
        let mut unknown = value("e", 1);
        unknown.registers.insert("pcr99".to_owned(), vec![1; 48]);
        ReferenceValues::new(vec![unknown]).unwrap_err();
    }

    #[test]
    fn both_forms_are_read() {
        let hex = "ab".repeat(48);
        let toml =
            format!("[[reference]]\nname = \"a\"\nmeasurement = \"{hex}\"\nsource = \"{}\"", "00".repeat(32));
        let json = format!(
            r#"{{"reference":[{{"name":"a","measurement":"{hex}","source":"{}"}}]}}"#,
            "00".repeat(32)
        );
        let one = ReferenceValues::parse(toml.as_bytes()).unwrap();
        assert_eq!(one.values(), ReferenceValues::parse(json.as_bytes()).unwrap().values());
        assert_eq!(one.find("sev-snp", &registers(0xab)).unwrap().name, "a");
        assert_eq!(one.find("sev-snp", &registers(0xac)), None);
        assert_eq!(one.find("other", &registers(0xab)), None);
        assert_ne!(one.digest(), ReferenceValues::none().digest());
    }

    #[test]
    fn without_a_source_the_file_is_the_source() {
        let toml = format!("[[reference]]\nname = \"a\"\nmeasurement = \"{}\"", "ab".repeat(48));
        let value = &ReferenceValues::parse(toml.as_bytes()).unwrap().values()[0].clone();
        assert_eq!(value.source, <[u8; 32]>::from(Sha256::digest(toml.as_bytes())));
    }

    /// Logged appraisals name their reference values by this hash.
    #[test]
    fn the_digest_is_pinned() {
        let value = ReferenceValue {
            name: "a".to_owned(),
            tee: "sev-snp".to_owned(),
            registers: registers(1),
            source: [2; 32],
        };
        let hex = data_encoding::HEXLOWER.encode(&ReferenceValues::new(vec![value]).unwrap().digest());
        assert_eq!(hex, "ab81959128e4dc0c180dcd9ef360b695157d9c36b73470707b0e65c9db17c310");
    }

    #[test]
    fn malformed_files_are_refused() {
        for text in
            ["{", "x", "[[reference]]\nname = \"a\"\nmeasurement = \"ab\"", "reference = []\nmore = 1"]
        {
            ReferenceValues::parse(text.as_bytes()).unwrap_err();
        }
    }
}
