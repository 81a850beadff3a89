//! `treering bench`: closed-loop load with N clients, beside the limits of the machine measured in the same run.
//!
//! In scope: load, latencies, what it cost in CPU, memory and disk. Out of scope: judging: no figure passes or fails.
//! Everything runs in a temporary folder on loopback and ends by itself.

mod api;
mod append;
mod appraise;
mod decisions;
mod fsck;
mod http;
mod ledger;
mod limits;
mod meter;
mod prove;
mod scrapi;
mod table;
mod witnesses;

use std::process::ExitCode;

use anyhow::Result;

use decisions::What;

const APPEND_EXAMPLES: &str = "\
Examples:
  The engine by its Rust interface:
    treering bench append --path api --clients 512 --seconds 10
  One client, and three adjacent entries in one append:
    treering bench append --path api --clients 1
    treering bench append --path api --clients 128 --entries-per-append 3
  Released only when two of three witnesses have cosigned (real processes, each syncing its state):
    treering bench append --path api --clients 64 --witnesses 3
  SCRAPI over TLS, the service a process of its own:
    treering bench append --path scrapi --clients 128 --seconds 8

An append counts when it is durable, integrated, and answered with its inclusion proof to a signed checkpoint.";

const APPRAISE_EXAMPLES: &str = "\
Examples:
  A report recorded on hardware, two threads:
    treering bench appraise
  A simulated TDX quote with its collateral, for a program that keeps the figures:
    treering bench appraise --kind tdx --json

Evidence and collateral are read from octets every time; warm is with verified chains kept.";

const ISSUE_EXAMPLES: &str = "\
Examples:
  treering bench issue --clients 16 --seconds 5
  For a program that keeps the figures:
    treering bench issue --json

Each client makes a key, asks for a challenge, has a simulated report made and gets a certificate; CPU is that of both
sides.";

const REPLAY_EXAMPLES: &str = "\
Examples:
  treering bench replay --seconds 5
  For a program that keeps the figures:
    treering bench replay --json";

const FSCK_EXAMPLES: &str = "\
Examples:
  treering bench fsck --entries 1000000
  For a program that keeps the figures:
    treering bench fsck --json";

const TABLE_EXAMPLES: &str = "\
Examples:
  Everything, some minutes (build with --release before):
    treering bench table
  With a log of ten million entries, which takes some minutes more and 5 GB of disk:
    treering bench table --large 10000000";

const PROVE_EXAMPLES: &str = "\
Examples:
  Paths from the engine, one thread:
    treering bench prove --path api --entries 1000000
  Receipts over TLS, the service a process of its own:
    treering bench prove --path http --clients 64";

/// Measure this machine under load: appends, proofs, appraisal, issuance, replay
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Append entries
    #[command(after_help = APPEND_EXAMPLES)]
    Append(append::Args),
    /// Appraise evidence, warm and cold
    #[command(after_help = APPRAISE_EXAMPLES)]
    Appraise(appraise::Args),
    /// Recompute a log
    #[command(after_help = FSCK_EXAMPLES)]
    Fsck(fsck::Args),
    /// Issue credentials, from challenge to release
    #[command(after_help = ISSUE_EXAMPLES)]
    Issue(decisions::Args),
    /// Prove inclusion
    #[command(after_help = PROVE_EXAMPLES)]
    Prove(prove::Args),
    /// Trace logged decisions and make them again
    #[command(after_help = REPLAY_EXAMPLES)]
    Replay(decisions::Args),
    /// All of it, as one table
    #[command(after_help = TABLE_EXAMPLES)]
    Table(table::Args),
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    match &args.command {
        Command::Append(args) => append::run(args),
        Command::Appraise(args) => appraise::run(args),
        Command::Fsck(args) => fsck::run(args),
        Command::Issue(args) => decisions::run(args, What::Issue),
        Command::Prove(args) => prove::run(args),
        Command::Replay(args) => decisions::run(args, What::Replay),
        Command::Table(args) => table::run(args),
    }
}
