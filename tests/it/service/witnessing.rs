//! The witness program beside a real service: its mirror over the network, and a log with two histories.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use treering_witness::client::WitnessClient;

use crate::support::{Process, Run, Settings, Stage, folder, witness_program};

/// Runs `treering-witness`.
async fn witness(arguments: &[&str]) -> Run {
    let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    let run = move || Command::new(witness_program()).args(arguments).stdin(Stdio::null()).output().unwrap();
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    Run {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A configuration for the stage's log in a new folder, with a key and state of its own.
async fn configure(stage: &Stage, more: &str) -> (String, String) {
    let dir = folder("witness");
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let made = witness(&["init", "--dir", &text(&dir), "--name", "witness.it.example/one"]).await.ended(0);
    let config = dir.join("witness.toml");
    let trust = stage.trust();
    let toml = format!(
        "name = \"witness.it.example/one\"\nkey_file = \"witness.key\"\nstate_dir = \"state\"\nlisten = \"127.0.0.1:0\"\n\
         ca_file = {:?}\n[[log]]\nvkey = \"{}\"\n{more}",
        stage.path("tls/ca.pem"),
        trust.log_key()
    );
    std::fs::write(&config, toml).unwrap();
    (text(&config), made.stdout.trim().to_owned())
}

async fn register(stage: &Stage, names: &[&str]) {
    for name in names {
        stage.register("author", &Stage::manifest(name, "simulated")).await;
    }
}

/// The mirror recomputes what the service serves over TLS, from the entries, goes on where it was, and believes only the
/// certificate authority that it was given.
#[tokio::test]
async fn a_mirror_recomputes_the_log() {
    let stage = Stage::make(&Settings::default()).await;
    stage.serve();
    register(&stage, &["one", "two"]).await;
    let (config, _) = configure(&stage, &format!("url = \"{}\"\n", stage.url())).await;
    let size = stage.checkpoint().await.size();
    let first = witness(&["mirror", "--once", "--config", &config]).await.ended(0);
    assert_eq!(first.stdout, format!("{}: verified 0 to {size}\n", stage.origin));
    register(&stage, &["three"]).await;
    let larger = stage.checkpoint().await.size();
    let second = witness(&["mirror", "--once", "--config", &config]).await.ended(0);
    assert_eq!(second.stdout, format!("{}: verified {size} to {larger}\n", stage.origin));

    // Another authority: the log is not reached, which is neither "verified" nor "forked".
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap().cert.pem();
    std::fs::write(Path::new(&config).with_file_name("other.pem"), other).unwrap();
    let toml = std::fs::read_to_string(&config).unwrap();
    let toml = toml.replace(&format!("{:?}", stage.path("tls/ca.pem")), "\"other.pem\"");
    std::fs::write(&config, toml).unwrap();
    let third = witness(&["mirror", "--once", "--config", &config]).await.ended(2);
    assert!(third.stdout.contains(&format!("not verified beyond {larger}")), "{third:?}");
}

/// A log restored from a backup goes on in another history. Two witnesses, each shown one of them, cosign both; comparing
/// them proves the fork, and so does a mirror that had seen the first.
#[tokio::test]
async fn a_log_with_two_histories_is_caught() {
    let stage = Stage::make(&Settings::default()).await;
    let copy = |from: &str, to: &str| {
        let done = Command::new("cp").args(["-a", from, to]).status().unwrap();
        assert!(done.success());
    };
    stage.serve();
    register(&stage, &["both"]).await;
    stage.stop();
    copy(&stage.path("data"), &stage.path("backup"));

    let mut witnesses = Vec::new();
    let mut mirror = String::new();
    for history in ["left", "right"] {
        stage.serve();
        register(&stage, &[history]).await;
        let (config, vkey) = configure(&stage, "").await;
        let log = folder("log").join("witness.log");
        let arguments = ["serve", "--config", &config, "--json"];
        let process = Process::start(&witness_program(), &arguments, &log).unwrap();
        let url = format!("http://{}", process.listening());
        let client = WitnessClient::new(&url, None, Duration::from_secs(10)).unwrap();
        let note = stage.stranger().get("/checkpoint").await.is(200).body;
        client.add_checkpoint(0, &[], &note).await.unwrap();
        witnesses.push((process, format!("[[peer]]\nvkey = \"{vkey}\"\nurl = \"{url}\"\n")));
        if history == "left" {
            (mirror, _) = configure(&stage, &format!("url = \"{}\"\n", stage.url())).await;
            witness(&["mirror", "--once", "--config", &mirror]).await.ended(0);
            stage.stop();
            std::fs::remove_dir_all(stage.path("data")).unwrap();
            copy(&stage.path("backup"), &stage.path("data"));
        }
    }
    let peers: String = witnesses.iter().map(|(_, peer)| peer.as_str()).collect();
    let (config, _) = configure(&stage, &peers).await;
    let compared = witness(&["compare", "--config", &config]).await.ended(1);
    assert!(compared.stdout.contains("FORKED"), "{compared:?}");

    // The mirror had seen the left history; the service listens somewhere else now.
    let toml = std::fs::read_to_string(&mirror).unwrap();
    let (head, _) = toml.split_once("url = ").unwrap();
    std::fs::write(&mirror, format!("{head}url = \"{}\"\n", stage.url())).unwrap();
    witness(&["mirror", "--once", "--config", &mirror]).await.ended(1);

    // Each kept a file that proves it to anybody with the log's key, offline.
    let vkey = stage.trust().log_key().to_string();
    for config in [&config, &mirror] {
        let folder = Path::new(config).with_file_name("evidence");
        let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(files.len(), 1);
        let file = files[0].to_str().unwrap();
        let proved = witness(&["evidence", "verify", "--evidence", file, "--log-vkey", &vkey]).await.ended(0);
        assert!(proved.stdout.starts_with(&format!("proved: {} signed size", stage.origin)), "{proved:?}");
    }
}
