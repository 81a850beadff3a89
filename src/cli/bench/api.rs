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

const ORIGIN: &str = "log.bench.example/treering";

pub(super) fn run(args: &Args, dir: &Path) -> Result<Run> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let keys = KeyStore::at(dir.join("keys"));
    keys.create()?;
    let sealer = Arc::new(HeadSealer::load(&keys, ORIGIN, &TrustDomain::parse("bench.example")?)?);
    let mut config = Config::new(dir.join("data"), Arc::new(|| SystemClock.now()));
    config.create = true;
    config.pool_entries = config.pool_entries.max(args.clients * args.entries_per_append * 2);
    let log = Log::open(config.clone(), Arc::<HeadSealer>::clone(&sealer))?;
    let (latencies, window, cpu_s) = runtime.block_on(load(args, &log))?;
    runtime.block_on(log.shutdown());
    drop(log);
    let rss_peak_bytes = Usage::of(None)?.rss_peak_bytes;
    config.create = false;
    let log = Log::open(config, sealer)?;
    log.compact()?;
    let disk = disk(&log, Some(args.entry_bytes))?;
    Ok(Run { latencies, seconds: window.seconds(), cpu_s, rss_peak_bytes, disk })
}

async fn load(args: &Args, log: &Log) -> Result<(Latencies, Window, f64)> {
    let first = (0..2).map(|n| NewEntry::plain(entry(args.entry_bytes, usize::MAX, n))).collect();
    log.append(Append::of(first)).await?;
    prefill(args, log).await?;
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
    Ok((all, window, used(before, Usage::of(None)?)))
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
        for index in appended.indexes() {
            std::hint::black_box(log.inclusion(*index, appended.head().size())?);
        }
        let end = Instant::now();
        if window.counts(begin, end) {
            latencies.record(end - begin);
        }
    }
    Ok(latencies)
}

/// Grows the log, fast and without being measured.
async fn prefill(args: &Args, log: &Log) -> Result<()> {
    let mut n = 0;
    let mut waiting = tokio::task::JoinSet::new();
    while n < args.prefill {
        let entries =
            (0..256).map(|i| NewEntry::plain(entry(args.entry_bytes, usize::MAX - 1, n + i))).collect();
        n += 256;
        let log = log.clone();
        waiting.spawn(async move { log.append(Append::of(entries)).await.map(drop) });
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
