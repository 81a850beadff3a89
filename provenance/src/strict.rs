//! Strict deterministic CBOR (RFC 8949 section 4.2.1).
//!
//! In scope: a checker that every byte string which is hashed, signed or stored passes before any other decoder sees
//! it, and an encoder whose output passes it. `ciborium` accepts duplicate keys, long forms and trailing bytes;
//! `coset` accepts long forms and indefinite lengths: two byte strings would be one statement.
//! Foreign COSE messages get by with [`check_unsorted`]: their protected headers are signed as received and never
//! encoded anew, and few clients sort them.
//! Out of scope: floats, `undefined`, unassigned simple values and bignums. None of our formats has them, and each has
//! more than one spelling somewhere; they are refused.

use std::collections::BTreeSet;

use ciborium::Value;
use serde::{Serialize, de::DeserializeOwned};

/// The greatest nesting that is accepted. Our deepest format (a receipt inside a proof is a byte string, so nesting
/// starts anew there) has 6 levels.
pub const MAX_DEPTH: usize = 16;

/// The bignum tags, which spell an integer a second way.
const BIGNUM_TAGS: [u64; 2] = [2, 3];

/// Why bytes are not the one deterministic encoding of a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StrictError {
    /// The input is longer than its limit.
    #[error("input has {got} bytes, at most {max} are accepted")]
    TooLong {
        /// Bytes given.
        got: usize,
        /// Bytes accepted.
        max: usize,
    },
    /// The input ends inside an item.
    #[error("input ends inside an item at byte {0}")]
    Truncated(usize),
    /// Bytes follow the one item.
    #[error("{0} bytes follow the item")]
    Trailing(usize),
    /// An integer or length is not in its shortest form.
    #[error("number at byte {0} is not in its shortest form")]
    LongForm(usize),
    /// An indefinite length.
    #[error("indefinite length at byte {0}")]
    Indefinite(usize),
    /// Map keys are not strictly ascending in bytewise order.
    #[error("map keys at byte {0} are not strictly ascending")]
    KeyOrder(usize),
    /// A map has one key twice.
    #[error("map has one key twice")]
    DuplicateKey,
    /// Text that is not UTF-8.
    #[error("text at byte {0} is not UTF-8")]
    Utf8(usize),
    /// A float, `undefined`, unassigned simple value, or reserved length.
    #[error("initial byte {byte:#04x} at {at} is not accepted")]
    Refused {
        /// Where.
        at: usize,
        /// The initial byte.
        byte: u8,
    },
    /// A bignum tag.
    #[error("bignum at byte {0} is not accepted")]
    Bignum(usize),
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("nested deeper than {MAX_DEPTH} levels at byte {0}")]
    Depth(usize),
    /// A value that has no deterministic encoding here.
    #[error("value has no deterministic encoding: {0}")]
    Unencodable(&'static str),
    /// The bytes are deterministic, but what they decode to is written otherwise.
    #[error("what the bytes decode to is encoded otherwise")]
    Respelled,
    /// The bytes are deterministic, but not the expected type.
    #[error("unexpected shape: {0}")]
    Shape(String),
}

/// Checks that `bytes` is exactly one item in deterministic encoding, no longer than `max_bytes`.
pub fn check(bytes: &[u8], max_bytes: usize) -> Result<(), StrictError> {
    if bytes.len() > max_bytes {
        return Err(StrictError::TooLong { got: bytes.len(), max: max_bytes });
    }
    Scan { bytes, at: 0, sorted: true }.whole()
}

/// As [`check`], but map keys may be in any order: for what others sign and we only ever keep as received. Everything
/// else that could be read in two ways is refused all the same, keys that occur twice above all.
pub fn check_unsorted(bytes: &[u8], max_bytes: usize) -> Result<(), StrictError> {
    if bytes.len() > max_bytes {
        return Err(StrictError::TooLong { got: bytes.len(), max: max_bytes });
    }
    Scan { bytes, at: 0, sorted: false }.whole()
}

/// Decodes one deterministic item into a generic value.
pub fn decode(bytes: &[u8], max_bytes: usize) -> Result<Value, StrictError> {
    check(bytes, max_bytes)?;
    ciborium::from_reader(bytes).map_err(|error| StrictError::Shape(error.to_string()))
}

/// Decodes one deterministic item into `T`: exactly what [`to_vec`] writes for the result.
///
/// The decoder behind serde skips tags, leaves elements of a longer array unread, takes byte strings for names, and
/// takes null for an absent field: each would be one more encoding of the same value.
pub fn from_slice<T: DeserializeOwned + Serialize>(bytes: &[u8], max_bytes: usize) -> Result<T, StrictError> {
    check(bytes, max_bytes)?;
    let value: T = ciborium::from_reader(bytes).map_err(|error| StrictError::Shape(error.to_string()))?;
    if to_vec(&value)? == bytes { Ok(value) } else { Err(StrictError::Respelled) }
}

/// Encodes `value` deterministically: shortest forms, definite lengths, map keys sorted.
pub fn encode(value: &Value) -> Result<Vec<u8>, StrictError> {
    let mut out = Vec::new();
    put(&mut out, value, 0)?;
    Ok(out)
}

/// Encodes anything serialisable deterministically. Byte strings need the types of [`crate::bytes`]: a `Vec<u8>` is
/// an array to serde.
pub fn to_vec<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, StrictError> {
    let value = Value::serialized(value).map_err(|error| StrictError::Shape(error.to_string()))?;
    encode(&value)
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    sorted: bool,
}

impl Scan<'_> {
    fn whole(mut self) -> Result<(), StrictError> {
        self.item(0)?;
        match self.bytes.len().saturating_sub(self.at) {
            0 => Ok(()),
            more => Err(StrictError::Trailing(more)),
        }
    }

    fn item(&mut self, depth: usize) -> Result<(), StrictError> {
        let start = self.at;
        if depth > MAX_DEPTH {
            return Err(StrictError::Depth(start));
        }
        let initial = self.byte()?;
        let major = initial >> 5;
        if major == 7 {
            return match initial {
                0xf4..=0xf6 => Ok(()),
                byte => Err(StrictError::Refused { at: start, byte }),
            };
        }
        let argument = self.argument(initial, start)?;
        match major {
            0 | 1 => Ok(()),
            2 => self.take(argument).map(|_| ()),
            3 => {
                let text = self.take(argument)?;
                std::str::from_utf8(text).map(|_| ()).map_err(|_| StrictError::Utf8(start))
            }
            4 => self.array(argument, depth),
            5 => self.map(argument, depth),
            _ if BIGNUM_TAGS.contains(&argument) => Err(StrictError::Bignum(start)),
            _ => self.item(depth + 1),
        }
    }

    fn array(&mut self, count: u64, depth: usize) -> Result<(), StrictError> {
        // Each element takes a byte, so a count beyond the input ends in `Truncated` before it costs anything.
        for _ in 0..count {
            self.item(depth + 1)?;
        }
        Ok(())
    }

    fn map(&mut self, count: u64, depth: usize) -> Result<(), StrictError> {
        let bytes = self.bytes;
        let mut previous: Option<&[u8]> = None;
        let mut seen = BTreeSet::new();
        for _ in 0..count {
            let start = self.at;
            self.item(depth + 1)?;
            let key = bytes.get(start..self.at).ok_or(StrictError::Truncated(start))?;
            if self.sorted && previous.is_some_and(|previous| previous >= key) {
                return Err(StrictError::KeyOrder(start));
            }
            if !self.sorted && !seen.insert(key) {
                return Err(StrictError::DuplicateKey);
            }
            previous = Some(key);
            self.item(depth + 1)?;
        }
        Ok(())
    }

    fn argument(&mut self, initial: u8, start: usize) -> Result<u64, StrictError> {
        let (width, least) = match initial & 0x1f {
            short @ 0..=23 => return Ok(u64::from(short)),
            24 => (1, 24),
            25 => (2, 1 << 8),
            26 => (4, 1 << 16),
            27 => (8, 1 << 32),
            31 if (2..=5).contains(&(initial >> 5)) => return Err(StrictError::Indefinite(start)),
            _ => return Err(StrictError::Refused { at: start, byte: initial }),
        };
        let value = self.take(width)?.iter().fold(0u64, |value, byte| (value << 8) | u64::from(*byte));
        if value < least {
            return Err(StrictError::LongForm(start));
        }
        Ok(value)
    }

    fn byte(&mut self) -> Result<u8, StrictError> {
        let byte = *self.bytes.get(self.at).ok_or(StrictError::Truncated(self.at))?;
        self.at += 1;
        Ok(byte)
    }

    fn take(&mut self, count: u64) -> Result<&[u8], StrictError> {
        let truncated = StrictError::Truncated(self.at);
        let Some(end) = usize::try_from(count).ok().and_then(|count| self.at.checked_add(count)) else {
            return Err(truncated);
        };
        let taken = self.bytes.get(self.at..end).ok_or(truncated)?;
        self.at = end;
        Ok(taken)
    }
}

fn put(out: &mut Vec<u8>, value: &Value, depth: usize) -> Result<(), StrictError> {
    if depth > MAX_DEPTH {
        return Err(StrictError::Depth(out.len()));
    }
    match value {
        Value::Integer(integer) => put_integer(out, i128::from(*integer)),
        Value::Bytes(bytes) => {
            put_bytes(out, bytes);
            Ok(())
        }
        Value::Text(text) => {
            head(out, 3, text.len() as u64);
            out.extend_from_slice(text.as_bytes());
            Ok(())
        }
        Value::Bool(bool) => {
            out.push(if *bool { 0xf5 } else { 0xf4 });
            Ok(())
        }
        Value::Null => {
            out.push(0xf6);
            Ok(())
        }
        Value::Array(items) => {
            head(out, 4, items.len() as u64);
            items.iter().try_for_each(|item| put(out, item, depth + 1))
        }
        Value::Map(entries) => put_map(out, entries, depth),
        Value::Tag(tag, _) if BIGNUM_TAGS.contains(tag) => Err(StrictError::Unencodable("bignum")),
        Value::Tag(tag, inner) => {
            head(out, 6, *tag);
            put(out, inner, depth + 1)
        }
        _ => Err(StrictError::Unencodable("float")),
    }
}

fn put_integer(out: &mut Vec<u8>, integer: i128) -> Result<(), StrictError> {
    let (major, argument) = if integer >= 0 { (0, integer) } else { (1, -1 - integer) };
    let argument = u64::try_from(argument).map_err(|_| StrictError::Unencodable("integer beyond 64 bits"))?;
    head(out, major, argument);
    Ok(())
}

fn put_map(out: &mut Vec<u8>, entries: &[(Value, Value)], depth: usize) -> Result<(), StrictError> {
    let mut encoded = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        let mut key_bytes = Vec::new();
        put(&mut key_bytes, key, depth + 1)?;
        encoded.push((key_bytes, value));
    }
    encoded.sort_by(|(left, _), (right, _)| left.cmp(right));
    if encoded.windows(2).any(|pair| matches!(pair, [(left, _), (right, _)] if left == right)) {
        return Err(StrictError::DuplicateKey);
    }
    head(out, 5, encoded.len() as u64);
    for (key, value) in encoded {
        out.extend_from_slice(&key);
        put(out, value, depth + 1)?;
    }
    Ok(())
}

/// Writes an initial byte and its argument in the shortest form.
/// Where an item begins, for who writes a fixed shape item by item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Head {
    Array(usize),
    Map(usize),
    Negative(u64),
    Null,
    Tag(u64),
    Unsigned(u64),
}

impl Head {
    /// An integer.
    pub(crate) const fn of(integer: i64) -> Self {
        if integer < 0 {
            Self::Negative(!integer.cast_unsigned())
        } else {
            Self::Unsigned(integer.cast_unsigned())
        }
    }

    /// Writes it in its shortest form.
    pub(crate) fn put(self, out: &mut Vec<u8>) {
        match self {
            Self::Unsigned(number) => head(out, 0, number),
            Self::Negative(number) => head(out, 1, number),
            Self::Array(items) => head(out, 4, items as u64),
            Self::Map(members) => head(out, 5, members as u64),
            Self::Tag(tag) => head(out, 6, tag),
            Self::Null => out.push(0xf6),
        }
    }
}

/// Writes a byte string.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    head(out, 2, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn head(out: &mut Vec<u8>, major: u8, argument: u64) {
    let major = major << 5;
    let bytes = argument.to_be_bytes();
    let (info, width) = match argument {
        0..=23 => (bytes[7], 0),
        24..=0xff => (24, 1),
        0x100..=0xffff => (25, 2),
        0x1_0000..=0xffff_ffff => (26, 4),
        _ => (27, 8),
    };
    out.push(major | info);
    out.extend(bytes.iter().skip(8 - width));
}
