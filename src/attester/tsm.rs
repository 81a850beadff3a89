//! Evidence from this machine's TEE, by Linux's own interface: configfs-tsm, `/sys/kernel/config/tsm/report`.
//!
//! One directory is made for each request, so that nobody else writes to it by accident; its `generation` is compared
//! all the same, since whoever may write there could change what is being reported on between our write and our read.
//! In scope: the providers `sev_guest` (SEV-SNP reports and the host's certificate table), `tdx_guest` (quotes) and
//! `arm_cca_guest` (tokens of a realm and its platform).
//! Out of scope: what the octets mean. Reference: Linux, Documentation/ABI/testing/configfs-tsm-report.

mod certificates;
mod files;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{Attestation, Attester, AttesterError, CCA_TOKEN, EvidenceItem, SNP_REPORT, TDX_QUOTE};

pub use files::{FileError, Files, Linux};

/// Where Linux has it, once configfs is mounted.
pub const DEFAULT_ROOT: &str = "/sys/kernel/config/tsm/report";
/// What the kernel gives at most (`TSM_OUTBLOB_MAX`).
pub const MAX_BLOB_BYTES: usize = 32 * 1024;
/// Highest privilege level that can be asked for (`TSM_PRIVLEVEL_MAX`).
pub const MAX_PRIVILEGE_LEVEL: u8 = 3;
/// How often a report is asked for again, when somebody else wrote to it or the TEE was busy.
const TRIES: u32 = 8;
/// The first pause between tries; each next is twice as long, the last about a second.
const FIRST_PAUSE: Duration = Duration::from_millis(8);

/// The kernel's interface, under a folder, through some means of reading and writing files.
#[derive(Debug)]
pub struct Tsm<F = Linux> {
    root: PathBuf,
    files: F,
    privilege_level: Option<u8>,
    pause: fn(Duration),
    next: AtomicU64,
}

impl Tsm {
    /// The interface of this machine, if it has one: configfs is mounted, and a TEE's driver is there.
    pub fn detect() -> Option<Self> {
        let root = PathBuf::from(DEFAULT_ROOT);
        root.is_dir().then(|| Self::new(root, Linux))
    }
}

impl<F: Files> Tsm<F> {
    /// The interface under this folder.
    pub fn new(root: impl Into<PathBuf>, files: F) -> Self {
        Self {
            root: root.into(),
            files,
            privilege_level: None,
            pause: std::thread::sleep,
            next: AtomicU64::new(0),
        }
    }

    /// Asks for reports of this privilege level (VMPL), as far as the provider knows levels.
    #[must_use]
    pub fn with_privilege_level(mut self, level: u8) -> Self {
        self.privilege_level = Some(level.min(MAX_PRIVILEGE_LEVEL));
        self
    }

    /// Pauses by this function: tests need not wait.
    #[must_use]
    pub fn with_pause(mut self, pause: fn(Duration)) -> Self {
        self.pause = pause;
        self
    }

    fn once(&self, report_data: &[u8; 64]) -> Result<Attestation, Trouble> {
        let request = Request::make(self)?;
        let provider = request.text("provider")?;
        let Some(kind) = Provider::from_name(provider.trim_end()) else {
            let name = provider.trim_end().to_owned();
            return Err(Trouble::Final(AttesterError::Report(format!(
                "the TSM provider is {name:?}; this program knows sev_guest, tdx_guest and arm_cca_guest"
            ))));
        };
        let before = request.generation()?;
        let mut writes = 1;
        if let Some(level) = self.privilege_level {
            request.write("privlevel", level.to_string().as_bytes())?;
            writes += 1;
        }
        request.write("inblob", report_data)?;
        let report = request.read("outblob")?;
        // Only some providers have it, and only some hosts fill it.
        let aux = request.read("auxblob").unwrap_or_default();
        let after = request.generation()?;
        if before.checked_add(writes) != Some(after) {
            return Err(Trouble::Again(format!("generation {after} after {writes} writes to {before}")));
        }
        kind.attestation(report, &aux).map_err(Trouble::Final)
    }
}

impl<F: Files + Send + Sync> Attester for Tsm<F> {
    fn report(&self, report_data: &[u8; 64]) -> Result<Attestation, AttesterError> {
        let mut last = String::new();
        for attempt in 0..TRIES {
            match self.once(report_data) {
                Ok(attestation) => return Ok(attestation),
                Err(Trouble::Final(error)) => return Err(error),
                Err(Trouble::Again(reason)) => last = reason,
            }
            (self.pause)(FIRST_PAUSE.saturating_mul(1 << attempt));
        }
        Err(AttesterError::Report(format!("no report in {TRIES} tries: {last}")))
    }
}

/// Whether it makes sense to try again.
enum Trouble {
    Again(String),
    Final(AttesterError),
}

/// Whose report it is.
#[derive(Debug, Clone, Copy)]
enum Provider {
    Sev,
    Tdx,
    ArmCca,
}

impl Provider {
    fn from_name(name: &str) -> Option<Self> {
        match name {
            "sev_guest" => Some(Self::Sev),
            "tdx_guest" => Some(Self::Tdx),
            "arm_cca_guest" => Some(Self::ArmCca),
            _ => None,
        }
    }

    fn attestation(self, report: Vec<u8>, aux: &[u8]) -> Result<Attestation, AttesterError> {
        let (media_type, bytes, endorsements) = match self {
            Self::Sev => (SNP_REPORT, report, certificates::of_table(aux)?),
            // A quote has its certificates in it.
            Self::Tdx => (TDX_QUOTE, without_filling(report), Vec::new()),
            // Which platforms' keys count, the Verifier's policy says.
            Self::ArmCca => (CCA_TOKEN, report, Vec::new()),
        };
        let evidence = vec![EvidenceItem { media_type, bytes }];
        Ok(Attestation { evidence, endorsements, ..Attestation::default() })
    }
}

/// A quote without the zeros that fill the quoting enclave's buffer after it: a Verifier takes what ends where it says.
fn without_filling(mut quote: Vec<u8>) -> Vec<u8> {
    let word = |at: usize| -> Option<usize> {
        let octets = quote.get(at..at.checked_add(4)?)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(octets)).ok()
    };
    // Header, from version 5 on the type and length of the body, body, the length of what follows.
    let body_ends = match quote.first() {
        Some(4) => Some(48 + 584),
        Some(5) => word(50).and_then(|octets| octets.checked_add(54)),
        _ => None,
    };
    let end = body_ends.and_then(|at| word(at)?.checked_add(at.checked_add(4)?));
    let filling =
        end.and_then(|end| quote.get(end..)).is_some_and(|rest| rest.iter().all(|octet| *octet == 0));
    if let (Some(end), true) = (end, filling) {
        quote.truncate(end);
    }
    quote
}

/// A directory made for one request, and taken away with it.
struct Request<'a, F: Files> {
    tsm: &'a Tsm<F>,
    dir: PathBuf,
}

impl<'a, F: Files> Request<'a, F> {
    fn make(tsm: &'a Tsm<F>) -> Result<Self, Trouble> {
        // Unique in this process by the counter, among processes by the id.
        let number = tsm.next.fetch_add(1, Ordering::Relaxed);
        let dir = tsm.root.join(format!("treering-{}-{number}", std::process::id()));
        match tsm.files.make_dir(&dir) {
            Ok(()) => Ok(Self { tsm, dir }),
            // Of a process of our number that was killed before it could tidy up.
            Err(FileError::Exists) => Err(Trouble::Again(format!("{} exists", dir.display()))),
            Err(error) => Err(trouble(&dir, error)),
        }
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, Trouble> {
        let path = self.dir.join(name);
        self.tsm.files.read(&path, MAX_BLOB_BYTES).map_err(|error| trouble(&path, error))
    }

    fn text(&self, name: &str) -> Result<String, Trouble> {
        Ok(String::from_utf8_lossy(&self.read(name)?).into_owned())
    }

    fn generation(&self) -> Result<u64, Trouble> {
        let text = self.text("generation")?;
        text.trim_end().parse().map_err(|_| {
            Trouble::Final(AttesterError::Report(format!("the generation is {text:?}, which is no number")))
        })
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Trouble> {
        let path = self.dir.join(name);
        self.tsm.files.write(&path, bytes).map_err(|error| trouble(&path, error))
    }
}

impl<F: Files> Drop for Request<'_, F> {
    fn drop(&mut self) {
        // Best effort: a directory left behind costs the kernel a few pages, and nobody else uses it.
        self.tsm.files.remove_dir(&self.dir).ok();
    }
}

/// Busy and interrupted pass; what the kernel refuses or does not have does not.
fn trouble(path: &std::path::Path, error: FileError) -> Trouble {
    match error {
        FileError::Busy => Trouble::Again(format!("{} is busy", path.display())),
        FileError::Exists => Trouble::Final(AttesterError::Report(format!("{} exists", path.display()))),
        FileError::TooLarge => Trouble::Final(AttesterError::Report(format!(
            "{} has more than {MAX_BLOB_BYTES} octets",
            path.display()
        ))),
        FileError::Io(source) => Trouble::Final(AttesterError::File { path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests;
