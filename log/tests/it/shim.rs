//! The failing disk: `log/tests/faults/` in front of the C library.

use std::{
    fs,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// What fails.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    /// Which of the counted calls, from 1; 0 for none.
    pub(crate) at: u32,
    pub(crate) how: How,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum How {
    /// One input/output error.
    Once,
    /// Every call from there on says that the disk is full.
    Full,
    /// Every call from there on is an input/output error.
    Dead,
    /// One write does half of its work, and says so.
    Short,
    /// The power is lost before the call.
    Power(Loss),
}

impl How {
    /// Those after which the process goes on.
    pub(crate) const FAILING: [Self; 4] = [Self::Once, Self::Full, Self::Dead, Self::Short];
}

/// What a loss of power takes: see `power.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Loss {
    All,
    Names,
    Bytes,
    Half,
}

impl Loss {
    pub(crate) const ALL: [Self; 4] = [Self::All, Self::Names, Self::Bytes, Self::Half];

    fn word(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Names => "names",
            Self::Bytes => "bytes",
            Self::Half => "half",
        }
    }
}

pub(crate) const NONE: Fault = Fault { at: 0, how: How::Once };

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
pub(crate) struct Run {
    pub(crate) output: Vec<u8>,
    /// How many calls were counted, and the name of the one that failed; none where the process was aborted.
    pub(crate) counted: Option<(u32, String)>,
}

/// Puts the shim before a process that loses its power where it says so itself ([`lose_power`]).
pub(crate) fn with_power(command: &mut Command, dir: &Path, loss: Loss) {
    command.env("LD_PRELOAD", shim()).env("FAULT_DIR", dir).env("FAULT_LOSS", loss.word());
}

/// Ends this process, which runs under [`with_power`], and takes from its disk what was not synced.
pub(crate) fn lose_power(dir: &Path) -> ! {
    panic!("the power is not lost: {:?}", fs::remove_file(dir.join("power-is-lost")));
}

/// Runs a command under a fault. It ends by itself, or RocksDB aborts it: a library with assertions, as Debian builds
/// it, does so where its own file objects are used after an error. That is a stop, too.
pub(crate) fn run(command: &mut Command, dir: &Path, fault: Fault) -> Run {
    let (how, errno) = match fault.how {
        How::Once => ("once", "5"),
        How::Full => ("always", "28"),
        How::Dead => ("always", "5"),
        How::Short => ("short", "0"),
        How::Power(loss) => {
            command.env("FAULT_LOSS", loss.word());
            ("power", "0")
        }
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
    let powerless = matches!(fault.how, How::Power(_)) && output.status.signal() == Some(9);
    assert!(
        output.status.success() || powerless,
        "{fault:?}: {}\n{said}",
        String::from_utf8_lossy(&output.stdout)
    );
    let counted = fs::read_to_string(counts.path()).unwrap();
    let (calls, failed) = counted.trim().split_once(' ').unwrap_or_else(|| panic!("the shim was not loaded"));
    Run { output: output.stdout, counted: Some((calls.parse().unwrap(), failed.to_owned())) }
}
