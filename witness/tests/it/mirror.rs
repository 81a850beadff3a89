//! Mirrors and evidence, against logs that serve one history, another, or nonsense.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use proptest::prelude::*;
use tokio::net::TcpListener;
use treering_tlog::bundle;
use treering_tlog::hash::EMPTY_ROOT;
use treering_tlog::note::{Note, NoteSigner};
use treering_tlog::tile::{self, entries_path, tiles_at};
use treering_witness::evidence::{Contradiction, Evidence, EvidenceDir, EvidenceError};
use treering_witness::mirror::{Mirror, MirrorError, Outcome};
use treering_witness::tiles::{LogClient, TilesError};

use crate::process::{Process, config_arg, init, run};
use crate::support::{ORIGIN, Served, TestLog, request};

/// A log's files over HTTP; a test may change them.
#[derive(Clone)]
pub(crate) struct TileServer {
    pub(crate) url: String,
    files: Files,
}

type Files = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

impl TileServer {
    pub(crate) async fn start() -> Self {
        let files = Files::default();
        let serve = |State(files): State<Files>, uri: Uri| async move {
            match files.lock().unwrap().get(uri.path()) {
                Some(bytes) => (StatusCode::OK, bytes.clone()),
                None => (StatusCode::NOT_FOUND, Vec::new()),
            }
        };
        let router = Router::new().fallback(serve).with_state(Arc::clone(&files));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, files }
    }

    /// Shows a log at a size, as `TestLog::new(salt, _)` makes its entries. What was there stays.
    pub(crate) fn show(&self, log: &TestLog, salt: u8, size: u64) {
        let mut files = self.files.lock().unwrap();
        for (id, width) in tiles_at(size) {
            files.insert(format!("/{}", id.path(width)), tile::encode(&log.tile(id, width)));
            if id.level == 0 {
                let first = id.index * 256;
                let entries: Vec<Vec<u8>> =
                    (first..first + u64::from(width)).map(|leaf| TestLog::entry(salt, leaf)).collect();
                let bundle = bundle::encode(entries.iter().map(Vec::as_slice)).unwrap();
                files.insert(format!("/{}", entries_path(id.index, width)), bundle);
            }
        }
        files.insert("/checkpoint".to_owned(), log.note(size).to_bytes());
    }

    /// The same, and nothing that was there before.
    pub(crate) fn show_only(&self, log: &TestLog, salt: u8, size: u64) {
        self.files.lock().unwrap().clear();
        self.show(log, salt, size);
    }

    fn change(&self, path: &str, change: impl FnOnce(&mut Vec<u8>)) {
        change(self.files.lock().unwrap().get_mut(path).unwrap());
    }

    fn remove(&self, path: &str) {
        self.files.lock().unwrap().remove(path).unwrap();
    }
}

fn mirror(folder: &Path, server: &TileServer) -> Result<Mirror, MirrorError> {
    let log = LogClient::new(&server.url, None, Duration::from_secs(5)).unwrap();
    let keys = vec![TestLog::new(0, 0).signer.verifier().clone()];
    Mirror::open(&folder.join("mirror"), log, ORIGIN, keys, EvidenceDir::new(folder.join("evidence")))
}

fn evidence_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// Exit code of `evidence verify` with the test log's key.
pub(crate) fn judge(file: &Path) -> Option<i32> {
    let vkey = TestLog::new(0, 0).signer.verifier().to_string();
    run(&["evidence", "verify", "--evidence", file.to_str().unwrap(), "--log-vkey", &vkey]).status.code()
}

#[tokio::test]
async fn it_follows_resumes_and_notices_nonsense() {
    let folder = tempfile::tempdir().unwrap();
    let (server, log) = (TileServer::start().await, TestLog::new(0, 70_000));
    let mut first = mirror(folder.path(), &server).unwrap();
    assert!(matches!(first.pass().await, Err(MirrorError::Tiles(TilesError::Absent { .. }))));
    let mut at = 0;
    for size in [1, 255, 256, 257, 700, 66_000] {
        server.show(&log, 0, size);
        assert_eq!(first.pass().await.unwrap(), Outcome::Advanced { from: at, to: size });
        assert_eq!(first.pass().await.unwrap(), Outcome::Unchanged { size });
        at = size;
    }
    // An older checkpoint of the same tree, as a cache may show it, is nothing.
    server.show(&log, 0, 700);
    assert_eq!(first.pass().await.unwrap(), Outcome::Unchanged { size: 700 });
    drop(first);

    // Another process goes on from there: the entries before are not needed any more.
    server.show_only(&log, 0, 66_100);
    server.remove("/tile/entries/000");
    let mut second = mirror(folder.path(), &server).unwrap();
    assert_eq!(second.verified(), 66_000);
    assert_eq!(second.pass().await.unwrap(), Outcome::Advanced { from: 66_000, to: 66_100 });

    // An entry that is not the one in the tree; a tile that is not; both wrong in the same way.
    server.show(&log, 0, 66_200);
    let entries = format!("/{}", entries_path(258, 152));
    server.change(&entries, |bytes| *bytes.last_mut().unwrap() ^= 1);
    assert!(matches!(second.pass().await, Err(MirrorError::Tile { index: 258 })));
    let level_0 = format!("/{}", tile::TileId::new(0, 258).path(152));
    let bad = treering_tlog::hash::leaf_hash(&{
        let mut entry = TestLog::entry(0, 66_199);
        *entry.last_mut().unwrap() ^= 1;
        entry
    });
    server.change(&level_0, |bytes| {
        let at = bytes.len() - 32;
        bytes[at..].copy_from_slice(bad.as_bytes());
    });
    // The tiles do not lead to the signed root, which is noticed before the entries are read.
    let error = second.pass().await.unwrap_err();
    assert!(
        matches!(error, MirrorError::Tiles(TilesError::NotTheTree { size: 66_200 })) && error.is_finding()
    );
    assert_eq!(second.verified(), 66_100);
    server.show(&log, 0, 66_200);
    assert_eq!(second.pass().await.unwrap(), Outcome::Advanced { from: 66_100, to: 66_200 });

    // A partial tile and bundle that gave way to full ones.
    server.show(&log, 0, 66_304);
    server.change("/checkpoint", |bytes| *bytes = log.note(66_250).to_bytes());
    assert_eq!(second.pass().await.unwrap(), Outcome::Advanced { from: 66_200, to: 66_250 });

    // Unsigned, of another log, malformed.
    for bad in [b"no note".to_vec(), TestLog::new(0, 9).named("another.example").note(9).to_bytes()] {
        server.change("/checkpoint", |bytes| *bytes = bad);
        assert!(second.pass().await.unwrap_err().is_finding());
    }
    assert_eq!(evidence_files(&folder.path().join("evidence")), [] as [PathBuf; 0]);
    drop(second);
    // What it remembers proves itself, or it does not start.
    let [file] = evidence_files(&folder.path().join("mirror")).try_into().unwrap();
    let mut bytes = fs::read(&file).unwrap();
    bytes[100] ^= 1;
    fs::write(&file, bytes).unwrap();
    assert!(matches!(mirror(folder.path(), &server), Err(MirrorError::Progress { .. })));
}

/// Every way in which a log can turn to another history, each with evidence that stands alone.
#[tokio::test]
async fn a_fork_is_proved_whatever_sizes_it_has() {
    let (log, fork) = (TestLog::new(0, 1_100), TestLog::new(1, 1_100));
    for (old, new) in [(700, 700), (700, 900), (512, 900), (1, 900), (700, 300), (700, 256), (1_024, 1_025)] {
        let folder = tempfile::tempdir().unwrap();
        let server = TileServer::start().await;
        server.show(&log, 0, old);
        let mut mirror = mirror(folder.path(), &server).unwrap();
        mirror.pass().await.unwrap();
        // A smaller checkpoint is held against the larger tree: that must still be served.
        if new > old {
            server.show_only(&fork, 1, new);
        } else {
            server.change("/checkpoint", |b| *b = fork.note(new).to_bytes());
        }
        let Outcome::Forked { kept: Some(file) } = mirror.pass().await.unwrap() else {
            panic!("{old} {new}")
        };
        assert_eq!(mirror.verified(), old);
        assert_eq!(mirror.pass().await.unwrap(), Outcome::Forked { kept: None }, "kept once");
        let evidence = Evidence::parse(&fs::read(&file).unwrap()).unwrap();
        let keys = [log.signer.verifier().clone()];
        let proved = evidence.verify(ORIGIN, &keys).unwrap();
        assert_eq!((proved.first_size, proved.second_size), (old.min(new), old.max(new)));
        assert_eq!(judge(&file), Some(0), "{old} {new}");
    }
}

#[test]
fn evidence_proves_what_it_says_and_nothing_else() {
    let (log, fork) = (TestLog::new(0, 20), TestLog::new(1, 20));
    let keys = [log.signer.verifier().clone()];
    let same = |a: &Note, b: &Note| Evidence::new(Contradiction::SameSize, a.clone(), b.clone());
    let prefix = |root, path, a: &Note, b: &Note| {
        Evidence::new(Contradiction::Prefix { root, path }, a.clone(), b.clone())
    };
    let good = [
        same(&log.note(7), &fork.note(7)),
        prefix(fork.root(5), fork.proof(5, 9), &log.note(5), &fork.note(9)),
        prefix(fork.root(8), fork.proof(8, 9), &log.note(8), &fork.note(9)),
        // Size 0 with a root that no empty tree has, beside any tree.
        prefix(
            EMPTY_ROOT,
            vec![],
            &log.sign(&treering_tlog::checkpoint::Checkpoint::new(ORIGIN, 0, log.root(1)).unwrap()),
            &log.note(9),
        ),
    ];
    for evidence in &good {
        assert!(evidence.verify(ORIGIN, &keys).is_ok());
        assert_eq!(Evidence::parse(&evidence.to_bytes()).unwrap(), *evidence);
        assert!(matches!(evidence.verify("another", &keys), Err(EvidenceError::OtherOrigin { .. })));
        let stranger = [NoteSigner::from_seed(ORIGIN, &[9; 32]).unwrap().verifier().clone()];
        assert!(matches!(evidence.verify(ORIGIN, &stranger), Err(EvidenceError::Note(_))));
    }
    for bad in [
        same(&log.note(7), &log.note(7)),
        same(&log.note(7), &fork.note(9)),
        // An honest log: its proof leads from the root that it signed.
        prefix(log.root(5), log.proof(5, 9), &log.note(5), &log.note(9)),
        // A wrong proof, which anybody can make, for an honest log.
        prefix(fork.root(5), fork.proof(5, 9), &log.note(5), &log.note(9)),
        prefix(fork.root(5), log.proof(5, 9), &log.note(5), &log.note(9)),
        prefix(log.root(5), vec![], &log.note(5), &log.note(9)),
        // Sizes the wrong way round.
        prefix(log.root(9), log.proof(5, 9), &fork.note(9), &log.note(5)),
        prefix(EMPTY_ROOT, vec![], &log.note(0), &log.note(9)),
    ] {
        assert!(bad.verify(ORIGIN, &keys).is_err(), "{bad:?}");
    }
}

/// The bytes that people will hand to each other for years: changing them makes old evidence unreadable.
#[test]
fn the_evidence_file_is_written_as_ever() {
    let (log, fork) = (TestLog::new(0, 20), TestLog::new(1, 20));
    let path = fork.proof(3, 5);
    let evidence = Evidence::new(
        Contradiction::Prefix { root: fork.root(3), path: path.clone() },
        log.note(3),
        fork.note(5),
    );
    let (first, second) = (log.note(3).to_string(), fork.note(5).to_string());
    let proof = path.iter().map(|hash| hash.to_base64() + "\n").collect::<String>();
    let wanted = format!(
        "treering-fork-evidence v1\nkind prefix\nroot {}\nproof 4\n{proof}checkpoint {}\n{first}checkpoint {}\n{second}",
        fork.root(3),
        first.len(),
        second.len()
    );
    assert_eq!(String::from_utf8(evidence.to_bytes()).unwrap(), wanted);
    let same = Evidence::new(Contradiction::SameSize, log.note(3), fork.note(3)).to_bytes();
    assert!(same.starts_with(b"treering-fork-evidence v1\nkind same-size\ncheckpoint 1"));
    for (place, _) in wanted.char_indices() {
        assert!(Evidence::parse(&wanted.as_bytes()[..place]).is_err(), "cut at {place}");
    }
    assert!(Evidence::parse(format!("{wanted}x").as_bytes()).is_err());
}

#[test]
fn evidence_verify_tells_unproved_from_unreadable() {
    let folder = tempfile::tempdir().unwrap();
    let (log, fork) = (TestLog::new(0, 20), TestLog::new(1, 20));
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let proof = Evidence::new(Contradiction::SameSize, log.note(7), fork.note(7)).to_bytes();
    assert_eq!(judge(&write("good", &proof)), Some(0));
    let honest = Evidence::new(Contradiction::SameSize, log.note(7), log.note(7)).to_bytes();
    assert_eq!(judge(&write("honest", &honest)), Some(1));
    assert_eq!(judge(&write("cut", &proof[..proof.len() - 1])), Some(2));
    assert_eq!(judge(&folder.path().join("absent")), Some(2));
    let good = folder.path().join("good").to_str().unwrap().to_owned();
    let other = NoteSigner::from_seed(ORIGIN, &[9; 32]).unwrap().verifier().to_string();
    let verify =
        |vkey: &str| run(&["evidence", "verify", "--evidence", &good, "--log-vkey", vkey]).status.code();
    assert_eq!(verify(&other), Some(1), "not signed by this key");
    assert_eq!(verify("no key"), Some(2));
}

/// A request with a validly signed checkpoint that contradicts the cosigned one leaves evidence; a wrong proof does not.
#[tokio::test]
async fn the_serving_witness_keeps_evidence() {
    let served = Served::start().await;
    let (log, fork) = (TestLog::new(0, 20), TestLog::new(1, 20));
    let folder = served.folder.path().join("evidence");
    assert_eq!(served.add(log.request(0, 7)).await.status, 200);
    assert_eq!(served.add(request(7, log.proof(6, 9), &log.note(9))).await.status, 422, "a wrong proof");
    assert_eq!(served.add(request(7, vec![], &log.note(9))).await.status, 422, "no proof");
    assert_eq!(evidence_files(&folder).len(), 0);
    assert_eq!(served.add(fork.request(7, 7)).await.status, 422);
    assert_eq!(evidence_files(&folder).len(), 1);
    assert_eq!(served.add(fork.request(7, 7)).await.status, 422);
    assert_eq!(evidence_files(&folder).len(), 1, "kept once");
    assert_eq!(served.add(fork.request(7, 12)).await.status, 422);
    assert_eq!(evidence_files(&folder).len(), 2);
    assert!(evidence_files(&folder).iter().all(|file| judge(file) == Some(0)));
    // However many a log makes, the disk does not fill.
    for other in 2..40 {
        assert_eq!(served.add(TestLog::new(other, 7).request(7, 7)).await.status, 422);
    }
    assert_eq!(evidence_files(&folder).len(), 16);
    assert_eq!(served.add(log.request(7, 20)).await.status, 200);
}

/// Two witnesses, each a process of its own, are shown two histories. Neither can know; comparing, they do.
#[tokio::test]
async fn a_split_view_is_caught_by_comparing() {
    let (log, fork) = (TestLog::new(0, 900), TestLog::new(1, 900));
    for (first_size, second_size, shown, code) in [
        (700, 700, Some(700), 1), // one size: no tiles are needed
        (700, 700, None, 1),
        (700, 300, Some(700), 1), // two sizes: the tiles of the larger tree prove it
        (700, 300, Some(900), 1),
        (300, 700, Some(800), 1), // the log went on in the history of the smaller one, beyond the other
        (300, 700, Some(400), 2), // ... and not that far: what it signed cannot be seen, which is no success
        (700, 300, None, 2),
    ] {
        let folders =
            [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let vkeys: Vec<String> = folders.iter().map(|folder| init(folder.path())).collect();
        let witnesses: Vec<Process> =
            folders[..2].iter().map(|folder| Process::start(folder.path())).collect();
        for (witness, log, size) in [(&witnesses[0], &log, first_size), (&witnesses[1], &fork, second_size)] {
            witness.client().add_checkpoint(0, &[], &log.note(size).to_bytes()).await.unwrap();
        }
        let server = TileServer::start().await;
        let config = config_arg(folders[2].path());
        let mut text = fs::read_to_string(&config).unwrap();
        if let Some(size) = shown {
            server.show(&log, 0, size);
            writeln!(text, "url = \"{}\"", server.url).unwrap();
        }
        let plain = text.clone();
        for (vkey, witness) in vkeys.iter().zip(&witnesses) {
            writeln!(text, "[[peer]]\nvkey = \"{vkey}\"\nurl = \"http://{}\"", witness.address).unwrap();
        }
        fs::write(&config, &text).unwrap();
        let compared =
            tokio::task::spawn_blocking(move || run(&["compare", "--config", &config])).await.unwrap();
        let said = String::from_utf8(compared.stdout).unwrap();
        let case = format!("{first_size} {second_size} {shown:?}: {said}");
        assert_eq!(compared.status.code(), Some(code), "{case}");
        let files = evidence_files(&folders[2].path().join("evidence"));
        assert_eq!(files.is_empty(), code != 1, "{case}");
        assert!(files.iter().all(|file| judge(file) == Some(0)), "{case}");

        // The first witness and the log agree.
        if let Some(size) = shown.filter(|size| *size >= first_size) {
            let config = config_arg(folders[2].path());
            let peer =
                format!("[[peer]]\nvkey = \"{}\"\nurl = \"http://{}\"\n", vkeys[0], witnesses[0].address);
            fs::write(&config, plain + &peer).unwrap();
            let compared =
                tokio::task::spawn_blocking(move || run(&["compare", "--config", &config])).await.unwrap();
            let said = String::from_utf8(compared.stdout).unwrap();
            assert_eq!(compared.status.code(), Some(0), "{said}");
            assert!(said.contains(&format!("the log itself has {size}")), "{said}");
        }
    }
}

/// The command: exit codes, metrics, and the stop.
#[tokio::test]
async fn the_mirror_command_follows_and_reports() {
    let folder = tempfile::tempdir().unwrap();
    init(folder.path());
    let (server, log) = (TileServer::start().await, TestLog::new(0, 700));
    server.show(&log, 0, 300);
    let config = config_arg(folder.path());
    let mut text = fs::read_to_string(&config).unwrap();
    writeln!(text, "url = \"{}\"\n[mirror]\nevery_s = 1\nlisten = \"127.0.0.1:0\"", server.url).unwrap();
    fs::write(&config, text).unwrap();
    let once = || {
        let config = config.clone();
        tokio::task::spawn_blocking(move || run(&["mirror", "--once", "--config", &config]))
    };
    let said = |output: &std::process::Output| String::from_utf8(output.stdout.clone()).unwrap();
    let first = once().await.unwrap();
    assert_eq!((first.status.code(), said(&first)), (Some(0), format!("{ORIGIN}: verified 0 to 300\n")));
    let mut process = Process::mirror(folder.path());
    server.show(&log, 0, 400);
    for _ in 0..200 {
        let metrics = crate::support::call(process.address, "GET", "/metrics", "".into()).await.body;
        if metrics.contains(&format!("treering_mirror_verified_size{{origin=\"{ORIGIN}\"}} 400")) {
            assert!(metrics.contains(&format!("treering_mirror_signed_size{{origin=\"{ORIGIN}\"}} 400")));
            assert!(metrics.contains("treering_mirror_passes_total"));
            process.signal("TERM");
            assert_eq!(process.wait(), Some(0));
            let again = once().await.unwrap();
            assert_eq!(said(&again), format!("{ORIGIN}: unchanged at 400\n"));
            server.remove("/checkpoint");
            assert_eq!(once().await.unwrap().status.code(), Some(2));
            server.show_only(&TestLog::new(1, 700), 1, 500);
            assert_eq!(once().await.unwrap().status.code(), Some(1));
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the mirror does not follow");
}

proptest! {
    #[test]
    fn no_bytes_make_the_evidence_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Evidence::parse(&bytes).is_err());
        let framed = [b"treering-fork-evidence v1\nkind same-size\n".as_slice(), &bytes].concat();
        prop_assert!(Evidence::parse(&framed).is_err());
    }
}
