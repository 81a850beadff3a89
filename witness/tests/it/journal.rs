//! The journal: what a crash, damage, a failing disk and compaction leave of it.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use treering_witness::config::Limits;
use treering_witness::journal::{Disk, JournalError, Mark, RealDisk};
use treering_witness::service::{AddError, Witness};
use treering_witness::store::{StateDir, StoreError, origin_hash};

use crate::support::{ORIGIN, TestLog, fixed_clock, log_keys, open_dir, open_witness, witness_signer};

fn open(state: &Path) -> Result<Witness, StoreError> {
    let signer = witness_signer();
    let dir = open_dir(state, signer.verifier()).unwrap();
    Witness::open(signer, dir, log_keys(), fixed_clock(), &Limits::default(), None)
}

fn open_on(state: &Path, disk: &Arc<Failing>, compact_at: u64) -> Witness {
    let signer = witness_signer();
    let dir = loop {
        match StateDir::open_on(state, signer.verifier(), Arc::clone(disk) as Arc<dyn Disk>, compact_at) {
            Err(StoreError::Locked { .. }) => std::thread::yield_now(),
            opened => break opened.unwrap(),
        }
    };
    Witness::open(signer, dir, log_keys(), fixed_clock(), &Limits::default(), None).unwrap()
}

fn size(witness: &Witness) -> u64 {
    let (_, state) = witness.states().next().unwrap();
    state.map_or(0, |state| state.checkpoint().size())
}

/// The journal and mark of a witness that answered for sizes 1 to `last`, one record each.
fn answered(state: &Path, log: &TestLog, last: u64) -> (Vec<u8>, Vec<u8>) {
    let witness = open_witness(state, fixed_clock());
    (0..last).for_each(|size| drop(witness.add_checkpoint(&log.request(size, size + 1)).unwrap()));
    drop(witness);
    (fs::read(state.join("journal")).unwrap(), fs::read(state.join("mark")).unwrap())
}

fn is_damaged(opened: &Result<Witness, StoreError>) -> bool {
    matches!(opened, Err(StoreError::Journal(JournalError::Damaged { .. })))
}

/// What somebody was answered for cannot change without the witness refusing to start.
#[test]
fn every_flipped_bit_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let (journal, mark) = answered(&state, &TestLog::new(0, 3), 3);
    for place in (0..journal.len()).filter(|place| place % 3 == 0 || *place < 300) {
        let mut flipped = journal.clone();
        flipped[place] ^= 1 << (place % 8);
        fs::write(state.join("journal"), &flipped).unwrap();
        assert!(is_damaged(&open(&state)), "byte {place}");
    }
    fs::write(state.join("journal"), &journal).unwrap();
    for place in 0..mark.len() {
        let mut flipped = mark.clone();
        flipped[place] ^= 1 << (place % 8);
        fs::write(state.join("mark"), &flipped).unwrap();
        assert!(matches!(open(&state), Err(StoreError::Journal(JournalError::Mark { .. }))), "byte {place}");
    }
    fs::write(state.join("mark"), &mark).unwrap();
    assert_eq!(size(&open(&state).unwrap()), 3);
}

/// Cut anywhere: below what was answered for it refuses, above it goes on from whole records.
#[test]
fn a_torn_tail_is_dropped_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let log = TestLog::new(0, 3);
    let (journal, mark) = answered(&state, &log, 3);
    let mark = Mark::parse(&mark).unwrap();
    // Where the records end.
    let record =
        |number: usize| journal.windows(4).enumerate().filter(|(_, w)| *w == b"TWJ1").nth(number).unwrap().0;
    let ends = [record(0), record(1), record(2), journal.len()];
    for known in 0..=3u64 {
        // Every 31st length, and all around the ends of records.
        let near = |len: usize| len.is_multiple_of(31) || ends.iter().any(|end| end.abs_diff(len) <= 1);
        for len in (ends[0]..=journal.len()).filter(|len| near(*len)) {
            fs::write(state.join("journal"), &journal[..len]).unwrap();
            fs::write(state.join("mark"), Mark { number: known, ..mark }.to_text()).unwrap();
            let whole = ends.iter().filter(|end| **end <= len).count() as u64 - 1;
            match open(&state) {
                Ok(witness) => assert!(whole >= known && size(&witness) == whole, "{known} {len}"),
                refused => assert!(whole < known && is_damaged(&refused), "{known} {len}"),
            }
        }
        // Garbage in the place of the last record: torn if nobody was answered for it, else damage.
        for byte in [0, 0xff, b'T'] {
            let mut torn = journal.clone();
            torn[ends[2]..].fill(byte);
            fs::write(state.join("journal"), &torn).unwrap();
            fs::write(state.join("mark"), Mark { number: known, ..mark }.to_text()).unwrap();
            match open(&state) {
                Ok(witness) => assert!(known <= 2 && size(&witness) == 2),
                refused => assert!(known == 3 && is_damaged(&refused)),
            }
        }
    }
    // A record in the middle, though the mark was lost with the power: the record behind it says that it was synced.
    let mut hole = journal.clone();
    hole[ends[1] + 100] ^= 1;
    fs::write(state.join("journal"), &hole).unwrap();
    fs::write(state.join("mark"), Mark { number: 0, ..mark }.to_text()).unwrap();
    assert!(is_damaged(&open(&state)));
}

/// An older copy of the journal, or of mark and journal of different times, is no state to go on from.
#[test]
fn an_older_journal_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let log = TestLog::new(0, 9);
    let (old, old_mark) = answered(&state, &log, 2);
    let witness = open(&state).unwrap();
    witness.add_checkpoint(&log.request(2, 3)).unwrap();
    drop(witness);
    let (new, new_mark) = (fs::read(state.join("journal")).unwrap(), fs::read(state.join("mark")).unwrap());
    fs::write(state.join("journal"), &old).unwrap();
    assert!(matches!(
        open(&state),
        Err(StoreError::Journal(JournalError::Older { actual: 2, wanted: 3, .. }))
    ));
    // A mark that lags is what a power failure leaves: the journal has more, and nothing is lost.
    fs::write(state.join("journal"), &new).unwrap();
    fs::write(state.join("mark"), &old_mark).unwrap();
    assert_eq!(size(&open(&state).unwrap()), 3);
    // With such a mark nothing can be torn either: the file was synced before it got its name.
    fs::write(state.join("journal"), &new[..new.len() - 1]).unwrap();
    fs::write(state.join("mark"), &old_mark).unwrap();
    assert!(is_damaged(&open(&state)));
    fs::write(state.join("journal"), &new).unwrap();
    fs::write(state.join("mark"), &new_mark).unwrap();
    assert_eq!(size(&open(&state).unwrap()), 3);
}

/// Fails one call of one kind, and counts them all.
#[derive(Default)]
struct Failing {
    calls: AtomicUsize,
    /// Calls until the failure.
    left: AtomicI64,
    /// Whether half of the bytes are written before an append fails.
    torn: bool,
}

impl Failing {
    fn after(calls: usize, torn: bool) -> Arc<Self> {
        Arc::new(Self { left: AtomicI64::new(i64::try_from(calls).unwrap()), torn, ..Self::default() })
    }

    fn call(&self) -> io::Result<()> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if self.left.fetch_sub(1, Ordering::SeqCst) == 0 {
            Err(io::Error::other("on purpose"))
        } else {
            Ok(())
        }
    }
}

impl Disk for Failing {
    fn append(&self, file: &File, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = self.call() {
            let half = if self.torn { bytes.len() / 2 } else { 0 };
            RealDisk.append(file, &bytes[..half])?;
            return Err(error);
        }
        RealDisk.append(file, bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        self.call().and_then(|()| RealDisk.sync(file))
    }

    fn overwrite(&self, file: &File, bytes: &[u8]) -> io::Result<()> {
        self.call().and_then(|()| RealDisk.overwrite(file, bytes))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call().and_then(|()| RealDisk.rename(from, to))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.call().and_then(|()| RealDisk.sync_dir(dir))
    }
}

/// Each call to the disk fails once: then nobody is answered any more, and the next start knows all that was answered.
#[test]
fn a_disk_that_fails_ends_in_refusals() {
    let log = TestLog::new(0, 12);
    let (mut stopped, mut survived) = (0, 0);
    for torn in [false, true] {
        for failing in 0..40 {
            let folder = tempfile::tempdir().unwrap();
            let state = folder.path().join("state");
            StateDir::create(&state, witness_signer().verifier()).unwrap();
            let disk = Failing::after(failing, torn);
            let dir = StateDir::open_on(&state, witness_signer().verifier(), Arc::clone(&disk) as _, 1_500);
            let opened = Witness::open(
                witness_signer(),
                dir.unwrap(),
                log_keys(),
                fixed_clock(),
                &Limits::default(),
                None,
            );
            let mut acknowledged = 0;
            if let Ok(witness) = opened {
                for next in 1..=12 {
                    match witness.add_checkpoint(&log.request(acknowledged, next)) {
                        Ok(_) if acknowledged + 1 == next => acknowledged = next,
                        Ok(_) => panic!("call {failing}: answered again after a failure"),
                        Err(AddError::NotPersisted | AddError::Broken) => assert!(!witness.is_well()),
                        Err(other) => panic!("call {failing}: {other}"),
                    }
                }
                if witness.is_well() {
                    survived += 1;
                } else {
                    stopped += 1;
                }
                assert!(witness.is_well() || acknowledged < 12);
            }
            let reopened = open_witness(&state, fixed_clock());
            let found = size(&reopened);
            assert!(
                found == acknowledged || found == acknowledged + 1,
                "call {failing}: {acknowledged} {found}"
            );
            assert!(found == 0 || reopened.add_checkpoint(&TestLog::new(1, 12).request(found, 12)).is_err());
            assert!(reopened.add_checkpoint(&log.request(found, 12)).is_ok());
        }
    }
    // A failure in a compaction, before its rename, leaves a good journal: the witness goes on.
    assert!(stopped > 20 && survived > 2, "{stopped} {survived}");
}

/// Compaction while commits go on: nothing is lost, the file stays small, and logs that are not configured are kept.
#[test]
fn compaction_keeps_everything() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let log = TestLog::new(0, 400);
    open_witness(&state, fixed_clock()).add_checkpoint(&log.request(0, 1)).unwrap();
    let disk = Arc::new(Failing { left: AtomicI64::new(i64::MAX), ..Failing::default() });
    let witness = open_on(&state, &disk, 4_000);
    let mut largest = 0;
    for size in 1..400 {
        witness.add_checkpoint(&log.request(size, size + 1)).unwrap();
        largest = largest.max(fs::metadata(state.join("journal")).unwrap().len());
    }
    drop(witness);
    assert!(largest < 100_000, "{largest}: 400 records are 170 kB");
    let mark = Mark::parse(&fs::read(state.join("mark")).unwrap()).unwrap();
    assert!(mark.generation > 5, "{mark:?}");
    // Without the log in the configuration its state is kept all the same.
    let other = TestLog::new(0, 0).signer.verifier().clone();
    let dir = open_dir(&state, witness_signer().verifier()).unwrap();
    let keys = [("another.example".to_owned(), vec![other])].into();
    drop(Witness::open(witness_signer(), dir, keys, fixed_clock(), &Limits::default(), None).unwrap());
    let witness = open(&state).unwrap();
    assert_eq!(size(&witness), 400);
    assert!(witness.latest(&origin_hash(ORIGIN)).is_some());
}
