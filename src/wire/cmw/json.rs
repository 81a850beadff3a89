//! JSON as a CMW has it: with every member of an object, so that one that is there twice is seen.

use data_encoding::BASE64URL_NOPAD;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Value, json};

use super::{Cmw, CmwError, Kind, Label, Record, TYPE_LABEL, check_ind, media_type, record_error};

/// A value.
pub(super) enum Node {
    Array(Vec<Value>),
    Object(Vec<(String, Node)>),
    Text(String),
    Other,
}

impl Node {
    /// Of a value that was read already.
    pub(super) fn of(value: &Value) -> Self {
        match value {
            Value::Array(fields) => Self::Array(fields.clone()),
            Value::Object(members) => {
                Self::Object(members.iter().map(|(label, value)| (label.clone(), Self::of(value))).collect())
            }
            Value::String(text) => Self::Text(text.clone()),
            Value::Null | Value::Bool(_) | Value::Number(_) => Self::Other,
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Nodes)
    }
}

struct Nodes;

impl<'de> Visitor<'de> for Nodes {
    type Value = Node;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a record or a collection")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut fields: A) -> Result<Node, A::Error> {
        let mut read = Vec::new();
        // One more than a record has, so that it is seen to be none; nothing is kept of the rest.
        while let Some(field) = if read.len() < 4 { fields.next_element()? } else { None } {
            read.push(field);
        }
        while fields.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Node::Array(read))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Node, A::Error> {
        let mut read = Vec::new();
        while let Some(member) = members.next_entry()? {
            read.push(member);
        }
        Ok(Node::Object(read))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Text(text.to_owned()))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
        Ok(Node::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
        Ok(Node::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Other)
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Other)
    }
}

/// `[media type, base64url, ?ind]`.
pub(super) fn record(label: &str, fields: &[Value]) -> Result<Record, CmwError> {
    let bad = |reason| record_error(label, reason);
    let (kind, value, ind) = match fields {
        [kind, value] => (kind, value, None),
        [kind, value, ind] => (kind, value, Some(ind.as_u64().ok_or_else(|| bad("ind is not a number"))?)),
        _ => return Err(bad("a record has two or three fields")),
    };
    let kind = kind.as_str().ok_or_else(|| bad("the type is no media type"))?;
    let value = value.as_str().and_then(|text| BASE64URL_NOPAD.decode(text.as_bytes()).ok());
    check_ind(label, ind)?;
    Ok(Record {
        kind: media_type(label, kind.to_owned())?,
        value: value.ok_or_else(|| bad("the value is not unpadded base64url"))?,
        ind,
    })
}

impl Cmw {
    /// As JSON; numbers as labels and content formats have no JSON form.
    pub fn to_json(&self) -> Option<Value> {
        match self {
            Self::Record(Record { kind: Kind::Media(kind), value, ind }) => {
                let value = BASE64URL_NOPAD.encode(value);
                Some(ind.map_or_else(|| json!([kind, value]), |ind| json!([kind, value, ind])))
            }
            Self::Record(_) => None,
            Self::Collection(collection) => {
                let mut out = serde_json::Map::new();
                out.extend(collection.kind.iter().map(|kind| (TYPE_LABEL.to_owned(), json!(kind))));
                for (label, entry) in &collection.entries {
                    let Label::Text(label) = label else { return None };
                    out.insert(label.clone(), entry.to_json()?);
                }
                Some(Value::Object(out))
            }
        }
    }
}
