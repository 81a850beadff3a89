//! `treering policy lint`: what the owner of a policy will hardly have meant.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::cli::{files, output};
use crate::clock::{self, Clock, SystemClock};
use crate::mapper::{self, Manifest};
use crate::verifier::{self, AppraisalPolicy, Level, Remark};

use super::Kind;

const EXAMPLES: &str = "\
Examples:
  An appraisal policy, as it is today:
    treering policy lint appraisal-policy.toml
  As it will be when its waivers have ended, for a program:
    treering policy lint appraisal-policy.toml --at 2027-01-01T00:00:00Z --json
  A mapping manifest:
    treering policy lint --kind mapping manifest.toml

Errors are what cannot be meant so: rules that nothing can meet, or that have no effect. Warnings may be meant.
Notes name each value that is more lenient than what is left out would be.
Exit status: 0 without errors; 1 with some; 3 if the file is no policy.";

/// Look for contradictions in a policy, and for what is more lenient than the default
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The policy
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// What it is about
    #[arg(long, default_value = "appraisal")]
    kind: Kind,
    /// The instant to look at its waivers, RFC 3339; without it, now
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    ok: bool,
    id: String,
    remarks: &'a [Remark],
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let bytes = files::read(&args.file)?;
    let now = match &args.at {
        Some(text) => clock::parse_rfc3339(text).with_context(|| format!("--at {text}"))?,
        None => SystemClock.now(),
    };
    let what = || format!("{} is not a policy of that kind", args.file.display());
    let remarks = match args.kind {
        Kind::Appraisal => verifier::lint(&AppraisalPolicy::parse(&bytes).with_context(what)?, now),
        Kind::Mapping => mapper::lint(&Manifest::parse(&bytes).with_context(what)?),
    };
    let count = |level: Level| remarks.iter().filter(|remark| remark.level == level).count();
    let errors = count(Level::Error);
    if args.json {
        let id = verifier::ni_uri(&verifier::fingerprint(&bytes));
        output::json(&Report { ok: errors == 0, id, remarks: &remarks })?;
    } else {
        for remark in &remarks {
            output::line(remark);
        }
        output::line(format!(
            "errors: {errors}, warnings: {}, values more lenient than the default: {}",
            count(Level::Warning),
            count(Level::Note)
        ));
    }
    Ok(ExitCode::from(u8::from(errors > 0)))
}
