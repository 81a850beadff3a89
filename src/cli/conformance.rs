//! `treering conformance`: does a transparency service keep to the specification? Any service, from outside.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde_json::json;
use treering_provenance::cose::{Ed25519Signer, Es256Signer, Signer};

use crate::clock::{Clock, SystemClock};
use crate::conformance::{
    self, Check, ConformanceError, EntryProfile, Level, Maker, Outcome, Report, SPEC, Settings, Supply,
    Target, Verdict,
};
use crate::keys;

use super::{connect, files, output};

const EXAMPLES: &str = "\
Examples:
  A service that takes statements of an issuer whose key you have:
    treering conformance scrapi --url https://transparency.example \\
        --signing-key issuer.pem --iss https://ci.example
  One that wants more of a statement than can be guessed: prepare two, any issuer, any algorithm it takes:
    treering conformance scrapi --url https://transparency.example --tls-ca ca.pem \\
        --statement first.cose --statement second.cose
  Without statements only keys and errors are checked, and the result is \"cannot be evaluated\":
    treering conformance scrapi --url http://127.0.0.1:8000 --allow-http --json

Each rule has its section, its level and a verdict: pass, fail, not-applicable (to what this service does), not-run (no \
request decided it), unseen (no request from outside can). Only a MUST decides the result. Statements that are made say \
`urn:conformance:…` of themselves, and stay in the log.

With --json: service, spec, outcome (conforms, does-not-conform, cannot-evaluate), passed, failed, failed_musts, \
not_applicable, not_run, unseen, checks (of each: id, section, requirement, level, verdict, detail); of a service that does \
not answer: service, spec, outcome, why.
Exit status: 0 every MUST that applies and can be seen from outside was checked and kept, 1 a MUST is broken, 2 the service \
does not answer or a MUST could not be checked, 3 a file could not be read.";

/// Check a transparency service against the specifications, from outside
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  Whatever can be checked without a statement that the service takes:
    treering conformance scrapi --url https://transparency.example")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Check a service against SCRAPI (draft -11), and receipts against RFC 9942 and RFC 9943
    #[command(after_help = EXAMPLES)]
    Scrapi(Box<Scrapi>),
}

/// What the leaves of the service's tree are hashes of
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Entry {
    /// The statement with an empty unprotected header
    Statement,
    /// The SHA-256 of that
    Digest,
}

#[derive(Debug, clap::Args)]
struct Scrapi {
    /// The service: what stands before /entries
    #[arg(long, value_name = "URL")]
    url: String,
    /// The CAs of the service's TLS certificate, PEM; without it, those of this system
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// Ask an `http://` address, too
    #[arg(long, alias = "insecure-http")]
    allow_http: bool,
    /// Your client certificate, PEM
    #[arg(long, value_name = "FILE", requires = "client_key")]
    client_cert: Option<PathBuf>,
    /// Its key, PEM
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    client_key: Option<PathBuf>,
    /// A statement that the service takes: COSE_Sign1 with tag 18. Two are better than one
    #[arg(long, value_name = "FILE", conflicts_with = "signing_key")]
    statement: Vec<PathBuf>,
    /// The key of an issuer whose statements it takes: Ed25519 or P-256, PKCS#8 in PEM
    #[arg(long, alias = "issuer-key", value_name = "FILE", requires = "iss")]
    signing_key: Option<PathBuf>,
    /// The issuer's name (iss)
    #[arg(long, alias = "issuer", value_name = "URI", requires = "signing_key")]
    iss: Option<String>,
    /// For whom statements are (aud), if the service wants to be named
    #[arg(long, value_name = "NAME", requires = "signing_key")]
    aud: Option<String>,
    /// The media type of statements' payloads
    #[arg(long, value_name = "TYPE", default_value = "text/plain")]
    content_type: String,
    /// What the leaves of the tree are hashes of: no specification says
    #[arg(long, value_enum, default_value = "statement")]
    entry: Entry,
    /// How long one request may take, in seconds
    #[arg(long, alias = "timeout-s", value_name = "SECONDS", default_value_t = 30)]
    timeout: u64,
    /// How long to poll a registration that is running, in seconds
    #[arg(long, alias = "patience-s", value_name = "SECONDS", default_value_t = 60)]
    patience: u64,
    /// Octets of the body that should be too large
    #[arg(long, value_name = "OCTETS", default_value_t = 1024 * 1024)]
    oversize_bytes: usize,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &Args) -> Result<ExitCode> {
    let Command::Scrapi(args) = &args.command;
    let identity = match (&args.client_cert, &args.client_key) {
        (Some(certificate), Some(key)) => Some(connect::identity(certificate, key)?),
        _ => None,
    };
    let roots = match &args.tls_ca {
        Some(path) => Some(files::read(path)?),
        None if args.url.starts_with("https:") => Some(files::system_roots()?),
        None => None,
    };
    let target = Target {
        url: args.url.clone(),
        roots,
        identity,
        insecure_http: args.allow_http,
        timeout: Duration::from_secs(args.timeout),
    };
    let settings = Settings {
        supply: supply(args)?,
        entry: match args.entry {
            Entry::Statement => EntryProfile::Statement,
            Entry::Digest => EntryProfile::Digest,
        },
        patience: Duration::from_secs(args.patience),
        oversize_bytes: args.oversize_bytes,
    };
    let report = match conformance::run(&target, &settings).await {
        Ok(report) => report,
        Err(error @ ConformanceError::Unreachable(_)) => {
            if args.json {
                let (service, why) = (&args.url, error.to_string());
                let outcome = Outcome::CannotEvaluate;
                output::json(&json!({ "service": service, "spec": SPEC, "outcome": outcome, "why": why }))?;
            }
            output::error(&error.into());
            return Ok(ExitCode::from(code(Outcome::CannotEvaluate)));
        }
        Err(error) => return Err(error.into()),
    };
    if args.json {
        output::json(&report)?;
    } else {
        print(&report);
    }
    Ok(ExitCode::from(code(report.outcome)))
}

const fn code(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Conforms => 0,
        Outcome::DoesNotConform => 1,
        Outcome::CannotEvaluate => 2,
    }
}

fn supply(args: &Scrapi) -> Result<Supply> {
    if let (Some(key), Some(issuer)) = (&args.signing_key, &args.iss) {
        return Ok(Supply::Made(Maker {
            signer: signer(key)?,
            issuer: issuer.clone(),
            audience: args.aud.clone(),
            content_type: args.content_type.clone(),
            now: SystemClock.now(),
        }));
    }
    if args.statement.is_empty() {
        return Ok(Supply::Nothing);
    }
    let statements: Result<Vec<_>> = args.statement.iter().map(|path| files::read(path)).collect();
    Ok(Supply::Prepared(statements?))
}

fn signer(path: &Path) -> Result<Box<dyn Signer>> {
    if let Ok(key) = keys::read_ed25519(path) {
        return Ok(Box::new(Ed25519Signer::from_seed(&key.to_bytes())?));
    }
    let wrong = || format!("{} is not an Ed25519 or P-256 key (PKCS#8 in PEM)", path.display());
    let text = keys::read_secret(path)?;
    let (label, der) = pem_rfc7468::decode_vec(&text).ok().with_context(wrong)?;
    let der = zeroize::Zeroizing::new(der);
    if label != "PRIVATE KEY" {
        bail!(wrong());
    }
    Ok(Box::new(Es256Signer::from_pkcs8(&der).with_context(wrong)?))
}

fn print(report: &Report) {
    output::line(format!("{} against {}", report.service, report.spec));
    for check in &report.checks {
        line(check);
    }
    let verdict = match report.outcome {
        Outcome::Conforms => {
            "conforms: every MUST that applies and can be seen from outside was checked and is kept"
        }
        Outcome::DoesNotConform => "DOES NOT CONFORM",
        Outcome::CannotEvaluate => "cannot be evaluated: a MUST could not be checked",
    };
    for verdict in [Verdict::Fail, Verdict::NotRun] {
        let musts =
            report.checks.iter().filter(|check| check.verdict == verdict && check.level == Level::Must);
        let musts: Vec<_> = musts.map(|check| format!("{} ({})", check.id, check.section)).collect();
        if !musts.is_empty() {
            output::line(format!("MUST, {}: {}", word(verdict), musts.join(", ")));
        }
    }
    output::line(format!(
        "{} pass, {} fail ({} of them MUST), {} not-applicable, {} not-run, {} unseen",
        report.passed,
        report.failed,
        report.failed_musts,
        report.not_applicable,
        report.not_run,
        report.unseen
    ));
    output::line(verdict);
}

fn line(check: &Check) {
    let level = match check.level {
        Level::May => "MAY",
        Level::Must => "MUST",
        Level::Should => "SHOULD",
    };
    let Check { id, section, requirement, verdict, detail, .. } = check;
    output::line(format!("  {:<14} {level:<6} {id:<26} {section}", word(*verdict)));
    output::line(format!("      {requirement}"));
    output::line(format!("      > {}", shown(detail)));
}

/// As the JSON has it, but that a failure is easy to find.
const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Fail => "FAIL",
        Verdict::NotApplicable => "not-applicable",
        Verdict::NotRun => "not-run",
        Verdict::Pass => "pass",
        Verdict::Unseen => "unseen",
    }
}

/// What a service says, on one line: it must not write on the terminal as it likes.
fn shown(text: &str) -> String {
    text.chars().map(|sign| if sign.is_control() { '\u{fffd}' } else { sign }).take(300).collect()
}
