//! The law, `schemas/statements.cddl`, as a validator of octets: of those that these tests make, and of those that the
//! whole program leaves behind (the root package's tests include this file).
//!
//! `cddl-cat` knows no tags, and the crate `cddl` brings a hundred others; so schema and data are both rewritten here:
//! `#6.18(x)` becomes `["#6.18", x]`, also inside byte strings that hold tagged items.

use cddl_cat::{cbor::validate_cbor, context::BasicContext, flatten::flatten_from_str};
use ciborium::Value;
use treering_provenance::strict;

const LAW: &str = include_str!("../../../schemas/statements.cddl");
const TAGS: [u64; 3] = [16, 18, 96];
const MAX_BYTES: usize = 16 << 20;

pub(crate) struct Law(BasicContext);

impl Law {
    pub(crate) fn read() -> Self {
        let mut text = LAW.to_owned();
        for tag in TAGS {
            let opening = format!("#6.{tag}(");
            while let Some(start) = text.find(&opening) {
                let end = start + text[start..].find(')').unwrap();
                text.replace_range(end..=end, "]");
                text.replace_range(start..start + opening.len(), &format!("[\"#6.{tag}\", "));
            }
        }
        Self(BasicContext::new(flatten_from_str(&text).unwrap()))
    }

    pub(crate) fn judge(&self, rule: &str, bytes: &[u8]) -> Result<(), String> {
        let value = untag(strict::decode(bytes, MAX_BYTES).map_err(|error| error.to_string())?);
        let rule = self.0.rules.get(rule).unwrap_or_else(|| panic!("no rule {rule}"));
        validate_cbor(rule, &value, &self.0).map_err(|error| error.to_string())
    }

    #[track_caller]
    pub(crate) fn accepts(&self, rule: &str, bytes: &[u8]) {
        if let Err(error) = self.judge(rule, bytes) {
            panic!("{rule}: {error}\n{:?}", strict::decode(bytes, MAX_BYTES));
        }
    }
}

fn untag(value: Value) -> Value {
    match value {
        Value::Tag(tag, inner) => Value::Array(vec![format!("#6.{tag}").into(), untag(*inner)]),
        Value::Array(items) => Value::Array(items.into_iter().map(untag).collect()),
        Value::Map(entries) => {
            Value::Map(entries.into_iter().map(|(key, value)| (untag(key), untag(value))).collect())
        }
        Value::Bytes(bytes) => match strict::decode(&bytes, MAX_BYTES) {
            // Messages of COSE are arrays. Random octets can be a tag and something: one nonce in thousands is.
            Ok(Value::Tag(tag, message)) if TAGS.contains(&tag) && message.is_array() => {
                Value::Bytes(strict::encode(&untag(Value::Tag(tag, message))).unwrap())
            }
            _ => Value::Bytes(bytes),
        },
        other => other,
    }
}
