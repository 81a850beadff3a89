//! What runs on the failing disk: always the same, one step after the other.

use std::{path::Path, process::Command};

use treering_log::{Append, AppendError, Log, NewEntry, RegisterName, Row};

use crate::{
    account::{TABLE, Teller},
    support::{TestSealer, config},
};

/// Tells the re-executed test binary to be the child, and where.
const DIR: &str = "TREERING_LOG_FAULTS_CHILD";

/// Enough that opening flushes tables of every family, and that tables are compacted.
const SESSIONS: u64 = 5;
const APPENDS: u64 = 6;

pub(super) fn command(dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["faults::workload::child", "--exact", "--nocapture"]).env(DIR, dir);
    command
}

/// Not a test by itself. It opens, appends and closes, again and again; whatever fails, it tells and goes on as an
/// operator would who starts the service again.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for session in 0..SESSIONS {
            match Log::open(config(Path::new(&dir)), TestSealer::new(1)) {
                Ok(log) => run(&log, session).await,
                Err(error) => Teller::new().refused("open", &error).say(),
            }
        }
    });
}

async fn run(log: &Log, session: u64) {
    let register = RegisterName::new("last").unwrap();
    let mut stopped = false;
    for round in 0..APPENDS {
        let text = |part: u64| format!("{session} {round} {part} {}", "x".repeat(400 * part as usize));
        let texts: Vec<String> = (0..3).map(text).collect();
        let row_key = format!("{session}/{round}");
        let key = [(session * APPENDS + round) as u8; 32];
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
            set: vec![(register.clone(), 2)],
            expect: vec![],
            rows: vec![row],
        };
        match log.append(append).await {
            Ok(done) => {
                assert!(!stopped, "an append was answered after a failed write");
                let (first, last) = (done.indexes()[0], done.indexes()[2]);
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
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the log goes on after a failed write");
}
