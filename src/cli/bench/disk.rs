//! Folders on the disk that is measured, and what a log takes of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use treering_log::Log;
use treering_tlog::tile::{TILE_WIDTH, TileId};

use super::meter::count;

/// Octets per entry over the entry itself, in table files, compacted.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Disk {
    /// Tiles and bundles, and the fragments of those that are not full.
    pub(super) tree: f64,
    /// Everything: indexes, and where there are decisions their sealed content.
    pub(super) all: f64,
}

impl Disk {
    /// Brings the tables into their smallest form and measures them; `each` if all entries have the same length.
    pub(super) fn of(log: &Log, each: Option<usize>) -> Result<Self> {
        log.compact()?;
        let stats = treering_log::stats(log)?;
        let of = |names: &[&str]| -> u64 {
            let named =
                stats.families.iter().filter(|family| names.is_empty() || names.contains(&family.name));
            named.map(|family| family.table_bytes).sum()
        };
        let payload = match each {
            Some(octets) => stats.entries * u64::try_from(octets)?,
            None => payload(log, stats.entries)?,
        };
        let over = |bytes: u64| (count(bytes) - count(payload)) / count(stats.entries.max(1));
        Ok(Self { tree: over(of(&["edge", "entries", "tiles"])), all: over(of(&[])) })
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        format!(
            "disk over the entry itself: {:.1} octets of tree and bundles, {:.1} of everything",
            self.tree, self.all
        )
    }
}

/// The octets of all entries.
fn payload(log: &Log, entries: u64) -> Result<u64> {
    let mut octets = 0;
    for index in 0..entries.div_ceil(u64::from(TILE_WIDTH)) {
        let width = TileId::new(0, index).width(entries);
        let bundle = log.bundle(index, width)?.context("a bundle")?;
        octets += u64::try_from(bundle.len())? - 2 * u64::from(width);
    }
    Ok(octets)
}

/// A folder that is removed at the end, on the disk that is to be measured.
pub(super) fn temporary(on: Option<&Path>) -> Result<tempfile::TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("treering-bench-");
    on.map_or_else(|| builder.tempdir(), |dir| builder.tempdir_in(dir)).context("make a temporary folder")
}

/// Octets that are free on the disk of a folder, by `df` of POSIX.
pub(super) fn free(dir: &Path) -> Result<u64> {
    let done = Command::new("df").arg("-Pk").arg(dir).output().context("run df")?;
    ensure!(done.status.success(), "df: {}", String::from_utf8_lossy(&done.stderr));
    let said = String::from_utf8_lossy(&done.stdout);
    let kib = said.lines().nth(1).and_then(|line| line.split_whitespace().nth(3));
    let kib: u64 = kib.and_then(|kib| kib.parse().ok()).with_context(|| format!("df said `{said}`"))?;
    Ok(kib.saturating_mul(1024))
}

/// How long a folder's files must stay as they are to be at rest, and how long that is waited for.
const QUIET: Duration = Duration::from_secs(2);
const MOST: Duration = Duration::from_mins(2);

/// Waits until nothing writes to a folder's files any more.
pub(super) fn rest(dir: &Path) {
    let begin = Instant::now();
    let (mut before, mut since) = (lengths(dir), Instant::now());
    while since.elapsed() < QUIET && begin.elapsed() < MOST {
        thread::sleep(QUIET / 8);
        let now = lengths(dir);
        if now != before {
            (before, since) = (now, Instant::now());
        }
    }
}

/// The length of every file. One that has just gone is not there.
fn lengths(dir: &Path) -> BTreeMap<PathBuf, u64> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        match entry.metadata() {
            Ok(data) if data.is_dir() => all.extend(lengths(&entry.path())),
            Ok(data) => drop(all.insert(entry.path(), data.len())),
            Err(_) => {}
        }
    }
    all
}

/// Writes what is still in memory of a folder's files to the disk, so that who comes next does not pay for it.
pub(super) fn sync(dir: &Path) -> Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            sync(&path)?;
        } else {
            std::fs::File::open(&path)?.sync_all().with_context(|| format!("sync {}", path.display()))?;
        }
    }
    Ok(())
}
