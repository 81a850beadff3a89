//! What `treering appraise` prints: for people a table of the checks, for programs one JSON object.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::hints::{HINT_INPUT, hint};
use crate::clock;
use crate::verifier::{self, Appraisal, Assurance, CheckResult, Component, Refused};

/// How much is said.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    /// Whether to say which octets each check reads.
    pub(super) explain: bool,
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
    style: Style,
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
                if style.explain {
                    object.insert("reads".to_owned(), json!(verifier::reads(component.kind(), check.name())));
                }
            }
            checks.push(value);
        }
    }
    for check in appraisal.composite_checks() {
        checks.push(serde_json::to_value(check)?);
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
pub(super) fn for_people(appraisal: &Appraisal, bound: Option<&Bound>, style: Style) -> String {
    let mut out = String::new();
    let width = appraisal.checks().map(|check| check.name().len()).max().unwrap_or_default();
    for component in appraisal.components() {
        if appraisal.components().len() > 1 {
            line(&mut out, format_args!("{}:", component.name()));
        }
        table(&mut out, component.checks(), width, Some(component).filter(|_| style.explain));
        out.push('\n');
        for (name, value) in component.claims().and_then(Value::as_object).into_iter().flatten() {
            line(&mut out, format_args!("{name:22} {}", shortened(value)));
        }
        out.push('\n');
    }
    if !appraisal.composite_checks().is_empty() {
        line(&mut out, format_args!("together:"));
        table(&mut out, appraisal.composite_checks(), width, None);
        out.push('\n');
    }
    line(&mut out, format_args!("appraised at {}\n", clock::rfc3339(appraisal.now())));
    line(&mut out, format_args!("EAR: {}\n", String::from_utf8_lossy(appraisal.ear())));
    verdict_line(&mut out, appraisal, bound);
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

fn table(out: &mut String, checks: &[CheckResult], width: usize, explained: Option<&Component>) {
    for check in checks {
        line(out, format_args!("{:7} {:width$}  {}", verdict(check), check.name(), detail(check)));
        let reads = explained.and_then(|component| verifier::reads(component.kind(), check.name()));
        if let Some(reads) = reads {
            line(out, format_args!("{:7} {:width$}  reads {reads}", "", ""));
        }
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
