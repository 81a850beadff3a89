//! A log as a directory of static files, laid out as C2SP tlog-tiles serves them, and reading such a directory.
//!
//! In scope: entries, tiles and the checkpoint, all that is needed to check and mirror the log. Out of scope:
//! contents and side tables, which are not public.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use treering_tlog::{
    bundle::MAX_BUNDLE_LEN,
    hash::HASH_SIZE,
    note::{MAX_NOTE_LEN, VerifierKey},
    tile::{TILE_WIDTH, TileId, entries_path, tiles_at},
};

use crate::{
    fsck::{Fragment, LogSource, SourceError, SourceTile},
    log::Log,
    reader::ReadError,
};

/// The name of the checkpoint in the directory.
const CHECKPOINT: &str = "checkpoint";

/// Why an export was not finished.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// A log without entries has no checkpoint to export.
    #[error("the log is empty")]
    Empty,
    /// A file could not be written.
    #[error("failed to write {}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The log changed its mind about its size, which cannot be.
    #[error("{path} is not in the log")]
    Missing {
        /// The file that has no source.
        path: String,
    },
    /// The log could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Writes the log as it is now: all full tiles and bundles, the partial ones of this size, then the checkpoint,
/// with its cosignatures if a quorum has cosigned this very size. Returns the size.
pub fn to_dir(log: &Log, dir: &Path) -> Result<u64, ExportError> {
    let head = log.head().ok_or(ExportError::Empty)?;
    let witnessed = log.witnessed().filter(|witnessed| witnessed.head() == &head);
    for (id, width) in tiles_at(head.size()) {
        let path = id.path(width);
        write(dir, &path, log.tile(id.level, id.index, width)?)?;
        if id.level == 0 {
            let path = entries_path(id.index, width);
            write(dir, &path, log.bundle(id.index, width)?)?;
        }
    }
    // Last, so that a directory with a checkpoint has all that the checkpoint covers.
    let note = witnessed.map_or_else(|| head.note().to_vec(), |witnessed| witnessed.cosigned_note().to_vec());
    write(dir, CHECKPOINT, Some(note))?;
    Ok(head.size())
}

fn write(dir: &Path, path: &str, bytes: Option<Vec<u8>>) -> Result<(), ExportError> {
    let bytes = bytes.ok_or_else(|| ExportError::Missing { path: path.to_owned() })?;
    let file = dir.join(path);
    let written = file.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&file, bytes));
    written.map_err(|source| ExportError::Io { path: file, source })
}

/// A directory of static tiles, to be checked by [`fsck`](crate::fsck).
#[derive(Clone, Debug)]
pub struct StaticDir {
    dir: PathBuf,
    log_key: Option<VerifierKey>,
}

impl StaticDir {
    /// A directory, and the key that must have signed its checkpoint.
    pub fn new(dir: impl Into<PathBuf>, log_key: Option<VerifierKey>) -> Self {
        Self { dir: dir.into(), log_key }
    }

    /// Reads a file that must not be larger than its kind can be.
    fn read(&self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, SourceError> {
        let file = self.dir.join(path);
        let read = fs::metadata(&file).and_then(|found| {
            if found.len() > limit as u64 {
                return Err(io::Error::other(format!("it has {} bytes, at most {limit}", found.len())));
            }
            fs::read(&file)
        });
        match read {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(SourceError(format!("{path}: {error}"))),
        }
    }

    /// A partial file, or the beginning of the full one that replaced it, and whether it is the full one.
    fn read_either(&self, partial: &str, full: &str, limit: usize) -> Result<(Vec<u8>, bool), SourceError> {
        if let Some(bytes) = self.read(partial, limit)? {
            return Ok((bytes, partial == full));
        }
        match self.read(full, limit)? {
            Some(bytes) => Ok((bytes, true)),
            None => Err(SourceError(format!("{partial} is missing"))),
        }
    }
}

impl LogSource for StaticDir {
    fn log_key(&self) -> Option<&VerifierKey> {
        self.log_key.as_ref()
    }

    fn checkpoint(&self) -> Result<Option<Vec<u8>>, SourceError> {
        // An exported log is never empty.
        let missing = || SourceError(format!("{CHECKPOINT} is missing"));
        self.read(CHECKPOINT, MAX_NOTE_LEN)?.map(Some).ok_or_else(missing)
    }

    fn bundle(&self, index: u64, width: u16) -> Result<Vec<Fragment>, SourceError> {
        let (partial, full) = (entries_path(index, width), entries_path(index, TILE_WIDTH));
        let (bytes, whole) = self.read_either(&partial, &full, MAX_BUNDLE_LEN)?;
        let first = index * u64::from(TILE_WIDTH);
        let bytes = if whole && width < TILE_WIDTH { take_entries(bytes, width) } else { bytes };
        Ok(vec![Fragment { first, bytes }])
    }

    fn tile(&self, id: TileId, width: u16) -> Result<SourceTile, SourceError> {
        let limit = usize::from(TILE_WIDTH) * HASH_SIZE;
        let (mut bytes, whole) = self.read_either(&id.path(width), &id.path(TILE_WIDTH), limit)?;
        if whole {
            bytes.truncate(usize::from(width) * HASH_SIZE);
        }
        Ok(SourceTile { hashes: bytes, inner: None })
    }
}

/// The bytes of the first `width` entries; all bytes if they end before.
fn take_entries(mut bytes: Vec<u8>, width: u16) -> Vec<u8> {
    let mut end = 0;
    for _ in 0..width {
        let len = bytes.get(end..).and_then(|rest| rest.first_chunk::<2>());
        let Some(len) = len else { return bytes };
        end += 2 + usize::from(u16::from_be_bytes(*len));
    }
    bytes.truncate(end);
    bytes
}
