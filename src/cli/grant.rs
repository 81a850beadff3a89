//! `treering grant`: gives an auditor's key access to content.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use serde_json::json;
use treering_provenance::bytes::Fixed;
use treering_provenance::grant::{AuditorKey, AuditorPublicKey};

use crate::clock::{Clock, SystemClock};
use crate::keys;
use crate::wire::{GrantRequest, GrantResponse};

use super::connect::Connect;
use super::{files, output};

const EXAMPLES: &str = "\
Examples:
  An auditor makes a key and gives the public half to the operator:
    treering grant key --out auditor.key --public auditor.pub
  The operator grants it all decisions and evidence for 90 days from now, and what exists already:
    treering grant make --grantee \"Audit Ltd\" --public-key auditor.pub --days 90 \\
        --url https://identity.bank.example --tls-ca tls/ca.pem \\
        --client-cert clients/operator.pem --client-key clients/operator.key

The grant is an entry of the log. Content is opened at the auditor's, never at the service.";

/// Make auditors' keys, and grant content to them
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make an auditor's key
    Key {
        /// The private key (JWK, mode 600)
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// The public key (JWK)
        #[arg(long, value_name = "FILE")]
        public: PathBuf,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Grant content keys to an auditor's key
    Make {
        #[command(flatten)]
        connect: Connect,
        /// Who is granted it, in words
        #[arg(long, value_name = "NAME")]
        grantee: String,
        /// The auditor's public key (JWK)
        #[arg(long, value_name = "FILE")]
        public_key: PathBuf,
        /// A scope: `ledger`, `governance`, `intake`, `workload:URI`, or `*` for all
        #[arg(long, value_name = "SCOPE", default_value = "*")]
        scope: Vec<String>,
        /// A class: `evidence`, `decision`, `provenance`, or `*` for all
        #[arg(long, value_name = "CLASS", default_value = "*")]
        class: Vec<String>,
        /// For how many days from now content falls under the grant
        #[arg(long, value_name = "DAYS", default_value_t = 90)]
        days: u64,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn run(args: &Args) -> Result<ExitCode> {
    match &args.command {
        Command::Key { out, public, json } => {
            let key = AuditorKey::from_bytes(keys::random()?)?;
            keys::write_secret(out, key.to_jwk()?.as_bytes())?;
            let text = key.public().to_jwk()?;
            std::fs::write(public, text).with_context(|| format!("write {}", public.display()))?;
            if *json {
                let thumbprint = key.public().thumbprint();
                output::json(&json!({ "private": out, "public": public, "thumbprint": thumbprint }))?;
            } else {
                output::line(format!(
                    "{} (keep it), {} (give it to the operator)",
                    out.display(),
                    public.display()
                ));
            }
        }
        Command::Make { connect, grantee, public_key, scope, class, days, json } => {
            let text = String::from_utf8(files::read(public_key)?).context("the public key is not text")?;
            let key = AuditorPublicKey::from_jwk(&text)?;
            let now = SystemClock.now();
            let request = GrantRequest {
                grantee: grantee.clone(),
                public_key: Fixed(*key.as_bytes()),
                scopes: scope.clone(),
                classes: class.clone(),
                from: 0,
                to: now.saturating_add(days.saturating_mul(24 * 60 * 60)),
            };
            let made: GrantResponse = connect.client()?.post_json("/v1/grants", &request).await?;
            if *json {
                output::json(&json!({ "grant": made.grant, "index": made.index, "leaf": made.leaf }))?;
            } else {
                output::line(format!("grant {} logged as entry {}", made.grant, made.index));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
