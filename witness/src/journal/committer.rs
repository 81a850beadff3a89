//! The committer: the one writer of the journal.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;

use treering_tlog::note::VerifierKey;

use super::{
    JOURNAL, MARK, NotPersisted, Shared, UNFINISHED, Waiting,
    disk::Disk,
    record::{FileId, HEAD_LEN, Header, MAX_PAYLOAD_LEN, Mark, push},
    recover::MAX_BATCH_LEN,
};
use crate::{clock, state::State};

pub(super) struct Committer {
    dir: PathBuf,
    vkey: String,
    disk: Arc<dyn Disk>,
    mark: File,
    journal: File,
    place: Place,
    /// The last state of every log, whether or not it is configured: what a compaction keeps.
    latest: BTreeMap<String, Arc<State>>,
    compact_at: u64,
    compaction: Option<Compaction>,
}

/// Where the journal ends.
#[derive(Clone, Copy, Debug)]
struct Place {
    file: FileId,
    generation: u64,
    /// The last record, which is synced between batches.
    number: u64,
    len: u64,
    /// Length at which the next compaction begins.
    limit: u64,
}

/// A new journal that a thread writes while commits go on in the old one.
struct Compaction {
    written: Receiver<io::Result<(File, Place)>>,
    /// What was committed since; at most one state for each log.
    since: BTreeMap<String, Arc<State>>,
}

impl Committer {
    pub(super) fn start(
        dir: &Path,
        own: &VerifierKey,
        generation: u64,
        states: Vec<Arc<State>>,
        disk: Arc<dyn Disk>,
        compact_at: u64,
    ) -> io::Result<Self> {
        let vkey = own.to_string();
        let (journal, place) =
            write_snapshot(dir, &vkey, generation + 1, &states, disk.as_ref(), compact_at)?;
        let mark =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(dir.join(MARK))?;
        let latest =
            states.into_iter().map(|state| (state.checkpoint().origin().to_owned(), state)).collect();
        let dir = dir.to_owned();
        let committer = Self { dir, vkey, disk, mark, journal, place, latest, compact_at, compaction: None };
        committer.take_place()?;
        Ok(committer)
    }

    /// Commits batches until the journal is dropped.
    pub(super) fn run(mut self, shared: &Shared) {
        while let Some(waiting) = shared.take() {
            let mut waiting = waiting.into_iter().peekable();
            while waiting.peek().is_some() {
                self.batch(shared, &mut waiting);
            }
        }
        // Nobody else may write the file of that name before it is done.
        if let Some(compaction) = self.compaction.take() {
            drop(compaction.written.recv());
        }
        // So that the next start knows exactly what was answered for, also after a power failure.
        if shared.is_well() && self.disk.sync(&self.mark).is_err() {
            tracing::warn!("the mark was not synced");
        }
    }

    /// Writes as many states as one batch may hold.
    fn batch(&mut self, shared: &Shared, waiting: &mut impl Iterator<Item = Waiting>) {
        let mut bytes = Vec::new();
        let mut batch = Vec::new();
        let mut number = self.place.number;
        // The bound is checked before each, so the last may reach over it by one record.
        while bytes.len() < MAX_BATCH_LEN
            && let Some(next) = waiting.next()
        {
            number += 1;
            if push(&mut bytes, self.place.file, number, self.place.number, next.state.as_bytes()) {
                batch.push(next);
            } else {
                number -= 1;
                (next.done)(Err(NotPersisted));
            }
        }
        let written =
            if shared.is_well() { self.write(&bytes, number) } else { Err(io::ErrorKind::Other.into()) };
        if let Err(error) = written {
            if shared.is_well() {
                tracing::error!(%error, "the journal cannot be written: no more cosignatures until a restart");
            }
            shared.poison();
            for waiting in batch {
                (waiting.done)(Err(NotPersisted));
            }
            return;
        }
        metrics::histogram!(BATCH_STATES).record(u32::try_from(batch.len()).unwrap_or(u32::MAX));
        for Waiting { state, done } in batch {
            self.remember(state);
            done(Ok(()));
        }
        if let Err(error) = self.compact() {
            tracing::error!(%error, "the journal cannot be replaced: no more cosignatures until a restart");
            shared.poison();
        }
    }

    fn write(&mut self, bytes: &[u8], number: u64) -> io::Result<()> {
        self.disk.append(&self.journal, bytes)?;
        // THE COMMIT POINT: before it nobody has been told; after it the states survive a crash.
        let started = clock::monotonic();
        self.disk.sync(&self.journal)?;
        metrics::histogram!(SYNC_SECONDS).record(started.elapsed().as_secs_f64());
        self.place.number = number;
        self.place.len += bytes.len() as u64;
        self.write_mark()
    }

    fn write_mark(&self) -> io::Result<()> {
        let mark = Mark { generation: self.place.generation, number: self.place.number };
        self.disk.overwrite(&self.mark, mark.to_text().as_bytes())
    }

    fn remember(&mut self, state: Arc<State>) {
        if let Some(compaction) = &mut self.compaction {
            compaction.since.insert(state.checkpoint().origin().to_owned(), Arc::clone(&state));
        }
        match self.latest.get_mut(state.checkpoint().origin()) {
            Some(latest) => *latest = state,
            None => {
                self.latest.insert(state.checkpoint().origin().to_owned(), state);
            }
        }
    }

    /// Begins a compaction, or ends one that was written. An error means that it is not known which file has the name.
    fn compact(&mut self) -> io::Result<()> {
        let Some(compaction) = &self.compaction else {
            if self.place.len >= self.place.limit {
                self.begin_compaction();
            }
            return Ok(());
        };
        let written = match compaction.written.try_recv() {
            Err(TryRecvError::Empty) => return Ok(()),
            Err(TryRecvError::Disconnected) => Err(io::Error::other("the compaction panicked")),
            Ok(written) => written,
        };
        let since = self.compaction.take().map(|compaction| compaction.since).unwrap_or_default();
        let prepared = written.and_then(|(file, place)| self.catch_up(file, place, &since));
        match prepared {
            Ok((journal, place)) => {
                (self.journal, self.place) = (journal, place);
                self.take_place()?;
                metrics::counter!(COMPACTIONS).increment(1);
            }
            // The old file is whole and has its name: go on with it, and try again when it has grown as much again.
            Err(error) => {
                tracing::warn!(%error, "the journal was not compacted");
                self.place.limit = self.place.len.saturating_mul(2);
            }
        }
        Ok(())
    }

    fn begin_compaction(&mut self) {
        let (dir, vkey, disk) = (self.dir.clone(), self.vkey.clone(), Arc::clone(&self.disk));
        let states: Vec<Arc<State>> = self.latest.values().map(Arc::clone).collect();
        let (generation, compact_at) = (self.place.generation + 1, self.compact_at);
        let (sender, written) = mpsc::sync_channel(1);
        let write = move || {
            let new = write_snapshot(&dir, &vkey, generation, &states, disk.as_ref(), compact_at);
            // Nobody waits only if the witness is stopping.
            drop(sender.send(new));
        };
        match thread::Builder::new().name("compaction".to_owned()).spawn(write) {
            Ok(_detached) => self.compaction = Some(Compaction { written, since: BTreeMap::new() }),
            Err(error) => {
                tracing::warn!(%error, "the journal was not compacted");
                self.place.limit = self.place.len.saturating_mul(2);
            }
        }
    }

    /// Adds to a new file what was committed while it was written.
    fn catch_up(
        &self,
        file: File,
        mut place: Place,
        since: &BTreeMap<String, Arc<State>>,
    ) -> io::Result<(File, Place)> {
        let mut bytes = Vec::new();
        let mut number = place.number;
        for state in since.values() {
            number += 1;
            // As for a snapshot: nothing is torn in a file that has no name yet, so all before it counts as synced.
            if !push(&mut bytes, place.file, number, place.number, state.as_bytes()) {
                return Err(io::ErrorKind::InvalidInput.into());
            }
        }
        self.disk.append(&file, &bytes)?;
        self.disk.sync(&file)?;
        place.number = number;
        place.len += bytes.len() as u64;
        Ok((file, place))
    }

    /// Gives the new file the journal's name. After the rename the old file is gone; the mark follows, since one of an
    /// older generation allows the new file, and the other way round would not.
    fn take_place(&self) -> io::Result<()> {
        self.disk.rename(&self.dir.join(UNFINISHED), &self.dir.join(JOURNAL))?;
        self.disk.sync_dir(&self.dir)?;
        self.write_mark()?;
        self.disk.sync(&self.mark)
    }
}

/// Writes a new journal, synced but without its name.
fn write_snapshot(
    dir: &Path,
    vkey: &str,
    generation: u64,
    states: &[Arc<State>],
    disk: &dyn Disk,
    compact_at: u64,
) -> io::Result<(File, Place)> {
    let header = Header { generation, snapshot: states.len() as u64 }.to_text(vkey);
    let mut place = Place { file: FileId::of(header.as_bytes()), generation, number: 0, len: 0, limit: 0 };
    let file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(dir.join(UNFINISHED))?;
    let mut bytes = header.into_bytes();
    for state in states {
        if !push(&mut bytes, place.file, place.number + 1, place.number, state.as_bytes()) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        place.number += 1;
        // Synced in pieces: one sync of all of it would make the commits that go on meanwhile wait for it.
        if bytes.len() >= PIECE_LEN {
            disk.append(&file, &bytes)?;
            disk.sync(&file)?;
            place.len += bytes.len() as u64;
            bytes.clear();
        }
    }
    disk.append(&file, &bytes)?;
    disk.sync(&file)?;
    place.len += bytes.len() as u64;
    // Four times the least: a compaction writes at most a third of what was committed before it.
    place.limit = place.len.saturating_mul(4).max(compact_at);
    Ok((file, place))
}

/// Well above a record, well below what delays a commit noticeably.
const PIECE_LEN: usize = 1024 * 1024;
const _: () = assert!(PIECE_LEN > HEAD_LEN + MAX_PAYLOAD_LEN, "a piece holds a record");

const BATCH_STATES: &str = "treering_witness_commit_batch_states";
const SYNC_SECONDS: &str = "treering_witness_sync_seconds";
const COMPACTIONS: &str = "treering_witness_compactions_total";
