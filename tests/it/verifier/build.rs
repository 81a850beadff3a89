//! The name of the build in a result.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use treering::verifier;

fn files(path: &Path, out: &mut Vec<PathBuf>) {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            files(&entry.unwrap().path(), out);
        }
    } else {
        out.push(path.to_owned());
    }
}

/// Anybody with the sources computes the digest that a result names, here by another way than the build does.
#[test]
fn the_build_is_named_by_its_sources() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = Vec::new();
    for path in ["src/verifier", "src/clock.rs", "provenance/src", "Cargo.lock"] {
        files(&root.join(path), &mut all);
    }
    all.sort();
    let mut octets = b"treering-verifier-build-v1".to_vec();
    for file in &all {
        let name = file.strip_prefix(root).unwrap().to_str().unwrap().as_bytes();
        let text = super::read(file);
        octets.extend(
            [&(name.len() as u64).to_be_bytes()[..], name, &(text.len() as u64).to_be_bytes(), &text]
                .concat(),
        );
    }
    let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(&octets)[..16]);
    assert_eq!(verifier::BUILD, format!("treering {} sha-256:{digest}", env!("CARGO_PKG_VERSION")));
    assert!(all.len() > 40, "{} files", all.len());
}
