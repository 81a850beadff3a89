//! Where the parts of evidence lie in its octets, for people: what a check is said to read by name, this gives positions.
//!
//! In scope: forms that are CBOR, and names and positions as such. Out of scope: whether anything there is true. Read
//! from octets that nobody has verified: what cannot be read has no parts.

use std::ops::Range;

/// Parts that are named: a token of CCA has some fifty, a quote a dozen.
const MAX_PARTS: usize = 256;
/// CBOR in CBOR: a token's part, its payload, a list in it, a component, a field.
const MAX_DEPTH: usize = 12;

/// One part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What it is, by the name that checks have for it.
    pub name: String,
    /// Which octets of the item.
    pub range: Range<usize>,
}

impl Part {
    pub(super) fn new(name: impl Into<String>, range: Range<usize>) -> Self {
        Self { name: name.into(), range }
    }
}

/// Parts that follow one another, by their lengths.
pub(super) fn in_order<'a>(from: usize, parts: impl IntoIterator<Item = (&'a str, usize)>) -> Vec<Part> {
    let mut at = from;
    let next = |(name, length): (&str, usize)| {
        let from = at;
        at = at.saturating_add(length);
        Part::new(name, from..at)
    };
    parts.into_iter().map(next).collect()
}

/// Where these octets stand in others, first.
pub fn place(whole: &[u8], part: &[u8]) -> Option<Range<usize>> {
    if part.is_empty() {
        return None;
    }
    let at = whole.windows(part.len()).position(|window| window == part)?;
    Some(at..at.saturating_add(part.len()))
}

/// The three parts of a JWT.
pub(super) fn of_jwt(octets: &[u8]) -> Vec<Part> {
    let lengths: Vec<usize> = octets.split(|octet| *octet == b'.').map(<[u8]>::len).collect();
    let [header, payload, signature] = lengths.as_slice() else { return Vec::new() };
    let names = [("header", *header), (".", 1), ("payload", *payload), (".", 1), ("signature", *signature)];
    in_order(0, names).into_iter().filter(|part| part.name != ".").collect()
}

/// Every value in CBOR by its path (`chain[0]`, `pcrs[4]`), strings without their heads. A string at a path that `opens`
/// is read as CBOR itself. Names are given by `named`, from paths; those that it has none for are left out.
pub(super) fn of_cbor(
    octets: &[u8],
    opens: fn(&str) -> bool,
    named: impl Fn(&str) -> Option<String>,
) -> Vec<Part> {
    let mut walk = Walk { octets, opens, found: Vec::new() };
    if walk.item(0, octets.len(), "", 0).is_none() {
        return Vec::new();
    }
    let found = walk.found.into_iter();
    found.filter_map(|part| Some(Part::new(named(&part.name)?, part.range))).collect()
}

struct Walk<'a> {
    octets: &'a [u8],
    opens: fn(&str) -> bool,
    found: Vec<Part>,
}

/// A head: major type, its number (none where the length is left open), and how many octets it has.
type Head = (u8, Option<u64>, usize);

impl Walk<'_> {
    fn head(&self, at: usize, end: usize) -> Option<Head> {
        let octets = self.octets.get(at..end)?;
        let first = *octets.first()?;
        let (major, short) = (first >> 5, first & 0x1f);
        let length = match short {
            0..=23 => return Some((major, Some(u64::from(short)), 1)),
            24 => 1_usize,
            25 => 2,
            26 => 4,
            27 => 8,
            31 => return Some((major, None, 1)),
            _ => return None,
        };
        let number = octets.get(1..=length)?.iter().fold(0_u64, |sum, octet| (sum << 8) | u64::from(*octet));
        Some((major, Some(number), 1 + length))
    }

    /// Reads one item, and says where it ends.
    fn item(&mut self, at: usize, end: usize, path: &str, depth: usize) -> Option<usize> {
        if depth > MAX_DEPTH || self.found.len() >= MAX_PARTS {
            return None;
        }
        let (major, number, head) = self.head(at, end)?;
        let begin = at.checked_add(head)?;
        match (major, number) {
            (2 | 3, Some(length)) => {
                let stop = begin.checked_add(usize::try_from(length).ok()?).filter(|stop| *stop <= end)?;
                self.found.push(Part::new(path, begin..stop));
                if major == 2 && (self.opens)(path) {
                    self.item(begin, stop, path, depth + 1)?;
                }
                Some(stop)
            }
            // In pieces: of these the whole, heads included.
            (2 | 3, None) => {
                let stop = self.pieces(begin, end)?;
                self.found.push(Part::new(path, at..stop));
                Some(stop)
            }
            (4 | 5, _) => self.members(major == 5, number, begin, end, path, depth),
            (6, Some(_)) => self.item(begin, end, path, depth + 1),
            _ => {
                self.found.push(Part::new(path, at..begin));
                Some(begin)
            }
        }
    }

    fn pieces(&self, mut at: usize, end: usize) -> Option<usize> {
        while self.octets.get(at..end)?.first()? != &0xff {
            let (_, length, head) = self.head(at, end)?;
            at = at.checked_add(head)?.checked_add(usize::try_from(length?).ok()?)?;
        }
        at.checked_add(1)
    }

    fn members(
        &mut self,
        map: bool,
        count: Option<u64>,
        mut at: usize,
        end: usize,
        path: &str,
        depth: usize,
    ) -> Option<usize> {
        let mut index = 0_u64;
        while count.is_none_or(|count| index < count) {
            if count.is_none() && self.octets.get(at..end)?.first()? == &0xff {
                return at.checked_add(1);
            }
            let name = if map {
                let (key, after) = self.key(at, end)?;
                at = after;
                match key {
                    Key::Text(text) if path.is_empty() => text,
                    Key::Text(text) => format!("{path}.{text}"),
                    Key::Number(number) => format!("{path}[{number}]"),
                }
            } else {
                format!("{path}[{index}]")
            };
            at = self.item(at, end, &name, depth.saturating_add(1))?;
            index = index.saturating_add(1);
        }
        Some(at)
    }

    fn key(&self, at: usize, end: usize) -> Option<(Key, usize)> {
        let (major, number, head) = self.head(at, end)?;
        let begin = at.checked_add(head)?;
        match (major, number?) {
            (0, number) => Some((Key::Number(i128::from(number)), begin)),
            (1, number) => Some((Key::Number(-1 - i128::from(number)), begin)),
            (3, length) => {
                let stop = begin.checked_add(usize::try_from(length).ok()?).filter(|stop| *stop <= end)?;
                let text = std::str::from_utf8(self.octets.get(begin..stop)?).ok()?;
                Some((Key::Text(text.to_owned()), stop))
            }
            _ => None,
        }
    }
}

enum Key {
    Number(i128),
    Text(String),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(octets: &[u8]) -> Vec<(String, Range<usize>)> {
        let parts = of_cbor(octets, |path| path == "in", |path| Some(path.to_owned()));
        parts.into_iter().map(|part| (part.name, part.range)).collect()
    }

    #[test]
    fn values_are_found_by_their_paths() {
        // {"a": [h'0102', 3], 4: "x", "in": << {-1: h'ff'} >>}
        let octets = [
            0xa3, 0x61, b'a', 0x82, 0x42, 1, 2, 3, 0x04, 0x61, b'x', 0x62, b'i', b'n', 0x44, 0xa1, 0x20,
            0x41, 0xff,
        ];
        let wanted: [(&str, Range<usize>); 5] =
            [("a[0]", 5..7), ("a[1]", 7..8), ("[4]", 10..11), ("in", 15..19), ("in[-1]", 18..19)];
        assert_eq!(all(&octets), wanted.map(|(name, range)| (name.to_owned(), range)));
        // In pieces, and of a length left open.
        let open = [0x9f, 0x5f, 0x41, 1, 0x41, 2, 0xff, 0xff];
        assert_eq!(all(&open), [("[0]".to_owned(), 1..7)]);
        for cut in 0..octets.len() {
            assert_eq!(all(&octets[..cut]), [], "{cut}");
        }
    }

    #[test]
    fn a_jwt_has_three_parts() {
        let parts = of_jwt(b"ab.c.def");
        let wanted = [Part::new("header", 0..2), Part::new("payload", 3..4), Part::new("signature", 5..8)];
        assert_eq!(parts, wanted);
        assert_eq!(of_jwt(b"a.b"), []);
    }

    #[test]
    fn a_place_is_the_first() {
        assert_eq!(place(b"abcabc", b"bc"), Some(1..3));
        assert_eq!((place(b"abc", b""), place(b"abc", b"x")), (None, None));
    }

    proptest! {
        #[test]
        fn no_octets_panic_and_every_part_is_within(octets in prop::collection::vec(any::<u8>(), 0..200)) {
            for part in of_cbor(&octets, |_| true, |path| Some(path.to_owned())) {
                prop_assert!(part.range.start <= part.range.end && part.range.end <= octets.len());
            }
        }
    }
}
