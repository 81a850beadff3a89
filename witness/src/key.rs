//! The key file: the private key text of one cosigner, readable by its owner only.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use thiserror::Error;
use treering_tlog::{
    cosignature::CosignSigner,
    note::{KeyError, KeyType},
};
use zeroize::Zeroizing;

/// Makes a new Ed25519 key and writes it to a new file (mode 0600). An existing file is never replaced.
pub fn create(path: &Path, name: &str) -> Result<CosignSigner, KeyFileError> {
    let seed = seed()?;
    write_new(path, CosignSigner::from_seed(name, &seed)?)
}

/// The same with an ML-DSA-44 key, to be used beside an Ed25519 key.
pub fn create_mldsa(path: &Path, name: &str) -> Result<CosignSigner, KeyFileError> {
    let seed = seed()?;
    write_new(path, CosignSigner::mldsa_from_seed(name, &seed)?)
}

fn seed() -> Result<Zeroizing<[u8; 32]>, KeyFileError> {
    let mut seed = Zeroizing::new([0u8; 32]);
    getrandom::fill(seed.as_mut()).map_err(|_| KeyFileError::Random)?;
    Ok(seed)
}

fn write_new(path: &Path, signer: CosignSigner) -> Result<CosignSigner, KeyFileError> {
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(signer.to_private_text().as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()
    };
    write().map_err(|source| KeyFileError::Io { path: path.to_owned(), source })?;
    Ok(signer)
}

/// Reads the file of an Ed25519 key. One that others may read is refused: its key may be known.
pub fn load(path: &Path) -> Result<CosignSigner, KeyFileError> {
    read(path, KeyType::CosignatureV1)
}

/// The same for an ML-DSA-44 key.
pub fn load_mldsa(path: &Path) -> Result<CosignSigner, KeyFileError> {
    read(path, KeyType::MlDsa44)
}

fn read(path: &Path, wanted: KeyType) -> Result<CosignSigner, KeyFileError> {
    let io = |source| KeyFileError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(io)?;
    // Of the open file, so that it cannot be exchanged in between.
    let mode = file.metadata().map_err(io)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::Permissions { path: path.to_owned(), mode });
    }
    let mut text = Zeroizing::new(String::new());
    file.take(MAX_KEY_FILE_LEN).read_to_string(&mut text).map_err(io)?;
    let signer = CosignSigner::parse(text.strip_suffix('\n').unwrap_or(&text))?;
    let actual = signer.verifier().kind();
    if actual == wanted {
        Ok(signer)
    } else {
        Err(KeyFileError::Kind { path: path.to_owned(), actual, wanted })
    }
}

/// Why a key file cannot be made or used. No message holds any of it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// The operating system refused.
    #[error("key file {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The key is of another type than this file is for.
    #[error("key file {} is of type {actual:?}, want {wanted:?}", path.display())]
    Kind {
        /// The file.
        path: PathBuf,
        /// Type found.
        actual: KeyType,
        /// Type wanted.
        wanted: KeyType,
    },
    /// The name or the text is refused.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Others may read or write it.
    #[error("key file {} has mode {mode:04o}, want 0600 or 0400", path.display())]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// No randomness.
    #[error("the system gives no random bytes")]
    Random,
}

/// `PRIVATE+KEY+`, a name of 255 bytes, 8 hex digits, 44 characters of base64, separators: well below this.
const MAX_KEY_FILE_LEN: u64 = 1024;
