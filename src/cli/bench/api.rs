//! Appends by the engine's Rust interface, with the real sealer, in this process.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use treering_log::{Append, Config, Log, NewEntry};

use crate::clock::{Clock, SystemClock};
use crate::ident::TrustDomain;
use crate::keys::KeyStore;
use crate::ledger::HeadSealer;

use super::super::processes::{text, this_program};
use super::append::{Args, Cpu, Grown, Run};
use super::disk::Disk;
use super::meter::{Latencies, Memory, Usage, Window};
use super::witnesses::Witnesses;

/// How long an append may wait for its quorum.
const WITNESS_TIMEOUT: Duration = Duration::from_secs(30);
const ORIGIN: &str = "log.bench.example/treering";

pub(super) fn run(args: &Args, dir: &Path) -> Result<Run> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    if args.prefill > 0 {
        fill_apart(dir, args.prefill, args.entry_bytes)?;
    }
    let open = opener(dir, args.clients * args.entries_per_append * 2)?;
    let begin = Instant::now();
    let filled = args.prefill > 0 || args.log.is_some();
    let log = open(!filled)?;
    let opened = begin.elapsed();
    let before = log.size();
    let measured = runtime.block_on(measure(args, dir, &log))?;
    runtime.block_on(log.shutdown());
    drop(log);
    let begin = Instant::now();
    let log = open(false)?;
    let reopened = begin.elapsed();
    let open_ms = if filled { opened } else { reopened }.as_secs_f64() * 1000.0;
    let entries = Grown { before, after: log.size() };
    let disk = Disk::of(&log, Some(args.entry_bytes))?;
    let Measured { latencies, window, cpu, memory } = measured;
    Ok(Run { latencies, seconds: window.seconds(), cpu, memory, open_ms, entries, disk, submitted: None })
}

/// How a log of this folder is opened, with the real sealer; `true` begins a new one. Makes its keys where there are
/// none.
pub(super) fn opener(dir: &Path, pool_entries: usize) -> Result<impl Fn(bool) -> Result<Log> + use<>> {
    let keys_dir = dir.join("keys");
    let keys = KeyStore::at(&keys_dir);
    if !keys_dir.exists() {
        keys.create()?;
    }
    let sealer = Arc::new(HeadSealer::load(&keys, ORIGIN, &TrustDomain::parse("bench.example")?)?);
    let mut config = Config::new(dir.join("data"), Arc::new(|| SystemClock.now()));
    config.pool_entries = config.pool_entries.max(pool_entries);
    Ok(move |create| {
        let config = Config { create, ..config.clone() };
        Ok(Log::open(config, Arc::<HeadSealer>::clone(&sealer))?)
    })
}

/// Has a log filled by a process of its own: what that one had in memory is not this one's.
pub(super) fn fill_apart(dir: &Path, entries: u64, entry_bytes: usize) -> Result<()> {
    let (entries, octets) = (entries.to_string(), entry_bytes.to_string());
    let mut command = Command::new(this_program()?);
    command.args(["bench", "fill", "--entries", &entries, "--entry-bytes", &octets, "--dir", text(dir)?]);
    let done = command.stdin(Stdio::null()).stdout(Stdio::null()).output().context("run bench fill")?;
    ensure!(done.status.success(), "bench fill: {}", String::from_utf8_lossy(&done.stderr));
    Ok(())
}

struct Measured {
    latencies: Latencies,
    window: Window,
    cpu: Cpu,
    memory: Memory,
}

async fn measure(args: &Args, dir: &Path, log: &Log) -> Result<Measured> {
    // No checkpoint of less is cosigned.
    fill(log, 2, args.entry_bytes).await?;
    let mut witnesses = Witnesses::make(dir, args.witness_bin.as_deref(), args.witnesses).await?;
    let log_vkey = log.log_key().context("a log that is open for writing")?.to_string();
    witnesses.serve(&log_vkey).await?;
    let publisher = witnesses.publish(log, &log_vkey).await?;
    let (window, run) = (Window::of_seconds(args.seconds), log.size());
    let clients: Vec<_> = (0..args.clients)
        .map(|client| tokio::spawn(client_loop(log.clone(), args.clone(), (run, client), window)))
        .collect();
    tokio::time::sleep_until(window.begin().into()).await;
    let before = (Usage::of(None)?, witnesses.cpu_s()?);
    let mut latencies = Latencies::new()?;
    for client in clients {
        latencies.add(&client.await??)?;
    }
    let usage = Usage::of(None)?;
    let cpu = Cpu {
        all: usage.cpu_since(before.0),
        server: None,
        witnesses: (args.witnesses > 0).then_some(witnesses.cpu_s()? - before.1),
    };
    if let Some(publisher) = publisher {
        publisher.shutdown().await;
    }
    witnesses.stop().await?;
    Ok(Measured { latencies, window, cpu, memory: usage.memory })
}

/// `run` tells entries from those of another run in the same log.
async fn client_loop(log: Log, args: Args, (run, client): (u64, usize), window: Window) -> Result<Latencies> {
    let mut latencies = Latencies::new()?;
    let mut n = 0;
    while window.is_open() {
        let entries = (0..args.entries_per_append).map(|_| {
            n += 1;
            NewEntry::plain(entry(args.entry_bytes, (run, client as u64, n)))
        });
        let append = Append::of(entries.collect());
        let begin = Instant::now();
        let appended = log.append(append).await?;
        let mut size = appended.head().size();
        if args.witnesses > 0 {
            size = log.wait_witnessed(size, WITNESS_TIMEOUT).await?.size();
        }
        for index in appended.indexes() {
            std::hint::black_box(log.inclusion(*index, size)?);
        }
        let end = Instant::now();
        if window.counts(begin, end) {
            latencies.record(end - begin);
        }
    }
    Ok(latencies)
}

/// Grows a log to so many entries, fast and without being measured.
pub(super) async fn fill(log: &Log, entries: u64, entry_bytes: usize) -> Result<()> {
    let mut n = log.size();
    let mut waiting = tokio::task::JoinSet::new();
    while n < entries {
        let next = entries.min(n + 256);
        let batch = (n..next).map(|n| NewEntry::plain(entry(entry_bytes, (0, u64::MAX, n)))).collect();
        n = next;
        let log = log.clone();
        waiting.spawn(async move { log.append(Append::of(batch)).await.map(drop) });
        if waiting.len() >= 32 {
            waiting.join_next().await.context("an append")???;
        }
    }
    while let Some(done) = waiting.join_next().await {
        done??;
    }
    Ok(())
}

/// An entry that no other is equal to.
fn entry(bytes: usize, (run, client, n): (u64, u64, u64)) -> Vec<u8> {
    let mut entry = Vec::with_capacity(bytes);
    for part in [run, client, n] {
        entry.extend_from_slice(&part.to_be_bytes());
    }
    entry.resize(bytes, 0x5a);
    entry
}
