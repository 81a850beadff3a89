//! CBOR that a platform signed: its signature holds the octets fast, so their encoding may be any. What must not be
//! is a map that two readers read differently: a key that occurs twice, or one that we do not know.
//!
//! Out of scope: octets outside of a signature, which have one encoding (`sign1`, `treering_provenance::strict`).

use ciborium::Value;

/// Nesting that is followed. A list in a map in a map has 3 levels.
const MAX_DEPTH: usize = 8;

/// Reads one item and nothing after it.
pub(super) fn read(octets: &[u8]) -> Result<Value, String> {
    let mut rest = octets;
    let value: Value = ciborium::de::from_reader_with_recursion_limit(&mut rest, MAX_DEPTH)
        .map_err(|error| format!("not CBOR: {error}"))?;
    if rest.is_empty() { Ok(value) } else { Err(format!("{} octets follow the CBOR item", rest.len())) }
}

/// The entries of a map, each to be taken once. What is left in the end is unknown, and refused.
pub(super) struct Fields {
    what: &'static str,
    entries: Vec<(Value, Value)>,
}

impl Fields {
    /// The entries of a map of at most this many.
    pub(super) fn of(what: &'static str, value: Value, max: usize) -> Result<Self, String> {
        let Value::Map(entries) = value else {
            return Err(format!("{what} are a map"));
        };
        if entries.len() > max {
            return Err(format!("{what} have at most {max} entries, got {}", entries.len()));
        }
        let twice = |at: usize, key: &Value| entries.iter().take(at).any(|(before, _)| before == key);
        match entries.iter().enumerate().find(|(at, (key, _))| twice(*at, key)) {
            Some((_, (key, _))) => Err(format!("{what} have {} twice", shown(key))),
            None => Ok(Self { what, entries }),
        }
    }

    /// The value under a key, if there is one.
    pub(super) fn take(&mut self, key: impl Into<Value>) -> Option<Value> {
        let key = key.into();
        let at = self.entries.iter().position(|(one, _)| *one == key)?;
        Some(self.entries.swap_remove(at).1)
    }

    /// A byte string of a length in this range, if it is there.
    pub(super) fn maybe_octets(
        &mut self,
        key: impl Into<Value>,
        name: &str,
        lengths: impl Fn(usize) -> bool,
    ) -> Result<Option<Vec<u8>>, String> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Bytes(bytes)) if lengths(bytes.len()) => Ok(Some(bytes)),
            Some(Value::Bytes(bytes)) => Err(format!("{name} has {} octets", bytes.len())),
            Some(_) => Err(format!("{name} is a byte string")),
        }
    }

    /// A byte string of a length in this range.
    pub(super) fn octets(
        &mut self,
        key: impl Into<Value>,
        name: &str,
        lengths: impl Fn(usize) -> bool,
    ) -> Result<Vec<u8>, String> {
        self.maybe_octets(key, name, lengths)?.ok_or_else(|| format!("{name} is missing"))
    }

    /// A byte string of exactly this length.
    pub(super) fn fixed<const N: usize>(
        &mut self,
        key: impl Into<Value>,
        name: &str,
    ) -> Result<[u8; N], String> {
        let octets = self.octets(key, name, |length| length == N)?;
        octets.try_into().map_err(|_| format!("{name} has {N} octets"))
    }

    /// A text, if it is there.
    pub(super) fn maybe_text(&mut self, key: impl Into<Value>, name: &str) -> Result<Option<String>, String> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(_) => Err(format!("{name} is a text")),
        }
    }

    /// A text.
    pub(super) fn text(&mut self, key: impl Into<Value>, name: &str) -> Result<String, String> {
        self.maybe_text(key, name)?.ok_or_else(|| format!("{name} is missing"))
    }

    /// An unsigned integer, if it is there.
    pub(super) fn maybe_number(&mut self, key: impl Into<Value>, name: &str) -> Result<Option<u64>, String> {
        match self.take(key) {
            None => Ok(None),
            Some(value) => {
                let number = value.as_integer().and_then(|number| u64::try_from(number).ok());
                number.map(Some).ok_or_else(|| format!("{name} is an unsigned integer"))
            }
        }
    }

    /// An unsigned integer.
    pub(super) fn number(&mut self, key: impl Into<Value>, name: &str) -> Result<u64, String> {
        self.maybe_number(key, name)?.ok_or_else(|| format!("{name} is missing"))
    }

    /// A list.
    pub(super) fn list(&mut self, key: impl Into<Value>, name: &str) -> Result<Vec<Value>, String> {
        match self.take(key) {
            None => Err(format!("{name} is missing")),
            Some(Value::Array(items)) => Ok(items),
            Some(_) => Err(format!("{name} is a list")),
        }
    }

    /// Refuses what nobody took.
    pub(super) fn end(self) -> Result<(), String> {
        match self.entries.first() {
            Some((key, _)) => Err(format!("{} have the unknown entry {}", self.what, shown(key))),
            None => Ok(()),
        }
    }
}

/// A key in a message: short, whatever it is.
fn shown(key: &Value) -> String {
    match key {
        Value::Integer(number) => i128::from(*number).to_string(),
        Value::Text(text) => format!("{:?}", text.chars().take(40).collect::<String>()),
        _ => "that is neither text nor integer".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fields(octets: &[u8]) -> Result<Fields, String> {
        Fields::of("claims", read(octets)?, 3)
    }

    #[test]
    fn any_encoding_is_read_and_no_map_is_ambiguous() {
        // {1: 2}: plain, of indefinite length, with the key in a long form.
        for octets in [&[0xa1, 1, 2][..], &[0xbf, 1, 2, 0xff], &[0xa1, 0x18, 1, 2]] {
            assert_eq!(fields(octets).unwrap().number(1, "one"), Ok(2));
        }
        let refused = [
            (&[0xa2, 1, 2, 1, 3][..], "twice"),
            (&[0xa2, 1, 2, 0x18, 1, 3], "twice"),
            (&[0xa1, 1, 2, 0], "follow"),
            (&[0xa4, 1, 1, 2, 2, 3, 3, 4, 4], "at most 3"),
            (&[0x81, 1], "map"),
            (&[0xa1], "not CBOR"),
            (&[0x81; 40], "not CBOR"),
        ];
        for (octets, reason) in refused {
            let error = fields(octets).err().unwrap();
            assert!(error.contains(reason), "{error}");
        }
        let mut left = fields(&[0xa2, 1, 2, 0x61, b'x', 3]).unwrap();
        assert_eq!(left.take(1), Some(2.into()));
        assert_eq!(left.end().unwrap_err(), "claims have the unknown entry \"x\"");
    }

    proptest! {
        #[test]
        fn no_octets_panic(octets in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(mut fields) = fields(&octets) {
                drop(fields.octets(1, "one", |length| length < 9));
                drop(fields.end());
            }
        }
    }
}
