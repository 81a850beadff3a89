//! `treering attester` against stand-ins of Linux's interfaces. The kernel's side of configfs-tsm is modelled in
//! `src/attester/tsm/tests.rs`; here a driver of the Nitro Security Module answers the program's own system call.

use std::path::{Path, PathBuf};
use std::process::Command;

use ciborium::Value;
use serde_json::Value as Json;

use crate::support::{Run, TREERING, cli, folder, shared};

const DATA: &str = "5a";

/// The stand-in, compiled.
fn driver(dir: &Path) -> PathBuf {
    let library = dir.join("nsm.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/attester/nsm.c");
    let made = Command::new("cc")
        .args(["-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC", "-o"])
        .args([&library, Path::new(source)])
        .status();
    assert!(made.unwrap().success(), "{source} does not compile");
    library
}

/// Runs the program in front of the driver, which answers this.
fn report(dir: &Path, driver: &Path, answer: &Value) -> Run {
    let mut octets = Vec::new();
    ciborium::into_writer(answer, &mut octets).unwrap();
    std::fs::write(dir.join("answer"), octets).unwrap();
    std::fs::write(dir.join("device"), b"").unwrap();
    let output = Command::new(TREERING)
        .args(["attester", "report", "--interface", "nsm", "--json", "--report-data", &DATA.repeat(64)])
        .arg("--nsm-device")
        .arg(dir.join("device"))
        .arg("--out")
        .arg(dir.join("out"))
        .env("LD_PRELOAD", driver)
        .env("NSM_ANSWER", dir.join("answer"))
        .env("NSM_REQUEST", dir.join("request"))
        .output()
        .unwrap();
    Run {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn map(name: &str, value: Value) -> Value {
    Value::Map(vec![(Value::Text(name.to_owned()), value)])
}

#[test]
fn a_document_comes_through_the_device() {
    let dir = tempfile::tempdir().unwrap();
    let driver = driver(dir.path());
    // As long as documents are, so that the length of the answer counts.
    let document: Vec<u8> = (0..5000_u32).map(|number| (number % 251) as u8).collect();
    let answer = map("Attestation", map("document", Value::Bytes(document.clone())));
    let told = report(dir.path(), &driver, &answer).ended(0).json();
    assert_eq!(told["evidence"][0]["bytes"], 5000);
    assert_eq!(std::fs::read(dir.path().join("out/evidence-0.bin")).unwrap(), document);
    let whole: Json =
        serde_json::from_slice(&std::fs::read(dir.path().join("out/evidence.cmw.json")).unwrap()).unwrap();
    assert_eq!(whole["evidence-0"][0], "application/vnd.aws.nitro-attestation-document");
    // What the driver was asked: the value, whole, and nothing else.
    let asked: Value =
        ciborium::from_reader(&std::fs::read(dir.path().join("request")).unwrap()[..]).unwrap();
    let inner = &asked.as_map().unwrap()[0].1.as_map().unwrap()[0];
    assert_eq!(inner.1, Value::Bytes(vec![0x5a; 64]));
}

#[test]
fn what_the_device_refuses_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let driver = driver(dir.path());
    let refused =
        report(dir.path(), &driver, &map("Error", Value::Text("InputTooLarge".to_owned()))).ended(3);
    assert!(refused.stderr.contains("InputTooLarge"), "{refused:?}");
    assert!(!dir.path().join("out").exists(), "nothing is written");
}

#[test]
fn a_machine_without_a_tee_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing");
    let out = dir.path().join("out");
    let data = DATA.repeat(64);
    let base = ["attester", "report", "--report-data", &data, "--out", out.to_str().unwrap()];
    let places = ["--tsm-root", missing.to_str().unwrap(), "--nsm-device", missing.to_str().unwrap()];
    let none = cli(base.iter().chain(&places)).ended(3);
    assert!(none.stderr.contains("is configfs mounted?"), "{none:?}");
    // A folder that is no configfs: the kernel does not fill what is made in it.
    let plain = cli(base.iter().chain(&["--tsm-root", dir.path().to_str().unwrap()])).ended(3);
    assert!(plain.stderr.contains("provider"), "{plain:?}");
    let short = cli(["attester", "report", "--report-data", "00", "--out", "x"]).ended(3);
    assert!(short.stderr.contains("want 64"), "{short:?}");
}

/// A shell script that may be run.
fn script(dir: &Path, text: &str) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let path = dir.join("attest");
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A program of the workload's makes the evidence, here by this one: bound to what it was given, with its endorsements.
#[tokio::test]
async fn a_program_makes_the_evidence_for_a_credential() {
    let stage = shared().await;
    let (target, dir) = (stage.workload("by-program").await, folder("by-program"));
    let (image, out, made) = (dir.join("image"), dir.join("out"), dir.join("made"));
    std::fs::write(&image, crate::support::image()).unwrap();
    let program = script(
        &dir,
        &format!(
            "{TREERING} attester report --simulated {} --image {} --report-data \"$1\" --out {} >&2\ncat {}/evidence.cmw.json",
            stage.path("platform"),
            image.display(),
            made.display(),
            made.display()
        ),
    );
    let (url, ca) = (stage.url(), stage.path("tls/ca.pem"));
    let run = loop {
        let arguments =
            ["acquire", "--url", &url, "--tls-ca", &ca, "--rp-id", &stage.rp_id, "--target", &target];
        let run =
            cli(arguments.iter().chain(&["--program", &program, "--json", "--out", out.to_str().unwrap()]));
        // Other tests activate policies beside this one.
        if !run.stderr.contains("409") {
            break run;
        }
    };
    assert_eq!(run.ended(0).json()["acquired"], true);
    assert!(out.join("credential.pem").exists());
}

#[test]
fn what_a_program_prints_must_be_evidence() {
    let dir = folder("bad-program");
    let refused = |text: &str, words: &str| {
        let (program, out) = (script(&dir, text), dir.join("out"));
        let data = DATA.repeat(64);
        let run = cli([
            "attester",
            "report",
            "--program",
            &program,
            "--program-timeout",
            "1",
            "--report-data",
            &data,
            "--out",
            out.to_str().unwrap(),
        ]);
        let run = run.ended(3);
        assert!(run.stderr.contains(words) && run.stderr.contains(&program), "{}", run.stderr);
        assert!(!out.exists());
    };
    refused("echo no evidence", "evidence");
    refused("exit 7", "it failed");
    // One that hangs, before it says anything or after.
    refused("exec sleep 100", "it did not end within 1 s, and was ended");
    refused("exec >&-; exec sleep 100", "it did not end within 1 s, and was ended");
    refused("echo '[\"text/plain\",\"AA\",4]'", "no Verifier takes text/plain");
    refused("head -c 3000000 /dev/zero", "more than 2097152 octets");
    std::fs::remove_file(dir.join("attest")).unwrap();
    let absent = dir.join("attest");
    let run = cli([
        "attester",
        "report",
        "--program",
        absent.to_str().unwrap(),
        "--report-data",
        &DATA.repeat(64),
        "--out",
        "none",
    ]);
    assert!(run.ended(3).stderr.contains("attest"));
}
