//! The auditor: trace, fsck, figures and export of the kept log, and of copies with one octet changed.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use treering_log::fsck::Report;
use treering_log::{Log, export, fsck};
use treering_tlog::bundle;

use crate::support::demo::demo;
use crate::support::{Run, cli, folder};

fn trace(data: &str, key: &str, json: bool) -> Run {
    let demo = demo();
    let (credential, trust) = (demo.path("credential.pem"), demo.path("trust.json"));
    let mut arguments =
        vec!["trace", "--credential", &credential, "--trust", &trust, "--key", key, "--data", data];
    arguments.extend(json.then_some("--json"));
    cli(arguments)
}

#[test]
fn a_stopped_log_is_traced_to_sbom_and_build() {
    let demo = demo();
    let (data, key) = (demo.path("ledger/data"), demo.path("auditor.key"));
    let report = trace(&data, &key, true).ended(0).json();
    for reached in ["evidence", "reference_values", "sbom", "build", "policies"] {
        assert_eq!(report["trace"][reached], true, "{report}");
    }
    assert_eq!(report["trace"]["cosigners"].as_array().unwrap().len(), 1);
    assert_eq!(
        report["replay"],
        json!({ "identical": true, "appraisal": true, "binding": true, "mapping": true, "notes": [] })
    );
    let kinds: Vec<&str> = report["trace"]["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["kind"].as_str().unwrap())
        .collect();
    let wanted = "issuance mapping appraisal collateral activation approval policy activation approval policy activation approval reference-values workload-provenance workload-provenance";
    assert_eq!(kinds.join(" "), wanted);
    let text = trace(&data, &key, false).ended(0).stdout;
    assert!(text.contains("replay identical: yes"), "{text}");
}

#[test]
fn who_was_granted_nothing_traces_nothing() {
    let demo = demo();
    let dir = folder("auditor");
    let (key, public) = (dir.join("key.jwk"), dir.join("key.pub"));
    let arguments = ["grant", "key", "--out", key.to_str().unwrap(), "--public", public.to_str().unwrap()];
    cli(arguments).ended(0);
    let run = trace(&demo.path("ledger/data"), key.to_str().unwrap(), true).ended(3);
    assert!(run.stderr.contains("nothing was granted to this key"), "{}", run.stderr);
}

fn fsck_cli(option: &str, path: &str) -> Run {
    cli(["log", "fsck", option, path, "--trust", &demo().path("trust.json"), "--json"])
}

#[test]
fn the_kept_log_is_clean_measured_and_exported() {
    let demo = demo();
    let data = demo.path("ledger/data");
    let log = &demo.report["log"];
    let report = fsck_cli("--data", &data).ended(0).json();
    assert_eq!(report, json!({ "clean": true, "entries": log["size"], "root": log["root"], "findings": [] }));
    let text = cli(["log", "fsck", "--data", &data, "--trust", &demo.path("trust.json")]).ended(0).stdout;
    assert!(text.ends_with("entries: clean\n"), "{text}");

    let stats = cli(["log", "stats", "--data", &data, "--json"]).ended(0).json();
    assert_eq!((&stats["origin"], &stats["entries"]), (&log["origin"], &log["size"]));
    assert_eq!(stats["witnessed"], log["size"], "everything that was there when it stopped was witnessed");
    let families: Vec<_> = stats["families"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert!(families.contains(&&json!("entries")) && families.contains(&&json!("tiles")), "{families:?}");
    cli(["log", "stats", "--data", &data]).ended(0);

    let to = folder("export").join("tiles");
    let exported =
        cli(["log", "export", "--data", &data, "--to", to.to_str().unwrap(), "--json"]).ended(0).json();
    assert_eq!(exported["entries"], log["size"]);
    let report = fsck_cli("--tiles", to.to_str().unwrap()).ended(0).json();
    assert_eq!((&report["clean"], &report["root"]), (&json!(true), &log["root"]));
    // What the service served over the network is what the store exports.
    let mirror = demo.dir.join("mirror");
    let size = log["size"].as_u64().unwrap();
    let tile = format!("tile/0/000.p/{size}");
    assert_eq!(fs::read(mirror.join(&tile)).unwrap(), fs::read(to.join(&tile)).unwrap());
}

#[test]
fn another_log_key_finds_the_checkpoint_unsigned() {
    let demo = demo();
    let origin = demo.report["log"]["origin"].as_str().unwrap();
    let other = treering_tlog::note::NoteSigner::from_seed(origin, &[1; 32]).unwrap().verifier().to_string();
    let text = fs::read_to_string(demo.path("trust.json")).unwrap();
    let own =
        serde_json::from_str::<serde_json::Value>(&text).unwrap()["log_vkey"].as_str().unwrap().to_owned();
    let trust = folder("trust").join("trust.json");
    fs::write(&trust, text.replace(&own, &other)).unwrap();
    let data = demo.path("ledger/data");
    let run = cli(["log", "fsck", "--data", &data, "--trust", trust.to_str().unwrap(), "--json"]).ended(1);
    assert_eq!(run.json()["clean"], false);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The promise of an auditor's copy: one changed octet, and the check names its entry.
#[test]
fn every_changed_entry_of_a_mirror_is_named() {
    let demo = demo();
    let size = demo.report["log"]["size"].as_u64().unwrap();
    let to = folder("mirror");
    cli(["log", "export", "--data", &demo.path("ledger/data"), "--to", to.to_str().unwrap()]).ended(0);
    let file = to.join(treering_tlog::tile::entries_path(0, u16::try_from(size).unwrap()));
    let good = fs::read(&file).unwrap();
    let entries: Vec<Vec<u8>> = bundle::decode(&good).unwrap().into_iter().map(<[u8]>::to_vec).collect();
    let key = demo.trust().log_key().clone();
    let check = || -> Report { fsck::check(&export::StaticDir::new(&to, Some(key.clone())), |_, _| ()) };
    for index in 0..entries.len() {
        for place in [0, entries[index].len() / 2, entries[index].len() - 1] {
            let mut changed = entries.clone();
            changed[index][place] ^= 0x10;
            fs::write(&file, bundle::encode(changed.iter().map(Vec::as_slice)).unwrap()).unwrap();
            let report = check();
            let named: Vec<_> = report.findings.iter().filter_map(|finding| finding.entry).collect();
            assert_eq!(named, [index as u64], "{:?}", report.findings);
        }
    }
    // A hash of the tile, and the checkpoint.
    fs::write(&file, &good).unwrap();
    assert!(check().is_clean());
    for name in [format!("tile/0/000.p/{size}"), "checkpoint".to_owned()] {
        let file = to.join(name);
        let good = fs::read(&file).unwrap();
        // Of the checkpoint what the log signed, and its signature: fsck knows no witness.
        let lines: Vec<usize> = (0..good.len()).filter(|place| good[*place] == b'\n').collect();
        let end = if good.starts_with(b"log.") { lines[4] } else { good.len() };
        for place in (0..end).step_by(3) {
            let mut changed = good.clone();
            changed[place] ^= 1;
            fs::write(&file, &changed).unwrap();
            assert!(!check().is_clean(), "{} octet {place}", file.display());
        }
        fs::write(&file, &good).unwrap();
    }
}

/// Checks a copy of the folder as `log fsck --data` does; `None` if it does not even open.
fn check_copy(data: &Path) -> Option<Report> {
    Some(fsck::check(&Log::open_read_only(data).ok()?, |_, _| ()))
}

/// Files of RocksDB that hold the log; its own text log, its lock and its copy of the options hold nothing of it.
fn stored_files(data: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(data.join("db")).unwrap().map(|entry| entry.unwrap().path());
    let holds = |path: &PathBuf| path.extension().is_some_and(|kind| kind == "log" || kind == "sst");
    let mut files: Vec<PathBuf> = files.filter(holds).collect();
    files.sort();
    files.push(data.join("checkpoint"));
    files
}

/// All that can be read from a log; an error is not what was there before.
fn all_that_can_be_read(data: &Path) -> Result<Vec<Vec<u8>>, String> {
    let error = |error: &dyn std::fmt::Display| error.to_string();
    let log = Log::open_read_only(data).map_err(|cause| error(&cause))?;
    let mut all =
        vec![log.head().unwrap().note().to_vec(), log.witnessed().unwrap().cosigned_note().to_vec()];
    for index in 0..log.size() {
        all.push(log.entry(index).map_err(|cause| error(&cause))?.unwrap_or_default());
        let leaf = log.leaf(index).map_err(|cause| error(&cause))?.unwrap();
        all.push(log.content(&leaf).map_err(|cause| error(&cause))?.unwrap_or_default());
    }
    for table in 0..=16 {
        let rows = log.rows(table, &[]).map_err(|cause| error(&cause))?;
        all.extend(rows.into_iter().flat_map(|(key, value)| [key, value]));
    }
    Ok(all)
}

/// Every octet counts but those that nobody reads, such as the padding of a footer: there the check may say "clean",
/// if indeed all is as it was.
#[test]
fn a_changed_octet_of_the_store_is_never_clean() {
    let demo = demo();
    let data = folder("data").join("data");
    copy(&demo.dir.join("ledger/data"), &data);
    assert!(check_copy(&data).unwrap().is_clean());
    let whole = all_that_can_be_read(&data).unwrap();
    let mut missed = Vec::new();
    for file in stored_files(&data) {
        let good = fs::read(&file).unwrap();
        // A prime step visits every alignment of records and blocks in turn.
        let step = if good.len() > 10_000 { 1597 } else { 149 };
        for place in (0..good.len()).step_by(step) {
            let mut changed = good.clone();
            changed[place] ^= 0x20;
            fs::write(&file, &changed).unwrap();
            if check_copy(&data).is_some_and(|report| report.is_clean()) {
                let name = file.file_name().unwrap().display();
                match all_that_can_be_read(&data) {
                    Ok(all) if all == whole && name.to_string() != "checkpoint" => {}
                    Ok(_) => missed.push(format!("{name}:{place} reads otherwise")),
                    Err(error) => missed.push(format!("{name}:{place} {error}")),
                }
            }
        }
        fs::write(&file, &good).unwrap();
    }
    assert_eq!(missed, Vec::<String>::new());
}

/// The same by hand, where the entries themselves lie.
#[test]
fn a_changed_entry_in_the_store_is_found_by_the_program() {
    let demo = demo();
    let log = Log::open_read_only(demo.dir.join("ledger/data")).unwrap();
    let entry = log.entry(5).unwrap().unwrap();
    drop(log);
    let data = folder("data").join("data");
    copy(&demo.dir.join("ledger/data"), &data);
    let mut changed = 0;
    for file in stored_files(&data) {
        let good = fs::read(&file).unwrap();
        let needle = &entry[..64];
        for place in (0..good.len()).filter(|place| good[*place..].starts_with(needle)) {
            let mut bytes = good.clone();
            bytes[place + 32] ^= 1;
            fs::write(&file, &bytes).unwrap();
            let run = fsck_cli("--data", data.to_str().unwrap());
            assert!(run.code == 1 || run.code == 3, "{run:?}");
            assert!(!run.stdout.contains("\"clean\":true"), "{run:?}");
            changed += 1;
        }
        fs::write(&file, &good).unwrap();
    }
    assert!(changed > 0, "the entry lies nowhere");
    fsck_cli("--data", data.to_str().unwrap()).ended(0);
}

#[test]
fn a_log_that_is_not_there_is_not_clean() {
    let nowhere = folder("nowhere");
    let run = fsck_cli("--data", nowhere.to_str().unwrap()).ended(3);
    assert!(run.stderr.contains("open the log in"), "{}", run.stderr);
    assert_eq!(run.stdout, "");
    let run = fsck_cli("--tiles", nowhere.to_str().unwrap());
    assert_ne!(run.code, 0, "{run:?}");
}

/// C2SP tlog-proof: one text, which is checked with the trust file alone, or by whoever has a policy file.
#[test]
fn an_entry_is_proven_in_a_file_of_its_own() {
    let demo = demo();
    let (data, trust) = (demo.path("ledger/data"), demo.path("trust.json"));
    let dir = folder("proof");
    let path = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let (proof, entry, other) = (path("three.tlog-proof"), path("three.cose"), path("two.cose"));
    let prove = |index: &str, more: &[&str]| {
        cli([&["log", "prove", "--data", &data, "--index", index], more].concat())
    };
    prove("3", &["--out", &proof, "--entry", &entry]).ended(0);
    prove("2", &["--entry", &other]).ended(0);
    let printed = prove("3", &[]).ended(0).stdout;
    assert_eq!(printed, fs::read_to_string(&proof).unwrap());
    assert!(printed.starts_with("c2sp.org/tlog-proof@v1\nindex 3\n"), "{printed}");

    let verify = |proof: &str, entry: &str, whom: [&str; 2]| {
        cli([&["log", "verify-proof", "--proof", proof, "--entry", entry, "--json"], &whom[..]].concat())
    };
    let size = &demo.report["log"]["size"];
    let said = verify(&proof, &entry, ["--trust", &trust]).ended(0).json();
    assert_eq!((&said["proven"], &said["index"], &said["size"]), (&json!(true), &json!(3), size));
    assert_eq!(said["cosigners"].as_array().unwrap().len(), 1, "{said}");
    // By the policy alone, as a program of somebody else would.
    let policy = path("policy.txt");
    let file: serde_json::Value = serde_json::from_str(&fs::read_to_string(&trust).unwrap()).unwrap();
    fs::write(&policy, file["policy"].as_str().unwrap()).unwrap();
    verify(&proof, &entry, ["--policy", &policy]).ended(0);

    let why = |proof: &str, entry: &str, whom: [&str; 2]| {
        let said = verify(proof, entry, whom).ended(1).json();
        assert_eq!(said["proven"], false);
        said["why"].as_str().unwrap().to_owned()
    };
    let trusted = ["--trust", trust.as_str()];
    assert!(why(&proof, &other, trusted).contains("root"), "another entry");
    let text = fs::read_to_string(&proof).unwrap();
    let changed = path("changed");
    fs::write(&changed, text.replace("index 3", "index 2")).unwrap();
    why(&changed, &entry, trusted);
    // Without its last line, the witness's.
    let lines: Vec<&str> = text.lines().collect();
    fs::write(&changed, lines[..lines.len() - 1].join("\n") + "\n").unwrap();
    assert!(why(&changed, &entry, trusted).contains("quorum"), "{}", why(&changed, &entry, trusted));
    fs::write(&changed, "no proof").unwrap();
    why(&changed, &entry, trusted);
    let beyond = prove(&size.to_string(), &[]).ended(3);
    assert!(beyond.stderr.contains("there is no proof"), "{}", beyond.stderr);
}

#[test]
fn the_index_of_a_copy_is_built_anew() {
    let demo = demo();
    let dir = folder("reindex");
    copy(Path::new(&demo.path("ledger/data")), &dir);
    let data = dir.to_str().unwrap();
    let built = cli(["log", "reindex", "--data", data, "--json"]).ended(0).json();
    assert_eq!(built["entries"], demo.report["log"]["size"]);
    let said = cli(["log", "reindex", "--data", data]).ended(0);
    assert!(said.stdout.contains("built anew"), "{}", said.stdout);
    fsck_cli("--data", data).ended(0);
}
