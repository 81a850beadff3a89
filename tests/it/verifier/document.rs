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
    for file in files(&root.join("tests/it/verifier")) {
        sources.push_str(&String::from_utf8(super::read(file)).unwrap());
    }
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    for row in rows {
        let tests = row.trim_end_matches('|').rsplit('|').next().unwrap();
        for test in tests.split('`').skip(1).step_by(2) {
            assert!(sources.contains(&format!("fn {test}(")), "{test} is named in {row}");
        }
    }
}

/// Every file in a folder and below it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}
