//! What several tests need: the folder of foreign vectors, and a tree in memory.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use treering_tlog::hash::{Hash, leaf_hash};
use treering_tlog::tree::{Frontier, NodeCoord};

/// The folder of vectors that others made, beside the workspace; `None` (with one line on stderr) where it is absent,
/// which is an error on CI.
pub(crate) fn vectors(under: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let folder = root.join("../shared/vectors").join(under);
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(
        std::env::var_os("CI").is_none_or(|ci| ci != "true"),
        "vectors are absent on CI: {}",
        folder.display()
    );
    // Past the capture of what tests print.
    std::io::stderr().write_all(format!("skipped: no vectors at {}\n", folder.display()).as_bytes()).unwrap();
    None
}

/// All files below a folder, sorted, so that a failure names the same file every time.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            out.extend(files(&path));
        } else {
            out.push(path);
        }
    }
    out.sort();
    out
}

/// A tree with every complete node kept.
#[derive(Default)]
pub(crate) struct MemoryTree {
    pub(crate) frontier: Frontier,
    nodes: BTreeMap<NodeCoord, Hash>,
}

impl MemoryTree {
    pub(crate) fn of_entries<'a>(entries: impl IntoIterator<Item = &'a [u8]>) -> Self {
        Self::of_leaves(entries.into_iter().map(leaf_hash))
    }

    pub(crate) fn of_leaves(leaves: impl IntoIterator<Item = Hash>) -> Self {
        let mut tree = Self::default();
        for leaf in leaves {
            tree.push(leaf);
        }
        tree
    }

    pub(crate) fn push(&mut self, leaf: Hash) {
        let nodes = &mut self.nodes;
        self.frontier.push_visit(leaf, |coord, hash| {
            nodes.insert(coord, hash);
        });
    }

    /// The reader that proofs are made from.
    pub(crate) fn reader(&self) -> impl Fn(NodeCoord) -> Result<Hash, Infallible> + '_ {
        |coord| Ok(self.nodes[&coord])
    }
}
