//! docs/protocol.md lists every domain tag of this crate.

use std::{fs, path::Path};

fn tags(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tags(&path, found);
        } else {
            let text = fs::read_to_string(&path).unwrap();
            let literals =
                text.split('"').filter(|literal| literal.starts_with("treering-") && literal.contains("-v"));
            found.extend(literals.map(str::to_owned));
        }
    }
}

#[test]
fn every_domain_tag_is_listed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let protocol = fs::read_to_string(root.join("../docs/protocol.md")).unwrap();
    let mut found = Vec::new();
    tags(&root.join("src"), &mut found);
    found.sort();
    found.dedup();
    assert!(found.len() >= 8, "{found:?}");
    for tag in found {
        assert!(protocol.contains(&format!("`{tag}`")), "{tag} is not in docs/protocol.md");
    }
}
