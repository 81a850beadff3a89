//! Programs that are run, and servers that end when the tests end, however they end.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

/// The program under test.
pub(crate) const TREERING: &str = env!("CARGO_BIN_EXE_treering");

/// The witness beside it, where `make test` and `make demo` build it.
pub(crate) fn witness_program() -> PathBuf {
    let program = Path::new(TREERING).with_file_name("treering-witness");
    assert!(program.exists(), "{} is missing: cargo build -p treering-witness", program.display());
    program
}

/// How a program ended, and what it said.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// The one JSON object on standard output: exactly one, and nothing beside it.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let value: Value = serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: `{}` {}", self.stdout, self.stderr));
        assert!(value.is_object(), "{value}");
        value
    }

    /// The program ended with this code.
    #[track_caller]
    pub(crate) fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        assert!(!self.stderr.contains("panicked"), "{self:?}");
        self
    }
}

/// Runs `treering` with these arguments.
pub(crate) fn cli<A: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = A>) -> Run {
    run(Path::new(TREERING), arguments)
}

pub(super) fn run<A: AsRef<std::ffi::OsStr>>(program: &Path, arguments: impl IntoIterator<Item = A>) -> Run {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().unwrap();
    Run {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A new folder, removed when this process ends.
pub(crate) fn folder(name: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    static ROOT: OnceLock<(PathBuf, Child)> = OnceLock::new();
    let (root, _janitor) = ROOT.get_or_init(|| {
        let root = tempfile::Builder::new().prefix("treering-it-").tempdir().unwrap().keep();
        // Statics are never dropped: the janitor's input ends when this process does. Servers get a moment to end.
        let janitor = Command::new("sh")
            .args(["-c", "cat >/dev/null; sleep 1; rm -rf -- \"$1\"", "sh"])
            .arg(&root)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        (root, janitor)
    });
    let dir = root.join(format!("{name}-{}", NEXT.fetch_add(1, Ordering::SeqCst)));
    fs::create_dir_all(&dir).unwrap();
    dir
}

/// Starts the server, says its process id, and kills it when the input ends: when the tests end.
const KEEPER: &str = r#"
exec 3<&0
"$@" 3<&- </dev/null &
server=$!
echo $server
( cat <&3 >/dev/null 2>&1; kill -KILL $server ) >/dev/null 2>&1 &
watch=$!
wait $server
code=$?
kill $watch 2>/dev/null
exit $code
"#;

/// A server process.
pub(crate) struct Process {
    keeper: Child,
    id: u32,
    /// The line in which it said that it is ready.
    pub(crate) ready: Value,
}

impl Process {
    /// Starts a server and waits until it says that it is ready; else gives its code and what it wrote to `log`.
    pub(crate) fn start(program: &Path, arguments: &[&str], log: &Path) -> Result<Self, Run> {
        let mut keeper = Command::new("sh")
            .args(["-c", KEEPER, "sh"])
            .arg(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(log).unwrap())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(keeper.stdout.take().unwrap()).lines();
        let id = lines.next().unwrap().unwrap().parse().unwrap();
        let Some(ready) = lines.next() else {
            let input = keeper.stdin.take();
            let code = keeper.wait().unwrap().code().unwrap_or(-1);
            drop(input);
            return Err(Run { code, stdout: String::new(), stderr: fs::read_to_string(log).unwrap() });
        };
        let ready = serde_json::from_str(&ready.unwrap()).unwrap();
        Ok(Self { keeper, id, ready })
    }

    /// Where it listens.
    pub(crate) fn listening(&self) -> &str {
        self.ready["listening"].as_str().unwrap()
    }

    /// Kills it, as the kernel would that needs memory.
    pub(crate) fn kill(mut self) {
        let sent = Command::new("kill").args(["-KILL", &self.id.to_string()]).status().unwrap();
        assert!(sent.success());
        let input = self.keeper.stdin.take();
        self.keeper.wait().unwrap();
        drop(input);
    }

    /// Stops it as an operator would; its exit code.
    pub(crate) fn stop(self) -> i32 {
        let sent = Command::new("kill").args(["-TERM", &self.id.to_string()]).status().unwrap();
        assert!(sent.success());
        self.ended()
    }

    /// Waits until it ends; its exit code.
    pub(crate) fn ended(mut self) -> i32 {
        // Held while waiting: the keeper would take its end for the end of the tests, and kill.
        let input = self.keeper.stdin.take();
        let status = self.keeper.wait().unwrap();
        drop(input);
        status.code().unwrap_or(-1)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        self.keeper.wait().ok();
    }
}
