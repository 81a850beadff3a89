//! The little of deterministic CBOR (RFC 8949 section 4.2.1) that content addresses need: arrays, texts and byte
//! strings of definite, shortest length. Nothing else is written, and nothing else is read.

/// Additional information of a head: the length follows in one, two or four octets.
const IN_ONE: u8 = 0x18;
const IN_TWO: u8 = 0x19;
const IN_FOUR: u8 = 0x1a;

const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;

/// Writes the head of an array.
pub(super) fn array(out: &mut Vec<u8>, count: usize) {
    head(out, ARRAY, count);
}

/// Writes a text.
pub(super) fn text(out: &mut Vec<u8>, value: &str) {
    head(out, TEXT, value.len());
    out.extend_from_slice(value.as_bytes());
}

/// Writes a byte string.
pub(super) fn bytes(out: &mut Vec<u8>, value: &[u8]) {
    head(out, BYTES, value.len());
    out.extend_from_slice(value);
}

fn head(out: &mut Vec<u8>, major: u8, length: usize) {
    let major = major << 5;
    // Limits keep lengths far below 4 GiB.
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    if let Ok(short) = u8::try_from(length) {
        if short < 24 {
            out.push(major | short);
        } else {
            out.extend_from_slice(&[major | IN_ONE, short]);
        }
    } else if let Ok(middle) = u16::try_from(length) {
        out.push(major | IN_TWO);
        out.extend_from_slice(&middle.to_be_bytes());
    } else {
        out.push(major | IN_FOUR);
        out.extend_from_slice(&length.to_be_bytes());
    }
}

/// Reads what the functions above write; says in words what else it met.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn array(&mut self, max: usize) -> Result<usize, &'static str> {
        self.head(ARRAY, max)
    }

    pub(super) fn text(&mut self, max: usize) -> Result<String, &'static str> {
        let length = self.head(TEXT, max)?;
        String::from_utf8(self.take(length)?.to_vec()).map_err(|_| "a text is not UTF-8")
    }

    pub(super) fn bytes(&mut self, max: usize) -> Result<Vec<u8>, &'static str> {
        let length = self.head(BYTES, max)?;
        Ok(self.take(length)?.to_vec())
    }

    pub(super) fn end(self) -> Result<(), &'static str> {
        if self.rest.is_empty() { Ok(()) } else { Err("octets after the end") }
    }

    fn head(&mut self, want: u8, max: usize) -> Result<usize, &'static str> {
        let first = self.take(1)?.first().copied().unwrap_or_default();
        if first >> 5 != want {
            return Err("another type than expected");
        }
        let (length, least) = match first & 0x1f {
            short @ 0..24 => (u64::from(short), 0),
            IN_ONE => (self.number(1)?, 24),
            IN_TWO => (self.number(2)?, 1 << 8),
            IN_FOUR => (self.number(4)?, 1 << 16),
            _ => return Err("a length of a form never written"),
        };
        if length < least {
            return Err("a length not in its shortest form");
        }
        usize::try_from(length).ok().filter(|length| *length <= max).ok_or("longer than its limit")
    }

    fn number(&mut self, octets: usize) -> Result<u64, &'static str> {
        Ok(self.take(octets)?.iter().fold(0, |number, octet| (number << 8) | u64::from(*octet)))
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], &'static str> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or("ends too early")?;
        self.rest = rest;
        Ok(taken)
    }
}
