//! How far the database's manifest had come, kept in a file beside the database.
//!
//! RocksDB's manifest is the list of its tables, and grows with every table. Of one that lost its end RocksDB knows no
//! better, and opens without the tables that the lost records name: entries would be found missing by `fsck`, but used
//! once keys, registers and rows would be gone without a word. So the length that was synced is kept here, and a
//! shorter manifest is refused *before* RocksDB opens, which would delete the tables that it does not know.
//!
//! In scope: one number and one length. Out of scope: what the manifest says. The file is written off the path of
//! appends, where the manifest has grown; between that and the growth of the manifest nothing is known.

use std::{
    fmt,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use crate::checkpoint_file::{self, FileError};

/// The file's name in the log's directory.
pub(crate) const FILE_NAME: &str = "manifest";
/// RocksDB's file that names its manifest.
const CURRENT: &str = "CURRENT";
/// What the names of manifests begin with.
const PREFIX: &str = "MANIFEST-";

/// A manifest and its length. A later one has a greater number, or the same and is longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark {
    number: u64,
    len: u64,
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{:06} of {} bytes", self.number, self.len)
    }
}

/// What was kept and what there is, if the manifest went back.
pub(crate) fn went_back(dir: &Path, database: &Path) -> Result<Option<(Mark, Mark)>, FileError> {
    let kept = match fs::read_to_string(dir.join(FILE_NAME)) {
        Ok(text) => parse(&text).ok_or(FileError::Unsound("it is not a manifest's name and length"))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return Err(FileError::Unsound("it is not text"));
        }
        Err(error) => return Err(FileError::Io(error)),
    };
    // Without a database, or with one whose parts are missing, opening has its own words.
    Ok(current(database)?.map(|(_, now)| (kept, now)).filter(|(kept, now)| now < kept))
}

/// Keeps how far the manifest has come, if it has come further.
pub(crate) fn keep(dir: &Path, database: &Path) -> io::Result<()> {
    let Some((path, now)) = current(database)? else { return Ok(()) };
    let text = format!("{PREFIX}{:06} {}\n", now.number, now.len);
    if fs::read(dir.join(FILE_NAME)).is_ok_and(|kept| kept == text.as_bytes()) {
        return Ok(());
    }
    // Nothing is kept that a power failure could still take back.
    File::open(path)?.sync_all()?;
    checkpoint_file::replace_file(dir, FILE_NAME, text.as_bytes(), |_| ())
}

/// The manifest that RocksDB would open.
fn current(database: &Path) -> io::Result<Option<(PathBuf, Mark)>> {
    let found = |result: io::Result<_>| match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => {
            Ok(None)
        }
        Err(error) => Err(error),
    };
    let Some(text) = found(fs::read_to_string(database.join(CURRENT)))? else { return Ok(None) };
    let name = text.trim_end();
    let Some(number) = number(name) else { return Ok(None) };
    let path = database.join(name);
    let len = match fs::metadata(&path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(Some((path, Mark { number, len })))
}

fn parse(text: &str) -> Option<Mark> {
    let (name, len) = text.strip_suffix('\n')?.split_once(' ')?;
    Some(Mark { number: number(name)?, len: len.parse().ok()? })
}

fn number(name: &str) -> Option<u64> {
    name.strip_prefix(PREFIX)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(dir: &Path, number: u64, len: usize) -> PathBuf {
        let database = dir.join("db");
        fs::create_dir_all(&database).unwrap();
        fs::write(database.join(CURRENT), format!("MANIFEST-{number:06}\n")).unwrap();
        fs::write(database.join(format!("MANIFEST-{number:06}")), vec![7; len]).unwrap();
        database
    }

    #[test]
    fn a_manifest_goes_forward_only() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let db = database(dir, 5, 100);
        assert!(went_back(dir, &db).unwrap().is_none(), "nothing is known of an older store");
        keep(dir, &db).unwrap();
        assert_eq!(fs::read_to_string(dir.join(FILE_NAME)).unwrap(), "MANIFEST-000005 100\n");
        for (number, len, back) in
            [(5, 100, false), (5, 101, false), (5, 99, true), (6, 1, false), (4, 500, true)]
        {
            let db = database(dir, number, len);
            assert_eq!(went_back(dir, &db).unwrap().is_some(), back, "{number} {len}");
        }
        keep(dir, &database(dir, 1_000_000, 3)).unwrap();
        assert!(went_back(dir, &database(dir, 999_999, 9)).unwrap().is_some(), "compared as numbers");
        fs::remove_dir_all(&db).unwrap();
        assert!(went_back(dir, &db).unwrap().is_none(), "a lost database is for others to tell");
        keep(dir, &db).unwrap();
        for unsound in ["", "MANIFEST-5", "MANIFEST-x 5\n", "MANIFEST-5 5", "\u{0}"] {
            fs::write(dir.join(FILE_NAME), unsound).unwrap();
            assert!(went_back(dir, &db).is_err(), "{unsound:?}");
        }
    }
}
