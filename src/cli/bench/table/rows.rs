//! The rows of the table: what is run, what was aimed at, and what a figure is divided by.

use anyhow::Result;
use serde_json::Value;

use super::super::super::processes::text;
use super::Args;
use super::aims::{Aim, at_least, at_most, number};

pub(super) const ONE: &str = "one client";
pub(super) const ONE_OF_THREE: &str = "one client, three in one";
pub(super) const SCRAPI: &str = "SCRAPI over TLS, 128 clients";
pub(super) const WITNESS: &str = "witness, 64 clients";

/// One line of the table.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) arguments: Vec<String>,
    pub(super) base: Base,
    pub(super) aims: Vec<Aim>,
}

/// What a figure is divided by.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Base {
    /// The latency, by a sync of the disk.
    Sync,
    /// The CPU of one, by the time of a verification.
    Verification,
    /// The CPU of one, by the time of a hash.
    Hash,
    /// The CPU of the service for one, by the time of a hash.
    ServerHash,
    /// The time of one, by that of a verification of P-384 on as many threads.
    P384,
}

impl Base {
    /// The ratio, in words and as a number.
    pub(super) fn beside(self, figures: &Value) -> (&'static str, f64) {
        let limit = |name: &str| number(figures, &format!("limits.{name}"));
        match self {
            Self::Sync => ("p50 in syncs", number(figures, "p50_ms") / limit("fdatasync_p50_ms")),
            Self::Verification => {
                ("CPU in verifications", cpu(figures) * limit("ed25519_verify_per_s") / 1e6)
            }
            Self::Hash => ("CPU in hashes", cpu(figures) * limit("sha256_per_s") / 1e6),
            Self::ServerHash => {
                ("server CPU in hashes", number(figures, "server_cpu_us_each") * limit("sha256_per_s") / 1e6)
            }
            Self::P384 => {
                ("time in P-384 checks", limit("p384_verify_per_s") / number(figures, "throughput_per_s"))
            }
        }
    }
}

/// CPU of one operation, us.
pub(super) fn cpu(figures: &Value) -> f64 {
    let each = number(figures, "cpu_us_each");
    if each.is_nan() { number(figures, "cpu_us_per_entry") } else { each }
}

/// All rows but those of a small and a large log, which are measured in turns, and the witness's, which another program
/// measures.
pub(super) fn rows(args: &Args) -> Result<Vec<Row>> {
    let mut rows = appends();
    rows.extend(reads());
    for row in &mut rows {
        row.arguments.extend(["--seconds".to_owned(), args.seconds.to_string()]);
    }
    rows.push(row("fsck", "fsck --entries 1000000", Base::Hash, &[at_least("throughput_per_s", 1e6)]));
    for row in &mut rows {
        let command = row.arguments.first().cloned().unwrap_or_default();
        // In memory alone: no folder.
        if let (Some(dir), true) = (&args.dir, command != "appraise") {
            row.arguments.extend(["--dir".to_owned(), text(dir)?.to_owned()]);
        }
        if let (Some(bin), true) =
            (&args.witness_bin, matches!(command.as_str(), "append" | "issue" | "verify" | "replay"))
        {
            row.arguments.extend(["--witness-bin".to_owned(), text(bin)?.to_owned()]);
        }
    }
    Ok(rows)
}

fn appends() -> Vec<Row> {
    vec![
        row(ONE, "append --clients 1", Base::Sync, &[at_most("p50_ms", 2.0), at_most("p99_ms", 12.0)]),
        row(ONE_OF_THREE, "append --clients 1 --entries-per-append 3", Base::Sync, &[]),
        row(
            "Rust API, 512 clients",
            "append --clients 512",
            Base::Hash,
            &[at_least("throughput_per_s", 60_000.0), at_most("p99_ms", 30.0)],
        ),
        row("three in one, 256 clients", "append --clients 256 --entries-per-append 3", Base::Hash, &[]),
        row(
            SCRAPI,
            "append --path scrapi --clients 128",
            Base::Verification,
            &[at_least("throughput_per_s", 15_000.0), at_most("p50_ms", 15.0), at_most("p99_ms", 50.0)],
        ),
        row(
            "quorum of 2 of 3, Rust API",
            "append --clients 64 --witnesses 3",
            Base::Sync,
            &[at_most("p50_ms", 10.0), at_most("p99_ms", 40.0)],
        ),
        row(
            "quorum of 2 of 3, SCRAPI",
            "append --path scrapi --clients 64 --witnesses 3",
            Base::Sync,
            &[at_most("p50_ms", 10.0), at_most("p99_ms", 40.0)],
        ),
    ]
}

fn reads() -> Vec<Row> {
    vec![
        row("inclusion path, Rust API", "prove --entries 1000000", Base::Hash, &[at_most("p50_ms", 0.1)]),
        row(
            "receipt over TLS, 64 clients",
            "prove --path http --clients 64",
            Base::ServerHash,
            &[at_least("throughput_per_s", 25_000.0), at_most("server_cpu_us_each", 100.0)],
        ),
        row("receipt over TLS, one client", "prove --path http --clients 1", Base::ServerHash, &[]),
        row("tiles over TLS, 64 clients", "prove --path tiles --clients 64", Base::ServerHash, &[]),
        row("issuance, witnessed", "issue", Base::Verification, &[]),
        row("offline verification", "verify", Base::Verification, &[]),
        row("trace and replay", "replay", Base::Verification, &[]),
        row("appraisal, warm, 2 threads", "appraise", Base::P384, &[]),
    ]
}

/// What was aimed at for the witness.
pub(super) const WITNESS_AIMS: &[Aim] = &[at_least("throughput_per_s", 5000.0), at_most("p99_ms", 15.0)];

fn row(name: &str, arguments: &str, base: Base, aims: &[Aim]) -> Row {
    let arguments = arguments.split(' ').map(str::to_owned).collect();
    Row { name: name.to_owned(), arguments, base, aims: aims.to_vec() }
}
