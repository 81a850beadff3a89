//! The subcommands, one file each. Only this floor prints, and only it uses `anyhow`.
//!
//! Each prints for people by default and one JSON object for programs with `--json`. Errors go to stderr in two lines:
//! what, and what to do.

pub mod appraise;
mod attester;

mod acquire;
mod bench;
mod collateral;
mod conformance;
mod connect;
mod demo;
mod files;
mod grant;
mod init;
mod log;
mod output;
mod policy;
mod processes;
mod provenance;
mod replay;
mod serve;
mod service;
mod source;
mod trace;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A transparency-log-backed provenance ledger for trustworthy workload identity
#[derive(Debug, Parser)]
#[command(name = "treering", version, disable_help_subcommand = true)]
struct Program {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Acquire(acquire::Args),
    Appraise(appraise::Args),
    Attester(attester::Args),
    Bench(bench::Args),
    Collateral(collateral::Args),
    Conformance(conformance::Args),
    Demo(demo::Args),
    Grant(grant::Args),
    Init(init::Args),
    Log(log::Args),
    Policy(policy::Args),
    Provenance(provenance::Args),
    Replay(replay::Args),
    Serve(serve::Args),
    Trace(trace::Args),
    Verify(verify::Args),
}

/// Runs the program.
pub fn main() -> ExitCode {
    let program = match Program::try_parse() {
        Ok(program) => program,
        Err(error) => {
            // Not clap's own 2: that is the verdict "cannot be evaluated", which nobody reached.
            let code = if error.use_stderr() { output::FAILED } else { 0 };
            error.print().ok();
            return ExitCode::from(code);
        }
    };
    let outcome = match &program.command {
        Command::Appraise(args) => appraise::run(args),
        Command::Attester(args) => attester::run(args),
        Command::Acquire(args) => wait(acquire::run(args)),
        Command::Bench(args) => bench::run(args),
        Command::Collateral(args) => wait(collateral::run(args)),
        Command::Conformance(args) => wait(conformance::run(args)),
        Command::Demo(args) => wait(demo::run(args)),
        Command::Grant(args) => wait(grant::run(args)),
        Command::Init(args) => wait(init::run(args)),
        Command::Log(args) => log::run(args),
        Command::Policy(args) => wait(policy::run(args)),
        Command::Provenance(args) => wait(provenance::run(args)),
        Command::Replay(args) => wait(replay::run(args)),
        Command::Serve(args) => wait(serve::run(args)),
        Command::Trace(args) => wait(trace::run(args)),
        Command::Verify(args) => verify::run(args),
    };
    outcome.unwrap_or_else(|error| {
        output::error(&error);
        ExitCode::from(output::FAILED)
    })
}

fn wait(work: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    // Blocking threads read the store: more at a time than a disk serves would only queue there, and take memory.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().max_blocking_threads(64).enable_all().build()?;
    runtime.block_on(work)
}
