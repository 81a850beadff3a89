//! Literal bytes of what is stored and configured, and what is refused of it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use proptest::prelude::*;
use treering_tlog::cosignature::CosignSigner;
use treering_tlog::note::NoteSigner;
use treering_witness::config::{Config, ConfigError, Limits};
use treering_witness::key::{self, KeyFileError};
use treering_witness::service::Witness;
use treering_witness::store::{State, StateDir, StateError, StoreError, origin_hash};

use crate::support::{NOW, ORIGIN, TestLog, fixed_clock, log_keys, open_dir, open_witness, witness_signer};

/// The state file of a log at size 3, cosigned at [`NOW`] with the test keys.
const STATE: &str = "treering-witness-state v1
log.example/1
3
ztz7gYivEQ39o4O8v5wWG9qE4xH9JihtJNPthjBC/7k=

\u{2014} log.example/1 9fGIJQyUFB3hVmyt6OwIgv/yp54svACiszly1BymAuxcG7k5p5bxtVQxkiZ6RoxJCiXioJW04NyhTQ+oxtLXkaUtBwg=
\u{2014} witness.example/w1 3xwKNQAAAABpVGeA3827rrD+NbOEkBJs5uJmvzcm+SOBH66k3XwLZrNJmK8edNXMpaqUntyP91JD2HXzodgTEyoQZ2Nklokzv9lzDA==
";

fn state_path(folder: &Path) -> std::path::PathBuf {
    folder.join("state").join(format!("{}.state", origin_hash(ORIGIN)))
}

fn state_of_size_3(folder: &Path) -> Vec<u8> {
    let witness = open_witness(&folder.join("state"), fixed_clock());
    witness.add_checkpoint(&TestLog::new(0, 3).request(0, 3)).unwrap();
    fs::read(state_path(folder)).unwrap()
}

/// Changing these bytes would make deployed witnesses unable to read their state, and one that forgets signs split views.
#[test]
fn the_state_file_is_written_as_ever() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = state_of_size_3(folder.path());
    assert_eq!(String::from_utf8(bytes.clone()).unwrap(), STATE);
    let state = State::parse(&bytes, witness_signer().verifier()).unwrap();
    assert_eq!((state.checkpoint().size(), state.time()), (3, NOW));
    assert_eq!(state.to_bytes(), bytes);
    let identity = fs::read_to_string(folder.path().join("state/identity")).unwrap();
    assert_eq!(
        identity,
        "treering-witness-state v1\nwitness.example/w1+df1c0a35+BIE5dw6ofRdfVqNUZsNMfszLjYqRtO43ol32D1uPybOU\n"
    );
    assert_eq!(
        origin_hash("log.example/1"),
        "fc4dafa3f2d4604aae1fa59b9b5a7f83946e6e16a6aee48affb4acd08d1305a0"
    );
}

/// No bit of a state file can change without the witness refusing to start.
#[test]
fn every_flipped_bit_of_a_state_file_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = state_of_size_3(folder.path());
    assert!(opens(folder.path()));
    for place in 0..bytes.len() {
        let mut flipped = bytes.clone();
        for bit in 0..8 {
            flipped[place] = bytes[place] ^ (1 << bit);
            fs::write(state_path(folder.path()), &flipped).unwrap();
            assert!(!opens(folder.path()), "bit {bit} of byte {place}");
        }
    }
    for len in 0..bytes.len() {
        assert!(State::parse(&bytes[..len], witness_signer().verifier()).is_err(), "cut to {len}");
    }
}

fn opens(folder: &Path) -> bool {
    let signer = witness_signer();
    let dir = open_dir(&folder.join("state"), signer.verifier()).unwrap();
    Witness::open(signer, dir, log_keys(), fixed_clock()).is_ok()
}

/// A log's old key must stay configured until a checkpoint under the new one is cosigned.
#[test]
fn a_state_that_no_configured_key_of_the_log_signed_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    state_of_size_3(folder.path());
    let open = |keys| {
        let dir = open_dir(&folder.path().join("state"), witness_signer().verifier()).unwrap();
        Witness::open(witness_signer(), dir, BTreeMap::from([(ORIGIN.to_owned(), keys)]), fixed_clock())
    };
    let old = TestLog::new(0, 0).signer.verifier().clone();
    let new = NoteSigner::from_seed(ORIGIN, &[4; 32]).unwrap().verifier().clone();
    assert!(matches!(open(vec![new.clone()]), Err(StoreError::NotByLog { .. })));
    assert!(open(vec![new, old]).is_ok());
}

#[test]
fn a_corrupt_state_file_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = state_of_size_3(folder.path());
    let own = witness_signer();
    let load = || {
        let dir = open_dir(&folder.path().join("state"), own.verifier()).unwrap();
        dir.load(own.verifier())
    };
    assert_eq!(load().unwrap().len(), 1);
    for bad in [b"".as_slice(), &bytes[..bytes.len() - 1], &bytes[26..], b"treering-witness-state v2\n"] {
        fs::write(state_path(folder.path()), bad).unwrap();
        assert!(matches!(load(), Err(StoreError::Corrupt { .. })), "{}", String::from_utf8_lossy(bad));
    }
    // A good state under the name of another log: two files would claim one origin.
    fs::remove_file(state_path(folder.path())).unwrap();
    let other = folder.path().join("state").join(format!("{}.state", origin_hash("other")));
    fs::write(&other, &bytes).unwrap();
    assert!(matches!(load(), Err(StoreError::Corrupt { source: StateError::OtherOrigin { .. }, .. })));
    fs::remove_file(&other).unwrap();
    // An unfinished write was never promised: it is dropped, whatever it holds.
    let unfinished = folder.path().join("state").join(format!("{}.tmp", origin_hash(ORIGIN)));
    fs::write(&unfinished, &bytes[..50]).unwrap();
    assert!(load().unwrap().is_empty());
    assert!(!unfinished.exists());
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
    for limit in ["0", "513"] {
        let text =
            good.replace("concurrent_requests_max = 64", &format!("concurrent_requests_max = {limit}"));
        assert!(matches!(Config::parse(&text), Err(ConfigError::Concurrency { .. })));
    }
}

proptest! {
    #[test]
    fn no_bytes_are_a_state_by_accident(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(State::parse(&bytes, witness_signer().verifier()).is_err());
        let framed = [b"treering-witness-state v1\n".as_slice(), &bytes].concat();
        prop_assert!(State::parse(&framed, witness_signer().verifier()).is_err());
    }

    #[test]
    fn no_text_makes_the_configuration_parser_panic(text in "\\PC{0,200}") {
        prop_assert!(Config::parse(&text).is_err());
    }
}
