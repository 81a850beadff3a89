//! Every file of a log, cut, flipped, removed, or exchanged for an older copy: what opening makes of it.
//!
//! Nothing here is a crash: a disk that synced lost or changed what it had synced. The question is whether that is
//! ever silent.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use treering_log::{Append, Config, Log, NewEntry, fsck};

use crate::{
    account::{Account, Breach},
    random::Random,
    support::{TestSealer, config, copy, small_runs},
};

/// Commits of each session: four sessions of them fill a tile, so that older tables are left of what opening reads.
const COMMITS: usize = 25;
/// Up to which commit of the last session the checkpoint file has come, where it lags.
const LAGGING: usize = 15;

/// A log with tables, a write-ahead log with commits in it, and everything that was answered.
struct Patient {
    config: fn(&Path) -> Config,
    dir: tempfile::TempDir,
    /// The log as it was some sessions earlier.
    earlier: tempfile::TempDir,
    told: Account,
    /// The checkpoint after each commit of the last session.
    checkpoints: Vec<Vec<u8>>,
}

impl Patient {
    async fn new() -> Self {
        Self::of(small_runs).await
    }

    async fn of(config: fn(&Path) -> Config) -> Self {
        let (dir, earlier) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (mut told, mut checkpoints) = (Account::default(), Vec::new());
        for session in 0..4 {
            let log = Log::open(config(dir.path()), TestSealer::new(1)).unwrap();
            checkpoints.clear();
            for commit in 0..COMMITS as u8 {
                let texts: Vec<String> = (0..3)
                    .map(|part| format!("{session} {commit} {part} {}", "x".repeat(10 * usize::from(commit))))
                    .collect();
                let mut append =
                    Append::of(texts.iter().map(|text| NewEntry::plain(text.as_bytes())).collect());
                append.once = vec![[session * 50 + commit; 32]];
                let once = append.once.clone();
                told.appended(&log.append(append).await.unwrap(), &texts, &once);
                checkpoints.push(log.head().unwrap().note().to_vec());
            }
            log.shutdown().await;
            drop(log);
            if session == 2 {
                copy(dir.path(), earlier.path());
            }
        }
        Self { config, dir, earlier, told, checkpoints }
    }

    /// The files by what they are, relative to the log's directory.
    fn files(&self) -> BTreeMap<Part, Vec<PathBuf>> {
        let mut files: BTreeMap<Part, Vec<PathBuf>> = BTreeMap::new();
        for dir in ["", "db"] {
            for file in fs::read_dir(self.dir.path().join(dir)).unwrap().map(Result::unwrap) {
                let name = file.file_name().into_string().unwrap();
                if file.file_type().unwrap().is_file() {
                    files.entry(Part::of(&name)).or_default().push(Path::new(dir).join(name));
                }
            }
        }
        files
    }

    /// The length of the manifest that is kept beside the database. Runs of the index may have been taken in since; what
    /// of them is lost follows from the entries.
    fn kept(&self) -> u64 {
        let text = fs::read_to_string(self.dir.path().join("manifest")).unwrap();
        text.trim_end().split_once(' ').unwrap().1.parse().unwrap()
    }

    /// What becomes of a copy to which this was done.
    fn treat(&self, damage: impl FnOnce(&Path)) -> Outcome {
        let copied = tempfile::tempdir().unwrap();
        copy(self.dir.path(), copied.path());
        damage(copied.path());
        let mut config = (self.config)(copied.path());
        config.create = false;
        let log = match Log::open(config, TestSealer::new(1)) {
            Ok(log) => log,
            Err(error) => return Outcome::Refused(error.to_string()),
        };
        match self.told.verdict(&log) {
            Ok(()) => match fsck::check(&log, |_, _| ()).findings.first() {
                None => Outcome::Whole,
                Some(finding) => Outcome::Found(finding.what.clone()),
            },
            Err(Breach::Unreadable(error)) => Outcome::Found(error.to_string()),
            Err(Breach::Lost(what)) => Outcome::Lost(log.size(), what),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Wal,
    Table,
    Manifest,
    Current,
    Checkpoint,
    /// The length of the manifest, beside the database.
    Length,
    /// Files that hold nothing of the log: locks, texts for people, copies of options.
    Other,
}

impl Part {
    fn of(name: &str) -> Self {
        match name {
            "CURRENT" => Self::Current,
            "checkpoint" => Self::Checkpoint,
            "manifest" => Self::Length,
            "lock" | "LOCK" | "IDENTITY" | "LOG" => Self::Other,
            _ if name.starts_with("LOG.old") || name.starts_with("OPTIONS-") => Self::Other,
            _ if name.starts_with("MANIFEST-") => Self::Manifest,
            _ => match name.rsplit_once('.') {
                Some((_, "log")) => Self::Wal,
                Some((_, "sst")) => Self::Table,
                _ => panic!("a file that nobody knows: {name}"),
            },
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    /// All is there.
    Whole,
    /// Not opened.
    Refused(String),
    /// Opened, and reading what is damaged fails; fsck finds it.
    Found(String),
    /// Opened with less than was answered, up to this size, and nothing says so.
    Lost(u64, String),
}

impl Outcome {
    fn name(&self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Refused(_) => "refused",
            Self::Found(_) => "found",
            Self::Lost(..) => "LOST",
        }
    }
}

/// What is done to one file.
#[derive(Clone, Copy, Debug)]
enum Damage {
    Cut(u64),
    Flip(u64, u8),
    Remove,
    Older,
}

impl Damage {
    fn apply(self, file: &Path, earlier: &Path) {
        match self {
            Self::Cut(len) => fs::File::options().write(true).open(file).unwrap().set_len(len).unwrap(),
            Self::Flip(at, bit) => {
                let mut bytes = fs::read(file).unwrap();
                bytes[usize::try_from(at).unwrap()] ^= 1 << bit;
                fs::write(file, bytes).unwrap();
            }
            Self::Remove => fs::remove_file(file).unwrap(),
            Self::Older => drop(fs::copy(earlier, file).unwrap()),
        }
    }

    /// Some of each: at random, and at the ends.
    fn of(len: u64, many: u64, older: bool, random: &mut Random) -> Vec<Self> {
        let mut damages = vec![Self::Remove];
        damages.extend(older.then_some(Self::Older));
        if len > 0 {
            damages.extend([Self::Cut(0), Self::Cut(len - 1), Self::Flip(0, 0), Self::Flip(len - 1, 7)]);
            for _ in 0..many {
                damages.push(Self::Cut(random.below(len)));
                damages.push(Self::Flip(random.below(len), random.below(8) as u8));
            }
        }
        damages
    }
}

/// What may become of a log whose checkpoint file is as new as its last commit.
fn expected(part: Part, damage: Damage, kept: u64) -> &'static [&'static str] {
    use {Damage as D, Part as P};
    match (part, damage) {
        (P::Manifest, D::Cut(len)) if len >= kept => &["refused", "whole"],
        // Every byte of the write-ahead log is of an answered commit.
        (P::Wal | P::Current | P::Manifest, _)
        | (P::Table, D::Cut(_) | D::Remove)
        | (P::Checkpoint, D::Cut(_) | D::Flip(..)) => &["refused"],
        // A table is never changed, so an older copy is the same.
        (P::Table, D::Older) | (P::Checkpoint | P::Length, D::Remove | D::Older) | (P::Other, _) => {
            &["whole"]
        }
        // Checksums of blocks that opening does not read show when they are read. Some bytes are padding.
        (P::Table, D::Flip(..)) => &["refused", "found", "whole"],
        // A changed digit can make it a length that the manifest has.
        (P::Length, D::Cut(_) | D::Flip(..)) => &["refused", "whole"],
    }
}

async fn damage(many: u64, seed: u64) {
    eprintln!("seed {seed}");
    let (patient, mut random) = (Patient::new().await, Random::new(seed));
    let mut tally: BTreeMap<(Part, &str), u32> = BTreeMap::new();
    for (part, mut files) in patient.files() {
        // Tables are alike, and there are some tens.
        while files.len() as u64 > 2 + many / 8 {
            files.remove(usize::try_from(random.below(files.len() as u64)).unwrap());
        }
        for file in files {
            let (now, earlier) = (patient.dir.path().join(&file), patient.earlier.path().join(&file));
            let len = fs::metadata(&now).unwrap().len();
            let many = if part == Part::Other { many / 8 } else { many };
            for damage in Damage::of(len, many, earlier.exists(), &mut random) {
                let outcome = patient.treat(|dir| damage.apply(&dir.join(&file), &earlier));
                let known = expected(part, damage, patient.kept()).contains(&outcome.name());
                assert!(known, "{} {damage:?}: {outcome:?}", file.display());
                *tally.entry((part, outcome.name())).or_default() += 1;
            }
        }
    }
    for ((part, outcome), times) in tally {
        eprintln!("{part:?}: {outcome} {times} times");
    }
}

#[tokio::test]
async fn a_damaged_file_is_refused_or_found_when_it_is_read() {
    damage(3, 1).await;
}

#[tokio::test]
#[ignore = "soak: two thousand damaged copies take some minutes"]
async fn a_file_damaged_anywhere_is_refused_or_found_when_it_is_read() {
    damage(60, Random::fresh_seed()).await;
}

/// Where the manifest cannot be synced, RocksDB puts a table that it was taking in out again; the manifest may have it
/// all the same. The table of another length, or none, does not do.
#[tokio::test]
async fn a_table_that_the_manifest_has_and_the_database_has_not_is_brought_back() {
    let patient = Patient::new().await;
    let files = patient.files();
    let tables = &files[&Part::Table];
    let len = |file: &Path| fs::metadata(patient.dir.path().join(file)).unwrap().len();
    for (table, other) in tables.iter().zip(tables.iter().cycle().skip(1)).step_by(5) {
        let put_out = |dir: &Path, as_what: &Path| {
            fs::create_dir_all(dir.join("tables.new")).unwrap();
            fs::copy(dir.join(as_what), dir.join("tables.new/0")).unwrap();
            fs::remove_file(dir.join(table)).unwrap();
        };
        assert_eq!(patient.treat(|dir| put_out(dir, table)), Outcome::Whole, "{}", table.display());
        if len(table) != len(other) {
            let outcome = patient.treat(|dir| put_out(dir, other));
            assert!(matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
        }
    }
    assert!(tables.len() > 10, "{tables:?}");
}

/// The end of the manifest names the newest tables. RocksDB opens without them, and would delete them; once keys would
/// be unused again, and neither `fsck` nor a witness could tell. (Where runs of the index were merged, it misses those
/// that went, and opens nothing: here there are none.)
#[tokio::test]
async fn a_manifest_without_its_end_is_refused_before_anything_is_deleted() {
    let patient = Patient::of(config).await;
    let manifest = patient.files()[&Part::Manifest][0].clone();
    let (len, mut lost) = (patient.kept(), 0);
    for at in (len * 2 / 3..len).step_by(23) {
        let refused = patient.treat(|dir| Damage::Cut(at).apply(&dir.join(&manifest), &manifest));
        assert!(
            matches!(&refused, Outcome::Refused(why) if why.contains("Bring back the newer")),
            "{refused:?}"
        );
        // What RocksDB makes of it by itself.
        let unguarded = patient.treat(|dir| {
            Damage::Cut(at).apply(&dir.join(&manifest), &manifest);
            fs::remove_file(dir.join("manifest")).unwrap();
        });
        lost += u32::from(matches!(unguarded, Outcome::Lost(..)));
    }
    assert!(lost > 0, "RocksDB notices by itself: the file beside the database is no longer needed");
}

/// The checkpoint file follows the commits within some tens of milliseconds. If the process is killed in that time
/// *and* the disk loses the end of the write-ahead log, which was synced, then what was answered since is gone, and
/// nothing beside the database knows. Never more than that; and a witness knows (docs/threats.md). Here the index has no
/// runs, which would know, too.
#[tokio::test]
async fn a_lagging_checkpoint_file_bounds_what_a_cut_write_ahead_log_can_lose() {
    let patient = Patient::of(config).await;
    let files = patient.files();
    let wal = &files[&Part::Wal][0];
    let lagging = |dir: &Path| fs::write(dir.join("checkpoint"), &patient.checkpoints[LAGGING]).unwrap();
    let kept = patient.told.told_size() - 3 * (patient.checkpoints.len() - 1 - LAGGING) as u64;
    let len = fs::metadata(patient.dir.path().join(wal)).unwrap().len();
    let (mut lost, mut refused) = (0, 0);
    for part in 1..20 {
        let outcome = patient.treat(|dir| {
            lagging(dir);
            Damage::Cut(len * part / 20).apply(&dir.join(wal), wal);
        });
        match outcome {
            Outcome::Lost(size, what) => {
                assert!(size >= kept && what.contains("the log shrank"), "{size} {what}");
                lost += 1;
            }
            Outcome::Refused(why) => {
                assert!(why.contains("commits are lost"), "{why}");
                refused += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(lost > 0 && refused > 0, "{lost} {refused}");
    let cut_and_lagging = patient.treat(|dir| {
        lagging(dir);
        Damage::Remove.apply(&dir.join(wal), wal);
    });
    assert!(matches!(cut_and_lagging, Outcome::Refused(_)), "{cut_and_lagging:?}");
    let only_lagging = patient.treat(lagging);
    assert_eq!(only_lagging, Outcome::Whole);
}

/// A run of the index is made of what is committed, and is not in the write-ahead log.
#[tokio::test]
async fn runs_know_what_a_cut_write_ahead_log_has_lost() {
    let patient = Patient::new().await;
    let wal = patient.files()[&Part::Wal][0].clone();
    let len = fs::metadata(patient.dir.path().join(&wal)).unwrap().len();
    let outcome = patient.treat(|dir| {
        fs::write(dir.join("checkpoint"), &patient.checkpoints[LAGGING]).unwrap();
        Damage::Cut(len * 9 / 10).apply(&dir.join(&wal), &wal);
    });
    assert!(
        matches!(&outcome, Outcome::Refused(why) if why.contains("covers more than the log")),
        "{outcome:?}"
    );
}

/// The lengths in a write-ahead log are what tells a torn end from damage: one that points beyond the end looks like
/// a torn end, and only the checkpoint file knows better.
#[tokio::test]
async fn a_changed_length_in_the_write_ahead_log_is_refused() {
    let patient = Patient::new().await;
    let wal = patient.files()[&Part::Wal][0].clone();
    let bytes = fs::read(patient.dir.path().join(&wal)).unwrap();
    let headers = wal_headers(&bytes);
    assert!(headers.len() >= COMMITS, "{}", headers.len());
    for header in headers {
        for (byte, bit) in [(4, 0), (5, 7), (6, 0), (0, 0)] {
            let outcome = patient.treat(|dir| Damage::Flip(header + byte, bit).apply(&dir.join(&wal), &wal));
            assert!(matches!(outcome, Outcome::Refused(_)), "header at {header}, byte {byte}: {outcome:?}");
        }
    }
}

/// Where the records of a write-ahead log begin: blocks of 32 KiB, records of checksum (4), length (2), type (1).
fn wal_headers(bytes: &[u8]) -> Vec<u64> {
    let (mut at, mut headers) = (0, Vec::new());
    while at + 7 <= bytes.len() {
        let room = 32_768 - at % 32_768;
        if room < 7 {
            at += room;
            continue;
        }
        headers.push(at as u64);
        at += 7 + usize::from(bytes[at + 4]) + 256 * usize::from(bytes[at + 5]);
    }
    headers
}
