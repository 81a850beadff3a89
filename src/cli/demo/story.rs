//! The story: steps with what happened, which entries, how long; for people or as one JSON object.

use std::path::Path;

use serde::Serialize;
use serde_json::{Value, json};

use crate::clock::Stopwatch;

use super::super::output;

#[derive(Debug, Serialize)]
struct Step {
    name: &'static str,
    ok: bool,
    ms: u64,
    entries: Vec<u64>,
}

/// What the demo found out, for its report.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) issued: u64,
    pub(super) refused: u64,
    pub(super) log: Value,
    pub(super) verify: Value,
    pub(super) trace: Value,
    pub(super) replay: Value,
    pub(super) tamper: Value,
}

/// The story as it unfolds.
pub(super) struct Story {
    quiet: bool,
    steps: Vec<Step>,
    current: Option<(&'static str, Stopwatch)>,
    whole: Stopwatch,
    failure: Option<String>,
    /// What was found out.
    pub(super) findings: Findings,
}

impl Story {
    pub(super) fn new(quiet: bool) -> Self {
        Self {
            quiet,
            steps: Vec::new(),
            current: None,
            whole: Stopwatch::start(),
            failure: None,
            findings: Findings::default(),
        }
    }

    /// A step begins.
    pub(super) fn begin(&mut self, name: &'static str, title: &str) {
        self.say(format!("\n{}. {title}", self.steps.len() + 1));
        self.current = Some((name, Stopwatch::start()));
    }

    /// A detail of the step.
    pub(super) fn detail(&self, text: impl std::fmt::Display) {
        self.say(format!("     {text}"));
    }

    /// The step is done.
    pub(super) fn told(&mut self, entries: &[u64], text: &str) {
        let ms = self.end(true, entries);
        let place = match entries {
            [] => String::new(),
            [one] => format!(", entry {one}"),
            [first, .., last] => format!(", entries {first} to {last}"),
        };
        self.say(format!("   ✓ {text} ({ms} ms{place})"));
    }

    /// The step failed, and with it the demo.
    pub(super) fn fail(&mut self, error: &anyhow::Error) {
        self.end(false, &[]);
        let text = error.chain().map(ToString::to_string).collect::<Vec<_>>().join(": ");
        if self.quiet {
            output::remark(format!("failed: {text}"));
        }
        self.say(format!("   ✗ {text}"));
        self.failure = Some(text);
    }

    fn end(&mut self, ok: bool, entries: &[u64]) -> u64 {
        let Some((name, watch)) = self.current.take() else { return 0 };
        let ms = watch.ms();
        self.steps.push(Step { name, ok, ms, entries: entries.to_vec() });
        ms
    }

    fn say(&self, text: String) {
        if !self.quiet {
            output::line(text);
        }
    }

    /// Whether every step did what it should.
    pub(super) fn ok(&self) -> bool {
        self.failure.is_none() && self.steps.iter().all(|step| step.ok)
    }

    /// The JSON object.
    pub(super) fn report(&self) -> Value {
        let found = &self.findings;
        json!({
            "ok": self.ok(),
            "steps": self.steps,
            "issued": found.issued,
            "refused": found.refused,
            "log": found.log,
            "verify": found.verify,
            "trace": found.trace,
            "replay": found.replay,
            "tamper": found.tamper,
        })
    }

    /// The end, for people.
    pub(super) fn summary(&self, kept: Option<&Path>) {
        let verdict =
            if self.ok() { "Everything did what it should" } else { "NOT everything did what it should" };
        let (issued, refused) = (self.findings.issued, self.findings.refused);
        self.say(format!(
            "\n{verdict}: {issued} credentials issued, {refused} refused, all logged; {} ms.",
            self.whole.ms()
        ));
        if let Some(dir) = kept {
            let dir = dir.display();
            self.say(format!("Kept in {dir}. Try by hand:"));
            self.say(format!("  treering verify --credential {dir}/credential.pem --trust {dir}/trust.json"));
            self.say(format!(
                "  treering trace --credential {dir}/credential.pem --trust {dir}/trust.json --key {dir}/auditor.key --data {dir}/ledger/data"
            ));
        }
    }
}
