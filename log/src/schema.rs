//! The bytes on disk: column families, keys and values. docs/storage.md has the same as tables.
//!
//! Stored bytes last. Every value of our own begins with a version byte; bundles and tiles, whole and in fragments, are
//! C2SP bytes as they are served. The tests below pin each format with literal bytes and say what would break.
//! All integers are big-endian, so that keys sort by number.

mod keys;

use std::sync::Arc;

use treering_tlog::hash::Hash;

pub(crate) use self::keys::{
    EdgeOf, PART_LEN, Part, bundle_key, content_key, edge_key, edge_of_key, index_key, index_of_content_key,
    index_of_key, part_key, register_key, row_key, run_keys, run_of_key, tile_key,
};
use crate::head::{Head, WitnessedHead};

/// The format of the store as a whole. It goes up when a key or a meaning changes so that older code would
/// misread it; older code then refuses to open the store.
pub const FORMAT: u32 = 6;

/// The version byte of every value that is not C2SP bytes.
const VALUE_VERSION: u8 = 1;

/// Hashes in a tile and entries in a bundle.
pub(crate) const WIDTH: u64 = 256;

/// Tile levels that a `u64` size can fill: 256^8 = 2^64.
pub(crate) const LEVELS: u8 = 8;

/// The column families. The names are part of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Content,
    Edge,
    Entries,
    HashIndex,
    Keys,
    Meta,
    Once,
    Registers,
    Rows,
    Tiles,
}

impl Family {
    pub(crate) const ALL: [Self; 10] = [
        Self::Content,
        Self::Edge,
        Self::Entries,
        Self::HashIndex,
        Self::Keys,
        Self::Meta,
        Self::Once,
        Self::Registers,
        Self::Rows,
        Self::Tiles,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Content => "content",
            Self::Edge => "edge",
            Self::Entries => "entries",
            Self::HashIndex => "hash-index",
            Self::Keys => "keys",
            Self::Meta => "meta",
            Self::Once => "once",
            Self::Registers => "registers",
            Self::Rows => "rows",
            Self::Tiles => "tiles",
        }
    }
}

/// The keys of the family `meta`.
pub(crate) mod meta {
    pub(crate) const FORMAT: &[u8] = b"format";
    pub(crate) const HEAD: &[u8] = b"head";
    pub(crate) const ORIGIN: &[u8] = b"origin";
    pub(crate) const WITNESSED: &[u8] = b"witnessed";
}

/// A stored value that is not what this version writes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// A value of a later version.
    #[error("{what} has version {actual}, this program reads {VALUE_VERSION}")]
    Version {
        /// Which value.
        what: &'static str,
        /// Its version.
        actual: u8,
    },
    /// A value that cannot be read.
    #[error("{what} is malformed: {why}")]
    Malformed {
        /// Which value.
        what: &'static str,
        /// What is wrong.
        why: &'static str,
    },
}

/// A page of `hash-index`: the first 8 bytes of each hash, and how far its entry is behind the run's first.
pub(crate) fn encode_leads(leads: impl ExactSizeIterator<Item = (u64, u32)>) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + 12 * leads.len());
    out.push(VALUE_VERSION);
    for (hash, offset) in leads {
        out.extend_from_slice(&hash.to_be_bytes());
        out.extend_from_slice(&offset.to_be_bytes());
    }
    out
}

/// Inverse of [`encode_leads`].
pub(crate) fn decode_leads(
    what: &'static str,
    value: &[u8],
) -> Result<impl Iterator<Item = (u64, u32)>, FormatError> {
    let cursor = Cursor::new(what, value)?;
    let (leads, rest) = cursor.rest.as_chunks::<12>();
    if !rest.is_empty() {
        return Err(cursor.malformed("it is not whole leads"));
    }
    Ok(leads.iter().map(|&[a, b, c, d, e, f, g, h, i, j, k, l]| {
        (u64::from_be_bytes([a, b, c, d, e, f, g, h]), u32::from_be_bytes([i, j, k, l]))
    }))
}

/// A part of a filter of `hash-index`: its words.
pub(crate) fn encode_filter(words: &[u32]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + 4 * words.len());
    out.push(VALUE_VERSION);
    out.extend(words.iter().flat_map(|word| word.to_be_bytes()));
    out
}

/// Inverse of [`encode_filter`].
pub(crate) fn decode_filter(value: &[u8]) -> Result<impl Iterator<Item = u32>, FormatError> {
    let cursor = Cursor::new("a filter", value)?;
    let (words, rest) = cursor.rest.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(cursor.malformed("it is not whole words"));
    }
    Ok(words.iter().map(|word| u32::from_be_bytes(*word)))
}

/// A version byte and the caller's bytes: contents and rows.
pub(crate) fn encode_bytes(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + bytes.len());
    out.push(VALUE_VERSION);
    out.extend_from_slice(bytes);
    out
}

/// Inverse of [`encode_bytes`].
pub(crate) fn decode_bytes(what: &'static str, mut value: Vec<u8>) -> Result<Vec<u8>, FormatError> {
    Cursor::new(what, &value)?;
    value.remove(0);
    Ok(value)
}

/// A version byte and an entry index: `once`, `registers`, and the runs of `hash-index`.
pub(crate) fn encode_index(index: u64) -> [u8; 9] {
    let mut out = [VALUE_VERSION; 9];
    for (to, from) in out.iter_mut().skip(1).zip(index.to_be_bytes()) {
        *to = from;
    }
    out
}

/// Inverse of [`encode_index`].
pub(crate) fn decode_index(what: &'static str, value: &[u8]) -> Result<u64, FormatError> {
    let mut cursor = Cursor::new(what, value)?;
    let index = cursor.u64()?;
    cursor.end()?;
    Ok(index)
}

/// `meta/format`.
pub(crate) fn encode_format(format: u32) -> Vec<u8> {
    encode_bytes(&format.to_be_bytes())
}

/// Inverse of [`encode_format`].
pub(crate) fn decode_format(value: &[u8]) -> Result<u32, FormatError> {
    let mut cursor = Cursor::new("the store's format", value)?;
    let format = u32::from_be_bytes(cursor.array()?);
    cursor.end()?;
    Ok(format)
}

/// `meta/head`.
pub(crate) fn encode_head(head: &Head) -> Vec<u8> {
    let mut out = vec![VALUE_VERSION];
    put_head(&mut out, head);
    out
}

/// Inverse of [`encode_head`].
pub(crate) fn decode_head(value: &[u8]) -> Result<Head, FormatError> {
    let mut cursor = Cursor::new("the stored head", value)?;
    let head = cursor.head()?;
    cursor.end()?;
    Ok(head)
}

/// `meta/witnessed`.
pub(crate) fn encode_witnessed(witnessed: &WitnessedHead) -> Vec<u8> {
    let mut out = vec![VALUE_VERSION];
    put_head(&mut out, &witnessed.head);
    put_long(&mut out, &witnessed.cosigned_note);
    for (name, blob) in &witnessed.cosignatures {
        put_long(&mut out, name.as_bytes());
        put_long(&mut out, blob);
    }
    out
}

/// Inverse of [`encode_witnessed`].
pub(crate) fn decode_witnessed(value: &[u8]) -> Result<WitnessedHead, FormatError> {
    let mut cursor = Cursor::new("the stored witnessed head", value)?;
    let head = Arc::new(cursor.head()?);
    let cosigned_note = cursor.long()?.to_vec();
    let mut cosignatures = Vec::new();
    while !cursor.rest.is_empty() {
        let name =
            String::from_utf8(cursor.long()?.to_vec()).map_err(|_| cursor.malformed("a name is not text"))?;
        cosignatures.push((name, cursor.long()?.to_vec()));
    }
    Ok(WitnessedHead { head, cosigned_note, cosignatures })
}

fn put_head(out: &mut Vec<u8>, head: &Head) {
    out.extend_from_slice(&head.size.to_be_bytes());
    out.extend_from_slice(head.root.as_bytes());
    out.extend_from_slice(&head.sealed_at.to_be_bytes());
    put_long(out, &head.note);
    put_long(out, &head.receipt);
}

/// Bytes behind a `u32` length. A note is bounded by its sealer; 4 GiB is out of reach of memory first.
fn put_long(out: &mut Vec<u8>, bytes: &[u8]) {
    let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(bytes);
}

struct Cursor<'a> {
    what: &'static str,
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn new(what: &'static str, value: &'a [u8]) -> Result<Self, FormatError> {
        match value.split_first() {
            Some((&VALUE_VERSION, rest)) => Ok(Self { what, rest }),
            Some((&actual, _)) => Err(FormatError::Version { what, actual }),
            None => Err(FormatError::Malformed { what, why: "it is empty" }),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        let (head, rest) =
            self.rest.split_first_chunk::<N>().ok_or_else(|| self.malformed("it is cut off"))?;
        self.rest = rest;
        Ok(*head)
    }

    fn u64(&mut self) -> Result<u64, FormatError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    fn long(&mut self) -> Result<&'a [u8], FormatError> {
        let len = u32::from_be_bytes(self.array()?) as usize;
        let (head, rest) = self.rest.split_at_checked(len).ok_or_else(|| self.malformed("it is cut off"))?;
        self.rest = rest;
        Ok(head)
    }

    fn head(&mut self) -> Result<Head, FormatError> {
        Ok(Head {
            size: self.u64()?,
            root: Hash::from_bytes(self.array()?),
            sealed_at: self.u64()?,
            note: self.long()?.to_vec(),
            receipt: self.long()?.to_vec(),
        })
    }

    fn end(&self) -> Result<(), FormatError> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.malformed("it has bytes too many")) }
    }

    fn malformed(&self, why: &'static str) -> FormatError {
        FormatError::Malformed { what: self.what, why }
    }
}

#[cfg(test)]
mod tests {
    use treering_tlog::tile::TileId;

    use super::*;
    use crate::append::RegisterName;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
    }

    fn head() -> Head {
        let (note, receipt) = (b"note".to_vec(), b"rc".to_vec());
        Head { size: 258, root: Hash::from_bytes([0xaa; 32]), sealed_at: 0x6553_f100, note, receipt }
    }

    /// A renamed family is a family that existing stores do not have: they would open empty or not at all.
    #[test]
    fn family_names_unchanged() {
        let names = Family::ALL.map(Family::name);
        let pinned = [
            "content",
            "edge",
            "entries",
            "hash-index",
            "keys",
            "meta",
            "once",
            "registers",
            "rows",
            "tiles",
        ];
        assert_eq!(names, pinned);
        assert_eq!(
            [meta::FORMAT, meta::HEAD, meta::ORIGIN, meta::WITNESSED],
            [b"format".as_slice(), b"head", b"origin", b"witnessed"]
        );
        assert_eq!(FORMAT, 6, "a new format needs a paragraph in docs/storage.md and a way from the old one");
    }

    /// Keys that were encoded otherwise are not found: entries, tiles, indexes and used challenges would be
    /// lost to a newer program, and a challenge could be used twice.
    #[test]
    fn keys_unchanged() {
        assert_eq!(hex(&bundle_key(258)), "0000000000000102");
        let parts = [Part::Run, Part::Page, Part::Filter];
        assert_eq!(parts.map(|part| part as u8), [0, 1, 2]);
        assert_eq!(hex(&part_key(2, 258, Part::Page, 5)), "02000001020100000005");
        assert_eq!(run_of_key(&part_key(2, 258, Part::Run, 0)), Some((2, 258)));
        assert_eq!(run_of_key(&part_key(2, 258, Part::Page, 0)), None);
        assert_eq!(run_keys(2, 258).map(|key| hex(&key)), ["02000001020000000000", "0200000102ffffffffff"]);
        assert_eq!(hex(&tile_key(TileId::new(0, 0))), "00000000000000ff00");
        assert_eq!(hex(&tile_key(TileId::new(1, 258))), "000000000102ffff01");
        assert_eq!(hex(&tile_key(TileId::new(7, 0))), "ffffffffffffffff07");
        assert_eq!(hex(&edge_key(EdgeOf::Tile(3), 258)), "030000000000000102");
        assert_eq!(hex(&edge_key(EdgeOf::Bundle, 258)), "ff0000000000000102");
        for of in [EdgeOf::Tile(7), EdgeOf::Bundle] {
            assert_eq!(edge_of_key(&edge_key(of, 258)), Some((of, 258)));
        }
        assert_eq!(hex(&content_key(258)), "0000000000000102");
        assert_eq!(hex(&index_key(&[0xbb; 32], 258)), format!("{}0000000000000102", "bb".repeat(32)));
        assert_eq!(hex(register_key(&RegisterName::new("a/b").unwrap())), "612f62");
        assert_eq!(hex(&row_key(7, b"key")), "076b6579");
    }

    /// Values that were encoded otherwise cannot be read back: every index, register and row of an existing
    /// store would be refused as malformed.
    #[test]
    fn values_unchanged() {
        assert_eq!(hex(&encode_index(258)), "010000000000000102");
        assert_eq!(hex(&encode_bytes(b"abc")), "01616263");
        assert_eq!(hex(&encode_format(1)), "0100000001");
        let leads = [(0x1122_3344_5566_7788, 258), (u64::MAX, 0)];
        let page = encode_leads(leads.into_iter());
        assert_eq!(hex(&page), "01112233445566778800000102ffffffffffffffff00000000");
        assert_eq!(decode_leads("x", &page).unwrap().collect::<Vec<_>>(), leads);
        assert_eq!(hex(&encode_filter(&[1, 0xfffe_fdfc])), "0100000001fffefdfc");
        assert_eq!(decode_filter(&encode_filter(&[1, 7])).unwrap().collect::<Vec<_>>(), [1, 7]);
    }

    /// A head that cannot be read back keeps its log from opening.
    #[test]
    fn head_unchanged() {
        let body = format!(
            "0000000000000102{}000000006553f100{}{}",
            "aa".repeat(32),
            "000000046e6f7465",
            "000000027263"
        );
        assert_eq!(hex(&encode_head(&head())), format!("01{body}"));
        assert_eq!(decode_head(&encode_head(&head())).unwrap(), head());
        let witnessed = WitnessedHead {
            head: Arc::new(head()),
            cosigned_note: b"co".to_vec(),
            cosignatures: vec![("w".into(), vec![1, 2])],
        };
        let pinned = format!("01{body}{}{}{}", "00000002636f", "0000000177", "000000020102");
        assert_eq!(hex(&encode_witnessed(&witnessed)), pinned);
        assert_eq!(decode_witnessed(&encode_witnessed(&witnessed)).unwrap(), witnessed);
    }

    #[test]
    fn what_was_not_written_by_us_is_refused() {
        let version = FormatError::Version { what: "x", actual: 2 };
        assert_eq!(decode_index("x", &[2, 0, 0, 0, 0, 0, 0, 0, 0]), Err(version));
        for bad in [&[][..], &[1], &[1, 0, 0, 0, 0, 0, 0, 0], &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0]] {
            assert!(matches!(decode_index("x", bad), Err(FormatError::Malformed { .. })), "{bad:?}");
        }
        assert!(matches!(decode_bytes("x", vec![]), Err(FormatError::Malformed { .. })));
        assert!(decode_leads("x", &[1; 12]).is_err() && decode_leads("x", &[]).is_err());
        assert!(decode_filter(&[1; 4]).is_err() && decode_filter(&[2; 5]).is_err());
        assert!(index_of_key(&[0; 39]).is_err() && index_of_key(&[0; 41]).is_err());
        assert!(index_of_content_key(&[0; 7]).is_err() && index_of_content_key(&[0; 9]).is_err());
        assert!(
            edge_of_key(&[]).is_none() && edge_of_key(&[0; 8]).is_none() && edge_of_key(&[0; 10]).is_none()
        );
        let whole = encode_head(&head());
        for cut in 0..whole.len() {
            assert!(decode_head(&whole[..cut]).is_err(), "cut at {cut}");
        }
        assert!(decode_head(&[&whole[..], &[0]].concat()).is_err());
        let mut huge = whole;
        huge[49] = 0xff;
        assert!(decode_head(&huge).is_err(), "a length beyond the value");
    }
}
