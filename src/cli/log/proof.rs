//! `treering log prove` and `treering log verify-proof`: offline proofs in the form of C2SP tlog-proof.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use serde_json::json;
use treering_tlog::checkpoint::Checkpoint;
use treering_tlog::hash::leaf_hash;
use treering_tlog::note::Note;
use treering_tlog::policy::{Policy, Witnessed};
use treering_tlog::proof::TlogProof;

use crate::audit::Source;
use crate::clock;

use super::super::source::{From, Opened};
use super::super::{files, output};

pub(super) const PROVE_EXAMPLES: &str = "\
Examples:
  From a stopped log's folder, the entry beside it:
    treering log prove --data data --index 7 --out seven.tlog-proof --entry seven.cose
  From the service:
    treering log prove --url https://identity.bank.example --tls-ca ca.pem --index 7 > seven.tlog-proof

The proof has the newest checkpoint, with its cosignatures where a quorum gave them. Whoever has a C2SP policy file checks it \
with any program that knows the form; with this one: log verify-proof.

With --json: index, leaf, proof, file.";

pub(super) const VERIFY_EXAMPLES: &str = "\
Examples:
  Is this entry in the log of the trust file, and did its witnesses cosign it?
    treering log verify-proof --proof seven.tlog-proof --entry seven.cose --trust trust.json
  In any log, by a C2SP policy file:
    treering log verify-proof --proof seven.tlog-proof --entry seven.cose --policy policy.txt --json

No network is used. The entry is what the log has (for a statement: with an empty unprotected header).

With --json: proven; if it is, index, origin, size, cosigners (of each: name, time), and if not, why.
Exit status: 0 proven, 1 not, 3 a file could not be read.";

#[derive(Debug, clap::Args)]
pub(super) struct Prove {
    #[command(flatten)]
    from: From,
    /// The entry's index
    #[arg(long, value_name = "N")]
    index: u64,
    /// The file to write, whose name should end in .tlog-proof; without it, the proof is printed
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write the entry, too
    #[arg(long, value_name = "FILE")]
    entry: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Verify {
    /// The proof
    #[arg(long, value_name = "FILE")]
    proof: PathBuf,
    /// The entry, as the log has it
    #[arg(long, value_name = "FILE")]
    entry: PathBuf,
    /// The trust file: log key and witness policy
    #[arg(long, value_name = "FILE", required_unless_present = "policy", conflicts_with = "policy")]
    trust: Option<PathBuf>,
    /// A C2SP policy file: logs, witnesses, quorum
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) async fn prove(args: &Prove) -> Result<ExitCode> {
    let (proof, entry) = match args.from.open()? {
        Opened::Local(source) => made(&source, args.index).await?,
        Opened::Remote(source) => made(&*source, args.index).await?,
    };
    let write = |path: &Path, bytes: &[u8]| {
        std::fs::write(path, bytes).with_context(|| format!("write {}", path.display()))
    };
    if let Some(path) = &args.entry {
        write(path, &entry)?;
    }
    if let Some(path) = &args.out {
        write(path, &proof.to_bytes())?;
    }
    let text = proof.to_string();
    match (&args.out, args.json) {
        (_, true) => output::json(&json!({
            "index": proof.index(), "leaf": leaf_hash(&entry).to_base64(), "proof": text, "file": args.out,
        }))?,
        (Some(path), false) => output::line(format!("entry {} proven in {}", proof.index(), path.display())),
        (None, false) => output::line(text.trim_end_matches('\n')),
    }
    Ok(ExitCode::SUCCESS)
}

/// The proof of an entry in the newest checkpoint, which is believed no more than its source: who verifies, verifies.
async fn made(source: &impl Source, index: u64) -> Result<(TlogProof, Vec<u8>)> {
    let note = Note::parse(&source.checkpoint().await?).context("the checkpoint is no signed note")?;
    let size = Checkpoint::parse(note.text()).context("the checkpoint is none")?.size();
    if index >= size {
        bail!("the newest checkpoint has {size} entries: there is no proof of entry {index}");
    }
    let (path, entry) = (source.inclusion(index, size).await?, source.entry(index).await?);
    Ok((TlogProof::new(index, path, note)?, entry))
}

pub(super) fn verify(args: &Verify) -> Result<ExitCode> {
    let (proof, entry) = (files::read(&args.proof)?, files::read(&args.entry)?);
    let policy = policy(args)?;
    let proven = TlogProof::parse(&proof).and_then(|proof| {
        proof.verify(&leaf_hash(&entry), &policy).map(|witnessed| (proof.index(), witnessed))
    });
    match proven {
        Ok((index, witnessed)) => {
            print(index, &witnessed, args.json)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            if args.json {
                output::json(&json!({ "proven": false, "why": error.to_string() }))?;
            } else {
                output::line(format!("NOT proven: {error}"));
            }
            Ok(ExitCode::from(1))
        }
    }
}

/// Whom to believe. A trust file without witnesses asks for the log's own signature.
fn policy(args: &Verify) -> Result<Policy> {
    if let Some(path) = &args.policy {
        return Policy::parse(&files::read(path)?)
            .with_context(|| format!("{} is not a policy", path.display()));
    }
    let Some(path) = &args.trust else { bail!("name a --trust or a --policy file") };
    let trust = files::trust(path)?;
    match trust.policy() {
        Some(policy) => Ok(policy.clone()),
        None => Ok(Policy::parse(format!("log {}\nquorum none\n", trust.log_key()).as_bytes())?),
    }
}

fn print(index: u64, witnessed: &Witnessed, json: bool) -> Result<()> {
    let (checkpoint, cosigners) = (witnessed.checkpoint(), witnessed.cosigners());
    let (origin, size) = (checkpoint.origin(), checkpoint.size());
    if json {
        let cosigners: Vec<_> =
            cosigners.iter().map(|(name, time)| json!({ "name": name, "time": time })).collect();
        return output::json(&json!({
            "proven": true, "index": index, "origin": origin, "size": size, "cosigners": cosigners,
        }));
    }
    output::line(format!("proven: entry {index} of {size} in {origin}"));
    for (name, time) in cosigners {
        output::line(format!("  cosigned by {name} at {}", clock::rfc3339(*time)));
    }
    if cosigners.is_empty() {
        output::line("  cosigned by nobody: only the log says so");
    }
    Ok(())
}
