//! `treering verify`: a relying party's check of a credential, or of a statement, offline.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use data_encoding::BASE64URL_NOPAD;
use treering_provenance::trust::Trust;
use treering_provenance::verify::{
    Possession, StatementOptions, Verdict, VerifyOptions, verify_statement, verify_x509,
};

use crate::clock::{self, Clock, SystemClock};

use super::{files, output};

const EXAMPLES: &str = "\
Examples:
  Is this credential logged, witnessed and of this issuer?
    treering verify --credential credential.pem --trust trust.json
  And is it the peer's, who signed our challenge with its key?
    treering verify --credential credential.pem --trust trust.json \\
        --challenge 3q2-7w --signature MEUCIQ...
  At an earlier instant, for a program:
    treering verify --credential credential.pem --trust trust.json --at 2026-03-01T00:00:00Z --json
  Is this statement of this issuer, by its key or a certificate of then, and in the log?
    treering verify --statement scan.cose --receipt scan.receipt --issuer scanner.toml --trust trust.json

No network is used. What was not checked is always listed: revocation since issuance never is.

With --json: verdict (trustworthy, untrusted, cannot-evaluate), checked, not_checked and failed (of each check: name, \
detail), credential (identifier, serial, not_before, not_after, assurance, claims), log (origin, index, size, root, \
entry_id, issuer, witnessed).
Exit status: 0 trustworthy, 1 untrusted, 2 cannot be evaluated, 3 a file could not be read.";

/// Verify a credential or a registered statement offline, with the trust file
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The credential: the workload's certificate and any intermediates, PEM or DER
    #[arg(long, value_name = "FILE", required_unless_present = "statement", conflicts_with = "statement")]
    credential: Option<PathBuf>,
    /// A signed statement (COSE_Sign1), which may carry its receipts
    #[arg(long, value_name = "FILE", requires = "issuer")]
    statement: Option<PathBuf>,
    /// Its receipt, where it carries none
    #[arg(long, value_name = "FILE", requires = "statement")]
    receipt: Option<PathBuf>,
    /// The statement's issuer: a TOML file with what an [[issuer]] of the service's configuration has
    #[arg(long, value_name = "FILE", requires = "statement")]
    issuer: Option<PathBuf>,
    /// The trust file: issuer, log key, witness policy
    #[arg(long, value_name = "FILE")]
    trust: PathBuf,
    /// The workload identifier that the peer must have
    #[arg(long, value_name = "URI", conflicts_with = "statement")]
    uri: Option<String>,
    /// The instant to verify for, RFC 3339; without it, now, or when the statement says that it was signed
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// The challenge that the peer signed, base64url
    #[arg(long, value_name = "BASE64URL", requires = "signature", conflicts_with = "statement")]
    challenge: Option<String>,
    /// The peer's signature over "treering-pop-v1" and the challenge, base64url (DER, or r and s)
    #[arg(long, value_name = "BASE64URL", requires = "challenge")]
    signature: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let decode = |text: &Option<String>| -> Result<Vec<u8>> {
        let text = text.as_deref().unwrap_or_default();
        BASE64URL_NOPAD.decode(text.as_bytes()).with_context(|| format!("`{text}` is not unpadded base64url"))
    };
    let (challenge, signature) = (decode(&args.challenge)?, decode(&args.signature)?);
    let possession =
        args.challenge.is_some().then_some(Possession { challenge: &challenge, signature: &signature });
    let now = SystemClock.now();
    let at = args.at.as_deref().map(clock::parse_rfc3339).transpose()?;
    let trust = files::trust(&args.trust)?;
    let verdict = match (&args.credential, &args.statement, &args.issuer) {
        (Some(path), _, _) => {
            let chain = files::certificates(&files::read(path)?);
            let identifier = args.uri.as_deref();
            let options = VerifyOptions { now: at.unwrap_or(now), identifier, possession };
            verify_x509(&chain, &trust, &options)
        }
        (None, Some(path), Some(issuer)) => statement(args, (path, issuer), &trust, (at, now))?,
        _ => bail!("name a --credential, or a --statement and its --issuer"),
    };
    if args.json {
        output::json(&verdict)?;
    } else {
        print(&verdict);
    }
    Ok(ExitCode::from(verdict.outcome().exit_code()))
}

fn statement(
    args: &Args,
    (path, issuer): (&Path, &Path),
    trust: &Trust,
    (at, now): (Option<u64>, u64),
) -> Result<Verdict> {
    let issuer = files::issuer(issuer)?.registered()?;
    let receipt = args.receipt.as_deref().map(files::read).transpose()?;
    let known = issuer.known()?;
    let options = StatementOptions { iss: &issuer.iss, known: &known, receipt: receipt.as_deref(), at, now };
    Ok(verify_statement(&files::read(path)?, trust, &options))
}

fn print(verdict: &Verdict) {
    output::line(
        serde_json::to_value(verdict.outcome()).ok().as_ref().and_then(|text| text.as_str()).unwrap_or(""),
    );
    if let Some(credential) = verdict.credential() {
        output::line(format!("  identifier  {}", credential.identifier));
        output::line(format!("  serial      {}", credential.serial));
        let (from, to) = (clock::rfc3339(credential.not_before), clock::rfc3339(credential.not_after));
        output::line(format!("  valid       {from} to {to}"));
        output::line(format!("  assurance   {}", credential.assurance.as_deref().unwrap_or("not stated")));
    }
    if let Some(log) = verdict.log() {
        output::line(format!("  log         {} entry {} of {}", log.origin, log.index, log.size));
    }
    for check in verdict.checked() {
        output::line(format!("  ok          {}: {}", check.name(), check.detail()));
    }
    if let Some(check) = verdict.failed() {
        output::line(format!("  FAILED      {}: {}", check.name(), check.detail()));
    }
    for check in verdict.not_checked() {
        output::line(format!("  not checked {}: {}", check.name(), check.detail()));
    }
}
