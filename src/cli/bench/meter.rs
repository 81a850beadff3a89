//! Latencies of a closed loop, and what a process used.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use serde::Serialize;

/// Before anything is measured: connections are made, caches and memtables fill. A short run warms up for less.
const WARM_UP: Duration = Duration::from_secs(1);
/// Clock ticks of /proc in a second: what Linux tells programs on every architecture.
const TICKS_PER_S: f64 = 100.0;

/// How long operations took, in microseconds, to two digits.
#[derive(Debug, Clone)]
pub(super) struct Latencies(Histogram<u64>);

impl Latencies {
    pub(super) fn new() -> Result<Self> {
        Ok(Self(Histogram::new_with_bounds(1, 600_000_000, 2).context("make a histogram")?))
    }

    /// One operation.
    pub(super) fn record(&mut self, took: Duration) {
        // Above ten minutes it counts as ten minutes.
        self.0.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    /// Adds what another client measured.
    pub(super) fn add(&mut self, other: &Self) -> Result<()> {
        self.0.add(&other.0).context("add histograms")
    }

    /// Operations.
    pub(super) fn count(&self) -> u64 {
        self.0.len()
    }

    /// The time within which this share of the operations ended.
    pub(super) fn ms(&self, share: f64) -> f64 {
        count(self.0.value_at_quantile(share)) / 1000.0
    }
}

/// When to measure: after a warm-up, for a while.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    from: Instant,
    to: Instant,
}

impl Window {
    pub(super) fn of(warm_up: Duration, length: Duration) -> Self {
        let from = Instant::now() + warm_up;
        Self { from, to: from + length }
    }

    /// From now on: a warm-up, of a quarter of the time measured or a second at most, and then so many seconds.
    pub(super) fn of_seconds(seconds: u64) -> Self {
        let length = Duration::from_secs(seconds);
        Self::of(WARM_UP.min(length / 4), length)
    }

    /// Whether clients go on.
    pub(super) fn is_open(&self) -> bool {
        Instant::now() < self.to
    }

    /// Whether an operation that began and ends at these instants counts.
    pub(super) fn counts(&self, begin: Instant, end: Instant) -> bool {
        begin >= self.from && end <= self.to
    }

    /// The instant at which measuring begins.
    pub(super) fn begin(&self) -> Instant {
        self.from
    }

    pub(super) fn seconds(&self) -> f64 {
        self.to.duration_since(self.from).as_secs_f64()
    }
}

/// What every load prints first.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Rates {
    pub(super) throughput_per_s: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) p999_ms: f64,
}

impl Rates {
    /// Of operations that were measured for so long, each of so many things.
    pub(super) fn of(latencies: &Latencies, seconds: f64, each: f64) -> Self {
        Self {
            throughput_per_s: count(latencies.count()) * each / seconds,
            p50_ms: latencies.ms(0.50),
            p99_ms: latencies.ms(0.99),
            p999_ms: latencies.ms(0.999),
        }
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        format!("p50 {:.3} ms, p99 {:.3} ms, p99.9 {:.3} ms", self.p50_ms, self.p99_ms, self.p999_ms)
    }
}

/// What a process has used so far, by /proc.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Usage {
    /// CPU seconds, user and system.
    pub(super) cpu_s: f64,
    /// Its memory.
    pub(super) memory: Memory,
}

/// Resident memory of a process.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Memory {
    /// The most that was resident since the process began.
    pub(super) rss_peak_bytes: u64,
    /// What is resident now: at the end of a load.
    pub(super) rss_end_bytes: u64,
}

impl Memory {
    /// For people.
    pub(super) fn text(&self) -> String {
        let mib = |bytes| count(bytes) / f64::from(1 << 20);
        format!(
            "memory {:.0} MiB at the end, {:.0} at most",
            mib(self.rss_end_bytes),
            mib(self.rss_peak_bytes)
        )
    }
}

impl Usage {
    /// Of a process by its id, or of this one.
    pub(super) fn of(id: Option<u32>) -> Result<Self> {
        let dir = id.map_or_else(|| "/proc/self".to_owned(), |id| format!("/proc/{id}"));
        let stat = fs::read_to_string(format!("{dir}/stat")).context("read /proc")?;
        // The name, in parentheses, may hold anything: fields are counted behind it. utime and stime are 14 and 15.
        let (_, fields) = stat.rsplit_once(')').context("/proc stat")?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let ticks: f64 = fields.iter().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
        let status = fs::read_to_string(format!("{dir}/status")).context("read /proc")?;
        let kib = |name: &str| -> u64 {
            let value = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            value.trim().trim_end_matches("kB").trim().parse().unwrap_or(0)
        };
        let memory = Memory { rss_peak_bytes: kib("VmHWM:") * 1024, rss_end_bytes: kib("VmRSS:") * 1024 };
        Ok(Self { cpu_s: ticks / TICKS_PER_S, memory })
    }

    /// CPU seconds since then.
    pub(super) fn cpu_since(self, before: Self) -> f64 {
        self.cpu_s - before.cpu_s
    }
}

/// A count as a float; beyond 2^53 the last digits do not matter.
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
pub(super) fn count(n: u64) -> f64 {
    n as f64
}
