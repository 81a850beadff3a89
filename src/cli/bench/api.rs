//! Appends by the engine's Rust interface, with the real sealer, in this process.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use treering_log::{Append, Config, Log, NewEntry};

use crate::clock::{Clock, SystemClock};
use crate::ident::TrustDomain;
use crate::keys::KeyStore;
use crate::ledger::HeadSealer;

use super::append::{Args, Run, WARM_UP, disk, used};
use super::meter::{Latencies, Usage, Window};
use super::witnesses::Witnesses;

/// How long an append may wait for its quorum.
const WITNESS_TIMEOUT: Duration = Duration::from_secs(30);
const ORIGIN: &str = "log.bench.example/treering";

pub(super) fn run(args: &Args, dir: &Path) -> Result<Run> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (log, reopen) = new_log(dir, args.clients * args.entries_per_append * 2)?;
    let (latencies, window, cpu_s) = runtime.block_on(measure(args, dir, &log))?;
    runtime.block_on(log.shutdown());
    drop(log);
    let rss_peak_bytes = Usage::of(None)?.rss_peak_bytes;
    let begin = Instant::now();
    let log = reopen()?;
    let open_ms = begin.elapsed().as_secs_f64() * 1000.0;
    log.compact()?;
    let disk = disk(&log, Some(args.entry_bytes))?;
    Ok(Run { latencies, seconds: window.seconds(), cpu_s, rss_peak_bytes, open_ms, disk })
}

/// A new log with the real sealer, and how to open it again.
pub(super) fn new_log(dir: &Path, pool_entries: usize) -> Result<(Log, impl Fn() -> Result<Log> + use<>)> {
    let keys = KeyStore::at(dir.join("keys"));
    keys.create()?;
    let sealer = Arc::new(HeadSealer::load(&keys, ORIGIN, &TrustDomain::parse("bench.example")?)?);
    let mut config = Config::new(dir.join("data"), Arc::new(|| SystemClock.now()));
    config.create = true;
    config.pool_entries = config.pool_entries.max(pool_entries);
    let log = Log::open(config.clone(), Arc::<HeadSealer>::clone(&sealer))?;
    config.create = false;
    let reopen = move || Ok(Log::open(config.clone(), Arc::<HeadSealer>::clone(&sealer))?);
    Ok((log, reopen))
}

async fn measure(args: &Args, dir: &Path, log: &Log) -> Result<(Latencies, Window, f64)> {
    fill(log, args.prefill.max(2), args.entry_bytes).await?;
    let witnesses = match args.witnesses {
        0 => None,
        count => Some(Witnesses::start(dir, args.witness_bin.as_deref(), log, count).await?),
    };
    let window = Window::of(WARM_UP, Duration::from_secs(args.seconds));
    let clients: Vec<_> = (0..args.clients)
        .map(|client| tokio::spawn(client_loop(log.clone(), args.clone(), client, window)))
        .collect();
    tokio::time::sleep_until(window.begin().into()).await;
    let before = Usage::of(None)?;
    let mut all = Latencies::new()?;
    for client in clients {
        all.add(&client.await??)?;
    }
    let cpu_s = used(before, Usage::of(None)?);
    if let Some(witnesses) = witnesses {
        witnesses.stop().await?;
    }
    Ok((all, window, cpu_s))
}

async fn client_loop(log: Log, args: Args, client: usize, window: Window) -> Result<Latencies> {
    let mut latencies = Latencies::new()?;
    let mut n = 0;
    while window.is_open() {
        let entries = (0..args.entries_per_append).map(|_| {
            n += 1;
            NewEntry::plain(entry(args.entry_bytes, client, n))
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
        let batch = (n..next).map(|n| NewEntry::plain(entry(entry_bytes, usize::MAX, n))).collect();
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
fn entry(bytes: usize, client: usize, n: u64) -> Vec<u8> {
    let mut entry = Vec::with_capacity(bytes);
    entry.extend_from_slice(&(client as u64).to_be_bytes());
    entry.extend_from_slice(&n.to_be_bytes());
    entry.resize(bytes, 0x5a);
    entry
}
