//! The witness-conformance cases that others wrote, each over real HTTP against a fresh witness.

use data_encoding::BASE64;
use serde::Deserialize;
use treering_tlog::checkpoint::Checkpoint;
use treering_tlog::hash::Hash;
use treering_tlog::note::{Note, NoteSignature};

use crate::support::{ORIGIN, Served, TestLog, vectors};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[serde(rename = "name", default)]
    _name: String,
    #[serde(rename = "description", default)]
    _description: String,
    old_size: u64,
    new_size: u64,
    root_hash: String,
    proof: Vec<String>,
    expected_status: Option<u16>,
    should_fail: bool,
    #[serde(default = "yes")]
    checkpoint_valid: bool,
}

fn yes() -> bool {
    true
}

impl Case {
    /// The body as text: some cases are malformed, so it is not made through the types that refuse that.
    fn body(&self, log: &TestLog) -> String {
        let text = format!("{ORIGIN}\n{}\n{}\n", self.new_size, self.root_hash);
        let line = if self.checkpoint_valid {
            log.signer.sign(&text).unwrap()
        } else {
            NoteSignature::new(ORIGIN, 0, vec![0; 64]).unwrap()
        };
        let proof = [self.proof.as_slice(), &[String::new()]].concat().join("\n");
        format!("old {}\n{proof}\n{text}\n{line}", self.old_size)
    }
}

#[tokio::test]
async fn every_case_has_its_outcome() {
    let Some(folder) = vectors("c2sp/witness-conformance/cases") else { return };
    let log = TestLog::of_leaves((0..16u8).map(|i| {
        let mut leaf = [0; 32];
        (leaf[0], leaf[1]) = (0x2a, i);
        Hash::from_bytes(leaf)
    }));
    let mut names: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    assert_eq!(names.len(), 13);
    for path in names {
        let case: Case = serde_json::from_slice(&std::fs::read(&path).unwrap())
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let served = Served::start().await;
        for size in 0..case.old_size {
            assert_eq!(served.add(log.request(size, size + 1)).await.status, 200);
        }
        let answer = served.add(case.body(&log)).await;
        let wanted_status =
            case.expected_status.map_or(answer.status >= 400, |wanted| answer.status == wanted);
        assert!(wanted_status, "{}: {answer:?}", path.display());
        assert_eq!(answer.status != 200, case.should_fail, "{}: {answer:?}", path.display());
        if !case.should_fail {
            assert!(answer.body.starts_with("\u{2014} "), "{answer:?}");
            // The answer, put behind the checkpoint, is a note that the witness has signed.
            let text = Checkpoint::new(ORIGIN, case.new_size, decode(&case.root_hash)).unwrap().body();
            let note = Note::parse(format!("{text}\n{}", answer.body).as_bytes()).unwrap();
            let keys = [crate::support::witness_signer().verifier().clone()];
            assert_eq!(note.verify(&keys).unwrap().len(), 1);
        }
        served.stop().await;
    }
}

fn decode(text: &str) -> Hash {
    Hash::from_slice(&BASE64.decode(text.as_bytes()).unwrap()).unwrap()
}
