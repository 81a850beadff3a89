//! The process that gets killed: clients that append for ever, and tell every answer they get.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use treering_log::{Append, Log, NewEntry, Point, RegisterName, Row};
use treering_tlog::hash::leaf_hash;

use crate::{
    account::{TABLE, Teller},
    shim::{self, Loss},
    support::{TestSealer, small_runs},
};

/// Tells the re-executed test binary to be the child, and where.
const DIR: &str = "TREERING_LOG_CRASH_CHILD";
/// Which of its lives it is: what it appends is different in each. (A process id would come again.)
const LIFE: &str = "TREERING_LOG_CRASH_LIFE";
/// At which passing of which point it kills itself: `Sealed 3`.
const SUICIDE: &str = "TREERING_LOG_CRASH_AT";
/// That it loses its power there.
const POWER: &str = "TREERING_LOG_CRASH_POWER";

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Where the child kills itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    pub(super) point: Point,
    pub(super) passing: u32,
    /// And what was not synced is lost.
    pub(super) loss: Option<Loss>,
}

/// Starts the child; without an end it lives until it is killed.
pub(super) fn spawn(dir: &Path, end: Option<End>) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let life = NEXT.fetch_add(1, Ordering::SeqCst).to_string();
    command.args(["crash::child::child", "--exact", "--nocapture"]).env(DIR, dir).env(LIFE, life);
    if let Some(End { point, passing, loss }) = end {
        command.env(SUICIDE, format!("{point:?} {passing}"));
        if let Some(loss) = loss {
            command.env(POWER, "1");
            shim::with_power(&mut command, dir, loss);
        }
    }
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Not a test by itself.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let life = std::env::var_os(LIFE).unwrap().into_string().unwrap();
    let dir = PathBuf::from(dir);
    let mut config = small_runs(&dir);
    config.testing_only_probe = std::env::var_os(SUICIDE).map(|at| {
        let at = at.into_string().unwrap();
        let (point, passing) = at.split_once(' ').unwrap();
        let (point, passing) = (point.to_owned(), passing.parse::<u32>().unwrap());
        let (passed, power) = (AtomicU32::new(0), std::env::var_os(POWER).is_some());
        Arc::new(move |at| {
            if format!("{at:?}") == point && passed.fetch_add(1, Ordering::SeqCst) + 1 == passing {
                if power {
                    shim::lose_power(&dir);
                }
                // SIGKILL: no destructor, no handler. The thread stays at the point until it comes.
                let own = std::process::id().to_string();
                Command::new("kill").args(["-KILL", &own]).status().ok();
                loop {
                    std::thread::park();
                }
            }
        }) as _
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let log = Log::open(config, TestSealer::new(1)).unwrap();
        let watching = tokio::spawn(watch(log.clone()));
        let clients: Vec<_> =
            (0..6).map(|client| tokio::spawn(run(log.clone(), life.clone(), client))).collect();
        for client in clients {
            client.await.unwrap();
        }
        watching.await.unwrap();
    });
}

/// A reader that asks for the newest head, and is given it before any caller has its answer.
async fn watch(log: Log) {
    let mut heads = log.watch_head();
    while heads.changed().await.is_ok() {
        let head = heads.borrow_and_update().clone();
        if let Some(head) = head {
            Teller::new().head(&head).say();
        }
    }
}

/// One client: single, triple and repeated entries, each append with a once key of its own, a move of the
/// client's register from where it was, and a row.
async fn run(log: Log, life: String, client: u64) {
    let register = RegisterName::new(format!("client/{client}")).unwrap();
    let mut at = log.register(&register).unwrap();
    let mut old: Option<(u64, String)> = None;
    for round in 0u64.. {
        let text = |part: u64| format!("{life} {client} {round} {part} {}", "x".repeat(50 * client as usize));
        let mut texts = match (client + round) % 3 {
            0 => vec![text(0)],
            1 => (0..3).map(text).collect(),
            // The first append of a log needs two.
            _ => vec![text(0), text(1)],
        };
        let fresh = 0;
        if let Some((_, old)) = old.as_ref().filter(|_| round % 2 == 1) {
            texts.push(old.clone());
        }
        let key = leaf_hash(texts[fresh].as_bytes()).to_bytes();
        let row_key = format!("{life}/{client}/{round}");
        let append = Append {
            entries: texts.iter().map(|text| NewEntry::plain(text.as_bytes())).collect(),
            once: vec![key],
            expect: vec![(register.clone(), at)],
            set: vec![(register.clone(), fresh)],
            rows: vec![row(&row_key)],
        };
        let done = match log.append(append).await {
            Ok(done) => done,
            Err(treering_log::AppendError::Genesis { .. }) => continue,
            Err(error) => panic!("{error}"),
        };
        let index = done.indexes()[fresh];
        let mut teller = Teller::new();
        teller.appended(&done, &texts).once(&key, index).register(&register, index).row(&row_key).say();
        if let (Some((first, _)), true) = (&old, round % 2 == 1) {
            assert_eq!(done.indexes().last(), Some(first), "a repeated entry has its first index");
            assert_eq!(done.duplicates().last(), Some(&true));
        }
        at = Some(index);
        old.get_or_insert((index, texts[fresh].clone()));
        if round % 4 == 3 {
            let alone = format!("{row_key}/alone");
            log.put_rows(vec![row(&alone)]).await.unwrap();
            Teller::new().row(&alone).say();
        }
    }
}

fn row(key: &str) -> Row {
    Row { table: TABLE, key: key.as_bytes().to_vec(), value: Some(key.as_bytes().to_vec()) }
}
