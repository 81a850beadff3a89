//! Reads a mapping manifest for what its owner will hardly have meant: selectors that an earlier one leaves nothing to
//! match, or that no evidence can meet.

use std::collections::BTreeSet;

use crate::verifier::{self, Assurance, Remark};

use super::manifest::{Manifest, Selector};

/// What a token of another Verifier can be about beside our own kinds of evidence.
const VOUCHED_FOR: [&str; 4] = ["nvidia-gpu", "sev", "sev-es", "tdx"];
/// Kinds that no hardware vouches for.
const WITHOUT_TEE: [&str; 2] = ["software", "gcp-shielded-vm"];

/// Every remark about a manifest, errors first.
pub fn lint(manifest: &Manifest) -> Vec<Remark> {
    let mut remarks = Vec::new();
    let mut names = BTreeSet::new();
    for (number, selector) in manifest.selectors.iter().enumerate() {
        let at = format!("selector {:?}", selector.name);
        if !names.insert(&selector.name) {
            remarks.push(Remark::error(&at, "that name is there twice"));
        }
        let earlier = manifest.selectors.iter().take(number).find(|earlier| covers(earlier, selector));
        if let Some(earlier) = earlier {
            remarks.push(Remark::error(
                &at,
                format!("{:?} matches all that it would: it never decides", earlier.name),
            ));
        }
        alone(&at, selector, &mut remarks);
    }
    for claim in &manifest.migration_sensitive {
        let sets =
            |selector: &Selector| selector.claims.contains_key(claim) || selector.derived.contains_key(claim);
        if !manifest.selectors.iter().any(sets) {
            remarks.push(Remark::warning(
                "migration_sensitive",
                format!("no selector sets the claim {claim:?}"),
            ));
        }
    }
    remarks.sort_by_key(|remark| remark.level);
    remarks
}

/// Whether whatever meets `later` meets `earlier` too.
fn covers(earlier: &Selector, later: &Selector) -> bool {
    later.tee.iter().all(|one| earlier.tee.contains(one))
        && later.assurance.iter().all(|one| earlier.assurance.contains(one))
        && later.reference_values.iter().all(|one| earlier.reference_values.contains(one))
}

fn alone(at: &str, selector: &Selector, out: &mut Vec<Remark>) {
    let empty = [
        ("tee", selector.tee.is_empty()),
        ("assurance", selector.assurance.is_empty()),
        ("reference_values", selector.reference_values.is_empty()),
    ];
    for (key, _) in empty.into_iter().filter(|(_, empty)| *empty) {
        out.push(Remark::error(at, format!("{key} is empty: nothing can match")));
    }
    for tee in &selector.tee {
        let known = |part: &str| {
            verifier::checks_of(part).is_some() || VOUCHED_FOR.contains(&part) || WITHOUT_TEE.contains(&part)
        };
        for part in tee.split('+').filter(|part| !known(part)) {
            out.push(Remark::warning(at, format!("no evidence and no known result is of tee {part:?}")));
        }
        let software = tee.split('+').any(|part| WITHOUT_TEE.contains(&part));
        if software && !selector.assurance.contains(&Assurance::Software) {
            out.push(Remark::error(
                at,
                format!("{tee:?} is of assurance \"software\", which it does not name"),
            ));
        }
        if !software && !selector.assurance.iter().any(|one| *one != Assurance::Software) {
            out.push(Remark::warning(
                at,
                format!("{tee:?} is of assurance \"software\" only if a Verifier says so"),
            ));
        }
    }
    for (assurance, what) in [
        (Assurance::Simulated, "simulated platforms are accepted"),
        (Assurance::Software, "workloads without a TEE are accepted"),
    ] {
        if selector.assurance.contains(&assurance) {
            out.push(Remark::lenient(at, what));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verifier::Level;

    const SAMPLE: &str = include_str!("../../docs/samples/mapping-manifest.toml");

    fn remarks(text: &str) -> Vec<Remark> {
        lint(&Manifest::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}")))
    }

    #[test]
    fn the_sample_is_clean() {
        assert_eq!(remarks(SAMPLE), []);
    }

    /// Each mistake alone, and what is said of it.
    #[test]
    fn each_mistake_is_named() {
        let second = "\n[[selector]]\nname = \"second\"\ntee = [\"sev-snp\"]\nassurance = [\"hardware\"]\n";
        let cases = [
            (
                format!("{SAMPLE}{second}reference_values = [\"payments-api 1.4.1\"]\n"),
                Level::Error,
                "never decides",
            ),
            (SAMPLE.replace("tee = [\"sev-snp\"]", "tee = []"), Level::Error, "tee is empty"),
            (SAMPLE.replace("tee = [\"sev-snp\"]", "tee = [\"snp\"]"), Level::Warning, "of tee \"snp\""),
            (
                SAMPLE.replace("tee = [\"sev-snp\"]", "tee = [\"software\"]"),
                Level::Error,
                "which it does not name",
            ),
            (
                SAMPLE.replace("[\"hardware\"]", "[\"software\"]"),
                Level::Warning,
                "only if a Verifier says so",
            ),
            (SAMPLE.replace("[\"hardware\"]", "[\"simulated\"]"), Level::Note, "simulated"),
            (
                SAMPLE.replace("migration_sensitive = []", "migration_sensitive = [\"x\"]"),
                Level::Warning,
                "\"x\"",
            ),
        ];
        for (text, level, word) in cases {
            let found = remarks(&text);
            let hit = |remark: &Remark| remark.level == level && remark.text.contains(word);
            assert!(found.iter().any(hit), "{word}: {found:?}");
        }
        // One that matches less than an earlier one, and something else too, still decides.
        let other = format!("{SAMPLE}{second}reference_values = [\"payments-api 1.4.1\", \"other\"]\n");
        assert_eq!(remarks(&other), []);
    }
}
