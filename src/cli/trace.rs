//! `treering trace`: an auditor's way from a credential to everything it rests on.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use serde::Serialize;
use treering_provenance::grant::AuditorKey;
use treering_provenance::trust::Trust;

use crate::audit::{self, Keyring, Replay, Source, Trace};
use crate::keys;

use super::source::{From, Opened};
use super::{files, output};

const EXAMPLES: &str = "\
Examples:
  From a copy of the log's folder, without any service:
    treering trace --credential credential.pem --trust trust.json --key auditor.key --data data
  From the service:
    treering trace --credential credential.pem --trust trust.json --key auditor.key \\
        --url https://identity.bank.example --tls-ca tls/ca.pem \\
        --client-cert clients/auditor.pem --client-key clients/auditor.key

Every entry is checked under a signed, witnessed checkpoint; content is opened here, with the auditor's key.

With --json: trace (identifier, serial, tree_size, cosigners, evidence, reference_values, sbom, build, policies, \
not_checked, steps), replay (identical, \
appraisal, binding, mapping, notes).
Exit status: 0 traced and the replay is identical, 1 it differs or something is missing, 3 the trace broke off.";

/// Trace a credential to evidence, reference values, provenance and policies, and replay its decision
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The credential, PEM or DER
    #[arg(long, value_name = "FILE")]
    credential: PathBuf,
    /// The trust file
    #[arg(long, value_name = "FILE")]
    trust: PathBuf,
    /// The auditor's private key (JWK), to which content was granted
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    #[command(flatten)]
    from: From,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    trace: &'a Trace,
    replay: &'a Replay,
}

pub(super) async fn run(args: &Args) -> Result<ExitCode> {
    let trust = files::trust(&args.trust)?;
    let credential = files::certificates(&files::read(&args.credential)?);
    let credential = credential.first().context("the credential file is empty")?;
    let auditor = auditor_key(&args.key)?;
    let (trace, replay) = match args.from.open()? {
        Opened::Local(source) => follow(credential, &source, &trust, &auditor).await?,
        Opened::Remote(source) => follow(credential, &*source, &trust, &auditor).await?,
    };
    if args.json {
        output::json(&Report { trace: &trace, replay: &replay })?;
    } else {
        print(&trace, &replay);
    }
    let found = trace.found;
    let whole = found.evidence && found.reference_values && found.policies && replay.identical;
    Ok(if whole { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Reads an auditor's key file.
pub(super) fn auditor_key(path: &std::path::Path) -> Result<AuditorKey> {
    let bytes = keys::read_secret(path)?;
    let text = std::str::from_utf8(&bytes).with_context(|| format!("{} is not text", path.display()))?;
    AuditorKey::from_jwk(text).with_context(|| format!("{} is not an auditor's key", path.display()))
}

/// Unlocks, traces, replays.
pub(super) async fn follow(
    credential: &[u8],
    source: &impl Source,
    trust: &Trust,
    auditor: &AuditorKey,
) -> Result<(Trace, Replay)> {
    let keyring = Keyring::unlock(source, auditor, trust.origin()).await?;
    let trace = audit::trace(credential, source, trust, &keyring).await?;
    let replay = audit::replay(&trace);
    Ok((trace, replay))
}

fn print(trace: &Trace, replay: &Replay) {
    output::line(format!("{} (serial {})", trace.identifier, trace.serial));
    let cosigners = if trace.cosigners.is_empty() { "nobody".to_owned() } else { trace.cosigners.join(", ") };
    output::line(format!("every entry checked under tree size {}, cosigned by {cosigners}", trace.tree_size));
    for step in &trace.steps {
        let when = step.issued_at.as_deref().unwrap_or("");
        output::line(format!("  {:>6}  {:<20} {when}  {}", step.index, step.kind, step.issuer));
        output::line(format!("          {}", step.says));
    }
    let yes = |found: bool| if found { "yes" } else { "NO" };
    let found = trace.found;
    output::line(format!(
        "reached: evidence {}, reference values {}, SBOM {}, build {}, approved policies {}",
        yes(found.evidence),
        yes(found.reference_values),
        yes(found.sbom),
        yes(found.build),
        yes(found.policies)
    ));
    for item in trace.not_checked {
        output::line(format!("not checked: {item}"));
    }
    output::line(format!("replay identical: {}", yes(replay.identical)));
    for note in &replay.notes {
        output::line(format!("  {note}"));
    }
}
