//! `treering replay`: every logged decision, made again from the log.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use treering_provenance::trust::Trust;

use crate::audit::{self, Decided, Finding, Keyring, Progress, Report, Scope, Source, Verdict};
use crate::clock::{Clock, SystemClock};
use crate::verifier::{DEFAULT_CACHED_CHAINS, Verifier};

use super::source::{From, Opened};
use super::trace::auditor_key;
use super::{files, output};

const EXAMPLES: &str = "\
Examples:
  Every decision in a copy of the log's folder, without any service:
    treering replay --all --trust trust.json --key auditor.key --data data
  What this build of the verifier would decide otherwise, for a program:
    treering replay --all --kind appraisal --trust trust.json --key auditor.key --data data --json
  One entry, from the service:
    treering replay --entry 17 --trust trust.json --key auditor.key \\
        --url https://identity.bank.example --tls-ca tls/ca.pem \\
        --client-cert clients/auditor.pem --client-key clients/auditor.key
  What is public, without an auditor's key: whose statements were registered:
    treering replay --all --trust trust.json --data data

All entries are first proved to be those of a signed, witnessed checkpoint. Each decision is then made again, by the code \
that made it and from what the log holds, and compared octet for octet.

With --json: verdict (identical, differs, cannot-evaluate), tree_size, cosigners, decisions (of each kind: identical, \
differing, undetermined, not_opened), records, differing, undetermined, not_opened (of each finding: entry, decision, what), \
left_out (findings beyond those listed), not_checked.
Exit status: 0 every decision came out the same, 1 at least one differs, 2 none differs and at least one could not be made \
again (not opened, or not determined by the log), 3 the log could not be read.";

/// Make logged decisions again, and list those that come out otherwise
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[command(group(clap::ArgGroup::new("which").required(true).args(["entry", "all"])))]
pub(super) struct Args {
    /// The entry whose decision is made again
    #[arg(long, value_name = "N")]
    entry: Option<u64>,
    /// All of them
    #[arg(long)]
    all: bool,
    /// Decisions of this kind alone, one of registration, activation, appraisal, mapping, issuance, refusal; may be given
    /// again
    #[arg(long, value_name = "KIND", value_parser = kind)]
    kind: Vec<Decided>,
    /// The trust file
    #[arg(long, value_name = "FILE")]
    trust: PathBuf,
    /// The auditor's private key (JWK), to which content was granted; without it, what is public
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    #[command(flatten)]
    from: From,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

fn kind(word: &str) -> Result<Decided, String> {
    let found = Decided::ALL.into_iter().find(|decided| decided.as_str() == word);
    found.ok_or_else(|| format!("want one of {}", Decided::ALL.map(Decided::as_str).join(", ")))
}

pub(super) async fn run(args: &Args) -> Result<ExitCode> {
    let trust = files::trust(&args.trust)?;
    let report = match args.from.open()? {
        Opened::Local(source) => again(args, &source, &trust).await?,
        Opened::Remote(source) => again(args, &*source, &trust).await?,
    };
    if args.json {
        output::json(&report)?;
    } else {
        print(&report);
    }
    Ok(match report.verdict {
        Verdict::Identical => ExitCode::SUCCESS,
        Verdict::Differs => ExitCode::from(1),
        Verdict::CannotEvaluate => ExitCode::from(2),
    })
}

async fn again(args: &Args, source: &impl Source, trust: &Trust) -> Result<Report> {
    let keyring = match &args.key {
        Some(key) => Keyring::unlock(source, &auditor_key(key)?, trust.origin()).await?,
        None => Keyring::default(),
    };
    let scope = Scope { entry: args.entry.filter(|_| !args.all), kinds: args.kind.clone() };
    let bar = if args.json { ProgressBar::hidden() } else { ProgressBar::new(0) };
    if let Ok(style) = ProgressStyle::with_template("{msg:8} {bar:40} {pos}/{len} entries, {eta} left") {
        bar.set_style(style);
    }
    let mut progress = |progress| {
        let (word, done, all) = match progress {
            Progress::Reading { done, all } => ("reading", done, all),
            Progress::Deciding { done, all } => ("deciding", done, all),
        };
        bar.set_message(word);
        bar.set_length(all);
        bar.set_position(done.min(all));
    };
    let verifier = |roots| Verifier::with_capacity(roots, DEFAULT_CACHED_CHAINS);
    let now = SystemClock.now();
    let report = audit::replay_log(source, trust, &keyring, &scope, (verifier, now), &mut progress).await;
    bar.finish_and_clear();
    Ok(report?)
}

fn print(report: &Report) {
    let cosigners =
        if report.cosigners.is_empty() { "nobody".to_owned() } else { report.cosigners.join(", ") };
    output::line(format!("every entry is under tree size {}, cosigned by {cosigners}", report.tree_size));
    output::line(format!(
        "  {:<14}{:>11}{:>11}{:>14}{:>12}",
        "", "identical", "differing", "undetermined", "not opened"
    ));
    for (name, tally) in &report.decisions {
        let audit::Tally { identical, differing, undetermined, not_opened } = tally;
        output::line(format!("  {name:<14}{identical:>11}{differing:>11}{undetermined:>14}{not_opened:>12}"));
    }
    output::line(format!("  {:<14}{:>11}  entries that record no decision", "record", report.records));
    list("DIFFERS", &report.differing);
    list("undetermined", &report.undetermined);
    list("not opened", &report.not_opened);
    if report.left_out > 0 {
        output::line(format!("and {} more", report.left_out));
    }
    for item in &report.not_checked {
        output::line(format!("not checked: {item}"));
    }
    output::line(match report.verdict {
        Verdict::Identical => "every decision came out the same",
        Verdict::Differs => "NOT every decision came out the same",
        Verdict::CannotEvaluate => "no decision came out otherwise; not every one could be made again",
    });
}

fn list(word: &str, findings: &[Finding]) {
    for Finding { entry, decision, what } in findings {
        output::line(format!("entry {entry} {decision}: {word}: {what}"));
    }
}
