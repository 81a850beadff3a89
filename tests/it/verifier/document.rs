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

/// Tests named in the document exist.
#[test]
fn the_tests_that_the_document_names_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = String::from_utf8(super::read(root.join("docs/verifier.md"))).unwrap();
    let mut sources = String::from_utf8(super::read(root.join("tests/it/verifier.rs"))).unwrap();
    for dir in ["tests/it/verifier", "tests/it/collateral", "src/wire/cmw"] {
        for file in files(&root.join(dir)) {
            sources.push_str(&String::from_utf8(super::read(file)).unwrap());
        }
    }
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    for row in rows {
        let tests = row.trim_end_matches('|').rsplit('|').next().unwrap();
        for test in tests.split('`').skip(1).step_by(2) {
            assert!(sources.contains(&format!("fn {test}(")), "{test} is named in {row}");
        }
    }
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
