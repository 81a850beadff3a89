//! What `init` and `serve` refuse before anything listens.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::{Settings, Stage, cli, edit, folder};

fn mode(path: &str, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn a_service_starts_with_its_own_keys_and_a_sound_configuration_only() {
    let stage = Stage::make(&Settings::default()).await;
    let refused = |says: &str| {
        let run = stage.try_serve().unwrap_err().ended(3);
        assert!(run.stderr.contains(says), "{}", run.stderr);
    };
    // Keys that others may read.
    for name in ["log.pem", "receipt.pem", "authority.pem", "master.key", "ca.key"] {
        let path = stage.path(&format!("keys/{name}"));
        for loose in [0o640, 0o604, 0o666] {
            mode(&path, loose);
            refused(&format!("may be read by others (mode {loose:o}), want 600"));
        }
        mode(&path, 0o600);
    }
    mode(&stage.path("tls/server.key"), 0o644);
    refused("tls/server.key may be read by others");
    mode(&stage.path("tls/server.key"), 0o600);

    let good = fs::read_to_string(&stage.config).unwrap();
    let changed = |says: &str, change: &dyn Fn(&mut toml::Table)| {
        edit(&stage.config, change);
        refused(says);
        fs::write(&stage.config, &good).unwrap();
    };
    // A simulated root in a trust domain whose relying parties would take it for hardware.
    changed("must start with `simulated.`", &|table| {
        table.insert("trust_domain".to_owned(), "prod.it.example".into());
    });
    changed("unknown field `colour`", &|table| drop(table.insert("colour".to_owned(), "red".into())));
    changed("there is no log.witness_policy", &|table| {
        table["log"].as_table_mut().unwrap().insert("release".to_owned(), "witnessed".into());
    });
    changed("threshold is larger than the number of approvers", &|table| {
        table["governance"].as_table_mut().unwrap().insert("threshold".to_owned(), 7.into());
    });
    // Another name of the service than the one that the log's second entry tells attesters.
    changed("differ from entry 1 of the log", &|table| {
        drop(table.insert("rp_id".to_owned(), "https://other.example".into()));
    });
    // Another name for the log than the one that it was born with.
    changed("the log in", &|table| drop(table.insert("origin".to_owned(), "log.other.example/1".into())));
    // Another log's key: what is stored was signed by none of ours.
    let other = Stage::make(&Settings::default()).await;
    let (own, theirs) = (stage.path("keys/log.pem"), other.path("keys/log.pem"));
    let kept = fs::read(&own).unwrap();
    fs::write(&own, fs::read(theirs).unwrap()).unwrap();
    refused("open the log in");
    fs::write(&own, kept).unwrap();
    // An address that is taken.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    changed("listen on", &|table| {
        table["http"].as_table_mut().unwrap().insert("listen".to_owned(), address.clone().into());
    });
    // And when nothing is wrong it starts, and says so.
    stage.serve();
    stage.stranger().get("/healthz").await.is(200);
    stage.stop();
}

#[test]
fn a_simulated_platform_needs_a_simulated_trust_domain() {
    let dir = folder("init").join("ledger");
    let arguments =
        ["init", "--dir", dir.to_str().unwrap(), "--trust-domain", "prod.it.example", "--simulated"];
    let run = cli(arguments).ended(3);
    assert!(run.stderr.contains("must start with `simulated.`"), "{}", run.stderr);
    assert!(!dir.exists(), "nothing half-made stays in the way of the next try");
}

#[test]
fn init_overwrites_nothing_and_takes_sound_names_only() {
    let dir = folder("init");
    let init = |dir: &Path, more: &[&str]| {
        let base = ["init", "--dir", dir.to_str().unwrap()];
        cli(base.iter().chain(more))
    };
    fs::write(dir.join("precious"), "").unwrap();
    let run = init(&dir, &["--trust-domain", "it.example"]).ended(3);
    assert!(run.stderr.contains("is not empty"), "{}", run.stderr);
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
    let fresh = || folder("init").join("ledger");
    for (arguments, says) in [
        (&["--trust-domain", "It.Example"][..], "a trust domain is 1 to 255 of a-z"),
        (&["--trust-domain", "it.example", "--witness", "nonsense"], "`nonsense` is not VKEY=URL"),
        (
            &["--trust-domain", "it.example", "--witness", "a=https://w.example"],
            "is not a witness's verifier key",
        ),
    ] {
        let dir = fresh();
        let run = init(&dir, arguments).ended(3);
        assert!(run.stderr.contains(says) && !dir.exists(), "{}", run.stderr);
    }
    let dir = fresh();
    let made = init(&dir, &["--trust-domain", "it.example", "--json"]).ended(0).json();
    assert_eq!(made["origin"], "log.it.example/treering");
    for secret in ["keys/master.key", "keys/log.pem", "keys/ca.key", "tls/server.key", "auditor.key"] {
        let mode = fs::metadata(dir.join(secret)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{secret}");
    }
    // Its first two entries, and a relying party's file that parses.
    let trust = dir.join("trust.json");
    let run = cli([
        "log",
        "fsck",
        "--data",
        dir.join("data").to_str().unwrap(),
        "--trust",
        trust.to_str().unwrap(),
        "--json",
    ]);
    assert_eq!(run.ended(0).json()["entries"], 2);
}
