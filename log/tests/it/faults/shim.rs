//! The failing disk: `log/tests/faults/fault.c` in front of the C library.

use std::{
    fs,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// What fails.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    /// Which of the counted calls, from 1; 0 for none.
    pub(super) at: u32,
    pub(super) how: How,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum How {
    /// One input/output error.
    Once,
    /// Every call from there on says that the disk is full.
    Full,
    /// Every call from there on is an input/output error.
    Dead,
    /// One write does half of its work, and says so.
    Short,
}

impl How {
    pub(super) const ALL: [Self; 4] = [Self::Once, Self::Full, Self::Dead, Self::Short];
}

pub(super) const NONE: Fault = Fault { at: 0, how: How::Once };

/// The shim, compiled once by each process that needs it.
fn shim() -> &'static Path {
    static SHIM: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = SHIM.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fault.so");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/faults/fault.c");
        let made = Command::new("cc")
            .args(["-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC", "-o"])
            .args([&path, Path::new(source)])
            .arg("-ldl")
            .status();
        assert!(made.unwrap().success(), "{source} does not compile");
        (dir, path)
    });
    path
}

/// How a run under a fault went.
pub(super) struct Run {
    pub(super) output: Vec<u8>,
    /// How many calls were counted, and the name of the one that failed; none where the process was aborted.
    pub(super) counted: Option<(u32, String)>,
}

/// Runs a command under a fault. It ends by itself, or RocksDB aborts it: a library with assertions, as Debian builds
/// it, does so where its own file objects are used after an error. That is a stop, too.
pub(super) fn run(command: &mut Command, dir: &Path, fault: Fault) -> Run {
    let (how, errno) = match fault.how {
        How::Once => ("once", "5"),
        How::Full => ("always", "28"),
        How::Dead => ("always", "5"),
        How::Short => ("short", "0"),
    };
    let counts = tempfile::NamedTempFile::new().unwrap();
    let output = command
        .env("LD_PRELOAD", shim())
        .env("FAULT_DIR", dir)
        .env("FAULT_AT", fault.at.to_string())
        .env("FAULT_HOW", how)
        .env("FAULT_ERRNO", errno)
        .env("FAULT_COUNT", counts.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.signal() == Some(6) && said.contains("rocksdb::") && said.contains("Assertion `") {
        return Run { output: output.stdout, counted: None };
    }
    assert!(output.status.success(), "{fault:?}: {}\n{said}", String::from_utf8_lossy(&output.stdout));
    let counted = fs::read_to_string(counts.path()).unwrap();
    let (calls, failed) = counted.trim().split_once(' ').unwrap_or_else(|| panic!("the shim was not loaded"));
    Run { output: output.stdout, counted: Some((calls.parse().unwrap(), failed.to_owned())) }
}
