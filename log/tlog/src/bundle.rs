//! Entry bundles of [C2SP tlog-tiles](https://c2sp.org/tlog-tiles): entries one after the other, each behind its length
//! as a big-endian u16.
//!
//! In scope: encoding and decoding. Out of scope: what an entry means. Fragments of a bundle have the same form, so that
//! joining fragments is joining bytes.

use thiserror::Error;

use crate::tile::TILE_WIDTH;

/// The longest entry: what a u16 can count.
pub const MAX_ENTRY_LEN: usize = u16::MAX as usize;

/// The longest bundle: 256 entries of the greatest length with their prefixes, 16 MiB and 256 bytes.
pub const MAX_BUNDLE_LEN: usize = TILE_WIDTH as usize * (PREFIX_LEN + MAX_ENTRY_LEN);

/// Encodes entries. Inverse of [`decode`].
pub fn encode<'a>(entries: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<u8>, BundleError> {
    let mut out = Vec::new();
    for entry in entries {
        push(&mut out, entry)?;
    }
    Ok(out)
}

/// Appends one entry to a bundle or fragment.
pub fn push(bundle: &mut Vec<u8>, entry: &[u8]) -> Result<(), BundleError> {
    let len = u16::try_from(entry.len()).map_err(|_| BundleError::EntryTooLong { actual: entry.len() })?;
    bundle.extend_from_slice(&len.to_be_bytes());
    bundle.extend_from_slice(entry);
    Ok(())
}

/// The entries of a bundle or fragment: at most 256, nothing after them.
pub fn decode(bytes: &[u8]) -> Result<Vec<&[u8]>, BundleError> {
    if bytes.len() > MAX_BUNDLE_LEN {
        return Err(BundleError::TooLong { actual: bytes.len() });
    }
    let mut entries = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        if entries.len() == usize::from(TILE_WIDTH) {
            return Err(BundleError::TooMany);
        }
        let (entry, after) = split_entry(rest)?;
        entries.push(entry);
        rest = after;
    }
    Ok(entries)
}

/// The entry at a place in a bundle or fragment, without decoding the later ones.
pub fn entry_at(bytes: &[u8], place: usize) -> Result<&[u8], BundleError> {
    let mut rest = bytes;
    let mut found = 0;
    while !rest.is_empty() {
        let (entry, after) = split_entry(rest)?;
        if found == place {
            return Ok(entry);
        }
        found += 1;
        rest = after;
    }
    Err(BundleError::Absent { place, entries: found })
}

/// Why bytes are not a bundle, or an entry cannot be put in one.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum BundleError {
    /// The bundle has no entry at this place.
    #[error("bundle has {entries} entries, want one at place {place}")]
    Absent {
        /// Place asked for.
        place: usize,
        /// Entries there are.
        entries: usize,
    },
    /// The entry is longer than its length prefix can say.
    #[error("entry is {actual} bytes, want at most {MAX_ENTRY_LEN}")]
    EntryTooLong {
        /// Bytes of the entry.
        actual: usize,
    },
    /// More bytes than any bundle has.
    #[error("bundle is {actual} bytes, want at most {MAX_BUNDLE_LEN}")]
    TooLong {
        /// Bytes found.
        actual: usize,
    },
    /// More entries than a bundle holds.
    #[error("bundle has more than {TILE_WIDTH} entries")]
    TooMany,
    /// The bytes end inside an entry or its length.
    #[error("bundle ends inside an entry: {missing} bytes are missing")]
    Truncated {
        /// Bytes missing.
        missing: usize,
    },
}

/// Bytes of the length before an entry.
const PREFIX_LEN: usize = 2;

fn split_entry(bytes: &[u8]) -> Result<(&[u8], &[u8]), BundleError> {
    let (prefix, rest) = bytes
        .split_first_chunk::<PREFIX_LEN>()
        .ok_or_else(|| BundleError::Truncated { missing: PREFIX_LEN - bytes.len() })?;
    let len = usize::from(u16::from_be_bytes(*prefix));
    rest.split_at_checked(len).ok_or_else(|| BundleError::Truncated { missing: len - rest.len() })
}
