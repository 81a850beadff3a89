//! What configfs-tsm is used by: four operations on files, so that a stand-in of the kernel can be put in their place.

use std::io::{self, Read as _, Write as _};
use std::path::Path;

/// Why an operation failed.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// EBUSY, EAGAIN (which is EWOULDBLOCK) or EINTR: it may work in a moment.
    #[error("busy")]
    Busy,
    /// EEXIST.
    #[error("it exists")]
    Exists,
    /// More than the caller takes.
    #[error("too large")]
    TooLarge,
    /// Anything else.
    #[error(transparent)]
    Io(io::Error),
}

impl From<io::Error> for FileError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ResourceBusy | io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => {
                Self::Busy
            }
            io::ErrorKind::AlreadyExists => Self::Exists,
            _ => Self::Io(error),
        }
    }
}

/// The operations.
pub trait Files {
    /// Makes a directory; the kernel fills it with attributes.
    fn make_dir(&self, path: &Path) -> Result<(), FileError>;
    /// Removes it, attributes and all.
    fn remove_dir(&self, path: &Path) -> Result<(), FileError>;
    /// Writes an attribute: all of it in one call, as configfs wants it.
    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), FileError>;
    /// Reads an attribute of at most so many octets.
    fn read(&self, path: &Path, max: usize) -> Result<Vec<u8>, FileError>;
}

/// Linux's own.
#[derive(Debug, Clone, Copy)]
pub struct Linux;

impl Files for Linux {
    fn make_dir(&self, path: &Path) -> Result<(), FileError> {
        Ok(std::fs::create_dir(path)?)
    }

    fn remove_dir(&self, path: &Path) -> Result<(), FileError> {
        // Attributes cannot be unlinked; rmdir takes them along.
        Ok(std::fs::remove_dir(path)?)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), FileError> {
        // Neither created nor truncated: the attribute is there, and one write is one value.
        let mut file = std::fs::OpenOptions::new().write(true).open(path)?;
        match file.write(bytes)? {
            written if written == bytes.len() => Ok(()),
            written => {
                Err(FileError::Io(io::Error::other(format!("{written} of {} octets written", bytes.len()))))
            }
        }
    }

    fn read(&self, path: &Path, max: usize) -> Result<Vec<u8>, FileError> {
        let mut bytes = Vec::new();
        let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
        std::fs::File::open(path)?.take(limit).read_to_end(&mut bytes)?;
        if bytes.len() > max { Err(FileError::TooLarge) } else { Ok(bytes) }
    }
}
