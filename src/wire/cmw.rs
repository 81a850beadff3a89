//! Conceptual message wrappers (RFC 9999): records and collections, in JSON and in CBOR.
//!
//! In scope: both forms of a record, the CBOR tag form, collections in collections, the X.509 extension, and limits on
//! all of it. CBOR is read without the second spellings that it allows (indefinite lengths, long forms, keys twice);
//! the order of a map's keys is free. Signed CMWs are recognised, and refused by name.
//! Out of scope: what the messages mean (`evidence`).

mod cbor;
mod json;

use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::der::asn1::{ObjectIdentifier, OctetStringRef, Utf8StringRef};

pub use cbor::{format_of_tag, tag_of_format};

/// The reserved label of a collection's type.
pub const TYPE_LABEL: &str = "__cmwc_t";
/// Octets of a CMW: all that evidence and collateral may have, in base64.
pub const MAX_CMW_BYTES: usize = 16 << 20;
/// Collections in collections: a machine, its parts, and room to spare.
pub const MAX_NESTING: usize = 4;
/// Records and collections in a collection, those in nested ones too.
pub const MAX_ENTRIES: usize = 128;

/// `id-pe-cmw`: the X.509 extension.
const EXTENSION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.1.35");
/// The bits of `ind` that are assigned.
const KNOWN_IND: u64 = 0b1_1111;

/// Why octets are not a CMW that is read here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CmwError {
    /// Too large.
    #[error("a CMW has at most {MAX_CMW_BYTES} octets, got {0}")]
    TooLarge(usize),
    /// The first octet is of no form.
    #[error("no CMW begins with octet {0:#04x}")]
    Unknown(u8),
    /// Nothing.
    #[error("a CMW has at least one octet")]
    Empty,
    /// Not CBOR, or in a second spelling.
    #[error("CBOR: {0}")]
    Cbor(String),
    /// Not JSON.
    #[error("JSON: {0}")]
    Json(String),
    /// A record that is none.
    #[error("{label}: {reason}")]
    Record {
        /// Where.
        label: String,
        /// Why.
        reason: &'static str,
    },
    /// A collection that is none.
    #[error("collection: {0}")]
    Collection(String),
    /// A signed CMW.
    #[error("a CMW signed by {0} is not taken: send what is in it")]
    Signed(&'static str),
    /// Not a certificate, or with an extension that is none.
    #[error("certificate: {0}")]
    Certificate(String),
}

/// A wrapper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cmw {
    /// One message.
    Record(Record),
    /// Several.
    Collection(Collection),
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What the octets are.
    pub kind: Kind,
    /// The octets.
    pub value: Vec<u8>,
    /// Which conceptual messages they are, bit by bit, if the sender says so.
    pub ind: Option<u64>,
}

/// What the octets of a record are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// By media type.
    Media(String),
    /// By CoAP content format.
    Format(u16),
}

/// Several messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collection {
    /// What the collection is: a URI or an object identifier.
    pub kind: Option<String>,
    /// The messages by label, in the order of deterministic CBOR, whatever order they came in.
    pub entries: Vec<(Label, Cmw)>,
}

/// A label. Ordered as keys of deterministic CBOR are: numbers first, then texts, the shorter ones first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Label {
    /// In CBOR alone.
    Number(i64),
    /// In both.
    Text(String),
}

impl Label {
    fn order(&self) -> (bool, bool, u64, &str) {
        match self {
            Self::Number(number) => {
                let magnitude = if *number < 0 { !number.cast_unsigned() } else { number.cast_unsigned() };
                (false, *number < 0, magnitude, "")
            }
            Self::Text(text) => (true, false, text.len() as u64, text),
        }
    }
}

impl std::fmt::Display for Label {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl Cmw {
    /// Reads a CMW of any form, told apart by its first octet.
    pub fn read(octets: &[u8]) -> Result<Self, CmwError> {
        if octets.len() > MAX_CMW_BYTES {
            return Err(CmwError::TooLarge(octets.len()));
        }
        // JSON may begin with white space; no CBOR form begins with one.
        let first = octets.iter().find(|octet| !octet.is_ascii_whitespace()).ok_or(CmwError::Empty)?;
        match first {
            b'[' | b'{' => Self::from_json(octets),
            // A compact JWS begins with the base64url of `{"`.
            b'e' if octets.trim_ascii().starts_with(b"eyJ") => Err(CmwError::Signed("JWS")),
            0x82 | 0x83 | 0x84 | 0x9f | 0xa0..=0xbb | 0xbf | 0xd2 | 0xda => Self::from_cbor(octets),
            other => Err(CmwError::Unknown(*other)),
        }
    }

    /// Reads the CBOR forms.
    pub fn from_cbor(octets: &[u8]) -> Result<Self, CmwError> {
        Counter::default().cbor("the CMW", cbor::parse_cbor(octets)?, 0)
    }

    /// Reads the JSON forms.
    pub fn from_json(octets: &[u8]) -> Result<Self, CmwError> {
        Counter::default().json("the CMW", parse_json(octets)?, 0)
    }

    /// Reads a collection that is JSON already.
    pub(super) fn from_members<'a>(
        members: impl Iterator<Item = (&'a String, &'a serde_json::Value)>,
    ) -> Result<Self, CmwError> {
        let members = members.map(|(label, value)| (label.clone(), json::Node::of(value)));
        Counter::default().json("the CMW", json::Node::Object(members.collect()), 0)
    }

    /// The CMW in a certificate's extension, if it has one (RFC 9999 section 5.4).
    pub fn in_certificate(der: &[u8]) -> Result<Option<Self>, CmwError> {
        let bad = |error: x509_cert::der::Error| CmwError::Certificate(error.to_string());
        let certificate = Certificate::from_der(der).map_err(bad)?;
        let mut extensions = certificate.tbs_certificate().extensions().into_iter().flatten();
        let Some(found) = extensions.find(|extension| extension.extn_id == EXTENSION) else {
            return Ok(None);
        };
        let value = found.extn_value.as_bytes();
        if let Ok(text) = Utf8StringRef::from_der(value) {
            return Self::from_json(text.as_str().as_bytes()).map(Some);
        }
        let octets = <&OctetStringRef>::from_der(value).map_err(bad)?;
        Self::from_cbor(octets.as_bytes()).map(Some)
    }
}

fn parse_json(octets: &[u8]) -> Result<json::Node, CmwError> {
    serde_json::from_slice(octets).map_err(|error| CmwError::Json(error.to_string()))
}

/// Reads, and counts what was read.
#[derive(Default)]
struct Counter {
    entries: usize,
}

impl Counter {
    fn json(&mut self, label: &str, node: json::Node, depth: usize) -> Result<Cmw, CmwError> {
        match node {
            json::Node::Array(fields) => json::record(label, &fields).map(Cmw::Record),
            json::Node::Object(members) => self.json_collection(members, depth).map(Cmw::Collection),
            json::Node::Text(_) | json::Node::Other => {
                Err(record_error(label, "neither a record nor a collection"))
            }
        }
    }

    fn json_collection(
        &mut self,
        members: Vec<(String, json::Node)>,
        depth: usize,
    ) -> Result<Collection, CmwError> {
        let has = |prefix: &str| members.iter().any(|(label, _)| label.starts_with(prefix));
        if has("payload") && has("signature") {
            return Err(CmwError::Signed("JWS"));
        }
        let (mut kind, mut entries) = (None, Vec::new());
        for (label, node) in self.enter(members, depth)? {
            match node {
                json::Node::Text(_) if label == TYPE_LABEL && kind.is_some() => {
                    return Err(wrong("its type is there twice"));
                }
                json::Node::Text(text) if label == TYPE_LABEL => kind = Some(text),
                node => {
                    let entry = self.json(&label, node, depth.saturating_add(1))?;
                    entries.push((Label::Text(label), entry));
                }
            }
        }
        collection(kind, entries)
    }

    /// Into a collection.
    fn enter<T>(&mut self, members: Vec<T>, depth: usize) -> Result<Vec<T>, CmwError> {
        if depth >= MAX_NESTING {
            return Err(wrong("nested too deeply"));
        }
        self.entries = self.entries.saturating_add(members.len());
        if self.entries > MAX_ENTRIES {
            return Err(CmwError::Collection(format!("at most {MAX_ENTRIES} entries")));
        }
        Ok(members)
    }
}

fn media_type(label: &str, text: String) -> Result<Kind, CmwError> {
    let good =
        text.contains('/') && text.len() <= 255 && text.bytes().all(|octet| (0x20..0x7f).contains(&octet));
    if good { Ok(Kind::Media(text)) } else { Err(record_error(label, "the type is no media type")) }
}

fn check_ind(label: &str, ind: Option<u64>) -> Result<(), CmwError> {
    match ind {
        Some(0) => Err(record_error(label, "ind says that it is no message")),
        Some(ind) if ind & !KNOWN_IND != 0 => Err(record_error(label, "ind has a bit that is not assigned")),
        _ => Ok(()),
    }
}

fn collection(kind: Option<String>, mut entries: Vec<(Label, Cmw)>) -> Result<Collection, CmwError> {
    if let Some(kind) = kind.as_deref().filter(|kind| !is_uri(kind) && !is_oid(kind)) {
        return Err(CmwError::Collection(format!(
            "its type {kind:?} is neither a URI nor an object identifier"
        )));
    }
    if entries.is_empty() {
        return Err(wrong("it has no entry"));
    }
    entries.sort_by(|(one, _), (other, _)| one.order().cmp(&other.order()));
    if entries.windows(2).any(|pair| matches!(pair, [(one, _), (other, _)] if one == other)) {
        return Err(wrong("a label is there twice"));
    }
    if entries.iter().any(|(label, _)| *label == Label::Text(TYPE_LABEL.to_owned())) {
        return Err(wrong("its type is not a text"));
    }
    Ok(Collection { kind, entries })
}

/// An absolute URI, as far as its scheme goes (RFC 3986 section 3.1).
fn is_uri(text: &str) -> bool {
    text.split_once(':').is_some_and(|(scheme, rest)| {
        let scheme_goes_on = |octet: u8| octet.is_ascii_alphanumeric() || b"+-.".contains(&octet);
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(scheme_goes_on)
            && !rest.is_empty()
            && rest.bytes().all(|octet| octet.is_ascii_graphic())
    })
}

fn is_oid(text: &str) -> bool {
    text.contains('.') && ObjectIdentifier::new(text).is_ok()
}

fn record_error(label: &str, reason: &'static str) -> CmwError {
    CmwError::Record { label: label.to_owned(), reason }
}

fn wrong(reason: &str) -> CmwError {
    CmwError::Collection(reason.to_owned())
}

#[cfg(test)]
mod tests;
