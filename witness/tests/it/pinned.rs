//! Literal bytes of what is stored and configured, and what is refused of it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use data_encoding::HEXLOWER;
use proptest::prelude::*;
use treering_tlog::cosignature::CosignSigner;
use treering_tlog::note::{KeyType, NoteSigner};
use treering_witness::config::{Config, ConfigError, Limits};
use treering_witness::journal::{Header, Mark};
use treering_witness::key::{self, KeyFileError};
use treering_witness::service::Witness;
use treering_witness::state::State;
use treering_witness::store::{StateDir, StoreError, origin_hash};

use crate::support::{NOW, ORIGIN, TestLog, fixed_clock, open_dir, open_witness, witness_signer};

/// The state of a log at size 3, cosigned at [`NOW`] with the test keys.
const STATE: &str = "log.example/1
3
ztz7gYivEQ39o4O8v5wWG9qE4xH9JihtJNPthjBC/7k=

\u{2014} log.example/1 9fGIJQyUFB3hVmyt6OwIgv/yp54svACiszly1BymAuxcG7k5p5bxtVQxkiZ6RoxJCiXioJW04NyhTQ+oxtLXkaUtBwg=
\u{2014} witness.example/w1 3xwKNQAAAABpVGeA3827rrD+NbOEkBJs5uJmvzcm+SOBH66k3XwLZrNJmK8edNXMpaqUntyP91JD2HXzodgTEyoQZ2Nklokzv9lzDA==
";

/// Changing any of these bytes would make deployed witnesses unable to read their state (they refuse to start and must be
/// retired), or, worse, able to start from a part of it: one that forgets signs split views.
#[test]
fn the_state_directory_is_written_as_ever() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    let witness = open_witness(&path, fixed_clock());
    witness.add_checkpoint(&TestLog::new(0, 3).request(0, 3)).unwrap();
    drop(witness);
    let read = |name: &str| fs::read(path.join(name)).unwrap();
    assert_eq!(
        String::from_utf8(read("identity")).unwrap(),
        "treering-witness-state v2\nwitness.example/w1+df1c0a35+BIE5dw6ofRdfVqNUZsNMfszLjYqRtO43ol32D1uPybOU\n"
    );
    assert_eq!(
        String::from_utf8(read("mark")).unwrap(),
        "treering-witness-mark v1 00000000000000000002 00000000000000000001 50dda50120c2859a\n"
    );
    let header = "treering-witness-journal v1\nwitness.example/w1+df1c0a35+BIE5dw6ofRdfVqNUZsNMfszLjYqRtO43ol32D1uPybOU\n\
        generation 2\nsnapshot 0\n\n";
    let journal = read("journal");
    let record = journal.strip_prefix(header.as_bytes()).unwrap();
    let (head, payload) = record.split_at(56);
    assert_eq!(String::from_utf8_lossy(payload), STATE);
    assert_eq!(
        HEXLOWER.encode(head),
        [
            "54574a31",         // "TWJ1"
            "0000012d",         // length of the payload
            "0000000000000001", // number
            "0000000000000000", // synced before
            "64fe6721e012b2a1fbc8bd51bcd89e11cad895cea39a120076a47a76fe9dd216",
        ]
        .concat()
    );
    let state = State::parse(payload, witness_signer().verifier()).unwrap();
    assert_eq!((state.checkpoint().size(), state.time()), (3, NOW));
    assert_eq!(state.to_bytes(), payload);
    assert_eq!(
        origin_hash("log.example/1"),
        "fc4dafa3f2d4604aae1fa59b9b5a7f83946e6e16a6aee48affb4acd08d1305a0"
    );
    let mut names: Vec<_> = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["identity", "journal", "mark"]);
}

/// A log's old key must stay configured until a checkpoint under the new one is cosigned.
#[test]
fn a_state_that_no_configured_key_of_the_log_signed_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    open_witness(&path, fixed_clock()).add_checkpoint(&TestLog::new(0, 3).request(0, 3)).unwrap();
    let open = |keys| {
        let dir = open_dir(&path, witness_signer().verifier()).unwrap();
        let keys = BTreeMap::from([(ORIGIN.to_owned(), keys)]);
        Witness::open(witness_signer(), dir, keys, fixed_clock(), &Limits::default(), None)
    };
    let old = TestLog::new(0, 0).signer.verifier().clone();
    let new = NoteSigner::from_seed(ORIGIN, &[4; 32]).unwrap().verifier().clone();
    assert!(matches!(open(vec![new.clone()]), Err(StoreError::NotByLog { .. })));
    assert!(open(vec![new, old]).is_ok());
}

/// A directory of the older format, one file for each log, is taken over once, and then is no directory of that format.
#[test]
fn the_older_format_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    let own = witness_signer();
    let make_old = |state: &str| {
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("identity"), format!("treering-witness-state v1\n{}\n", own.verifier())).unwrap();
        let name = format!("{}.state", origin_hash(ORIGIN));
        fs::write(path.join(&name), format!("treering-witness-state v1\n{state}")).unwrap();
        path.join(name)
    };
    let open = || open_dir(&path, own.verifier()).unwrap().start(own.verifier()).map(|(_, states)| states);
    let old = make_old(&STATE.replace("\n3\n", "\n4\n"));
    assert!(matches!(open(), Err(StoreError::Corrupt { .. })));
    make_old(STATE);
    // The name of another log: two files would claim one origin.
    fs::rename(&old, path.join(format!("{}.state", origin_hash("other")))).unwrap();
    assert!(matches!(open(), Err(StoreError::OldFormat { .. })));
    fs::remove_dir_all(&path).unwrap();
    // A crash after the journal was written and before the identity changed: the old files still are what counts.
    make_old(STATE);
    fs::write(path.join("journal"), "anything").unwrap();
    assert_eq!(open().unwrap()[ORIGIN].checkpoint().size(), 3);
    assert!(!old.exists());
    assert!(fs::read_to_string(path.join("identity")).unwrap().starts_with("treering-witness-state v2\n"));
    let witness = open_witness(&path, fixed_clock());
    assert!(witness.add_checkpoint(&TestLog::new(1, 3).request(3, 3)).is_err(), "another history");
    assert!(witness.add_checkpoint(&TestLog::new(0, 9).request(3, 9)).is_ok());
}

#[test]
fn a_state_directory_has_one_witness_and_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let own = witness_signer();
    assert!(matches!(StateDir::open(&state, own.verifier()), Err(StoreError::NoState { .. })));
    fs::create_dir(&state).unwrap();
    // As an empty mount point looks.
    assert!(matches!(StateDir::open(&state, own.verifier()), Err(StoreError::NoState { .. })));
    StateDir::create(&state, own.verifier()).unwrap();
    assert!(matches!(StateDir::create(&state, own.verifier()), Err(StoreError::Io { .. })));
    let held = open_dir(&state, own.verifier()).unwrap();
    assert!(matches!(StateDir::open(&state, own.verifier()), Err(StoreError::Locked { .. })));
    drop(held);
    let other = CosignSigner::from_seed("witness.example/w1", &[3; 32]).unwrap();
    assert!(matches!(open_dir(&state, other.verifier()), Err(StoreError::OtherWitness { .. })));
    assert!(open_dir(&state, own.verifier()).is_ok());
}

#[test]
fn a_key_file_is_for_its_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("witness.key");
    let made = key::create(&path, "witness.example/w1").unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(key::load(&path).unwrap().verifier(), made.verifier());
    assert!(
        matches!(key::create(&path, "witness.example/w1"), Err(KeyFileError::Io { .. })),
        "never replaced"
    );
    for mode in [0o640, 0o604, 0o620, 0o602, 0o644, 0o610] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert!(
            matches!(key::load(&path), Err(KeyFileError::Permissions { mode: found, .. }) if found == mode)
        );
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    assert!(key::load(&path).is_ok());
    let other = key::create(&folder.path().join("other.key"), "witness.example/w1").unwrap();
    assert_ne!(other.verifier(), made.verifier());
    assert!(matches!(key::create(&folder.path().join("bad.key"), "two words"), Err(KeyFileError::Key(_))));
    assert!(!folder.path().join("bad.key").exists());
    // Each of the two has its own place, so that neither is taken for the other.
    let mldsa = folder.path().join("mldsa.key");
    assert_eq!(key::create_mldsa(&mldsa, "witness.example/w1").unwrap().verifier().kind(), KeyType::MlDsa44);
    assert!(key::load_mldsa(&mldsa).is_ok());
    assert!(matches!(key::load(&mldsa), Err(KeyFileError::Kind { .. })));
    assert!(matches!(key::load_mldsa(&path), Err(KeyFileError::Kind { .. })));
    let secret = made.to_private_text();
    fs::write(folder.path().join("cut.key"), &secret[..secret.len() - 2]).unwrap();
    fs::set_permissions(folder.path().join("cut.key"), fs::Permissions::from_mode(0o600)).unwrap();
    let error = key::load(&folder.path().join("cut.key")).unwrap_err();
    assert!(!format!("{error} {error:?}").contains(&secret[40..60]), "no message holds the key");
}

#[test]
fn the_sample_configuration_is_one() {
    let config = Config::parse(include_str!("../../../docs/samples/witness.toml")).unwrap();
    assert_eq!(config.name, "witness.example/w1");
    assert_eq!(config.listen.to_string(), "127.0.0.1:8091");
    assert_eq!(config.limits, Limits::default(), "the sample shows the defaults");
    let origins: Vec<String> = config.logs().unwrap().into_keys().collect();
    assert_eq!(origins, ["log.example/1", "log.example/2"]);
}

#[test]
fn configurations_are_strict() {
    let good = include_str!("../../../docs/samples/witness.toml");
    assert!(matches!(Config::parse(&good.replace("listen =", "listne =")), Err(ConfigError::Toml(_))));
    assert!(matches!(Config::parse(&format!("{good}\nextra = 1\n")), Err(ConfigError::Toml(_))));
    assert!(matches!(Config::parse(&good.replace("origin =", "orign =")), Err(ConfigError::Toml(_))));
    assert!(matches!(Config::parse(&good.replace("127.0.0.1:8091", "localhost")), Err(ConfigError::Toml(_))));
    let (head, _) = good.split_once("[[log]]").unwrap();
    assert!(matches!(Config::parse(head), Err(ConfigError::NoLog)));
    let vkey = TestLog::new(0, 0).signer.verifier().to_string();
    let log = format!("[[log]]\nvkey = \"{vkey}\"\n");
    assert!(Config::parse(&format!("{head}{log}")).is_ok());
    assert!(matches!(Config::parse(&format!("{head}{log}{log}")), Err(ConfigError::Duplicate { .. })));
    let cosigner = format!("{head}[[log]]\nvkey = \"{}\"\n", witness_signer().verifier());
    assert!(matches!(Config::parse(&cosigner), Err(ConfigError::Vkey { .. })));
    for none in ["log_per_second = 500", "log_burst = 1000"] {
        let (key, _) = none.split_once(" = ").unwrap();
        assert!(good.contains(none));
        let text = good.replace(none, &format!("{key} = 0"));
        assert!(matches!(Config::parse(&text), Err(ConfigError::Rate)));
    }
    for limit in ["0", "4097"] {
        let text =
            good.replace("concurrent_requests_max = 512", &format!("concurrent_requests_max = {limit}"));
        assert!(matches!(Config::parse(&text), Err(ConfigError::Concurrency { .. })));
    }
}

proptest! {
    #[test]
    fn no_bytes_are_a_state_by_accident(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(State::parse(&bytes, witness_signer().verifier()).is_err());
        prop_assert!(Mark::parse(&bytes).is_none());
        let framed = [b"treering-witness-mark v1 ".as_slice(), &bytes].concat();
        prop_assert!(Mark::parse(&framed).is_none());
    }

    #[test]
    fn headers_and_marks_round_trip(generation: u64, number: u64) {
        let mark = Mark { generation, number };
        prop_assert_eq!(Mark::parse(mark.to_text().as_bytes()), Some(mark));
        let header = Header { generation, snapshot: number };
        prop_assert_eq!(Header::parse(header.to_text("vkey").as_bytes(), "vkey"), Some(header));
        prop_assert_eq!(Header::parse(header.to_text("vkey").as_bytes(), "another"), None);
    }

    #[test]
    fn no_text_makes_the_configuration_parser_panic(text in "\\PC{0,200}") {
        prop_assert!(Config::parse(&text).is_err());
    }
}
