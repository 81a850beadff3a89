//! `treering bench`: every load runs, for a second and on a tiny log, prints what its help says, no more and no less,
//! and counts what it should. How large a figure is, is not for a test to say.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::{cli, folder};

/// The figures that a load's help tells of; `also` chooses among those that are there under a condition.
fn documented(command: &str, also: &[&str]) -> BTreeSet<String> {
    let help = cli(["bench", command, "--help"]).ended(0).stdout;
    let (_, said) = help.split_once("With --json:").unwrap();
    let said = said.split("\n\n").next().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    let conditions = said.trim_end_matches('.').split(';').map(str::trim);
    let chosen = conditions.enumerate().filter(|(place, condition)| {
        *place == 0 || also.iter().any(|also| condition.starts_with(&format!("{also} also ")))
    });
    let chosen: Vec<&str> = chosen.map(|(_, condition)| condition).collect();
    assert_eq!(chosen.len(), 1 + also.len(), "{said}");
    // A remark in parentheses follows a name, and words come before the first one of a condition.
    let names = chosen.iter().flat_map(|condition| condition.split(','));
    let names = names.map(|name| name.split('(').next().unwrap_or_default().trim());
    names.filter_map(|name| name.split(' ').next_back()).map(str::to_owned).collect()
}

/// The names of all figures; what is within an object has the object's name before a dot.
fn names(value: &Value, prefix: &str, found: &mut BTreeSet<String>) {
    for (key, value) in value.as_object().unwrap() {
        let name = format!("{prefix}{key}");
        if value.is_object() {
            names(value, &format!("{name}."), found);
        } else {
            found.insert(name);
        }
    }
}

/// Runs a load and holds what it prints against its help, and against itself.
#[track_caller]
fn bench(command: &str, also: &[&str], arguments: &[&str]) -> Value {
    let disk = folder("bench");
    let mut line = vec!["bench", command, "--json"];
    line.extend(arguments);
    if command != "appraise" {
        line.extend(["--dir", disk.to_str().unwrap()]);
    }
    let figures = cli(line).ended(0).json();
    let mut found = BTreeSet::new();
    names(&figures, "", &mut found);
    assert_eq!(found, documented(command, also), "{figures}");
    for name in found.iter().filter(|name| name.starts_with("limits.")) {
        assert!(number(&figures, name) > 0.0, "{name}: {figures}");
    }
    assert!(number(&figures, "throughput_per_s") > 0.0, "{figures}");
    let one = |name: &str| figures.get(name).map_or(0.0, |value| value.as_f64().unwrap());
    assert!(one("p50_ms") <= one("p99_ms") && one("p99_ms") <= one("p999_ms"), "{figures}");
    assert!(one("rss_end_bytes") <= one("rss_peak_bytes"), "{figures}");
    if command != "fill" {
        assert!(
            std::fs::read_dir(&disk).unwrap().next().is_none(),
            "something was left in {}",
            disk.display()
        );
    }
    figures
}

/// A count.
#[track_caller]
fn whole(figures: &Value, name: &str) -> u64 {
    let found = name.split('.').try_fold(figures, |value, part| value.get(part));
    found.and_then(Value::as_u64).unwrap_or_else(|| panic!("{name}: {figures}"))
}

#[track_caller]
fn number(figures: &Value, name: &str) -> f64 {
    let found = name.split('.').try_fold(figures, |value, part| value.get(part));
    found.and_then(Value::as_f64).unwrap_or_else(|| panic!("{name}: {figures}"))
}

/// Every answer that was looked at proved what it should, and there was no other.
#[track_caller]
fn answers_pass(figures: &Value, clients: u64) {
    let answers = |name: &str| whole(figures, &format!("answers.{name}"));
    assert!(answers("checked") >= clients, "each client's first: {figures}");
    let counts = ["passed", "refused", "errors"].map(answers);
    assert_eq!(counts, [answers("checked"), 0, 0], "{figures}");
}

#[test]
fn append_by_the_api_in_a_log_that_another_process_filled() {
    let load = ["--seconds", "1", "--clients", "4", "--prefill", "600", "--path", "api"];
    let figures = bench("append", &[], &load);
    assert_eq!(whole(&figures, "log_entries.before"), 600);
    assert!(whole(&figures, "log_entries.after") > 600);
    // A leaf hash of 32 octets and a length of two, at least, and something for the indexes.
    let disk = ["tree", "all"].map(|name| number(&figures, &format!("disk_bytes_per_entry.{name}")));
    assert!(disk[0] >= 34.0 && disk[1] > disk[0], "{figures}");
    // What programs look for first comes first.
    let keys: Vec<_> = figures.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        keys[..5],
        ["throughput_per_s", "p50_ms", "p99_ms", "p999_ms", "disk_bytes_per_entry"],
        "{figures}"
    );
}

#[test]
fn a_log_that_is_kept_grows_from_run_to_run() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("log");
    let dir = dir.to_str().unwrap();
    cli(["bench", "fill", "--entries", "600", "--dir", dir]).ended(0);
    let run = || {
        let line = ["bench", "append", "--json", "--seconds", "1", "--clients", "4", "--log", dir];
        let figures = cli(line).ended(0).json();
        [whole(&figures, "log_entries.before"), whole(&figures, "log_entries.after")]
    };
    let ([before, between], [again, after]) = (run(), run());
    assert_eq!((before, again), (600, between));
    assert!(before < between && between < after);
}

#[test]
fn append_by_scrapi_verifies_receipts_and_asks_again() {
    let load = ["--seconds", "1", "--clients", "4", "--path", "scrapi"];
    let figures = bench("append", &["by SCRAPI"], &load);
    answers_pass(&figures, 4);
    assert!(number(&figures, "server_cpu_us_per_entry") < number(&figures, "cpu_us_per_entry"));
}

#[test]
fn append_by_scrapi_waits_for_a_quorum_of_witnesses() {
    let load = ["--seconds", "1", "--clients", "4", "--path", "scrapi", "--witnesses", "3"];
    let figures = bench("append", &["with witnesses", "by SCRAPI"], &load);
    answers_pass(&figures, 4);
    assert!(number(&figures, "witness_cpu_us_per_entry") > 0.0, "{figures}");
}

#[test]
fn prove_by_every_path() {
    bench("prove", &[], &["--seconds", "1", "--entries", "600"]);
    for path in ["http", "tiles"] {
        let load = ["--seconds", "1", "--entries", "600", "--clients", "2", "--path", path];
        answers_pass(&bench("prove", &["by HTTP"], &load), 2);
    }
}

#[test]
fn issue_verify_and_replay() {
    let issued = bench("issue", &[], &["--seconds", "1", "--clients", "2"]);
    assert_eq!(whole(&issued, "clients"), 2, "{issued}");
    assert!(number(&issued, "witness_cpu_us_each") > 0.0, "{issued}");
    for command in ["verify", "replay"] {
        let figures = bench(command, &[], &["--seconds", "1", "--threads", "2"]);
        assert_eq!(whole(&figures, "threads"), 2, "{figures}");
    }
}

#[test]
fn appraise_fill_and_fsck() {
    bench("appraise", &[], &["--seconds", "1", "--threads", "1"]);
    bench("fill", &[], &["--entries", "600"]);
    let figures = bench("fsck", &[], &["--entries", "2000"]);
    assert!(number(&figures, "cpu_us_per_entry") >= 0.0, "{figures}");
}

#[test]
fn what_cannot_be_measured_is_said_before_anything_runs() {
    for (line, said) in [
        ("append --seconds 0", "--seconds is 0, want 1 to 3600"),
        ("append --path scrapi --prefill 10", "--prefill goes with --path api"),
        ("append --path scrapi --log x", "--log goes with --path api"),
        ("append --log no-such-folder", "no-such-folder has no log"),
        ("append --path scrapi --entries-per-append 2", "--entries-per-append goes with --path api"),
        ("append --witnesses 65", "--witnesses is 65, want at most 64"),
        ("prove --entries 5", "--entries is 5, want 512"),
        ("issue --clients 0", "--clients is 0, want 1 to 1024"),
        ("replay --threads 0", "--threads is 0, want 1 to 1024"),
        ("fsck --entries 1", "--entries is 1, want 2 to 10^9"),
        ("table --large 5", "--large is 5, want more than 100000"),
        ("table --seconds 0", "--seconds is 0, want 1 to 3600"),
    ] {
        let run = cli(["bench"].into_iter().chain(line.split(' '))).ended(3);
        assert!(run.stderr.contains(said), "{line}: {}", run.stderr);
        assert_eq!(run.stdout, "", "{line}");
    }
}
