//! The bytes of the journal: its header, its records, and the mark beside it. Pure.
//!
//! docs/witness.md has the tables; the pinned test says what a change breaks.

use std::fmt::Write as _;

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};
use treering_tlog::add_checkpoint::MAX_CHECKPOINT_LEN;

/// The longest payload: a checkpoint as long as a request may carry it, and our own lines (of Ed25519 and ML-DSA-44).
pub const MAX_PAYLOAD_LEN: usize = MAX_CHECKPOINT_LEN + 8 * 1024;

/// Bytes before a payload.
pub const HEAD_LEN: usize = 4 + 4 + 8 + 8 + 32;

/// The longest header: two lines of fixed text, a verifier key with a name of 255 bytes, two numbers.
pub(super) const MAX_HEADER_LEN: usize = 512;

/// What the header of a journal says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Header {
    /// One more for each file that took the place of another.
    pub generation: u64,
    /// Records that were there before the file got its name: its first records, one for each log. They cannot be torn.
    pub snapshot: u64,
}

impl Header {
    /// The header of this witness's journal. Inverse of [`Header::parse`].
    pub fn to_text(self, vkey: &str) -> String {
        format!("{FORMAT}{vkey}\ngeneration {}\nsnapshot {}\n\n", self.generation, self.snapshot)
    }

    /// Parses the header of this witness's journal; `None` for any other bytes.
    pub fn parse(text: &[u8], vkey: &str) -> Option<Self> {
        let rest = std::str::from_utf8(text).ok()?.strip_prefix(FORMAT)?.strip_prefix(vkey)?;
        let (generation, snapshot) = rest.strip_prefix("\ngeneration ")?.split_once("\nsnapshot ")?;
        let header = Self {
            generation: generation.parse().ok()?,
            snapshot: snapshot.strip_suffix("\n\n")?.parse().ok()?,
        };
        // One spelling: no plus signs, no leading zeros.
        (header.to_text(vkey).as_bytes() == text).then_some(header)
    }
}

/// Ties records to the file they are in: the digest of its header, and so of the witness and the generation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FileId([u8; 32]);

impl FileId {
    /// The id of the file with this header.
    pub fn of(header: &[u8]) -> Self {
        Self(Sha256::digest(header).into())
    }
}

/// What stands before a payload.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Head {
    /// Bytes of the payload.
    pub len: usize,
    /// 1 for the first record of a file, then one more each.
    pub number: u64,
    /// The highest number that was known to be synced when this was written.
    pub synced: u64,
    digest: [u8; 32],
}

impl Head {
    /// Reads a head; `None` if it cannot be one, whatever follows.
    pub fn parse(bytes: &[u8; HEAD_LEN]) -> Option<Self> {
        let rest = bytes.strip_prefix(&MAGIC)?;
        let (len, rest) = rest.split_first_chunk::<4>()?;
        let (number, rest) = rest.split_first_chunk::<8>()?;
        let (synced, rest) = rest.split_first_chunk::<8>()?;
        let (number, synced) = (u64::from_be_bytes(*number), u64::from_be_bytes(*synced));
        let len = usize::try_from(u32::from_be_bytes(*len)).ok()?;
        let possible = len <= MAX_PAYLOAD_LEN && synced < number;
        possible.then_some(Self { len, number, synced, digest: rest.try_into().ok()? })
    }

    /// Whether the payload is the one that was written behind this head, in this file.
    pub fn is_of(&self, file: FileId, payload: &[u8]) -> bool {
        let len = u32::try_from(payload.len()).ok();
        payload.len() == self.len
            && len.is_some_and(|len| digest(file, len, self.number, self.synced, payload) == self.digest)
    }
}

/// Appends a record to a buffer. The payload is at most [`MAX_PAYLOAD_LEN`] bytes: a longer one could not be read back,
/// and the answer is `false`.
#[must_use]
pub fn push(out: &mut Vec<u8>, file: FileId, number: u64, synced: u64, payload: &[u8]) -> bool {
    let Some(len) = u32::try_from(payload.len()).ok().filter(|_| payload.len() <= MAX_PAYLOAD_LEN) else {
        return false;
    };
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(&number.to_be_bytes());
    out.extend_from_slice(&synced.to_be_bytes());
    out.extend_from_slice(&digest(file, len, number, synced, payload));
    out.extend_from_slice(payload);
    true
}

/// Whether a tail holds a record that was written after record `number` had been synced.
///
/// If so, `number` is no write that a crash interrupted: somebody was answered for it, and it was damaged later.
pub(super) fn shows_synced(tail: &[u8], file: FileId, number: u64) -> bool {
    let starts = (0..tail.len()).filter_map(|start| tail.get(start..)?.split_first_chunk::<HEAD_LEN>());
    starts.filter(|(head, _)| head.starts_with(&MAGIC)).any(|(head, rest)| {
        Head::parse(head).is_some_and(|head| {
            head.synced >= number && rest.get(..head.len).is_some_and(|payload| head.is_of(file, payload))
        })
    })
}

/// The last record that somebody was answered for: kept beside the journal, so that a journal that has lost its end, or
/// an older one in its place, is noticed.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Mark {
    /// Generation of the journal.
    pub generation: u64,
    /// Number of the record.
    pub number: u64,
}

impl Mark {
    /// The bytes of the mark, always as many. Inverse of [`Mark::parse`].
    pub fn to_text(self) -> String {
        let mut text = format!("{MARK_FORMAT}{:020} {:020} ", self.generation, self.number);
        let digest: [u8; 32] = Sha256::digest(&text).into();
        // Writing to a String cannot fail.
        let _ok = writeln!(text, "{}", HEXLOWER.encode(digest.first_chunk::<8>().unwrap_or(&[0; 8])));
        text
    }

    /// Parses a mark; `None` if it is damaged.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let rest = std::str::from_utf8(bytes).ok()?.strip_prefix(MARK_FORMAT)?;
        let mut fields = rest.split(' ');
        let mark = Self { generation: fields.next()?.parse().ok()?, number: fields.next()?.parse().ok()? };
        (mark.to_text().as_bytes() == bytes).then_some(mark)
    }
}

const FORMAT: &str = "treering-witness-journal v1\n";
const MARK_FORMAT: &str = "treering-witness-mark v1 ";
const MAGIC: [u8; 4] = *b"TWJ1";

fn digest(file: FileId, len: u32, number: u64, synced: u64, payload: &[u8]) -> [u8; 32] {
    Sha256::new()
        .chain_update(file.0)
        .chain_update(len.to_be_bytes())
        .chain_update(number.to_be_bytes())
        .chain_update(synced.to_be_bytes())
        .chain_update(payload)
        .finalize()
        .into()
}
