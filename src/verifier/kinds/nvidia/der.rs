//! Elements of DER one after another, for structures that `x509-cert` does not know.

use x509_cert::der::{Decode, Header, Reader, SliceReader};

pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const ENUMERATED: u8 = 0x0a;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const GENERALIZED_TIME: u8 = 0x18;

/// `[number]`, constructed.
pub(super) const fn constructed(number: u8) -> u8 {
    0xa0 | number
}

/// `[number]`, primitive.
pub(super) const fn primitive(number: u8) -> u8 {
    0x80 | number
}

/// One element.
#[derive(Debug, Clone, Copy)]
pub(super) struct Element<'a> {
    pub(super) tag: u8,
    pub(super) content: &'a [u8],
    /// Tag, length and content.
    pub(super) whole: &'a [u8],
}

/// What is left to read.
pub(super) struct Elements<'a>(SliceReader<'a>);

impl<'a> Elements<'a> {
    pub(super) fn of(octets: &'a [u8]) -> Result<Self, String> {
        SliceReader::new(octets).map(Self).map_err(|error| error.to_string())
    }

    /// The next element, if there is one.
    pub(super) fn take(&mut self) -> Result<Option<Element<'a>>, String> {
        if self.0.is_finished() {
            return Ok(None);
        }
        let whole = self.0.tlv_bytes().map_err(|error| error.to_string())?;
        let mut inside = SliceReader::new(whole).map_err(|error| error.to_string())?;
        Header::decode(&mut inside).map_err(|error| error.to_string())?;
        let content = inside.read_slice(inside.remaining_len()).map_err(|error| error.to_string())?;
        Ok(Some(Element { tag: whole.first().copied().unwrap_or_default(), content, whole }))
    }

    /// The next element, which must be there.
    pub(super) fn next(&mut self) -> Result<Element<'a>, String> {
        self.take()?.ok_or_else(|| "it ends where an element begins".to_owned())
    }

    /// The next element, which must have this tag.
    pub(super) fn want(&mut self, tag: u8) -> Result<Element<'a>, String> {
        let element = self.next()?;
        if element.tag == tag {
            Ok(element)
        } else {
            Err(format!("an element with tag {:#04x}, want {tag:#04x}", element.tag))
        }
    }

    /// Whether the next element has this tag; then it is taken.
    pub(super) fn optional(&mut self, tag: u8) -> Result<Option<Element<'a>>, String> {
        match self.0.peek_byte() {
            Some(next) if next == tag => self.take(),
            _ => Ok(None),
        }
    }

    /// Nothing may be left.
    pub(super) fn finish(self) -> Result<(), String> {
        if self.0.is_finished() { Ok(()) } else { Err("something follows the last element".to_owned()) }
    }
}

/// The content of the one element that these octets are.
pub(super) fn only(octets: &[u8], tag: u8) -> Result<&[u8], String> {
    let mut elements = Elements::of(octets)?;
    let element = elements.want(tag)?;
    elements.finish()?;
    Ok(element.content)
}
