//! The little of DER that cutting needs: tags of one byte, definite lengths in their shortest form.

use super::X509Error;

/// Tags that occur around what we cut.
pub(super) mod tag {
    pub(in super::super) const BOOLEAN: u8 = 0x01;
    pub(in super::super) const INTEGER: u8 = 0x02;
    pub(in super::super) const BIT_STRING: u8 = 0x03;
    pub(in super::super) const OCTET_STRING: u8 = 0x04;
    pub(in super::super) const OID: u8 = 0x06;
    pub(in super::super) const SEQUENCE: u8 = 0x30;
    pub(in super::super) const CONTEXT_0: u8 = 0xa0;
    pub(in super::super) const CONTEXT_3: u8 = 0xa3;
}

/// One element.
#[derive(Clone, Copy)]
pub(super) struct Tlv<'a> {
    /// Tag, length and content.
    pub(super) whole: &'a [u8],
    /// The content alone.
    pub(super) content: &'a [u8],
}

impl<'a> Tlv<'a> {
    /// Takes one element with this tag off the front.
    pub(super) fn take(input: &'a [u8], want: u8) -> Result<(Self, &'a [u8]), X509Error> {
        let (&tag, after_tag) =
            input.split_first().ok_or(X509Error::Der("input ends where an element begins"))?;
        if tag != want {
            return Err(X509Error::Shape("an element has another tag than its place wants"));
        }
        let (length, after_length) = take_length(after_tag)?;
        let (content, rest) =
            after_length.split_at_checked(length).ok_or(X509Error::Der("element is cut short"))?;
        let whole = input.get(..input.len().saturating_sub(rest.len())).unwrap_or_default();
        Ok((Self { whole, content }, rest))
    }
}

/// The content of the one element that `input` is.
pub(super) fn only(input: &[u8], want: u8) -> Result<&[u8], X509Error> {
    let (element, rest) = Tlv::take(input, want)?;
    if rest.is_empty() { Ok(element.content) } else { Err(X509Error::Der("bytes follow an element")) }
}

/// An element with this tag and content.
pub(super) fn wrap(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let leading = length.iter().take_while(|byte| **byte == 0).count();
    let significant = length.get(leading..).unwrap_or_default();
    let mut out = vec![tag];
    match significant {
        [] => out.push(0),
        [short] if *short < 0x80 => out.push(*short),
        // A usize has at most 8 bytes, so the count fits beside the flag.
        long => {
            out.push(0x80 | u8::try_from(long.len()).unwrap_or(8));
            out.extend_from_slice(long);
        }
    }
    out.extend_from_slice(content);
    out
}

fn take_length(input: &[u8]) -> Result<(usize, &[u8]), X509Error> {
    let (&first, rest) = input.split_first().ok_or(X509Error::Der("input ends before a length"))?;
    match first {
        0..=0x7f => Ok((usize::from(first), rest)),
        0x80 => Err(X509Error::Der("length is indefinite")),
        // Three length bytes already exceed the limit on certificates; four leave room without overflow.
        0x81..=0x84 => {
            let (bytes, rest) = rest
                .split_at_checked(usize::from(first & 0x7f))
                .ok_or(X509Error::Der("length is cut short"))?;
            let value = bytes.iter().fold(0usize, |value, byte| (value << 8) | usize::from(*byte));
            let shortest = bytes.first() != Some(&0) && value >= 0x80;
            if shortest {
                Ok((value, rest))
            } else {
                Err(X509Error::Der("length is not in its shortest form"))
            }
        }
        _ => Err(X509Error::Der("length has more than four bytes")),
    }
}
