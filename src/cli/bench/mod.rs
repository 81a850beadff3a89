//! `treering bench`: closed-loop load with N clients, beside the limits of the machine measured in the same run.
//!
//! In scope: load, latencies, what it cost in CPU, memory and disk. Out of scope: judging: no figure passes or fails.
//! Everything runs in a temporary folder on loopback and ends by itself; a log is kept where it is asked for (`fill`,
//! `append --log`).

mod api;
mod append;
mod appraise;
mod decisions;
mod disk;
mod fill;
mod fsck;
mod http;
mod ledger;
mod limits;
mod meter;
mod prove;
mod receipts;
mod scrapi;
mod table;
mod threads;
mod witnesses;

use std::process::ExitCode;

use anyhow::Result;

/// What every load prints of the machine.
macro_rules! limits {
    () => {
        "limits.fdatasync_p50_ms, limits.fdatasync_p99_ms, limits.sha256_per_s, limits.ed25519_sign_per_s, \
         limits.ed25519_verify_per_s"
    };
}

/// What every load but that of `fsck` prints first.
macro_rules! rates {
    () => {
        "throughput_per_s, p50_ms, p99_ms, p999_ms"
    };
}

/// What every load that has a log prints of it, and of the memory.
macro_rules! room {
    () => {
        "disk_bytes_per_entry.tree, disk_bytes_per_entry.all (octets over the entry itself), rss_peak_bytes, rss_end_bytes"
    };
}

const APPEND_EXAMPLES: &str = concat!(
    "\
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
  In a log of a million, which another process has filled:
    treering bench append --path api --clients 512 --prefill 1000000
  In a log that is kept, and grows from run to run:
    treering bench fill --entries 10000000 --dir /srv/bench/ten-million
    treering bench append --clients 512 --log /srv/bench/ten-million

An append counts when it is durable, integrated, and answered with its inclusion proof to a signed checkpoint. By SCRAPI \
each client verifies its first receipt and every 256th, and asks for the entry again at once. With witnesses the service \
is asked for its cosigned checkpoint every other millisecond, and an append ends when one covers it.

With --json: ",
    rates!(),
    ", ",
    room!(),
    ", cpu_us_per_entry (all processes but the witnesses), open_ms, log_entries.before, log_entries.after, ",
    limits!(),
    "; with witnesses also witness_cpu_us_per_entry; by SCRAPI also server_cpu_us_per_entry, answers.refused, \
     answers.errors, answers.checked, answers.passed, signed_live.

open_ms is opening the filled log by a process that had nothing of it, or, without --prefill and --log, opening it again at the end."
);

const APPRAISE_EXAMPLES: &str = concat!(
    "\
Examples:
  A report recorded on hardware, two threads:
    treering bench appraise
  A simulated TDX quote with its collateral, for a program:
    treering bench appraise --kind tdx --json

Evidence and collateral are read from octets every time; warm is with verified chains kept.

With --json: kind, threads, ",
    rates!(),
    ", cpu_us_each, cold_p50_ms, rss_peak_bytes, rss_end_bytes, limits.p384_verify_per_s."
);

const FILL_EXAMPLES: &str = "\
Examples:
  Ten million entries:
    treering bench fill --entries 10000000 --dir /srv/bench/ten-million
  A million, for a program:
    treering bench fill --entries 1000000 --dir bench-log --json

Entries of one length, each different, appended 256 at a time; everything is on the disk when it ends. `bench append \
--prefill` runs it. Ten million entries of 400 octets take 4.5 GB at rest, and more while tables are merged.

With --json: entries, seconds, throughput_per_s.";

const ISSUE_EXAMPLES: &str = concat!(
    "\
Examples:
  Sixteen workloads at a time:
    treering bench issue
  One, for a program:
    treering bench issue --clients 1 --json

Each client makes a key, asks for a challenge, has a simulated report made and gets a certificate.

With --json: clients, ",
    rates!(),
    ", ",
    room!(),
    ", cpu_us_each (of both sides), server_cpu_us_each, witness_cpu_us_each (not in the former), ",
    limits!(),
    "."
);

/// The help of what is done again with credentials that were issued before.
macro_rules! again {
    ($command:literal, $what:literal) => {
        concat!(
            "Examples:\n  One thread:\n    treering bench ",
            $command,
            "\n  Two threads, for a program:\n    treering bench ",
            $command,
            " --threads 2 --seconds 10 --json\n\n",
            $what,
            "\n\nWith --json: threads, ",
            rates!(),
            ", ",
            room!(),
            ", cpu_us_each, ",
            limits!(),
            "."
        )
    };
}

const VERIFY_EXAMPLES: &str = again!(
    "verify",
    "Credentials are issued before, by real processes that have ended when it is measured. Each is verified as `treering \
     verify` does it: offline, by the public keys of the trust file alone."
);

const REPLAY_EXAMPLES: &str = again!(
    "replay",
    "Credentials are issued before, by real processes that have ended when it is measured. Each is traced in the folder of \
     the stopped log and its decision made again, as `treering trace` does it. How long all decisions of a log take, \
     `treering replay` shows on that log."
);

const FSCK_EXAMPLES: &str = concat!(
    "\
Examples:
  A log of a million entries:
    treering bench fsck
  Of ten thousand, for a program:
    treering bench fsck --entries 10000 --json

The log is filled by `bench fill`, and checked as `treering log fsck` does it: everything is recomputed from the entries.

With --json: throughput_per_s, seconds, cpu_us_per_entry, ",
    room!(),
    ", ",
    limits!(),
    "."
);

const TABLE_EXAMPLES: &str = "\
Examples:
  Everything, some minutes (build with --release before):
    treering bench table
  With a large log of two million entries, for a program:
    treering bench table --large 2000000 --json

Figures are facts about this machine and this hour: `holds` and `misses` say how they stand to what was aimed at, and \
change no exit status. The large log takes a kilobyte of free disk for each entry (4.5 GB at rest for ten million, more \
while it is made and compacted); where there is less, a smaller one is taken, and the table says so.

With --json: rows (name, arguments, figures, beside, aims), comparisons (name, aims), limits (least and greatest of all \
runs), remarks. An aim has figure, value, at_least or at_most, and holds.";

const PROVE_EXAMPLES: &str = concat!(
    "\
Examples:
  Paths from the engine, one thread:
    treering bench prove --path api --entries 1000000
  Receipts over TLS, the service a process of its own:
    treering bench prove --path http --clients 64
  Tiles and entry bundles, whole, for a program:
    treering bench prove --path tiles --clients 64 --json

Each client verifies its first answer and every 256th: a receipt by the service's key, a tile by its octets and by being \
immutable to caches; before, every tile is held against the entries of its bundle.

With --json: ",
    rates!(),
    ", ",
    room!(),
    ", cpu_us_each (all processes), ",
    limits!(),
    "; by HTTP also server_cpu_us_each, answers.refused, \
     answers.errors, answers.checked, answers.passed."
);

const EXAMPLES: &str = "\
Examples:
  Everything, beside what was aimed at, some minutes (build with --release before):
    treering bench table
  One load:
    treering bench append --clients 512 --seconds 10
  The same for a program; the load's own help says what the fields are:
    treering bench append --clients 512 --seconds 10 --json

Each load but `fill` and `append --log` makes what it needs in a temporary folder (--dir says on which disk), on loopback, and leaves nothing. It \
measures what the machine can do at most in the same run.
Exit status: 0 measured, however it came out; 3 it could not be measured.";

/// Measure this machine under load: appends, proofs, appraisal, issuance, verification, replay
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
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
    /// Make a log of so many entries
    #[command(after_help = FILL_EXAMPLES)]
    Fill(fill::Args),
    /// Recompute a log
    #[command(after_help = FSCK_EXAMPLES)]
    Fsck(fsck::Args),
    /// Issue credentials, from challenge to release
    #[command(after_help = ISSUE_EXAMPLES)]
    Issue(decisions::Issue),
    /// Prove inclusion
    #[command(after_help = PROVE_EXAMPLES)]
    Prove(prove::Args),
    /// Trace logged decisions and make them again
    #[command(after_help = REPLAY_EXAMPLES)]
    Replay(decisions::Again),
    /// All of it, as one table
    #[command(after_help = TABLE_EXAMPLES)]
    Table(table::Args),
    /// Verify credentials offline, as a relying party does
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify(decisions::Again),
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    match &args.command {
        Command::Append(args) => append::run(args),
        Command::Appraise(args) => appraise::run(args),
        Command::Fill(args) => fill::run(args),
        Command::Fsck(args) => fsck::run(args),
        Command::Issue(args) => decisions::issue(args),
        Command::Prove(args) => prove::run(args),
        Command::Replay(args) => decisions::replay(args),
        Command::Table(args) => table::run(args),
        Command::Verify(args) => decisions::verify(args),
    }
}
