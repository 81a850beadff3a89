//! `treering bench`: closed-loop load with N clients, beside the limits of the machine measured in the same run.
//!
//! In scope: load, latencies, what it cost in CPU, memory and disk. Out of scope: judging: no figure passes or fails.
//! Everything runs in a temporary folder on loopback and ends by itself.

mod api;
mod append;
mod http;
mod ledger;
mod limits;
mod meter;
mod scrapi;

use std::process::ExitCode;

use anyhow::Result;

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

/// Measure this machine under load: appends, proofs, issuance, replay
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
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    match &args.command {
        Command::Append(args) => append::run(args),
    }
}
