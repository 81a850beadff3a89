//! `treering demo`: the whole product in one command, with real processes, over the network, in a temporary folder.
//!
//! In scope: the story and its steps. Each step does what a person would do with the other subcommands, through the
//! same code. Out of scope: anything that exists for the demo alone but its made-up workload.

mod audit;
mod gpu;
mod issue;
mod materials;
mod mtls;
mod register;
mod scene;
mod stage;
mod story;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};

use super::output;

pub(super) use scene::Scene;
use stage::Stage;
use story::Story;

const EXAMPLES: &str = "\
Examples:
  The whole story, in a folder that is removed afterwards:
    treering demo
  For a program:
    treering demo --json
  Keep everything, and go on by hand:
    treering demo --keep /tmp/demo
    treering verify --credential /tmp/demo/credential.pem --trust /tmp/demo/trust.json
    treering trace --credential /tmp/demo/credential.pem --trust /tmp/demo/trust.json \\
        --key /tmp/demo/auditor.key --data /tmp/demo/ledger/data
    treering log fsck --data /tmp/demo/ledger/data --trust /tmp/demo/trust.json

Needs the program treering-witness beside this one (or --witness-bin), and openssl.
Exit status: 0 if every step did what it should, 1 if one did not.";

/// See it work: register, attest, issue, refuse, verify offline, do mutual TLS, attest with a GPU, audit, find a changed
/// byte
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Print one JSON object and nothing else
    #[arg(long)]
    json: bool,
    /// Keep everything in this folder, which must not exist or be empty
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// The witness program; without it, `treering-witness` beside this program
    #[arg(long, value_name = "FILE")]
    witness_bin: Option<PathBuf>,
}

pub(super) async fn run(args: &Args) -> Result<ExitCode> {
    let temporary =
        tempfile::Builder::new().prefix("treering-demo-").tempdir().context("make a temporary folder")?;
    let dir = match &args.keep {
        Some(dir) => {
            let used = std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some());
            anyhow::ensure!(!used, "{} is not empty: name a new folder", dir.display());
            std::fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
            dir.clone()
        }
        None => temporary.path().to_owned(),
    };
    let mut story = Story::new(args.json);
    if let Err(error) = perform(&mut story, args, &dir).await {
        story.fail(&error);
    }
    if args.json {
        output::json(&story.report())?;
    } else {
        story.summary(args.keep.as_deref());
    }
    Ok(if story.ok() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

async fn perform(story: &mut Story, args: &Args, dir: &std::path::Path) -> Result<()> {
    story.begin("start", "A ledger, a witness and a service are made and started");
    let mut stage = Stage::start(dir, args.witness_bin.as_deref()).await?;
    story.told(&[0, 1], &stage.introduction());

    register::run(story, &stage).await?;
    let acquired = issue::credential(story, &stage).await?;
    issue::refuse_unknown(story, &stage).await?;
    issue::refuse_unbound(story, &stage).await?;
    verify::run(story, &stage, &acquired)?;
    mtls::run(story, &stage).await?;
    gpu::run(story, &stage).await?;
    audit::trace(story, &stage).await?;
    audit::tamper(story, &stage).await?;

    story.begin(
        "stop",
        "The service drains and stops; its folder is checked from the first entry to the last",
    );
    stage.stop().await?;
    let report = stage.fsck()?;
    anyhow::ensure!(report.is_clean(), "the stopped log is not clean: {:?}", report.findings);
    story.detail(stage.figures()?);
    story.told(
        &[],
        &format!("{} entries, every hash recomputed, the checkpoint's signature verified", report.entries),
    );
    Ok(())
}
