//! Names the build of the Verifier, for attestation results: the version, and a digest of the sources that decide.
//!
//! The same sources give the same name on every machine: it depends on no time, path, compiler or repository. In scope:
//! the rooms that appraise, what they import from this workspace, and the lock file, which pins every crate by its hash.
//! Out of scope: the compiler, and everything that only carries a result.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Files and folders of the workspace.
const DECIDES: [&str; 4] = ["Cargo.lock", "provenance/src", "src/clock.rs", "src/verifier"];
/// Names the form of what is hashed.
const TAG: &[u8] = b"treering-verifier-build-v1";
/// Of the digest: against accidents and for comparing, not a commitment.
const SHOWN_OCTETS: usize = 16;

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for path in DECIDES {
        println!("cargo::rerun-if-changed={path}");
        collect(&root.join(path), &mut files)?;
    }
    files.sort();
    let mut hash = Sha256::new_with_prefix(TAG);
    for file in files {
        let name = file.strip_prefix(root)?.to_str().ok_or("a path is not UTF-8")?.replace('\\', "/");
        let octets = fs::read(&file)?;
        for part in [name.as_bytes(), &octets] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
    }
    let mut digest = String::new();
    for octet in hash.finalize().iter().take(SHOWN_OCTETS) {
        write!(digest, "{octet:02x}")?;
    }
    println!(
        "cargo::rustc-env=TREERING_VERIFIER_BUILD=treering {} sha-256:{digest}",
        env!("CARGO_PKG_VERSION")
    );
    Ok(())
}

/// Every file at or below a path.
fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    if !path.is_dir() {
        files.push(path.to_path_buf());
        return Ok(());
    }
    for entry in fs::read_dir(path)? {
        collect(&entry?.path(), files)?;
    }
    Ok(())
}
