//! The store: a folder of snapshots by their content address, and names that point to them.
//!
//! `objects/<SHA-256>` holds the canonical octets of a snapshot (docs/storage.md), `names/<name>.json` what is known of
//! the newest under a name. Each file is written beside its place and renamed, so that a crash leaves the old or the
//! new one. A snapshot is read back only if its octets hash to its name.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::vendor;
use crate::verifier::{self, Collateral, Edition, Wanted};

/// Largest object: what `Collateral` takes.
const MAX_OBJECT_BYTES: u64 = 8 * 1024 * 1024;
/// Largest file of a name.
const MAX_NAME_FILE_BYTES: u64 = 16 * 1024;
/// Files of one import.
const MAX_FILES: usize = 10_000;

/// Seconds that a vendor's clock may be ahead of ours.
const CLOCK_SKEW_S: u64 = 3600;

/// Why the store could not do something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file of the store is damaged.
    #[error("{path}: {reason}; remove it and import or fetch it again")]
    Damaged {
        /// Which one.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A folder to be imported has too many files.
    #[error("{0}: more than {MAX_FILES} files")]
    TooMany(PathBuf),
}

/// What is known of the newest snapshot under a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The name, such as `amd/milan/crl/vcek`.
    pub name: String,
    /// SHA-256 of the snapshot's canonical octets, hex.
    pub digest: String,
    /// When it was last known to be what the vendor has, Unix seconds: imported, fetched, or found unchanged.
    pub as_of: u64,
    /// Where it came from: a URL, or the name of a file.
    pub source: String,
    /// The `ETag` with which it was served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
}

/// What an import found in one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// The file.
    pub file: PathBuf,
    /// The names under which its content is kept now.
    pub names: Vec<String>,
    /// The names under which something newer was kept before, and is kept on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub older: Vec<String>,
    /// Why nothing of it is kept: it is no collateral.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// A folder of collateral.
#[derive(Debug, Clone)]
pub struct Store {
    dir: PathBuf,
}

impl Store {
    /// The store in this folder, which is made if it is missing.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let store = Self { dir: dir.into() };
        for part in ["objects", "names"] {
            let path = store.dir.join(part);
            fs::create_dir_all(&path).map_err(|source| StoreError::Io { path, source })?;
        }
        Ok(store)
    }

    /// Its folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What is known of a name.
    pub fn entry(&self, name: &str) -> Result<Option<Entry>, StoreError> {
        let path = self.name_file(name);
        let Some(bytes) = read(&path, MAX_NAME_FILE_BYTES)? else { return Ok(None) };
        let entry: Entry = serde_json::from_slice(&bytes)
            .map_err(|error| StoreError::Damaged { path: path.clone(), reason: error.to_string() })?;
        if entry.name == name {
            Ok(Some(entry))
        } else {
            Err(StoreError::Damaged { path, reason: format!("it is about {}", entry.name) })
        }
    }

    /// What is known of something that is wanted: under its name, or that of whose it is, and the newer of both by
    /// what they say of themselves.
    pub fn entry_of(&self, wanted: &Wanted) -> Result<Option<Entry>, StoreError> {
        let named = self.entry(&wanted.name())?;
        let of = wanted.of().map(|of| self.entry(&of)).transpose()?.flatten();
        let (Some(named), Some(of)) = (&named, &of) else { return Ok(named.or(of)) };
        let rank = |entry: &Entry| (self.edition(entry), entry.as_of);
        Ok(Some(if rank(of) > rank(named) { of.clone() } else { named.clone() }))
    }

    /// How new the snapshot of an entry is; the oldest of all, where it cannot be read.
    fn edition(&self, entry: &Entry) -> Edition {
        self.snapshot(entry).map(|snapshot| verifier::edition(&snapshot)).unwrap_or_default()
    }

    /// The snapshot that an entry points to.
    pub fn snapshot(&self, entry: &Entry) -> Result<Collateral, StoreError> {
        let path = self.dir.join("objects").join(file_name(&entry.digest));
        let damaged = |reason: String| StoreError::Damaged { path: path.clone(), reason };
        let bytes = read(&path, MAX_OBJECT_BYTES)?.ok_or_else(|| damaged("it is missing".to_owned()))?;
        let digest = HEXLOWER_PERMISSIVE.decode(entry.digest.as_bytes()).unwrap_or_default();
        if Sha256::digest(&bytes).as_slice() != digest {
            return Err(damaged("its octets are not those of its name".to_owned()));
        }
        Collateral::from_canonical_bytes(&bytes).map_err(|error| damaged(error.to_string()))
    }

    /// Keeps a snapshot under a name, unless what is kept there is newer by its own word: then `None`, and that stays.
    /// Old lists and levels do not come back by being carried here, or served, late. What says that it is of the future
    /// holds nothing up.
    pub fn put_newer(
        &self,
        name: &str,
        snapshot: &Collateral,
        now: u64,
        as_of: u64,
        (source, etag): (&str, Option<&str>),
    ) -> Result<Option<Entry>, StoreError> {
        let kept = self.entry(name).ok().flatten().map(|entry| self.edition(&entry));
        let kept = kept.filter(|kept| kept.issued <= now.saturating_add(CLOCK_SKEW_S));
        if kept.is_some_and(|kept| kept > verifier::edition(snapshot)) {
            return Ok(None);
        }
        self.put(name, snapshot, as_of, source, etag).map(Some)
    }

    /// Keeps a snapshot under a name, whatever was there. The octets are on the disk when this returns.
    pub fn put(
        &self,
        name: &str,
        snapshot: &Collateral,
        as_of: u64,
        source: &str,
        etag: Option<&str>,
    ) -> Result<Entry, StoreError> {
        let digest = HEXLOWER.encode(&snapshot.digest());
        let object = self.dir.join("objects").join(&digest);
        if !object.exists() {
            write(&object, &snapshot.canonical_bytes())?;
        }
        let etag = etag.map(str::to_owned);
        let entry = Entry { name: name.to_owned(), digest, as_of, source: source.to_owned(), etag };
        self.write_entry(&entry)?;
        Ok(entry)
    }

    /// Notes that what is kept is still what the vendor has.
    pub fn confirm(&self, entry: &Entry, as_of: u64) -> Result<Entry, StoreError> {
        let entry = Entry { as_of: as_of.max(entry.as_of), ..entry.clone() };
        self.write_entry(&entry)?;
        Ok(entry)
    }

    fn write_entry(&self, entry: &Entry) -> Result<(), StoreError> {
        // Texts and numbers always become JSON.
        let json = serde_json::to_vec_pretty(entry).unwrap_or_default();
        write(&self.name_file(&entry.name), &json)
    }

    /// Every entry, by name.
    pub fn entries(&self) -> Result<Vec<Entry>, StoreError> {
        let dir = self.dir.join("names");
        let io = |source| StoreError::Io { path: dir.clone(), source };
        let mut entries = Vec::new();
        for file in fs::read_dir(&dir).map_err(io)? {
            let path = file.map_err(io)?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let bytes = read(&path, MAX_NAME_FILE_BYTES)?.unwrap_or_default();
            let entry: Entry = serde_json::from_slice(&bytes)
                .map_err(|error| StoreError::Damaged { path, reason: error.to_string() })?;
            entries.push(entry);
        }
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(entries)
    }

    /// Takes in a file, or the files of a folder and of those in it: each is kept under the names that its content
    /// has, unless something newer is there. A file that is no collateral is told of, and the others are taken in. For
    /// machines without a network.
    pub fn import(&self, path: &Path, now: u64) -> Result<Vec<Imported>, StoreError> {
        files(path)?.into_iter().map(|file| self.import_file(file, now)).collect()
    }

    fn import_file(&self, file: PathBuf, now: u64) -> Result<Imported, StoreError> {
        let mut imported = Imported { file, names: Vec::new(), older: Vec::new(), refused: None };
        let content = match content(&imported.file) {
            Ok(content) => content,
            Err(reason) => return Ok(Imported { refused: Some(reason), ..imported }),
        };
        let source = imported.file.file_name().map(|name| name.to_string_lossy().into_owned());
        let source = source.unwrap_or_default();
        for (name, snapshot) in verifier::named(&content) {
            // What a file says is of its own date, and not of today: a vendor who can be asked is asked as if it had
            // been fetched then.
            let as_of = verifier::edition(&snapshot).issued.min(now);
            let kept = self.put_newer(&name, &snapshot, now, as_of, (&source, None))?.is_some();
            if kept { &mut imported.names } else { &mut imported.older }.push(name);
        }
        Ok(imported)
    }

    fn name_file(&self, name: &str) -> PathBuf {
        self.dir.join("names").join(format!("{}.json", file_name(name)))
    }
}

/// What is in a file, or why that is no collateral.
fn content(file: &Path) -> Result<Collateral, String> {
    let bytes = read(file, MAX_OBJECT_BYTES).map_err(|error| error.to_string())?.unwrap_or_default();
    let read = Collateral::read(&bytes)
        .or_else(|first| Collateral::read_crl(&bytes).ok().filter(|_| vendor::is_crl(&bytes)).ok_or(first));
    read.map_err(|error| error.to_string())
}

/// A name as one file's: letters, digits, `-`, `.` and `_` as they are, a slash as `+`, all else as `%` and hex.
fn file_name(name: &str) -> String {
    let mut out = String::new();
    for octet in name.bytes() {
        match octet {
            b'/' => out.push('+'),
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => out.push(char::from(octet)),
            b'.' if !out.is_empty() => out.push('.'),
            _ => {
                out.push('%');
                out.push_str(&HEXLOWER.encode(&[octet]));
            }
        }
    }
    out
}

/// The files under a path, in the order of their names.
fn files(path: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut found = Vec::new();
    let mut waiting = vec![path.to_owned()];
    while let Some(path) = waiting.pop() {
        let io = |source| StoreError::Io { path: path.clone(), source };
        // Links are followed by name only: one to a folder above would lead in circles.
        if fs::symlink_metadata(&path).map_err(io)?.is_dir() {
            for entry in fs::read_dir(&path).map_err(io)? {
                waiting.push(entry.map_err(io)?.path());
            }
        } else {
            found.push(path.clone());
        }
        if found.len().saturating_add(waiting.len()) > MAX_FILES {
            return Err(StoreError::TooMany(path));
        }
    }
    found.sort();
    Ok(found)
}

fn read(path: &Path, max: u64) -> Result<Option<Vec<u8>>, StoreError> {
    let io = |source| StoreError::Io { path: path.to_owned(), source };
    let length = match fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(error)),
    };
    if length > max {
        return Err(StoreError::Damaged {
            path: path.to_owned(),
            reason: format!("{length} octets, at most {max}"),
        });
    }
    fs::read(path).map(Some).map_err(io)
}

/// Writes a whole file beside its place, has it on the disk, and puts it there.
fn write(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let io = |source| StoreError::Io { path: path.to_owned(), source };
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(dir).map_err(io)?;
    file.write_all(bytes).map_err(io)?;
    file.as_file().sync_all().map_err(io)?;
    file.persist(path).map_err(|error| io(error.error))?;
    fs::File::open(dir).and_then(|dir| dir.sync_all()).map_err(io)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attester::recorded;

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("collateral")).unwrap();
        (dir, store)
    }

    fn vcek() -> Collateral {
        Collateral::from_der(recorded::milan().unwrap().endorsements).unwrap()
    }

    #[test]
    fn what_is_put_is_read_back_also_by_another() {
        let (_dir, store) = store();
        assert_eq!(store.entry("amd/milan/crl/vcek").unwrap(), None);
        let entry = store.put("a/b", &vcek(), 7, "https://kds.example/", Some("\"1\"")).unwrap();
        let again = Store::open(store.dir()).unwrap();
        assert_eq!(again.entry("a/b").unwrap(), Some(entry.clone()));
        assert_eq!(again.snapshot(&entry).unwrap(), vcek());
        assert_eq!(again.confirm(&entry, 9).unwrap().as_of, 9);
        assert_eq!(again.confirm(&entry, 3).unwrap().as_of, 7, "a clock that steps back makes nothing older");
        assert_eq!(again.entries().unwrap().len(), 1);
    }

    #[test]
    fn damage_is_named() {
        let (_dir, store) = store();
        let entry = store.put("a", &vcek(), 7, "file", None).unwrap();
        let object = store.dir().join("objects").join(&entry.digest);
        let mut bytes = fs::read(&object).unwrap();
        bytes[40] ^= 1;
        fs::write(&object, bytes).unwrap();
        assert!(matches!(store.snapshot(&entry), Err(StoreError::Damaged { .. })));
        fs::remove_file(&object).unwrap();
        assert!(matches!(store.snapshot(&entry), Err(StoreError::Damaged { .. })));
        fs::write(store.dir().join("names/a.json"), b"{").unwrap();
        assert!(matches!(store.entry("a"), Err(StoreError::Damaged { .. })));
        fs::copy(store.dir().join("names/a.json"), store.dir().join("names/b.json")).unwrap();
        assert!(store.entry("b").is_err());
    }

    #[test]
    fn names_are_files_of_the_folder_and_never_others() {
        assert_eq!(file_name("intel/tdx/tcb/00806f050000"), "intel+tdx+tcb+00806f050000");
        assert_eq!(file_name("../../etc"), "%2e.+..+etc");
        assert_eq!(file_name("A b"), "%41%20b");
    }

    #[test]
    fn an_import_names_what_it_finds() {
        let (dir, store) = store();
        let files = dir.path().join("files/deeper");
        fs::create_dir_all(&files).unwrap();
        fs::write(files.join("vcek.pem"), vcek().to_pem()).unwrap();
        let imported = store.import(&dir.path().join("files"), 5).unwrap();
        assert_eq!(imported.len(), 1);
        assert!(imported[0].names[0].starts_with("amd/milan/vcek/"), "{imported:?}");
        let entry = store.entry(&imported[0].names[0]).unwrap().unwrap();
        assert_eq!((entry.source.as_str(), entry.as_of), ("vcek.pem", 5));
        // What is no collateral is told of, and keeps nothing else out.
        fs::write(files.join("a-note.txt"), b"hello").unwrap();
        let imported = store.import(&files, 6).unwrap();
        assert!(imported[0].refused.is_some() && imported[0].names.is_empty());
        assert!(imported[1].refused.is_none() && imported[1].names.len() == 1);
    }

    /// TCB information of one FMSPC, of an evaluation and a date; nobody signed it, and nobody verifies it here.
    fn tcb_info(evaluation: u32, issued: &str) -> Vec<u8> {
        format!(
            r#"{{"tcbInfo":{{"id":"TDX","version":3,"issueDate":"{issued}","nextUpdate":"2030-01-01T00:00:00Z","fmspc":"90c06f000000","tcbEvaluationDataNumber":{evaluation}}},"signature":"00"}}"#
        )
        .into_bytes()
    }

    const NAME: &str = "intel/tdx/tcb/90c06f000000";
    /// 2026-07-01T00:00:00Z.
    const NOW: u64 = 1_782_864_000;

    #[test]
    fn an_old_document_after_a_new_one_rolls_nothing_back() {
        let (dir, store) = store();
        let file = dir.path().join("tcb.json");
        let import = |octets: &[u8], now: u64| {
            fs::write(&file, octets).unwrap();
            store.import(&file, now).unwrap().remove(0)
        };
        let digest = || store.entry(NAME).unwrap().unwrap().digest;
        let new = tcb_info(18, "2026-03-01T00:00:00Z");
        assert_eq!(import(&new, NOW).names, [NAME]);
        let kept = digest();
        assert_eq!(store.entry(NAME).unwrap().unwrap().as_of, 1_772_323_200, "of its own date, not of today");
        for older in [tcb_info(18, "2026-02-28T00:00:00Z"), tcb_info(17, "2026-06-01T00:00:00Z")] {
            let imported = import(&older, NOW + 9);
            assert_eq!(
                (imported.names.as_slice(), imported.older.as_slice()),
                (&[][..], &[NAME.to_owned()][..])
            );
            assert_eq!(digest(), kept);
        }
        assert_eq!(import(&new, NOW + 10).names, [NAME], "the same again is no older");
        assert_eq!(import(&tcb_info(18, "2026-03-02T00:00:00Z"), NOW).names, [NAME]);
        assert_eq!(import(&tcb_info(19, "2026-03-01T00:00:00Z"), NOW).names, [NAME]);
        assert_ne!(digest(), kept);
        // A date to come holds nothing up.
        import(&tcb_info(99, "2029-01-01T00:00:00Z"), NOW);
        assert_eq!(import(&new, NOW).names, [NAME]);
        assert_eq!(digest(), kept);
    }

    #[test]
    fn of_two_documents_in_one_folder_the_newer_is_kept_whatever_they_are_called() {
        for (one, other) in [("a.json", "b.json"), ("b.json", "a.json")] {
            let (dir, store) = store();
            let files = dir.path().join("files");
            fs::create_dir(&files).unwrap();
            fs::write(files.join(one), tcb_info(17, "2026-01-01T00:00:00Z")).unwrap();
            fs::write(files.join(other), tcb_info(18, "2026-01-01T00:00:00Z")).unwrap();
            store.import(&files, NOW).unwrap();
            assert_eq!(store.entry(NAME).unwrap().unwrap().source, other);
        }
    }

    #[test]
    fn an_old_list_after_a_new_one_rolls_nothing_back() {
        use crate::attester::simulated::nitro::NitroPlatform;
        let (dir, store) = store();
        let platform = NitroPlatform::generate(NOW).unwrap();
        let file = dir.path().join("crl.der");
        let import = |from: u64| {
            fs::write(&file, platform.crl(0, false, from, from + 86_400).unwrap()).unwrap();
            store.import(&file, NOW).unwrap().remove(0)
        };
        assert_eq!(import(NOW - 10).names.len(), 1);
        assert_eq!((import(NOW - 11).names.len(), import(NOW - 11).older.len()), (0, 1));
        assert_eq!(import(NOW - 9).names.len(), 1);
    }
}
