//! What `treering appraise` prints: for people a table of the checks, for programs one JSON object.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::hints::{HINT_INPUT, hint, unasked};
use crate::clock;
use crate::verifier::{self, Appraisal, Assurance, CheckResult, Part, Refused, SUBMOD_COMPOSITE};

/// What is said beside the checks and what they amount to.
#[derive(Debug, Clone, Default)]
pub(super) struct Style {
    /// Of each component what its parts are, and where: to say which octets each check reads. None: not to be said.
    pub(super) explained: Option<Vec<Explained>>,
    /// What nobody asked, where no policy was given.
    pub(super) not_asked: Vec<String>,
}

/// A component, laid out.
#[derive(Debug, Clone)]
pub(super) struct Explained {
    /// Its name.
    pub(super) component: String,
    /// Where its octets are in the file, in words.
    pub(super) place: String,
    /// Its parts.
    pub(super) parts: Vec<Part>,
}

/// What came of comparing the binding value that the caller gave.
#[derive(Debug, Clone)]
pub(super) struct Bound {
    /// The components that do not carry it; none is what one hopes for.
    pub(super) unbound: Vec<String>,
}

pub(super) fn for_programs(
    appraisal: &Appraisal,
    bound: Option<&Bound>,
    style: &Style,
) -> anyhow::Result<String> {
    let ear: Value = serde_json::from_slice(appraisal.ear())?;
    let mut out = Map::new();
    let status = if appraisal.is_evidence() { appraisal.status().name() } else { "cannot-evaluate" };
    out.insert("status".to_owned(), json!(status));
    out.insert("submods".to_owned(), ear.get("submods").cloned().unwrap_or_default());
    let mut checks: Vec<Value> = Vec::new();
    for component in appraisal.components() {
        for check in component.checks() {
            let mut value = serde_json::to_value(check)?;
            if let Some(object) = value.as_object_mut() {
                object.insert("component".to_owned(), json!(component.name()));
                if style.explained.is_some() {
                    object.insert("reads".to_owned(), json!(verifier::reads(component.kind(), check.name())));
                }
            }
            checks.push(value);
        }
    }
    for check in appraisal.composite_checks() {
        let mut value = serde_json::to_value(check)?;
        if let Some(object) = value.as_object_mut().filter(|_| style.explained.is_some()) {
            object.insert("reads".to_owned(), json!(verifier::reads(SUBMOD_COMPOSITE, check.name())));
        }
        checks.push(value);
    }
    if let Some(explained) = &style.explained {
        out.insert("evidence".to_owned(), explained.iter().map(Explained::json).collect());
    }
    if !style.not_asked.is_empty() {
        out.insert("not_asked".to_owned(), json!(style.not_asked));
    }
    out.insert("checks".to_owned(), checks.into());
    if let Some(bound) = bound {
        out.insert("bound".to_owned(), json!({"ok": bound.unbound.is_empty(), "unbound": bound.unbound}));
    }
    if let Some(refusal) = appraisal.refusal() {
        out.insert("refused".to_owned(), json!({"check": refusal.check(), "reason": refusal.to_string()}));
    }
    out.insert("ear".to_owned(), ear);
    Ok(format!("{}\n", Value::Object(out)))
}

/// A table of the checks, what they amount to, the EAR, and on refusal one line of what to do.
pub(super) fn for_people(appraisal: &Appraisal, bound: Option<&Bound>, style: &Style) -> String {
    let mut out = String::new();
    let width = appraisal.checks().map(|check| check.name().len()).max().unwrap_or_default();
    for component in appraisal.components() {
        if appraisal.components().len() > 1 {
            line(&mut out, format_args!("{}:", component.name()));
        }
        let explained = style.explained.iter().flatten();
        for one in explained.filter(|one| one.component == component.name()) {
            layout(&mut out, one);
        }
        table(
            &mut out,
            component.checks(),
            width,
            Some(component.kind()).filter(|_| style.explained.is_some()),
        );
        out.push('\n');
        for (name, value) in component.claims().and_then(Value::as_object).into_iter().flatten() {
            line(&mut out, format_args!("{name:22} {}", shortened(value)));
        }
        out.push('\n');
    }
    if !appraisal.composite_checks().is_empty() {
        line(&mut out, format_args!("together:"));
        let kind = Some(SUBMOD_COMPOSITE).filter(|_| style.explained.is_some());
        table(&mut out, appraisal.composite_checks(), width, kind);
        out.push('\n');
    }
    line(&mut out, format_args!("appraised at {}\n", clock::rfc3339(appraisal.now())));
    line(&mut out, format_args!("EAR: {}\n", String::from_utf8_lossy(appraisal.ear())));
    verdict_line(&mut out, appraisal, bound);
    if !style.not_asked.is_empty() && appraisal.refusal().is_none() {
        let words: Vec<&str> = style.not_asked.iter().map(|key| unasked(key)).collect();
        line(&mut out, format_args!("Not asked, since there is no --policy: {}.", words.join("; ")));
    }
    out
}

fn verdict_line(out: &mut String, appraisal: &Appraisal, bound: Option<&Bound>) {
    let status = appraisal.status().name();
    match (appraisal.refusal(), bound) {
        (Some(refusal @ Refused::NotEvidence(_)), _) => {
            line(out, format_args!("cannot evaluate: {refusal}\n{HINT_INPUT}"));
        }
        (Some(refusal), _) => {
            let hint = hint(refusal.check().unwrap_or_default());
            line(out, format_args!("refused ({status}): {refusal}\n{hint}"));
        }
        (None, Some(Bound { unbound })) if !unbound.is_empty() => {
            line(
                out,
                format_args!("refused ({status}): {} not bound to the value given", unbound.join(", ")),
            );
            line(out, format_args!("It is genuine, and was made for another challenge or key."));
        }
        (None, bound) => {
            let simulated = if simulated(appraisal) { ", of a SIMULATED platform" } else { "" };
            let bound = if bound.is_some() { ", bound to the value given" } else { "" };
            line(out, format_args!("{status}{simulated}{bound}."));
        }
    }
}

fn table(out: &mut String, checks: &[CheckResult], width: usize, explained: Option<&str>) {
    for check in checks {
        line(out, format_args!("{:7} {:width$}  {}", verdict(check), check.name(), detail(check)));
        let reads = explained.and_then(|kind| verifier::reads(kind, check.name()));
        if let Some(reads) = reads {
            line(out, format_args!("{:7} {:width$}  reads {reads}", "", ""));
        }
    }
}

/// Where the parts are that the checks name.
fn layout(out: &mut String, explained: &Explained) {
    line(out, format_args!("octets {}", explained.place));
    for Part { name, range } in &explained.parts {
        line(out, format_args!("  {:#06x}..{:#06x}  {name}", range.start, range.end));
    }
    out.push('\n');
}

impl Explained {
    fn json(&self) -> Value {
        let part = |part: &Part| json!({"name": part.name, "from": part.range.start, "to": part.range.end});
        let parts: Vec<Value> = self.parts.iter().map(part).collect();
        json!({"component": self.component, "place": self.place, "parts": parts})
    }
}

/// A claim on one line: what it is, not all of it. The EAR has all.
fn shortened(value: &Value) -> String {
    const MOST: usize = 160;
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match text.char_indices().nth(MOST) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text,
    }
}

fn simulated(appraisal: &Appraisal) -> bool {
    appraisal.components().iter().any(|component| component.assurance() == Some(Assurance::Simulated))
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing into a String cannot fail.
    if writeln!(out, "{text}").is_err() {
        out.push('\n');
    }
}

fn verdict(check: &CheckResult) -> &'static str {
    match (check.ok(), check.waiver().is_some(), check.failed()) {
        (true, _, _) => "ok",
        (false, true, _) => "waived",
        (false, false, true) => "FAILED",
        (false, false, false) => "-",
    }
}

fn detail(check: &CheckResult) -> String {
    match check.waiver() {
        Some(reason) => format!("{} (waived: {reason})", check.detail()),
        None => check.detail().to_owned(),
    }
}
