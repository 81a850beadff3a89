//! What a verifier keeps between appraisals changes no result: warm and cold they are the same, to the octet.

use std::sync::LazyLock;

use proptest::prelude::*;
use treering::verifier::{AppraisalPolicy, Collateral, Verifier};

use super::{Case, conformance, newest, policy_of};

static EXAMPLES: LazyLock<Vec<Case>> =
    LazyLock::new(|| [conformance::examples(), newest::of_several_lists()].concat());

/// An appraisal beside the one that an example is: at another time, with less collateral or other lists of it, under another
/// policy, of octets of which one is changed.
#[derive(Debug, Clone)]
struct Step {
    later_s: i64,
    bare: bool,
    /// Which of the lists and of the documents are given, bit by bit.
    lists: u8,
    policy: usize,
    flip: Option<(prop::sample::Index, u8)>,
}

fn step() -> impl Strategy<Value = Step> {
    const YEAR: i64 = 366 * 86_400;
    let later = prop_oneof![
        4 => Just(0_i64),
        1 => -600_i64..600,
        1 => prop::sample::select(vec![-40 * YEAR, -YEAR, YEAR, 40 * YEAR]),
    ];
    let flip = prop::option::of((any::<prop::sample::Index>(), 0_u8..8));
    let lists = prop_oneof![Just(u8::MAX), any::<u8>()];
    (later, prop::bool::weighted(0.2), lists, 0_usize..3, flip)
        .prop_map(|(later_s, bare, lists, policy, flip)| Step { later_s, bare, lists, policy, flip })
}

impl Step {
    fn of(&self, example: &Case) -> Case {
        let mut octets = example.octets().to_vec();
        if let Some((at, bit)) = &self.flip {
            let at = at.index(octets.len());
            octets[at] ^= 1 << bit;
        }
        let policy = match self.policy {
            0 => example.policy.clone(),
            1 => AppraisalPolicy::baseline(),
            _ => policy_of(""),
        };
        let collateral = if self.bare { Collateral::default() } else { self.collateral(&example.collateral) };
        let now = example.now.saturating_add_signed(self.later_s);
        Case { collateral, policy, now, ..example.with_octets(octets) }
    }

    fn collateral(&self, all: &Collateral) -> Collateral {
        let given = |position: usize| self.lists >> (position % 8) & 1 == 1;
        let lists = all.crls().iter().enumerate().filter(|(position, _)| given(*position));
        let lists = lists.map(|(_, list)| list.clone()).collect();
        let documents = all.documents().iter().enumerate().filter(|(position, _)| given(*position));
        let documents = documents.map(|(_, document)| document.clone()).collect();
        Collateral::new(all.certificates().to_vec(), lists).unwrap().with_documents(documents).unwrap()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever was appraised before, and however little is kept.
    #[test]
    fn what_is_kept_changes_no_result(
        steps in prop::collection::vec(step(), 1..5),
        capacity in 1_usize..3,
    ) {
        for example in EXAMPLES.iter() {
            let verifier = Verifier::with_capacity(example.roots.clone(), capacity);
            let first = Step { later_s: 0, bare: false, lists: u8::MAX, policy: 0, flip: None };
            for step in std::iter::once(&first).chain(&steps).chain([&first]) {
                let case = step.of(example);
                let Case { evidence, collateral, policy, references, now, .. } = &case;
                let warm = verifier.appraise(evidence, collateral, policy, references, *now);
                prop_assert_eq!(warm, case.appraise(), "{}: {:?}", &example.name, step);
            }
        }
    }
}
