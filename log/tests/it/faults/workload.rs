//! What runs on the failing disk: always the same, one step after the other.

use std::{
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use treering_log::{Append, AppendError, Log, NewEntry, Point, RegisterName, Row};

use crate::{
    account::{TABLE, Teller},
    support::{TestSealer, small_runs},
};

/// Tells the re-executed test binary to be the child, and where.
const DIR: &str = "TREERING_LOG_FAULTS_CHILD";

/// How much of it: `sessions appends entries`.
const SHAPE: &str = "TREERING_LOG_FAULTS_SHAPE";

/// How often the log is opened, the appends each time, and their entries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    sessions: u64,
    appends: u64,
    entries: u64,
}

/// Enough that opening flushes tables of every family, that tables are compacted, and runs of the index merged.
pub(super) const LONG: Shape = Shape { sessions: 5, appends: 6, entries: 3 };
/// Enough for all that writes: the eight runs that are merged have 64 entries.
pub(super) const SHORT: Shape = Shape { sessions: 2, appends: 3, entries: 12 };

impl Shape {
    pub(super) fn size(self) -> u64 {
        self.sessions * self.appends * self.entries
    }

    pub(super) fn command(self, dir: &Path) -> Command {
        let Self { sessions, appends, entries } = self;
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["faults::workload::child", "--exact", "--nocapture"]);
        command.env(DIR, dir).env(SHAPE, format!("{sessions} {appends} {entries}"));
        command
    }
}

/// What the index has written and removed, of all sessions.
#[derive(Default)]
struct Tended {
    taken: AtomicU64,
    removed: AtomicU64,
}

impl Tended {
    fn pass(&self, point: Point) {
        match point {
            Point::RunTaken => self.taken.fetch_add(1, Ordering::SeqCst),
            Point::RunRemoved => self.removed.fetch_add(1, Ordering::SeqCst),
            _ => 0,
        };
    }

    /// Waits until runs of eight entries, and of eight of these, are where the log's size says; a while, as it may be
    /// that the index has met the fault.
    async fn wait(&self, log: &Log) {
        let full = log.size().saturating_sub(1) / 8;
        let (taken, removed) = (full + full / 8, full / 8 * 8);
        for _ in 0..100 {
            let now = (self.taken.load(Ordering::SeqCst), self.removed.load(Ordering::SeqCst));
            if now.0 >= taken && now.1 >= removed {
                return;
            }
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    }
}

/// Not a test by itself. It opens, appends and closes, again and again; whatever fails, it tells and goes on as an
/// operator would who starts the service again.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let shape = std::env::var_os(SHAPE).unwrap().into_string().unwrap();
    let [sessions, appends, entries] =
        shape.split(' ').map(|number| number.parse().unwrap()).collect::<Vec<_>>()[..]
    else {
        panic!("{shape}");
    };
    let shape = Shape { sessions, appends, entries };
    let tended = Arc::new(Tended::default());
    let mut config = small_runs(Path::new(&dir));
    let passed = Arc::clone(&tended);
    config.testing_only_probe = Some(Arc::new(move |point| passed.pass(point)));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for session in 0..sessions {
            match Log::open(config.clone(), TestSealer::new(1)) {
                Ok(log) => {
                    if run(&log, session, shape).await {
                        tended.wait(&log).await;
                    }
                }
                Err(error) => Teller::new().refused("open", &error).say(),
            }
        }
    });
}

/// One session; whether the log still runs.
async fn run(log: &Log, session: u64, shape: Shape) -> bool {
    let register = RegisterName::new("last").unwrap();
    let mut stopped = false;
    for round in 0..shape.appends {
        let text = |part: u64| format!("{session} {round} {part} {}", "x".repeat(400 * (part % 3) as usize));
        let texts: Vec<String> = (0..shape.entries).map(text).collect();
        let row_key = format!("{session}/{round}");
        let key = [(session * shape.appends + round) as u8; 32];
        let row = Row {
            table: TABLE,
            key: row_key.clone().into_bytes(),
            value: Some(row_key.clone().into_bytes()),
        };
        let append = Append {
            entries: texts
                .iter()
                .map(|text| NewEntry { content: Some(vec![1; 3000]), ..NewEntry::plain(text.as_bytes()) })
                .collect(),
            once: vec![key],
            set: vec![(register.clone(), texts.len() - 1)],
            expect: vec![],
            rows: vec![row],
        };
        match log.append(append).await {
            Ok(done) => {
                assert!(!stopped, "an append was answered after a failed write");
                let (first, last) = (done.indexes()[0], *done.indexes().last().unwrap());
                let mut teller = Teller::new();
                teller
                    .appended(&done, &texts)
                    .once(&key, first)
                    .register(&register, last)
                    .row(&row_key)
                    .say();
            }
            Err(error) => {
                assert!(matches!(error, AppendError::Poisoned(_)), "{error}");
                // Read while it is stopped: what was committed, and nothing else.
                if let Some(head) = log.head() {
                    assert_eq!(log.root_at(head.size()).unwrap(), *head.root());
                    Teller::new().head(&head).say();
                }
                Teller::new().refused("append", &error).say();
                stopped = true;
            }
        }
    }
    // The last caller has its answer a moment before the sequencer has ended.
    for _ in 0..500 {
        if log.is_running() != stopped {
            return !stopped;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the log goes on after a failed write");
}
