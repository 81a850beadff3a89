//! The state directory: for every log the last cosigned checkpoint, with our own cosignature on it.
//!
//! In scope: creating, locking, reading and durably replacing. Out of scope: when a checkpoint may be replaced.
//!
//! | file | bytes |
//! |---|---|
//! | `identity` | `treering-witness-state v1\n`, the witness's vkey, `\n`; made once by `init`, locked while the witness runs |
//! | `<hex SHA-256(origin)>.state` | `treering-witness-state v1\n`, then the cosigned checkpoint: a C2SP signed note |
//! | `<hex SHA-256(origin)>.tmp` | a write that was not finished: removed at start, never read |
//!
//! A state file proves itself: it must carry a valid cosignature by our own key, over a checkpoint of the origin that its
//! name says. Whoever can write the directory can still put back an older file of the same log, and so make the witness
//! sign a split view: the directory is trusted, and must not be restored from a backup.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use treering_tlog::{
    checkpoint::{Checkpoint, CheckpointError},
    note::{Note, NoteError, VerifiedSignature, VerifierKey},
};

use crate::rules::Latest;

/// The last cosigned checkpoint of one log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct State {
    note: Note,
    checkpoint: Checkpoint,
    time: u64,
}

impl State {
    /// Takes a note that carries a valid cosignature by `own`.
    pub fn new(note: Note, own: &VerifierKey) -> Result<Self, StateError> {
        let checkpoint = Checkpoint::parse(note.text())?;
        let verified = note.verify(std::slice::from_ref(own))?;
        let time = verified.iter().filter_map(VerifiedSignature::time).max().ok_or(StateError::NoTime)?;
        Ok(Self { note, checkpoint, time })
    }

    /// Parses a state file. Inverse of [`State::to_bytes`].
    pub fn parse(bytes: &[u8], own: &VerifierKey) -> Result<Self, StateError> {
        let note = bytes.strip_prefix(HEADER.as_bytes()).ok_or(StateError::Header)?;
        Self::new(Note::parse(note)?, own)
    }

    /// The bytes of the state file. Inverse of [`State::parse`].
    pub fn to_bytes(&self) -> Vec<u8> {
        [HEADER.as_bytes(), &self.note.to_bytes()].concat()
    }

    /// The cosigned checkpoint, as served to monitors.
    pub fn note(&self) -> &Note {
        &self.note
    }

    /// What the checkpoint says.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// When it was cosigned, in unix seconds.
    pub const fn time(&self) -> u64 {
        self.time
    }

    /// Size and root, for the rules.
    pub fn latest(&self) -> Latest {
        Latest { size: self.checkpoint.size(), root: *self.checkpoint.root() }
    }
}

/// A state directory, locked against other processes as long as this lives.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    /// Open for its lock only.
    _identity: File,
}

impl StateDir {
    /// Makes the directory of a new witness. An existing one is refused: a witness that forgets signs split views.
    pub fn create(path: &Path, own: &VerifierKey) -> Result<(), StoreError> {
        let at = |what| move |source| StoreError::Io { what, path: path.to_owned(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(at("create"))?;
        let identity = path.join(IDENTITY);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&identity)
            .map_err(at("create the identity in"))?;
        file.write_all(identity_text(own).as_bytes()).and_then(|()| file.sync_all()).map_err(at("write"))?;
        sync_dir(path).map_err(at("sync"))
    }

    /// Opens and locks the directory of this witness.
    pub fn open(path: &Path, own: &VerifierKey) -> Result<Self, StoreError> {
        let identity = path.join(IDENTITY);
        let io = |what| {
            let identity = identity.clone();
            move |source| StoreError::Io { what, path: identity, source }
        };
        // Without the file this may be an empty mount point: starting here would forget everything.
        let file = match File::open(&identity) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(StoreError::NoState { path: path.to_owned() });
            }
            opened => opened.map_err(io("open"))?,
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::Locked { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(io("lock")(source)),
        }
        let text = fs::read_to_string(&identity).map_err(io("read"))?;
        if text != identity_text(own) {
            return Err(StoreError::OtherWitness { path: path.to_owned(), wanted: own.to_string() });
        }
        Ok(Self { path: path.to_owned(), _identity: file })
    }

    /// Reads every state file, by origin; one that does not prove itself is an error, whether or not its log is still
    /// configured. Leftovers of unfinished writes are removed: nobody was told of them.
    pub fn load(&self, own: &VerifierKey) -> Result<BTreeMap<String, State>, StoreError> {
        let mut states = BTreeMap::new();
        for entry in fs::read_dir(&self.path).map_err(self.io("read"))? {
            let path = entry.map_err(self.io("read"))?.path();
            match path.extension().and_then(|extension| extension.to_str()) {
                Some(STATE) => {
                    let state = self.read(&path, own)?;
                    states.insert(state.checkpoint().origin().to_owned(), state);
                }
                Some(UNFINISHED) => {
                    fs::remove_file(&path).map_err(self.io("remove an unfinished write from"))?;
                }
                _ => {}
            }
        }
        Ok(states)
    }

    /// Durably replaces the state of a log. When this returns, the new state survives a crash; when it fails, either may
    /// be on disk, and the caller must not go on from what it remembers.
    ///
    /// The caller holds the log's lock, so one log has one writer.
    pub fn replace(&self, state: &State) -> Result<(), StoreError> {
        let name = origin_hash(state.checkpoint().origin());
        let unfinished = self.path.join(format!("{name}.{UNFINISHED}"));
        // The data is on disk before the name points to it, and the name before anyone is told. The rename is the commit
        // point: a crash before it leaves the old state, after it the new one.
        let write = || {
            let mut file =
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
            file.write_all(&state.to_bytes())?;
            file.sync_all()?;
            fs::rename(&unfinished, self.path.join(format!("{name}.{STATE}")))?;
            sync_dir(&self.path)
        };
        write().map_err(self.io("replace a state in"))
    }

    fn read(&self, path: &Path, own: &VerifierKey) -> Result<State, StoreError> {
        let bytes = fs::read(path).map_err(self.io("read"))?;
        let corrupt = |source| StoreError::Corrupt { path: path.to_owned(), source };
        let state = State::parse(&bytes, own).map_err(corrupt)?;
        let wanted = origin_hash(state.checkpoint().origin());
        if path.file_stem().and_then(|stem| stem.to_str()) != Some(wanted.as_str()) {
            return Err(corrupt(StateError::OtherOrigin { origin: state.checkpoint().origin().to_owned() }));
        }
        Ok(state)
    }

    fn io(&self, what: &'static str) -> impl FnOnce(io::Error) -> StoreError {
        let path = self.path.clone();
        move |source| StoreError::Io { what, path, source }
    }
}

/// The name of an origin in paths: lower-case hex of SHA-256.
pub fn origin_hash(origin: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(origin))
}

/// Why the bytes of a state file are not a state of this witness.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StateError {
    /// The text is no checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The first line is another.
    #[error("first line is not `treering-witness-state v1`: damaged, or of a newer version")]
    Header,
    /// The own line carries no time.
    #[error("own signature has no time")]
    NoTime,
    /// The note is damaged, or not cosigned by this witness.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The file has the name of another log.
    #[error("it holds a checkpoint of {origin:?}, whose file has another name")]
    OtherOrigin {
        /// Origin found.
        origin: String,
    },
}

/// Why the state directory cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A state file does not prove itself.
    #[error("state file {} is corrupt: {source}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: StateError,
    },
    /// The operating system refused.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Another process has it.
    #[error("state directory {} is in use by another process", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// No configured key of the log has signed its state.
    #[error("state of log {origin:?} is not signed by a configured key of it: {source}")]
    NotByLog {
        /// The log.
        origin: String,
        /// What is wrong.
        source: NoteError,
    },
    /// The directory was never made, or is not mounted.
    #[error("no state directory at {}", path.display())]
    NoState {
        /// The directory.
        path: PathBuf,
    },
    /// The directory is of another witness.
    #[error("state directory {} is not that of {wanted}", path.display())]
    OtherWitness {
        /// The directory.
        path: PathBuf,
        /// The key that was given.
        wanted: String,
    },
}

/// First line of every file here. A new format gets a new line, so that an old program refuses it.
const HEADER: &str = "treering-witness-state v1\n";
const IDENTITY: &str = "identity";
const STATE: &str = "state";
const UNFINISHED: &str = "tmp";

fn identity_text(own: &VerifierKey) -> String {
    format!("{HEADER}{own}\n")
}

fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
