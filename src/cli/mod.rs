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

const EXAMPLES: &str = "\
Examples:
  See all of it work, with real processes in a folder that is removed afterwards:
    treering demo
  A ledger for trials, and its service:
    treering init --dir trial --trust-domain simulated.example --simulated
    treering serve --config trial/treering.toml
  Is this credential logged, witnessed and of this issuer?
    treering verify --credential credential.pem --trust trust.json

Each command has a help with examples of its own. Each prints for people, and with --json one JSON object for programs; \
errors go to standard error.
Exit status: 0 done, or the answer is yes; 1 the answer is no; 2 it cannot be evaluated; 3 the command could not do its work. \
What that means for a command, its help says.";

/// A transparency-log-backed provenance ledger for trustworthy workload identity
#[derive(Debug, Parser)]
#[command(name = "treering", version, disable_help_subcommand = true, after_help = EXAMPLES)]
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The words of a line as a shell has them; what stands in angle brackets is one of them.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut word, mut inside) = (Vec::new(), String::new(), None);
        for sign in line.chars() {
            match (inside, sign) {
                (Some(end), sign) if sign == end => inside = None,
                (None, '\'' | '"') => inside = Some(sign),
                (None, '<') => inside = Some('>'),
                (None, ' ') => words.extend((!word.is_empty()).then(|| std::mem::take(&mut word))),
                // Where the output goes is the shell's.
                (None, '>') => return words,
                _ => word.push(sign),
            }
        }
        words.extend((!word.is_empty()).then_some(word));
        words
    }

    /// Every help, of the program and of all commands below it.
    fn helps(command: &clap::Command) -> Vec<String> {
        let own = command.get_after_help().map(ToString::to_string);
        own.into_iter().chain(command.get_subcommands().flat_map(helps)).collect()
    }

    #[test]
    fn every_example_of_a_help_is_a_command_line() {
        use clap::CommandFactory as _;
        let texts = helps(&Program::command()).join("\n").replace("\\\n", " ");
        let examples: Vec<_> = texts.lines().filter(|line| line.starts_with("    treering ")).collect();
        assert!(examples.len() >= 60, "{} examples: were they found?", examples.len());
        let wrong: Vec<_> = examples
            .into_iter()
            // The rest of these is told in words.
            .filter(|line| !line.ends_with(" …"))
            .filter_map(|line| Some(format!("{line}\n{}", Program::try_parse_from(words(line)).err()?)))
            .collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
