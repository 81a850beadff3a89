//! The last checkpoint, kept in a file beside the database.
//!
//! The file is a tripwire: if the database ever opens with less than the file says, or with another tree, the
//! log refuses to go on instead of forking its history. It is written after the commit, off the appends' path,
//! and may lag by a few commits after a crash; it is never ahead of the database, because what it holds was
//! synced there first.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{
    head::Head,
    manifest_file,
    open::DATABASE,
    probe::{Point, Probed},
};

/// The file's name in the log's directory.
pub(crate) const FILE_NAME: &str = "checkpoint";

/// Pause after each replacement. A replacement costs two syncs, which the commits' own sync has to share the
/// disk's journal with; without a pause they would be half of the disk's work under load.
const PAUSE: Duration = Duration::from_millis(20);

/// The checkpoint in the file; `None` if there is no file.
pub(crate) fn read(dir: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(dir.join(FILE_NAME)) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Why a file beside the database cannot be used.
#[derive(Debug)]
pub(crate) enum FileError {
    Io(io::Error),
    Unsound(&'static str),
}

impl From<io::Error> for FileError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Replaces the file: after a crash it has the old bytes or the new ones, whole.
pub(crate) fn replace(dir: &Path, note: &[u8], probe: &Probed) -> io::Result<()> {
    replace_file(dir, FILE_NAME, note, |point| probe.pass(point))
}

/// Replaces a file of the log's directory in the same way.
pub(crate) fn replace_file(dir: &Path, name: &str, bytes: &[u8], pass: impl Fn(Point)) -> io::Result<()> {
    let temporary = dir.join(format!("{name}.new"));
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    pass(Point::CheckpointWritten);
    fs::rename(&temporary, dir.join(name))?;
    pass(Point::CheckpointRenamed);
    // The rename is in the directory, and is durable when that is.
    File::open(dir)?.sync_all()?;
    pass(Point::CheckpointSynced);
    Ok(())
}

/// Writes the newest head to the file, on a thread of its own.
#[derive(Debug)]
pub(crate) struct Keeper {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    next: Option<Arc<Head>>,
    closed: bool,
}

impl Keeper {
    /// Starts the thread.
    pub(crate) fn spawn(dir: PathBuf, probe: Probed) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        let thread =
            thread::Builder::new().name("log-checkpoint".into()).spawn(move || own.run(&dir, &probe))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Has this head written soon, instead of any older one that still waits.
    pub(crate) fn keep(&self, head: Arc<Head>) {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner).next = Some(head);
        self.shared.changed.notify_all();
    }
}

impl Drop for Keeper {
    /// Waits until the newest head is in the file.
    fn drop(&mut self) {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic in the thread has been reported by the panic hook already.
            drop(thread.join());
        }
    }
}

impl Shared {
    fn run(&self, dir: &Path, probe: &Probed) {
        loop {
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let mut state = self
                .changed
                .wait_while(state, |state| state.next.is_none() && !state.closed)
                .unwrap_or_else(PoisonError::into_inner);
            let (next, closed) = (state.next.take(), state.closed);
            drop(state);
            match next {
                Some(head) => keep_now(dir, &head, probe),
                None => return,
            }
            if !closed {
                self.pause();
            }
        }
    }

    /// Waits a moment, or until closed.
    fn pause(&self) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.changed.wait_timeout_while(state, PAUSE, |state| !state.closed));
    }
}

fn keep_now(dir: &Path, head: &Head, probe: &Probed) {
    // The commit itself is safe in the database: a file that cannot be written weakens the tripwire, it loses
    // nothing, so the log goes on and says so.
    let kept = replace(dir, head.note(), probe).and_then(|()| manifest_file::keep(dir, &dir.join(DATABASE)));
    if let Err(error) = kept {
        metrics::counter!("treering_log_checkpoint_file_errors_total").increment(1);
        tracing::error!(%error, dir = %dir.display(), "a file beside the database could not be replaced");
    }
}

#[cfg(test)]
mod tests {
    use treering_tlog::hash::EMPTY_ROOT;

    use super::*;

    fn head(note: &str) -> Arc<Head> {
        let (note, receipt) = (note.as_bytes().to_vec(), Vec::new());
        Arc::new(Head { size: 0, root: EMPTY_ROOT, sealed_at: 0, note, receipt })
    }

    #[test]
    fn the_newest_head_is_in_the_file_when_the_keeper_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()).unwrap(), None);
        let keeper = Keeper::spawn(dir.path().to_path_buf(), Probed::default()).unwrap();
        for i in 0..50 {
            keeper.keep(head(&format!("note {i}")));
        }
        drop(keeper);
        assert_eq!(read(dir.path()).unwrap().unwrap(), b"note 49");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file is left");
    }
}
