//! Fork evidence: two checkpoints of one log, both signed by it, that cannot both be of one append-only tree.
//!
//! In scope: the file, what each form proves, keeping files bounded in number. Out of scope: finding contradictions.
//!
//! | kind | what it holds | what it proves |
//! |---|---|---|
//! | `same-size` | two checkpoints of one size with two roots | the holder of the log's key signed two trees of one size |
//! | `prefix` | two checkpoints of two sizes, a root, and a consistency proof from it to the larger | the tree of the larger checkpoint begins with that root at the smaller size; the smaller checkpoint was signed with another root there |
//!
//! Both rest on the log's signatures and on SHA-256 alone: no witness, and not who keeps the file, need be believed.
//! Neither says which history is the true one, who was shown which, when, or whether the operator or a thief of the key
//! signed. A consistency proof that merely fails is no evidence: anybody can send a wrong proof.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use treering_tlog::{
    checkpoint::{Checkpoint, CheckpointError},
    consistency,
    hash::Hash,
    inclusion::ProofError,
    note::{Note, NoteError, VerifierKey},
};

use crate::{rules::Refusal, store::origin_hash};

/// The longest evidence file: two notes of the greatest length that a witness takes, a proof, some words.
pub const MAX_EVIDENCE_LEN: usize = 2 * MAX_NOTE_LEN + 8 * 1024;

/// Why the two checkpoints contradict each other.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Contradiction {
    /// One size, two roots.
    SameSize,
    /// The tree of the larger begins with another root than that of the smaller.
    Prefix {
        /// The root that it begins with.
        root: Hash,
        /// Consistency proof from that root, at the smaller size, to the larger checkpoint.
        path: Vec<Hash>,
    },
}

/// Two checkpoints and why they contradict each other. Nothing of it is believed until [`Evidence::verify`] says so.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Evidence {
    contradiction: Contradiction,
    /// The smaller, where there is one.
    first: Note,
    second: Note,
}

/// What was proved.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fork {
    /// The log.
    pub origin: String,
    /// Size of the first checkpoint.
    pub first_size: u64,
    /// Size of the second.
    pub second_size: u64,
    /// Root that was signed at the first size.
    pub signed_root: Hash,
    /// The other root at the first size: signed, or what the second checkpoint's tree begins with.
    pub other_root: Hash,
}

impl Evidence {
    /// Evidence of its parts; the smaller checkpoint first.
    pub fn new(contradiction: Contradiction, first: Note, second: Note) -> Self {
        Self { contradiction, first, second }
    }

    /// What a refused request proves beside the checkpoint that was cosigned last, if anything.
    ///
    /// A larger checkpoint with a proof that fails proves something only if the proof leads to the checkpoint's own root
    /// from another old one. Where the old size is a power of two the proof does not hold its old root, and nothing is
    /// proved here: a mirror, which sees the tiles, can.
    pub fn of_refusal(cosigned: &Note, refused: &Note, refusal: &Refusal) -> Option<Self> {
        let contradiction = match refusal {
            Refusal::OtherRoot { .. } => Contradiction::SameSize,
            Refusal::Inconsistent { path, .. } => {
                let old = Checkpoint::parse(cosigned.text()).ok()?;
                let new = Checkpoint::parse(refused.text()).ok()?;
                let (root, new_root) = consistency::roots_of(old.size(), new.size(), path)?;
                if new_root != *new.root() || root == *old.root() {
                    return None;
                }
                Contradiction::Prefix { root, path: path.clone() }
            }
            _ => return None,
        };
        Some(Self::new(contradiction, cosigned.clone(), refused.clone()))
    }

    /// Parses an evidence file. Inverse of [`Evidence::to_bytes`].
    pub fn parse(bytes: &[u8]) -> Result<Self, EvidenceError> {
        if bytes.len() > MAX_EVIDENCE_LEN {
            return Err(EvidenceError::TooLong { actual: bytes.len() });
        }
        let mut rest = bytes;
        if take_line(&mut rest)? != HEADER {
            return Err(EvidenceError::Header);
        }
        let contradiction = match take_line(&mut rest)? {
            "kind same-size" => Contradiction::SameSize,
            "kind prefix" => {
                let root = field(&mut rest, "root ")?;
                let root = Hash::parse_base64(root).map_err(|_| EvidenceError::Malformed)?;
                let count = number(field(&mut rest, "proof ")?).filter(|count| *count <= MAX_PATH_LEN);
                let mut path = Vec::new();
                for _ in 0..count.ok_or(EvidenceError::Malformed)? {
                    let line = take_line(&mut rest)?;
                    path.push(Hash::parse_base64(line).map_err(|_| EvidenceError::Malformed)?);
                }
                Contradiction::Prefix { root, path }
            }
            _ => return Err(EvidenceError::Malformed),
        };
        let (first, second) = (take_note(&mut rest)?, take_note(&mut rest)?);
        if rest.is_empty() {
            Ok(Self { contradiction, first, second })
        } else {
            Err(EvidenceError::Malformed)
        }
    }

    /// The bytes of the file. Inverse of [`Evidence::parse`].
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = format!("{HEADER}\n");
        // Writing to a String cannot fail.
        match &self.contradiction {
            Contradiction::SameSize => out.push_str("kind same-size\n"),
            Contradiction::Prefix { root, path } => {
                let _ok = write!(out, "kind prefix\nroot {root}\nproof {}\n", path.len());
                for hash in path {
                    let _ok = writeln!(out, "{hash}");
                }
            }
        }
        for note in [&self.first, &self.second] {
            let note = note.to_string();
            let _ok = write!(out, "checkpoint {}\n{note}", note.len());
        }
        out.into_bytes()
    }

    /// The origin that the first checkpoint names, believed or not.
    pub fn origin(&self) -> Option<String> {
        Checkpoint::parse(self.first.text()).ok().map(|checkpoint| checkpoint.origin().to_owned())
    }

    /// Checks, in this order: each checkpoint is signed by one of the log's keys; both are of that log; they contradict
    /// each other as the kind says.
    pub fn verify(&self, origin: &str, keys: &[VerifierKey]) -> Result<Fork, EvidenceError> {
        let read = |note: &Note| {
            note.verify(keys)?;
            let checkpoint = Checkpoint::parse(note.text())?;
            if checkpoint.origin() == origin {
                Ok(checkpoint)
            } else {
                Err(EvidenceError::OtherOrigin { actual: checkpoint.origin().to_owned() })
            }
        };
        let (first, second) = (read(&self.first)?, read(&self.second)?);
        let other_root = match &self.contradiction {
            Contradiction::SameSize if first.size() == second.size() => *second.root(),
            Contradiction::SameSize => return Err(EvidenceError::Sizes),
            Contradiction::Prefix { root, path } => {
                if first.size() >= second.size() {
                    return Err(EvidenceError::Sizes);
                }
                // That the larger tree begins with this root, by the larger checkpoint's own root.
                consistency::verify(first.size(), second.size(), root, second.root(), path)?;
                *root
            }
        };
        if other_root == *first.root() {
            return Err(EvidenceError::Consistent);
        }
        Ok(Fork {
            origin: origin.to_owned(),
            first_size: first.size(),
            second_size: second.size(),
            signed_root: *first.root(),
            other_root,
        })
    }
}

/// A folder of evidence, bounded.
#[derive(Clone, Debug)]
pub struct EvidenceDir {
    path: PathBuf,
}

impl EvidenceDir {
    /// The folder; it is made when there is something to keep.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Keeps evidence, durably; where it is, or `None` if it is there already or the log has its fill: the first proofs
    /// say all, and whoever has the log's key could make any number.
    pub fn keep(&self, evidence: &Evidence) -> Result<Option<PathBuf>, io::Error> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.path)?;
        let log = origin_hash(&evidence.origin().unwrap_or_default());
        // By what is signed, so that another signature of the same two texts is not another proof.
        let digest = Sha256::new()
            .chain_update(evidence.first.text())
            .chain_update([0])
            .chain_update(evidence.second.text())
            .finalize();
        let name = format!("{log}-{}.evidence", HEXLOWER.encode(&digest));
        let target = self.path.join(name);
        let (mut all, mut of_log) = (0, 0);
        for entry in fs::read_dir(&self.path)? {
            all += 1;
            of_log += usize::from(entry?.file_name().to_string_lossy().starts_with(&log));
        }
        if target.exists() || of_log >= MAX_FILES_OF_A_LOG || all >= MAX_FILES {
            return Ok(None);
        }
        // Of this process and this proof: others may be keeping theirs at the same time.
        let unfinished = target.with_extension(format!("{}.tmp", std::process::id()));
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        file.write_all(&evidence.to_bytes())?;
        file.sync_all()?;
        fs::rename(&unfinished, &target)?;
        fs::File::open(&self.path)?.sync_all()?;
        Ok(Some(target))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Why a file is no evidence, or does not prove a fork.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// The text of a note is no checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Both checkpoints can be of one tree.
    #[error("the two checkpoints do not contradict each other")]
    Consistent,
    /// The first line is another.
    #[error("first line is not `{HEADER}`")]
    Header,
    /// A line or a length is not what it must be.
    #[error("evidence is malformed")]
    Malformed,
    /// A note is malformed, or not signed by the log.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// A checkpoint of another log.
    #[error("checkpoint is of {actual:?}")]
    OtherOrigin {
        /// Its origin.
        actual: String,
    },
    /// The larger checkpoint's tree does not begin with the root.
    #[error("the larger tree is not shown to begin with the root: {0}")]
    Proof(#[from] ProofError),
    /// Sizes that do not fit the kind.
    #[error("the sizes of the checkpoints do not fit the kind of evidence")]
    Sizes,
    /// The file is too long.
    #[error("evidence is {actual} bytes, want at most {MAX_EVIDENCE_LEN}")]
    TooLong {
        /// Bytes found.
        actual: usize,
    },
}

const HEADER: &str = "treering-fork-evidence v1";
/// As in a request to a witness, with room for its own lines and others'.
const MAX_NOTE_LEN: usize = 256 * 1024;
const MAX_PATH_LEN: usize = 64;
const MAX_FILES_OF_A_LOG: usize = 16;
const MAX_FILES: usize = 1024;

fn take_line<'a>(rest: &mut &'a [u8]) -> Result<&'a str, EvidenceError> {
    let end = rest.iter().position(|byte| *byte == b'\n').ok_or(EvidenceError::Malformed)?;
    let (line, after) = rest.split_at(end);
    *rest = after.get(1..).unwrap_or_default();
    std::str::from_utf8(line).map_err(|_| EvidenceError::Malformed)
}

fn field<'a>(rest: &mut &'a [u8], name: &str) -> Result<&'a str, EvidenceError> {
    take_line(rest)?.strip_prefix(name).ok_or(EvidenceError::Malformed)
}

/// A decimal in its one form.
fn number(text: &str) -> Option<usize> {
    text.parse().ok().filter(|number: &usize| number.to_string() == text)
}

fn take_note(rest: &mut &[u8]) -> Result<Note, EvidenceError> {
    let len = number(field(rest, "checkpoint ")?).filter(|len| *len <= MAX_NOTE_LEN);
    let (note, after) = len.and_then(|len| rest.split_at_checked(len)).ok_or(EvidenceError::Malformed)?;
    *rest = after;
    Ok(Note::parse(note)?)
}
