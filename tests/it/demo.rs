//! `treering demo`, and by hand, with the program, everything that can be done with what it leaves behind.

mod audit;
mod forged;
mod verify;

use serde_json::{Value, json};

use crate::support::demo::demo;

const STEPS: [&str; 12] = [
    "start",
    "register",
    "govern",
    "issue",
    "refuse-unknown",
    "refuse-unbound",
    "verify",
    "mtls",
    "issue-gpu",
    "trace",
    "tamper",
    "stop",
];

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// The object is the product's promise to programs: every field, in its order, with its type, and none beside.
#[test]
fn the_report_is_the_whole_story() {
    let demo = demo();
    assert_eq!(demo.run.code, 0, "{:?}", demo.run);
    assert_eq!(demo.run.stdout.lines().count(), 1, "one line, one object: {}", demo.run.stdout);
    let report = &demo.report;
    assert_eq!(
        keys(report),
        ["ok", "steps", "issued", "refused", "log", "verify", "trace", "replay", "tamper"]
    );
    assert_eq!((&report["ok"], &report["issued"], &report["refused"]), (&json!(true), &json!(2), &json!(3)));

    let steps = report["steps"].as_array().unwrap();
    let names: Vec<&str> = steps.iter().map(|step| step["name"].as_str().unwrap()).collect();
    assert_eq!(names, STEPS);
    let size = report["log"]["size"].as_u64().unwrap();
    let mut logged = vec![false; usize::try_from(size).unwrap()];
    for step in steps {
        assert_eq!(keys(step), ["name", "ok", "ms", "entries"]);
        assert_eq!(step["ok"], true, "{step}");
        assert!(step["ms"].is_u64(), "{step}");
        for entry in step["entries"].as_array().unwrap() {
            logged[usize::try_from(entry.as_u64().unwrap()).unwrap()] = true;
        }
    }
    assert!(logged.iter().all(|told| *told), "the story tells of every entry: {logged:?}");

    assert_eq!(keys(&report["log"]), ["origin", "size", "root"]);
    assert_eq!(report["log"]["origin"], "log.simulated.treering.example/treering");
    let root = data_encoding::BASE64.decode(report["log"]["root"].as_str().unwrap().as_bytes()).unwrap();
    assert_eq!(root.len(), 32);

    assert_eq!(keys(&report["verify"]), ["verdict", "checked", "not_checked"]);
    assert_eq!(report["verify"]["verdict"], "trustworthy");
    let checked = report["verify"]["checked"].as_array().unwrap();
    for name in
        ["credential-commitment", "receipt", "checkpoint", "witnesses", "parents", "proof-of-possession"]
    {
        assert!(checked.contains(&json!(name)), "{name} in {checked:?}");
    }
    assert_eq!(report["verify"]["not_checked"], json!(["revocation", "content"]));
    let all =
        json!({ "evidence": true, "reference_values": true, "sbom": true, "build": true, "policies": true });
    assert_eq!(report["trace"], all);
    assert_eq!(report["replay"], json!({ "identical": true }));
    assert_eq!(keys(&report["tamper"]), ["entry", "found"]);
    assert!(report["tamper"]["entry"].is_u64());
    assert_eq!(report["tamper"]["entry"], report["tamper"]["found"]);
}

#[test]
fn it_leaves_what_it_promises_and_keys_that_nobody_else_may_read() {
    use std::os::unix::fs::PermissionsExt;
    for (name, secret) in [
        ("credential.pem", false),
        ("credential-gpu.pem", false),
        ("trust.json", false),
        ("auditor.key", true),
        ("key.pem", true),
    ] {
        let mode = std::fs::metadata(demo().path(name)).unwrap().permissions().mode();
        assert!(!secret || mode & 0o777 == 0o600, "{name}: {mode:o}");
    }
}

#[test]
fn a_folder_that_is_in_use_is_left_alone() {
    let demo = demo();
    let run = crate::support::cli(["demo", "--json", "--keep", demo.dir.to_str().unwrap()]).ended(3);
    assert!(run.stderr.contains("is not empty"), "{}", run.stderr);
    assert_eq!(run.stdout, "");
}
