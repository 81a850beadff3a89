//! `treering verify`: a relying party's check, offline.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use data_encoding::BASE64URL_NOPAD;
use treering_provenance::verify::{Possession, Verdict, VerifyOptions, verify_x509};

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

No network is used. What was not checked is always listed: revocation since issuance never is.
Exit status: 0 trustworthy, 1 untrusted, 2 cannot be evaluated, 3 a file could not be read.";

/// Verify a credential offline, with nothing but the trust file
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The credential: the workload's certificate and any intermediates, PEM or DER
    #[arg(long, value_name = "FILE")]
    credential: PathBuf,
    /// The trust file: issuer, log key, witness policy
    #[arg(long, value_name = "FILE")]
    trust: PathBuf,
    /// The workload identifier that the peer must have
    #[arg(long, value_name = "URI")]
    uri: Option<String>,
    /// The instant to verify for, RFC 3339; without it, now
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// The challenge that the peer signed, base64url
    #[arg(long, value_name = "BASE64URL", requires = "signature")]
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
    let now = match &args.at {
        Some(at) => clock::parse_rfc3339(at)?,
        None => SystemClock.now(),
    };
    let trust = files::trust(&args.trust)?;
    let chain = files::certificates(&files::read(&args.credential)?);
    let options = VerifyOptions { now, identifier: args.uri.as_deref(), possession };
    let verdict = verify_x509(&chain, &trust, &options);
    if args.json {
        output::json(&verdict)?;
    } else {
        print(&verdict);
    }
    Ok(ExitCode::from(verdict.outcome().exit_code()))
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
