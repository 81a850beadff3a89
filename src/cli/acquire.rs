//! `treering acquire`: the workload's side.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::clock;
use crate::keys;

use super::attester::Source;
use super::connect::Connect;
use super::output;

const EXAMPLES: &str = "\
Examples:
  In a SEV-SNP or TDX guest, or in a Nitro enclave:
    treering acquire --url https://identity.bank.example --tls-ca tls/ca.pem \\
        --rp-id https://identity.bank.example --target spiffe://bank.example/payments/api --out workload
  A simulated SEV-SNP guest whose image is app.img:
    treering acquire --url https://localhost:8443 --tls-ca tls/ca.pem --rp-id https://localhost:8443 \\
        --target spiffe://simulated.example/payments/api \\
        --simulated platform --image app.img --out workload

Writes credential.pem and key.pem (mode 600) into --out. The key is made here and never leaves.
Exit status: 0 acquired, 1 refused, 3 anything else.";

/// Acquire a credential for this workload: make a key, have evidence bound to it, ask the service
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    connect: Connect,
    /// The workload identifier to be had
    #[arg(long, value_name = "URI")]
    target: String,
    /// The relying-party id that the service must go by
    #[arg(long, value_name = "ID")]
    rp_id: String,
    #[command(flatten)]
    source: Source,
    /// Where the credential and its key go
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &Args) -> Result<ExitCode> {
    let attester = args.source.attester()?;
    let client = args.connect.client()?;
    // Before anything is asked for: a credential that cannot be kept would be logged and lost.
    fs::create_dir_all(&args.out).with_context(|| format!("make {}", args.out.display()))?;
    let key_file = args.out.join("key.pem");
    if key_file.exists() {
        bail!("{} exists: name another folder with --out", key_file.display());
    }
    let acquired = match client.acquire(attester.as_ref(), &args.target, &args.rp_id).await {
        Ok(acquired) => acquired,
        Err(crate::client::ClientError::Refused { code, entry: Some(entry), detail, .. })
            if code == "refused" =>
        {
            if args.json {
                output::json(&json!({ "acquired": false, "entry": entry }))?;
            } else {
                output::line(format!("refused: {detail}\n  entry {entry}"));
            }
            return Ok(ExitCode::from(1));
        }
        Err(error) => return Err(error.into()),
    };
    let path = args.out.join("credential.pem");
    keys::write_secret(&key_file, acquired.key.as_bytes())?;
    fs::write(&path, &acquired.response.credential).with_context(|| format!("write {}", path.display()))?;
    let response = &acquired.response;
    if args.json {
        let (index, size) = (response.index, response.tree_size);
        output::json(&json!({
            "acquired": true, "index": index, "tree_size": size, "not_after": response.not_after,
            "credential": path, "key": key_file,
        }))?;
    } else {
        let until = clock::rfc3339(response.not_after);
        output::line(format!("{} until {until}, logged as entry {}", args.target, response.index));
        output::line(format!("  {}", path.display()));
    }
    Ok(ExitCode::SUCCESS)
}
