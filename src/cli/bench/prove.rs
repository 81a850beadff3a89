//! `treering bench prove`: inclusion proofs in this process, receipts and tiles over HTTP.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hyper::StatusCode;
use serde::Serialize;
use treering_provenance::statement::entry_id;
use treering_tlog::bundle;
use treering_tlog::hash::{Hash, leaf_hash};
use treering_tlog::tile::{self, TILE_WIDTH, TileId};

use super::super::output;
use super::disk::{Disk, temporary};
use super::http::{Answer, Answers, Ask, Asker, Connection, Look, Request, Target, load};
use super::ledger::BenchLedger;
use super::limits::Limits;
use super::meter::{Latencies, Memory, Rates, Usage, Window, count};
use super::receipts::{Receipts, is_sampled};
use super::witnesses::Witnesses;
use super::{api, scrapi};

/// Octets of an entry.
const ENTRY_BYTES: usize = 400;
/// Statements that are made and registered at a time, while they are still new.
const REGISTERED_AT_ONCE: u64 = 100_000;

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    /// Clients, each with one request at a time (paths http and tiles)
    #[arg(long, value_name = "N", default_value_t = 32)]
    clients: usize,
    /// How long to measure, after a warm-up of a second at most
    #[arg(long, value_name = "S", default_value_t = 5)]
    seconds: u64,
    /// Entries of the log
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    entries: u64,
    /// By which way
    #[arg(long, value_enum, default_value_t = Way::Api)]
    path: Way,
    /// Where to make the temporary folder: the disk to be measured
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// The way of a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Way {
    /// The Rust interface of the engine: one thread asks for the paths of entries all over the log
    Api,
    /// Receipts over TLS (`GET /entries/{id}`), the service a process of its own
    Http,
    /// Full tiles and entry bundles over TLS in turns, the service a process of its own
    Tiles,
}

/// What a run measured.
struct Measured {
    latencies: Latencies,
    seconds: f64,
    /// All processes.
    cpu_s: f64,
    /// Of the service, where there is one.
    server_cpu_s: Option<f64>,
    /// Of the process that holds the log.
    memory: Memory,
    answers: Option<Answers>,
    disk: Disk,
}

#[derive(Serialize)]
struct Figures {
    #[serde(flatten)]
    rates: Rates,
    disk_bytes_per_entry: Disk,
    cpu_us_each: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_cpu_us_each: Option<f64>,
    #[serde(flatten)]
    memory: Memory,
    #[serde(skip_serializing_if = "Option::is_none")]
    answers: Option<Answers>,
    limits: Limits,
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    ensure!((1..=4096).contains(&args.clients), "--clients is {}, want 1 to 4096", args.clients);
    ensure!((1..=3600).contains(&args.seconds), "--seconds is {}, want 1 to 3600", args.seconds);
    ensure!(
        (512..=100_000_000).contains(&args.entries),
        "--entries is {}, want 512 to 100000000",
        args.entries
    );
    let dir = temporary(args.dir.as_deref())?;
    // The hash is that of a node: 65 octets.
    let limits = Limits::measure(dir.path(), 65, Duration::from_secs(args.seconds))?;
    let measured = match args.path {
        Way::Api => by_api(args, dir.path())?,
        Way::Http | Way::Tiles => by_http(args, dir.path())?,
    };
    let done = count(measured.latencies.count());
    ensure!(done > 0.0, "no proof was made in the time measured");
    let figures = Figures {
        rates: Rates::of(&measured.latencies, measured.seconds, 1.0),
        disk_bytes_per_entry: measured.disk,
        cpu_us_each: measured.cpu_s * 1e6 / done,
        server_cpu_us_each: measured.server_cpu_s.map(|cpu| cpu * 1e6 / done),
        memory: measured.memory,
        answers: measured.answers,
        limits,
    };
    if args.json {
        output::json(&figures)?;
    } else {
        print(args, &figures);
    }
    Ok(ExitCode::SUCCESS)
}

fn print(args: &Args, figures: &Figures) {
    let what = match args.path {
        Way::Api => "inclusion paths",
        Way::Http => "receipts",
        Way::Tiles => "tiles and bundles",
    };
    output::line(format!(
        "{:.0} {what}/s of a log of {} entries: {}",
        figures.rates.throughput_per_s,
        args.entries,
        figures.rates.text()
    ));
    let server = figures.server_cpu_us_each.map(|cpu| format!(", {cpu:.1} of them the service"));
    output::line(format!(
        "  each: {:.1} us of CPU{}; that is {:.1} node hashes of this machine",
        figures.cpu_us_each,
        server.unwrap_or_default(),
        figures.cpu_us_each * figures.limits.sha256_per_s / 1e6
    ));
    output::line(format!("  {}", figures.disk_bytes_per_entry.text()));
    output::line(format!("  {}", figures.memory.text()));
    if let Some(answers) = &figures.answers {
        output::line(format!("  {}", answers.text()));
    }
    output::line(format!("  {}", figures.limits.text()));
}

/// A step that visits entries all over the log, each tile often enough to be in memory.
const STRIDE: usize = 7919;

fn by_api(args: &Args, dir: &Path) -> Result<Measured> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    api::fill_apart(dir, args.entries, ENTRY_BYTES)?;
    let open = api::opener(dir, 0)?;
    let log = open(false)?;
    let (size, mut latencies, mut index) = (log.size(), Latencies::new()?, 0);
    let window = Window::of_seconds(args.seconds);
    let mut before = None;
    while window.is_open() {
        index = (index + STRIDE as u64) % size;
        let begin = Instant::now();
        if begin >= window.begin() && before.is_none() {
            before = Some(Usage::of(None)?);
        }
        std::hint::black_box(log.inclusion(index, size)?);
        let end = Instant::now();
        if window.counts(begin, end) {
            latencies.record(end - begin);
        }
    }
    let usage = Usage::of(None)?;
    runtime.block_on(log.shutdown());
    drop(log);
    Ok(Measured {
        latencies,
        seconds: window.seconds(),
        cpu_s: usage.cpu_since(before.unwrap_or(usage)),
        server_cpu_s: None,
        memory: usage.memory,
        answers: None,
        disk: Disk::of(&open(false)?, Some(ENTRY_BYTES))?,
    })
}

fn by_http(args: &Args, dir: &Path) -> Result<Measured> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let witnesses = Witnesses::make(dir, None, 0).await?;
        let mut ledger = BenchLedger::start(dir, args.clients, witnesses).await?;
        let target = ledger.target()?;
        let leaves = register(&ledger, &target, args.entries).await?;
        let items = match args.path {
            Way::Tiles => tiles(&target).await?,
            Way::Api | Way::Http => leaves.into_iter().map(|leaf| receipt(&target, leaf)).collect(),
        };
        let (items, place) = (Arc::new(items), Arc::new(AtomicUsize::new(0)));
        let receipts = Arc::new(Receipts::of(&ledger.trust()?));
        let reader = || Reader {
            items: Arc::clone(&items),
            place: Arc::clone(&place),
            receipts: Arc::clone(&receipts),
            at: 0,
            asked: 0,
        };
        let window = Window::of_seconds(args.seconds);
        let id = ledger.service.id();
        let begun = async {
            tokio::time::sleep_until(window.begin().into()).await;
            Ok((Usage::of(id)?, Usage::of(None)?))
        };
        let (begun, loaded) = tokio::try_join!(begun, load(&target, args.clients, window, reader))?;
        let (service, own) = (Usage::of(id)?, Usage::of(None)?);
        ledger.stop().await?;
        let server_cpu_s = service.cpu_since(begun.0);
        Ok(Measured {
            latencies: loaded.latencies,
            seconds: loaded.seconds,
            cpu_s: server_cpu_s + own.cpu_since(begun.1),
            server_cpu_s: Some(server_cpu_s),
            memory: service.memory,
            answers: Some(loaded.answers),
            disk: Disk::of(ledger.open()?.log(), None)?,
        })
    })
}

/// Registers so many statements; their leaves.
async fn register(ledger: &BenchLedger, target: &Target, entries: u64) -> Result<Vec<Hash>> {
    let drafts = ledger.drafts(ENTRY_BYTES)?;
    let (mut leaves, mut missing) = (Vec::with_capacity(usize::try_from(entries)?), entries);
    while missing > 0 {
        let some = missing.min(REGISTERED_AT_ONCE);
        let statements = drafts.many(usize::try_from(some)?, Duration::MAX)?;
        leaves.extend(statements.iter().map(|statement| leaf_hash(statement)));
        scrapi::register_all(target, statements).await?;
        missing -= some;
    }
    Ok(leaves)
}

/// Something to ask for, again and again, and what a good answer is.
struct Item {
    request: Request,
    want: Want,
}

enum Want {
    /// A receipt that proves this leaf.
    Proof(Hash),
    /// Octets with this hash, as of a leaf, that may be kept for ever.
    Octets(Hash),
}

fn receipt(target: &Target, leaf: Hash) -> Item {
    Item { request: target.get(&format!("/entries/{}", entry_id(&leaf))), want: Want::Proof(leaf) }
}

/// All full tiles of the lowest level and their bundles, fetched once and held against each other.
async fn tiles(target: &Target) -> Result<Vec<Item>> {
    let mut connection = target.connect().await?;
    let (_, size) = scrapi::checkpoint(&mut connection, target).await?;
    let mut items = Vec::new();
    for index in 0..tile::full_tiles(0, size) {
        let (request, octets) = get(&mut connection, target, &TileId::new(0, index).path(TILE_WIDTH)).await?;
        let hashes = tile::decode(&octets)?;
        items.push(Item { request, want: Want::Octets(leaf_hash(&octets)) });
        let (request, octets) = get(&mut connection, target, &tile::entries_path(index, TILE_WIDTH)).await?;
        let leaves: Vec<_> = bundle::decode(&octets)?.into_iter().map(leaf_hash).collect();
        ensure!(hashes == leaves, "tile {index} holds other hashes than those of its bundle's entries");
        items.push(Item { request, want: Want::Octets(leaf_hash(&octets)) });
    }
    Ok(items)
}

async fn get(connection: &mut Connection, target: &Target, path: &str) -> Result<(Request, Vec<u8>)> {
    let request = target.get(&format!("/{path}"));
    let answer = connection.send(&request).await?;
    ensure!(answer.status == StatusCode::OK, "GET /{path}: {}", answer.status);
    let octets = answer.body.to_vec();
    Ok((request, octets))
}

/// One client: takes the next item of a round that all clients share.
struct Reader {
    items: Arc<Vec<Item>>,
    place: Arc<AtomicUsize>,
    receipts: Arc<Receipts>,
    /// Of the item asked for.
    at: usize,
    asked: u64,
}

impl Reader {
    fn check(&self, answer: &Answer<'_>) -> Result<()> {
        match &self.items.get(self.at).context("an item")?.want {
            Want::Proof(leaf) => self.receipts.check(answer.body, leaf).map(drop),
            Want::Octets(hash) => {
                ensure!(leaf_hash(answer.body) == *hash, "other octets than before");
                let caching = answer.field("cache-control").unwrap_or_default();
                ensure!(caching.contains("immutable"), "Cache-Control is `{caching}`, want immutable");
                Ok(())
            }
        }
    }
}

impl Asker for Reader {
    fn next(&mut self) -> Result<Option<Ask>> {
        self.at = self.place.fetch_add(STRIDE, Ordering::Relaxed) % self.items.len().max(1);
        let item = self.items.get(self.at).context("nothing to ask for")?;
        Ok(Some(Ask { request: item.request.clone(), want: StatusCode::OK, timed: true }))
    }

    fn look(&mut self, _: &Ask, answer: &Answer<'_>) -> Look {
        self.asked += 1;
        if !is_sampled(self.asked - 1) {
            return Look::Unchecked;
        }
        self.check(answer).map_or_else(|error| Look::Failed(format!("{error:#}")), |()| Look::Passed)
    }
}
