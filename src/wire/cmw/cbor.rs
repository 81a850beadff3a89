//! The CBOR forms, and the tags of RFC 9277.

use ciborium::Value as Cbor;
use treering_provenance::strict;

use super::{
    Cmw, CmwError, Counter, Kind, Label, MAX_CMW_BYTES, Record, TYPE_LABEL, check_ind, collection,
    media_type, parse_json, record_error, wrong,
};

/// TN(0) of RFC 9277: the tag of CoAP content format 0. The formats follow, 255 to every 256 tags.
const FIRST_TAG: u64 = 1_668_546_817;
/// COSE_Sign1.
const SIGN1: u64 = 18;
/// Content formats of CMWs themselves: application/cmw+cbor, +cose, +json, +jws.
pub(super) const CMW_CBOR: u16 = 273;
const CMW_COSE: u16 = 274;
pub(super) const CMW_JSON: u16 = 275;
const CMW_JWS: u16 = 276;
impl Cmw {
    /// In deterministic CBOR.
    pub fn to_cbor(&self) -> Result<Vec<u8>, CmwError> {
        strict::encode(&self.value()).map_err(|error| CmwError::Cbor(error.to_string()))
    }

    fn value(&self) -> Cbor {
        match self {
            Self::Record(record) => {
                let kind = match &record.kind {
                    Kind::Media(text) => Cbor::Text(text.clone()),
                    Kind::Format(number) => Cbor::Integer((*number).into()),
                };
                let ind = record.ind.map(|ind| Cbor::Integer(ind.into()));
                Cbor::Array([kind, Cbor::Bytes(record.value.clone())].into_iter().chain(ind).collect())
            }
            Self::Collection(collection) => {
                let kind = collection.kind.iter().map(|kind| (TYPE_LABEL.into(), Cbor::Text(kind.clone())));
                let entries = collection.entries.iter().map(|(label, entry)| {
                    let label = match label {
                        Label::Number(number) => Cbor::Integer((*number).into()),
                        Label::Text(text) => Cbor::Text(text.clone()),
                    };
                    (label, entry.value())
                });
                Cbor::Map(kind.chain(entries).collect())
            }
        }
    }
}

pub(super) fn parse_cbor(octets: &[u8]) -> Result<Cbor, CmwError> {
    let bad = |error: &dyn std::fmt::Display| CmwError::Cbor(error.to_string());
    strict::check_unsorted(octets, MAX_CMW_BYTES).map_err(|error| bad(&error))?;
    ciborium::from_reader(octets).map_err(|error| bad(&error))
}

/// The content format of a tag of RFC 9277, if it is one.
pub fn format_of_tag(tag: u64) -> Option<u16> {
    let offset = tag.checked_sub(FIRST_TAG)?;
    // The last octet of such a tag is never zero: every 256th is left out.
    let format = (offset / 256).checked_mul(255)?.checked_add(offset % 256)?;
    u16::try_from(format).ok().filter(|_| offset % 256 < 255)
}

/// The tag of a content format.
pub fn tag_of_format(format: u16) -> u64 {
    let format = u64::from(format);
    FIRST_TAG + (format / 255) * 256 + format % 255
}

impl Counter {
    pub(super) fn cbor(&mut self, label: &str, value: Cbor, depth: usize) -> Result<Cmw, CmwError> {
        match value {
            Cbor::Array(fields) => record_of_cbor(label, fields).map(Cmw::Record),
            Cbor::Map(members) => {
                let mut kind = None;
                let mut entries = Vec::new();
                for (label, value) in self.enter(members, depth)? {
                    let label = match (label, value) {
                        (Cbor::Text(text), Cbor::Text(value)) if text == TYPE_LABEL => {
                            kind = Some(value);
                            continue;
                        }
                        (Cbor::Text(text), value) => (Label::Text(text), value),
                        (Cbor::Integer(number), value) => {
                            let number = i64::try_from(number);
                            (Label::Number(number.map_err(|_| wrong("a label is beyond 63 bits"))?), value)
                        }
                        _ => return Err(wrong("a label is neither text nor a number")),
                    };
                    let (label, value) = label;
                    let entry = self.cbor(&label.to_string(), value, depth.saturating_add(1))?;
                    entries.push((label, entry));
                }
                collection(kind, entries).map(Cmw::Collection)
            }
            Cbor::Tag(SIGN1, _) => Err(CmwError::Signed("COSE_Sign1")),
            Cbor::Tag(tag, content) => self.tagged(label, tag, *content, depth),
            _ => Err(record_error(label, "neither a record, nor a collection, nor a tag")),
        }
    }

    fn tagged(&mut self, label: &str, tag: u64, content: Cbor, depth: usize) -> Result<Cmw, CmwError> {
        let format =
            format_of_tag(tag).ok_or_else(|| record_error(label, "the tag is of no content format"))?;
        let Cbor::Bytes(value) = content else {
            return Err(record_error(label, "what is tagged is not a byte string"));
        };
        match format {
            CMW_COSE => Err(CmwError::Signed("COSE_Sign1")),
            CMW_JWS => Err(CmwError::Signed("JWS")),
            CMW_CBOR => {
                self.enter(vec![()], depth)?;
                self.cbor(label, parse_cbor(&value)?, depth.saturating_add(1))
            }
            CMW_JSON => {
                self.enter(vec![()], depth)?;
                self.json(label, parse_json(&value)?, depth.saturating_add(1))
            }
            _ => Ok(Cmw::Record(Record { kind: Kind::Format(format), value, ind: None })),
        }
    }
}

fn record_of_cbor(label: &str, fields: Vec<Cbor>) -> Result<Record, CmwError> {
    let bad = |reason| record_error(label, reason);
    // What is signed by COSE, without its tag.
    if matches!(fields.as_slice(), [Cbor::Bytes(_), Cbor::Map(_), _, Cbor::Bytes(_)]) {
        return Err(CmwError::Signed("COSE_Sign1"));
    }
    let mut fields = fields.into_iter();
    let (kind, value, ind) = (fields.next(), fields.next(), fields.next());
    if fields.next().is_some() {
        return Err(bad("a record has two or three fields"));
    }
    let kind = match kind {
        Some(Cbor::Text(text)) => media_type(label, text)?,
        Some(Cbor::Integer(number)) => {
            Kind::Format(u16::try_from(number).map_err(|_| bad("the type is no CoAP content format"))?)
        }
        _ => return Err(bad("the type is neither a media type nor a content format")),
    };
    let Some(Cbor::Bytes(value)) = value else {
        return Err(bad("the value is not a byte string"));
    };
    let ind = match ind {
        None => None,
        Some(Cbor::Integer(number)) => Some(u64::try_from(number).map_err(|_| bad("ind is not a number"))?),
        Some(_) => return Err(bad("ind is not a number")),
    };
    check_ind(label, ind)?;
    Ok(Record { kind, value, ind })
}
