//! The proofs of transparency-dev/merkle, to accept and to reject.

use data_encoding::BASE64;
use serde::Deserialize;
use treering_tlog::hash::{Hash, leaf_hash};
use treering_tlog::{consistency, inclusion, subtree};

use crate::support::{files, vectors};

/// The cases that proof arithmetic alone does not decide, each with the rule of ours that does, and whether it makes us
/// accept. All others must agree with their file.
const EDGE_CASES: [(&str, &str, bool); 5] = [
    ("subtreeinclusion/single-entry/empty-root-and-leaf.json", "an empty string is not a hash", false),
    (
        "subtreeinclusion/single-entry/empty-root-and-leaf-subtree.json",
        "an empty string is not a hash",
        false,
    ),
    (
        // The file accepts: nothing is known of the tree root that the empty subtree could contradict.
        "subtreeconsistency/additional/subtree-is-empty-sizes-are-equal-one-subtree-root-valid-tree-root-random-proof-is-empty.json",
        "a tree root of 12 bytes is not a hash",
        false,
    ),
    (
        "consistency/additional/sizes-are-equal-zero-and-proof-is-empty.json",
        "two equal roots at size 0 that are not the root of the empty tree",
        false,
    ),
    (
        "subtreeconsistency/additional/sizes-are-equal-zero-and-proof-is-empty.json",
        "two equal roots at size 0 that are not the root of the empty tree",
        false,
    ),
];

/// Those of the edge cases that only the length of a hash decides: with any 32 bytes in the place of the placeholder the
/// proof is accepted.
const DECIDED_BY_LENGTH: [&str; 3] = [EDGE_CASES[0].0, EDGE_CASES[1].0, EDGE_CASES[2].0];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Case {
    leaf_idx: Option<u64>,
    tree_size: Option<u64>,
    size: Option<u64>,
    size1: Option<u64>,
    size2: Option<u64>,
    start: Option<u64>,
    end: Option<u64>,
    root: Option<String>,
    root1: Option<String>,
    root2: Option<String>,
    leaf_hash: Option<String>,
    proof: Option<Vec<String>>,
    #[serde(rename = "desc")]
    _desc: String,
    want_err: bool,
}

impl Case {
    /// Whether we accept the proof of a file in this directory.
    fn accepted(&self, kind: &str, decode: Decode) -> bool {
        self.check(kind, decode).is_some()
    }

    fn check(&self, kind: &str, decode: Decode) -> Option<()> {
        let path: Vec<Hash> = self.proof.iter().flatten().map(decode).collect::<Option<_>>()?;
        let hash = |text: &Option<String>| decode(text.as_ref().unwrap());
        match kind {
            "inclusion" => inclusion::verify(
                &hash(&self.leaf_hash)?,
                self.leaf_idx.unwrap(),
                self.tree_size.unwrap(),
                &path,
                &hash(&self.root)?,
            ),
            "consistency" => consistency::verify(
                self.size1.unwrap(),
                self.size2.unwrap(),
                &hash(&self.root1)?,
                &hash(&self.root2)?,
                &path,
            ),
            "subtreeinclusion" => subtree::verify_inclusion(
                &hash(&self.leaf_hash)?,
                self.leaf_idx.unwrap(),
                self.start.unwrap(),
                self.end.unwrap(),
                &path,
                &hash(&self.root)?,
            ),
            "subtreeconsistency" => subtree::verify_consistency(
                self.start.unwrap(),
                self.end.unwrap(),
                self.size.unwrap(),
                &path,
                &hash(&self.root1)?,
                &hash(&self.root2)?,
            ),
            other => panic!("unknown kind {other}"),
        }
        .ok()
    }
}

type Decode = fn(&String) -> Option<Hash>;

/// As everywhere in this crate: 32 bytes or nothing.
fn strict(text: &String) -> Option<Hash> {
    Hash::from_slice(&BASE64.decode(text.as_bytes()).unwrap()).ok()
}

/// Puts some 32 bytes in the place of a placeholder, so that its length decides nothing.
fn lenient(text: &String) -> Option<Hash> {
    strict(text).or_else(|| Some(leaf_hash(text.as_bytes())))
}

#[test]
fn every_proof_is_accepted_or_rejected_as_its_file_says() {
    let Some(folder) = vectors("merkle") else { return };
    let (mut accepted, mut rejected, mut edge) = (0, 0, 0);
    for kind in ["consistency", "inclusion", "subtreeconsistency", "subtreeinclusion"] {
        for path in files(&folder.join(kind)) {
            let name = path.strip_prefix(&folder).unwrap().to_str().unwrap().to_owned();
            let case: Case = serde_json::from_slice(&std::fs::read(&path).unwrap())
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            let is_accepted = case.accepted(kind, strict);
            let by_length = DECIDED_BY_LENGTH.contains(&name.as_str());
            assert_eq!(case.accepted(kind, lenient) != is_accepted, by_length, "{name}");
            if let Some((_, rule, wanted)) = EDGE_CASES.iter().find(|(edge_name, ..)| *edge_name == name) {
                assert_eq!(is_accepted, *wanted, "{name}: {rule}");
                edge += 1;
                continue;
            }
            assert_eq!(is_accepted, !case.want_err, "{name}");
            if is_accepted { accepted += 1 } else { rejected += 1 }
        }
    }
    assert_eq!((accepted, rejected, edge), (23, 332, 5));
}
