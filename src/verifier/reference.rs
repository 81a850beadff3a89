//! Reference values: the launch measurements that somebody vouches for, each with the statement it comes from.

use data_encoding::HEXLOWER_PERMISSIVE;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use treering_provenance::bytes::Fixed;

use super::canonical::canonical;

/// Octets of a launch measurement of SEV-SNP (SHA-384).
pub const MEASUREMENT_BYTES: usize = 48;
/// Reference values in one appraisal: a fleet's images over a few years.
pub const MAX_REFERENCE_VALUES: usize = 10_000;

/// One vouched-for measurement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferenceValue {
    /// What it is the measurement of.
    pub name: String,
    /// The launch digest.
    pub measurement: [u8; MEASUREMENT_BYTES],
    /// The statement that says so: its leaf hash in the log, or the hash of the document.
    pub source: [u8; 32],
}

/// Why something is not a set of reference values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Too many.
    #[error("at most {MAX_REFERENCE_VALUES} reference values, got {0}")]
    Count(usize),
    /// Neither TOML nor JSON of the form.
    #[error("not a file of reference values: {0}")]
    Form(String),
    /// A measurement or source of the wrong length, or no hex.
    #[error("reference value {name:?}: {what} is {want} octets in hex")]
    Value {
        /// Which one.
        name: String,
        /// Which field of it.
        what: &'static str,
        /// Its length.
        want: usize,
    },
}

/// The reference values of one appraisal; none is an ordinary case.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReferenceValues {
    values: Vec<ReferenceValue>,
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
    measurement: String,
    #[serde(default)]
    source: Option<String>,
}

impl ReferenceValues {
    /// No reference values: executables stay unclaimed.
    pub const fn none() -> Self {
        Self { values: Vec::new() }
    }

    /// A set of them, in the order given.
    pub fn new(values: Vec<ReferenceValue>) -> Result<Self, ReferenceError> {
        if values.len() > MAX_REFERENCE_VALUES {
            return Err(ReferenceError::Count(values.len()));
        }
        Ok(Self { values })
    }

    /// Reads a file, TOML (`[[reference]]`) or JSON (`{"reference": [...]}`), with `name`, `measurement` (hex), and
    /// optionally `source` (hex); without a source it is the hash of the file.
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

    /// The first one with this measurement.
    pub fn find(&self, measurement: &[u8; MEASUREMENT_BYTES]) -> Option<&ReferenceValue> {
        self.values.iter().find(|value| &value.measurement == measurement)
    }

    /// SHA-256 over deterministic CBOR `[[name, measurement, source]...]`.
    pub fn digest(&self) -> [u8; 32] {
        let values: Vec<_> = self
            .values
            .iter()
            .map(|value| (&value.name, Fixed(value.measurement), Fixed(value.source)))
            .collect();
        Sha256::digest(canonical(&values)).into()
    }
}

impl ReferenceText {
    fn read(self, own: [u8; 32]) -> Result<ReferenceValue, ReferenceError> {
        let measurement = hex(&self.name, "measurement", &self.measurement)?;
        let source = match &self.source {
            Some(source) => hex(&self.name, "source", source)?,
            None => own,
        };
        Ok(ReferenceValue { name: self.name, measurement, source })
    }
}

fn hex<const N: usize>(name: &str, what: &'static str, text: &str) -> Result<[u8; N], ReferenceError> {
    let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok();
    let fixed = bytes.and_then(|bytes| <[u8; N]>::try_from(bytes).ok());
    fixed.ok_or_else(|| ReferenceError::Value { name: name.to_owned(), what, want: N })
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(one, ReferenceValues::parse(json.as_bytes()).unwrap());
        assert_eq!(one.find(&[0xab; 48]).unwrap().name, "a");
        assert_eq!(one.find(&[0xac; 48]), None);
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
        let value = ReferenceValue { name: "a".to_owned(), measurement: [1; 48], source: [2; 32] };
        let hex = data_encoding::HEXLOWER.encode(&ReferenceValues::new(vec![value]).unwrap().digest());
        assert_eq!(hex, "4790cd920db7bd416b43d02b4b27a8b541118c59da0a56c73079661dbd2d2f97");
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
