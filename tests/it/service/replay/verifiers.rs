//! A verifier of another version: what it decides otherwise is listed.

use treering::audit::{Appraise, LocalSource, Verdict};
use treering::verifier::{
    Appraisal as Appraised, AppraisalPolicy, Collateral, Evidence, ReferenceValues, Verifier,
};

use super::{replay_by, story};
use crate::support::now;

/// The verifier of tomorrow: as today's, but for one rule.
struct Stricter(Verifier);

impl Appraise for Stricter {
    fn appraise(
        &self,
        evidence: &Evidence,
        collateral: &Collateral,
        policy: &AppraisalPolicy,
        references: &ReferenceValues,
        now: u64,
    ) -> Appraised {
        let text = String::from_utf8(policy.bytes().to_vec()).unwrap();
        // Whoever asks for less than this is asking for too little.
        let policy = AppraisalPolicy::parse(text.replace("microcode = 110", "microcode = 255").as_bytes());
        self.0.appraise(evidence, collateral, &policy.unwrap(), references, now)
    }
}

#[tokio::test]
async fn a_verifier_that_decides_otherwise_shows_as_a_list() {
    let story = story().await;
    let source = LocalSource::open(story.stage.path("data").as_ref()).unwrap();
    let same = replay_by(&story.stage, &source, Verifier::new, now()).await;
    assert_eq!(same.verdict, Verdict::Identical, "{same:?}");
    let other = replay_by(&story.stage, &source, |roots| Stricter(Verifier::new(roots)), now()).await;
    assert_eq!(other.verdict, Verdict::Differs);
    // What was decided under the second policy: accepted, and refused by the manifest.
    let decided: Vec<_> = other.differing.iter().map(|one| one.decision).collect();
    assert_eq!(decided, ["appraisal", "mapping", "issuance", "appraisal", "refusal"], "{other:?}");
    let what = &other.differing[0].what;
    assert!(what.contains("ear_status is \"") && what.contains("logged was \"affirming\""), "{what}");
    assert!(what.contains("checks.tcb-floor.ok is false now, logged was true"), "{what}");
    assert!(other.differing[1].what.starts_with("it is refused now, at step appraisal"), "{other:?}");
    let refused = "it is refused for appraisal: tcb-floor now; logged was mapping: no-selector";
    assert_eq!(other.differing[4].what, refused);
    assert_eq!(other.decisions["appraisal"].identical, 4);
}
