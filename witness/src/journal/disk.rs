//! What the journal asks of a disk: the few calls whose order is the durability of the witness.
//!
//! In scope: those calls, by name, so that a test can make each of them fail, or end the process before, within or after
//! it. Out of scope: what is written.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// A disk. [`RealDisk`] is the only one outside tests.
pub trait Disk: Send + Sync {
    /// Writes at the end of a file.
    fn append(&self, mut file: &File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    /// Makes what was written to a file survive a power failure.
    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    /// Replaces the start of a file of fixed length. Not synced: what it says is only ever less than what is true.
    fn overwrite(&self, file: &File, bytes: &[u8]) -> io::Result<()> {
        file.write_all_at(bytes, 0)
    }

    /// Gives a file the name of another, which it replaces.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    /// Makes the names in a folder survive a power failure.
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }
}

/// The operating system's.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {}
