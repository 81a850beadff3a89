//! docs/verifier.md is held to the checks: every kind's table has every check, in order, and no other.

use std::path::{Path, PathBuf};

use treering::verifier;

#[test]
fn the_document_explains_every_check_and_no_other() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/verifier.md");
    let text = String::from_utf8(super::read(path)).unwrap();
    for (kind, _) in verifier::kinds() {
        let heading = format!("### Checks of `{kind}`");
        let (_, section) = text.split_once(&heading).unwrap_or_else(|| panic!("no section {heading:?}"));
        let section = section.split("\n#").next().unwrap();
        let documented: Vec<&str> = section
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
            .map(|(name, _)| name)
            .collect();
        assert_eq!(Some(documented), verifier::checks_of(kind), "{kind}");
    }
}

/// The sources of the tests that the document names.
fn sources(root: &Path) -> String {
    let mut sources = String::from_utf8(super::read(root.join("tests/it/verifier.rs"))).unwrap();
    for dir in ["tests/it/verifier", "tests/it/collateral", "src/wire/cmw"] {
        for file in files(&root.join(dir)) {
            sources.push_str(&String::from_utf8(super::read(file)).unwrap());
        }
    }
    sources
}

/// What stands before a test: whether it is one that only `make soak` runs. None where there is no such test.
fn is_ignored(sources: &str, test: &str) -> Option<bool> {
    let (before, _) = sources.split_once(&format!("fn {test}("))?;
    let attributes = before.lines().rev().take_while(|line| !line.is_empty() && !line.starts_with('}'));
    Some(attributes.into_iter().any(|line| line.trim_start().starts_with("#[ignore")))
}

const CAMPAIGNS: &str = "\n## Every bit\n";

/// Tests named in the document exist, and `make test` runs them: what only a campaign shows is told among the campaigns.
#[test]
fn the_tests_that_the_document_names_exist_and_are_run() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = String::from_utf8(super::read(root.join("docs/verifier.md"))).unwrap();
    let sources = sources(root);
    let (before, campaigns) = text.split_once(CAMPAIGNS).unwrap();
    let (campaigns, after) = campaigns.split_once("\n## ").unwrap();
    let rows = before.lines().chain(after.lines()).filter(|line| line.starts_with("| `"));
    let mut named = 0;
    for row in rows {
        let tests = row.trim_end_matches('|').rsplit('|').next().unwrap();
        for test in tests.split('`').skip(1).step_by(2) {
            assert_eq!(is_ignored(&sources, test), Some(false), "{test} is named in {row}");
            named += 1;
        }
    }
    assert!(named > 200, "{named}");
    let told: Vec<&str> = campaigns
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(test, _)| test)
        .collect();
    for test in &told {
        assert_eq!(is_ignored(&sources, test), Some(true), "{test} is a campaign");
    }
    // Each campaign over evidence is told of.
    let flips = sources.matches("#[ignore = \"soak: every bit").count();
    assert_eq!(told.len(), flips, "{told:?}");
}

/// The overview of platforms has a row for each kind, every check that it names is one, and no cell is empty.
#[test]
fn the_overview_names_checks_that_there_are() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = String::from_utf8(super::read(root.join("docs/verifier.md"))).unwrap();
    let (_, section) = text.split_once("\n## What is checked of each platform\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows: Vec<Vec<&str>> = section
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let kinds: Vec<String> = verifier::kinds().map(|(kind, _)| format!("`{kind}`")).collect();
    assert_eq!(rows.len(), kinds.len());
    for row in rows {
        assert!(kinds.iter().any(|kind| kind == row[0]), "{}", row[0]);
        let checks = verifier::checks_of(row[0].trim_matches('`')).unwrap();
        let (subjects, binding_and_test) = row[1..].split_at(row.len() - 3);
        for name in subjects.iter().flat_map(|cell| cell.split('`').skip(1).step_by(2)) {
            assert!(checks.contains(&name), "{}: {name}", row[0]);
        }
        for cell in subjects.iter().chain(binding_and_test) {
            let number = cell.split_once('(').map(|(_, rest)| rest.split(')').next().unwrap());
            let explained = number.is_some_and(|number| section.contains(&format!("\n{number}. ")));
            assert!(!cell.is_empty() && (!cell.starts_with("none") || explained), "{}: {cell}", row[0]);
        }
    }
}

/// Every file in a folder and below it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}
