//! How far a mirror has come with one log, on disk.
//!
//! In scope: the file, replaced atomically; it proves itself. Out of scope: when it may be replaced.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};
use treering_tlog::{
    hash::Hash,
    note::VerifierKey,
    tree::{Frontier, peaks},
};

use super::MirrorError;
use crate::tiles::SignedCheckpoint;

/// How far a mirror has come.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Progress {
    /// The last checkpoint whose whole tree was recomputed from the entries.
    pub verified: Option<SignedCheckpoint>,
    /// The right edge of its tree.
    pub(super) tree: Frontier,
    /// The same with entries after it, which no checkpoint has confirmed yet.
    pub(super) ahead: Frontier,
}

impl Progress {
    /// Reads the file; nothing if there is none. Anything in it that does not prove itself is an error: a mirror that
    /// starts again from nothing would not notice another history.
    pub(super) fn read(path: &Path, origin: &str, keys: &[VerifierKey]) -> Result<Self, MirrorError> {
        let bytes = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            read => read.map_err(|source| MirrorError::Io { path: path.to_owned(), source })?,
        };
        Self::parse(&bytes, origin, keys).ok_or_else(|| MirrorError::Progress { path: path.to_owned() })
    }

    fn parse(bytes: &[u8], origin: &str, keys: &[VerifierKey]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?.strip_prefix(HEADER)?;
        let (digest, body) = text.strip_prefix("sha256 ")?.split_once('\n')?;
        if digest != sha256(body) {
            return None;
        }
        let (trees, note) = body.split_once("\n\n")?;
        let mut lines = trees.split('\n');
        let tree = take_tree(&mut lines, "verified ")?;
        let ahead = take_tree(&mut lines, "read ")?;
        let verified = match note {
            "" if tree.size() == 0 => None,
            note => {
                let verified = SignedCheckpoint::verify(note.as_bytes(), origin, keys).ok()?;
                let checkpoint = verified.checkpoint();
                let fits = checkpoint.size() == tree.size() && *checkpoint.root() == tree.root();
                Some(verified).filter(|_| fits)?.into()
            }
        };
        (lines.next().is_none() && ahead.size() >= tree.size()).then_some(Self { verified, tree, ahead })
    }

    fn to_text(&self) -> String {
        let mut body = String::new();
        push_tree(&mut body, "verified", &self.tree);
        push_tree(&mut body, "read", &self.ahead);
        body.push('\n');
        if let Some(verified) = &self.verified {
            body.push_str(&verified.note().to_string());
        }
        format!("{HEADER}sha256 {}\n{body}", sha256(&body))
    }

    /// Replaces the file, durably.
    pub(super) fn write(&self, path: &Path) -> Result<(), MirrorError> {
        let unfinished = path.with_extension("tmp");
        let write = || {
            let mut file =
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
            file.write_all(self.to_text().as_bytes())?;
            file.sync_all()?;
            fs::rename(&unfinished, path)?;
            path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
        };
        write().map_err(|source| MirrorError::Io { path: path.to_owned(), source })
    }
}

const HEADER: &str = "treering-mirror-progress v1\n";

fn sha256(text: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(text))
}

fn push_tree(out: &mut String, name: &str, tree: &Frontier) {
    // Writing to a String cannot fail.
    let _ok = writeln!(out, "{name} {}", tree.size());
    for hash in tree.hashes() {
        let _ok = writeln!(out, "{hash}");
    }
}

fn take_tree<'a>(lines: &mut impl Iterator<Item = &'a str>, name: &str) -> Option<Frontier> {
    let size: u64 = lines.next()?.strip_prefix(name)?.parse().ok()?;
    let hashes: Option<Vec<Hash>> =
        lines.take(peaks(size).len()).map(|line| Hash::parse_base64(line).ok()).collect();
    let mut hashes = hashes?.into_iter();
    Frontier::read(size, |_| hashes.next().ok_or(())).ok()
}

#[cfg(test)]
mod tests {
    use treering_tlog::{checkpoint::Checkpoint, hash::leaf_hash, note::Note, note::NoteSigner};

    use super::*;

    #[test]
    fn it_round_trips_and_proves_itself() {
        let signer = NoteSigner::from_seed("log.example", &[1; 32]).unwrap();
        let keys = [signer.verifier().clone()];
        let parse = |text: &str| Progress::parse(text.as_bytes(), "log.example", &keys);
        assert_eq!(parse(&Progress::default().to_text()), Some(Progress::default()));
        let mut progress = Progress::default();
        (0..7u8).for_each(|leaf| progress.tree.push(leaf_hash(&[leaf])));
        progress.ahead = progress.tree.clone();
        (7..300u64).for_each(|leaf| progress.ahead.push(leaf_hash(&leaf.to_be_bytes())));
        let body = Checkpoint::new("log.example", 7, progress.tree.root()).unwrap().body();
        let note = Note::new(body.clone(), vec![signer.sign(&body).unwrap()]).unwrap();
        progress.verified = SignedCheckpoint::verify(&note.to_bytes(), "log.example", &keys).ok();
        let text = progress.to_text();
        assert_eq!(parse(&text), Some(progress.clone()));
        for place in (0..text.len()).filter(|place| text.is_char_boundary(*place)) {
            assert_eq!(parse(&text[..place]), None, "cut at {place}");
        }
        // A checkpoint of another tree, with a digest that fits.
        progress.tree = progress.ahead.clone();
        assert_eq!(parse(&progress.to_text()), None);
    }
}
